//! Tests for the registry of servers: a number means one server of one upstream, whoever asks, as long
//! as there are sessions with it. Without this, sessions go to the wrong server when servers come and
//! go.

mod table_zone;

use std::sync::atomic::Ordering::Relaxed;

use portable_atomic::AtomicU128;
use sticky_core::table::{
    entries_of, Claim, Counters, Epoch, Fingerprint, Learned, Limits, LookUp, Numbers, PeerId,
    Registration, Registry, RegistryHead, Table, Tallies, ZoneHeader,
};

use table_zone::{key, none_unusable, HOUR};

const KEYS: (u64, u64) = (3, 4);

fn server(number: u32) -> Fingerprint {
    Fingerprint::new(KEYS, b"shop", format!("10.0.0.{number}:80").as_bytes())
}

/// The memory of a zone with a registry of a few entries.
struct Memory {
    head: RegistryHead,
    entries: Vec<AtomicU128>,
    words: Vec<AtomicU128>,
    counters: Counters,
}

impl Memory {
    fn new(entries: usize) -> Self {
        let zeros = |count| (0..count).map(|_| AtomicU128::new(0)).collect();
        Self {
            head: RegistryHead::default(),
            entries: zeros(entries),
            words: zeros(64),
            counters: Counters::default(),
        }
    }

    fn registry(&self) -> Registry<'_> {
        Registry::new(&self.head, &self.entries)
    }

    fn table(&self) -> Table<'_> {
        Table::new(&self.words, &self.counters).with_registry(self.registry())
    }

    fn register(&self, number: u32) -> Option<Registration> {
        self.registry().register(&[server(number)])[0]
    }

    /// Whole sweeps of the table at `now`.
    fn sweep(&self, times: usize, now: u32) {
        for _ in 0..times {
            let mut seen = Numbers::default();
            let table = self.table();
            let tallies = &mut Tallies::default();
            table.sweep_and_note(0, 32, &HOUR, now, &mut seen, tallies);
            table.sweep_and_note(32, 32, &HOUR, now, &mut seen, tallies);
            self.registry().swept(&seen);
        }
    }

    fn learn(&self, id: u64, peer: &Registration, now: u32) -> Learned {
        let claim = Claim::ResponseOnly;
        self.table()
            .learn_of(key(id), peer, claim, &HOUR, now, &mut none_unusable)
    }
}

const NEW: Learned = Learned::New { evicted: None };

#[test]
fn a_fingerprint_is_of_a_server_in_a_scope_in_a_zone() {
    let known = server(1);
    assert_eq!(known, server(1));
    assert_eq!(Fingerprint::from_bits(known.bits()), Some(known));
    for other in [
        Fingerprint::new(KEYS, b"shop", b"10.0.0.1:81"),
        Fingerprint::new(KEYS, b"blog", b"10.0.0.1:80"),
        Fingerprint::new((3, 5), b"shop", b"10.0.0.1:80"),
        Fingerprint::new(KEYS, b"shop1", b"0.0.0.1:80"),
        Fingerprint::new(KEYS, b"sho", b"p10.0.0.1:80"),
    ] {
        assert_ne!(known, other);
    }
    assert_eq!(Fingerprint::from_bits(1 << 72), None);
}

#[test]
fn all_ask_for_the_same_number() {
    let memory = Memory::new(8);
    let wanted: Vec<_> = [3, 1, 3, 2].map(server).into();
    let numbers = |given: Vec<Option<Registration>>| -> Vec<u32> {
        given
            .into_iter()
            .map(|it| it.unwrap().number.get())
            .collect()
    };
    assert_eq!(numbers(memory.registry().register(&wanted)), [0, 1, 0, 2]);
    // Another worker, in another order, with another server.
    let wanted: Vec<_> = [4, 2, 1, 3].map(server).into();
    assert_eq!(numbers(memory.registry().register(&wanted)), [3, 2, 1, 0]);
    let all: Vec<_> = memory.registry().registrations().collect();
    assert_eq!(all.len(), 4);
    assert_eq!(all[1].fingerprint(), Some(server(1)));
}

/// Workers that register their servers at once, in orders of their own: none gets two numbers, of which
/// a worker might know only one.
#[test]
fn a_server_has_one_number_however_many_ask_at_once() {
    const SERVERS: u32 = 61;
    for round in 0..table_zone::rounds(500) {
        let memory = Memory::new(128);
        let start = std::sync::Barrier::new(3);
        std::thread::scope(|scope| {
            for worker in 0..3u32 {
                let (memory, start) = (&memory, &start);
                scope.spawn(move || {
                    // Not all want all.
                    let wanted = (0..SERVERS).filter(|n| n % 3 != worker);
                    let wanted = wanted.map(|n| server((n * (worker + 2) + round) % SERVERS));
                    let wanted: Vec<_> = wanted.collect();
                    start.wait();
                    memory.registry().register(&wanted);
                });
            }
        });
        let all = memory.registry().registrations();
        let mut servers: Vec<_> = all.map(|it| it.fingerprint()).collect();
        let count = servers.len();
        servers.sort();
        servers.dedup();
        assert_eq!(servers.len(), count, "round {round}");
    }
}

#[test]
fn a_full_registry_has_no_number_for_another_server() {
    let memory = Memory::new(3);
    let given: Vec<_> = (0..3).map(|n| memory.register(n).unwrap()).collect();
    assert_eq!(memory.learn(1, &given[0], 5), NEW);
    assert_eq!(memory.learn(2, &given[1], 5), NEW);
    assert_eq!(memory.learn(3, &given[2], 5), NEW);
    memory.sweep(10, 6);
    assert_eq!(memory.register(3), None);
    // Those that have one keep it.
    assert_eq!(memory.register(1), Some(given[1]));
}

#[test]
fn in_a_full_registry_servers_that_have_numbers_keep_them() {
    let memory = Memory::new(3);
    for number in 1..=3 {
        memory.register(number);
    }
    let wanted: Vec<_> = [4, 2, 5, 3, 2, 4].map(server).into();
    let given = memory.registry().register(&wanted);
    let numbers: Vec<_> = given
        .iter()
        .map(|it| it.map(|it| it.number.get()))
        .collect();
    assert_eq!(numbers, [None, Some(1), None, Some(2), Some(1), None]);
    // As soon as there are numbers again, those that had none get them, both times the same.
    memory.sweep(3, 10);
    let given = memory.registry().register(&wanted);
    assert!(
        given.iter().filter(|it| it.is_some()).count() > 3,
        "{given:?}"
    );
    assert_eq!(given[0].map(|it| it.number), given[5].map(|it| it.number));
}

#[test]
fn the_number_that_was_without_sessions_for_longest_is_reused() {
    let memory = Memory::new(3);
    let given: Vec<_> = (0..3).map(|n| memory.register(n).unwrap()).collect();
    assert_eq!(memory.learn(10, &given[0], 0), NEW);
    assert_eq!(memory.learn(11, &given[1], 1800), NEW);
    assert_eq!(memory.learn(12, &given[2], 900), NEW);
    // Their sessions end one after the other; a sweep frees their words an hour later than that.
    let mut freed = Vec::new();
    for now in (0..20_000).step_by(60) {
        memory.sweep(1, now);
        let epoch = memory.registry().epoch();
        if let Some(new) = memory.register(100 + freed.len() as u32) {
            assert_ne!(memory.registry().epoch(), epoch);
            freed.push(new.number.get());
            // It has sessions from now on.
            assert_eq!(memory.learn(100 + u64::from(now), &new, 100_000), NEW);
        }
    }
    assert_eq!(freed, [0, 2, 1]);
}

#[test]
fn a_number_is_not_reused_before_sweeps_have_confirmed_that_it_has_no_sessions() {
    let memory = Memory::new(1);
    let old = memory.register(1).unwrap();
    for sweeps in 0..3 {
        assert_eq!(memory.register(2), None, "{sweeps} sweeps");
        memory.sweep(1, 0);
    }
    let new = memory.register(2).unwrap();
    assert_eq!((new.number, old.number), (PeerId::new(0), PeerId::new(0)));
    assert_ne!(new, old);

    // A session that comes before that keeps it, also if it ends at once.
    let memory = Memory::new(1);
    let old = memory.register(1).unwrap();
    memory.sweep(2, 0);
    assert_eq!(memory.learn(1, &old, 0), NEW);
    memory.table().forget(key(1));
    for sweeps in 0..3 {
        assert_eq!(memory.register(2), None, "{sweeps} sweeps");
        memory.sweep(1, 0);
    }
    assert!(memory.register(2).is_some());
}

#[test]
fn a_request_with_an_older_number_learns_and_moves_nothing() {
    let memory = Memory::new(2);
    let (old, other) = (memory.register(1).unwrap(), memory.register(2).unwrap());
    assert_eq!(memory.learn(2, &other, 0), NEW);
    let before = memory.registry().epoch();
    memory.sweep(3, 0);
    let new = memory.register(3).unwrap();
    assert_eq!(new.number, old.number);

    assert_eq!(memory.learn(1, &old, 0), Learned::Refused);
    assert_eq!(memory.table().look_up(key(1), &HOUR, 0), LookUp::Unknown);
    let table = memory.table();
    assert!(!table.reassign_to(key(2), other.number, &old, &HOUR, 0));
    let LookUp::Found(session) = table.look_up(key(2), &HOUR, 0) else {
        panic!("it is there");
    };
    assert_eq!(session.peer, other.number);
    assert_eq!(memory.learn(1, &new, 0), NEW);

    // And it knows which of the numbers that it has read are still the same server's.
    let is_same = |number, epoch: Epoch| memory.registry().is_same_since(number, epoch);
    assert!(is_same(other.number, before) && !is_same(old.number, before));
    let now = memory.registry().epoch();
    assert!(is_same(other.number, now) && is_same(new.number, now));
}

/// A sweep that is passed by a word does not see it.
#[test]
fn a_relocated_session_keeps_its_number() {
    let memory = Memory::new(1);
    let peer = memory.register(1).unwrap();
    for id in 0..40 {
        assert_eq!(memory.learn(id, &peer, 0), NEW);
    }
    // As if it had seen none of them.
    memory.registry().swept(&Numbers::default());
    let is_marked = |memory: &Memory| memory.registry().in_use().count() == 0;
    assert!(is_marked(&memory));
    // Others come, of a server that the registry does not know, until there are relocations.
    let relocated = || memory.counters.relocated.load(Relaxed);
    let (before, stranger) = (relocated(), PeerId::new(77));
    for id in (100..123).take_while(|_| is_marked(&memory)) {
        let claim = Claim::ResponseOnly;
        let table = memory.table();
        table.learn(key(id), stranger, claim, &HOUR, 0, &mut none_unusable);
    }
    assert!(relocated() > before);
    assert!(!is_marked(&memory));
}

#[test]
fn a_zone_has_a_registry_and_words() {
    for (all, entries) in [
        (0, 0),
        (3, 0),
        (8, 2),
        (2000, 128),
        (65_536, 1024),
        (1 << 24, 1 << 14),
    ] {
        assert_eq!(entries_of(all), entries);
        if all <= 65_536 {
            let header = ZoneHeader::default();
            let rest: Vec<_> = (0..all).map(|_| AtomicU128::new(0)).collect();
            let (registry, words) = header.split(&rest);
            assert_eq!((registry.capacity(), words.len()), (entries, all - entries));
        }
    }
}

/// Of a zone in another size, whose registry has given other numbers.
#[test]
fn numbers_are_translated_when_a_zone_changes_its_size() {
    let (old, new) = (Memory::new(4), Memory::new(8));
    let there: Vec<_> = [1, 2, 3].map(|n| old.register(n).unwrap()).into();
    let here: Vec<_> = [9, 3, 2].map(|n| new.register(n).unwrap()).into();
    for (id, peer) in there.iter().enumerate() {
        assert_eq!(old.learn(id as u64, peer, 7), NEW);
    }
    assert_eq!(new.table().copy_from(&old.table()), 3);
    let held = |id| match new.table().look_up(key(id), &HOUR, 7) {
        LookUp::Found(session) => session.peer,
        other => panic!("{other:?}"),
    };
    assert_eq!(held(2), here[1].number);
    assert_eq!(held(1), here[2].number);
    // The one that was not known here has got a number.
    assert_eq!(Some(held(0)), new.register(1).map(|it| it.number));
    assert_eq!(held(0).get(), 3);

    // Where it gets none, its sessions are left out, and no other server gets them.
    let small = Memory::new(2);
    small.register(2).unwrap();
    small.register(3).unwrap();
    assert_eq!(small.table().copy_from(&old.table()), 2);
    assert_eq!(small.table().look_up(key(0), &HOUR, 7), LookUp::Unknown);
}

/// Many threads register servers, and learn their sessions, while numbers are reused: no session is
/// ever found under the number of another server.
#[test]
fn threads_never_mix_servers_up() {
    const LIMITS: Limits = Limits {
        expires: 1,
        lifetime: None,
    };
    let memory = Memory::new(4);
    std::thread::scope(|scope| {
        for worker in 0..3u32 {
            let memory = &memory;
            scope.spawn(move || {
                for round in 0..3000 {
                    let number = (worker + round) % 7;
                    let epoch = memory.registry().epoch();
                    let Some(peer) = memory.register(number) else {
                        continue;
                    };
                    // The id says whose session it is.
                    let id = key(u64::from(number));
                    let table = memory.table();
                    let claim = Claim::ResponseOnly;
                    let now = round / 100;
                    table.learn_of(id, &peer, claim, &LIMITS, now, &mut none_unusable);
                    if let LookUp::Found(session) = table.look_up(id, &LIMITS, now) {
                        let all = memory.registry().registrations();
                        let holder = all.filter(|it| it.number == session.peer).last();
                        // Unless the number was reused since.
                        if memory.registry().is_same_since(session.peer, epoch) {
                            let holder = holder.and_then(|it| it.fingerprint());
                            assert_eq!(holder, Some(server(number)));
                        }
                    }
                    table.forget(id);
                }
            });
        }
        for now in 0..300 {
            memory.sweep(3, now / 10);
            std::thread::yield_now();
        }
    });
    assert!(memory.registry().registrations().count() <= 4);
}
