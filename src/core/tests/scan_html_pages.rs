//! The ids of our own pages, listed by hand, and the same ids in whatever pieces a page comes.
//! Without these, an id that is cut between two buffers may be lost, which only its client would
//! notice.

use std::sync::Arc;

use sticky_core::scan::html::HtmlLearner;
use sticky_core::scan::Learner;
use sticky_core::url::{Names, Site};

#[path = "pages/corpus.rs"]
mod corpus;

use corpus::Random;

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let names = Arc::new(Names::new(vec![b"sid"[..].into()]));
    let mut learner = HtmlLearner::new(names, Site::new(b"shop.example:8443", &[]));
    let mut ids = Vec::new();
    let mut found = |id: &[u8], _| {
        ids.push(id.escape_ascii().to_string());
        true
    };
    for piece in pieces {
        learner.feed(piece, &mut found);
    }
    learner.end(&mut found);
    ids
}

fn read_whole(page: &[u8]) -> Vec<String> {
    read(std::iter::once(page))
}

#[test]
fn the_ids_of_each_of_our_pages_are_found() {
    let expected: &[(&str, &[&str])] = &[
        (
            "aspnet-grid",
            &[
                "asp0001", "asp0002", "asp0003", "asp0004", "asp0005", "asp0006", "asp0007",
            ],
        ),
        (
            "blog-comments",
            &[
                "blog1", "blog2", "blog3", "blog4", "blog5", "blog6", "blog7", "blog8", "blog9",
                "blog10", "blog11", "blog12", "blog13", "blog14",
            ],
        ),
        ("frames-base", &["frame1", "frame2", "frame3", "frame4"]),
        (
            "guestbook-latin1",
            &["latin1", "latin2", "l\\xe4t3", "l\\xe4t4"],
        ),
        (
            "jsp-portal",
            &[
                "jsp.node1",
                "jsp.node2",
                "jsp.node1",
                "jsp.node3",
                "jsp.node4",
                "jsp.node5",
            ],
        ),
        (
            "meta-refresh",
            &["meta1", "meta2", "meta3", "meta4", "meta2"],
        ),
        (
            "minified",
            &[
                "min1", "min2", "min3", "min4", "min5", "min6", "min7", "min8", "min9", "min10",
                "min11", "min12", "min13", "min14", "min15",
            ],
        ),
        (
            "odd-markup",
            &[
                "odd1", "odd2", "odd3", "odd4", "odd5", "odd6", "odd7", "odd8", "odd9", "odd10",
                "odd11", "odd12", "odd13", "odd13b", "odd14", "odd15", "odd16",
            ],
        ),
        ("plain-manual", &[]),
        (
            "shop-trans-sid",
            &["shop01", "shop02", "shop03", "shop04", "shop05", "shop06"],
        ),
        (
            "webmail-tables",
            &[
                "mail01", "mail02", "mail01", "mail03", "mail04", "mail05", "mail06", "mail07",
                "mail08",
            ],
        ),
    ];
    let pages = corpus::committed();
    assert_eq!(pages.len(), expected.len());
    for (page, (name, ids)) in pages.iter().zip(expected) {
        assert!(page.name.contains(name), "{} is not {name}", page.name);
        assert_eq!(read_whole(&page.bytes), *ids, "{name}");
    }
}

#[test]
fn a_cut_at_any_place_gives_the_same_ids() {
    let mut random = Random(1);
    for page in corpus::committed() {
        for bytes in [
            page.bytes.clone(),
            corpus::with_ids(&page.bytes, &mut random).0,
        ] {
            let whole = read_whole(&bytes);
            // The long page consists mostly of the same filler.
            let step = 1 + bytes.len() / 4096;
            for cut in (0..=bytes.len()).step_by(step) {
                let (first, second) = bytes.split_at(cut);
                let ids = read([first, second].into_iter());
                assert_eq!(ids, whole, "{} cut at {cut}", page.name);
            }
        }
    }
}

#[test]
fn pieces_of_one_byte_give_the_same_ids() {
    for page in corpus::committed() {
        assert_eq!(
            read(page.bytes.chunks(1)),
            read_whole(&page.bytes),
            "{}",
            page.name
        );
    }
}

#[test]
fn random_pieces_give_the_same_ids() {
    let mut random = Random(2);
    for page in corpus::committed() {
        let (bytes, _) = corpus::with_ids(&page.bytes, &mut random);
        let whole = read_whole(&bytes);
        for round in 0..40 {
            let longest = random.pick(&[&3, &17, &100, &1000]);
            let mut pieces = Vec::new();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((random.below(*longest) + 1).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            assert_eq!(
                read(pieces.into_iter()),
                whole,
                "{} round {round}",
                page.name
            );
        }
    }
}
