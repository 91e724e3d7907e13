//! Servers that operators have drained or put back, as all nodes agree on it, in shared memory.
//!
//! An order of this node counts here at once, and is its own until it has come back in the stream.
//! What the stream says is the same at all nodes: of two orders the later entry wins. An own order
//! that is on its way is later than whatever comes before it, so until it is back it stands.
//!
//! A server is known by its fingerprint in its upstream alone. One that was put back is remembered, so
//! that a node that has been away hears of it.
//!
//! Workers give orders, one thread sends, one applies. Each value is one word, so whoever of them ends
//! at any instruction leaves a value that was or one that is.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst};

use super::record::{Record, Seconds};
use crate::table::sync::AtomicU128;
use crate::table::{Change, Fingerprint, Key};

/// Servers that are remembered. Then the one that was not named for longest goes.
pub const MOST_DRAINS: usize = 1024;

/// A server that the configuration has not named for so many seconds is forgotten, as its drain is
/// where it is counted.
pub const UNNAMED_LASTS: u64 = 3600;

/// Bits of a time in a word: seconds since 1970.
const TIME_BITS: u32 = 42;
const TIME_MASK: u128 = (1 << TIME_BITS) - 1;
const ORDERED_SHIFT: u32 = TIME_BITS;
const SINCE_SHIFT: u32 = 2 * TIME_BITS;
const KIND_SHIFT: u32 = 3 * TIME_BITS;
const DRAINED: u64 = 1;
const PUT_BACK: u64 = 2;

/// In the key of a record: kind and end of the drain.
const KIND_BITS: u32 = 2;

/// What an operator has ordered of a server. Times are those of the store's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HandDrain {
    /// It gets no new sessions; else it gets them again.
    pub is_drained: bool,
    /// From this second on, its own sessions go elsewhere, too. `None`: they stay.
    pub until: Option<Seconds>,
    /// When the drain began.
    pub since: Seconds,
    /// When this was ordered.
    pub ordered: Seconds,
}

impl HandDrain {
    fn bits(&self) -> u128 {
        let time = |seconds: Seconds| u128::from(seconds).min(TIME_MASK);
        // What comes back is what was sent, and that has no drain that begins after its order.
        u128::from(self.kind()) << KIND_SHIFT
            | time(self.since.min(self.ordered)) << SINCE_SHIFT
            | time(self.ordered) << ORDERED_SHIFT
            | time(self.until.unwrap_or_default())
    }

    fn of_bits(bits: u128) -> Option<HandDrain> {
        let time = |shift: u32| (bits >> shift & TIME_MASK) as Seconds;
        let until = time(0);
        Some(HandDrain {
            is_drained: is_drained((bits >> KIND_SHIFT) as u64)?,
            until: (until != 0).then_some(until),
            since: time(SINCE_SHIFT),
            ordered: time(ORDERED_SHIFT),
        })
    }

    fn kind(&self) -> u64 {
        match self.is_drained {
            true => DRAINED,
            false => PUT_BACK,
        }
    }

    /// As it travels: [`Change::Drained`] for an order, [`Change::DrainKnown`] for what a node knows of
    /// one.
    pub fn record(&self, server: Fingerprint, change: Change) -> Option<Record> {
        let drain = HandDrain::of_bits(self.bits())?;
        let until = drain.until.unwrap_or_default();
        Some(Record {
            change,
            key: Key::from_bits(until << KIND_BITS | drain.kind())?,
            scope: 0,
            server,
            from: None,
            seen: drain.ordered,
            created: drain.since,
            confirmed: false,
        })
    }

    /// What a record says. `None`: it is of no drain.
    pub fn of_record(record: &Record) -> Option<HandDrain> {
        let bits = record.key.get();
        let until = bits >> KIND_BITS;
        let drain = HandDrain {
            is_drained: is_drained(bits & ((1 << KIND_BITS) - 1))?,
            until: (until != 0).then_some(until),
            since: record.created,
            ordered: record.seen,
        };
        let is_time = |time: Seconds| u128::from(time) <= TIME_MASK;
        let times = [until, record.created, record.seen];
        let is_drain = matches!(record.change, Change::Drained | Change::DrainKnown);
        let is_right = record.created <= record.seen && times.into_iter().all(is_time);
        (is_drain && is_right).then_some(drain)
    }

    /// Which of two that nodes know of old stays: the greater one.
    fn order(&self) -> (Seconds, u128) {
        (self.ordered, self.bits())
    }

    /// The same after the clock was found to be so many seconds ahead of what it was taken for.
    fn shifted(self, ahead: i64) -> HandDrain {
        let shift = |time: Seconds| time.saturating_add_signed(ahead);
        HandDrain {
            until: self.until.map(shift),
            since: shift(self.since),
            ordered: shift(self.ordered),
            ..self
        }
    }
}

fn is_drained(kind: u64) -> Option<bool> {
    match kind {
        DRAINED => Some(true),
        PUT_BACK => Some(false),
        _ => None,
    }
}

/// Others know what is agreed; they are to be told; they were, but that has not come back.
const NOTHING: u64 = 0;
const TO_TELL: u64 = 1;
const TOLD: u64 = 2;

/// What is remembered of a server.
#[repr(C)]
#[derive(Debug)]
pub struct HandDrainCells {
    /// Its fingerprint; 0: there is none.
    server: AtomicU128,
    /// What the stream says, see [`HandDrain::bits`]; 0: nothing.
    agreed: AtomicU128,
    /// An order of this node that has not come back; 0: there is none.
    own: AtomicU128,
    /// The order that was sent last.
    sent: AtomicU128,
    /// What was done to the server.
    done: AtomicU128,
    /// Whether others are to be told what is agreed: [`NOTHING`], [`TO_TELL`], [`TOLD`].
    tell: AtomicU64,
    /// When the configuration was last known to name it, in seconds of the monotonic clock.
    named: AtomicU64,
}

impl HandDrainCells {
    #[cfg(not(feature = "model"))]
    pub(super) const fn new() -> HandDrainCells {
        HandDrainCells {
            server: AtomicU128::new(0),
            agreed: AtomicU128::new(0),
            own: AtomicU128::new(0),
            sent: AtomicU128::new(0),
            done: AtomicU128::new(0),
            tell: AtomicU64::new(0),
            named: AtomicU64::new(0),
        }
    }

    /// As in new memory.
    pub(super) fn clear(&self) {
        self.server.store(0, SeqCst);
        for word in [&self.agreed, &self.own, &self.sent, &self.done] {
            word.store(0, SeqCst);
        }
        self.tell.store(0, SeqCst);
        self.named.store(0, SeqCst);
    }

    fn server(&self) -> Option<Fingerprint> {
        Fingerprint::from_bits(self.server.load(SeqCst))
    }

    fn drain(word: &AtomicU128) -> Option<HandDrain> {
        HandDrain::of_bits(word.load(SeqCst))
    }

    /// What counts at this node.
    fn shown(&self) -> Option<HandDrain> {
        Self::drain(&self.own).or_else(|| Self::drain(&self.agreed))
    }
}

/// Takes what another node knows of old, if it is newer than what is agreed. Returns whether it is
/// older: then that node is to be told.
fn know(cells: &HandDrainCells, drain: &HandDrain) -> bool {
    match HandDrainCells::drain(&cells.agreed) {
        Some(agreed) if agreed.order() >= drain.order() => agreed != *drain,
        _ => {
            cells.agreed.store(drain.bits(), SeqCst);
            false
        }
    }
}

/// What is to be sent of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ToSend {
    /// The server.
    pub server: Fingerprint,
    /// What of it.
    pub drain: HandDrain,
    /// [`Change::Drained`] or [`Change::DrainKnown`].
    pub change: Change,
}

/// All servers that are remembered.
#[derive(Clone, Copy)]
pub struct HandDrains<'a> {
    cells: &'a [HandDrainCells],
    /// Counts what there was to send.
    changes: &'a AtomicU64,
}

impl<'a> HandDrains<'a> {
    pub(super) fn new(cells: &'a [HandDrainCells], changes: &'a AtomicU64) -> HandDrains<'a> {
        HandDrains { cells, changes }
    }

    /// An operator has ordered something at this node, which was done. `named`: the second of the
    /// monotonic clock.
    pub fn order(&self, server: Fingerprint, drain: &HandDrain, named: u64) {
        if let Some(cells) = self.cells_for(server, named) {
            cells.done.store(drain.bits(), SeqCst);
            // Also if it is the same as one before.
            cells.sent.store(0, SeqCst);
            cells.own.store(drain.bits(), SeqCst);
            self.changes.fetch_add(1, SeqCst);
        }
    }

    /// This node knows of an order from elsewhere, of which the others are to hear. Of two orders, the
    /// later one counts.
    pub fn tell(&self, server: Fingerprint, drain: &HandDrain, named: u64) {
        if let Some(cells) = self.cells_for(server, named) {
            know(cells, drain);
            self.tell_of(cells);
        }
    }

    fn tell_of(&self, cells: &HandDrainCells) {
        cells.tell.store(TO_TELL, SeqCst);
        self.changes.fetch_add(1, SeqCst);
    }

    /// Applies a record of a drain, in the order of the stream. `is_own`: it is of this node. False: it
    /// is of no drain.
    pub fn apply(&self, record: &Record, is_own: bool, named: u64) -> bool {
        let drain = HandDrain::of_record(record);
        let Some((drain, cells)) = drain.zip(self.cells_for(record.server, named)) else {
            return false;
        };
        if record.change == Change::DrainKnown {
            if is_own {
                // Unless there is more to tell by now.
                let _ = cells.tell.compare_exchange(TOLD, NOTHING, SeqCst, SeqCst);
            }
            if know(cells, &drain) && !is_own {
                self.tell_of(cells);
            }
            return true;
        }
        cells.agreed.store(drain.bits(), SeqCst);
        if is_own {
            // Unless another order was given meanwhile.
            let own = &cells.own;
            let _ = own.compare_exchange(drain.bits(), 0, SeqCst, SeqCst);
        }
        true
    }

    /// Another number whenever there is something to send.
    pub fn changes(&self) -> u64 {
        self.changes.load(SeqCst)
    }

    /// What is to be sent.
    pub fn to_send(&self) -> impl Iterator<Item = ToSend> + 'a {
        let all = self.cells.iter().flat_map(|cells| {
            let send = |drain: Option<HandDrain>, change| {
                let (server, drain) = cells.server().zip(drain)?;
                Some(ToSend {
                    server,
                    drain,
                    change,
                })
            };
            let own = cells.own.load(SeqCst);
            let is_unsent = own != cells.sent.load(SeqCst);
            let own = HandDrain::of_bits(own).filter(|_| is_unsent);
            let is_to_tell = cells.tell.load(SeqCst) == TO_TELL;
            let agreed = HandDrainCells::drain(&cells.agreed).filter(|_| is_to_tell);
            // What is agreed is older than an own order.
            [send(agreed, Change::DrainKnown), send(own, Change::Drained)]
        });
        all.flatten()
    }

    /// That was sent.
    pub fn note_sent(&self, sent: &ToSend) {
        let Some(cells) = self.find(sent.server) else {
            return;
        };
        match sent.change {
            Change::DrainKnown => {
                let _ = cells.tell.compare_exchange(TO_TELL, TOLD, SeqCst, SeqCst);
                if HandDrainCells::drain(&cells.agreed) != Some(sent.drain) {
                    self.tell_of(cells);
                }
            }
            _ => cells.sent.store(sent.drain.bits(), SeqCst),
        }
    }

    /// What has not come back may have been lost, and is to be sent again.
    pub fn send_again(&self) {
        for cells in self.cells {
            cells.sent.store(0, SeqCst);
            let _ = cells.tell.compare_exchange(TOLD, TO_TELL, SeqCst, SeqCst);
        }
        self.changes.fetch_add(1, SeqCst);
    }

    /// The store has lost what was sent, or some of it: all is to be told again.
    pub fn tell_all(&self) {
        for cells in self.cells {
            if HandDrainCells::drain(&cells.agreed).is_some() {
                self.tell_of(cells);
            }
        }
        self.send_again();
    }

    /// What the stream says of all servers.
    pub fn agreed(&self) -> impl Iterator<Item = (Fingerprint, HandDrain)> + 'a {
        let cells = self.cells.iter();
        cells.filter_map(|cells| Some((cells.server()?, HandDrainCells::drain(&cells.agreed)?)))
    }

    /// What counts at this node of a server.
    pub fn shown(&self, server: Fingerprint) -> Option<HandDrain> {
        self.find(server)?.shown()
    }

    /// Hands to `done` what counts at this node and was not done to the server yet, and whether nothing
    /// ever was, of servers that the configuration has, as `has` says. Others are forgotten when it has not named them for long.
    pub fn carry_out(
        &self,
        now: u64,
        mut has: impl FnMut(Fingerprint) -> bool,
        mut done: impl FnMut(Fingerprint, &HandDrain, bool),
    ) {
        for cells in self.cells {
            let Some(server) = cells.server() else {
                continue;
            };
            if !has(server) {
                if now.saturating_sub(cells.named.load(Relaxed)) > UNNAMED_LASTS {
                    cells.clear();
                }
                continue;
            }
            cells.named.store(now, Relaxed);
            let before = cells.done.load(SeqCst);
            let shown = cells.shown().filter(|it| it.bits() != before);
            if let Some(drain) = shown {
                done(server, &drain, before == 0);
                cells.done.store(drain.bits(), SeqCst);
            }
        }
    }

    /// The clock by which own orders were given was so many seconds behind.
    pub fn shift(&self, ahead: i64) {
        for cells in self.cells {
            let bits = cells.own.load(SeqCst);
            if let Some(drain) = HandDrain::of_bits(bits) {
                let shifted = drain.shifted(ahead).bits();
                let _ = cells.own.compare_exchange(bits, shifted, SeqCst, SeqCst);
            }
        }
    }

    fn find(&self, server: Fingerprint) -> Option<&'a HandDrainCells> {
        let mut cells = self.cells.iter();
        cells.find(|cells| cells.server.load(SeqCst) == server.bits())
    }

    fn cells_for(&self, server: Fingerprint, named: u64) -> Option<&'a HandDrainCells> {
        let cells = self.find(server).or_else(|| self.place_for(server))?;
        cells.named.fetch_max(named, Relaxed);
        Some(cells)
    }

    fn place_for(&self, server: Fingerprint) -> Option<&'a HandDrainCells> {
        for cells in self.cells {
            let place = &cells.server;
            let taken = place.compare_exchange(0, server.bits(), SeqCst, SeqCst);
            // Another process may have been faster.
            if taken.map_or_else(|known| known == server.bits(), |_| true) {
                return Some(cells);
            }
        }
        // One that was put back goes first, and of these the one that was longest ago.
        let cells = self.cells.iter().min_by_key(|cells| {
            let shown = cells.shown();
            shown.map(|drain| (drain.is_drained, drain.ordered))
        })?;
        cells.clear();
        cells.server.store(server.bits(), SeqCst);
        Some(cells)
    }
}
