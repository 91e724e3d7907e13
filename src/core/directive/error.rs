//! What the operator reads when a directive is refused.
//!
//! Each message names the directive, the parameter and what was expected, in nginx's own words
//! where it has some, and leaves out file and line, which nginx appends.

use std::fmt;

use super::native::NativeError;

/// Why a `sticky` directive is refused. `Display` gives the message for `ngx_conf_log_error()`.
///
/// Words of the configuration are shown shortened, with control characters and bytes that are not
/// UTF-8 as `\xNN`. The value of `hmac_key=` is never shown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DirectiveError {
    /// One of nginx's own forms is wrong.
    Native(NativeError),
    /// No such parameter, or one with a value where none belongs, or the other way round.
    Unknown {
        /// The whole word.
        word: Vec<u8>,
        /// What was expected.
        hint: String,
    },
    /// A parameter of the other mode.
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
    /// A parameter given more than once.
    Duplicate {
        /// Its name.
        parameter: &'static str,
    },
    /// One value given more than once to a parameter that takes several.
    DuplicateValue {
        /// The parameter.
        parameter: &'static str,
        /// The value.
        value: Vec<u8>,
    },
    /// Nothing behind the `=`.
    NoValue {
        /// The parameter.
        parameter: &'static str,
        /// How it is written.
        expected: String,
    },
    /// A value that the parameter does not have.
    Value {
        /// The parameter.
        parameter: &'static str,
        /// The value.
        value: Vec<u8>,
        /// What it has instead.
        expected: &'static str,
    },
    /// A zone size that is no size.
    ZoneSize {
        /// The value of `zone=`.
        value: Vec<u8>,
    },
    /// A zone too small for nginx's own bookkeeping.
    ZoneTooSmall {
        /// The value of `zone=`.
        value: Vec<u8>,
    },
    /// A parameter that does nothing, or harm, without another one.
    Without {
        /// The parameter.
        parameter: &'static str,
        /// The one that is missing.
        needed: &'static str,
        /// What comes of it.
        why: &'static str,
    },
    /// Two parameters or values that exclude each other.
    Together {
        /// One of them.
        one: &'static str,
        /// The other.
        other: &'static str,
        /// What to do instead.
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

impl fmt::Display for DirectiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DirectiveError::Native(error) => error.fmt(f),
            DirectiveError::Unknown { word, hint } => {
                write!(
                    f,
                    "invalid parameter \"{}\" in \"sticky\" directive, {hint}",
                    Shown(word)
                )
            }
            DirectiveError::OtherMode {
                parameter,
                belongs,
                here,
                named,
            } => write!(
                f,
                "parameter \"{parameter}\" in \"sticky\" directive belongs to \"mode={belongs}\", \
                 but the mode is \"{here}\"{}",
                if *named { "" } else { ", the default" }
            ),
            DirectiveError::Duplicate { parameter } => {
                write!(
                    f,
                    "\"sticky\" directive parameter \"{parameter}\" is duplicate"
                )
            }
            DirectiveError::DuplicateValue { parameter, value } => write!(
                f,
                "duplicate value \"{}\" of parameter \"{parameter}\" in \"sticky\" directive",
                Shown(value)
            ),
            DirectiveError::NoValue {
                parameter,
                expected,
            } => write!(
                f,
                "no value for \"{parameter}\" in \"sticky\" directive, expected {expected}"
            ),
            DirectiveError::Value {
                parameter,
                value,
                expected,
            } => write!(
                f,
                "invalid value \"{}\" of parameter \"{parameter}\" in \"sticky\" directive, \
                 expected {expected}",
                Shown(value)
            ),
            DirectiveError::ZoneSize { value } => write!(
                f,
                "invalid zone size \"zone={}\" in \"sticky\" directive, \
                 expected \"zone=NAME:SIZE\" as in \"zone=shop:1m\"",
                Shown(value)
            ),
            DirectiveError::ZoneTooSmall { value } => write!(
                f,
                "zone \"{}\" is too small in \"sticky\" directive, expected at least 32k",
                Shown(value)
            ),
            DirectiveError::Without {
                parameter,
                needed,
                why,
            } => write!(
                f,
                "\"{parameter}\" without \"{needed}\" in \"sticky\" directive: {why}"
            ),
            DirectiveError::Together { one, other, why } => {
                write!(
                    f,
                    "\"{one}\" together with \"{other}\" in \"sticky\" directive: {why}"
                )
            }
        }
    }
}

impl std::error::Error for DirectiveError {}

/// A word of the configuration, fit for a line of a log.
pub(super) struct Shown<'a>(pub(super) &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;

        // nginx cuts a configuration error at 1024 bytes (NGX_MAX_CONF_ERRSTR in ngx_conf_file.h):
        // what was expected stands behind the word and must still be seen.
        const LONGEST: usize = 80;
        // A key that stands where none belongs is a key all the same.
        const KEY: &[u8] = b"hmac_key=";

        let longest = if self.0.starts_with(KEY) {
            KEY.len()
        } else {
            LONGEST
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
