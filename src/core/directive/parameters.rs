//! The parameters of the directive: which there are, in which mode and of which shape, and how
//! words are matched to them. What a value means is the business of the two modes.

use super::error::DirectiveError;

/// The mode in which a directive is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Cookie,
    Query,
    Rewrite,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Cookie, Kind::Query, Kind::Rewrite];

    /// As `mode=` has it.
    fn name(self) -> &'static str {
        match self {
            Kind::Cookie => "cookie",
            Kind::Query => "query",
            Kind::Rewrite => "rewrite",
        }
    }
}

/// What belongs behind the name of a parameter. The text is how messages spell the value.
#[derive(Clone, Copy)]
enum Shape {
    Flag,
    Once(&'static str),
    Often(&'static str),
}

use Shape::{Flag, Often, Once};

/// A parameter: its name, and its shape in each mode that has it.
struct Known {
    name: &'static str,
    cookie: Option<Shape>,
    query: Option<Shape>,
    rewrite: Option<Shape>,
}

impl Known {
    fn shape(&self, kind: Kind) -> Option<Shape> {
        match kind {
            Kind::Cookie => self.cookie,
            Kind::Query => self.query,
            Kind::Rewrite => self.rewrite,
        }
    }
}

/// A row of the table, in the order of [`Kind::ALL`].
const fn known(
    name: &'static str,
    cookie: Option<Shape>,
    query: Option<Shape>,
    rewrite: Option<Shape>,
) -> Known {
    Known {
        name,
        cookie,
        query,
        rewrite,
    }
}

const MODE: Option<Shape> = Some(Once("cookie|query|rewrite"));
const HASH: Option<Shape> = Some(Once("index|md5|sha1|sha256"));
const HMAC: Option<Shape> = Some(Once("md5|sha1|sha256"));
const KEY: Option<Shape> = Some(Once("KEY"));
const TEXT: Option<Shape> = Some(Once("raw"));
const TIME: Option<Shape> = Some(Once("TIME"));
const NAME: Option<Shape> = Some(Once("NAME"));
const FLAG: Option<Shape> = Some(Flag);

/// In the order in which messages list them.
#[rustfmt::skip]
const PARAMETERS: [Known; 24] = [
    known("mode",        MODE,                           MODE,                           MODE),
    known("name",        NAME,                           Some(Often("NAME")),            NAME),
    known("hash",        HASH,                           None,                           HASH),
    known("hmac",        HMAC,                           None,                           HMAC),
    known("hmac_key",    KEY,                            None,                           KEY),
    known("text",        TEXT,                           None,                           TEXT),
    known("domain",      Some(Once("DOMAIN")),           None,                           None),
    known("path",        Some(Once("PATH")),             None,                           None),
    known("from",        None,                           Some(Once("query,form")),       None),
    known("learn",       None,                           Some(Once("html,location")),    None),
    known("id_delimiter", None,                          Some(Once("CHARACTER")),        None),
    known("expires",     TIME,                           TIME,                           None),
    known("lifetime",    None,                           TIME,                           None),
    known("zone",        None,                           Some(Once("NAME[:SIZE]|off")),  None),
    known("state",       None,                           Some(Once("FILE")),             None),
    known("hosts",       None,                           Some(Often("HOST")),            Some(Often("HOST"))),
    known("secure",      FLAG,                           None,                           None),
    known("httponly",    FLAG,                           None,                           None),
    known("samesite",    Some(Once("strict|lax|none")),  None,                           None),
    known("partitioned", FLAG,                           None,                           None),
    known("transfer",    FLAG,                           None,                           None),
    known("delimiter",   Some(Once("TEXT")),             None,                           None),
    known("hide_cookie", FLAG,                           None,                           None),
    known("no_fallback", FLAG,                           FLAG,                           FLAG),
];

/// The words of one directive: each a parameter of its mode, of the right shape, with a value where
/// it takes one, and repeated only where that makes sense.
pub struct Parameters<'a> {
    kind: Kind,
    given: Vec<(&'static str, &'a [u8])>,
}

impl<'a> Parameters<'a> {
    pub fn read(words: &[&'a [u8]]) -> Result<Self, DirectiveError> {
        let named = words.iter().find_map(|word| word.strip_prefix(b"mode="));
        let expected = "\"cookie\", \"query\" or \"rewrite\"";
        let kind = match named {
            None => Kind::Cookie,
            Some(b"") => {
                let expected = "\"mode=cookie\", \"mode=query\" or \"mode=rewrite\"".to_owned();
                return Err(DirectiveError::NoValue {
                    parameter: "mode",
                    expected,
                });
            }
            Some(mode) => Kind::ALL
                .into_iter()
                .find(|kind| kind.name().as_bytes() == mode)
                .ok_or_else(|| DirectiveError::value("mode", mode, expected))?,
        };

        let mut given: Vec<(&'static str, &'a [u8])> = Vec::with_capacity(words.len());
        for &word in words {
            let (name, value) = split(word);
            let Some(known) = PARAMETERS
                .iter()
                .find(|known| known.name.as_bytes() == name)
            else {
                return Err(unknown(word, name, kind));
            };
            let name = known.name;
            let Some(shape) = known.shape(kind) else {
                let belongs = Kind::ALL
                    .into_iter()
                    .find(|other| known.shape(*other).is_some());
                return Err(DirectiveError::OtherMode {
                    parameter: name,
                    belongs: belongs.map_or("cookie", Kind::name),
                    here: kind.name(),
                    named: named.is_some(),
                });
            };
            let value = match (shape, value) {
                (Flag, None) => b"",
                (Once(_) | Often(_), Some(b"")) => {
                    let expected = spelling(name, shape);
                    return Err(DirectiveError::NoValue {
                        parameter: name,
                        expected,
                    });
                }
                (Once(_) | Often(_), Some(value)) => value,
                (Flag, Some(_)) | (_, None) => {
                    let hint = format!("expected {}", spelling(name, shape));
                    return Err(DirectiveError::Unknown {
                        word: word.to_vec(),
                        hint,
                    });
                }
            };
            if !matches!(shape, Often(_)) && given.iter().any(|&(earlier, _)| earlier == name) {
                return Err(DirectiveError::Duplicate { parameter: name });
            }
            given.push((name, value));
        }
        Ok(Parameters { kind, given })
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The value of a parameter, empty for a flag; none when it was not given.
    pub fn value(&self, name: &str) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// The values of a parameter that may be repeated, in their order.
    pub fn values<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a [u8]> + 's {
        debug_assert!(PARAMETERS.iter().any(|known| known.name == name));
        self.given
            .iter()
            .filter(move |&&(given, _)| given == name)
            .map(|&(_, value)| value)
    }
}

fn split(word: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut parts = word.splitn(2, |&byte| byte == b'=');
    (parts.next().unwrap_or_default(), parts.next())
}

/// How a parameter is to be written: `"secure"`, `"domain=DOMAIN"`.
fn spelling(name: &str, shape: Shape) -> String {
    match shape {
        Flag => format!("\"{name}\""),
        Once(value) | Often(value) => format!("\"{name}={value}\""),
    }
}

fn unknown(word: &[u8], name: &[u8], kind: Kind) -> DirectiveError {
    let known = PARAMETERS
        .iter()
        .filter_map(|known| Some((known.name, known.shape(kind)?)));
    let nearest = known
        .clone()
        .min_by_key(|(known, _)| distance(name, known.as_bytes()));
    match nearest {
        // Two letters swapped are two steps; more, or as much of a short name, is no slip.
        Some((near, shape)) if distance(name, near.as_bytes()) <= (name.len() / 2).min(2) => {
            // What was meant for a key is not to be seen in a log.
            let word = if near == "hmac_key" { name } else { word };
            let hint = format!("did you mean {}?", spelling(near, shape));
            DirectiveError::Unknown {
                word: word.to_vec(),
                hint,
            }
        }
        _ => {
            let all: Vec<String> = known.map(|(name, shape)| spelling(name, shape)).collect();
            let hint = format!("expected {}", all.join(", "));
            DirectiveError::Unknown {
                word: word.to_vec(),
                hint,
            }
        }
    }
}

/// How many bytes must be put in, taken out or replaced to make one name of the other
/// (Levenshtein's distance), row by row.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut above_left = i;
        let mut left = i + 1;
        for (b, cell) in other.iter().zip(row.iter_mut().skip(1)) {
            let above = *cell;
            left = (above_left + usize::from(a != b))
                .min(above + 1)
                .min(left + 1);
            (above_left, *cell) = (above, left);
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
