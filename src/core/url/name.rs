//! One name under which an application hands out its session id.

use std::borrow::Cow;

use memchr::arch::all::packedpair::Pair;
use memchr::memmem::Finder;
use percent_encoding::percent_decode;

/// How many bytes are compared at once.
const START: usize = size_of::<u64>();

/// A name, and what the search for it needs, prepared once per configuration.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) bytes: Box<[u8]>,
    /// What a body is searched for: the longest part of the name that no URL encoder would escape,
    /// `sid` of `$sid`, which a link may have as `%24sid`. Of `(S)`, it is the `S(` before the id.
    pub(crate) literal: Finder<'static>,
    /// The literal is the whole name, so the bytes next to it tell whether the name begins and ends
    /// there.
    pub(crate) literal_is_name: bool,
    /// The first bytes of the name and its `=`, and a mask of the bits that count.
    start: (u64, u64),
    /// What a cookie of this name has.
    pub(super) pair: BytePair,
    /// The letter of a name like `(S)`, which occurs in paths only.
    pub(crate) letter: Option<u8>,
    /// Where its literal counts.
    pub(crate) role: Role,
}

/// Two bytes, the second one so far behind the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BytePair {
    /// The one.
    pub first: u8,
    /// The other.
    pub second: u8,
    /// From the one to the other.
    pub distance: usize,
}

impl BytePair {
    /// The rarest two of these bytes.
    fn of(bytes: &[u8]) -> Self {
        let places = Pair::new(bytes).map_or((0, 0), |pair| (pair.index1(), pair.index2()));
        let (start, end) = (places.0.min(places.1), places.0.max(places.1));
        let byte = |place: u8| bytes.get(usize::from(place)).copied().unwrap_or_default();
        Self {
            first: byte(start),
            second: byte(end),
            distance: usize::from(end - start),
        }
    }
}

/// Where something counts that a body is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A name: wherever that does.
    Name,
    /// Another spelling of a name: in paths only.
    OtherCase,
    /// A segment before an id, or a part of one: in paths only.
    Segment {
        /// A slash must follow.
        ends: bool,
        /// The id follows that slash.
        is_last: bool,
    },
}

impl Name {
    pub(super) fn new(bytes: Box<[u8]>) -> Self {
        let (mut first, mut mask) = ([0; START], [0; START]);
        let with_sign = bytes.iter().chain(b"=");
        for ((byte, mask), of_name) in first.iter_mut().zip(&mut mask).zip(with_sign) {
            (*byte, *mask) = (*of_name, 0xff);
        }
        let start = (u64::from_le_bytes(first), u64::from_le_bytes(mask));
        if let [b'(', letter, b')'] = *bytes {
            return Self {
                literal: Finder::new(&[letter, b'(']).into_owned(),
                literal_is_name: false,
                start,
                pair: BytePair::of(&bytes),
                letter: Some(letter),
                role: Role::Name,
                bytes,
            };
        }
        let runs = bytes.split(|b| !is_plain(b));
        let literal = match runs.max_by_key(|run| run.len()) {
            Some(run) if !run.is_empty() => run,
            _ => &bytes,
        };
        let literal_is_name = literal.len() == bytes.len();
        let literal = Finder::new(literal).into_owned();
        Self {
            literal,
            literal_is_name,
            start,
            pair: BytePair::of(&[&bytes, &b"="[..]].concat()),
            letter: None,
            role: Role::Name,
            bytes,
        }
    }

    /// Whether it is a name of parameters, whose literal is the whole name.
    #[inline]
    pub(crate) fn is_parameter(&self) -> bool {
        self.literal_is_name && self.letter.is_none()
    }

    /// The same with another role.
    pub(super) fn with_role(self, role: Role) -> Self {
        Self {
            literal_is_name: self.literal_is_name && !matches!(role, Role::Segment { .. }),
            role,
            ..self
        }
    }

    /// The first bytes of the name and its `=`, and a mask of the bits that count; `None` for a name
    /// that is longer.
    pub(super) fn whole_start(&self) -> Option<(u64, u64)> {
        (self.bytes.len() < START && self.letter.is_none()).then_some(self.start)
    }

    /// The value of a pair of at least 8 bytes with nothing to decode, if it has this name.
    #[inline]
    pub(super) fn value_in_plain<'a>(&self, pair: &'a [u8]) -> Option<&'a [u8]> {
        let (start, mask) = self.start;
        if u64::from_le_bytes(*pair.first_chunk()?) & mask != start {
            return None;
        }
        if self.bytes.len() < START {
            return pair.get(self.bytes.len() + 1..);
        }
        pair.strip_prefix(&*self.bytes)?.strip_prefix(b"=")
    }

    /// Whether pairs with nothing to decode begin with one of this name.
    #[inline(always)]
    pub(super) fn begins(&self, pairs: &[u8]) -> bool {
        let (start, mask) = self.start;
        let is_begun = |first: &[u8; START]| u64::from_le_bytes(*first) & mask == start;
        match pairs.first_chunk() {
            Some(first) if self.bytes.len() < START => is_begun(first),
            Some(first) if !is_begun(first) => false,
            _ => {
                let rest = pairs.strip_prefix(&*self.bytes);
                rest.is_some_and(|rest| rest.starts_with(b"="))
            }
        }
    }

    /// The values of this name in a query that has nothing to decode. The literal must be the name.
    pub(super) fn values_in_unescaped<'a, 'n>(
        &'n self,
        query: &'a [u8],
    ) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let mut from = 0;
        std::iter::from_fn(move || loop {
            let at = from + self.literal.find(query.get(from..)?)?;
            from = at + self.bytes.len();
            let is_first = at
                .checked_sub(1)
                .is_none_or(|before| matches!(query.get(before), Some(b'&' | b';')));
            if is_first && query.get(from) == Some(&b'=') {
                let value = query.get(from + 1..)?;
                let end = memchr::memchr2(b'&', b';', value).unwrap_or(value.len());
                from += 1 + end;
                return value.get(..end);
            }
        })
    }

    /// The value of a pair as it is written, if the pair has this name.
    pub(super) fn value_in<'a>(&self, pair: &'a [u8]) -> Option<&'a [u8]> {
        let own = &*self.bytes;
        if let Some(rest) = pair.strip_prefix(own) {
            // A "%" behind the name would make it longer: no escape decodes to nothing.
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

/// Whether no URL encoder escapes a byte.
pub(super) fn is_plain(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(byte)
}

/// The value of a parameter of a path as it is written, if it has this name, in any ASCII case.
pub(super) fn value_in_any_case<'a>(name: &Name, parameter: &'a [u8]) -> Option<&'a [u8]> {
    let end = memchr::memchr(b'=', parameter)?;
    let (written, value) = parameter.split_at_checked(end)?;
    let own = &*name.bytes;
    let is_own = written.eq_ignore_ascii_case(own)
        || (written.len() > own.len()
            && percent_decode(written)
                .map(|byte| byte.to_ascii_lowercase())
                .eq(own.iter().map(u8::to_ascii_lowercase)));
    is_own.then(|| value.get(1..).unwrap_or_default())
}

/// The value with each `%XX` decoded once; what is no escape stays as it is.
pub(super) fn unescaped(value: &[u8]) -> Cow<'_, [u8]> {
    match memchr::memchr(b'%', value) {
        None => Cow::Borrowed(value),
        Some(_) => percent_decode(value).into(),
    }
}

/// The same, with `+` decoded to a space, as in queries and forms.
pub(super) fn decoded(value: &[u8]) -> Cow<'_, [u8]> {
    match memchr::memchr2(b'%', b'+', value) {
        None => Cow::Borrowed(value),
        Some(_) if memchr::memchr(b'+', value).is_none() => unescaped(value),
        Some(_) => {
            let spaced: Vec<u8> = value
                .iter()
                .map(|b| if *b == b'+' { b' ' } else { *b })
                .collect();
            Cow::Owned(percent_decode(&spaced).collect())
        }
    }
}
