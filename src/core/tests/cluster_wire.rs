//! Tests for what nodes send each other and derive from their key. Without them, nodes of different
//! builds do not understand each other, a forged record moves a session, or a damaged one stops a
//! worker.

use sticky_core::cluster::keys::{
    scope_digest, ClusterKey, KeyAge, KeyError, Seal, Sealed, Seals, LEAST_KEY,
};
use sticky_core::cluster::wire::{
    DecodeError, EncodeError, Entry, NodeId, LONGEST_ENTRY, MOST_RECORDS,
};
use sticky_core::cluster::{Change, Record};
use sticky_core::table::{Fingerprint, Key};

const KEY: &[u8] = b"0123456789abcdef";
const BASE: u64 = 1_800_000_000;

/// The entry of [`known`], as a program of a few lines in another language makes it.
const KNOWN: &str =
    "0101020001000200000102030405060708090a0b0c0d0e0f0700000000000000e803000000000000\
     00d2496b0000000062fca336bf41dafd998877665544332211050000000000000000012a00000000000000000000\
     00ffff00000000000000000a2b00000000000000000001000000fdffffff3c0000009498fdf08500fe23dee9a765\
     4f4ac511";

fn key(content: &[u8]) -> ClusterKey {
    ClusterKey::of_file(content).expect("long enough")
}

fn seal() -> Seal {
    key(KEY).seal(b"sticky:")
}

fn seals() -> Seals {
    Seals {
        current: seal(),
        old: None,
    }
}

fn server(bits: u128) -> Fingerprint {
    Fingerprint::from_bits(bits).expect("not 0")
}

fn known() -> Entry {
    let record = Record {
        change: Change::Learned,
        key: Key::new(42),
        scope: scope_digest(b"shop", b"backend"),
        server: server(0x11_2233_4455_6677_8899),
        from: None,
        seen: BASE,
        created: BASE,
        confirmed: false,
    };
    let moved = Record {
        change: Change::Moved,
        key: Key::new(43),
        server: server(5),
        from: Some(record.server),
        seen: BASE - 3,
        created: BASE - 63,
        confirmed: true,
        ..record
    };
    Entry {
        node: NodeId(std::array::from_fn(|at| at as u8)),
        term: 7,
        first: Some(1000),
        records: vec![record, moved],
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn entry(&mut self) -> Entry {
        let count = match self.below(4) {
            0 => 1,
            1 => MOST_RECORDS as u64,
            _ => self.below(MOST_RECORDS as u64) + 1,
        };
        let variety = [1, 3, 1 << 40][self.below(3) as usize];
        let is_of_journal = self.below(2) == 0;
        Entry {
            node: NodeId(std::array::from_fn(|_| self.next() as u8)),
            term: self.next(),
            first: is_of_journal.then(|| self.next()),
            records: (0..count).map(|_| self.record(variety)).collect(),
        }
    }

    fn record(&mut self, variety: u64) -> Record {
        let all = [
            Change::Learned,
            Change::Moved,
            Change::Forgotten,
            Change::Alive,
            Change::Known,
            Change::Drained,
            Change::DrainKnown,
        ];
        let fingerprint =
            |number: u64| server((u128::from(number) << 40 | u128::from(number)) % (1 << 72) + 1);
        let seen = BASE + self.below(1 << 30) - (1 << 29);
        Record {
            change: all[self.below(7) as usize],
            key: Key::new(self.next()),
            scope: self.below(variety),
            server: fingerprint(self.below(variety)),
            from: (self.below(3) == 0).then(|| fingerprint(self.below(variety))),
            seen,
            created: seen - self.below(1 << 30),
            confirmed: self.below(2) == 0,
        }
    }
}

#[test]
fn an_entry_is_written_as_ever() {
    let hex = base16ct::lower::encode_string(&known().encode(&seal()).expect("it is valid"));
    assert_eq!(hex, KNOWN);
    let bytes = base16ct::lower::decode_vec(KNOWN).expect("hexadecimal digits");
    assert_eq!(
        Entry::decode(&bytes, &seals()),
        Ok((known(), KeyAge::Current))
    );
}

#[test]
fn what_is_derived_from_a_key_is_as_ever() {
    let file = key(b"0123456789abcdef\r\n");
    assert_eq!(file, key(KEY));
    assert_eq!(
        file.table_key(b"shop"),
        (0x2bc8_ad53_0a6a_041b, 0x6cda_a71b_2ad3_e59b)
    );
    assert_eq!(
        file.table_key(b""),
        (0x746e_f638_01a4_e916, 0x9c95_8f88_755f_fa55)
    );
    assert_eq!(scope_digest(b"shop", b"backend"), 0xfdda_41bf_36a3_fc62);
    for (kind, name, tag) in [
        (Sealed::Entry, &b""[..], "c671bf84a4f5eb6054ff2778b74aed6f"),
        (Sealed::Piece, b"7", "2af20d0c53e029f74e7de1ae759ac70e"),
    ] {
        let made = seal().tag(kind, name, b"body");
        assert_eq!(base16ct::lower::encode_string(&made), tag);
        assert!(seal().is_of(&made, kind, name, b"body"));
    }
}

#[test]
fn names_are_told_apart_wherever_one_ends() {
    assert_ne!(scope_digest(b"ab", b"c"), scope_digest(b"a", b"bc"));
    assert_ne!(key(KEY).table_key(b"a"), key(KEY).table_key(b"b"));
    let tag = key(KEY).seal(b"ab").tag(Sealed::Piece, b"c", b"d");
    let mut others = Vec::new();
    for (prefix, kind, name, bytes) in [
        (&b"a"[..], Sealed::Piece, &b"c"[..], &b"d"[..]),
        (b"ab", Sealed::Manifest, b"c", b"d"),
        (b"ab", Sealed::Piece, b"cd", b""),
        (b"ab", Sealed::Piece, b"", b"cd"),
    ] {
        let seal = key(KEY).seal(prefix);
        assert!(!seal.is_of(&tag, kind, name, bytes));
        others.push(seal.tag(kind, name, bytes));
    }
    others.sort();
    others.dedup();
    assert_eq!(others.len(), 4);
}

#[test]
fn a_short_key_is_refused() {
    let short = [b'x'; LEAST_KEY - 1];
    assert_eq!(ClusterKey::of_file(&short), Err(KeyError::Short(15)));
    let with_line_end = [&short[..], b"\n"].concat();
    assert_eq!(
        ClusterKey::of_file(&with_line_end),
        Err(KeyError::Short(15))
    );
    assert_eq!(ClusterKey::of_file(b""), Err(KeyError::Short(0)));
    // A line end within belongs to the key.
    assert!(ClusterKey::of_file(&[&with_line_end[..], b"x"].concat()).is_ok());
    assert_eq!(format!("{:?}", key(KEY)), "ClusterKey");
}

#[test]
fn an_entry_is_read_as_it_was_written() {
    let mut random = Random(1);
    let mut longest = 0;
    for _ in 0..2_000 {
        let entry = random.entry();
        let bytes = entry.encode(&seal()).expect("it is valid");
        longest = longest.max(bytes.len());
        assert_eq!(
            Entry::decode(&bytes, &seals()),
            Ok((entry, KeyAge::Current))
        );
    }
    assert!(longest <= LONGEST_ENTRY);
}

#[test]
fn the_longest_entry_is_as_long_as_they_may_be() {
    let mut entry = known();
    entry.records = (0..MOST_RECORDS as u64)
        .map(|at| Record {
            key: Key::new(at + 1),
            scope: at,
            server: server(u128::from(2 * at + 1)),
            from: Some(server(u128::from(2 * at + 2))),
            ..known().records[0]
        })
        .collect();
    let bytes = entry.encode(&seal()).expect("it is valid");
    assert_eq!(bytes.len(), LONGEST_ENTRY);
    assert_eq!(
        Entry::decode(&bytes, &seals()),
        Ok((entry, KeyAge::Current))
    );
}

#[test]
fn without_the_key_nothing_is_read() {
    let bytes = known().encode(&seal()).expect("it is valid");
    let refused = |bytes: &[u8], seals: &Seals| {
        assert_eq!(Entry::decode(bytes, seals), Err(DecodeError::Sealed));
    };
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            refused(&changed, &seals());
        }
        refused(&bytes[..at], &seals());
    }
    refused(&[&bytes[..], &[0]].concat(), &seals());
    refused(&vec![0; LONGEST_ENTRY + 1], &seals());
    for (content, prefix) in [(KEY, &b"other:"[..]), (b"0123456789abcdeF", b"sticky:")] {
        let other = Seals {
            current: key(content).seal(prefix),
            old: None,
        };
        refused(&bytes, &other);
    }
}

#[test]
fn the_old_key_is_told_from_the_new_one() {
    let (new, old) = (key(b"a key that is new").seal(b"sticky:"), seal());
    let seals = Seals {
        current: new.clone(),
        old: Some(old.clone()),
    };
    for (seal, age) in [(new, KeyAge::Current), (old, KeyAge::Old)] {
        let bytes = known().encode(&seal).expect("it is valid");
        assert_eq!(Entry::decode(&bytes, &seals), Ok((known(), age)));
    }
}

/// Bytes with the right seal, as a node makes them that is broken, or newer.
fn sealed(body: &[u8]) -> Vec<u8> {
    [body, &seal().tag(Sealed::Entry, &[], body)].concat()
}

#[test]
fn a_sealed_entry_that_is_malformed_is_refused() {
    let bytes = known().encode(&seal()).expect("it is valid");
    let body = &bytes[..bytes.len() - 16];
    assert_eq!(Entry::decode(&sealed(body), &seals()).map(drop), Ok(()));
    let lists = 48 + 8 + 2 * 9;
    let refused: [(usize, &[u8]); 15] = [
        (1, &[2]),             // positions
        (1, &[0]),             // none, but there is one
        (2, &[0, 0]),          // records
        (2, &[1, 0]),          // bytes are left
        (2, &[3, 0]),          // they end
        (2, &[1, 1]),          // 257
        (4, &[0, 0]),          // scopes
        (6, &[5, 0]),          // servers
        (46, &[1]),            // the base
        (56 + 9, &[0]),        // a server that is 0
        (lists, &[0]),         // a change
        (lists, &[0x11]),      // a bit without meaning
        (lists + 1, &[0; 8]),  // no key
        (lists + 11, &[2, 0]), // a server that is not there
        (lists + 13, &[2, 0]), // another one
    ];
    for (at, to) in refused {
        let mut changed = body.to_vec();
        changed[at..at + to.len()].copy_from_slice(to);
        let decoded = Entry::decode(&sealed(&changed), &seals());
        assert_eq!(decoded, Err(DecodeError::Malformed), "{to:?} at {at}");
    }
    let mut newer = body.to_vec();
    newer[0] = 2;
    let decoded = Entry::decode(&sealed(&newer), &seals());
    assert_eq!(decoded, Err(DecodeError::Newer(2)));
    let decoded = Entry::decode(&sealed(&[]), &seals());
    assert_eq!(decoded, Err(DecodeError::Malformed));
}

#[test]
fn times_before_there_were_any_are_refused() {
    let mut entry = known();
    entry.records = vec![Record {
        seen: 2,
        created: 1,
        ..entry.records[0]
    }];
    let bytes = entry.encode(&seal()).expect("it is valid");
    let mut body = bytes[..bytes.len() - 16].to_vec();
    let age = body.len() - 4;
    body[age] = 3;
    let decoded = Entry::decode(&sealed(&body), &seals());
    assert_eq!(decoded, Err(DecodeError::Malformed));
    body[age] = 0;
    body[age - 4..age].copy_from_slice(&(-3_i32).to_le_bytes());
    let decoded = Entry::decode(&sealed(&body), &seals());
    assert_eq!(decoded, Err(DecodeError::Malformed));
}

#[test]
fn sealed_bytes_that_are_changed_are_read_or_refused() {
    let mut random = Random(2);
    let mut read = 0;
    for _ in 0..20_000 {
        let mut entry = random.entry();
        entry.records.truncate(3);
        let bytes = entry.encode(&seal()).expect("it is valid");
        let mut body = bytes[..bytes.len() - 16].to_vec();
        for _ in 0..=random.below(2) {
            let at = random.below(body.len() as u64) as usize;
            body[at] = random.next() as u8;
        }
        if random.below(4) == 0 {
            body.truncate(random.below(body.len() as u64 + 1) as usize);
        }
        if let Ok((changed, _)) = Entry::decode(&sealed(&body), &seals()) {
            read += 1;
            // What is read can be written, if its times are not of another age of the world.
            if let Ok(again) = changed.encode(&seal()) {
                assert_eq!(
                    Entry::decode(&again, &seals()),
                    Ok((changed, KeyAge::Current))
                );
            }
        }
    }
    assert!(read > 1_000, "{read}");
}

#[test]
fn what_cannot_be_written_is_refused() {
    let entry = |records: Vec<Record>| Entry { records, ..known() };
    let record = known().records[0];
    let refused = |records, error| assert_eq!(entry(records).encode(&seal()), Err(error));
    refused(vec![], EncodeError::Count(0));
    refused(vec![record; MOST_RECORDS + 1], EncodeError::Count(257));
    let at = |seen, created| Record {
        seen,
        created,
        ..record
    };
    refused(
        vec![record, at(BASE + (1 << 31), BASE)],
        EncodeError::Time(1),
    );
    refused(vec![at(BASE + (1 << 33), BASE)], EncodeError::Time(0));
    refused(vec![at(u64::MAX, u64::MAX)], EncodeError::Time(0));
    refused(vec![record, at(1 << 48, 1 << 48)], EncodeError::Time(1));
    // Two clocks.
    let bytes = entry(vec![at(BASE, BASE + 1)]).encode(&seal());
    let (read, _) = Entry::decode(&bytes.expect("it is valid"), &seals()).expect("so is that");
    assert_eq!(read.records, [at(BASE, BASE)]);
}
