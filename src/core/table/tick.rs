//! Time in a table: whole seconds since its epoch.

/// Bits of a tick in a word.
pub(super) const TICK_BITS: u32 = 28;

/// Whole seconds since the epoch of the zone. A word holds 28 bits, 8.5 years, and stays at the
/// greatest value after that.
pub type Tick = u32;

/// The greatest tick that a word can hold.
pub const LAST_TICK: Tick = (1 << TICK_BITS) - 1;

/// The tick at a second of the monotonic clock, in a table with that epoch. The epoch may lie before
/// second 0 of the clock: then it is a negative number in two's complement.
pub fn tick_at(epoch: u64, monotonic: u64) -> Tick {
    let ticks = monotonic.wrapping_sub(epoch) as i64;
    ticks.clamp(0, i64::from(Tick::MAX)) as Tick
}
