//! A report with something in every place, and its forms as text.

use std::borrow::Cow;

use sticky_core::events::Reader;
use sticky_core::status::{
    self, Cluster, Mode, Notice, Report, Server, ServerDrain, Sessions, StateFile, Sums, Upstream,
    Zone,
};

/// When it was made.
pub const NOW: u64 = 1_795_795_257;

/// With these names of an upstream, a server and a zone.
pub fn report<'a>(upstream: &'a [u8], server: &'a [u8], zone: &'a [u8]) -> Report<'a> {
    let sums = Sums {
        since: Some(NOW - 90_000),
        grown: Some(NOW - 80_000),
        requests: [40, 8, 930, 20, 5, 4, 2, 1],
        learned: [7; 13],
        moved: [1, 2, 3, 4, 5],
        forgotten: [1, 2, 3],
        bodies: {
            let mut bodies = [[0; 4]; 8];
            bodies[Reader::Html.number()] = [50, 4, 3, 2];
            // It is not configured any more.
            bodies[Reader::Xml.number()] = [0, 0, 1, 0];
            bodies
        },
        body_bytes: 1_048_576,
        ..Sums::default()
    };
    let sessions = Sessions {
        in_use: 11,
        unused: 2,
        counted: Some(NOW - 2),
    };
    Report {
        cluster: Some(Cluster {
            store: Cow::Borrowed(server),
            is_up: false,
            last_contact: Some(NOW - 130),
            nodes: 3,
            lag: 1_207,
            pending: 17,
            sent: 4_711,
            received: 8_000,
            dropped: 5,
            refused: 6,
            lost: 2,
        }),
        version: "1.2.3",
        nginx: "1.30.6",
        now: NOW,
        upstreams: vec![
            Upstream {
                name: upstream,
                directives: vec![b"sticky mode=query;"],
                mode: Mode::Query,
                zone: Some(0),
                share: Some(zone),
                readers: vec![Reader::Html, Reader::Json],
                servers: vec![
                    Server {
                        name: Cow::Borrowed(server),
                        route: Some(Cow::Borrowed(server)),
                        is_draining: true,
                        max_sessions: Some(13),
                        is_full: true,
                        sessions: Some(sessions),
                        hits: Some(930),
                        last_use: Some(NOW - 7),
                        ..Server::default()
                    },
                    Server {
                        name: Cow::Borrowed(b"unix:/run/b.sock"),
                        is_backup: true,
                        is_down: true,
                        drain: Some(ServerDrain {
                            is_announced: false,
                            since: NOW - 60,
                            until: Some(NOW + 90),
                        }),
                        ..Server::default()
                    },
                ],
                sums: Some(sums),
                ..Upstream::default()
            },
            Upstream {
                name: b"by nginx",
                is_nginx: true,
                ..Upstream::default()
            },
        ],
        zones: vec![Zone {
            name: zone,
            capacity: 1_000,
            sessions: Some(sessions),
            learned: 1_234_567,
            evicted_in_use: 3,
            evicted_unused: 4,
            last_eviction: Some(NOW - 300),
            refused: 5,
            state: Some(StateFile {
                path: Cow::Borrowed(zone),
                written: Some(NOW - 34),
                errors: 6,
                is_failing: true,
            }),
        }],
        token: None,
        notice: None,
    }
}

/// As an operator sees it who may do something, when he has asked for `notice`.
pub fn page_with_hands(report: Report<'_>, notice: Notice) -> String {
    page(&Report {
        token: Some("1f-a1".to_owned()),
        notice: Some(notice),
        ..report
    })
}

/// Collects what a form hands out.
pub fn text(write: impl FnOnce(&mut dyn FnMut(&[u8]))) -> String {
    let mut text = Vec::new();
    write(&mut |piece| text.extend_from_slice(piece));
    String::from_utf8(text).expect("all forms are UTF-8")
}

pub fn page(report: &Report<'_>) -> String {
    text(|out| status::page(report, b"/sticky", None, out))
}

pub fn json(report: &Report<'_>) -> String {
    text(|out| status::json(report, out))
}

pub fn metrics(report: &Report<'_>) -> String {
    text(|out| status::metrics(report, out))
}
