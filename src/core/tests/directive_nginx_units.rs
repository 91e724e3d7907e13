//! Tests for times and sizes. Without them, a configuration may mean something else to this module
//! than to nginx. Expected values follow from `ngx_parse_time()` and `ngx_parse_size()`.

use sticky_core::directive::nginx_units::{parse_milliseconds, parse_size, parse_time};

#[test]
fn times_are_read_as_nginx_reads_them() {
    let cases: &[(&str, Option<u64>)] = &[
        ("0", Some(0)),
        ("10", Some(10)),
        ("0010", Some(10)),
        ("10s", Some(10)),
        ("1m", Some(60)),
        ("1h", Some(3_600)),
        ("1d", Some(86_400)),
        ("1w", Some(604_800)),
        ("1M", Some(2_592_000)),
        ("1y", Some(31_536_000)),
        ("1h30m", Some(5_400)),
        ("1h 30m", Some(5_400)),
        ("1h  30m ", Some(5_400)),
        (
            "1y1M1w1d1h1m1s",
            Some(31_536_000 + 2_592_000 + 604_800 + 86_400 + 3_661),
        ),
        ("1h5", Some(3_605)),
        ("1h5 ", Some(3_605)),
        ("90m", Some(5_400)),
        ("m5", Some(5)),
        ("1hm", Some(3_600)),
        // A blank ends a number, whatever follows.
        ("10 ", Some(10)),
        (" 10", Some(10)),
        ("10 5", Some(15)),
        ("10 5 ", None),
        ("1 h", None),
        ("1s ", Some(1)),
        ("1s5", Some(6)),
        ("1s5 ", None),
        // Only a smaller unit may follow.
        ("30m1h", None),
        ("1h1h", None),
        ("1y1y", None),
        ("1s1s", None),
        ("1s1m", None),
        ("1M1y", None),
        // A time in seconds has no milliseconds.
        ("5ms", None),
        ("1s5ms", None),
        ("5m s", Some(300)),
        ("", None),
        (" ", None),
        ("h", None),
        ("s", None),
        ("-1", None),
        ("+1", None),
        ("1.5h", None),
        ("1H", None),
        ("1D", None),
        ("1h\t", None),
        ("1h,", None),
        ("max", None),
        ("\u{661}", None),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_time(text.as_bytes()), *expected, "{text:?}");
    }
    assert_eq!(parse_time(b"1\0"), None);
    assert_eq!(parse_time(b"\xff"), None);
}

#[test]
fn times_have_the_maximum_of_nginx() {
    let cases: &[(&str, Option<u64>)] = &[
        ("9223372036854775807", Some(i64::MAX as u64)),
        ("9223372036854775808", None),
        ("9223372036854775810", None),
        ("18446744073709551616", None),
        ("99999999999999999999999999", None),
        ("9223372036854775807s", Some(i64::MAX as u64)),
        ("153722867280912930m", Some(9_223_372_036_854_775_800)),
        ("153722867280912930m7s", Some(i64::MAX as u64)),
        ("153722867280912930m8s", None),
        ("153722867280912930m8", None),
        ("153722867280912931m", None),
        ("292471208677y", Some(292_471_208_677 * 31_536_000)),
        ("292471208678y", None),
        ("9223372036854775807y", None),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_time(text.as_bytes()), *expected, "{text:?}");
    }
}

#[test]
fn times_in_milliseconds_are_read_as_nginx_reads_them() {
    let cases = [
        ("2", Some(2_000)),
        ("2s", Some(2_000)),
        ("2ms", Some(2)),
        ("1s500ms", Some(1_500)),
        ("1m 500ms", Some(60_500)),
        ("1w", Some(604_800_000)),
        ("500ms1s", None),
        ("1ms1ms", None),
        ("1M", None),
        ("1y", None),
        ("", None),
        ("9223372036854775807", None),
        ("9223372036854775807ms", Some(9_223_372_036_854_775_807)),
        ("9223372036854775808ms", None),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_milliseconds(text.as_bytes()), expected, "{text:?}");
    }
}

#[test]
fn sizes_are_read_as_nginx_reads_them() {
    let cases: &[(&str, Option<usize>)] = &[
        ("0", Some(0)),
        ("1", Some(1)),
        ("0032", Some(32)),
        ("1k", Some(1_024)),
        ("1K", Some(1_024)),
        ("1m", Some(1_048_576)),
        ("1M", Some(1_048_576)),
        ("10m", Some(10_485_760)),
        ("", None),
        ("k", None),
        ("m", None),
        ("1g", None),
        ("1G", None),
        ("1b", None),
        ("1kk", None),
        ("1mk", None),
        ("-1", None),
        ("+1", None),
        (" 1", None),
        ("1 ", None),
        ("1 m", None),
        ("1.5m", None),
        ("0x10", None),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_size(text.as_bytes()), *expected, "{text:?}");
    }
}

#[cfg(target_pointer_width = "64")]
#[test]
fn sizes_have_the_maximum_of_nginx() {
    let cases: &[(&str, Option<usize>)] = &[
        ("9223372036854775807", Some(isize::MAX as usize)),
        ("9223372036854775808", None),
        ("18446744073709551616", None),
        ("9007199254740991k", Some(9_007_199_254_740_991 << 10)),
        ("9007199254740992k", None),
        ("8796093022207m", Some(8_796_093_022_207 << 20)),
        ("8796093022208m", None),
        ("9223372036854775807m", None),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_size(text.as_bytes()), *expected, "{text:?}");
    }
}
