//! Reads the values of attributes and the strings around names as URLs, and the values of fields, and
//! hands out the ids in them.

use std::ops::Range;
use std::sync::Arc;

use super::hit::Hit;
use super::last::{hand_out, Last};
use super::strings::{ends_around, link_in, Run};
use super::tag::{Attribute, Tag};
use crate::scan::search::references::{are_separators, decoded};
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

/// Reads links and fields of one page.
pub(super) struct Links {
    names: Arc<Names>,
    site: Site,
    /// What counts as ours from a place in the page on: after a `<base href>`.
    based: Option<(u64, Site)>,
    scratch: Vec<u8>,
    pub(super) last: Last,
    read: ReadString,
    /// A value, up to a `>` in it, that has been read as a URL, and so with all names in it.
    settled: Range<u64>,
}

/// The string that has been read last: a name that stands in it, too, is answered from here.
#[derive(Default)]
struct ReadString {
    place: Range<u64>,
    around_letter: bool,
    had_id: bool,
}

impl Links {
    pub(super) fn new(names: Arc<Names>, site: Site) -> Self {
        Self {
            names,
            site,
            based: None,
            scratch: Vec::new(),
            last: Last::default(),
            read: ReadString::default(),
            settled: 0..0,
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

    /// Whether a name at this place stands in a value that has been read.
    pub(super) fn has_settled(&self, place: u64) -> bool {
        self.settled.contains(&place)
    }

    /// Returns whether the attribute decides what the hit is.
    pub(super) fn read_attribute(
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
                let len = memchr::memchr(b'>', attribute.value).unwrap_or(attribute.value.len());
                let from = hit.start() + value_at as u64;
                self.settled = from..from + len as u64;
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
        self.read_string(hit, run, found)
    }

    /// Reads the string around the hit as a URL. Returns whether it carries an id.
    pub(super) fn read_string(
        &mut self,
        hit: &Hit<'_>,
        run: Option<Run>,
        found: &mut dyn FnMut(&[u8]),
    ) -> bool {
        let Self {
            names,
            site,
            based,
            scratch,
            last,
            read,
            ..
        } = self;
        let Some(run) = run else { return false };
        let start = hit.start();
        let place = start + run.from as u64..start + run.to as u64;
        if read.place == place && read.around_letter == hit.is_letter {
            return read.had_id;
        }
        let run = hit.window.bytes.get(run.from..run.to).unwrap_or_default();
        let site = site_at(site, based, hit.place);
        let mut had_id = false;
        if are_separators(run, names.are_in_paths()) {
            had_id = hand_out(names.in_clean_link(link_in(run, names), site), last, found);
        } else {
            // A decoded quote ends a string as a plain one does.
            let ends = ends_around(hit.is_letter);
            for run in decoded(run, scratch).split(|b| ends(*b)) {
                had_id |= hand_out(names.in_clean_link(link_in(run, names), site), last, found);
            }
        }
        *read = ReadString {
            place,
            around_letter: hit.is_letter,
            had_id,
        };
        had_id
    }

    /// Hands out the value of a form field.
    pub(super) fn read_field(&mut self, value: &[u8], found: &mut dyn FnMut(&[u8])) {
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

fn is_script(value: &[u8]) -> bool {
    let scheme = value.trim_ascii_start().get(..11);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"javascript:"))
}
