//! Tests for the words of `sticky_status`, and for directives as operators see them; without them a
//! key could be shown to whoever may see a page.

use sticky_core::directive::shown;
use sticky_core::directive::status::{hint, parse, Rw, StatusError};

#[test]
fn words_become_names() {
    let names = |words: &[&[u8]]| parse(words).map(|rule| rule.upstreams);
    assert_eq!(names(&[]), Ok(vec![]));
    assert_eq!(
        names(&[b"upstream=b", b"upstream=a=b"]),
        Ok(vec![b"b".to_vec(), b"a=b".to_vec()])
    );
    for word in [&b"upstream"[..], b"upstream="] {
        assert_eq!(names(&[b"upstream=a", word]), Err(StatusError::NoValue));
    }
    for word in [&b"rwx"[..], b"RW", b"Upstream=a", b"a", b""] {
        let error = names(&[word]);
        assert_eq!(error, Err(StatusError::Unknown(word.to_vec())));
    }
    assert_eq!(
        names(&[b"upstream=a", b"upstream=b", b"upstream=a"]),
        Err(StatusError::Duplicate(b"a".to_vec()))
    );
    let error = parse(&[b"a\xff\n"]).expect_err("it is none");
    assert_eq!(
        error.to_string(),
        "invalid parameter \"a\\xff\\x0a\" in \"sticky_status\" directive, expected \"rw\", \
         \"rw=$VARIABLE\" or \"upstream=NAME\""
    );
}

#[test]
fn a_word_says_who_may_do_something() {
    let rw = |words: &[&[u8]]| parse(words).map(|rule| rule.rw);
    assert_eq!(rw(&[b"upstream=a"]), Ok(None));
    assert_eq!(rw(&[b"upstream=a", b"rw"]), Ok(Some(Rw::Here)));
    for value in [&b"$a"[..], b"${a_1}", b"$1"] {
        let word = [b"rw=", value].concat();
        assert_eq!(rw(&[&word]), Ok(Some(Rw::Variable(value.to_vec()))));
    }
    // Two are never 0, and text is never empty.
    for value in [
        &b""[..],
        b"1",
        b"on",
        b"$a$b",
        b"x$a",
        b"$a-",
        b"${a}x",
        b"${a}${b}",
        b"$",
        b"${}",
        b"${a",
        b"$a}",
    ] {
        let word = [b"rw=", value].concat();
        assert_eq!(rw(&[&word]), Err(StatusError::NoVariable(value.to_vec())));
    }
    assert_eq!(rw(&[b"rw", b"rw=$a"]), Err(StatusError::DuplicateRw));
}

#[test]
fn a_wrong_name_brings_the_right_ones() {
    let many: Vec<String> = (1..9).map(|n| format!("tenant{n}")).collect();
    let many: Vec<&[u8]> = many.iter().map(|name| name.as_bytes()).collect();
    assert_eq!(hint(b"a", &[]), "no upstream has one");
    assert_eq!(hint(b"tenat3", &many), "did you mean \"tenant3\"?");
    assert_eq!(
        hint(b"other", &many),
        "expected one of \"tenant1\", \"tenant2\", \"tenant3\", \"tenant4\", \"tenant5\" …"
    );
    assert_eq!(hint(b"x", &[b"ab"]), "expected one of \"ab\"");
}

#[test]
fn a_directive_is_shown_as_it_can_be_written() {
    let line = |name: &[u8], words: &[&[u8]]| {
        String::from_utf8(shown(name, words)).expect("these are UTF-8")
    };
    assert_eq!(line(b"sticky", &[]), "sticky;");
    assert_eq!(
        line(b"sticky", &[b"mode=query", b"name=sid"]),
        "sticky mode=query name=sid;"
    );
    let table: &[(&[u8], &str)] = &[
        (b"", "\"\""),
        (b"delimiter= ", "\"delimiter= \""),
        (b"a;b", "\"a;b\""),
        (b"{", "\"{\""),
        (b"it's", "\"it's\""),
        (b"a\"b\\c", "\"a\\\"b\\\\c\""),
        (b"#a", "\"#a\""),
        (b"a#b", "a#b"),
        (b"a\tb\n", "\"a\tb\n\""),
        (b"$host", "$host"),
    ];
    for (word, expected) in table {
        assert_eq!(line(b"sticky", &[word]), format!("sticky {expected};"));
    }
    assert_eq!(shown(b"sticky", &[b"\xff"]), b"sticky \xff;");
}

#[test]
fn a_secret_is_never_shown() {
    let secret = b"Kq7wZx2mRt9uLp4v";
    let key = [b"hmac_key=", &secret[..]].concat();
    for line in [
        shown(b"sticky", &[b"hmac=md5", &key, b"secure"]),
        shown(b"sticky", &[&key]),
        shown(b"sticky_secret", &[secret]),
        shown(b"sticky_secret", &[&key]),
        shown(b"sticky_secret", &[b"a b", secret]),
    ] {
        let found = line.windows(secret.len()).any(|part| part == secret);
        assert!(!found, "{}", line.escape_ascii());
        assert!(line.windows(3).any(|part| part == b"***"));
    }
    assert_eq!(
        shown(b"sticky", &[b"hmac=md5", &key, b"secure"]),
        b"sticky hmac=md5 hmac_key=*** secure;"
    );
    // Where a key is, is no secret.
    assert_eq!(
        shown(b"sticky", &[b"hmac_key_file=/etc/nginx/key"]),
        b"sticky hmac_key_file=/etc/nginx/key;"
    );
}
