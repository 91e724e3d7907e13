//! The zone of what `mode=discover` has seen. Its tag is that of no module, as a tag has zones of
//! one type.

use std::sync::atomic::AtomicU64;

use sticky_core::discover::sample::{Sample, SamplesHeader};

use crate::ngx::conf::Conf;
use crate::ngx::shm::{Memory, OldBlock, Zone, ZoneError};

use super::table_zone::random_key;

/// The zone.
pub type SamplesZone = Zone<SamplesConf>;

/// Its name.
const NAME: &[u8] = b"sticky/discover";

/// What the module keeps for the zone: nothing.
#[derive(Default)]
pub struct SamplesConf;

/// What an upstream needs to be watched.
#[derive(Clone, Copy)]
pub struct Watch<'c> {
    /// What was seen.
    pub sample: Sample<'c>,
    /// Makes hashes.
    pub header: &'c SamplesHeader,
}

/// Makes the zone, with so many words.
pub fn add(cf: Conf<'_>, words: usize) -> Result<&SamplesZone, ZoneError> {
    let bytes = size_of::<SamplesHeader>() + words * size_of::<AtomicU64>();
    SamplesZone::add(cf, NAME, SamplesZone::size_for(bytes))
}

/// Whether a block is such a zone of this version of the module. See [`crate::ngx::shm::Adopt`].
pub fn is_usable(block: &OldBlock) -> bool {
    let parts = block.split::<SamplesHeader, AtomicU64>();
    parts.is_some_and(|(header, _)| header.is_valid())
}

/// Takes the zone into use. See [`crate::ngx::shm::Adopt`].
pub fn adopt(zone: &SamplesZone, memory: Memory) -> bool {
    let Some((header, words)) = zone.split::<SamplesHeader, AtomicU64>() else {
        return false;
    };
    if matches!(memory, Memory::Kept { .. }) && header.is_valid() {
        return true;
    }
    if matches!(memory, Memory::Kept { .. }) {
        let all = words.iter();
        all.for_each(|word| word.store(0, std::sync::atomic::Ordering::Relaxed));
    }
    let key = random_key();
    key.into_iter().for_each(|key| header.begin(key));
    key.is_some()
}

/// The part of the zone from one word on. `None`: there is none, or the zone was not made.
pub fn watch(zone: &SamplesZone, from: usize, words: usize) -> Option<Watch<'_>> {
    let (header, all) = zone.split::<SamplesHeader, AtomicU64>()?;
    Some(Watch {
        sample: Sample::of(all.get(from..from + words)?)?,
        header,
    })
}
