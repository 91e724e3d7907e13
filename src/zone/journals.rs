//! Where tables note what they change, if other nginx have their sessions, too.

use sticky_core::cluster::header::ClusterHeader;
use sticky_core::cluster::{JournalOf, Slot};

use super::table_zone::Parts;

/// Whose sessions are noted.
#[derive(Clone, Copy)]
pub struct NotedScope {
    /// What the scope travels by.
    pub digest: u64,
    /// How often other nodes are told that a session is in use, in seconds.
    pub period: u32,
}

/// The journal for the sessions of a scope in a table, in the zone of the cluster with these parts.
/// `None`: there is no room for the scope.
pub fn journal_in<'a>(
    (header, slots): (&'a ClusterHeader, &'a [Slot]),
    scope: NotedScope,
    (table, words): Parts<'_>,
) -> Option<JournalOf<'a>> {
    let number = header.give_scope(scope_tag(scope.digest, words.len()))?;
    let epoch = table.identity.epoch();
    let journal = header.journal(slots);
    Some(JournalOf::new(journal, number, epoch, scope.period))
}

/// What stands for a scope in the journal. In a table of another size its servers have other numbers.
fn scope_tag(digest: u64, words: usize) -> u64 {
    digest ^ (words as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
