//! What a node counts of its part in the cluster, in shared memory.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! statistics {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// In shared memory. Whoever holds the lease writes them.
        #[repr(C)]
        #[derive(Debug, Default)]
        pub struct StatisticsCells {
            $($(#[$doc])* pub $name: AtomicU64,)*
        }

        /// The numbers at one moment.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct Statistics {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl StatisticsCells {
            /// The numbers by now.
            pub fn read(&self) -> Statistics {
                Statistics { $($name: self.$name.load(Relaxed),)* }
            }

            /// As in new memory.
            pub(super) fn clear(&self) {
                $(self.$name.store(0, Relaxed);)*
            }
        }
    };
}

statistics! {
    /// Records of other nodes that were applied.
    records_in,
    /// Records of this node that the store has taken.
    records_out,
    /// Own records that have come back.
    records_returned,
    /// Entries whose seal is not of the key.
    refused_sealed,
    /// Entries of another format, or malformed.
    refused_malformed,
    /// Records of servers or scopes that this node cannot keep.
    refused_records,
    /// How often the store was lost.
    store_lost,
    /// How often this node has begun anew with the stream of a store that had lost its place.
    begun_anew,
    /// Milliseconds from when an entry was made to when it was applied, the latest.
    lag,
    /// Nodes that are there.
    nodes,
    /// When the store has answered last, in seconds since 1970 by its clock.
    last_contact,
    /// Sessions in the latest snapshot that this node has written.
    snapshot_sessions,
    /// When that was, in seconds since 1970 by the store's clock.
    snapshot_written,
    /// Sessions that this node has taken from a snapshot when it began.
    joined_sessions,
    /// Milliseconds that took.
    joined_in,
}

/// Adds to a number.
pub fn add(cell: &AtomicU64, count: u64) {
    cell.fetch_add(count, Relaxed);
}
