//! The budget for reading the tags around names. Without it, a page that repeats the name would
//! have the same tags read again for each occurrence, and block the worker for seconds.

/// What any page may spend, in bytes.
pub const BASE_BUDGET: u64 = 64 * 1024;

/// What it may spend in addition for each byte before the name. Real pages with another id in each
/// link spend up to 0.6, a page of nothing but the shortest links 1.5.
pub const BUDGET_PER_BYTE: u64 = 4;

/// Counts the bytes that were examined. Each name is charged once, when it is done, so the sum
/// depends on the page and not on how it was cut into pieces.
#[derive(Default)]
pub(super) struct Budget {
    spent: u64,
    /// A name was met when nothing was left.
    is_exceeded: bool,
}

impl Budget {
    /// Whether anything is left for a name at this offset of the page.
    pub(super) fn is_left(&self, place: u64) -> bool {
        self.spent < BASE_BUDGET.saturating_add(BUDGET_PER_BYTE.saturating_mul(place))
    }

    /// Notes that a name is not read.
    #[cold]
    pub(super) fn exceed(&mut self) {
        self.is_exceeded = true;
    }

    pub(super) fn is_exceeded(&self) -> bool {
        self.is_exceeded
    }

    pub(super) fn spend(&mut self, bytes: usize) {
        self.spent = self.spent.saturating_add(bytes as u64);
    }

    pub(super) fn spent(&self) -> u64 {
        self.spent
    }
}
