//! How far the journal of each node was applied, in shared memory: what comes twice is known by that,
//! and what is missing.

use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use super::wire::NodeId;

/// What is remembered of a node. Only who holds the lease writes it.
#[repr(C)]
#[derive(Debug)]
pub struct NodeCells {
    /// 0: nobody is here.
    known: AtomicU64,
    id: [AtomicU64; 2],
    /// Its first position that was not applied.
    next: AtomicU64,
    /// When it was heard of last, in milliseconds of the monotonic clock.
    heard: AtomicU64,
}

impl NodeCells {
    #[cfg(not(feature = "model"))]
    pub(super) const fn new() -> NodeCells {
        NodeCells {
            known: AtomicU64::new(0),
            id: [AtomicU64::new(0), AtomicU64::new(0)],
            next: AtomicU64::new(0),
            heard: AtomicU64::new(0),
        }
    }

    pub(super) fn clear(&self) {
        self.known.store(0, Relaxed);
    }

    fn id(&self) -> Option<NodeId> {
        if self.known.load(Acquire) == 0 {
            return None;
        }
        let [first, second] = &self.id;
        Some(id_of([first.load(Relaxed), second.load(Relaxed)]))
    }
}

fn id_of(halves: [u64; 2]) -> NodeId {
    let mut bytes = [0; 16];
    for (place, half) in bytes.chunks_exact_mut(8).zip(halves) {
        place.copy_from_slice(&half.to_le_bytes());
    }
    NodeId(bytes)
}

fn halves_of(id: NodeId) -> [u64; 2] {
    let mut halves = [0; 2];
    for (half, bytes) in halves.iter_mut().zip(id.0.chunks_exact(8)) {
        *half = bytes.try_into().map_or(0, u64::from_le_bytes);
    }
    halves
}

/// All nodes that were heard of.
#[derive(Clone, Copy)]
pub struct Nodes<'a>(&'a [NodeCells]);

impl<'a> Nodes<'a> {
    pub(super) fn new(cells: &'a [NodeCells]) -> Nodes<'a> {
        Nodes(cells)
    }

    /// The first position of a node's journal that was not applied. `None`: it is a new one.
    pub fn next_of(&self, node: NodeId) -> Option<u64> {
        let cells = self.0.iter().find(|cells| cells.id() == Some(node))?;
        Some(cells.next.load(Relaxed))
    }

    /// Notes that.
    pub fn set(&self, node: NodeId, next: u64, now: u64) {
        let known = self.0.iter().find(|cells| cells.id() == Some(node));
        if let Some(cells) = known {
            cells.next.store(next, Relaxed);
            cells.heard.fetch_max(now, Relaxed);
            return;
        }
        // Where there is no room, the one goes that was not heard of for longest.
        let order = |cells: &&NodeCells| match cells.known.load(Relaxed) {
            0 => (false, 0),
            _ => (true, cells.heard.load(Relaxed)),
        };
        if let Some(cells) = self.0.iter().min_by_key(order) {
            cells.known.store(0, Release);
            for (place, half) in cells.id.iter().zip(halves_of(node)) {
                place.store(half, Relaxed);
            }
            cells.next.store(next, Relaxed);
            cells.heard.store(now, Relaxed);
            cells.known.store(1, Release);
        }
    }

    /// All of them, each with the first position that was not applied.
    pub fn all(&self) -> impl Iterator<Item = (NodeId, u64)> + 'a {
        let cells = self.0.iter();
        cells.filter_map(|cells| Some((cells.id()?, cells.next.load(Relaxed))))
    }

    /// Nothing is known of any.
    pub fn forget(&self) {
        self.0.iter().for_each(NodeCells::clear);
    }
}
