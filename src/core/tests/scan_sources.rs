//! Tests for what learners say beside the ids: which source of `learn=` has found one, what counts
//! as none, and whether they have given up; without them logs and counters name the wrong cause.

use std::io::Write;

use flate2::write::GzEncoder;
use flate2::Compression;
use sticky_core::directive::{parse, Mode};
use sticky_core::events::{BodyEnd, Reader, Source};
use sticky_core::read_body::ReadBody;
use sticky_core::scan::inflate::{Coding, MAX_UNPACKED};
use sticky_core::scan::readers::Readers;
use sticky_core::scan::source::Body;
use sticky_core::scan::{FoundIn, Learner};
use sticky_core::url::{Met, Site, MAX_ID};

/// What is said of a body.
#[derive(Debug, Default, PartialEq)]
struct Said {
    found: Vec<(String, Source)>,
    read_by: Vec<Source>,
    met: Met,
    has_given_up: bool,
    /// How far it was read: if it is over then, and if not.
    ends: [Vec<(Reader, BodyEnd)>; 2],
}

/// What is said of a body that a directive reads, in pieces of up to `longest` bytes.
fn said(directive: &str, media_type: &str, body: &[u8], coding: Option<Coding>) -> Said {
    let read = |longest: usize| {
        let words: Vec<&[u8]> = directive.split(' ').map(str::as_bytes).collect();
        let Ok(Mode::Query(rule)) = parse(&words) else {
            panic!("{directive} is refused");
        };
        let readers = Readers::new(&rule.learn, &rule.response_names);
        let site = Site::new(b"shop.example", &rule.hosts).at(b"/api/list");
        let of = Body {
            media_type: media_type.as_bytes(),
            coding,
            known: b"",
        };
        let mut learner = readers.learner(&of, &site).expect("the type is read");
        let names = &rule.response_names;
        assert!(!names.have_met_any());
        let mut found = Vec::new();
        let mut take = |id: &[u8], found_in: FoundIn| {
            found.push((String::from_utf8_lossy(id).into_owned(), found_in.source));
            true
        };
        for piece in body.chunks(longest) {
            learner.feed(piece, &mut take);
        }
        let (before, cut) = (learner.has_given_up(), learner.read());
        learner.end(&mut take);
        assert_eq!(learner.has_given_up(), before, "the end changes nothing");
        let whole = learner.read();
        assert_eq!(whole.bytes(), cut.bytes(), "the end changes nothing");
        let is_whole = whole.ends().all(|(_, end)| end == BodyEnd::Whole);
        assert!(!is_whole || whole.bytes() == body.len() as u64);
        assert!(whole.bytes() <= body.len() as u64);
        let met = names.take_met();
        assert!(!names.have_met_any(), "taken");
        assert!(!rule.names.have_met_any(), "those of requests");
        Said {
            found,
            read_by: readers.sources_of(media_type.as_bytes()).collect(),
            met,
            has_given_up: before,
            ends: [whole, cut].map(|read: ReadBody| read.ends().collect()),
        }
    };
    let whole = read(body.len().max(1));
    for longest in [1, 7, 1000] {
        assert_eq!(read(longest), whole, "in pieces of {longest}");
    }
    whole
}

#[test]
fn each_source_names_itself() {
    use Source::*;
    let all = "mode=query name=sid from=query,segment:/s/ learn=html,json,xml,sse,text,script";
    let forms = "mode=query name=sid learn=forms,json,script";
    let json = "mode=query name=sid from=query,segment:/s/ learn=json";
    for (directive, media_type, body, found, read_by) in [
        (
            all,
            "text/html",
            "<a href='?sid=1'>",
            &[("1", Html)][..],
            &[Html, Json, Script][..],
        ),
        (
            all,
            "text/html",
            "<script type='application/json'>{\"sid\":\"1\"}</script><script>x={sid:'2'};</script>",
            &[("1", Json), ("2", Script)],
            &[Html, Json, Script],
        ),
        (
            all,
            "application/json",
            "{\"sid\":\"1\"}",
            &[("1", Json)],
            &[Json, Text],
        ),
        (
            json,
            "application/json",
            "{\"u\":\"/s/1\"} ",
            &[("1", Json)],
            &[Json],
        ),
        (all, "text/plain", "?sid=1 ", &[("1", Text)], &[Json, Text]),
        (
            all,
            "text/xml",
            "<sid>1</sid> ",
            &[("1", Xml)],
            &[Text, Xml],
        ),
        (
            all,
            "text/event-stream",
            "data: /m?sid=1\n\ndata: {\"sid\":\"2\"}\n\n",
            &[("1", Sse), ("2", Sse)],
            &[Sse],
        ),
        (
            forms,
            "text/html",
            "<form action='?sid=1'>",
            &[("1", Forms)],
            &[Forms, Json, Script],
        ),
        (
            forms,
            "text/html",
            "<input name=sid value=1>",
            &[("1", Forms)],
            &[Forms, Json, Script],
        ),
    ] {
        let said = said(directive, media_type, body.as_bytes(), None);
        let mut ids = said.found.clone();
        // Of several learners the pieces say which is first.
        ids.sort();
        ids.dedup();
        let found: Vec<_> = found
            .iter()
            .map(|(id, by)| (String::from(*id), *by))
            .collect();
        assert_eq!(ids, found, "{media_type} {body}");
        assert_eq!(said.read_by, read_by, "{media_type} {body}");
        assert!(!said.has_given_up, "{media_type} {body}");
        assert_eq!(said.met, Met::default(), "{media_type} {body}");
    }
}

#[test]
fn what_counts_as_no_id_is_noted() {
    let long = "x".repeat(MAX_ID + 1);
    let longest = "x".repeat(MAX_ID);
    let all = "mode=query name=sid from=query,segment:/s/ hosts=.cdn.example \
               learn=html,json,xml,sse,text,script";
    let forms = "mode=query name=sid learn=forms";
    let (none, too_long, foreign) = (
        Met::default(),
        Met {
            too_long: true,
            ..Met::default()
        },
        Met {
            foreign: true,
            ..Met::default()
        },
    );
    for (directive, media_type, body, met) in [
        (
            all,
            "text/html",
            format!("<a href='?sid={long}'>"),
            too_long,
        ),
        (all, "text/html", format!("<a href='?sid={longest}'>"), none),
        (
            all,
            "text/html",
            format!("<input name=sid value={long}>"),
            too_long,
        ),
        (
            all,
            "application/json",
            format!("{{\"sid\":\"{long}\"}}"),
            too_long,
        ),
        (
            all,
            "application/json",
            format!("{{\"u\":\"/s/{long}\"}}"),
            too_long,
        ),
        (
            all,
            "application/json",
            "{\"u\":\"//o.example/s/1\"}".into(),
            foreign,
        ),
        (
            all,
            "text/html",
            "<a href='//o.example/?sid=1'>".into(),
            foreign,
        ),
        (
            all,
            "text/html",
            "<a href='//o.example/s/1'>".into(),
            foreign,
        ),
        (
            all,
            "text/html",
            "<a href='//a.cdn.example/?sid=1'>".into(),
            none,
        ),
        (
            all,
            "text/html",
            "<a href='//o.example/?sid='>".into(),
            none,
        ),
        (
            all,
            "text/html",
            "<a href='//o.example/?sid=1&sid=2'>".into(),
            none,
        ),
        (
            all,
            "text/html",
            "<a href='mailto:a@o.example?sid=1'>".into(),
            none,
        ),
        (
            all,
            "text/html",
            "<base href=//o.example/><a href='?sid=1'>".into(),
            foreign,
        ),
        (
            all,
            "text/plain",
            "http://o.example/?sid=1 ".into(),
            foreign,
        ),
        (
            all,
            "text/event-stream",
            "data: //o.example/?sid=1\n\n".into(),
            foreign,
        ),
        (
            forms,
            "text/html",
            "<form action='//o.example/?sid=1'>".into(),
            foreign,
        ),
        (
            forms,
            "text/html",
            "<a href='//o.example/?sid=1'>".into(),
            none,
        ),
    ] {
        let said = said(directive, media_type, body.as_bytes(), None);
        assert_eq!(said.met, met, "{media_type} {body}");
    }
}

#[test]
fn a_body_that_is_not_read_to_its_end_is_noted() {
    let gzip = |text: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    use BodyEnd::*;
    use Reader::{Forms, Html, Json, Script, Sse, Xml};
    let page = "mode=query name=sid learn=html";
    let all = "mode=query name=sid learn=html,json,script";
    let too_much = "a page ".repeat(MAX_UNPACKED as usize / 7 + 1);
    let whole = gzip(b"<a href='?sid=1'>");
    let odd = format!("<{}>", "x".repeat(1 << 20));
    // Each name stands in a tag that all those before it may have begun.
    let dear = "<input name=sid ".repeat(10_000);
    for (directive, media_type, body, coding, expected) in [
        (
            page,
            "text/html",
            whole.clone(),
            Some(Coding::Gzip),
            &[(Html, Whole)][..],
        ),
        (
            page,
            "text/html",
            whole[..whole.len() - 9].to_vec(),
            Some(Coding::Gzip),
            &[(Html, Ended)],
        ),
        (
            page,
            "text/html",
            b"<a href='?sid=1'>".to_vec(),
            Some(Coding::Gzip),
            &[(Html, GivenUp)],
        ),
        (
            page,
            "text/html",
            gzip(too_much.as_bytes()),
            Some(Coding::Gzip),
            &[(Html, Cut)],
        ),
        (
            "mode=query learn=forms",
            "text/html",
            odd.clone().into_bytes(),
            None,
            &[(Forms, GivenUp)],
        ),
        (
            "mode=query learn=forms",
            "text/html",
            b"<a>".to_vec(),
            None,
            &[(Forms, Whole)],
        ),
        (
            "mode=query learn=forms",
            "text/html; charset=utf-16",
            b"<a>".to_vec(),
            None,
            &[(Forms, GivenUp)],
        ),
        (page, "text/html", odd.into_bytes(), None, &[(Html, Whole)]),
        (
            page,
            "text/html",
            dear.clone().into_bytes(),
            None,
            &[(Html, GivenUp)],
        ),
        (
            "mode=query learn=xml",
            "text/xml",
            b"<!DOCTYPE a><sid>1</sid>".to_vec(),
            None,
            &[(Xml, GivenUp)],
        ),
        (
            "mode=query learn=xml",
            "text/xml",
            b"<!-- a --><sid>1</sid>".to_vec(),
            None,
            &[(Xml, Whole)],
        ),
        (
            "mode=query learn=json:a.b",
            "application/json",
            b"{\"a\":\\ ".to_vec(),
            None,
            &[(Json, GivenUp)],
        ),
        (
            "mode=query learn=json:a.b",
            "application/json",
            b"{\"a\":{} ".to_vec(),
            None,
            &[(Json, Whole)],
        ),
        (
            "mode=query learn=sse,json:a.b",
            "text/event-stream",
            b"data: {\"a\": \\ }\n\n".to_vec(),
            None,
            &[(Sse, GivenUp)],
        ),
        (
            "mode=query learn=html,json:a.b",
            "text/html",
            b"<script type='application/json'>{\"a\": \\ }</script>".to_vec(),
            None,
            &[(Html, Whole), (Json, GivenUp)],
        ),
        (
            all,
            "text/html",
            dear.into_bytes(),
            None,
            &[(Html, GivenUp), (Json, Whole), (Script, Whole)],
        ),
        (
            all,
            "text/html",
            gzip(too_much.as_bytes()),
            Some(Coding::Gzip),
            &[(Html, Cut), (Json, Cut), (Script, Cut)],
        ),
        (
            all,
            "application/json",
            b"[]".to_vec(),
            None,
            &[(Json, Whole)],
        ),
        (page, "text/html", Vec::new(), None, &[(Html, Whole)]),
        (
            page,
            "text/html",
            Vec::new(),
            Some(Coding::Gzip),
            &[(Html, Whole)],
        ),
    ] {
        let said = said(directive, media_type, &body, coding);
        let start = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        let about = format!("{directive} {media_type} {start}");
        let given_up = |(_, end): &(Reader, BodyEnd)| matches!(end, Cut | GivenUp);
        assert_eq!(said.has_given_up, expected.iter().any(given_up), "{about}");
        let [whole, cut] = said.ends;
        assert_eq!(whole, expected, "{about}");
        // The same, where the client or the server has left at its end.
        let ended = |(reader, end): &(Reader, BodyEnd)| match end {
            Whole | Ended => (*reader, Ended),
            _ => (*reader, *end),
        };
        assert_eq!(
            cut,
            expected.iter().map(ended).collect::<Vec<_>>(),
            "{about}"
        );
    }
}
