//! JSON as serde_json reads it, with all members in their order, also those that occur twice.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use sticky_core::scan::json::Member;
use sticky_core::url::MAX_ID;

/// A document.
#[derive(Debug)]
pub enum Document {
    /// A value that is never an id.
    Other,
    /// A number that serde_json rounds.
    Huge,
    Text(String),
    List(Vec<Document>),
    Object(Vec<(String, Document)>),
}

impl Document {
    /// Whether it has a number whose digits are lost.
    pub fn has_huge(&self) -> bool {
        match self {
            Document::Huge => true,
            Document::Other | Document::Text(_) => false,
            Document::List(items) => items.iter().any(Document::has_huge),
            Document::Object(members) => members.iter().any(|(_, value)| value.has_huge()),
        }
    }

    /// The ids of the document in order, none twice in a row.
    pub fn ids(&self, wanted: &[Member]) -> Vec<Vec<u8>> {
        let mut ids: Vec<Vec<u8>> = self.values(wanted).into_iter().map(|(_, id)| id).collect();
        ids.dedup();
        ids
    }

    /// The ids of the document in order, each with the index of its member.
    pub fn values(&self, wanted: &[Member]) -> Vec<(usize, Vec<u8>)> {
        let mut values = Vec::new();
        // A document may be a string, but a number alone is no id.
        let progress = wanted.iter().map(|member| match member {
            Member::ByName(_) => None,
            Member::ByPath(_) => Some(0),
        });
        let progress: Progress = progress.collect();
        self.collect(wanted, &progress, &mut values);
        values.retain(|(_, id)| (1..=MAX_ID).contains(&id.len()));
        values
    }

    fn collect(&self, wanted: &[Member], progress: &Progress, values: &mut Vec<(usize, Vec<u8>)>) {
        match self {
            Document::Other | Document::Huge => {}
            Document::Text(text) => {
                let mut paths = wanted.iter().zip(progress);
                let reached = paths.position(|(member, steps)| match member {
                    Member::ByName(_) => *steps == Some(1),
                    Member::ByPath(names) => *steps == Some(names.len()),
                });
                if let Some(member) = reached {
                    values.push((member, text.as_bytes().to_vec()));
                }
            }
            Document::List(items) => {
                let mut containers = 0;
                for (place, item) in items.iter().enumerate() {
                    let is_container = matches!(item, Document::List(_) | Document::Object(_));
                    containers += usize::from(is_container);
                    let leads_on = is_container && containers <= MAX_ELEMENTS;
                    let at = wanted.iter().zip(progress).map(|(member, before)| {
                        let before = (*before)?;
                        let Member::ByPath(names) = member else {
                            return None;
                        };
                        match index(names.get(before)?) {
                            Some(index) => (index == place).then_some(before + 1),
                            None => leads_on.then_some(before),
                        }
                    });
                    item.collect(wanted, &at.collect(), values);
                }
            }
            Document::Object(members) => {
                for (name, value) in members {
                    let at = wanted
                        .iter()
                        .zip(progress)
                        .map(|(member, before)| match member {
                            Member::ByName(own) => (**own == *name.as_bytes()).then_some(1),
                            Member::ByPath(names) => {
                                let before = (*before)?;
                                (**names.get(before)? == *name.as_bytes()).then_some(before + 1)
                            }
                        });
                    value.collect(wanted, &at.collect(), values);
                }
            }
        }
    }
}

/// How many steps of each path lead to a value.
type Progress = Vec<Option<usize>>;

/// Into so many of the objects and arrays in an array a name leads on.
const MAX_ELEMENTS: usize = 16;

/// The number of a step.
fn index(step: &[u8]) -> Option<usize> {
    let number: usize = std::str::from_utf8(step).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == step).then_some(number)
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(DocumentVisitor)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Document, E> {
        Ok(Document::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Document, E> {
        Ok(Document::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Document, E> {
        Ok(Document::Other)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Document, E> {
        Ok(Document::Text(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Document, E> {
        let is_exact = number < u64::MAX as f64;
        Ok(if is_exact {
            Document::Other
        } else {
            Document::Huge
        })
    }

    fn visit_str<E>(self, text: &str) -> Result<Document, E> {
        Ok(Document::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Document, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Document::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Document::Object(members))
    }
}
