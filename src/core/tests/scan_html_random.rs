//! Random sequences of parts of pages: nothing panics, the pieces make no difference, and what a
//! parser finds in an attribute or a field is found. Without these, an unforeseen page may lose ids
//! between two buffers.

use std::collections::BTreeSet;
use std::sync::Arc;

use sticky_core::scan::forms::FormsLearner;
use sticky_core::scan::html::HtmlLearner;
use sticky_core::scan::Learner;
use sticky_core::url::{LinkPart, Names, Site, MAX_ID};

#[path = "pages/corpus.rs"]
mod corpus;
#[path = "pages/oracle.rs"]
mod oracle;

use corpus::Random;

const PARTS: &[&[u8]] = &[
    b"<a ",
    b"<input ",
    b"<button ",
    b"<p>",
    b"</a>",
    b"<!--",
    b"-->",
    b"<script>",
    b"</script>",
    b"<base ",
    b"<head>",
    b"</head>",
    b"<body>",
    b"<meta ",
    b"<",
    b">",
    b"/",
    b"\"",
    b"'",
    b"=",
    b" ",
    b"\n",
    b"\t",
    b"&",
    b"&amp;",
    b"&#38;",
    b"&#38",
    b"&#x26",
    b"&quot;",
    b"&lt;",
    b"?",
    b";",
    b"#",
    b"%41",
    b"+",
    b"\\",
    b"(",
    b")",
    b",",
    b"`",
    b"\0",
    b"\xff",
    b"\xc3\xa4",
    b"sid",
    b"sid=",
    b"?sid=a1",
    b"&sid=b2",
    b"sid=c3",
    b"name=sid",
    b"name=\"sid\"",
    b"value=d4",
    b"value='e5'",
    b"href=",
    b"href=\"",
    b"href='",
    b" href=\"?sid=f6\"",
    b" href='x?q=1&amp;sid=g7'>",
    b"title=\"",
    b"onclick='",
    b"content=\"0;url=",
    b"srcset='",
    b"http://",
    b"//",
    b"shop.example",
    b"other.example",
    b"javascript:",
    b"<input name=sid value=h8>",
    b"in",
    b"x",
    b"1",
];

/// The parts of ids in paths.
const PATH_PARTS: &[&[u8]] = &[
    b";sid=k9",
    b"href=\"a;sid=k9",
    b"'/a;sid=k9?",
    b"?sid=k9",
    b"/(S(m1))/",
    b"\"/(A(x)S(m1))",
    b"(",
    b")",
    b"S(",
    b"(S(n2))",
    b" href=\"a;sid=o3?b=c\"",
    b" href='/(S(p4))/a'>",
    b"&amp;sid=k9",
    b"&semi;",
];

/// The same id again and again, and what looks nearly like it.
const REPEATED_PARTS: &[&[u8]] = &[
    b"<a href=\"/a?sid=f6\">",
    b"<a href=\"/a?b=c&amp;sid=f6\">",
    b"<a href=\"/a;sid=f6\">",
    b"<a href='/a?sid=f6'>",
    b"<a href=\"/a?sid=f66\">",
    b"<a href=\"/a?sid=f6&amp;b=c\">",
    b"<a href=\"//other.example/?sid=f6\">",
    b"?sid=f6\"",
    b"&sid=f6\"",
    b"&amp;sid=f6\"",
    b"&#38sid=f6\"",
    b"&amp",
    b";sid=f6\"",
    b"sid=f6\"",
    b"SID=f6\"",
    b"inside",
    b"sid ",
    b"<input name=\"sid\" value=\"f6\">",
    b"<input name=sid value=g7>",
    b"plain text between the links, longer than most parts\n",
];

fn read<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    names: &Arc<Names>,
    site: &Site,
) -> (Vec<Vec<u8>>, u64) {
    let mut learner = HtmlLearner::new(Arc::clone(names), site.clone());
    let mut ids: Vec<Vec<u8>> = Vec::new();
    for piece in pieces {
        learner.feed(piece, &mut |id, _| {
            ids.push(id.to_vec());
            true
        });
    }
    learner.end(&mut |id, _| {
        ids.push(id.to_vec());
        true
    });
    assert!(
        ids.windows(2).all(|pair| pair[0] != pair[1]),
        "an id twice in a row"
    );
    assert!(
        ids.iter().all(|id| (1..=MAX_ID).contains(&id.len())),
        "an id of a wrong length"
    );
    (ids, learner.budget_spent())
}

#[test]
fn random_pages_read_the_same_in_any_pieces_and_no_id_is_missed() {
    let sid = Names::new(vec![b"sid"[..].into()]);
    assert!(
        read_random_pages(sid, PARTS, 80) > 300,
        "hardly an id in these pages"
    );
}

#[test]
fn random_pages_with_ids_in_paths_do_too() {
    let parts = [PARTS, PATH_PARTS, PATH_PARTS].concat();
    for order in [
        vec![LinkPart::Path],
        vec![LinkPart::Path, LinkPart::Query],
        vec![LinkPart::Query, LinkPart::Path],
    ] {
        let names = Names::new(vec![b"sid"[..].into(), b"(S)"[..].into()]);
        let found = read_random_pages(names.in_parts(order), &parts, 80);
        assert!(found > 300, "hardly an id in these pages");
    }
}

/// What stands around an id is read only where it is not the last one again. In small pieces that is
/// told elsewhere than in large ones.
#[test]
fn random_pages_that_repeat_ids_do_too() {
    let parts = [REPEATED_PARTS, REPEATED_PARTS, PARTS].concat();
    for order in [vec![LinkPart::Query], vec![LinkPart::Path, LinkPart::Query]] {
        let names = Names::new(vec![b"sid"[..].into()]);
        let found = read_random_pages(names.in_parts(order), &parts, 200);
        assert!(found > 300, "hardly an id in these pages");
    }
}

/// Returns how many ids the parser finds. A page has fewer than so many parts.
fn read_random_pages(names: Names, parts: &[&[u8]], most: usize) -> usize {
    let rounds = std::env::var("STICKY_RANDOM_PAGES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(2_000);
    let names = Arc::new(names);
    let site = Site::new(b"shop.example", &[]);
    let mut found = 0;
    for seed in 0..rounds {
        let mut random = Random(seed);
        let mut page = Vec::new();
        for _ in 0..random.below(most) {
            page.extend_from_slice(random.pick(parts));
            // Sometimes as long as the bounds of the learner.
            if random.below(400) == 0 {
                let length = random.below(9000);
                page.resize(
                    page.len() + length,
                    *random.pick(&[&b'x', &b' ', &b'>', &b'<']),
                );
            }
        }
        let whole = read(std::iter::once(&page[..]), &names, &site);
        let shown = || page.escape_ascii().to_string();
        for _ in 0..4 {
            let longest = *random.pick(&[&1, &5, &40, &3000]);
            let mut rest = &page[..];
            let mut pieces = Vec::new();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((random.below(longest) + 1).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            assert_eq!(
                read(pieces.into_iter(), &names, &site),
                whole,
                "seed {seed}: {}",
                shown()
            );
        }
        let whole: BTreeSet<Vec<u8>> = whole.0.into_iter().collect();
        let expected = oracle::expected(&page, &names, "sid", &site);
        // An id with a quote or a space may be read differently; no application has such ids.
        let is_clean = |id: &&Vec<u8>| id.iter().all(u8::is_ascii_alphanumeric);
        // A base in another tag is one to the learner; no application writes that.
        let has_base = page.windows(5).any(|window| window == b"<base");
        for id in expected.ids.iter().filter(is_clean).filter(|_| !has_base) {
            let id_shown = id.escape_ascii();
            assert!(
                whole.contains(id),
                "seed {seed}: missed {id_shown} in {}",
                shown()
            );
        }
        found += expected.ids.len();
        let mut forms = FormsLearner::new(Arc::clone(&names), site.clone(), None);
        page.chunks(50)
            .for_each(|piece| forms.feed(piece, &mut |_, _| true));
        forms.end(&mut |_, _| true);
    }
    found
}
