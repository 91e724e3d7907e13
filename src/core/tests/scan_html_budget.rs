//! Tests for the budget of pages that repeat the name, counted in bytes that are examined. Without
//! these, 8 KB that a user wrote into a page could block a worker for milliseconds.

mod learners;

use learners::{names, site};
use sticky_core::scan::html::{HtmlLearner, BASE_BUDGET, BUDGET_PER_BYTE, MAX_TAG};
use sticky_core::scan::Learner;

#[path = "pages/corpus.rs"]
mod corpus;
#[path = "pages/repeated.rs"]
mod repeated;

use corpus::Random;
use repeated::{filled, REPEATED};

/// What one name may spend beyond the budget.
const ONE: u64 = 12 * MAX_TAG as u64;

/// The ids of a page, and what was spent of the budget.
fn read(page: &[u8], piece: usize) -> (Vec<String>, u64) {
    let mut learner = HtmlLearner::new(names(&["sid"]), site());
    let mut ids = Vec::new();
    let mut found = |id: &[u8], _| {
        ids.push(String::from_utf8_lossy(id).into_owned());
        true
    };
    for piece in page.chunks(piece) {
        learner.feed(piece, &mut found);
    }
    learner.end(&mut found);
    (ids, learner.budget_spent())
}

#[test]
fn a_page_full_of_the_name_keeps_to_the_budget() {
    for (first, then) in REPEATED {
        let page = filled(first, then, 200_000);
        let whole = read(&page, page.len());
        let limit = BASE_BUDGET + BUDGET_PER_BYTE * page.len() as u64 + ONE;
        assert!(whole.1 <= limit, "{first}{then}: {} of {limit}", whole.1);
        // Which names are skipped must not depend on how the page is cut.
        for piece in [1, 1000, 4096] {
            assert_eq!(read(&page, piece), whole, "{first}{then} by {piece}");
        }
    }
}

#[test]
fn the_cost_does_not_depend_on_pieces() {
    for page in [
        // Not a reference, because a ">" stands in it, which may be in an earlier piece.
        "&#x26>sidsid=<a <!--<b>?sid=1>",
        // A quote that opens no value, because no tag is open before it.
        "</a> content=\"0;url=?sid=a1<button > href='x?q=1&amp;sid=g7'>value='e5';<href=\"</head>\
         <input onclick='<b sid=c3?<body><input &<+<base in1title=\"&quot;</a>sid=&#38;s<input name=sid value=h8>",
    ] {
        let whole = read(page.as_bytes(), page.len());
        for piece in 1..page.len() {
            assert_eq!(read(page.as_bytes(), piece), whole, "{page} by {piece}");
        }
    }
}

#[test]
fn ids_behind_repeated_names_are_found() {
    for (first, then) in REPEATED {
        let text = filled(first, then, 8 * 1024);
        for (rest, way) in [
            ("<a href=\"/x?sid=after1\">x</a>", "in quotes"),
            ("<a href=/x?sid=after1>x</a>", "without quotes"),
            (
                "<form action=/x><input type=hidden name=sid value=after1>",
                "in a field",
            ),
            ("<script>u='/x?sid=after1';</script>", "in a script"),
        ] {
            // Whatever is open is closed, and then a page of some length follows.
            let end = "\"'></b></a><p>Thank you for these words, dear guest. </p>\n".repeat(400);
            let page = [&text, end.as_bytes(), rest.as_bytes()].concat();
            let (ids, _) = read(&page, 4096);
            assert!(
                ids.iter().any(|id| id == "after1"),
                "{way} after {first}{then}: {ids:?}"
            );
        }
    }
    // In quotes also right behind it, when nothing is left of the budget.
    let text = filled("", "<input name=sid ", 100_000);
    let page = [&text[..], b"><a href=\"/x?sid=after1\">x</a>"].concat();
    assert_eq!(read(&page, 4096).0, ["after1"]);
}

#[test]
fn pages_full_of_ids_spend_less_than_half() {
    let mut most = (0.0, String::new());
    let mut spent_in = |name: &str, page: &[u8]| {
        let (_, used) = read(page, 4096);
        let each = used as f64 / page.len() as f64;
        if used > BASE_BUDGET / 16 && each > most.0 {
            most = (each, name.to_owned());
        }
        let limit = (BASE_BUDGET + BUDGET_PER_BYTE * page.len() as u64) / 2;
        assert!(used < limit, "{name}: {used} of {} bytes", page.len());
        most.clone()
    };
    let mut random = Random(6);
    let mut most_of_pages = (0.0, String::new());
    for page in corpus::committed().into_iter().chain(corpus::unpacked()) {
        spent_in(&page.name, &page.bytes);
        let (with_ids, _) = corpus::with_ids(&page.bytes, &mut random);
        let (each, name) = spent_in(&page.name, &with_ids);
        most_of_pages = (each, name);
    }
    // The shortest links, each with another id and without quotes.
    let links: Vec<String> = (0..20_000)
        .map(|n| format!("<a href=?sid={n}>{n}</a> "))
        .collect();
    let (each, _) = spent_in("short links", links.concat().as_bytes());
    let (of_pages, name) = most_of_pages;
    println!("for each byte: {of_pages:.3} in {name}, {each:.2} in short links");
}
