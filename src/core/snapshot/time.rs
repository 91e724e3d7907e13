//! Time goes on while nginx is down: the ticks of a file in the time of whoever reads it.

use crate::table::key::Key;
use crate::table::tick::{tick_at, Tick, LAST_TICK};
use crate::table::word::{Session, Word};

/// How far two clocks that were read one after the other, in whole seconds, may seem apart.
const SLACK: i128 = 2;

/// A new table does not begin later than this: ticks that are written to a file and read again for
/// years would come to the end of what a word holds. It is more than any session may be old.
const LATEST_START: Tick = LAST_TICK / 4;

/// One look at both clocks of the system, in seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// Of the monotonic clock, which nobody sets, but which stands still in a suspended system and
    /// begins anew in every boot.
    pub monotonic: u64,
    /// Since 1970.
    pub wall: u64,
}

impl Moment {
    /// Seconds since `earlier`, by either clock; negative where it was set back.
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
    /// Whether both moments lie in one boot, so that one clock alone is exact.
    fn agrees(&self) -> bool {
        (self.monotonic - self.wall).abs() <= SLACK
    }
}

impl super::Head {
    /// Tick at which the file was written.
    pub fn tick(&self) -> Tick {
        tick_at(self.epoch, self.written.monotonic)
    }

    /// Epoch of a new table that goes on with the sessions of the file, and how its words get
    /// there. In the same boot it is the same epoch; else idle time goes on by the wall clock,
    /// or stands still where that was set back.
    pub fn resume(&self, now: Moment) -> (u64, Shift) {
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

    /// How words of the file, which somebody else has written lately, get into a table that has
    /// another `epoch` than his.
    ///
    /// Where the clocks do not agree (two systems on one file), the difference is made a little
    /// smaller than it seems: sessions that go to and fro must not get younger.
    pub fn shift_into(&self, epoch: u64, now: Moment) -> Shift {
        let elapsed = now.since(&self.written);
        let by = if elapsed.agrees() {
            i128::from(self.epoch.wrapping_sub(epoch) as i64)
        } else {
            let theirs = i128::from(self.tick()) + elapsed.wall;
            i128::from(tick_at(epoch, now.monotonic)) - theirs - SLACK
        };
        self.shift(by)
    }

    fn shift(&self, by: i128) -> Shift {
        let most = i128::from(LAST_TICK);
        Shift {
            by: by.clamp(-most, most) as i64,
            written: self.tick(),
        }
    }
}

/// From the ticks of a file to those of a table.
#[derive(Clone, Copy, Debug)]
pub struct Shift {
    by: i64,
    written: Tick,
}

impl Shift {
    /// The session of a word; nobody has seen it after the file was written. `None`: the word
    /// is empty.
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
