//! The file itself: replaced as a whole, by one process at a time.
//!
//! The lock is one on the file's directory. A process that dies leaves at most a temporary file, which
//! the next one removes. What is no regular file is never opened for long, read, or written.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::fchown;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{fstat, FileType, Stat};
use rustix::io::Errno;
use sticky_core::table::test_points;

use super::directory::{Directory, LockedDirectory, Patience};

/// So many refused files are kept.
const MAX_REFUSED: u32 = 10;

/// Where a state file is, or will be.
#[derive(Clone, Debug)]
pub struct StateFile {
    path: PathBuf,
    directory: Arc<Directory>,
    name: OsString,
}

/// Identifies a version of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    device: u64,
    inode: u64,
    modified: (i64, i64),
    size: u64,
}

impl Stamp {
    fn of(file: &Stat) -> Self {
        Self {
            device: file.st_dev,
            inode: file.st_ino,
            modified: (file.st_mtime, file.st_mtime_nsec as i64),
            size: file.st_size as u64,
        }
    }

    /// When the file was last written, in seconds since 1970.
    pub fn modified_at(&self) -> u64 {
        self.modified.0.try_into().unwrap_or_default()
    }

    /// The same in 64 bits, never 0.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish().max(1)
    }
}

/// A file that is open for reading.
pub struct OpenFile {
    file: File,
    stamp: Stamp,
}

impl OpenFile {
    /// Which version it is.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Its bytes from the first one on: no more than it had when it was opened, so that this ends
    /// even if somebody writes to it all the time.
    pub fn bytes(&self) -> io::Result<impl Read + '_> {
        let mut file = &self.file;
        file.rewind()?;
        Ok(file.take(self.stamp.size))
    }
}

impl StateFile {
    /// A file in a directory that exists. What has its name now, if anything, does not matter.
    pub fn new(path: PathBuf) -> io::Result<Self> {
        let bytes = path.as_os_str().as_bytes();
        let (directory, name) = match bytes.iter().rposition(|byte| *byte == b'/') {
            Some(0) => (&b"/"[..], &bytes[1..]),
            Some(slash) => (&bytes[..slash], &bytes[slash + 1..]),
            None => (&b"."[..], bytes),
        };
        if matches!(name, b"" | b"." | b"..") {
            return Err(ErrorKind::IsADirectory.into());
        }
        Ok(Self {
            directory: Directory::open(Path::new(OsStr::from_bytes(directory)))?.into(),
            name: OsStr::from_bytes(name).into(),
            path,
        })
    }

    /// Its name, as configured.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its directory.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Whether both name the same file.
    pub fn is(&self, other: &Self) -> bool {
        self.directory.is(&other.directory) && self.name == other.name
    }

    /// Uses the descriptor of the other one's directory, if it is the same directory. Many files shall
    /// not take many descriptors from each worker.
    pub fn share_directory(&mut self, other: &Self) {
        if self.directory.is(&other.directory) {
            self.directory = Arc::clone(&other.directory);
        }
    }

    /// The version that exists now.
    pub fn stamp(&self) -> io::Result<Option<Stamp>> {
        let found = self.directory.stat(&self.name);
        present(found.map(|file| Stamp::of(&file)))
    }

    /// Opens the file for reading.
    pub fn open(&self) -> io::Result<Option<OpenFile>> {
        let irregular = || io::Error::new(ErrorKind::InvalidInput, "it is no regular file");
        let file = match present(self.directory.read(&self.name)) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(None),
            // A symbolic link; a socket.
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::LOOP | Errno::NXIO) => return Err(irregular()),
                _ => return Err(error),
            },
        };
        let found = fstat(&file)?;
        if !FileType::from_raw_mode(found.st_mode).is_file() {
            return Err(irregular());
        }
        let stamp = Stamp::of(&found);
        Ok(Some(OpenFile { file, stamp }))
    }

    /// Waits until no other process has the lock.
    pub fn lock(&self, patience: &Patience, is_stopped: impl Fn() -> bool) -> io::Result<Lock<'_>> {
        Ok(Lock {
            file: self,
            directory: self.directory.lock(patience, is_stopped)?,
        })
    }
}

/// The lock: the right to change the file.
pub struct Lock<'f> {
    file: &'f StateFile,
    directory: LockedDirectory,
}

impl Lock<'_> {
    /// Replaces the file by a new one, which belongs to `owner`.
    pub fn replace(
        &self,
        owner: Option<(u32, u32)>,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<Stamp> {
        let directory = self.file.directory();
        let new = self.named(".new");
        present(directory.remove(&new))?;
        let replaced = self.write(&new, owner, fill);
        if replaced.is_err() {
            // Best effort: the next process removes it.
            let _ = directory.remove(&new);
        }
        replaced
    }

    fn write(
        &self,
        new: &OsStr,
        owner: Option<(u32, u32)>,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<Stamp> {
        let directory = self.file.directory();
        let mut file = directory.create(new)?;
        if let Some((user, group)) = owner {
            fchown(&file, Some(user), Some(group))?;
        }
        test_points::at("state: made");
        fill(&mut file)?;
        file.flush()?;
        test_points::at("state: written");
        file.sync_all()?;
        let stamp = Stamp::of(&fstat(&file)?);
        test_points::at("state: synced");
        directory.rename(new, &self.file.name)?;
        test_points::at("state: renamed");
        self.directory.sync()?;
        Ok(stamp)
    }

    /// Renames the file and returns its new name. The first ones are never overwritten.
    pub fn set_aside(&self) -> io::Result<PathBuf> {
        let directory = self.file.directory();
        let ending = |number: u32| match number {
            0 => ".refused".to_owned(),
            number => format!(".refused.{number}"),
        };
        let is_free = |number: &u32| {
            let there = directory.stat(&self.named(&ending(*number)));
            there.is_err_and(|error| error.kind() == ErrorKind::NotFound)
        };
        let ending = ending((0..MAX_REFUSED).find(is_free).unwrap_or(MAX_REFUSED));
        directory.rename(&self.file.name, &self.named(&ending))?;
        let mut aside = OsString::from(self.file.path.clone());
        aside.push(ending);
        Ok(aside.into())
    }

    fn named(&self, ending: &str) -> OsString {
        let mut name = self.file.name.clone();
        name.push(ending);
        name
    }
}

fn present<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
