//! Taking a zone into use: kept over a reload, made from the zone of another size that it replaces,
//! or from its state file.

use std::sync::atomic::Ordering::Relaxed;

use portable_atomic::AtomicU128;
use sticky_core::table::{Table, ZoneHeader};

use crate::ngx::cycle;

use super::sessions::{epoch, random_key, TableZone};
use super::snapshot;

/// Takes a zone into use: as it is when it was kept over a reload, else empty, with the sessions of
/// the zone of another size that it replaces, or of its state file. See [`crate::ngx::shm::Adopt`].
pub fn adopt(zone: &TableZone, before: Option<&TableZone>) -> bool {
    let Some((prelude, words)) = zone.split::<ZoneHeader, AtomicU128>() else {
        return false;
    };
    let header = &prelude.header;
    if header.is_valid_for(words.len()) {
        // It may have been replaced in a configuration that failed.
        header.set_replaced(false);
        return true;
    }
    // Words without a header that explains them; in a new zone there are none.
    for word in words.iter().filter(|word| word.load(Relaxed) != 0) {
        word.store(0, Relaxed);
    }
    let table = Table::new(words, &prelude.counters);
    let before = before
        .and_then(|before| before.split::<ZoneHeader, AtomicU128>())
        .filter(|(prelude, words)| prelude.header.is_valid_for(words.len()));
    if let Some((old, old_words)) = before {
        // The key and the epoch of the replaced zone, or its words would mean nothing here.
        let (k0, k1) = old.header.sip_keys();
        header.init(words.len(), k0, k1, old.header.epoch());
        table.copy_from(&Table::new(old_words, &old.counters));
        old.header.set_replaced(true);
        return true;
    }
    if let (Some(state), Some(limits)) = (zone.conf().state.get(), zone.conf().longest.get()) {
        if !cycle::is_test() {
            state.begin(zone, |whole| {
                let (k0, k1) = whole.sip_keys();
                whole.restore(&table, &limits, snapshot::now(), |epoch| {
                    header.init(words.len(), k0, k1, epoch);
                })
            });
        }
    }
    if !header.is_valid_for(words.len()) {
        let (k0, k1) = random_key();
        header.init(words.len(), k0, k1, epoch());
    }
    true
}
