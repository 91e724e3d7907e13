//! The json learner against serde_json, on random documents that are written in random ways.
//! Without these, the searches by name and by path may differ from a parser, and from each other.

#[path = "pages/corpus.rs"]
mod corpus;
mod learners;

use std::fmt::Write;

use corpus::Random;
use learners::{ids_at_any_cut, ids_in, json, members};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use sticky_core::scan::json::Member;

#[test]
fn random_documents_are_read_as_serde_json_reads_them() {
    let mut random = Random(7);
    let mut total = [0; 3];
    for _ in 0..3_000 {
        let mut body = String::new();
        write_value(&mut random, 0, &mut body);
        for (sum, wanted) in
            total
                .iter_mut()
                .zip([&["sid", "s"][..], &["a.sid"], &["a.a.s", "sid"]])
        {
            let wanted = members(wanted);
            let expected = oracle(&body, &wanted);
            *sum += expected.len();
            let whole = ids_in(Box::new(json(&wanted)), [body.as_bytes()]);
            assert_eq!(whole, expected, "{wanted:?} in {body}");
            let mut rest = body.as_bytes();
            let mut pieces = Vec::new();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(1 + random.below(rest.len().min(40)));
                pieces.push(piece);
                rest = after;
            }
            assert_eq!(
                ids_in(Box::new(json(&wanted)), pieces),
                expected,
                "in pieces: {body}"
            );
            if body.len() < 150 {
                ids_at_any_cut(&|| Box::new(json(&wanted)), body.as_bytes());
            }
        }
    }
    assert!(total.iter().all(|ids| *ids > 40), "hardly an id: {total:?}");
}

fn write_value(random: &mut Random, depth: usize, out: &mut String) {
    space(random, out);
    let kinds = if depth > 5 { 5 } else { 8 };
    match if depth == 0 { 7 } else { random.below(kinds) } {
        0 => out.push_str(["true", "false", "null", "-1.5e+3", "0.25"][random.below(5)]),
        1 => write!(out, "{}", random.below(1000)).unwrap(),
        2..=4 => {
            const TEXTS: [&str; 12] = [
                "sid",
                "s",
                "",
                "a",
                "\"sid\":\"no\"",
                "x\\",
                "id-1",
                "{\"sid\":1}",
                "\u{1f600}/é",
                "a text without anything in it, longer than what is looked at in one go: 64 bytes",
                "a text of 62 bytes and an escape, so that a block ends in it\\\"sid",
                "brackets in a text, ]}, and more of it, so that there is no other { or [ near it",
            ];
            let mut text = TEXTS[random.below(12)].to_owned();
            if random.below(2) == 0 {
                text = format!("id{}", random.below(100));
            }
            write_string(random, &text, out);
        }
        kind => {
            let (open, close) = if kind == 5 { ('[', ']') } else { ('{', '}') };
            out.push(open);
            let items = random.below(5);
            for item in 0..items {
                if item > 0 {
                    out.push(',');
                }
                if open == '{' {
                    space(random, out);
                    let name = ["sid", "s", "a", "a", "sidx", "x\"sid", "b\\"][random.below(7)];
                    write_string(random, name, out);
                    space(random, out);
                    out.push(':');
                }
                write_value(random, depth + 1, out);
            }
            space(random, out);
            out.push(close);
        }
    }
    space(random, out);
}

fn space(random: &mut Random, out: &mut String) {
    if random.below(4) == 0 {
        out.push_str([" ", "\n", "\t", "\r\n"][random.below(4)]);
    }
}

fn write_string(random: &mut Random, text: &str, out: &mut String) {
    out.push('"');
    let escapes = random.below(3) == 0;
    for character in text.chars() {
        let is_escaped = escapes && random.below(2) == 0;
        match character {
            '"' | '\\' if !is_escaped => write!(out, "\\{character}").unwrap(),
            '/' if escapes => out.push_str("\\/"),
            character if is_escaped => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").unwrap();
                }
            }
            character => out.push(character),
        }
    }
    out.push('"');
}

/// The ids of a document in its order, as serde_json reads it; none twice in a row.
fn oracle(body: &str, wanted: &[Member]) -> Vec<String> {
    let mut ids = Vec::new();
    let mut reader = serde_json::Deserializer::from_str(body);
    let value = Value {
        wanted,
        path: &mut Vec::new(),
        is_id: false,
        ids: &mut ids,
    };
    value.deserialize(&mut reader).expect(body);
    ids.retain(|id| !id.is_empty());
    ids.dedup();
    ids
}

/// A value that the path of names leads to.
struct Value<'a> {
    wanted: &'a [Member],
    path: &'a mut Vec<String>,
    is_id: bool,
    ids: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.visit_str(&number.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if self.is_id {
            self.ids.push(text.into());
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self {
            wanted, path, ids, ..
        } = self;
        while items
            .next_element_seed(Value {
                wanted,
                path: &mut *path,
                is_id: false,
                ids: &mut *ids,
            })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self {
            wanted, path, ids, ..
        } = self;
        while let Some(name) = map.next_key::<String>()? {
            path.push(name);
            let is_id = wanted.iter().any(|member| match member {
                Member::ByName(name) => path.last().is_some_and(|own| own.as_bytes() == &**name),
                Member::ByPath(names) => names
                    .iter()
                    .map(|name| &**name)
                    .eq(path.iter().map(|own| own.as_bytes())),
            });
            map.next_value_seed(Value {
                wanted,
                path: &mut *path,
                is_id,
                ids: &mut *ids,
            })?;
            path.pop();
        }
        Ok(())
    }
}
