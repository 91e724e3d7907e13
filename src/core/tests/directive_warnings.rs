//! Tests for warnings about directives that are accepted. Without them, an operator whose sessions
//! are never found has nothing to go by, or one whose configuration is in order is bothered.

use sticky_core::directive::{parse, parse_with_key, warnings};

fn said(line: &str) -> Vec<String> {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    match parse(&words) {
        Ok(mode) => {
            let doubts = warnings(&mode, &words);
            doubts.iter().map(ToString::to_string).collect()
        }
        Err(error) => panic!("{line} refused: {error}"),
    }
}

#[track_caller]
fn check(line: &str, expected: &str) {
    assert_eq!(said(line), [expected], "sticky {line};");
}

#[test]
fn a_short_key() {
    let short = |bytes: usize| {
        format!(
            "the key of \"hmac\" in \"sticky\" directive has {bytes} bytes and may be guessed, \
             expected at least 16 random ones"
        )
    };
    check("hmac=md5 hmac_key=k", &short(1));
    check("hmac=sha256 hmac_key=123456789012345", &short(15));
    check("mode=rewrite hmac=sha256 hmac_key=secret", &short(6));
    let words = [&b"hmac=md5"[..], b"hmac_key_file=f"];
    for (key, warned) in [
        (&b"123456789012345\n"[..], true),
        (b"1234567890123456", false),
    ] {
        let mode = parse_with_key(&words, key).unwrap();
        assert_eq!(!warnings(&mode, &words).is_empty(), warned);
    }
}

#[test]
fn attributes_that_browsers_do_not_take() {
    let path = "\"path=shop\" in \"sticky\" directive is ignored by browsers, \
                expected a path that begins with \"/\"";
    check("path=shop", path);
    for domain in [
        "https://a.example",
        "a.example:8080",
        "a.example/",
        "$host:8080",
    ] {
        let expected = format!(
            "a cookie with \"domain={domain}\" in \"sticky\" directive is dropped by browsers, \
             expected a host name without scheme, port and path, as in \"example.com\""
        );
        check(&format!("domain={domain}"), &expected);
    }
    let both = said("path=shop domain=a:1 hmac=md5 hmac_key=k");
    assert_eq!(both.len(), 3, "{both:?}");
}

#[test]
fn a_cookie_on_one_side_alone() {
    let learned = "\"sticky\" directive finds no session: \"from=cookie\" takes the id from a \
                   cookie, but \"learn\" reads none, expected \"learn=cookie\"";
    for learn in ["html", "forms", "location", "forms,location"] {
        check(&format!("mode=query from=cookie learn={learn}"), learned);
    }
    let read = "\"sticky\" directive finds no session: \"learn=cookie\" takes the id from a \
                cookie, but \"from\" reads none, expected \"from=cookie\"";
    for from in [
        "query",
        "form",
        "path",
        "header:X",
        "query,header:X",
        "bearer",
        "header:Authorization:nonce",
    ] {
        check(&format!("mode=query learn=cookie from={from}"), read);
    }
}

#[test]
fn bodies_of_requests_alone() {
    let json =
        "\"sticky\" directive finds no session: \"from=json\" takes the id from a body, but \
                \"learn\" reads none by default, expected \"learn=json\"";
    for from in ["json", "json:a", "json:.a,json:b.0"] {
        check(&format!("mode=query from={from}"), json);
    }
    let xml = json.replace("json", "xml");
    check("mode=query from=xml:a", &xml);
    check("mode=query from=xml,json", &xml);
}

#[test]
fn a_well_known_cookie_in_another_case() {
    let expected = |name: &str, cookie: &str| {
        format!(
            "\"name={name}\" in \"sticky\" directive does not find the cookie \"{cookie}\", as case \
             matters but in paths, expected \"name={cookie}\""
        )
    };
    for (name, cookie) in [
        ("jsessionid", "JSESSIONID"),
        ("JSessionID", "JSESSIONID"),
        ("phpsessid", "PHPSESSID"),
        ("asp.net_sessionid", "ASP.NET_SessionId"),
        ("CgiSessId", "CGISESSID"),
    ] {
        let expected = expected(name, cookie);
        check(&format!("mode=query name={name}"), &expected);
        check(
            &format!("mode=query name=x name={name} from=query,cookie"),
            &expected,
        );
    }
    let names = said("mode=query name=phpsessid name=jsessionid name=JSESSIONID");
    assert_eq!(names, [expected("phpsessid", "PHPSESSID")]);
}

#[test]
fn nothing_to_say() {
    for line in [
        "name=route",
        "path=/",
        "path=$prefix",
        "path=${uri}x",
        "domain=.example.com",
        "domain=.$host",
        "hmac=md5 hmac_key=1234567890123456",
        "mode=query",
        "mode=query from=cookie",
        "mode=query learn=cookie",
        "mode=query learn=cookie:id",
        "mode=query name=JSESSIONID",
        "mode=query name=jsessionid name=JSESSIONID",
        "mode=query name=jsessionid from=path",
        "mode=query name=session",
        "mode=query zone=off",
        "mode=query learn=off from=cookie",
        "mode=query learn=off",
        "mode=query from=cookie learn=cookie",
        "mode=query from=cookie,query",
        "mode=query from=cookie,header:X",
        "mode=query from=cookie learn=html,cookie",
        "mode=query from=query learn=html,cookie",
        "mode=query from=query,cookie learn=cookie",
        "mode=query from=cookie learn=json",
        "mode=query from=cookie learn=header:X",
        "mode=query from=cookie learn=text",
        "mode=query from=cookie learn=sse",
        "mode=query learn=cookie,json",
        "mode=query learn=cookie,text",
        "mode=query from=header:X",
        "mode=query from=json learn=json",
        "mode=query from=json learn=location",
        "mode=query from=json,query",
        "mode=query from=xml learn=xml",
        "mode=query from=cookie learn=xml",
        "mode=query from=bearer learn=json:access_token",
        "mode=query from=$cookie_sid learn=cookie",
        "mode=query from=cookie learn=$upstream_cookie_sid",
        "mode=query from=cookie learn=header:X:y",
        "mode=rewrite",
        "cookie srv path=shop",
    ] {
        assert_eq!(said(line), [""; 0], "sticky {line};");
    }
}
