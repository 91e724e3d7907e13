//! One name under which an application hands its session id out.

use std::borrow::Cow;

use memchr::memmem::Finder;
use percent_encoding::percent_decode;

/// Bytes that are compared at once.
const START: usize = size_of::<u64>();

/// A name with what a search of a body for it needs, prepared once per configuration.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) bytes: Box<[u8]>,
    /// The longest part of the name that no URL encoder would escape: `sid` of `$sid`, which may
    /// stand as `%24sid` in a link. Of `(S)`, the `S(` before the id.
    pub(crate) anchor: Finder<'static>,
    /// The anchor is the name, so the bytes next to it tell whether the name stands there whole.
    pub(crate) anchor_is_name: bool,
    /// The first bytes of the name and its `=`, and which bits of them count.
    start: (u64, u64),
    /// The letter of a name like `(S)`, which stands in paths only.
    pub(crate) letter: Option<u8>,
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
                anchor: Finder::new(&[letter, b'(']).into_owned(),
                anchor_is_name: false,
                start,
                letter: Some(letter),
                bytes,
            };
        }
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
            start,
            letter: None,
            bytes,
        }
    }

    /// The value, when a pair of 8 bytes and more, in which nothing is escaped, is one of this name.
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

    /// The values of the pairs of this name in a query that `&` alone separates and in which nothing is
    /// escaped. The anchor must be the name.
    pub(super) fn values_in_unescaped<'a, 'n>(
        &'n self,
        query: &'a [u8],
    ) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let mut from = 0;
        std::iter::from_fn(move || loop {
            let at = from + self.anchor.find(query.get(from..)?)?;
            from = at + self.bytes.len();
            let is_first = at
                .checked_sub(1)
                .is_none_or(|before| query.get(before) == Some(&b'&'));
            if is_first && query.get(from) == Some(&b'=') {
                let value = query.get(from + 1..)?;
                let end = memchr::memchr(b'&', value).unwrap_or(value.len());
                from += 1 + end;
                return value.get(..end);
            }
        })
    }

    /// The raw value, when the pair is one of this name.
    pub(super) fn value_in<'a>(&self, pair: &'a [u8]) -> Option<&'a [u8]> {
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

/// `%XX` decoded, once; what is no escape stays as it is.
pub(super) fn unescaped(value: &[u8]) -> Cow<'_, [u8]> {
    percent_decode(value).into()
}

/// The same with `+` for a space, as in queries and forms.
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
