//! Learners read a response piece by piece and hand out its session ids as they become complete.
//! They keep no body, change no byte and cannot fail: from what they cannot read, no id is learned.
//! A new one is a file here and a row in [`source`].

pub(crate) mod character_references;
pub mod forms;
pub mod html;
pub(crate) mod html_parser;
pub mod inflate;
pub mod json;
pub mod learn_set;
pub mod readers;
pub mod response_headers;
mod search;
pub mod source;
pub mod sse;
pub mod text;

/// Reads a response body, in pieces as they arrive, for the session ids in it.
pub trait Learner {
    /// Takes the next piece, of any length. `found` gets every id that has become complete,
    /// decoded, 1 to [`MAX_ID`](crate::url::MAX_ID) bytes. It may get an id more than once.
    fn feed(&mut self, piece: &[u8], found: &mut dyn FnMut(&[u8]));

    /// The body is complete. Further pieces are ignored.
    fn end(&mut self, found: &mut dyn FnMut(&[u8]));
}
