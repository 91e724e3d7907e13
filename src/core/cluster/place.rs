//! A place in the stream that the store has lost.
//!
//! A server that takes the place of another one may lack its latest entries. Who has applied them has
//! more than the others, whoever has sent them, be it alive or not: it tells what sessions it has that
//! were used since the last entry that both servers have.

use super::liveness::Liveness;
use super::record::{Record, Seconds};

/// What is told again begins by so many seconds earlier: an entry may have waited on its way.
const SLACK: Seconds = 10;

/// Since when entries may be lost of those up to one that was applied last, and that the store does not
/// have any more. Both are milliseconds of places in the stream: that of the lost entry, and that of
/// the last one before it that is there.
pub fn lost_since(applied: u64, last: Option<u64>) -> Seconds {
    let last = last.unwrap_or_default().min(applied);
    (last / 1000).saturating_sub(SLACK)
}

/// Whether a session, as a record, may have been in entries since then. Others are told of its use once
/// in a period.
pub fn is_told(record: &Record, since: Seconds, liveness: &Liveness) -> bool {
    record.seen.saturating_add(liveness.period.into()) >= since
}
