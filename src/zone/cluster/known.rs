//! What this node knows, for a store that has lost it, or that has never known it.

use sticky_core::cluster::place::is_told;
use sticky_core::cluster::{Record, Seconds};

use super::applying::{Tables, WhoseServers};
use super::shared::Context;

/// Sessions of this node, as records.
pub struct Known<'c>(Box<dyn Iterator<Item = Record> + 'c>);

impl<'c> Known<'c> {
    /// Of all tables, those that were used at that second or later.
    pub fn of<'t: 'c>(context: &Context<'_>, tables: &'c Tables<'t>, since: Seconds) -> Self {
        let now = context.store_seconds();
        let all = tables.all.iter().flat_map(move |here| {
            let scopes = WhoseServers::of(here.plan, here.header.identity.sip_keys());
            let registry = here.table.registry();
            let is_used = !here.table.is_unused();
            let sessions = is_used.then(|| here.table.sessions());
            sessions
                .into_iter()
                .flatten()
                .filter_map(move |(key, session)| {
                    let server = registry?.registration(session.peer)?.fingerprint()?;
                    let scope = scopes.scope(server)?;
                    let record = tables.known(scope, key, &session)?;
                    let is_live = scope.liveness.is_live(record.seen, record.created, now);
                    let is_told = is_told(&record, since, &scope.liveness);
                    (is_live && is_told).then_some(record)
                })
        });
        Self(Box::new(all))
    }
}

impl Iterator for Known<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        self.0.next()
    }
}
