//! Examines one occurrence of a name: whether it is a parameter of a link or the name of a form
//! field, and which id belongs to it.

use std::ops::Range;
use std::sync::Arc;

use super::budget::Budget;
use super::enclosing_tag::TagStarts;
use super::head::Head;
use super::last_id::ValueEnd;
use super::links::{class_in, Links};
use super::name_boundary::{ends_parameter_name, ends_segment, is_whole_value, starts_parameter};
use super::occurrence::Occurrence;
use super::strings::{string_around, string_end, Span};
use super::tag::{field_value, is_space, Part, Tag, TagState};
use super::{MAX_QUOTED, MAX_TAG};
use crate::scan::search::ends::{set_of, Ends};
use crate::scan::search::matches::Match;
use crate::scan::search::string_bounds::StringBounds;
use crate::scan::search::window::{Progress, Window};
use crate::scan::{Found, IdClass};
use crate::url::{Names, Role, Site};

/// The bytes that may follow a name that is a parameter's or a whole value.
static MAY_FOLLOW: [bool; 256] = {
    const fn may_follow(after: u8) -> bool {
        ends_parameter_name(after) | is_space(after) | matches!(after, b'"' | b'\'' | b'>')
    }
    set_of!(may_follow)
};

/// What a `<` costs, in bytes, whether or not it begins a tag.
const CANDIDATE_COST: usize = 1;

/// Examines the occurrences of names in one page and hands out their ids.
pub(super) struct PageExaminer {
    names: Arc<Names>,
    head: Head,
    pub(super) links: Links,
    /// The values of the fields that have the name, as offsets in the window.
    fields: Vec<Range<usize>>,
    /// Of the string in progress: around names, and around letters.
    bounds: [StringBounds; 2],
    pub(super) budget: Budget,
    /// The tag because of which a name has to wait.
    unfinished: Option<UnfinishedTag>,
    waiting: Option<Waiting>,
}

/// A name that waits for the rest of a tag. As long as this does not come, nothing is read again.
/// Offsets count in the page.
struct Waiting {
    name_end: u64,
    needle: usize,
    tag: UnfinishedTag,
    /// The tag is read up to here.
    read_to: u64,
}

/// A tag as far as it is known.
#[derive(Clone, Copy)]
struct UnfinishedTag {
    /// Where it ends is needed, not only what comes behind the current name or value.
    is_end_needed: bool,
    state: TagState,
    /// It is not read beyond this offset of the page.
    limit: u64,
}

impl Waiting {
    /// Whether this name still waits: the window has nothing new that matters.
    #[cold]
    fn goes_on(&mut self, window: &Window<'_>, name: Match, window_start: u64) -> bool {
        let place = |at: usize| window_start + at as u64;
        let window_end = place(window.bytes.len());
        if (self.name_end, self.needle) != (place(name.end), name.needle)
            || window.to_end
            || window_end >= self.tag.limit
        {
            return false;
        }
        let read = self.read_to.saturating_sub(window_start) as usize;
        let more = window.bytes.get(read..).unwrap_or_default();
        self.read_to = window_end;
        match self.tag.is_end_needed {
            true => self.tag.state.read(more).is_none(),
            false => self.tag.state.lasts(more),
        }
    }
}

/// What a tag that may enclose the name turns out to be.
enum Verdict {
    /// The name stands in none of its attributes, or in one that decides nothing.
    Undecided,
    /// It decides what the name is.
    Settled,
    /// It is a field of that name. In broken markup, an outer tag may claim the name as well.
    Field(Range<usize>),
    NeedsAfter,
}

impl PageExaminer {
    pub(super) fn new(names: Arc<Names>, site: Site) -> Self {
        Self {
            head: Head::new(),
            links: Links::new(Arc::clone(&names), site),
            names,
            fields: Vec::new(),
            bounds: Default::default(),
            budget: Budget::default(),
            unfinished: None,
            waiting: None,
        }
    }

    /// Begins another page, of these names and this site.
    pub(super) fn restart(&mut self, names: &Arc<Names>, site: &Site) {
        if !Arc::ptr_eq(&self.names, names) {
            self.names = Arc::clone(names);
        }
        self.head.restart();
        self.links.restart(names, site);
        self.fields.clear();
        self.bounds = Default::default();
        self.budget = Budget::default();
        self.unfinished = None;
        self.waiting = None;
    }

    /// How many bytes it has allocated.
    pub(super) fn allocated(&self) -> usize {
        let fields = self.fields.capacity() * size_of::<Range<usize>>();
        fields + self.head.allocated() + self.links.allocated()
    }

    /// Takes the next piece of the page for its `<base href>`.
    #[inline]
    pub(super) fn feed_head(&mut self, piece: &[u8]) {
        let Self { head, links, .. } = self;
        head.feed(piece, |place, href| links.rebase(place, href));
    }

    /// The test for what ends every string that a name may stand in.
    pub(super) fn string_end(&self) -> &'static Ends {
        string_end(self.names.have_letters())
    }

    /// Whether a match of a name certainly shows no new id: what follows it is part of a longer word,
    /// or it is a parameter with the id that was handed out last, in quotes and behind another parameter
    /// or at the start of the query, as in most links.
    #[inline(always)]
    pub(super) fn is_known(&self, bytes: &[u8], name: Match) -> bool {
        let Match { end, needle } = name;
        let name = self.names.nth(needle).filter(|name| name.is_parameter());
        let (Some(name), Some(after)) = (name, bytes.get(end)) else {
            return false;
        };
        if !MAY_FOLLOW[usize::from(*after)] {
            return true;
        }
        if !self.links.last.is_written_at(bytes, end) || self.waiting.is_some() {
            return false;
        }
        let at = end.checked_sub(name.literal.needle().len());
        match at.and_then(|at| bytes.get(..at)) {
            Some([.., b'?' | b'&'] | [.., b'&', b'a', b'm', b'p', b';']) => true,
            Some([.., b';']) => !self.names.are_in_paths(),
            _ => false,
        }
    }

    /// Examines a match of a name; `window_start` is where the window begins in the page.
    pub(super) fn examine(
        &mut self,
        window: &Window<'_>,
        name: Match,
        window_start: u64,
        found: &mut Found<'_>,
    ) -> Progress {
        if let Some(waiting) = &mut self.waiting {
            if waiting.goes_on(window, name, window_start) {
                return Progress::NeedsAfter;
            }
            self.waiting = None;
        }
        let (end, needle) = (name.end, name.needle);
        let Some(name) = self.names.nth(name.needle) else {
            return Progress::Done;
        };
        let at = end.saturating_sub(name.literal.needle().len());
        let Some(before) = at.checked_sub(1).and_then(|at| window.bytes.get(at)) else {
            return if window.from_start {
                Progress::Done
            } else {
                Progress::NeedsBefore
            };
        };
        let Some(after) = window.bytes.get(end) else {
            return if window.to_end {
                Progress::Done
            } else {
                Progress::NeedsAfter
            };
        };
        let (mut in_link, mut in_field) = (true, true);
        let is_whole_name = name.literal_is_name;
        // "(S(", ")S(": a value follows the letter.
        if name.letter.is_some() {
            (in_link, in_field) = (matches!(before, b'(' | b')'), false);
        }
        let mut is_before_id = false;
        if let Role::Segment { ends, is_last } = name.role {
            (in_link, in_field) = (!ends || ends_segment(*after), false);
            is_before_id = is_last && *after == b'/';
        } else if is_whole_name {
            in_field = is_whole_value(*before, *after) && name.role == Role::Name;
            in_link = ends_parameter_name(*after)
                && match starts_parameter(window, at, *before) {
                    Some(starts) => starts,
                    None => return Progress::NeedsBefore,
                };
        }
        if !in_link && !in_field {
            return Progress::Done;
        }
        let value_at = match name.letter {
            Some(_) => Some(end),
            None => ((*after == b'=' && is_whole_name) || is_before_id).then_some(end + 1),
        };
        let value_end = match ValueEnd::of(&self.names, name, window, at) {
            Ok(value_end) => value_end,
            Err(progress) => return progress,
        };
        if let Some((at, value_end)) = value_at.zip(value_end) {
            match self.links.last.is_repeated(window, at, value_end) {
                Some(true) => return Progress::Done,
                Some(false) => {}
                None => return Progress::NeedsAfter,
            }
        }
        let mut name = Occurrence {
            window,
            at,
            end,
            place: window_start + at as u64,
            in_link,
            in_field,
            is_letter: name.letter.is_some(),
            span: None,
        };
        self.examine_surroundings(&mut name, needle, found)
    }

    /// Reads the string and the tags around a name. Most matches do not get here; not inlined, so
    /// that they cost less.
    #[inline(never)]
    fn examine_surroundings(
        &mut self,
        name: &mut Occurrence<'_>,
        needle: usize,
        found: &mut Found<'_>,
    ) -> Progress {
        let Occurrence { window, place, .. } = *name;
        let Self { head, links, .. } = self;
        head.catch_up(|place, href| links.rebase(place, href));
        if name.in_link {
            let [around_names, around_letters] = &mut self.bounds;
            let bounds = match name.is_letter {
                true => around_letters,
                false => around_names,
            };
            match string_around(
                window,
                name.window_start(),
                name.at,
                bounds,
                string_end(name.is_letter),
            ) {
                Ok(span) => name.span = span,
                Err(progress) => return progress,
            }
            if let Some(span) = name.span {
                match span.is_quoted_value(window) {
                    Some(true) => match self.read_quoted_value(name, span, found) {
                        Ok(true) => return Progress::Done,
                        Ok(false) => {}
                        Err(progress) => return progress,
                    },
                    Some(false) => {}
                    None => return Progress::NeedsBefore,
                }
            }
        }
        let is_settled = !name.in_field && self.links.has_settled(place);
        if is_settled {
            return Progress::Done;
        }
        if !self.budget.is_left(place) {
            self.budget.exceed();
            return Progress::Done;
        }
        self.fields.clear();
        let mut cost = 0;
        let is_settled = match self.read_tags(name, &mut cost, found) {
            Ok(is_settled) => is_settled,
            Err(progress) => {
                let tag = self.unfinished.take();
                self.waiting = tag.map(|tag| Waiting {
                    name_end: name.window_start() + name.end as u64,
                    needle,
                    tag,
                    read_to: name.window_start() + window.bytes.len() as u64,
                });
                return progress;
            }
        };
        // Only now: a name that needs more bytes is examined again.
        self.budget.spend(cost);
        let fields = std::mem::take(&mut self.fields);
        for field in &fields {
            let value = window.bytes.get(field.clone()).unwrap_or_default();
            self.links.read_field(value, found);
        }
        if !is_settled && fields.is_empty() {
            self.links
                .read_string(name, name.span, IdClass::Other, found);
        }
        self.fields = fields;
        Progress::Done
    }

    /// Reads the string around the name, which is the whole value of an attribute or reads like one, if
    /// that can be told without reading tags. Returns whether it has an id.
    #[inline(never)]
    fn read_quoted_value(
        &mut self,
        name: &Occurrence<'_>,
        span: Span,
        found: &mut Found<'_>,
    ) -> Result<bool, Progress> {
        let window = name.window;
        let at_once = self.links.id_at_once(name, span);
        // Not with a backslash, which is an escape in a script, but none in a link.
        if at_once.is_none() && span.has_backslash(window) {
            return Ok(false);
        }
        let class = match span.attribute(window)?.map_or(IdClass::Other, class_in) {
            IdClass::Form if span.is_nested(window) => IdClass::Other,
            class => class,
        };
        if class == IdClass::Other && self.budget.is_left(name.place) {
            return Ok(false);
        }
        let links = &mut self.links;
        Ok(links.read_known_string(name, span, at_once, class, found))
    }

    /// Reads the tags that may be open at the name. Returns whether one of them settled what the
    /// name is, and adds to `cost` the bytes that were examined.
    fn read_tags(
        &mut self,
        name: &Occurrence<'_>,
        cost: &mut usize,
        found: &mut Found<'_>,
    ) -> Result<bool, Progress> {
        let bytes = name.window.bytes;
        let starts = TagStarts::at(name.window, name.at)?;
        *cost += starts.cost;
        if let Some(before) = starts.before {
            // The nearest first: they are the likeliest.
            let before = candidates(bytes, before).rev();
            if self.read_candidates(name, before, cost, found)? {
                return Ok(true);
            }
        }
        // The first one after a tag has ended begins a tag, and the others stand in it.
        self.read_candidates(name, candidates(bytes, starts.after), cost, found)
    }

    /// The same for these places of a `<`.
    fn read_candidates(
        &mut self,
        name: &Occurrence<'_>,
        candidates: impl Iterator<Item = usize>,
        cost: &mut usize,
        found: &mut Found<'_>,
    ) -> Result<bool, Progress> {
        let bytes = name.window.bytes;
        let mut read = 0;
        let mut is_settled = false;
        for at in candidates {
            *cost += CANDIDATE_COST;
            let start = at + 1;
            if !bytes.get(start).is_some_and(u8::is_ascii_alphabetic) {
                continue;
            }
            match self.read_tag(name, start, &mut read, found) {
                Verdict::Settled => is_settled = true,
                Verdict::NeedsAfter => return Err(Progress::NeedsAfter),
                Verdict::Field(value) => self.fields.push(value),
                Verdict::Undecided => {}
            }
            if is_settled || read >= 2 * MAX_TAG {
                break;
            }
        }
        *cost += read;
        Ok(is_settled)
    }

    /// Reads up to the name as if a tag began at `start`, with the name of its element. Adds to
    /// `read` how much that was.
    fn read_tag(
        &mut self,
        name: &Occurrence<'_>,
        start: usize,
        read: &mut usize,
        found: &mut Found<'_>,
    ) -> Verdict {
        let bytes = name.window.bytes;
        let limit = start + MAX_TAG;
        let readable = bytes.get(start..limit.min(bytes.len())).unwrap_or_default();
        let is_cut = bytes.len() < limit && !name.window.to_end;
        let mut unfinished = |state, is_end_needed| {
            if !is_cut {
                return Verdict::Undecided;
            }
            self.unfinished = Some(UnfinishedTag {
                is_end_needed,
                state,
                limit: name.window_start() + limit as u64,
            });
            Verdict::NeedsAfter
        };
        let mut tag = Tag::new(readable);
        let mut has_name = false;
        let attribute = loop {
            let part = tag.next();
            let attribute = match part {
                Part::Attribute(attribute) => attribute,
                Part::Unfinished => {
                    *read += readable.len();
                    return unfinished(tag.state(), false);
                }
                Part::End(end) => {
                    *read += end.min(name.at - start);
                    return Verdict::Undecided;
                }
            };
            let value_at = start + attribute.value_at;
            let is_long = attribute.value.len() > MAX_QUOTED;
            if name.at < value_at || (is_long && memchr::memchr(b'>', attribute.value).is_some()) {
                *read += name.at - start;
                return Verdict::Undecided;
            }
            if name.at < value_at + attribute.value.len() {
                *read += attribute.value_at + attribute.value.len();
                break attribute;
            }
            has_name |= attribute.name.eq_ignore_ascii_case(b"name");
        };
        // Of several "name" attributes the first one counts.
        if name.in_field
            && !has_name
            && (tag.is(b"input") || tag.is(b"button"))
            && attribute.name.eq_ignore_ascii_case(b"name")
            && self.names.has(attribute.value)
        {
            return match field_value(Tag::new(readable)) {
                Err(state) => {
                    *read += readable.len();
                    unfinished(state, true)
                }
                Ok((value, end)) => {
                    *read += end;
                    Verdict::Field(start + value.start..start + value.end)
                }
            };
        }
        let value_at = start + attribute.value_at;
        if name.in_link
            && self
                .links
                .read_attribute(name, &tag, &attribute, value_at, found)
        {
            return Verdict::Settled;
        }
        Verdict::Undecided
    }
}

/// The places of a `<`.
fn candidates(bytes: &[u8], range: Range<usize>) -> impl DoubleEndedIterator<Item = usize> + '_ {
    let from = range.start;
    memchr::memchr_iter(b'<', bytes.get(range).unwrap_or_default()).map(move |at| from + at)
}
