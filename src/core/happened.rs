//! What has happened to sessions while a request was served, for variables, counters and the log.

use std::cell::Cell;
use std::fmt;

use crate::events::{Forget, Move, Skip, Source};
use crate::table::Tick;

/// What has happened to sessions while one request was served. Nothing, for most requests.
///
/// ```
/// use sticky_core::events::{Move, Skip, Source};
/// use sticky_core::happened::Happened;
///
/// let happened = Happened::default();
/// assert!(happened.is_nothing());
/// happened.learn(Source::Html);
/// happened.learn(Source::Cookie);
/// happened.learn(Source::Html);
/// happened.skip(Skip::Host);
/// happened.move_session(Move::Failed);
/// assert_eq!(happened.learned().to_string(), "html:2, cookie:1");
/// assert_eq!(happened.skipped().to_string(), "host");
/// assert_eq!(happened.count_moved(Move::Failed), 1);
/// ```
pub struct Happened {
    /// All in short, so that one look tells what is to be counted of most requests: the reasons for which
    /// something was skipped, as bits; [`MOVED`] and so on; [`READ`]; and in the bits above that, 1 more
    /// than the number of the first source that has shown a session.
    noted: Cell<u32>,
    learned: [Cell<u8>; Source::COUNT],
    moved: [Cell<u8>; Move::COUNT],
    forgotten: [Cell<u8>; Forget::COUNT],
    /// The age of the request's session when it ended.
    age: Cell<Option<Tick>>,
}

const MOVED: u32 = 1 << 16;
const FORGOTTEN: u32 = 1 << 17;
/// Ids got no place: see [`Happened::refuse_place`].
const PLACE_REFUSED: u32 = 1 << 18;
/// More than one session has begun.
const SEVERAL_LEARNED: u32 = 1 << 19;

/// The body of the response was read, and is not counted yet.
const READ: u32 = 1 << 20;

const FIRST_LEARNED: u32 = 28;

/// What is not counted at once.
const MUCH: u32 = MOVED | FORGOTTEN | PLACE_REFUSED | SEVERAL_LEARNED | READ;

const _: () = {
    assert!(Skip::COUNT <= u16::BITS as usize);
    assert!(Source::COUNT < 1 << (u32::BITS - FIRST_LEARNED));
};

impl Default for Happened {
    /// Nothing. Written out, so that it is made where it stays.
    #[inline(always)]
    fn default() -> Self {
        Self {
            noted: Cell::new(0),
            learned: [const { Cell::new(0) }; Source::COUNT],
            moved: [const { Cell::new(0) }; Move::COUNT],
            forgotten: [const { Cell::new(0) }; Forget::COUNT],
            age: Cell::new(None),
        }
    }
}

impl Happened {
    /// A session has begun, which `source` has shown.
    #[inline]
    pub fn learn(&self, source: Source) {
        let what = match self.noted.get() >> FIRST_LEARNED {
            0 => (source.number() as u32 + 1) << FIRST_LEARNED,
            _ => SEVERAL_LEARNED,
        };
        self.count(what, self.learned.get(source.number()));
    }

    /// A session has moved.
    pub fn move_session(&self, why: Move) {
        self.count(MOVED, self.moved.get(why.number()));
    }

    /// A session is forgotten.
    pub fn forget(&self, why: Forget) {
        self.count(FORGOTTEN, self.forgotten.get(why.number()));
    }

    /// The body of the response is read, which is to be counted.
    #[inline]
    pub fn read_body(&self) {
        self.note(READ);
    }

    /// That is counted.
    #[inline]
    pub fn count_body(&self) {
        self.noted.set(self.noted.get() & !READ);
    }

    /// New ids got no place among those that are learned: only in the end it is known whether one of
    /// them is left without.
    #[inline]
    pub fn refuse_place(&self) {
        self.note(PLACE_REFUSED);
    }

    /// An id was not learned, or the response not read.
    #[inline]
    pub fn skip(&self, why: impl Into<Skips>) {
        self.note(why.into().0.into());
    }

    /// The session of the request has ended at this age.
    pub fn end_at(&self, age: Tick) {
        self.age.set(Some(age));
    }

    #[inline]
    fn note(&self, what: u32) {
        self.noted.set(self.noted.get() | what);
    }

    fn count(&self, what: u32, count: Option<&Cell<u8>>) {
        self.note(what);
        if let Some(count) = count {
            count.set(count.get().saturating_add(1));
        }
    }

    /// The numbers of the reasons for which something was skipped, as bits.
    #[inline]
    pub fn skipped_bits(&self) -> u16 {
        self.noted.get() as u16
    }

    /// All that is to be counted, if it is little: at most one session that has begun, beside what was
    /// skipped. `None`: more has happened, or more may turn out to have.
    #[inline(always)]
    pub fn few(&self) -> Option<Few> {
        let noted = self.noted.get();
        (noted & MUCH == 0).then_some(Few(noted))
    }

    /// Calls a function with each source that has shown sessions which have begun, and with their number.
    #[inline]
    pub fn each_learned(&self, mut f: impl FnMut(usize, u8)) {
        if self.noted.get() >> FIRST_LEARNED != 0 {
            each(&self.learned, &mut f);
        }
    }

    /// The same with the reasons for which sessions have moved.
    #[inline]
    pub fn each_moved(&self, mut f: impl FnMut(usize, u8)) {
        if self.noted.get() & MOVED != 0 {
            each(&self.moved, &mut f);
        }
    }

    /// The same with the reasons for which sessions are forgotten.
    #[inline]
    pub fn each_forgotten(&self, mut f: impl FnMut(usize, u8)) {
        if self.noted.get() & FORGOTTEN != 0 {
            each(&self.forgotten, &mut f);
        }
    }

    /// Whether there is nothing to count.
    #[inline]
    pub fn is_nothing(&self) -> bool {
        self.noted.get() == 0
    }

    /// Whether the body of the response was read, and is to be counted.
    #[inline]
    pub fn has_read_body(&self) -> bool {
        self.noted.get() & READ != 0
    }

    /// How many sessions have begun that `source` has shown.
    pub fn count_learned(&self, source: Source) -> u8 {
        self.learned.get(source.number()).map_or(0, Cell::get)
    }

    /// How many have moved for this reason.
    pub fn count_moved(&self, why: Move) -> u8 {
        self.moved.get(why.number()).map_or(0, Cell::get)
    }

    /// How many are forgotten for this reason.
    pub fn count_forgotten(&self, why: Forget) -> u8 {
        self.forgotten.get(why.number()).map_or(0, Cell::get)
    }

    /// Whether something was skipped for this reason.
    pub fn has_skipped(&self, why: Skip) -> bool {
        self.skipped().have(why)
    }

    /// The age of the request's session when it ended.
    pub fn age_at_end(&self) -> Option<Tick> {
        self.age.get()
    }

    /// The sources that have shown sessions which have begun: displays as `html:2, cookie:1`.
    pub fn learned(&self) -> Learned<'_> {
        Learned(self)
    }

    /// The reasons for which something was skipped: displays as `host, cap`.
    pub fn skipped(&self) -> Skips {
        Skips(self.skipped_bits())
    }
}

/// What has happened where that is little: see [`Happened::few`].
#[derive(Clone, Copy)]
pub struct Few(u32);

impl Few {
    /// Whether there is nothing to count.
    #[inline(always)]
    pub fn is_nothing(self) -> bool {
        self.0 == 0
    }

    /// Whether it is only that the body of the response is of a type that is not read: so it is with
    /// most.
    #[inline(always)]
    pub fn is_type_only(self) -> bool {
        self.0 == 1 << Skip::Type.number()
    }

    /// The number of the source that has shown the session that has begun.
    #[inline(always)]
    pub fn learned(self) -> Option<usize> {
        (self.0 >> FIRST_LEARNED)
            .checked_sub(1)
            .map(|number| number as usize)
    }

    /// The numbers of the reasons for which something was skipped, as bits.
    #[inline(always)]
    pub fn skipped_bits(self) -> u16 {
        self.0 as u16
    }
}

/// The counts that are not 0.
#[inline]
fn each(counts: &[Cell<u8>], f: &mut impl FnMut(usize, u8)) {
    for (number, count) in counts.iter().enumerate() {
        if count.get() != 0 {
            f(number, count.get());
        }
    }
}

/// Reasons for which something was skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skips(u16);

impl Skips {
    /// Whether this is one of them.
    #[inline]
    pub fn have(self, why: Skip) -> bool {
        self.0 & Self::from(why).0 != 0
    }
}

impl From<Skip> for Skips {
    #[inline]
    fn from(why: Skip) -> Self {
        Self(1 << why.number())
    }
}

/// See [`Happened::learned`].
pub struct Learned<'h>(&'h Happened);

impl fmt::Display for Learned<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for source in Source::ALL {
            let count = self.0.count_learned(*source);
            if count > 0 {
                write!(f, "{separator}{}:{count}", source.name())?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

impl fmt::Display for Skips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for why in Skip::ALL.iter().filter(|why| self.have(**why)) {
            write!(f, "{separator}{}", why.name())?;
            separator = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Happened, Skip, Source};

    #[test]
    fn counts_are_kept_up_to_their_greatest() {
        let happened = Happened::default();
        for _ in 0..300 {
            happened.learn(Source::Request);
        }
        assert_eq!(happened.count_learned(Source::Request), u8::MAX);
        assert_eq!(happened.learned().to_string(), "request:255");
    }

    #[test]
    fn few_is_one_session_and_what_was_skipped() {
        let happened = Happened::default();
        assert!(happened.few().is_some_and(|few| !few.is_type_only()));
        happened.skip(Skip::Type);
        assert!(happened.few().is_some_and(|few| few.is_type_only()));
        happened.learn(Source::Create);
        let few = happened.few().expect("one session is few");
        assert_eq!(few.learned(), Some(Source::Create.number()));
        assert_eq!(few.skipped_bits(), happened.skipped_bits());
        assert!(!few.is_type_only());
        happened.read_body();
        assert!(happened.few().is_none() && happened.has_read_body());
        happened.count_body();
        assert!(happened.few().is_some() && !happened.has_read_body());
        let more: [fn(&Happened); 4] = [
            |happened| happened.learn(Source::Create),
            |happened| happened.move_session(super::Move::Left),
            |happened| happened.forget(super::Forget::Ended),
            Happened::refuse_place,
        ];
        for much in more {
            let happened = Happened::default();
            happened.learn(Source::Create);
            much(&happened);
            assert!(happened.few().is_none());
        }
    }

    #[test]
    fn each_reason_is_shown_once_in_the_order_of_the_numbers() {
        let happened = Happened::default();
        assert_eq!(happened.skipped().to_string(), "");
        for why in Skip::ALL.iter().rev().chain(Skip::ALL) {
            assert!(!happened.has_skipped(*why) || happened.has_skipped(Skip::Cap));
            happened.skip(*why);
        }
        let names: Vec<_> = Skip::ALL.iter().map(|why| why.name()).collect();
        assert_eq!(happened.skipped().to_string(), names.join(", "));
        assert!(!happened.is_nothing());
    }

    #[test]
    fn a_request_without_events_has_nothing_to_count() {
        let happened = Happened::default();
        assert!(happened.is_nothing());
        happened.end_at(3);
        assert!(happened.is_nothing());
        assert_eq!(happened.age_at_end(), Some(3));
        happened.forget(super::Forget::Ended);
        assert!(!happened.is_nothing());
        assert_eq!(happened.count_forgotten(super::Forget::Ended), 1);
    }
}
