//! JSON against its published schema.

use serde_json::Value;
use sticky_core::status::{refusal, Report, Upstream, Zone};

use crate::sample::{json, report};

const SCHEMA: &str = include_str!("../../../../docs/status.schema.json");

/// Whether a value fits a schema, as far as ours uses the language. `Err`: where it does not.
fn check(value: &Value, schema: &Value, root: &Value, at: &str) -> Result<(), String> {
    let known = [
        "$schema",
        "$defs",
        "title",
        "description",
        "oneOf",
        "$ref",
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "const",
        "minimum",
    ];
    let schema = schema.as_object().ok_or(format!("{at}: no schema"))?;
    if let Some(word) = schema.keys().find(|word| !known.contains(&word.as_str())) {
        return Err(format!("{at}: this test does not know {word}"));
    }
    let fail = |what: &str| Err(format!("{at}: {what}: {value}"));
    if let Some(name) = schema.get("$ref") {
        let name = name.as_str().and_then(|name| name.strip_prefix('#'));
        let target = name.and_then(|name| root.pointer(name));
        return check(
            value,
            target.ok_or(format!("{at}: no such $ref"))?,
            root,
            at,
        );
    }
    if let Some(all) = schema.get("oneOf").and_then(Value::as_array) {
        let found: Vec<_> = all.iter().map(|one| check(value, one, root, at)).collect();
        match found.iter().filter(|it| it.is_ok()).count() {
            1 => {}
            _ => return Err(format!("{found:?}")),
        }
    }
    if let Some(kind) = schema.get("type").and_then(Value::as_str) {
        let is_it = match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_u64(),
            _ => false,
        };
        if !is_it {
            return fail(kind);
        }
    }
    if schema.get("const").is_some_and(|it| it != value) {
        return fail("const");
    }
    if let Some(all) = schema.get("enum").and_then(Value::as_array) {
        if !all.contains(value) {
            return fail("enum");
        }
    }
    if let Some(object) = value.as_object() {
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten() {
            if !object.contains_key(name.as_str().unwrap_or_default()) {
                return fail(&format!("{name} is missing"));
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, value) in object {
            let inner = properties.and_then(|all| all.get(name));
            match inner.or(schema.get("additionalProperties")) {
                None => {}
                Some(Value::Bool(false)) => return fail(&format!("{name} is not known")),
                Some(inner) => check(value, inner, root, &format!("{at}/{name}"))?,
            }
        }
    }
    if let (Some(all), Some(items)) = (value.as_array(), schema.get("items")) {
        for (index, one) in all.iter().enumerate() {
            check(one, items, root, &format!("{at}/{index}"))?;
        }
    }
    Ok(())
}

pub fn fits(text: &str) -> Result<(), String> {
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let value: Value = serde_json::from_str(text).expect("it is JSON");
    check(&value, &schema, &schema, "")
}

#[test]
fn a_report_fits() {
    assert_eq!(fits(&json(&report(b"u", b"s", b"z"))), Ok(()));
    assert_eq!(fits(&json(&Report::default())), Ok(()));
    let bare = Report {
        upstreams: vec![Upstream::default()],
        zones: vec![Zone::default()],
        ..Report::default()
    };
    assert_eq!(fits(&json(&bare)), Ok(()));
}

#[test]
fn a_refusal_fits() {
    let text = String::from_utf8(refusal(403, "no \"more\"\n")).expect("UTF-8");
    assert_eq!(fits(&text), Ok(()));
    assert!(text.ends_with("}\n"));
}

/// Without this, a schema that takes everything would pass.
#[test]
fn another_thing_does_not_fit() {
    let text = json(&report(b"u", b"s", b"z"));
    for (from, to) in [
        ("\"schema\":1", "\"schema\":2"),
        ("\"mode\":\"query\"", "\"mode\":\"other\""),
        ("\"backup\":true", "\"backup\":1"),
        ("\"in_use\":11", "\"in_use\":-1"),
        ("\"in_use\":11,", ""),
        ("\"hits\"", "\"bytes\""),
        ("\"time\"", "\"times\""),
    ] {
        assert!(text.contains(from), "{from}");
        assert!(fits(&text.replace(from, to)).is_err(), "{from} {to}");
    }
}
