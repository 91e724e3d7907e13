//! What every worker does once a second besides its requests, step by step.

use std::cell::Cell;

use crate::config::counted;
use crate::config::types::MainConf;
use crate::ngx::cycle::Cycle;
use crate::ngx::stepped::{self, Stepped};
use crate::ngx::sys;
use crate::ngx::timer::{Repeated, Slot};
use crate::operator::{self, Duties};
use crate::request::{open, usable};
use crate::zone::housekeeping;

/// How far a second's work has come.
#[derive(Clone, Copy)]
enum Stage {
    /// So many open responses are to be looked at.
    Open(usize),
    Tables,
    Operator(Duties),
}

thread_local! {
    static STAGE: Cell<Option<Stage>> = const { Cell::new(None) };
}

/// Called every second in every worker.
pub(super) struct EverySecond;

impl Repeated for EverySecond {
    const EVERY: u32 = 1000;

    fn slot() -> &'static Slot {
        static SLOT: Slot = Slot::new();
        &SLOT
    }

    fn tick() {
        // In a second that is that full, the next one's work has to wait.
        if !stepped::is_under_way::<Self>() {
            STAGE.set(Some(Stage::Open(open::due())));
            stepped::work::<Self>();
        }
    }
}

impl Stepped for EverySecond {
    fn slot() -> &'static Slot {
        static SLOT: Slot = Slot::new();
        &SLOT
    }

    fn step(may_go_on: &dyn Fn() -> bool) -> bool {
        // SAFETY: ngx_cycle is the running cycle while the event loop runs (main(),
        // ngx_master_process_cycle(), ngx_single_process_cycle()).
        let running = unsafe { Cycle::from_ptr(sys::ngx_cycle) };
        // Taken out meanwhile, so that a stage that panics is not called again.
        let next = match (STAGE.take(), running) {
            (Some(Stage::Open(due)), _) => Some(match open::look_at(due, may_go_on) {
                0 => Stage::Tables,
                left => Stage::Open(left),
            }),
            (Some(Stage::Tables), Some(running)) => {
                look_after_tables(running);
                Some(Stage::Operator(Duties::default()))
            }
            (Some(Stage::Operator(duties)), Some(running)) => {
                operator::go_on(running, duties, may_go_on).map(Stage::Operator)
            }
            _ => None,
        };
        STAGE.set(next);
        next.is_some()
    }
}

fn look_after_tables(running: Cycle<'_>) {
    housekeeping::tick(
        running,
        &|zone| usable::servers_of(running, zone),
        &|zone| {
            let main = running.main_conf::<MainConf<'_>>();
            main.map_or_else(Vec::new, |main| counted::resolved(main, zone))
        },
    );
}
