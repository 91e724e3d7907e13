//! `sticky_cluster`: the store and the keys.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use sticky_core::cluster::keys::{ClusterKey, KeyError, Seals, LEAST_KEY};
use sticky_core::directive::cluster::{self, ClusterError, ClusterRule};
use sticky_core::table::Limits;
use thiserror::Error;

use crate::ngx::conf::{Conf, Position};
use crate::ngx::upstream::Upstream;
use crate::zone::cluster::store::Tls;
use crate::zone::table_zone::TableZone;

use super::key_file;

/// Bytes of a key or a password, as a file has them.
const MAX_KEY_FILE: u64 = 4096;

/// Bytes of a file with certificates: those of a system are a quarter of this.
const MAX_CERTIFICATES: u64 = 1 << 20;

/// What the directive says, with what is in its files.
pub struct ClusterConf<'c> {
    /// Its words.
    pub rule: ClusterRule,
    /// The URL without user and password, for logs.
    pub shown_url: Vec<u8>,
    /// The key that all nodes have.
    pub key: ClusterKey,
    /// The one that they had before, or will have.
    pub old_key: Option<ClusterKey>,
    /// The password for the store, of the file or of the URL.
    pub password: Option<String>,
    /// Who may have signed the store's certificate, as PEM.
    pub ca: Option<Vec<u8>>,
    /// The certificate of this nginx and its key, as PEM.
    pub cert: Option<(Vec<u8>, Vec<u8>)>,
    /// Where it stands.
    pub at: Position<'c>,
}

impl ClusterConf<'_> {
    /// The seals of what may come from the store.
    pub fn seals(&self) -> Seals {
        let prefix = self.rule.prefix.as_bytes();
        Seals {
            current: self.key.seal(prefix),
            old: self.old_key.as_ref().map(|key| key.seal(prefix)),
        }
    }
}

/// A zone whose sessions other nginx have, too.
pub struct ClusteredZone<'c> {
    /// The zone.
    pub zone: &'c TableZone,
    /// Whose sessions are in it, in the order of their names.
    pub scopes: Vec<ClusteredScope<'c>>,
}

/// An upstream, or those of a share.
pub struct ClusteredScope<'c> {
    /// See [`Scope::name`](crate::zone::sessions::Scope::name).
    pub name: &'c [u8],
    /// What it travels by.
    pub digest: u64,
    /// How long its sessions live, as the configuration says. In the table they stay longer.
    pub limits: Limits,
    /// Its upstreams.
    pub upstreams: Vec<Upstream<'c>>,
}

/// Why the directive is refused.
#[derive(Debug, Error)]
pub enum ClusterRefusal {
    /// The words are wrong.
    #[error(transparent)]
    Words(ClusterError),
    /// A file cannot be read.
    #[error(
        "cannot read the file of parameter \"{parameter}\" in \"sticky_cluster\" directive, expected \
         {expected}, \"{}\": {why}",
        .path.escape_ascii()
    )]
    File {
        /// Its parameter.
        parameter: &'static str,
        /// What is to be in it.
        expected: &'static str,
        /// The file.
        path: Vec<u8>,
        /// The reason.
        why: io::Error,
    },
    /// There is no key in a file that can be used.
    #[error(
        "the key of parameter \"{parameter}\" in \"sticky_cluster\" directive is too short, expected \
         at least {LEAST_KEY} random bytes, as \"openssl rand -hex 32\" makes them, \"{}\": {why}",
        .path.escape_ascii()
    )]
    Key {
        /// Its parameter.
        parameter: &'static str,
        /// The file.
        path: Vec<u8>,
        /// The reason.
        why: KeyError,
    },
    /// No text, or more than one line.
    #[error(
        "the password of parameter \"password_file\" in \"sticky_cluster\" directive cannot be used, \
         expected one line of text, \"{}\"",
        .0.escape_ascii()
    )]
    Password(Vec<u8>),
    /// What a file has is not what it should have.
    #[error(
        "the file of parameter \"{parameter}\" in \"sticky_cluster\" directive cannot be used, expected \
         {expected} as PEM, \"{}\"",
        .path.escape_ascii()
    )]
    Pem {
        /// Its parameter.
        parameter: &'static str,
        /// What is to be in it.
        expected: &'static str,
        /// The file.
        path: Vec<u8>,
    },
    /// Both keys are the same.
    #[error(
        "\"old_key_file\" has the key of \"key_file\" in \"sticky_cluster\" directive, expected \
         another one"
    )]
    SameKeys,
    /// Found out when the whole configuration is known.
    #[error("{what}{at}")]
    Later {
        /// What is wrong.
        what: String,
        /// Where the directive stands, as nginx appends it to a message.
        at: String,
    },
    /// nginx has logged the reason.
    #[error("\"sticky_cluster\" directive failed")]
    Reported,
}

/// What the directive says that is being read. Its files are read now: workers cannot, as a rule.
pub fn read<'c>(cf: Conf<'c>) -> Result<ClusterConf<'c>, ClusterRefusal> {
    let words = cf.words();
    let rule = cluster::parse(&words).map_err(ClusterRefusal::Words)?;
    let key = key(cf, "key_file", &rule.key_file)?;
    let old_key = rule.old_key_file.as_deref();
    let old_key = old_key.map(|file| self::key(cf, "old_key_file", file));
    let old_key = old_key.transpose()?;
    if old_key.as_ref() == Some(&key) {
        return Err(ClusterRefusal::SameKeys);
    }
    let password = match &rule.password_file {
        Some(file) => Some(password(cf, file)?),
        None => rule.store.password.clone(),
    };
    let pem = |parameter, file: &[u8], expected, is_right: fn(&[u8]) -> bool| {
        let (path, content) = content(cf, parameter, file, MAX_CERTIFICATES, expected)?;
        match is_right(&content) {
            true => Ok(content),
            false => Err(ClusterRefusal::Pem {
                parameter,
                expected,
                path: path.to_vec(),
            }),
        }
    };
    let ca = rule.ca_file.as_deref();
    let ca = ca.map(|file| pem("ca_file", file, "certificates", Tls::are_certificates));
    let cert = rule.cert_files.as_ref().map(|(cert, key)| {
        let (what, key_of) = ("a certificate", "the key of a certificate");
        let cert = pem("cert_file", cert, what, Tls::are_certificates)?;
        Ok((cert, pem("cert_key_file", key, key_of, Tls::is_key)?))
    });
    Ok(ClusterConf {
        shown_url: cluster::shown_url(&words),
        key,
        old_key,
        password,
        ca: ca.transpose()?,
        cert: cert.transpose()?,
        at: cf.position(),
        rule,
    })
}

/// What is in a file, and its full name. A relative one is relative to the folder of the configuration.
fn content<'c>(
    cf: Conf<'c>,
    parameter: &'static str,
    file: &[u8],
    most: u64,
    expected: &'static str,
) -> Result<(&'c [u8], Vec<u8>), ClusterRefusal> {
    let path = cf.full_conf_name(file).ok_or(ClusterRefusal::Reported)?;
    let content = key_file::content(OsStr::from_bytes(path), most);
    let content = content.map_err(|why| ClusterRefusal::File {
        parameter,
        expected,
        path: path.to_vec(),
        why,
    })?;
    Ok((path, content))
}

fn key(cf: Conf<'_>, parameter: &'static str, file: &[u8]) -> Result<ClusterKey, ClusterRefusal> {
    let expected = "a file with nothing but a key";
    let (path, content) = content(cf, parameter, file, MAX_KEY_FILE, expected)?;
    ClusterKey::of_file(&content).map_err(|why| ClusterRefusal::Key {
        parameter,
        path: path.to_vec(),
        why,
    })
}

fn password(cf: Conf<'_>, file: &[u8]) -> Result<String, ClusterRefusal> {
    let expected = "a file with nothing but a password";
    let (path, content) = content(cf, "password_file", file, MAX_KEY_FILE, expected)?;
    let text = String::from_utf8(content).ok();
    let line = text
        .as_deref()
        .map(|text| text.trim_end_matches(['\r', '\n']));
    let line = line.filter(|line| !line.is_empty() && !line.contains(['\r', '\n', '\0']));
    let line = line.ok_or_else(|| ClusterRefusal::Password(path.to_vec()))?;
    Ok(line.to_owned())
}
