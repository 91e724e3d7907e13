//! Looks for `<base href>`, which decides where the relative links of a page lead. It can only
//! stand in the head, so only that is looked at, and no more than its first 16 KB. Comments,
//! scripts, styles and titles are passed over; the attributes of other tags are not read, so that
//! `<base` in a value of one would count too.

use super::tag::{Part, Tag};

/// Bytes of a page in which a base counts.
const SEARCHED: usize = 16 * 1024;

/// The longest `<base …>` that is read, in bytes.
const LONGEST: usize = 2 * 1024;

/// No word that matters is longer, in bytes.
const LONGEST_WORD: usize = 10;

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
                    let rest = head.get(at..).unwrap_or_default();
                    // Most tags matter not at all.
                    if rest
                        .first_chunk()
                        .is_some_and(|start| !self.may_matter(*start))
                    {
                        continue;
                    }
                    at += self.begin_word(rest);
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

    /// Whether a word that begins so behind a `<` may change the state.
    fn may_matter(&self, start: [u8; 5]) -> bool {
        let start = start.map(|byte| byte.to_ascii_lowercase());
        match self.state {
            State::Raw(name) => name.starts_with(&start),
            _ => matches!(
                start,
                [b'b', b'a', b's', b'e', _]
                    | [b'b', b'o', b'd', b'y', _]
                    | [b'f', b'r', ..]
                    | [b's', b'c', ..]
                    | [b's', b't', b'y', ..]
                    | [b't', b'i', ..]
                    | [b'/', b'h', ..]
                    | [b'!', b'-', b'-', ..]
            ),
        }
    }

    /// Takes of what stands behind a `<` as much as belongs to its word, and returns how much.
    fn begin_word(&mut self, rest: &[u8]) -> usize {
        self.tag.clear();
        if let State::Raw(name) = self.state {
            let is_same = |(own, byte): &(&u8, &u8)| own.eq_ignore_ascii_case(byte);
            let len = name.iter().zip(rest).take_while(is_same).count();
            self.tag.extend(name.iter().take(len));
            self.state = match len {
                len if len == name.len() => State::Text,
                len if len == rest.len() => State::RawWord(name),
                _ => State::Raw(name),
            };
            return len;
        }
        if rest.starts_with(b"!--") {
            self.state = State::Comment(b'-', b'-');
            return 3;
        }
        let word = rest
            .iter()
            .take(LONGEST_WORD)
            .take_while(|byte| is_in_word(**byte));
        self.tag.extend(word.map(u8::to_ascii_lowercase));
        self.state = State::Word;
        self.tag.len()
    }

    fn after_word_byte(&mut self, byte: u8) -> State {
        if is_in_word(byte) {
            if self.tag.len() < LONGEST_WORD {
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

fn is_in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'!' | b'-')
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
