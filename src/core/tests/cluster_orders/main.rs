//! A small system in all orders of its steps: two nodes, one id, three workers, with senders and
//! followers. Coarsely, where an operation, an entry and a record are a step each, without any bound;
//! finely, where the steps between reads and writes count, with a bounded number of switches from one
//! to another, and with one that dies. In the end, all nodes must have the fold of the stream. Without
//! this, an order in which nodes part for good could stay unnoticed.
//!
//! `STICKY_SWITCHES` sets the number of switches, and has all systems tried: one in some otherwise.

#[path = "../cluster_node/mod.rs"]
mod cluster_node;
#[path = "../table_zone/mod.rs"]
mod table_zone;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

use generator::{Generator, Gn};

use sticky_core::table::{test_points, Claim, Limits, LookUp};

use cluster_node::{Fold, Memory, Store};
use table_zone::{key, none_unusable};

const LIMITS: Limits = Limits {
    expires: 1600,
    lifetime: None,
};

type Work = Generator<'static, (), Option<()>>;

thread_local! {
    /// Whether work stops between reads and writes.
    static IS_FINE: Cell<bool> = const { Cell::new(false) };
}

/// Stops until it is resumed.
fn stop() {
    if generator::is_generator() {
        // Called from hooks, which are shared by all.
        #[allow(deprecated)]
        generator::yield_with(None::<()>);
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Act {
    Learn(u32),
    Move { from: u32, to: u32 },
    End(u32),
    Use,
}

const ACTS: [Act; 5] = [
    Act::Learn(1),
    Act::Learn(2),
    Act::Move { from: 1, to: 2 },
    Act::End(1),
    Act::Use,
];

fn act(memory: &Memory, act: Act) {
    let (table, limits, now) = (memory.table(), memory.liveness.limits, memory.tick());
    match act {
        Act::Learn(server) => {
            let to = memory.registered(server);
            table.learn_of(
                key(1),
                &to,
                Claim::ResponseOnly,
                &limits,
                now,
                &mut none_unusable,
            );
        }
        Act::Move { from, to } => {
            let (from, to) = (memory.number(from), memory.registered(to));
            table.reassign_to(key(1), from, &to, &limits, now);
        }
        Act::End(server) => {
            table.end(key(1), memory.number(server), &limits, now);
        }
        Act::Use => table.touch(key(1), &limits, now),
    }
}

/// Two nodes, of which the first one has two workers.
struct System {
    store: Arc<Store>,
    nodes: [Arc<Memory>; 2],
    works: Vec<Option<Work>>,
}

fn work(work: impl FnOnce() + Send + 'static) -> Option<Work> {
    Some(Gn::<()>::new_opt(0x1000, move || {
        work();
        Some(())
    }))
}

impl System {
    fn new(is_held: bool, acts: [Act; 3], is_fine: bool) -> System {
        let store = Arc::new(Store::new(1_000_000));
        let node = |name| Arc::new(Memory::new(name, 2, (32, 16), &LIMITS, &store));
        let nodes = [node(0), node(1)];
        if is_held {
            act(&nodes[0], Act::Learn(1));
            while nodes.iter().any(|node| node.send(9, &|| {})) {}
            for node in &nodes {
                node.follow(9);
            }
            // The next use is worth telling others.
            store.clock.fetch_add(200, SeqCst);
        }
        let mut works = Vec::new();
        let link = |node: &Arc<Memory>| {
            let node = Arc::clone(node);
            work(move || {
                node.send(9, &|| {});
                stop();
                node.follow(9);
            })
        };
        for (of, what) in [0, 0, 1].into_iter().zip(acts) {
            let node = Arc::clone(&nodes[of]);
            match is_fine && of == 1 {
                false => works.push(work(move || act(&node, what))),
                // Only the steps of one node are told apart then: the other has done its part.
                true => {
                    act(&node, what);
                    node.send(9, &|| {});
                }
            }
        }
        let links = nodes.iter().take(if is_fine { 1 } else { 2 });
        works.extend(links.map(link));
        System {
            store,
            nodes,
            works,
        }
    }

    fn end(mut self) -> Result<(), String> {
        // Whoever died goes on dead; the others end.
        for work in self.works.iter_mut().flatten() {
            while work.resume().is_some_and(|it| it.is_none()) {}
        }
        for node in &self.nodes {
            while node.send(9, &|| {}) {}
        }
        let mut fold = Fold::default();
        fold.go_on(&self.store, &self.nodes[0].liveness);
        let expected = fold.held.get(&key(1)).copied().flatten();
        let expected = expected.map(|held| held.server.bits() as u32 - 1);
        for node in &self.nodes {
            node.follow(99);
            let is = match node.look_up(key(1)) {
                LookUp::Found(session) => Some(node.server_of(session.peer)),
                _ => None,
            };
            if is != expected || node.journal().returned() != node.journal().tail() {
                let stream = self.store.stream.lock().unwrap();
                let records = stream.iter().map(|it| {
                    let record = it.record;
                    (
                        it.node,
                        it.position,
                        record.change,
                        record.server,
                        record.from,
                    )
                });
                let records: Vec<_> = records.collect();
                return Err(format!(
                    "node {} has {is:?}, not {expected:?}: {records:?}",
                    node.name
                ));
            }
        }
        Ok(())
    }
}

/// A step at which something else could have been done.
struct Choice {
    options: Vec<Step>,
    taken: usize,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Step {
    Resume(usize),
    Kill(usize),
}

/// Runs a system in each order of its steps, with at most so many switches and deaths. Returns how
/// many there were.
fn explore(new: &dyn Fn() -> System, switches: usize, deaths: usize, what: &str) -> u64 {
    let mut choices: Vec<Choice> = Vec::new();
    let mut runs = 0;
    loop {
        let mut system = new();
        let (mut last, mut switched, mut died) = (None, 0, 0);
        let mut depth = 0;
        loop {
            let alive = |system: &System, index: usize| system.works[index].is_some();
            if depth == choices.len() {
                let mut options = Vec::new();
                let goes_on = last.filter(|last| alive(&system, *last));
                options.extend(goes_on.map(Step::Resume));
                let may_switch = goes_on.is_none() || switched < switches;
                for index in (0..system.works.len()).filter(|_| may_switch) {
                    if alive(&system, index) && Some(index) != goes_on {
                        options.push(Step::Resume(index));
                    }
                }
                options.extend(goes_on.filter(|_| died < deaths).map(Step::Kill));
                choices.push(Choice { options, taken: 0 });
            }
            let choice = &choices[depth];
            let Some(step) = choice.options.get(choice.taken).copied() else {
                break;
            };
            depth += 1;
            match step {
                Step::Kill(index) => {
                    system.works[index] = None;
                    died += 1;
                }
                Step::Resume(index) => {
                    let was = last.filter(|last| alive(&system, *last));
                    switched += usize::from(was.is_some_and(|was| was != index));
                    last = Some(index);
                    let work = system.works[index].as_mut();
                    if work.is_some_and(|work| work.resume().flatten().is_some()) {
                        system.works[index] = None;
                    }
                }
            }
        }
        runs += 1;
        if let Err(error) = system.end() {
            let steps = choices.iter().filter_map(|it| it.options.get(it.taken));
            let steps: Vec<_> = steps.collect();
            panic!("{what}, order {runs}: {error}; steps {steps:?}");
        }
        // The next order.
        while let Some(choice) = choices.last_mut() {
            choice.taken += 1;
            if choice.taken < choice.options.len() {
                break;
            }
            choices.pop();
        }
        if choices.is_empty() {
            return runs;
        }
    }
}

/// The number of switches that is asked for.
fn switches() -> Option<usize> {
    std::env::var("STICKY_SWITCHES").ok()?.parse().ok()
}

fn systems() -> impl Iterator<Item = (bool, [Act; 3])> {
    let all = [false, true].into_iter().flat_map(|is_held| {
        ACTS.into_iter().flat_map(move |first| {
            let others = ACTS
                .into_iter()
                .flat_map(|second| ACTS.map(|third| (second, third)));
            others.map(move |(second, third)| (is_held, [first, second, third]))
        })
    });
    // The first two are of one node: their order is not another system.
    let place = |act: Act| ACTS.iter().position(|it| *it == act);
    let is_first = move |[first, second, _]: &[Act; 3]| place(*first) <= place(*second);
    // A use of what is unknown is none.
    let all = all
        .filter(move |(is_held, acts)| is_first(acts) && (*is_held || !acts.contains(&Act::Use)));
    all.step_by(if switches().is_some() { 1 } else { 7 })
}

fn begin(is_fine: bool) {
    IS_FINE.set(is_fine);
    test_points::hook(Some(Rc::new(|point| {
        let is_step = match IS_FINE.get() {
            // Words that are read one by one are tests/table_orders'.
            true => !point.starts_with("view") && !point.starts_with("search"),
            false => false,
        };
        if is_step {
            stop();
        }
    })));
}

#[test]
fn nodes_agree_after_all_orders() {
    begin(false);
    let (mut runs, mut count) = (0, 0);
    for (is_held, acts) in systems() {
        let what = format!("{acts:?}, held: {is_held}");
        runs += explore(&|| System::new(is_held, acts, false), usize::MAX, 0, &what);
        count += 1;
    }
    println!("{count} systems, {runs} orders");
    assert!(runs > 10_000);
}

#[test]
fn nodes_agree_after_all_orders_between_reads_and_writes() {
    begin(true);
    let switches = switches().unwrap_or(1);
    let (mut runs, mut count) = (0, 0);
    for (is_held, acts) in systems() {
        let what = format!("{acts:?}, held: {is_held}");
        runs += explore(&|| System::new(is_held, acts, true), switches, 0, &what);
        runs += explore(
            &|| System::new(is_held, acts, true),
            switches.min(1),
            1,
            &what,
        );
        count += 1;
    }
    println!("{count} systems, {runs} orders");
    assert!(runs > 10_000);
}
