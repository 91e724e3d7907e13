//! The thread that follows the stream: brings what other nodes have into the tables, in the order that
//! all agree on, and keeps an eye on the store.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use sticky_core::cluster::header::{Flag, Position};
use sticky_core::cluster::place::lost_since;
use sticky_core::cluster::statistics::add;
use sticky_core::cluster::wire::{DecodeError, Entry, NodeId};
use sticky_core::cluster::{Change, Record, Seconds};

use crate::ngx::clock::monotonic_now;
use crate::ngx::log::Level;

use super::applying::Applying;
use super::lately::Lately;
use super::link::{digest_of, found, lost, run_of, Backoff};
use super::shared::Context;
use super::snapshots::{self, Asked, Snapshots};
use super::store::{LookFor, Store, StoreError, StreamId};

/// Entries of one round trip.
const MOST_ENTRIES: usize = 64;

/// How long the store waits for some: as long as a round trip takes, as what comes in the other half of
/// the time waits for the next question. At least so long, and at most.
const WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_millis(400);

/// Between two looks at the store itself: its clock, which run of the server it is.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What was sent within so many seconds is sent again after the store has lost its place.
const SENT_AGAIN: usize = 10;

/// A node is counted that has said that it is there in so many seconds. It does so with each look.
const NODE_LASTS: u64 = 15;

/// The list of nodes in the store, behind the prefix.
const NODES: &[u8] = b"nodes";

/// Works until the lease is lost.
pub fn run(context: &Context<'_>) {
    let mut backoff = Backoff::new();
    let mut receiver = Receiver {
        context,
        applying: Applying::new(context, context.journal()),
        marks: VecDeque::new(),
        snapshots: Snapshots::default(),
        lately: Lately::default(),
        told_odd: false,
        wait: WAIT,
    };
    while context.goes_on() {
        let served = receiver.serve(&mut backoff);
        context.shared.fit.store(0, Release);
        if let Err(error) = served {
            if context.goes_on() {
                lost(context, &error);
                context.sleep(backoff.next());
            }
        }
    }
}

struct Receiver<'a, 'c> {
    context: &'a Context<'c>,
    applying: Applying<'c>,
    /// Where the journal was in each of the last seconds.
    marks: VecDeque<u64>,
    snapshots: Snapshots,
    lately: Lately,
    told_odd: bool,
    /// How long the store is to wait for entries.
    wait: Duration,
}

/// What this node is called in the list of nodes.
struct Nodes {
    stream: Vec<u8>,
    list: Vec<u8>,
    name: String,
}

impl Nodes {
    fn of(context: &Context<'_>) -> Self {
        let NodeId(node) = context.header.node();
        Self {
            stream: context.plan.stream(),
            list: context.plan.key(NODES),
            name: node.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// Says that this node is there, counts those that do, and asks whether the stream still has the
    /// entry that was applied last.
    fn look_for(&self, context: &Context<'_>) -> LookFor<'_> {
        let position = context.header.position();
        LookFor {
            stream: &self.stream,
            place: (position != Position::default()).then(|| StreamId::of(position)),
            list: &self.list,
            member: self.name.as_bytes(),
            now: context.store_seconds(),
            lasts: NODE_LASTS,
        }
    }
}

impl Receiver<'_, '_> {
    fn serve(&mut self, backoff: &mut Backoff) -> Result<(), StoreError> {
        let context = self.context;
        self.snapshots.begin_anew();
        self.wait = WAIT;
        let mut store = Store::connect(&context.plan.access)?;
        self.look_at_clock(&mut store)?;
        self.look_at_policy(&mut store)?;
        let run = run_of(&mut store)?;
        let is_other_run = context.header.run() != run;
        self.find_place(&mut store, is_other_run)?;
        context.header.set(Flag::Joined, true);
        context.header.note_run(run);
        if is_other_run {
            self.send_unreturned();
        }
        let nodes = Nodes::of(context);
        let count = store.attend(&nodes.look_for(context))?;
        context.header.statistics.nodes.store(count, Relaxed);
        context.shared.fit.store(run, Release);
        found(context);
        *backoff = Backoff::new();
        let mut looked = Instant::now();
        while context.goes_on() {
            let is_due = looked.elapsed() >= LOOK_EVERY;
            if is_due {
                looked = Instant::now();
            }
            if !self.go_on(&mut store, is_due.then_some((&nodes, run)))? {
                // Begins anew.
                return Ok(());
            }
        }
        Ok(())
    }

    /// Applies what comes next in the stream, and looks at the store itself if that is due, in one
    /// round trip. False: it is another run of it, or the place in the stream is lost.
    fn go_on(&mut self, store: &mut Store, due: Option<(&Nodes, u64)>) -> Result<bool, StoreError> {
        let context = self.context;
        let look = due.map(|(nodes, run)| (nodes.look_for(context), run));
        let asked = match &look {
            Some((what, _)) => Some((monotonic_now(), store.ask_look(what)?)),
            None => None,
        };
        // Not at once: a snapshot on its way would make the answer about the time late.
        let about_snapshot = match look.is_none() {
            true => self.snapshots.ask(context, store, &mut self.applying)?,
            false => Asked::Nothing,
        };
        self.ask_entries(store, self.wait)?;
        if let (Some((what, run)), Some((asked_at, asked))) = (&look, asked) {
            let seen = store.look(what, asked)?;
            if digest_of(&seen.run) != *run || !seen.is_in_place {
                return Ok(false);
            }
            self.set_clock(seen.time, asked_at, seen.took);
            self.wait = seen.took.clamp(WAIT, LONGEST_WAIT);
            store.set_wait(self.wait)?;
            context.header.statistics.nodes.store(seen.members, Relaxed);
            self.mark();
        }
        self.snapshots.hear(context, store, about_snapshot)?;
        self.apply_entries(store)?;
        Ok(true)
    }

    fn look_at_clock(&self, store: &mut Store) -> Result<(), StoreError> {
        let asked = monotonic_now();
        let (time, took) = store.time()?;
        self.set_clock(time, asked, took);
        Ok(())
    }

    /// The store has told its time, in microseconds, when asked at that millisecond.
    fn set_clock(&self, time: u64, asked: u64, took: Duration) {
        let context = self.context;
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let clock = &context.header.clock;
        let guessed = (!clock.is_set()).then(|| context.store_milliseconds());
        clock.set(time, asked.saturating_mul(1000), took);
        let ahead = clock.milliseconds(0) as i64;
        context.journal().see_clock(ahead);
        if let Some(guessed) = guessed {
            let ahead = context.store_milliseconds() as i64 - guessed as i64;
            context.header.drains().shift(ahead / 1000);
        }
        let statistics = &context.header.statistics;
        statistics.last_contact.store(time / 1_000_000, Relaxed);
    }

    /// Tells the operator once that the store may forget what is in it.
    fn look_at_policy(&self, store: &mut Store) -> Result<(), StoreError> {
        let context = self.context;
        let policy = store.eviction_policy()?;
        let evicts = policy.filter(|policy| policy != "noeviction");
        match evicts {
            None => drop(context.header.set(Flag::ToldPolicy, false)),
            Some(policy) if !context.header.set(Flag::ToldPolicy, true) => context.say(
                Level::Error,
                format!(
                    "the store may forget what is in it, its maxmemory-policy is {}, expected \
                     noeviction, sticky_cluster {}",
                    policy.escape_debug(),
                    context.plan.access
                ),
            ),
            Some(_) => {}
        }
        Ok(())
    }

    /// Whether the stream still has the entry that was applied last, or nothing was applied yet.
    fn is_in_place(&self, store: &mut Store) -> Result<bool, StoreError> {
        let position = self.context.header.position();
        if position == Position::default() {
            return Ok(true);
        }
        store.has(&self.context.plan.stream(), StreamId::of(position))
    }

    /// Finds the place in the stream from which to follow it. For a node that has just begun, gets what
    /// the others have first.
    fn find_place(&mut self, store: &mut Store, is_other_run: bool) -> Result<(), StoreError> {
        let context = self.context;
        let header = context.header;
        let is_new = !header.is(Flag::Joined);
        if !is_new && self.is_in_place(store)? {
            return Ok(());
        }
        let began = Instant::now();
        let sending = context.shared.sending.lock();
        let sending = sending.unwrap_or_else(PoisonError::into_inner);
        let stream = store.stream(&context.plan.stream())?;
        let manifest = snapshots::manifest(context, store)?;
        // All that is applied stays so; what only this node has, others are to get.
        let is_empty = manifest.is_none() && stream.is_none_or(|state| state.first.is_none());
        if is_new && !is_empty {
            if snapshots::may_empty(header) {
                snapshots::empty(context);
            } else {
                header.must_fill(0);
            }
        }
        if is_empty {
            header.must_fill(0);
        }
        let before = header.position();
        let mut position = manifest.as_ref().map(|manifest| manifest.position);
        // Else the stream was trimmed behind a snapshot that has what was applied.
        let is_lost = is_other_run || position.is_none_or(|position| position < before);
        let mut is_applied = false;
        if !is_new && !is_empty && is_lost {
            // Others may not have what was applied from entries that are lost.
            let last = store.last_until(&context.plan.stream(), StreamId::of(before))?;
            if let (Some(missing), Some(last)) = (self.lately.take_after(last), last) {
                store.append(&context.plan.stream(), &missing)?;
                // The snapshot would bring back what has ended since it was written.
                is_applied = true;
                position = Some(last.whole());
            }
            header.must_fill(lost_since(before.ms, last.map(|last| last.ms)));
        }
        let mut count = 0;
        if let Some(manifest) = &manifest {
            if !is_applied {
                count = snapshots::load(context, store, manifest, &mut self.applying, is_new)?;
            }
            for (node, next) in &manifest.nodes {
                let known = header.nodes().next_of(*node).unwrap_or_default();
                let heard = monotonic_now();
                header.nodes().set(*node, (*next).max(known), heard);
            }
            for (server, drain) in &manifest.drains {
                if let Some(record) = drain.record(*server, Change::DrainKnown) {
                    self.apply_drain(&record, false);
                }
            }
        }
        header.set_position(position.unwrap_or_default());
        if !is_new {
            add(&header.statistics.begun_anew, 1);
            self.send_again(is_empty);
            header.drains().tell_all();
        }
        drop(sending);
        // A node that has just begun serves when it has what was there.
        let target = stream.map(|state| state.last).unwrap_or_default();
        while is_new && context.goes_on() && StreamId::of(header.position()) < target {
            self.ask_entries(store, Duration::ZERO)?;
            if self.apply_entries(store)? == 0 {
                break;
            }
        }
        if is_new {
            let took = began.elapsed().as_millis() as u64;
            header.statistics.joined_sessions.store(count, Relaxed);
            header.statistics.joined_in.store(took, Relaxed);
            context.say(
                Level::Notice,
                format!(
                    "this nginx takes part in a cluster, {count} sessions of a snapshot in {took} \
                     ms, sticky_cluster {}",
                    context.plan.access
                ),
            );
        }
        Ok(())
    }

    /// What was sent lately is sent again. In a store that has nothing, all that has come back is told
    /// by what the tables have, and would tell of sessions as they were before.
    fn send_again(&mut self, is_empty: bool) {
        let journal = self.context.journal();
        let oldest = journal.tail().saturating_sub(journal.capacity());
        let back = journal.returned();
        let from = match self.marks.front() {
            _ if is_empty => back,
            Some(mark) => *mark,
            None => oldest,
        };
        let from = from.min(back).max(oldest);
        journal.set_sent(from.min(journal.sent()));
    }

    /// What was sent and has not come back may be missing in another server: it is sent again.
    fn send_unreturned(&self) {
        let sending = self.context.shared.sending.lock();
        let _sending = sending.unwrap_or_else(PoisonError::into_inner);
        self.context.journal().send_unreturned();
        self.context.header.drains().send_again();
    }

    /// Notes where the journal is by now.
    fn mark(&mut self) {
        self.marks.push_back(self.context.journal().sent());
        while self.marks.len() > SENT_AGAIN {
            self.marks.pop_front();
        }
    }

    /// Asks for what comes next in the stream.
    fn ask_entries(&self, store: &mut Store, wait: Duration) -> Result<(), StoreError> {
        let context = self.context;
        let after = before(context.header.position());
        store.ask_read(&context.plan.stream(), after, MOST_ENTRIES, wait)
    }

    /// Applies that. Returns how many entries.
    fn apply_entries(&mut self, store: &mut Store) -> Result<usize, StoreError> {
        let entries = store.read()?;
        let count = entries.len();
        for (id, bytes) in entries {
            if !self.context.goes_on() {
                break;
            }
            self.apply(id, bytes);
        }
        Ok(count)
    }

    fn apply(&mut self, id: StreamId, bytes: Vec<u8>) {
        let context = self.context;
        let header = context.header;
        let at = |records: u32| Position {
            ms: id.ms,
            sequence: id.sequence,
            records,
        };
        match Entry::decode(&bytes, &context.plan.seals) {
            Ok((entry, _)) => {
                let known = header.position();
                let after = before(known);
                let done = match at(0) <= known {
                    true => known.records as usize,
                    false => 0,
                };
                self.apply_records(&entry, id.ms / 1000, done, |records| {
                    header.set_position(at(records));
                });
                let lag = context.store_milliseconds().saturating_sub(id.ms);
                header.statistics.lag.store(lag, Relaxed);
                self.lately.note(after, id, bytes);
            }
            Err(error) => {
                let cell = match error {
                    DecodeError::Sealed => &header.statistics.refused_sealed,
                    _ => &header.statistics.refused_malformed,
                };
                add(cell, 1);
                if !std::mem::replace(&mut self.told_odd, true) {
                    let access = &context.plan.access;
                    context.say(
                        Level::Error,
                        format!(
                            "an entry of the stream is refused, {error}, sticky_cluster {access}"
                        ),
                    );
                }
            }
        }
        header.set_position(at(Position::WHOLE));
    }

    /// Applies the records of an entry behind those that are done.
    fn apply_records(
        &mut self,
        entry: &Entry,
        second: Seconds,
        done: usize,
        applied: impl Fn(u32),
    ) {
        let context = self.context;
        let header = context.header;
        let is_own = entry.node == header.node();
        let next = header.nodes().next_of(entry.node);
        for (at, record) in entry.records.iter().enumerate().skip(done) {
            let position = entry.first.map(|first| first + at as u64);
            let is_known = position
                .zip(next)
                .is_some_and(|(position, next)| position < next);
            let own = position.filter(|_| is_own);
            if is_known {
                // A snapshot has it, or it was sent twice.
                if let Some(position) = own {
                    self.applying.pass(position, second);
                }
            } else {
                let is_applied = match record.change.is_of_session() {
                    true => self.applying.apply(record, second, own),
                    false => self.apply_drain(record, is_own),
                };
                if !is_applied {
                    add(&header.statistics.refused_records, 1);
                }
                self.snapshots.note_change();
                match is_own {
                    true => add(&header.statistics.records_returned, 1),
                    false => add(&header.statistics.records_in, 1),
                }
            }
            applied(at as u32 + 1);
        }
        self.note_applied(entry, next);
    }

    /// Applies what a node has told of a drain.
    fn apply_drain(&self, record: &Record, is_own: bool) -> bool {
        let now = monotonic_now() / 1000;
        self.context.header.drains().apply(record, is_own, now)
    }

    /// Notes how far the journal of a node was applied.
    fn note_applied(&self, entry: &Entry, next: Option<u64>) {
        let header = self.context.header;
        let end = entry.first.map(|first| first + entry.records.len() as u64);
        let known = next.unwrap_or_default();
        let end = end.unwrap_or_default().max(known);
        header.nodes().set(entry.node, end, monotonic_now());
    }
}

/// The place after which the first entry is of which something was not applied.
fn before(position: Position) -> StreamId {
    let id = StreamId::of(position);
    match (position.records, id.sequence) {
        (Position::WHOLE, _) => id,
        (_, 0) => StreamId {
            ms: id.ms.saturating_sub(1),
            sequence: u64::MAX,
        },
        (_, sequence) => StreamId {
            ms: id.ms,
            sequence: sequence - 1,
        },
    }
}
