//! A simulation of several workers on one table, with a virtual clock: after each access to the
//! table, another worker may continue, or one may die. The table must always agree with a plain map.
//! Without this, nothing shows that relocation, eviction, expiry, sweeping and copying work together
//! when workers die in the middle of them.
//!
//! `STICKY_SEED` and `STICKY_STEPS` set another seed and the length.

#[path = "../table_zone/mod.rs"]
mod table_zone;
mod worker;

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sticky_core::table::{Claim, Learned, Limits, LookUp, PeerId, Session, Stage, Tick};

use table_zone::model::Model;
use table_zone::{key, peer, Random, Zone};
use worker::{Act, Answer, Job, Work, LIMITS};

const WORKERS: usize = 6;

/// Every id has two peers of its own: any other is from a torn word.
fn is_peer_of(peer: PeerId, number: u64) -> bool {
    u64::from(peer.get()) / 2 == number
}

/// A reload with another size: the master copies the table while the old workers carry on.
struct Reload {
    zone: Arc<Zone>,
    work: Work,
    /// All states, since it began, of the ids in use; the new table may have any of them.
    states: HashMap<u64, Vec<Option<Session>>>,
}

struct Simulation {
    random: Random,
    zone: Arc<Zone>,
    now: Tick,
    /// The expected states of the ids below `known`. One worker at a time uses each of them.
    model: Model,
    known: u64,
    /// So many more ids are used by any number of workers at once.
    guests: u64,
    /// Sizes of tables, and whether these are too small for all sessions.
    sizes: &'static [usize],
    is_tight: bool,
    /// Earlier states of the sessions: where live ones are evicted, a stale copy or a relocation
    /// under way may bring one back.
    past: HashMap<u64, Vec<Session>>,
    jobs: [Option<Job>; WORKERS],
    /// How many workers have died on this table; the number of newcomers may be wrong by so many.
    died_here: i64,
    reload: Option<Reload>,
    totals: Totals,
}

/// What has happened.
#[derive(Default, Debug)]
struct Totals {
    answers: u64,
    found: u64,
    deaths: u64,
    reloads: u64,
    relocated: u64,
    lost: u64,
    lost_in_use: u64,
    evicted: u64,
    evicted_in_use: u64,
    /// Sweeps of whole tables that corrected the number of newcomers.
    corrected: u64,
}

/// So many newcomers too many, by the header. In a table with space, new sessions make room for each
/// other alone: they may not find the space, since not all of a table is searched for it.
fn too_many(is_tight: bool) -> i64 {
    if is_tight {
        0
    } else {
        1000
    }
}

fn zone(words: usize, is_tight: bool) -> Zone {
    let zone = Zone::new(words);
    let newcomers = &zone.counters.newcomers;
    newcomers.fetch_add(too_many(is_tight) as u64, Relaxed);
    zone
}

impl Simulation {
    fn new(seed: u64, known: u64, guests: u64, sizes: &'static [usize], is_tight: bool) -> Self {
        Simulation {
            random: Random::seeded(seed),
            zone: Arc::new(zone(sizes[0], is_tight)),
            now: 1000,
            model: Model {
                limits: LIMITS,
                held: HashMap::new(),
            },
            known,
            guests,
            sizes,
            is_tight,
            past: HashMap::new(),
            jobs: Default::default(),
            died_here: 0,
            reload: None,
            totals: Totals::default(),
        }
    }

    fn run(mut self, steps: u64) {
        worker::stop_at_each_test_point();
        for _ in 0..steps {
            self.step();
        }
        for slot in 0..WORKERS {
            while self.jobs[slot].is_some() {
                self.go_on(slot);
            }
        }
        (0..self.known).for_each(|number| self.check(number));
        self.check_newcomers();
        self.count_evictions();
        println!("{:?}", self.totals);
        let totals = &self.totals;
        assert!(totals.answers > steps / 500 && totals.found > totals.answers / 20);
        assert!(totals.deaths > steps / 20_000 && totals.reloads > steps / 200_000);
        assert!(totals.relocated > steps / 4000);
        // An eviction may go uncounted when a worker dies before it has counted it.
        assert!(totals.lost <= totals.evicted + totals.deaths);
        assert!(totals.lost_in_use <= totals.evicted_in_use + totals.deaths);
        assert!(self.is_tight || totals.lost_in_use + totals.evicted_in_use == 0);
    }

    fn step(&mut self) {
        if self.random.below(1500) == 0 {
            self.now += self.random.below(LIMITS.expires / 40);
        }
        let slot = self.random.below(WORKERS as u32) as usize;
        match &self.jobs[slot] {
            None => self.begin(slot),
            Some(_) if self.random.below(3000) == 0 => self.die(slot),
            Some(_) => self.go_on(slot),
        }
        let is_copied = match &mut self.reload {
            Some(reload) => self.random.below(4) == 0 && reload.work.resume().flatten().is_some(),
            None => false,
        };
        if is_copied {
            self.end_reload();
        } else if self.reload.is_none() && self.random.below(60_000) == 0 {
            self.begin_reload();
        }
        let number = u64::from(self.random.below(self.known as u32));
        if !self.is_busy(number) {
            self.check(number);
        }
    }

    fn is_busy(&self, number: u64) -> bool {
        let mut jobs = self.jobs.iter().flatten();
        jobs.any(|job| job.number == number)
    }

    fn begin(&mut self, slot: usize) {
        let random = &mut self.random;
        let is_guest = random.below(2) == 0;
        let number = match is_guest {
            true => self.known + u64::from(random.below(self.guests as u32)),
            false => u64::from(random.below(self.known as u32)),
        };
        let own = |half: u32| peer(number as u32 * 2 + half);
        let (from, to) = (own(random.below(2)), own(random.below(2)));
        let claim = match random.below(8) {
            0 | 1 => Claim::ResponseOnly,
            2 => Claim::RequestCarried { holder: None },
            3 => Claim::RequestCarried { holder: Some(from) },
            4 | 5 => Claim::Request { from: None },
            6 => Claim::Request { from: Some(from) },
            _ => Claim::Answer,
        };
        let act = match random.below(100) {
            0..3 => Act::Sweep {
                from: random.below(self.zone.words.len() as u32) as usize,
            },
            3..30 => Act::LookUp,
            // Where nothing may return, not of one that a worker is about to copy.
            30..40 if is_guest || self.is_tight => Act::End { holder: from },
            40..60 if is_guest => Act::Forget,
            30..60 => Act::Touch,
            60..87 => Act::Learn { to, claim },
            87..90 => Act::ForgetEntered,
            _ => Act::Reassign { from, to },
        };
        if !is_guest {
            if self.is_busy(number) {
                return;
            }
            self.check(number);
        }
        self.jobs[slot] = Some(Job::new(Arc::clone(&self.zone), act, number, self.now));
    }

    fn go_on(&mut self, slot: usize) {
        let Some(job) = &mut self.jobs[slot] else {
            return;
        };
        if let Some(answer) = job.work.resume().flatten() {
            if let Some(job) = self.jobs[slot].take() {
                self.settle(job, Some(answer));
            }
        }
    }

    fn die(&mut self, slot: usize) {
        if let Some(job) = self.jobs[slot].take() {
            self.totals.deaths += 1;
            self.died_here += 1;
            self.settle(job, None);
        }
    }

    /// Compares the answer of a worker, or the state that it left at its death, with the model.
    fn settle(&mut self, job: Job, answer: Option<Answer>) {
        let (number, key) = (job.number, key(job.number));
        if let Some(Answer::LookUp(LookUp::Found(session))) = &answer {
            assert!(
                is_peer_of(session.peer, number),
                "{session:?} of id {number}"
            );
            self.totals.found += 1;
        }
        self.totals.answers += u64::from(answer.is_some());
        if number >= self.known || matches!(job.act, Act::Sweep { .. }) {
            return;
        }

        let held = self.model.held.get(&key).copied();
        let mut states = vec![held];
        let is_over = held.is_some() && self.model.live(key, self.now).is_none();
        if held.is_none_or(|held| self.may_go(&held)) || is_over {
            states.push(None);
        }
        states.extend(self.past(number).map(Some));

        let (mut outcomes, mut copies) = (Vec::new(), Vec::new());
        for state in states {
            match state {
                Some(session) => self.model.held.insert(key, session),
                None => self.model.held.remove(&key),
            };
            let expected = job.expected(&mut self.model);
            let after = self.model.held.get(&key).copied();
            copies.extend(after);
            match &answer {
                // It lost every race.
                Some(Answer::Learned(Learned::Refused)) if self.is_tight => outcomes.push(state),
                Some(answer) if !self.agree(answer, &expected) => {}
                Some(_) => outcomes.push(after),
                None => outcomes.extend([state, after]),
            }
        }
        assert!(
            !outcomes.is_empty(),
            "{:?} of id {number} at {}: {answer:?}, held {held:?}",
            job.act,
            job.now
        );
        if let Some(reload) = &mut self.reload {
            let states = reload.states.entry(number).or_default();
            states.push(held);
            states.extend(outcomes.iter().copied());
        }
        // A worker may have changed a copy, and then have met another that ranks higher.
        self.note_past(number, copies);
        self.observe(number, held, &outcomes);
    }

    fn agree(&self, answer: &Answer, expected: &Answer) -> bool {
        match (answer, expected) {
            (Answer::LookUp(LookUp::Found(is)), Answer::LookUp(LookUp::Found(held))) => {
                self.is_same(is, held)
            }
            (Answer::LookUp(LookUp::Found(_)), _) | (_, Answer::LookUp(LookUp::Found(_))) => false,
            (Answer::LookUp(_), Answer::LookUp(_)) => true,
            (Answer::Learned(Learned::New { .. }), Answer::Learned(Learned::New { .. })) => true,
            _ => answer == expected,
        }
    }

    /// Whether a session is as expected. `seen` may be later, because removing copies and a crowded
    /// table advance it, and `created` earlier, because a word is not exact.
    fn is_same(&self, is: &Session, held: &Session) -> bool {
        let seen = held.seen..=held.seen.max(self.now) + 8;
        let age = held.seen.saturating_sub(held.created);
        let early = match (held.stage, held.confirmed) {
            (Stage::Entered, true) => 3 + age / 500,
            _ => 1 + age / 1000,
        };
        // One that was entered is as old as it was seen, until it is brought again.
        let late = match age {
            0 | 1 => is.seen.saturating_sub(held.seen),
            _ => 0,
        };
        let created = held.created.saturating_sub(early)..=held.created + late;
        is.peer == held.peer
            && is.confirmed == held.confirmed
            && is.stage == held.stage
            && seen.contains(&is.seen)
            && created.contains(&is.created)
    }

    /// Checks an id that no worker is using.
    fn check(&mut self, number: u64) {
        let held = self.model.held.get(&key(number)).copied();
        self.observe(number, held, &[held]);
    }

    /// The table must have one of `outcomes`, which becomes the state in the model.
    fn observe(&mut self, number: u64, before: Option<Session>, outcomes: &[Option<Session>]) {
        let key = key(number);
        let is = match self.zone.table().look_up(key, &LIMITS, self.now) {
            LookUp::Found(session) => Some(session),
            _ => None,
        };
        let mut live = Vec::new();
        for outcome in outcomes {
            live.push(outcome.filter(|held| LIMITS.is_live(held, self.now)));
        }
        let matches = |held: &Option<Session>| match (is, held) {
            (Some(is), Some(held)) => self.is_same(&is, held),
            (None, None) => true,
            _ => false,
        };
        let returns = is.is_some() && self.past(number).any(|past| matches(&Some(past)));
        if !live.iter().any(matches) && !returns {
            let lost = live.iter().flatten().next().copied();
            let may_go = is.is_none() && lost.is_some_and(|held| self.may_go(&held));
            assert!(
                may_go,
                "id {number} at {} of {} words, {:?}: {is:?}, before {before:?}, expected {live:?}",
                self.now,
                self.zone.words.len(),
                self.totals
            );
            let lost = lost.unwrap_or_else(|| unreachable!());
            self.totals.lost += 1;
            self.totals.lost_in_use += u64::from(lost.is_in_use());
        }
        let last = match is {
            Some(session) => self.model.held.insert(key, session),
            None => self.model.held.remove(&key),
        };
        self.note_past(number, last);
    }

    /// Notes states that a copy of a session may have.
    fn note_past(&mut self, number: u64, states: impl IntoIterator<Item = Session>) {
        let past = self.past.entry(number).or_default();
        past.retain(|held| LIMITS.is_live(held, self.now));
        for held in states
            .into_iter()
            .take(if self.is_tight { usize::MAX } else { 0 })
        {
            if !past.contains(&held) {
                past.push(held);
            }
        }
    }

    fn past(&self, number: u64) -> impl Iterator<Item = Session> + '_ {
        self.past.get(&number).into_iter().flatten().copied()
    }

    fn evicted(&self) -> u64 {
        self.totals.evicted + self.zone.evicted().0 + self.zone.evicted().1
    }

    fn may_go(&self, held: &Session) -> bool {
        self.is_tight || (!held.is_in_use() && self.evicted() > 0)
    }

    fn count_evictions(&mut self) {
        let (unused, in_use) = self.zone.evicted();
        self.totals.evicted += unused + in_use;
        self.totals.evicted_in_use += in_use;
        self.totals.relocated += self.zone.counters.relocated.load(Relaxed);
    }

    /// No worker is at work: the number of newcomers is right but for those that have died, and
    /// exact after a sweep.
    fn check_newcomers(&mut self) {
        let zone = &self.zone;
        let wrong = zone.newcomers() - zone.newcomers_counted() - too_many(self.is_tight);
        assert!(wrong.abs() <= self.died_here, "{wrong}: {:?}", self.totals);
        self.totals.corrected += u64::from(wrong != 0);
        // Under limits by which no session has ended.
        let forever = Limits {
            expires: Tick::MAX,
            lifetime: None,
        };
        let table = zone.table();
        table.publish(&table.sweep(0, zone.words.len(), &forever, self.now));
        assert_eq!(zone.newcomers(), zone.newcomers_counted());
        let newcomers = &zone.counters.newcomers;
        newcomers.fetch_add(too_many(self.is_tight) as u64, Relaxed);
    }

    fn begin_reload(&mut self) {
        let size = self.sizes[self.random.below(self.sizes.len() as u32) as usize];
        let (old, new) = (Arc::clone(&self.zone), Arc::new(zone(size, self.is_tight)));
        let zone = Arc::clone(&new);
        let copy = move || {
            new.table().copy_from(&old.table());
            Answer::Done(true)
        };
        let mut states: HashMap<u64, Vec<_>> = HashMap::new();
        for job in self.jobs.iter().flatten() {
            let held = self.model.held.get(&key(job.number)).copied();
            states.entry(job.number).or_default().push(held);
        }
        self.reload = Some(Reload {
            zone,
            work: worker::work(copy),
            states,
        });
    }

    /// The old workers end at once; their last operations may be lost.
    fn end_reload(&mut self) {
        for slot in 0..WORKERS {
            self.die(slot);
        }
        let Some(reload) = self.reload.take() else {
            return;
        };
        self.check_newcomers();
        self.count_evictions();
        self.zone = reload.zone;
        self.died_here = 0;
        self.totals.reloads += 1;
        for number in 0..self.known {
            let held = self.model.held.get(&key(number)).copied();
            let mut states = vec![held];
            states.extend(reload.states.get(&number).into_iter().flatten());
            self.observe(number, held, &states);
        }
    }
}

fn steps() -> u64 {
    let given = std::env::var("STICKY_STEPS").ok();
    given
        .and_then(|steps| steps.parse().ok())
        .unwrap_or(1_000_000)
}

#[test]
fn a_table_with_space_agrees_with_a_map() {
    Simulation::new(61, 72, 30, &[104, 108, 112, 128], false).run(steps());
}

#[test]
fn a_full_table_forgets_but_finds_nothing_wrong() {
    Simulation::new(62, 60, 40, &[8, 12, 32, 64], true).run(steps());
}
