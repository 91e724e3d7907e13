//! Tests for variables of nginx in the words of the directive, and for keys in files. Without them,
//! a variable is taken for the text of its name, and every request is signed with `$secret`.

mod refusal;

use sticky_core::digest::{Algorithm, Recipe};
use sticky_core::directive::{key_file, parse, parse_with_key, Mode, Place, QueryRule};

use refusal::refusal;

fn takes_none(parameter: &str, value: &str) -> String {
    format!(
        "parameter \"{parameter}\" in \"sticky\" directive takes no variables, \
         but its value is {value}"
    )
}

#[test]
fn a_value_that_is_a_variable_is_refused() {
    for (line, parameter) in [
        ("name=$arg_sid", "name"),
        ("mode=query name=sid name=$arg_sid", "name"),
        ("mode=rewrite name=$arg_sid", "name"),
        ("hash=$algorithm", "hash"),
        ("text=$kind", "text"),
        ("expires=$time", "expires"),
        ("no_fallback=$status", "no_fallback"),
        ("cacheable=$is_cacheable", "cacheable"),
        ("transfer delimiter=$d", "delimiter"),
        ("mode=query id_delimiter=$d", "id_delimiter"),
        ("mode=query lifetime=$time", "lifetime"),
        ("mode=query zone=$name", "zone"),
        ("mode=query state=$file", "state"),
        ("mode=query hosts=$host", "hosts"),
        ("mode=rewrite hosts=$host", "hosts"),
        ("hmac=md5 hmac_key_file=$file", "hmac_key_file"),
    ] {
        let value = line.rsplit_once('=').map_or("", |(_, value)| value);
        assert_eq!(
            refusal(line),
            takes_none(parameter, &format!("\"{value}\"")),
            "{line}"
        );
        let name = value.trim_start_matches('$');
        let braced = line.replace(value, &format!("${{{name}}}"));
        assert_eq!(
            refusal(&braced),
            takes_none(parameter, &format!("\"${{{name}}}\"")),
            "{braced}"
        );
    }
    // It may be a key.
    for line in ["hmac=md5 hmac_key=$secret", "hmac_key=${secret} hmac=md5"] {
        assert_eq!(refusal(line), takes_none("hmac_key", "one"));
    }
    for (line, parameter, name) in [
        ("mode=query from=query,header:$name", "from", "$name"),
        ("mode=query from=header:$name:nonce", "from", "$name"),
        ("mode=query learn=header:$name", "learn", "$name"),
        ("mode=query learn=header:X:$name", "learn", "$name"),
        ("mode=query learn=html,cookie:$name", "learn", "$name"),
    ] {
        let expected = takes_none(parameter, &format!("\"{name}\""));
        assert_eq!(refusal(line), expected, "{line}");
    }
}

#[test]
fn what_is_there_before_requests_has_no_variable_in_it() {
    for (line, parameter, value) in [
        ("mode=query zone=$name:1m", "zone", "$name:1m"),
        ("mode=query zone=a${name}:1m", "zone", "a${name}:1m"),
        ("mode=query state=/run/$host/s", "state", "/run/$host/s"),
        ("hmac=md5 hmac_key_file=a$host", "hmac_key_file", "a$host"),
    ] {
        let expected = takes_none(parameter, &format!("\"{value}\""));
        assert_eq!(refusal(line), expected, "{line}");
    }
}

#[test]
fn any_other_dollar_is_text() {
    for line in [
        "name=a$b",
        "name=$",
        "hmac=md5 hmac_key=pa$$word-1234567",
        "hmac=md5 hmac_key=$secret-and-more-of-it",
        "transfer delimiter=$",
        "mode=query name=a$b name=$-x",
        "mode=query id_delimiter=$",
        "mode=query state=/run/a$",
        "mode=query zone=a$:1m",
        "mode=query learn=json:$id",
    ] {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        assert!(parse(&words).is_ok(), "{line}: {:?}", parse(&words));
    }
}

#[test]
fn places_and_sources_may_be_variables() {
    let rule = |line: &str| {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        match parse(&words) {
            Ok(Mode::Query(rule)) => rule,
            other => panic!("{line}: {other:?}"),
        }
    };
    let texts = |rule: &QueryRule| -> Vec<String> {
        let texts = rule.variables.iter();
        texts
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .collect()
    };
    let mut several =
        rule("mode=query from=$a,query,${b}-$c learn=header:x,$upstream_http_y,$a,html");
    assert_eq!(texts(&several), ["$a", "${b}-$c", "$upstream_http_y"]);
    assert_eq!(
        several.from,
        [Place::Variable(0), Place::Query, Place::Variable(1)]
    );
    assert_eq!(several.learn.variables, [2, 0]);
    several.number_variables_from(5);
    assert_eq!(
        several.from,
        [Place::Variable(5), Place::Query, Place::Variable(6)]
    );
    assert_eq!(several.learn.variables, [7, 5]);
    assert!(texts(&rule("mode=query")).is_empty());

    for (line, parameter, value) in [
        ("mode=query from=$a,query,$a", "from", "$a"),
        ("mode=query learn=$a,$a", "learn", "$a"),
    ] {
        let refused = refusal(line);
        assert!(
            refused.contains(parameter) && refused.contains(value),
            "{line}: {refused}"
        );
    }
    for line in [
        "mode=query from=a$b",
        "mode=query from=$",
        "mode=query from=$-",
        "mode=query learn=a$b",
        "mode=query learn=$",
    ] {
        let refused = refusal(line);
        assert!(refused.contains("\"$VARIABLE\""), "{line}: {refused}");
    }
}

#[test]
fn domain_and_path_take_variables() {
    let words = [&b"domain=.$host"[..], b"path=${prefix}/"];
    match parse(&words) {
        Ok(Mode::Cookie(rule)) => {
            assert_eq!(rule.domain.as_deref(), Some(&b".$host"[..]));
            assert_eq!(rule.path, b"${prefix}/");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_size_is_no_name_of_a_zone() {
    for size in ["10m", "64k", "1M", "32768"] {
        assert_eq!(
            refusal(&format!("mode=query zone={size}")),
            format!(
                "\"zone={size}\" in \"sticky\" directive is a size without a name, \
                 expected \"zone=NAME:SIZE\" as in \"zone=shop:1m\""
            )
        );
    }
    for name in ["10m:1m", "m", "10", "a10m"] {
        let words = [&b"mode=query"[..], &[b"zone=", name.as_bytes()].concat()];
        assert_eq!(parse(&words).is_ok(), name != "10", "{name}");
    }
}

#[test]
fn a_key_may_stand_in_a_file() {
    let words = [&b"hmac=sha1"[..], b"hmac_key_file=a/key"];
    assert_eq!(key_file(&words), Some(&b"a/key"[..]));
    for (content, key) in [
        (&b"k=1 2;3"[..], &b"k=1 2;3"[..]),
        (b"k\n", b"k"),
        (b"k\r\n", b"k"),
        (b"k\n\n", b"k\n"),
        (b"$secret", b"$secret"),
        (b" \n", b" "),
    ] {
        match parse_with_key(&words, content) {
            Ok(Mode::Cookie(rule)) => {
                assert_eq!(rule.recipe, Recipe::Hmac(Algorithm::Sha1, key.into()));
            }
            other => panic!("{other:?}"),
        }
    }
    for content in [&b""[..], b"\n", b"\r\n"] {
        let refused = parse_with_key(&words, content).map(|_| ()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "no key in the file of \"hmac_key_file\" in \"sticky\" directive"
        );
    }
    assert_eq!(
        refusal("hmac=md5 hmac_key_file=f hmac_key=k"),
        "\"hmac_key\" together with \"hmac_key_file\" in \"sticky\" directive: \
         expected one of them"
    );
}

#[test]
fn other_words_name_no_file() {
    for words in [
        &[][..],
        &[&b"hmac_key=k"[..]],
        &[b"hmac_key_file="],
        &[b"hmac_key_file=$file"],
        &[b"hmac_key_file"],
        &[b"cookie", b"hmac_key_file=f"],
    ] {
        assert_eq!(key_file(words), None);
    }
}
