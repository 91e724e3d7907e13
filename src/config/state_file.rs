//! The parameter `state=`: the state file of a zone.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use thiserror::Error;

use crate::ngx::conf::Conf;
use crate::ngx::cycle::Cycle;
use crate::zone::snapshot::{Snapshot, StateFile};
use crate::zone::table_zone::{TableZone, ZoneConf};

/// Why a zone cannot have the file. Displays as nginx writes it before the file and the line.
#[derive(Debug, Error)]
pub enum StateFileError {
    /// It cannot be there.
    #[error(
        "invalid value \"{}\" of parameter \"state\" in \"sticky\" directive, \
         expected a file in a directory that exists, {why}",
        .path.escape_ascii()
    )]
    Path {
        /// The file.
        path: Vec<u8>,
        /// The system's error.
        why: io::Error,
    },
    /// Another zone has it.
    #[error(
        "state file \"{}\" is already used by sticky zone \"{}\"",
        .path.escape_ascii(),
        .zone.escape_ascii()
    )]
    InUse {
        /// The file.
        path: Vec<u8>,
        /// That zone.
        zone: Vec<u8>,
    },
    /// The zone has another one.
    #[error(
        "sticky zone \"{}\" has the state file \"{}\" already",
        .zone.escape_ascii(),
        .path.escape_ascii()
    )]
    Conflict {
        /// The zone.
        zone: Vec<u8>,
        /// Its file.
        path: Vec<u8>,
    },
    /// nginx has logged the reason.
    #[error("\"sticky\" directive failed")]
    Reported,
}

/// Gives a zone its state file. Several upstreams of the zone may name the same one.
pub fn set(cf: Conf<'_>, zone: &TableZone, word: &[u8]) -> Result<(), StateFileError> {
    let path = cf.full_name(word).ok_or(StateFileError::Reported)?;
    let file = StateFile::new(OsStr::from_bytes(path).into());
    let mut file = file.map_err(|why| StateFileError::Path {
        path: path.to_vec(),
        why,
    })?;
    let zones = Cycle::of(cf).map(|cycle| cycle.zones::<ZoneConf>());
    let mut writer = None;
    for other in zones.into_iter().flatten() {
        let Some(snapshot) = other.conf().snapshot.get() else {
            continue;
        };
        if snapshot.file().is(&file) && !std::ptr::eq(other, zone) {
            return Err(StateFileError::InUse {
                path: path.to_vec(),
                zone: other.name().to_vec(),
            });
        }
        file.share_directory(snapshot.file());
        writer = writer.or_else(|| Some(Rc::clone(snapshot.writer())));
    }
    match zone.conf().snapshot.get() {
        Some(snapshot) if snapshot.file().is(&file) => Ok(()),
        Some(snapshot) => Err(StateFileError::Conflict {
            zone: zone.name().to_vec(),
            path: snapshot.file().path().as_os_str().as_bytes().to_vec(),
        }),
        None => {
            let snapshot = Snapshot::new(file, writer.unwrap_or_default());
            // It is empty, as just seen.
            let _ = zone.conf().snapshot.set(snapshot);
            Ok(())
        }
    }
}
