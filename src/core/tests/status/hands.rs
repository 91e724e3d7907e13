//! What operators can do on the page, and what it says of servers that are being emptied.

use sticky_core::status::{page, Notice, Report, Server, ServerDrain, Sessions};

use crate::sample::{page_with_hands, report, text, NOW};

#[test]
fn a_page_for_readers_has_no_form() {
    let text = text(|out| page(&report(b"u", b"s", b"z"), b"/sticky", None, out));
    assert!(!text.contains("<form"), "{text}");
}

/// A server that is drained so, with so many sessions.
fn state(drain: Option<(bool, Option<u64>)>, in_use: u64) -> String {
    let mut report = report(b"u", b"10.0.0.1:80", b"z");
    report.upstreams.truncate(1);
    report.upstreams[0].servers = vec![Server {
        name: b"10.0.0.1:80".into(),
        is_draining: true,
        drain: drain.map(|(is_announced, until)| ServerDrain {
            is_announced,
            since: NOW - 180,
            until,
        }),
        sessions: Some(Sessions {
            in_use,
            ..Sessions::default()
        }),
        ..Server::default()
    }];
    let page = text(|out| page(&report, b"/sticky", None, out));
    let cell = page.split("data-l=\"State\">").nth(1).expect("a state");
    let cell = cell.split("</td>").next().expect("its end");
    let mut words = String::new();
    for part in cell.split('<') {
        words.push_str(part.split_once('>').map_or(part, |(_, words)| words));
    }
    words
}

#[test]
fn the_state_says_what_is_left_and_who_drains() {
    for (drain, in_use, expected) in [
        (
            Some((false, None)),
            1_234,
            "draining 1,234 sessions left no new sessions; by hand 3 min ago",
        ),
        (
            Some((true, None)),
            1,
            "draining 1 session left no new sessions; the server says so 3 min ago",
        ),
        (
            Some((false, Some(NOW + 90))),
            0,
            "draining no session left no new sessions, and its own go elsewhere in 90 s; by hand \
             3 min ago",
        ),
        (
            Some((false, Some(NOW - 1))),
            2,
            "drained 2 sessions left its sessions go elsewhere; by hand 3 min ago",
        ),
        (
            None,
            7,
            "draining 7 sessions left no new sessions; as configured",
        ),
    ] {
        assert_eq!(state(drain, in_use), expected);
    }
}

#[test]
fn a_question_keeps_the_upstream_that_is_shown() {
    let ask = || {
        Notice::Ask(
            "Is it meant?".into(),
            vec![("server", b"a\"b".to_vec()), ("percent", b"50".to_vec())],
        )
    };
    let asked = text(|out| {
        let report = Report {
            token: Some("1f-a1".into()),
            notice: Some(ask()),
            ..report(b"a&b", b"s", b"z")
        };
        page(&report, b"/sticky", Some(b"a&b"), out);
    });
    let form = asked.split("class=\"notice\"").nth(1).expect("a notice");
    let form = form.split("<main").next().expect("its end");
    for part in [
        "<p>Is it meant?</p>",
        "name=\"token\" value=\"1f-a1\"",
        "name=\"server\" value=\"a&#34;b\"",
        "name=\"percent\" value=\"50\"",
        "name=\"confirm\" value=\"1\"",
        "<button>Yes</button>",
        "href=\"?upstream=a%26b\">No</a>",
    ] {
        assert!(form.contains(part), "{part} in {form}");
    }
    let anywhere = page_with_hands(report(b"u", b"s", b"z"), ask());
    assert!(anywhere.contains("href=\"?\">No</a>"));
}

#[test]
fn what_was_done_can_be_closed() {
    for notice in [Notice::Done("Done.".into()), Notice::Refused("Not.".into())] {
        let page = page_with_hands(report(b"u", b"s", b"z"), notice);
        assert!(page.contains("href=\"?\">Close</a>"));
        assert!(!page.contains("name=\"confirm\""));
    }
}
