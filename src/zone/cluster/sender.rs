//! The thread that puts what workers have noted into the stream.

use std::sync::atomic::Ordering::Acquire;
use std::sync::{MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use sticky_core::cluster::hand_drains::ToSend;
use sticky_core::cluster::statistics::add;
use sticky_core::cluster::wire::{Entry, MOST_RECORDS};
use sticky_core::cluster::{Record, Seconds};

use super::applying::Tables;
use super::known::Known;
use super::link::{refused, run_of, taken, Backoff};
use super::shared::Context;
use super::store::{Store, StoreError};

/// Between two looks at the orders of operators, if nobody has said that there are some.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Entries of one round trip.
const MOST_ENTRIES: usize = 16;

/// Between two looks at the journal, while something came within the last second, and else.
const SHORT_NAP: Duration = Duration::from_millis(1);
const NAP: Duration = Duration::from_millis(10);
const BUSY: Duration = Duration::from_secs(1);

/// Works until the lease is lost.
pub fn run(context: &Context<'_>) {
    let mut backoff = Backoff::new();
    let tables = Tables::of(context);
    while context.goes_on() {
        if let Err(error) = serve(context, &tables, &mut backoff) {
            // The receiver tells when the store is away. This may be all that it refuses.
            if let StoreError::Refused(_) = error {
                refused(context, &error);
            }
            context.sleep(backoff.next());
        }
    }
}

fn serve<'a>(
    context: &Context<'a>,
    tables: &Tables<'a>,
    backoff: &mut Backoff,
) -> Result<(), StoreError> {
    let fit = context.shared.fit.load(Acquire);
    if fit == 0 {
        thread::sleep(NAP);
        return Ok(());
    }
    let mut store = Store::connect(&context.plan.access)?;
    if run_of(&mut store)? != fit {
        // The receiver has not met it yet.
        context.sleep(NAP);
        return Ok(());
    }
    let mut known = None;
    let sent = send(context, tables, &mut store, fit, &mut known, backoff);
    if let Some((since, _)) = known {
        context.header.must_fill(since);
    }
    sent
}

/// Sends what there is to send, as long as the receiver finds the store fit. What is left of `known`
/// when it ends was not sent.
fn send<'t>(
    context: &Context<'_>,
    tables: &'t Tables<'_>,
    store: &mut Store,
    fit: u64,
    known: &mut Option<(Seconds, Known<'t>)>,
    backoff: &mut Backoff,
) -> Result<(), StoreError> {
    let mut busy_until = Instant::now();
    let mut drains = Drains::default();
    while context.goes_on() && context.shared.fit.load(Acquire) == fit {
        let mut is_busy = send_notes(context, tables, store, fit)?;
        drains.send(context, store, fit)?;
        if context.journal().take_overflow() {
            context.header.must_fill(0);
        }
        if known.is_none() {
            let since = context.header.take_fill();
            *known = since.map(|since| (since, Known::of(context, tables, since)));
        }
        if let Some((_, all)) = known {
            if !send_known(context, store, all)? {
                *known = None;
            }
            is_busy = true;
        }
        let now = Instant::now();
        if is_busy {
            // It takes what is sent.
            *backoff = Backoff::new();
            busy_until = now + BUSY;
        } else {
            thread::sleep(if now < busy_until { SHORT_NAP } else { NAP });
        }
    }
    Ok(())
}

/// What operators have ordered.
#[derive(Default)]
struct Drains {
    changes: u64,
    looked: Option<Instant>,
}

impl Drains {
    /// Sends what there is to send.
    fn send(
        &mut self,
        context: &Context<'_>,
        store: &mut Store,
        fit: u64,
    ) -> Result<(), StoreError> {
        let drains = context.header.drains();
        let changes = drains.changes();
        // A worker that has ended before it could say so is the reason to look without that.
        let is_due = self.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY);
        if changes == self.changes && !is_due {
            return Ok(());
        }
        let _sending = sending(context);
        if context.shared.fit.load(Acquire) != fit {
            return Ok(());
        }
        let all: Vec<ToSend> = drains.to_send().collect();
        for some in all.chunks(MOST_RECORDS) {
            let records = some
                .iter()
                .filter_map(|it| it.drain.record(it.server, it.change));
            let mut entries = Vec::new();
            seal(context, &mut entries, None, records.collect());
            append(context, store, &entries)?;
            if !context.goes_on() {
                return Ok(());
            }
            some.iter().for_each(|it| drains.note_sent(it));
            add(&context.header.statistics.records_out, some.len() as u64);
        }
        self.changes = changes;
        self.looked = Some(Instant::now());
        Ok(())
    }
}

/// While the receiver goes back to what was sent before, nothing is sent.
fn sending<'c>(context: &'c Context<'_>) -> MutexGuard<'c, ()> {
    let sending = context.shared.sending.lock();
    sending.unwrap_or_else(PoisonError::into_inner)
}

/// Sends what was noted, some entries of it. Returns whether there was anything.
fn send_notes(
    context: &Context<'_>,
    tables: &Tables<'_>,
    store: &mut Store,
    fit: u64,
) -> Result<bool, StoreError> {
    let journal = context.journal();
    let _sending = sending(context);
    // The receiver has gone on with another store meanwhile, or another run of it.
    if context.shared.fit.load(Acquire) != fit {
        return Ok(false);
    }
    let from = journal.sent();
    let waiting = journal.tail().wrapping_sub(from);
    if waiting == 0 {
        return Ok(false);
    }
    let most = (MOST_ENTRIES * MOST_RECORDS) as u64;
    let to = from + waiting.min(most);
    let now = context.store_seconds();
    let mut entries = Vec::new();
    let mut entry = Unsealed::new(context, from);
    let mut count = 0;
    for position in from..to {
        // What is not there any more was written over: it is missing in the stream.
        let record = journal.at(position).and_then(|note| {
            let record = tables.record_of(&note, now);
            // A scope of another configuration: what it says is in the table.
            record.or_else(|| {
                context.header.must_fill(0);
                tables.nothing(&note, now)
            })
        });
        match record {
            Some(record) => {
                entry.records.push(record);
                count += 1;
            }
            None => entry.end(&mut entries, position + 1),
        }
        if entry.records.len() == MOST_RECORDS {
            entry.end(&mut entries, position + 1);
        }
    }
    entry.end(&mut entries, to);
    append(context, store, &entries)?;
    if !context.goes_on() {
        // Another thread sends from where this one has begun: what comes twice is known by its place.
        return Ok(false);
    }
    journal.set_sent(to);
    add(&context.header.statistics.records_out, count);
    Ok(true)
}

/// Sends the next sessions of all tables. Returns whether there are more.
fn send_known(
    context: &Context<'_>,
    store: &mut Store,
    known: &mut Known<'_>,
) -> Result<bool, StoreError> {
    let mut entries = Vec::new();
    let mut count = 0;
    let mut is_more = true;
    while is_more && entries.len() < MOST_ENTRIES {
        let records: Vec<Record> = known.take(MOST_RECORDS).collect();
        is_more = records.len() == MOST_RECORDS;
        count += records.len() as u64;
        seal(context, &mut entries, None, records);
    }
    append(context, store, &entries)?;
    add(&context.header.statistics.records_out, count);
    Ok(is_more)
}

fn append(context: &Context<'_>, store: &mut Store, entries: &[Vec<u8>]) -> Result<(), StoreError> {
    if entries.is_empty() || !context.goes_on() {
        return Ok(());
    }
    store.append(&context.plan.stream(), entries)?;
    taken(context);
    Ok(())
}

/// Records for an entry.
struct Unsealed<'a, 'c> {
    context: &'a Context<'c>,
    first: u64,
    records: Vec<Record>,
}

impl<'a, 'c> Unsealed<'a, 'c> {
    fn new(context: &'a Context<'c>, first: u64) -> Self {
        Self {
            context,
            first,
            records: Vec::new(),
        }
    }

    /// Ends the entry, if there is anything in it. The next one begins with that position.
    fn end(&mut self, entries: &mut Vec<Vec<u8>>, next: u64) {
        let records = std::mem::take(&mut self.records);
        seal(self.context, entries, Some(self.first), records);
        self.first = next;
    }
}

fn seal(
    context: &Context<'_>,
    entries: &mut Vec<Vec<u8>>,
    first: Option<u64>,
    records: Vec<Record>,
) {
    if records.is_empty() {
        return;
    }
    let entry = Entry {
        node: context.header.node(),
        term: context.shared.lease.term(),
        first,
        records,
    };
    // Times that cannot be written are of no session.
    entries.extend(entry.encode(&context.plan.seals.current));
}
