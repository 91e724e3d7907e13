//! The objects and arrays around a place in a JSON text, and which of them are on a path of names.

/// The deepest nesting in which names count.
pub(super) const MAX_DEPTH: usize = 512;

/// Into so many of the objects and arrays in an array a name leads on, from the first one on.
pub(super) const MAX_ELEMENTS: u8 = 16;

/// The kind of an object. That of an array counts the objects and arrays in it, from one on, up to
/// [`FULL`].
const OBJECT: u8 = 0;

/// The kind of an array with more elements than [`MAX_ELEMENTS`].
const FULL: u8 = MAX_ELEMENTS + 2;

/// The open objects and arrays.
pub(super) struct Nesting {
    /// Their kinds, behind that of the text itself, which is as an object.
    kinds: [u8; MAX_DEPTH + 1],
    depth: usize,
    /// How many of them, from the outermost on, are on a path.
    followed: usize,
    /// How many of those are objects.
    objects: usize,
}

impl Nesting {
    pub(super) fn new() -> Self {
        Self {
            kinds: [OBJECT; MAX_DEPTH + 1],
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
        if let Some([around, kind]) = self.kinds.get_mut(self.depth..self.depth + 2) {
            *around += u8::from((*around).wrapping_sub(1) < FULL - 1);
            *kind = u8::from(bracket == b'[');
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
        while self.followed < self.depth.min(MAX_DEPTH) && self.leads_on(self.followed) {
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
        depth > 0 && self.kinds.get(depth) == Some(&OBJECT)
    }

    /// Whether the one at this depth is an array, and the current element one of its first. Outside
    /// of all, nothing is followed that has not been followed when it was opened.
    fn leads_on(&self, depth: usize) -> bool {
        let kind = self.kinds.get(depth).copied().unwrap_or(OBJECT);
        depth == 0 || (OBJECT + 1..FULL).contains(&kind)
    }
}
