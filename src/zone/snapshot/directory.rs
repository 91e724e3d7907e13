//! The directory of a state file: opened once, when the configuration is read, and used by this
//! descriptor from then on. What somebody puts in place of it, or of a file in it, leads nowhere else.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{
    flock, fstat, open, openat, renameat, statat, unlinkat, AtFlags, FlockOperation, Mode, OFlags,
    Stat,
};
use sticky_core::table::test_points;

/// Flags of every descriptor: none goes to another program, none becomes a terminal to be killed by.
const ALWAYS: OFlags = OFlags::CLOEXEC.union(OFlags::NOCTTY);

/// How often a lock that another process has is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// Who has both may rename the entries of a directory.
const WRITE_AND_SEARCH: u32 = 0o3;

/// The bit of a directory in which only the owner of an entry, and its own, may do so.
const STICKY: u32 = 0o1000;

/// How long to wait for locks, in all.
pub struct Patience {
    left: Cell<Duration>,
}

impl Patience {
    /// Waits so long in all, however many locks there are.
    pub fn new(left: Duration) -> Self {
        Self { left: left.into() }
    }

    /// Waits a moment. `false` when there is no patience left.
    fn wait(&self) -> bool {
        let left = self.left.get();
        if left.is_zero() {
            return false;
        }
        let begun = Instant::now();
        sleep(RETRY.min(left));
        self.left.set(left.saturating_sub(begun.elapsed()));
        true
    }
}

/// An open directory.
#[derive(Debug)]
pub struct Directory {
    // Only its entries are of interest, so that it need not be readable yet.
    descriptor: OwnedFd,
    /// The way to it.
    path: PathBuf,
    identity: (u64, u64),
}

impl Directory {
    /// Opens a directory that exists.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | ALWAYS;
        let descriptor = open(path, flags, Mode::empty())?;
        let found = fstat(&descriptor)?;
        Ok(Self {
            descriptor,
            path: path.to_path_buf(),
            identity: (found.st_dev, found.st_ino),
        })
    }

    /// Whether both are the same directory, by whatever names.
    pub fn is(&self, other: &Self) -> bool {
        self.identity == other.identity
    }

    /// The name of the directory that it is in.
    pub fn parent(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// What has that name. A symbolic link is not followed.
    pub fn stat(&self, name: &OsStr) -> io::Result<Stat> {
        Ok(statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Opens a file for reading, whatever it may be. Waits for nobody.
    pub fn read(&self, name: &OsStr) -> io::Result<File> {
        // Opening a pipe would wait for its other end, and a file with a lease for its holder.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | ALWAYS;
        Ok(openat(&self.descriptor, name, flags, Mode::empty())?.into())
    }

    /// Makes a file that no other user may read. Refuses whatever has this name already, such as a
    /// symbolic link.
    pub fn create(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | ALWAYS;
        match openat(&self.descriptor, name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => Ok(file.into()),
            Err(rustix::io::Errno::NOENT) => Err(io::Error::new(
                ErrorKind::NotFound,
                "its directory was removed: when it is there again, reload nginx",
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// Renames a file, in place of what may have the other name.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        let at = &self.descriptor;
        Ok(renameat(at, from, at, to)?)
    }

    /// Removes a file.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.descriptor, name, AtFlags::empty())?)
    }

    /// Waits until no other process has the lock, and takes it: a flock, which the kernel releases
    /// when a process dies.
    pub fn lock(
        &self,
        patience: &Patience,
        is_stopped: impl Fn() -> bool,
    ) -> io::Result<LockedDirectory> {
        // Opened anew: processes that have inherited one descriptor share its lock.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | ALWAYS;
        let directory = openat(&self.descriptor, c".", flags, Mode::empty())?;
        loop {
            match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(error) => match io::Error::from(error).kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock if is_stopped() => {
                        return Err(ErrorKind::ConnectionAborted.into());
                    }
                    ErrorKind::WouldBlock if patience.wait() => {}
                    ErrorKind::WouldBlock => {
                        let why = "another process has locked its directory for too long";
                        return Err(io::Error::new(ErrorKind::TimedOut, why));
                    }
                    _ => return Err(error.into()),
                },
            }
        }
        test_points::at("state: locked");
        Ok(LockedDirectory(directory.into()))
    }

    /// Whether that user can put something else in its place, by its name or by the name of a directory
    /// above. Access control lists are not looked at.
    pub fn is_replaceable_by(&self, user: u32, groups: &[u32]) -> bool {
        let is_weak = |entry: &Path| {
            let parent = entry.parent().and_then(|parent| fs::metadata(parent).ok());
            let (Some(parent), Ok(entry)) = (parent, fs::symlink_metadata(entry)) else {
                return false;
            };
            let class = if groups.contains(&parent.gid()) { 3 } else { 0 };
            let may_change = parent.mode() >> class & WRITE_AND_SEARCH == WRITE_AND_SEARCH;
            let keeps_entry = parent.mode() & STICKY != 0 && entry.uid() != user;
            parent.uid() == user || may_change && !keeps_entry
        };
        // Symbolic links on the way, and what they lead to.
        let canonical = fs::canonicalize(&self.path).ok();
        let canonical = canonical.as_deref().map(Path::ancestors);
        let mut entries = self.path.ancestors().chain(canonical.into_iter().flatten());
        entries.any(is_weak)
    }
}

/// The lock of a directory, until it is dropped.
pub struct LockedDirectory(File);

impl LockedDirectory {
    /// Waits until changes of its entries are on the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}
