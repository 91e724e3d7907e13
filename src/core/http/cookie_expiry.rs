//! Whether a Set-Cookie header deletes its cookie: servers do that with a time that has passed.

use super::header_value::{trim_end, trim_start};

/// Whether a Set-Cookie header deletes the cookie, or sets one that expires at once: by its
/// Max-Age, else by its Expires (RFC 6265, 5.3). `now` is Unix time in seconds.
pub fn is_deletion(header_value: &[u8], now: i64) -> bool {
    // Mostly it has neither attribute, the names of which both have this letter.
    let attributes = memchr::memchr(b';', header_value).and_then(|at| header_value.get(at..));
    if attributes.is_none_or(|all| memchr::memchr2(b'x', b'X', all).is_none()) {
        return false;
    }
    let mut by_age = None;
    let mut by_date = None;
    for attribute in header_value.split(|byte| *byte == b';').skip(1) {
        let mut parts = attribute.splitn(2, |byte| *byte == b'=');
        let name = trim_end(trim_start(parts.next().unwrap_or_default()));
        let value = trim_end(trim_start(parts.next().unwrap_or_default()));
        // Of several, the last valid one counts.
        if name.eq_ignore_ascii_case(b"max-age") {
            by_age = is_over(value).or(by_age);
        } else if name.eq_ignore_ascii_case(b"expires") {
            by_date = Moment::read(value).or(by_date);
        }
    }
    match (by_age, by_date) {
        (Some(is_over), _) => is_over,
        (None, Some(date)) => date <= Moment::at(now),
        (None, None) => false,
    }
}

/// Whether a request for this path carries the cookie that a Set-Cookie header speaks of, as far as
/// its attribute Path says (RFC 6265, 5.1.4 and 5.2.4). The path is that of a URL, as it was sent.
pub fn is_sent_to(header_value: &[u8], path: &[u8]) -> bool {
    let mut own: &[u8] = b"";
    for attribute in header_value.split(|byte| *byte == b';').skip(1) {
        let mut parts = attribute.splitn(2, |byte| *byte == b'=');
        let name = trim_end(trim_start(parts.next().unwrap_or_default()));
        if name.eq_ignore_ascii_case(b"path") {
            own = trim_end(trim_start(parts.next().unwrap_or_default()));
        }
    }
    // Without it, that of the request counts.
    if !own.starts_with(b"/") {
        return true;
    }
    match path.strip_prefix(own) {
        Some(rest) => own.ends_with(b"/") || matches!(rest, [] | [b'/', ..]),
        None => false,
    }
}

/// Whether a Max-Age has passed (RFC 6265, 5.2.2). `None`: it is not a number.
fn is_over(seconds: &[u8]) -> Option<bool> {
    let digits = seconds.strip_prefix(b"-").unwrap_or(seconds);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let is_negative = digits.len() < seconds.len();
    is_number.then(|| is_negative || digits.iter().all(|digit| *digit == b'0'))
}

/// Year, month from 1, day of the month, and hour, minute, second: ordered by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(u64, usize, u64, [u64; 3]);

impl Moment {
    fn at(now: i64) -> Self {
        let now = now.max(0).unsigned_abs();
        let (year, month, day) = civil_date(now / 86_400);
        let second = now % 86_400;
        let clock = [second / 3_600, second / 60 % 60, second % 60];
        Self(year, month_named(month).unwrap_or_default(), day, clock)
    }

    /// A date as browsers read it: words in any order between delimiters (RFC 6265, 5.1.1).
    fn read(date: &[u8]) -> Option<Self> {
        let (mut clock, mut day, mut month, mut year) = (None, None, None, None);
        for word in date.split(|byte| is_delimiter(*byte)) {
            if clock.is_none() {
                clock = clock_in(word);
                if clock.is_some() {
                    continue;
                }
            }
            if day.is_none() {
                day = number(word, 1, 2);
                if day.is_some() {
                    continue;
                }
            }
            if month.is_none() {
                month = month_named(word);
                if month.is_some() {
                    continue;
                }
            }
            year = year.or(number(word, 2, 4));
        }
        let year = match year? {
            year @ 70..=99 => year + 1_900,
            year @ 0..=69 => year + 2_000,
            year => year,
        };
        let (day, clock) = (day?, clock?);
        let [hour, minute, second] = clock;
        let is_valid = (1..=31).contains(&day) && year >= 1_601 && hour < 24 && minute < 60;
        (is_valid && second < 60).then_some(Self(year, month?, day, clock))
    }
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'/' | b';'..=b'@' | b'['..=b'`' | b'{'..=b'~')
}

/// The number at the start of a word, with `shortest` to `longest` digits.
fn number(word: &[u8], shortest: usize, longest: usize) -> Option<u64> {
    let len = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = word.get(..len)?;
    (shortest..=longest).contains(&len).then(|| {
        digits
            .iter()
            .fold(0, |value, digit| value * 10 + u64::from(digit - b'0'))
    })
}

/// `12:34:56`, each of one or two digits.
fn clock_in(word: &[u8]) -> Option<[u64; 3]> {
    let mut parts = word.splitn(3, |byte| *byte == b':');
    let mut part = || parts.next();
    let (hour, minute, second) = (part()?, part()?, part()?);
    let are_numbers = [hour, minute]
        .iter()
        .all(|part| part.iter().all(u8::is_ascii_digit));
    let clock = [
        number(hour, 1, 2)?,
        number(minute, 1, 2)?,
        number(second, 1, 2)?,
    ];
    are_numbers.then_some(clock)
}

fn month_named(word: &[u8]) -> Option<usize> {
    const MONTHS: [&[u8]; 12] = [
        b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov",
        b"dec",
    ];
    let start = word.get(..3)?;
    let month = MONTHS
        .iter()
        .position(|month| month.eq_ignore_ascii_case(start));
    month.map(|month| month + 1)
}

/// Year, month and day of the month in the Gregorian calendar, from the days since 1970-01-01.
///
/// Years are counted from March, so that the leap day is their last day. Then the lengths of the
/// months repeat every 5 months (153 days), and those of the years every 4, 100 and 400 years.
pub(crate) fn civil_date(days: u64) -> (u64, &'static [u8], u64) {
    const FROM_MARCH: [&[u8]; 12] = [
        b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec", b"Jan",
        b"Feb",
    ];
    const CENTURY: u64 = 36_524;
    const ERA: u64 = 4 * CENTURY + 1;
    const SINCE_MARCH_0000: u64 = 719_468;

    let days = days + SINCE_MARCH_0000;
    let (era, day) = (days / ERA, days % ERA);
    // Without the leap days so far. The last day of the era would count as a year too many.
    let year = (day - day / 1_460 + day / CENTURY - day / (ERA - 1)) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = 400 * era + year + u64::from(month >= 10);
    let month = FROM_MARCH.get(month as usize).copied();
    (year, month.unwrap_or_default(), day)
}
