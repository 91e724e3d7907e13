//! Reads what was seen.

use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed};

use smallvec::SmallVec;

use super::{clients, BACK_FIRST, BEHIND_UPGRADE, CLIENT_WORDS, IN_UPGRADE, OTHER_CLIENT_BACK};
use super::{OTHER_CLIENT_OUT, PLACES};
use crate::discover::{is_shown, Kind, MAX_NAME};

/// What is known of all.
pub struct Known {
    pub requests: u64,
    pub pages: u64,
    pub clients: usize,
    /// By their numbers less 1.
    pub places: Vec<Option<KnownPlace>>,
    pub values: Vec<KnownValue>,
}

/// A place.
#[derive(Clone, Debug)]
pub struct KnownPlace {
    pub kind: Kind,
    pub name: Vec<u8>,
    pub clients: usize,
}

/// Up to four places of a value.
pub type Places = SmallVec<[usize; 4]>;

/// A value.
#[derive(Clone, Debug)]
pub struct KnownValue {
    /// Places less 1 that handed it out.
    pub out: Places,
    /// Those where it came back.
    pub back: Places,
    pub client: u64,
    /// It was handed out to several clients.
    pub is_shared: bool,
    /// Several clients have brought it.
    pub is_brought_by_others: bool,
    /// A request had it before any response.
    pub is_back_first: bool,
    /// Its client had upgraded a connection before.
    pub is_behind_upgrade: bool,
    /// A request that upgraded its connection has brought it.
    pub is_in_upgrade: bool,
    pub times_back: u64,
    pub astray: u64,
}

pub(super) fn known_place(words: &[AtomicU64]) -> Option<KnownPlace> {
    let of_kind = words.get(1)?.load(Acquire);
    let kind = Kind::of_number(of_kind >> 8)?;
    let length = usize::try_from(of_kind & 0xff).ok()?;
    let bytes = words.get(7..15)?.iter();
    let mut name: Vec<u8> = bytes
        .flat_map(|word| word.load(Relaxed).to_le_bytes())
        .collect();
    name.truncate(length.min(MAX_NAME));
    is_shown(&name).then(|| KnownPlace {
        kind,
        name,
        clients: words.get(3..3 + CLIENT_WORDS).map_or(0, clients),
    })
}

pub(super) fn known_value(words: &[AtomicU64]) -> Option<KnownValue> {
    let [hash, out, back, owner, counts, ..] = words else {
        return None;
    };
    if hash.load(Acquire) == 0 {
        return None;
    }
    let places = |word: &AtomicU64| {
        let word = word.load(Relaxed);
        let all = [0, 16, 32, 48].map(|at| (word >> at & 0xffff) as usize);
        let all = all
            .into_iter()
            .filter(|place| (1..=2 * PLACES).contains(place));
        all.map(|place| place - 1).collect()
    };
    let (owner, counts) = (owner.load(Relaxed), counts.load(Relaxed));
    Some(KnownValue {
        out: places(out),
        back: places(back),
        client: owner >> 16 & 0xffff_ffff,
        is_shared: owner & OTHER_CLIENT_OUT != 0,
        is_brought_by_others: owner & OTHER_CLIENT_BACK != 0,
        is_back_first: owner & BACK_FIRST != 0,
        is_behind_upgrade: owner & BEHIND_UPGRADE != 0,
        is_in_upgrade: owner & IN_UPGRADE != 0,
        times_back: counts >> 16 & 0xffff,
        astray: counts >> 32 & 0xffff,
    })
}
