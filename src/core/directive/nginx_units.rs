//! Times and sizes in a configuration, parsed exactly as nginx does: what it accepts is accepted,
//! with the same meaning, and what it refuses is refused.

/// The largest time (`NGX_MAX_INT_T_VALUE` of a 64-bit nginx).
const MAX_TIME: u64 = i64::MAX as u64;

/// The largest size (`NGX_MAX_SIZE_T_VALUE`, which is the largest `ssize_t`).
const MAX_SIZE: usize = isize::MAX as usize;

/// Parses a time in whole seconds (`ngx_parse_time(line, 1)` in nginx's src/core/ngx_parse.c).
///
/// It has numbers with the units `y M w d h m s`, from the largest to the smallest and each at most
/// once; spaces may follow a unit: `1h30m`, `1h 30m`, `90`. A month has 30 days, a year 365. A
/// number without a unit is in seconds. Milliseconds (`5ms`) are refused, and so is anything above
/// `i64::MAX` seconds.
pub fn parse_time(text: &[u8]) -> Option<u64> {
    parse(text, Scale::Seconds)
}

/// Parses a time in milliseconds (`ngx_parse_time(line, 0)`): as [`parse_time`], but with the unit
/// `ms` and without `y` and `M`. A number without a unit is in seconds.
pub fn parse_milliseconds(text: &[u8]) -> Option<u64> {
    parse(text, Scale::Milliseconds)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scale {
    Seconds,
    Milliseconds,
}

fn parse(text: &[u8], scale: Scale) -> Option<u64> {
    let (second, mut smallest) = match scale {
        Scale::Seconds => (1, Unit::None),
        Scale::Milliseconds => (1000, Unit::Month),
    };
    let mut total = 0u64;
    let mut value = 0u64;
    let mut digits = false;
    let mut rest = text;

    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte.is_ascii_digit() {
            value = append_digit(value, byte, MAX_TIME)?;
            digits = true;
            continue;
        }
        let (unit, seconds) = match byte {
            b'y' => (Unit::Year, 365 * 86_400),
            b'M' => (Unit::Month, 30 * 86_400),
            b'w' => (Unit::Week, 7 * 86_400),
            b'd' => (Unit::Day, 86_400),
            b'h' => (Unit::Hour, 3_600),
            b'm' if after.first() == Some(&b's') => {
                if scale == Scale::Seconds {
                    return None;
                }
                rest = after.get(1..).unwrap_or_default();
                (Unit::Millisecond, 0)
            }
            b'm' => (Unit::Minute, 60),
            b's' => (Unit::Second, 1),
            // A number before a blank is allowed once, at the end: "1h 30 ". Even "10 5" is 15.
            b' ' if smallest < Unit::Second => (Unit::Blank, 1),
            _ => return None,
        };
        if unit <= smallest {
            return None;
        }
        smallest = unit;
        // Milliseconds need no factor.
        let factor = if seconds == 0 { 1 } else { seconds * second };
        total = add(total, value.checked_mul(factor)?, MAX_TIME)?;
        value = 0;
        while let Some((b' ', after)) = rest.split_first() {
            rest = after;
        }
    }
    if !digits {
        return None;
    }
    add(total, value.checked_mul(second)?, MAX_TIME)
}

/// Parses a size in bytes (`ngx_parse_size()` in nginx's src/core/ngx_parse.c): digits and at most
/// one of `k K m M`. There is no unit `g`, no sign and no space.
pub fn parse_size(text: &[u8]) -> Option<usize> {
    let (digits, scale) = match text.split_last()? {
        (b'k' | b'K', digits) => (digits, 1 << 10),
        (b'm' | b'M', digits) => (digits, 1 << 20),
        _ => (text, 1),
    };
    if digits.is_empty() {
        return None;
    }
    let mut size = 0u64;
    for &byte in digits {
        size = append_digit(size, byte, MAX_SIZE as u64)?;
    }
    let size = usize::try_from(size).ok()?.checked_mul(scale)?;
    (size <= MAX_SIZE).then_some(size)
}

/// The last unit, from the largest to the smallest: only a smaller one may follow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    None,
    Year,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
    Blank,
}

fn append_digit(value: u64, byte: u8, max: u64) -> Option<u64> {
    if !byte.is_ascii_digit() {
        return None;
    }
    add(value.checked_mul(10)?, u64::from(byte - b'0'), max)
}

fn add(a: u64, b: u64, max: u64) -> Option<u64> {
    a.checked_add(b).filter(|&sum| sum <= max)
}
