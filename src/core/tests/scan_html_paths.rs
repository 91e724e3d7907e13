//! Tests for ids in the paths of a page's links; each page is also cut at every place. Without
//! these, no id is learned from a servlet or an ASP.NET page, or another one than requests are
//! looked up by.

use std::sync::Arc;

use sticky_core::scan::forms::FormsLearner;
use sticky_core::scan::html::HtmlLearner;
use sticky_core::scan::Learner;
use sticky_core::url::{LinkPart, Names};

mod learners;

use learners::{ids_at_any_cut, ids_in, site};

const BOTH: [LinkPart; 2] = [LinkPart::Path, LinkPart::Query];

fn names(names: &[&str], parts: &[LinkPart]) -> Arc<Names> {
    let names = names.iter().map(|name| name.as_bytes().into());
    Arc::new(Names::new(names.collect()).in_parts(parts.to_vec()))
}

fn html(names: &Arc<Names>, page: &str) -> String {
    let learner = || Box::new(HtmlLearner::new(Arc::clone(names), site())) as Box<dyn Learner>;
    ids_at_any_cut(&learner, page.as_bytes()).join(" ")
}

#[test]
fn ids_are_found_in_parameters_of_paths() {
    let sid = names(&["sid"], &BOTH);
    for (page, ids) in [
        ("<a href=\"a;sid=1\">", "1"),
        ("<a href='a;sid=1?b=c'>", "1"),
        ("<a href=a;sid=1>", "1"),
        ("<a href='/a;sid=1/b'>", "1"),
        ("<a href='a;v=2;sid=1;w=3'>", "1"),
        ("<a href='a;sid=1#b'>", "1"),
        ("<a href='a#;sid=1'>", ""),
        ("<a href='http://shop.example/a;sid=1'>", "1"),
        ("<a href='http://other.example/a;sid=1'>", ""),
        ("<a href='a;sid=x%2Cy'>", "x,y"),
        ("<a href='a&#59;sid=1'>", "1"),
        ("<a href='a&semi;sid=1'>", "1"),
        ("<a href='a&amp;sid=1'>", ""),
        ("<a href='a;sid=1&amp;b=2'>", "1&b=2"),
        ("<a href='a;sid=1?b=2&amp;sid=3'>", "1"),
        ("<a href='a?b=2&amp;sid=3'>", "3"),
        ("<a href='a;\n sid=1'>", ""),
        ("<a href='a;\nsid=1'>", "1"),
        ("<a href='a%3Bsid=1'>", ""),
        ("<form action='a;sid=1'>", "1"),
        ("<input name=sid value=1>", "1"),
        ("<meta http-equiv=refresh content='0;url=a;sid=1'>", "1"),
        ("<img srcset='a.png;sid=1 1x, b.png;sid=2 2x'>", "1 2"),
        ("<div style='background:url(a.png;sid=1)'>", "1"),
        ("<script>go('/a;sid=1?b=c')</script>", "1"),
        ("text /a;sid=1 text", "1"),
        ("<a href='a;sid=abc:def'>", "abc:def"),
        ("go(\"a;sid=abc:def?b=c\")", "abc:def"),
        ("go(\"href=http://other.example/;sid=1\")", ""),
    ] {
        assert_eq!(html(&sid, page), ids, "{page}");
    }
}

#[test]
fn case_matters_in_queries_and_fields_but_not_in_paths() {
    for name in ["JSESSIONID", "jsessionid"] {
        let names = names(&[name], &BOTH);
        for spelling in ["JSESSIONID", "jsessionid"] {
            let own = if name == spelling { "1" } else { "" };
            for (page, ids) in [
                (format!("<a href='a;{spelling}=1'>"), "1"),
                (format!("<script>go('a;{spelling}=1?b')</script>"), "1"),
                (
                    format!("<a href='a;{spelling}=1'><a href='a;{spelling}=1?b'>"),
                    "1",
                ),
                (format!("<a href='a?{spelling}=1'>"), own),
                (format!("<input name={spelling} value=1>"), own),
            ] {
                assert_eq!(html(&names, &page), ids, "{name}: {page}");
            }
        }
    }
    // Without paths nothing of it.
    let names = names(&["JSESSIONID"], &[LinkPart::Query]);
    assert_eq!(html(&names, "<a href='a;jsessionid=1?jsessionid=2'>"), "");
}

#[test]
fn a_repeated_id_is_told_from_a_longer_one() {
    let sid = names(&["sid"], &BOTH);
    for (page, ids) in [
        (
            "<a href='a;sid=1?b'><a href='a;sid=1'><a href='b;sid=1/c'>",
            "1",
        ),
        ("<a href='a;sid=1'><a href='a;sid=1&b'>", "1 1&b"),
        ("<a href='a;sid=1'><a href='a;sid=1&amp;b'>", "1 1&b"),
        ("<a href='a;sid=1'><a href='a?sid=1?b'>", "1 1?b"),
        ("<a href='a;sid=1'><a href='a?b;sid=1/c'>", "1 1/c"),
        ("<a href='a;sid=1'><a href='a&quest;b;sid=1/c'>", "1 1/c"),
        ("<a href='a;sid=1'><a href='a?sid=1&amp;b'>", "1"),
        ("<a href='a;sid=1'><a href='a;sid=12'>", "1 12"),
        ("<a href='a;sid=1'><a href='a;sid=1%32'>", "1 12"),
        // In the strings of scripts.
        (r"'\/a;sid=1' '\/a;sid=1\/b' '\/a;sid=1\u003fb'", "1"),
        (r"'\/a\u003bsid\u003d1' '\/a\u003bsid\u003d1\u003bb=2'", "1"),
        (r"'/a;sid=1' '/a;sid=1\u0026'", "1 1&"),
        (r"'/a;sid=1' '/a;sid=1\'' '/a?b\x26sid=2\u0026c=3'", "1 2"),
    ] {
        assert_eq!(html(&sid, page), ids, "{page}");
    }
    let letter = names(&["(S)"], &[LinkPart::Path]);
    let page = "<a href='/(S(1))/'><a href='/(S(1))/b'><a href='/(A(x)S(1))/'><a href='/(S(12))/'>";
    assert_eq!(html(&letter, page), "1 12");
}

#[test]
fn ids_are_found_in_the_parentheses_of_a_letter() {
    let letter = names(&["(S)", "sid"], &BOTH);
    for (page, ids) in [
        ("<a href=\"/app/(S(1))/page.aspx\">", "1"),
        ("<a href='/app/(A(x)S(1)F(z))/page.aspx?a=b'>", "1"),
        ("<form action=/app/(S(1))/page.aspx>", "1"),
        ("<form action='(S(1))'>", "1"),
        ("<a href='http://shop.example/(S(1))/'>", "1"),
        ("<a href='http://other.example/(S(1))/'>", ""),
        (
            "<script>__doPostBack('/app/(S(1))/page.aspx','')</script>",
            "1",
        ),
        ("<a onclick=\"go('/app/(S(1))/page.aspx')\">", "1"),
        ("<a title='S(1) (S(2)) x(S(3))'>", "2"),
        ("<script>if(S(1))S(2);f(S(3));</script>", ""),
        ("<a href='/app/(S(1)/page.aspx'>", ""),
        ("<a href='?a=(S(1))'>", ""),
        ("<input name='(S)' value=1>", ""),
        ("<a href='/(S(1))/a;sid=2?sid=3'>", "1"),
        ("<a href='/(X(1))/a;sid=2?sid=3'>", "2"),
    ] {
        assert_eq!(html(&letter, page), ids, "{page}");
    }
}

#[test]
fn only_the_configured_parts_of_links_are_searched() {
    let page = "<a href='a;sid=1?sid=2'><a href='b?sid=3'><a href='c;sid=4'>";
    for (parts, ids) in [
        (&[LinkPart::Query][..], "2 3"),
        (&[LinkPart::Path], "1 4"),
        (&[LinkPart::Path, LinkPart::Query], "1 3 4"),
        (&[LinkPart::Query, LinkPart::Path], "2 3 4"),
    ] {
        assert_eq!(html(&names(&["sid"], parts), page), ids, "{parts:?}");
        let forms = page.replace("<a href", "<form action");
        let learner = Box::new(FormsLearner::new(names(&["sid"], parts), site(), None));
        assert_eq!(
            ids_in(learner, [forms.as_bytes()]).join(" "),
            ids,
            "{parts:?}"
        );
    }
}

#[test]
fn the_name_of_a_node_is_cut_off_everywhere() {
    let names = Names::new(vec![b"sid"[..].into()]);
    let names = Arc::new(names.in_parts(BOTH.to_vec()).cut_at(Some(b'.')));
    let page =
        "<a href='a;sid=1.a'><a href='?sid=2.b'><input name=sid value=3.c><a href='?sid=.d'>";
    assert_eq!(html(&names, page), "1 2 3");
    let page = "<a href='?sid=1.a'><a href='?sid=1.b'><a href='?sid=1'><a href='?sid=1.c&amp;x'>\
                <a href='a;sid=1.a/b'><a href='?sid=12.a'><a href='?sid=1%2Ea'><a href='?sid=2.a'>";
    assert_eq!(html(&names, page), "1 12 1 2");
    let page = "<form action='a;sid=1.a'><input name=sid value=3.c><input name=sid value=.c>";
    let learner = Box::new(FormsLearner::new(names, site(), None));
    assert_eq!(ids_in(learner, [page.as_bytes()]), ["1", "3"]);
}
