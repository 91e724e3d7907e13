//! Keys that do not stand in the configuration, `hmac_key_file=` and those of `sticky_cluster`.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use thiserror::Error;

use crate::ngx::conf::Conf;

/// More than any key: HMAC uses the digest of one that is longer than a block of its hash, at most
/// 64 bytes.
const MAX_KEY_FILE: u64 = 4096;

/// Why a key cannot be read. Displays as nginx writes it before the file and the line.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// The system's error, or one of ours.
    #[error(
        "cannot read the key of parameter \"hmac_key_file\" in \"sticky\" directive, \
         expected a file with nothing but a key, \"{}\": {why}",
        .path.escape_ascii()
    )]
    Read {
        /// The file.
        path: Vec<u8>,
        /// The reason.
        why: io::Error,
    },
    /// nginx has logged the reason.
    #[error("\"sticky\" directive failed")]
    Reported,
}

/// What is in the file. A relative name is relative to the folder of the configuration, as that of
/// any key (`ssl_certificate_key`).
pub fn read(cf: Conf<'_>, word: &[u8]) -> Result<Vec<u8>, KeyFileError> {
    let path = cf.full_conf_name(word).ok_or(KeyFileError::Reported)?;
    content(OsStr::from_bytes(path), MAX_KEY_FILE).map_err(|why| KeyFileError::Read {
        path: path.to_vec(),
        why,
    })
}

/// What is in a regular file of so many bytes at most.
pub fn content(path: &OsStr, most: u64) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for its other end.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(path)?;
    let invalid = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    if !file.metadata()?.is_file() {
        return invalid("it is no regular file");
    }
    let mut content = Vec::new();
    file.take(most + 1).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        return invalid(&format!("it has more than {most} bytes"));
    }
    Ok(content)
}
