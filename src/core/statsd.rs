//! Counts and numbers as lines for statsd, in packets that no network has to take apart.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use cadence::{Counted, Gauged, MetricSink, StatsdClient};

use crate::counters;

/// Bytes of a packet: what a network with 1,500 leaves, also below a tunnel.
pub const LARGEST_PACKET: usize = 1432;

/// Bytes of the name of an upstream, a server or a zone within the name of a metric.
pub const LONGEST_NAME: usize = 200;

/// A name of the configuration as a part of the name of a metric: what means something to statsd,
/// and all else that is not a letter, a digit, `_` or `-`, becomes `_`.
pub fn safe_name(name: &[u8]) -> String {
    let safe = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => char::from(*byte),
        _ => '_',
    };
    name.iter().take(LONGEST_NAME).map(safe).collect()
}

/// The name of a counter of an upstream, behind that of the upstream.
pub fn counter_name(counted: counters::Counted) -> String {
    let (group, what) = match counted {
        counters::Counted::Request(status) => ("requests", status.name()),
        counters::Counted::Learned(source) => ("sessions_learned", source.name()),
        counters::Counted::Moved(reason) => ("sessions_moved", reason.name()),
        counters::Counted::Forgotten(reason) => ("sessions_forgotten", reason.name()),
        counters::Counted::Body(reader, end) => {
            return format!("bodies.{}.{}", reader.name(), end.name())
        }
        counters::Counted::BodyBytes => return "body_bytes".to_owned(),
        counters::Counted::Planned => return "requests_planned".to_owned(),
    };
    format!("{group}.{what}")
}

/// What cadence has written last.
#[derive(Clone, Debug, Default)]
struct LastLine(Arc<Mutex<String>>);

impl MetricSink for LastLine {
    fn emit(&self, metric: &str) -> io::Result<usize> {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        line.clear();
        line.push_str(metric);
        Ok(metric.len())
    }
}

/// Writes packets.
#[derive(Debug)]
pub struct Packets {
    client: StatsdClient,
    line: LastLine,
    packet: Vec<u8>,
}

impl Packets {
    /// All names begin with `prefix`.
    pub fn new(prefix: &str) -> Self {
        let line = LastLine::default();
        Self {
            client: StatsdClient::from_sink(prefix, line.clone()),
            line,
            packet: Vec::with_capacity(LARGEST_PACKET),
        }
    }

    /// A counter has grown. Returns the packet before, if it has no room for that.
    pub fn count(&mut self, name: &str, count: u64) -> Option<Vec<u8>> {
        let is_written = self.client.count(name, count).is_ok();
        is_written.then(|| self.add()).flatten()
    }

    /// The value of a gauge. Returns the packet before, if it has no room for that.
    pub fn gauge(&mut self, name: &str, value: u64) -> Option<Vec<u8>> {
        let is_written = self.client.gauge(name, value).is_ok();
        is_written.then(|| self.add()).flatten()
    }

    /// What is left.
    pub fn rest(&mut self) -> Option<Vec<u8>> {
        (!self.packet.is_empty()).then(|| std::mem::take(&mut self.packet))
    }

    fn add(&mut self) -> Option<Vec<u8>> {
        let line = self.line.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full =
            !self.packet.is_empty() && self.packet.len() + 1 + line.len() > LARGEST_PACKET;
        let full = is_full.then(|| std::mem::take(&mut self.packet));
        if !self.packet.is_empty() {
            self.packet.push(b'\n');
        }
        self.packet.extend_from_slice(line.as_bytes());
        full
    }
}
