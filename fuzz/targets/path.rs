//! The ids in the path of a URL, against the same rules in naive code. First byte: the names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sticky_fuzz::pairs::{among, assert_ids, assert_usable, of_link, unescaped};
use sticky_fuzz::{delimiter, names};

fuzz_target!(|input: &[u8]| {
    let Some((choice, path)) = input.split_first() else {
        return;
    };
    let delimiter = delimiter(*choice);
    let (plain, names) = names(*choice);
    let names = names.cut_at(delimiter);
    let extracted = names.in_path(path);
    assert_usable(&extracted);

    let mut found = Vec::new();
    for segment in path.split(|byte| b"/\\".contains(byte)) {
        let parameters = segment.split(|byte| *byte == b';').skip(1);
        for parameter in parameters {
            if let Some(end) = parameter.iter().position(|byte| *byte == b'=') {
                let (name, value) = (&parameter[..end], &parameter[end + 1..]);
                let name = unescaped(name);
                // In a parameter, a letter does not count, and neither does ASCII case.
                let own = plain.iter().filter(|own| !own.starts_with(b"("));
                for own in own.filter(|own| own.eq_ignore_ascii_case(&name)) {
                    found.push((own.to_vec(), unescaped(value)));
                }
            }
        }
        found.extend(letters(&unescaped(segment)).unwrap_or_default());
    }
    let expected = among(plain, delimiter, &found);
    assert_eq!(extracted, of_link(&expected), "{found:?}");
    assert_ids(names.ids_in_path(path), &expected);
});

/// The letters as ASP.NET writes them, `(A(1)S(2))`, each once.
fn letters(segment: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut rest = segment.strip_prefix(b"(")?.strip_suffix(b")")?;
    while !rest.is_empty() {
        let [letter, b'(', value @ ..] = rest else {
            return None;
        };
        let end = value.iter().position(|byte| b"()".contains(byte))?;
        rest = value[end..].strip_prefix(b")")?;
        if !letter.is_ascii_alphabetic() {
            return None;
        }
        let name = vec![b'(', *letter, b')'];
        if !found.iter().any(|(other, _)| *other == name) {
            found.push((name, value[..end].to_vec()));
        }
    }
    Some(found)
}
