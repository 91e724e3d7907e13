//! `mode=discover`: which values of requests and responses are session ids, and the directive that
//! finds them.
//!
//! [`look`] finds values that look like ids: in cookies, headers, the parameters and segments of
//! links, forms, members of JSON. [`sample`] keeps, in memory that all workers share, a keyed hash
//! of each, who handed it out and who brought it back. [`judge`] tells sessions from all else by
//! that: an id is handed out to one client, which brings it back. [`mod@line`] writes the directive.
//!
//! Nothing here keeps a value, and names are shown only when many clients had values under them.

pub mod json;
pub mod judge;
mod line;
pub mod look;
pub mod page;
pub mod sample;

use crate::events::Source;

/// The longest name that is kept, in bytes.
pub const MAX_NAME: usize = 64;

/// From so many clients values must have come before a name is shown.
pub const LEAST_CLIENTS: usize = 20;

/// What kind of place of a request or a response it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Part {
    /// A parameter of a query.
    Query = 1,
    /// A parameter of a path: `;NAME=`.
    Path,
    /// A segment of a path; the name is the prefix before it, with `*` for other ids.
    Segment,
    /// A field of a form.
    Form,
    /// A cookie.
    Cookie,
    /// A header.
    Header,
    /// A parameter of a header; the name is `HEADER:NAME`.
    HeaderParameter,
    /// The token of `Authorization: Bearer`.
    Bearer,
    /// A member of JSON; the name is its path, with dots.
    Json,
    /// An object literal of a script.
    Literal,
    /// An element or an attribute of XML.
    Xml,
}

impl Part {
    const ALL: [Part; 11] = [
        Part::Query,
        Part::Path,
        Part::Segment,
        Part::Form,
        Part::Cookie,
        Part::Header,
        Part::HeaderParameter,
        Part::Bearer,
        Part::Json,
        Part::Literal,
        Part::Xml,
    ];
}

/// A place in which ids may stand.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Kind {
    /// What it is.
    pub part: Part,
    /// What of a response has it, `None` for requests.
    pub source: Option<Source>,
}

impl Kind {
    /// A place of requests.
    pub const fn of_request(part: Part) -> Self {
        Self { part, source: None }
    }

    /// A place of responses.
    pub const fn of_response(part: Part, source: Source) -> Self {
        Self {
            part,
            source: Some(source),
        }
    }

    /// As a number that is not 0.
    fn number(self) -> u64 {
        let source = self.source.map_or(0, |source| source.number() as u64 + 1);
        source << 8 | self.part as u64
    }

    /// `None`: the number is none of a place.
    fn of_number(number: u64) -> Option<Self> {
        let part = Part::ALL
            .into_iter()
            .find(|part| *part as u64 == number & 0xff)?;
        let source = match number >> 8 {
            0 => None,
            number => {
                let at = usize::try_from(number - 1).ok()?;
                Some(*Source::ALL.get(at)?)
            }
        };
        Some(Self { part, source })
    }
}

/// A value that looks like an id, in a place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sighting {
    /// The place.
    pub kind: Kind,
    /// Its name, of [`MAX_NAME`] bytes at most; empty where it has none.
    pub name: Box<[u8]>,
    /// The keyed hash of the value.
    pub value: u64,
}

/// Whether a name may be shown: of letters, digits and `-_.`, and of `/`, `*` and `:` between them.
pub fn is_shown(name: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./*:".contains(byte);
    name.len() <= MAX_NAME && name.iter().all(is_plain)
}

/// Whether a value looks like an id: long enough, of the characters that ids have, and with as much
/// variety as chance gives them.
pub fn looks_like_id(value: &[u8]) -> bool {
    const LONGEST: usize = 4096;
    /// Where letters and digits are mixed.
    const SHORTEST: usize = 8;
    /// Where there is nothing but digits.
    const SHORTEST_NUMBER: usize = 16;

    if !(SHORTEST..=LONGEST).contains(&value.len()) {
        return false;
    }
    let (mut digits, mut letters, mut seen) = (0, 0, 0u128);
    for byte in value {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'a'..=b'z' | b'A'..=b'Z' => letters += 1,
            b'-' | b'_' | b'.' | b'~' | b'+' | b'/' | b'=' | b'%' | b':' | b'!' | b'@' | b'|' => {}
            _ => return false,
        }
        seen |= 1u128 << (byte & 0x7f);
    }
    let variety = seen.count_ones();
    match (digits, letters) {
        (0, _) => false,
        (digits, 0) => digits >= SHORTEST_NUMBER && variety >= 5,
        // `chapter5` is a word with a number; `kq3zvwtp`, as SockJS has them, is none.
        (1, _) => (value.len() >= 16 && variety >= 8) || (is_digit_inside(value) && variety >= 5),
        _ => variety >= 5,
    }
}

/// Whether letters stand before and behind the only digit of letters and digits.
fn is_digit_inside(value: &[u8]) -> bool {
    let ends = [value.first(), value.last()];
    value.iter().all(u8::is_ascii_alphanumeric)
        && ends.iter().flatten().all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::{is_shown, looks_like_id, Kind, Part};
    use crate::events::Source;

    #[test]
    fn ids_look_like_ids_and_words_do_not() {
        for id in [
            "ue9ktq4kg2bkp1sdvl5hd0h4hn",
            "0A1B2C3D4E5F60718293A4B5C6D7E8F9",
            "s%3Aj3Kx0pQ2.Vq3xYz",
            "2|8f3f7f61|0d3a9c",
            "k2x9q1zz",
            "kq3zvwtp",
            "20260101_000000_00001_abcde",
            "resp_68af0c11b2",
            "4f1c2a9e-7d1b-4c55-9a77-2f9b0d3c5e11",
        ] {
            assert!(looks_like_id(id.as_bytes()), "{id}");
        }
        for other in [
            "",
            "1",
            "4711",
            "article",
            "chapter5",
            "3columns",
            "level-2-up",
            "contact-us",
            "20261127",
            "1700000000000",
            "index.html",
            "red+shoes+for+children",
            "aaaaaaaa11",
            "a value with spaces 12",
            "dark-mode-2",
        ] {
            assert!(!looks_like_id(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn every_kind_has_its_number() {
        for part in Part::ALL {
            let sources = Source::ALL.iter().copied().map(Some);
            for source in sources.chain([None]) {
                let kind = Kind { part, source };
                assert_eq!(Kind::of_number(kind.number()), Some(kind));
            }
        }
        assert_eq!(Kind::of_number(0), None);
        assert_eq!(Kind::of_number(u64::MAX), None);
    }

    #[test]
    fn names_with_odd_bytes_are_not_shown() {
        assert!(is_shown(b"X-Session.id_1") && is_shown(b"/v1/*/"));
        for odd in [&b"a b"[..], b"a<b", b"a\n", b"\xc3\xa4", &[b'a'; 65]] {
            assert!(!is_shown(odd));
        }
    }
}
