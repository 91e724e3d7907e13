//! The 20-bit number of a peer where there is no registry: with `zone=off`, and where there is no
//! session table at all. It depends on the peer's name alone, so it stays the same when servers come
//! and go.

use std::collections::{BTreeMap, BTreeSet};

use siphasher::sip::SipHasher13;

use crate::table::PeerId;

/// The peer id of a name, if no other name of its upstream has the same one.
pub fn peer_id(name: &[u8]) -> PeerId {
    choice(name, 0)
}

/// The peer ids of an upstream's names, in the order of the names.
///
/// The same set of names gives the same ids in every order. Equal names share an id, different ones
/// do not (unless nearly all of the 2^20 ids are in use). When several names have the same first
/// choice, the one that sorts first gets it. The others take their next choice among the ids that
/// are no name's first choice, so a name without a collision never depends on the others.
///
/// ```
/// use sticky_core::peer_id::{peer_id, peer_ids};
///
/// let ids = peer_ids(&[b"10.0.0.1:8080", b"10.0.0.2:8080"]);
/// assert_eq!(ids, [peer_id(b"10.0.0.1:8080"), peer_id(b"10.0.0.2:8080")]);
/// ```
pub fn peer_ids(names: &[&[u8]]) -> Vec<PeerId> {
    let ids: Vec<PeerId> = names.iter().map(|name| peer_id(name)).collect();
    let mut first: Vec<(PeerId, &[u8])> = ids.iter().copied().zip(names.iter().copied()).collect();
    first.sort_unstable();
    first.dedup();

    let others = first.windows(2).filter_map(|two| match two {
        [(id, _), (same, name)] if id == same => Some(*name),
        _ => None,
    });
    let mut others: Vec<&[u8]> = others.collect();
    if others.is_empty() {
        return ids;
    }
    others.sort_unstable();
    let mut taken = BTreeSet::new();
    let mut of_others = BTreeMap::new();
    for name in others {
        let is_first_choice = |id: &PeerId| first.binary_search_by_key(id, |(id, _)| *id).is_ok();
        let mut choices = (1..=MORE_CHOICES).map(|n| choice(name, n));
        // If none is free, two peers share an id: sessions of one may be sent to the other.
        let id = choices
            .find(|id| !is_first_choice(id) && !taken.contains(id))
            .unwrap_or_else(|| peer_id(name));
        taken.insert(id);
        of_others.insert(name, id);
    }
    let all = names.iter().zip(ids);
    all.map(|(name, id)| of_others.get(name).copied().unwrap_or(id))
        .collect()
}

/// How many ids a name tries after its first choice. Among 1000 peers, the first of these is free in
/// all but one of 1000 cases.
const MORE_CHOICES: u64 = 64;

/// The `n`th choice of a name: the low 20 bits of its SipHash-1-3 under a fixed key.
///
/// The key is `sticky-rs peerid` (16 bytes) with `n` added to its second half. It is not a secret:
/// the names of peers come from the configuration, not from clients.
fn choice(name: &[u8], n: u64) -> PeerId {
    let k0 = u64::from_le_bytes(*b"sticky-r");
    let k1 = u64::from_le_bytes(*b"s peerid").wrapping_add(n);
    let hash = SipHasher13::new_with_keys(k0, k1).hash(name);
    PeerId::new((hash & 0xf_ffff) as u32)
}
