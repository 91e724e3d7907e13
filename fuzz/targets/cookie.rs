//! Cookies that are read and written. First line: the name; the others: Cookie headers. The last of
//! them is also read as a Set-Cookie header, and written as the value of one.
#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use sticky_core::http::cookie::{self, Attributes, SameSite};

fuzz_target!(|input: &[u8]| {
    let mut lines = input.split(|byte| *byte == b'\n');
    let name = lines.next().unwrap_or_default();
    let headers: Vec<&[u8]> = lines.collect();
    let found = cookie::find(headers.iter().copied(), name);
    // The directive accepts no other names.
    let is_name = |byte: &u8| !byte.is_ascii_control() && !b" ;,=".contains(byte);
    if name.is_empty() || !name.iter().all(is_name) {
        return;
    }
    let pairs = headers
        .iter()
        .flat_map(|header| header.split(|byte| *byte == b';'));
    let values: Vec<_> = pairs.filter_map(|pair| value(pair, name)).collect();
    assert_eq!(found, values.first().copied());
    assert!(cookie::values_of(headers.iter().copied(), name).eq(values));

    let last = headers.last().copied().unwrap_or_default();
    let own = last.split(|byte| *byte == b';').next().unwrap_or_default();
    assert_eq!(cookie::value_set(last, name), value(own, name));
    assert_written(name, trimmed(own), seconds_of(input));
});

/// The value of a pair, if it has this name.
fn value<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    let (own, value) = pair.split_at(equals);
    (trimmed(own) == name).then(|| trimmed(&value[1..]))
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let is_kept = |byte: &u8| !b" \t".contains(byte);
    let start = bytes.iter().position(is_kept).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(is_kept).map_or(start, |at| at + 1);
    &bytes[start..end]
}

/// A time in the years 1970 to 9999.
fn seconds_of(input: &[u8]) -> u64 {
    let mixed = input.iter().fold(0_u64, |mixed, byte| {
        (mixed ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mixed % 253_402_300_800
}

/// What is written is read back, and its date is that of another crate.
fn assert_written(name: &[u8], value: &[u8], seconds: u64) {
    let attributes = Attributes {
        domain: Some(b".shop.example"),
        expires: Some(seconds as i64),
        path: b"/",
        secure: true,
        httponly: true,
        samesite: Some(SameSite::Lax),
        partitioned: true,
    };
    let mut line = [name, b"=", value].concat();
    attributes.write(&mut line);
    assert_eq!(cookie::value_set(&line, name), Some(value));
    assert_eq!(cookie::find([&line[..]].into_iter(), name), Some(value));

    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
    let (start, end) = date.split_at(7);
    let dashed = format!("; Expires={start}-{}-{}", &end[1..4], &end[5..]);
    assert!(
        line.windows(dashed.len())
            .any(|part| part == dashed.as_bytes()),
        "{dashed} in {}",
        line.escape_ascii()
    );
}
