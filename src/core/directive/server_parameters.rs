//! `route=` and `drain` of `server`, which nginx has since 1.29.6 (`ngx_http_upstream_server()`), and
//! `max_sessions=`, which it does not have.

use thiserror::Error;

use super::error::Shown;
use super::max_sessions;
use crate::counters::SessionLimit;

/// Why the parameters are refused. Displays as nginx writes it before the file and the line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ServerError {
    /// What nginx itself says, or would.
    #[error("{0}")]
    Text(&'static str),
    /// The value is no number of sessions.
    #[error("invalid parameter \"{}\", expected a number of 1 to 4294967295", Shown(.0))]
    Limit(Vec<u8>),
}

/// What `server` says about the sessions of its server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerParameters {
    /// The server's name in session cookies.
    pub route: Option<Vec<u8>>,
    /// It gets requests of its own sessions only.
    pub drain: bool,
}

/// The longest route, in bytes.
pub const MAX_ROUTE: usize = 32;

/// What to say of a parameter that Angie has instead of `route=`.
pub fn hint(words: &[&[u8]]) -> Option<&'static str> {
    let is_sid = words.iter().any(|word| word.starts_with(b"sid="));
    is_sid.then_some("parameter \"sid\" of \"server\" is of Angie, expected \"route=\"")
}

/// Reads the parameters behind `server ADDRESS`. Returns those above, and for each word whether it
/// is one of them, so that it can be hidden from an older nginx.
///
/// # Errors
///
/// The message of nginx, without file and line.
pub fn parse(words: &[&[u8]]) -> Result<(ServerParameters, Vec<bool>), ServerError> {
    let mut found = ServerParameters::default();
    let mut ours = Vec::with_capacity(words.len());
    for &word in words {
        if let Some(route) = word.strip_prefix(b"route=") {
            if route.is_empty() {
                return Err(ServerError::Text("route is empty"));
            }
            if route.len() > MAX_ROUTE {
                return Err(ServerError::Text("route is longer than 32"));
            }
            found.route = Some(route.to_vec());
            ours.push(true);
        } else {
            // Of `down` and `drain`, the last one counts.
            match word {
                b"drain" => found.drain = true,
                b"down" => found.drain = false,
                _ => {}
            }
            ours.push(word == b"drain");
        }
    }
    Ok((found, ours))
}

/// Reads `max_sessions=`, and for each word whether it is that, so that it can be hidden from nginx.
///
/// # Errors
///
/// It is given twice, or is no number.
pub fn session_limit(words: &[&[u8]]) -> Result<(Option<SessionLimit>, Vec<bool>), ServerError> {
    let mut found = None;
    let mut ours = Vec::with_capacity(words.len());
    for &word in words {
        let value = word.strip_prefix(b"max_sessions=");
        ours.push(value.is_some());
        let Some(value) = value else { continue };
        if found.is_some() {
            return Err(ServerError::Text("\"max_sessions\" parameter is duplicate"));
        }
        let limit = max_sessions::limit(value);
        found = Some(limit.ok_or_else(|| ServerError::Limit(word.to_vec()))?);
    }
    Ok((found, ours))
}
