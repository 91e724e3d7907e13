//! The forms of pages in any pieces. First byte: the names; the next four: the pieces.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sticky_core::scan::forms::FormsLearner;
use sticky_fuzz::{names, oracle, pieces, site};

fuzz_target!(|input: &[u8]| {
    let Some(([choice, seed @ ..], page)) = input.split_first_chunk::<5>() else {
        return;
    };
    let (plain, names) = names(*choice);
    let (names, site) = (Arc::new(names), site());
    let found = pieces::ids(page, u32::from_le_bytes(*seed), || {
        FormsLearner::new(Arc::clone(&names), site.clone(), None)
    });
    let [name] = plain else { return };
    let is_base = |part: &[u8]| part[0] == b'<' && part.eq_ignore_ascii_case(b"<base");
    let has_base = page.windows(5).any(is_base);
    if has_base {
        return;
    }
    let name = std::str::from_utf8(name).expect("ASCII");
    let all = oracle::expected(page, &names, name, &site);
    for id in found
        .iter()
        .filter(|id| id.iter().all(u8::is_ascii_alphanumeric))
    {
        let is_elsewhere = all.elsewhere.windows(id.len()).any(|part| part == id);
        assert!(
            all.ids.contains(id) || is_elsewhere,
            "invented {}",
            id.escape_ascii()
        );
    }
});
