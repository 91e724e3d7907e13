//! The lines about upstreams with `mode=discover`: one a minute, and one in the end.

use sticky_core::discover::judge::{judge, Candidate, Findings};
use sticky_core::discover::sample::MOST_UPSTREAMS;

use crate::config::discovery::discovery;
use crate::config::types::MainConf;
use crate::ngx::log::{Level, Log};
use crate::zone::counters;

/// Called once a second in one worker.
pub(super) fn tick(main: &MainConf<'_>) {
    // One a second: to judge takes some milliseconds. All have their turn within the minute.
    const _: () = assert!(MOST_UPSTREAMS < 60);

    if main.samples.get().is_none() {
        return;
    }
    let now = counters::now();
    for us in main.sticky.borrow().iter() {
        let watch = discovery(*us).and_then(|discovery| discovery.watch.get());
        let Some(watch) = watch.filter(|watch| watch.sample.is_line_due(now)) else {
            continue;
        };
        let findings = judge(&watch.sample);
        Log::cycle().write(
            Level::Notice,
            format_args!(
                "sticky: discover{}: {}; {} requests of about {} clients, upstream \"{}\"",
                if now < findings.until { "" } else { ", ended" },
                in_words(&findings),
                findings.requests,
                findings.clients,
                us.name().escape_ascii()
            ),
        );
        return;
    }
}

fn in_words(findings: &Findings) -> String {
    /// nginx cuts a line at 2,048 bytes.
    const SHOWN: usize = 3;

    let mut words: Vec<String> = findings
        .candidates
        .iter()
        .take(SHOWN)
        .map(candidate)
        .collect();
    words.extend(findings.why.map(|why| format!("no line is certain: {why}")));
    words.join("; ")
}

fn candidate(it: &Candidate) -> String {
    let uncertain = it
        .uncertain
        .map_or_else(String::new, |why| format!(" (uncertain, {why})"));
    if it.back.is_empty() {
        return format!("\"{}\"{uncertain}", it.directive);
    }
    let out = match it.out.is_empty() {
        true => "nowhere".to_owned(),
        false => it.out.join(", "),
    };
    format!(
        "\"{}\"{uncertain}: out in {out}, back in {}, seen {}, returned {} in {} requests, astray {}",
        it.directive,
        it.back.join(", "),
        it.seen,
        it.returned,
        it.requests,
        it.astray
    )
}
