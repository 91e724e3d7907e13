//! The messages for the operator when a directive is refused.
//!
//! Each names the directive, the parameter and what was expected, in nginx's own words where it has
//! some. File and line are left out, because nginx appends them.

use std::fmt;

use thiserror::Error;

/// What a place needs that knows no parentheses around ids.
pub(super) const NAME_ELSEWHERE: &str = "a name without parentheses to look for there";

/// Why a `sticky` directive is refused. `Display` gives the message for `ngx_conf_log_error()`.
///
/// Words of the configuration are shortened, with control characters and bytes that are not UTF-8
/// as `\xNN`. The value of `hmac_key=` is never shown.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DirectiveError {
    /// One of nginx's own forms is wrong.
    #[error(transparent)]
    Nginx(NginxError),
    /// The parameter does not exist, has a value but takes none, or the other way round.
    #[error(
        "invalid parameter \"{}\" in \"sticky\" directive, {hint}",
        Shown(word)
    )]
    Unknown {
        /// The whole word.
        word: Vec<u8>,
        /// What was expected.
        hint: String,
    },
    /// A parameter of another mode.
    #[error(
        "parameter \"{parameter}\" in \"sticky\" directive belongs to \"mode={belongs}\", \
         but the mode is \"{here}\"{}",
        if *named { "" } else { ", the default" }
    )]
    OtherMode {
        /// Its name.
        parameter: &'static str,
        /// The mode that has it.
        belongs: &'static str,
        /// The mode of the directive.
        here: &'static str,
        /// Whether the directive names its mode.
        named: bool,
    },
    /// A parameter that is given more than once.
    #[error("\"sticky\" directive parameter \"{parameter}\" is duplicate")]
    Duplicate {
        /// Its name.
        parameter: &'static str,
    },
    /// A value that is given more than once to a parameter that takes several.
    #[error(
        "duplicate value \"{}\" of parameter \"{parameter}\" in \"sticky\" directive",
        Shown(value)
    )]
    DuplicateValue {
        /// The parameter.
        parameter: &'static str,
        /// The value.
        value: Vec<u8>,
    },
    /// The value is empty.
    #[error("no value for \"{parameter}\" in \"sticky\" directive, expected {expected}")]
    NoValue {
        /// The parameter.
        parameter: &'static str,
        /// How it is written.
        expected: String,
    },
    /// A value that the parameter does not take.
    #[error(
        "invalid value \"{}\" of parameter \"{parameter}\" in \"sticky\" directive, \
         expected {expected}",
        Shown(value)
    )]
    Value {
        /// The parameter.
        parameter: &'static str,
        /// The value.
        value: Vec<u8>,
        /// The values that it takes.
        expected: &'static str,
    },
    /// A variable where none is taken.
    #[error(
        "parameter \"{parameter}\" in \"sticky\" directive takes no variables, but its value is {}",
        OneVariable(value.as_deref())
    )]
    Variable {
        /// The parameter.
        parameter: &'static str,
        /// Its value, unless that might be a key.
        value: Option<Vec<u8>>,
    },
    /// A size where the name of a zone is expected.
    #[error(
        "\"zone={}\" in \"sticky\" directive is a size without a name, \
         expected \"zone=NAME:SIZE\" as in \"zone=shop:1m\"",
        Shown(value)
    )]
    ZoneName {
        /// The value of `zone=`.
        value: Vec<u8>,
    },
    /// The size of a zone is not a size.
    #[error(
        "invalid zone size \"zone={}\" in \"sticky\" directive, \
         expected \"zone=NAME:SIZE\" as in \"zone=shop:1m\"",
        Shown(value)
    )]
    ZoneSize {
        /// The value of `zone=`.
        value: Vec<u8>,
    },
    /// The zone is too small for nginx's own bookkeeping.
    #[error(
        "zone \"{}\" is too small in \"sticky\" directive, expected at least 32k",
        Shown(value)
    )]
    ZoneTooSmall {
        /// The value of `zone=`.
        value: Vec<u8>,
    },
    /// A parameter without effect, or with a harmful one, unless another one is given.
    #[error("\"{parameter}\" without \"{needed}\" in \"sticky\" directive: {why}")]
    Without {
        /// The parameter.
        parameter: &'static str,
        /// The one that is missing.
        needed: &'static str,
        /// The effect.
        why: &'static str,
    },
    /// Nothing is in the file of the key.
    #[error("no key in the file of \"hmac_key_file\" in \"sticky\" directive")]
    EmptyKeyFile,
    /// Two parameters or values that exclude each other.
    #[error("\"{one}\" together with \"{other}\" in \"sticky\" directive: {why}")]
    Together {
        /// One of them.
        one: &'static str,
        /// The other.
        other: &'static str,
        /// The reason, or what to do instead.
        why: &'static str,
    },
}

impl DirectiveError {
    pub(super) fn value(parameter: &'static str, value: &[u8], expected: &'static str) -> Self {
        debug_assert_ne!(parameter, "hmac_key");
        DirectiveError::Value {
            parameter,
            value: value.to_vec(),
            expected,
        }
    }

    /// A value given more than once.
    pub(super) fn repeated(parameter: &'static str, value: &[u8]) -> Self {
        DirectiveError::DuplicateValue {
            parameter,
            value: value.to_vec(),
        }
    }
}

/// Why one of nginx's own forms is refused. Displays as nginx's own module writes it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NginxError {
    /// Nothing follows the name of the form.
    #[error("invalid number of arguments in \"sticky\" directive")]
    Arguments,
    /// What nginx returns from the handler of the directive.
    #[error("\"sticky\" directive {0}")]
    Text(&'static str),
    /// A word that is not a parameter.
    #[error("unknown parameter \"{}\"", Shown(.0))]
    Unknown(Vec<u8>),
    /// A word that is not a parameter, but means something elsewhere.
    #[error("unknown parameter \"{}\", {hint}", Shown(word))]
    Elsewhere {
        /// The word.
        word: Vec<u8>,
        /// What to do about it.
        hint: &'static str,
    },
    /// A word that is not a variable, and may be the next directive.
    #[error("invalid variable name \"{}\", is a \";\" missing before it?", Shown(.0))]
    Directive(Vec<u8>),
    /// A word that is not a variable.
    #[error("invalid variable name \"{}\"", Shown(.0))]
    Variable(Vec<u8>),
}

/// A value that is, or has in it, a variable.
struct OneVariable<'a>(Option<&'a [u8]>);

impl fmt::Display for OneVariable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, "\"{}\"", Shown(value)),
            None => f.write_str("one"),
        }
    }
}

/// A word of the configuration, safe in a line of the log.
pub(super) struct Shown<'a>(pub(super) &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;

        // nginx cuts a configuration error at 1024 bytes (NGX_MAX_CONF_ERRSTR in ngx_conf_file.h),
        // and what was expected stands behind the word.
        const MAX_SHOWN: usize = 80;
        // A misplaced key is a key as well.
        const KEY: &[u8] = b"hmac_key=";

        let longest = if self.0.starts_with(KEY) {
            KEY.len()
        } else {
            MAX_SHOWN
        };
        let (shown, cut) = match self.0.split_at_checked(longest) {
            Some((start, rest)) if !rest.is_empty() => (start, true),
            _ => (self.0, false),
        };
        for chunk in shown.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    c if c.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(c))?,
                    c if c.is_control() => write!(f, "{}", c.escape_unicode())?,
                    c => f.write_char(c)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        if cut {
            f.write_str("...")?;
        }
        Ok(())
    }
}
