//! What the first responses of an upstream had, as long as none of them has given an id and no
//! request has had one: an operator whose directive finds nothing is told once what there was.
//!
//! ```text
//! words:  0 the directive   1 responses, and whether it is over   2 kinds of bodies, redirects
//!         3 a cookie: digest of its name, how often; its name in 24 bytes   7 another one
//! ```

use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// Words of an upstream's entry.
pub(super) const FIRST_WORDS: usize = 11;

/// So many responses are looked at.
pub const FIRST_RESPONSES: u64 = 1_000;

/// Bytes of a name that are kept.
const NAME: usize = 24;

/// Cookies of one response that are looked at.
const MOST_COOKIES: usize = 32;

/// Cookies that are kept.
const COOKIES: usize = 2;

/// A bit of the word with the number of responses.
const OVER: u64 = 1 << 63;

/// Bits of a count beside the digest of a name: no count exceeds [`FIRST_RESPONSES`] by more than
/// the number of workers.
const COUNT_BITS: u32 = 16;

/// The body of a response by its kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A page.
    Html,
    /// JSON.
    Json,
    /// Any other, or none.
    Other,
}

/// What one response had.
#[derive(Debug)]
pub struct Response<'a> {
    /// Its body.
    pub kind: Kind,
    /// It has Location.
    pub is_redirect: bool,
    /// Names of the cookies that it sets.
    pub cookies: Vec<&'a [u8]>,
}

/// What all of them had.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// Pages.
    pub html: u64,
    /// Bodies of JSON.
    pub json: u64,
    /// Redirects.
    pub redirects: u64,
    /// Names of cookies, safe in a line of a log, and how often each was set: those that came
    /// first.
    pub cookies: Vec<(String, u64)>,
}

/// What an upstream's entry keeps of that. Any words are a value.
#[derive(Clone, Copy, Debug)]
pub struct FirstCells<'a>(pub(super) &'a [AtomicU64; FIRST_WORDS]);

/// A digest that is not 0.
pub fn digest(text: &[u8]) -> u64 {
    // FNV-1a: names of an operator and his application, which nobody attacks.
    let hash = text.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash | 1
}

impl FirstCells<'_> {
    /// A configuration is complete in which the directive has that [`digest`]: begins anew if it
    /// was another one.
    pub fn begin(&self, directive: u64) {
        let [known, rest @ ..] = self.0;
        if known.load(Relaxed) != directive {
            rest.iter().for_each(|word| word.store(0, Relaxed));
            known.store(directive, Relaxed);
        }
    }

    /// Whether nothing more is to be noted.
    pub fn is_over(&self) -> bool {
        self.0[1].load(Relaxed) & OVER != 0
    }

    /// An id was seen: the directive finds some.
    pub fn end(&self) {
        self.0[1].fetch_or(OVER, Relaxed);
    }

    /// Notes a response that has given no id, to a request that had none. Returns what all had, to
    /// whoever notes the last one.
    pub fn note(&self, response: &Response<'_>) -> Option<Seen> {
        let number = self.0[1].fetch_add(1, Relaxed).saturating_add(1);
        if number & OVER != 0 {
            return None;
        }
        let of_kind = match response.kind {
            Kind::Html => 1,
            Kind::Json => 1 << COUNT_BITS,
            Kind::Other => 0,
        };
        let redirect = u64::from(response.is_redirect) << (2 * COUNT_BITS);
        self.0[2].fetch_add(of_kind + redirect, Relaxed);
        let cookies = response.cookies.iter().take(MOST_COOKIES);
        for (at, name) in cookies.clone().enumerate() {
            // A response that sets one cookie for several paths has set it once.
            if !cookies.clone().take(at).any(|other| other == name) {
                self.note_cookie(name);
            }
        }
        (number == FIRST_RESPONSES).then(|| {
            self.end();
            self.seen()
        })
    }

    fn note_cookie(&self, name: &[u8]) {
        let own = digest(name) >> COUNT_BITS << COUNT_BITS | 1 << COUNT_BITS;
        for at in 0..COOKIES {
            let (Some(tag), Some(words)) =
                (self.0.get(3 + 4 * at), self.0.get(4 + 4 * at..7 + 4 * at))
            else {
                return;
            };
            let known = match tag.compare_exchange(0, own | 1, Release, Acquire) {
                Ok(_) => {
                    for (word, piece) in words.iter().zip(shown(name).as_bytes().chunks(8)) {
                        let mut bytes = [0; 8];
                        bytes
                            .iter_mut()
                            .zip(piece)
                            .for_each(|(to, from)| *to = *from);
                        word.store(u64::from_le_bytes(bytes), Relaxed);
                    }
                    return;
                }
                Err(known) => known,
            };
            if known >> COUNT_BITS == own >> COUNT_BITS {
                tag.fetch_add(1, Relaxed);
                return;
            }
        }
    }

    fn seen(&self) -> Seen {
        let kinds = self.0[2].load(Relaxed);
        let count = |at: u32| kinds >> (at * COUNT_BITS) & ((1 << COUNT_BITS) - 1);
        let cookies = (0..COOKIES).filter_map(|at| {
            let tag = self.0.get(3 + 4 * at)?.load(Acquire);
            let words = self.0.get(4 + 4 * at..7 + 4 * at)?;
            let bytes = words
                .iter()
                .flat_map(|word| word.load(Relaxed).to_le_bytes());
            let name: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
            let count = tag & ((1 << COUNT_BITS) - 1);
            (count > 0 && !name.is_empty()).then(|| (shown(&name), count))
        });
        Seen {
            html: count(0),
            json: count(1),
            redirects: count(2),
            cookies: cookies.collect(),
        }
    }
}

/// A name of letters, digits and `-_.`, in [`NAME`] bytes at most.
fn shown(name: &[u8]) -> String {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let safe = name.iter().map(|byte| {
        if is_safe(*byte) {
            char::from(*byte)
        } else {
            '?'
        }
    });
    safe.take(NAME).collect()
}

#[cfg(test)]
mod tests {
    use std::array;
    use std::sync::atomic::AtomicU64;

    use super::{
        digest, FirstCells, Kind, Response, Seen, FIRST_RESPONSES, FIRST_WORDS, MOST_COOKIES,
    };

    fn words() -> [AtomicU64; FIRST_WORDS] {
        array::from_fn(|_| AtomicU64::new(0))
    }

    fn page<'a>(cookies: &[&'a [u8]]) -> Response<'a> {
        Response {
            kind: Kind::Html,
            is_redirect: false,
            cookies: cookies.to_vec(),
        }
    }

    #[test]
    fn the_last_of_the_first_responses_is_told_what_all_had() {
        let words = words();
        let cells = FirstCells(&words);
        cells.begin(digest(b"sticky mode=query;"));
        let mut told = Vec::new();
        for number in 0..2 * FIRST_RESPONSES {
            let cookies: &[&[u8]] = match number % 4 {
                0 => &[b"PHPSESSID"],
                1 => &[
                    b"PHPSESSID",
                    b"a\x1b\nlong name of a cookie that nobody needs",
                    b"third",
                ],
                _ => &[],
            };
            let response = Response {
                kind: [Kind::Html, Kind::Json, Kind::Other, Kind::Html][number as usize % 4],
                is_redirect: number % 10 == 0,
                cookies: cookies.to_vec(),
            };
            told.extend(cells.note(&response).map(|seen| (number + 1, seen)));
        }
        let seen = Seen {
            html: 500,
            json: 250,
            redirects: 100,
            cookies: vec![
                ("PHPSESSID".to_owned(), 500),
                ("a??long?name?of?a?cookie".to_owned(), 250),
            ],
        };
        assert_eq!(told, [(FIRST_RESPONSES, seen)]);
        assert!(cells.is_over());
    }

    #[test]
    fn nobody_is_told_once_an_id_was_seen() {
        let words = words();
        let cells = FirstCells(&words);
        cells.note(&page(&[]));
        cells.end();
        assert!((0..2 * FIRST_RESPONSES).all(|_| cells.note(&page(&[])).is_none()));
        // A reload with the same directive changes nothing, one with another begins anew.
        cells.begin(0);
        assert!(cells.is_over());
        cells.begin(digest(b"sticky mode=query name=id;"));
        assert!(!cells.is_over());
        assert!((1..FIRST_RESPONSES).all(|_| cells.note(&page(&[])).is_none()));
        assert_eq!(
            cells.note(&page(&[])).map(|seen| seen.html),
            Some(FIRST_RESPONSES)
        );
    }

    #[test]
    fn a_cookie_that_is_set_twice_in_a_response_counts_once() {
        let words = words();
        let cells = FirstCells(&words);
        let told = (0..FIRST_RESPONSES).filter_map(|_| cells.note(&page(&[b"a", b"a"])));
        let cookies: Vec<_> = told.flat_map(|seen| seen.cookies).collect();
        assert_eq!(cookies, [("a".to_owned(), FIRST_RESPONSES)]);
    }

    #[test]
    fn few_cookies_of_a_response_are_looked_at() {
        let is_seen = |others: usize| {
            let words = words();
            let cells = FirstCells(&words);
            // All but the last one are one cookie, so that there is room for it.
            let cookies = [&vec![&b"same"[..]; others][..], &[b"last"]].concat();
            let told = (0..FIRST_RESPONSES).filter_map(|_| cells.note(&page(&cookies)));
            told.flat_map(|seen| seen.cookies)
                .any(|(name, _)| name == "last")
        };
        assert!(is_seen(MOST_COOKIES - 1));
        assert!(!is_seen(MOST_COOKIES));
    }

    #[test]
    fn any_words_are_a_value() {
        for fill in [u64::MAX, OVERFLOWING, 0x8080_8080_8080_8080] {
            let words: [AtomicU64; FIRST_WORDS] = array::from_fn(|_| AtomicU64::new(fill));
            let cells = FirstCells(&words);
            cells.note(&page(&[b"a"]));
            assert!(cells.seen().cookies.iter().all(|(name, _)| name.is_ascii()));
        }
    }

    const OVERFLOWING: u64 = (1 << 63) - 1;
}
