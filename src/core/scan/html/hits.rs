//! Where the names stand in some bytes.

use crate::url::{Name, Names, MAX_NAMES};

/// Where the names stand, in the order of their ends: a name that another one contains comes in the
/// same order whether or not the piece ends between their ends.
pub(super) struct Hits<'a> {
    names: &'a Names,
    bytes: &'a [u8],
    next: [Option<Found>; MAX_NAMES],
}

/// A name that stands somewhere, ordered by where it ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) end: usize,
    pub(super) name: usize,
}

impl<'a> Hits<'a> {
    /// Those from `first` on.
    pub(super) fn new(names: &'a Names, bytes: &'a [u8], first: Found) -> Self {
        let mut hits = Self {
            names,
            bytes,
            next: [None; MAX_NAMES],
        };
        for (index, (next, name)) in hits.next.iter_mut().zip(names.iter()).enumerate() {
            let end = first.end + usize::from(index < first.name);
            let from = end.saturating_sub(name.anchor.needle().len());
            *next = find(name, index, bytes, from);
        }
        hits
    }
}

impl Iterator for Hits<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        let found = self.next.iter().flatten().min().copied()?;
        let next = self.next.get_mut(found.name);
        if let Some((next, name)) = next.zip(self.names.nth(found.name)) {
            let from = (found.end + 1).saturating_sub(name.anchor.needle().len());
            *next = find(name, found.name, self.bytes, from);
        }
        Some(found)
    }
}

fn find(name: &Name, index: usize, bytes: &[u8], from: usize) -> Option<Found> {
    let at = from + name.anchor.find(bytes.get(from..)?)?;
    Some(Found {
        end: at + name.anchor.needle().len(),
        name: index,
    })
}
