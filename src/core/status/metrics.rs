//! The report as metrics, in the text format of Prometheus (version 0.0.4). The values of labels
//! come from the configuration and from the enumerations of [`events`](crate::events) only, so that
//! no client can make more of them.

use std::fmt::Write;

use crate::events::{BodyEnd, Forget, Move, Source, Status};

use super::pieces::Pieces;
use super::{shown, Cluster, Report, Server, Sums, Upstream, View, Wanted, Zone};

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
    PLANNED,
    LEARNED,
    BODIES,
    BODY_BYTES,
    DRY_RUN,
    DISCOVER_REQUESTS,
    DISCOVER_UNTIL,
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
    CLUSTER_UP,
    CLUSTER_NODES,
    CLUSTER_LAG,
    CLUSTER_PENDING,
    CLUSTER_RECORDS,
    CLUSTER_DROPPED,
    CLUSTER_REFUSED,
    CLUSTER_LOST,
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
const PLANNED: Family = family(
    "nginx_sticky_requests_planned_total",
    COUNTER,
    &["upstream"],
    "Requests that are GONE because an operator wanted it: a drain whose time is over, a move.",
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
const DRY_RUN: Family = family(
    "nginx_sticky_dry_run",
    GAUGE,
    &["upstream"],
    "Always 1: with dry_run nothing is steered or sent, and counts are what would have become of requests.",
);
const DISCOVER_REQUESTS: Family = family(
    "nginx_sticky_discover_requests_total",
    COUNTER,
    &["upstream"],
    "Requests that mode=discover has looked at.",
);
const DISCOVER_UNTIL: Family = family(
    "nginx_sticky_discover_until_timestamp_seconds",
    GAUGE,
    &["upstream"],
    "When mode=discover ends to watch the upstream.",
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

const CLUSTER_UP: Family = family(
    "nginx_sticky_cluster_up",
    GAUGE,
    &[],
    "Whether the store of the cluster answers.",
);
const CLUSTER_NODES: Family = family(
    "nginx_sticky_cluster_nodes",
    GAUGE,
    &[],
    "Nodes of the cluster that were there in the last 15 seconds, with this one.",
);
const CLUSTER_LAG: Family = family(
    "nginx_sticky_cluster_lag_seconds",
    GAUGE,
    &[],
    "How old the latest records of another node were when they were applied.",
);
const CLUSTER_PENDING: Family = family(
    "nginx_sticky_cluster_records_pending",
    GAUGE,
    &[],
    "Changes of sessions that are to be sent.",
);
const CLUSTER_RECORDS: Family = family(
    "nginx_sticky_cluster_records_total",
    COUNTER,
    &["direction"],
    "Changes of sessions; out: that were sent; in: of other nodes, that were applied.",
);
const CLUSTER_DROPPED: Family = family(
    "nginx_sticky_cluster_dropped_total",
    COUNTER,
    &[],
    "Changes for which there was no room while the store was away: all sessions are sent again.",
);
const CLUSTER_REFUSED: Family = family(
    "nginx_sticky_cluster_refused_total",
    COUNTER,
    &[],
    "What was in the store and is not of this cluster, or malformed, or of servers unknown here.",
);
const CLUSTER_LOST: Family = family(
    "nginx_sticky_cluster_store_lost_total",
    COUNTER,
    &[],
    "How often the store has stopped to answer.",
);

/// What of the report a pass writes: all of one family, for they stand together.
#[derive(Clone, Copy)]
enum Pass {
    Build,
    Upstreams(fn(&Upstream<'_>, &str, &Sums, &mut Writer<'_, '_>)),
    /// What is summed over all upstreams.
    Sessions,
    Servers(Wanted, fn(&Server<'_>, &str, &mut Writer<'_, '_>)),
    Zones(fn(&Zone<'_>, &str, &mut Writer<'_, '_>)),
    Cluster,
}

/// In the order of [`FAMILIES`].
const PASSES: &[Pass] = &[
    Pass::Build,
    Pass::Upstreams(requests),
    Pass::Upstreams(|_, labels, sums, writer| {
        writer.sample(&PLANNED, labels, "", "", sums.planned);
    }),
    Pass::Upstreams(learned),
    Pass::Upstreams(bodies),
    Pass::Upstreams(body_bytes),
    Pass::Upstreams(|it, labels, _, writer| {
        writer.some(&DRY_RUN, labels, it.is_dry_run.then_some(1));
    }),
    Pass::Upstreams(|it, labels, _, writer| {
        let requests = it.watched.map(|watched| watched.requests);
        writer.some(&DISCOVER_REQUESTS, labels, requests);
    }),
    Pass::Upstreams(|it, labels, _, writer| {
        writer.some(
            &DISCOVER_UNTIL,
            labels,
            it.watched.map(|watched| watched.until),
        );
    }),
    Pass::Sessions,
    Pass::Servers(Wanted::Counts, |server, labels, writer| {
        writer.some(&SERVER_HITS, labels, server.hits);
    }),
    Pass::Servers(Wanted::Counts, |server, labels, writer| {
        if let Some(sessions) = server.sessions {
            writer.sample(&SESSIONS, labels, "state", IN_USE, sessions.in_use);
            writer.sample(&SESSIONS, labels, "state", UNUSED, sessions.unused);
        }
    }),
    Pass::Servers(Wanted::Counts, |server, labels, writer| {
        writer.some(&MAX_SESSIONS, labels, server.max_sessions);
    }),
    Pass::Servers(Wanted::Servers, |server, labels, writer| {
        let is_draining = u64::from(server.is_draining || server.drain.is_some());
        writer.sample(&DRAINING, labels, "", "", is_draining);
    }),
    Pass::Servers(Wanted::Counts, |server, labels, writer| {
        writer.some(&LAST_USE, labels, server.last_use);
    }),
    Pass::Zones(|zone, labels, writer| {
        writer.sample(&EVICTED, labels, "state", IN_USE, zone.evicted_in_use);
        writer.sample(&EVICTED, labels, "state", UNUSED, zone.evicted_unused);
    }),
    Pass::Zones(|zone, labels, writer| {
        writer.sample(&CAPACITY, labels, "", "", zone.capacity);
    }),
    Pass::Zones(|zone, labels, writer| {
        let used = zone.sessions.map(|it| it.in_use + it.unused);
        writer.some(&USED, labels, used);
    }),
    Pass::Zones(|zone, labels, writer| {
        let counted = zone.sessions.and_then(|sessions| sessions.counted);
        writer.some(&SCAN, labels, counted);
    }),
    Pass::Zones(|zone, labels, writer| {
        let written = zone.state.as_ref().and_then(|file| file.written);
        writer.some(&STATE_WRITE, labels, written);
    }),
    Pass::Zones(|zone, labels, writer| {
        let errors = zone.state.as_ref().map(|file| file.errors);
        writer.some(&STATE_ERRORS, labels, errors);
    }),
    Pass::Cluster,
];

const IN_USE: &str = "in_use";
const UNUSED: &str = "unused";

/// How much of the report is written: which pass, and which upstreams or zones of it.
#[derive(Default)]
pub struct Steps {
    pass: usize,
    at: usize,
    /// Of the last sample: the lines that describe it stand before the first.
    family: Option<&'static str>,
    /// What learns was met.
    learns: bool,
    moved: [u64; Move::COUNT],
    forgotten: [u64; Forget::COUNT],
}

impl Steps {
    /// Writes the next step. Returns whether there are more.
    pub fn step(&mut self, view: &dyn View, pieces: &mut Pieces<'_>) -> bool {
        let Some(pass) = PASSES.get(self.pass) else {
            return false;
        };
        let at = self.at;
        let mut family = self.family;
        let mut writer = Writer {
            pieces,
            family: &mut family,
        };
        let count = match pass {
            Pass::Build => {
                build(view.about(), &mut writer);
                1
            }
            Pass::Sessions => {
                self.sessions(&mut writer);
                1
            }
            Pass::Cluster => {
                if let Some(it) = &view.about().cluster {
                    cluster(it, &mut writer);
                }
                1
            }
            Pass::Upstreams(write) => {
                if at < view.upstreams() {
                    let it = view.upstream(at, Wanted::Sums);
                    if let Some(sums) = it.sums.as_ref().filter(|_| !it.is_nginx) {
                        write(&it, &labels_of(&it), sums, &mut writer);
                        if self.pass == FIRST_OF_UPSTREAMS && it.mode.learns() {
                            self.add(sums);
                        }
                    }
                }
                view.upstreams()
            }
            Pass::Servers(wanted, write) => {
                if at < view.upstreams() {
                    let it = view.upstream(at, *wanted);
                    let labels = labels_of(&it);
                    let mut labels = labels + ",server=\"";
                    let length = labels.len();
                    for server in it.servers.iter().filter(|_| !it.is_nginx) {
                        labels.truncate(length);
                        labels.push_str(&shown::label(&server.name));
                        labels.push('"');
                        write(server, &labels, &mut writer);
                    }
                }
                view.upstreams()
            }
            Pass::Zones(write) => {
                if at < view.zones() {
                    let it = view.zone(at);
                    let labels = format!("zone=\"{}\"", shown::label(it.name));
                    write(&it, &labels, &mut writer);
                }
                view.zones()
            }
        };
        self.family = family;
        self.at += 1;
        if self.at >= count {
            self.pass += 1;
            self.at = 0;
        }
        self.pass < PASSES.len()
    }

    fn add(&mut self, sums: &Sums) {
        self.learns = true;
        for (all, more) in [
            (&mut self.moved[..], &sums.moved[..]),
            (&mut self.forgotten, &sums.forgotten),
        ] {
            for (sum, more) in all.iter_mut().zip(more) {
                *sum = sum.saturating_add(*more);
            }
        }
    }

    fn sessions(&self, writer: &mut Writer<'_, '_>) {
        if !self.learns {
            return;
        }
        for (reason, count) in Move::ALL.iter().zip(self.moved) {
            writer.sample(&MOVED, "", "reason", reason.name(), count);
        }
        for (reason, count) in Forget::ALL.iter().zip(self.forgotten) {
            writer.sample(&FORGOTTEN, "", "reason", reason.name(), count);
        }
    }
}

/// The pass that meets all upstreams first.
const FIRST_OF_UPSTREAMS: usize = 1;

fn labels_of(it: &Upstream<'_>) -> String {
    format!("upstream=\"{}\"", shown::label(it.name))
}

fn build(about: &Report<'_>, writer: &mut Writer<'_, '_>) {
    let labels = format!(
        "version=\"{}\",nginx=\"{}\"",
        shown::label(about.version.as_bytes()),
        shown::label(about.nginx.as_bytes())
    );
    writer.sample(&BUILD_INFO, &labels, "", "", 1);
}

fn cluster(it: &Cluster<'_>, writer: &mut Writer<'_, '_>) {
    writer.sample(&CLUSTER_UP, "", "", "", it.is_up.into());
    writer.sample(&CLUSTER_NODES, "", "", "", it.nodes);
    writer.milliseconds(&CLUSTER_LAG, it.lag);
    writer.sample(&CLUSTER_PENDING, "", "", "", it.pending);
    writer.sample(&CLUSTER_RECORDS, "", "direction", "in", it.received);
    writer.sample(&CLUSTER_RECORDS, "", "direction", "out", it.sent);
    writer.sample(&CLUSTER_DROPPED, "", "", "", it.dropped);
    writer.sample(&CLUSTER_REFUSED, "", "", "", it.refused);
    writer.sample(&CLUSTER_LOST, "", "", "", it.lost);
}

fn requests(_: &Upstream<'_>, labels: &str, sums: &Sums, writer: &mut Writer<'_, '_>) {
    for (status, count) in Status::ALL.iter().zip(sums.requests) {
        writer.sample(&REQUESTS, labels, "result", status.name(), count);
    }
}

fn learned(it: &Upstream<'_>, labels: &str, sums: &Sums, writer: &mut Writer<'_, '_>) {
    let all = Source::ALL.iter().zip(sums.learned);
    for (source, count) in all.filter(|_| it.mode.learns()) {
        writer.sample(&LEARNED, labels, "source", source.name(), count);
    }
}

fn bodies(it: &Upstream<'_>, labels: &str, sums: &Sums, writer: &mut Writer<'_, '_>) {
    for (reader, ends) in it.bodies(sums) {
        let labels = [labels, ",source=\"", reader.name(), "\""].concat();
        for (end, count) in BodyEnd::ALL.iter().zip(ends) {
            writer.sample(&BODIES, &labels, "outcome", end.name(), *count);
        }
    }
}

fn body_bytes(it: &Upstream<'_>, labels: &str, sums: &Sums, writer: &mut Writer<'_, '_>) {
    if it.bodies(sums).next().is_some() {
        writer.sample(&BODY_BYTES, labels, "", "", sums.body_bytes);
    }
}

struct Writer<'p, 'o> {
    pieces: &'p mut Pieces<'o>,
    family: &'p mut Option<&'static str>,
}

impl Writer<'_, '_> {
    /// One line, if the number is known.
    fn some(&mut self, of: &Family, labels: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.sample(of, labels, "", "", number);
        }
    }

    /// One line. `labels` are written out, and one more follows if `name` is not empty, with a
    /// value that needs no escape.
    fn sample(&mut self, of: &Family, labels: &str, name: &str, value: &str, number: u64) {
        self.describe(of);
        let pieces = self.pieces.push(of.name);
        if !(labels.is_empty() && name.is_empty()) {
            pieces.push("{").push(labels);
            if !name.is_empty() {
                if !labels.is_empty() {
                    pieces.push(",");
                }
                pieces.push(name).push("=\"").push(value).push("\"");
            }
            pieces.push("}");
        }
        pieces.push(" ").number(number).push("\n");
    }

    /// One line without labels, in seconds.
    fn milliseconds(&mut self, of: &Family, milliseconds: u64) {
        self.describe(of);
        let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
        let _ = writeln!(self.pieces, "{} {seconds}.{rest:03}", of.name);
    }

    /// What stands before the first line of a family.
    fn describe(&mut self, of: &Family) {
        if *self.family != Some(of.name) {
            *self.family = Some(of.name);
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
    }
}
