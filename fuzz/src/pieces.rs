//! A body in pieces: whatever they are, a learner hands out the same ids in the same order.

use std::collections::{BTreeMap, BTreeSet};

use sticky_core::scan::{FoundIn, Learner};
use sticky_core::url::MAX_ID;

/// The longest pieces that are tried: a byte, within a name, within a tag, as nginx has them.
const MAX_PIECES: [usize; 4] = [1, 5, 40, 3000];

/// The ids of a body, after checking that they are the same in pieces, which `seed` chooses. An id
/// may be repeated more or less often depending on the pieces, but new ids come in the same order.
pub fn ids<L: Learner>(body: &[u8], seed: u32, learner: impl Fn() -> L) -> Vec<Vec<u8>> {
    let whole = new_ids(&[body], learner());
    for pieces in cuts(body, seed) {
        let cut = new_ids(&pieces, learner());
        assert_eq!(shown(&cut), shown(&whole), "in {} pieces", pieces.len());
        // Where an id counts as standing is where it is met first.
        for taken in [true, false] {
            let (whole, cut) = (
                classes(&[body], learner(), taken),
                classes(&pieces, learner(), taken),
            );
            assert_eq!(cut, whole, "classes, in {} pieces", pieces.len());
        }
    }
    whole
}

/// Where each id is met first, whether the learner hears that ids are `taken` or not.
fn classes(pieces: &[&[u8]], mut learner: impl Learner, taken: bool) -> BTreeMap<Vec<u8>, FoundIn> {
    let mut classes = BTreeMap::new();
    let mut found = |id: &[u8], found_in| {
        classes.entry(id.to_vec()).or_insert(found_in);
        taken
    };
    for piece in pieces {
        learner.feed(piece, &mut found);
    }
    learner.end(&mut found);
    classes
}

/// The ids that a learner finds, each once.
pub fn new_ids(pieces: &[&[u8]], learner: impl Learner) -> Vec<Vec<u8>> {
    let mut ids = read(pieces, learner);
    assert!(
        ids.windows(2).all(|pair| pair[0] != pair[1]),
        "an id twice in a row"
    );
    let mut known = BTreeSet::new();
    ids.retain(|id| known.insert(id.clone()));
    ids
}

/// The same for a combined learner, whose order depends on the pieces.
pub fn sorted_ids<L: Learner>(body: &[u8], seed: u32, learner: impl Fn() -> L) -> Vec<Vec<u8>> {
    let sorted = |pieces: &[&[u8]]| {
        let ids: BTreeSet<_> = read(pieces, learner()).into_iter().collect();
        ids.into_iter().collect::<Vec<_>>()
    };
    let whole = sorted(&[body]);
    for pieces in cuts(body, seed) {
        let cut = sorted(&pieces);
        assert_eq!(shown(&cut), shown(&whole), "in {} pieces", pieces.len());
    }
    whole
}

/// Two ways to cut a body.
pub fn cuts(body: &[u8], seed: u32) -> [Vec<&[u8]>; 2] {
    let mut numbers = Numbers(u64::from(seed));
    [(); 2].map(|()| {
        let longest = MAX_PIECES[numbers.below(MAX_PIECES.len())];
        let mut rest = body;
        let pieces = std::iter::from_fn(|| {
            let len = (numbers.below(longest) + 1).min(rest.len());
            let (piece, after) = rest.split_at(len);
            rest = after;
            (!piece.is_empty()).then_some(piece)
        });
        pieces.collect()
    })
}

/// The ids that a learner finds, after checking the rules for all learners.
pub fn read(pieces: &[&[u8]], mut learner: impl Learner) -> Vec<Vec<u8>> {
    let mut ids: Vec<Vec<u8>> = Vec::new();
    for piece in pieces {
        learner.feed(piece, &mut |id, _| {
            ids.push(id.to_vec());
            true
        });
    }
    learner.end(&mut |id, _| {
        ids.push(id.to_vec());
        true
    });
    let late =
        &mut |id: &[u8], _: FoundIn| -> bool { panic!("{} after the end", id.escape_ascii()) };
    learner.feed(b"<a href=\"?sid=late\">{\"sid\":\"late\"} ", late);
    learner.end(late);
    assert!(
        ids.iter().all(|id| (1..=MAX_ID).contains(&id.len())),
        "an id of a wrong length"
    );
    ids
}

/// Ids as text, for messages.
pub fn shown(ids: &[Vec<u8>]) -> Vec<String> {
    ids.iter().map(|id| id.escape_ascii().to_string()).collect()
}

/// SplitMix64.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}
