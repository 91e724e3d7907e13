//! Whether the sessions of an upstream hold, in a plain sentence.

use crate::discover::judge::Findings;
use crate::events::Status;

use super::time::{ago, grouped, per_cent, tenths};
use super::{Mode, Sums, Upstream, Zone};

/// What an operator should think of it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Standing {
    /// There is nothing to judge by yet.
    Unknown,
    /// Sessions hold.
    Good,
    /// Some do not: worth a look.
    Look,
    /// Many do not.
    Bad,
}

impl Standing {
    /// The name in JSON, and the class of the page.
    pub const fn name(self) -> &'static str {
        match self {
            Standing::Unknown => "unknown",
            Standing::Good => "good",
            Standing::Look => "look",
            Standing::Bad => "bad",
        }
    }

    /// What the page says before the sentence: colours alone say nothing to some.
    pub const fn word(self) -> &'static str {
        match self {
            Standing::Unknown => "Nothing to judge yet.",
            Standing::Good => "Sessions hold.",
            Standing::Look => "Worth a look.",
            Standing::Bad => "Sessions break.",
        }
    }
}

/// A judgement, and what it stands on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// In one word.
    pub standing: Standing,
    /// In a sentence or two.
    pub text: String,
    /// The outcome to look at, where there is one.
    pub cause: Option<Status>,
}

/// Of fewer requests with an id nothing is concluded.
const FEW: u64 = 20;

/// An eviction longer ago is history, in seconds.
const RECENT: u64 = 86_400;

/// Tenths of a per cent of the requests with an id that should go to their servers.
const GOOD: u64 = 950;

/// Below that it is bad.
const FAIR: u64 = 800;

impl Verdict {
    /// That of an upstream whose sessions are in `zone`.
    pub fn of(upstream: &Upstream<'_>, zone: Option<&Zone<'_>>, now: u64) -> Verdict {
        if upstream.mode == Mode::Discover {
            return of_discovery(upstream.discovered.as_ref());
        }
        if upstream.is_nginx {
            return Verdict {
                standing: Standing::Unknown,
                text: "nginx itself keeps these sessions together, this module does not see them."
                    .to_owned(),
                cause: None,
            };
        }
        let mut verdict = match &upstream.sums {
            Some(sums) => of_sums(sums, upstream.mode),
            None => of_sessions(zone),
        };
        if upstream.is_dry_run {
            verdict.text = verdict.text.replace("went to", "would have gone to");
        }
        let Some(zone) = zone else { return verdict };
        if let Some(trouble) = zone.trouble(now) {
            verdict.standing = verdict.standing.max(Standing::Look);
            verdict.text.push(' ');
            verdict.text.push_str(&trouble);
        }
        verdict
    }
}

impl Zone<'_> {
    /// What is wrong with it, in a sentence.
    pub fn trouble(&self, now: u64) -> Option<String> {
        let evicted = self.evicted_in_use;
        let last = self
            .last_eviction
            .filter(|at| now.saturating_sub(*at) < RECENT);
        if let Some(last) = last.filter(|_| evicted > 0) {
            return Some(format!(
                "{} in use {} forgotten for new ones, last {}: the zone is too small.",
                sessions(evicted),
                if evicted == 1 { "was" } else { "were" },
                ago(now, last)
            ));
        }
        let is_failing = self.state.as_ref().is_some_and(|file| file.is_failing);
        is_failing
            .then(|| "The state file cannot be read or written, the error log says why.".to_owned())
    }
}

fn sessions(count: u64) -> String {
    match count {
        1 => "1 session".to_owned(),
        count => format!("{} sessions", grouped(count)),
    }
}

/// An upstream that is watched, whose requests nothing steers.
fn of_discovery(findings: Option<&Findings>) -> Verdict {
    let best = findings.and_then(|it| it.candidates.first());
    let text = match best {
        None => "Nothing is steered, requests are watched.".to_owned(),
        Some(best) => format!(
            "Nothing is steered. {} line: {}",
            match best.uncertain {
                None => "The best",
                Some(_) => "An uncertain",
            },
            best.directive
        ),
    };
    Verdict {
        standing: Standing::Unknown,
        text,
        cause: None,
    }
}

fn of_sessions(zone: Option<&Zone<'_>>) -> Verdict {
    let text = match zone.and_then(|zone| zone.sessions) {
        Some(known) => format!(
            "{} known in its zone.",
            sessions(known.in_use + known.unused)
        ),
        None => "Requests are not counted.".to_owned(),
    };
    Verdict {
        standing: Standing::Unknown,
        text,
        cause: None,
    }
}

fn of_sums(sums: &Sums, mode: Mode) -> Verdict {
    let verdict = |standing, text, cause| Verdict {
        standing,
        text,
        cause,
    };
    let count = |status: Status| match status {
        // Those that an operator wanted are no fault.
        Status::Gone => sums.requests[status.number()].saturating_sub(sums.planned),
        _ => sums.requests[status.number()],
    };
    let (total, hits) = (sums.total(), sums.steered());
    if total == 0 {
        return verdict(Standing::Unknown, "No request has come yet.".into(), None);
    }
    let what = if mode.learns() { "session id" } else { "route" };
    if sums.with_id() == 0 {
        let text = format!("None of {} requests came with a {what}.", grouped(total));
        return match total {
            0..FEW => verdict(Standing::Unknown, text, None),
            _ if count(Status::New) > total / 2 => verdict(Standing::Bad, text, Some(Status::New)),
            _ => verdict(Standing::Look, text, Some(Status::None)),
        };
    }
    let with_id = sums.judged();
    if with_id < FEW {
        let text = format!(
            "{} of {} with a {what} went to the server of the session: too few to judge.",
            grouped(hits),
            match with_id {
                1 => "1 request".to_owned(),
                some => format!("{some} requests"),
            }
        );
        return verdict(Standing::Unknown, text, None);
    }
    let standing = match tenths(hits, with_id) {
        GOOD.. => Standing::Good,
        FAIR..GOOD => Standing::Look,
        _ => Standing::Bad,
    };
    let mut text = format!(
        "{} % of the requests with a {what} went to the server of the session.",
        per_cent(hits, with_id)
    );
    if standing == Standing::Good {
        return verdict(standing, text, None);
    }
    let lost = Status::ALL
        .iter()
        .copied()
        .filter(|status| !matches!(status, Status::None | Status::New | Status::Hit));
    let cause = lost.max_by_key(|status| (count(*status), usize::MAX - status.number()));
    if let Some(cause) = cause {
        text.push_str(&format!(
            " {} % {} ({}).",
            per_cent(count(cause), with_id),
            match cause {
                Status::Miss => "had one that is unknown here",
                Status::Expired => "came back too late",
                Status::Gone => "found their server unusable",
                Status::Foreign => "belong to another upstream of the share",
                Status::Full => "found their server full",
                Status::None | Status::New | Status::Hit => "had none",
            },
            cause.name()
        ));
    }
    verdict(standing, text, cause)
}
