//! Texts in any pieces: the id of each plain URL of the site is found, as by a parser of the URL
//! Standard. First byte: the names; the next four: the pieces.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sticky_core::scan::text::{TextLearner, STRING_RADIUS};
use sticky_fuzz::{is_own_host, names, pairs, pieces, site};
use url::Url;

fuzz_target!(|input: &[u8]| {
    let Some(([choice, seed @ ..], text)) = input.split_first_chunk::<5>() else {
        return;
    };
    let (plain, names) = names(*choice);
    let (names, site) = (Arc::new(names), site());
    let found = pieces::ids(text, u32::from_le_bytes(*seed), || {
        TextLearner::new(Arc::clone(&names), site.clone())
    });
    if *plain != [b"sid"] {
        return;
    }
    for word in text.split(|byte| byte.is_ascii_whitespace()) {
        let Some(id) = id_of_plain_url(plain, word) else {
            continue;
        };
        assert!(
            found.contains(&id),
            "missed {}, found {:?}",
            id.escape_ascii(),
            pieces::shown(&found)
        );
    }
});

/// The id in a word that is a URL without special characters.
fn id_of_plain_url(plain: &[&[u8]], word: &[u8]) -> Option<Vec<u8>> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b":/?&=-_.#".contains(byte);
    let has_reference = word.windows(2).any(|pair| pair == b"&#");
    let starts = word.starts_with(b"http://") || word.starts_with(b"https://");
    let ends = word.last()?.is_ascii_alphanumeric();
    if !starts
        || !ends
        || has_reference
        || word.len() >= STRING_RADIUS
        || !word.iter().all(is_plain)
    {
        return None;
    }
    let url = Url::parse(std::str::from_utf8(word).ok()?).ok()?;
    if !is_own_host(url.host_str()?) {
        return None;
    }
    match pairs::extracted(plain, None, url.query()?.as_bytes())? {
        sticky_core::url::ExtractedId::Id(id) => Some(id.into_owned()),
        _ => None,
    }
}
