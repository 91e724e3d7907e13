//! The html learner against a real parser: it must find every id that lol_html finds in an
//! attribute or a field, and no other outside of comments, scripts and text. Reads our own pages,
//! and with STICKY_PAGES=FOLDER those of real projects, as they are and with ids in their links.

use std::collections::BTreeSet;
use std::sync::Arc;

use sticky_core::scan::html::HtmlLearner;
use sticky_core::scan::Learner;
use sticky_core::url::{Names, Site};

#[path = "pages/corpus.rs"]
mod corpus;
#[path = "pages/oracle.rs"]
mod oracle;

use corpus::{Page, Random};

fn compare(page: &Page, bytes: &[u8], names: &Arc<Names>, site: &Site) -> usize {
    let mut learner = HtmlLearner::new(Arc::clone(names), site.clone());
    let mut ids = BTreeSet::new();
    for piece in bytes.chunks(4096) {
        learner.feed(piece, &mut |id, _| {
            ids.insert(id.to_vec());
            true
        });
    }
    learner.end(&mut |id, _| {
        ids.insert(id.to_vec());
        true
    });
    let expected = oracle::expected(bytes, names, "sid", site);
    let shown = |ids: Vec<&Vec<u8>>| {
        ids.into_iter()
            .map(|id| id.escape_ascii().to_string())
            .collect::<Vec<_>>()
    };
    let missed = shown(expected.ids.difference(&ids).collect());
    assert!(missed.is_empty(), "{}: missed {missed:?}", page.name);
    let invented = ids
        .difference(&expected.ids)
        .filter(|id| !stands_in(&expected.elsewhere, id));
    let invented = shown(invented.collect());
    assert!(invented.is_empty(), "{}: invented {invented:?}", page.name);
    ids.len()
}

/// Whether an id that is in no attribute stands outside of tags, in a URL or as the value of a
/// field. In the escapes that the corpus uses.
fn stands_in(text: &[u8], id: &[u8]) -> bool {
    let id = String::from_utf8_lossy(id);
    let id = id.replace("Ab", "%41b").replace("Cd", "&#67;d");
    [
        "sid=", "value=", "VALUE=", "value=\"", "VALUE=\"", "value='",
    ]
    .iter()
    .any(|before| {
        let wanted = format!("{before}{id}");
        text.windows(wanted.len())
            .any(|window| window == wanted.as_bytes())
    })
}

#[test]
fn finds_what_a_parser_finds_in_our_own_pages() {
    let names = Arc::new(Names::new(vec![b"sid"[..].into()]));
    let site = Site::new(b"shop.example", &[]);
    let mut random = Random(3);
    for page in corpus::committed() {
        compare(&page, &page.bytes, &names, &site);
        let (bytes, _) = corpus::with_ids(&page.bytes, &mut random);
        compare(&page, &bytes, &names, &site);
    }
}

#[test]
fn finds_what_a_parser_finds_in_the_pages_of_real_projects() {
    let names = Arc::new(Names::new(vec![b"sid"[..].into()]));
    let site = Site::new(b"shop.example", &[]);
    let mut random = Random(4);
    let (mut pages, mut put_in, mut ids) = (0, 0, 0);
    for page in corpus::unpacked() {
        compare(&page, &page.bytes, &names, &site);
        let (bytes, count) = corpus::with_ids(&page.bytes, &mut random);
        ids += compare(&page, &bytes, &names, &site);
        put_in += count;
        pages += 1;
    }
    println!("{pages} pages, {put_in} links with ids, {ids} of our host found");
}

/// Learner and parser alike. A browser takes all of the value that is left for the URL, and strips
/// control characters from the ends alone.
#[test]
fn the_url_of_a_refresh_is_what_browsers_read() {
    let names = Arc::new(Names::new(vec![b"sid"[..].into()]));
    let site = Site::new(b"shop.example", &[]);
    for (content, id) in [
        ("5; url=q?sid=x0", "x0"),
        ("5;q?sid=x0", "x0"),
        ("5 q?sid=x0", "x0"),
        ("5;q?sid=x0\x07)", "x0\x07)"),
        ("5;q?sid=x0\x07", "x0"),
        ("5;uri=q?sid=x0)", "x0)"),
        ("5;url='q?sid=x0)'y", "x0)"),
        (".5;url = 'q?sid=x0\x07' )", "x0"),
        // These are none.
        ("q?sid=x0\x07)", "x0"),
        ("5q;q?sid=x0\x07)", "x0"),
    ] {
        let bytes = format!("<meta http-equiv=refresh content=\"{content}\">").into_bytes();
        let name = content.to_owned();
        let page = Page { name, bytes };
        assert_eq!(compare(&page, &page.bytes, &names, &site), 1, "{content:?}");
        let expected = oracle::expected(&page.bytes, &names, "sid", &site);
        assert_eq!(expected.ids, BTreeSet::from([id.into()]), "{content:?}");
    }
}

/// Learner and parser alike: a value with backslashes is taken for a string of a script.
#[test]
fn escapes_in_an_attribute_are_read_as_in_a_script() {
    let names = Arc::new(Names::new(vec![b"sid"[..].into()]));
    let site = Site::new(b"shop.example", &[]);
    for (value, id) in [
        (r"q?sid=x0\-1", "x0-1"),
        (r"q?sid=x0\n1", "x0"),
        (r"q?sid=x0\\n1", "x0"),
        (r"q?sid=x0\x2D1", "x0-1"),
        (r"q?sid=x0\\u002d1", "x0-1"),
        (r"q?sid=x0\u00e91", "x0"),
        (r"q?sid=x0\u00", "x0"),
        (r"\/q?a=b\u0026sid=x0", "x0"),
        (r"q?sid=x0\", "x0"),
    ] {
        let bytes = format!("<a data-x={value} y>").into_bytes();
        let name = value.to_owned();
        let page = Page { name, bytes };
        assert_eq!(compare(&page, &page.bytes, &names, &site), 1, "{value}");
        let expected = oracle::expected(&page.bytes, &names, "sid", &site);
        assert_eq!(expected.ids, BTreeSet::from([id.into()]), "{value}");
    }
}
