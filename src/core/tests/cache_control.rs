//! Tests for what shared caches may keep. Without them, a cache hands one client's cookie to all,
//! or clients whose pages nobody shares get none.

use sticky_core::http::cache_control::is_for_all;
use sticky_core::http::cookie::{without, SameSite};

#[test]
fn a_response_for_all_says_so() {
    for (values, expected) in [
        (&["public"][..], true),
        (&["PUBLIC"], true),
        (&["max-age=1, public"], true),
        (&[" , public ,"], true),
        (&["s-maxage=0"], true),
        (&["s-maxage=\"5\""], true),
        (&["max-age=1", "s-maxage=1"], true),
        (&["x=\"a\\\", private\", public"], true),
        (&["max-age=1"], false),
        (&["must-revalidate"], false),
        (&["xpublic, publicx, s-max-age=1"], false),
        (&["x=public"], false),
        (&["x=\"1, public\""], false),
        (&["x=\"1, public"], false),
        (&["public, private"], false),
        (&["public", "private"], false),
        (&["private=\"x, y\", public"], false),
        (&["public, No-Store"], false),
        (&["no-cache, s-maxage=1"], false),
        (&[""], false),
        (&[], false),
    ] {
        let all = values.iter().map(|value| value.as_bytes());
        assert_eq!(is_for_all(all), expected, "{values:?}");
    }
}

#[test]
fn cookies_are_left_without_ours() {
    let names = [b"route"[..].into(), b"srv"[..].into()];
    for (headers, expected) in [
        (&["a=1; route=x; b=2"][..], Some("a=1; b=2")),
        (&["route=x"], None),
        (&["route=x; srv=y"], None),
        (&["route=x;route=y;a=1"], Some("a=1")),
        (&[" route = x ;a=1"], Some("a=1")),
        (&["a=1;  b=2 ;"], Some("a=1;  b=2 ;")),
        (&["a=1;  b=2 ; srv="], Some("a=1; b=2")),
        (&["a=1", "b=2"], Some("a=1; b=2")),
        (&["route=x", "b=2"], Some("b=2")),
        (&["b=2", "route=x"], Some("b=2")),
        (&["", "b=2"], Some("b=2")),
        (
            &["xroute=1; routex=2; Route=3; route; srv"],
            Some("xroute=1; routex=2; Route=3; route; srv"),
        ),
        (&["a=\"route=1\""], Some("a=\"route=1\"")),
        (&[""], None),
        (&[], None),
    ] {
        let left = without(headers.iter().map(|header| header.as_bytes()), &names);
        assert_eq!(left.as_deref(), expected.map(str::as_bytes), "{headers:?}");
    }
}

#[test]
fn samesite_is_one_of_three() {
    for (name, expected) in [
        ("strict", Some(SameSite::Strict)),
        ("Lax", Some(SameSite::Lax)),
        ("NONE", Some(SameSite::None)),
        ("", None),
        ("lax ", None),
        ("stricter", None),
    ] {
        assert_eq!(SameSite::named(name.as_bytes()), expected, "{name}");
    }
}
