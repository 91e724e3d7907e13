//! One finder of the session id in a URL, for requests and for bodies alike: what a page hands out
//! and what a request brings back are read by the same rules, or a session would be learned under
//! one key and looked up under another.
//!
//! Nothing here knows where the bytes come from, and nothing fails: what cannot be read carries no
//! id.

mod link;
mod name;
mod path;
mod site;

use std::borrow::Cow;

use crate::http::cookie;
use crate::http::multipart::Field;
use name::{decoded, unescaped};

pub use link::refresh_target;
pub(crate) use link::{is_absolute, trimmed};
pub(crate) use name::Name;
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

/// The part of a link in which an id may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPart {
    /// Behind the `?`.
    Query,
    /// Before it.
    Path,
}

/// The names under which an application hands its session id out, in the order of the directive,
/// and what else it takes to tell an id from what surrounds it.
#[derive(Debug, Clone)]
pub struct Names {
    names: Vec<Name>,
    parts: Vec<LinkPart>,
    delimiter: Option<u8>,
}

impl Names {
    /// The names in the order in which they decide, looked for in the queries of links. Names that
    /// are not valid (see [`Names::is_valid_name`] and [`Names::is_letter`]) and those after the
    /// eighth are left out: the directive has refused them before.
    pub fn new(names: Vec<Box<[u8]>>) -> Self {
        let names = names
            .into_iter()
            .filter(|name| Self::is_valid_name(name) || Self::is_letter(name));
        Self {
            names: names.take(MAX_NAMES).map(Name::new).collect(),
            parts: vec![LinkPart::Query],
            delimiter: None,
        }
    }

    /// The same, looked for in these parts of links; the first one with an id decides.
    pub fn in_parts(mut self, parts: Vec<LinkPart>) -> Self {
        self.parts = parts;
        self
    }

    /// The same, with ids that end before the first such byte: behind it stands the name of a node.
    pub fn cut_at(mut self, delimiter: Option<u8>) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// Whether a name is 1 to [`MAX_NAME`] bytes of `A-Z a-z 0-9 - _ . ~ ! $ * @ :`, which neither a
    /// URL nor an attribute of HTML gives a meaning of its own.
    pub fn is_valid_name(name: &[u8]) -> bool {
        (1..=MAX_NAME).contains(&name.len())
            && name
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.~!$*@:".contains(b))
    }

    /// Whether a name is a letter in parentheses: `(S)` finds the `1` of `/shop/(S(1))/`, which is how
    /// ASP.NET puts an id into a path. It stands in paths only.
    pub fn is_letter(name: &[u8]) -> bool {
        matches!(name, [b'(', letter, b')'] if letter.is_ascii_alphabetic())
    }

    /// The id in a decoded value that is handed out as such, in a field or a header: without the name
    /// of a node behind it. `None` when nothing is left, or more than [`MAX_ID`] bytes.
    #[inline]
    pub fn id_in<'a>(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        let end = self.delimiter.and_then(|byte| memchr::memchr(byte, value));
        let id = end.map_or(Some(value), |end| value.get(..end))?;
        (1..=MAX_ID).contains(&id.len()).then_some(id)
    }

    /// The same for the value of a cookie. `%XX` is decoded, once, as in URLs, so that an id is the
    /// same in both; `+` and quotes are left as they are.
    pub fn id_in_cookie<'a>(&self, value: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        self.cut(unescaped(value))
    }

    /// The id in a query: what stands after `?` and before `#`. Pairs are separated by `&` or `;`;
    /// the name is compared whole and case-sensitively, `%XX` and `+` are decoded once, in names
    /// and values. The first configured name that has a usable value decides. An empty value, or
    /// one of more than [`MAX_ID`] decoded bytes, counts as absent.
    #[inline]
    pub fn in_query<'a>(&self, query: &'a [u8]) -> Carried<'a> {
        match self.in_plain_query(query) {
            Some(None) => Carried::Nothing,
            Some(Some(id)) => Carried::Id(Cow::Borrowed(id)),
            None if is_unescaped(query) && self.plain().all(|name| name.anchor_is_name) => {
                first_of(self.plain(), |name| {
                    self.single(name.values_in_unescaped(query).map(Cow::Borrowed))
                })
            }
            None => self.in_pairs(query, |pairs| memchr::memchr2(b'&', b';', pairs)),
        }
    }

    /// What the common case of [`Names::in_query`] comes to, without the others: in a query that is
    /// empty, or one pair and nothing in it to decode, the id, if there is one. `None`: it is no such
    /// query.
    #[inline(always)]
    pub fn in_plain_query<'a>(&self, query: &'a [u8]) -> Option<Option<&'a [u8]>> {
        if query.is_empty() {
            return Some(None);
        }
        is_one_plain_pair(query).then(|| {
            let values = self.plain().filter_map(|name| name.value_in_plain(query));
            values.filter_map(|value| self.id_in(value)).next()
        })
    }

    /// The id in a body of `application/x-www-form-urlencoded`: as in a query, but only `&`
    /// separates (URL Standard, 5.1).
    pub fn in_form<'a>(&self, body: &'a [u8]) -> Carried<'a> {
        self.in_pairs(body, |pairs| memchr::memchr(b'&', pairs))
    }

    /// The id among the fields of a form; nothing is decoded.
    pub fn in_fields<'a>(&self, fields: impl Iterator<Item = Field<'a>>) -> Carried<'a> {
        let fields: Vec<Field> = fields.filter(|field| self.has(&field.name)).collect();
        first_of(self.plain(), |name| {
            let own = fields.iter().filter(|field| *field.name == *name.bytes);
            self.single(own.map(|field| field.value.into()))
        })
    }

    /// The id in the path of a URL, as it stands there, without query and fragment: in a parameter of
    /// a segment, `/shop;sid=1/cart`, or between the parentheses of a letter. Otherwise as in a query,
    /// but `+` is a `+`.
    pub fn in_path<'a>(&self, path: &'a [u8]) -> Carried<'a> {
        if memchr::memchr3(b';', b'(', b'%', path).is_none() {
            return Carried::Nothing;
        }
        first_of(self.names.iter(), |name| {
            self.single(path::values_in(path, name))
        })
    }

    /// The id in the values of the Cookie headers, in a cookie of one of the names.
    pub fn in_cookies<'a>(&self, headers: impl Iterator<Item = &'a [u8]> + Clone) -> Carried<'a> {
        first_of(self.plain(), |name| {
            let values = headers.clone();
            let values = values.flat_map(|header| cookie::values(header, &name.bytes));
            self.single(values.map(unescaped))
        })
    }

    /// The id in the values of a header that holds nothing else.
    pub fn in_header<'a>(&self, values: impl Iterator<Item = &'a [u8]>) -> Carried<'a> {
        self.single(values.map(Cow::Borrowed))
    }

    /// The id in a URL reference, read as browsers do (URL Standard, 4.4) and with its character
    /// references already decoded. `Nothing` when it leads to a host that is not the site's or has
    /// another scheme than http and https, and when the name stands elsewhere than in the parts that
    /// are searched.
    pub fn in_link<'a>(&self, link: &'a [u8], site: &Site) -> Carried<'a> {
        match link::without_breaks(link::trimmed(link)) {
            Cow::Borrowed(link) => self.in_clean_link(link, site),
            Cow::Owned(link) => self.in_clean_link(&link, site).into_owned(),
        }
    }

    /// The same for a link without spaces at its ends and without control characters.
    pub(crate) fn in_clean_link<'a>(&self, link: &'a [u8], site: &Site) -> Carried<'a> {
        match site.own(link) {
            Some(link) => self.in_parts_of(link),
            None => Carried::Nothing,
        }
    }

    /// What [`Names::in_link`] comes to for a link that is relative at a glance, which leads to the site
    /// wherever that is. `None`: it may be another.
    pub fn in_plain_link<'a>(&self, link: &'a [u8]) -> Option<Carried<'a>> {
        link::split_plain(link).map(|link| self.in_parts_of(link))
    }

    fn in_parts_of<'a>(&self, link: link::Parts<'a>) -> Carried<'a> {
        for part in &self.parts {
            let carried = match part {
                LinkPart::Query => self.in_query(link.query),
                LinkPart::Path => self.in_path(link.path),
            };
            if carried != Carried::Nothing {
                return carried;
            }
        }
        Carried::Nothing
    }

    /// The byte at which ids are cut off.
    pub(crate) fn delimiter(&self) -> Option<u8> {
        self.delimiter
    }

    /// Whether one of the names is a letter in parentheses.
    pub(crate) fn have_letters(&self) -> bool {
        self.names.iter().any(|name| name.letter.is_some())
    }

    /// Whether ids are looked for in paths.
    pub(crate) fn are_in_paths(&self) -> bool {
        self.parts.contains(&LinkPart::Path)
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
        self.plain().any(|own| *own.bytes == *name)
    }

    /// Whether a pair of a query is one of these names.
    pub(crate) fn have_pair(&self, pair: &[u8]) -> bool {
        self.plain().any(|name| name.value_in(pair).is_some())
    }

    /// `separator` finds the next separator.
    fn in_pairs<'a>(
        &self,
        pairs: &'a [u8],
        separator: impl Fn(&[u8]) -> Option<usize>,
    ) -> Carried<'a> {
        first_of(self.plain(), |name| {
            let mut rest = Some(pairs);
            let separator = &separator;
            let pairs = std::iter::from_fn(move || {
                let pairs = rest?;
                let (pair, after) = match separator(pairs) {
                    Some(end) => (pairs.get(..end).unwrap_or_default(), pairs.get(end + 1..)),
                    None => (pairs, None),
                };
                rest = after;
                Some(pair)
            });
            self.single(pairs.filter_map(|pair| name.value_in(pair).map(decoded)))
        })
    }

    /// Without the letters.
    fn plain(&self) -> impl Iterator<Item = &Name> {
        self.names.iter().filter(|name| name.letter.is_none())
    }

    /// The one id that all the usable ones among these decoded values are.
    fn single<'a>(&self, values: impl Iterator<Item = Cow<'a, [u8]>>) -> Carried<'a> {
        let mut single = None;
        for value in values {
            let Some(id) = self.cut(value) else {
                continue;
            };
            match &single {
                Some(first) if *first != id => return Carried::Conflict,
                Some(_) => {}
                None => single = Some(id),
            }
        }
        single.map_or(Carried::Nothing, Carried::Id)
    }

    fn cut<'a>(&self, value: Cow<'a, [u8]>) -> Option<Cow<'a, [u8]>> {
        match value {
            Cow::Borrowed(value) => self.id_in(value).map(Cow::Borrowed),
            Cow::Owned(mut value) => {
                let len = self.id_in(&value)?.len();
                value.truncate(len);
                Some(Cow::Owned(value))
            }
        }
    }
}

/// What the first name says that has a usable value.
fn first_of<'a, 'n>(
    names: impl Iterator<Item = &'n Name>,
    read: impl Fn(&'n Name) -> Carried<'a>,
) -> Carried<'a> {
    for name in names {
        match read(name) {
            Carried::Nothing => {}
            decided => return decided,
        }
    }
    Carried::Nothing
}

/// Whether a query surely has neither separators nor escapes: no `&`, `;`, `%`, `+`. False also for
/// a few bytes.
#[inline]
fn is_one_plain_pair(query: &[u8]) -> bool {
    fn is_plain<const N: usize>(block: &[u8; N]) -> bool {
        let is_odd = |b: u8| (b == b'&') | (b == b';') | (b == b'%') | (b == b'+');
        !block.iter().fold(false, |any, b| any | is_odd(*b))
    }
    if query.len() < 16 {
        are_all(query, is_plain::<8>)
    } else {
        are_all(query, is_plain::<16>)
    }
}

/// Whether the pairs of a query surely are separated by `&` alone, and nothing in them is to be decoded.
/// False also for a few bytes.
fn is_unescaped(query: &[u8]) -> bool {
    fn is_plain(block: &[u8; 16]) -> bool {
        let is_odd = |b: u8| (b == b';') | (b == b'%') | (b == b'+');
        !block.iter().fold(false, |any, b| any | is_odd(*b))
    }
    are_all(query, is_plain)
}

/// Whether `test` holds for all bytes, taken in blocks: the compiler looks at all of a block at once,
/// where `test` has no branches. False for less than a block.
#[inline(always)]
fn are_all<const N: usize>(bytes: &[u8], test: impl Fn(&[u8; N]) -> bool) -> bool {
    let mut rest = bytes;
    while let Some((block, after)) = rest.split_first_chunk() {
        if !test(block) {
            return false;
        }
        rest = after;
    }
    // The last block overlaps the one before.
    bytes.last_chunk().is_some_and(test)
}
