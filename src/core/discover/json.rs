//! All strings of a JSON text, with the path of each, as `json:A.B.NAME` writes it.
//!
//! The text may be cut, or be none: what was read until then counts.

/// So deep objects and arrays are read.
const DEEPEST: usize = 32;

/// A string.
#[derive(Debug, Eq, PartialEq)]
pub struct Member<'a> {
    /// The names that lead to it, with dots between them; empty for a text that is one string. An
    /// index at the end is that of an element.
    pub path: Vec<u8>,
    /// What stands between its quotes, without escapes.
    pub value: &'a [u8],
}

/// Calls `visit` with each string of a text that has no escapes, until it returns `false`. An
/// integer is none: ids of applications are strings, but for a few.
pub fn strings(text: &[u8], visit: &mut dyn FnMut(Member<'_>) -> bool) {
    /// A container that is open.
    enum Open<'a> {
        Object(&'a [u8]),
        Array(usize),
    }

    let mut open: Vec<Open<'_>> = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' if open.len() == DEEPEST => return,
            b'{' => open.push(Open::Object(b"")),
            b'[' => open.push(Open::Array(0)),
            b'}' | b']' => {
                open.pop();
            }
            b',' => match open.last_mut() {
                Some(Open::Object(name)) => *name = b"",
                Some(Open::Array(index)) => *index += 1,
                // The next line of several texts.
                None => {}
            },
            b'"' => {
                let Some((string, has_escapes, end)) = string_at(text, at) else {
                    return;
                };
                at = end;
                if let Some(Open::Object(name)) = open.last_mut() {
                    if name.is_empty() {
                        *name = if has_escapes { b"\\" } else { string };
                        continue;
                    }
                }
                if has_escapes {
                    continue;
                }
                let mut path = Vec::new();
                let last = open.len().wrapping_sub(1);
                for (depth, step) in open.iter().enumerate() {
                    let number;
                    let step: &[u8] = match step {
                        Open::Object(name) => name,
                        Open::Array(index) if depth == last => {
                            number = index.to_string();
                            number.as_bytes()
                        }
                        Open::Array(_) => continue,
                    };
                    if !path.is_empty() {
                        path.push(b'.');
                    }
                    path.extend_from_slice(step);
                }
                if !visit(Member {
                    path,
                    value: string,
                }) {
                    return;
                }
            }
            _ => {}
        }
    }
}

/// The string that begins there, whether it has escapes, and where what follows it begins.
fn string_at(text: &[u8], begin: usize) -> Option<(&[u8], bool, usize)> {
    let (mut at, mut has_escapes) = (begin, false);
    loop {
        let rest = text.get(at..)?;
        at += memchr::memchr2(b'"', b'\\', rest)?;
        if text.get(at) == Some(&b'"') {
            return Some((text.get(begin..at)?, has_escapes, at + 1));
        }
        // `\/`, as PHP writes slashes, and all others.
        has_escapes = true;
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::strings;

    fn all(text: &str) -> Vec<(String, String)> {
        let mut all = Vec::new();
        strings(text.as_bytes(), &mut |member| {
            let path = String::from_utf8_lossy(&member.path).into_owned();
            all.push((path, String::from_utf8_lossy(member.value).into_owned()));
            all.len() < 100
        });
        all
    }

    #[test]
    fn strings_come_with_their_paths() {
        let text = r#"{"id":"a","value":{"sessionId":"b","n":1},"params":["c",{"x":["d","e"]}],
                      "odd\u0020name":"f","g":"with \" escapes"}"#;
        let expected = [
            ("id", "a"),
            ("value.sessionId", "b"),
            ("params.0", "c"),
            ("params.x.0", "d"),
            ("params.x.1", "e"),
            ("\\", "f"),
        ];
        let expected = expected.map(|(path, value)| (path.to_owned(), value.to_owned()));
        assert_eq!(all(text), expected);
        assert_eq!(all("\"one\""), [(String::new(), "one".to_owned())]);
    }

    #[test]
    fn what_is_cut_or_no_json_does_no_harm() {
        let text = r#"[{"a":["b",{"c":"d\\"}]},"e"]"#;
        for end in 0..text.len() {
            all(&text[..end]);
        }
        all(&"[".repeat(100_000));
        all(&"\"".repeat(100_001));
        all("}}]]\"\\");
        assert_eq!(all("a\"b\"c").len(), 1);
    }
}
