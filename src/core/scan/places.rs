//! How many new ids are learned from one response, and which, when it shows more.
//!
//! A page may show ids that are not its session's: visitors paste links into it, or its links have
//! other things under the same name. So each class of ids has [`PER_CLASS`] places of its own. An
//! id whose class is full is remembered, and if it is met once more, it gets one of
//! [`FOR_REPEATED`] places: the session's own id stands in many links of its pages.

use std::cell::Cell;

use super::IdClass;
use crate::table::Key;

/// New ids that are learned of each class.
pub const PER_CLASS: u8 = 8;

/// New ids that are learned beyond that, because they are repeated.
pub const FOR_REPEATED: u8 = 4;

/// New ids that are learned from one response at most.
pub const MAX_NEW_IDS: u8 = CLASSES as u8 * PER_CLASS + FOR_REPEATED;

/// Ids whose class was full that are remembered.
pub const MAX_REFUSED: usize = 64;

const CLASSES: usize = 3;

/// The places for the new ids of one response.
#[derive(Default)]
pub struct Places {
    /// How many are taken, by class.
    taken: [Cell<u8>; CLASSES],
    /// How many of those for repeated ids are taken.
    for_repeated: Cell<u8>,
}

impl Places {
    /// Takes a place for a new id of this class, if there is one.
    pub fn take(&self, class: IdClass) -> bool {
        take(self.taken(class), PER_CLASS)
    }

    /// Whether a new id of this class would get a place.
    #[inline]
    pub fn has_room(&self, class: IdClass) -> bool {
        self.taken(class).get() < PER_CLASS
    }

    /// Takes a place for a new id whose class is full, if it was `refused` before.
    pub fn take_repeated(&self, key: Key, refused: &RefusedIds) -> bool {
        refused.contains(key) && take(&self.for_repeated, FOR_REPEATED)
    }

    #[inline]
    fn taken(&self, class: IdClass) -> &Cell<u8> {
        let [form, attribute, other] = &self.taken;
        match class {
            IdClass::Form => form,
            IdClass::Attribute => attribute,
            IdClass::Other => other,
        }
    }
}

fn take(taken: &Cell<u8>, places: u8) -> bool {
    let count = taken.get();
    let has_room = count < places;
    taken.set(count + u8::from(has_room));
    has_room
}

/// The ids of a response that got no place, as 32 bits of their keys.
pub struct RefusedIds {
    fingerprints: [Cell<u32>; MAX_REFUSED],
    count: Cell<usize>,
    /// There were more.
    are_more: Cell<bool>,
}

impl Default for RefusedIds {
    fn default() -> Self {
        Self {
            fingerprints: [const { Cell::new(0) }; MAX_REFUSED],
            count: Cell::new(0),
            are_more: Cell::new(false),
        }
    }
}

impl RefusedIds {
    /// Remembers an id.
    pub fn note(&self, key: Key) {
        if self.contains(key) {
            return;
        }
        match self.fingerprints.get(self.count.get()) {
            Some(place) => {
                place.set(fingerprint(key));
                self.count.set(self.count.get() + 1);
            }
            None => self.are_more.set(true),
        }
    }

    /// Forgets an id, which has been learned after all.
    pub fn forget(&self, key: Key) {
        let last = self.count.get().checked_sub(1);
        let last = last.and_then(|last| Some((last, self.fingerprints.get(last)?)));
        if let Some((place, (count, last))) = self.place(key).zip(last) {
            place.set(last.get());
            self.count.set(count);
        }
    }

    /// Whether there is one that has not been learned since.
    pub fn is_any_left(&self) -> bool {
        self.count.get() > 0 || self.are_more.get()
    }

    fn contains(&self, key: Key) -> bool {
        self.place(key).is_some()
    }

    fn place(&self, key: Key) -> Option<&Cell<u32>> {
        let known = self.fingerprints.iter().take(self.count.get());
        let mut known = known.filter(|known| known.get() == fingerprint(key));
        known.next()
    }
}

fn fingerprint(key: Key) -> u32 {
    key.get() as u32
}
