//! The cost of reading a body: `cargo bench -p sticky-core --bench scan`.
//!
//! Pages in pieces of 4 KB, as they are and with an id in every link: MB/s, beside the least that
//! any reader must do (memchr) and a complete parser (lol_html); and instructions per KB, which are
//! exactly reproducible, while times are not. For those the bench runs itself under callgrind with
//! one and with three rounds: the difference is two rounds without the start. The goals: 700
//! without the name, 2,800 with an id in every link. Then the same for JSON, event streams and
//! text, for 1 MB of repeated names, as an attacker could write them into a page, and for 1 MB of
//! compressed bytes that unpack to nothing; with STICKY_REPEATED set, only those two.
//!
//! Reads the pages under STICKY_PAGES (an even sample of them), or our own without it.

use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lol_html::{element, HtmlRewriter, Settings};
use sticky_core::rewrite::{PageRewriter, RouteParameter};
use sticky_core::scan::forms::FormsLearner;
use sticky_core::scan::html::HtmlLearner;
use sticky_core::scan::inflate::{Coding, InflatingLearner};
use sticky_core::scan::text::TextLearner;
use sticky_core::scan::{FoundIn, Learner};
use sticky_core::url::{Names, Site};

#[path = "../tests/pages/corpus.rs"]
mod corpus;
mod documents;
#[path = "../tests/pages/hollow.rs"]
mod hollow;
#[path = "../tests/pages/repeated.rs"]
mod repeated;

use corpus::Random;
use repeated::{filled, REPEATED};

const PIECE: usize = 4096;
/// Pages from this size on are measured apart: in small ones, the constant cost of a page weighs
/// more.
const LARGE: usize = 64 * 1024;
/// How many bytes are read: enough for many kinds of pages, few enough for callgrind.
const SAMPLE: usize = 3_000_000;
const TIME: Duration = Duration::from_millis(400);

const LEARNER: &str = "html learner";
const READERS: [&str; 7] = [
    "memchr '<'",
    "memmem name",
    "html learner",
    "forms learner",
    "lol_html a[href]",
    "lol_html 8 selectors",
    "mode=rewrite",
];
/// For the plain pages, and for those with ids.
const GOALS: [u64; 2] = [700, 2_800];

/// The learners that read them.
const REPEATED_TO: [&str; 2] = ["html learner", "text learner"];
const MEGABYTE: usize = 1_000_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    // The bench runs itself under callgrind with these arguments.
    let number = |text: &String| text.parse::<usize>().unwrap_or_default();
    match &arguments[..] {
        [_, flag, rounds, what, reader, large, with_ids]
            if flag == "--rounds" && what == "pages" =>
        {
            let pages = Corpus {
                large: large == "true",
                with_ids: with_ids == "true",
            }
            .pages();
            for _ in 0..number(rounds) {
                black_box(round(number(reader), &pages));
            }
            return ExitCode::SUCCESS;
        }
        [_, flag, rounds, what, row, ids] if flag == "--rounds" && what == "document" => {
            let document = documents::document(number(row), number(ids));
            for _ in 0..number(rounds) {
                black_box(documents::round(number(row), &document));
            }
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    if let [_, flag, reader, index] = &arguments[..] {
        if flag == "--repeated" {
            let index: Option<usize> = index.parse().ok();
            if let Some(text) = index.and_then(repeated) {
                black_box(read_repeated(reader, &text));
            }
            return ExitCode::SUCCESS;
        }
    }
    let valgrind = Command::new("valgrind")
        .arg("--version")
        .output()
        .is_ok_and(|o| o.status.success());
    if !valgrind {
        println!("valgrind is not installed: instructions are NOT measured, the goals not checked");
    }
    if std::env::var_os("STICKY_REPEATED").is_none() {
        for large in [true, false] {
            measure(large, valgrind);
        }
    }
    if valgrind && std::env::var_os("STICKY_REPEATED").is_none() {
        documents::measure();
    }
    measure_repeated(valgrind);
    measure_hollow();
    ExitCode::SUCCESS
}

fn measure(large: bool, valgrind: bool) {
    let corpora = [false, true].map(|with_ids| Corpus { large, with_ids });
    let pages = corpora.map(|corpus| corpus.pages());
    if pages.iter().any(Vec::is_empty) {
        return;
    }
    let sizes = pages
        .each_ref()
        .map(|pages| pages.iter().map(Vec::len).sum::<usize>());
    let names = pages.each_ref().map(|pages| occurrences(pages));
    println!(
        "\n{} pages of {} {} KB: plain {} KB with the name {} times, with ids {} KB and {} times",
        pages[0].len(),
        if large { "at least" } else { "less than" },
        LARGE / 1024,
        sizes[0] / 1024,
        names[0],
        sizes[1] / 1024,
        names[1],
    );
    println!(
        "\n| reader, instructions per KB | plain | with an id in every link | MB/s | with ids |\n\
         |---|---:|---:|---:|---:|"
    );
    let mut missed = String::new();
    // The others are for comparison; once is enough.
    let readers = READERS
        .iter()
        .enumerate()
        .filter(|(_, name)| large || **name == LEARNER);
    for (reader, name) in readers {
        let speeds = pages.each_ref().map(|pages| speed(reader, pages));
        let counts = [0, 1].map(|i| {
            let count = valgrind
                .then(|| corpora[i].instructions(reader))
                .flatten()?;
            Some(count * 1024 / sizes[i] as u64)
        });
        let shown = counts.map(|count| count.map_or("-".into(), |count| count.to_string()));
        println!(
            "| {name} | {} | {} | {:.0} | {:.0} |",
            shown[0], shown[1], speeds[0], speeds[1]
        );
        for (count, goal) in counts.iter().zip(GOALS) {
            // Our own pages are unusual, and so small that the constant cost of a page dominates.
            let has_goal = *name == LEARNER && std::env::var_os("STICKY_PAGES").is_some();
            if has_goal && count.is_some_and(|count| count > goal) {
                missed += &format!("{name}: above the goal of {goal} instructions per KB\n");
            }
        }
    }
    println!("\n{missed}");
}

/// The cost of pages full of the name.
fn measure_repeated(valgrind: bool) {
    println!(
        "\n{:28} {:>22} {:>22}",
        "1 MB of", REPEATED_TO[0], REPEATED_TO[1]
    );
    for (index, (first, then)) in REPEATED.iter().enumerate() {
        print!("{:28}", format!("{first}{then}…"));
        let Some(text) = repeated(index) else {
            continue;
        };
        for reader in REPEATED_TO {
            let begun = Instant::now();
            black_box(read_repeated(reader, &text));
            let time = begun.elapsed().as_micros() as f64 / 1000.0;
            let count = valgrind
                .then(|| callgrind(&["--repeated", reader, &index.to_string()]))
                .flatten()
                .map(|count| (count * 1024 / text.len() as u64).to_string());
            print!(" {time:>7.1} ms {:>9}/KB", count.unwrap_or("-".into()));
        }
        println!();
    }
}

fn measure_hollow() {
    println!("\n{:42} {:>14}", "1 MB that unpacks to nothing", "ms");
    type Compress = fn(usize, &[u8]) -> Vec<u8>;
    let rows: [(&str, Coding, Compress); 4] = [
        ("br, 64 trees in each block", Coding::Brotli, hollow::brotli),
        (
            "deflate, tables in each block",
            Coding::Deflate,
            hollow::deflate,
        ),
        ("gzip, empty members", Coding::Gzip, hollow::gzip),
        ("zstd, empty blocks", Coding::Zstd, hollow::zstd),
    ];
    for (name, coding, hollow) in rows {
        let body = hollow(MEGABYTE, b"");
        let names = Arc::new(Names::new(vec![b"sid"[..].into()]));
        let learner = TextLearner::new(names, Site::new(b"shop.example", &[]));
        let learner = InflatingLearner::new(coding, Box::new(learner));
        let start = Instant::now();
        learn(Box::new(learner), body.chunks(PIECE), &mut 0);
        println!("{name:42} {:14.1}", start.elapsed().as_secs_f64() * 1e3);
    }
}

fn repeated(index: usize) -> Option<Vec<u8>> {
    let (first, then) = REPEATED.get(index)?;
    Some(filled(first, then, MEGABYTE))
}

fn read_repeated(reader: &str, text: &[u8]) -> usize {
    let names = Arc::new(Names::new(vec![b"sid"[..].into()]));
    let site = Site::new(b"shop.example", &[]);
    let mut count = 0;
    let pieces = text.chunks(PIECE);
    if reader == REPEATED_TO[0] {
        learn(Box::new(HtmlLearner::new(names, site)), pieces, &mut count);
    } else {
        learn(Box::new(TextLearner::new(names, site)), pieces, &mut count);
    }
    count
}

/// The instructions of this program with these arguments.
fn callgrind(arguments: &[&str]) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().ok()?)
        .args(arguments)
        .output()
        .ok()?;
    let report = String::from_utf8_lossy(&output.stderr);
    let line = report.lines().find(|line| line.contains("Collected"))?;
    line.rsplit(' ').next()?.parse::<u64>().ok()
}

/// How often the name occurs in the pages.
fn occurrences(pages: &[Vec<u8>]) -> usize {
    pages
        .iter()
        .map(|page| memchr::memmem::find_iter(page, "sid").count())
        .sum()
}

/// A set of pages, the same in every process.
#[derive(Clone, Copy)]
struct Corpus {
    large: bool,
    with_ids: bool,
}

impl Corpus {
    fn pages(&self) -> Vec<Vec<u8>> {
        let pages = match std::env::var_os("STICKY_PAGES") {
            Some(_) => corpus::unpacked(),
            None => corpus::committed(),
        };
        let mut pages: Vec<Vec<u8>> = pages.into_iter().map(|page| page.bytes).collect();
        pages.retain(|page| (page.len() >= LARGE) == self.large);
        let nth = pages
            .iter()
            .map(Vec::len)
            .sum::<usize>()
            .div_ceil(SAMPLE)
            .max(1);
        let mut random = Random(5);
        let put_in = |page: Vec<u8>| match self.with_ids {
            true => corpus::with_one_id(&page, &mut random).0,
            false => page,
        };
        pages.into_iter().step_by(nth).map(put_in).collect()
    }

    /// The instructions of one round.
    fn instructions(&self, reader: usize) -> Option<u64> {
        let [large, with_ids] = [self.large, self.with_ids].map(|is| is.to_string());
        instructions(&["pages", &reader.to_string(), &large, &with_ids])
    }
}

/// The instructions of one round with these arguments.
fn instructions(what: &[&str]) -> Option<u64> {
    let count = |rounds: &str| callgrind(&[&["--rounds", rounds][..], what].concat());
    Some(count("3")?.checked_sub(count("1")?)? / 2)
}

/// Reads all pages once with one reader; returns what it counted.
fn round(reader: usize, pages: &[Vec<u8>]) -> usize {
    let names = Arc::new(Names::new(vec![b"sid"[..].into()]));
    let site = Site::new(b"shop.example", &[]);
    let finder = memchr::memmem::Finder::new("sid");
    let mut count = 0;
    for page in pages {
        let pieces = page.chunks(PIECE);
        match reader {
            0 => {
                count += pieces
                    .map(|piece| memchr::memchr_iter(b'<', piece).count())
                    .sum::<usize>()
            }
            1 => {
                count += pieces
                    .map(|piece| finder.find_iter(piece).count())
                    .sum::<usize>()
            }
            2 => learn(
                Box::new(HtmlLearner::new(Arc::clone(&names), site.clone())),
                pieces,
                &mut count,
            ),
            3 => learn(
                Box::new(FormsLearner::new(Arc::clone(&names), site.clone(), None)),
                pieces,
                &mut count,
            ),
            4 => parse(&["a[href]"], pieces, &mut count),
            6 => rewrite(&names, site.clone(), pieces, &mut count),
            _ => parse(
                &[
                    "a[href]",
                    "area[href]",
                    "link[href]",
                    "form[action]",
                    "frame[src]",
                    "iframe[src]",
                    "img[src]",
                    "input[name]",
                ],
                pieces,
                &mut count,
            ),
        }
    }
    count
}

fn learn<'a>(
    mut learner: Box<dyn Learner>,
    pieces: impl Iterator<Item = &'a [u8]>,
    count: &mut usize,
) {
    let mut found = |_: &[u8], _: FoundIn| {
        *count += 1;
        true
    };
    for piece in pieces {
        learner.feed(piece, &mut found);
    }
    learner.end(&mut found);
}

/// Counts the bytes that come out.
fn rewrite<'a>(
    names: &Arc<Names>,
    site: Site,
    pieces: impl Iterator<Item = &'a [u8]>,
    count: &mut usize,
) {
    let parameter = RouteParameter::new(Arc::clone(names), b"5d41402abc4b2a76b9719d911017c592");
    let mut rewriter =
        PageRewriter::new(parameter, site, None).expect("a charset that is readable");
    let mut pass = |bytes: &[u8]| *count += bytes.len();
    for piece in pieces {
        rewriter.feed(piece, &mut pass);
    }
    rewriter.end(&mut pass);
}

fn parse<'a>(selectors: &[&str], pieces: impl Iterator<Item = &'a [u8]>, count: &mut usize) {
    let elements = std::cell::Cell::new(0);
    let mut settings = Settings::new().with_strict(false);
    for selector in selectors {
        settings = settings.append_element_content_handler(element!(selector, |_| {
            elements.set(elements.get() + 1);
            Ok(())
        }));
    }
    let mut rewriter = HtmlRewriter::new(settings, |_: &[u8]| {});
    let _ = pieces
        .map(|piece| rewriter.write(piece))
        .all(|result| result.is_ok());
    drop(rewriter);
    *count += elements.get();
}

/// MB/s of the fastest round.
fn speed(reader: usize, pages: &[Vec<u8>]) -> f64 {
    let size: usize = pages.iter().map(Vec::len).sum();
    let start = Instant::now();
    let mut best = Duration::MAX;
    while start.elapsed() < TIME {
        let round_start = Instant::now();
        black_box(round(reader, black_box(pages)));
        best = best.min(round_start.elapsed());
    }
    size as f64 / 1e6 / best.as_secs_f64()
}
