//! What is accepted and yet hardly meant, as far as other directives decide it, which may come
//! later in the configuration (`worker_processes`, `user`).

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::ngx::conf::{Conf, Position};
use crate::ngx::cycle::Cycle;
use crate::ngx::log::{Level, Log};

/// What is to be looked at once the configuration is complete.
pub struct Doubt<'c> {
    of: Of<'c>,
    at: Position<'c>,
}

enum Of<'c> {
    /// `zone=off` in this upstream.
    LocalZone { upstream: &'c [u8] },
    /// `state=` with this file.
    StateFile { path: &'c [u8] },
}

impl<'c> Doubt<'c> {
    /// `zone=off` in an upstream.
    pub fn local_zone(cf: Conf<'c>, upstream: &'c [u8]) -> Self {
        Self {
            of: Of::LocalZone { upstream },
            at: cf.position(),
        }
    }

    /// `state=`, with the full name of the file.
    pub fn state_file(cf: Conf<'c>, path: &'c [u8]) -> Self {
        Self {
            of: Of::StateFile { path },
            at: cf.position(),
        }
    }

    /// Warns of it, if there is reason for it. To be called when the configuration is complete.
    pub fn check(&self, new: Cycle<'_>) {
        let at = self.at;
        match self.of {
            Of::LocalZone { upstream } => {
                let workers = new.workers();
                if workers > 1 {
                    warn(format_args!(
                        "\"zone=off\" in \"sticky\" directive with {workers} worker processes: \
                         each knows only the sessions that it has learned itself, expected \
                         \"worker_processes 1\" or a zone, upstream \"{}\"{at}",
                        upstream.escape_ascii()
                    ));
                }
            }
            Of::StateFile { path } => check_directory(path, new, at),
        }
    }
}

/// Warns of a directory in which the workers cannot make a file.
fn check_directory(path: &[u8], new: Cycle<'_>, at: Position<'_>) {
    let Some((user, groups)) = new.workers_user() else {
        return;
    };
    let path = Path::new(OsStr::from_bytes(path));
    let (Some(directory), Some(file)) = (path.parent(), path.file_name()) else {
        return;
    };
    // Whatever else is wrong with it is told when the file is used.
    if !is_writable_by(directory, user, &groups).is_ok_and(|writable| !writable) {
        return;
    }
    let name = new.workers_name().unwrap_or_default().escape_ascii();
    let file = file.as_bytes().escape_ascii();
    // Not the owner and the mode of this one: others may have their files there.
    let own = directory.join("sticky");
    let own = own.as_os_str().as_bytes().escape_ascii();
    let directory = directory.as_os_str().as_bytes().escape_ascii();
    warn(format_args!(
        "the user of the worker processes, \"{name}\", cannot write the directory \
         \"{directory}\" of \"state\" in \"sticky\" directive, expected one of its own: \
         install -d -o {name} -m 0700 {own}, and \"state={own}/{file}\"{at}"
    ));
}

/// Whether that user may make and rename files in the directory. Access control lists are not
/// looked at.
fn is_writable_by(directory: &Path, user: u32, groups: &[u32]) -> io::Result<bool> {
    const WRITE_AND_SEARCH: u32 = 0o3;

    let found = fs::metadata(directory)?;
    let class = if found.uid() == user {
        6
    } else if groups.contains(&found.gid()) {
        3
    } else {
        0
    };
    Ok(found.mode() >> class & WRITE_AND_SEARCH == WRITE_AND_SEARCH)
}

/// Where messages about the configuration go: the new error logs do not show warnings unless they
/// are told to, but that of the start is on the terminal, too.
fn warn(what: std::fmt::Arguments<'_>) {
    Log::cycle().write(Level::Warn, what);
}
