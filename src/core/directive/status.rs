//! The words of `sticky_status` in a location.

use thiserror::Error;

use super::error::Shown;

/// What the directive says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusRule {
    /// The upstreams that are shown; none: all.
    pub upstreams: Vec<Vec<u8>>,
    /// Who may do something. `None`: nobody.
    pub rw: Option<Rw>,
}

/// Who may do something by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rw {
    /// Clients on this machine.
    Here,
    /// Those for whom this variable is neither empty nor 0.
    Variable(Vec<u8>),
}

/// Why a `sticky_status` directive is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StatusError {
    /// The parameter does not exist.
    #[error(
        "invalid parameter \"{}\" in \"sticky_status\" directive, expected \"rw\", \
         \"rw=$VARIABLE\" or \"upstream=NAME\"",
        Shown(.0)
    )]
    Unknown(Vec<u8>),
    /// The name is empty.
    #[error(
        "no value for \"upstream\" in \"sticky_status\" directive, expected \"upstream=NAME\""
    )]
    NoValue,
    /// Not one variable: it would let everybody or nobody.
    #[error(
        "invalid value \"{}\" of parameter \"rw\" in \"sticky_status\" directive, expected one \
         variable, or \"rw\" alone for clients on this machine",
        Shown(.0)
    )]
    NoVariable(Vec<u8>),
    /// `rw` is given twice.
    #[error("\"sticky_status\" directive parameter \"rw\" is duplicate")]
    DuplicateRw,
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
        if let Some(rw) = access(word) {
            if rule.rw.replace(rw?).is_some() {
                return Err(StatusError::DuplicateRw);
            }
            continue;
        }
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

/// What a word says of who may do something.
fn access(word: &[u8]) -> Option<Result<Rw, StatusError>> {
    let value = match word.strip_prefix(b"rw")? {
        b"" => return Some(Ok(Rw::Here)),
        rest => rest.strip_prefix(b"=")?,
    };
    Some(match is_one_variable(value) {
        true => Ok(Rw::Variable(value.to_vec())),
        false => Err(StatusError::NoVariable(value.to_vec())),
    })
}

/// Whether a text is one variable, `$name` or `${name}`, and nothing else: two together are never 0,
/// and one with text never empty.
fn is_one_variable(text: &[u8]) -> bool {
    let Some(name) = text.strip_prefix(b"$") else {
        return false;
    };
    let braced = name.strip_prefix(b"{");
    let name = match braced {
        Some(name) => name.strip_suffix(b"}").unwrap_or_default(),
        None => name,
    };
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    !name.is_empty() && name.iter().all(is_part)
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
