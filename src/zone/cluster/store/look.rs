//! What a node asks the store once a second, in one round trip.

use std::time::{Duration, Instant};

use redis::Value;

use super::{text_of, Answer, Store, StoreError, StreamId};

/// What a look is for.
pub struct LookFor<'a> {
    /// The name of the stream.
    pub stream: &'a [u8],
    /// A place in it, if there is one.
    pub place: Option<StreamId>,
    /// The list of members, and which of them is there.
    pub list: &'a [u8],
    /// See [`LookFor::list`].
    pub member: &'a [u8],
    /// The second at which it is there.
    pub now: u64,
    /// Members are forgotten that were not there for so many seconds.
    pub lasts: u64,
}

/// What was seen.
pub struct Look {
    /// The time by its clock, in microseconds since 1970.
    pub time: u64,
    /// How long the answer about the time took.
    pub took: Duration,
    /// What tells one run of the server from another one.
    pub run: String,
    /// Whether the stream has the entry of the place.
    pub is_in_place: bool,
    /// How many members there are.
    pub members: u64,
}

impl Store {
    /// Asks for a look. Returns when.
    pub fn ask_look(&mut self, what: &LookFor<'_>) -> Answer<Instant> {
        let asked = Instant::now();
        // First, as how long that takes counts.
        self.send(&redis::cmd("TIME"))?;
        self.send(redis::cmd("INFO").arg("server"))?;
        if let Some(place) = what.place {
            self.ask_has(what.stream, place)?;
        }
        self.ask_attend(what)?;
        self.send_all()?;
        Ok(asked)
    }

    /// The answers to that.
    pub fn look(&mut self, what: &LookFor<'_>, asked: Instant) -> Answer<Look> {
        let time = self.told_time()?;
        let took = asked.elapsed();
        let run = self.told_run()?;
        let is_in_place = match what.place {
            Some(_) => self.told_has()?,
            None => true,
        };
        let members = self.told_members()?;
        Ok(Look {
            time,
            took,
            run,
            is_in_place,
            members,
        })
    }

    /// The time by its clock, in microseconds since 1970, and how long the answer took.
    pub fn time(&mut self) -> Answer<(u64, Duration)> {
        let asked = Instant::now();
        self.send(&redis::cmd("TIME"))?;
        Ok((self.told_time()?, asked.elapsed()))
    }

    fn told_time(&mut self) -> Answer<u64> {
        let Value::Array(parts) = self.receive()? else {
            return Err(StoreError::Odd("TIME"));
        };
        let mut parts = parts.iter().map(|part| text_of(part)?.parse::<u64>().ok());
        let seconds = parts.next().flatten();
        let micros = parts.next().flatten();
        let (seconds, micros) = seconds.zip(micros).ok_or(StoreError::Odd("TIME"))?;
        Ok(seconds.saturating_mul(1_000_000).saturating_add(micros))
    }

    /// What tells one run of the server from another one.
    pub fn run_id(&mut self) -> Answer<String> {
        self.send(redis::cmd("INFO").arg("server"))?;
        self.told_run()
    }

    fn told_run(&mut self) -> Answer<String> {
        let text = text_of(&self.receive()?).ok_or(StoreError::Odd("INFO"))?;
        let found = text.lines().find_map(|line| line.strip_prefix("run_id:"));
        found.map(str::to_owned).ok_or(StoreError::Odd("INFO"))
    }

    /// Notes in the list that the member is there, forgets those that were not for too long, and the
    /// whole list when none is there any more. Returns how many are left.
    pub fn attend(&mut self, what: &LookFor<'_>) -> Answer<u64> {
        self.ask_attend(what)?;
        self.told_members()
    }

    fn ask_attend(&mut self, what: &LookFor<'_>) -> Answer<()> {
        let (list, now, lasts) = (what.list, what.now, what.lasts);
        let mut note = redis::cmd("ZADD");
        self.send(note.arg(list).arg(now).arg(what.member))?;
        let mut end = redis::cmd("ZREMRANGEBYSCORE");
        let over = now.saturating_sub(lasts);
        self.send(end.arg(list).arg("-inf").arg(over))?;
        let mut expire = redis::cmd("PEXPIRE");
        self.send(expire.arg(list).arg(lasts.saturating_mul(1000)))?;
        self.send(redis::cmd("ZCARD").arg(list))
    }

    fn told_members(&mut self) -> Answer<u64> {
        self.done(3)?;
        match self.receive()? {
            Value::Int(count) => Ok(u64::try_from(count).unwrap_or_default()),
            _ => Err(StoreError::Odd("ZCARD")),
        }
    }
}
