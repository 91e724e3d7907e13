//! The words of `sticky_status` in a location.

use thiserror::Error;

use super::error::Shown;

/// What the directive says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusRule {
    /// The upstreams that are shown; none: all.
    pub upstreams: Vec<Vec<u8>>,
}

/// Why a `sticky_status` directive is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StatusError {
    /// The parameter does not exist.
    #[error(
        "invalid parameter \"{}\" in \"sticky_status\" directive, expected \"upstream=NAME\"",
        Shown(.0)
    )]
    Unknown(Vec<u8>),
    /// The name is empty.
    #[error(
        "no value for \"upstream\" in \"sticky_status\" directive, expected \"upstream=NAME\""
    )]
    NoValue,
    /// A name that is given twice.
    #[error(
        "duplicate value \"{}\" of parameter \"upstream\" in \"sticky_status\" directive",
        Shown(.0)
    )]
    Duplicate(Vec<u8>),
}

/// Parses the words behind `sticky_status`.
///
/// # Errors
///
/// The first word that is wrong.
pub fn parse(words: &[&[u8]]) -> Result<StatusRule, StatusError> {
    let mut rule = StatusRule::default();
    for word in words {
        let Some(name) = word.strip_prefix(b"upstream=") else {
            return Err(match *word {
                b"upstream" => StatusError::NoValue,
                other => StatusError::Unknown(other.to_vec()),
            });
        };
        if name.is_empty() {
            return Err(StatusError::NoValue);
        }
        if rule.upstreams.iter().any(|known| known == name) {
            return Err(StatusError::Duplicate(name.to_vec()));
        }
        rule.upstreams.push(name.to_vec());
    }
    Ok(rule)
}

/// What to say of an upstream that has no `sticky` directive, to follow "upstream=NAME": the name
/// that was meant, or some of those that there are.
pub fn hint(name: &[u8], known: &[&[u8]]) -> String {
    /// So many names are named.
    const SOME: usize = 5;

    let given = String::from_utf8_lossy(name);
    let distance = |known: &[u8]| strsim::levenshtein(&given, &String::from_utf8_lossy(known));
    let nearest = known.iter().min_by_key(|known| distance(known));
    match nearest {
        None => "no upstream has one".to_owned(),
        Some(near) if distance(near) <= (name.len() / 2).min(2) => {
            format!("did you mean \"{}\"?", Shown(near))
        }
        Some(_) => {
            let some = known.iter().take(SOME);
            let some: Vec<_> = some.map(|name| format!("\"{}\"", Shown(name))).collect();
            let more = if known.len() > SOME { " …" } else { "" };
            format!("expected one of {}{more}", some.join(", "))
        }
    }
}
