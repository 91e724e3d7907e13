//! The file itself: replaced as a whole, by one process at a time.
//!
//! The lock is a flock on the file's directory, which the kernel releases when a process dies. Such a
//! process leaves at most a temporary file, which the next one removes.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{fchown, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{flock, FlockOperation, OFlags};
use sticky_core::table::test_points;

/// How long to wait for the lock: longer than any write takes.
const LOCK_TIMEOUT: Duration = Duration::from_secs(15);

/// So many refused files are kept.
const MAX_REFUSED: u32 = 10;

/// Where a state file is, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFile {
    path: PathBuf,
    /// Canonical, so that two names of one directory compare equal.
    directory: PathBuf,
}

/// Identifies a version of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    modified: (i64, i64),
    size: u64,
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            modified: (file.mtime(), file.mtime_nsec()),
            size: file.size(),
        }
    }
}

impl StateFile {
    /// A file in a directory that exists.
    pub fn new(path: PathBuf) -> io::Result<Self> {
        let directory = match path.parent() {
            Some(parent) if path.file_name().is_some() => parent.canonicalize()?,
            _ => return Err(ErrorKind::IsADirectory.into()),
        };
        if !directory.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        if path.is_dir() || path.as_os_str().as_bytes().ends_with(b"/") {
            return Err(ErrorKind::IsADirectory.into());
        }
        Ok(Self { path, directory })
    }

    /// Its name, as configured.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether both name the same file.
    pub fn is(&self, other: &Self) -> bool {
        self.directory == other.directory && self.path.file_name() == other.path.file_name()
    }

    /// The version that exists now.
    pub fn stamp(&self) -> io::Result<Option<Stamp>> {
        present(fs::metadata(&self.path).map(|file| Stamp::of(&file)))
    }

    /// Opens the file for reading.
    pub fn open(&self) -> io::Result<Option<(File, Stamp)>> {
        // Opening a pipe would wait for its other end.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits() as i32)
            .open(&self.path);
        let Some(file) = present(file)? else {
            return Ok(None);
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "it is no regular file",
            ));
        }
        Ok(Some((file, Stamp::of(&metadata))))
    }

    /// Waits until no other process has the lock.
    pub fn lock(&self, is_stopped: impl Fn() -> bool) -> io::Result<Lock<'_>> {
        let directory = File::open(&self.directory)?;
        let end = Instant::now() + LOCK_TIMEOUT;
        loop {
            match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(error) => match io::Error::from(error).kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock if Instant::now() >= end => {
                        let why = "another process has locked its directory for too long";
                        return Err(io::Error::new(ErrorKind::TimedOut, why));
                    }
                    ErrorKind::WouldBlock if is_stopped() => {
                        return Err(ErrorKind::ConnectionAborted.into());
                    }
                    ErrorKind::WouldBlock => sleep(Duration::from_millis(10)),
                    _ => return Err(error.into()),
                },
            }
        }
        test_points::at("state: locked");
        Ok(Lock {
            file: self,
            directory,
        })
    }
}

/// The lock: the right to change the file.
pub struct Lock<'f> {
    file: &'f StateFile,
    directory: File,
}

impl Lock<'_> {
    /// Replaces the file by a new one, which belongs to `owner`.
    pub fn replace(
        &self,
        owner: Option<(u32, u32)>,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<Stamp> {
        let new = self.named(".new");
        present(fs::remove_file(&new))?;
        let replaced = self.write(&new, owner, fill);
        if replaced.is_err() {
            // Best effort: the next process removes it.
            let _ = fs::remove_file(&new);
        }
        replaced
    }

    fn write(
        &self,
        new: &Path,
        owner: Option<(u32, u32)>,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<Stamp> {
        // Refuses whatever has this name already, such as a symbolic link.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(new)?;
        if let Some((user, group)) = owner {
            fchown(&file, Some(user), Some(group))?;
        }
        test_points::at("state: made");
        fill(&mut file)?;
        file.flush()?;
        test_points::at("state: written");
        file.sync_all()?;
        let stamp = Stamp::of(&file.metadata()?);
        test_points::at("state: synced");
        fs::rename(new, &self.file.path)?;
        test_points::at("state: renamed");
        self.directory.sync_all()?;
        Ok(stamp)
    }

    /// Renames the file and returns its new name. The first ones are never overwritten.
    pub fn set_aside(&self) -> io::Result<PathBuf> {
        let name = |number: u32| match number {
            0 => self.named(".refused"),
            number => self.named(&format!(".refused.{number}")),
        };
        let is_free = |number: &u32| {
            let there = fs::symlink_metadata(name(*number));
            there.is_err_and(|error| error.kind() == ErrorKind::NotFound)
        };
        let aside = name((0..MAX_REFUSED).find(is_free).unwrap_or(MAX_REFUSED));
        fs::rename(&self.file.path, &aside)?;
        Ok(aside)
    }

    fn named(&self, ending: &str) -> PathBuf {
        let mut name = OsString::from(self.file.path.clone());
        name.push(ending);
        name.into()
    }
}

fn present<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
