//! Making a place free for a new session both lines of which are full.
//!
//! The search for the nearest place that can be taken is breadth first: the alternate lines of the
//! eight words in the lines of the new session, then the alternate lines of the words in those, and
//! so on. Then every word on the path moves one step along it, the farthest first, so that each of
//! them is in some place at any instant.

use std::sync::atomic::Ordering::SeqCst;

use super::eviction::{EvictionPolicy, Placed};
use super::look_up::View;
use super::sync::fence;
use super::word::Word;
use super::{test_points, Table, LINE};

/// Lines that are read in search of a place: enough to fill 0.9 of a table before a live session is
/// evicted, see `cargo bench --bench table`.
pub(super) const SEARCH: usize = 96;

/// The same if a live session had to make room in the same second: a flood of ids must not cost a
/// whole search for each. They are the alternate lines of the words in the new session's own two.
pub(super) const SHORT_SEARCH: usize = 2 * LINE;

/// A place reached by the search. Its path leads over its parents to the lines of the new session.
#[derive(Clone, Copy, Default)]
pub(super) struct Node {
    pub bits: u128,
    pub place: usize,
    /// Index of the node whose alternate line this word is in; for the eight words in the lines of
    /// the new session, its own index.
    pub parent: u16,
}

#[derive(Default)]
pub(super) struct SearchResult {
    /// The nearest place that is free or whose session has expired. The search ends there.
    pub free: Option<Node>,
    /// For a copy, the nearest place of a session that is not in use.
    pub unused: Option<Node>,
    /// How many nodes there are.
    pub known: usize,
    /// How many of them, the first ones, are in the lines of the new session or in the alternate
    /// lines of the words in those.
    pub near: usize,
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
        for (index, (node, bits)) in nodes.iter_mut().zip(view.words).enumerate() {
            *node = Node {
                bits,
                place: view.place(index),
                parent: index as u16,
            };
        }
        found.known = view.words.len();
        let expiry = policy.expiry();
        let is_copy = matches!(policy, EvictionPolicy::Copy);

        let mut next = 0;
        while next < found.known.min(most_lines) {
            if next == SHORT_SEARCH {
                found.near = found.known;
            }
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
                let reached = Node {
                    bits,
                    place,
                    parent: this,
                };
                if word.is_empty() || expiry.has_expired(word) {
                    found.free = Some(reached);
                    return found;
                }
                if is_copy && found.unused.is_none() && !word.is_in_use() {
                    found.unused = Some(reached);
                }
                if let Some(node) = nodes.get_mut(found.known) {
                    *node = reached;
                    found.known += 1;
                }
            }
        }
        if next <= SHORT_SEARCH {
            found.near = found.known;
        }
        found
    }

    /// Moves every word on the path to `target`, which is not in a line of the new session itself, one
    /// step along it, then writes `word` where the first of them was. Each swap copies one word and
    /// thereby replaces the source of the copy before. When a source has changed, its copy is removed
    /// and the rest is left undone: all moves before are complete.
    ///
    /// No path leads through a line twice: the search would have found its target on the shorter path,
    /// and a session that makes room is at most one step away.
    pub(super) fn relocate(
        &self,
        nodes: &[Node],
        target: Node,
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
