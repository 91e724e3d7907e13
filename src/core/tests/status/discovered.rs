//! What `mode=discover` has found out, and dry runs, in the page and in JSON.

use sticky_core::discover::judge::{Candidate, Findings};
use sticky_core::events::Status;
use sticky_core::status::{Mode, Report, Sums, Upstream};

use crate::sample::{json, metrics, page, NOW};
use crate::schema::fits;

fn candidate(directive: &str, uncertain: Option<&'static str>) -> Candidate {
    Candidate {
        out: vec!["html query:sid".to_owned(), "cookie:sid".to_owned()],
        back: vec!["query:sid".to_owned()],
        seen: 1_234,
        returned: 1_200,
        requests: 5_000,
        astray: 3_333,
        directive: directive.to_owned(),
        uncertain,
    }
}

fn watched(candidates: Vec<Candidate>, why: Option<&'static str>) -> Report<'static> {
    Report {
        now: NOW,
        upstreams: vec![Upstream {
            name: b"shop",
            mode: Mode::Discover,
            directives: vec![b"sticky mode=discover;"],
            discovered: Some(Findings {
                begun: NOW - 600,
                until: NOW + 3_000,
                requests: 7_000,
                clients: 420,
                candidates,
                why,
            }),
            ..Upstream::default()
        }],
        ..Report::default()
    }
}

#[test]
fn the_best_line_comes_first_in_all_forms() {
    let report = watched(
        vec![
            candidate("sticky mode=query name=sid;", None),
            candidate("sticky mode=query name=<b>;", Some("it is \"odd\" & new")),
        ],
        None,
    );
    let (text, html) = (json(&report), page(&report));
    assert_eq!(fits(&text), Ok(()));
    assert!(text.contains(
        "\"candidates\":[{\"directive\":\"sticky mode=query name=sid;\",\
         \"out\":[\"html query:sid\",\"cookie:sid\"],\"back\":[\"query:sid\"],\"seen\":1234,\
         \"returned\":1200,\"requests\":5000,\"astray\":3333},"
    ));
    assert!(html.contains("Discovery.</strong> Nothing is steered. The best line: sticky mode="));
    assert!(html.contains("<code>sticky mode=query name=sid;</code>"));
    assert!(html.contains("<small>uncertain: it is &quot;odd&quot; &amp; new</small>"));
    assert!(html.contains("html query:sid, cookie:sid"));
    assert!(!html.contains("name=<b>"), "{html}");
    let _ = metrics(&report);
}

#[test]
fn it_is_said_why_no_line_is_certain() {
    let report = watched(Vec::new(), Some("no response of a server has come yet"));
    assert_eq!(fits(&json(&report)), Ok(()));
    assert!(page(&report).contains("No line is certain: no response of a server has come yet."));
}

#[test]
fn a_dry_run_is_marked() {
    let mut requests = [0; Status::COUNT];
    requests[Status::Hit.number()] = 99;
    requests[Status::Gone.number()] = 1;
    let upstream = Upstream {
        name: b"shop",
        mode: Mode::Query,
        is_dry_run: true,
        sums: Some(Sums {
            requests,
            ..Sums::default()
        }),
        ..Upstream::default()
    };
    let report = Report {
        now: NOW,
        upstreams: vec![upstream],
        ..Report::default()
    };
    let (text, html) = (json(&report), page(&report));
    assert_eq!(fits(&text), Ok(()));
    assert!(text.contains("\"dry_run\":true"));
    assert!(html.contains("<small>dry run: nothing is steered or sent</small>"));
    assert!(
        html.contains("Dry run.</strong> 99.0 % of the requests with a session id would have gone")
    );
    assert!(html.contains("Would go to their session"));
    let real = Report {
        upstreams: vec![Upstream::default()],
        ..Report::default()
    };
    assert!(!json(&real).contains("dry_run") && !page(&real).contains("Dry run"));
}
