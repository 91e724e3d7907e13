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
use super::link::{found, lost, run_of, Backoff};
use super::shared::Context;
use super::snapshots::{self, Snapshots};
use super::store::{Store, StoreError, StreamId};

/// Entries of one round trip, and how long the store waits for some.
const MOST_ENTRIES: usize = 64;
const WAIT: Duration = Duration::from_millis(50);

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
        told_odd: false,
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
    told_odd: bool,
}

impl Receiver<'_, '_> {
    fn serve(&mut self, backoff: &mut Backoff) -> Result<(), StoreError> {
        let context = self.context;
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
        self.attend(&mut store)?;
        context.shared.fit.store(run, Release);
        found(context);
        *backoff = Backoff::new();
        let mut looked = Instant::now();
        while context.goes_on() {
            self.follow(&mut store, WAIT)?;
            if looked.elapsed() >= LOOK_EVERY {
                looked = Instant::now();
                self.look_at_clock(&mut store)?;
                if run_of(&mut store)? != run || !self.is_in_place(&mut store)? {
                    // Begins anew.
                    return Ok(());
                }
                self.attend(&mut store)?;
                self.mark();
                self.snapshots
                    .look(context, &mut store, &mut self.applying)?;
            }
        }
        Ok(())
    }

    fn look_at_clock(&self, store: &mut Store) -> Result<(), StoreError> {
        let context = self.context;
        let asked = monotonic_now();
        let (time, took) = store.time()?;
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let clock = &context.header.clock;
        let guessed = (!clock.is_set()).then(|| context.store_milliseconds());
        clock.set(time, asked * 1000, took);
        let ahead = clock.milliseconds(0) as i64;
        context.journal().see_clock(ahead);
        if let Some(guessed) = guessed {
            let ahead = context.store_milliseconds() as i64 - guessed as i64;
            context.header.drains().shift(ahead / 1000);
        }
        let statistics = &context.header.statistics;
        statistics.last_contact.store(time / 1_000_000, Relaxed);
        Ok(())
    }

    /// Says that this node is there, and counts those that do.
    fn attend(&self, store: &mut Store) -> Result<(), StoreError> {
        let context = self.context;
        let NodeId(node) = context.header.node();
        let name: String = node.iter().map(|byte| format!("{byte:02x}")).collect();
        let list = context.plan.key(NODES);
        let now = context.store_seconds();
        let count = store.attend(&list, name.as_bytes(), now, NODE_LASTS)?;
        context.header.statistics.nodes.store(count, Relaxed);
        Ok(())
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
        let mut position = Position::default();
        let mut count = 0;
        if let Some(manifest) = &manifest {
            count = snapshots::load(context, store, manifest, &mut self.applying, is_new)?;
            position = manifest.position;
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
        // Else the stream was trimmed behind a snapshot that has what was applied.
        let is_lost = is_other_run || position < before;
        if !is_new && !is_empty && is_lost {
            // Others may not have what was applied from entries that are lost.
            let last = store.last_until(&context.plan.stream(), StreamId::of(before))?;
            header.must_fill(lost_since(before.ms, last.map(|last| last.ms)));
        }
        header.set_position(position);
        if !is_new {
            add(&header.statistics.begun_anew, 1);
            self.send_again(is_empty);
            header.drains().tell_all();
        }
        drop(sending);
        // A node that has just begun serves when it has what was there.
        let target = stream.map(|state| state.last).unwrap_or_default();
        while is_new && context.goes_on() && StreamId::of(header.position()) < target {
            if self.follow(store, Duration::ZERO)? == 0 {
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

    /// Applies what comes next in the stream. Returns how many entries.
    fn follow(&mut self, store: &mut Store, wait: Duration) -> Result<usize, StoreError> {
        let context = self.context;
        let after = before(context.header.position());
        let stream = context.plan.stream();
        let entries = store.read(&stream, after, MOST_ENTRIES, wait)?;
        let count = entries.len();
        for (id, bytes) in entries {
            if !context.goes_on() {
                break;
            }
            self.apply(id, &bytes);
        }
        Ok(count)
    }

    fn apply(&mut self, id: StreamId, bytes: &[u8]) {
        let context = self.context;
        let header = context.header;
        let at = |records: u32| Position {
            ms: id.ms,
            sequence: id.sequence,
            records,
        };
        match Entry::decode(bytes, &context.plan.seals) {
            Ok((entry, _)) => {
                let known = header.position();
                let done = match at(0) <= known {
                    true => known.records as usize,
                    false => 0,
                };
                self.apply_records(&entry, id.ms / 1000, done, |records| {
                    header.set_position(at(records));
                });
                let lag = context.store_milliseconds().saturating_sub(id.ms);
                header.statistics.lag.store(lag, Relaxed);
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
