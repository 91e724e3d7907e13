//! Tests for when the parser of forms and of pages to rewrite begins: without them, a page may lose what
//! stands before its first form or link, or be learned from where a parser sees no tag.

use std::sync::Arc;

use sticky_core::rewrite::{PageRewriter, RouteParameter};
use sticky_core::scan::forms::FormsLearner;
use sticky_core::scan::Learner;
use sticky_core::url::{Names, Site};

/// Has the parser begin at once, and changes nothing else.
const AT_ONCE: &[u8] = b"<base>";

/// What pages are made of.
const PARTS: [&str; 22] = [
    "<p>text",
    "<a href='/x?y'>",
    "<A\nHREF=/z>",
    "<a",
    "<form action=/f?sid=1>",
    "<FORM method=post action='/g'>",
    "<input name=sid value=2>",
    "<button name=\"sid\" value='3'/",
    "<base href='//other.example/'>",
    "<abbr>",
    "<formal>",
    "<",
    ">",
    "<!-- ",
    " -->",
    "<script>",
    "</script>",
    "<textarea>",
    "</textarea>",
    "'",
    "\"",
    "<meta http-equiv=refresh content='1;url=/m'>",
];

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        let next = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = next.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn page(&mut self) -> Vec<u8> {
        let mut page = Vec::new();
        // Around the most that is kept of a page that is not read yet.
        let text = [0, 1, 100, 4000, 4090, 4096, 5000];
        page.extend_from_slice(&b"text ".repeat(1000)[..text[self.below(text.len())]]);
        for _ in 0..self.below(12) {
            page.extend_from_slice(PARTS[self.below(PARTS.len())].as_bytes());
        }
        page
    }
}

fn site() -> Site {
    Site::new(b"shop.example", &[])
}

fn names() -> Arc<Names> {
    Arc::new(Names::new(vec![b"sid"[..].into()]))
}

fn rewritten(page: &[u8], size: usize) -> Vec<u8> {
    let parameter = RouteParameter::new(names(), b"there");
    let mut rewriter = PageRewriter::new(parameter, site(), None).unwrap();
    let mut out = Vec::new();
    for piece in page.chunks(size) {
        rewriter.feed(piece, &mut |bytes| out.extend_from_slice(bytes));
    }
    rewriter.end(&mut |bytes| out.extend_from_slice(bytes));
    out
}

fn learned(page: &[u8], size: usize) -> Vec<Vec<u8>> {
    let mut learner = FormsLearner::new(names(), site(), None);
    let mut ids = Vec::new();
    for piece in page.chunks(size) {
        learner.feed(piece, &mut |id, _| {
            ids.push(id.to_vec());
            true
        });
    }
    learner.end(&mut |id, _| {
        ids.push(id.to_vec());
        true
    });
    ids
}

#[test]
fn a_parser_that_begins_late_sees_what_one_from_the_beginning_sees() {
    let random = &mut Random(7);
    let (mut changed, mut unchanged, mut ids) = (0, 0, 0);
    for _ in 0..3000 {
        let page = random.page();
        let from_beginning = [AT_ONCE, &page].concat();
        for size in [1, 3, 64, 2000, usize::MAX] {
            let shown = page.escape_ascii();
            let out = rewritten(&page, size);
            let other = rewritten(&from_beginning, size);
            assert_eq!([AT_ONCE, &out].concat(), other, "{shown} by {size}");
            match out == page {
                true => unchanged += 1,
                false => changed += 1,
            }
            let found = learned(&page, size);
            assert_eq!(found, learned(&from_beginning, size), "{shown} by {size}");
            ids += found.len();
        }
    }
    assert!(
        changed > 1000 && unchanged > 1000 && ids > 1000,
        "{changed} {unchanged} {ids}"
    );
}
