//! The fields of a form that is sent as `multipart/form-data` (RFC 7578), which is how browsers send
//! forms with files. Only what can carry a session id is read: the plain fields that are complete.

use std::borrow::Cow;

use memchr::memmem::Finder;

use crate::http::header_value;

/// The longest boundary (RFC 2046, 5.1.1), in bytes.
const LONGEST: usize = 70;

/// A field of a form.
pub struct Field<'a> {
    /// Its name.
    pub name: Cow<'a, [u8]>,
    /// Its value, as it was sent.
    pub value: &'a [u8],
}

/// The fields of a body with this Content-Type, `None` when that is another one or
/// names no boundary. Files are left out, and so is a field whose end the body lacks; whatever is not
/// well-formed ends the form. Lines end with CR LF, as everybody sends them.
pub fn fields<'a>(content_type: &[u8], body: &'a [u8]) -> Option<impl Iterator<Item = Field<'a>>> {
    if !header_value::is_value(content_type, b"multipart/form-data") {
        return None;
    }
    let boundary = header_value::parameter(content_type, b"boundary")?;
    if !(1..=LONGEST).contains(&boundary.len()) {
        return None;
    }
    let mut parts = Parts::new(&boundary, body);
    Some(std::iter::from_fn(move || loop {
        if let Some(field) = field(parts.next()?) {
            return Some(field);
        }
    }))
}

/// The parts of a body, each from behind its boundary's line up to the line break before the next.
struct Parts<'a> {
    /// Finds the line break and the dashes with the boundary.
    line: Finder<'static>,
    rest: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    fn new(boundary: &[u8], body: &'a [u8]) -> Self {
        let line = [b"\r\n--", boundary].concat();
        let mut parts = Self {
            line: Finder::new(&line).into_owned(),
            rest: None,
        };
        // The first line has no line break before it, unless there is a preamble.
        let first = line.get(2..).and_then(|first| body.strip_prefix(first));
        parts.rest = match first.and_then(behind_line) {
            Some(Behind::Part(rest)) => Some(rest),
            Some(Behind::End) => None,
            None => {
                parts.rest = Some(body);
                parts.next();
                parts.rest
            }
        };
        parts
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let all = self.rest.take()?;
        let mut from = 0;
        loop {
            let at = from + self.line.find(all.get(from..)?)?;
            from = at + self.line.needle().len();
            // A longer word that begins like the boundary is none.
            if let Some(behind) = behind_line(all.get(from..)?) {
                if let Behind::Part(rest) = behind {
                    self.rest = Some(rest);
                }
                return all.get(..at);
            }
        }
    }
}

/// What follows a boundary.
enum Behind<'a> {
    Part(&'a [u8]),
    End,
}

/// `None`: it goes on, so it is no boundary, or the body ends too early to tell.
fn behind_line(rest: &[u8]) -> Option<Behind<'_>> {
    if rest.starts_with(b"--") {
        return Some(Behind::End);
    }
    let padding = rest.iter().take_while(|b| matches!(b, b' ' | b'\t'));
    let line_end = rest.get(padding.count()..)?;
    // The line break stays: it may be the one before the empty line that ends the header.
    line_end
        .starts_with(b"\r\n")
        .then_some(Behind::Part(line_end))
}

/// What a part is, when it is a plain field.
fn field(part: &[u8]) -> Option<Field<'_>> {
    let end = memchr::memmem::find(part, b"\r\n\r\n")?;
    let (header, value) = part.split_at_checked(end)?;
    let disposition = lines(header).find_map(|line| {
        let (name, value) = line.split_at_checked(memchr::memchr(b':', line)?)?;
        name.trim_ascii()
            .eq_ignore_ascii_case(b"content-disposition")
            .then(|| value.get(1..).unwrap_or_default())
    })?;
    let is_field = header_value::is_value(disposition, b"form-data");
    let mut name = None;
    for (parameter, value) in header_value::parameters(disposition) {
        if parameter.eq_ignore_ascii_case(b"name") {
            name.get_or_insert(value);
        } else if parameter.eq_ignore_ascii_case(b"filename")
            || parameter.eq_ignore_ascii_case(b"filename*")
        {
            return None;
        }
    }
    Some(Field {
        name: name.filter(|_| is_field)?,
        value: value.get(4..)?,
    })
}

/// The lines of a part's header; one that begins with white space continues the one before.
fn lines(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = header.strip_prefix(b"\r\n");
    std::iter::from_fn(move || {
        let all = rest?;
        let mut breaks = memchr::memmem::find_iter(all, b"\r\n");
        let end = breaks.find(|at| !matches!(all.get(at + 2), Some(b' ' | b'\t')));
        rest = end.and_then(|end| all.get(end + 2..));
        all.get(..end.unwrap_or(all.len()))
    })
}
