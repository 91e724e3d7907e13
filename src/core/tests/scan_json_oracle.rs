//! The json learner against serde_json, on random documents that are written in random ways.
//! Without these, the searches by name and by path may differ from a parser, and from what is read in
//! requests.

#[path = "pages/corpus.rs"]
mod corpus;
mod learners;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::ops::ControlFlow;
use std::sync::Arc;

use corpus::Random;
use learners::{ids_at_any_cut, ids_in, json, members};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use sticky_core::scan::json::{Member, MemberPaths};

/// Members that are searched, and members of which all around them is read.
const WANTED: [&[&str]; 8] = [
    &["sid", "s"],
    &["a.sid"],
    &["a.a.s", "sid"],
    &[".sid"],
    &["a.0", "a.1.sid"],
    &[".1"],
    &[".1", ".0.a", "."],
    // Both: in another order than in the document.
    &["a.0.s", "a.sid", "s"],
];

#[test]
fn random_documents_are_read_as_serde_json_reads_them() {
    let mut random = Random(7);
    let mut total = [0; WANTED.len()];
    for _ in 0..3_000 {
        let mut body = String::new();
        write_value(&mut random, 0, &mut body);
        for (sum, names) in total.iter_mut().zip(WANTED) {
            let wanted = members(names);
            let expected = oracle(&body, &wanted);
            *sum += expected.len();
            let assert_found = |found: Vec<String>, what: &str| match names {
                ["a.0.s", ..] => {
                    let [found, expected] = [&found, &expected].map(BTreeSet::from_iter);
                    assert_eq!(found, expected, "{what}: {names:?} in {body}");
                }
                _ => assert_eq!(found, expected, "{what}: {names:?} in {body}"),
            };
            assert_found(ids_in(Box::new(json(&wanted)), [body.as_bytes()]), "whole");
            let mut rest = body.as_bytes();
            let mut pieces = Vec::new();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(1 + random.below(rest.len().min(40)));
                pieces.push(piece);
                rest = after;
            }
            assert_found(ids_in(Box::new(json(&wanted)), pieces), "in pieces");
            if body.len() < 150 && names.first() != Some(&"a.0.s") {
                ids_at_any_cut(&|| Box::new(json(&wanted)), body.as_bytes());
            }
        }
    }
    assert!(total.iter().all(|ids| *ids > 40), "hardly an id: {total:?}");
}

#[test]
fn random_requests_are_read_as_serde_json_reads_them() {
    let mut random = Random(11);
    let mut total = 0;
    for _ in 0..3_000 {
        let mut body = String::new();
        write_value(&mut random, 0, &mut body);
        for names in WANTED {
            let wanted = members(names);
            let values = values(&body, &wanted);
            let mut expected: Vec<String> = Vec::new();
            for index in 0..wanted.len() {
                let mut ids: Vec<String> = Vec::new();
                for (_, id) in values.iter().filter(|(member, _)| *member == index) {
                    if wanted.len() == 1 || !ids.contains(id) {
                        ids.push(id.clone());
                    }
                }
                if wanted.len() > 1 {
                    ids.truncate(8);
                }
                expected.extend(ids);
            }
            total += expected.len();
            let read = |until: usize| {
                let mut ids = Vec::new();
                let _ = requested(&wanted, body.as_bytes(), &mut |id| {
                    ids.push(String::from_utf8(id).unwrap());
                    match ids.len() == until {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
                    }
                });
                ids
            };
            assert_eq!(read(usize::MAX), expected, "{names:?} in {body}");
            expected.truncate(1);
            assert_eq!(read(1), expected, "the first of {names:?} in {body}");
        }
    }
    assert!(total > 1_000, "hardly an id: {total}");
}

fn requested(
    wanted: &[Member],
    body: &[u8],
    visit: &mut dyn FnMut(Vec<u8>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let names = learners::names(&["sid"]);
    Arc::new(MemberPaths::new(wanted)).visit_ids(&names, body, visit)
}

fn write_value(random: &mut Random, depth: usize, out: &mut String) {
    space(random, out);
    let kinds = if depth > 5 { 5 } else { 8 };
    match if depth == 0 {
        4 + random.below(4)
    } else {
        random.below(kinds)
    } {
        0 => out.push_str(["true", "false", "null", "-1.5e+3", "0.25"][random.below(5)]),
        1 => write!(out, "{}", random.below(1000)).unwrap(),
        2..=4 => {
            const TEXTS: [&str; 13] = [
                "sid",
                "s",
                "",
                "a",
                "\"sid\":\"no\"",
                "x\\",
                "id-1",
                "{\"sid\":1}",
                "[7,8,[{",
                "\u{1f600}/é",
                "a text without anything in it, longer than what is looked at in one go: 64 bytes",
                "a text of 62 bytes and an escape, so that a block ends in it\\\"sid",
                "brackets in a text, ]}, and more of it, so that there is no other { or [ near it",
            ];
            let mut text = TEXTS[random.below(13)].to_owned();
            if random.below(2) == 0 {
                text = format!("id{}", random.below(100));
            }
            write_string(random, &text, out);
        }
        kind => {
            let (open, close) = if kind == 5 { ('[', ']') } else { ('{', '}') };
            out.push(open);
            let is_long = kind == 5 && depth > 2 && random.below(10) == 0;
            let items = if is_long { 20 } else { random.below(5) };
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
    let mut ids: Vec<String> = values(body, wanted).into_iter().map(|(_, id)| id).collect();
    ids.dedup();
    ids
}

/// The members of a document in its order, each with the index of what leads to it.
fn values(body: &str, wanted: &[Member]) -> Vec<(usize, String)> {
    let mut ids = Vec::new();
    let mut reader = serde_json::Deserializer::from_str(body);
    let progress = wanted.iter().map(|member| match member {
        Member::ByName(_) => None,
        Member::ByPath(_) => Some(0),
    });
    let value = Value {
        wanted,
        progress: progress.collect(),
        as_element: None,
        is_document: true,
        ids: &mut ids,
    };
    value.deserialize(&mut reader).expect(body);
    ids.retain(|(_, id)| !id.is_empty());
    ids
}

/// How many steps of each path lead to a value.
type Progress = Vec<Option<usize>>;

/// A value somewhere in the document.
struct Value<'a> {
    wanted: &'a [Member],
    progress: Progress,
    /// What else leads to it if it is an object or an array in an array, of which there were so
    /// many before it.
    as_element: Option<(Progress, &'a Cell<usize>)>,
    is_document: bool,
    ids: &'a mut Vec<(usize, String)>,
}

impl Value<'_> {
    fn count_container(&mut self) {
        if let Some((progress, count)) = self.as_element.take() {
            count.set(count.get() + 1);
            for (own, more) in self.progress.iter_mut().zip(progress) {
                *own = own.or(more.filter(|_| count.get() <= 16));
            }
        }
    }

    fn reached(&self) -> Option<usize> {
        self.wanted
            .iter()
            .zip(&self.progress)
            .position(|(member, steps)| match member {
                Member::ByName(_) => *steps == Some(1),
                Member::ByPath(names) => *steps == Some(names.len()),
            })
    }
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
        match self.is_document {
            true => Ok(()),
            false => self.visit_str(&number.to_string()),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if let Some(member) = self.reached() {
            self.ids.push((member, text.into()));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.count_container();
        let step = |member: &Member, steps: Option<usize>| match member {
            Member::ByPath(names) => names.get(steps?).map(|name| {
                let name = std::str::from_utf8(name).unwrap();
                let index = name.parse::<usize>().ok();
                index.filter(|index| index.to_string() == name)
            }),
            Member::ByName(_) => None,
        };
        let steps = self.wanted.iter().zip(&self.progress);
        let steps: Vec<_> = steps.map(|(member, steps)| step(member, *steps)).collect();
        let count = Cell::new(0);
        for place in 0.. {
            let own = steps.iter().zip(&self.progress);
            let (by_index, by_name) = own
                .map(|(step, before)| match step {
                    Some(Some(index)) if *index == place => (before.map(|steps| steps + 1), None),
                    Some(None) => (None, *before),
                    _ => (None, None),
                })
                .unzip();
            let item = Value {
                wanted: self.wanted,
                progress: by_index,
                as_element: Some((by_name, &count)),
                is_document: false,
                ids: &mut *self.ids,
            };
            if items.next_element_seed(item)?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.count_container();
        while let Some(name) = map.next_key::<String>()? {
            let own = self.wanted.iter().zip(&self.progress);
            let progress = own.map(|(member, before)| match member {
                Member::ByName(own) => (**own == *name.as_bytes()).then_some(1),
                Member::ByPath(names) => {
                    let before = (*before)?;
                    (**names.get(before)? == *name.as_bytes()).then_some(before + 1)
                }
            });
            let progress = progress.collect();
            map.next_value_seed(Value {
                wanted: self.wanted,
                progress,
                as_element: None,
                is_document: false,
                ids: &mut *self.ids,
            })?;
        }
        Ok(())
    }
}
