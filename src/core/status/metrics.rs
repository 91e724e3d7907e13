//! The report as metrics, in the text format of Prometheus (version 0.0.4). The values of labels
//! come from the configuration and from the enumerations of [`events`](crate::events) only, so that
//! no client can make more of them.

use crate::events::{BodyEnd, Forget, Move, Source, Status};

use super::pieces::Pieces;
use super::{shown, Report, Server, Sums, Upstream, Zone};

/// Metrics of one name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Family {
    /// The name.
    pub name: &'static str,
    /// `counter` or `gauge`.
    pub kind: &'static str,
    /// What it says.
    pub help: &'static str,
    /// Its labels, in their order.
    pub labels: &'static [&'static str],
}

const fn family(
    name: &'static str,
    kind: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Family {
    Family {
        name,
        kind,
        help,
        labels,
    }
}

const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";

/// All families, in the order in which they are written. One of which nothing is known is left out.
pub const FAMILIES: &[Family] = &[
    BUILD_INFO,
    REQUESTS,
    LEARNED,
    BODIES,
    BODY_BYTES,
    MOVED,
    FORGOTTEN,
    SERVER_HITS,
    SESSIONS,
    MAX_SESSIONS,
    DRAINING,
    LAST_USE,
    EVICTED,
    CAPACITY,
    USED,
    SCAN,
    STATE_WRITE,
    STATE_ERRORS,
];

const BUILD_INFO: Family = family(
    "nginx_sticky_build_info",
    GAUGE,
    &["version", "nginx"],
    "Version of the module and of nginx. Always 1.",
);
const REQUESTS: Family = family(
    "nginx_sticky_requests_total",
    COUNTER,
    &["upstream", "result"],
    "Requests by what became of their session, as $sticky_status has it.",
);
const SERVER_HITS: Family = family(
    "nginx_sticky_server_hits_total",
    COUNTER,
    &["upstream", "server"],
    "Requests that went to the server because it has their session.",
);
const SESSIONS: Family = family(
    "nginx_sticky_sessions",
    GAUGE,
    &["upstream", "server", "state"],
    "Sessions of the server, as last counted; in_use: a request has come back with the id.",
);
const LEARNED: Family = family(
    "nginx_sticky_sessions_learned_total",
    COUNTER,
    &["upstream", "source"],
    "Sessions learned, by where the id was found.",
);
const BODIES: Family = family(
    "nginx_sticky_bodies_total",
    COUNTER,
    &["upstream", "source", "outcome"],
    "Bodies of responses that were read, by what reads them and how far it came.",
);
const BODY_BYTES: Family = family(
    "nginx_sticky_body_bytes_total",
    COUNTER,
    &["upstream"],
    "Bytes of bodies that were read, as they came from the server.",
);
const MOVED: Family = family(
    "nginx_sticky_sessions_moved_total",
    COUNTER,
    &["reason"],
    "Sessions that went to another server.",
);
const FORGOTTEN: Family = family(
    "nginx_sticky_sessions_forgotten_total",
    COUNTER,
    &["reason"],
    "Sessions forgotten before their time.",
);
const MAX_SESSIONS: Family = family(
    "nginx_sticky_server_max_sessions",
    GAUGE,
    &["upstream", "server"],
    "Sessions with which the server gets no new ones, as configured.",
);
const DRAINING: Family = family(
    "nginx_sticky_server_draining",
    GAUGE,
    &["upstream", "server"],
    "Whether the server gets the requests of its own sessions alone.",
);
const LAST_USE: Family = family(
    "nginx_sticky_server_last_use_timestamp_seconds",
    GAUGE,
    &["upstream", "server"],
    "When a request of a session last went to the server.",
);
const EVICTED: Family = family(
    "nginx_sticky_sessions_evicted_total",
    COUNTER,
    &["zone", "state"],
    "Live sessions that were forgotten for new ones, because the zone was full.",
);
const CAPACITY: Family = family(
    "nginx_sticky_zone_capacity_sessions",
    GAUGE,
    &["zone"],
    "Sessions that the zone has room for.",
);
const USED: Family = family(
    "nginx_sticky_zone_used_sessions",
    GAUGE,
    &["zone"],
    "Live sessions in the zone, as last counted.",
);
const SCAN: Family = family(
    "nginx_sticky_scan_timestamp_seconds",
    GAUGE,
    &["zone"],
    "When the sessions of the zone were last counted.",
);
const STATE_WRITE: Family = family(
    "nginx_sticky_state_write_timestamp_seconds",
    GAUGE,
    &["zone"],
    "When the state file of the zone was last written.",
);
const STATE_ERRORS: Family = family(
    "nginx_sticky_state_errors_total",
    COUNTER,
    &["zone"],
    "How often the state file of the zone could not be read or written.",
);

/// A server, with its own label and that of its upstream.
struct Labelled<'r, 'a> {
    server: &'r Server<'a>,
    labels: String,
}

/// Writes the report.
pub fn metrics(report: &Report<'_>, out: &mut dyn FnMut(&[u8])) {
    let mut writer = Writer {
        pieces: Pieces::new(out),
        family: None,
    };
    let upstreams: Vec<(&Upstream<'_>, String)> = report
        .upstreams
        .iter()
        .filter(|upstream| !upstream.is_nginx)
        .map(|it| (it, format!("upstream=\"{}\"", shown::label(it.name))))
        .collect();
    let zones: Vec<(&Zone<'_>, String)> = report
        .zones
        .iter()
        .map(|it| (it, format!("zone=\"{}\"", shown::label(it.name))))
        .collect();
    writer.sample(
        &BUILD_INFO,
        &format!(
            "version=\"{}\",nginx=\"{}\"",
            shown::label(report.version.as_bytes()),
            shown::label(report.nginx.as_bytes())
        ),
        "",
        "",
        1,
    );
    of_upstreams(&upstreams, &mut writer);
    of_servers(&upstreams, &mut writer);
    of_zones(&zones, &mut writer);
}

fn of_upstreams(upstreams: &[(&Upstream<'_>, String)], writer: &mut Writer<'_>) {
    let counted = || {
        upstreams
            .iter()
            .filter_map(|(it, labels)| Some((*it, labels, it.sums.as_ref()?)))
    };
    for (_, labels, sums) in counted() {
        for (status, count) in Status::ALL.iter().zip(sums.requests) {
            writer.sample(&REQUESTS, labels, "result", status.name(), count);
        }
    }
    let learning = || counted().filter(|(it, ..)| it.mode.learns());
    for (_, labels, sums) in learning() {
        for (source, count) in Source::ALL.iter().zip(sums.learned) {
            writer.sample(&LEARNED, labels, "source", source.name(), count);
        }
    }
    for (it, labels, sums) in counted() {
        for (reader, ends) in it.bodies(sums) {
            let labels = format!("{labels},source=\"{}\"", reader.name());
            for (end, count) in BodyEnd::ALL.iter().zip(ends) {
                writer.sample(&BODIES, &labels, "outcome", end.name(), *count);
            }
        }
    }
    for (it, labels, sums) in counted() {
        if it.bodies(sums).next().is_some() {
            writer.sample(&BODY_BYTES, labels, "", "", sums.body_bytes);
        }
    }
    if learning().next().is_none() {
        return;
    }
    let sum = |of: &dyn Fn(&Sums) -> u64| {
        learning().fold(0u64, |sum, (_, _, sums)| sum.saturating_add(of(sums)))
    };
    for reason in Move::ALL {
        let count = sum(&|sums| sums.moved[reason.number()]);
        writer.sample(&MOVED, "", "reason", reason.name(), count);
    }
    for reason in Forget::ALL {
        let count = sum(&|sums| sums.forgotten[reason.number()]);
        writer.sample(&FORGOTTEN, "", "reason", reason.name(), count);
    }
}

fn of_servers(upstreams: &[(&Upstream<'_>, String)], writer: &mut Writer<'_>) {
    let servers: Vec<Labelled<'_, '_>> = upstreams
        .iter()
        .flat_map(|(upstream, labels)| {
            upstream.servers.iter().map(move |server| Labelled {
                server,
                labels: format!("{labels},server=\"{}\"", shown::label(&server.name)),
            })
        })
        .collect();
    for Labelled { server, labels } in &servers {
        if let Some(hits) = server.hits {
            writer.sample(&SERVER_HITS, labels, "", "", hits);
        }
    }
    for Labelled { server, labels } in &servers {
        if let Some(sessions) = server.sessions {
            writer.sample(&SESSIONS, labels, "state", IN_USE, sessions.in_use);
            writer.sample(&SESSIONS, labels, "state", UNUSED, sessions.unused);
        }
    }
    for Labelled { server, labels } in &servers {
        if let Some(most) = server.max_sessions {
            writer.sample(&MAX_SESSIONS, labels, "", "", most);
        }
    }
    for Labelled { server, labels } in &servers {
        let is_draining = u64::from(server.is_draining || server.drain.is_some());
        writer.sample(&DRAINING, labels, "", "", is_draining);
    }
    for Labelled { server, labels } in &servers {
        if let Some(at) = server.last_use {
            writer.sample(&LAST_USE, labels, "", "", at);
        }
    }
}

const IN_USE: &str = "in_use";
const UNUSED: &str = "unused";

fn of_zones(zones: &[(&Zone<'_>, String)], writer: &mut Writer<'_>) {
    for (zone, labels) in zones {
        writer.sample(&EVICTED, labels, "state", IN_USE, zone.evicted_in_use);
        writer.sample(&EVICTED, labels, "state", UNUSED, zone.evicted_unused);
    }
    for (zone, labels) in zones {
        writer.sample(&CAPACITY, labels, "", "", zone.capacity);
    }
    for (zone, labels) in zones {
        if let Some(sessions) = zone.sessions {
            writer.sample(&USED, labels, "", "", sessions.in_use + sessions.unused);
        }
    }
    for (zone, labels) in zones {
        if let Some(at) = zone.sessions.and_then(|sessions| sessions.counted) {
            writer.sample(&SCAN, labels, "", "", at);
        }
    }
    let files = || {
        let all = zones.iter();
        all.filter_map(|(zone, labels)| Some((zone.state.as_ref()?, labels)))
    };
    for (file, labels) in files() {
        if let Some(at) = file.written {
            writer.sample(&STATE_WRITE, labels, "", "", at);
        }
    }
    for (file, labels) in files() {
        writer.sample(&STATE_ERRORS, labels, "", "", file.errors);
    }
}

struct Writer<'o> {
    pieces: Pieces<'o>,
    /// Of the last sample: the lines that describe it stand before the first.
    family: Option<&'static str>,
}

impl Writer<'_> {
    /// One line. `labels` are written out, and one more follows if `name` is not empty, with a
    /// value that needs no escape.
    fn sample(&mut self, of: &Family, labels: &str, name: &str, value: &str, number: u64) {
        if self.family != Some(of.name) {
            self.family = Some(of.name);
            self.pieces
                .push("# HELP ")
                .push(of.name)
                .push(" ")
                .push(of.help);
            self.pieces
                .push("\n# TYPE ")
                .push(of.name)
                .push(" ")
                .push(of.kind);
            self.pieces.push("\n");
        }
        let pieces = self.pieces.push(of.name).push("{").push(labels);
        if !name.is_empty() {
            if !labels.is_empty() {
                pieces.push(",");
            }
            pieces.push(name).push("=\"").push(value).push("\"");
        }
        pieces.push("} ").number(number).push("\n");
    }
}
