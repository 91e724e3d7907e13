//! Taking a zone into use: kept over a reload, made from the zone of another size that it replaces,
//! or from its state file.

use std::sync::atomic::Ordering::Relaxed;

use portable_atomic::AtomicU128;
use sticky_core::table::ZoneHeader;

use crate::ngx::cycle;
use crate::ngx::log::Level;
use crate::ngx::shm::Memory;

use super::sessions::{epoch, random_key, TableZone, ZoneConf};
use super::snapshot;

/// Takes a zone into use: unchanged if it was kept over a reload; else with the sessions of the zone
/// of another size that it replaces, or of its state file. See [`crate::ngx::shm::Adopt`].
pub fn adopt(zone: &TableZone, memory: Memory<'_, ZoneConf>) -> bool {
    let Some((header, rest)) = zone.split::<ZoneHeader, AtomicU128>() else {
        return false;
    };
    let identity = &header.identity;
    let before = match memory {
        Memory::Kept if identity.is_valid_for(rest.len()) => {
            // A configuration that failed may have replaced it.
            identity.set_replaced(false);
            return true;
        }
        Memory::Kept => {
            // Without a valid header, words mean nothing.
            for word in rest.iter().filter(|word| word.load(Relaxed) != 0) {
                word.store(0, Relaxed);
            }
            None
        }
        // All zero: not a word is read, so that a table takes memory when it is first used.
        Memory::New { before } => before,
    };
    let table = header.table(rest);
    let before = before
        .and_then(|before| before.split::<ZoneHeader, AtomicU128>())
        .filter(|(old, rest)| old.identity.is_valid_for(rest.len()));
    if let Some((old, old_rest)) = before {
        // The key and the epoch of the replaced zone give its words their meaning.
        let (k0, k1) = old.identity.sip_keys();
        identity.init(rest.len(), k0, k1, old.identity.epoch());
        if !old.counters.is_unused() {
            table.copy_from(&old.table(old_rest));
        }
        old.identity.set_replaced(true);
        return true;
    }
    if let (Some(snapshot), Some(limits)) = (zone.conf().snapshot.get(), zone.conf().longest.get())
    {
        if !cycle::is_test() {
            snapshot.read_into(zone, |file| {
                let (k0, k1) = file.sip_keys();
                file.restore(&table, &limits, snapshot::now(), |epoch| {
                    identity.init(rest.len(), k0, k1, epoch);
                })
            });
        }
    }
    if !identity.is_valid_for(rest.len()) {
        let Some((k0, k1)) = random_key() else {
            zone.log().write(
                Level::Error,
                format_args!("sticky: no random numbers for the key of a session table"),
            );
            return false;
        };
        identity.init(rest.len(), k0, k1, epoch());
    }
    true
}
