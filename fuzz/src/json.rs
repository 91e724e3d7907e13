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
        let mut ids = Vec::new();
        self.collect(wanted, &mut Vec::new(), &mut ids);
        ids.retain(|id| (1..=MAX_ID).contains(&id.len()));
        ids.dedup();
        ids
    }

    fn collect<'a>(&'a self, wanted: &[Member], path: &mut Vec<&'a [u8]>, ids: &mut Vec<Vec<u8>>) {
        match self {
            Document::Other | Document::Huge | Document::Text(_) => {}
            Document::List(items) => items
                .iter()
                .for_each(|item| item.collect(wanted, path, ids)),
            Document::Object(members) => {
                for (name, value) in members {
                    path.push(name.as_bytes());
                    let is_id = wanted.iter().any(|member| match member {
                        Member::ByName(own) => **own == *name.as_bytes(),
                        Member::ByPath(names) => {
                            names.iter().map(|own| &**own).eq(path.iter().copied())
                        }
                    });
                    match value {
                        Document::Text(text) if is_id => ids.push(text.as_bytes().to_vec()),
                        value => value.collect(wanted, path, ids),
                    }
                    path.pop();
                }
            }
        }
    }
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
