//! Tests for the forms learner. Without these, it may learn ids from links, or panic after an error
//! of the parser.

use std::sync::Arc;

use sticky_core::scan::forms::{FormsLearner, MAX_MEMORY};
use sticky_core::scan::Learner;
use sticky_core::url::{Names, Site};

fn read(page: &[u8], charset: Option<&[u8]>, size: usize) -> String {
    let names = Arc::new(Names::new(vec![b"sid"[..].into()]));
    let mut learner = FormsLearner::new(names, Site::new(b"shop.example", &[]), charset);
    let mut ids = Vec::new();
    for piece in page.chunks(size) {
        learner.feed(piece, &mut |id, _| {
            ids.push(id.escape_ascii().to_string());
            true
        });
    }
    learner.end(&mut |id, _| {
        ids.push(id.escape_ascii().to_string());
        true
    });
    learner.feed(b"<form action='?sid=late'>", &mut |_, _| {
        panic!("fed after its end")
    });
    learner.end(&mut |_, _| panic!("ended after its end"));
    ids.join(" ")
}

#[test]
fn ids_are_found_in_forms_and_fields_only() {
    for (page, ids) in [
        ("<form action='x?a=1&amp;sid=1'></form>", "1"),
        ("<FORM ACTION=?sid=1>", "1"),
        ("<form action='//other.example/?sid=1'>", ""),
        ("<input name=sid value=1>", "1"),
        ("<input value='a&#98;' type=text name=sid>", "ab"),
        ("<button name=sid value=1>", "1"),
        (
            "<button formaction='?sid=1'><input formaction=\"?sid=2\">",
            "1 2",
        ),
        (
            "<a href='?sid=1'><img src='?sid=1'><select name=sid><option value=1>",
            "",
        ),
        (
            "<!-- <form action='?sid=1'> --><script>'<form action=?sid=1>'</script>",
            "",
        ),
        ("<textarea><input name=sid value=1></textarea>", ""),
        (
            "<input name=sid><input name=sid value=''><input name=x name=sid value=1>",
            "",
        ),
        (
            "<base href='//other.example/'><form action='?sid=1'><input name=sid value=2>",
            "2",
        ),
        (
            "<base href='/x/'><base href='//other.example/'><form action='?sid=1'>",
            "1",
        ),
        (
            "<form action='?sid=1'><input name=sid value=1><form action='?sid=2'>",
            "1 2",
        ),
        ("<form action='?sid=1", ""),
        (
            "<script e=><a </a></script><plaintext e=><form action='?sid=1'>",
            "",
        ),
        ("<script e=><a </a></script><form action='?sid=1'>", "1"),
    ] {
        for size in [1, 7, 4096] {
            assert_eq!(read(page.as_bytes(), None, size), ids, "{page} by {size}");
        }
    }
}

#[test]
fn ids_keep_their_bytes_in_any_charset_compatible_with_ascii() {
    let page = b"<meta charset=utf-8><input name=sid value='\xe4\x80\xff'>";
    for charset in [
        None,
        Some(&b"iso-8859-1"[..]),
        Some(b"UTF-8"),
        Some(b" windows-1251 "),
    ] {
        assert_eq!(read(page, charset, 5), "\\xe4\\x80\\xff", "{charset:?}");
    }
    for charset in [
        "utf-16",
        "UTF-16BE",
        "iso-2022-jp",
        "utf-7",
        "x-unknown",
        "",
    ] {
        assert_eq!(read(page, Some(charset.as_bytes()), 5), "", "{charset}");
    }
}

#[test]
fn no_value_is_read_in_another_encoding_than_its_page() {
    for mark in [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"] {
        let page = [
            b"<input name=sid value='",
            mark,
            b"ab'><input name=sid value=1>",
        ]
        .concat();
        assert_eq!(read(&page, None, 7), "1", "{}", mark.escape_ascii());
    }
}

#[test]
fn a_tag_beyond_the_memory_ends_learning_without_a_panic() {
    let mut page = b"<input name=sid value=1><input title='".to_vec();
    page.resize(page.len() + 2 * MAX_MEMORY, b'x');
    page.extend_from_slice(b"'><input name=sid value=2>");
    assert_eq!(read(&page, None, 4096), "1");
}

#[test]
fn names_of_elements_beyond_the_memory_end_learning() {
    let open: String = (0..40)
        .map(|n| format!("<a{n}{}>", "x".repeat(8000)))
        .collect();
    let page = format!("<input name=sid value=1>{open}<input name=sid value=2>");
    assert_eq!(read(page.as_bytes(), None, 4096), "1");
}
