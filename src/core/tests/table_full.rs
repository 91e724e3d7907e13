//! Tests for what a table that is too small costs: how many sessions a busy site, a flood of invented
//! ids, or both lose, beside a list that lets go of whoever was away for longest (LRU). Without this, a
//! rule of eviction that serves one of them could lose the sessions of the other unnoticed.
//!
//! A site is simulated with a virtual clock. `STICKY_SITE_WORDS` sets the size of its table, see
//! `make test-long`.

mod table_zone;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::f64::consts::TAU;
use std::mem::size_of;

use sticky_core::table::{Claim, Learned, LocalTable, LookUp, Table, Tick, ZoneHeader};

use table_zone::{key, none_unusable, peer, Random, Sessions, Zone, HOUR};

/// nginx's slab allocator allocates whole pages; of a zone it uses some itself (ngx_slab_init).
const WORDS_IN_1MB: usize = (253 * 4096 - size_of::<ZoneHeader>()) / 16;
const WORDS_IN_32K: usize = (5 * 4096 - size_of::<ZoneHeader>()) / 16;

/// Numbers of sessions from here on are those of visitors, not of floods.
const VISITORS: u64 = 1 << 40;

/// What keeps sessions.
trait Keeper {
    /// A response begins session `number`.
    fn begin(&mut self, number: u64, now: Tick);
    /// A request brings it; whether it was known. If not, the session begins again.
    fn click(&mut self, number: u64, now: Tick) -> bool;
}

impl<T: Sessions> Keeper for T {
    fn begin(&mut self, number: u64, now: Tick) {
        let to = peer(number as u32 % 8);
        let learned = self.learn(
            key(number),
            to,
            Claim::ResponseOnly,
            &HOUR,
            now,
            &mut none_unusable,
        );
        assert!(matches!(learned, Learned::New { .. }), "{learned:?}");
    }

    fn click(&mut self, number: u64, now: Tick) -> bool {
        let to = peer(number as u32 % 8);
        if let LookUp::Found(session) = self.look_up(key(number), &HOUR, now) {
            assert_eq!(session.peer, to);
            self.touch(key(number), &HOUR, now);
            return true;
        }
        let carried = Claim::RequestCarried { holder: None };
        self.learn(key(number), to, carried, &HOUR, now, &mut none_unusable);
        false
    }
}

/// Keeps a number of sessions, those that were used last.
struct Lru {
    size: usize,
    uses: u64,
    used: HashMap<u64, (u64, Tick)>,
    order: BTreeMap<u64, u64>,
}

impl Lru {
    fn new(size: usize) -> Lru {
        Lru {
            size,
            uses: 0,
            used: HashMap::new(),
            order: BTreeMap::new(),
        }
    }
}

impl Keeper for Lru {
    fn begin(&mut self, number: u64, now: Tick) {
        self.click(number, now);
    }

    fn click(&mut self, number: u64, now: Tick) -> bool {
        self.uses += 1;
        let last = self.used.insert(number, (self.uses, now));
        self.order.insert(self.uses, number);
        if let Some((use_before, _)) = last {
            self.order.remove(&use_before);
        }
        if self.used.len() > self.size {
            if let Some((_, oldest)) = self.order.pop_first() {
                self.used.remove(&oldest);
            }
        }
        last.is_some_and(|(_, seen)| now - seen < HOUR.expires)
    }
}

/// Visitors that come at random, and click after a time that is mostly short and sometimes long.
struct Site {
    random: Random,
    /// New visitors a second.
    visitors: f64,
    /// Mean number of clicks of a visitor.
    clicks: f64,
}

#[derive(Clone, Copy, Default, Debug)]
struct Clicks {
    all: u64,
    lost: u64,
}

impl Clicks {
    fn percent(self) -> f64 {
        100.0 * self.lost as f64 / self.all as f64
    }
}

impl Site {
    /// A site with so many live sessions, as HOUR has it.
    fn of(sessions: f64, seed: u64) -> Site {
        Site {
            random: Random::seeded(seed),
            visitors: sessions / f64::from(HOUR.expires),
            clicks: 5.0,
        }
    }

    /// Above 0, at most 1.
    fn chance(&mut self) -> f64 {
        ((self.random.bits() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Seconds until a visitor's next click: half of them below 20, 1 % above 460.
    fn pause(&mut self) -> f64 {
        let normal = (-2.0 * self.chance().ln()).sqrt() * (TAU * self.chance()).cos();
        20.0 * (1.35 * normal).exp()
    }

    /// Clicks in two hours, after two hours in which the table fills.
    fn visit(mut self, keepers: &mut [&mut dyn Keeper]) -> Vec<Clicks> {
        const COUNTED_FROM: f64 = 7200.0;
        const END: f64 = 14_400.0;
        let mut clicks = vec![Clicks::default(); keepers.len()];
        let mut due: BinaryHeap<Reverse<(u64, u64)>> = BinaryHeap::new();
        let (mut next, mut visitors) = (0.0, 0);
        while next < END {
            while due
                .peek()
                .is_some_and(|Reverse((at, _))| *at <= (next * 1000.0) as u64)
            {
                let Some(Reverse((at, number))) = due.pop() else {
                    break;
                };
                for (keeper, clicks) in keepers.iter_mut().zip(&mut clicks) {
                    let is_known = keeper.click(number, (at / 1000) as Tick);
                    if at as f64 > COUNTED_FROM * 1000.0 {
                        clicks.all += 1;
                        clicks.lost += u64::from(!is_known);
                    }
                }
                if self.chance() < 1.0 - 1.0 / self.clicks {
                    due.push(Reverse((at + (self.pause() * 1000.0) as u64, number)));
                }
            }
            visitors += 1;
            for keeper in keepers.iter_mut() {
                keeper.begin(visitors, next as Tick);
            }
            due.push(Reverse((((next + self.pause()) * 1000.0) as u64, visitors)));
            next -= self.chance().ln() / self.visitors;
        }
        clicks
    }
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn a_site_loses_hardly_more_clicks_than_with_a_list_by_last_use() {
    let given = std::env::var("STICKY_SITE_WORDS").ok();
    let words = given.and_then(|words| words.parse().ok()).unwrap_or(8192);
    for (times, seed) in [(1.2, 41), (2.0, 42), (5.0, 43)] {
        let (zone, mut local, mut lru) =
            (Zone::new(words), LocalTable::new(words), Lru::new(words));
        let site = Site::of(times * words as f64, seed);
        let clicks = site.visit(&mut [&mut zone.table(), &mut local, &mut lru]);
        let [shared, local, lru] = [0, 1, 2].map(|keeper: usize| clicks[keeper].percent());
        println!(
            "{times} times the table, % of {} clicks: {shared:.3}, zone=off {local:.3}, LRU {lru:.3}",
            clicks[0].all
        );
        assert!(clicks[0].all > 10 * words as u64);
        let most = 1.1 * lru + 0.01;
        assert!(shared <= most && local <= most);
    }
}

/// A table full of sessions that came back once, which were idle for a minute when others arrive.
fn full_of_returned_once(keeper: &mut dyn Keeper, sessions: u64) -> Tick {
    for number in 0..sessions {
        let now = (number / 250) as Tick;
        keeper.begin(number, now);
        assert!(keeper.click(number, now), "{number}");
    }
    (sessions / 250) as Tick + 60
}

/// Visitors of a full table: so many a second, each of whom clicks once, some seconds later.
fn newcomers(
    keeper: &mut dyn Keeper,
    from: Tick,
    count: u64,
    a_second: u64,
    pauses: [u64; 2],
) -> Clicks {
    let mut random = Random::seeded(44);
    let (mut clicks, mut due) = (Clicks::default(), BinaryHeap::new());
    let mut click_until =
        |keeper: &mut dyn Keeper, due: &mut BinaryHeap<Reverse<(u64, u64)>>, end| {
            while due.peek().is_some_and(|Reverse((at, _))| *at <= end) {
                let Some(Reverse((at, number))) = due.pop() else {
                    break;
                };
                clicks.all += 1;
                clicks.lost += u64::from(!keeper.click(number, from + (at / 1000) as Tick));
            }
        };
    let [least, most] = pauses.map(|seconds| seconds * 1000);
    for visitor in 0..count {
        let (at, number) = (visitor * 1000 / a_second, VISITORS + visitor);
        click_until(keeper, &mut due, at);
        keeper.begin(number, from + (at / 1000) as Tick);
        let pause = least + u64::from(random.below((most - least) as u32));
        due.push(Reverse((at + pause, number)));
    }
    click_until(keeper, &mut due, u64::MAX);
    assert_eq!(clicks.all, count);
    clicks
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn in_a_table_full_of_sessions_that_returned_once_no_visitor_is_lost() {
    let check = |keeper: &mut dyn Keeper, sessions, count, a_second, pauses| {
        let from = full_of_returned_once(keeper, sessions);
        let clicks = newcomers(keeper, from, count, a_second, pauses);
        assert_eq!(
            clicks.lost, 0,
            "{sessions}, {count} at {a_second}/s: {clicks:?}"
        );
    };
    let filled = |words: usize| words as u64 * 116 / 100;
    check(
        &mut Zone::new(WORDS_IN_1MB).table(),
        75_200,
        600,
        15,
        [2, 6],
    );
    check(&mut LocalTable::new(WORDS_IN_1MB), 75_200, 600, 15, [2, 6]);
    check(
        &mut Zone::new(WORDS_IN_32K).table(),
        filled(WORDS_IN_32K),
        300,
        15,
        [2, 6],
    );
    check(
        &mut LocalTable::new(WORDS_IN_32K),
        filled(WORDS_IN_32K),
        300,
        15,
        [2, 6],
    );
    // So many that wait at once are still less than a quarter of the table.
    check(
        &mut Zone::new(WORDS_IN_1MB).table(),
        75_200,
        20_000,
        100,
        [119, 121],
    );
}

/// What a million ids that never return, at so many a second, leave of sessions in use that were last
/// seen at 0, 1, 2 … 2000, and how many of new visitors they cost, 5 a second who click after 2 to 6 s.
struct Flooded {
    lost: f64,
    lost_of_later_half: f64,
    visitors: Clicks,
}

fn flood(
    keeper: &mut dyn Keeper,
    in_use: u64,
    a_second: u64,
    is_found: &dyn Fn(u64, Tick) -> bool,
) -> Flooded {
    const BEGIN: u64 = 2000;
    const IDS: u64 = 1_000_000;
    for number in 0..in_use {
        let now = (number * BEGIN / in_use) as Tick;
        keeper.begin(number, now);
        keeper.click(number, now);
    }
    let mut random = Random::seeded(45);
    let mut visitors = Clicks::default();
    let mut due = BinaryHeap::new();
    for invented in 0..IDS {
        let at = BEGIN * 1000 + invented * 1000 / a_second;
        while due.peek().is_some_and(|Reverse((then, _))| *then <= at) {
            let Some(Reverse((then, number))) = due.pop() else {
                break;
            };
            visitors.all += 1;
            visitors.lost += u64::from(!keeper.click(number, (then / 1000) as Tick));
        }
        if invented % (a_second / 5) == 0 {
            let number = VISITORS + invented;
            keeper.begin(number, (at / 1000) as Tick);
            due.push(Reverse((at + 2000 + u64::from(random.below(4000)), number)));
        }
        keeper.begin(in_use + invented, (at / 1000) as Tick);
    }
    let end = (BEGIN + IDS / a_second) as Tick;
    let lost = |from, to| (from..to).filter(|number| !is_found(*number, end)).count() as f64;
    let half = in_use / 2;
    Flooded {
        lost: 100.0 * lost(0, in_use) / in_use as f64,
        lost_of_later_half: 100.0 * lost(half, in_use) / (in_use - half) as f64,
        visitors,
    }
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn a_flood_of_ids_that_never_return_takes_a_part_of_a_full_table() {
    for (in_use, most) in [(5_000, 0.0), (60_000, 35.0)] {
        for a_second in [1_000, 10_000] {
            let zone = Zone::new(WORDS_IN_1MB);
            let is_known =
                |number, now| zone.table().look_up(key(number), &HOUR, now) != LookUp::Unknown;
            let shared = flood(&mut zone.table(), in_use, a_second, &is_known);
            println!(
                "{in_use} in use, {a_second}/s: lost {:.2} %, of the half seen last {:.2} %, visitors {:.2} %",
                shared.lost, shared.lost_of_later_half, shared.visitors.percent()
            );
            assert!(shared.lost <= most && shared.lost_of_later_half <= 1.0);
            // Newcomers live as long as the flood takes to fill their part of the table: beside
            // 60,000 in use, at 10,000 a second, hardly until their first click.
            let most = match (in_use, a_second) {
                (_, 1_000) => 1.0,
                (5_000, _) => 10.0,
                _ => 100.0,
            };
            assert!(shared.visitors.percent() <= most);
        }
    }
}

/// Sessions that begin with a request, which an answer keeps or not.
struct Entered<'a>(Table<'a>, bool);

impl Keeper for Entered<'_> {
    fn begin(&mut self, number: u64, now: Tick) {
        let Entered(table, is_kept) = *self;
        let (key, to) = (key(number), peer(number as u32 % 8));
        let learn = |claim| table.learn(key, to, claim, &HOUR, now, &mut none_unusable);
        let learned = learn(Claim::Request { from: None });
        assert!(matches!(learned, Learned::New { .. }), "{learned:?}");
        if is_kept {
            learn(Claim::Answer);
        }
    }

    fn click(&mut self, number: u64, now: Tick) -> bool {
        let is_known = self.0.look_up(key(number), &HOUR, now) != LookUp::Unknown;
        match is_known {
            true => self.0.touch(key(number), &HOUR, now),
            false => self.begin(number, now),
        }
        is_known
    }
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn a_flood_of_ids_that_requests_enter_costs_no_session_in_use() {
    for is_kept in [false, true] {
        let zone = Zone::new(WORDS_IN_1MB);
        let is_known =
            |number, now| zone.table().look_up(key(number), &HOUR, now) != LookUp::Unknown;
        let flooded = flood(&mut Entered(zone.table(), is_kept), 5_000, 1_000, &is_known);
        assert!(flooded.lost == 0.0, "kept {is_kept}: {:.2} %", flooded.lost);
        assert!(flooded.visitors.percent() <= 1.0);
    }
}

/// Ids that come back once each, so that they are in use as well, fill the table again and again, at
/// so many a second. Sessions are used so often in the time in which they fill it once: the share of
/// their clicks that are lost.
fn rush(keeper: &mut dyn Keeper, words: u64, a_second: u64, uses: u64) -> Clicks {
    const FILLS: u64 = 5;
    let in_use = words / 13;
    for number in 0..in_use {
        keeper.begin(number, 0);
        keeper.click(number, 0);
    }
    let mut clicks = Clicks::default();
    let mut clicked = 0;
    for invented in 0..FILLS * words {
        let now = (1 + invented / a_second) as Tick;
        keeper.begin(in_use + invented, now);
        keeper.click(in_use + invented, now);
        while clicked < (invented + 1) * uses * in_use / words {
            let is_known = keeper.click(clicked % in_use, now);
            clicked += 1;
            // Once the table is full.
            if invented > words {
                clicks.all += 1;
                clicks.lost += u64::from(!is_known);
            }
        }
    }
    assert_eq!(clicked, FILLS * uses * in_use);
    clicks
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn ids_that_return_once_cost_no_more_of_the_sessions_used_more_often() {
    let words = WORDS_IN_1MB;
    for (uses, most) in [(2, 13.0), (3, 5.0), (4, 1.0), (6, 0.01)] {
        for a_second in [1_000, 10_000] {
            let zone = Zone::new(words);
            let shared = rush(&mut zone.table(), words as u64, a_second, uses).percent();
            let mut table = LocalTable::new(words);
            let local = rush(&mut table, words as u64, a_second, uses).percent();
            println!("used {uses} times, {a_second}/s: lost {shared:.3} %, zone=off {local:.3} %");
            assert!(shared <= most && local <= most);
        }
    }
}
