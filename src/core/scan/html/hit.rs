//! A place where the name stands: whether it is a parameter in a link or the name of a form field,
//! and which id belongs to it.

use std::ops::Range;
use std::sync::Arc;

use super::budget::Allowance;
use super::enclosing_tag::Open;
use super::last::Value;
use super::links::Links;
use super::name_boundary::{ends_parameter_name, is_whole_value, starts_parameter};
use super::strings::{ends_around, run_around, Run};
use super::tag::{field_value, Part, Tag};
use super::{QUOTED, REACH};
use crate::scan::search::hits::Found;
use crate::scan::search::string_bounds::Stretch;
use crate::scan::search::window::{Progress, Window};
use crate::url::{Names, Site};

/// What a `<` costs, in bytes, whether or not it begins a tag.
const MARK: usize = 1;

/// Examines hits and hands out what they carry.
pub(super) struct Reader {
    names: Arc<Names>,
    pub(super) links: Links,
    /// Where in the window the values of fields stand that the hit names.
    fields: Vec<Range<usize>>,
    /// Around names, and around letters.
    stretches: [Stretch; 2],
    pub(super) allowance: Allowance,
}

/// How a candidate for the tag around a hit reads.
enum Reading {
    /// The hit stands in no attribute of it, or in one that decides nothing.
    Open,
    /// It decides.
    Settled,
    /// It is a field of that name. In broken markup an outer tag may claim the name as well.
    Field(Range<usize>),
    NeedsAfter,
}

/// The hit that is being examined.
pub(super) struct Hit<'w> {
    pub(super) window: &'w Window<'w>,
    pub(super) at: usize,
    pub(super) place: u64,
    in_link: bool,
    in_field: bool,
    pub(super) is_letter: bool,
    pub(super) run: Option<Run>,
}

impl Hit<'_> {
    /// Where its window stands in the page.
    pub(super) fn start(&self) -> u64 {
        self.place - self.at as u64
    }
}

impl Reader {
    pub(super) fn new(names: Arc<Names>, site: Site) -> Self {
        Self {
            links: Links::new(Arc::clone(&names), site),
            names,
            fields: Vec::new(),
            stretches: Default::default(),
            allowance: Allowance::default(),
        }
    }

    /// What ends every string that a name may stand in.
    pub(super) fn ends_string(&self) -> fn(u8) -> bool {
        ends_around(self.names.have_letters())
    }

    /// Reads what surrounds a name; `start` is where the window stands in the page.
    pub(super) fn examine(
        &mut self,
        window: &Window<'_>,
        name: Found,
        start: u64,
        found: &mut dyn FnMut(&[u8]),
    ) -> Progress {
        let end = name.end;
        let Some(name) = self.names.nth(name.needle) else {
            return Progress::Done;
        };
        let at = end.saturating_sub(name.anchor.needle().len());
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
        let name_is_whole = name.anchor_is_name;
        // "(S(", ")S(": behind the letter comes a value.
        if name.letter.is_some() {
            (in_link, in_field) = (matches!(before, b'(' | b')'), false);
        }
        if name_is_whole {
            in_field = is_whole_value(*before, *after);
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
            None => (*after == b'=' && name_is_whole).then_some(end + 1),
        };
        let value = match Value::of(&self.names, name, window, at) {
            Ok(value) => value,
            Err(progress) => return progress,
        };
        if let Some((at, kind)) = value_at.zip(value) {
            match self.links.last.is_repeated(window, at, kind) {
                Some(true) => return Progress::Done,
                Some(false) => {}
                None => return Progress::NeedsAfter,
            }
        }
        let hit = Hit {
            window,
            at,
            place: start + at as u64,
            in_link,
            in_field,
            is_letter: name.letter.is_some(),
            run: None,
        };
        self.look_around(hit, found)
    }

    /// Reads the string and the tags around a hit. Apart from the above, which is all that most of them
    /// need, and costs less alone.
    #[inline(never)]
    fn look_around(&mut self, mut hit: Hit<'_>, found: &mut dyn FnMut(&[u8])) -> Progress {
        let Hit { window, place, .. } = hit;
        if hit.in_link {
            let [around_names, around_letters] = &mut self.stretches;
            let stretch = match hit.is_letter {
                true => around_letters,
                false => around_names,
            };
            match run_around(
                window,
                hit.start(),
                hit.at,
                stretch,
                ends_around(hit.is_letter),
            ) {
                Ok(run) => hit.run = run,
                Err(progress) => return progress,
            }
            if let Some(run) = hit.run {
                match run.is_quoted_value(window) {
                    Some(true) if self.links.read_string(&hit, hit.run, found) => {
                        return Progress::Done
                    }
                    Some(_) => {}
                    None => return Progress::NeedsBefore,
                }
            }
        }
        let is_settled = !hit.in_field && self.links.has_settled(place);
        if is_settled || !self.allowance.is_left(place) {
            return Progress::Done;
        }
        self.fields.clear();
        let mut cost = 0;
        let is_settled = match self.read_tags(&hit, &mut cost, found) {
            Ok(is_settled) => is_settled,
            Err(progress) => return progress,
        };
        // Only now: a hit that needs more bytes is examined again.
        self.allowance.use_up(cost);
        let fields = std::mem::take(&mut self.fields);
        for field in &fields {
            let value = window.bytes.get(field.clone()).unwrap_or_default();
            self.links.read_field(value, found);
        }
        if !is_settled && fields.is_empty() {
            self.links.read_string(&hit, hit.run, found);
        }
        self.fields = fields;
        Progress::Done
    }

    /// Tries the tags that may be open at the hit. Returns whether one of them settled what the hit
    /// is; adds to `cost` the bytes that were looked at.
    fn read_tags(
        &mut self,
        hit: &Hit<'_>,
        cost: &mut usize,
        found: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, Progress> {
        let bytes = hit.window.bytes;
        let open = Open::at(hit.window, hit.at)?;
        *cost += open.cost;
        if let Some(before) = open.before {
            // The nearest first: they are the likeliest.
            let before = places_of_tags(bytes, before).rev();
            if self.read_tags_in(hit, before, cost, found)? {
                return Ok(true);
            }
        }
        // The first one after a tag has ended begins a tag, and the others stand in it.
        self.read_tags_in(hit, places_of_tags(bytes, open.after), cost, found)
    }

    /// `candidates` are the places of a `<`.
    fn read_tags_in(
        &mut self,
        hit: &Hit<'_>,
        candidates: impl Iterator<Item = usize>,
        cost: &mut usize,
        found: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, Progress> {
        let bytes = hit.window.bytes;
        let mut read = 0;
        let mut is_settled = false;
        for at in candidates {
            *cost += MARK;
            let start = at + 1;
            if !bytes.get(start).is_some_and(u8::is_ascii_alphabetic) {
                continue;
            }
            match self.read_tag(hit, start, &mut read, found) {
                Reading::Settled => is_settled = true,
                Reading::NeedsAfter => return Err(Progress::NeedsAfter),
                Reading::Field(value) => self.fields.push(value),
                Reading::Open => {}
            }
            if is_settled || read >= 2 * REACH {
                break;
            }
        }
        *cost += read;
        Ok(is_settled)
    }

    /// Reads the tag whose name starts at `start`, up to the hit, as if it began there. Adds to `read` how
    /// much that was.
    fn read_tag(
        &mut self,
        hit: &Hit<'_>,
        start: usize,
        read: &mut usize,
        found: &mut dyn FnMut(&[u8]),
    ) -> Reading {
        let bytes = hit.window.bytes;
        let limit = start + REACH;
        let readable = bytes.get(start..limit.min(bytes.len())).unwrap_or_default();
        let unfinished = match bytes.len() < limit && !hit.window.to_end {
            true => Reading::NeedsAfter,
            false => Reading::Open,
        };
        let mut tag = Tag::new(readable);
        let mut is_named = false;
        let attribute = loop {
            let part = tag.next();
            let attribute = match part {
                Part::Attribute(attribute) => attribute,
                Part::Unfinished => {
                    *read += readable.len();
                    return unfinished;
                }
                Part::End(end) => {
                    *read += end.min(hit.at - start);
                    return Reading::Open;
                }
            };
            let value_at = start + attribute.value_at;
            let is_long = attribute.value.len() > QUOTED;
            if hit.at < value_at || (is_long && memchr::memchr(b'>', attribute.value).is_some()) {
                *read += hit.at - start;
                return Reading::Open;
            }
            if hit.at < value_at + attribute.value.len() {
                *read += attribute.value_at + attribute.value.len();
                break attribute;
            }
            is_named |= attribute.name.eq_ignore_ascii_case(b"name");
        };
        // Of several names the first one counts.
        if hit.in_field
            && !is_named
            && (tag.is(b"input") || tag.is(b"button"))
            && attribute.name.eq_ignore_ascii_case(b"name")
            && self.names.has(attribute.value)
        {
            return match field_value(Tag::new(readable)) {
                None => {
                    *read += readable.len();
                    unfinished
                }
                Some((value, end)) => {
                    *read += end;
                    Reading::Field(start + value.start..start + value.end)
                }
            };
        }
        let value_at = start + attribute.value_at;
        if hit.in_link
            && self
                .links
                .read_attribute(hit, &tag, &attribute, value_at, found)
        {
            return Reading::Settled;
        }
        Reading::Open
    }
}

/// The places of a `<`.
fn places_of_tags(
    bytes: &[u8],
    range: Range<usize>,
) -> impl DoubleEndedIterator<Item = usize> + '_ {
    let from = range.start;
    memchr::memchr_iter(b'<', bytes.get(range).unwrap_or_default()).map(move |at| from + at)
}
