//! What a follower leaves to the one that comes after it.

/// A session as the stream has it, while the table may have it otherwise: what the follower keeps with
/// the first of its notes that has not returned.
///
/// ```text
///   127  126        125 118    112 111 77    64 63                    0
///  +----+-----------+---+--------+---+----------+-----------------------+
///  | set| a session | 0 | lap  7 | 0 | scope 14 | the session, see Word |
///  +----+-----------+---+--------+---+----------+-----------------------+
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// There is none.
    None,
    /// The lower 64 bits of its [`Word`](super::super::Word).
    Session(u64),
}

impl Kept {
    pub(super) const SCOPE_SHIFT: u32 = 64;
    pub(super) const LAP_SHIFT: u32 = 112;
    const IS_SET: u128 = 1 << 127;
    const IS_SESSION: u128 = 1 << 126;

    pub(super) fn bits(self) -> u128 {
        match self {
            Kept::None => Self::IS_SET,
            Kept::Session(low) => Self::IS_SET | Self::IS_SESSION | u128::from(low),
        }
    }

    pub(super) fn of_bits(bits: u128) -> Option<Kept> {
        let is_session = bits & Self::IS_SESSION != 0;
        (bits & Self::IS_SET != 0).then_some(match is_session {
            true => Kept::Session(bits as u64),
            false => Kept::None,
        })
    }
}
