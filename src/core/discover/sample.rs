//! What was seen, in words that all workers share: a bounded sample.
//!
//! ```text
//! | header, 64 words | places of responses, 128 of 16 words | places of requests, the same |
//! | values, a power of two of 8 words |
//!
//! place:  0 digest of kind and name   1 kind, length of the name; last written   2 sightings
//!         3 clients, a bit for each in 256   7 the name, 64 bytes
//! value:  0 hash   1 places that handed it out, four   2 places where it came back, four
//!         3 server, client, flags   4 handed out, came back, astray, time; 16 bits each
//! ```
//!
//! A worker that dies, and two that write at once, cost a sighting or two. Whatever the words are,
//! they are numbers, and no walk is longer than the memory.

mod known;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use super::Sighting;
use crate::http::media_type;
use crate::table::siphash::State;

use known::{known_place, known_value};
pub(super) use known::{Known, KnownPlace, KnownValue, Places};

const HEADER_WORDS: usize = 64;
/// Of responses, and of requests.
pub(super) const PLACES: usize = 128;
const PLACE_WORDS: usize = 16;
const VALUE_WORDS: usize = 8;
const PROBES: usize = 8;
const CLIENT_WORDS: usize = 4;

/// Fewer words are no sample.
pub const LEAST_WORDS: usize = HEADER_WORDS + 2 * PLACES * PLACE_WORDS + 1024 * VALUE_WORDS;

/// More requests in a second, and fewer clients are looked at from then on.
const AT_ONCE: u64 = 400;

/// The most bits of a client's digest that decide whether it is looked at.
const MOST_BITS: u64 = 12;

/// Seconds of one step of the time of a value.
const STEP: u64 = 8;

// Words of the header.
const DIRECTIVE: usize = 0;
const BEGUN: usize = 1;
const UNTIL: usize = 2;
const SECOND: usize = 3;
const BITS: usize = 4;
const REQUESTS: usize = 5;
const PAGES: usize = 6;
const LOGGED: usize = 9;
const CLIENTS: usize = 16;
/// Clients that have upgraded a connection, a bit for each in 2,048.
const UPGRADED: usize = 24;
const UPGRADED_WORDS: usize = 32;

// Flags of a value.
const OTHER_CLIENT_OUT: u64 = 1 << 48;
const OTHER_CLIENT_BACK: u64 = 1 << 49;
const BACK_FIRST: u64 = 1 << 50;
/// Its client had upgraded a connection before.
const BEHIND_UPGRADE: u64 = 1 << 51;
/// A request that upgraded its connection has brought it.
const IN_UPGRADE: u64 = 1 << 52;

const MAGIC: u64 = u64::from_le_bytes(*b"stickydi");

/// Must change with everything that changes the meaning of the words.
const VERSION: u64 = 2;

/// More words than that are no better sample: 8,192 values.
const MOST_WORDS: usize = HEADER_WORDS + 2 * PLACES * PLACE_WORDS + 8192 * VALUE_WORDS;

/// The words of all samples together, at most: 4 MB.
const ALL_WORDS: usize = 1 << 19;

/// So many upstreams may be watched.
pub const MOST_UPSTREAMS: usize = ALL_WORDS / LEAST_WORDS;

/// How many words the sample of each of so many upstreams has.
pub fn words_for(upstreams: usize) -> usize {
    (ALL_WORDS / upstreams.max(1)).clamp(LEAST_WORDS, MOST_WORDS)
}

/// What a zone with samples begins with. The key of their values is nowhere else, and ends with the
/// zone. Whatever bytes are there, they are numbers.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct SamplesHeader {
    magic: AtomicU64,
    version: AtomicU64,
    key: [AtomicU64; 2],
    spare: [AtomicU64; 4],
}

const _: () = assert!(size_of::<SamplesHeader>() == 64);

impl SamplesHeader {
    /// Whether it was begun, by this version.
    pub fn is_valid(&self) -> bool {
        self.magic.load(Acquire) == MAGIC && self.version.load(Relaxed) == VERSION
    }

    /// Begins with a random key.
    pub fn begin(&self, key: (u64, u64)) {
        self.version.store(VERSION, Relaxed);
        self.key[0].store(key.0, Relaxed);
        self.key[1].store(key.1, Relaxed);
        self.magic.store(MAGIC, Release);
    }

    /// The hash of a value, a client or a server.
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let [first, second] = &self.key;
        State::new(first.load(Relaxed), second.load(Relaxed)).hash(bytes)
    }
}

/// The sample of an upstream.
#[derive(Clone, Copy)]
pub struct Sample<'a> {
    header: &'a [AtomicU64],
    places: &'a [AtomicU64],
    values: &'a [AtomicU64],
}

/// Who asks and who answers.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// A digest of the client.
    pub client: u64,
    /// A digest of the server.
    pub server: u64,
    /// Seconds since 1970.
    pub now: u64,
}

/// What a response is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// A page.
    Page,
    /// The connection goes on in another protocol, which is not read, such as that of a WebSocket.
    Upgrade,
    /// Anything else.
    Other,
}

impl Answer {
    /// That of a response with this status and Content-Type.
    pub fn of(status: usize, media_type: &[u8]) -> Self {
        match status {
            101 => Self::Upgrade,
            _ if media_type::is_page(media_type) => Self::Page,
            _ => Self::Other,
        }
    }
}

impl<'a> Sample<'a> {
    /// The sample in these words. `None`: they are too few.
    pub fn of(words: &'a [AtomicU64]) -> Option<Self> {
        if words.len() < LEAST_WORDS {
            return None;
        }
        let (header, rest) = words.split_at_checked(HEADER_WORDS)?;
        let (places, rest) = rest.split_at_checked(2 * PLACES * PLACE_WORDS)?;
        let count = rest.len() / VALUE_WORDS;
        let values = 1 << count.checked_ilog2()?;
        Some(Self {
            header,
            places,
            values: rest.get(..values * VALUE_WORDS)?,
        })
    }

    fn header(&self, at: usize) -> &'a AtomicU64 {
        &self.header[at]
    }

    /// Begins anew at the time `now`, for so many seconds, unless it has begun for the same
    /// directive.
    pub fn begin(&self, directive: u64, now: u64, seconds: u64) {
        if self.header(DIRECTIVE).load(Relaxed) == directive {
            return;
        }
        let all = self.header.iter().chain(self.places).chain(self.values);
        // Memory that was never used takes none as long as it is not written.
        for word in all.filter(|word| word.load(Relaxed) != 0) {
            word.store(0, Relaxed);
        }
        self.header(BEGUN).store(now, Relaxed);
        self.header(UNTIL)
            .store(now.saturating_add(seconds), Relaxed);
        self.header(DIRECTIVE).store(directive, Release);
    }

    /// When it has begun, in seconds since 1970.
    pub fn begun(&self) -> u64 {
        self.header(BEGUN).load(Relaxed)
    }

    /// When it ends.
    pub fn until(&self) -> u64 {
        self.header(UNTIL).load(Relaxed)
    }

    /// How many requests were looked at.
    pub fn requests(&self) -> u64 {
        self.header(REQUESTS).load(Relaxed)
    }

    /// Whether a line for the log is due: once a minute, and once in the end. Tells one caller
    /// alone.
    pub fn is_line_due(&self, now: u64) -> bool {
        let word = self.header(LOGGED);
        let known = word.load(Relaxed);
        let last = known.max(self.begun());
        let is_due = now >= last.saturating_add(60) && last < self.until();
        is_due && word.compare_exchange(known, now, Relaxed, Relaxed).is_ok()
    }

    /// Whether a request of this client is looked at: all requests of a client are, or none, and as
    /// many clients as make some hundreds of requests a second.
    pub fn takes(&self, client: u64, now: u64) -> bool {
        if now >= self.until() {
            return false;
        }
        let bits = self.header(BITS).load(Relaxed).min(MOST_BITS);
        if client >> 32 & ((1 << bits) - 1) != 0 {
            return false;
        }
        let second = self.header(SECOND);
        let known = second.load(Relaxed);
        let count = match known >> 32 == now & 0xffff_ffff {
            true => second.fetch_add(1, Relaxed) & 0xffff_ffff,
            false => {
                second.store(now << 32 | 1, Relaxed);
                0
            }
        };
        if count == AT_ONCE && bits < MOST_BITS {
            self.header(BITS).fetch_add(1, Relaxed);
        }
        count < AT_ONCE
    }

    /// Notes an exchange: what its request brought, and what its response handed out.
    pub fn note(
        &self,
        who: Exchange,
        answer: Answer,
        brought: &[Sighting],
        handed_out: &[Sighting],
    ) {
        self.header(REQUESTS).fetch_add(1, Relaxed);
        let is_page = answer == Answer::Page;
        self.header(PAGES).fetch_add(u64::from(is_page), Relaxed);
        note_client(self.header.get(CLIENTS..CLIENTS + CLIENT_WORDS), who.client);
        let upgraded = self.header.get(UPGRADED..UPGRADED + UPGRADED_WORDS);
        let flags = match answer {
            Answer::Upgrade => IN_UPGRADE,
            _ if has_client(upgraded, who.client) => BEHIND_UPGRADE,
            _ => 0,
        };
        let mut seen = BTreeSet::new();
        for sighting in brought {
            if let Some(place) = self.place(sighting, who.client) {
                let is_first = seen.insert(sighting.value);
                self.note_back(who, sighting.value, place, is_first, flags);
            }
        }
        if answer == Answer::Upgrade {
            note_client(upgraded, who.client);
        }
        self.note_body(who, handed_out);
    }

    /// Notes what the body of a response handed out, whose header was noted before.
    pub fn note_body(&self, who: Exchange, handed_out: &[Sighting]) {
        let mut seen = BTreeSet::new();
        for sighting in handed_out {
            if let Some(place) = self.place(sighting, who.client) {
                self.note_out(who, sighting.value, place, seen.insert(sighting.value));
            }
        }
    }

    /// The number of a place, from 1 on.
    fn place(&self, sighting: &Sighting, client: u64) -> Option<u64> {
        let is_of_request = sighting.kind.source.is_none();
        let first = usize::from(is_of_request) * PLACES;
        let digest = digest(sighting.kind.number(), &sighting.name);
        for probe in 0..PROBES {
            let at = first + (digest as usize).wrapping_add(probe) % PLACES;
            let words = self.places.get(at * PLACE_WORDS..(at + 1) * PLACE_WORDS)?;
            match words[0].compare_exchange(0, digest, Relaxed, Relaxed) {
                Ok(_) => {
                    for (word, piece) in words[7..15].iter().zip(sighting.name.chunks(8)) {
                        let mut bytes = [0; 8];
                        bytes
                            .iter_mut()
                            .zip(piece)
                            .for_each(|(to, from)| *to = *from);
                        word.store(u64::from_le_bytes(bytes), Relaxed);
                    }
                    let length = sighting.name.len() as u64;
                    words[1].store(sighting.kind.number() << 8 | length, Release);
                }
                Err(known) if known != digest => continue,
                Err(_) => {}
            }
            words[2].fetch_add(1, Relaxed);
            note_client(words.get(3..3 + CLIENT_WORDS), client);
            return Some(at as u64 + 1);
        }
        None
    }

    /// The words of a value; of a new one, if it may take a place.
    fn value(&self, value: u64, now: u64, is_new_welcome: bool) -> Option<&'a [AtomicU64]> {
        let count = self.values.len() / VALUE_WORDS;
        let hash = value | 1;
        let stamp = (now / STEP) & 0xffff;
        let mut oldest = None;
        for probe in 0..PROBES {
            let at = (value >> 8) as usize;
            let at = at.wrapping_add(probe) & (count - 1);
            let words = self.values.get(at * VALUE_WORDS..(at + 1) * VALUE_WORDS)?;
            let known = words[0].load(Relaxed);
            if known == hash {
                return Some(words);
            }
            if known == 0 {
                return match words[0].compare_exchange(0, hash, Relaxed, Relaxed) {
                    Ok(_) => Some(words),
                    Err(_) => None,
                };
            }
            let age = stamp.wrapping_sub(words[4].load(Relaxed) >> 48) & 0xffff;
            let is_from_client = words[1].load(Relaxed) == 0;
            // What a client alone has named makes room for others, and for its like.
            let may_go = is_from_client || is_new_welcome;
            if may_go && oldest.is_none_or(|(known, _)| age > known) {
                oldest = Some((age, words));
            }
        }
        let (_, words) = oldest?;
        words[0].store(0, Relaxed);
        words[1..].iter().for_each(|word| word.store(0, Relaxed));
        words[0].store(hash, Release);
        Some(words)
    }

    fn note_out(&self, who: Exchange, value: u64, place: u64, is_first: bool) {
        let Some(words) = self.value(value, who.now, true) else {
            return;
        };
        // What was handed out and has come back is only repeated from then on, as the Responses API
        // does with `previous_response_id`.
        let has_come_back = words[4].load(Relaxed) >> 16 & 0xffff != 0;
        if !has_come_back || words[1].load(Relaxed) == 0 {
            add_place(&words[1], place);
        }
        let owner = words[3].load(Relaxed);
        if owner == 0 {
            words[3].store(owner_of(who), Relaxed);
        } else if owner >> 16 & 0xffff_ffff != who.client & 0xffff_ffff {
            words[3].fetch_or(OTHER_CLIENT_OUT, Relaxed);
        }
        if is_first {
            count(&words[4], 0, who.now);
        }
    }

    fn note_back(&self, who: Exchange, value: u64, place: u64, is_first: bool, flags: u64) {
        let Some(words) = self.value(value, who.now, false) else {
            return;
        };
        add_place(&words[2], place);
        let owner = words[3].load(Relaxed);
        if owner == 0 {
            words[3].store(owner_of(who) | BACK_FIRST | flags, Relaxed);
        } else if owner >> 16 & 0xffff_ffff != who.client & 0xffff_ffff {
            words[3].fetch_or(OTHER_CLIENT_BACK, Relaxed);
        }
        if flags & IN_UPGRADE != 0 {
            words[3].fetch_or(IN_UPGRADE, Relaxed);
        }
        if is_first {
            count(&words[4], 16, who.now);
            if owner != 0 && owner & 0xffff != who.server & 0xffff {
                count(&words[4], 32, who.now);
            }
        }
    }

    /// All that is known.
    pub(super) fn read(&self) -> Known {
        let load = |at: usize| self.header(at).load(Relaxed);
        let places = self.places.chunks_exact(PLACE_WORDS).map(known_place);
        let values = self
            .values
            .chunks_exact(VALUE_WORDS)
            .filter_map(known_value);
        Known {
            requests: load(REQUESTS),
            pages: load(PAGES),
            clients: clients(&self.header[CLIENTS..CLIENTS + CLIENT_WORDS]),
            places: places.collect(),
            values: values.collect(),
        }
    }
}

fn owner_of(who: Exchange) -> u64 {
    (who.client & 0xffff_ffff) << 16 | who.server & 0xffff
}

/// Not 0.
fn digest(kind: u64, name: &[u8]) -> u64 {
    // FNV-1a: a name that shares its digest with another one is shown as that.
    let kind = kind.to_le_bytes();
    let bytes = name.iter().chain(&kind);
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^ hash >> 32 | 1
}

fn note_client(words: Option<&[AtomicU64]>, client: u64) {
    if let Some((word, bit)) = bit_of(words, client) {
        if word.load(Relaxed) & bit == 0 {
            word.fetch_or(bit, Relaxed);
        }
    }
}

/// Whether it was noted there, or one that shares its bit.
fn has_client(words: Option<&[AtomicU64]>, client: u64) -> bool {
    bit_of(words, client).is_some_and(|(word, bit)| word.load(Relaxed) & bit != 0)
}

/// A client's word, and its bit in it.
fn bit_of(words: Option<&[AtomicU64]>, client: u64) -> Option<(&AtomicU64, u64)> {
    let words = words?;
    let at = (client >> 40) as usize % (64 * words.len().max(1));
    Some((words.get(at / 64)?, 1 << (at % 64)))
}

/// How many clients have set these bits, most likely.
fn clients(words: &[AtomicU64]) -> usize {
    let all = 64 * CLIENT_WORDS as u32;
    let set: u32 = words
        .iter()
        .map(|word| word.load(Relaxed).count_ones())
        .sum();
    if set >= all {
        return 2_000;
    }
    let free = f64::from(all - set) / f64::from(all);
    (-f64::from(all) * free.ln()).round() as usize
}

/// Adds one of four places.
fn add_place(word: &AtomicU64, place: u64) {
    let known = word.load(Relaxed);
    for at in [0, 16, 32, 48] {
        match known >> at & 0xffff {
            0 => {
                word.fetch_or(place << at, Relaxed);
                return;
            }
            it if it == place => return,
            _ => {}
        }
    }
}

/// Counts in the 16 bits from there on, and notes the time.
fn count(word: &AtomicU64, shift: u32, now: u64) {
    let known = word.load(Relaxed);
    let counted = match known >> shift & 0xffff {
        0xffff => known,
        _ => known.wrapping_add(1 << shift),
    };
    let stamped = (counted & ((1 << 48) - 1)) | (((now / STEP) & 0xffff) << 48);
    // Of two at once, one counts.
    let _ = word.compare_exchange(known, stamped, Relaxed, Relaxed);
}
