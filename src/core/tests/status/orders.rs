//! The forms of the page, and what JSON says of what is done by hand.

use sticky_core::status::{done, Done, Found};

use crate::sample::{json, page, report, NOW};

const HOSTILE: &[u8] = b"<b>\"'&\xff\n";

#[test]
fn forms_carry_the_token_and_the_names_as_they_are() {
    let mut shown = report(HOSTILE, HOSTILE, b"z");
    shown.token = Some("0123abcd".to_owned());
    let page = page(&shown);
    let forms = page.matches("<form method=\"post\">").count();
    assert!(forms >= 5, "{forms}");
    assert_eq!(
        page.matches("name=\"token\" value=\"0123abcd\"").count(),
        forms
    );
    // A browser sends back what these stand for.
    let value = "value=\"&#60;b&#62;&#34;&#39;&#38;\u{fffd}&#10;\"";
    assert!(
        page.contains(&format!("name=\"upstream\" {value}")),
        "{page}"
    );
    assert!(page.contains(&format!("name=\"server\" {value}")), "{page}");
    assert!(page.contains(">Put back</button>"), "{page}");
    assert!(!page.contains("<b>"), "{page}");
    assert!(!json(&shown).contains("0123abcd"));
}

#[test]
fn json_says_how_a_server_is_drained() {
    let text = json(&report(b"u", b"s", b"z"));
    let drain = format!(
        "\"drain\":{{\"by\":\"hand\",\"since\":{},\"until\":{}}}",
        NOW - 60,
        NOW + 90
    );
    assert!(text.contains(&drain), "{text}");
}

#[test]
fn json_says_what_was_done() {
    let found = Found {
        server: Some(HOSTILE.to_vec()),
        age: 3,
        unused_for: 1,
        is_in_use: true,
    };
    let looked_up = Done {
        action: "lookup",
        upstream: b"u".to_vec(),
        server: Some(HOSTILE.to_vec()),
        text: "there".to_owned(),
        sessions: None,
        found: Some(Some(found)),
    };
    let none = Done {
        found: Some(None),
        server: None,
        ..looked_up.clone()
    };
    let moved = Done {
        action: "move",
        found: None,
        sessions: Some(5),
        ..looked_up.clone()
    };
    for (one, member) in [
        (looked_up, "\"session\":{\"server\":"),
        (none, "\"session\":null"),
        (moved, "\"sessions\":5"),
    ] {
        let text = String::from_utf8(done(&one)).unwrap();
        assert!(text.contains(member), "{text}");
        assert_eq!(crate::schema::fits(&text), Ok(()));
    }
}
