//! The keys of session ids: that of the zone, and those under which sessions are found as well after
//! a change of it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use portable_atomic::AtomicU128;
use sticky_core::table::{
    Claim, Fingerprint, Key, Keyer, Learned, Limits, LookUp, PeerId, Registration, ScopedKeyer,
    Tick, ZoneHeader,
};

use super::{Open, Sessions, Storage, NOBODY};

/// Names of servers of one scope that are noted for the time after a change of the key.
const MOST_NAMES: usize = 1 << 14;

/// From ids to keys.
pub struct Keys {
    /// The SipHash key, as it was at the first use. A worker goes on with it when a newer configuration
    /// changes it.
    pub(super) sip_keys: (u64, u64),
    keyer: ScopedKeyer,
    /// Those under which sessions are looked for as well.
    pub(super) previous: Vec<PreviousKeys>,
    /// Whether any of them still counts.
    pub(super) has_previous: Cell<bool>,
}

/// The same by a SipHash key that the zone had before, or that other nginx still have.
pub struct PreviousKeys {
    pub(super) sip_keys: (u64, u64),
    keyer: ScopedKeyer,
    /// The tick from which on it does not count any more. `None`: as long as it is configured.
    until: Option<Tick>,
    /// From how many names, and from what servers are registered as, under this key or that of the zone,
    /// to what they are under that of the zone.
    servers: RefCell<(usize, BTreeMap<Fingerprint, Fingerprint>)>,
}

impl Keys {
    /// What makes the keys of the zone.
    pub(super) fn keyer(&self) -> ScopedKeyer {
        self.keyer.clone()
    }
}

impl Sessions<'_> {
    /// The key of a session id. `None`: the zone does not exist yet.
    #[inline]
    pub fn key(&self, id: &[u8]) -> Option<Key> {
        if let Some(whole) = self.whole() {
            return Some(whole.key(id));
        }
        self.key_otherwise(id)
    }

    #[inline(never)]
    fn key_otherwise(&self, id: &[u8]) -> Option<Key> {
        let keys = self.keys()?;
        let key = keys.keyer.key(id);
        if keys.has_previous.get() {
            return Some(self.found_key(keys, id, key));
        }
        Some(key)
    }

    #[inline(always)]
    pub(super) fn keys(&self) -> Option<&Keys> {
        self.keys.get().or_else(|| self.read_keys())
    }

    #[cold]
    fn read_keys(&self) -> Option<&Keys> {
        let scope = self.scope.name();
        let keys = match &self.storage {
            Storage::Local { keys, .. } => {
                let (k0, k1) = *keys;
                Keys {
                    sip_keys: *keys,
                    keyer: Keyer::new(k0, k1).scope(scope),
                    previous: Vec::new(),
                    has_previous: Cell::new(false),
                }
            }
            Storage::Shared(zone) => {
                let (header, _) = zone.split::<ZoneHeader, AtomicU128>()?;
                let (k0, k1) = header.identity.sip_keys();
                let of_zone = header.previous.get();
                let of_zone = of_zone.map(|(keys, until)| (keys, Some(until)));
                let configured = zone.conf().keys.get().and_then(|keys| keys.old);
                let all = configured
                    .map(|keys| (keys, None))
                    .into_iter()
                    .chain(of_zone);
                let mut previous: Vec<PreviousKeys> = Vec::new();
                for (sip_keys, until) in all {
                    let is_known = previous.iter().any(|known| known.sip_keys == sip_keys);
                    if sip_keys != (k0, k1) && !is_known {
                        previous.push(PreviousKeys {
                            sip_keys,
                            keyer: Keyer::new(sip_keys.0, sip_keys.1).scope(scope),
                            until,
                            servers: RefCell::default(),
                        });
                    }
                }
                Keys {
                    sip_keys: (k0, k1),
                    keyer: Keyer::new(k0, k1).scope(scope),
                    has_previous: Cell::new(!previous.is_empty()),
                    previous,
                }
            }
        };
        Some(self.keys.get_or_init(|| keys))
    }

    /// The key under which a session is found, if not under that of the zone: it is put under that one.
    /// Where that cannot be done, it is used as it is.
    #[cold]
    #[inline(never)]
    fn found_key(&self, keys: &Keys, id: &[u8], key: Key) -> Key {
        let limits = self.limits();
        let (LookUp::Unknown | LookUp::Expired, Some(now)) =
            (self.look_up(key, &limits), self.now())
        else {
            return key;
        };
        let mut any = false;
        for previous in &keys.previous {
            if previous.until.is_some_and(|until| now >= until) {
                continue;
            }
            any = true;
            let old = previous.keyer.key(id);
            let LookUp::Found(session) = self.look_up(old, &limits) else {
                continue;
            };
            let Some(server) = self.registered_anew(keys, previous, session.peer) else {
                return old;
            };
            let claim = Claim::Rekeyed(session);
            return match self.learn(key, &server, claim, &limits, &mut |_| false) {
                Learned::Refused => old,
                _ => {
                    self.drop_old(old, session.peer, &limits);
                    key
                }
            };
        }
        keys.has_previous.set(any);
        key
    }

    /// The server of a session that is under another key, as it is registered under that of the zone.
    /// `None`: this process does not know it, or not yet.
    fn registered_anew(
        &self,
        keys: &Keys,
        previous: &PreviousKeys,
        number: PeerId,
    ) -> Option<Registration> {
        let (Some(registry), Storage::Shared(zone)) = (self.registry(), &self.storage) else {
            return None;
        };
        let names = zone.conf().names.borrow();
        let names = names.get(self.scope.name());
        let count = names.map_or(0, BTreeSet::len) + 1;
        let mut servers = previous.servers.borrow_mut();
        if servers.0 != count {
            let of = |keys, name: &[u8]| Fingerprint::new(keys, self.scope.name(), name);
            let names = names.into_iter().flatten().map(Vec::as_slice);
            let pairs = names.chain([NOBODY]).flat_map(|name| {
                let new = of(keys.sip_keys, name);
                [(of(previous.sip_keys, name), new), (new, new)]
            });
            *servers = (count, pairs.collect());
        }
        let known = registry.registration(number)?.fingerprint()?;
        let new = servers.1.get(&known)?;
        registry.register(&[*new]).pop().flatten()
    }

    /// Removes a session that is under the key of the zone by now. Other nginx that have the old key
    /// are not told: there it is still in use.
    fn drop_old(&self, old: Key, holder: PeerId, limits: &Limits) {
        match self.open() {
            Some(Open::Shared(table, now)) => {
                table.with_journal(None).end(old, holder, limits, now);
            }
            Some(Open::Parted(table, before, now)) => {
                before.end(&table.with_journal(None), old, holder, limits, now);
            }
            Some(Open::Local(..)) | None => {}
        }
    }

    /// Notes what servers are called in the table, if a change of the key makes that necessary.
    pub fn note_names<'n>(&self, names: impl IntoIterator<Item = &'n [u8]>) {
        let Storage::Shared(zone) = &self.storage else {
            return;
        };
        let mut known = zone.conf().names.borrow_mut();
        let known = known.entry(self.scope.name().into()).or_default();
        for name in names {
            if known.len() < MOST_NAMES {
                known.insert(name.to_vec());
            }
        }
    }

    /// Whether sessions may be under another key than that of the zone. Not before the configuration
    /// is complete.
    pub fn has_previous_keys(&self) -> bool {
        self.keys().is_some_and(|keys| keys.has_previous.get())
    }

    /// What logs show of a session, see [`Keyer::shown`]. `None`: the zone does not exist yet.
    pub fn shown(&self, key: Key) -> Option<u32> {
        let (k0, k1) = self.keys()?.sip_keys;
        Some(Keyer::new(k0, k1).shown(key))
    }
}
