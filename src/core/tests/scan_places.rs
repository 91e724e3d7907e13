//! Tests for which new ids of a response are learned, when it shows more than there are places:
//! the class of each id, and the places of each class. Without these, a few links that a visitor
//! has pasted into a guest book take the session of everybody who reads it.

mod learners;

use learners::{json, members, names, site};
use sticky_core::scan::forms::FormsLearner;
use sticky_core::scan::html::{HtmlLearner, BASE_BUDGET, BUDGET_PER_BYTE};
use sticky_core::scan::places::{
    Places, RefusedIds, FOR_REPEATED, MAX_NEW_IDS, MAX_REFUSED, PER_CLASS,
};
use sticky_core::scan::text::TextLearner;
use sticky_core::scan::IdClass::{self, Attribute, Form, Other};
use sticky_core::scan::{FoundIn, Learner};
use sticky_core::table::Key;

/// The ids that a learner finds, with their classes. `accept` gets their number and tells which
/// need not be handed out again.
fn classed<'a>(
    mut learner: impl Learner,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    accept: impl Fn(usize) -> bool,
) -> Vec<(String, IdClass)> {
    let mut ids = Vec::new();
    let mut found = |id: &[u8], found_in: FoundIn| {
        ids.push((String::from_utf8_lossy(id).into_owned(), found_in.class));
        accept(ids.len())
    };
    for piece in pieces {
        learner.feed(piece, &mut found);
    }
    learner.end(&mut found);
    ids
}

fn page() -> HtmlLearner {
    HtmlLearner::new(names(&["sid"]), site())
}

#[test]
fn the_class_of_an_id_is_where_it_stands() {
    for (markup, expected) in [
        ("<a href='?sid=1'>", Attribute),
        ("<a href=?sid=1>", Attribute),
        ("<img src=\"//shop.example/i?sid=1\">", Attribute),
        ("<a onclick=\"go('/x?sid=1')\">", Attribute),
        ("<p data-url=\"/x?sid=1\">", Attribute),
        (
            "<meta http-equiv=refresh content='5; url=/x?sid=1'>",
            Attribute,
        ),
        ("<form action=\"?sid=1\">", Form),
        ("<form action='?sid=1'>", Form),
        ("<form action=?sid=1>", Form),
        ("<form method=post\nACTION = \"?sid=1\">", Form),
        ("<form class='a'action\n=\"?sid=1\">", Form),
        ("<button formaction=\"/x?sid=1\">", Form),
        ("<a data-action=\"?sid=1\">", Attribute),
        ("<input type=hidden name=sid value=1>", Form),
        ("<input name='sid' value='1'>", Form),
        ("?sid=1 ", Other),
        ("<p>see ?sid=1 there</p>", Other),
        ("<!-- /x?sid=1 -->", Other),
        ("<script>go('/x?sid=1')</script>", Other),
        ("<script>url=\"/x?sid=1\"</script>", Other),
        ("<script>w('<a href=\\\"/x?sid=1\\\">')</script>", Other),
        // What a visitor may write looks like an attribute, but is none.
        ("<p>href=\"?sid=1\" </p>", Other),
        ("<p> action=\"?sid=1\" </p>", Other),
        ("<p>1 < 2 action=\"?sid=1\" </p>", Other),
        ("<p title=\"x action='?sid=1' y\">", Attribute),
        ("<p title='x' alt='x formaction=\"?sid=1\"'>", Attribute),
        ("<form title='x' id=\"y\" action='?sid=1'>", Form),
        // A ">" in an earlier value ends no tag.
        ("<a title=\"x > y\" href=\"?sid=1\">", Attribute),
        ("<form x=\"() => go()\" action=\"?sid=1\">", Form),
    ] {
        let expected = [("1".to_owned(), expected)];
        for before in ["", "<p>text</p>", "<p title='>'>"] {
            let page_of = [before, markup, "<p>end</p>"].concat();
            let bytes = page_of.as_bytes();
            assert_eq!(classed(page(), [bytes], |_| true), expected, "{page_of}");
            let cut = classed(page(), bytes.chunks(1), |_| true);
            assert_eq!(cut, expected, "byte by byte: {page_of}");
            for at in 0..=bytes.len() {
                let (one, two) = bytes.split_at(at);
                let cut = classed(page(), [one, two], |_| true);
                assert_eq!(cut, expected, "cut at {at}: {page_of}");
            }
        }
    }
}

#[test]
fn a_link_is_read_when_the_budget_is_spent() {
    let spent = "<input name=sid ".repeat(6040);
    for (markup, expected) in [
        ("<a href=\"?sid=1\">", Attribute),
        ("<form action=\"?sid=1\">", Form),
        // Then the tag is not read.
        ("<p title=\"x action='?sid=1' y\">", Other),
        ("<p>href=\"?sid=1\" </p>", Other),
    ] {
        let page_of = [&spent, ">", markup].concat();
        let mut learner = page();
        learner.feed(page_of.as_bytes(), &mut |_, _| true);
        let budget = BASE_BUDGET + BUDGET_PER_BYTE * page_of.len() as u64;
        assert!(
            learner.budget_spent() >= budget,
            "{}",
            learner.budget_spent()
        );
        let ids = classed(page(), [page_of.as_bytes()], |_| true);
        assert_eq!(ids.last(), Some(&("1".to_owned(), expected)), "{markup}");
    }
}

#[test]
fn other_readers_have_one_class() {
    let forms = FormsLearner::new(names(&["sid"]), site(), None);
    let page = b"<form action='?sid=1'><input name=sid value=2></form>";
    let ids = classed(forms, [&page[..]], |_| true);
    assert_eq!(ids, [("1".into(), Form), ("2".into(), Form)]);

    let text = TextLearner::new(names(&["sid"]), site());
    let ids = classed(text, [&b"<form action='?sid=1'>"[..]], |_| true);
    assert_eq!(ids, [("1".into(), Other)]);

    for wanted in ["sid", "a.sid"] {
        let document = br#"{"sid":"0","a":{"sid":"1"}}"#;
        let ids = classed(json(&members(&[wanted])), [&document[..]], |_| true);
        assert_eq!(ids.last(), Some(&("1".into(), Other)), "{wanted}");
    }
}

/// An id that got no place is handed out again where it is repeated, and one that got one is not.
#[test]
fn what_was_not_learned_is_handed_out_again() {
    let page_of = b"<p>?sid=1 ?sid=1 <a href='?sid=1'><a href='?sid=1'><a href=?sid=1>";
    for learned in 1..=5 {
        let ids = classed(page(), [&page_of[..]], |count| count >= learned);
        let classes: Vec<_> = ids.into_iter().map(|(_, class)| class).collect();
        let all = [Other, Other, Attribute, Attribute, Attribute];
        assert_eq!(classes, all[..learned], "the {learned}th is learned");
    }
    for wanted in ["sid", "a.sid"] {
        let document = br#"{"a":{"sid":"1"}}"#.repeat(4);
        let ids = classed(json(&members(&[wanted])), [&document[..]], |count| {
            count >= 3
        });
        assert_eq!(ids.len(), 3, "{wanted}");
    }
    let text = TextLearner::new(names(&["sid"]), site());
    let ids = classed(text, [&b"?sid=1 ".repeat(4)[..]], |count| count >= 3);
    assert_eq!(ids.len(), 3);
    let forms = FormsLearner::new(names(&["sid"]), site(), None);
    let ids = classed(forms, [&b"<form action='?sid=1'>".repeat(4)[..]], |count| {
        count >= 3
    });
    assert_eq!(ids.len(), 3);
}

/// What one response would have learned of these ids, in their order.
#[derive(Default)]
struct Response {
    places: Places,
    refused: RefusedIds,
    learned: Vec<u64>,
}

impl Response {
    fn meets(&mut self, id: u64, class: IdClass) {
        let key = Key::new(id);
        if self.learned.contains(&id) {
            return;
        }
        if self.places.take(class) || self.places.take_repeated(key, &self.refused) {
            self.learned.push(id);
            self.refused.forget(key);
        } else {
            self.refused.note(key);
        }
    }
}

#[test]
fn each_class_has_places_of_its_own() {
    let mut response = Response::default();
    for id in 1..=100 {
        response.meets(id, Other);
    }
    for id in 101..=200 {
        response.meets(id, Attribute);
    }
    for id in 201..=300 {
        response.meets(id, Form);
    }
    let firsts = |from: u64| from..from + u64::from(PER_CLASS);
    let expected: Vec<u64> = firsts(1).chain(firsts(101)).chain(firsts(201)).collect();
    assert_eq!(response.learned, expected);
    assert!(response.refused.is_any_left());

    // Met again: those of the first that are remembered.
    for id in 90..=120 {
        response.meets(id, Other);
    }
    assert_eq!(
        response.learned.len(),
        expected.len(),
        "beyond those remembered"
    );
    for id in 60..=63 {
        response.meets(id, Attribute);
    }
    assert_eq!(response.learned.len(), usize::from(MAX_NEW_IDS));
    assert_eq!(MAX_NEW_IDS, 28);
    response.meets(65, Other);
    assert_eq!(response.learned.len(), usize::from(MAX_NEW_IDS), "no more");
}

#[test]
fn a_repeated_id_gets_a_place_whatever_its_class() {
    for class in [Form, Attribute, Other] {
        let mut response = Response::default();
        for id in 1..=8 {
            response.meets(id, Other);
        }
        assert!(
            !response.refused.is_any_left(),
            "as many as there are places"
        );
        response.meets(9, Other);
        assert!(response.refused.is_any_left(), "one more");
        response.meets(9, class);
        assert!(response.learned.contains(&9), "{class:?}");
        assert!(
            !response.refused.is_any_left(),
            "nothing was skipped in the end"
        );
    }
}

#[test]
fn so_many_ids_are_remembered() {
    let mut response = Response::default();
    for id in 1..=8 + MAX_REFUSED as u64 {
        response.meets(id, Other);
    }
    for id in 1..=8 + MAX_REFUSED as u64 + 1 {
        response.meets(id + 1000, Other);
    }
    response.meets(8 + MAX_REFUSED as u64, Other);
    let last = response.learned.last();
    assert_eq!(
        last,
        Some(&(8 + MAX_REFUSED as u64)),
        "the last one remembered"
    );
    response.meets(1001, Other);
    response.meets(1001, Other);
    let last = response.learned.last();
    assert_eq!(
        last,
        Some(&1001),
        "the place of a learned one is used again"
    );
    assert_eq!(response.learned.len(), 8 + 2);
    for _ in 0..FOR_REPEATED {
        response.meets(2000, Other);
    }
    assert!(response.refused.is_any_left(), "others were forgotten");
}
