//! A place where the name stands: whether it is a parameter in a link or the name of a form field,
//! and which id belongs to it.

use std::ops::Range;
use std::sync::Arc;

use super::hits::Found;
use super::last::{hand_out, Last, Value};
use super::strings::{ends_string, ends_string_with_letter, link_in, run_around, Run};
use super::tag::{field_value, is_space, Attribute, Part, Tag};
use super::whole::{ends_parameter_name, is_whole_value, starts_parameter};
use super::window::{Progress, Window};
use super::{QUOTED, REACH};
use crate::scan::references::{are_separators, decoded};
use crate::url::{refresh_target, Carried, Names, Site};

/// The attributes whose whole value is one URL.
const URL_ATTRIBUTES: &[&[u8]] = &[
    b"href",
    b"action",
    b"src",
    b"formaction",
    b"data",
    b"cite",
    b"poster",
    b"background",
    b"longdesc",
    b"xlink:href",
    b"manifest",
    b"codebase",
    b"profile",
    b"usemap",
];

/// Examines hits and hands out what they carry.
pub(super) struct Reader {
    names: Arc<Names>,
    site: Site,
    /// What counts as ours from a place in the page on: after a `<base href>`.
    based: Option<(u64, Site)>,
    scratch: Vec<u8>,
    /// Where in the window the values of fields stand that the hit names.
    fields: Vec<Range<usize>>,
    last: Last,
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
struct Hit<'w> {
    window: &'w Window<'w>,
    at: usize,
    place: u64,
    in_link: bool,
    in_field: bool,
    /// What ends a string around it.
    ends: fn(u8) -> bool,
    run: Option<Run>,
}

impl Reader {
    pub(super) fn new(names: Arc<Names>, site: Site) -> Self {
        Self {
            names,
            site,
            based: None,
            scratch: Vec::new(),
            fields: Vec::new(),
            last: Last::default(),
        }
    }

    /// What ends every string that a name may stand in.
    pub(super) fn ends_string(&self) -> fn(u8) -> bool {
        match self.names.have_letters() {
            true => ends_string_with_letter,
            false => ends_string,
        }
    }

    /// An id that need not be handed out.
    pub(super) fn know(&mut self, id: &[u8]) {
        self.last.remember(id);
    }

    /// Links after this place of the page are relative to `href`.
    pub(super) fn rebase(&mut self, place: u64, href: &[u8]) {
        let mut site = self.site.clone();
        site.rebase(decoded(href, &mut self.scratch));
        self.based = Some((place, site));
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
        let place = start + at as u64;
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
        if let Some((at, kind)) = value_at.zip(Value::of(&self.names, name, window, at)) {
            match self.last.is_repeated(window, at, kind) {
                Some(true) => return Progress::Done,
                Some(false) => {}
                None => return Progress::NeedsAfter,
            }
        }
        let mut hit = Hit {
            window,
            at,
            place,
            in_link,
            in_field,
            ends: match name.letter {
                Some(_) => ends_string_with_letter,
                None => ends_string,
            },
            run: None,
        };
        if in_link {
            match run_around(window, at, hit.ends) {
                Ok(run) => hit.run = run,
                Err(progress) => return progress,
            }
            if let Some(run) = hit.run {
                match run.is_quoted_value(window) {
                    Some(true) if self.read_run(&hit, found) => return Progress::Done,
                    Some(_) => {}
                    None => return Progress::NeedsBefore,
                }
            }
        }
        self.fields.clear();
        let is_settled = match self.read_tags(&hit, found) {
            Ok(is_settled) => is_settled,
            Err(progress) => return progress,
        };
        // Only now: a hit that needs more bytes is examined again.
        let fields = std::mem::take(&mut self.fields);
        for field in &fields {
            self.hand_out_value(window.bytes.get(field.clone()).unwrap_or_default(), found);
        }
        if !is_settled && fields.is_empty() {
            self.read_run(&hit, found);
        }
        self.fields = fields;
        Progress::Done
    }

    /// Tries the tags that may be open at the hit. Returns whether one of them settled what the hit
    /// is.
    fn read_tags(&mut self, hit: &Hit<'_>, found: &mut dyn FnMut(&[u8])) -> Result<bool, Progress> {
        let bytes = hit.window.bytes;
        let low = hit.at.saturating_sub(REACH);
        let runs_out = low == 0 && !hit.window.from_start;
        let before = bytes.get(low..hit.at).unwrap_or_default();
        let Some(closed) = memchr::memrchr(b'>', before).map(|at| low + at) else {
            if runs_out {
                return Err(Progress::NeedsBefore);
            }
            return self.read_tags_in(hit, places_of_tags(bytes, low, hit.at), found);
        };
        // A tag from before the last ">" is open only if that stands in a quoted value; see border.
        if let Some(opening) = opening_before(hit.window, low, closed)? {
            // The nearest first: the budget must not go to those that a border has made forget.
            let outer = places_of_tags(bytes, low, opening).rev();
            if self.read_tags_in(hit, outer, found)? {
                return Ok(true);
            }
            if runs_out {
                return Err(Progress::NeedsBefore);
            }
        }
        // The first one after a tag has ended begins a tag, and the others stand in it.
        self.read_tags_in(hit, places_of_tags(bytes, closed + 1, hit.at), found)
    }

    /// `candidates` are the places of a `<`.
    fn read_tags_in(
        &mut self,
        hit: &Hit<'_>,
        candidates: impl Iterator<Item = usize>,
        found: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, Progress> {
        let bytes = hit.window.bytes;
        let mut budget = 2 * REACH;
        for at in candidates {
            let start = at + 1;
            if !bytes.get(start).is_some_and(u8::is_ascii_alphabetic) {
                continue;
            }
            match self.read_tag(hit, start, &mut budget, found) {
                Reading::Settled => return Ok(true),
                Reading::NeedsAfter => return Err(Progress::NeedsAfter),
                Reading::Field(value) => self.fields.push(value),
                Reading::Open => {}
            }
            if budget == 0 {
                break;
            }
        }
        Ok(false)
    }

    /// Reads the tag whose name starts at `start`, up to the hit, as if it began there.
    fn read_tag(
        &mut self,
        hit: &Hit<'_>,
        start: usize,
        budget: &mut usize,
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
        let attribute = loop {
            match tag.next() {
                Part::Unfinished => {
                    *budget = budget.saturating_sub(readable.len());
                    return unfinished;
                }
                Part::End(end) => {
                    if start + end <= hit.at {
                        *budget = budget.saturating_sub(end);
                    }
                    return Reading::Open;
                }
                Part::Attribute(attribute) => {
                    let value_at = start + attribute.value_at;
                    if hit.at < value_at {
                        return Reading::Open;
                    }
                    let is_long = attribute.value.len() > QUOTED;
                    if is_long && memchr::memchr(b'>', attribute.value).is_some() {
                        return Reading::Open;
                    }
                    if hit.at < value_at + attribute.value.len() {
                        break attribute;
                    }
                }
            }
        };
        *budget = budget.saturating_sub(hit.at - start);
        if hit.in_field
            && (tag.is(b"input") || tag.is(b"button"))
            && attribute.name.eq_ignore_ascii_case(b"name")
            && self.names.has(attribute.value)
        {
            return match field_value(Tag::new(readable), attribute.value_at) {
                None => unfinished,
                Some(value) => Reading::Field(start + value.start..start + value.end),
            };
        }
        let value_at = start + attribute.value_at;
        if hit.in_link && self.read_attribute(hit, &tag, &attribute, value_at, found) {
            return Reading::Settled;
        }
        Reading::Open
    }

    /// Returns whether the attribute decides what the hit is.
    fn read_attribute(
        &mut self,
        hit: &Hit<'_>,
        tag: &Tag<'_>,
        attribute: &Attribute<'_>,
        value_at: usize,
        found: &mut dyn FnMut(&[u8]),
    ) -> bool {
        let is_url = URL_ATTRIBUTES
            .iter()
            .any(|name| attribute.name.eq_ignore_ascii_case(name));
        // Markup in a value is read as markup, and a script in a URL as a script. A value that starts
        // with an escaped quote is in a string of a script: "<a href=\"page.php?sid=1\">".
        let is_escaped =
            attribute.value.starts_with(b"\\\"") || attribute.value.starts_with(b"\\'");
        if is_url && !is_escaped && memchr::memchr(b'<', attribute.value).is_none() {
            let Self {
                names,
                site,
                based,
                scratch,
                last,
                ..
            } = self;
            let value = decoded(attribute.value, scratch);
            if !is_script(value) {
                let link = names.in_link(value, site_at(site, based, hit.place));
                hand_out(link, last, found);
                return true;
            }
        }
        if attribute.name.eq_ignore_ascii_case(b"content") && tag.is(b"meta") {
            let Self {
                names,
                site,
                based,
                scratch,
                last,
                ..
            } = self;
            if let Some(url) = refresh_target(decoded(attribute.value, scratch)) {
                let link = names.in_link(url, site_at(site, based, hit.place));
                hand_out(link, last, found);
                return true;
            }
        }
        // A string is no longer than the value: "alt="x"y=?sid=1" has no quote between y and its value.
        let run = hit.run.map(|run| Run {
            from: run.from.max(value_at),
            to: run.to.min(value_at + attribute.value.len()),
        });
        self.read_run(&Hit { run, ..*hit }, found)
    }

    /// Reads the string around the hit as a URL. Returns whether it carries an id.
    fn read_run(&mut self, hit: &Hit<'_>, found: &mut dyn FnMut(&[u8])) -> bool {
        let Self {
            names,
            site,
            based,
            scratch,
            last,
            ..
        } = self;
        let Some(run) = hit.run else { return false };
        let run = hit.window.bytes.get(run.from..run.to).unwrap_or_default();
        let site = site_at(site, based, hit.place);
        if are_separators(run, names.are_in_paths()) {
            return hand_out(names.in_clean_link(link_in(run, names), site), last, found);
        }
        // A decoded quote ends a string as a plain one does.
        let mut any = false;
        for run in decoded(run, scratch).split(|b| (hit.ends)(*b)) {
            any |= hand_out(names.in_clean_link(link_in(run, names), site), last, found);
        }
        any
    }

    /// Hands out the value of a form field.
    fn hand_out_value(&mut self, value: &[u8], found: &mut dyn FnMut(&[u8])) {
        let value = decoded(value, &mut self.scratch);
        if let Some(id) = self.names.id_in(value) {
            hand_out(Carried::Id(id.into()), &mut self.last, found);
        }
    }
}

fn site_at<'a>(site: &'a Site, based: &'a Option<(u64, Site)>, place: u64) -> &'a Site {
    match based {
        Some((from, based)) if place >= *from => based,
        _ => site,
    }
}

/// The quote that opens the value in which the `>` at `closed` may stand.
fn opening_before(
    window: &Window<'_>,
    low: usize,
    closed: usize,
) -> Result<Option<usize>, Progress> {
    let opened = closed.saturating_sub(QUOTED).max(low);
    let values = window.bytes.get(opened..closed).unwrap_or_default();
    let is_cut = |from: usize| from == 0 && !window.from_start;
    let mut opening = None;
    for quote in [b'"', b'\''] {
        let Some(at) = memchr::memrchr(quote, values).map(|at| opened + at) else {
            if is_cut(opened) {
                return Err(Progress::NeedsBefore);
            }
            continue;
        };
        let before = window.bytes.get(low..at).unwrap_or_default();
        match before.iter().rev().find(|b| !is_space(**b)) {
            None if is_cut(low) => return Err(Progress::NeedsBefore),
            Some(b'=') => opening = opening.max(Some(at)),
            _ => {}
        }
    }
    Ok(opening)
}

fn places_of_tags(
    bytes: &[u8],
    from: usize,
    to: usize,
) -> impl DoubleEndedIterator<Item = usize> + '_ {
    memchr::memchr_iter(b'<', bytes.get(from..to).unwrap_or_default()).map(move |at| from + at)
}

fn is_script(value: &[u8]) -> bool {
    let scheme = value.trim_ascii_start().get(..11);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"javascript:"))
}
