//! Tests for the words of `sticky_cluster`. Without them a password gets into a log, or a node speaks
//! to another store than its operator means.

use sticky_core::directive::cluster::{parse, shown_url, ClusterRule, StoreAddress};

fn words(line: &str) -> Vec<&[u8]> {
    line.split(' ').map(str::as_bytes).collect()
}

fn rule(url: &str) -> ClusterRule {
    let line = format!("{url} key_file=k");
    parse(&words(&line)).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn refused(line: &str) -> String {
    match parse(&words(line)) {
        Ok(_) => panic!("accepted: {line}"),
        Err(error) => error.to_string(),
    }
}

fn tcp(host: &str, port: u16) -> StoreAddress {
    StoreAddress::Tcp(host.to_owned(), port)
}

#[test]
fn a_url_tells_where_the_store_is() {
    for (url, server, tls, database) in [
        ("redis://10.0.0.9", tcp("10.0.0.9", 6379), false, 0),
        ("redis://10.0.0.9/", tcp("10.0.0.9", 6379), false, 0),
        (
            "redis://store.example:6380/2",
            tcp("store.example", 6380),
            false,
            2,
        ),
        ("valkey://store", tcp("store", 6379), false, 0),
        (
            "rediss://[2001:db8::9]:6380/15",
            tcp("2001:db8::9", 6380),
            true,
            15,
        ),
        ("valkeys://[::1]", tcp("::1", 6379), true, 0),
        (
            "unix:/run/redis.sock",
            StoreAddress::Unix(b"/run/redis.sock".to_vec()),
            false,
            0,
        ),
        (
            "unix:///run/redis.sock?db=3",
            StoreAddress::Unix(b"/run/redis.sock".to_vec()),
            false,
            3,
        ),
        (
            "redis+unix:///r@s",
            StoreAddress::Unix(b"/r@s".to_vec()),
            false,
            0,
        ),
    ] {
        let store = rule(url).store;
        assert_eq!(store.servers, [server], "{url}");
        assert_eq!(
            (store.tls, store.database, store.service),
            (tls, database, None),
            "{url}"
        );
        assert_eq!((store.user, store.password), (None, None), "{url}");
    }
}

#[test]
fn a_url_tells_the_sentinels() {
    let store = rule("redis+sentinel://a,b:1,[::1]:2/mymaster/4").store;
    assert_eq!(store.servers, [tcp("a", 26379), tcp("b", 1), tcp("::1", 2)]);
    assert_eq!(store.service.as_deref(), Some("mymaster"));
    assert_eq!((store.tls, store.database), (false, 4));
    assert!(rule("rediss+sentinel://a/m").store.tls);
}

#[test]
fn a_url_tells_who_one_is() {
    let of = |url: &str| {
        let store = rule(url).store;
        (store.user, store.password)
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(of("redis://u:p@h"), (some("u"), some("p")));
    assert_eq!(of("redis://:p@h"), (None, some("p")));
    assert_eq!(of("redis://u%40x:p%3A%2f@h/1"), (some("u@x"), some("p:/")));
    assert_eq!(of("redis://u:p@q@h"), (some("u"), some("p@q")));
    assert_eq!(of("redis+sentinel://u:p@a,b/m"), (some("u"), some("p")));
    let words = words("redis://u@h key_file=k password_file=p");
    let rule = parse(&words).expect("it is valid");
    assert_eq!((rule.store.user, rule.store.password), (some("u"), None));
}

#[test]
fn parameters_have_their_defaults() {
    let given = rule("redis://h");
    assert_eq!(given.key_file, b"k");
    assert_eq!(
        (given.old_key_file, given.password_file, given.ca_file),
        (None, None, None)
    );
    assert_eq!(
        (given.prefix.as_str(), given.wait, given.cert_files),
        ("sticky:", 5_000, None)
    );
    let all = "rediss://h wait=500ms prefix=shop: cert_key_file=ck cert_file=c ca_file=a \
               password_file=p old_key_file=o key_file=k";
    let given = parse(&words(all)).expect("it is valid");
    assert_eq!(given.key_file, b"k");
    assert_eq!(given.old_key_file.as_deref(), Some(&b"o"[..]));
    assert_eq!(given.password_file.as_deref(), Some(&b"p"[..]));
    assert_eq!(given.ca_file.as_deref(), Some(&b"a"[..]));
    assert_eq!(given.cert_files, Some((b"c".to_vec(), b"ck".to_vec())));
    assert_eq!((given.prefix.as_str(), given.wait), ("shop:", 500));
    let never = parse(&words("redis://h key_file=k wait=0")).expect("it is valid");
    assert_eq!(never.wait, 0);
}

#[test]
fn what_is_no_store_is_refused() {
    for url in [
        "",
        "h",
        "h:6379",
        "http://h",
        "redis:h",
        "redis://",
        "redis:///0",
        "redis://h:",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:+1",
        "redis://::1",
        "redis://[h]",
        "redis://a,b",
        "redis://h?db=1",
        "redis://h#1",
        "redis://a_b!c",
        "unix:run/x",
        "unix:",
        "redis+unix://x",
        "redis+sentinel://a,,b/m",
        "redis+sentinel:///m",
        "redis+sentinel://a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a/m",
        "redis://%ff:%ff@h",
    ] {
        let message = refused(&format!("{url} key_file=k"));
        assert!(
            message.starts_with("invalid URL \"")
                && message.contains("expected \"redis://HOST\", "),
            "{url}: {message}"
        );
    }
    for url in [
        "redis://h/x",
        "redis://h/1/2",
        "redis://h/-1",
        "unix:/x?db=",
        "unix:/x?pass=1",
    ] {
        let message = refused(&format!("{url} key_file=k"));
        assert!(
            message.starts_with("invalid database in \""),
            "{url}: {message}"
        );
    }
    for url in [
        "redis+sentinel://a",
        "redis+sentinel://a/",
        "redis+sentinel://a//1",
        "redis+sentinel://a/m m",
    ] {
        let message = parse(&[url.as_bytes(), b"key_file=k"]).map_err(|error| error.to_string());
        assert!(
            message
                .as_ref()
                .is_err_and(|it| it.starts_with("no service in \"")),
            "{url}: {message:?}"
        );
    }
}

#[test]
fn wrong_words_are_refused() {
    let value = |parameter, value| {
        format!(
            "invalid value \"{value}\" of parameter \"{parameter}\" in \"sticky_cluster\" directive, \
             expected "
        )
    };
    for (rest, message) in [
        ("", "no \"key_file\" in \"sticky_cluster\" directive, expected \"key_file=FILE\" with the key \
              that all nodes have".to_owned()),
        (" key_file=", "no value for \"key_file\" in \"sticky_cluster\" directive, expected \
                        \"key_file=FILE\"".to_owned()),
        (" wait", "no value for \"wait\" in \"sticky_cluster\" directive, expected \"wait=TIME\"".to_owned()),
        (" key_file=k key_file=l", "\"sticky_cluster\" directive parameter \"key_file\" is duplicate".to_owned()),
        (" key_file=k wait=61s", value("wait", "61s") + "a time up to 60 s, as in \"wait=5s\""),
        (" key_file=k wait=x", value("wait", "x") + "a time up to 60 s, as in \"wait=5s\""),
        (" key_file=k prefix=a*", value("prefix", "a*") + "visible characters but those of patterns and \
                                                           quotes, 64 at most"),
        (" key_file=k tls=on", "invalid parameter \"tls=on\" in \"sticky_cluster\" directive, expected \
                                \"key_file=FILE\", \"old_key_file=FILE\", \"password_file=FILE\", \
                                \"ca_file=FILE\", \"cert_file=FILE\", \"cert_key_file=FILE\", \
                                \"prefix=TEXT\", \"wait=TIME\"".to_owned()),
        (" key_file=k ca_file=a", "\"ca_file\" without \"rediss://\" in \"sticky_cluster\" directive has \
                                   no effect".to_owned()),
        (" key_file=k cert_file=a", "\"cert_file\" without \"cert_key_file\" in \"sticky_cluster\" \
                                     directive has no effect".to_owned()),
        (" key_file=k cert_key_file=a", "\"cert_key_file\" without \"cert_file\" in \"sticky_cluster\" \
                                         directive has no effect".to_owned()),
    ] {
        assert_eq!(refused(&format!("redis://h{rest}")), message, "{rest}");
    }
    assert!(
        refused(&format!("redis://h key_file=k prefix={}", "x".repeat(65)))
            .starts_with("invalid value")
    );
    assert!(refused("redis://u@h key_file=k").starts_with("a user without a password in the URL"));
    let both = refused("redis://:p@h key_file=k password_file=p");
    assert!(
        both.starts_with("\"password_file\" together with a password in the URL"),
        "{both}"
    );
}

#[test]
fn no_message_shows_a_password() {
    for line in [
        "redis://user:s3cret@h:0 key_file=k",
        "redis://user:s3cret@h/x key_file=k",
        "redis://user:s3cret@h",
        "redis://user:s3cret@h key_file=k password_file=p",
        "redis+sentinel://user:s3cret@h key_file=k",
        "user:s3cret@h key_file=k",
        "http://user:s3cret@h",
        "unix:/run/x?pass=s3cret key_file=k",
        "redis://h?pass=s3cret key_file=k",
        "redis://h redis://user:s3cret@h",
        "redis://h password=s3cret key_file=k",
        "redis://h key=s3cret",
    ] {
        let message = refused(line);
        assert!(
            !message.contains("s3cret") && !message.contains("user:"),
            "{line}: {message}"
        );
    }
    let shown = |url: &str| String::from_utf8(shown_url(&[url.as_bytes()])).expect("text");
    assert_eq!(shown("redis://user:s3cret@h:1/2"), "redis://***@h:1/2");
    assert_eq!(shown("redis://user:a@b@h"), "redis://***@h");
    assert_eq!(shown("redis://h:1/2"), "redis://h:1/2");
    assert_eq!(
        format!("{:?}", rule("redis://user:s3cret@h")).find("s3cret"),
        None
    );
}
