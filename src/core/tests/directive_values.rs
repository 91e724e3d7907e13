//! Tests for invalid values, and for parameters that exclude each other. Without them, a
//! configuration may start that cannot work.

mod refusal;

use refusal::{refusal, refusal_of};

#[test]
fn an_invalid_value_gets_what_was_expected() {
    let expires = "expected a time of at least 1 second, as in \"1h30m\"";
    let limit = "expected a time of 1 second to 366 days, as in \"1h30m\"";
    let places = "expected a list of \"query\", \"form\", \"path\", \"cookie\", \"segment:PREFIX\", \"json\", \
                  \"json:NAME\", \"xml\", \"xml:NAME\", \"bearer\", \"header:NAME\", \
                  \"header:NAME:PARAMETER\" and \"$VARIABLE\", divided by commas";
    let learners =
        "expected \"off\", or a list of \"html\", \"forms\", \"json\", \"sse\", \"text\", \
                    \"xml\", \"script\", \"json:NAME\", \"xml:NAME\", \"location\", \"cookie\", \
                    \"cookie:NAME\", \"header:NAME\", \"header:NAME:PARAMETER\", \
                    \"$VARIABLE\" and \"request\", divided by commas";
    let delimiter = "expected one character, as in \"id_delimiter=.\", that is no letter or digit";
    let prefix = "expected the path before the id, from \"/\" to \"/\", as in \"segment:/session/\" or \
                  \"segment:/v1/statement/*/\", with \"*\" for a whole segment and without \"?\" and \
                  \"#\", of at most 256 bytes";
    let letters = "expected a name without parentheses to look for there";
    let zone = "expected \"zone=off\", or \"zone=NAME\" or \"zone=NAME:SIZE\" as in \"shop:1m\"";
    for (line, value, parameter, expected) in [
        (
            "no_fallback=404",
            "404",
            "no_fallback",
            "expected \"502\", as without a value, or \"503\"",
        ),
        (
            "cacheable=yes",
            "yes",
            "cacheable",
            "expected \"on\" or \"off\"",
        ),
        (
            "hash=md4",
            "md4",
            "hash",
            "expected \"index\", \"md5\", \"sha1\" or \"sha256\"",
        ),
        (
            "hash=MD5",
            "MD5",
            "hash",
            "expected \"index\", \"md5\", \"sha1\" or \"sha256\"",
        ),
        (
            "hash=md5x",
            "md5x",
            "hash",
            "expected \"index\", \"md5\", \"sha1\" or \"sha256\"",
        ),
        (
            "hmac=index hmac_key=k",
            "index",
            "hmac",
            "expected \"md5\", \"sha1\" or \"sha256\"",
        ),
        ("text=plain", "plain", "text", "expected \"raw\""),
        (
            "samesite=Lax",
            "Lax",
            "samesite",
            "expected \"strict\", \"lax\", \"none\" or a variable",
        ),
        ("expires=0", "0", "expires", expires),
        ("expires=max", "max", "expires", expires),
        ("expires=-1", "-1", "expires", expires),
        (
            "expires=99999999999999999999",
            "99999999999999999999",
            "expires",
            expires,
        ),
        ("mode=query expires=0", "0", "expires", limit),
        ("mode=query expires=367d", "367d", "expires", limit),
        (
            "mode=query expires=4294967296",
            "4294967296",
            "expires",
            limit,
        ),
        ("mode=query expires=5ms", "5ms", "expires", limit),
        ("mode=query lifetime=0s", "0s", "lifetime", limit),
        ("mode=query lifetime=2y", "2y", "lifetime", limit),
        (
            "mode=query lifetime=59m expires=1h",
            "59m",
            "lifetime",
            "expected a time that is not below \"expires\"",
        ),
        ("mode=query from=body", "body", "from", places),
        ("mode=query from=query,", "", "from", places),
        ("mode=query from=,", "", "from", places),
        ("mode=query from=Query", "Query", "from", places),
        ("mode=query from=query;form", "query;form", "from", places),
        ("mode=query learn=css", "css", "learn", learners),
        ("mode=query learn=html,,location", "", "learn", learners),
        ("mode=query learn=header", "header", "learn", learners),
        ("mode=query learn=header:", "header:", "learn", learners),
        (
            "mode=query learn=header:a:b:c",
            "header:a:b:c",
            "learn",
            learners,
        ),
        ("mode=query learn=cookie:", "cookie:", "learn", learners),
        (
            "mode=query learn=cookie:a=b",
            "cookie:a=b",
            "learn",
            learners,
        ),
        ("mode=query learn=json:", "json:", "learn", learners),
        ("mode=query learn=json:a..b", "json:a..b", "learn", learners),
        ("mode=query learn=json:.a.", "json:.a.", "learn", learners),
        ("mode=query learn=html:a", "html:a", "learn", learners),
        ("mode=query learn=off:", "off:", "learn", learners),
        ("mode=query from=path:", "path:", "from", places),
        ("mode=query from=header", "header", "from", places),
        ("mode=query from=header:", "header:", "from", places),
        ("mode=query from=header:a/b", "header:a/b", "from", places),
        ("mode=query from=header:a:", "header:a:", "from", places),
        ("mode=query from=header::a", "header::a", "from", places),
        ("mode=query from=bearer:a", "bearer:a", "from", places),
        ("mode=query learn=bearer", "bearer", "learn", learners),
        ("mode=query from=cookie:a", "cookie:a", "from", places),
        ("mode=query from=segment", "segment", "from", places),
        ("mode=query from=segment:", "segment:", "from", prefix),
        ("mode=query from=segment:a/", "segment:a/", "from", prefix),
        ("mode=query from=segment:/a", "segment:/a", "from", prefix),
        (
            "mode=query from=segment:/a?/",
            "segment:/a?/",
            "from",
            prefix,
        ),
        (
            "mode=query from=segment:/a*/",
            "segment:/a*/",
            "from",
            prefix,
        ),
        (
            "mode=query from=segment:/1/,segment:/2/,segment:/3/,segment:/4/,segment:/5/,\
             segment:/6/,segment:/7/,segment:/8/,segment:/9/",
            "segment:/9/",
            "from",
            "expected no more than 8 prefixes of segments",
        ),
        ("mode=query id_delimiter=a", "a", "id_delimiter", delimiter),
        (
            "mode=query id_delimiter=..",
            "..",
            "id_delimiter",
            delimiter,
        ),
        (
            "mode=query id_delimiter=\u{7f}",
            "\\x7f",
            "id_delimiter",
            delimiter,
        ),
        (
            "mode=query name=(S) from=header:X",
            "(S)",
            "name",
            "expected \"from=path\" beside a letter in parentheses",
        ),
        (
            "mode=query name=(S) from=path,query",
            "query",
            "from",
            letters,
        ),
        (
            "mode=query name=(S) from=form,path",
            "form",
            "from",
            letters,
        ),
        (
            "mode=query name=(S) from=path,cookie",
            "cookie",
            "from",
            letters,
        ),
        (
            "mode=query name=(S) from=path learn=json",
            "json",
            "learn",
            letters,
        ),
        (
            "mode=query name=(S) from=path learn=cookie",
            "cookie",
            "learn",
            letters,
        ),
        (
            "mode=query learn=off,html",
            "off,html",
            "learn",
            "expected \"off\" to stand alone",
        ),
        (
            "mode=query learn=html,off",
            "html,off",
            "learn",
            "expected \"off\" to stand alone",
        ),
        ("mode=query zone=:1m", ":1m", "zone", zone),
        ("mode=query zone=off:1m", "off:1m", "zone", zone),
    ] {
        assert_eq!(
            refusal(line),
            format!(
                "invalid value \"{value}\" of parameter \"{parameter}\" in \"sticky\" directive, \
                 {expected}"
            ),
            "sticky {line};"
        );
    }
}

#[test]
fn contradictions_are_refused() {
    let one_of = "expected one of \"hash\", \"hmac\" and \"text\"";
    for (line, one, other, why) in [
        ("hash=md5 hmac=md5 hmac_key=k", "hash", "hmac", one_of),
        ("hmac=md5 hash=md5", "hash", "hmac", one_of),
        ("hash=md5 text=raw", "hash", "text", one_of),
        ("text=raw hmac=md5 hmac_key=k", "hmac", "text", one_of),
        (
            "mode=query hosts=a.example learn=off",
            "hosts",
            "learn=off",
            "no links are read",
        ),
        (
            "mode=query hosts=a.example learn=json,cookie,header:X",
            "hosts",
            "learn",
            "no links are read",
        ),
        (
            "mode=query balance_factor=125 no_fallback",
            "balance_factor",
            "no_fallback",
            "the one lets requests go to another server, the other does not",
        ),
        (
            "mode=query state=/x zone=off",
            "state",
            "zone=off",
            "there is no zone to be kept",
        ),
        (
            "mode=query learn=forms,location,html",
            "learn=html",
            "learn=forms",
            "\"html\" reads the forms too, \"forms\" nothing else, expected one of them",
        ),
    ] {
        let expected =
            format!("\"{one}\" together with \"{other}\" in \"sticky\" directive: {why}");
        assert_eq!(refusal(line), expected, "sticky {line};");
    }
    let key = "a key has no effect on any other kind of value";
    let dropped = "browsers drop such a cookie";
    for (line, parameter, needed, why) in [
        (
            "mode=query name=a from=header:X learn=header:X,json:b",
            "name",
            "from=query",
            "nothing of that name is looked for",
        ),
        (
            "hmac=sha1",
            "hmac",
            "hmac_key",
            "expected \"hmac_key=KEY\" or \"hmac_key_file=FILE\" beside it",
        ),
        ("hmac_key=k", "hmac_key", "hmac", key),
        ("hmac_key=k hash=md5", "hmac_key", "hmac", key),
        ("hmac_key=k text=raw", "hmac_key", "hmac", key),
        ("hmac_key_file=f text=raw", "hmac_key_file", "hmac", key),
        (
            "delimiter=.",
            "delimiter",
            "transfer",
            "there is nothing to divide",
        ),
        ("samesite=none", "samesite=none", "secure", dropped),
        ("partitioned httponly", "partitioned", "secure", dropped),
    ] {
        let expected =
            format!("\"{parameter}\" without \"{needed}\" in \"sticky\" directive: {why}");
        assert_eq!(refusal(line), expected, "sticky {line};");
    }
}

#[test]
fn what_would_break_the_set_cookie_header_is_refused() {
    for bad in [" ", ";", ",", "\t", "\r\n", "\0", "\x7f"] {
        for parameter in ["name", "domain", "path"] {
            let word = format!("{parameter}=/a{bad}b");
            let message = refusal_of(&[word.as_bytes()]);
            assert!(message.starts_with("invalid value \"/a"), "{message}");
            assert!(
                message.contains(&format!("\" of parameter \"{parameter}\"")),
                "{message}"
            );
            assert!(
                !message.contains(|c: char| c.is_ascii_control()),
                "{message:?}"
            );
        }
    }
    for bad in [";", "\r\n", "\0", "\x7f", ". ;"] {
        let word = format!("delimiter={bad}");
        let message = refusal_of(&[b"transfer", word.as_bytes()]);
        assert!(message.contains("of parameter \"delimiter\""), "{message}");
    }
    assert!(refusal("name=a=b").contains("invalid value \"a=b\" of parameter \"name\""));
}

#[test]
fn zone_sizes_are_refused_with_the_messages_of_nginx() {
    let size = "expected \"zone=NAME:SIZE\" as in \"zone=shop:1m\"";
    for value in [
        "shop:",
        "shop:x",
        "shop:1g",
        "shop:-1",
        "shop:1m:1m",
        "shop:99999999999999999m",
    ] {
        assert_eq!(
            refusal(&format!("mode=query zone={value}")),
            format!("invalid zone size \"zone={value}\" in \"sticky\" directive, {size}")
        );
    }
    for value in ["shop:0", "shop:31k", "shop:32767"] {
        assert_eq!(
            refusal(&format!("mode=query zone={value}")),
            format!("zone \"{value}\" is too small in \"sticky\" directive, expected at least 32k")
        );
    }
    let message = refusal_of(&[b"mode=query", b"zone=a b:1m"]);
    assert!(
        message.starts_with("invalid value \"a b:1m\" of parameter \"zone\""),
        "{message}"
    );
}

#[test]
fn names_and_hosts_that_cannot_occur_are_refused() {
    let long = "n".repeat(65);
    for name in [
        "a b",
        "a=b",
        "a&b",
        "a,b",
        "a%20",
        "a;b",
        "b\u{fc}cher",
        &long,
    ] {
        let word = format!("name={name}");
        let message = refusal_of(&[b"mode=query", word.as_bytes()]);
        assert!(message.contains("of parameter \"name\""), "{message}");
    }
    let nine: Vec<String> = (1..=9).map(|n| format!("name=n{n}")).collect();
    assert_eq!(
        refusal(&format!("mode=query {}", nine.join(" "))),
        "invalid value \"n9\" of parameter \"name\" in \"sticky\" directive, \
         expected no more than 8 names"
    );
    for host in [
        "http://a.example",
        "a.example:80",
        "a.example/",
        "a..example",
        "a.example.",
        ".",
        "*",
        "*.",
        "**.a",
        "a.*",
        "..a",
        "*..a",
        "a,",
        ",",
        "b\u{fc}cher.example",
        "2001:db8::1",
        "[2001:db8::1]:80",
        "[]",
        "[::g]",
        "user@a.example",
        "~^a$",
    ] {
        let word = format!("hosts={host}");
        let message = refusal_of(&[b"mode=query", word.as_bytes()]);
        assert!(message.contains("of parameter \"hosts\" in \"sticky\" directive, expected "));
    }
}
