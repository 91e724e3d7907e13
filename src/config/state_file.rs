//! The parameter `state=`: which file a zone has, and why not.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::ngx::conf::Conf;
use crate::ngx::cycle::Cycle;
use crate::zone::sessions::{TableZone, ZoneConf};
use crate::zone::snapshot::{State, StateFile};

/// Why a zone cannot have the file. Displays as nginx writes it before the file and the line.
pub enum Unusable {
    /// It cannot be there.
    Path {
        /// The file.
        path: Vec<u8>,
        /// What the system says.
        why: io::Error,
    },
    /// Another zone has it.
    InUse {
        /// The file.
        path: Vec<u8>,
        /// That zone.
        zone: Vec<u8>,
    },
    /// The zone has another one.
    Conflict {
        /// The zone.
        zone: Vec<u8>,
        /// Its file.
        path: Vec<u8>,
    },
    /// nginx has written why.
    Reported,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::Path { path, why } => write!(
                f,
                "invalid value \"{}\" of parameter \"state\" in \"sticky\" directive, \
                 expected a file in a directory that exists, {why}",
                path.escape_ascii()
            ),
            Unusable::InUse { path, zone } => write!(
                f,
                "state file \"{}\" is already used by sticky zone \"{}\"",
                path.escape_ascii(),
                zone.escape_ascii()
            ),
            Unusable::Conflict { zone, path } => write!(
                f,
                "sticky zone \"{}\" has the state file \"{}\" already",
                zone.escape_ascii(),
                path.escape_ascii()
            ),
            Unusable::Reported => write!(f, "\"sticky\" directive failed"),
        }
    }
}

/// Gives a zone its state file; several upstreams of the zone may name the same one.
pub fn keep(cf: Conf<'_>, zone: &TableZone, word: &[u8]) -> Result<(), Unusable> {
    let path = cf.full_name(word).ok_or(Unusable::Reported)?;
    let file = StateFile::new(OsStr::from_bytes(path).into()).map_err(|why| Unusable::Path {
        path: path.to_vec(),
        why,
    })?;
    let uses = |zone: &TableZone| {
        let state = zone.conf().state.get();
        state.is_some_and(|state| state.file().is(&file))
    };
    let others = Cycle::of(cf).map(|cycle| cycle.zones::<ZoneConf>());
    let mut others = others.into_iter().flatten();
    if let Some(other) = others.find(|other| uses(other) && !std::ptr::eq(*other, zone)) {
        return Err(Unusable::InUse {
            path: path.to_vec(),
            zone: other.name().to_vec(),
        });
    }
    let state = zone.conf().state.get_or_init(|| State::new(file.clone()));
    if !uses(zone) {
        return Err(Unusable::Conflict {
            zone: zone.name().to_vec(),
            path: state.file().path().as_os_str().as_bytes().to_vec(),
        });
    }
    Ok(())
}
