//! Tests for messages about any configuration. Without them, a log may show a key, or a word may
//! forge a line of the log.

mod refusal;

use sticky_core::directive::parse;

use refusal::{refusal, refusal_of};

#[test]
fn a_key_is_never_shown() {
    for line in [
        "hmac_key=tops3cret",
        "hmac_key=tops3cret hmac_key=tops3cret",
        "hmac_key=tops3cret hmac=md4",
        "hmac_key=tops3cret hash=md5",
        "hmac_key=tops3cret mode=query",
        "hmackey=tops3cret",
        "hmac-key=tops3cret",
        "cookie route hmac_key=tops3cret",
        "route hmac_key=tops3cret",
        "learn hmac_key=tops3cret",
    ] {
        let message = refusal(line);
        assert!(!message.contains("tops3cret"), "{message}");
    }
}

#[test]
fn odd_bytes_are_shown_in_a_readable_line() {
    assert!(refusal_of(&[b"n\xffame=\x1b[31m\n\"x"])
        .starts_with("invalid parameter \"n\\xffame=\\x1b[31m\\x0a\"x\" in \"sticky\""));
    assert!(refusal("gr\u{fc}n=\u{85}").starts_with("invalid parameter \"gr\u{fc}n=\\u{85}\""));
    assert!(refusal_of(&[b"\xc3"]).starts_with("invalid parameter \"\\xc3\""));
}

/// nginx cuts a message at 1024 bytes, and what was expected stands at its end.
#[test]
fn a_long_word_does_not_push_the_reason_out_of_the_message() {
    for byte in [b"x", b"\xff", b"\x00"] {
        let message = refusal_of(&[&byte.repeat(5_000)]);
        assert!(message.len() < 900, "{}", message.len());
        assert!(message.contains("...\" in \"sticky\" directive, expected \"mode="));
        assert!(message.ends_with("\"no_fallback\""));
    }
    let fits = refusal(&"x".repeat(80));
    assert!(fits.contains(&format!("\"{}\"", "x".repeat(80))));
}

/// Any words give a result, and a message without control characters.
#[test]
fn no_words_cause_a_panic() {
    const PIECES: [&[u8]; 24] = [
        b"mode=",
        b"query",
        b"cookie",
        b"name",
        b"=",
        b",",
        b":",
        b"hmac_key=",
        b"hmac=",
        b"md5",
        b"zone=",
        b"off",
        b"1m",
        b"hosts=",
        b"*.",
        b"[",
        b"learn=",
        b"html",
        b"from=",
        b"expires=",
        b"9999999999999999999",
        b"\xff",
        b"\0",
        b"",
    ];
    let mut seed = 0x5eed_u64;
    let mut next = |below: usize| {
        // Knuth's MMIX generator; its high bits are good enough here.
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for _ in 0..20_000 {
        let words: Vec<Vec<u8>> = (0..next(5))
            .map(|_| {
                (0..next(5))
                    .flat_map(|_| PIECES[next(PIECES.len())].to_vec())
                    .collect()
            })
            .collect();
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        if let Err(error) = parse(&words) {
            let message = error.to_string();
            assert!(!message.contains(char::is_control), "{message:?}");
            assert!(message.len() < 900, "{message}");
        }
    }
}
