//! Which worker speaks to the store: the one that holds a lease in shared memory.
//!
//! The holder is one word, changed by compare-and-swap: generation of its configuration, process, and
//! a term that is another one each time the lease is taken. A holder that was stopped and goes on
//! later finds another term there before whatever it does next.

use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};

/// A holder that has not been heard of for so many milliseconds has lost its lease.
pub const LEASE_LASTS: u64 = 600;

const TERM_BITS: u32 = 22;
/// The kernel's numbers of processes are below that (PID_MAX_LIMIT).
const PID_BITS: u32 = 22;
const GENERATION_BITS: u32 = 64 - TERM_BITS - PID_BITS;

/// The lease, in shared memory.
#[repr(C)]
#[derive(Debug, Default)]
pub struct LeaseCells {
    /// 0: nobody has ever held it. See [`Lease`].
    holder: AtomicU64,
    /// When the holder was last heard of, in milliseconds of the monotonic clock.
    beat: AtomicU64,
}

/// The lease, as a worker has taken it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease(u64);

impl Lease {
    fn new(generation: u64, pid: u32, term: u64) -> Lease {
        let mask = |bits: u32| (1u64 << bits) - 1;
        let generation = generation & mask(GENERATION_BITS);
        let pid = u64::from(pid) & mask(PID_BITS);
        let term = term & mask(TERM_BITS);
        Lease(generation << (TERM_BITS + PID_BITS) | pid << TERM_BITS | term)
    }

    /// Another one each time that the lease is taken.
    pub fn term(self) -> u64 {
        self.0 & ((1 << TERM_BITS) - 1)
    }

    /// The process that has taken it.
    pub fn pid(self) -> u32 {
        (self.0 >> TERM_BITS) as u32 & ((1 << PID_BITS) - 1)
    }

    fn generation(self) -> u64 {
        self.0 >> (TERM_BITS + PID_BITS)
    }

    /// Whether a configuration is newer than that of the holder, by numbers that begin anew after the
    /// greatest.
    fn is_older_than(self, generation: u64) -> bool {
        let mask = (1 << GENERATION_BITS) - 1;
        let ahead = (generation & mask).wrapping_sub(self.generation()) & mask;
        ahead != 0 && ahead < 1 << (GENERATION_BITS - 1)
    }
}

impl LeaseCells {
    /// Who holds it, or has held it. `None`: nobody yet.
    pub fn holder(&self) -> Option<Lease> {
        let bits = self.holder.load(Acquire);
        (bits != 0).then_some(Lease(bits))
    }

    /// Takes the lease for a worker of that configuration, if nobody has it, or the holder has not been
    /// heard of for long, `is_gone`, or has an older configuration.
    pub fn take(
        &self,
        generation: u64,
        pid: u32,
        now: u64,
        is_gone: impl FnOnce(u32) -> bool,
    ) -> Option<Lease> {
        let bits = self.holder.load(Acquire);
        let known = Lease(bits);
        let is_free = || {
            let silent = now.saturating_sub(self.beat.load(Relaxed)) > LEASE_LASTS;
            bits == 0 || silent || known.is_older_than(generation) || is_gone(known.pid())
        };
        if !is_free() {
            return None;
        }
        let taken = Lease::new(generation, pid, known.term() + 1);
        // Before others can see that it is taken: they would take it at once. Of all that try it, one
        // gets it.
        self.beat.fetch_max(now, Relaxed);
        let done = self
            .holder
            .compare_exchange(bits, taken.0, AcqRel, Acquire)
            .is_ok();
        done.then_some(taken)
    }

    /// Whether that lease is not taken by another one.
    #[inline]
    pub fn is_held(&self, lease: Lease) -> bool {
        self.holder.load(Acquire) == lease.0
    }

    /// The holder is there. Returns whether it still is the holder.
    pub fn beat(&self, lease: Lease, now: u64) -> bool {
        let is_held = self.is_held(lease);
        if is_held {
            self.beat.fetch_max(now, Relaxed);
        }
        is_held
    }

    /// Gives the lease back, so that another worker need not wait.
    pub fn give_back(&self, lease: Lease) {
        if self.is_held(lease) {
            self.beat.store(0, Relaxed);
        }
    }

    /// As in new memory.
    pub(super) fn clear(&self) {
        self.holder.store(0, Relaxed);
        self.beat.store(0, Relaxed);
    }
}
