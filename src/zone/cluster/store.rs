//! The store: a server of Redis or Valkey, with what is asked of it here and no more. Every call ends
//! within a few seconds, whatever the server does.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use redis::{
    Client, ClientTlsConfig, Cmd, Connection, ConnectionAddr, ConnectionInfo, ConnectionLike,
    ErrorKind, IntoConnectionInfo, RedisConnectionInfo, RedisError, TlsCertificates, Value,
};
use sticky_core::cluster::header::Position;
use thiserror::Error;

/// To connect, with all that is asked first, and to wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The one field of an entry of the stream.
const FIELD: &[u8] = b"r";

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

/// The place of an entry in the stream: milliseconds and a number, as the store gives them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct StreamId {
    /// Milliseconds since 1970 by its clock.
    pub ms: u64,
    /// Of entries of one millisecond, which.
    pub sequence: u64,
}

impl StreamId {
    /// That of the entry of which something was applied last.
    pub fn of(position: Position) -> StreamId {
        StreamId {
            ms: position.ms,
            sequence: position.sequence,
        }
    }

    fn parse(bytes: &[u8]) -> Option<StreamId> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (ms, sequence) = text.split_once('-')?;
        Some(StreamId {
            ms: ms.parse().ok()?,
            sequence: sequence.parse().ok()?,
        })
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.sequence)
    }
}

/// What is known of the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamState {
    /// The place that was given last, whether or not the entry is still there.
    pub last: StreamId,
    /// The first entry that is there.
    pub first: Option<StreamId>,
}

/// A connection to the store.
pub struct Store {
    connection: Connection,
}

type Answer<T> = Result<T, StoreError>;

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
        Ok(Store { connection })
    }

    fn ask(&mut self, command: &Cmd) -> Answer<Value> {
        let answer = self.connection.req_command(command)?;
        match answer {
            Value::ServerError(error) => Err(RedisError::from(error).into()),
            answer => Ok(answer),
        }
    }

    /// The time by its clock, in microseconds since 1970, and how long the answer took.
    pub fn time(&mut self) -> Answer<(u64, Duration)> {
        let asked = Instant::now();
        let Value::Array(parts) = self.ask(&redis::cmd("TIME"))? else {
            return Err(StoreError::Odd("TIME"));
        };
        let mut parts = parts.iter().map(|part| text_of(part)?.parse::<u64>().ok());
        let seconds = parts.next().flatten();
        let micros = parts.next().flatten();
        let (seconds, micros) = seconds.zip(micros).ok_or(StoreError::Odd("TIME"))?;
        let time = seconds.saturating_mul(1_000_000).saturating_add(micros);
        Ok((time, asked.elapsed()))
    }

    /// What tells one run of the server from another one.
    pub fn run_id(&mut self) -> Answer<String> {
        let answer = self.ask(redis::cmd("INFO").arg("server"))?;
        let text = text_of(&answer).ok_or(StoreError::Odd("INFO"))?;
        let found = text.lines().find_map(|line| line.strip_prefix("run_id:"));
        found.map(str::to_owned).ok_or(StoreError::Odd("INFO"))
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

    /// Adds entries to the stream, in one round trip.
    pub fn append(&mut self, stream: &[u8], entries: &[Vec<u8>]) -> Answer<()> {
        let mut pipeline = redis::pipe();
        for entry in entries {
            let command = pipeline.cmd("XADD");
            command.arg(stream).arg("*").arg(FIELD).arg(&entry[..]);
        }
        let packed = pipeline.get_packed_pipeline();
        let answers = self
            .connection
            .req_packed_commands(&packed, 0, entries.len())?;
        for answer in answers {
            if let Value::ServerError(error) = answer {
                return Err(RedisError::from(error).into());
            }
        }
        Ok(())
    }

    /// The entries behind that place, so many at most; none if none comes within the time.
    pub fn read(
        &mut self,
        stream: &[u8],
        after: StreamId,
        count: usize,
        wait: Duration,
    ) -> Answer<Vec<(StreamId, Vec<u8>)>> {
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(count);
        // 0 would wait for ever.
        let wait = wait.as_millis() as u64;
        if wait > 0 {
            command.arg("BLOCK").arg(wait);
        }
        command.arg("STREAMS").arg(stream).arg(after.to_string());
        let Value::Array(streams) = self.ask(&command)? else {
            return Ok(Vec::new());
        };
        let entries = streams.into_iter().next().and_then(|stream| match stream {
            Value::Array(parts) => parts.into_iter().nth(1),
            _ => None,
        });
        let Some(Value::Array(entries)) = entries else {
            return Err(StoreError::Odd("XREAD"));
        };
        let entries = entries.into_iter().map(entry_of);
        let entries: Option<Vec<_>> = entries.collect();
        entries.ok_or(StoreError::Odd("XREAD"))
    }

    /// Whether the stream has the entry of that place.
    pub fn has(&mut self, stream: &[u8], id: StreamId) -> Answer<bool> {
        let mut command = redis::cmd("XRANGE");
        let id = id.to_string();
        command.arg(stream).arg(&id).arg(&id);
        match self.ask(&command)? {
            Value::Array(entries) => Ok(!entries.is_empty()),
            _ => Err(StoreError::Odd("XRANGE")),
        }
    }

    /// The place of the last entry of the stream up to that one.
    pub fn last_until(&mut self, stream: &[u8], id: StreamId) -> Answer<Option<StreamId>> {
        let mut command = redis::cmd("XREVRANGE");
        command.arg(stream).arg(id.to_string()).arg("-");
        command.arg("COUNT").arg(1);
        let Value::Array(entries) = self.ask(&command)? else {
            return Err(StoreError::Odd("XREVRANGE"));
        };
        let entry = entries.into_iter().next();
        Ok(entry.and_then(entry_of).map(|(id, _)| id))
    }

    /// Notes in a list that a member is there at that second, forgets members that were not there for
    /// so many seconds, and the whole list when none is there any more. Returns how many are left.
    pub fn attend(&mut self, list: &[u8], member: &[u8], now: u64, lasts: u64) -> Answer<u64> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("ZADD").arg(list).arg(now).arg(member);
        let over = now.saturating_sub(lasts);
        let end = pipeline.cmd("ZREMRANGEBYSCORE");
        end.arg(list).arg("-inf").arg(over);
        pipeline.cmd("PEXPIRE").arg(list).arg(lasts * 1000);
        pipeline.cmd("ZCARD").arg(list);
        let packed = pipeline.get_packed_pipeline();
        let answers = self.connection.req_packed_commands(&packed, 0, 4)?;
        for answer in &answers {
            if let Value::ServerError(error) = answer {
                return Err(RedisError::from(error.clone()).into());
            }
        }
        match answers.last() {
            Some(Value::Int(count)) => Ok(u64::try_from(*count).unwrap_or_default()),
            _ => Err(StoreError::Odd("ZCARD")),
        }
    }

    /// What is known of the stream. `None`: there is none.
    pub fn stream(&mut self, stream: &[u8]) -> Answer<Option<StreamState>> {
        let parts = match self.ask(redis::cmd("XINFO").arg("STREAM").arg(stream)) {
            Ok(Value::Array(parts)) => parts,
            Ok(_) => return Err(StoreError::Odd("XINFO")),
            Err(StoreError::Refused(why)) if why.contains("no such key") => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut state = StreamState {
            last: StreamId::default(),
            first: None,
        };
        for pair in parts.chunks_exact(2) {
            let [name, value] = pair else { continue };
            match (text_of(name).as_deref(), value) {
                (Some("last-generated-id"), Value::BulkString(id)) => {
                    state.last = StreamId::parse(id).ok_or(StoreError::Odd("XINFO"))?;
                }
                (Some("first-entry"), Value::Array(entry)) => {
                    if let Some(Value::BulkString(id)) = entry.first() {
                        state.first = StreamId::parse(id);
                    }
                }
                _ => {}
            }
        }
        Ok(Some(state))
    }

    /// Forgets the entries of the stream before that one.
    pub fn trim(&mut self, stream: &[u8], before: StreamId) -> Answer<()> {
        let mut command = redis::cmd("XTRIM");
        command.arg(stream).arg("MINID").arg("~");
        self.ask(command.arg(before.to_string())).map(drop)
    }

    /// Sets a key that is not there, which goes after that time. False: it is there.
    pub fn claim(&mut self, key: &[u8], value: &[u8], lasts: Duration) -> Answer<bool> {
        let mut command = redis::cmd("SET");
        command.arg(key).arg(value).arg("NX");
        command.arg("PX").arg(lasts.as_millis() as u64);
        Ok(self.ask(&command)? != Value::Nil)
    }

    /// What is at a key.
    pub fn get(&mut self, key: &[u8]) -> Answer<Option<Vec<u8>>> {
        match self.ask(redis::cmd("GET").arg(key))? {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => Ok(Some(bytes)),
            _ => Err(StoreError::Odd("GET")),
        }
    }

    /// Sets a key, for that time if there is one.
    pub fn set(&mut self, key: &[u8], value: &[u8], lasts: Option<Duration>) -> Answer<()> {
        let mut command = redis::cmd("SET");
        command.arg(key).arg(value);
        if let Some(lasts) = lasts {
            command.arg("PX").arg(lasts.as_millis() as u64);
        }
        self.ask(&command).map(drop)
    }

    /// Lets a key go after that time.
    pub fn expire(&mut self, key: &[u8], after: Duration) -> Answer<()> {
        let mut command = redis::cmd("PEXPIRE");
        command.arg(key).arg(after.as_millis() as u64);
        self.ask(&command).map(drop)
    }
}

fn entry_of(entry: Value) -> Option<(StreamId, Vec<u8>)> {
    let Value::Array(parts) = entry else {
        return None;
    };
    let mut parts = parts.into_iter();
    let (Value::BulkString(id), Value::Array(fields)) = (parts.next()?, parts.next()?) else {
        return None;
    };
    // One of another program is empty here, and refused.
    let bytes = match fields.into_iter().nth(1) {
        Some(Value::BulkString(bytes)) => bytes,
        _ => Vec::new(),
    };
    Some((StreamId::parse(&id)?, bytes))
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
