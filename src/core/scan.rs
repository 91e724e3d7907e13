//! Streaming learners: what goes through them piece by piece hands its session ids out as they
//! become complete. They keep no body, change no byte, and cannot fail: what they cannot read they
//! learn nothing from. A new one is a file here and a line in [`source::SOURCES`].

pub mod forms;
pub mod html;
pub mod inflate;
pub mod json;
pub mod learn_set;
pub mod readers;
pub mod response_headers;
pub(crate) mod search;
pub mod source;
pub mod sse;
pub mod text;

/// Reads a response body, in pieces as they come, for the session ids in it.
pub trait Learner {
    /// Takes the next piece, of any length. `found` gets every id that has become complete, decoded,
    /// 1 to [`MAX_ID`](crate::url::MAX_ID) bytes; it may get an id more than once.
    fn feed(&mut self, piece: &[u8], found: &mut dyn FnMut(&[u8]));

    /// The body is complete. Further pieces are ignored.
    fn end(&mut self, found: &mut dyn FnMut(&[u8]));
}
