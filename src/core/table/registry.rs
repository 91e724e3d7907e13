//! The registry of a zone: which server the number in a word means.
//!
//! An entry is one 128-bit word in shared memory, changed by compare-and-swap; its index is the
//! number. As everywhere in a zone, a worker may die at any instruction.
//!
//! ```text
//!   127                                56 55              28 27               0
//!  +-------------------------------------+------------------+------------------+
//!  | fingerprint 72; all 0: never given  | generation    28 | empty since   28 |
//!  +-------------------------------------+------------------+------------------+
//! ```
//!
//! A number is given to the first server that asks for it, and stays its own while there are numbers
//! that were never given. Then one without sessions is given to another server, the one that has been
//! without for longest. Everything follows from four rules:
//!
//! 1. **Never given numbers are given in order.** So two workers that register one server at once
//!    meet at the same entry. Where that fails, because numbers are reused, a server has two numbers;
//!    the lowest is the one for new sessions, and both are looked up.
//! 2. **A number is taken back only when a sweep that began after it was marked as empty has found
//!    none of its sessions, and no session came meanwhile.** Whoever writes a word with the number,
//!    be it a new session or one that is relocated past the sweep, removes the mark.
//! 3. **An entry's generation is the epoch of the registry in which it was given.** The epoch is
//!    raised before a number is reused. What was read in an older epoch than that of a number's
//!    generation is about another server.
//! 4. **Look afterwards.** Whoever has written a word of a server sees then that the number is still
//!    the server's, and removes the mark, or else the word. No client knows the id before that.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::{Acquire, SeqCst};

use super::fingerprint::Fingerprint;
use super::session::{PeerId, PEER_BITS};
use super::sync::{self, fence, AtomicU128, AtomicU64};
use super::ATTEMPTS;

/// Bits of the number of a sweep, and of a generation.
const COUNT_BITS: u32 = 28;

const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

const GENERATION_SHIFT: u32 = COUNT_BITS;
const FINGERPRINT_SHIFT: u32 = 2 * COUNT_BITS;

/// Words of a zone for each entry of its registry.
const WORDS_PER_ENTRY: usize = 64;

/// A small zone has so many entries.
const LEAST_ENTRIES: usize = 128;

/// A large one has so many.
pub(super) const MOST_ENTRIES: usize = 1 << 14;

const _: () = assert!(MOST_ENTRIES <= 1 << PEER_BITS);

/// How many whole sweeps after the one that found a number without sessions have to confirm that.
const CONFIRMATIONS: u64 = 2;

/// Entries of the registry in a zone that has so many words and entries in all.
pub fn entries_of(all: usize) -> usize {
    let entries = (all / WORDS_PER_ENTRY).clamp(LEAST_ENTRIES, MOST_ENTRIES);
    // Of a zone without room for both, most is for words.
    entries.min(all / 4)
}

/// What the workers must agree on besides the entries.
#[repr(C)]
#[derive(Debug, Default)]
pub struct RegistryHead {
    /// Raised before a number is reused.
    epoch: AtomicU64,
    /// Whole sweeps of the table.
    sweeps: AtomicU64,
}

/// The epoch of a registry. Numbers that were read in it stay valid until it has changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Epoch(u64);

/// The registry of a zone, in memory that it does not own.
#[derive(Clone, Copy)]
pub struct Registry<'a> {
    head: &'a RegistryHead,
    entries: &'a [AtomicU128],
}

/// A server that is registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registration {
    /// Its number in the words of its sessions.
    pub number: PeerId,
    /// The entry without a mark: its low half, its high half. A u128 would want an alignment that
    /// nginx's memory does not have.
    halves: [u64; 2],
}

#[derive(Clone, Copy)]
struct Entry(u128);

impl Entry {
    const VACANT: u128 = 0;

    fn new(fingerprint: Fingerprint, generation: u64) -> Entry {
        Entry(fingerprint.bits() << FINGERPRINT_SHIFT | u128::from(generation) << GENERATION_SHIFT)
    }

    fn fingerprint(self) -> Option<Fingerprint> {
        Fingerprint::from_bits(self.0 >> FINGERPRINT_SHIFT)
    }

    fn generation(self) -> u64 {
        (self.0 >> GENERATION_SHIFT) as u64 & COUNT_MASK
    }

    /// The sweep since which it has no sessions; 0: it may have some.
    fn empty_since(self) -> u64 {
        self.0 as u64 & COUNT_MASK
    }

    fn without_mark(self) -> Entry {
        Entry(self.0 & !u128::from(COUNT_MASK))
    }

    fn marked(self, sweep: u64) -> Entry {
        Entry(self.without_mark().0 | u128::from(mark_of(sweep)))
    }
}

/// The number of a sweep as it stands in an entry, never 0.
fn mark_of(sweep: u64) -> u64 {
    sweep % COUNT_MASK + 1
}

impl Registration {
    /// A server with a number that no registry has given.
    pub const fn unregistered(number: PeerId) -> Registration {
        Registration {
            number,
            halves: [0; 2],
        }
    }

    fn of(index: usize, entry: Entry) -> Registration {
        let bits = entry.without_mark().0;
        Registration {
            number: PeerId::new(index as u32),
            halves: [bits as u64, (bits >> 64) as u64],
        }
    }

    #[inline]
    fn bits(&self) -> u128 {
        let [low, high] = self.halves;
        u128::from(high) << 64 | u128::from(low)
    }

    /// What is known of the server.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        Entry(self.bits()).fingerprint()
    }
}

/// What servers that are to be registered are registered as.
type Wanted = BTreeMap<Fingerprint, Option<Registration>>;

/// Of several registrations of one server, the first one counts.
fn note(known: &mut Wanted, given: Registration) {
    if let Some(place) = given.fingerprint().and_then(|it| known.get_mut(&it)) {
        place.get_or_insert(given);
    }
}

impl<'a> Registry<'a> {
    /// The registry with these entries. Of more than a number can tell apart, the rest is not used.
    pub fn new(head: &'a RegistryHead, entries: &'a [AtomicU128]) -> Registry<'a> {
        let entries = entries.get(..MOST_ENTRIES).unwrap_or(entries);
        Registry { head, entries }
    }

    /// Read it before a word or an entry, and compare it afterwards.
    #[inline]
    pub fn epoch(&self) -> Epoch {
        Epoch(self.head.epoch.load(Acquire))
    }

    /// Whether the number means the server that it meant in `epoch`.
    pub fn is_same_since(&self, number: PeerId, epoch: Epoch) -> bool {
        self.epoch() == epoch
            || self
                .entry(number)
                .is_some_and(|entry| Entry(entry.load(SeqCst)).generation() <= epoch.0 & COUNT_MASK)
    }

    /// All servers that have a number. Several numbers of one server are possible; the first of them
    /// counts for new sessions.
    pub fn registrations(&self) -> impl Iterator<Item = Registration> + 'a {
        let entries = self.entries.iter().map(|entry| entry.load(SeqCst));
        let given = entries.take_while(|bits| *bits != Entry::VACANT);
        given
            .enumerate()
            .map(|(index, bits)| Registration::of(index, Entry(bits)))
    }

    /// The server that has that number.
    pub fn registration(&self, number: PeerId) -> Option<Registration> {
        let bits = self.entry(number)?.load(SeqCst);
        let index = number.get() as usize;
        (bits != Entry::VACANT).then(|| Registration::of(index, Entry(bits)))
    }

    /// Those of them that may have sessions.
    pub fn in_use(&self) -> impl Iterator<Item = Registration> + 'a {
        let registry = *self;
        self.registrations().filter(move |registration| {
            registry
                .entry(registration.number)
                .is_some_and(|entry| entry.load(SeqCst) == registration.bits())
        })
    }

    /// Whether the number is still that server's. To be asked after a word with it was read.
    pub fn is_current(&self, registration: &Registration) -> bool {
        self.entry(registration.number)
            .is_some_and(|entry| Entry(entry.load(SeqCst)).without_mark().0 == registration.bits())
    }

    /// How many whole sweeps there were: only after another one there may be numbers to reuse.
    pub fn sweeps(&self) -> u64 {
        self.head.sweeps.load(Acquire)
    }

    /// How many numbers there are.
    pub fn capacity(&self) -> usize {
        self.entries.len()
    }

    /// The registrations of some servers, in their order, each made if there is none. `None`: there
    /// is no number that can be given to it.
    pub fn register(&self, servers: &[Fingerprint]) -> Vec<Option<Registration>> {
        // There may be many others.
        let mut known: Wanted = servers.iter().map(|server| (*server, None)).collect();
        for registration in self.registrations() {
            note(&mut known, registration);
        }
        // No entry becomes vacant again.
        let mut vacant = 0;
        let mut is_full = false;
        let registered = servers.iter().map(|server| {
            if let Some(registration) = known.get(server).copied().flatten() {
                return Some(registration);
            }
            // If there was none for the one before, it takes a sweep until there is.
            if is_full {
                return None;
            }
            let Some(registration) = self.give(*server, &mut vacant, &mut known) else {
                is_full = true;
                return None;
            };
            known.insert(*server, Some(registration));
            Some(registration)
        });
        registered.collect()
    }

    /// To be called after a word with that number was written: it is not to be given to another
    /// server. False: that has happened already.
    #[inline(always)]
    pub fn hold(&self, registration: &Registration) -> bool {
        match self.entry(registration.number) {
            Some(entry) if sync::read(entry) == registration.bits() => true,
            Some(entry) => unmark(entry, |entry| entry.without_mark().0 == registration.bits()),
            None => false,
        }
    }

    /// The same for a word that is written again, of whatever server.
    pub(super) fn hold_number(&self, number: PeerId) {
        if let Some(entry) = self.entry(number) {
            if Entry(entry.load(SeqCst)).empty_since() != 0 {
                unmark(entry, |_| true);
            }
        }
    }

    /// A whole sweep has ended. Marks the numbers of which it has seen no word.
    pub fn swept(&self, seen: &Numbers) {
        let sweep = self.head.sweeps.load(SeqCst).wrapping_add(1);
        for (index, entry) in self.entries.iter().enumerate() {
            let bits = entry.load(SeqCst);
            if bits == Entry::VACANT {
                break;
            }
            let is_marked = Entry(bits).empty_since() != 0;
            match seen.has(PeerId::new(index as u32)) {
                true if is_marked => {
                    unmark(entry, |_| true);
                }
                false if !is_marked => {
                    // If it has changed, it is not to be marked.
                    let marked = Entry(bits).marked(sweep).0;
                    let _ = entry.compare_exchange(bits, marked, SeqCst, Acquire);
                }
                _ => {}
            }
        }
        // Last, so that a worker that dies before leaves no mark that counts.
        self.head.sweeps.store(sweep, SeqCst);
    }

    fn entry(&self, number: PeerId) -> Option<&'a AtomicU128> {
        self.entries.get(number.get() as usize)
    }

    /// A number for a server that has none. No entry before `vacant` is. Adds those to `known` that
    /// other workers have given numbers meanwhile: they are not looked at again.
    fn give(
        &self,
        server: Fingerprint,
        vacant: &mut usize,
        known: &mut Wanted,
    ) -> Option<Registration> {
        for _ in 0..ATTEMPTS {
            for (index, entry) in self.entries.iter().enumerate().skip(*vacant) {
                *vacant = index + 1;
                let mut bits = entry.load(SeqCst);
                if bits == Entry::VACANT {
                    let new = Entry::new(server, self.epoch().0 & COUNT_MASK).0;
                    bits = match entry.compare_exchange(bits, new, SeqCst, SeqCst) {
                        Ok(_) => new,
                        Err(other) => other,
                    };
                }
                let given = Registration::of(index, Entry(bits));
                if given.fingerprint() == Some(server) {
                    return Some(given);
                }
                note(known, given);
            }
            if let Some(given) = self.reuse(server)? {
                return Some(given);
            }
        }
        None
    }

    /// Gives a number without sessions to another server. The inner `None`: another worker was
    /// faster; the outer: there is none.
    fn reuse(&self, server: Fingerprint) -> Option<Option<Registration>> {
        let sweeps = self.head.sweeps.load(SeqCst);
        let age = |bits: u128| match Entry(bits).empty_since() {
            0 => None,
            mark => Some((mark_of(sweeps) + COUNT_MASK - mark) % COUNT_MASK),
        };
        let all = self.entries.iter().map(|entry| entry.load(SeqCst));
        let empty = all.enumerate().filter_map(|(index, bits)| {
            let age = age(bits).filter(|age| *age >= CONFIRMATIONS)?;
            Some((age, index, bits))
        });
        // Of equals the first.
        let (_, index, bits) = empty.min_by_key(|(age, index, _)| (u64::MAX - age, *index))?;

        let epoch = self.head.epoch.fetch_add(1, SeqCst) + 1;
        if epoch > COUNT_MASK {
            // After 268 million times. Those that are known stay valid.
            self.head.epoch.store(COUNT_MASK, SeqCst);
            return None;
        }
        let new = Entry::new(server, epoch).0;
        let entry = self.entries.get(index)?;
        if entry.compare_exchange(bits, new, SeqCst, SeqCst).is_err() {
            return Some(None);
        }
        // Another worker may have registered it in another place: the first one counts.
        fence(SeqCst);
        Some(
            self.registrations()
                .find(|given| given.fingerprint() == Some(server)),
        )
    }
}

/// Removes the mark of an entry while `is_same` holds; whether it does.
#[cold]
fn unmark(entry: &AtomicU128, is_same: impl Fn(Entry) -> bool) -> bool {
    let mut bits = entry.load(SeqCst);
    for _ in 0..ATTEMPTS {
        if !is_same(Entry(bits)) {
            return false;
        }
        if Entry(bits).empty_since() == 0 {
            return true;
        }
        match entry.compare_exchange(bits, Entry(bits).without_mark().0, SeqCst, SeqCst) {
            Ok(_) => return true,
            Err(other) => bits = other,
        }
    }
    false
}

/// A set of numbers, those of which a sweep has seen words.
#[derive(Clone, Debug, Default)]
pub struct Numbers(Vec<u64>);

impl Numbers {
    /// Adds a number.
    #[inline]
    pub fn add(&mut self, number: PeerId) {
        let index = number.get() as usize;
        if self.0.len() <= index / 64 && index < MOST_ENTRIES {
            self.0.resize(index / 64 + 1, 0);
        }
        if let Some(bits) = self.0.get_mut(index / 64) {
            *bits |= 1 << (index % 64);
        }
    }

    /// Whether it is in the set.
    pub fn has(&self, number: PeerId) -> bool {
        let index = number.get() as usize;
        self.0
            .get(index / 64)
            .is_some_and(|bits| bits >> (index % 64) & 1 == 1)
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
