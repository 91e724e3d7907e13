//! Tests for learners of pages in the memory of earlier ones; without these, a page may be read by what
//! was left of another one, of another site.

use std::sync::Arc;

use sticky_core::scan::html::HtmlLearner;
use sticky_core::scan::{FoundIn, Learner};
use sticky_core::url::{Names, Site};

/// Pages that leave something behind in a learner: a base, a known id, an open tag, a comment, a long string,
/// a field.
const PAGES: [&str; 8] = [
    "<head><base href='//other.example/'></head><a href='/x?sid=1'>",
    "<a href='/x?sid=1'>a</a><a href='/y?sid=1'>b</a>",
    "<a href='http://shop.example/x?sid=2&amp;token=3'>",
    "<head><title>a</title><!-- <a href='?sid=4",
    "<form action='/x?sid=5'><input name=token value='6'>",
    "<a title='x > y' href='?sid=",
    "<script>var u = '\\/x?token=7\\u0026sid=8';</script>",
    "plain text without any, and then sid=9 and ?sid=1 in the middle of it",
];

type Ids = Vec<(Vec<u8>, FoundIn)>;

fn read(learner: &mut dyn Learner, page: &str, size: usize, to_end: bool) -> Ids {
    let mut ids = Ids::new();
    let mut found = |id: &[u8], found_in: FoundIn| {
        ids.push((id.to_vec(), found_in));
        true
    };
    for piece in page.as_bytes().chunks(size) {
        learner.feed(piece, &mut found);
    }
    if to_end {
        learner.end(&mut found);
    }
    ids
}

#[test]
fn a_page_is_read_in_the_memory_of_another_one_as_by_a_new_learner() {
    let names = [&["sid"][..], &["token", "sid"]].map(|names| {
        let names = names.iter().map(|name| name.as_bytes().into());
        Arc::new(Names::new(names.collect()))
    });
    let sites = ["shop.example", "other.example"].map(|host| Site::new(host.as_bytes(), &[]));
    let mut count = 0;
    for first in PAGES {
        for (index, second) in PAGES.into_iter().enumerate() {
            for size in [1, 7, 4096] {
                let (mine, site) = (&names[index % 2], &sites[size % 2]);
                let mut before = HtmlLearner::begin(&names[0], &sites[0], b"1");
                read(&mut *before, first, size, size == 7);
                before.set_aside();
                let mut reused = HtmlLearner::begin(mine, site, b"8");
                let got = read(&mut *reused, second, size, true);
                let new = HtmlLearner::new(Arc::clone(mine), site.clone());
                let expected = read(&mut new.knowing(b"8"), second, size, true);
                assert_eq!(got, expected, "{second} after {first} in pieces of {size}");
                assert!(!reused.has_given_up());
                count += got.len();
                reused.set_aside();
            }
        }
    }
    assert!(count > 20, "{count}");
}

#[test]
fn many_learners_at_once_are_apart() {
    let names = Arc::new(Names::new(vec![b"sid"[..].into()]));
    let site = Site::new(b"shop.example", &[]);
    for _ in 0..2 {
        let mut learners: Vec<_> = (0..40)
            .map(|_| HtmlLearner::begin(&names, &site, b""))
            .collect();
        for (number, learner) in learners.iter_mut().enumerate() {
            let page = format!("<a href='?sid={number}'>");
            let ids = read(&mut **learner, &page, 9, true);
            assert_eq!(ids.len(), 1);
            assert_eq!(ids[0].0, number.to_string().as_bytes());
        }
        learners.into_iter().for_each(Learner::set_aside);
    }
}
