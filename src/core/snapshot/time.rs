//! Time goes on while nginx is down: converts the ticks of a file to those of the table that reads
//! it.

use crate::table::{tick_at, Key, Session, Tick, Word, LAST_TICK};

/// Two clocks that are read one after the other, in whole seconds, may disagree by this much.
const SLACK: i128 = 2;

/// A new table starts at this tick at the latest: ticks that are written to a file and read again
/// for years would reach the end of what a word can hold. No session may be that old.
const LATEST_START: Tick = LAST_TICK / 4;

/// Both clocks of the system, read at once, in seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// The monotonic clock, which cannot be set, but stops while the system is suspended and starts
    /// anew with every boot.
    pub monotonic: u64,
    /// Seconds since 1970.
    pub wall: u64,
}

impl Moment {
    /// Seconds since `earlier`, by each clock; negative where it was set back.
    fn since(&self, earlier: &Moment) -> Elapsed {
        Elapsed {
            monotonic: i128::from(self.monotonic) - i128::from(earlier.monotonic),
            wall: i128::from(self.wall) - i128::from(earlier.wall),
        }
    }
}

struct Elapsed {
    monotonic: i128,
    wall: i128,
}

impl Elapsed {
    /// Whether both clocks agree. Then both moments are in one boot, and the monotonic clock alone
    /// is exact.
    fn agrees(&self) -> bool {
        (self.monotonic - self.wall).abs() <= SLACK
    }
}

impl super::SnapshotHeader {
    /// Tick at which the file was written.
    pub fn tick(&self) -> Tick {
        tick_at(self.epoch, self.written.monotonic)
    }

    /// The epoch of a new table that takes over the sessions of the file, and the conversion of its
    /// words. In the same boot the epoch stays the same. Otherwise idle time goes on by the wall
    /// clock, or stands still if that was set back.
    pub fn resume(&self, now: Moment) -> (u64, TickShift) {
        let elapsed = now.since(&self.written);
        let tick = if elapsed.agrees() {
            i128::from(tick_at(self.epoch, now.monotonic))
        } else {
            i128::from(self.tick()) + elapsed.wall.max(0)
        };
        let start = tick.min(i128::from(LATEST_START));
        let epoch = if elapsed.agrees() && start == tick {
            self.epoch
        } else {
            now.monotonic.wrapping_sub(start as u64)
        };
        (epoch, self.shift(start - tick))
    }

    /// The conversion of the words of the file, which another nginx has just written, for a table
    /// with another `epoch`.
    ///
    /// If the clocks do not agree (two systems share a file), sessions come out a little older than
    /// they seem: a session that goes back and forth must not become younger.
    pub fn shift_into(&self, epoch: u64, now: Moment) -> TickShift {
        let elapsed = now.since(&self.written);
        let by = if elapsed.agrees() {
            i128::from(self.epoch.wrapping_sub(epoch) as i64)
        } else {
            let theirs = i128::from(self.tick()) + elapsed.wall;
            i128::from(tick_at(epoch, now.monotonic)) - theirs - SLACK
        };
        self.shift(by)
    }

    fn shift(&self, by: i128) -> TickShift {
        let most = i128::from(LAST_TICK);
        TickShift {
            by: by.clamp(-most, most) as i64,
            written: self.tick(),
        }
    }
}

/// Converts the ticks of a file to those of a table.
#[derive(Clone, Copy, Debug)]
pub struct TickShift {
    by: i64,
    written: Tick,
}

impl TickShift {
    /// The session of a word, never seen after the file was written. `None` for an empty word.
    pub fn session(&self, word: Word) -> Option<(Key, Session)> {
        let session = word.session();
        let shifted = |tick: Tick| {
            let tick = i64::from(tick.min(self.written)) + self.by;
            tick.clamp(0, i64::from(LAST_TICK)) as Tick
        };
        let shifted = Session {
            seen: shifted(session.seen),
            created: shifted(session.created),
            ..session
        };
        Some((word.key()?, shifted))
    }
}
