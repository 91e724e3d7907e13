//! The short id under which the session table knows a peer. It comes from the peer's name alone, so
//! it is the same after a reload, in another order of servers, and on another machine.

use std::collections::{BTreeMap, BTreeSet};

use siphasher::sip::SipHasher13;

use crate::table::word::PeerId;

/// The peer id of a name, as long as no other name of its upstream has the same one.
pub fn peer_id(name: &[u8]) -> PeerId {
    choice(name, 0)
}

/// The peer ids of an upstream's names, in the order of the names.
///
/// The same set of names gives the same ids in every order. Equal names share an id, different ones
/// do not (unless nearly all of the 2^20 ids are in use). When several names have the same first
/// choice, the one that sorts first gets it and the others take their next choice, among the ids
/// that are nobody's first choice: a name that collides with none never depends on the others.
pub fn peer_ids(names: &[&[u8]]) -> Vec<PeerId> {
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    sorted.dedup();

    let mut ids = BTreeMap::new();
    let mut taken = BTreeSet::new();
    let mut later = Vec::new();
    for name in sorted {
        let id = peer_id(name);
        if taken.insert(id) {
            ids.insert(name, id);
        } else {
            later.push(name);
        }
    }
    for name in later {
        let mut choices = (1..=MORE_CHOICES).map(|n| choice(name, n));
        // Without a free one, two peers share an id: a session may then wander between the two.
        let id = choices
            .find(|id| !taken.contains(id))
            .unwrap_or_else(|| peer_id(name));
        taken.insert(id);
        ids.insert(name, id);
    }
    names
        .iter()
        .map(|&name| ids.get(name).copied().unwrap_or_else(|| peer_id(name)))
        .collect()
}

/// How many ids a name tries beyond its first. Of 1000 peers, the first of these is free for all
/// but one in 1000.
const MORE_CHOICES: u64 = 64;

/// The `n`th choice of a name: the low 20 bits of its SipHash-1-3 under a fixed key.
///
/// The key is `sticky-rs peerid` (16 bytes) with `n` added to its second half. It is no secret:
/// ids must agree between machines, and a peer's name comes from the configuration, not from a
/// client. Changing it would send every stored session to another peer.
fn choice(name: &[u8], n: u64) -> PeerId {
    let k0 = u64::from_le_bytes(*b"sticky-r");
    let k1 = u64::from_le_bytes(*b"s peerid").wrapping_add(n);
    let hash = SipHasher13::new_with_keys(k0, k1).hash(name);
    PeerId::new((hash & 0xf_ffff) as u32)
}
