//! Pages in any pieces, against lol_html as a parser of the exact grammar. The pieces must make no
//! difference, neither for the ids nor for the cost. First byte: the names; with bit 4 the control
//! characters 1 to 4 stand for runs as long as the bounds of the learner. The next four: the
//! pieces.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sticky_core::scan::html::{
    HtmlLearner, BASE_BUDGET, BUDGET_PER_BYTE, MAX_QUOTED, MAX_TAG, STRING_RADIUS,
};
use sticky_core::scan::Learner;
use sticky_fuzz::{names, oracle, pieces, site};

/// What one name may spend beyond the budget.
const ONE: u64 = 12 * MAX_TAG as u64;

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

    let spent = budget_spent(&[page], learner());
    for pieces in pieces::cuts(page, seed) {
        let cut = budget_spent(&pieces, learner());
        assert_eq!(cut, spent, "spent, in {} pieces", pieces.len());
    }
    assert!(spent <= BASE_BUDGET + BUDGET_PER_BYTE * page.len() as u64 + ONE);
    // A name may have been skipped because the budget was spent.
    if spent >= BASE_BUDGET {
        return;
    }
    let [name] = plain else { return };
    if is_beyond_the_learner(page, name) {
        return;
    }
    let name = std::str::from_utf8(name).expect("ASCII");
    for id in oracle::expected(page, &names, name, &site).ids {
        // An id with a quote or a space may be read differently; no application has such ids.
        let is_clean = id.iter().all(u8::is_ascii_alphanumeric);
        assert!(
            !is_clean || found.contains(&id),
            "missed {}, found {:?}",
            id.escape_ascii(),
            pieces::shown(&found)
        );
    }
});

fn budget_spent(pieces: &[&[u8]], mut learner: HtmlLearner) -> u64 {
    for piece in pieces {
        learner.feed(piece, &mut |_, _| true);
    }
    learner.end(&mut |_, _| true);
    learner.budget_spent()
}

fn stretch(page: &[u8]) -> Vec<u8> {
    let mut long = Vec::new();
    for byte in page {
        // More would only take time.
        if long.len() > 32 * MAX_TAG {
            break;
        }
        let (len, with) = match byte {
            1 => (MAX_QUOTED, b'x'),
            2 => (STRING_RADIUS, b'y'),
            3 => (MAX_TAG, b' '),
            4 => (MAX_TAG, b'z'),
            byte => (1, *byte),
        };
        long.resize(long.len() + len, with);
    }
    long
}

/// Whether a page has what the learner is documented not to find: a name with a character written
/// as a reference or an escape. Or a `<base` in another tag, which counts to the learner; no
/// application writes that.
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
    // Browsers take line breaks and tabs out of a URL.
    let is_break = |byte: &u8| b"\t\n\r".contains(byte);
    let is_broken = |at: usize| {
        let next = page[at + 1..].iter().find(|byte| !is_break(byte));
        let is_name = |byte: &u8| name.contains(byte);
        is_name(&page[at]) && page.get(at + 1).is_some_and(is_break) && next.is_some_and(is_name)
    };
    // In paths a name counts in any case, but is searched for in three spellings.
    let is_mixed = |rest: &[u8]| {
        let written = rest.get(..name.len()).unwrap_or_default();
        written.eq_ignore_ascii_case(name)
            && written != name
            && written != name.to_ascii_lowercase()
            && written != name.to_ascii_uppercase()
    };
    (0..page.len()).any(|at| is_odd(&page[at..]) || is_broken(at) || is_mixed(&page[at..]))
}
