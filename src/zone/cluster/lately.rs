//! The latest entries of the stream, as they came: what a server may lack that takes the place of the
//! store. Whoever has read them puts them into its stream again, also those of nodes that have ended.
//!
//! What comes twice is known by its position in its node's journal, and all nodes read the same stream
//! in one order: so each puts in the same entries from the first that is missing on, as far as it has
//! come.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::store::StreamId;

/// Entries are kept for so long, and so many bytes of them.
const LASTS: Duration = Duration::from_secs(60);
const MOST_BYTES: usize = 1 << 22;

/// An entry that came lately.
struct Late {
    id: StreamId,
    came: Instant,
    bytes: Vec<u8>,
}

/// The latest entries.
#[derive(Default)]
pub struct Lately {
    entries: VecDeque<Late>,
    bytes: usize,
    /// The last one that is not kept any more, or was not read here; `None`: none was.
    before: Option<StreamId>,
}

impl Lately {
    /// An entry was applied whole, which is behind that place.
    pub fn note(&mut self, after: StreamId, id: StreamId, bytes: Vec<u8>) {
        if self.entries.is_empty() {
            self.before = Some(after);
        }
        let now = Instant::now();
        self.bytes += bytes.len();
        self.entries.push_back(Late {
            id,
            came: now,
            bytes,
        });
        while let Some(oldest) = self.entries.front() {
            let is_old = now.saturating_duration_since(oldest.came) > LASTS;
            if !is_old && self.bytes <= MOST_BYTES {
                break;
            }
            self.bytes -= oldest.bytes.len();
            self.before = Some(oldest.id);
            self.entries.pop_front();
        }
    }

    /// What came behind the last entry that is not missing. `None`, where that one is not known here:
    /// it may be of another stream. Nor where the first that is missing is not kept: of a node whose
    /// entry comes, earlier ones count as known.
    pub fn take_after(&mut self, last: Option<StreamId>) -> Option<Vec<Vec<u8>>> {
        let last = last.unwrap_or_default();
        self.bytes = 0;
        let entries = std::mem::take(&mut self.entries);
        let is_known = self.before == Some(last) || entries.iter().any(|entry| entry.id == last);
        let missing = entries.into_iter().filter(|entry| entry.id > last);
        is_known.then(|| missing.map(|entry| entry.bytes).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId { ms, sequence: 0 }
    }

    fn lately(ids: std::ops::Range<u64>, length: usize) -> Lately {
        let mut lately = Lately::default();
        for ms in ids {
            lately.note(id(ms - 1), id(ms), vec![ms as u8; length]);
        }
        lately
    }

    #[test]
    fn what_is_missing_comes_in_its_order() {
        let behind = |last| lately(5..9, 2).take_after(Some(id(last))).unwrap();
        assert_eq!(behind(6), [[7, 7], [8, 8]]);
        assert_eq!(behind(4).len(), 4);
        assert_eq!(behind(8).len(), 0);
    }

    #[test]
    fn nothing_comes_behind_what_is_not_known() {
        let another = StreamId { ms: 6, sequence: 1 };
        for last in [None, Some(id(3)), Some(id(9)), Some(another)] {
            assert_eq!(lately(5..9, 2).take_after(last), None);
        }
        assert_eq!(lately(1..9, 2).take_after(None).unwrap().len(), 8);
        assert_eq!(Lately::default().take_after(Some(id(3))), None);
    }

    #[test]
    fn memory_is_bounded() {
        let piece = MOST_BYTES / 4;
        let mut all = lately(1..9, piece);
        assert!(all.bytes <= MOST_BYTES);
        assert_eq!(all.entries.len(), 4);
        assert_eq!(all.take_after(Some(id(3))), None);
        assert_eq!(all.bytes, 0);
        let after = lately(1..9, piece).take_after(Some(id(4)));
        assert_eq!(after.unwrap().len(), 4);
    }
}
