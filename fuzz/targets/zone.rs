//! Any bytes as a zone, then any operations on it: nothing panics or loops, and no session is found at
//! a peer that no word and no argument names for it. Where the words at least stand where workers write
//! them, outcomes are true, and no session is lost but those that they name.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use portable_atomic::AtomicU128;
use sticky_core::table::key::Key;
use sticky_core::table::tick::{Tick, LAST_TICK};
use sticky_core::table::word::{Limits, PeerId, Session, Word};
use sticky_core::table::{
    Absorbed, Claim, Counters, Evicted, Learned, LookUp, Table, ZoneHeader, LINE,
};

const MOST_WORDS: usize = 96;
const MOST_STEPS: usize = 64;

#[derive(Arbitrary, Debug)]
struct Input {
    prelude: [u64; size_of::<ZoneHeader>() / 8],
    is_sound: bool,
    words: Vec<Written>,
    expires: u32,
    lifetime: Option<u32>,
    now: Tick,
    steps: Vec<Step>,
}

/// What stands in a place of the zone.
#[derive(Arbitrary, Debug)]
enum Written {
    Empty,
    Any {
        key: u64,
        rest: u64,
    },
    Known {
        key: u8,
        rest: u64,
    },
    Fresh {
        key: u8,
        peer: u8,
        ago: u16,
        confirmed: bool,
    },
}

#[derive(Arbitrary, Debug)]
enum Step {
    Wait(u16),
    Jump(Tick),
    Touch(u8),
    Forget(u8),
    Learn {
        key: u8,
        peer: u8,
        claim: Claimed,
        gone: bool,
    },
    LearnAny {
        key: u64,
        peer: u32,
    },
    Reassign {
        key: u8,
        from: u8,
        to: u8,
    },
    Copy {
        words: u8,
    },
    Absorb {
        key: u8,
        peer: u8,
        ago: u16,
        confirmed: bool,
        is_thorough: bool,
    },
    Sweep {
        from: u8,
        count: u8,
    },
}

#[derive(Arbitrary, Debug)]
enum Claimed {
    Stranger,
    Unknown,
    From(u8),
    FromHolder,
}

/// Few keys, so that they meet, over all lines.
fn key(number: u8) -> Key {
    Key::new(u64::from(number % 48).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Few peers; nothing else has their ids by chance.
fn peer(number: u8) -> PeerId {
    PeerId::new(0xabc00 | u32::from(number % 6))
}

fn fresh(at: u8, now: Tick, ago: u16, confirmed: bool) -> Session {
    let seen = now.saturating_sub(Tick::from(ago));
    Session {
        peer: peer(at),
        seen,
        created: seen,
        confirmed,
    }
}

fuzz_target!(|input: Input| {
    let Input {
        prelude,
        is_sound,
        words,
        now,
        steps,
        ..
    } = input;
    // SAFETY: ZoneHeader is repr(C) and nothing but 64-bit atomics, for which any bits are a value; that
    // is what lets the module look at shared memory that others have written.
    let prelude: ZoneHeader = unsafe { std::mem::transmute(prelude) };
    let expires = input.expires % (366 * 86_400) + 1;
    let limits = Limits {
        expires,
        lifetime: input.lifetime.map(|lifetime| lifetime.max(expires)),
    };
    // Ticks of 8.5 years, and a little more than a word can hold.
    let now = now % (LAST_TICK + 1000);
    let words: Vec<AtomicU128> = words
        .iter()
        .take(MOST_WORDS)
        .map(|written| AtomicU128::new(written.bits(now)))
        .collect();
    prelude.header.is_valid_for(words.len());
    let (k0, k1) = prelude.header.sip_keys();
    let epoch = prelude.header.epoch();
    prelude.header.init(words.len(), k0, k1, epoch);
    assert!(prelude.header.is_valid_for(words.len()));
    assert!(!prelude.header.is_valid_for(words.len() + LINE));

    let mut zone = Zone::new(&words, &prelude.counters, limits, now);
    if is_sound {
        zone.clear_strays();
    }
    let spare: Vec<u128> = zone.spare().iter().map(|word| word.load(Relaxed)).collect();
    for step in steps.into_iter().take(MOST_STEPS) {
        zone.take(step);
    }
    let after: Vec<u128> = zone.spare().iter().map(|word| word.load(Relaxed)).collect();
    assert_eq!(after, spare, "words beyond the last whole line");
});

impl Written {
    fn bits(&self, now: Tick) -> u128 {
        match *self {
            Written::Empty => 0,
            Written::Any { key, rest } => u128::from(key) << 64 | u128::from(rest),
            Written::Known { key: of, rest } => u128::from(key(of).get()) << 64 | u128::from(rest),
            Written::Fresh {
                key: of,
                peer: at,
                ago,
                confirmed,
            } => Word::new(key(of), &fresh(at, now, ago, confirmed)).bits(),
        }
    }
}

struct Zone<'a> {
    words: &'a [AtomicU128],
    table: Table<'a>,
    limits: Limits,
    now: Tick,
    /// Every word stands in a line of its key: otherwise nobody looks for it, but it may be moved to
    /// where it belongs.
    is_sound: bool,
    /// The peers that words and arguments have ever named for a key.
    named: BTreeMap<Key, BTreeSet<PeerId>>,
}

impl<'a> Zone<'a> {
    fn new(words: &'a [AtomicU128], counters: &'a Counters, limits: Limits, now: Tick) -> Self {
        let mut zone = Self {
            words,
            table: Table::new(words, counters),
            limits,
            now,
            is_sound: false,
            named: (0..48).map(|of| (key(of), BTreeSet::new())).collect(),
        };
        for word in words {
            let word = Word::from_bits(word.load(Relaxed));
            if let Some(key) = word.key() {
                zone.name(key, word.session().peer);
            }
        }
        zone
    }

    fn clear_strays(&mut self) {
        let forever = Limits {
            expires: Tick::MAX,
            lifetime: None,
        };
        self.table
            .sweep(0, self.table.capacity(), &forever, self.now);
        self.is_sound = true;
    }

    fn spare(&self) -> &'a [AtomicU128] {
        &self.words[self.table.capacity()..]
    }

    fn name(&mut self, key: Key, peer: PeerId) {
        self.named.entry(key).or_default().insert(peer);
    }

    fn has_named(&self, key: Key, peer: PeerId) -> bool {
        self.named
            .get(&key)
            .is_some_and(|peers| peers.contains(&peer))
    }

    fn held(&self, key: Key) -> Option<Session> {
        match self.table.look_up(key, &self.limits, self.now) {
            LookUp::Found(session) => {
                assert!(self.has_named(key, session.peer), "{key:?} {session:?}");
                assert!(self.limits.is_live(&session, self.now));
                Some(session)
            }
            LookUp::Unknown | LookUp::Expired => None,
        }
    }

    /// All live sessions but that of `key`, as far as they can be relied on.
    fn others(&self, key: Key) -> BTreeMap<Key, Session> {
        let keys = self.named.keys();
        let keys = keys.filter(|other| **other != key && self.is_sound);
        keys.filter_map(|key| Some((*key, self.held(*key)?)))
            .collect()
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Wait(seconds) => self.now = self.now.saturating_add(Tick::from(seconds)),
            Step::Jump(now) => self.now = now,
            Step::Touch(of) => self.touch(key(of)),
            Step::Forget(of) => {
                let others = self.others(key(of));
                self.table.forget(key(of));
                let left = self.table.look_up(key(of), &self.limits, self.now);
                assert_eq!(left, LookUp::Unknown);
                assert_eq!(self.others(key(of)), others);
            }
            Step::Learn {
                key: of,
                peer: at,
                claim,
                gone,
            } => {
                let from = match claim {
                    Claimed::Stranger | Claimed::Unknown => None,
                    Claimed::From(number) => Some(peer(number)),
                    Claimed::FromHolder => self.held(key(of)).map(|session| session.peer),
                };
                let claim = match claim {
                    Claimed::Stranger => Claim::Stranger,
                    _ => Claim::Carried { from },
                };
                self.learn(key(of), peer(at), claim, gone);
            }
            Step::LearnAny { key, peer } => {
                let (key, peer) = (Key::new(key), PeerId::new(peer));
                self.learn(key, peer, Claim::Stranger, false);
            }
            Step::Reassign { key: of, from, to } => self.reassign(key(of), peer(from), peer(to)),
            Step::Copy { words } => self.copy(usize::from(words)),
            Step::Absorb {
                key: of,
                peer: at,
                ago,
                confirmed,
                is_thorough,
            } => self.absorb(key(of), &fresh(at, self.now, ago, confirmed), is_thorough),
            Step::Sweep { from, count } => self.sweep(usize::from(from), usize::from(count)),
        }
        assert!(self.table.sessions().count() <= self.table.capacity());
    }

    fn touch(&mut self, key: Key) {
        let (before, others) = (self.held(key), self.others(key));
        self.table.touch(key, &self.limits, self.now);
        let after = self.held(key);
        assert_eq!(
            before.map(|session| session.peer),
            after.map(|session| session.peer)
        );
        assert!(after.is_none_or(|session| session.confirmed));
        assert_eq!(self.others(key), others);
    }

    fn learn(&mut self, key: Key, peer: PeerId, claim: Claim, is_gone: bool) {
        let (before, others) = (self.held(key), self.others(key));
        let mut asked = Vec::new();
        let mut gone = |holder| {
            asked.push(holder);
            is_gone
        };
        let limits = self.limits;
        let learned = self
            .table
            .learn(key, peer, claim, &limits, self.now, &mut gone);
        assert!(asked.iter().all(|holder| self.has_named(key, *holder)));
        self.name(key, peer);
        if !self.is_sound {
            self.held(key);
            return;
        }

        let mut evicted = Evicted::Nothing;
        let holder = match learned {
            Learned::New { evicted: who } => {
                assert_eq!(before, None);
                evicted = who;
                peer
            }
            Learned::Same => peer,
            Learned::Moved { from } => {
                assert_eq!(before.map(|session| session.peer), Some(from));
                peer
            }
            Learned::Kept { holder } => {
                assert_eq!(before.map(|session| session.peer), Some(holder));
                holder
            }
            Learned::Refused => {
                assert_eq!(self.table.capacity(), 0);
                return;
            }
        };
        // At the end of time a move does not outrank the copies that there are.
        let is_at_end = before.is_some_and(|session| session.seen >= LAST_TICK);
        let held = self.held(key).map(|session| session.peer);
        assert!(held == Some(holder) || is_at_end, "{learned:?} {held:?}");
        let mut lost = others.iter().filter(|(other, session)| {
            self.held(**other).map(|session| session.peer) != Some(session.peer)
        });
        if let Some((other, session)) = lost.next() {
            let shown = format!("{learned:?}, and lost {other:?} {session:?}");
            assert_ne!(evicted, Evicted::Nothing, "{shown}");
            assert!(
                evicted == Evicted::Confirmed || !session.is_in_use(),
                "{shown}"
            );
            assert_eq!(lost.next(), None, "{shown}");
        }
    }

    fn reassign(&mut self, key: Key, from: PeerId, to: PeerId) {
        let (before, others) = (self.held(key), self.others(key));
        let done = self.table.reassign(key, from, to, &self.limits, self.now);
        self.name(key, to);
        if !self.is_sound {
            self.held(key);
            return;
        }
        let held_by_from = before.filter(|session| session.peer == from);
        assert_eq!(done, held_by_from.is_some());
        let is_at_end = before.is_some_and(|session| session.seen >= LAST_TICK);
        if done && !is_at_end {
            assert_eq!(self.held(key).map(|session| session.peer), Some(to));
        }
        assert_eq!(self.others(key), others);
    }

    /// Into a table of another size, and back.
    fn copy(&mut self, words: usize) {
        let words: Vec<AtomicU128> = (0..words).map(|_| AtomicU128::new(0)).collect();
        let counters = Counters::default();
        let other = Table::new(&words, &counters);
        let copied = other.copy_from(&self.table);
        assert!(copied <= other.capacity());
        for (key, session) in other.sessions() {
            assert!(self.has_named(key, session.peer), "{key:?} {session:?}");
        }
        let before = self.others(Key::new(0));
        self.table.copy_from(&other);
        assert_eq!(self.others(Key::new(0)), before);
    }

    /// What another nginx has seen of a session: it takes nobody's place.
    fn absorb(&mut self, key: Key, theirs: &Session, is_thorough: bool) {
        let (before, others) = (self.held(key), self.others(key));
        let limits = self.limits;
        let absorbed = self
            .table
            .absorb(key, theirs, &limits, self.now, is_thorough);
        self.name(key, theirs.peer);
        if !self.is_sound {
            self.held(key);
            return;
        }
        let after = self.held(key).map(|session| session.peer);
        let before = before.map(|session| session.peer);
        match absorbed {
            Absorbed::New => assert_eq!((before, after), (None, Some(theirs.peer))),
            Absorbed::Known => assert!(after == before || after == Some(theirs.peer)),
            Absorbed::Over => assert!(!limits.is_live(theirs, self.now) && after == before),
            Absorbed::NoRoom => assert_eq!((before, after), (None, None)),
        }
        assert_eq!(self.others(key), others);
    }

    fn sweep(&mut self, from: usize, count: usize) {
        let nobody = Key::new(0);
        let sessions = self.others(nobody);
        let swept = self.table.sweep(from, count, &self.limits, self.now);
        assert!(swept.next <= self.table.capacity() && swept.confirmed <= swept.live);
        assert!(swept.live + swept.cleared <= count as u64);
        self.table.publish(&swept);
        assert_eq!(self.others(nobody), sessions);
    }
}
