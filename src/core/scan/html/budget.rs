//! What looking at the tags around names may cost: without a bound, a page that says the name again and
//! again would have them read anew for each, and take seconds of everybody's time.

/// What any page may have looked at, in bytes.
pub const ALLOWED: u64 = 64 * 1024;

/// And for each byte of it that lies before the name. Real pages with another id in each link use up
/// to 0.6, one that consists of the shortest links 1.5.
pub const ALLOWED_EACH: u64 = 4;

/// Counts the bytes that have been looked at, by what the page is and not by how it was cut: once
/// for each name, when it is done with.
#[derive(Default)]
pub(super) struct Allowance {
    used: u64,
}

impl Allowance {
    /// Whether anything is left for a name at this place of the page.
    pub(super) fn is_left(&self, place: u64) -> bool {
        self.used < ALLOWED.saturating_add(ALLOWED_EACH.saturating_mul(place))
    }

    pub(super) fn use_up(&mut self, bytes: usize) {
        self.used = self.used.saturating_add(bytes as u64);
    }

    /// The bytes so far.
    pub(super) fn used(&self) -> u64 {
        self.used
    }
}
