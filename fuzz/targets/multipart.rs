//! Forms with files: any bytes are read without a panic, and what browsers write is read back.
//! First byte: 0 for a form that the rest describes, else the first line is the Content-Type and
//! the rest the body.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use sticky_core::http::multipart;
use sticky_fuzz::{names, pairs};

#[derive(Arbitrary, Debug)]
struct Form {
    boundary: Vec<u8>,
    is_quoted: bool,
    preamble: Vec<u8>,
    fields: Vec<Field>,
    cut: u16,
}

#[derive(Arbitrary, Debug)]
struct Field {
    name: Vec<u8>,
    value: Vec<u8>,
    file: bool,
    has_type: bool,
}

fuzz_target!(|input: &[u8]| {
    match input.split_first() {
        Some((0, rest)) => {
            if let Ok(form) = Form::arbitrary(&mut Unstructured::new(rest)) {
                is_read_back(form);
            }
        }
        Some((choice, rest)) => {
            let end = rest.iter().position(|byte| *byte == b'\n');
            let (content_type, body) = rest.split_at(end.unwrap_or(rest.len()));
            let body = body.get(1..).unwrap_or_default();
            if let Some(fields) = multipart::fields(content_type, body) {
                let fields: Vec<_> = fields.collect();
                assert!(fields.len() <= body.len() / 8);
                for multipart::Field { value, .. } in &fields {
                    assert!(
                        body.windows(value.len().max(1))
                            .any(|part| part == &**value)
                            || value.is_empty()
                    );
                }
                let (plain, names) = names(*choice);
                let decoded: Vec<_> = fields
                    .iter()
                    .map(|field| (field.name.to_vec(), field.value.to_vec()))
                    .collect();
                let plain = pairs::without_letters(plain);
                let expected = pairs::among(&plain, None, &decoded);
                pairs::assert_ids(names.ids_in_fields(fields.into_iter()), &expected);
            }
        }
        None => {}
    }
});

fn is_read_back(form: Form) {
    // RFC 2046, 5.1.1.
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"'+_-=?".contains(byte);
    let mut boundary: Vec<u8> = form.boundary.into_iter().filter(is_allowed).collect();
    boundary.truncate(70);
    if boundary.is_empty() || (!form.is_quoted && boundary.contains(&b'=')) {
        return;
    }
    let line = [b"--", &boundary[..]].concat();
    let holds_line = |bytes: &[u8]| bytes.windows(line.len()).any(|part| part == line);
    if holds_line(&form.preamble) {
        return;
    }
    let mut body = form.preamble;
    if !body.is_empty() {
        body.extend_from_slice(b"\r\n");
    }
    let mut expected = Vec::new();
    for field in form.fields {
        // HTML Standard, 4.10.21.8: browsers escape quotes and line breaks.
        let mut name = Vec::new();
        for byte in field.name {
            match byte {
                b'"' => name.extend_from_slice(b"%22"),
                b'\r' => name.extend_from_slice(b"%0D"),
                b'\n' => name.extend_from_slice(b"%0A"),
                b'\\' => {}
                byte => name.push(byte),
            }
        }
        if holds_line(&field.value) || holds_line(&name) {
            return;
        }
        body.extend_from_slice(&line);
        body.extend_from_slice(b"\r\nContent-Disposition: form-data; name=\"");
        body.extend_from_slice(&name);
        body.push(b'"');
        if field.file {
            body.extend_from_slice(b"; filename=\"x\"");
        } else {
            expected.push((name, field.value.clone()));
        }
        if field.has_type {
            body.extend_from_slice(b"\r\nContent-Type: text/plain; charset=utf-8");
        }
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(&field.value);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(&line);
    body.extend_from_slice(b"--\r\n");

    let mut content_type = b"multipart/form-data; boundary=".to_vec();
    let quote = if form.is_quoted { &b"\""[..] } else { b"" };
    content_type.extend_from_slice(quote);
    content_type.extend_from_slice(&boundary);
    content_type.extend_from_slice(quote);
    let read = |body: &[u8]| -> Vec<(Vec<u8>, Vec<u8>)> {
        let fields = multipart::fields(&content_type, body).expect("a form");
        fields
            .map(|field| (field.name.into_owned(), field.value.to_vec()))
            .collect()
    };
    assert_eq!(read(&body), expected);
    // Of a body that is cut, the complete fields.
    body.truncate(usize::from(form.cut));
    assert!(expected.starts_with(&read(&body)));
}
