//! Two workers and their table.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

use loom::model::Builder;
use loom::thread;

use sticky_core::table::sync::AtomicU128;
use sticky_core::table::{
    Claim, Counters, Fingerprint, Key, Learned, Limits, LookUp, Numbers, PeerId, Registration,
    Registry, RegistryHead, Session, Stage, Table, Tallies, Tick, Word, LINE,
};

pub const LIMITS: Limits = Limits {
    expires: 640,
    lifetime: None,
};
/// When the sessions in the table were last seen. They began at 0, so they are in use.
pub const SEEN: Tick = 1;
/// From then on they are refreshed.
pub const DUE: Tick = 11;
/// By then they have expired, and the sweep frees their words.
pub const OVER: Tick = 10_000;

pub const NEW: Learned = Learned::New { evicted: None };

/// A session: its number, and its two lines of the three in the table.
#[derive(Clone, Copy, Debug)]
pub struct Id(pub u64, pub [u64; 2]);

/// The session that the tests look at: it is in its second line and may be moved to its first, the
/// one that a look-up reads first.
pub const MOBILE: Id = Id(1, [2, 0]);
/// A session both lines of which are full.
pub const NEWCOMER: Id = Id(2, [0, 1]);
/// The same, with the lines in the other order.
pub const RIVAL: Id = Id(3, [1, 0]);

impl Id {
    pub fn key(self) -> Key {
        let Id(number, [first, second]) = self;
        // Each line has a third of all 32-bit numbers; far from the ends of it.
        let half = |line: u64| line * 0x5555_5555 + 0x1000_0000 + number;
        Key::new(half(first) << 32 | half(second))
    }

    /// Every session begins at the peer with its own number.
    pub fn word(self, seen: Tick, confirmed: bool) -> Word {
        let session = Session {
            peer: PeerId::new(self.0 as u32),
            seen,
            created: 0,
            confirmed,
            stage: Stage::Settled,
        };
        Word::new(self.key(), &session)
    }
}

/// The same of a session that a request has entered, and that none has brought again.
pub fn entered(id: Id) -> Word {
    let session = Session {
        stage: Stage::Entered,
        ..id.word(SEEN, false).session()
    };
    Word::new(id.key(), &session)
}

/// A session that stays in line 0 or 1: its other line is full as well.
pub fn resident(place: usize) -> Id {
    Id(
        100 + place as u64,
        [place as u64 / LINE as u64, 1 - place as u64 / LINE as u64],
    )
}

pub struct Zone {
    words: Vec<AtomicU128>,
    counters: Counters,
    registry: RegistryHead,
    /// A registry with one number, which is given.
    entries: Vec<AtomicU128>,
}

impl Zone {
    pub fn with(word_at: impl Fn(usize) -> Word) -> Zone {
        let zone = Zone {
            words: (0..3 * LINE)
                .map(|place| AtomicU128::new(word_at(place).bits()))
                .collect(),
            counters: Counters::default(),
            registry: RegistryHead::default(),
            entries: vec![AtomicU128::new(0)],
        };
        let newcomers = zone.newcomers_counted();
        zone.counters.newcomers.store(newcomers, Relaxed);
        zone
    }

    fn newcomers_counted(&self) -> u64 {
        let words = self.words.iter();
        let newcomers = words.filter(|word| Word::from_bits(word.load(Relaxed)).is_newcomer());
        newcomers.count() as u64
    }

    /// As many newcomers as there are, whatever the two workers have done.
    pub fn expect_newcomers(&self) {
        let noted = self.counters.newcomers.load(Relaxed);
        assert_eq!(noted, self.newcomers_counted());
    }

    /// An empty table, and a registry whose one number is given to server 1 and was seen to have no
    /// sessions: after another sweep it can be reused.
    pub fn with_idle_server() -> Zone {
        let zone = Zone::with(|_| Word::EMPTY);
        assert!(zone.register(1).is_some());
        zone.sweep();
        zone.sweep();
        assert!(zone.register(2).is_none());
        zone
    }

    pub fn registry(&self) -> Registry<'_> {
        Registry::new(&self.registry, &self.entries)
    }

    pub fn register(&self, server: u64) -> Option<Registration> {
        let server = Fingerprint::from_bits(server.into())?;
        self.registry().register(&[server]).pop().flatten()
    }

    /// A whole sweep of the table.
    pub fn sweep(&self) {
        let mut seen = Numbers::default();
        let words = self.words.len();
        self.registered().sweep_and_note(
            0,
            words,
            &LIMITS,
            SEEN,
            &mut seen,
            &mut Tallies::default(),
        );
        self.registry().swept(&seen);
    }

    fn registered(&self) -> Table<'_> {
        self.table().with_registry(self.registry())
    }

    /// Learns a session of a server, and returns whether it was learned.
    pub fn learn_of(&self, id: Id, server: &Registration) -> bool {
        let none_unusable = &mut |_| false;
        let claim = Claim::ResponseOnly;
        let table = self.registered();
        let learned = table.learn_of(id.key(), server, claim, &LIMITS, SEEN, none_unusable);
        learned == NEW
    }

    /// The server whose session that is, as all workers see it now.
    pub fn server_of(&self, id: Id) -> Option<u128> {
        match self.table().look_up(id.key(), &LIMITS, SEEN) {
            LookUp::Found(session) => {
                let mut all = self.registry().registrations();
                let holder = all.find(|server| server.number == session.peer)?;
                Some(holder.fingerprint()?.bits())
            }
            _ => None,
        }
    }

    /// Residents in lines 0 and 1 but for the mobile one; line 2 is empty.
    pub fn crowded() -> Zone {
        Zone::with(|place| match place {
            1 => MOBILE.word(SEEN, true),
            0..8 => resident(place).word(SEEN, true),
            _ => Word::EMPTY,
        })
    }

    pub fn table(&self) -> Table<'_> {
        Table::new(&self.words, &self.counters)
    }

    pub fn learn(&self, id: Id, to: u32, claim: Claim, now: Tick) -> Learned {
        let none_unusable = &mut |_| false;
        self.table().learn(
            id.key(),
            PeerId::new(to),
            claim,
            &LIMITS,
            now,
            none_unusable,
        )
    }

    pub fn end(&self, id: Id, holder: u32) -> bool {
        self.table()
            .end(id.key(), PeerId::new(holder), &LIMITS, DUE)
    }

    pub fn arrive(&self, id: Id) {
        self.arrive_at(id, SEEN);
    }

    pub fn arrive_at(&self, id: Id, now: Tick) {
        assert_eq!(self.learn(id, id.0 as u32, Claim::ResponseOnly, now), NEW);
    }

    pub fn session(&self, id: Id, now: Tick) -> Session {
        match self.table().look_up(id.key(), &LIMITS, now) {
            LookUp::Found(session) => session,
            other => panic!("{id:?}: {other:?}"),
        }
    }

    pub fn expect(&self, id: Id) {
        assert_eq!(self.session(id, SEEN).peer.get(), id.0 as u32, "{id:?}");
    }

    pub fn copies(&self, id: Id) -> usize {
        self.table()
            .sessions()
            .filter(|(key, _)| *key == id.key())
            .count()
    }

    pub fn expect_residents(&self) {
        (0..8)
            .filter(|place| *place != 1)
            .for_each(|place| self.expect(resident(place)));
    }
}

/// Runs `here` and `there` at once on a table, then `after`, in all orders with at most `switches`
/// forced switches between the two.
pub fn race<A, B>(
    switches: usize,
    zone: fn() -> Zone,
    here: fn(&Zone) -> A,
    there: fn(&Zone) -> B,
    after: fn(&Zone, A, B),
) where
    A: 'static,
    B: 'static + Debug,
{
    both(
        switches,
        zone,
        here,
        there,
        move |zone: &Zone, here, there| {
            zone.expect_newcomers();
            after(zone, here, there);
        },
    );
}

/// The same on anything else.
pub fn both<Z, A, B>(
    switches: usize,
    begin: fn() -> Z,
    here: fn(&Z) -> A,
    there: fn(&Z) -> B,
    after: impl Fn(&Z, A, B) + Send + Sync + 'static,
) where
    Z: 'static,
    A: 'static,
    B: 'static + Debug,
{
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(switches));
    builder.max_branches = 20_000;
    let orders = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&orders);
    builder.check(move || {
        count.fetch_add(1, Relaxed);
        let shared = loom::sync::Arc::new(begin());
        let other = shared.clone();
        let there = thread::spawn(move || there(&other));
        let here = here(&shared);
        let there = there.join().unwrap();
        after(&shared, here, there);
    });
    println!("{} orders", orders.load(Relaxed));
}
