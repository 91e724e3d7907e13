//! Session ids that are a segment of a path: the one behind a prefix, as in `/session/ID/url`.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::name::{is_plain, unescaped};
use super::MAX_NAME;

/// The longest prefix, in bytes.
pub const MAX_PREFIX: usize = 256;

/// How many prefixes one directive may have.
pub const MAX_PREFIXES: usize = 8;

/// What stands in a path before the segment that is a session id: `/session/`, or
/// `/v1/statement/*/`, in which `*` is any one segment.
///
/// ```
/// use sticky_core::url::SegmentPrefix;
///
/// let prefix = SegmentPrefix::new(b"/v1/*/").expect("a valid prefix");
/// assert_eq!(prefix.value_in(b"/v1/queued/a%2Db/1?c"), Some(b"a-b"[..].into()));
/// assert_eq!(prefix.value_in(b"/v1/queued"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentPrefix {
    /// As it was given.
    text: Box<[u8]>,
    /// Its segments, decoded. `None`: any one.
    steps: Box<[Option<Box<[u8]>>]>,
    /// A path with nothing to decode begins with its bytes, or does not match.
    is_plain: bool,
}

/// What bodies are searched for because of a prefix.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Literal<'a> {
    pub(super) bytes: &'a [u8],
    /// A segment ends behind it.
    pub(super) ends_segment: bool,
    /// The id follows that segment.
    pub(super) is_last: bool,
}

impl SegmentPrefix {
    /// `None`: the text is no prefix. It begins and ends with a slash, has neither `?` nor `#`, no
    /// white space, `.` or `..` as a segment, a `*` only as a whole segment, and no more than
    /// [`MAX_PREFIX`] bytes. `%XX` is decoded.
    pub fn new(text: &[u8]) -> Option<Self> {
        let inner = match text {
            [b'/'] => &[][..],
            _ => text.strip_prefix(b"/")?.strip_suffix(b"/")?,
        };
        let is_odd = |byte: &u8| *byte <= b' ' || matches!(byte, b'?' | b'#' | b'\\' | 0x7f);
        if text.len() > MAX_PREFIX || text.iter().any(is_odd) {
            return None;
        }
        let mut steps = Vec::new();
        if text != b"/" {
            for segment in inner.split(|byte| *byte == b'/') {
                let decoded = unescaped(segment);
                let is_dots = matches!(&*decoded, b"." | b"..");
                let step = match segment {
                    b"*" => None,
                    _ if is_dots || segment.contains(&b'*') => return None,
                    _ => Some(decoded.into_owned().into()),
                };
                steps.push(step);
            }
        }
        Some(Self {
            is_plain: steps.iter().all(Option::is_some) && !text.contains(&b'%'),
            text: text.into(),
            steps: steps.into(),
        })
    }

    /// As it was given.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The segment behind the prefix in a URL without scheme and host, decoded; dots are segments
    /// like others. It may be empty. `None`: the path does not begin like this.
    #[inline]
    pub fn value_in<'a>(&self, url: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        match url.strip_prefix(&*self.text) {
            Some(rest) if self.is_plain => {
                let end = memchr::memchr3(b'/', b'?', b'#', rest).unwrap_or(rest.len());
                rest.get(..end).map(unescaped)
            }
            _ => self.value_behind_steps(url),
        }
    }

    #[inline(never)]
    fn value_behind_steps<'a>(&self, url: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let end = memchr::memchr2(b'?', b'#', url).unwrap_or(url.len());
        let path = url.get(..end)?;
        if self.is_plain && memchr::memchr(b'%', path).is_none() {
            return None;
        }
        let mut rest = path.strip_prefix(b"/")?;
        for step in &self.steps {
            let end = memchr::memchr(b'/', rest)?;
            let (segment, after) = rest.split_at_checked(end)?;
            if let Some(own) = step {
                if !percent_decode(segment).eq(own.iter().copied()) {
                    return None;
                }
            }
            rest = after.get(1..)?;
        }
        let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
        rest.get(..end).map(unescaped)
    }

    /// The longest part of a segment that no URL encoder would escape. `None`: all segments are
    /// `*`, or there is none, and bodies are not searched.
    pub(super) fn literal(&self) -> Option<Literal<'_>> {
        let count = self.steps.len();
        let fixed = self.steps.iter().enumerate();
        let parts = fixed.filter_map(|(index, step)| Some((index + 1 == count, step.as_deref()?)));
        let runs = parts.flat_map(|(is_last, segment)| {
            let runs = segment.split(|byte| !is_plain(byte)).enumerate();
            let count = segment.iter().filter(|byte| !is_plain(byte)).count();
            runs.map(move |(index, run)| Literal {
                bytes: run
                    .get(run.len().saturating_sub(MAX_NAME)..)
                    .unwrap_or_default(),
                ends_segment: index == count,
                is_last,
            })
        });
        runs.filter(|run| !run.bytes.is_empty())
            .max_by_key(|run| run.bytes.len())
    }
}
