//! What the tests of `sticky mode=query` share.

use sticky_core::directive::{parse, Mode, QueryRule};
use sticky_core::url::ExtractedId;

/// What these words behind `mode=query` say.
pub fn rule(words: &[&str]) -> QueryRule {
    let mut bytes: Vec<&[u8]> = vec![b"mode=query"];
    bytes.extend(words.iter().map(|word| word.as_bytes()));
    match parse(&bytes) {
        Ok(Mode::Query(rule)) => *rule,
        Ok(_) => panic!("{words:?} taken for another mode"),
        Err(error) => panic!("{words:?} refused: {error}"),
    }
}

/// Whether the id in this query is `x`.
pub fn carries(rule: &QueryRule, query: &str) -> bool {
    matches!(rule.names.in_query(query.as_bytes()), ExtractedId::Id(id) if &*id == b"x")
}
