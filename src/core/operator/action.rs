//! The actions that an operator asks for in the body of a POST, a form such as
//! `action=drain&upstream=shop&server=10.0.0.1:8080&for=30m`.

use std::borrow::Cow;

use percent_encoding::percent_decode;
use thiserror::Error;

use crate::directive::nginx_units::parse_time;
use crate::url::MAX_ID;

/// Bytes of a body that is read: the longest id with every byte percent-encoded, and the rest.
pub const MAX_BODY: usize = 3 * MAX_ID + 4096;

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Order {
    /// The upstream's name.
    pub upstream: Vec<u8>,
    /// What with it.
    pub action: Action,
    /// What proves that the form is from the page.
    pub token: Option<Vec<u8>>,
    /// The operator was asked whether it is meant, and has said so.
    pub is_confirmed: bool,
}

/// See [`Order`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// A server gets no new sessions.
    Drain {
        /// The server's name, as the page shows it.
        server: Vec<u8>,
        /// So many seconds; then its sessions go elsewhere, too. `None`: it keeps them.
        seconds: Option<u64>,
    },
    /// A server gets new sessions again.
    Undrain {
        /// The server's name.
        server: Vec<u8>,
    },
    /// Sessions of a server go elsewhere.
    Move {
        /// The server's name.
        server: Vec<u8>,
        /// The server that gets them. `None`: each goes where the balancer sends its next request.
        to: Option<Vec<u8>>,
        /// How many of 100.
        percent: u8,
    },
    /// All sessions of a server are forgotten.
    Forget {
        /// The server's name.
        server: Vec<u8>,
    },
    /// One session is forgotten.
    ForgetSession {
        /// Its id.
        id: Vec<u8>,
    },
    /// One session is shown.
    LookUp {
        /// Its id.
        id: Vec<u8>,
    },
}

impl Action {
    /// Whether a server loses what it has in memory of sessions.
    pub fn is_destructive(&self) -> bool {
        match self {
            Action::Move { .. } | Action::Forget { .. } | Action::ForgetSession { .. } => true,
            Action::Drain { .. } | Action::Undrain { .. } | Action::LookUp { .. } => false,
        }
    }

    /// The parameters that say it.
    pub fn parameters(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut all = vec![("action", self.name().as_bytes().to_vec())];
        match self {
            Action::Drain { server, seconds } => {
                all.push(("server", server.clone()));
                let seconds = seconds.map(|seconds| seconds.to_string().into_bytes());
                all.extend(seconds.map(|seconds| ("for", seconds)));
            }
            Action::Undrain { server } | Action::Forget { server } => {
                all.push(("server", server.clone()));
            }
            Action::Move {
                server,
                to,
                percent,
            } => {
                all.push(("server", server.clone()));
                all.extend(to.clone().map(|to| ("to", to)));
                all.push(("percent", percent.to_string().into_bytes()));
            }
            Action::ForgetSession { id } | Action::LookUp { id } => all.push(("id", id.clone())),
        }
        all
    }

    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Action::Drain { .. } => "drain",
            Action::Undrain { .. } => "undrain",
            Action::Move { .. } => "move",
            Action::Forget { .. } | Action::ForgetSession { .. } => "forget",
            Action::LookUp { .. } => "lookup",
        }
    }
}

/// Why a body is not carried out.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum OrderError {
    /// A parameter is missing.
    #[error("no parameter \"{0}\"")]
    Missing(&'static str),
    /// There is no such parameter, or not with this action.
    #[error("unknown parameter \"{}\"", .0.escape_ascii())]
    Unknown(Vec<u8>),
    /// A parameter that is there more than once.
    #[error("parameter \"{0}\" is duplicate")]
    Duplicate(&'static str),
    /// A value that the parameter does not take.
    #[error("invalid value \"{}\" of parameter \"{name}\", expected {expected}", value.escape_ascii())]
    Invalid {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: Vec<u8>,
        /// What it takes.
        expected: &'static str,
    },
    /// A parameter that says the same as another, or that needs it.
    #[error("parameter \"{0}\" does not go with \"{1}\"")]
    Conflict(&'static str, &'static str),
}

const NAMES: [&str; 9] = [
    "action", "upstream", "server", "for", "to", "percent", "id", "token", "confirm",
];

/// The parameters of a body, each in the place of its name in [`NAMES`].
#[derive(Default)]
struct Parameters<'a>([Option<Cow<'a, [u8]>>; NAMES.len()]);

impl<'a> Parameters<'a> {
    fn read(body: &'a [u8]) -> Result<Self, OrderError> {
        let mut parameters = Self::default();
        for pair in body.split(|byte| *byte == b'&') {
            if pair.is_empty() {
                continue;
            }
            let at = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = pair.split_at(at.unwrap_or(pair.len()));
            let name = decoded(name);
            let known = NAMES.iter().zip(&mut parameters.0);
            let mut known = known.filter(|(known, _)| known.as_bytes() == &*name);
            let Some((name, place)) = known.next() else {
                return Err(OrderError::Unknown(name.into_owned()));
            };
            if place.is_some() {
                return Err(OrderError::Duplicate(name));
            }
            // Fields of a form that were left empty say nothing.
            *place = match value.get(1..) {
                Some(value) if !value.is_empty() => Some(decoded(value)),
                _ => None,
            };
        }
        Ok(parameters)
    }

    fn take(&mut self, name: &'static str) -> Option<Vec<u8>> {
        let mut known = NAMES.iter().zip(&mut self.0);
        let (_, place) = known.find(|(known, _)| **known == name)?;
        place.take().map(Cow::into_owned)
    }

    fn need(&mut self, name: &'static str) -> Result<Vec<u8>, OrderError> {
        self.take(name).ok_or(OrderError::Missing(name))
    }

    /// Refuses what is left.
    fn end(&self, action: &'static str) -> Result<(), OrderError> {
        let mut left = NAMES
            .iter()
            .zip(&self.0)
            .filter(|(_, value)| value.is_some());
        match left.next() {
            Some((name, _)) => Err(OrderError::Conflict(name, action)),
            None => Ok(()),
        }
    }
}

fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if text.contains(&b'+') {
        let spaced = text.iter().map(|byte| match byte {
            b'+' => b' ',
            other => *other,
        });
        let spaced: Vec<u8> = spaced.collect();
        return Cow::Owned(percent_decode(&spaced).collect());
    }
    percent_decode(text).into()
}

impl Order {
    /// The order in the body of a POST.
    pub fn parse(body: &[u8]) -> Result<Self, OrderError> {
        let mut given = Parameters::read(body)?;
        let token = given.take("token");
        let is_confirmed = given.take("confirm").is_some_and(|word| word == b"1");
        let name = given.need("action")?;
        let upstream = given.need("upstream")?;
        let action = match &*name {
            b"drain" => Action::Drain {
                server: given.need("server")?,
                seconds: given.take("for").map(seconds).transpose()?,
            },
            b"undrain" => Action::Undrain {
                server: given.need("server")?,
            },
            b"move" => Action::Move {
                server: given.need("server")?,
                to: given.take("to"),
                percent: given.take("percent").map_or(Ok(100), percent)?,
            },
            b"forget" => match (given.take("id"), given.take("server")) {
                (Some(_), Some(_)) => return Err(OrderError::Conflict("id", "server")),
                (Some(id), None) => Action::ForgetSession { id: an_id(id)? },
                (None, Some(server)) => Action::Forget { server },
                (None, None) => return Err(OrderError::Missing("server")),
            },
            b"lookup" => Action::LookUp {
                id: an_id(given.need("id")?)?,
            },
            _ => {
                return Err(OrderError::Invalid {
                    name: "action",
                    value: name,
                    expected: "drain, undrain, move, forget or lookup",
                })
            }
        };
        given.end(action.name())?;
        Ok(Self {
            upstream,
            action,
            token,
            is_confirmed,
        })
    }
}

fn seconds(value: Vec<u8>) -> Result<u64, OrderError> {
    match parse_time(&value) {
        Some(seconds) if seconds > 0 => Ok(seconds),
        _ => Err(OrderError::Invalid {
            name: "for",
            value,
            expected: "a time of a second at least, such as 30m",
        }),
    }
}

fn percent(value: Vec<u8>) -> Result<u8, OrderError> {
    let number = std::str::from_utf8(&value).ok();
    match number.and_then(|text| text.parse().ok()) {
        Some(percent @ 1..=100) => Ok(percent),
        _ => Err(OrderError::Invalid {
            name: "percent",
            value,
            expected: "1 to 100",
        }),
    }
}

/// An id is never shown, also not when it is wrong.
fn an_id(id: Vec<u8>) -> Result<Vec<u8>, OrderError> {
    match id.len() <= MAX_ID {
        true => Ok(id),
        false => Err(OrderError::Invalid {
            name: "id",
            value: b"...".to_vec(),
            expected: "4096 bytes at most",
        }),
    }
}
