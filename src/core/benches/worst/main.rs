//! The dearest bodies that are known, for each reader of responses and of requests: `make
//! bench-worst`.
//!
//! An input is a text that is repeated behind another one, read in pieces of one size for some
//! names. The known ones are in `inputs.txt`. The bench counts the instructions of each under
//! callgrind, prints them per KB, and fails when one costs more than the bound of its reader. With
//! WORST_TRIES, it changes the dearest ones of each reader at random that many times, keeps what
//! costs more, and adds the dearest of a kind to `inputs.txt`. The same WORST_SEED (a number) has
//! the same changes tried.
//!
//! `make test` runs it too, with WORST_SLACK=30: another compiler or processor may cost so many
//! percent more than the bounds say, but a reader that reads the same bytes again and again costs a
//! multiple.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};

mod input;
mod mutation;

use input::{Input, READERS};
use mutation::Random;

/// The text of a known input is at least this long: so long that what any page may cost is little.
const SIZE: usize = 96 * 1024;

/// A change is tried on less.
const TRIED_SIZE: usize = 40 * 1024;

/// How many changes are measured at once.
const GENERATION: usize = 12;

/// How many of the dearest inputs of a kind are changed.
const PARENTS: usize = 4;

/// How much dearer than all known ones of its kind an input must be to be kept, in percent.
const BETTER: u64 = 4;

/// How many inputs of each reader are printed.
const SHOWN: usize = 10;

/// Instructions per KB that no input of a reader may exceed, in the order of [`READERS`].
const BOUNDS: [u64; READERS.len()] = [
    1_000_000, 370_000, 780_000, 1_380_000, 660_000, 330_000, 680_000, 175_000, 175_000, 175_000,
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    // The bench runs itself under callgrind with these arguments.
    if let [_, flag, size, file] = &arguments[..] {
        if flag == "--read" {
            let size = size.parse().expect("a size");
            for input in Input::all(&std::fs::read_to_string(file).expect("the inputs")) {
                let text = input.text(size);
                black_box(measured(&input, &text));
            }
            return ExitCode::SUCCESS;
        }
    }
    let number = |name: &str| {
        let value = std::env::var(name).ok()?;
        Some(value.parse::<u64>().expect("a number"))
    };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/worst/inputs.txt");
    let known = std::fs::read_to_string(&file).expect("the known inputs");
    let mut inputs = Input::all(&known);
    if let Some(tries) = number("WORST_TRIES") {
        let seed = number("WORST_SEED").unwrap_or(1);
        let found = search(&inputs, tries, seed);
        let mut lines = known;
        for input in &found {
            writeln!(lines, "{input}").expect("a String takes everything");
        }
        std::fs::write(&file, lines).expect("the known inputs");
        inputs.extend(found);
    }
    match report(&inputs, number("WORST_SLACK")) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// What is counted, as callgrind calls it.
const COUNTED: &str = "worst::measured";

/// Reads one body.
#[inline(never)]
fn measured(input: &Input, text: &[u8]) -> usize {
    if input.is_of_requests() {
        return input.ids_in(text);
    }
    let mut learner = input.learner();
    let mut count = 0;
    // A page of ids that get no place: each is handed out wherever it stands.
    let mut found = |_: &[u8], _| {
        count += 1;
        false
    };
    for piece in text.chunks(input.piece) {
        learner.feed(piece, &mut found);
    }
    learner.end(&mut found);
    count
}

/// Prints the dearest inputs, one of each reader with a `slack`. Returns whether they keep to the
/// bounds, or exceed them by no more than that many percent.
fn report(inputs: &[Input], slack: Option<u64>) -> bool {
    let shown = slack.map_or(SHOWN, |_| 1);
    let costs = costs(inputs, SIZE);
    let mut keeps = true;
    let mut summary = String::new();
    println!(
        "{:10} {:>9}  {:>6}  {:>5}  {:5}  text",
        "reader", "instr/KB", "piece", "names", "in"
    );
    for (reader, bound) in READERS.iter().zip(BOUNDS) {
        let bound = bound + bound * slack.unwrap_or(0) / 100;
        let own = inputs.iter().zip(&costs);
        let mut own: Vec<_> = own.filter(|(input, _)| input.reader == *reader).collect();
        own.sort_by_key(|(_, cost)| std::cmp::Reverse(**cost));
        for (input, cost) in own.iter().take(shown) {
            println!(
                "{reader:10} {cost:>9}  {:>6}  {:>5}  {:5}  {}",
                input.piece,
                input.names.len(),
                input.parts,
                input.shown()
            );
        }
        let worst = own.first().map_or(0, |(_, cost)| **cost);
        let is_kept = worst <= bound;
        let verdict = match is_kept {
            true => "keeps to",
            false => "EXCEEDS",
        };
        println!("{reader:10} {worst:>9}  {verdict} the bound of {bound}\n");
        summary += &format!("| {reader} | {worst} | {bound} |\n");
        keeps &= is_kept;
    }
    println!("| reader | worst | bound |\n|---|---:|---:|\n{summary}");
    keeps
}

/// Changes the inputs of each reader at random, and returns what is dearer than all that was known
/// of its kind.
fn search(known: &[Input], tries: u64, seed: u64) -> Vec<Input> {
    let mut found = Vec::new();
    for (index, reader) in READERS.iter().enumerate() {
        let mut random = Random(seed.wrapping_mul(1_000_003).wrapping_add(index as u64));
        let own: Vec<Input> = known
            .iter()
            .filter(|one| one.reader == *reader)
            .cloned()
            .collect();
        let mut population: Vec<(u64, Input)> =
            costs(&own, TRIED_SIZE).into_iter().zip(own).collect();
        // The dearest that was known of each kind.
        let mut bars: BTreeMap<String, u64> = BTreeMap::new();
        for (cost, input) in &population {
            let bar = bars.entry(input.kind()).or_default();
            *bar = (*bar).max(cost + cost * BETTER / 100);
        }
        let mut dearest: BTreeMap<String, (u64, Input)> = BTreeMap::new();
        for _ in 0..tries.div_ceil(GENERATION as u64) {
            population.sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
            let kinds: Vec<String> = bars.keys().cloned().collect();
            let mutants: Vec<Input> = (0..GENERATION)
                .map(|_| {
                    let kind = &kinds[random.below(kinds.len())];
                    let own = population.iter().filter(|(_, input)| input.kind() == *kind);
                    let own: Vec<&Input> = own.take(PARENTS).map(|(_, input)| input).collect();
                    let other = &population[random.below(population.len())].1;
                    mutation::changed(own[random.below(own.len())], other, &mut random)
                })
                .collect();
            for (cost, input) in costs(&mutants, TRIED_SIZE).into_iter().zip(mutants) {
                let bar = bars.entry(input.kind()).or_default();
                if cost > *bar {
                    *bar = cost;
                    dearest.insert(input.kind(), (cost, input.clone()));
                }
                population.push((cost, input));
            }
        }
        for (kind, (cost, input)) in dearest {
            println!("found: {cost} per KB for {kind}: {}", input.shown());
            found.push(input);
        }
    }
    found
}

/// The instructions per KB of each input.
fn costs(inputs: &[Input], size: usize) -> Vec<u64> {
    if inputs.is_empty() {
        return Vec::new();
    }
    let folder = format!("sticky-worst-{}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut lines = String::new();
    for input in inputs {
        writeln!(lines, "{input}").expect("a String takes everything");
    }
    let list = folder.join("inputs");
    std::fs::write(&list, lines).expect("a file");
    let counts = folder.join("counts");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--combine-dumps=yes", "--dump-line=no"])
        .args(["--toggle-collect=", "--dump-after="].map(|option| format!("{option}{COUNTED}")))
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(std::env::current_exe().expect("this program"))
        .arg("--read")
        .arg(size.to_string())
        .arg(&list)
        .output()
        .expect("valgrind is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report = std::fs::read_to_string(&counts).expect("the counts");
    let sums = report
        .lines()
        .filter_map(|line| line.strip_prefix("summary: "))
        .map(|count| count.trim().parse::<u64>().expect("a count"));
    // The last one is what was counted behind the last body.
    let counts: Vec<u64> = sums.filter(|count| *count > 0).collect();
    std::fs::remove_dir_all(&folder).expect("the folder");
    assert_eq!(counts.len(), inputs.len());
    let costs = counts.into_iter().zip(inputs);
    costs
        .map(|(count, input)| count * 1024 / input.text(size).len() as u64)
        .collect()
}
