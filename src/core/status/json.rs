//! The report as JSON, and refusals. docs/status.md and docs/status.schema.json say what is in it.

use super::pieces::Pieces;
use super::{
    shown, Cluster, Done, Found, Server, Sessions, StateFile, Sums, Upstream, Verdict, View,
    Wanted, Zone,
};
use crate::discover::judge::Findings;
use crate::events::{BodyEnd, Forget, Move, Skip, Source, Status};

/// Version of the schema: it changes when a member goes or means something else, not when one is
/// added.
pub const SCHEMA: u32 = 1;

/// How much of the report is written: its beginning, each upstream, what is between, each zone.
#[derive(Default)]
pub struct Steps {
    at: usize,
}

impl Steps {
    /// Writes the next step. Returns whether there are more.
    pub fn step(&mut self, view: &dyn View, pieces: &mut Pieces<'_>) -> bool {
        let (upstreams, zones) = (view.upstreams(), view.zones());
        let at = self.at;
        self.at += 1;
        if at == 0 {
            let about = view.about();
            let mut object = Object::begin(pieces);
            object.number("schema", u64::from(SCHEMA));
            object.text("version", about.version.as_bytes());
            object.text("nginx", about.nginx.as_bytes());
            object.number("time", about.now);
            if let Some(it) = &about.cluster {
                object.object("cluster", |object| cluster(it, object));
            }
            object.name("upstreams").push("[");
            return true;
        }
        // Of the upstreams, then of the zones.
        let at = at - 1;
        if at < upstreams {
            if at > 0 {
                pieces.push(",");
            }
            upstream(&view.upstream(at, Wanted::All), view, pieces);
            return true;
        }
        let at = at - upstreams;
        if at == 0 {
            pieces.push("],\"zones\":[");
        } else {
            pieces.push(",");
        }
        if at < zones {
            zone(&view.zone(at), pieces);
        }
        if at + 1 < zones {
            return true;
        }
        pieces.push("]}\n");
        false
    }
}

/// Why a request is refused.
pub fn refusal(status: u16, why: &str) -> Vec<u8> {
    let mut text = Vec::new();
    {
        let mut out = |piece: &[u8]| text.extend_from_slice(piece);
        let mut pieces = Pieces::new(&mut out);
        let mut object = Object::begin(&mut pieces);
        object.number("schema", u64::from(SCHEMA));
        object.object("error", |error| {
            error.number("status", u64::from(status));
            error.text("text", why.as_bytes());
        });
        object.end();
        pieces.push("\n");
    }
    text
}

/// What was done.
pub fn done(done: &Done) -> Vec<u8> {
    let mut text = Vec::new();
    {
        let mut out = |piece: &[u8]| text.extend_from_slice(piece);
        let mut pieces = Pieces::new(&mut out);
        let mut object = Object::begin(&mut pieces);
        object.number("schema", u64::from(SCHEMA));
        object.object("done", |object| {
            object.text("action", done.action.as_bytes());
            object.text("upstream", &done.upstream);
            if let Some(server) = &done.server {
                object.text("server", server);
            }
            object.text("text", done.text.as_bytes());
            object.optional("sessions", done.sessions);
            match &done.found {
                None => {}
                Some(None) => {
                    object.name("session").push("null");
                }
                Some(Some(found)) => object.object("session", |object| session(found, object)),
            }
        });
        object.end();
        pieces.push("\n");
    }
    text
}

fn session(found: &Found, object: &mut Object<'_, '_>) {
    if let Some(server) = &found.server {
        object.text("server", server);
    }
    object.number("age", found.age);
    object.number("unused_for", found.unused_for);
    object.truth("in_use", found.is_in_use);
}

/// An object that is being written.
struct Object<'p, 'o> {
    pieces: &'p mut Pieces<'o>,
    is_empty: bool,
}

impl<'p, 'o> Object<'p, 'o> {
    fn begin(pieces: &'p mut Pieces<'o>) -> Self {
        pieces.push("{");
        Self {
            pieces,
            is_empty: true,
        }
    }

    fn end(self) {
        self.pieces.push("}");
    }

    /// Names are those of this file: nothing in them needs an escape.
    fn name(&mut self, name: &str) -> &mut Pieces<'o> {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.pieces.push(",");
        }
        self.pieces.push("\"").push(name).push("\":")
    }

    fn number(&mut self, name: &str, number: u64) {
        self.name(name).number(number);
    }

    fn optional(&mut self, name: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.number(name, number);
        }
    }

    fn truth(&mut self, name: &str, truth: bool) {
        self.name(name).push(if truth { "true" } else { "false" });
    }

    fn text(&mut self, name: &str, text: &[u8]) {
        self.name(name).push(shown::json(text));
    }

    fn object(&mut self, name: &str, write: impl FnOnce(&mut Object<'_, 'o>)) {
        let mut object = Object::begin(self.name(name));
        write(&mut object);
        object.end();
    }

    fn list<T>(&mut self, name: &str, all: &[T], mut write: impl FnMut(&T, &mut Pieces<'o>)) {
        self.name(name).push("[");
        for (at, one) in all.iter().enumerate() {
            if at > 0 {
                self.pieces.push(",");
            }
            write(one, self.pieces);
        }
        self.pieces.push("]");
    }

    fn counts<'n>(&mut self, name: &str, counts: impl Iterator<Item = (&'n str, u64)>) {
        self.object(name, |object| {
            for (name, count) in counts {
                object.number(name, count);
            }
        });
    }
}

fn upstream(it: &Upstream<'_>, view: &dyn View, pieces: &mut Pieces<'_>) {
    let zone = it.zone.map(|at| view.zone(at));
    let zone = zone.as_ref();
    let mut object = Object::begin(pieces);
    object.text("name", it.name);
    object.list("directives", &it.directives, |line, pieces| {
        pieces.push(shown::json(line));
    });
    object.text("mode", it.mode.name().as_bytes());
    object.truth("by_nginx", it.is_nginx);
    if it.is_dry_run {
        object.truth("dry_run", true);
    }
    if let Some(zone) = zone {
        object.text("zone", zone.name);
    }
    if let Some(share) = it.share {
        object.text("share", share);
    }
    let verdict = Verdict::of(it, zone, view.about().now);
    object.object("verdict", |object| {
        object.text("standing", verdict.standing.name().as_bytes());
        object.text("text", verdict.text.as_bytes());
        if let Some(cause) = verdict.cause {
            object.text("cause", cause.name().as_bytes());
        }
    });
    if let Some(sums) = &it.sums {
        write_sums(sums, it, &mut object);
    }
    if let Some(findings) = &it.discovered {
        object.object("discover", |object| discovered(findings, object));
    }
    object.list("servers", &it.servers, server);
    object.end();
}

fn discovered(it: &Findings, object: &mut Object<'_, '_>) {
    object.number("begun", it.begun);
    object.number("until", it.until);
    object.number("requests", it.requests);
    object.number("clients", it.clients);
    object.list("candidates", &it.candidates, |it, pieces| {
        let mut object = Object::begin(pieces);
        object.text("directive", it.directive.as_bytes());
        if let Some(why) = it.uncertain {
            object.text("uncertain", why.as_bytes());
        }
        object.list("out", &it.out, |place, pieces| {
            pieces.push(shown::json(place.as_bytes()));
        });
        object.list("back", &it.back, |place, pieces| {
            pieces.push(shown::json(place.as_bytes()));
        });
        object.number("seen", it.seen);
        object.number("returned", it.returned);
        object.number("requests", it.requests);
        object.number("astray", it.astray);
        object.end();
    });
    if let Some(why) = it.why {
        object.text("why", why.as_bytes());
    }
}

fn write_sums(sums: &Sums, it: &Upstream<'_>, object: &mut Object<'_, '_>) {
    object.optional("since", sums.since);
    object.optional("grown", sums.grown);
    let names = Status::ALL.iter().map(|it| it.name());
    object.counts("requests", names.zip(sums.requests));
    object.number("steered", sums.steered());
    object.number("balanced", sums.balanced());
    object.number("planned", sums.planned);
    let names = Skip::ALL.iter().map(|it| it.name());
    object.counts("skipped", names.zip(sums.skipped));
    if it.mode.learns() {
        let names = Source::ALL.iter().map(|it| it.name());
        object.counts("learned", names.zip(sums.learned));
        let names = Move::ALL.iter().map(|it| it.name());
        object.counts("moved", names.zip(sums.moved));
        let names = Forget::ALL.iter().map(|it| it.name());
        object.counts("forgotten", names.zip(sums.forgotten));
    }
    let mut bodies = it.bodies(sums).peekable();
    if bodies.peek().is_some() {
        object.object("bodies", |object| {
            for (reader, ends) in bodies {
                let names = BodyEnd::ALL.iter().map(|it| it.name());
                object.counts(reader.name(), names.zip(ends.iter().copied()));
            }
        });
        object.number("body_bytes", sums.body_bytes);
    }
}

fn server(it: &Server<'_>, pieces: &mut Pieces<'_>) {
    let mut object = Object::begin(pieces);
    object.text("name", &it.name);
    if let Some(route) = &it.route {
        object.text("route", route);
    }
    object.truth("backup", it.is_backup);
    object.truth("down", it.is_down);
    object.truth("draining", it.is_draining || it.drain.is_some());
    if let Some(drain) = it.drain {
        object.object("drain", |object| {
            let by = if drain.is_announced { "server" } else { "hand" };
            object.text("by", by.as_bytes());
            object.number("since", drain.since);
            object.optional("until", drain.until);
        });
    }
    object.optional("max_sessions", it.max_sessions);
    if it.max_sessions.is_some() {
        object.truth("at_limit", it.is_full);
    }
    sessions(it.sessions, &mut object);
    object.optional("hits", it.hits);
    object.optional("last_use", it.last_use);
    object.end();
}

fn sessions(counted: Option<Sessions>, object: &mut Object<'_, '_>) {
    if let Some(sessions) = counted {
        object.object("sessions", |object| {
            object.number("in_use", sessions.in_use);
            object.number("unused", sessions.unused);
            object.optional("counted", sessions.counted);
        });
    }
}

fn zone(it: &Zone<'_>, pieces: &mut Pieces<'_>) {
    let mut object = Object::begin(pieces);
    object.text("name", it.name);
    object.number("capacity", it.capacity);
    sessions(it.sessions, &mut object);
    object.number("learned", it.learned);
    object.object("evicted", |object| {
        object.number("in_use", it.evicted_in_use);
        object.number("unused", it.evicted_unused);
        object.optional("last", it.last_eviction);
    });
    object.number("refused", it.refused);
    if let Some(file) = &it.state {
        object.object("state", |object| state(file, object));
    }
    object.end();
}

fn cluster(it: &Cluster<'_>, object: &mut Object<'_, '_>) {
    object.text("store", &it.store);
    object.truth("up", it.is_up);
    object.optional("last_contact", it.last_contact);
    object.number("nodes", it.nodes);
    object.number("lag_ms", it.lag);
    object.number("pending", it.pending);
    object.number("sent", it.sent);
    object.number("received", it.received);
    object.number("dropped", it.dropped);
    object.number("refused", it.refused);
    object.number("store_lost", it.lost);
}

fn state(file: &StateFile<'_>, object: &mut Object<'_, '_>) {
    object.text("file", &file.path);
    object.optional("written", file.written);
    object.number("errors", file.errors);
    object.truth("failing", file.is_failing);
}
