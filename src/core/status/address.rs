//! Which form of which upstreams a request asks for.

use percent_encoding::{percent_decode, percent_encode, AsciiSet, NON_ALPHANUMERIC};

/// A form of the report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// The page.
    Page,
    /// JSON.
    Json,
    /// Metrics.
    Metrics,
}

/// What of a segment of a path need not be encoded.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Form {
    /// The form that a path names by its end. `base` is the prefix of the location: then nothing
    /// else may stand between the two. `None`: there is none of that name.
    pub fn of(path: &[u8], base: Option<&[u8]>) -> Option<Form> {
        let base = base.map(|base| base.strip_suffix(b"/").unwrap_or(base));
        let rest = match base {
            Some(base) => path.strip_prefix(base)?,
            None => {
                let slash = path.iter().rposition(|byte| *byte == b'/')?;
                match path.get(slash..) {
                    Some(rest @ (b"/json" | b"/metrics")) => rest,
                    _ => b"",
                }
            }
        };
        match rest {
            b"" | b"/" => Some(Form::Page),
            b"/json" => Some(Form::Json),
            b"/metrics" => Some(Form::Metrics),
            _ => None,
        }
    }

    /// What a link of the page at `path` to another form begins with: `./sticky/` for `/sticky`,
    /// `./` for `/sticky/`. So it holds behind a proxy that serves the page under another path,
    /// too.
    pub fn link_start(path: &[u8]) -> String {
        let segment = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        match segment {
            b"" => "./".to_owned(),
            segment => format!("./{}/", percent_encode(segment, SEGMENT)),
        }
    }
}

/// The part of the URL after the question mark. All but `upstream=` is ignored.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a>(pub &'a [u8]);

impl Query<'_> {
    /// The upstream that is asked for.
    pub fn upstream(self) -> Option<Vec<u8>> {
        let mut pairs = self.0.split(|byte| *byte == b'&');
        let value = pairs.find_map(|pair| pair.strip_prefix(b"upstream="))?;
        // As forms send it.
        let spaces: Vec<u8> = value
            .iter()
            .map(|byte| if *byte == b'+' { b' ' } else { *byte })
            .collect();
        Some(percent_decode(&spaces).collect())
    }

    /// How a link asks for an upstream.
    pub fn for_upstream(name: &[u8]) -> String {
        format!("?upstream={}", percent_encode(name, SEGMENT))
    }
}
