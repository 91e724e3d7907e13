//! Making a place free for a new session both lines of which are full.
//!
//! The search for the nearest place that can be taken is breadth first: the alternate lines of the
//! eight words in the lines of the new session, then the alternate lines of the words in those, and
//! so on. Then every word on the path moves one step along it, the farthest first, so that each of
//! them is in some place at any instant.

use std::sync::atomic::Ordering::SeqCst;

use super::eviction::{EvictionPolicy, Placed};
use super::key::Key;
use super::look_up::View;
use super::sync::fence;
use super::word::Word;
use super::{test_points, Table, LINE};

/// Lines that are read in search of a place: enough to fill 0.9 of a table before a live session is
/// evicted, see `cargo bench --bench table`.
pub(super) const SEARCH: usize = 96;

/// The same if a whole search found nothing in the same second and there is an unused session in
/// the lines of the new one: a flood of ids must not cost a whole search for each.
pub(super) const SHORT_SEARCH: usize = 8;

/// A word reached by the search. Its path leads over its parents to the lines of the new session.
#[derive(Clone, Copy, Default)]
pub(super) struct Node {
    bits: u128,
    place: usize,
    /// Index of the node whose alternate line this word is in; for the eight words in the lines of
    /// the new session, its own index.
    parent: u16,
}

/// A place that can be taken, in the alternate line of node `parent`.
#[derive(Clone, Copy)]
pub(super) struct Target {
    bits: u128,
    place: usize,
    pub parent: u16,
}

#[derive(Default)]
pub(super) struct SearchResult {
    /// The nearest place that is free or whose session has expired. The search ends there.
    pub free: Option<Target>,
    /// The nearest place of a live session that is not in use.
    pub unused: Option<Target>,
    /// A key that is in two places.
    pub duplicate: Option<Key>,
}

impl Table<'_> {
    /// Searches for the nearest free place beyond the lines in `view`, whose words become the first
    /// of `nodes`. Reads at most `most_lines` lines.
    pub(super) fn search(
        &self,
        view: &View,
        policy: &EvictionPolicy,
        nodes: &mut [Node; SEARCH],
        most_lines: usize,
    ) -> SearchResult {
        let mut found = SearchResult::default();
        let mut known = 0;
        for (index, bits) in view.words.iter().enumerate() {
            let key = Word::from_bits(*bits).key();
            let same = |other: &u128| Word::from_bits(*other).key() == key;
            if view.words.iter().take(index).any(same) {
                found.duplicate = key;
            }
            if let Some(node) = nodes.get_mut(index) {
                *node = Node {
                    bits: *bits,
                    place: view.place(index),
                    parent: index as u16,
                };
                known = index + 1;
            }
        }

        let mut next = 0;
        while next < known.min(most_lines) {
            let Some(Node {
                bits,
                place,
                parent,
            }) = nodes.get(next).copied()
            else {
                break;
            };
            let this = next as u16;
            next += 1;
            let Some(key) = Word::from_bits(bits).key() else {
                continue;
            };
            let (first, second) = self.lines_of(key);
            let from = place / LINE;
            let to = if from == first { second } else { first };
            // The line of its parent was read before.
            let is_known = nodes
                .get(usize::from(parent))
                .is_some_and(|node| node.place / LINE == to);
            let Some(line) = self.line(to).filter(|_| !is_known) else {
                continue;
            };
            let words = line.each_ref().map(|word| {
                test_points::at("search: a word");
                word.load(SeqCst)
            });
            for (offset, bits) in words.into_iter().enumerate() {
                let place = to * LINE + offset;
                let word = Word::from_bits(bits);
                let target = Target {
                    bits,
                    place,
                    parent: this,
                };
                if word.is_empty() || policy.has_expired(word) {
                    found.free = Some(target);
                    return found;
                }
                if found.unused.is_none() && !word.is_in_use() {
                    found.unused = Some(target);
                }
                let same = |other: &u128| Word::from_bits(*other).key() == word.key();
                if word.key() == Some(key) || words.iter().take(offset).any(same) {
                    found.duplicate = word.key();
                }
                if let Some(node) = nodes.get_mut(known) {
                    *node = Node {
                        bits,
                        place,
                        parent: this,
                    };
                    known += 1;
                }
            }
        }
        found
    }

    /// Moves every word on the path to `target` one step along it, then writes `word` where the
    /// first of them was. Each swap copies one word and thereby replaces the source of the copy
    /// before. When a source has changed, its copy is removed and the rest is left undone: all
    /// moves before are complete.
    pub(super) fn relocate(
        &self,
        nodes: &[Node; SEARCH],
        target: Target,
        word: Word,
        policy: &EvictionPolicy,
    ) -> Placed {
        let (mut place, mut bits) = (target.place, target.bits);
        let mut index = usize::from(target.parent);
        let mut evicted = None;
        let mut copied = None;
        // No path is longer than all nodes together.
        for _ in 0..=SEARCH {
            let Some(node) = nodes.get(index) else { break };
            if !self.swap(place, bits, node.bits) {
                return self.undo_copy(copied);
            }
            if copied.is_none() {
                evicted = self.count_replaced(Word::from_bits(bits), word, policy);
            }
            copied = Some((place, node.bits));
            test_points::at("relocate: copied");
            self.count_relocation();
            test_points::at("relocate: counted");
            if let Some(registry) = self.registry {
                // Rule 2 of the registry: a sweep may miss it. Between write and look, as there.
                fence(SeqCst);
                registry.hold_number(Word::from_bits(node.bits).session().peer);
            }
            (place, bits) = (node.place, node.bits);
            if usize::from(node.parent) == index {
                if !self.swap(place, bits, word.bits()) {
                    return self.undo_copy(copied);
                }
                return Placed::Inserted(evicted);
            }
            index = usize::from(node.parent);
        }
        Placed::Raced
    }

    fn undo_copy(&self, copied: Option<(usize, u128)>) -> Placed {
        if let Some((place, bits)) = copied {
            test_points::at("relocate: source changed");
            self.swap(place, bits, Word::EMPTY.bits());
        }
        Placed::Raced
    }
}
