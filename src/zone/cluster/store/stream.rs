//! The stream in the store, and places in it.

use std::fmt;
use std::time::Duration;

use redis::Value;
use sticky_core::cluster::header::Position;

use super::{text_of, Answer, Store, StoreError, TIMEOUT};

/// The one field of an entry.
const FIELD: &[u8] = b"r";

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

    /// The position behind all of that entry.
    pub fn whole(self) -> Position {
        Position {
            ms: self.ms,
            sequence: self.sequence,
            records: Position::WHOLE,
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

impl Store {
    /// Adds entries to the stream, in one round trip.
    pub fn append(&mut self, stream: &[u8], entries: &[Vec<u8>]) -> Answer<()> {
        for entry in entries {
            let mut command = redis::cmd("XADD");
            self.send(command.arg(stream).arg("*").arg(FIELD).arg(&entry[..]))?;
        }
        self.done(entries.len())
    }

    /// From now on the store may be asked to wait so long for entries.
    pub fn set_wait(&self, wait: Duration) -> Answer<()> {
        self.connection.set_read_timeout(Some(TIMEOUT + wait))?;
        Ok(())
    }

    /// Asks for the entries behind that place, so many at most; for none if none comes within the time.
    pub fn ask_read(
        &mut self,
        stream: &[u8],
        after: StreamId,
        count: usize,
        wait: Duration,
    ) -> Answer<()> {
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(count);
        // 0 would wait for ever.
        let wait = wait.as_millis() as u64;
        if wait > 0 {
            command.arg("BLOCK").arg(wait);
        }
        command.arg("STREAMS").arg(stream).arg(after.to_string());
        self.send(&command)
    }

    /// The answer to that.
    pub fn read(&mut self) -> Answer<Vec<(StreamId, Vec<u8>)>> {
        let Value::Array(streams) = self.receive()? else {
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
        self.ask_has(stream, id)?;
        self.told_has()
    }

    pub(super) fn ask_has(&mut self, stream: &[u8], id: StreamId) -> Answer<()> {
        let mut command = redis::cmd("XRANGE");
        let id = id.to_string();
        self.send(command.arg(stream).arg(&id).arg(&id))
    }

    pub(super) fn told_has(&mut self) -> Answer<bool> {
        match self.receive()? {
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

    /// Asks to forget the entries of the stream before that one.
    pub fn ask_trim(&mut self, stream: &[u8], before: StreamId) -> Answer<()> {
        let mut command = redis::cmd("XTRIM");
        command.arg(stream).arg("MINID").arg("~");
        self.send(command.arg(before.to_string()))
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
