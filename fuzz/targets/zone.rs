//! Any bytes as a zone, then any operations on it: nothing panics or loops, and no session is found at
//! a peer that neither a word nor an argument has for it. If every word is in a line of its key, the
//! results of operations are also true, and no session is lost except those reported as evicted.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use portable_atomic::AtomicU128;
use sticky_core::table::{
    Claim, Counters, Evicted, Key, Learned, Limits, LookUp, Merged, PeerId, Session, Stage, Table,
    Tick, Word, ZoneHeader, LAST_TICK, LINE,
};

const MAX_WORDS: usize = 96;
const MAX_OPERATIONS: usize = 64;

#[derive(Arbitrary, Debug)]
struct Input {
    header: [u64; size_of::<ZoneHeader>() / 8],
    is_sound: bool,
    words: Vec<InitialWord>,
    expires: u32,
    lifetime: Option<u32>,
    now: Tick,
    operations: Vec<Operation>,
}

/// What is in a place of the zone at first.
#[derive(Arbitrary, Debug)]
enum InitialWord {
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
        stage: u8,
    },
}

#[derive(Arbitrary, Debug)]
enum Operation {
    Wait(u16),
    Jump(Tick),
    Touch(u8),
    Forget(u8),
    ForgetEntered(u8),
    Learn {
        key: u8,
        peer: u8,
        claim: AnyClaim,
        is_unusable: bool,
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
    Merge {
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
    /// By the server that has the session, or by any.
    End {
        key: u8,
        by: Option<u8>,
    },
}

#[derive(Arbitrary, Debug)]
enum AnyClaim {
    ResponseOnly,
    Unknown,
    Holder(u8),
    CurrentHolder,
    Request,
    Retry,
    Answer,
}

/// Few keys, so that they are used several times, over all lines.
fn key(number: u8) -> Key {
    Key::new(u64::from(number % 48).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Few peers, with ids that hardly occur by chance.
fn peer(number: u8) -> PeerId {
    PeerId::new(0xabc00 | u32::from(number % 6))
}

const STAGES: [Stage; 3] = [Stage::Settled, Stage::Entered, Stage::Kept];

fn fresh(at: u8, now: Tick, ago: u16, confirmed: bool) -> Session {
    let seen = now.saturating_sub(Tick::from(ago));
    Session {
        peer: peer(at),
        seen,
        created: seen,
        confirmed,
        stage: Stage::Settled,
    }
}

fuzz_target!(|input: Input| {
    let Input {
        header,
        is_sound,
        words,
        now,
        operations,
        ..
    } = input;
    // SAFETY: ZoneHeader is repr(C) and consists of 64-bit atomics, for which any bits are valid. The
    // module relies on that for shared memory.
    let header: ZoneHeader = unsafe { std::mem::transmute(header) };
    let expires = input.expires % (366 * 86_400) + 1;
    let limits = Limits {
        expires,
        lifetime: input.lifetime.map(|lifetime| lifetime.max(expires)),
    };
    // Ticks of 8.5 years, and a little more than a word can hold.
    let now = now % (LAST_TICK + 1000);
    let words: Vec<AtomicU128> = words
        .iter()
        .take(MAX_WORDS)
        .map(|word| AtomicU128::new(word.bits(now)))
        .collect();
    header.identity.is_valid_for(words.len());
    let (k0, k1) = header.identity.sip_keys();
    let epoch = header.identity.epoch();
    header.identity.init(words.len(), k0, k1, epoch);
    assert!(header.identity.is_valid_for(words.len()));
    assert!(!header.identity.is_valid_for(words.len() + LINE));

    let mut zone = Zone::new(&words, &header.counters, limits, now);
    if is_sound {
        zone.clear_strays();
    }
    let spare: Vec<u128> = zone.spare().iter().map(|word| word.load(Relaxed)).collect();
    for operation in operations.into_iter().take(MAX_OPERATIONS) {
        zone.run(operation);
    }
    let after: Vec<u128> = zone.spare().iter().map(|word| word.load(Relaxed)).collect();
    assert_eq!(after, spare, "words beyond the last whole line");
});

impl InitialWord {
    fn bits(&self, now: Tick) -> u128 {
        match *self {
            InitialWord::Empty => 0,
            InitialWord::Any { key, rest } => u128::from(key) << 64 | u128::from(rest),
            InitialWord::Known { key: of, rest } => {
                u128::from(key(of).get()) << 64 | u128::from(rest)
            }
            InitialWord::Fresh {
                key: of,
                peer: at,
                ago,
                confirmed,
                stage,
            } => {
                let session = Session {
                    stage: STAGES[usize::from(stage % 3)],
                    ..fresh(at, now, ago, confirmed)
                };
                Word::new(key(of), &session).bits()
            }
        }
    }
}

struct Zone<'a> {
    words: &'a [AtomicU128],
    table: Table<'a>,
    limits: Limits,
    now: Tick,
    /// Every word is in a line of its key. Any other is not found, but may be moved into one.
    is_sound: bool,
    /// All peers that words and arguments have ever had for a key.
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

    /// All live sessions except that of `key`; none if the zone is not sound.
    fn others(&self, key: Key) -> BTreeMap<Key, Session> {
        let keys = self.named.keys();
        let keys = keys.filter(|other| **other != key && self.is_sound);
        keys.filter_map(|key| Some((*key, self.held(*key)?)))
            .collect()
    }

    fn run(&mut self, operation: Operation) {
        match operation {
            Operation::Wait(seconds) => self.now = self.now.saturating_add(Tick::from(seconds)),
            Operation::Jump(now) => self.now = now,
            Operation::Touch(of) => self.touch(key(of)),
            Operation::Forget(of) => {
                let others = self.others(key(of));
                self.table.forget(key(of));
                let left = self.table.look_up(key(of), &self.limits, self.now);
                assert_eq!(left, LookUp::Unknown);
                assert_eq!(self.others(key(of)), others);
            }
            Operation::ForgetEntered(of) => {
                let (before, others) = (self.held(key(of)), self.others(key(of)));
                self.table.forget_entered(key(of), &self.limits, self.now);
                let after = self.held(key(of));
                assert!(after.is_none_or(|session| session.stage != Stage::Entered));
                if before.is_some_and(|session| session.stage != Stage::Entered) {
                    assert_eq!(after, before);
                }
                assert_eq!(self.others(key(of)), others);
            }
            Operation::Learn {
                key: of,
                peer: at,
                claim,
                is_unusable,
            } => {
                let current = self.held(key(of)).map(|session| session.peer);
                let claim = match claim {
                    AnyClaim::ResponseOnly => Claim::ResponseOnly,
                    AnyClaim::Unknown => Claim::RequestCarried { holder: None },
                    AnyClaim::Holder(number) => Claim::RequestCarried {
                        holder: Some(peer(number)),
                    },
                    AnyClaim::CurrentHolder => Claim::RequestCarried { holder: current },
                    AnyClaim::Request => Claim::Request { from: None },
                    AnyClaim::Retry => Claim::Request { from: current },
                    AnyClaim::Answer => Claim::Answer,
                };
                self.learn(key(of), peer(at), claim, is_unusable);
            }
            Operation::LearnAny { key, peer } => {
                let (key, peer) = (Key::new(key), PeerId::new(peer));
                self.learn(key, peer, Claim::ResponseOnly, false);
            }
            Operation::Reassign { key: of, from, to } => {
                self.reassign(key(of), peer(from), peer(to))
            }
            Operation::Copy { words } => self.copy(usize::from(words)),
            Operation::Merge {
                key: of,
                peer: at,
                ago,
                confirmed,
                is_thorough,
            } => self.merge(key(of), &fresh(at, self.now, ago, confirmed), is_thorough),
            Operation::Sweep { from, count } => self.sweep(usize::from(from), usize::from(count)),
            Operation::End { key: of, by } => self.end(key(of), by.map(peer)),
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

    fn end(&mut self, key: Key, by: Option<PeerId>) {
        let (before, others) = (self.held(key), self.others(key));
        let holder = before.map(|session| session.peer);
        let Some(by) = by.or(holder) else {
            return;
        };
        let ended = self.table.end(key, by, &self.limits, self.now);
        assert_eq!(ended, holder == Some(by));
        // No copy becomes the session after the end.
        assert_eq!(self.held(key), before.filter(|_| !ended));
        assert_eq!(self.others(key), others);
    }

    fn learn(&mut self, key: Key, peer: PeerId, claim: Claim, is_unusable: bool) {
        let (before, others) = (self.held(key), self.others(key));
        let mut asked = Vec::new();
        let mut ask = |holder| {
            asked.push(holder);
            is_unusable
        };
        let limits = self.limits;
        let learned = self
            .table
            .learn(key, peer, claim, &limits, self.now, &mut ask);
        assert!(asked.iter().all(|holder| self.has_named(key, *holder)));
        self.name(key, peer);
        if !self.is_sound {
            self.held(key);
            return;
        }

        let mut evicted = None;
        let holder = match learned {
            Learned::New { evicted: which } => {
                assert_eq!(before, None);
                evicted = which;
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
        // At the last tick, a move does not outrank the copies.
        let is_at_end = before.is_some_and(|session| session.seen >= LAST_TICK);
        let held = self.held(key).map(|session| session.peer);
        assert!(held == Some(holder) || is_at_end, "{learned:?} {held:?}");
        let mut lost = others.iter().filter(|(other, session)| {
            self.held(**other).map(|session| session.peer) != Some(session.peer)
        });
        if let Some((other, session)) = lost.next() {
            let shown = format!("{learned:?}, and lost {other:?} {session:?}");
            assert_ne!(evicted, None, "{shown}");
            assert!(
                evicted == Some(Evicted::InUse) || !session.is_in_use(),
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

    /// Copies into a table of another size, and back.
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

    /// Merges a session of another nginx, which evicts none.
    fn merge(&mut self, key: Key, theirs: &Session, is_thorough: bool) {
        let (before, others) = (self.held(key), self.others(key));
        let limits = self.limits;
        let merged = self
            .table
            .merge(key, theirs, &limits, self.now, is_thorough);
        self.name(key, theirs.peer);
        if !self.is_sound {
            self.held(key);
            return;
        }
        let after = self.held(key).map(|session| session.peer);
        let before = before.map(|session| session.peer);
        match merged {
            Merged::New => assert_eq!((before, after), (None, Some(theirs.peer))),
            Merged::Known => assert!(after == before || after == Some(theirs.peer)),
            Merged::Expired => assert!(!limits.is_live(theirs, self.now) && after == before),
            Merged::Full => assert_eq!((before, after), (None, None)),
        }
        assert_eq!(self.others(key), others);
    }

    fn sweep(&mut self, from: usize, count: usize) {
        let none = Key::new(0);
        let sessions = self.others(none);
        let swept = self.table.sweep(from, count, &self.limits, self.now);
        assert!(swept.next <= self.table.capacity() && swept.confirmed <= swept.live);
        assert!(swept.live + swept.cleared <= count as u64);
        self.table.publish(&swept);
        assert_eq!(self.others(none), sessions);
    }
}
