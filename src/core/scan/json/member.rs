//! Which members of a document are session ids, and how names and values are written.

use memchr::memmem::Finder;

use crate::scan::learn_set::Member;
use crate::scan::search::hits::Needles;
use crate::url::{MAX_ID, MAX_NAME, MAX_NAMES};

/// The longest way to write a byte: `\u0041`.
const ESCAPE: usize = 6;

/// How a name of the greatest length is written at the longest, without its quotes.
pub(super) const LONGEST_NAME: usize = ESCAPE * MAX_NAME;

/// The same for the string of an id; a suffix that is cut from it stands behind the id.
pub(super) const LONGEST_VALUE: usize = ESCAPE * MAX_ID;

/// The members that are session ids, prepared once per configuration.
#[derive(Debug, Clone)]
pub struct Members {
    pub(super) paths: Vec<Path>,
    /// How an escape begins with which an ASCII character may be written.
    escape: Finder<'static>,
}

/// The names that lead to a member.
#[derive(Debug, Clone)]
pub(super) struct Path {
    pub(super) steps: Box<[Step]>,
    /// Its one name counts wherever it stands; others lead from the outermost object.
    pub(super) is_anywhere: bool,
}

/// A name, and the search for it in quotes.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) name: Box<[u8]>,
    pub(super) quoted: Finder<'static>,
}

impl Members {
    /// Prepares the search for these members.
    pub fn new(members: &[Member]) -> Self {
        let path = |member: &Member| match member {
            Member::Anywhere(name) => Path {
                steps: [Step::new(name)].into(),
                is_anywhere: true,
            },
            Member::At(names) => Path {
                steps: names.iter().map(|name| Step::new(name)).collect(),
                is_anywhere: false,
            },
        };
        Self {
            paths: members.iter().map(path).collect(),
            escape: Finder::new(b"\\u00").into_owned(),
        }
    }

    /// Whether the bytes of the names tell where they stand. Not those of `:sid`: in `"a":sid"` the
    /// first quote would close a string.
    pub(super) fn stand_anywhere(&self) -> bool {
        let may_open = |step: &Step| !step.name.starts_with(b":");
        let is_plain = |path: &Path| path.is_anywhere && path.steps.iter().all(may_open);
        self.are_few() && self.paths.iter().all(is_plain)
    }

    /// Whether they can be looked for together.
    pub(in crate::scan) fn are_few(&self) -> bool {
        self.paths.len() <= MAX_NAMES
    }

    /// Whether this needle is an escape, not a name.
    pub(super) fn is_escape(&self, needle: usize) -> bool {
        needle == self.paths.len()
    }

    /// Whether the character of this hexadecimal number stands in one of the names.
    pub(super) fn has_character(&self, digits: &[u8]) -> bool {
        let byte = hexadecimal(digits).and_then(|number| u8::try_from(number).ok());
        let mut steps = self.paths.iter().flat_map(|path| &path.steps);
        byte.is_some_and(|byte| steps.any(|step| step.name.contains(&byte)))
    }

    /// Whether a member of this name counts wherever it stands.
    pub(super) fn has(&self, name: &[u8]) -> bool {
        self.paths
            .iter()
            .any(|path| path.is_anywhere && path.has_step(0, name))
    }
}

impl Path {
    pub(super) fn has_step(&self, index: usize, name: &[u8]) -> bool {
        self.steps
            .get(index)
            .is_some_and(|step| *step.name == *name)
    }
}

impl Step {
    fn new(name: &[u8]) -> Self {
        let quoted = [b"\"", name, b"\""].concat();
        Self {
            name: name.into(),
            quoted: Finder::new(&quoted).into_owned(),
        }
    }
}

impl Needles for Members {
    fn nth(&self, index: usize) -> Option<&Finder<'static>> {
        match self.paths.get(index) {
            Some(path) => path.steps.first().map(|step| &step.quoted),
            None => self.is_escape(index).then_some(&self.escape),
        }
    }

    fn longest(&self) -> usize {
        let names = self.paths.iter().flat_map(|path| &path.steps);
        let needles = names.map(|step| &step.quoted).chain([&self.escape]);
        needles
            .map(|needle| needle.needle().len())
            .max()
            .unwrap_or(0)
    }
}

/// What a string says that is written so between its quotes (RFC 8259, 7), in `scratch` when there
/// are escapes. `None`: it is no string.
pub(super) fn unescaped<'a>(written: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if written.iter().any(|byte| *byte < b' ') {
        return None;
    }
    let Some(mut at) = memchr::memchr(b'\\', written) else {
        return Some(written);
    };
    scratch.clear();
    let mut rest = written;
    loop {
        let (plain, escape) = rest.split_at_checked(at)?;
        scratch.extend_from_slice(plain);
        let (character, len) = character(escape)?;
        scratch.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = escape.get(len..)?;
        match memchr::memchr(b'\\', rest) {
            Some(next) => at = next,
            None => break,
        }
    }
    scratch.extend_from_slice(rest);
    Some(scratch)
}

/// The character that an escape stands for, and the escape's length.
fn character(escape: &[u8]) -> Option<(char, usize)> {
    let character = match escape.get(1)? {
        byte @ (b'"' | b'\\' | b'/') => char::from(*byte),
        b'b' => '\x08',
        b'f' => '\x0c',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return utf16(escape),
        _ => return None,
    };
    Some((character, 2))
}

fn utf16(escape: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = escape.get(at..)?.strip_prefix(b"\\u")?.get(..4)?;
        hexadecimal(digits)
    };
    let first = unit(0)?;
    let pair = [first, unit(ESCAPE).unwrap_or_default()];
    // A second unit only counts behind the first half of a pair.
    let units = if matches!(first, 0xd800..=0xdbff) {
        2
    } else {
        1
    };
    let character = char::decode_utf16(pair).next()?.ok()?;
    Some((character, units * ESCAPE))
}

/// The number of up to four digits.
fn hexadecimal(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(number << 4 | digit as u16)
    })
}
