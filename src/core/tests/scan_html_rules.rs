//! Tests for the rules of the html learner, one by one; each snippet is also read byte by byte.
//! Without these, no id is learned from a page in an unusual style, or a wrong one.

use std::sync::Arc;

use sticky_core::scan::html::{HtmlLearner, MAX_QUOTED, MAX_TAG, STRING_RADIUS};
use sticky_core::scan::Learner;
use sticky_core::url::{Names, Site, MAX_ID};

fn read(names: &[&str], page: &str) -> Vec<String> {
    let names = Arc::new(Names::new(
        names.iter().map(|name| name.as_bytes().into()).collect(),
    ));
    let site = Site::new(b"shop.example", &[b".cdn.example"[..].into()]);
    let read = |size: usize| {
        let mut learner = HtmlLearner::new(Arc::clone(&names), site.clone());
        let mut ids = Vec::new();
        for piece in page.as_bytes().chunks(size) {
            learner.feed(piece, &mut |id, _| {
                ids.push(id.escape_ascii().to_string());
                true
            });
        }
        learner.end(&mut |id, _| {
            ids.push(id.escape_ascii().to_string());
            true
        });
        learner.feed(b"<a href='?sid=late'>", &mut |_, _| {
            panic!("fed after its end")
        });
        ids
    };
    let whole = read(page.len().max(1));
    assert_eq!(read(1), whole, "byte by byte: {page}");
    whole
}

#[test]
fn ids_are_found_in_links_and_fields_of_any_style() {
    for (page, ids) in [
        ("<a href=\"?sid=1\">", "1"),
        ("<a href='?sid=1'>", "1"),
        ("<a href=?sid=1>", "1"),
        ("<A HREF = '?sid=1' >", "1"),
        ("<a href=?sid=1/>", "1/"),
        ("<a href=\"x?q=a b&sid=1\">", "1"),
        ("<a href='x?q=(a)\"&sid=1'>", "1"),
        ("<a href=\"http://other.example/(a b)/?sid=1\">", ""),
        ("<a href=\"//x.cdn.example/?sid=1\">", "1"),
        ("<a href=\"?a=1&amp;sid=1\">", "1"),
        ("<a href=\"?a=1&AMP;sid=1\">", "1"),
        ("<a href=\"?a=1&#38;sid=1\">", "1"),
        ("<a href=\"?a=1&#38sid=1\">", "1"),
        ("<a href=\"?a=1&#x26;sid=1\">", "1"),
        ("<a href=\"?a=1&#X26sid=1\">", "1"),
        ("<a href=\"?a=1&#0000038;sid=1\">", "1"),
        ("<a href=\"?a=1&ampsid=1\">", ""),
        ("<a href=\"?a=1&amp=2&sid=1\">", "1"),
        ("<a href=\"&quest;sid&equals;1\">", "1"),
        ("<a href=\"?sid=a&#98;c&amp\">", "abc"),
        ("<a href=\"?sid=a&num;b\">", "a"),
        ("<a href=\"&#x2f;&#47;other.example/?sid=1\">", ""),
        ("<a href=\"?sid=1&sid=2\">", ""),
        (
            "<a href=\"#sid=1\"><a href='/sid=1'><a href='?xsid=1&inside=2'>",
            "",
        ),
        ("<a href=\"?sid=\">", ""),
        ("<a title=\"a > b\" href=\"?q=a b&sid=1\">", "1"),
        ("<a title=\"a < b\" href=\"?q=a b&sid=1\">", "1"),
        ("<a title=\"<i>b</i>\" href=\"?q=a b&sid=1\">", "1"),
        ("<a title='<i x=\"' href=\"?q=a b&sid=1\">", "1"),
        ("<a title = '>'href=\"?q=a b&sid=1\">", "1"),
        (
            "<img srcset=\"a.png?sid=1 1x, b.png?sid=2, c.png?sid=3 3x,//o.example/d.png?sid=4\">",
            "1 2 3",
        ),
        ("<meta content='0; url=x?q=a b&sid=1'>", "1"),
        ("<meta content='0;url=http://other.example/?sid=1'>", ""),
        ("<div style=\"background:url(a.png?sid=1)\">", "1"),
        ("<a href=\"javascript:go('x?sid=1')\">", "1"),
        ("<a onclick=\"go(&quot;x?sid=1&quot;)\">", "1"),
        (
            "<script>s = \"<a href=\\\"x?sid=1\\\">\" + '?sid=2'</script>",
            "1 2",
        ),
        ("<script>u = 'http://other.example/?sid=1'</script>", ""),
        ("<!-- ?sid=1 -->", "1"),
        ("<!-- <a href=x?sid=1> -->", "1"),
        ("text x?sid=1 text", "1"),
        ("<input name=sid value=1>", "1"),
        ("<INPUT VALUE='1' NAME=\"sid\">", "1"),
        ("<input type=\"text\"name=\"sid\"value=\"1\"/>", "1"),
        ("<button name = sid value = 1 >", "1"),
        ("<input name=sid value='a&amp;b +%41'>", "a&b +%41"),
        ("<input name=sid value='a&AMP;b&GTc&QUOT'>", "a&b&GTc\\\""),
        ("<input title='<b>' name=sid value=1>", "1"),
        ("<input title=\"x > y\" value=\"<\" value=2 name=sid>", "<"),
        ("<input name=x name=sid value=1>", ""),
        ("<input name=sid>", ""),
        ("<input name=sid value=''>", ""),
        ("<input name=SID value=1>", ""),
        ("<input name=sidx value=1><input name='x sid' value=1>", ""),
        ("<select name=sid value=1><param name=sid value=1>", ""),
        ("<input id=sid value=1>", ""),
        (
            "<a href=\"?sid=1\"><a href=\"?sid=1\"><a href=\"?sid=2\"><a href=\"?sid=1\">",
            "1 2 1",
        ),
        (
            "<a href=\"?sid=%31\"><a href=\"?sid=1\"><input name=sid value=1>",
            "1",
        ),
        ("<input name=sid value=%31><a href=\"?sid=%31\">", "%31 1"),
        (
            "<a href=\"?sid=1\"><a href=\"?sid=1&#50;\"><a href=\"?sid=13\">",
            "1 12 13",
        ),
        // What stands at the end of the page may be incomplete.
        ("<a href=\"?sid=1", ""),
        ("<a href=?sid=1", ""),
        ("<a href=\"?sid=1\"", "1"),
        ("<input name=sid value=1", ""),
        ("?sid=1", ""),
        ("sid=1 ", ""),
        ("<a href=\"?sid", ""),
        ("<", ""),
    ] {
        assert_eq!(read(&["sid"], page).join(" "), ids, "{page}");
    }
}

#[test]
fn a_base_counts_only_in_the_head() {
    let link = "<a href='?sid=1'><a href='//shop.example/?sid=2'>";
    for (head, ids) in [
        ("<base href='http://other.example/'>", "2"),
        (
            "<head><title>x</title><BASE target=a HREF=//other.example></head>",
            "2",
        ),
        ("<base target=x><base href='//other.example/'>", "2"),
        ("<base\nhref = \"http&colon;//other.example\" >", "2"),
        ("<base title='>' href='//other.example/'>", "2"),
        ("<base href='/dir/'>", "1 2"),
        (
            "<base href='//shop.example/'><base href='//other.example/'>",
            "1 2",
        ),
        ("<basefont href='//other.example/'>", "1 2"),
        ("<base>", "1 2"),
        ("<!-- -> <base href='//other.example/'> -->", "1 2"),
        ("<!-- > <base href='//other.example/'> -->", "1 2"),
        ("<!--><base href='//other.example/'>", "2"),
        (
            "<!-- - -- --- ><base href='//a.example'>---><base href='//other.example/'>",
            "2",
        ),
        (
            "<script>a < b; '<base href=//other.example/>'</script>",
            "1 2",
        ),
        (
            "<script></scrip></script><base href='//other.example/'>",
            "2",
        ),
        ("<title><base href='//other.example/'></title>", "1 2"),
        ("<style>a{}</style><base href='//other.example/'>", "2"),
        ("<</</head x><base href='//other.example/'>", "1 2"),
        ("<body><base href='//other.example/'>", "1 2"),
    ] {
        assert_eq!(
            read(&["sid"], &format!("{head}{link}")).join(" "),
            ids,
            "{head}"
        );
    }
    let late = format!(
        "{}<base href='//other.example/'>{link}",
        " ".repeat(16 * 1024)
    );
    assert_eq!(read(&["sid"], &late).join(" "), "1 2");
    let before = "<link href='?sid=1'><base href='//other.example/'><a href='?sid=2'>";
    assert_eq!(read(&["sid"], before).join(" "), "1");
}

#[test]
fn all_names_are_found_in_the_order_of_the_page() {
    let names = ["sid", "PHPSESSID", "ctl$s", "inside"];
    for (page, ids) in [
        (
            "<a href='?PHPSESSID=1'><a href='?sid=2'><a href='?PHPSESSID=3'>",
            "1 2 3",
        ),
        ("<a href='?PHPSESSID=1&sid=2'>", "2"),
        (
            "<a href='?ctl%24s=1'><a href='?ctl$s=2'><input name=ctl$s value=3>",
            "1 2 3",
        ),
        ("<a href='?actl$s=1'><input name=ctl$sx value=3>", ""),
        ("<a href='?inside=1'>", "1"),
    ] {
        assert_eq!(read(&names, page).join(" "), ids, "{page}");
    }
    assert!(read(&[], "<a href='?sid=1'>").is_empty());
}

/// URLs in the strings of scripts and of JSON, as json_encode() and its like write them.
#[test]
fn escapes_of_scripts_are_decoded() {
    for (page, ids) in [
        (r#"<script>u="/n?a=1\u0026sid=1"</script>"#, "1"),
        (r#"<script>u='/n?a=1\x26sid=1'</script>"#, "1"),
        (
            r#"<script>u = "\/n?a=1\u0026sid\u003d1\u0026b=2";</script>"#,
            "1",
        ),
        (r#"<script>u = "\/n\u003Fsid\u003D1";</script>"#, "1"),
        (r#"<script>u = "\/n\x3fa\x3d1\x3bsid\x3d1";</script>"#, "1"),
        (
            r#"<script type="application/json">{"u":"https:\/\/shop.example\/n?a=1\u0026sid=1"}"#,
            "1",
        ),
        (
            r#"<script type="application/ld+json">{"u":"https:\/\/other.example\/?a\u0026sid=1"}"#,
            "",
        ),
        (r#"<script>{"u":"https:\/\/other.example\/?sid=1"}"#, ""),
        (r#"<script>{"u":"\/\/x.cdn.example\/?sid=1"}"#, "1"),
        // In attributes, in either quotes.
        (r#"<p data-u='{"u":"\/n?a=1\u0026sid=1"}'>"#, "1"),
        (
            r#"<p data-u="{&quot;u&quot;:&quot;\/n?a=1\u0026sid=1&quot;}">"#,
            "1",
        ),
        (r#"<p data-u="\/n?a=1\u0026sid=1">"#, "1"),
        (r#"<p data-u=\/n?a=1\u0026sid=1>"#, "1"),
        (r#"<p data-u="https:\/\/other.example\/?sid=1">"#, ""),
        (r#"<a onclick="go('\/n?a=1\x26sid=1')">"#, "1"),
        (r#"<a href="javascript:go('\/n?a=1\x26sid=1')">"#, "1"),
        // Markup in strings, with the references that it has itself.
        (
            r#"<script>h = "<a href=\"\/n?a=1&amp;sid=1\">"</script>"#,
            "1",
        ),
        (
            r#"<script>h = "<a href='\/n?a=1&amp;sid=1'>"</script>"#,
            "1",
        ),
        (
            r#"<script>h = "<a href='\/n?a=1\u0026amp;sid=1'>"</script>"#,
            "1",
        ),
        (r#"{"h":"\u003ca href=\"?a=1\u0026amp;sid=1\"\u003e"}"#, "1"),
        (
            r#"{"h":"\u003ca href=\u0022?a=1\u0026amp;sid=1\u0022\u003e"}"#,
            "1",
        ),
        (
            r#"<script>h = "<input name=\"sid\" value=\"1\">"</script>"#,
            "",
        ),
        // A string in a string.
        (r#"JSON.parse("{\"u\":\"\\\/n?a=1\\u0026sid=1\"}")"#, "1"),
        (
            r#"JSON.parse('{"u":"\\/n?a=1\\u0026sid\\u003d1\\u0026b=2"}')"#,
            "1",
        ),
        // What ends an id.
        (
            r#""/n?sid=a\u0026b=1" "/n?sid=a\u0026b=1" "/n?sid=a\u0026b=1""#,
            "a",
        ),
        (
            r#""/n?sid=a\"" "/n?sid=a\u0022" "/n?sid=a\n/n?sid=b\\""#,
            "a b",
        ),
        (r#""/n?sid=a" "/n?sid=a\u002db""#, "a a-b"),
        (r#""/n?sid=a" "/n?sid=a\u0026#45;b""#, "a a-b"),
        (r#""/n?sid=a" "/n?sid=a\u0026=b""#, "a"),
        (r#""\?sid=1" "\?a=1\&sid=2" "x\n?sid=3""#, "1 2 3"),
        // No names.
        (
            r#""/n?a=1\u0026xsid=1" "/n?a=\u0041sid=1" "\u0026sidx=1" "/n\u002fsid=1""#,
            "",
        ),
        (
            r#""/n?a=1\u26sid=1" "/n?a=1u0026sid=1" "/n?a=1\x2sid=1" "/n?a=1\26sid=1""#,
            "",
        ),
        (r#""sid\": \"1" "/n?sid\" "/n?sid\u003""#, ""),
        // A backslash in a link is a slash.
        (r#"<a href="\\other.example\n?sid=1">"#, ""),
        (r#"<a href='http:\\other.example\n?sid=1'>"#, ""),
        (r#"<a href="\n\m?sid=1">"#, "1"),
        (r#"<a href="\n\m?a=1&sid=1">"#, "1"),
    ] {
        assert_eq!(read(&["sid"], page).join(" "), ids, "{page}");
        for before in ["<p>x</p>", "<p title='>'>"] {
            let page = [before, page, " </p>"].concat();
            assert_eq!(read(&["sid"], &page).join(" "), ids, "{page}");
        }
    }
}

#[test]
fn ids_are_at_most_512_bytes() {
    let longest = "x".repeat(MAX_ID);
    for page in [
        "<a href='?sid=ID'>",
        "<input name=sid value=ID>",
        "/?sid=ID ",
    ] {
        assert_eq!(
            read(&["sid"], &page.replace("ID", &longest)),
            [longest.as_str()]
        );
        assert!(read(&["sid"], &page.replace("ID", &format!("{longest}x"))).is_empty());
    }
}

#[test]
fn tags_and_strings_are_read_up_to_their_bounds() {
    let field = |value: usize| format!("<input a='{}' name=sid value=1>", "b".repeat(value));
    assert_eq!(read(&["sid"], &field(MAX_TAG - 40)), ["1"]);
    assert!(read(&["sid"], &field(MAX_TAG)).is_empty());
    let markup = |value: usize| format!("<input a='>{}>' name=sid value=1>", "b".repeat(value));
    assert_eq!(read(&["sid"], &markup(MAX_QUOTED - 2)), ["1"]);
    assert!(read(&["sid"], &markup(MAX_QUOTED)).is_empty());
    let string = |before: usize| format!(" {}?sid=1 ", "b".repeat(before));
    assert_eq!(read(&["sid"], &string(STRING_RADIUS - 1)), ["1"]);
    assert!(read(&["sid"], &string(STRING_RADIUS)).is_empty());
}

#[test]
fn unfinished_tags_are_not_read_in_quadratic_time() {
    // In quadratic time this would take minutes.
    let page = "<a '<a \"<a b='<a c=\"&sid=".repeat(2_000);
    let names = Arc::new(Names::new(vec![b"sid"[..].into()]));
    let mut learner = HtmlLearner::new(names, Site::new(b"shop.example", &[]));
    let start = std::time::Instant::now();
    for piece in page.as_bytes().chunks(4096) {
        learner.feed(piece, &mut |_, _| true);
    }
    learner.end(&mut |_, _| true);
    assert!(start.elapsed().as_secs() < 30);
}
