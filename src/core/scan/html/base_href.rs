//! Looks for `<base href>`, which decides where the relative links of a page lead. It belongs in
//! the head, so only the head is searched, and no more than its first 16 KB. Comments, scripts,
//! styles and titles are skipped. The attributes of other tags are not parsed, so a `<base` in one
//! of their values would count, too.

use super::tag::{Part, Tag, TagState};

/// How much of a page is searched, in bytes.
const SEARCHED: usize = 16 * 1024;

/// The longest `<base …>` that is read, in bytes.
const MAX_BASE_TAG: usize = 2 * 1024;

/// The longest word behind a `<` that matters, in bytes.
const MAX_WORD: usize = 10;

/// Searches the beginning of a page.
pub(super) struct BaseFinder {
    state: HeadState,
    left: usize,
    /// What has been read of the current tag, or of the word behind a `<`, without the `<`.
    tag: Vec<u8>,
}

#[derive(Clone, Copy)]
enum HeadState {
    Text,
    /// After a `<`.
    Word,
    /// In a comment, with its last two bytes.
    Comment(u8, u8),
    /// In an element whose content is not markup; what ends it.
    Raw(&'static [u8]),
    /// After a `<` there.
    RawWord(&'static [u8]),
    /// In `<base`.
    Base(TagState),
    Done,
}

impl BaseFinder {
    pub(super) fn new() -> Self {
        Self {
            state: HeadState::Text,
            left: SEARCHED,
            tag: Vec::new(),
        }
    }

    /// Begins another page.
    pub(super) fn restart(&mut self) {
        self.state = HeadState::Text;
        self.left = SEARCHED;
    }

    /// Whether nothing more is searched.
    #[inline(always)]
    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, HeadState::Done)
    }

    /// Takes the next piece. Returns where in it a `<base href>` ends, and the `href` as it is
    /// written; once per page.
    #[inline(always)]
    pub(super) fn feed(&mut self, piece: &[u8]) -> Option<(usize, &[u8])> {
        if self.is_done() {
            return None;
        }
        let head = piece.get(..self.left.min(piece.len())).unwrap_or_default();
        self.left -= head.len();
        let mut at = 0;
        while let Some(byte) = head.get(at) {
            match self.state {
                HeadState::Text | HeadState::Raw(_) => {
                    let Some(next) = memchr::memchr(b'<', head.get(at..)?) else {
                        break;
                    };
                    at += next + 1;
                    let rest = head.get(at..).unwrap_or_default();
                    // Most tags do not matter.
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
                HeadState::Word => {
                    self.state = self.after_word_byte(*byte);
                    if matches!(self.state, HeadState::Text | HeadState::Raw(_)) {
                        continue;
                    }
                }
                HeadState::RawWord(name) => {
                    self.state = self.after_raw_byte(*byte, name);
                    if matches!(self.state, HeadState::Raw(_)) {
                        continue;
                    }
                }
                HeadState::Comment(b'-', b'-') if *byte == b'>' => self.state = HeadState::Text,
                HeadState::Comment(_, last) => {
                    self.state = HeadState::Comment(last, *byte);
                    // Skip to the two bytes before the next ">", or before the end.
                    let rest = head.get(at + 1..).unwrap_or_default();
                    let end = memchr::memchr(b'>', rest).unwrap_or(rest.len());
                    if let Some(skipped @ 1..) = end.checked_sub(2) {
                        at += skipped;
                    }
                }
                HeadState::Base(state) => {
                    let state = state.after(*byte);
                    self.tag.push(*byte);
                    if state == TagState::Ended {
                        if href(&self.tag).is_some() {
                            self.state = HeadState::Done;
                            return href(&self.tag).map(|href| (at + 1, href));
                        }
                        self.state = HeadState::Text;
                    } else if self.tag.len() >= MAX_BASE_TAG {
                        self.state = HeadState::Text;
                    } else {
                        self.state = HeadState::Base(state);
                    }
                }
                HeadState::Done => return None,
            }
            at += 1;
        }
        if self.left == 0 {
            self.state = HeadState::Done;
        }
        None
    }

    /// Whether a word behind a `<` that begins like this may change the state: a quick look, which also
    /// takes some other bytes for these.
    #[inline(always)]
    fn may_matter(&self, start: [u8; 3]) -> bool {
        // In lower case; `/`, `!` and `-` stay the same.
        let [first, second, third] = start.map(|byte| byte | 0x20);
        match self.state {
            HeadState::Raw(_) => first == b'/',
            _ => matches!(
                (first, second, third),
                (b'b', b'a', b's')
                    | (b'b', b'o', b'd')
                    | (b'f', b'r', _)
                    | (b's', b'c', b'r')
                    | (b's', b't', b'y')
                    | (b't', b'i', b't')
                    | (b'/', b'h', b'e')
                    | (b'!', b'-', b'-')
            ),
        }
    }

    /// Takes the word behind a `<`, and returns how much of `rest` it was.
    fn begin_word(&mut self, rest: &[u8]) -> usize {
        if matches!(self.state, HeadState::Text) {
            if let Some((state, len)) = whole_word(rest) {
                self.state = state;
                return len;
            }
        }
        self.tag.clear();
        self.tag.reserve(MAX_WORD + 1);
        if let HeadState::Raw(name) = self.state {
            let is_same = |(own, byte): &(&u8, &u8)| own.eq_ignore_ascii_case(byte);
            let len = name.iter().zip(rest).take_while(is_same).count();
            self.tag.extend(name.iter().take(len));
            self.state = match len {
                len if len == name.len() => HeadState::Text,
                len if len == rest.len() => HeadState::RawWord(name),
                _ => HeadState::Raw(name),
            };
            return len;
        }
        if rest.starts_with(b"!--") {
            self.state = HeadState::Comment(b'-', b'-');
            return 3;
        }
        let word = rest.iter().take(MAX_WORD);
        let len = word.take_while(|byte| is_in_word(**byte)).count();
        self.tag
            .extend_from_slice(rest.get(..len).unwrap_or_default());
        self.tag.make_ascii_lowercase();
        self.state = HeadState::Word;
        len
    }

    fn after_word_byte(&mut self, byte: u8) -> HeadState {
        if is_in_word(byte) {
            if self.tag.len() < MAX_WORD {
                self.tag.push(byte.to_ascii_lowercase());
            }
            // "<!-->" is a complete comment.
            return if self.tag == b"!--" {
                HeadState::Comment(b'-', b'-')
            } else {
                HeadState::Word
            };
        }
        if self.tag == b"base" {
            self.tag.push(byte);
            return match TagState::Element.after(byte) {
                // "<base>" has no href.
                TagState::Ended => HeadState::Text,
                state => HeadState::Base(state),
            };
        }
        behind_word(&self.tag)
    }

    fn after_raw_byte(&mut self, byte: u8, name: &'static [u8]) -> HeadState {
        self.tag.push(byte.to_ascii_lowercase());
        match name.strip_prefix(self.tag.as_slice()) {
            Some([]) => HeadState::Text,
            Some(_) => HeadState::RawWord(name),
            None => HeadState::Raw(name),
        }
    }
}

/// The state behind a word that ends in `rest`, where that is known at once, and its length.
fn whole_word(rest: &[u8]) -> Option<(HeadState, usize)> {
    let len = rest
        .iter()
        .take(MAX_WORD)
        .position(|byte| !is_in_word(*byte))?;
    let word = rest.get(..len)?;
    let is_at_once = !word.starts_with(b"!") && !word.eq_ignore_ascii_case(b"base");
    is_at_once.then(|| (behind_word(word), len))
}

/// The state behind any other word than `base`.
fn behind_word(word: &[u8]) -> HeadState {
    let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
    match word.len() {
        4 if is(b"body") => HeadState::Done,
        5 if is(b"/head") => HeadState::Done,
        5 if is(b"style") => HeadState::Raw(b"/style"),
        5 if is(b"title") => HeadState::Raw(b"/title"),
        6 if is(b"script") => HeadState::Raw(b"/script"),
        8 if is(b"frameset") => HeadState::Done,
        _ => HeadState::Text,
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
