//! One finder of the session id in a URL, for requests and for bodies alike: what a page hands out
//! and what a request brings back are read by the same rules, or a session would be learned under
//! one key and looked up under another.
//!
//! Nothing here knows where the bytes come from, and nothing fails: what cannot be read carries no
//! id.

mod link;
mod site;

use std::borrow::Cow;

use memchr::memmem::Finder;
use percent_encoding::percent_decode;

pub(crate) use link::is_absolute;
pub use link::refresh_target;
pub use site::Site;

/// The longest session id, in decoded bytes. A longer value counts as absent.
pub const MAX_ID: usize = 512;

/// The longest name of a parameter, in bytes.
pub const MAX_NAME: usize = 64;

/// How many names one directive may give.
pub const MAX_NAMES: usize = 8;

/// What a URL, a query or a form says about the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried<'a> {
    /// No configured name with a usable value.
    Nothing,
    /// The decoded id, 1 to [`MAX_ID`] bytes.
    Id(Cow<'a, [u8]>),
    /// The name that decides occurs with different values.
    Conflict,
}

impl Carried<'_> {
    /// The same, without a borrow of what was searched.
    pub fn into_owned(self) -> Carried<'static> {
        match self {
            Carried::Nothing => Carried::Nothing,
            Carried::Id(id) => Carried::Id(Cow::Owned(id.into_owned())),
            Carried::Conflict => Carried::Conflict,
        }
    }
}

/// The names under which an application hands its session id out, in the order of the directive.
#[derive(Debug, Clone)]
pub struct Names {
    names: Vec<Name>,
}

/// A name with what a search of a body for it needs, prepared once per configuration.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) bytes: Box<[u8]>,
    /// The longest part of the name that no URL encoder would escape: `sid` of `$sid`, which may
    /// stand as `%24sid` in a link.
    pub(crate) anchor: Finder<'static>,
    /// The anchor is the name, so the bytes next to it tell whether the name stands there whole.
    pub(crate) anchor_is_name: bool,
}

impl Names {
    /// The names in the order in which they decide. Names that are not valid (see
    /// [`Names::is_valid_name`]) and those after the eighth are left out: the directive has refused
    /// them before.
    pub fn new(names: Vec<Box<[u8]>>) -> Self {
        let names = names.into_iter().filter(|name| Self::is_valid_name(name));
        Self {
            names: names.take(MAX_NAMES).map(Name::new).collect(),
        }
    }

    /// Whether a name is 1 to [`MAX_NAME`] bytes of `A-Z a-z 0-9 - _ . ~ ! $ * @ :`, which neither a
    /// URL nor an attribute of HTML gives a meaning of its own.
    pub fn is_valid_name(name: &[u8]) -> bool {
        (1..=MAX_NAME).contains(&name.len())
            && name
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.~!$*@:".contains(b))
    }

    /// The id in a query: what stands after `?` and before `#`. Pairs are separated by `&` or `;`;
    /// the name is compared whole and case-sensitively, `%XX` and `+` are decoded once, in names
    /// and values. The first configured name that has a usable value decides. An empty value, or
    /// one of more than [`MAX_ID`] decoded bytes, counts as absent.
    pub fn in_query<'a>(&self, query: &'a [u8]) -> Carried<'a> {
        if is_one_plain_pair(query) {
            return self.in_plain_pair(query);
        }
        self.in_pairs(query, |pairs| memchr::memchr2(b'&', b';', pairs))
    }

    /// The id in a body of `application/x-www-form-urlencoded`: as in a query, but only `&`
    /// separates (URL Standard, 5.1).
    pub fn in_form<'a>(&self, body: &'a [u8]) -> Carried<'a> {
        self.in_pairs(body, |pairs| memchr::memchr(b'&', pairs))
    }

    /// The id in a URL reference, read as browsers do (URL Standard, 4.4) and with its character
    /// references already decoded. `Nothing` when it leads to a host that is not the site's or has
    /// another scheme than http and https, and when the name stands in its path or fragment only.
    pub fn in_link<'a>(&self, link: &'a [u8], site: &Site) -> Carried<'a> {
        match link::without_breaks(link::trimmed(link)) {
            Cow::Borrowed(link) => self.in_clean_link(link, site),
            Cow::Owned(link) => self.in_clean_link(&link, site).into_owned(),
        }
    }

    /// The same for a link without spaces at its ends and without control characters.
    pub(crate) fn in_clean_link<'a>(&self, link: &'a [u8], site: &Site) -> Carried<'a> {
        site.query_of(link)
            .map_or(Carried::Nothing, |query| self.in_query(query))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Name> {
        self.names.iter()
    }

    pub(crate) fn nth(&self, index: usize) -> Option<&Name> {
        self.names.get(index)
    }

    /// The length of the longest part that a body is searched for; 0 without names.
    pub(crate) fn longest_anchor(&self) -> usize {
        self.names
            .iter()
            .map(|name| name.anchor.needle().len())
            .max()
            .unwrap_or(0)
    }

    /// Whether a form field of this name is a session id.
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        self.names.iter().any(|own| *own.bytes == *name)
    }

    /// What the common case comes to: a query of one pair, and nothing in it to decode.
    fn in_plain_pair<'a>(&self, pair: &'a [u8]) -> Carried<'a> {
        let mut values = self.names.iter().filter_map(|name| {
            let value = pair.strip_prefix(&*name.bytes)?.strip_prefix(b"=")?;
            (1..=MAX_ID).contains(&value.len()).then_some(value)
        });
        values
            .next()
            .map_or(Carried::Nothing, |id| Carried::Id(Cow::Borrowed(id)))
    }

    /// `separator` finds the next separator.
    fn in_pairs<'a>(
        &self,
        pairs: &'a [u8],
        separator: impl Fn(&[u8]) -> Option<usize>,
    ) -> Carried<'a> {
        for name in &self.names {
            let mut id = None;
            let mut rest = Some(pairs);
            while let Some(pairs) = rest {
                let (pair, after) = match separator(pairs) {
                    Some(end) => (pairs.get(..end).unwrap_or_default(), pairs.get(end + 1..)),
                    None => (pairs, None),
                };
                rest = after;
                let Some(value) = name.value_in(pair) else {
                    continue;
                };
                let value = decoded(value);
                if value.is_empty() || value.len() > MAX_ID {
                    continue;
                }
                match &id {
                    Some(first) if *first != value => return Carried::Conflict,
                    Some(_) => {}
                    None => id = Some(value),
                }
            }
            if let Some(id) = id {
                return Carried::Id(id);
            }
        }
        Carried::Nothing
    }
}

impl Name {
    fn new(bytes: Box<[u8]>) -> Self {
        let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
        let runs = bytes.split(|b| !is_plain(b));
        let anchor = match runs.max_by_key(|run| run.len()) {
            Some(run) if !run.is_empty() => run,
            _ => &bytes,
        };
        let anchor_is_name = anchor.len() == bytes.len();
        let anchor = Finder::new(anchor).into_owned();
        Self {
            anchor,
            anchor_is_name,
            bytes,
        }
    }

    /// The raw value, when the pair is one of this name.
    fn value_in<'a>(&self, pair: &'a [u8]) -> Option<&'a [u8]> {
        let own = &*self.bytes;
        if let Some(rest) = pair.strip_prefix(own) {
            // "%" after the name could only lengthen it: escapes never decode to nothing.
            return rest.strip_prefix(b"=");
        }
        // An encoded name is longer than the name, and "=" ends it.
        if pair.len() <= own.len() + 2 {
            return None;
        }
        let end = memchr::memchr(b'=', pair)?;
        let (name, value) = pair.split_at_checked(end)?;
        (name.len() > own.len() && percent_decode(name).eq(own.iter().copied()))
            .then(|| value.get(1..).unwrap_or_default())
    }
}

/// Whether a query surely has neither separators nor escapes: no `&`, `;`, `%`, `+`. False also for
/// `$` and `'`, which two bits tell from `%` and `&`, and for a few bytes.
fn is_one_plain_pair(query: &[u8]) -> bool {
    const WORD: usize = size_of::<u64>();
    const EACH: u64 = u64::MAX / 0xff;
    let is_plain = |bytes: &[u8; WORD]| {
        let word = u64::from_le_bytes(*bytes);
        // The high bit of some byte is set if and only if some byte is zero.
        let zeros = |word: u64| word.wrapping_sub(EACH) & !word;
        let plus_or_semicolon = (word | (EACH * 0x10)) ^ (EACH * 0x3b);
        let percent_or_ampersand = (word | (EACH * 0x03)) ^ (EACH * 0x27);
        (zeros(plus_or_semicolon) | zeros(percent_or_ampersand)) & (EACH * 0x80) == 0
    };
    let mut rest = query;
    while let Some((word, after)) = rest.split_first_chunk() {
        if !is_plain(word) {
            return false;
        }
        rest = after;
    }
    // The last word overlaps the one before.
    query.last_chunk().is_some_and(is_plain)
}

/// `%XX` and `+` decoded, once; what is no escape stays as it is.
fn decoded(value: &[u8]) -> Cow<'_, [u8]> {
    match memchr::memchr2(b'%', b'+', value) {
        None => Cow::Borrowed(value),
        Some(_) if memchr::memchr(b'+', value).is_none() => percent_decode(value).into(),
        Some(_) => {
            let spaced: Vec<u8> = value
                .iter()
                .map(|b| if *b == b'+' { b' ' } else { *b })
                .collect();
            Cow::Owned(percent_decode(&spaced).collect())
        }
    }
}
