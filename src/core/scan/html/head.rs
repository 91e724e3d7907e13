//! Looks for `<base href>`, which decides where the relative links of a page lead. It can only
//! stand in the head, so only that is looked at, and no more than its first 16 KB. Comments,
//! scripts, styles and titles are passed over; the attributes of other tags are not read, so that
//! `<base` in a value of one would count too.

use super::tag::{Part, Tag};

/// Bytes of a page in which a base counts.
const SEARCHED: usize = 16 * 1024;

/// The longest `<base …>` that is read, in bytes.
const LONGEST: usize = 2 * 1024;

/// Reads the beginning of a page.
pub(super) struct Head {
    state: State,
    left: usize,
    /// What has come of the tag or of the word after a `<` that is being read, without the `<`.
    tag: Vec<u8>,
}

#[derive(Clone, Copy)]
enum State {
    Text,
    /// After a `<`.
    Word,
    /// In a comment, with the two bytes before.
    Comment(u8, u8),
    /// In an element whose content is no markup.
    Raw(&'static [u8]),
    /// After a `<` there.
    RawWord(&'static [u8]),
    /// In `<base`.
    Base,
    Done,
}

impl Head {
    pub(super) fn new() -> Self {
        Self {
            state: State::Text,
            left: SEARCHED,
            tag: Vec::new(),
        }
    }

    /// Takes the next piece. When a base has become complete, where in the piece it ends and its
    /// `href`, as it is written; never again after that.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Option<(usize, &[u8])> {
        if matches!(self.state, State::Done) {
            return None;
        }
        let head = piece.get(..self.left.min(piece.len())).unwrap_or_default();
        self.left -= head.len();
        let mut at = 0;
        while let Some(byte) = head.get(at) {
            match self.state {
                State::Text | State::Raw(_) => {
                    let Some(next) = memchr::memchr(b'<', head.get(at..)?) else {
                        break;
                    };
                    at += next + 1;
                    // Most tags begin with another letter than those that matter.
                    let is_text = matches!(self.state, State::Text);
                    let matters =
                        |b: &u8| matches!(b | 0x20, b'b' | b'f' | b's' | b't' | b'/') || *b == b'!';
                    if is_text && !head.get(at).is_none_or(matters) {
                        continue;
                    }
                    self.tag.clear();
                    self.state = match self.state {
                        State::Raw(name) => State::RawWord(name),
                        _ => State::Word,
                    };
                    continue;
                }
                // The byte that ends a word is not consumed: it may be the next "<".
                State::Word => {
                    self.state = self.after_word_byte(*byte);
                    if matches!(self.state, State::Text | State::Raw(_)) {
                        continue;
                    }
                }
                State::RawWord(name) => {
                    self.state = self.after_raw_byte(*byte, name);
                    if matches!(self.state, State::Raw(_)) {
                        continue;
                    }
                }
                State::Comment(b'-', b'-') if *byte == b'>' => self.state = State::Text,
                State::Comment(_, last) => {
                    self.state = State::Comment(last, *byte);
                    // On to the two bytes before the next ">", or before the end.
                    let rest = head.get(at + 1..).unwrap_or_default();
                    let end = memchr::memchr(b'>', rest).unwrap_or(rest.len());
                    if let Some(skipped @ 1..) = end.checked_sub(2) {
                        at += skipped;
                    }
                }
                State::Base => {
                    self.tag.push(*byte);
                    if *byte == b'>' && self.is_complete() {
                        if href(&self.tag).is_some() {
                            self.state = State::Done;
                            return href(&self.tag).map(|href| (at + 1, href));
                        }
                        self.state = State::Text;
                    } else if self.tag.len() >= LONGEST {
                        self.state = State::Text;
                    }
                }
                State::Done => return None,
            }
            at += 1;
        }
        if self.left == 0 {
            self.state = State::Done;
        }
        None
    }

    fn after_word_byte(&mut self, byte: u8) -> State {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'!' | b'-') {
            // No word that matters is longer.
            if self.tag.len() < 10 {
                self.tag.push(byte.to_ascii_lowercase());
            }
            // "<!-->" is a complete comment.
            return if self.tag == b"!--" {
                State::Comment(b'-', b'-')
            } else {
                State::Word
            };
        }
        match self.tag.as_slice() {
            b"base" => {
                self.tag.push(byte);
                // "<base>" has no href.
                if byte == b'>' {
                    State::Text
                } else {
                    State::Base
                }
            }
            b"body" | b"frameset" | b"/head" => State::Done,
            b"script" => State::Raw(b"/script"),
            b"style" => State::Raw(b"/style"),
            b"title" => State::Raw(b"/title"),
            _ => State::Text,
        }
    }

    fn after_raw_byte(&mut self, byte: u8, name: &'static [u8]) -> State {
        self.tag.push(byte.to_ascii_lowercase());
        match name.strip_prefix(self.tag.as_slice()) {
            Some([]) => State::Text,
            Some(_) => State::RawWord(name),
            None => State::Raw(name),
        }
    }

    fn is_complete(&self) -> bool {
        let mut tag = Tag::new(&self.tag);
        loop {
            match tag.next() {
                Part::End(_) => return true,
                Part::Unfinished => return false,
                Part::Attribute(_) => {}
            }
        }
    }
}

fn href(tag: &[u8]) -> Option<&[u8]> {
    let mut tag = Tag::new(tag);
    loop {
        match tag.next() {
            Part::Attribute(attribute) if attribute.name.eq_ignore_ascii_case(b"href") => {
                return Some(attribute.value);
            }
            Part::Attribute(_) => {}
            Part::End(_) | Part::Unfinished => return None,
        }
    }
}
