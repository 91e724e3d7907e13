//! Reads attribute values and the strings around names as URLs, and the values of form fields, and
//! hands out the ids in them.

use std::ops::Range;
use std::sync::Arc;

use super::last_id::{hand_out, hand_out_id, LastId};
use super::occurrence::Occurrence;
use super::strings::{link_in, string_end, Span};
use super::tag::{Attribute, Tag};
use crate::events::Source;
use crate::scan::character_references::{are_separators, decoded};
use crate::scan::script_escapes::{has_escape, unescaped};
use crate::scan::search::ends::has_byte;
use crate::scan::{Found, FoundIn, IdClass};
use crate::url::{refresh_target, ExtractedId, Names, Site};

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

/// The attributes that say where a form leads.
const FORM_ATTRIBUTES: [&[u8]; 2] = [b"action", b"formaction"];

fn of_class(class: IdClass) -> FoundIn {
    FoundIn {
        class,
        source: Source::Html,
    }
}

/// The class of an id in an attribute of this name.
pub(super) fn class_in(attribute: &[u8]) -> IdClass {
    let mut of_forms = FORM_ATTRIBUTES.iter();
    match of_forms.any(|name| attribute.eq_ignore_ascii_case(name)) {
        true => IdClass::Form,
        false => IdClass::Attribute,
    }
}

/// Reads the links and fields of one page.
pub(super) struct Links {
    names: Arc<Names>,
    site: Site,
    /// The site after a `<base href>`, and the place in the page from which on it counts.
    based: Option<(u64, Site)>,
    scratch: Vec<u8>,
    /// Twice more, for the strings of scripts.
    script_scratch: [Vec<u8>; 2],
    pub(super) last: LastId,
    /// The strings that were read last: the one around a name, and what of it is in the value of an
    /// attribute.
    read: [ReadString; 2],
    /// The second of them is the older one.
    is_second_next: bool,
    /// The last value that was read as one URL, up to a `>` in it: all names in it are settled.
    settled: Range<u64>,
}

/// The string that was read last. Further names in it are answered from here.
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
            script_scratch: Default::default(),
            last: LastId::default(),
            read: Default::default(),
            is_second_next: false,
            settled: 0..0,
        }
    }

    /// Begins another page, of these names and this site.
    pub(super) fn restart(&mut self, names: &Arc<Names>, site: &Site) {
        if !Arc::ptr_eq(&self.names, names) {
            self.names = Arc::clone(names);
        }
        if !self.site.is_same(site) {
            self.site = site.clone();
        }
        self.based = None;
        self.last.remember(&[]);
        self.read = Default::default();
        self.is_second_next = false;
        self.settled = 0..0;
    }

    /// How many bytes it has allocated.
    pub(super) fn allocated(&self) -> usize {
        let scratch = [&self.scratch].into_iter().chain(&self.script_scratch);
        scratch.map(Vec::capacity).sum::<usize>() + self.last.allocated()
    }

    /// Takes an id that need not be handed out.
    pub(super) fn know(&mut self, id: &[u8]) {
        self.last.remember(id);
    }

    /// Resolves the links behind this place of the page against `href`.
    pub(super) fn rebase(&mut self, place: u64, href: &[u8]) {
        let mut site = self.site.clone();
        site.rebase(decoded(href, &mut self.scratch));
        self.based = Some((place, site));
    }

    /// Whether a name at this place stands in a value that was already read.
    pub(super) fn has_settled(&self, place: u64) -> bool {
        self.settled.contains(&place)
    }

    /// Reads the attribute in which a name stands. Returns whether it decides what the name is.
    pub(super) fn read_attribute(
        &mut self,
        name: &Occurrence<'_>,
        tag: &Tag<'_>,
        attribute: &Attribute<'_>,
        value_at: usize,
        found: &mut Found<'_>,
    ) -> bool {
        let is_url = URL_ATTRIBUTES
            .iter()
            .any(|name| attribute.name.eq_ignore_ascii_case(name));
        // Markup in a value is read as markup, and a script in a URL as a script. A value with an
        // escape is in a string of a script: "<a href=\"page.php?sid=1\">".
        let is_escaped = is_url && has_escape(attribute.value);
        let class = match is_escaped {
            true => IdClass::Other,
            false => class_in(attribute.name),
        };
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
                let link = names.in_link(value, site_at(site, based, name.place));
                hand_out(link, of_class(class), last, found);
                let len = memchr::memchr(b'>', attribute.value).unwrap_or(attribute.value.len());
                let from = name.window_start() + value_at as u64;
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
                let link = names.in_link(url, site_at(site, based, name.place));
                hand_out(link, of_class(IdClass::Attribute), last, found);
                return true;
            }
        }
        // The string ends where the value ends: in "alt="x"y=?sid=1", no quote stands between "y"
        // and its value.
        let span = name.span.map(|span| Span {
            from: span.from.max(value_at),
            to: span.to.min(value_at + attribute.value.len()),
        });
        self.read_string(name, span, class, found)
    }

    /// The id in the string around a name, if that is a link as most are.
    #[inline(always)]
    pub(super) fn id_at_once<'w>(&self, name: &Occurrence<'w>, span: Span) -> Option<&'w [u8]> {
        let string = name.window.bytes.get(span.from..span.to)?;
        if !self.names.may_be_in_markup_at_once(string) {
            return None;
        }
        let site = site_at(&self.site, &self.based, name.place);
        self.names.in_markup_at_once(string, site)
    }

    /// Reads the string around a name as a URL. Returns whether it has an id.
    pub(super) fn read_string(
        &mut self,
        name: &Occurrence<'_>,
        span: Option<Span>,
        class: IdClass,
        found: &mut Found<'_>,
    ) -> bool {
        let Some(span) = span else { return false };
        let at_once = self.id_at_once(name, span);
        self.read_known_string(name, span, at_once, class, found)
    }

    /// The same with what is [found in it at once](Self::id_at_once).
    pub(super) fn read_known_string(
        &mut self,
        name: &Occurrence<'_>,
        span: Span,
        at_once: Option<&[u8]>,
        class: IdClass,
        found: &mut Found<'_>,
    ) -> bool {
        let start = name.window_start();
        let place = start + span.from as u64..start + span.to as u64;
        let mut known = self.read.iter();
        if let Some(read) =
            known.find(|read| read.place == place && read.around_letter == name.is_letter)
        {
            return read.had_id;
        }
        let had_id = match at_once {
            Some(id) => {
                hand_out_id(id, of_class(class), &mut self.last, found);
                true
            }
            None => self.read_any_string(name, span, class, found),
        };
        self.is_second_next ^= true;
        let [first, second] = &mut self.read;
        let oldest = match self.is_second_next {
            true => first,
            false => second,
        };
        *oldest = ReadString {
            place,
            around_letter: name.is_letter,
            had_id,
        };
        had_id
    }

    /// The same of a string that may have anything to decode.
    #[inline(never)]
    fn read_any_string(
        &mut self,
        name: &Occurrence<'_>,
        span: Span,
        class: IdClass,
        found: &mut Found<'_>,
    ) -> bool {
        let string = name.window.bytes.get(span.from..span.to);
        let string = string.unwrap_or_default();
        let Self {
            names,
            site,
            based,
            scratch,
            script_scratch: [unescaped_scratch, references],
            last,
            ..
        } = self;
        let site = site_at(site, based, name.place);
        let is_escaped = has_byte(string, b'\\');
        if !is_escaped && are_separators(string, names.are_in_paths() || names.have_segments()) {
            let id = names.in_clean_link(link_in(string, names), site);
            return hand_out(id, of_class(class), last, found);
        }
        // A decoded quote ends a string as a plain one does.
        let ends = string_end(name.is_letter);
        let mut string = decoded(string, scratch);
        if is_escaped {
            // References may stand in the script, or around it.
            string = decoded(unescaped(string, unescaped_scratch), references);
        }
        let mut had_id = false;
        for part in string.split(|b| ends.has(*b)) {
            let id = names.in_clean_link(link_in(part, names), site);
            had_id |= hand_out(id, of_class(class), last, found);
        }
        had_id
    }

    /// Hands out the value of a form field.
    pub(super) fn read_field(&mut self, value: &[u8], found: &mut Found<'_>) {
        let value = decoded(value, &mut self.scratch);
        if let Some(id) = self.names.id_in(value) {
            hand_out(
                ExtractedId::Id(id.into()),
                of_class(IdClass::Form),
                &mut self.last,
                found,
            );
        }
    }
}

/// The site that counts at this place of the page.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url::LinkPart;

    /// Random links: what is found in them at once is what the other rules find.
    #[test]
    fn ids_that_are_found_at_once_are_those_found_otherwise() {
        const PARTS: &str = "/ / // shop shop item.php item.php ? ? ? ? & &amp; &amp; &amp; &amp; ; = n=1 \
            n=1 a a= sid= sid= sid= token= PHPSESSID= 0123456789abcdef 0123456789abcdef 1 1 amp= %73id= + , \
            : \\ # &lt &#38; &sid http://other.example/ $ - .n1 sid amp; \u{e9}";

        let parts: Vec<&str> = PARTS.split(' ').collect();
        let names =
            |names: &[&str]| Names::new(names.iter().map(|name| name.as_bytes().into()).collect());
        let all = [
            names(&["sid"]),
            names(&["amp"]),
            names(&["PHPSESSID"]),
            names(&["sid"]).cut_at(Some(b'.')),
            names(&["sid"]).in_parts(vec![LinkPart::Query, LinkPart::Path]),
        ];
        let others = [
            names(&["sid", "token"]),
            names(&["(S)"]),
            names(&["sid"]).in_parts(vec![LinkPart::Path, LinkPart::Query]),
        ];
        let shop = Site::new(b"shop.example", &[]);
        let mut elsewhere = shop.clone();
        elsewhere.rebase(b"//other.example/");
        let mut seed = 1_u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        let mut told = [0; 5];
        for _ in 0..500_000 {
            let link: String = (0..random(14))
                .map(|_| parts[random(parts.len())])
                .collect();
            let link = link.as_bytes();
            for names in &others {
                assert_eq!(names.in_markup_at_once(link, &shop), None);
            }
            for (names, told) in all.iter().zip(&mut told) {
                if let Some(id) = names.in_markup_at_once(link, &shop) {
                    let path_counts = names.are_in_paths();
                    assert!(are_separators(link, path_counts), "{}", link.escape_ascii());
                    let expected = names.in_clean_link(link_in(link, names), &shop);
                    assert_eq!(
                        ExtractedId::Id(id.into()),
                        expected,
                        "{}",
                        link.escape_ascii()
                    );
                    *told += 1;
                }
                assert_eq!(names.in_markup_at_once(link, &elsewhere), None);
            }
        }
        assert!(told.iter().all(|count| *count > 200), "{told:?}");
    }

    #[test]
    fn the_id_of_most_links_is_found_at_once() {
        let names = Names::new(vec![b"PHPSESSID"[..].into()]);
        let site = Site::new(b"shop.example", &[]);
        for link in [
            "?PHPSESSID=1234567",
            "/item.php?n=1&amp;PHPSESSID=1234567",
            "viewtopic.php?f=2&t=4711&amp;PHPSESSID=1234567&amp;page=2",
        ] {
            let id = names.in_markup_at_once(link.as_bytes(), &site);
            assert_eq!(id, Some(&b"1234567"[..]), "{link}");
        }
    }
}
