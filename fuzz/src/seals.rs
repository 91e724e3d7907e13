//! What comes from the store of a cluster, with the right seal and with none.

use std::sync::LazyLock;

use sticky_core::cluster::keys::{ClusterKey, KeyAge, Seal, Sealed, Seals};

/// The keys of a node that understands an old one, too.
pub static SEALS: LazyLock<Seals> = LazyLock::new(|| {
    let key = ClusterKey::of_file(b"0123456789abcdef\n").expect("16 bytes");
    let old = ClusterKey::of_file(b"fedcba9876543210").expect("16 bytes");
    Seals {
        current: key.seal(b"sticky:"),
        old: Some(old.seal(b"sticky:")),
    }
});

/// Bytes behind which a seal stands that the first of them chooses: 0 for none, 1 for that of the old
/// key.
pub struct Sent<'a> {
    /// Those that the seal is of.
    pub body: &'a [u8],
    /// All, as the store hands them out.
    pub bytes: Vec<u8>,
    /// The seal and its age.
    pub seal: Option<(&'static Seal, KeyAge)>,
}

impl<'a> Sent<'a> {
    /// Those of an input.
    pub fn of(kind: Sealed, input: &'a [u8]) -> Option<Self> {
        let (choice, body) = input.split_first()?;
        let seal = match choice {
            0 => None,
            1 => Some((SEALS.old.as_ref().expect("it has one"), KeyAge::Old)),
            _ => Some((&SEALS.current, KeyAge::Current)),
        };
        let mut bytes = body.to_vec();
        if let Some((seal, _)) = seal {
            bytes.extend(seal.tag(kind, &[], body));
        }
        Some(Self { body, bytes, seal })
    }

    /// The age of its key.
    pub fn age(&self) -> Option<KeyAge> {
        self.seal.map(|(_, age)| age)
    }
}
