//! Learners read a response piece by piece and hand out its session ids as they become complete.
//! They keep no body, change no byte and cannot fail: from what they cannot read, no id is learned.
//! A new one is a file here and a row in [`source`].

pub mod body;
pub(crate) mod character_references;
mod combined;
pub mod forms;
pub mod html;
pub(crate) mod html_parser;
pub mod inflate;
pub mod json;
pub mod learn_set;
pub mod literals;
pub mod places;
pub mod readers;
pub mod response_headers;
mod script_escapes;
mod search;
pub mod session_end;
pub mod source;
pub mod sse;
pub mod text;
pub(crate) mod unread;
pub mod xml;

use crate::events::Source;

/// Where in a response an id stands. The ids of each class have places of their own among those
/// that are learned, so that what visitors write into a page takes none from its forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IdClass {
    /// In a header, in the action of a form, or the value of its field.
    Form,
    /// In another attribute.
    Attribute,
    /// In text, a script, a comment, a member of JSON, an event.
    Other,
}

/// Where an id was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundIn {
    /// Where in the response.
    pub class: IdClass,
    /// By which source of `learn=`.
    pub source: Source,
}

impl FoundIn {
    /// Where no other class fits.
    pub(crate) const fn other(source: Source) -> Self {
        Self {
            class: IdClass::Other,
            source,
        }
    }
}

/// Takes an id that a learner has found, decoded, 1 to [`MAX_ID`](crate::url::MAX_ID) bytes.
/// Returns whether it need not be handed out again: it was learned, or is known.
pub type Found<'a> = dyn FnMut(&[u8], FoundIn) -> bool + 'a;

/// Reads a response body, in pieces as they arrive, for the session ids in it.
pub trait Learner {
    /// Takes the next piece, of any length. `found` gets every id that has become complete. It may
    /// get an id more than once.
    fn feed(&mut self, piece: &[u8], found: &mut Found<'_>);

    /// The body is complete. Further pieces are ignored.
    fn end(&mut self, found: &mut Found<'_>);

    /// Whether it has read a part of the body only, because the rest is too odd. To be asked before
    /// the end, or after it.
    fn has_given_up(&self) -> bool {
        false
    }

    /// Its body is over, whether or not it was complete: its memory may serve another one.
    fn set_aside(self: Box<Self>) {}
}

impl<L: Learner + ?Sized> Learner for Box<L> {
    fn feed(&mut self, piece: &[u8], found: &mut Found<'_>) {
        (**self).feed(piece, found);
    }

    fn end(&mut self, found: &mut Found<'_>) {
        (**self).end(found);
    }

    fn has_given_up(&self) -> bool {
        (**self).has_given_up()
    }

    fn set_aside(self: Box<Self>) {
        (*self).set_aside();
    }
}

/// A learner that can read another body, or another part of one.
pub trait Restart: Learner {
    /// Begins a new text, whether or not the one before was complete.
    fn restart(&mut self);
}
