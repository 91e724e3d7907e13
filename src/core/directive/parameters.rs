//! The parameters of the directive: their names, the modes that have them, and whether they take a
//! value. Also what is common to the values of several parameters; all else is in the file of the
//! mode.

use super::elsewhere;
use super::error::DirectiveError;
use super::values::check_variables;

/// The mode of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModeName {
    Cookie,
    Query,
    Rewrite,
}

impl ModeName {
    const ALL: [ModeName; 3] = [ModeName::Cookie, ModeName::Query, ModeName::Rewrite];

    /// Its word in `mode=`.
    fn name(self) -> &'static str {
        match self {
            ModeName::Cookie => "cookie",
            ModeName::Query => "query",
            ModeName::Rewrite => "rewrite",
        }
    }
}

/// Whether a parameter takes a value, and how often. The text stands for the value in messages.
#[derive(Clone, Copy)]
enum Shape {
    Flag,
    /// A flag that takes a value, too.
    FlagOr(&'static str),
    Once(&'static str),
    Often(&'static str),
}

use Shape::{Flag, FlagOr, Often, Once};

/// A parameter, with its shape in each mode that has it.
struct Specification {
    name: &'static str,
    cookie: Option<Shape>,
    query: Option<Shape>,
    rewrite: Option<Shape>,
}

impl Specification {
    fn shape(&self, mode: ModeName) -> Option<Shape> {
        match mode {
            ModeName::Cookie => self.cookie,
            ModeName::Query => self.query,
            ModeName::Rewrite => self.rewrite,
        }
    }
}

/// A row of the table, in the order of [`ModeName::ALL`].
const fn parameter(
    name: &'static str,
    cookie: Option<Shape>,
    query: Option<Shape>,
    rewrite: Option<Shape>,
) -> Specification {
    Specification {
        name,
        cookie,
        query,
        rewrite,
    }
}

const MODE: Option<Shape> = Some(Once("cookie|query|rewrite|discover"));
const HASH: Option<Shape> = Some(Once("index|md5|sha1|sha256"));
const HMAC: Option<Shape> = Some(Once("md5|sha1|sha256"));
const KEY: Option<Shape> = Some(Once("KEY"));
const FILE: Option<Shape> = Some(Once("FILE"));
const TEXT: Option<Shape> = Some(Once("raw"));
const TIME: Option<Shape> = Some(Once("TIME"));
const NAME: Option<Shape> = Some(Once("NAME"));
const ON_FAILURE: Option<Shape> = Some(Once("move|keep"));
const FLAG: Option<Shape> = Some(Flag);
const NO_FALLBACK: Option<Shape> = Some(FlagOr("503"));

/// In the order in which messages list them.
#[rustfmt::skip]
const PARAMETERS: [Specification; 34] = [
    parameter("mode",        MODE,                           MODE,                           MODE),
    parameter("name",        NAME,                           Some(Often("NAME")),            NAME),
    parameter("hash",        HASH,                           None,                           HASH),
    parameter("hmac",        HMAC,                           None,                           HMAC),
    parameter("hmac_key",    KEY,                            None,                           KEY),
    parameter("hmac_key_file", FILE,                         None,                           FILE),
    parameter("text",        TEXT,                           None,                           TEXT),
    parameter("domain",      Some(Once("DOMAIN")),           None,                           None),
    parameter("path",        Some(Once("PATH")),             None,                           None),
    parameter("from",        None,                           Some(Once("cookie,path,query,form")), None),
    parameter("learn",       None,                           Some(Once("html,location,cookie")), None),
    parameter("forget",      None,                           Some(Once("$VARIABLE")),         None),
    parameter("types",       None,                           Some(Once("SOURCE:TYPE")),      None),
    parameter("id_delimiter", None,                          Some(Once("CHARACTER")),        None),
    parameter("expires",     TIME,                           TIME,                           None),
    parameter("lifetime",    None,                           TIME,                           None),
    parameter("zone",        None,                           Some(Once("NAME[:SIZE]|off")),  None),
    parameter("state",       None,                           Some(Once("FILE")),             None),
    parameter("share",       None,                           NAME,                           None),
    parameter("cluster",     None,                           Some(Once("off")),              None),
    parameter("hosts",       None,                           Some(Often("HOST")),            Some(Often("HOST"))),
    parameter("secure",      Some(FlagOr("$VARIABLE")),      None,                           None),
    parameter("httponly",    FLAG,                           None,                           None),
    parameter("samesite",    Some(Once("strict|lax|none|$VARIABLE")),  None,                           None),
    parameter("partitioned", FLAG,                           None,                           None),
    parameter("transfer",    FLAG,                           None,                           None),
    parameter("delimiter",   Some(Once("TEXT")),             None,                           None),
    parameter("cacheable",   Some(Once("on|off")),           None,                           None),
    parameter("hide_cookie", FLAG,                           None,                           None),
    parameter("on_failure",  ON_FAILURE,                     ON_FAILURE,                     ON_FAILURE),
    parameter("balance_factor", None,                        Some(Once("PERCENT")),          None),
    parameter("max_sessions", None,                          Some(Once("NUMBER")),           None),
    parameter("dry_run",     FLAG,                           FLAG,                           FLAG),
    parameter("no_fallback", NO_FALLBACK,                    NO_FALLBACK,                    NO_FALLBACK),
];

/// The words of one directive: each is a parameter of its mode, has a value if it takes one, and is
/// repeated only if it may be.
pub struct Parameters<'a> {
    mode: ModeName,
    given: Vec<(&'static str, &'a [u8])>,
    key_file: &'a [u8],
}

impl<'a> Parameters<'a> {
    pub fn read(words: &[&'a [u8]], key_file: &'a [u8]) -> Result<Self, DirectiveError> {
        let named = words.iter().find_map(|word| word.strip_prefix(b"mode="));
        let expected = "\"cookie\", \"query\", \"rewrite\" or \"discover\"";
        let mode = match named {
            None => ModeName::Cookie,
            Some(b"") => {
                let expected =
                    "\"mode=cookie\", \"mode=query\", \"mode=rewrite\" or \"mode=discover\""
                        .to_owned();
                return Err(DirectiveError::NoValue {
                    parameter: "mode",
                    expected,
                });
            }
            Some(value) => ModeName::ALL
                .into_iter()
                .find(|mode| mode.name().as_bytes() == value)
                .ok_or_else(|| DirectiveError::value("mode", value, expected))?,
        };

        let mut given: Vec<(&'static str, &'a [u8])> = Vec::with_capacity(words.len());
        for (at, &word) in words.iter().enumerate() {
            let (name, value) = split(word);
            let Some(known) = PARAMETERS
                .iter()
                .find(|known| known.name.as_bytes() == name)
            else {
                return Err(unknown(word, name, mode));
            };
            let name = known.name;
            let Some(shape) = known.shape(mode) else {
                let belongs = ModeName::ALL
                    .into_iter()
                    .find(|other| known.shape(*other).is_some());
                return Err(DirectiveError::OtherMode {
                    parameter: name,
                    belongs: belongs.map_or("cookie", ModeName::name),
                    here: mode.name(),
                    named: named.is_some(),
                });
            };
            let value = match (shape, value) {
                (Flag | FlagOr(_), None) => b"",
                (Once(_) | Often(_) | FlagOr(_), Some(b"")) => {
                    let expected = match shape {
                        FlagOr(value) => format!("\"{name}\" or \"{name}={value}\""),
                        _ => spelling(name, shape),
                    };
                    return Err(DirectiveError::NoValue {
                        parameter: name,
                        expected,
                    });
                }
                (Once(_) | Often(_) | FlagOr(_), Some(value)) => value,
                (Flag, Some(_)) | (_, None) => {
                    let mut hint = format!("expected {}", spelling(name, shape));
                    // "zone NAME SIZE;" is a directive, too.
                    if at + 1 < words.len() && elsewhere::is_directive(word) {
                        hint.push_str(", or a \";\" before it");
                    }
                    return Err(DirectiveError::Unknown {
                        word: word.to_vec(),
                        hint,
                    });
                }
            };
            if !matches!(shape, Often(_)) && given.iter().any(|&(earlier, _)| earlier == name) {
                return Err(DirectiveError::Duplicate { parameter: name });
            }
            check_variables(name, value)?;
            given.push((name, value));
        }
        Ok(Parameters {
            mode,
            given,
            key_file,
        })
    }

    pub fn mode(&self) -> ModeName {
        self.mode
    }

    /// What is in the file that `hmac_key_file=` names.
    pub fn key_file(&self) -> &'a [u8] {
        self.key_file
    }

    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The value of a parameter, empty for a flag. `None`: it was not given.
    pub fn value(&self, name: &str) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// The values of a parameter that may be repeated, in the order given.
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

/// A parameter as messages show it: `"secure"`, `"domain=DOMAIN"`.
fn spelling(name: &str, shape: Shape) -> String {
    match shape {
        Flag | FlagOr(_) => format!("\"{name}\""),
        Once(value) | Often(value) => format!("\"{name}={value}\""),
    }
}

fn unknown(word: &[u8], name: &[u8], mode: ModeName) -> DirectiveError {
    let hint = elsewhere::hint(word);
    if !hint.is_empty() {
        return DirectiveError::Unknown {
            word: word.to_vec(),
            hint: hint.to_owned(),
        };
    }
    let given = String::from_utf8_lossy(name);
    let distance = |known: &str| strsim::levenshtein(&given, known);
    let known = PARAMETERS
        .iter()
        .filter_map(|known| Some((known.name, known.shape(mode)?)));
    let nearest = known.clone().min_by_key(|(known, _)| distance(known));
    match nearest {
        // Two swapped letters are a distance of 2. More, or that much of a short name, is not a
        // typo.
        Some((near, shape)) if distance(near) <= (name.len() / 2).min(2) => {
            // The value was meant to be a key, which must not be logged.
            let word = if near.starts_with("hmac_key") {
                name
            } else {
                word
            };
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

/// The items of a list.
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',')
}

/// Adds an item of a list, which is written as `value`.
pub(super) fn push_once<T: PartialEq>(
    parameter: &'static str,
    known: &mut Vec<T>,
    item: T,
    value: &[u8],
) -> Result<(), DirectiveError> {
    if known.contains(&item) {
        return Err(DirectiveError::repeated(parameter, value));
    }
    known.push(item);
    Ok(())
}

/// Whether the name of a header or a cookie is a token (RFC 9110, 5.6.2).
pub(super) fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}
