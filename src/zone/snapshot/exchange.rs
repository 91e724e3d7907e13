//! Between a session table and its file: what is read when nginx starts, and what is written, with
//! what somebody else has written meanwhile.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Seek, Write};
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;

use portable_atomic::AtomicU128;
use sticky_core::snapshot::{self, Head, Moment, Reader, Shift, StateError};
use sticky_core::table::key::Key;
use sticky_core::table::tick::tick_at;
use sticky_core::table::word::{Limits, Session, Word};
use sticky_core::table::{Absorbed, Table, ZoneHeader};

use super::file::{Lock, Stamp, StateFile};

/// A file that was not believed, and its new name.
#[derive(Debug)]
pub struct Refused {
    /// What is wrong with it.
    pub why: StateError,
    /// Where it is now.
    pub kept: PathBuf,
}

/// Why the file is not read or written. Displays as the end of a line of the log.
#[derive(Debug)]
pub enum Trouble {
    /// It cannot be read.
    Read(io::Error),
    /// It cannot be written.
    Write(io::Error),
    /// A file that is not believed can get no other name.
    SetAside(StateError, io::Error),
    /// The sessions in the file have other keys.
    OtherTable,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Read(error) => write!(f, "cannot be read, {error}"),
            Trouble::Write(error) => write!(f, "cannot be written, {error}"),
            Trouble::SetAside(why, error) => {
                write!(f, "is refused, {why}, but cannot be renamed, {error}")
            }
            Trouble::OtherTable => write!(
                f,
                "is left alone, it holds the sessions of another table: does another nginx \
                 use it?"
            ),
        }
    }
}

impl Trouble {
    fn unread(error: StateError) -> Self {
        match error {
            StateError::Input(error) => Trouble::Read(error),
            other => Trouble::Read(io::Error::new(ErrorKind::InvalidData, other)),
        }
    }
}

/// A file that was found whole.
pub struct Whole {
    file: File,
    stamp: Stamp,
    head: Head,
}

impl Whole {
    /// Which file it is.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The SipHash key of its sessions.
    pub fn sip_keys(&self) -> (u64, u64) {
        self.head.sip_keys
    }

    /// Fills a new table, which nobody uses yet, after `init` was given its epoch. Returns how
    /// many sessions it has.
    pub fn restore(
        &self,
        table: &Table<'_>,
        limits: &Limits,
        now: Moment,
        init: impl FnOnce(u64),
    ) -> Result<usize, Trouble> {
        let (epoch, shift) = self.head.resume(now);
        init(epoch);
        let now = tick_at(epoch, now.monotonic);
        table.restore(|take| {
            self.each(shift, |key, session| {
                if limits.is_live(session, now) {
                    take(key, session);
                }
            })
        })
    }

    /// Gives a table in use, with that epoch, the sessions that it has not, as far as there is
    /// room for them.
    fn absorb_into(
        &self,
        table: &Table<'_>,
        epoch: u64,
        limits: &Limits,
        now: Moment,
    ) -> Result<(), Trouble> {
        let shift = self.head.shift_into(epoch, now);
        let now = tick_at(epoch, now.monotonic);
        let mut is_roomy = true;
        self.each(shift, |key, session| {
            let absorbed = table.absorb(key, session, limits, now, is_roomy);
            // From the first in vain on, a whole search for each would take minutes.
            is_roomy &= absorbed != Absorbed::NoRoom;
        })
    }

    fn each(&self, shift: Shift, mut take: impl FnMut(Key, &Session)) -> Result<(), Trouble> {
        (&self.file).rewind().map_err(Trouble::Read)?;
        for word in Reader::open(&self.file).map_err(Trouble::unread)? {
            let word = word.map_err(Trouble::unread)?;
            if let Some((key, session)) = shift.session(word) {
                take(key, &session);
            }
        }
        Ok(())
    }
}

/// What a look at the file has come to.
pub struct Found {
    /// It is whole.
    pub whole: Option<Whole>,
    /// It was not, and has another name now.
    pub refused: Option<Refused>,
}

/// Looks for a file, for a table that nobody uses yet.
pub fn find(file: &StateFile) -> Result<Found, Trouble> {
    match open(file)? {
        Ok(whole) => Ok(Found {
            whole,
            refused: None,
        }),
        // Another process may just replace it.
        Err(_) => find_locked(file, &file.lock(|| false).map_err(Trouble::Read)?),
    }
}

fn find_locked(file: &StateFile, lock: &Lock<'_>) -> Result<Found, Trouble> {
    let why = match open(file)? {
        Ok(whole) => {
            return Ok(Found {
                whole,
                refused: None,
            })
        }
        Err(why) => why,
    };
    match lock.set_aside() {
        Ok(kept) => Ok(Found {
            whole: None,
            refused: Some(Refused { why, kept }),
        }),
        Err(error) => Err(Trouble::SetAside(why, error)),
    }
}

fn open(file: &StateFile) -> Result<Result<Option<Whole>, StateError>, Trouble> {
    let Some((mut opened, stamp)) = file.open().map_err(Trouble::Read)? else {
        return Ok(Ok(None));
    };
    match snapshot::check(&mut opened) {
        Ok((head, _)) => Ok(Ok(Some(Whole {
            file: opened,
            stamp,
            head,
        }))),
        Err(StateError::Input(error)) => Err(Trouble::Read(error)),
        Err(why) => Ok(Err(why)),
    }
}

/// What is to be written.
#[derive(Clone)]
pub struct Plan {
    /// Where.
    pub file: StateFile,
    /// The file as this process has last read or written it.
    pub known: Option<Stamp>,
    /// Under which every session of the table is judged.
    pub limits: Limits,
    /// Now.
    pub now: Moment,
    /// Who is to read the file.
    pub owner: Option<(u32, u32)>,
    /// Not when another process has done it meanwhile.
    pub changes_only: bool,
}

/// What writing came to.
pub struct Written {
    /// The file as it is now.
    pub stamp: Stamp,
    /// Somebody else's file was not believed.
    pub refused: Option<Refused>,
}

impl Plan {
    /// Writes the file. When somebody else has written it, the table gets his sessions first. May
    /// take long: `is_stopped` tells that there is no time left. `None`: nothing was written.
    pub fn write(
        &self,
        prelude: &ZoneHeader,
        words: &[AtomicU128],
        is_stopped: impl Fn() -> bool,
    ) -> Result<Option<Written>, Trouble> {
        let written = self.exchange(prelude, words, &is_stopped);
        match written {
            Err(Trouble::Write(_)) if is_stopped() => Ok(None),
            written => written,
        }
    }

    fn exchange(
        &self,
        ZoneHeader { header, counters }: &ZoneHeader,
        words: &[AtomicU128],
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Option<Written>, Trouble> {
        let lock = self.file.lock(is_stopped).map_err(Trouble::Write)?;
        let changes = counters.changes();
        if self.changes_only && changes == counters.written.load(Relaxed) {
            return Ok(None);
        }
        let head = Head {
            sip_keys: header.sip_keys(),
            epoch: header.epoch(),
            written: self.now,
        };
        let table = Table::new(words, counters).shared_under(self.limits);

        let mut refused = None;
        if self.file.stamp().map_err(Trouble::Read)? != self.known {
            let found = find_locked(&self.file, &lock)?;
            refused = found.refused;
            if let Some(whole) = found.whole {
                if whole.sip_keys() != head.sip_keys {
                    return Err(Trouble::OtherTable);
                }
                whole.absorb_into(&table, head.epoch, &self.limits, self.now)?;
            }
        }

        let now = head.tick();
        // One that another worker moves within the table at this moment may be missed. It is in the
        // next file, and in the last one, which is written when no worker is left.
        let live = table
            .sessions()
            .filter(|(_, session)| self.limits.is_live(session, now))
            .map(|(key, session)| Word::new(key, &session));
        let replaced = lock.replace(self.owner, |file| {
            snapshot::write(Stoppable { file, is_stopped }, &head, live).map(drop)
        });
        let stamp = replaced.map_err(Trouble::Write)?;
        counters.written.store(changes, Relaxed);
        Ok(Some(Written { stamp, refused }))
    }
}

/// A file that can be written as long as there is time.
struct Stoppable<'f> {
    file: &'f mut File,
    is_stopped: &'f dyn Fn() -> bool,
}

impl Write for Stoppable<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.is_stopped)() {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
