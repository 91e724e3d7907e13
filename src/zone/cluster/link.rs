//! Losing the store and finding it again.

use std::sync::atomic::{Ordering::AcqRel, Ordering::Acquire, Ordering::Release};
use std::time::Duration;

use sticky_core::cluster::header::Flag;

use crate::ngx::log::Level;

use super::shared::Context;
use super::store::{Store, StoreError};

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// Waits longer after each failure.
pub struct Backoff(Duration);

impl Backoff {
    /// After none.
    pub fn new() -> Self {
        Self(SHORTEST)
    }

    /// How long to wait after a failure.
    pub fn next(&mut self) -> Duration {
        let wait = self.0;
        self.0 = (wait * 2).min(LONGEST);
        wait
    }
}

/// The store does not answer, or not as it should. Tells the operator, once.
pub fn lost(context: &Context<'_>, error: &StoreError) {
    let header = context.header;
    if header.set(Flag::Up, false) {
        sticky_core::cluster::statistics::add(&header.statistics.store_lost, 1);
    }
    if !header.set(Flag::ToldAway, true) {
        let line = format!(
            "the store cannot be used, {error}, each nginx goes on with what it knows, \
             sticky_cluster {}",
            context.plan.access
        );
        context.say(Level::Error, line);
    }
}

/// The store answers, but takes nothing of what is to be sent. Tells the operator, once.
pub fn refused(context: &Context<'_>, error: &StoreError) {
    context.shared.is_refused.store(true, Release);
    lost(context, error);
}

/// The store takes what is sent.
pub fn taken(context: &Context<'_>) {
    if context.shared.is_refused.swap(false, AcqRel) {
        found(context);
    }
}

/// The store answers. Tells the operator, if he knows that it did not.
pub fn found(context: &Context<'_>) {
    let header = context.header;
    if context.shared.is_refused.load(Acquire) {
        return;
    }
    header.set(Flag::Up, true);
    if header.set(Flag::ToldAway, false) {
        let line = format!(
            "the store can be used again, sticky_cluster {}",
            context.plan.access
        );
        // As loud as the line before: who has heard of the one hears of the other.
        context.say(Level::Error, line);
    }
}

/// What tells one run of the store's server from another one, as a number, not 0.
pub fn run_of(store: &mut Store) -> Result<u64, StoreError> {
    Ok(digest_of(&store.run_id()?))
}

/// The same of what the server calls it.
pub fn digest_of(run: &str) -> u64 {
    // FNV-1a: of nobody who would want two to be the same.
    let digest = run.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    digest.max(1)
}
