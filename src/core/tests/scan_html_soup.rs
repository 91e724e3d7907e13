//! Random soups of the bytes that pages are made of: nothing panics, cuts change nothing, and what
//! a parser finds in an attribute or a field is found. Without these a page that nobody thought of
//! loses ids at the border of two buffers.

use std::collections::BTreeSet;
use std::sync::Arc;

use sticky_core::scan::forms::FormsLearner;
use sticky_core::scan::html::HtmlLearner;
use sticky_core::scan::Learner;
use sticky_core::url::{LinkPart, Names, Site};

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

/// What ids in paths are written with.
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

fn read<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    names: &Arc<Names>,
    site: &Site,
) -> (Vec<Vec<u8>>, u64) {
    let mut learner = HtmlLearner::new(Arc::clone(names), site.clone());
    let mut ids: Vec<Vec<u8>> = Vec::new();
    for piece in pieces {
        learner.feed(piece, &mut |id| ids.push(id.to_vec()));
    }
    learner.end(&mut |id| ids.push(id.to_vec()));
    assert!(
        ids.windows(2).all(|pair| pair[0] != pair[1]),
        "an id twice in a row"
    );
    assert!(
        ids.iter().all(|id| (1..=512).contains(&id.len())),
        "an id of a wrong length"
    );
    (ids, learner.looked_at())
}

#[test]
fn soups_read_the_same_however_they_are_cut_and_hide_nothing() {
    let sid = Names::new(vec![b"sid"[..].into()]);
    assert!(read_soups(sid, PARTS) > 300, "the soups test nothing");
}

#[test]
fn soups_with_ids_in_paths_do_too() {
    let parts = [PARTS, PATH_PARTS, PATH_PARTS].concat();
    for order in [
        vec![LinkPart::Path],
        vec![LinkPart::Path, LinkPart::Query],
        vec![LinkPart::Query, LinkPart::Path],
    ] {
        let names = Names::new(vec![b"sid"[..].into(), b"(S)"[..].into()]);
        let found = read_soups(names.in_parts(order), &parts);
        assert!(found > 300, "the soups test nothing");
    }
}

/// Returns how many ids the parser finds.
fn read_soups(names: Names, parts: &[&[u8]]) -> usize {
    let rounds = std::env::var("STICKY_SOUPS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(2_000);
    let names = Arc::new(names);
    let site = Site::new(b"shop.example", &[]);
    let mut found = 0;
    for seed in 0..rounds {
        let mut random = Random(seed);
        let mut soup = Vec::new();
        for _ in 0..random.below(80) {
            soup.extend_from_slice(random.pick(parts));
            // Now and then as long as the bounds of the learner.
            if random.below(400) == 0 {
                let length = random.below(9000);
                soup.resize(
                    soup.len() + length,
                    *random.pick(&[&b'x', &b' ', &b'>', &b'<']),
                );
            }
        }
        let whole = read(std::iter::once(&soup[..]), &names, &site);
        let shown = || soup.escape_ascii().to_string();
        for _ in 0..4 {
            let longest = *random.pick(&[&1, &5, &40, &3000]);
            let mut rest = &soup[..];
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
        let opinion = oracle::opinion(&soup, &names, "sid", &site);
        // An id with a quote or a space in it may read otherwise; no application makes one.
        let is_clean = |id: &&Vec<u8>| id.iter().all(u8::is_ascii_alphanumeric);
        // Nor does one write a base into another tag, which the learner takes for one.
        let has_base = soup.windows(5).any(|window| window == b"<base");
        for id in opinion.ids.iter().filter(is_clean).filter(|_| !has_base) {
            let id_shown = id.escape_ascii();
            assert!(
                whole.contains(id),
                "seed {seed}: missed {id_shown} in {}",
                shown()
            );
        }
        found += opinion.ids.len();
        let mut forms = FormsLearner::new(Arc::clone(&names), site.clone(), None);
        soup.chunks(50)
            .for_each(|piece| forms.feed(piece, &mut |_| {}));
        forms.end(&mut |_| {});
    }
    found
}
