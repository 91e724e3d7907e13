//! Tests for what is sent to statsd: without them a name of the configuration could become another
//! metric, or a packet be too large for the way.

use sticky_core::counters::Counted;
use sticky_core::directive::statsd::{parse, Address, StatsdError, LONGEST_PREFIX};
use sticky_core::statsd::{counter_name, safe_name, Packets, LARGEST_PACKET, LONGEST_NAME};

fn udp(host: &str, port: u16) -> Option<Address> {
    Some(Address::Udp(host.to_owned(), port))
}

#[test]
fn words_become_an_address() {
    let address = |word: &str| parse(&[word.as_bytes()]).ok().map(|rule| rule.address);
    assert_eq!(address("127.0.0.1:9125"), udp("127.0.0.1", 9125));
    assert_eq!(address("127.0.0.1"), udp("127.0.0.1", 8125));
    assert_eq!(
        address("statsd.example.com:1"),
        udp("statsd.example.com", 1)
    );
    assert_eq!(address("[::1]:9125"), udp("::1", 9125));
    assert_eq!(address("[::1]"), udp("::1", 8125));
    assert_eq!(
        address("unix:/run/statsd.sock"),
        Some(Address::Unix(b"/run/statsd.sock".to_vec()))
    );
    for wrong in [
        "",
        ":8125",
        "host:",
        "host:0",
        "host:65536",
        "host:+1",
        "host:a",
        "host:1:2",
        "::1",
        "[::1",
        "[::1]8125",
        "[host]:1",
        "[]:1",
        "unix:",
        "unix:run",
        "ho st:1",
        "h\u{e9}:1",
        "udp://h:1",
        "prefix=a",
        "$host:1",
    ] {
        let error = Err(StatsdError::Address(wrong.as_bytes().to_vec()));
        assert_eq!(parse(&[wrong.as_bytes()]), error, "{wrong}");
    }
    assert!(parse(&[b"host\xff:1"]).is_err());
    assert!(parse(&[]).is_err());
}

#[test]
fn a_prefix_is_parts_of_a_name() {
    let prefix = |value: &str| {
        let word = format!("prefix={value}");
        parse(&[b"h", word.as_bytes()]).ok().map(|rule| rule.prefix)
    };
    assert_eq!(parse(&[b"h"]).unwrap().prefix, "nginx_sticky");
    for right in ["a", "edge.nginx-1.sticky_rs", "9"] {
        assert_eq!(prefix(right).as_deref(), Some(right));
    }
    let longest = "x".repeat(LONGEST_PREFIX);
    assert!(prefix(&longest).is_some());
    assert!(prefix(&format!("{longest}x")).is_none());
    for wrong in [
        "", ".", "a.", ".a", "a..b", "a b", "a:1|c", "a|b", "a@b", "a\nb", "\u{e9}",
    ] {
        assert_eq!(prefix(wrong), None, "{wrong}");
    }
    let twice = parse(&[b"h", b"prefix=a", b"prefix=b"]);
    assert_eq!(twice, Err(StatsdError::Duplicate));
    let error = parse(&[b"h", b"prefx=a"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid parameter \"prefx=a\" in \"sticky_statsd\" directive, expected \"prefix=NAME\""
    );
}

#[test]
fn no_name_is_more_than_a_part_of_one() {
    assert_eq!(safe_name(b"127.0.0.1:8081"), "127_0_0_1_8081");
    assert_eq!(safe_name(b"unix:/run/a.sock"), "unix__run_a_sock");
    assert_eq!(
        safe_name(b"a:1|c|@0.1\nb:2|g#t \xff"),
        "a_1_c__0_1_b_2_g_t__"
    );
    for byte in 0..=u8::MAX {
        let name = safe_name(&[byte]);
        assert!(name.len() == 1 && !":|@#.\n\r \0".contains(&name), "{byte}");
    }
    assert_eq!(safe_name(&[b'x'; 5000]).len(), LONGEST_NAME);
}

#[test]
fn every_counter_has_a_name_of_its_own() {
    let names: Vec<_> = Counted::all().map(counter_name).collect();
    let mut different = names.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), names.len());
    for name in names {
        for part in name.split('.') {
            assert_eq!(safe_name(part.as_bytes()), part);
        }
    }
}

#[test]
fn lines_go_into_packets_of_bounded_size() {
    let mut packets = Packets::new("a.b");
    assert_eq!(packets.rest(), None);
    assert_eq!(packets.count("hits", 3), None);
    assert_eq!(packets.gauge("load", u64::MAX), None);
    assert_eq!(
        packets.rest().as_deref(),
        Some(&b"a.b.hits:3|c\na.b.load:18446744073709551615|g"[..])
    );
    assert_eq!(packets.rest(), None);

    // None is lost or comes twice, and each is as full as it can be.
    let mut sent = Vec::new();
    for number in 0..1000u64 {
        sent.extend(packets.count(&"x".repeat(number as usize % 300), number));
    }
    sent.extend(packets.rest());
    assert!(sent.iter().all(|packet| packet.len() <= LARGEST_PACKET));
    for pair in sent.windows(2) {
        let next = pair[1].split(|byte| *byte == b'\n').next().unwrap();
        assert!(pair[0].len() + 1 + next.len() > LARGEST_PACKET);
    }
    let lines: Vec<&[u8]> = sent
        .iter()
        .flat_map(|packet| packet.split(|byte| *byte == b'\n'))
        .collect();
    assert_eq!(lines.len(), 1000);
    for (number, line) in lines.iter().enumerate() {
        assert!(line.ends_with(format!(":{number}|c").as_bytes()));
    }

    // The longest name that there can be.
    let mut packets = Packets::new(&"p".repeat(LONGEST_PREFIX));
    let name = "n".repeat(LONGEST_NAME);
    packets.gauge(
        &format!("upstream.{name}.server.{name}.sessions_forgotten.unused"),
        u64::MAX,
    );
    assert!(packets.rest().unwrap().len() <= LARGEST_PACKET);
}
