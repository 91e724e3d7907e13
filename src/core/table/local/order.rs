//! Keys in the order of their last use, in two queues. Linked by index, so that a key goes to the
//! end of a queue in a fixed number of steps wherever it stands.

use crate::table::key::Key;

/// Marks the end of a queue.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    Unconfirmed,
    Confirmed,
}

pub(super) struct Order {
    nodes: Vec<Node>,
    /// First of the unused nodes, which are linked by `next`.
    unused: u32,
    used: usize,
    unconfirmed: Ends,
    confirmed: Ends,
}

struct Node {
    key: Key,
    queue: Queue,
    previous: u32,
    next: u32,
}

struct Ends {
    first: u32,
    last: u32,
}

impl Order {
    /// The greatest number of keys.
    pub(super) const MOST: usize = NONE as usize - 1;

    pub(super) fn new() -> Order {
        let empty = || Ends {
            first: NONE,
            last: NONE,
        };
        let (unconfirmed, confirmed) = (empty(), empty());
        Order {
            nodes: Vec::new(),
            unused: NONE,
            used: 0,
            unconfirmed,
            confirmed,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// The key used longest ago, and its node.
    pub(super) fn oldest(&self, queue: Queue) -> Option<(u32, Key)> {
        let first = match queue {
            Queue::Unconfirmed => self.unconfirmed.first,
            Queue::Confirmed => self.confirmed.first,
        };
        self.node(first).map(|node| (first, node.key))
    }

    /// Puts a key at the end of a queue and returns its node; `None` when there are too many.
    pub(super) fn append(&mut self, queue: Queue, key: Key) -> Option<u32> {
        let index = match self.node(self.unused) {
            Some(node) => {
                let index = self.unused;
                self.unused = node.next;
                index
            }
            None => {
                if self.nodes.len() >= Order::MOST {
                    return None;
                }
                self.nodes.push(Node {
                    key,
                    queue,
                    previous: NONE,
                    next: NONE,
                });
                (self.nodes.len() - 1) as u32
            }
        };
        if let Some(node) = self.node_mut(index) {
            node.key = key;
        }
        self.used += 1;
        self.link(index, queue);
        Some(index)
    }

    /// Takes a node that is in a queue out; its index may be given to another key.
    pub(super) fn remove(&mut self, index: u32) {
        self.unlink(index);
        let unused = self.unused;
        if let Some(node) = self.node_mut(index) {
            node.next = unused;
            self.unused = index;
            self.used = self.used.saturating_sub(1);
        }
    }

    /// Puts a node that is in a queue at the end of this one.
    pub(super) fn move_to_end(&mut self, index: u32, queue: Queue) {
        self.unlink(index);
        self.link(index, queue);
    }

    fn link(&mut self, index: u32, queue: Queue) {
        let ends = self.ends(queue);
        let previous = std::mem::replace(&mut ends.last, index);
        if previous == NONE {
            ends.first = index;
        }
        if let Some(node) = self.node_mut(previous) {
            node.next = index;
        }
        if let Some(node) = self.node_mut(index) {
            (node.queue, node.previous, node.next) = (queue, previous, NONE);
        }
    }

    fn unlink(&mut self, index: u32) {
        let Some(&Node {
            queue,
            previous,
            next,
            ..
        }) = self.node(index)
        else {
            return;
        };
        match self.node_mut(previous) {
            Some(node) => node.next = next,
            None => self.ends(queue).first = next,
        }
        match self.node_mut(next) {
            Some(node) => node.previous = previous,
            None => self.ends(queue).last = previous,
        }
    }

    fn ends(&mut self, queue: Queue) -> &mut Ends {
        match queue {
            Queue::Unconfirmed => &mut self.unconfirmed,
            Queue::Confirmed => &mut self.confirmed,
        }
    }

    fn node(&self, index: u32) -> Option<&Node> {
        self.nodes.get(index as usize)
    }

    fn node_mut(&mut self, index: u32) -> Option<&mut Node> {
        self.nodes.get_mut(index as usize)
    }
}
