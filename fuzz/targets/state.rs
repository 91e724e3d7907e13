//! Any bytes as a state file, and valid ones that are then changed: they are refused or read, and read
//! the same whatever pieces the disk returns. First byte: 0 for a valid one, which the rest describes.
#![no_main]

use std::convert::Infallible;
use std::io::Read;

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use portable_atomic::AtomicU128;
use sticky_core::snapshot::{self, Moment, SnapshotHeader, SnapshotReader};
use sticky_core::table::{tick_at, Counters, Session, Table, Word};

const HEADER_SIZE: usize = 64;
const WORD_SIZE: usize = 16;

/// The longest `expires=` that the directive accepts.
const LONGEST: i64 = 366 * 86_400;

/// Clocks are read one after the other, in whole seconds. A word rounds only `created`.
const SLACK: i64 = 4;

#[derive(Arbitrary, Debug)]
struct Valid {
    sip_keys: (u64, u64),
    epoch: u64,
    written: (u64, u64),
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
    let mut file = Vec::new();
    let count =
        snapshot::write(&mut file, &header, words.iter().copied()).expect("a vector accepts all");
    assert_eq!(file.len(), HEADER_SIZE + (count as usize + 1) * WORD_SIZE);

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
    if let Some((own_header, own_words)) = accepted {
        let kept: Vec<Word> = words.into_iter().filter(|word| !word.is_empty()).collect();
        assert_eq!((own_header, own_words), (header, kept));
        if matches!(valid.change, Change::Plausible { .. }) {
            grows_older(&header, now);
        }
    }
}

/// Reads a file and fills a table with it. `None` when it is refused.
fn read(file: &[u8], piece: usize, now: Moment) -> Option<(SnapshotHeader, Vec<Word>)> {
    let verdict = snapshot::check(file);
    let in_pieces = snapshot::check(Pieces { file, piece });
    assert_eq!(format!("{verdict:?}"), format!("{in_pieces:?}"));
    if let Err(error) = &verdict {
        assert!(!error.to_string().is_empty());
    }
    // The words before the error are bounded as well.
    let most = file.len() / WORD_SIZE;
    let words: Vec<Word> = SnapshotReader::open(file)
        .into_iter()
        .flatten()
        .map_while(Result::ok)
        .take(most + 1)
        .collect();
    assert!(words.len() <= most);
    let (header, count) = verdict.ok()?;
    assert_eq!(words.len(), count as usize);

    let (epoch, shift) = header.resume(now);
    header.shift_into(epoch, now);
    let places: Vec<AtomicU128> = (0..40).map(|_| AtomicU128::new(0)).collect();
    let counters = Counters::default();
    let table = Table::new(&places, &counters);
    let sessions: Vec<_> = words
        .iter()
        .filter_map(|word| shift.session(*word))
        .collect();
    let Ok::<_, Infallible>(restored) = table.restore(|take| {
        sessions
            .iter()
            .for_each(|(key, session)| take(*key, session));
        Ok(())
    });
    assert!(restored <= table.capacity());
    for (key, session) in table.sessions() {
        let is_held = |(own, held): &(_, Session)| *own == key && held.peer == session.peer;
        assert!(sessions.iter().any(is_held), "{key:?} {session:?}");
    }
    Some((header, words))
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
