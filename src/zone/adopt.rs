//! Taking a zone into use: kept over a reload or an upgrade of nginx, made from the zone of another
//! size that it replaces, or from its state file.

use std::num::NonZero;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use portable_atomic::AtomicU128;
use sticky_core::snapshot::{KeyBefore, Moment};
use sticky_core::table::{tick_at, Tick, ZoneHeader, LAST_TICK};

use crate::ngx::background_task;
use crate::ngx::clock::monotonic_seconds;
use crate::ngx::log::Level;
use crate::ngx::process;
use crate::ngx::shm::{Memory, OldBlock};

use super::snapshot;
use super::succession;
use super::table_zone::{epoch, parts_of, random_key, TableZone};

/// So many threads copy a table at most: the workers go on with requests meanwhile.
const COPYING_THREADS: usize = 4;

/// Whether a block is a zone of this version of the module. See [`crate::ngx::shm::Adopt`].
pub fn is_usable(block: &OldBlock) -> bool {
    parts_of(block).is_some()
}

/// Takes a zone into use: unchanged if it was kept over a reload; else with the sessions of the zone
/// of another size that it replaces, or of its state file. See [`crate::ngx::shm::Adopt`].
pub fn adopt(zone: &TableZone, memory: Memory) -> bool {
    let Some((header, rest)) = zone.split::<ZoneHeader, AtomicU128>() else {
        return false;
    };
    let identity = &header.identity;
    let before = match memory {
        Memory::Kept { replaced } if identity.is_valid_for(rest.len()) => {
            // An nginx that was started to go on with it may have ended.
            identity.set_replaced(false);
            if !identity.is_whole() {
                zone.keep_replaced(replaced);
            }
            return true;
        }
        Memory::Kept { .. } => {
            // Without a valid header, words mean nothing.
            for word in rest.iter().filter(|word| word.load(Relaxed) != 0) {
                word.store(0, Relaxed);
            }
            Vec::new()
        }
        // All zero: not a word is read, so that a table takes memory when it is first used.
        Memory::New { before } => before,
    };
    if replace(zone, (header, rest), &before) {
        return true;
    }
    let table = header.table(rest);
    let mut key_before = None;
    header.previous.set(None);
    if let (Some(snapshot), Some(limits)) = (zone.conf().snapshot.get(), zone.conf().longest.get())
    {
        if !process::is_test() {
            snapshot.read_into(zone, |file| {
                let (k0, k1) = file.sip_keys();
                let restored = file.restore(&table, &limits, snapshot::now(), |epoch| {
                    identity.init(rest.len(), k0, k1, epoch);
                });
                zone.conf().drains.replace(file.drains.take());
                key_before = file.key_before.take();
                restored
            });
        }
    }
    if !identity.is_valid_for(rest.len()) {
        let own = zone.conf().keys.get().map(|keys| keys.current);
        let Some((k0, k1)) = own.or_else(random_key) else {
            zone.log().write(
                Level::Error,
                format_args!("sticky: no random numbers for the key of a session table"),
            );
            return false;
        };
        identity.init(rest.len(), k0, k1, epoch());
    } else if let Some(KeyBefore { sip_keys, until }) = key_before {
        let Moment { monotonic, wall } = snapshot::now();
        let left = Tick::try_from(until.saturating_sub(wall)).unwrap_or(LAST_TICK);
        let until = tick_at(identity.epoch(), monotonic).saturating_add(left);
        header.previous.set((left > 0).then_some((sip_keys, until)));
    }
    true
}

/// The configuration is complete: gives a zone that has another key that of `sticky_cluster`. Before
/// anything is made with its key.
pub fn settle_key(zone: &TableZone) {
    let Some((header, _)) = zone.split::<ZoneHeader, AtomicU128>() else {
        return;
    };
    let (conf, identity) = (zone.conf(), &header.identity);
    let Some(keys) = conf.keys.get() else { return };
    let known = identity.sip_keys();
    if known == keys.current {
        return;
    }
    let now = tick_at(identity.epoch(), monotonic_seconds());
    let longest = conf.longest.get().map_or(0, |limits| limits.expires);
    match header.previous.at(now) {
        // The configuration says that there is that one, too, and there is room for one.
        Some(earlier) if keys.old == Some(known) && earlier.0 != keys.current => {
            header.change_key(keys.current, earlier.1);
            header.previous.set(Some(earlier));
        }
        _ => header.change_key(keys.current, now.saturating_add(longest)),
    }
}

/// The configuration is complete, and not only tested: what its zones replace is replaced. One that
/// fails later than its zones were made has replaced nothing.
pub fn complete(zone: &TableZone) {
    let replaced = zone.conf().replaces.take();
    if let Some((header, _)) = replaced.as_deref().and_then(parts_of) {
        header.identity.set_replaced(true);
    }
}

/// A new zone replaces one of another size, the first of `before`, which is in use. False: it cannot be
/// read.
fn replace(
    zone: &TableZone,
    (header, rest): (&ZoneHeader, &[AtomicU128]),
    before: &[Rc<OldBlock>],
) -> bool {
    let Some((old, old_rest)) = before.first().and_then(|block| parts_of(block)) else {
        return false;
    };
    let limits = zone.conf().longest.get();
    succession::collapse_before((old, old_rest), before.get(1..).unwrap_or_default(), limits);
    // The key and the epoch of the replaced zone give its words their meaning.
    let (k0, k1) = old.identity.sip_keys();
    let identity = &header.identity;
    identity.init(rest.len(), k0, k1, old.identity.epoch());
    header.previous.set(old.previous.get());
    if !old.counters.is_unused() {
        let (new, old) = (header.table(rest), old.table(old_rest));
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        background_task::without_signals(|| new.copy_from_in(&old, threads.min(COPYING_THREADS)));
    }
    *zone.conf().replaces.borrow_mut() = before.first().cloned();

    let needed = succession::needed(before, limits);
    if needed.is_cut {
        zone.log().write(
            Level::Error,
            format_args!(
                "sticky: too many configurations with other sizes of the zone still have requests, \
                 what workers of the oldest learn from now on is lost, zone \"{}\"",
                zone.name().escape_ascii()
            ),
        );
    }
    identity.set_whole(needed.blocks.is_empty());
    zone.keep_replaced(needed.blocks);
    true
}
