//! Threads that change many sessions: what they have done is logged and counted when they end.

use std::cell::RefCell;

use crate::config::types::{MainConf, UpstreamConf};
use crate::ngx::background_task::BackgroundTask;
use crate::ngx::log::{Level, Log};
use crate::zone::counters::UpstreamCounters;

/// So many threads of a worker change sessions at once.
const MOST_RUNNING: usize = 4;

/// A thread that changes sessions.
pub struct Running {
    /// It tells how many.
    pub task: BackgroundTask<usize>,
    /// The upstream.
    pub upstream: Vec<u8>,
    /// What it does, in words.
    pub text: String,
    /// It moves them; else they end.
    pub is_moved: bool,
}

thread_local! {
    static RUNNING: RefCell<Vec<Running>> = const { RefCell::new(Vec::new()) };
}

/// Whether there are as many of them as there may be.
pub fn is_full() -> bool {
    RUNNING.with_borrow(|running| running.len() >= MOST_RUNNING)
}

/// A thread has begun.
pub fn add(one: Running) {
    RUNNING.with_borrow_mut(|running| running.push(one));
}

/// Calls a function with the counters of each sticky upstream.
fn each_counters<'c>(main: &MainConf<'c>, f: &mut dyn FnMut(&[u8], &UpstreamCounters<'c>)) {
    for us in main.sticky.borrow().iter() {
        let conf = us.srv_conf::<UpstreamConf<'c>>();
        let sticky = conf.and_then(UpstreamConf::active);
        if let Some(counters) = sticky.and_then(|sticky| sticky.counters.get()) {
            f(us.name(), counters);
        }
    }
}

/// Called once a second in one worker: the servers that are drained are there. Goes on from the
/// upstream of that number, and returns where it has stopped.
pub fn see_drains(main: &MainConf<'_>, from: usize, may_go_on: &dyn Fn() -> bool) -> Option<usize> {
    main.each_from(from, may_go_on, |us| {
        let conf = us.srv_conf::<UpstreamConf<'_>>();
        if let Some(counters) = conf.and_then(|conf| conf.active()?.counters.get()) {
            counters.see_drains();
        }
    })
}

/// Called once a second in every worker: what threads have done is logged and counted.
pub fn tick(main: &MainConf<'_>) {
    let is_any = RUNNING.with_borrow(|running| !running.is_empty());
    if !is_any {
        return;
    }
    let ended = RUNNING.with_borrow_mut(|running| {
        let (ended, going_on) = running
            .drain(..)
            .partition(|running| running.task.is_finished());
        *running = going_on;
        ended
    });
    note(main, ended, "");
}

/// The worker ends, and its threads were stopped.
pub fn leave(main: &MainConf<'_>) {
    let stopped = RUNNING.take();
    let cut = ", or not all of them: the worker ends, so do it again";
    note(main, stopped, cut);
}

fn note(main: &MainConf<'_>, ended: Vec<Running>, end: &str) {
    for Running {
        task,
        upstream,
        text,
        is_moved,
    } in ended
    {
        let Ok(count) = task.outcome() else { continue };
        each_counters(main, &mut |name, counters| {
            if let Some(own) = counters.own().filter(|_| name == upstream) {
                match is_moved {
                    true => own.moved_by_hand(count as u64),
                    false => own.forgotten_by_hand(count as u64),
                }
            }
        });
        Log::cycle().write(
            Level::Notice,
            format_args!("sticky: {text}, {count} sessions{end}"),
        );
    }
}
