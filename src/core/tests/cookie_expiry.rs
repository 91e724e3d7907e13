//! Tests for cookies that a server deletes. Without them, an id that a logout deletes may be
//! learned as if it were a new one.

use sticky_core::http::cookie::is_deletion;

#[test]
fn cookies_are_deleted_by_a_time_that_has_passed() {
    // Sun, 22 Nov 2026 10:00:00 GMT
    const NOW: i64 = 1_795_341_600;

    for (attributes, expected) in [
        ("", false),
        ("; Path=/; Secure; HttpOnly; SameSite=Lax", false),
        ("; Max-Age=3600", false),
        ("; Max-Age=0", true),
        ("; max-age = 000 ", true),
        ("; Max-Age=-1", true),
        ("; MAX-AGE=0", true),
        ("; EXPIRES=Thu, 01 Jan 1970 00:00:00 GMT", true),
        ("; Max-Age=x", false),
        ("; Max-Age=-", false),
        ("; Max-Age=1; Max-Age=0", true),
        ("; Max-Age=0; Max-Age=1", false),
        ("; Max-Age=0; Expires=Fri, 01 Jan 2027 00:00:00 GMT", true),
        ("; Max-Age=9; Expires=Thu, 01 Jan 1970 00:00:00 GMT", false),
        ("; Expires=Thu, 01 Jan 1970 00:00:00 GMT", true),
        ("; expires=Thu, 01-Jan-1970 00:00:01 GMT", true),
        ("; Expires=Thu, 01-Jan-70 00:00:01 GMT", true),
        ("; Expires=Thursday, 01-Jan-70 00:00:01 GMT", true),
        ("; Expires=Thu Jan  1 00:00:00 1970", true),
        ("; Expires=Sun, 22 Nov 2026 10:00:00 GMT", true),
        ("; Expires=Sun, 22 Nov 2026 10:00:01 GMT", false),
        ("; Expires=Sun, 22 Nov 2026 09:59:59 GMT", true),
        ("; Expires=Sun, 22-Nov-26 10:01:00 GMT", false),
        ("; Expires=Mon, 23 Nov 2026 00:00:00 GMT", false),
        ("; Expires=Sat, 21 Nov 2026 23:59:59 GMT", true),
        ("; Expires=Tue, 22 Dec 2026 00:00:00 GMT", false),
        ("; Expires=Thu, 22 Oct 2026 23:59:59 GMT", true),
        ("; Expires=Fri, 01 Jan 2027 00:00:00 GMT", false),
        ("; Expires=Fri, 31 Dec 9999 23:59:59 GMT", false),
        ("; Expires=2020 1 February 1:2:3", true),
        // Not a date: ignored.
        ("; Expires=0", false),
        ("; Expires=", false),
        ("; Expires", false),
        ("; Expires=Thu, 32 Jan 1970 00:00:00 GMT", false),
        ("; Expires=Thu, 01 Jan 1970 24:00:00 GMT", false),
        ("; Expires=Thu, 01 Jan 1600 00:00:00 GMT", false),
        ("; Expires=Thu, 01 Jan 1970", false),
        ("; Expires=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT", true),
        ("; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Expires=x", true),
    ] {
        let header = format!("sid=1{attributes}");
        assert_eq!(is_deletion(header.as_bytes(), NOW), expected, "{header}");
    }
    // What stands before the first semicolon is the cookie.
    assert!(!is_deletion(b"Max-Age=0", NOW));
}
