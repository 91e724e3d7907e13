//! Which live session makes room for a new one, of the places that a search has judged.

use super::eviction::newcomers_share;
use super::key::Key;
use super::relocation::Node;
use super::tick::{Tick, TICK_BITS};
use super::word::Word;
use super::{Table, LINE};

impl Table<'_> {
    /// Which of the judged words, all of live sessions, makes room for a new one, with its index:
    /// the eight in the lines of the new session, and those that these could be moved to.
    pub(super) fn victim<'n>(&self, judged: &'n [Node]) -> Option<(usize, &'n Node)> {
        if self.counters.newcomers() < newcomers_share(self.words.len()) as i64 {
            oldest(judged)
        } else {
            oldest_newcomer(judged)
        }
    }
}

/// Of words of live sessions, the one whose session was seen longest ago; of equals, a newcomer.
fn oldest(judged: &[Node]) -> Option<(usize, &Node)> {
    least(judged, |word| {
        word.seen() << 1 | Tick::from(word.is_in_use())
    })
}

/// The same among newcomers, or among those in use if there are no newcomers.
fn oldest_newcomer(judged: &[Node]) -> Option<(usize, &Node)> {
    least(judged, |word| {
        Tick::from(word.is_in_use()) << TICK_BITS | word.seen()
    })
}

fn least(judged: &[Node], order: impl Fn(Word) -> Tick) -> Option<(usize, &Node)> {
    let all = judged.iter().enumerate();
    all.min_by_key(|(_, node)| order(Word::from_bits(node.bits)))
}

/// A key that is in two of the judged places: in the two lines of the new session, or in a line that
/// was read and where that line was found.
pub(super) fn duplicate(judged: &[Node]) -> Option<Key> {
    // None of the places is empty.
    let key = |node: &Node| (node.bits >> 64) as u64;
    let (own, others) = judged.split_at_checked(2 * LINE)?;
    let twice = |nodes: &[Node], first: Option<u64>| {
        let is_second = |(index, node): &(usize, &Node)| {
            let before = nodes.iter().take(*index).map(key);
            before.chain(first).any(|other| other == key(node))
        };
        let found = nodes.iter().enumerate().find(is_second);
        found.and_then(|(_, node)| Key::from_bits(key(node)))
    };
    twice(own, None).or_else(|| {
        others.chunks(LINE).find_map(|line| {
            let parent = line
                .first()
                .and_then(|node| own.get(usize::from(node.parent)));
            twice(line, parent.map(key))
        })
    })
}
