//! The beginning of a page that no parser has read yet.
//!
//! It takes lol_html as much to begin as to read one or two KB, and many pages have none of the
//! elements that it would be asked for: answers to scripts, redirects, error pages. So it begins with
//! the first tag that may be of such an element, wherever that stands, and then reads the page from
//! the beginning.

use memchr::memchr_iter;

/// So much of a page is kept, in bytes. Without such a tag, lol_html begins then.
const MOST: usize = 4096;

pub(crate) struct Unread {
    /// The names of the elements, in lower case.
    names: &'static [&'static [u8]],
    held: Vec<u8>,
    /// What is before has none of their tags.
    checked: usize,
}

impl Unread {
    pub(crate) fn new(names: &'static [&'static [u8]]) -> Self {
        Self {
            names,
            held: Vec::new(),
            checked: 0,
        }
    }

    /// Takes the next piece of the page. If the parser is to read it, returns what that has to read
    /// before, and ends.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        let before = self.held.len();
        if before + piece.len() > MOST {
            return Some(std::mem::take(&mut self.held));
        }
        self.held.extend_from_slice(piece);
        let rest = self.held.get(self.checked..).unwrap_or_default();
        for at in memchr_iter(b'<', rest) {
            let tag = rest.get(at + 1..).unwrap_or_default();
            match self.names.iter().map(|name| begins(tag, name)).max() {
                Some(Begins::Yes) => {
                    self.held.truncate(before);
                    return Some(std::mem::take(&mut self.held));
                }
                Some(Begins::Perhaps) => {
                    self.checked += at;
                    return None;
                }
                _ => {}
            }
        }
        self.checked = self.held.len();
        None
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Begins {
    No,
    /// As far as the text goes.
    Perhaps,
    Yes,
}

/// Whether a tag, behind its `<`, is of an element of that name.
fn begins(tag: &[u8], name: &[u8]) -> Begins {
    let known = tag.len().min(name.len());
    let is_same = tag
        .iter()
        .zip(name)
        .all(|(byte, of_name)| byte.to_ascii_lowercase() == *of_name);
    match tag.get(known) {
        _ if !is_same => Begins::No,
        None => Begins::Perhaps,
        Some(b'\t' | b'\n' | b'\x0c' | b'\r' | b' ' | b'/' | b'>') => Begins::Yes,
        Some(_) => Begins::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&[u8]] = &[b"a", b"form"];

    /// How much is held when the parser begins, with pieces of that size.
    fn held(page: &[u8], size: usize) -> Option<usize> {
        let mut unread = Unread::new(NAMES);
        let mut pieces = page.chunks(size);
        pieces.find_map(|piece| unread.take(piece)).map(|held| {
            assert_eq!(held, &page[..held.len()]);
            held.len()
        })
    }

    #[test]
    fn the_parser_begins_with_a_tag_of_the_elements() {
        for size in [1, 2, 3, 5, 64] {
            for page in [
                "",
                "<p>1 < 2, a form",
                "<abbr><formal><b a><!a><",
                "<p></a></form><fo",
                "< a><fo rm>",
            ] {
                assert_eq!(held(page.as_bytes(), size), None, "{page} by {size}");
            }
            for page in [
                "<p><a>",
                "<P><A\n",
                "<p><FORM/",
                "<<form ",
                "<fo<form>",
                "<p x='<a ",
            ] {
                let behind = page.len() - 1;
                assert_eq!(
                    held(page.as_bytes(), size),
                    Some(behind - behind % size),
                    "{page} by {size}"
                );
            }
        }
    }

    #[test]
    fn so_much_is_held_at_most() {
        assert_eq!(held(&[b'x'; MOST], 64), None);
        assert_eq!(held(&[b'x'; MOST + 1], 64), Some(MOST));
        assert_eq!(held(&[b'<'; MOST + 1], 1), Some(MOST));
        assert_eq!(held(&[b'x'; 2 * MOST], 2 * MOST), Some(0));
    }
}
