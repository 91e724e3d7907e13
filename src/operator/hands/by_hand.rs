//! What becomes of an upstream's servers and sessions.

use std::fmt::Write;

use sticky_core::operator::action::{Action, Order};
use sticky_core::status::{Done, Found};
use sticky_core::table::bulk::{Bulk, Part};
use sticky_core::table::{Limits, LookUp, PeerId, Registration};

use crate::config::directives::DRAINING;
use crate::config::peer_index::names_of_each;
use crate::config::types::Sticky;
use crate::operator::servers::Named;
use crate::zone::bulk::{self, Begun};
use crate::zone::counters::{self, UpstreamCounters};
use crate::zone::sessions::Sessions;
use crate::zone::table_zone::random_key;

use super::running::{self, Running};
use super::{Outcome, Refused};

/// An upstream of which something is done.
pub struct ByHand<'c> {
    /// The upstream.
    pub sticky: &'c Sticky<'c>,
    /// Its servers, by all their names.
    pub servers: Vec<Named>,
}

/// Sessions of an upstream, with how long they live.
type Table<'a, 'c> = (&'a Sessions<'c>, Limits);

impl<'c> ByHand<'c> {
    /// Does it.
    pub fn act(&self, action: &Action) -> Result<Done, Refused> {
        let mut done = Done {
            action: action.name(),
            upstream: self.sticky.upstream.to_vec(),
            ..Done::default()
        };
        let upstream = self.sticky.upstream.escape_ascii();
        match action {
            Action::Drain { server, seconds } => {
                let until = seconds.map(|seconds| counters::now().saturating_add(seconds));
                let (counters, place) = self.counted(server)?;
                counters
                    .drain_by_hand(place, until)
                    .ok_or_else(|| Refused::new(500, "there is no zone of counters"))?;
                done.server = Some(server.clone());
                done.text = format!(
                    "server \"{}\" gets no new sessions{}, upstream \"{upstream}\"",
                    server.escape_ascii(),
                    match seconds {
                        Some(seconds) => format!(", and none at all in {seconds} s"),
                        None => String::new(),
                    }
                );
            }
            Action::Undrain { server } => {
                let (counters, place) = self.counted(server)?;
                if counters.undrain(place).is_none() {
                    let configured = "the server is not drained by hand, nor says that it is";
                    return Err(Refused::new(409, configured));
                }
                done.server = Some(server.clone());
                let is_configured = self
                    .sticky
                    .us
                    .addresses()
                    .iter()
                    .any(|address| address.name == server && address.down & DRAINING != 0);
                let server = server.escape_ascii();
                let what = match is_configured {
                    true => "is drained by its line in the configuration alone now",
                    false => "gets new sessions",
                };
                done.text = format!("server \"{server}\" {what}, upstream \"{upstream}\"");
            }
            Action::Move {
                server,
                to,
                percent,
            } => {
                let table = self.table()?;
                let target = self.target(server, to.as_deref(), table.0)?;
                let whereto = match to {
                    Some(to) => format!("to \"{}\"", to.escape_ascii()),
                    None => "to whichever server the balancer chooses".to_owned(),
                };
                done.text = format!(
                    "{percent} % of the sessions of server \"{}\" move {whereto}, upstream \
                     \"{upstream}\"",
                    server.escape_ascii()
                );
                self.change(server, *percent, Bulk::Move(target), table, &mut done)?;
            }
            Action::Forget { server } => {
                done.text = format!(
                    "the sessions of server \"{}\" are forgotten, upstream \"{upstream}\"",
                    server.escape_ascii()
                );
                self.change(server, 100, Bulk::End, self.table()?, &mut done)?;
            }
            Action::ForgetSession { id } => {
                let (sessions, limits) = self.table()?;
                let key = sessions.key(id);
                let holder = key.and_then(|key| match sessions.look_up(key, &limits) {
                    LookUp::Found(session) => Some((key, session.peer)),
                    LookUp::Unknown | LookUp::Expired => None,
                });
                let ended = holder.is_some_and(|(key, peer)| sessions.end(key, peer, &limits));
                if !ended {
                    return Err(Refused::new(404, "there is no session of that id"));
                }
                done.sessions = Some(1);
                self.count_forgotten(1);
                done.text = format!("a session is forgotten, upstream \"{upstream}\"");
            }
            Action::LookUp { id } => self.look_up(id, &mut done)?,
        }
        Ok(done)
    }

    /// Asks whether something is meant that servers lose by.
    pub fn ask(&self, order: &Order) -> Outcome {
        let mut text = String::new();
        // A string takes what is written to it.
        let _ = match &order.action {
            Action::Move {
                server,
                to,
                percent,
            } => write!(
                text,
                "Move {percent} % of the sessions of server \"{}\"{}? What it has in its memory of them \
                 is lost.",
                server.escape_ascii(),
                match to {
                    Some(to) => format!(" to \"{}\"", to.escape_ascii()),
                    None => String::new(),
                }
            ),
            Action::Forget { server } => write!(
                text,
                "Forget all sessions of server \"{}\"? Its clients may be sent to another server, which \
                 does not know them.",
                server.escape_ascii()
            ),
            _ => write!(
                text,
                "Forget this session? Its client may be sent to another server, which does not know it."
            ),
        };
        let mut parameters = order.action.parameters();
        parameters.push(("upstream", order.upstream.clone()));
        Outcome::Ask(text, parameters)
    }

    fn named(&self, server: &[u8]) -> Result<&Named, Refused> {
        let mut named = self.servers.iter().filter(|named| named.label == server);
        let unknown = || Refused::new(404, "no server of that name is in this upstream");
        named.next().ok_or_else(unknown)
    }

    /// The counters of the upstream, and the place of a server in them.
    fn counted(
        &self,
        server: &[u8],
    ) -> Result<(&UpstreamCounters<'c>, sticky_core::counters::Place), Refused> {
        self.named(server)?;
        let counters = self.sticky.counters.get();
        counters
            .and_then(|counters| Some((counters, counters.server(server)?)))
            .ok_or_else(|| Refused::new(500, "there is no room for this server among the counters"))
    }

    /// The upstream's sessions.
    fn table(&self) -> Result<Table<'_, 'c>, Refused> {
        let Some(sessions) = self.sticky.rule.sessions() else {
            let why = "this upstream has no session table: its sessions are in cookies or links";
            return Err(Refused::new(409, why));
        };
        if sessions.zone().is_none() {
            let why =
                "with zone=off each worker has sessions of its own, which no other one reaches";
            return Err(Refused::new(409, why));
        }
        Ok((sessions, sessions.limits()))
    }

    /// All that a server is called in the table.
    fn numbers(&self, server: &[u8], sessions: &Sessions<'_>) -> Result<Vec<PeerId>, Refused> {
        self.named(server)?;
        let of_server = self.servers.iter().zip(self.names());
        let of_server = of_server.filter(|(named, _)| named.label == server);
        let names = of_server.flat_map(|(_, (name, alias))| std::iter::once(name).chain(alias));
        Ok(sessions.numbers_of(&names.collect::<Vec<_>>()))
    }

    fn names(&self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let servers = self.servers.iter();
        let peers = servers.map(|named| (&named.name[..], named.route.as_deref()));
        names_of_each(&peers.collect::<Vec<_>>())
    }

    /// Where sessions of a server go. Those that go to none are at one that no upstream has: the next
    /// request of each goes where the balancer sends it, and the session goes along.
    fn target(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        sessions: &Sessions<'_>,
    ) -> Result<Registration, Refused> {
        let target = match to {
            None => sessions.nobody(),
            Some(to) => {
                self.named(to)?;
                if to == from {
                    return Err(Refused::new(400, "the sessions are at that server"));
                }
                let names = self.names();
                let mut of_server = self.servers.iter().zip(names);
                let found = of_server.find(|(named, _)| named.label == to);
                found.and_then(|(_, (name, _))| sessions.registration_of(&name))
            }
        };
        let no_number = || Refused::new(409, "the zone has no number left for that server");
        target.ok_or_else(no_number)
    }

    fn change(
        &self,
        server: &[u8],
        percent: u8,
        bulk: Bulk,
        (sessions, limits): Table<'_, 'c>,
        done: &mut Done,
    ) -> Result<(), Refused> {
        let zone = sessions.zone();
        let (salt, _) = random_key().unwrap_or_default();
        let numbers = self.numbers(server, sessions)?.into_iter();
        let parts = numbers.map(|of| Part { of, percent, salt }).collect();
        done.server = Some(server.to_vec());
        if running::is_full() {
            return Err(Refused::new(
                503,
                "so many sessions are being moved already",
            ));
        }
        let begun = zone.and_then(|zone| bulk::begin(zone, parts, bulk, limits, sessions.noted()));
        let is_moved = matches!(bulk, Bulk::Move(_));
        match begun {
            None => Err(Refused::new(500, "no thread could be started")),
            Some(Begun::Done(count)) => {
                done.sessions = Some(count as u64);
                self.count(is_moved, count as u64);
                let _ = write!(done.text, ", {count} sessions");
                Ok(())
            }
            Some(Begun::Running(task)) => {
                running::add(Running {
                    task,
                    upstream: self.sticky.upstream.to_vec(),
                    text: done.text.clone(),
                    is_moved,
                });
                done.text
                    .push_str(", which takes a moment: the log will say how many");
                Ok(())
            }
        }
    }

    fn count(&self, is_moved: bool, count: u64) {
        let own = self.sticky.counters.get().and_then(UpstreamCounters::own);
        if let Some(own) = own {
            match is_moved {
                true => own.moved_by_hand(count),
                false => own.forgotten_by_hand(count),
            }
        }
    }

    fn count_forgotten(&self, count: u64) {
        self.count(false, count);
    }

    fn look_up(&self, id: &[u8], done: &mut Done) -> Result<(), Refused> {
        let (sessions, limits) = self.table()?;
        let found = sessions.key(id).and_then(|key| {
            let session = match sessions.look_up(key, &limits) {
                LookUp::Found(session) => session,
                LookUp::Unknown | LookUp::Expired => return None,
            };
            let now = sessions.now()?;
            let mut servers = self.servers.iter().zip(self.names());
            let server = servers.find(|(_, (name, alias))| {
                let names = std::iter::once(name).chain(alias);
                names
                    .into_iter()
                    .any(|name| sessions.is_called(session.peer, name))
            });
            Some(Found {
                server: server.map(|(server, _)| server.label.clone()),
                age: now.saturating_sub(session.created).into(),
                unused_for: now.saturating_sub(session.seen).into(),
                is_in_use: session.is_in_use(),
            })
        });
        let upstream = self.sticky.upstream.escape_ascii();
        done.text = match &found {
            None => format!("there is no session of that id, upstream \"{upstream}\""),
            Some(found) => format!(
                "the session is at {}, has begun {} s ago and is {}, upstream \"{upstream}\"",
                match &found.server {
                    Some(server) => format!("server \"{}\"", server.escape_ascii()),
                    None => "no server of this upstream".to_owned(),
                },
                found.age,
                match found.is_in_use {
                    true => format!("in use, last {} s ago", found.unused_for),
                    false => "not in use yet".to_owned(),
                }
            ),
        };
        done.server = found.as_ref().and_then(|found| found.server.clone());
        done.found = Some(found);
        Ok(())
    }
}
