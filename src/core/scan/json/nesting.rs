//! The objects and arrays around a place in a JSON text, and which of them are on a path of names.

/// The deepest nesting in which names count.
const MAX_DEPTH: usize = 512;

/// The open objects and arrays.
pub(super) struct Nesting {
    /// Their opening brackets.
    kinds: [u8; MAX_DEPTH],
    depth: usize,
    /// How many of them, from the outermost on, are on a path.
    followed: usize,
    /// How many of those are objects.
    objects: usize,
}

impl Nesting {
    pub(super) fn new() -> Self {
        Self {
            kinds: [0; MAX_DEPTH],
            depth: 0,
            followed: 0,
            objects: 0,
        }
    }

    /// Closes all.
    pub(super) fn clear(&mut self) {
        (self.depth, self.followed, self.objects) = (0, 0, 0);
    }

    #[inline]
    pub(super) fn push(&mut self, bracket: u8) {
        if let Some(kind) = self.kinds.get_mut(self.depth) {
            *kind = bracket;
        }
        self.depth += 1;
    }

    /// Closes the innermost one. Returns whether it is on a path: then call
    /// [`leave`](Self::leave).
    #[inline]
    pub(super) fn pop(&mut self) -> bool {
        self.depth = self.depth.saturating_sub(1);
        self.depth < self.followed
    }

    /// The innermost one on a path has been closed.
    pub(super) fn leave(&mut self) {
        self.objects = self.names();
        self.followed = self.followed.saturating_sub(1);
    }

    /// Takes the elements of an array on a path onto it, too. Done late, because most of them are
    /// closed before it matters.
    pub(super) fn follow_elements(&mut self) {
        while self.followed < self.depth.min(MAX_DEPTH) && !self.is_object(self.followed) {
            self.follow();
        }
    }

    /// Takes one more onto the path.
    pub(super) fn follow(&mut self) {
        self.followed += 1;
        self.objects += usize::from(self.is_object(self.followed));
    }

    /// Whether the innermost one is on a path.
    pub(super) fn is_followed(&self) -> bool {
        self.followed == self.depth
    }

    /// How many names lead to the innermost one on a path.
    pub(super) fn names(&self) -> usize {
        self.objects - usize::from(self.is_object(self.followed))
    }

    /// How many objects are on the path.
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

    /// Whether the one at this depth is an object.
    fn is_object(&self, depth: usize) -> bool {
        let kind = depth.checked_sub(1).and_then(|index| self.kinds.get(index));
        kind == Some(&b'{')
    }
}
