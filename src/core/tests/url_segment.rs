//! Tests for ids that are a segment of a path. Without them a request may be looked up by another
//! segment than was learned from the link that led to it.

use sticky_core::url::{ExtractedId, LinkPart, Names, SegmentPrefix, Site, MAX_PREFIX};

fn prefix(text: &str) -> SegmentPrefix {
    SegmentPrefix::new(text.as_bytes()).unwrap_or_else(|| panic!("{text} is refused"))
}

fn in_request(text: &str, path: &str) -> String {
    match prefix(text).value_in(path.as_bytes()) {
        Some(value) => String::from_utf8_lossy(&value).into_owned(),
        None => "-".to_owned(),
    }
}

/// The id in a link of the page `/app/files/page?x`.
fn in_link(texts: &[&str], link: &str, base: Option<&str>) -> String {
    let names = names(texts);
    let mut site = Site::new(b"shop.example", &[]).at(b"/app/files/page");
    if let Some(base) = base {
        site.rebase(base.as_bytes());
    }
    match names.in_link(link.as_bytes(), &site) {
        ExtractedId::Id(id) => String::from_utf8_lossy(&id).into_owned(),
        ExtractedId::Absent => "-".to_owned(),
        ExtractedId::Conflict => "conflict".to_owned(),
    }
}

fn names(texts: &[&str]) -> Names {
    let prefixes: Vec<SegmentPrefix> = texts.iter().map(|text| prefix(text)).collect();
    let parts = (0..texts.len()).map(LinkPart::Segment).collect();
    Names::new(Vec::new())
        .with_segments(prefixes)
        .in_parts(parts)
}

#[test]
fn a_prefix_begins_and_ends_with_a_slash() {
    for text in [
        "/",
        "/a/",
        "/a/b/",
        "/*/",
        "/v1/*/x/*/",
        "/a%20b/",
        "/a;b=c/",
        "/a//b/",
    ] {
        assert_eq!(prefix(text).text(), text.as_bytes());
    }
    let long = format!("/{}/", "x".repeat(MAX_PREFIX - 2));
    prefix(&long);
    for text in [
        "",
        "a",
        "a/",
        "/a",
        "/a?/",
        "/?a/",
        "/a#b/",
        "/a b/",
        "/a\t/",
        "/v*/",
        "/**/",
        "/./",
        "/a/../",
        "/%2e/",
        "/a\\b/",
        "/\x7f/",
        &format!("/x{long}"),
    ] {
        assert_eq!(SegmentPrefix::new(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn the_segment_behind_the_prefix_is_decoded() {
    for (text, path, value) in [
        ("/session/", "/session/1", "1"),
        ("/session/", "/session/1/url", "1"),
        ("/session/", "/session/1?a/b", "1"),
        ("/session/", "/session/1#a", "1"),
        ("/session/", "/session/a%2Fb%20/c", "a/b "),
        ("/session/", "/session/%zz", "%zz"),
        ("/session/", "/session/a+b;c=d", "a+b;c=d"),
        ("/session/", "/s%65ssion/1", "1"),
        ("/session/", "/session/", ""),
        ("/session/", "/session", "-"),
        ("/session/", "/sessions/1", "-"),
        ("/session/", "/Session/1", "-"),
        ("/session/", "/x/session/1", "-"),
        ("/session/", "//session/1", "-"),
        ("/session/", "/x/../session/1", "-"),
        ("/session/", "/?/session/1", "-"),
        ("/session/", "", "-"),
        ("/a%20b/", "/a%20b/1", "1"),
        ("/a%20b/", "/%61%20b/1", "1"),
        ("/a%2520b/", "/a%20b/1", "-"),
        ("/a%2520b/", "/a%2520b/1", "1"),
        ("/v1/statement/*/", "/v1/statement/queued/1/y", "1"),
        ("/v1/statement/*/", "/v1/statement/executing/1", "1"),
        ("/v1/statement/*/", "/v1/statement/1", "-"),
        ("/v1/statement/*/", "/v1/statement//1", "1"),
        ("/v1/statement/*/", "/v1/x/a/1", "-"),
        ("/*/session/", "/a/session/1", "1"),
        ("/*/session/", "/a%2Fb/session/1", "1"),
        ("/*/session/", "/session/1", "-"),
        ("/", "/1/2", "1"),
        ("/", "/", ""),
        ("/*/", "/1/2", "2"),
    ] {
        assert_eq!(in_request(text, path), value, "{text} in {path}");
    }
}

#[test]
fn links_lead_from_the_page() {
    for (link, id) in [
        ("/files/1", "1"),
        ("/files/1/x?y#z", "1"),
        ("/files/a%2Fb", "a/b"),
        ("http://shop.example/files/1", "1"),
        ("//shop.example:81/files/1", "1"),
        ("http://other.example/files/1", "-"),
        ("../../files/1", "1"),
        ("..\\..\\files\\1", "1"),
        ("../../../../files/1", "1"),
        ("%2e%2E/../files/1", "1"),
        ("/x/../files/1", "1"),
        ("/./files/./1", "1"),
        ("/files/../files/1", "1"),
        ("/files/x/../1", "1"),
        ("/files/x:/../1", "1"),
        ("/files/1/..", "-"),
        ("/files/.", "-"),
        ("/files/...", "..."),
        ("/files/1%2e", "1."),
        ("/files/", "-"),
        ("files/1", "-"),
        ("1", "-"),
        ("?/files/1", "-"),
        ("#/files/1", "-"),
        ("", "-"),
        ("mailto:/files/1", "-"),
    ] {
        assert_eq!(in_link(&["/files/"], link, None), id, "{link}");
    }
    for (link, id) in [
        ("1", "1"),
        ("./1", "1"),
        ("x/../1?y", "1"),
        ("../files/1", "1"),
    ] {
        assert_eq!(in_link(&["/app/files/"], link, None), id, "{link}");
    }
}

#[test]
fn a_base_changes_where_they_lead() {
    for (base, link, id) in [
        ("/files/", "1", "1"),
        ("/files/x", "1", "1"),
        ("/files", "1", "-"),
        ("../../files/", "1", "1"),
        ("http://shop.example/files/", "1", "1"),
        ("http://shop.example", "files/1", "1"),
        ("http://other.example/files/", "1", "-"),
        ("http://other.example/files/", "/files/1", "-"),
        ("?x", "../../files/1", "1"),
        ("http:///files/", "1", "-"),
        ("data:/files/,", "1", "-"),
        ("data:/files/,", "../../files/1", "1"),
        ("//:80/files/", "../../files/1", "1"),
        ("/files/", "/files/2", "2"),
    ] {
        assert_eq!(in_link(&["/files/"], link, Some(base)), id, "{base} {link}");
    }
}

#[test]
fn the_first_prefix_with_an_id_decides() {
    assert_eq!(in_link(&["/*/b/", "/a/"], "/a/b/c", None), "c");
    assert_eq!(in_link(&["/a/", "/*/b/"], "/a/b/c", None), "b");
    assert_eq!(in_link(&["/x/", "/a/"], "/a/b", None), "b");
}

#[test]
fn an_id_is_cut_at_the_delimiter() {
    let names = names(&["/s/"]).cut_at(Some(b'.'));
    let cut = names.id_in_segment(&prefix("/s/"), b"/s/1.node2/x");
    assert_eq!(cut.as_deref(), Some(&b"1"[..]));
    assert_eq!(names.id_in_segment(&prefix("/s/"), b"/s/.node2"), None);
}
