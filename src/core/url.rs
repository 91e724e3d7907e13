//! Finds the session id in a URL, a form, a cookie or a header. Requests and responses are read by
//! the same rules; otherwise a session would be learned under one key and looked up under another.
//! A request may have several ids, of which a link that is learned from has only one.
//!
//! Nothing here fails: what cannot be read has no id.

mod at_once;
mod candidates;
mod in_markup;
mod link;
mod name;
mod needle_index;
mod path;
mod pieces;
mod segment;
mod site;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::Arc;

use crate::blocks::has_semicolon;

use at_once::Alone;
use name::{decoded, unescaped};
use pieces::{is_one_plain_pair, is_unescaped, searched, separates_pairs, split};

pub use at_once::PlainQuery;
pub(crate) use in_markup::is_separator;
pub use link::refresh_target;
pub(crate) use link::{is_absolute, trimmed};
pub use name::BytePair;
pub(crate) use name::{Name, Role};
pub(crate) use needle_index::{NeedleIndex, NeedleSet};
pub use segment::{SegmentPrefix, MAX_PREFIX, MAX_PREFIXES};
pub use site::Site;

/// The longest session id, in decoded bytes. A longer value counts as absent.
pub const MAX_ID: usize = 4096;

/// So much of one query, path or header of a request or a response is searched, in bytes: a server takes
/// that much where it is told to.
pub const MAX_SEARCHED: usize = 64 * 1024;

/// The longest name of a parameter, in bytes.
pub const MAX_NAME: usize = 64;

/// How many names one directive may have.
pub const MAX_NAMES: usize = 8;

/// The session id of a link, its query or its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtractedId<'a> {
    /// No configured name has a usable value.
    Absent,
    /// The decoded id, 1 to [`MAX_ID`] bytes.
    Id(Cow<'a, [u8]>),
    /// The name that decides occurs with different values.
    Conflict,
}

impl ExtractedId<'_> {
    /// The same, without a borrow of what was searched.
    pub fn into_owned(self) -> ExtractedId<'static> {
        match self {
            ExtractedId::Absent => ExtractedId::Absent,
            ExtractedId::Id(id) => ExtractedId::Id(Cow::Owned(id.into_owned())),
            ExtractedId::Conflict => ExtractedId::Conflict,
        }
    }
}

/// The part of a link that may have an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPart {
    /// Behind the `?`.
    Query,
    /// Before it, in a parameter.
    Path,
    /// Before it, as the segment behind this one of the prefixes.
    Segment(usize),
}

/// The names under which an application hands out its session id, in the order of the directive,
/// with the parts of links that are searched for them and the byte that ends an id.
///
/// ```
/// use sticky_core::url::{ExtractedId, LinkPart, Names, Site};
///
/// let names = Names::new(vec![b"sid"[..].into(), b"jsessionid"[..].into()]);
/// let id = |id: &'static [u8]| ExtractedId::Id(id.into());
/// assert_eq!(names.in_query(b"page=2&sid=47%31%31"), id(b"4711"));
/// assert_eq!(names.in_query(b"side=1"), ExtractedId::Absent);
/// assert_eq!(names.in_query(b"sid=1&sid=2"), ExtractedId::Conflict);
/// assert!(names.ids_in_query(b"sid=1&sid=2").eq([&b"1"[..], b"2"]));
///
/// // Tomcat puts the id into the path, and may append the name of a node to it.
/// let names = names.in_parts(vec![LinkPart::Path]).cut_at(Some(b'.'));
/// let site = Site::new(b"shop.example", &[]);
/// assert_eq!(names.in_link(b"/cart;jsessionid=A1.node2?page=2", &site), id(b"A1"));
/// assert_eq!(
///     names.in_link(b"//other.example/cart;jsessionid=A1", &site),
///     ExtractedId::Absent
/// );
/// ```
#[derive(Debug, Clone)]
pub struct Names {
    names: Vec<Name>,
    /// What a cookie of each name has.
    pairs_in_cookies: Vec<BytePair>,
    /// What bodies are searched for: the names, in their order, and their other spellings.
    needles: Vec<Name>,
    index: NeedleIndex,
    parts: Vec<LinkPart>,
    segments: Vec<SegmentPrefix>,
    has_letters: bool,
    delimiter: Option<u8>,
    /// What was met that is no id.
    met: Flags,
    /// The longest id.
    max_id: usize,
    /// What [`Names::in_query_at_once`] needs.
    alone: Option<Alone>,
}

/// Bits of [`Met`]. Those of a clone are its own.
#[derive(Debug, Default)]
struct Flags(Arc<AtomicU8>);

impl Clone for Flags {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// What was met that looks like an id and counts as none, since [`Names::take_met`] was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// A value of more than [`MAX_ID`] bytes.
    pub too_long: bool,
    /// A link with an id that leads to another host than the site's.
    pub foreign: bool,
}

const TOO_LONG: u8 = 1;
const FOREIGN: u8 = 2;

impl Names {
    /// The names in the order in which they decide, searched in the queries of links. Names that
    /// are not valid (see [`Names::is_valid_name`] and [`Names::is_letter`]) and those after the
    /// eighth are left out; the directive refuses them anyway.
    pub fn new(names: Vec<Box<[u8]>>) -> Self {
        let names = names
            .into_iter()
            .filter(|name| Self::is_valid_name(name) || Self::is_letter(name));
        let names: Vec<Name> = names.take(MAX_NAMES).map(Name::new).collect();
        let names = Self {
            needles: Vec::new(),
            index: NeedleIndex::of([].into_iter()),
            has_letters: names.iter().any(|name| name.letter.is_some()),
            pairs_in_cookies: Vec::new(),
            names,
            parts: vec![LinkPart::Query],
            segments: Vec::new(),
            delimiter: None,
            met: Flags::default(),
            max_id: MAX_ID,
            alone: None,
        };
        names.with_needles()
    }

    /// Prepares the search for the names. In paths these count in any case, of which bodies are
    /// searched for two: all small and all capital letters.
    fn with_needles(mut self) -> Self {
        self.pairs_in_cookies = self.plain().map(|name| name.pair).collect();
        self.needles = self.names.clone();
        if self.are_in_paths() {
            for name in self.names.iter().filter(|name| name.letter.is_none()) {
                for spelling in [
                    name.bytes.to_ascii_lowercase(),
                    name.bytes.to_ascii_uppercase(),
                ] {
                    if !self.needles.iter().any(|known| *known.bytes == *spelling) {
                        let spelling = Name::new(spelling.into());
                        self.needles.push(spelling.with_role(Role::OtherCase));
                    }
                }
            }
        }
        for segment in self.segments.iter().filter_map(SegmentPrefix::literal) {
            self.needles
                .push(Name::new(segment.bytes.into()).with_role(Role::Segment {
                    ends: segment.ends_segment,
                    is_last: segment.is_last,
                }));
        }
        self.index = NeedleIndex::of(self.needles.iter().map(|needle| &needle.literal));
        self.with_alone()
    }

    /// The same, searched in these parts of links; the first one with an id decides.
    pub fn in_parts(mut self, parts: Vec<LinkPart>) -> Self {
        self.parts = parts;
        self.with_needles()
    }

    /// The same, with these prefixes of ids, up to [`MAX_PREFIXES`], for
    /// [`LinkPart::Segment`].
    pub fn with_segments(mut self, mut segments: Vec<SegmentPrefix>) -> Self {
        segments.truncate(MAX_PREFIXES);
        self.segments = segments;
        self.with_needles()
    }

    /// The prefixes alone, without names. What is met by them is met by `self`.
    pub fn of_segments(&self) -> Self {
        let parts = (0..self.segments.len()).map(LinkPart::Segment);
        Self::new(Vec::new())
            .in_parts(parts.collect())
            .with_segments(self.segments.clone())
            .cut_at(self.delimiter)
            .meeting_as(self)
    }

    /// Whether ids are searched behind prefixes. Then a [`Site`] needs the path of the page.
    #[inline]
    pub fn have_segments(&self) -> bool {
        !self.segments.is_empty()
    }

    /// The same, with ids that end before the first such byte, behind which the name of a node
    /// stands.
    pub fn cut_at(mut self, delimiter: Option<u8>) -> Self {
        self.delimiter = delimiter;
        self.with_alone()
    }

    /// The same, with ids of any length, to find those that are too long.
    pub fn of_any_length(mut self) -> Self {
        self.max_id = usize::MAX;
        self.with_alone()
    }

    /// Each name alone, and what it finds.
    pub fn one_by_one(&self) -> impl Iterator<Item = (&[u8], Self)> {
        self.names.iter().map(|name| {
            let alone = Self {
                has_letters: name.letter.is_some(),
                names: vec![name.clone()],
                ..self.clone()
            };
            (&*name.bytes, alone.with_needles())
        })
    }

    /// Whether a name is 1 to [`MAX_NAME`] bytes of `A-Z a-z 0-9 - _ . ~ ! $ * @ :`. These have no
    /// special meaning in a URL or in an attribute of HTML.
    pub fn is_valid_name(name: &[u8]) -> bool {
        (1..=MAX_NAME).contains(&name.len())
            && name
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.~!$*@:".contains(b))
    }

    /// Whether a name is a letter in parentheses: `(S)` finds the `1` of `/shop/(S(1))/`, as
    /// ASP.NET writes an id into a path. It occurs in paths only.
    pub fn is_letter(name: &[u8]) -> bool {
        matches!(name, [b'(', letter, b')'] if letter.is_ascii_alphabetic())
    }

    /// The id in a decoded value, of a field or a header: the value without the name of a node.
    /// `None`: nothing is left, or more than [`MAX_ID`] bytes.
    #[inline]
    pub fn id_in<'a>(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        self.id_within(value)
    }

    #[inline(always)]
    fn id_within<'a>(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        let end = self.delimiter.and_then(|byte| memchr::memchr(byte, value));
        let id = end.map_or(Some(value), |end| value.get(..end))?;
        if id.len() > self.max_id {
            self.meet_too_long();
        }
        (1..=self.max_id).contains(&id.len()).then_some(id)
    }

    #[cold]
    #[inline(never)]
    fn meet_too_long(&self) {
        self.met.0.fetch_or(TOO_LONG, Ordering::Relaxed);
    }

    /// Notes a link that leads to another host, if it has an id.
    #[cold]
    #[inline(never)]
    fn meet_foreign(&self, link: &[u8]) {
        if self.met.0.load(Ordering::Relaxed) & FOREIGN == 0 {
            if let Some(parts) = link::elsewhere(link) {
                if matches!(self.in_parts_of(parts, b""), ExtractedId::Id(_)) {
                    self.met.0.fetch_or(FOREIGN, Ordering::Relaxed);
                }
            }
        }
    }

    /// The same, with what is met noted in those of `other`.
    fn meeting_as(mut self, other: &Self) -> Self {
        self.met = Flags(Arc::clone(&other.met.0));
        self
    }

    /// Whether [`take_met`](Self::take_met) has anything to tell: a quick look.
    #[inline]
    pub fn have_met_any(&self) -> bool {
        self.met.0.load(Ordering::Relaxed) != 0
    }

    /// What was met in the meantime by these names.
    #[cold]
    pub fn take_met(&self) -> Met {
        let met = self.met.0.swap(0, Ordering::Relaxed);
        Met {
            too_long: met & TOO_LONG != 0,
            foreign: met & FOREIGN != 0,
        }
    }

    /// The same for the value of a cookie. `%XX` is decoded once, as in URLs, so that an id is the
    /// same in both; `+` and quotes are left as they are.
    pub fn id_in_cookie<'a>(&self, value: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        self.cut(unescaped(value))
    }

    /// The id in a query, without `?` and fragment. Pairs are separated by `&` or `;`. Names are
    /// compared whole and case-sensitively. `%XX` and `+` are decoded once, in names and values.
    /// The first configured name with a usable value decides. An empty value, or one of more than
    /// [`MAX_ID`] decoded bytes, counts as absent.
    #[inline]
    pub fn in_query<'a>(&self, query: &'a [u8]) -> ExtractedId<'a> {
        let query = searched(query, separates_pairs);
        match self.in_plain_query(query) {
            Some(None) => ExtractedId::Absent,
            Some(Some(id)) => ExtractedId::Id(Cow::Borrowed(id)),
            None if is_unescaped(query) && self.plain().all(|name| name.literal_is_name) => {
                first_of(self.plain(), |name| {
                    self.single(name.values_in_unescaped(query).map(Cow::Borrowed))
                })
            }
            None => first_of(self.plain(), |name| {
                let pairs = split(query, |pairs| memchr::memchr2(b'&', b';', pairs));
                self.single(pairs.filter_map(|pair| name.value_in(pair).map(decoded)))
            }),
        }
    }

    /// The common case of [`Names::in_query`]: a query that is empty, or one pair with nothing to
    /// decode. `Some(None)`: it has no id. `None`: it is no such query.
    #[inline(always)]
    pub fn in_plain_query<'a>(&self, query: &'a [u8]) -> Option<Option<&'a [u8]>> {
        if query.is_empty() {
            return Some(None);
        }
        if !is_one_plain_pair(query) {
            return None;
        }
        for name in self.plain() {
            if let Some(value) = name.value_in_plain(query) {
                return Some(self.id_within(value));
            }
        }
        Some(None)
    }

    /// The id in the path of a URL as it is written, without query and fragment: in a parameter of
    /// a segment, `/shop;sid=1/cart`, or in the parentheses of a letter. Otherwise as in a query,
    /// but `+` is a `+`, and ASCII case does not matter in names, but for letters.
    pub fn in_path<'a>(&self, path: &'a [u8]) -> ExtractedId<'a> {
        if !self.may_be_in_path(path) {
            return ExtractedId::Absent;
        }
        first_of(self.names.iter(), |name| {
            self.single(path::values_in(path, name))
        })
    }

    /// Whether a path may have an id, or a URL with such a path: a quick check.
    #[inline]
    pub fn may_be_in_path(&self, path: &[u8]) -> bool {
        match self.has_letters {
            false => memchr::memchr(b';', path).is_some(),
            true => memchr::memchr3(b';', b'(', b'%', path).is_some(),
        }
    }

    /// The same for that of a request.
    #[inline(always)]
    pub fn may_be_in_request_path(&self, path: &[u8]) -> bool {
        match self.has_letters {
            false => has_semicolon(path),
            true => self.may_be_in_path(path),
        }
    }

    /// The id in a URL reference, read as browsers do (URL Standard, 4.4), with its character
    /// references already decoded. `Absent` as well if it leads to a host that is not the site's,
    /// if its scheme is not http or https, and if the name stands in another part than those that
    /// are searched.
    pub fn in_link<'a>(&self, link: &'a [u8], site: &Site) -> ExtractedId<'a> {
        match link::without_breaks(link::trimmed(link)) {
            Cow::Borrowed(link) => self.in_clean_link(link, site),
            Cow::Owned(link) => self.in_clean_link(&link, site).into_owned(),
        }
    }

    /// The same for a link without spaces at its ends and without control characters.
    pub(crate) fn in_clean_link<'a>(&self, link: &'a [u8], site: &Site) -> ExtractedId<'a> {
        match site.own(link) {
            Some(link) => self.in_parts_of(link, site.path()),
            None => {
                self.meet_foreign(link);
                ExtractedId::Absent
            }
        }
    }

    /// The common case of [`Names::in_link`]: a link that is obviously relative, and so leads to
    /// any site. `None`: it may be another, or it matters which page it stands in.
    pub fn in_plain_link<'a>(&self, link: &'a [u8]) -> Option<ExtractedId<'a>> {
        if self.have_segments() {
            return None;
        }
        let link = link::split_plain(link)?;
        if let (Some(LinkPart::Query), PlainQuery::Id(id)) =
            (self.parts.first(), self.in_query_at_once(link.query))
        {
            return Some(ExtractedId::Id(Cow::Borrowed(id)));
        }
        Some(self.in_parts_of(link, b""))
    }

    fn in_parts_of<'a>(&self, link: link::PathAndQuery<'a>, page: &[u8]) -> ExtractedId<'a> {
        for part in &self.parts {
            let id = match part {
                LinkPart::Query => self.in_query(link.query),
                LinkPart::Path => self.in_path(link.path),
                LinkPart::Segment(index) => self.in_segment(*index, link.path, page),
            };
            if !matches!(id, ExtractedId::Absent) {
                return id;
            }
        }
        ExtractedId::Absent
    }

    /// The id behind a prefix in a path as a client has sent it, or in a URL with such a path.
    #[inline]
    pub fn id_in_segment<'a>(
        &self,
        prefix: &SegmentPrefix,
        path: &'a [u8],
    ) -> Option<Cow<'a, [u8]>> {
        prefix.value_in(path).and_then(|value| self.cut(value))
    }

    /// The same for the path of a link in a page. One without a path leads to the page itself,
    /// whose id the client has.
    fn in_segment<'a>(&self, index: usize, path: &'a [u8], page: &[u8]) -> ExtractedId<'a> {
        let Some(prefix) = self.segments.get(index).filter(|_| !path.is_empty()) else {
            return ExtractedId::Absent;
        };
        let id = match link::resolved(path, page) {
            Cow::Borrowed(path) => self.id_in_segment(prefix, path),
            Cow::Owned(path) => {
                let id = self.id_in_segment(prefix, &path);
                id.map(|id| Cow::Owned(id.into_owned()))
            }
        };
        id.map_or(ExtractedId::Absent, ExtractedId::Id)
    }

    /// The byte that ends an id.
    pub(crate) fn delimiter(&self) -> Option<u8> {
        self.delimiter
    }

    /// Whether one of the names is a letter in parentheses.
    pub(crate) fn have_letters(&self) -> bool {
        self.has_letters
    }

    /// Whether paths are searched for ids.
    pub(crate) fn are_in_paths(&self) -> bool {
        self.parts.contains(&LinkPart::Path)
    }

    /// What bodies are searched for: first the names, then their other spellings.
    pub(crate) fn nth(&self, index: usize) -> Option<&Name> {
        self.needles.get(index)
    }

    /// What is known of all literals that a body is searched for.
    #[inline]
    pub(crate) fn needle_index(&self) -> &NeedleIndex {
        &self.index
    }

    /// The length of the longest literal that a body is searched for; 0 without names.
    pub(crate) fn longest_literal(&self) -> usize {
        self.needles
            .iter()
            .map(|name| name.literal.needle().len())
            .max()
            .unwrap_or(0)
    }

    /// Whether the value of a form field of this name is a session id.
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        self.plain().any(|own| *own.bytes == *name)
    }

    /// Whether a pair of a query has one of these names.
    pub(crate) fn have_pair(&self, pair: &[u8]) -> bool {
        self.plain().any(|name| name.value_in(pair).is_some())
    }

    /// The names that a cookie may have.
    pub(crate) fn in_cookies(&self) -> impl Iterator<Item = &[u8]> {
        self.plain().map(|name| &*name.bytes)
    }

    /// The names that are not a letter.
    fn plain(&self) -> impl Iterator<Item = &Name> {
        self.names.iter().filter(|name| name.letter.is_none())
    }

    /// The id that all usable ones among these decoded values agree on.
    fn single<'a>(&self, values: impl Iterator<Item = Cow<'a, [u8]>>) -> ExtractedId<'a> {
        let mut single = None;
        for value in values {
            let Some(id) = self.cut(value) else {
                continue;
            };
            match &single {
                Some(first) if *first != id => return ExtractedId::Conflict,
                Some(_) => {}
                None => single = Some(id),
            }
        }
        single.map_or(ExtractedId::Absent, ExtractedId::Id)
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

/// The result of the first name with a usable value.
fn first_of<'a, 'n>(
    names: impl Iterator<Item = &'n Name>,
    read: impl Fn(&'n Name) -> ExtractedId<'a>,
) -> ExtractedId<'a> {
    for name in names {
        match read(name) {
            ExtractedId::Absent => {}
            decided => return decided,
        }
    }
    ExtractedId::Absent
}
