//! How many lines of memory a look-up waits for, in tables that no cache holds.
//!
//!     cargo bench -p sticky-core --bench lines
//!
//! Counted by cachegrind, with a last cache of 1 MB, so that nothing depends on the machine: the bench
//! runs itself under it, with look-ups and without, and prints the difference for each.

use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};

use population::{Operation, Population, Random};

mod population;

/// Look-ups in each run.
const COUNT: usize = 100_000;

/// The last cache, as cachegrind wants it: bytes, ways, bytes of a line.
const CACHE: &str = "--LL=1048576,16,64";

const SESSIONS: [usize; 2] = [100_000, 1_000_000];

/// The most that a hit should read: the two lines that its session can be in.
const GOAL: f64 = 2.0;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, sessions, what, count] = &arguments[..] {
        if flag == "--look-up" {
            let number = |text: &String| text.parse().expect("a number");
            look_up(number(sessions), operation(what), number(count));
            return ExitCode::SUCCESS;
        }
    }
    // `cargo test --benches` runs this file too, without `--bench`.
    if !arguments.iter().any(|word| word == "--bench") {
        return ExitCode::SUCCESS;
    }
    let valgrind = Command::new("valgrind").arg("--version").output();
    if !valgrind.is_ok_and(|output| output.status.success()) {
        println!("valgrind is not installed: lines of memory are NOT counted");
        return ExitCode::SUCCESS;
    }
    println!("\n| sessions | lines missed by a hit | goal | by a miss |");
    println!("|---:|---:|---:|---:|");
    for sessions in SESSIONS {
        let before = missed(sessions, "hit", 0);
        let of_one = |what| (missed(sessions, what, COUNT) - before) as f64 / COUNT as f64;
        let (hit, miss) = (of_one("hit"), of_one("miss"));
        // What is beside the table, such as the ids themselves, is 1 % at most.
        let verdict = if hit <= GOAL * 1.01 { "met" } else { "missed" };
        println!("| {sessions} | {hit:.2} | {GOAL:.0}, {verdict} | {miss:.2} |");
    }
    ExitCode::SUCCESS
}

fn operation(what: &str) -> Operation {
    match what {
        "hit" => Population::hit,
        _ => Population::miss,
    }
}

fn look_up(sessions: usize, run: Operation, count: usize) {
    let population = Population::filled(sessions);
    let (mut random, mut done) = (Random(1), 0);
    while done < count {
        done += black_box(run(&population, &mut random)).0;
    }
}

/// The lines that such a run reads and that are not in the last cache.
fn missed(sessions: usize, what: &str, count: usize) -> i64 {
    let file = format!("sticky-lines-{}", std::process::id());
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=yes", CACHE])
        .arg(format!("--cachegrind-out-file={}", file.display()))
        .arg(std::env::current_exe().expect("this program"))
        .arg("--look-up")
        .args([&sessions.to_string(), what, &count.to_string()])
        .output()
        .expect("valgrind is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report = std::fs::read_to_string(&file).expect("the counts");
    std::fs::remove_file(&file).expect("the file");
    let line = |name| report.lines().find_map(|line| line.strip_prefix(name));
    let events = line("events: ").expect("names of events");
    let counts = line("summary: ").expect("counts of events");
    let mut of_each = events.split_whitespace().zip(counts.split_whitespace());
    let (_, reads) = of_each.find(|(name, _)| *name == "DLmr").expect("DLmr");
    reads.parse().expect("a count")
}
