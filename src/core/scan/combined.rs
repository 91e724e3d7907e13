//! Several learners for one body.

use super::{Found, Learner};

/// Several learners that read the same body.
pub(super) struct Combined(pub(super) Vec<Box<dyn Learner>>);

impl Learner for Combined {
    fn feed(&mut self, piece: &[u8], found: &mut Found<'_>) {
        for learner in &mut self.0 {
            learner.feed(piece, found);
        }
    }

    fn end(&mut self, found: &mut Found<'_>) {
        for learner in &mut self.0 {
            learner.end(found);
        }
    }

    fn has_given_up(&self) -> bool {
        self.0.iter().any(|learner| learner.has_given_up())
    }
}
