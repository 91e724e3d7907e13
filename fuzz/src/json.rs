//! JSON as serde_json reads it, with every member in its place, also those that occur twice.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use sticky_core::scan::learn_set::Member;
use sticky_core::url::MAX_ID;

/// A document.
#[derive(Debug)]
pub enum Tree {
    /// What never is an id.
    Other,
    /// A number that serde_json rounds.
    Huge,
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// Whether there is a number whose digits are lost.
    pub fn has_huge(&self) -> bool {
        match self {
            Tree::Huge => true,
            Tree::Other | Tree::Text(_) => false,
            Tree::List(items) => items.iter().any(Tree::has_huge),
            Tree::Object(members) => members.iter().any(|(_, value)| value.has_huge()),
        }
    }

    /// The ids of the document in its order, none twice in a row.
    pub fn ids(&self, wanted: &[Member]) -> Vec<Vec<u8>> {
        let mut ids = Vec::new();
        self.collect(wanted, &mut Vec::new(), &mut ids);
        ids.retain(|id| (1..=MAX_ID).contains(&id.len()));
        ids.dedup();
        ids
    }

    fn collect<'a>(&'a self, wanted: &[Member], path: &mut Vec<&'a [u8]>, ids: &mut Vec<Vec<u8>>) {
        match self {
            Tree::Other | Tree::Huge | Tree::Text(_) => {}
            Tree::List(items) => items
                .iter()
                .for_each(|item| item.collect(wanted, path, ids)),
            Tree::Object(members) => {
                for (name, value) in members {
                    path.push(name.as_bytes());
                    let is_id = wanted.iter().any(|member| match member {
                        Member::Anywhere(own) => **own == *name.as_bytes(),
                        Member::At(names) => {
                            names.iter().map(|own| &**own).eq(path.iter().copied())
                        }
                    });
                    match value {
                        Tree::Text(text) if is_id => ids.push(text.as_bytes().to_vec()),
                        value => value.collect(wanted, path, ids),
                    }
                    path.pop();
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Text(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        let is_exact = number < u64::MAX as f64;
        Ok(if is_exact { Tree::Other } else { Tree::Huge })
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Tree::Object(members))
    }
}
