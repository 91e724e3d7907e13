//! The store: a server of Redis or Valkey, with what is asked of it here and no more. Every call ends
//! within a few seconds, whatever the server does.
//!
//! What need not be known before the next question is asked is sent with it, and the answers are read
//! one after the other: a store that is far away is asked as much in one round trip.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use redis::{
    Client, ClientTlsConfig, Cmd, Connection, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo, RedisConnectionInfo, RedisError, TlsCertificates, Value,
};
use thiserror::Error;

mod look;
mod stream;

pub use look::LookFor;
pub use stream::StreamId;

/// To connect, with all that is asked first, and to wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// So many bytes are not gathered to be sent at once.
const MOST_UNSENT: usize = 1 << 16;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Name or address, and port.
    Tcp(String, u16),
    /// The path of its socket.
    Unix(PathBuf),
}

/// Certificates, each as the content of a file. `Debug` shows none of them.
#[derive(Clone, Default)]
pub struct Tls {
    /// Who signs the server's certificate; `None`: whom the system trusts.
    pub authorities: Option<Vec<u8>>,
    /// Certificate and key of this nginx.
    pub own: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    /// Whether that is certificates as PEM.
    pub fn are_certificates(pem: &[u8]) -> bool {
        // None at all is none that is wrong.
        let begins = pem
            .windows(CERTIFICATE.len())
            .any(|text| text == CERTIFICATE);
        begins && are_usable(Some(pem.to_vec()), None)
    }

    /// Whether that is the key of a certificate as PEM, without a password.
    pub fn is_key(pem: &[u8]) -> bool {
        let own = ClientTlsConfig {
            client_cert: Vec::new(),
            client_key: pem.to_vec(),
        };
        are_usable(None, Some(own))
    }
}

const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

fn are_usable(root_cert: Option<Vec<u8>>, client_tls: Option<ClientTlsConfig>) -> bool {
    let certificates = TlsCertificates {
        client_tls,
        root_cert,
    };
    // Nothing is connected.
    Client::build_with_tls("rediss://localhost", certificates).is_ok()
}

/// Where the store is, and as whom it is spoken to.
#[derive(Clone)]
pub struct Access {
    /// What logs show of it.
    pub shown: String,
    /// The server, or with `service` its sentinels.
    pub addresses: Vec<Address>,
    /// What sentinels call the server.
    pub service: Option<String>,
    /// The number of the database.
    pub database: i64,
    /// The user.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// Certificates, if it is spoken to by TLS.
    pub tls: Option<Tls>,
}

/// Without passwords and keys.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Why the store has not done what it was asked. Displays as the end of a line of the log.
#[derive(Debug, Error)]
pub enum StoreError {
    /// It could not be reached, or has not answered in time.
    #[error("{0}")]
    Away(String),
    /// It has answered that it will not.
    #[error("it answers \"{0}\"")]
    Refused(String),
    /// Its answer has another form than it should have.
    #[error("it gives another answer than expected to {0}")]
    Odd(&'static str),
    /// No sentinel knows the server.
    #[error("no sentinel knows \"{0}\"")]
    Unknown(String),
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        let is_away = error.is_io_error() || error.is_connection_dropped();
        match error.code() {
            Some(code) if !is_away => {
                let detail = error.detail().unwrap_or_default();
                StoreError::Refused(shown(&format!("{code} {detail}")))
            }
            _ if error.kind() == ErrorKind::AuthenticationFailed => {
                StoreError::Refused(shown(&error.to_string()))
            }
            _ => StoreError::Away(shown(&error.to_string())),
        }
    }
}

/// What goes into a line of the log.
fn shown(text: &str) -> String {
    let text = text.trim().escape_debug().to_string();
    text.chars().take(200).collect()
}

/// The result of what is asked.
type Answer<T> = Result<T, StoreError>;

/// A connection to the store. After an error there may be answers left in it: then it is of no more
/// use.
pub struct Store {
    connection: Connection,
    /// Commands that were not sent yet.
    unsent: Vec<u8>,
}

impl Store {
    /// Connects. With sentinels, to the server that one of them names and that says itself that it
    /// takes changes.
    pub fn connect(access: &Access) -> Answer<Store> {
        let Some(service) = &access.service else {
            let address = access.addresses.first();
            let address = address.ok_or(StoreError::Odd("no address"))?;
            return Store::open(access, address);
        };
        let mut failed = StoreError::Unknown(service.clone());
        for sentinel in &access.addresses {
            match Store::by_sentinel(access, sentinel, service) {
                Ok(store) => return Ok(store),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn by_sentinel(access: &Access, sentinel: &Address, service: &str) -> Answer<Store> {
        // A sentinel has no databases, and users of its own.
        let plain = Access {
            database: 0,
            user: None,
            password: None,
            ..access.clone()
        };
        let mut sentinel = Store::open(&plain, sentinel)?;
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("GET-MASTER-ADDR-BY-NAME").arg(service);
        let Value::Array(parts) = sentinel.ask(&ask)? else {
            return Err(StoreError::Unknown(service.into()));
        };
        let mut parts = parts.iter().map(text_of);
        let host = parts.next().flatten();
        let port = parts.next().flatten().and_then(|port| port.parse().ok());
        let (host, port) = host.zip(port).ok_or(StoreError::Odd("SENTINEL"))?;
        let mut store = Store::open(access, &Address::Tcp(host, port))?;
        let Value::Array(role) = store.ask(&redis::cmd("ROLE"))? else {
            return Err(StoreError::Odd("ROLE"));
        };
        match role.first().and_then(text_of).as_deref() {
            Some("master") => Ok(store),
            _ => Err(StoreError::Refused("it is a replica".into())),
        }
    }

    fn open(access: &Access, address: &Address) -> Answer<Store> {
        let address = match (address, &access.tls) {
            (Address::Unix(path), _) => ConnectionAddr::Unix(path.clone()),
            (Address::Tcp(host, port), None) => ConnectionAddr::Tcp(host.clone(), *port),
            (Address::Tcp(host, port), Some(_)) => ConnectionAddr::TcpTls {
                host: host.clone(),
                port: *port,
                insecure: false,
                tls_params: None,
            },
        };
        let mut settings = RedisConnectionInfo::default()
            .set_skip_set_lib_name()
            .set_db(access.database);
        if let Some(user) = &access.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &access.password {
            settings = settings.set_password(password);
        }
        let info: ConnectionInfo = address.into_connection_info()?;
        let info = info.set_redis_settings(settings);
        let client = match &access.tls {
            Some(tls) if tls.authorities.is_some() || tls.own.is_some() => {
                let own = tls.own.clone();
                let certificates = TlsCertificates {
                    client_tls: own.map(|(client_cert, client_key)| ClientTlsConfig {
                        client_cert,
                        client_key,
                    }),
                    root_cert: tls.authorities.clone(),
                };
                Client::build_with_tls(info, certificates)?
            }
            _ => Client::open(info)?,
        };
        let connection = client.get_connection_with_timeout(TIMEOUT)?;
        connection.set_read_timeout(Some(TIMEOUT))?;
        connection.set_write_timeout(Some(TIMEOUT))?;
        Ok(Store {
            connection,
            unsent: Vec::new(),
        })
    }

    fn ask(&mut self, command: &Cmd) -> Answer<Value> {
        self.send(command)?;
        self.receive()
    }

    /// Sends a command, at the latest when an answer is awaited. Its answer is to be
    /// [received](Store::receive) when those of all commands before have been.
    fn send(&mut self, command: &Cmd) -> Answer<()> {
        command.write_packed_command(&mut self.unsent);
        match self.unsent.len() >= MOST_UNSENT {
            true => self.send_all(),
            false => Ok(()),
        }
    }

    /// Sends what was not sent yet.
    fn send_all(&mut self) -> Answer<()> {
        if !self.unsent.is_empty() {
            self.connection.send_packed_command(&self.unsent)?;
            self.unsent.clear();
        }
        Ok(())
    }

    /// The answer to the oldest command that has none yet.
    fn receive(&mut self) -> Answer<Value> {
        self.send_all()?;
        match self.connection.recv_response()? {
            Value::ServerError(error) => Err(RedisError::from(error).into()),
            Value::Push { .. } => Err(StoreError::Odd("what nobody has asked")),
            answer => Ok(answer),
        }
    }

    /// What it does when it has no memory left. `None`: it does not say.
    pub fn eviction_policy(&mut self) -> Answer<Option<String>> {
        let mut ask = redis::cmd("CONFIG");
        match self.ask(ask.arg("GET").arg("maxmemory-policy")) {
            Ok(Value::Array(parts)) => Ok(parts.get(1).and_then(text_of)),
            // Not allowed, or renamed.
            Ok(_) | Err(StoreError::Refused(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks to set a key that is not there, which goes after that time.
    pub fn ask_claim(&mut self, key: &[u8], value: &[u8], lasts: Duration) -> Answer<()> {
        let mut command = redis::cmd("SET");
        command.arg(key).arg(value).arg("NX");
        command.arg("PX").arg(lasts.as_millis() as u64);
        self.send(&command)
    }

    /// The answer to that. False: it is there.
    pub fn is_claimed(&mut self) -> Answer<bool> {
        Ok(self.receive()? != Value::Nil)
    }

    /// What is at a key.
    pub fn get(&mut self, key: &[u8]) -> Answer<Option<Vec<u8>>> {
        self.ask_get(key)?;
        self.got()
    }

    /// Asks what is at a key.
    pub fn ask_get(&mut self, key: &[u8]) -> Answer<()> {
        self.send(redis::cmd("GET").arg(key))
    }

    /// The answer to that.
    pub fn got(&mut self) -> Answer<Option<Vec<u8>>> {
        match self.receive()? {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => Ok(Some(bytes)),
            _ => Err(StoreError::Odd("GET")),
        }
    }

    /// Asks to set a key, for that time if there is one.
    pub fn ask_set(&mut self, key: &[u8], value: &[u8], lasts: Option<Duration>) -> Answer<()> {
        let mut command = redis::cmd("SET");
        command.arg(key).arg(value);
        if let Some(lasts) = lasts {
            command.arg("PX").arg(lasts.as_millis() as u64);
        }
        self.send(&command)
    }

    /// Asks to let a key go after that time.
    pub fn ask_expire(&mut self, key: &[u8], after: Duration) -> Answer<()> {
        let mut command = redis::cmd("PEXPIRE");
        command.arg(key).arg(after.as_millis() as u64);
        self.send(&command)
    }

    /// The answers to so many commands that have nothing to say but that it is done.
    pub fn done(&mut self, count: usize) -> Answer<()> {
        (0..count).try_for_each(|_| self.receive().map(drop))
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        Value::VerbatimString { text, .. } => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        io::Error::other(error)
    }
}
