//! Pages, however they are cut, against lol_html: the exact grammar wins. First byte: the names, and
//! with bit 4 the control characters 1 to 4 stand for runs as long as the bounds of the learner; the
//! next four: how the page is cut, on which what is looked at must not depend either.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sticky_core::scan::html::{HtmlLearner, ALLOWED, ALLOWED_EACH, QUOTED, REACH, RUN};
use sticky_core::scan::Learner;
use sticky_fuzz::{names, oracle, pieces, site};

/// What one name may take beyond what is left.
const ONE: u64 = 12 * REACH as u64;

fuzz_target!(|input: &[u8]| {
    let Some(([choice, seed @ ..], page)) = input.split_first_chunk::<5>() else {
        return;
    };
    let stretched;
    let page = match choice & 0x10 {
        0 => page,
        _ => {
            stretched = stretch(page);
            &stretched
        }
    };
    let (plain, names) = names(*choice);
    let (names, site) = (Arc::new(names), site());
    let seed = u32::from_le_bytes(*seed);
    let learner = || HtmlLearner::new(Arc::clone(&names), site.clone());
    let found = pieces::ids(page, seed, learner);

    let used = looked_at(&[page], learner());
    for pieces in pieces::cuts(page, seed) {
        let cut = looked_at(&pieces, learner());
        assert_eq!(cut, used, "looked at, in {} pieces", pieces.len());
    }
    assert!(used <= ALLOWED + ALLOWED_EACH * page.len() as u64 + ONE);
    // A name for which nothing was left may have been passed over.
    if used >= ALLOWED {
        return;
    }
    let [name] = plain else { return };
    if is_beyond_the_learner(page, name) {
        return;
    }
    let name = std::str::from_utf8(name).expect("ASCII");
    for id in oracle::opinion(page, &names, name, &site).ids {
        // An id with a quote or a space in it may read otherwise; no application makes one.
        let is_clean = id.iter().all(u8::is_ascii_alphanumeric);
        assert!(
            !is_clean || found.contains(&id),
            "missed {}, found {:?}",
            id.escape_ascii(),
            pieces::shown(&found)
        );
    }
});

fn looked_at(pieces: &[&[u8]], mut learner: HtmlLearner) -> u64 {
    for piece in pieces {
        learner.feed(piece, &mut |_| {});
    }
    learner.end(&mut |_| {});
    learner.looked_at()
}

fn stretch(page: &[u8]) -> Vec<u8> {
    let mut long = Vec::new();
    for byte in page {
        // More only takes time.
        if long.len() > 32 * REACH {
            break;
        }
        let (len, with) = match byte {
            1 => (QUOTED, b'x'),
            2 => (RUN, b'y'),
            3 => (REACH, b' '),
            4 => (REACH, b'z'),
            byte => (1, *byte),
        };
        long.resize(long.len() + len, with);
    }
    long
}

/// What the learner says that it does not see: a name of which a character is written as a reference
/// or escape. And a base in another tag, which it takes for one; no application writes it.
fn is_beyond_the_learner(page: &[u8], name: &[u8]) -> bool {
    let starts = |rest: &[u8], with: &str| {
        let start = rest.get(..with.len()).unwrap_or_default();
        start.eq_ignore_ascii_case(with.as_bytes())
    };
    let is_odd = |rest: &[u8]| match rest.first() {
        Some(b'<') => starts(rest, "<base"),
        Some(b'&') if starts(rest, "&#0") || starts(rest, "&#x0") => true,
        Some(b'&') => name.iter().any(|byte| {
            starts(rest, &format!("&#{byte}")) || starts(rest, &format!("&#x{byte:x}"))
        }),
        Some(b'%') => name
            .iter()
            .any(|byte| starts(rest, &format!("%{byte:02x}"))),
        _ => false,
    };
    (0..page.len()).any(|at| is_odd(&page[at..]))
}
