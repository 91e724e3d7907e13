//! Finds the session ids in a page by searching for the bytes of the name, and reading what
//! surrounds it only where it occurs. Parsing every page would cost ten times as much as nginx's
//! `sub_filter`.
//!
//! What is found:
//! - the value of any attribute that is a URL with the name where ids are looked for, in its query,
//!   in its path or in both, with character references decoded. `srcset`, `style`, `onclick`, JSON
//!   and `<meta content="5; url=…">` are split at quotes, white space, `<`, `>` and parentheses;
//! - `<input name=NAME value=…>` and `<button name=NAME value=…>`;
//! - outside of tags (text, comments, scripts), a string between the same delimiters that is a URL
//!   with the name in it. Around a letter like `(S)`, a string may contain parentheses. The escapes
//!   of scripts and JSON are decoded: `\/`, `\u0026`, `\x26`.
//!
//! Bounds: a tag is searched up to [`MAX_TAG`] bytes before a name and read up to [`MAX_TAG`] bytes
//! from its start, a string up to [`STRING_RADIUS`] bytes to each side of the name. So no more than
//! about twice [`MAX_TAG`] is carried over from piece to piece, and 1 KB more where pieces are
//! small. A quoted value with a `>` in it may have up to [`MAX_QUOTED`] bytes; beyond a longer one,
//! its tag is not read. A string is searched and read once, however many names stand in it. Reading
//! the tags around names may cost [`BASE_BUDGET`] bytes in any page, and [`BUDGET_PER_BYTE`] for
//! each byte before the name. When the budget is spent, a name is skipped, unless it stands in a
//! quoted attribute value that reads as a link to the site. One name may exceed the budget by a few
//! times [`MAX_TAG`]. `<base href>` counts when it stands in the head and in the first 16 KB; of
//! these, 4 KB are kept until a link is read.
//!
//! The name must stand literally: it is not found where some of its characters are written as
//! references, or as `%XX` without need. However a page is cut into pieces, the same ids come out
//! in the same order.

mod base_href;
mod budget;
mod carry_over;
mod enclosing_tag;
mod examiner;
mod head;
pub(super) mod last_id;
mod links;
mod name_boundary;
mod occurrence;
pub(super) mod strings;
pub(super) mod tag;

use std::cell::RefCell;
use std::sync::Arc;

use self::examiner::PageExaminer;
use super::search::matches::Match;
use super::search::window::{Progress, Window};
use super::search::windowed::{Examine, WindowedSearch};
use super::{Found, Learner};
use crate::url::{Names, Site, MAX_NAME};

pub use self::budget::{BASE_BUDGET, BUDGET_PER_BYTE};
pub use self::strings::STRING_RADIUS;

/// The longest tag that is read, in bytes. One that starts further before a name is not found, and
/// one that has not ended by then is not read.
pub const MAX_TAG: usize = 8 * 1024;

/// The longest quoted value with a `>` in it, in bytes. Beyond a longer one, its tag is not read.
pub const MAX_QUOTED: usize = 1024;

/// Learns the session ids of one page.
pub struct HtmlLearner {
    search: WindowedSearch<PageExaminer>,
}

/// So many learners at most are kept in a thread for other pages, each with so many bytes at most that
/// it has allocated. Most pages need less than 1 KB.
const MAX_IDLE: usize = 16;
const MAX_IDLE_BYTES: usize = 32 * 1024;

/// Learners that were set aside.
#[expect(clippy::vec_box, reason = "a learner is handed out in its box")]
struct Idle(Vec<Box<HtmlLearner>>);

thread_local! {
    static IDLE: RefCell<Idle> = const { RefCell::new(Idle(Vec::new())) };
}

impl HtmlLearner {
    /// The same as [`new`](Self::new) and [`knowing`](Self::knowing), in the memory of one that was set
    /// aside, if there is any.
    pub fn begin(names: &Arc<Names>, site: &Site, known: &[u8]) -> Box<Self> {
        let idle = IDLE.try_with(|idle| idle.borrow_mut().0.pop());
        let idle = idle.ok().flatten();
        let mut learner = match idle {
            Some(mut learner) => {
                learner.search.restart_with(names);
                learner.search.examiner.restart(names, site);
                learner
            }
            None => Box::new(Self::new(Arc::clone(names), site.clone())),
        };
        learner.search.examiner.links.know(known);
        learner
    }

    /// A learner for one response.
    pub fn new(names: Arc<Names>, site: Site) -> Self {
        let examiner = PageExaminer::new(Arc::clone(&names), site);
        Self {
            search: WindowedSearch::new(names, examiner),
        }
    }

    /// The same, for a response to a request with an id that need not be learned again.
    pub fn knowing(mut self, id: &[u8]) -> Self {
        self.search.examiner.links.know(id);
        self
    }

    /// How much of the budget is spent so far, in bytes: see [`BASE_BUDGET`] and
    /// [`BUDGET_PER_BYTE`].
    #[doc(hidden)]
    pub fn budget_spent(&self) -> u64 {
        self.search.examiner.budget.spent()
    }
}

impl Learner for HtmlLearner {
    fn feed(&mut self, piece: &[u8], found: &mut Found<'_>) {
        self.search.examiner.feed_head(piece);
        self.search.feed(piece, found);
    }

    fn end(&mut self, found: &mut Found<'_>) {
        self.search.end(found);
    }

    fn has_given_up(&self) -> bool {
        self.search.examiner.budget.is_exceeded()
    }

    fn set_aside(self: Box<Self>) {
        let bytes = self.search.allocated() + self.search.examiner.allocated();
        if bytes <= MAX_IDLE_BYTES {
            // It cannot where the thread ends.
            let _ = IDLE.try_with(|idle| {
                let Idle(idle) = &mut *idle.borrow_mut();
                if idle.len() < MAX_IDLE {
                    idle.push(self);
                }
            });
        }
    }
}

impl Examine for PageExaminer {
    type Needles = Names;

    /// The tag and the string in which a name may stand.
    const BACK: usize = MAX_TAG + MAX_NAME;

    fn examine(
        &mut self,
        window: &Window<'_>,
        name: Match,
        window_start: u64,
        found: &mut Found<'_>,
    ) -> Progress {
        PageExaminer::examine(self, window, name, window_start, found)
    }

    #[inline(always)]
    fn is_known(&self, bytes: &[u8], name: Match) -> bool {
        PageExaminer::is_known(self, bytes, name)
    }

    fn first_needed(&self, carry: &[u8], piece: &[u8]) -> usize {
        carry_over::first_needed(carry, piece, self.string_end())
    }
}
