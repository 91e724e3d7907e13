//! The fields of a form that is sent as `multipart/form-data` (RFC 7578), as browsers send forms
//! with files. Only what can have a session id is read: complete fields that are not files.

use std::borrow::Cow;

use memchr::memmem::Finder;

use crate::http::header_value;

/// The longest boundary (RFC 2046, 5.1.1), in bytes.
const MAX_BOUNDARY: usize = 70;

/// A field of a form.
pub struct Field<'a> {
    /// Its name.
    pub name: Cow<'a, [u8]>,
    /// Its value, as it was sent.
    pub value: &'a [u8],
}

/// The fields of a body with this Content-Type. `None`: it is another one, or has no boundary.
/// Files and incomplete fields are left out, and whatever is not well-formed ends the form. Lines
/// end with CR LF, as all browsers send them.
///
/// ```
/// use sticky_core::http::multipart;
///
/// let body = b"--x\r\nContent-Disposition: form-data; name=\"sid\"\r\n\r\n4711\r\n--x--\r\n";
/// let mut fields = multipart::fields(b"multipart/form-data; boundary=x", body).unwrap();
/// let field = fields.next().unwrap();
/// assert_eq!((&*field.name, field.value), (&b"sid"[..], &b"4711"[..]));
/// assert!(fields.next().is_none());
/// ```
pub fn fields<'a>(content_type: &[u8], body: &'a [u8]) -> Option<impl Iterator<Item = Field<'a>>> {
    if !header_value::is_value(content_type, b"multipart/form-data") {
        return None;
    }
    let boundary = header_value::parameter(content_type, b"boundary")?;
    if !(1..=MAX_BOUNDARY).contains(&boundary.len()) {
        return None;
    }
    let mut parts = Parts::new(&boundary, body);
    Some(std::iter::from_fn(move || loop {
        if let Some(field) = field(parts.next()?) {
            return Some(field);
        }
    }))
}

/// The parts of a body, each from the line of its boundary up to the line break before the next
/// one.
struct Parts<'a> {
    /// Finds a line break, two dashes and the boundary.
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
        // Without a preamble, no line break stands before the first boundary.
        let first = line.get(2..).and_then(|first| body.strip_prefix(first));
        parts.rest = match first.and_then(after_boundary) {
            Some(AfterBoundary::Part(rest)) => Some(rest),
            Some(AfterBoundary::End) => None,
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
            // A longer word that begins like the boundary is not one.
            if let Some(behind) = after_boundary(all.get(from..)?) {
                if let AfterBoundary::Part(rest) = behind {
                    self.rest = Some(rest);
                }
                return all.get(..at);
            }
        }
    }
}

/// What follows a boundary.
enum AfterBoundary<'a> {
    Part(&'a [u8]),
    End,
}

/// `None`: the word goes on, so it is not the boundary, or the body ends too early to tell.
fn after_boundary(rest: &[u8]) -> Option<AfterBoundary<'_>> {
    if rest.starts_with(b"--") {
        return Some(AfterBoundary::End);
    }
    let padding = rest.iter().take_while(|b| matches!(b, b' ' | b'\t'));
    let line_end = rest.get(padding.count()..)?;
    // With the line break: it may be part of the empty line that ends the header.
    line_end
        .starts_with(b"\r\n")
        .then_some(AfterBoundary::Part(line_end))
}

/// The field of a part. `None`: it is a file, or not well-formed.
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

/// The lines of a part's header. A line that begins with white space continues the one before.
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
