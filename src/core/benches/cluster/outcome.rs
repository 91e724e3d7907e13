//! What comes of a simulation.

use std::time::Instant;

/// Microseconds.
pub type Time = u64;

/// What came of it.
#[derive(Default)]
pub struct Outcome {
    pub records: u64,
    pub entries: u64,
    /// For all records, at the node that sends them, and at all that apply them.
    pub sending: Work,
    pub applying: Work,
    /// Round trips of all nodes.
    pub round_trips: u64,
    /// Nanoseconds of the store.
    pub storing: u64,
    /// Bytes that the store gets, and sends to all nodes.
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Records of the second that has most.
    pub most: u64,
    /// Microseconds from a learn until another node has it, in order.
    pub lags: Vec<Time>,
    /// Sessions that were looked at in the end, and those on which nodes do not agree.
    pub compared: u64,
    pub apart: u64,
    pub dropped: u64,
}

/// Pieces of work: nanoseconds, and records.
#[derive(Default)]
pub struct Work(Vec<(u64, u64)>);

impl Work {
    /// What has begun then, and ends now.
    pub fn note(&mut self, began: Instant, records: u64) {
        if records > 0 {
            self.0.push((began.elapsed().as_nanos() as u64, records));
        }
    }

    /// Records of all of it.
    pub fn records(&self) -> u64 {
        self.0.iter().map(|(_, records)| records).sum()
    }

    /// All of it, in nanoseconds. A piece that took ten times as long for a record as half of them do
    /// was interrupted by something else on the machine, and counts as one of these.
    pub fn spent(&self) -> u64 {
        let mut each: Vec<u64> = self
            .0
            .iter()
            .map(|(spent, records)| spent / records)
            .collect();
        let middle = each.len() / 2;
        if each.is_empty() {
            return 0;
        }
        let usual = *each.select_nth_unstable(middle).1;
        let counted = |(spent, records): &(u64, u64)| match spent / records > usual * 10 {
            true => usual * records,
            false => *spent,
        };
        self.0.iter().map(counted).sum()
    }
}
