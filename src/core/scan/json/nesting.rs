//! The objects and arrays that a place in a JSON text lies in, and which of them names lead into.

/// How many may lie in each other; in what lies deeper no name counts.
const DEPTH: usize = 512;

/// The objects and arrays that the reading is in.
pub(super) struct Open {
    /// Their brackets.
    kinds: [u8; DEPTH],
    depth: usize,
    /// How many of them, from the outermost, are known to be followed: names lead into them.
    followed: usize,
    /// How many of those are objects.
    objects: usize,
}

impl Open {
    pub(super) fn new() -> Self {
        Self {
            kinds: [0; DEPTH],
            depth: 0,
            followed: 0,
            objects: 0,
        }
    }

    #[inline]
    pub(super) fn push(&mut self, bracket: u8) {
        if let Some(kind) = self.kinds.get_mut(self.depth) {
            *kind = bracket;
        }
        self.depth += 1;
    }

    /// Returns whether that one was followed: [`leave`](Self::leave) says that it is no more.
    #[inline]
    pub(super) fn pop(&mut self) -> bool {
        self.depth = self.depth.saturating_sub(1);
        self.depth < self.followed
    }

    /// The innermost one that is followed has been closed.
    pub(super) fn leave(&mut self) {
        self.objects = self.outer();
        self.followed = self.followed.saturating_sub(1);
    }

    /// Follows what is in an array that is followed: most of that is over before it matters.
    pub(super) fn settle(&mut self) {
        while self.followed < self.depth.min(DEPTH) && !self.is_object(self.followed) {
            self.lead_in();
        }
    }

    /// Follows one more.
    pub(super) fn lead_in(&mut self) {
        self.followed += 1;
        self.objects += usize::from(self.is_object(self.followed));
    }

    /// Whether the innermost one is followed.
    pub(super) fn is_followed(&self) -> bool {
        self.followed == self.depth
    }

    /// How many names lead to the innermost one that is followed.
    pub(super) fn outer(&self) -> usize {
        self.objects - usize::from(self.is_object(self.followed))
    }

    /// How many of those that are followed are objects.
    pub(super) fn objects(&self) -> usize {
        self.objects
    }

    pub(super) fn is_empty(&self) -> bool {
        self.depth == 0
    }

    /// Whether the innermost one is an object.
    pub(super) fn is_in_object(&self) -> bool {
        self.is_object(self.depth)
    }

    /// Whether the one so deep is an object.
    fn is_object(&self, depth: usize) -> bool {
        let kind = depth.checked_sub(1).and_then(|index| self.kinds.get(index));
        kind == Some(&b'{')
    }
}
