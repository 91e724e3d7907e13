//! `mode=discover`: for how long it watches.

use std::ops::RangeInclusive;

use super::error::DirectiveError;
use super::nginx_units;
use super::DiscoverRule;

/// How long it watches if the directive does not say, in seconds.
const DEFAULT: u64 = 3_600;

/// From a minute to a week.
const RANGE: RangeInclusive<u64> = 60..=7 * 86_400;

/// `None`: the directive has another mode.
pub(super) fn rule(words: &[&[u8]]) -> Result<Option<DiscoverRule>, DirectiveError> {
    let mode = &&b"mode=discover"[..];
    if !words.contains(mode) {
        return Ok(None);
    }
    let (mut seconds, mut has_mode) = (None, false);
    for word in words {
        let duplicate = |parameter| Err(DirectiveError::Duplicate { parameter });
        if word.starts_with(b"mode=") {
            if std::mem::replace(&mut has_mode, true) {
                return duplicate("mode");
            }
        } else if let Some(value) = word.strip_prefix(b"for=") {
            if seconds.is_some() {
                return duplicate("for");
            }
            let time = nginx_units::parse_time(value).filter(|time| RANGE.contains(time));
            let expected = "a time of 1 minute to 7 days, as in \"for=1h\"";
            seconds = Some(time.ok_or_else(|| DirectiveError::value("for", value, expected))?);
        } else {
            return Err(DirectiveError::Unknown {
                word: word.to_vec(),
                hint: "\"mode=discover\" takes \"for=TIME\" alone".to_owned(),
            });
        }
    }
    let seconds = seconds.unwrap_or(DEFAULT);
    Ok(Some(DiscoverRule { seconds }))
}
