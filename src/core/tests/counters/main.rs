//! Tests for the counters that all workers share: without them, what is shown of an upstream is not
//! what has happened, or is another one's.

mod entries;
mod growth;
mod layout;
mod sums;
mod unsent;
mod zone;
