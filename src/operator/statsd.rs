//! Sends what is counted to a statsd server: worker 0, a part of the upstreams every second.
//!
//! What is to be sent of a counter is claimed in the zone of counters first, so that no other
//! process sends it, too; what could not be sent is given back.

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::unix::net::UnixDatagram;

use sticky_core::counters::Unsent;
use sticky_core::statsd::{counter_name, safe_name, Packets};
use sticky_core::status::{Server, View, Wanted};

use crate::config::statsd::{Statsd, Target};
use crate::config::types::{MainConf, UpstreamConf};
use crate::ngx::log::{Level, Log};
use crate::ngx::process::{self, Role};
use crate::ngx::upstream::Upstream;
use crate::zone::counters;
use crate::zone::sessions::Sessions;
use crate::zone::table_zone::TableZone;

use super::gather::Gathered;

/// Seconds in which each upstream is sent once.
const ROUND: usize = 5;

/// The server is reached again after so many seconds without an error. Longer than the system takes
/// to find out that nobody has an address.
const RECOVERED_AFTER: u8 = 5;

thread_local! {
    static LINK: RefCell<Option<Link>> = const { RefCell::new(None) };
}

/// A second begins in a worker.
pub fn begin(main: &MainConf<'_>) {
    if is_sender() && !process::is_draining() {
        with_link(main, |statsd, link| {
            link.part = 0..0;
            if link.is_usable(statsd) {
                link.begin_part(main.sticky.borrow().len());
                if link.part.start == 0 {
                    let mut sender = Sender::new(statsd, link);
                    sender.gauge("build_info", 1);
                    sender.flush();
                }
            }
        });
    }
}

/// Sends what was counted of the upstreams whose turn it is, as long as it `may_go_on`, of one in any
/// case. Returns whether there are more of them.
pub fn go_on(main: &MainConf<'_>, may_go_on: &dyn Fn() -> bool) -> bool {
    let mut has_more = false;
    if is_sender() && !process::is_draining() {
        with_link(main, |statsd, link| {
            let mut part = std::mem::take(&mut link.part);
            let upstreams = main.sticky.borrow();
            let mut sender = Sender::new(statsd, link);
            while let Some(us) = part.next().and_then(|at| upstreams.get(at)) {
                sender.send(main, *us, true);
                if !may_go_on() {
                    break;
                }
            }
            sender.flush();
            has_more = !part.is_empty() && !sender.has_failed;
            link.part = part;
        });
    }
    has_more
}

/// Called before a worker ends: sends what was counted since.
pub fn leave(main: &MainConf<'_>) {
    if is_sender() {
        with_link(main, |statsd, link| {
            if !link.is_failing && link.is_usable(statsd) {
                let mut sender = Sender::new(statsd, link);
                for us in main.sticky.borrow().iter() {
                    sender.send(main, *us, false);
                }
                sender.flush();
            }
        });
    }
}

fn is_sender() -> bool {
    matches!(process::role(), Role::Worker(0) | Role::Single)
}

fn with_link(main: &MainConf<'_>, f: impl FnOnce(&Statsd, &mut Link)) {
    let Some(statsd) = main.statsd.get() else {
        return;
    };
    LINK.with_borrow_mut(|link| {
        // With `master_process off`, a reload may bring another server.
        if link
            .as_ref()
            .is_none_or(|link| link.target != statsd.target)
        {
            *link = Some(Link::new(statsd.target.clone()));
        }
        if let Some(link) = link {
            f(statsd, link);
        }
    });
}

enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Socket {
    fn open(target: &Target) -> io::Result<Self> {
        match target {
            Target::Udp(address) => {
                let any: SocketAddr = match address {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.set_nonblocking(true)?;
                // Only so does the system report that nobody takes what is sent.
                socket.connect(address)?;
                Ok(Self::Udp(socket))
            }
            Target::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.set_nonblocking(true)?;
                socket.connect(path)?;
                Ok(Self::Unix(socket))
            }
        }
    }

    fn send(&self, packet: &[u8]) -> io::Result<()> {
        let sent = match self {
            Self::Udp(socket) => socket.send(packet),
            Self::Unix(socket) => socket.send(packet),
        };
        sent.map(|_| ())
    }

    /// An error of what was sent before.
    fn late_error(&self) -> Option<io::Error> {
        let error = match self {
            Self::Udp(socket) => socket.take_error(),
            Self::Unix(socket) => socket.take_error(),
        };
        error.unwrap_or_else(Some)
    }
}

/// The way to the server.
struct Link {
    target: Target,
    socket: Option<Socket>,
    is_failing: bool,
    /// Seconds without an error.
    quiet: u8,
    /// The upstream that is next in the second that follows.
    next: usize,
    /// Those whose turn it is in this one.
    part: Range<usize>,
}

impl Link {
    fn new(target: Target) -> Self {
        Self {
            target,
            socket: None,
            is_failing: false,
            quiet: 0,
            next: 0,
            part: 0..0,
        }
    }

    /// Whether counters can be sent. While they cannot, tries it once a second with what may be
    /// lost.
    fn is_usable(&mut self, statsd: &Statsd) -> bool {
        let Some(socket) = self.opened() else {
            return false;
        };
        if let Some(why) = socket.late_error() {
            self.failed(&why);
            return false;
        }
        if !self.is_failing {
            return true;
        }
        let mut packets = Packets::new(&statsd.prefix);
        let _ = packets.gauge("build_info", 1);
        let is_sent = packets.rest().is_some_and(|packet| self.send(&packet));
        self.quiet = if is_sent { self.quiet + 1 } else { 0 };
        if self.quiet >= RECOVERED_AFTER {
            self.is_failing = false;
            Log::cycle().write(
                Level::Notice,
                format_args!("sticky: statsd server {} is reached again", self.target),
            );
        }
        false
    }

    fn opened(&mut self) -> Option<&Socket> {
        if self.socket.is_none() {
            match Socket::open(&self.target) {
                Ok(socket) => self.socket = Some(socket),
                Err(why) => self.failed(&why),
            }
        }
        self.socket.as_ref()
    }

    /// Sends a packet, or finds that it cannot be sent now.
    fn send(&mut self, packet: &[u8]) -> bool {
        let Some(socket) = &self.socket else {
            return false;
        };
        match socket.send(packet) {
            Ok(()) => true,
            Err(why) => {
                self.failed(&why);
                false
            }
        }
    }

    fn failed(&mut self, why: &io::Error) {
        self.quiet = 0;
        // A server that was started anew has another socket of the same path.
        self.socket = None;
        if !std::mem::replace(&mut self.is_failing, true) {
            Log::cycle().write(
                Level::Error,
                format_args!(
                    "sticky: statsd server {} is not reached, counters are sent later: {why}",
                    self.target
                ),
            );
        }
    }

    /// Now it is the turn of the next part of the upstreams.
    fn begin_part(&mut self, all: usize) {
        let start = if self.next < all { self.next } else { 0 };
        let end = (start + all.div_ceil(ROUND)).min(all);
        self.next = end;
        self.part = start..end;
    }
}

/// Fills packets and sends them.
struct Sender<'l, 'c> {
    link: &'l mut Link,
    packets: Packets,
    /// What the packet has that is not sent yet.
    claimed: Vec<Unsent<'c>>,
    has_failed: bool,
}

impl<'l, 'c> Sender<'l, 'c> {
    fn new(statsd: &Statsd, link: &'l mut Link) -> Self {
        Self {
            link,
            packets: Packets::new(&statsd.prefix),
            claimed: Vec::new(),
            has_failed: false,
        }
    }

    /// Sends what was counted of an upstream, and of its zone if it is the first one there; also what is
    /// no counter, unless it is too late for that.
    fn send(&mut self, main: &MainConf<'c>, us: Upstream<'c>, with_gauges: bool) {
        let conf = us.srv_conf::<UpstreamConf<'c>>();
        let Some(sticky) = conf.and_then(UpstreamConf::active) else {
            return;
        };
        let zone = sticky.rule.sessions().and_then(Sessions::zone);
        let by_zone = main.by_zone.borrow();
        let is_first = |zone: &&TableZone| {
            let first = by_zone.get(zone.name()).and_then(|all| all.first());
            first.is_some_and(|first| first.name() == us.name())
        };
        let zone = zone.filter(is_first);
        if let Some(counters) = sticky.counters.get() {
            let name = format!("upstream.{}", safe_name(us.name()));
            for (counted, unsent) in counters.unsent() {
                self.count(&format!("{name}.{}", counter_name(counted)), unsent);
            }
            for (label, unsent) in counters.unsent_hits() {
                let server = safe_name(label);
                self.count(&format!("{name}.server.{server}.hits"), unsent);
            }
        }
        if let Some((zone, counters)) = zone.zip(main.counters.get()) {
            let name = format!("zone.{}", safe_name(zone.name()));
            let unsent = counters::unsent_of_zone(counters, zone);
            let names = ["evicted.in_use", "evicted.unused", "state_errors"];
            for (what, unsent) in names.iter().zip(unsent) {
                if let Some(unsent) = unsent {
                    self.count(&format!("{name}.{what}"), unsent);
                }
            }
        }
        if with_gauges && !self.has_failed {
            self.gauges(&Gathered::new(vec![us]), zone.is_some());
        }
    }

    fn gauges(&mut self, view: &dyn View, with_zone: bool) {
        for at in 0..view.upstreams() {
            let upstream = view.upstream(at, Wanted::Servers);
            let name = format!("upstream.{}", safe_name(upstream.name));
            for server in &upstream.servers {
                let name = format!("{name}.server.{}", safe_name(&server.name));
                self.gauges_of_server(&name, server);
            }
        }
        for at in (0..view.zones()).filter(|_| with_zone) {
            let zone = view.zone(at);
            let name = format!("zone.{}", safe_name(zone.name));
            self.gauge(&format!("{name}.capacity_sessions"), zone.capacity);
            if let Some(sessions) = zone.sessions {
                let used = sessions.in_use + sessions.unused;
                self.gauge(&format!("{name}.used_sessions"), used);
                self.gauge_if(&name, "scan_timestamp_seconds", sessions.counted);
            }
            let written = zone.state.as_ref().and_then(|file| file.written);
            self.gauge_if(&name, "state_write_timestamp_seconds", written);
        }
    }

    fn gauges_of_server(&mut self, name: &str, server: &Server<'_>) {
        if let Some(sessions) = server.sessions {
            self.gauge(&format!("{name}.sessions.in_use"), sessions.in_use);
            self.gauge(&format!("{name}.sessions.unused"), sessions.unused);
        }
        let is_draining = u64::from(server.is_draining || server.drain.is_some());
        self.gauge(&format!("{name}.draining"), is_draining);
        self.gauge_if(name, "last_use_timestamp_seconds", server.last_use);
    }

    fn gauge_if(&mut self, name: &str, what: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.gauge(&format!("{name}.{what}"), value);
        }
    }

    fn gauge(&mut self, name: &str, value: u64) {
        if self.has_failed {
            return;
        }
        if let Some(full) = self.packets.gauge(name, value) {
            self.send_packet(&full);
        }
    }

    fn count(&mut self, name: &str, unsent: Unsent<'c>) {
        if self.has_failed {
            unsent.give_back();
            return;
        }
        if let Some(full) = self.packets.count(name, unsent.count) {
            self.send_packet(&full);
        }
        // It is in the packet that has just begun, or goes on.
        match self.has_failed {
            true => unsent.give_back(),
            false => self.claimed.push(unsent),
        }
    }

    fn flush(&mut self) {
        if let Some(packet) = self.packets.rest().filter(|_| !self.has_failed) {
            self.send_packet(&packet);
        }
    }

    fn send_packet(&mut self, packet: &[u8]) {
        let claimed = std::mem::take(&mut self.claimed);
        if !self.link.send(packet) {
            self.has_failed = true;
            claimed.into_iter().for_each(Unsent::give_back);
        }
    }
}
