//! Parameters of headers: any bytes are read without a panic, as a parser that goes byte by byte
//! reads them, and what a server writes is read back. First byte: 0 for a header that the rest
//! describes, else the rest is the header.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use sticky_core::http::credentials::{bearer, values_of};

#[derive(Arbitrary, Debug)]
struct Parameter {
    name: u8,
    value: Vec<u8>,
    is_quoted: bool,
    spaces: u8,
    divider: bool,
}

const NAMES: [&str; 4] = ["nonce", "cnonce", "NONCE", "x"];

fuzz_target!(|input: &[u8]| match input.split_first() {
    Some((0, rest)) => {
        if let Ok(parameters) = Vec::<Parameter>::arbitrary(&mut Unstructured::new(rest)) {
            is_read_back(&parameters);
        }
    }
    Some((_, rest)) => {
        let found: Vec<_> = values_of(rest, b"nonce")
            .map(|value| value.to_vec())
            .collect();
        assert_eq!(found, naive(rest, b"nonce"));
        if let Some(token) = bearer(rest) {
            assert!(rest.ends_with(token) || rest.trim_ascii_end().ends_with(token));
            assert_eq!(token, token.trim_ascii());
        }
    }
    None => {}
});

fn is_read_back(parameters: &[Parameter]) {
    let mut header = b"Digest ".to_vec();
    let mut expected = Vec::new();
    for (at, parameter) in parameters.iter().enumerate() {
        let name = NAMES[usize::from(parameter.name) % NAMES.len()];
        let space = vec![b' '; usize::from(parameter.spaces) % 3];
        if at > 0 {
            header.push(if parameter.divider { b',' } else { b';' });
        }
        header.extend_from_slice(&space);
        header.extend_from_slice(name.as_bytes());
        header.extend_from_slice(&space);
        header.push(b'=');
        header.extend_from_slice(&space);
        let mut value = parameter.value.clone();
        if parameter.is_quoted {
            header.push(b'"');
            for byte in &value {
                if matches!(byte, b'"' | b'\\') {
                    header.push(b'\\');
                }
                header.push(*byte);
            }
            header.push(b'"');
        } else {
            value.retain(|byte| byte.is_ascii_alphanumeric());
            header.extend_from_slice(&value);
        }
        if name.eq_ignore_ascii_case("nonce") {
            expected.push(value);
        }
    }
    let found: Vec<_> = values_of(&header, b"nonce")
        .map(|value| value.to_vec())
        .collect();
    assert_eq!(found, expected, "{}", header.escape_ascii());
}

/// The same, from one state to the next.
fn naive(header: &[u8], name: &[u8]) -> Vec<Vec<u8>> {
    enum State {
        Word,
        /// Behind a word: an equals sign makes it a name.
        AfterWord,
        BeforeValue,
        Value,
        Quoted {
            is_value: bool,
        },
        Escaped {
            is_value: bool,
        },
    }

    let is_space = |byte: u8| byte.is_ascii_whitespace();
    let (mut state, mut word, mut value) = (State::Word, Vec::new(), Vec::new());
    let mut found = Vec::new();
    let mut end = |word: &mut Vec<u8>, value: &mut Vec<u8>| {
        if word.eq_ignore_ascii_case(name) {
            found.push(value.clone());
        }
        word.clear();
        value.clear();
        State::Word
    };
    for &byte in header {
        state = match (state, byte) {
            (State::Word | State::AfterWord, b'=') if !word.is_empty() => State::BeforeValue,
            (State::Word | State::AfterWord, b'"') => {
                word.clear();
                State::Quoted { is_value: false }
            }
            (State::Word | State::AfterWord, b'=' | b',' | b';') => {
                word.clear();
                State::Word
            }
            (State::Word, byte) if is_space(byte) => State::AfterWord,
            (State::AfterWord, byte) if is_space(byte) => State::AfterWord,
            (State::AfterWord, byte) => {
                word.clear();
                word.push(byte);
                State::Word
            }
            (State::Word, byte) => {
                word.push(byte);
                State::Word
            }
            (State::BeforeValue, b'"') => State::Quoted { is_value: true },
            (State::BeforeValue, byte) if is_space(byte) => State::BeforeValue,
            (State::BeforeValue | State::Value, b',' | b';') => end(&mut word, &mut value),
            (State::Value, byte) if is_space(byte) => end(&mut word, &mut value),
            (State::BeforeValue | State::Value, byte) => {
                value.push(byte);
                State::Value
            }
            (State::Quoted { is_value }, b'"') => {
                if is_value {
                    end(&mut word, &mut value)
                } else {
                    State::Word
                }
            }
            (State::Quoted { is_value }, b'\\') => State::Escaped { is_value },
            (State::Quoted { is_value } | State::Escaped { is_value }, byte) => {
                if is_value {
                    value.push(byte);
                }
                State::Quoted { is_value }
            }
        };
    }
    if matches!(
        state,
        State::BeforeValue
            | State::Value
            | State::Quoted { is_value: true }
            | State::Escaped { is_value: true }
    ) {
        end(&mut word, &mut value);
    }
    found
}
