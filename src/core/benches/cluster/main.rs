//! What several nodes with one set of sessions cost, as nodes, learns, sessions and lines to the store
//! grow: the tables of docs/scale.md, in Markdown.
//!
//!     cargo bench -p sticky-core --bench cluster [-- measured nodes learns lines sessions]
//!
//! Virtual nodes run the module's own table, journal, records, seals and follower, in one process and in
//! virtual time. Processors are in no lag; what they take is a column. Each run ends when all nodes have
//! all, and fails when two of them do not agree on a session.

#[path = "../../tests/cluster_node/mod.rs"]
mod cluster_node;
mod outcome;
mod simulation;
#[path = "../../tests/table_zone/mod.rs"]
mod table_zone;

use outcome::Outcome;
use simulation::{run, Link, Setting};

const NEAR: Link = Link {
    round_trip: 200,
    lost: 0,
};

const USUAL: Setting = Setting {
    nodes: 3,
    sessions: 10_000,
    every: 0,
    learns: 5_000,
    in_pages: false,
    pairs: 10,
    seconds: 4,
    link: NEAR,
};

fn main() {
    // `cargo test --benches` runs this file too, without `--bench`.
    if !std::env::args().any(|word| word == "--bench") {
        return;
    }
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let parts: [(&str, fn()); 5] = [
        ("measured", as_measured),
        ("nodes", by_nodes),
        ("learns", by_learns),
        ("lines", by_lines),
        ("sessions", by_sessions),
    ];
    let is_all = !parts
        .iter()
        .any(|(name, _)| wanted.iter().any(|it| it == name));
    for (name, part) in parts {
        if is_all || wanted.iter().any(|it| it == name) {
            part();
            println!();
        }
    }
}

/// Runs a setting. Nodes that do not agree are a fault.
fn outcome(setting: Setting) -> Outcome {
    let outcome = run(setting);
    assert_eq!(outcome.apart, 0, "nodes do not agree");
    assert_eq!(outcome.dropped, 0, "a journal had no room");
    outcome
}

/// What `make bench-cluster` measures with three nginx and a real store.
fn as_measured() {
    let setting = Setting {
        pairs: 0,
        in_pages: true,
        seconds: 10,
        ..USUAL
    };
    let outcome = outcome(setting);
    let second = |number: u64| number as f64 / setting.seconds as f64;
    println!("| what | figure |\n|---|---:|");
    let rows = [
        (
            "sessions learned a second, by the first",
            second(outcome.records),
        ),
        (
            "commands to the store a second",
            second(outcome.entries + outcome.round_trips),
        ),
        ("KB to the store a second", second(outcome.bytes_in) / 1e3),
        (
            "KB from the store a second",
            second(outcome.bytes_out) / 1e3,
        ),
        ("the store, % of a processor", second(outcome.storing) / 1e7),
        ("the first one's work, % of a processor", {
            second(outcome.sending.spent() + outcome.applying.spent() / 3) / 1e7
        }),
        (
            "that of another one",
            second(outcome.applying.spent() / 3) / 1e7,
        ),
        ("lag, median, ms", lag(&outcome, 0.5)),
        ("lag, 99 %, ms", lag(&outcome, 0.99)),
    ];
    for (what, figure) in rows {
        println!("| {what} | {figure:.2} |");
    }
}

fn by_nodes() {
    head();
    for nodes in [3, 10, 30, 100, 200] {
        for learns in [500, 5_000, 20_000] {
            let setting = Setting {
                nodes,
                learns,
                seconds: 3,
                ..USUAL
            };
            let outcome = outcome(setting);
            row(&format!("{nodes} | {learns}"), &setting, &outcome);
        }
    }
}

fn by_learns() {
    head();
    for learns in [100, 1_000, 5_000, 20_000, 100_000] {
        let setting = Setting { learns, ..USUAL };
        row(&format!("3 | {learns}"), &setting, &outcome(setting));
    }
}

fn head() {
    println!(
        "| nodes | learns/s | records of an entry | node: processor, % | node: KB/s | store: processor, \
         % | store: out, MB/s | lag, ms | 99 %, ms |"
    );
    println!("|{}", "---:|".repeat(9));
}

fn row(what: &str, setting: &Setting, outcome: &Outcome) {
    let seconds = setting.seconds as f64;
    let node = setting.nodes as f64 * seconds;
    let work = (outcome.sending.spent() + outcome.applying.spent()) as f64;
    let bytes = (outcome.bytes_in + outcome.bytes_out) as f64;
    println!(
        "| {what} | {:.1} | {:.2} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} |",
        outcome.records as f64 / outcome.entries as f64,
        work / node / 1e7,
        bytes / node / 1e3,
        outcome.storing as f64 / seconds / 1e7,
        outcome.bytes_out as f64 / seconds / 1e6,
        lag(outcome, 0.5),
        lag(outcome, 0.99),
    );
}

/// Milliseconds within which that part of learned sessions is known elsewhere.
fn lag(outcome: &Outcome, part: f64) -> f64 {
    let at = (outcome.lags.len() as f64 * part) as usize;
    let lag = outcome.lags.get(at).or(outcome.lags.last());
    lag.copied().unwrap_or_default() as f64 / 1e3
}

fn by_lines() {
    println!(
        "| nodes | round trip, ms | lost, % | lag, ms | 99 %, ms | longest, ms | sessions apart |"
    );
    println!("|{}", "---:|".repeat(7));
    for nodes in [3, 20] {
        for round_trip in [200, 2_000, 20_000, 80_000, 400_000] {
            for lost in [0, 10, 50] {
                let link = Link { round_trip, lost };
                let setting = Setting {
                    nodes,
                    link,
                    seconds: 10,
                    learns: 2_000,
                    ..USUAL
                };
                let outcome = outcome(setting);
                println!(
                    "| {nodes} | {} | {} | {:.1} | {:.1} | {:.0} | {} of {} |",
                    round_trip as f64 / 1e3,
                    f64::from(lost) / 10.0,
                    lag(&outcome, 0.5),
                    lag(&outcome, 0.99),
                    lag(&outcome, 1.0),
                    outcome.apart,
                    outcome.compared,
                );
            }
        }
    }
}

/// Sessions in use for one period, after which nodes tell each other of each of them, with nothing
/// learned.
fn by_sessions() {
    println!(
        "| sessions in use | records/s | in the busiest second | ns to send one | ns to apply one | node: \
         processor, % | node: KB/s | table of a node, MB |"
    );
    println!("|{}", "---:|".repeat(8));
    for sessions in [10_000, 100_000, 1_000_000] {
        let setting = Setting {
            sessions,
            every: 20,
            learns: 0,
            seconds: 225,
            ..USUAL
        };
        let outcome = outcome(setting);
        let seconds = setting.seconds as f64;
        let node = setting.nodes as f64 * seconds;
        let work = (outcome.sending.spent() + outcome.applying.spent()) as f64;
        println!(
            "| {sessions} | {:.0} | {} | {:.0} | {:.0} | {:.2} | {:.1} | {:.1} |",
            outcome.records as f64 / seconds,
            outcome.most,
            outcome.sending.spent() as f64 / outcome.records.max(1) as f64,
            outcome.applying.spent() as f64 / outcome.applying.records().max(1) as f64,
            work / node / 1e7,
            (outcome.bytes_in + outcome.bytes_out) as f64 / node / 1e3,
            // 0.6 full, as in this simulation.
            sessions as f64 * 16.0 / 0.6 / 1e6,
        );
    }
}
