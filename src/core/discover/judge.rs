//! Tells session ids from all other values, and proposes a directive.
//!
//! Places that have the same values belong together. Their values are session ids where each is
//! handed out to one client, and comes back from this one. A value that many clients get, an
//! article or an image, is none; one that never comes back, a token for one form, is of no use.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use smallvec::SmallVec;

use super::line::{in_words, line};
use super::sample::{Known, KnownPlace, KnownValue, Places, Sample};
use super::{Part, LEAST_CLIENTS};

/// So many candidates are shown.
const SHOWN: usize = 8;

/// So many values must have come back.
const LEAST_VALUES: usize = 20;

/// Places belong together that have so many values in common, and so many per cent of those of the
/// one that has fewer.
const COMMON_VALUES: usize = 5;
const COMMON_PERCENT: usize = 30;

/// Of the values so many per cent may be of several clients: they post links, and share addresses.
const SHARED_PERCENT: usize = 20;

/// A place counts that has so many per cent of the values that came back.
const PLACE_PERCENT: usize = 5;

/// What has been found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// When watching began, in seconds since 1970.
    pub begun: u64,
    /// When it ends, or has ended.
    pub until: u64,
    /// Requests that were looked at.
    pub requests: u64,
    /// Clients, most likely.
    pub clients: u64,
    /// What may be the id of a session, best first.
    pub candidates: Vec<Candidate>,
    /// Why none is certain.
    pub why: Option<&'static str>,
}

/// What may be the id of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it is handed out; empty: nowhere.
    pub out: Vec<String>,
    /// Where it comes back.
    pub back: Vec<String>,
    /// Values that were handed out, or brought.
    pub seen: u64,
    /// Those that came back.
    pub returned: u64,
    /// Requests that had one of them.
    pub requests: u64,
    /// Those that came to another server.
    pub astray: u64,
    /// The directive.
    pub directive: String,
    /// Why it is uncertain.
    pub uncertain: Option<&'static str>,
}

const CLIENT_MADE: &str =
    "never handed out: clients seem to make it, so the first request begins the session";
const OF_FRAMES: &str =
    "never handed out, and brought first by clients that have a WebSocket: if its frames hand it \
     out, which are not read, sessions do not hold with this line";
const OWN_COOKIE: &str =
    "no id goes both ways; clients seem to be browsers, which keep a cookie of this module";

/// Judges a sample.
pub fn judge(sample: &Sample<'_>) -> Findings {
    let known = sample.read();
    let mut found = Vec::new();
    let mut has_out = false;
    for judged in Judged::all(&known) {
        has_out |= judged.handed_out > 0;
        found.extend(judged.candidate(&known));
    }
    // Those that nearly as many requests have are as good: then the name decides.
    found.sort_by_key(|it: &Candidate| Reverse(it.requests));
    let most = found.first().map_or(0, |it| it.requests);
    found.sort_by_key(|it| {
        let is_near = it.requests * 5 >= most * 4;
        let names_session = is_near && names_session(it);
        let stars = it.directive.matches('*').count();
        (
            it.uncertain.is_some(),
            it.uncertain == Some(OF_FRAMES),
            Reverse(names_session),
            Reverse(it.requests),
            stars,
        )
    });
    found.truncate(SHOWN);
    let is_certain = found.iter().any(|it| it.uncertain.is_none());
    let why = (!is_certain).then(|| why(&known, has_out));
    if !is_certain && known.pages >= LEAST_VALUES as u64 && known.clients >= LEAST_CLIENTS {
        let of_frames = found.iter().position(|it| it.uncertain == Some(OF_FRAMES));
        let own_cookie = Candidate {
            out: Vec::new(),
            back: Vec::new(),
            seen: 0,
            returned: 0,
            requests: 0,
            astray: 0,
            directive: "sticky;".to_owned(),
            uncertain: Some(OWN_COOKIE),
        };
        found.insert(of_frames.unwrap_or(found.len()), own_cookie);
    }
    Findings {
        begun: sample.begun(),
        until: sample.until(),
        requests: known.requests,
        clients: known.clients as u64,
        candidates: found,
        why,
    }
}

fn why(known: &Known, has_out: bool) -> &'static str {
    match known {
        Known { requests: 0, .. } => "no response of a server has come yet",
        Known { clients, .. } if *clients < LEAST_CLIENTS => {
            "too few clients so far, 20 are needed; behind another proxy, all seem to be one without \
             real_ip_header"
        }
        _ if !has_out => "no response hands out anything that looks like an id",
        _ => "what responses hand out does not come back, or not from one client alone",
    }
}

/// Whether a place has a name that sessions mostly have.
fn names_session(candidate: &Candidate) -> bool {
    let mut places = candidate.out.iter().chain(&candidate.back);
    places.any(|place| {
        let place = place.to_ascii_lowercase();
        place.contains("sess") || place.contains("sid")
    })
}

/// The number of the cluster of each place, by the number of the place: places that belong together
/// have one number. `None`: the place is not shown.
fn clusters(known: &Known) -> Vec<Option<usize>> {
    let count = known.places.len();
    let is_shown = |at: usize| {
        let place = known.places.get(at).and_then(Option::as_ref);
        place.is_some_and(|place| place.clients >= LEAST_CLIENTS)
    };
    let shown: Vec<bool> = (0..count).map(is_shown).collect();
    // How many values each two places have in common, by the greater of their numbers and the other;
    // a place has its own in common with itself.
    let mut common = vec![0u32; count * count];
    for value in &known.values {
        let places = value.out.iter().chain(&value.back).copied();
        let places: InBoth = places.filter(|at| shown.get(*at) == Some(&true)).collect();
        for one in &places {
            for other in places.iter().filter(|other| *other <= one) {
                if let Some(count) = common.get_mut(one * count + other) {
                    *count += 1;
                }
            }
        }
    }
    let in_common = |one: usize, other: usize| {
        common
            .get(one * count + other)
            .map_or(0, |count| *count as usize)
    };
    let mut clusters: Vec<Option<usize>> = (0..count)
        .map(|at| (in_common(at, at) > 0).then_some(at))
        .collect();
    for one in 0..count {
        for other in 0..one {
            let fewer = in_common(one, one).min(in_common(other, other));
            let both = in_common(one, other);
            if both < COMMON_VALUES || both * 100 < fewer * COMMON_PERCENT {
                continue;
            }
            let (from, to) = (clusters.get(one).copied(), clusters.get(other).copied());
            if let (Some(from @ Some(_)), Some(to @ Some(_))) = (from, to) {
                clusters
                    .iter_mut()
                    .filter(|it| **it == from)
                    .for_each(|it| *it = to);
            }
        }
    }
    clusters
}

/// The places of a value in responses and in requests.
type InBoth = SmallVec<[usize; 8]>;

/// A place, and how many values there are handed out and come back, or are made by a client.
type Count = (usize, usize);

/// How many values of a place were handed out there and have come back, have come back there, and
/// were made by a client.
#[derive(Clone, Copy, Default)]
struct Tally {
    out: usize,
    back: usize,
    made_back: usize,
}

/// What the values of some places are like.
#[derive(Default)]
struct Judged {
    out: Vec<Count>,
    back: Vec<Count>,
    made_back: Vec<Count>,
    handed_out: usize,
    shared: usize,
    returned: usize,
    returned_by_others: usize,
    returning: Clients,
    requests: u64,
    astray: u64,
    made: usize,
    made_shared: usize,
    made_repeated: usize,
    made_behind_upgrade: usize,
    made_in_upgrade: usize,
    makers: Clients,
    made_requests: u64,
    made_astray: u64,
}

/// Clients, as many as are needed.
#[derive(Default)]
struct Clients(BTreeSet<u64>);

impl Clients {
    fn add(&mut self, client: u64) {
        if !self.are_enough() {
            self.0.insert(client);
        }
    }

    fn are_enough(&self) -> bool {
        self.0.len() >= LEAST_CLIENTS
    }
}

impl Judged {
    /// Those of each cluster.
    fn all(known: &Known) -> Vec<Self> {
        let clusters = clusters(known);
        let of = |place: &usize| clusters.get(*place).copied().flatten();
        let mut all: Vec<Judged> = clusters.iter().map(|_| Judged::default()).collect();
        // A place is in one cluster alone.
        let mut tallies = vec![Tally::default(); clusters.len()];
        for value in &known.values {
            let mut own: InBoth = value.out.iter().chain(&value.back).filter_map(of).collect();
            own.sort_unstable();
            own.dedup();
            for cluster in own {
                let within = |places: &Places| -> Places {
                    let places = places.iter().copied();
                    places.filter(|place| of(place) == Some(cluster)).collect()
                };
                if let Some(judged) = all.get_mut(cluster) {
                    judged.add(
                        value,
                        &within(&value.out),
                        &within(&value.back),
                        &mut tallies,
                    );
                }
            }
        }
        for (at, tally) in tallies.iter().enumerate() {
            if let Some(judged) = of(&at).and_then(|cluster| all.get_mut(cluster)) {
                judged.out.push((at, tally.out));
                judged.back.push((at, tally.back));
                judged.made_back.push((at, tally.made_back));
            }
        }
        all
    }

    fn add(&mut self, value: &KnownValue, out: &[usize], back: &[usize], tallies: &mut [Tally]) {
        let mut tally = |places: &[usize], count: fn(&mut Tally) -> &mut usize| {
            for at in places {
                if let Some(tally) = tallies.get_mut(*at) {
                    *count(tally) += 1;
                }
            }
        };
        if out.is_empty() && value.out.is_empty() && value.is_back_first && !back.is_empty() {
            self.made += 1;
            self.made_shared += usize::from(value.is_brought_by_others);
            self.made_repeated += usize::from(value.times_back > 1);
            self.made_behind_upgrade += usize::from(value.is_behind_upgrade);
            self.made_in_upgrade += usize::from(value.is_in_upgrade);
            self.makers.add(value.client);
            self.made_requests += value.times_back;
            self.made_astray += value.astray;
            tally(back, |it| &mut it.made_back);
        }
        if out.is_empty() || value.is_back_first {
            return;
        }
        self.handed_out += 1;
        self.shared += usize::from(value.is_shared);
        if back.is_empty() || value.times_back == 0 {
            return;
        }
        self.returned += 1;
        self.returned_by_others += usize::from(value.is_brought_by_others);
        self.returning.add(value.client);
        self.requests += value.times_back;
        self.astray += value.astray;
        tally(out, |it| &mut it.out);
        tally(back, |it| &mut it.back);
    }

    fn candidate(&self, known: &Known) -> Option<Candidate> {
        let is_few = |count: usize, of: usize| count * 100 <= of * SHARED_PERCENT;
        if self.returned >= LEAST_VALUES
            && self.returning.are_enough()
            && is_few(self.shared, self.handed_out)
            && is_few(self.returned_by_others, self.returned)
        {
            let out = named(known, &self.out, self.returned);
            let back = named(known, &self.back, self.returned);
            return Some(Candidate {
                directive: line(&out, &back, false)?,
                out: in_order(&out),
                back: in_order(&back),
                seen: self.handed_out as u64,
                returned: self.returned as u64,
                requests: self.requests,
                astray: self.astray,
                uncertain: None,
            });
        }
        let back = named(known, &self.made_back, self.made);
        // Scripts of a page make cookies to count visitors.
        let is_cookie = back.iter().any(|place| place.kind.part == Part::Cookie);
        if self.handed_out == 0
            && !is_cookie
            && self.made >= LEAST_VALUES
            && self.makers.are_enough()
            && self.made_repeated * 2 >= self.made
            && is_few(self.made_shared, self.made)
        {
            // Ids that clients make go to WebSockets, too.
            let is_of_frames = self.made_behind_upgrade * 2 >= self.made
                && is_few(self.made_in_upgrade, self.made);
            return Some(Candidate {
                directive: line(&[], &back, true)?,
                out: Vec::new(),
                back: in_order(&back),
                seen: self.made as u64,
                returned: self.made_repeated as u64,
                requests: self.made_requests,
                astray: self.made_astray,
                uncertain: Some(if is_of_frames { OF_FRAMES } else { CLIENT_MADE }),
            });
        }
        None
    }
}

/// The places with enough of the values, those with most of them first.
fn named<'k>(known: &'k Known, places: &[Count], values: usize) -> Vec<&'k KnownPlace> {
    let is_of_enough = |(_, count): &Count| *count > 0 && count * 100 >= values * PLACE_PERCENT;
    let mut places: Vec<Count> = places.iter().copied().filter(is_of_enough).collect();
    places.sort_by_key(|(at, count)| (Reverse(*count), *at));
    let found = places
        .iter()
        .filter_map(|(at, _)| known.places.get(*at)?.as_ref());
    found.collect()
}

fn in_order(places: &[&KnownPlace]) -> Vec<String> {
    places.iter().map(|place| in_words(place)).collect()
}
