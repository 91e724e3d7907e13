//! Times and numbers as people read them.

use crate::http::cookie_expiry::civil_date;

/// `27 Nov 2026, 15:50:12 UTC`, from seconds since 1970.
pub fn date(at: u64) -> String {
    let (days, second) = (at / 86_400, at % 86_400);
    let (year, month, day) = civil_date(days.min(LAST_DAY));
    format!(
        "{day} {} {year}, {:02}:{:02}:{:02} UTC",
        String::from_utf8_lossy(month),
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

/// Of the year 9999.
const LAST_DAY: u64 = 2_932_896;

/// How long ago something was: `12 s ago`, `3 min ago`, `5 h 12 min ago`, `3 days ago`.
pub fn ago(now: u64, at: u64) -> String {
    match now.saturating_sub(at) {
        0 => "now".to_owned(),
        seconds @ 1..120 => format!("{seconds} s ago"),
        seconds @ 120..7_200 => format!("{} min ago", seconds / 60),
        seconds @ 7_200..172_800 => {
            format!("{} h {} min ago", seconds / 3_600, seconds / 60 % 60)
        }
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

/// With commas: `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.bytes().enumerate() {
        if at > 0 && matches!((digits.len() - at) % 3, 0) {
            text.push(',');
        }
        text.push(digit.into());
    }
    text
}

/// So many per cent of `whole`, in tenths and rounded down: `100` is all of it.
pub fn per_cent(part: u64, whole: u64) -> String {
    let tenths = tenths(part, whole);
    match tenths {
        1_000 => "100".to_owned(),
        tenths => format!("{}.{}", tenths / 10, tenths % 10),
    }
}

/// Tenths of a per cent, rounded down; 0 of nothing.
pub fn tenths(part: u64, whole: u64) -> u64 {
    let tenths = u128::from(part.min(whole)) * 1_000;
    tenths.checked_div(u128::from(whole)).unwrap_or(0) as u64
}
