//! Any bytes as a state file, and valid ones that are then changed: they are refused or read, and read
//! the same whatever pieces the disk returns. First byte: 0 for a valid one, which the rest describes.
#![no_main]

use std::convert::Infallible;
use std::io::Read;

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use portable_atomic::AtomicU128;
use sticky_core::snapshot::{
    self, Checked, Moment, Record, SnapshotHeader, SnapshotReader, SnapshotWriter,
};
use sticky_core::table::{
    tick_at, Counters, Fingerprint, PeerId, Registry, RegistryHead, Session, Stage, Table,
    Translation, Word,
};

const RECORD_SIZE: usize = 16;

/// The longest `expires=` that the directive accepts.
const LONGEST: i64 = 366 * 86_400;

/// Clocks are read one after the other, in whole seconds. A word rounds only `created`.
const SLACK: i64 = 4;

#[derive(Arbitrary, Debug)]
struct Valid {
    sip_keys: (u64, u64),
    epoch: u64,
    written: (u64, u64),
    servers: Vec<(u32, u64)>,
    words: Vec<(u64, u64)>,
    now: (u64, u64),
    change: Change,
}

#[derive(Arbitrary, Debug)]
enum Change {
    Nothing,
    Byte {
        at: u16,
        to: u8,
    },
    CutTo(u16),
    Append(Vec<u8>),
    /// The clocks of a system that had been up for `up` seconds; nginx was down for `down`.
    Plausible {
        age: u32,
        up: u32,
        down: u32,
        boot: bool,
    },
}

fuzz_target!(|input: &[u8]| {
    match input.split_first() {
        Some((0, rest)) => {
            if let Ok(valid) = Valid::arbitrary(&mut Unstructured::new(rest)) {
                changed(valid);
            }
        }
        Some((piece, file)) => {
            read(file, usize::from(*piece), moment((0, 0)));
        }
        None => {}
    }
});

fn moment((monotonic, wall): (u64, u64)) -> Moment {
    Moment { monotonic, wall }
}

fn changed(mut valid: Valid) {
    if let Change::Plausible {
        age,
        up,
        down,
        boot,
    } = valid.change
    {
        let (up, wall) = (u64::from(up), 1_700_000_000);
        let down = u64::from(down);
        let since_boot = if boot { 7 } else { up + down };
        valid.epoch = up.wrapping_sub(u64::from(age % (1 << 27)));
        valid.written = (up, wall);
        valid.now = (since_boot, wall + down);
    }
    let header = SnapshotHeader {
        sip_keys: valid.sip_keys,
        epoch: valid.epoch,
        written: moment(valid.written),
    };
    let words: Vec<Word> = valid
        .words
        .iter()
        .map(|(key, rest)| Word::from_bits(u128::from(*key) << 64 | u128::from(*rest)))
        .collect();
    let servers = valid.servers.iter().filter_map(|(number, server)| {
        let server = Fingerprint::from_bits(u128::from(*server))?;
        Some(Record::Server(PeerId::new(*number), server))
    });
    let sessions = words.iter().filter(|word| !word.is_empty());
    let records: Vec<Record> = servers
        .chain(sessions.map(|word| Record::Session(*word)))
        .collect();
    let mut file = written(&header, &records);
    // Whatever is between the words of a file that is whole is kept.
    let kept = SnapshotReader::open(&file[..]).expect("a file with a header");
    let mut writer = SnapshotWriter::new(Vec::new(), &header).expect("a vector accepts all");
    writer.keep(kept).expect("a file that is whole");
    let copied = writer.finish().expect("a vector accepts all");
    assert_eq!(copied, written(&header, &[]));

    let whole = file.clone();
    match &valid.change {
        Change::Nothing | Change::Plausible { .. } => {}
        Change::Byte { at, to } => {
            let at = usize::from(*at) % file.len();
            file[at] = *to;
        }
        Change::CutTo(len) => file.truncate(usize::from(*len)),
        Change::Append(more) => file.extend(more),
    }
    let now = moment(valid.now);
    let accepted = read(&file, 7, now);
    assert_eq!(accepted.is_some(), file == whole, "{:?}", valid.change);
    if let Some(own) = accepted {
        assert_eq!(own, (header, records));
        if matches!(valid.change, Change::Plausible { .. }) {
            grows_older(&header, now);
        }
    }
}

fn written(header: &SnapshotHeader, records: &[Record]) -> Vec<u8> {
    let mut writer = SnapshotWriter::new(Vec::new(), header).expect("a vector accepts all");
    for record in records {
        let written = match record {
            Record::Server(number, server) => writer.server(*number, *server),
            Record::Session(word) => writer.session(*word),
            Record::Drain(drain) => writer.drain(drain),
            Record::KeyBefore(key) => writer.key_before(key),
        };
        written.expect("a vector accepts all");
    }
    writer.finish().expect("a vector accepts all")
}

/// Reads a file and fills a table with it. `None` when it is refused.
fn read(file: &[u8], piece: usize, now: Moment) -> Option<(SnapshotHeader, Vec<Record>)> {
    let verdict = snapshot::check(file);
    let in_pieces = snapshot::check(Pieces { file, piece });
    assert_eq!(format!("{verdict:?}"), format!("{in_pieces:?}"));
    if let Err(error) = &verdict {
        assert!(!error.to_string().is_empty());
    }
    // What comes before the error is bounded as well.
    let most = file.len() / RECORD_SIZE;
    let records: Vec<Record> = SnapshotReader::open(file)
        .into_iter()
        .flatten()
        .map_while(Result::ok)
        .take(most + 1)
        .collect();
    assert!(records.len() <= most);
    let Checked {
        header, sessions, ..
    } = verdict.ok()?;
    let is_session = |record: &&Record| matches!(record, Record::Session(_));
    assert_eq!(records.iter().filter(is_session).count() as u64, sessions);

    let (epoch, shift) = header.resume(now);
    header.shift_into(epoch, now);
    let zeros = |count| -> Vec<AtomicU128> { (0..count).map(|_| AtomicU128::new(0)).collect() };
    let (head, entries) = (RegistryHead::default(), zeros(5));
    let registry = Registry::new(&head, &entries);
    let (places, counters) = (zeros(40), Counters::default());
    let table = Table::new(&places, &counters).with_registry(registry);
    let numbers = Translation::into(Some(registry));
    let mut servers = Vec::new();
    let mut sessions: Vec<(_, Fingerprint, Session)> = Vec::new();
    for record in &records {
        match record {
            Record::Server(number, server) => {
                servers.push((*number, *server));
                numbers.learn(&[(*number, *server)]);
            }
            Record::Session(word) => {
                let Some((key, session)) = shift.session(*word) else {
                    continue;
                };
                let server = servers.iter().rfind(|(number, _)| *number == session.peer);
                let here = numbers.session(&session);
                let room = registry.registrations().count() < registry.capacity();
                assert!(here.is_none() || server.is_some());
                assert!(here.is_some() || server.is_none() || !room);
                if let (Some(here), Some((_, server))) = (here, server) {
                    sessions.push((key, *server, here));
                }
            }
            Record::Drain(_) | Record::KeyBefore(_) => {}
        }
    }
    let Ok::<_, Infallible>(restored) = table.restore(|take| {
        sessions
            .iter()
            .for_each(|(key, _, session)| take(*key, session));
        Ok(())
    });
    assert!(restored <= table.capacity());
    for (key, session) in table.sessions() {
        let holder = registry
            .registrations()
            .find(|server| server.number == session.peer)
            .and_then(|server| server.fingerprint());
        let is_held =
            |(own, server, _): &(_, Fingerprint, Session)| *own == key && Some(*server) == holder;
        assert!(sessions.iter().any(is_held), "{key:?} {session:?}");
    }
    Some((header, records))
}

/// Idle time goes on while nginx is down: no session is younger afterwards.
fn grows_older(header: &SnapshotHeader, now: Moment) {
    let down = (now.wall - header.written.wall) as i64;
    let (epoch, shift) = header.resume(now);
    let (tick, here) = (header.tick(), tick_at(epoch, now.monotonic));
    for idle in [0, 1, 60, 3600, 86_400, 1 << 25] {
        let session = Session {
            peer: sticky_core::table::PeerId::new(1),
            seen: tick.saturating_sub(idle),
            created: 0,
            confirmed: true,
            stage: Stage::Settled,
        };
        let was_idle = i64::from(tick - session.seen);
        let word = Word::new(sticky_core::table::Key::new(1), &session);
        let (_, shifted) = shift.session(word).expect("a word with a key");
        let is_idle = i64::from(here) - i64::from(shifted.seen);
        let expected = (was_idle + down).min(LONGEST);
        assert!(is_idle + SLACK >= expected, "{is_idle}, not {expected}");
        assert!(
            is_idle <= was_idle + down + SLACK,
            "{is_idle}, not {expected}"
        );
    }
}

/// A file that returns a few bytes at a time.
struct Pieces<'a> {
    file: &'a [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let len = into.len().min(self.piece.max(1));
        self.file.read(&mut into[..len])
    }
}
