//! What operations on a session and on a whole table cost, from ten thousand sessions to 50 million.
//!
//!     cargo bench -p sticky-core --bench scale [-- SESSIONS …]
//!
//! Prints the tables of docs/performance.md, in Markdown. A table is 0.6 full of live sessions.
//! 50 million of them need 5 GB of memory, and 1 GB in cargo's target folder.

use std::fs::{remove_file, File};
use std::io;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use sticky_core::snapshot::{
    check, Moment, Record, SnapshotError, SnapshotHeader, SnapshotReader, SnapshotWriter,
};
use sticky_core::table::{PeerId, Swept, Table, Tallies, Word};

use population::{Population, Random, LIMITS, NOW};

mod population;

const SIZES: [usize; 4] = [10_000, 1_000_000, 10_000_000, 50_000_000];

/// The table is swept in pieces of 1 MB, as the module does it.
const PIECE: usize = 1 << 16;

fn main() {
    // `cargo test --benches` runs this file too, without `--bench`.
    if !std::env::args().any(|word| word == "--bench") {
        return;
    }
    let wanted: Vec<usize> = std::env::args()
        .filter_map(|word| word.parse().ok())
        .collect();
    let sizes = if wanted.is_empty() {
        &SIZES[..]
    } else {
        &wanted
    };

    println!(
        "| sessions | table, MB | hit, ns | miss, ns | learn, ns | sweep, ms/MB | count, s | to double, s \
         | to half, s | kept | file, MB | written, s | read, s |"
    );
    println!("|{}", "---:|".repeat(13));
    for &sessions in sizes {
        let row = Row::measured(sessions).expect("a temporary file");
        row.print();
    }
}

struct Row {
    sessions: usize,
    table_bytes: usize,
    hit: f64,
    miss: f64,
    learn: f64,
    sweep: f64,
    tally: Duration,
    to_double: Duration,
    to_half: Duration,
    kept: usize,
    file_bytes: u64,
    written: Duration,
    read: Duration,
}

impl Row {
    fn measured(sessions: usize) -> io::Result<Row> {
        let population = Population::filled(sessions);
        let table = population.table();
        let words = table.capacity();
        let random = &mut Random(1);
        let mut nanos = |run| population.nanos(Duration::from_secs(1), random, run);
        let (hit, miss, learn) = (
            nanos(Population::hit),
            nanos(Population::miss),
            nanos(Population::learn),
        );
        let (_, to_double) = copy(&table, words * 2);
        let (kept, to_half) = copy(&table, words / 2);
        let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/scale.state");
        let (written, file_bytes) = save(&table, path)?;
        let read = load(path, words, sessions)?;
        remove_file(path)?;

        Ok(Row {
            sessions,
            table_bytes: words * 16,
            hit,
            miss,
            learn,
            sweep: sweep(&table, sessions),
            tally: tally(&table, sessions),
            to_double,
            to_half,
            kept,
            file_bytes,
            written,
            read,
        })
    }

    fn print(&self) {
        let seconds = |time: Duration| format!("{:.3}", time.as_secs_f64());
        let mega = |bytes: f64| format!("{:.1}", bytes / 1e6);
        println!(
            "| {} | {} | {:.0} | {:.0} | {:.0} | {:.2} | {} | {} | {} | {} | {} | {} | {} |",
            self.sessions,
            mega(self.table_bytes as f64),
            self.hit,
            self.miss,
            self.learn,
            self.sweep,
            seconds(self.tally),
            seconds(self.to_double),
            seconds(self.to_half),
            self.kept,
            mega(self.file_bytes as f64),
            seconds(self.written),
            seconds(self.read),
        );
    }
}

/// How long it takes to count the sessions of each server in the whole table.
fn tally(table: &Table, sessions: usize) -> Duration {
    let mut tallies = Tallies::default();
    let mut from = 0;
    let begin = Instant::now();
    loop {
        from = table.tally(from, PIECE, &LIMITS, NOW, &mut tallies);
        if from == 0 {
            break;
        }
    }
    let spent = begin.elapsed();
    let all = (0..1 << 14).map(|number| tallies.of(PeerId::new(number)));
    let all: u64 = all
        .map(|tally| u64::from(tally.in_use) + u64::from(tally.not_in_use))
        .sum();
    assert_eq!(all, sessions as u64);
    spent
}

/// Milliseconds for each megabyte of a table without expired sessions.
fn sweep(table: &Table, sessions: usize) -> f64 {
    let mut whole = Swept::default();
    let begin = Instant::now();
    loop {
        whole += table.sweep(whole.next, PIECE, &LIMITS, NOW);
        if whole.next == 0 {
            break;
        }
    }
    let spent = begin.elapsed();
    assert_eq!(whole.live, sessions as u64);
    spent.as_secs_f64() * 1e3 / (table.capacity() as f64 / PIECE as f64)
}

/// Copies a table into one of so many words. Returns how many sessions that has, and the time.
fn copy(table: &Table, words: usize) -> (usize, Duration) {
    let other = Population::empty(words, 1);
    // As the module does it.
    let threads = available_parallelism().map_or(1, |count| count.get().min(4));
    let begin = Instant::now();
    other.table().copy_from_in(table, threads);
    let spent = begin.elapsed();
    (other.table().sessions().count(), spent)
}

/// The time until the file is on the disk, and its size.
fn save(table: &Table, path: &str) -> io::Result<(Duration, u64)> {
    let header = SnapshotHeader {
        sip_keys: (1, 2),
        epoch: 0,
        written: Moment {
            monotonic: u64::from(NOW),
            wall: 0,
        },
    };
    let begin = Instant::now();
    let file = File::create(path)?;
    let mut writer = SnapshotWriter::new(&file, &header)?;
    for (key, session) in table.sessions() {
        writer.session(Word::new(key, &session))?;
    }
    writer.finish()?;
    file.sync_all()?;
    Ok((begin.elapsed(), file.metadata()?.len()))
}

/// The time to check the file and restore it into an empty table.
fn load(path: &str, words: usize, sessions: usize) -> io::Result<Duration> {
    let population = Population::empty(words, 1);
    let begin = Instant::now();
    check(File::open(path)?).map_err(io::Error::other)?;
    let count = population.table().restore(|take| {
        for record in SnapshotReader::open(File::open(path)?)? {
            let Record::Session(word) = record? else {
                continue;
            };
            if let Some(key) = word.key() {
                take(key, &word.session());
            }
        }
        Ok::<_, SnapshotError>(())
    });
    let spent = begin.elapsed();
    assert_eq!(count.map_err(io::Error::other)?, sessions);
    Ok(spent)
}
