//! The file itself: found whole or not at all, replaced whole, by one process at a time.
//!
//! The lock is one of the kernel (flock) on the file's directory. A process that dies has given it
//! back. What it leaves is at most a file with another name, which the next one removes.

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

/// Longer than anybody writes.
const PATIENCE: Duration = Duration::from_secs(15);

/// Files that were refused are kept, so many of them.
const KEPT: u32 = 10;

/// Where a state file is, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFile {
    path: PathBuf,
    /// The same for two names of one directory.
    directory: PathBuf,
}

/// Tells one state of the file from another.
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
    /// A file whose directory is there.
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

    /// Its name, as the operator knows it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether both are the same file.
    pub fn is(&self, other: &Self) -> bool {
        self.directory == other.directory && self.path.file_name() == other.path.file_name()
    }

    /// What is there now.
    pub fn stamp(&self) -> io::Result<Option<Stamp>> {
        present(fs::metadata(&self.path).map(|file| Stamp::of(&file)))
    }

    /// The file that is there, for reading.
    pub fn open(&self) -> io::Result<Option<(File, Stamp)>> {
        // Of a pipe nobody may ever open the other end.
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
        let end = Instant::now() + PATIENCE;
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

/// The right to change the file.
pub struct Lock<'f> {
    file: &'f StateFile,
    directory: File,
}

impl Lock<'_> {
    /// Puts a new file in place of the one that is there, for `owner` to read.
    pub fn replace(
        &self,
        owner: Option<(u32, u32)>,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<Stamp> {
        let new = self.named(".new");
        present(fs::remove_file(&new))?;
        let replaced = self.write(&new, owner, fill);
        if replaced.is_err() {
            // Nothing more can be done about it, nor need it: see above.
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
        // Whatever has this name by now, such as a symbolic link, is not written through.
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

    /// Gives the file another name, and returns that. The first ones are kept for good.
    pub fn set_aside(&self) -> io::Result<PathBuf> {
        let name = |number: u32| match number {
            0 => self.named(".refused"),
            number => self.named(&format!(".refused.{number}")),
        };
        let is_free = |number: &u32| {
            let there = fs::symlink_metadata(name(*number));
            there.is_err_and(|error| error.kind() == ErrorKind::NotFound)
        };
        let aside = name((0..KEPT).find(is_free).unwrap_or(KEPT));
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
