//! What `mode=discover` has found out, and dry runs, in the page and in JSON.

use std::cell::Cell;

use sticky_core::discover::judge::{Candidate, Findings};
use sticky_core::events::Status;
use sticky_core::status::{Mode, Report, Sums, Upstream, View, Wanted, Watched, Writing, Zone};

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
}

#[test]
fn metrics_say_how_far_it_has_come() {
    let mut report = watched(Vec::new(), None);
    let shop = &mut report.upstreams[0];
    shop.sums = Some(Sums::default());
    shop.watched = Some(Watched {
        requests: 7_000,
        until: NOW + 3_000,
    });
    let text = metrics(&report);
    assert!(text.contains("nginx_sticky_discover_requests_total{upstream=\"shop\"} 7000\n"));
    let until = NOW + 3_000;
    let line =
        format!("nginx_sticky_discover_until_timestamp_seconds{{upstream=\"shop\"}} {until}\n");
    assert!(text.contains(&line));
    assert!(!text.contains("nginx_sticky_dry_run"));
}

/// A view of upstreams each of which takes long.
struct Slow(Report<'static>, Cell<bool>);

impl View for Slow {
    fn about(&self) -> &Report<'_> {
        &self.0
    }

    fn upstreams(&self) -> usize {
        self.0.upstreams.len()
    }

    fn upstream(&self, at: usize, wanted: Wanted) -> Upstream<'_> {
        self.1.set(wanted == Wanted::All);
        self.0.upstream(at, wanted)
    }

    fn zones(&self) -> usize {
        0
    }

    fn zone(&self, _: usize) -> Zone<'_> {
        Zone::default()
    }

    fn took_long(&self) -> bool {
        self.1.take()
    }
}

#[test]
fn one_sample_is_judged_in_a_turn() {
    let mut report = watched(Vec::new(), None);
    report.upstreams = vec![report.upstreams[0].clone(); 5];
    let whole = json(&report);
    let slow = Slow(report, Cell::new(false));
    for (mut writing, is_json) in [(Writing::json(), true), (Writing::page(b"/", None), false)] {
        let (mut turns, mut text) = (1, Vec::new());
        while writing.go_on(&slow, &mut |piece| text.extend_from_slice(piece)) {
            turns += 1;
        }
        assert!(turns >= 5, "{turns} turns");
        assert!(!is_json || text == whole.as_bytes());
    }
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
    assert!(metrics(&report).contains("nginx_sticky_dry_run{upstream=\"shop\"} 1\n"));
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
