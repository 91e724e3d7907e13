//! Finds the session ids in the forms of a page and nowhere else: in form actions and in fields.
//! For that the elements must be parsed, which lol_html does; it costs a hundred times what the
//! search of [`html`](super::html) does, and begins only with the first element that matters.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use lol_html::errors::RewritingError;
use lol_html::{AsciiCompatibleEncoding, HtmlRewriter, Settings};

use super::character_references::decoded;
use super::html_parser::{self, attribute_bytes, on, TagNames, NO_MARKUP};
use super::unread::Unread;
use super::{Found, FoundIn, IdClass, Learner};
use crate::events::Source;
use crate::url::{ExtractedId, Names, Site};

pub use super::html_parser::MAX_MEMORY;

type Parser = HtmlRewriter<'static, Discard>;
type Discard = fn(&[u8]);

/// Learns the session ids in the forms of one page: in `<form action>`, in `formaction` of buttons
/// and inputs, and in the value of `<input name=NAME value=…>` and of such a button.
pub struct FormsLearner {
    /// Until the parser begins.
    unread: Option<Beginning>,
    /// `None` before it begins, and when no more can be learned from this page.
    parser: Option<Parser>,
    tags: TagNames,
    ids: Rc<RefCell<FoundIds>>,
    last: Vec<u8>,
    /// Small pieces that the parser has not got yet: no tag ends in them.
    held: Vec<u8>,
    /// The next `>` may end a tag.
    may_end: bool,
    has_given_up: bool,
}

const IN_FORM: FoundIn = FoundIn {
    class: IdClass::Form,
    source: Source::Forms,
};

/// Up to so many bytes are held. Each call of the parser costs as much as a few tags.
const MAX_HELD: usize = 1024;

/// A page without one of these has no id in a form, and its parser would be asked for nothing.
const ELEMENTS: &[&[u8]] = &[b"base", b"form", b"input", b"button"];

/// What the parser needs to begin.
struct Beginning {
    unread: Unread,
    names: Arc<Names>,
    site: Site,
    encoding: AsciiCompatibleEncoding,
}

/// The ids of the current piece.
#[derive(Default)]
struct FoundIds {
    ids: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    scratch: Vec<u8>,
}

impl FormsLearner {
    /// A learner for one response. `charset` is the parameter of its Content-Type. No id is learned
    /// from a page with a charset that is not compatible with ASCII, or that browsers do not know.
    pub fn new(names: Arc<Names>, site: Site, charset: Option<&[u8]>) -> Self {
        let unread = html_parser::encoding(charset).map(|encoding| Beginning {
            unread: Unread::new(ELEMENTS),
            names,
            site,
            encoding,
        });
        Self {
            has_given_up: unread.is_none(),
            unread,
            parser: None,
            tags: TagNames::new(),
            ids: Rc::default(),
            last: Vec::new(),
            held: Vec::new(),
            may_end: false,
        }
    }

    /// Has the parser begin, if this piece is the first that it has to read.
    #[inline(never)]
    fn begin(&mut self, piece: &[u8], found: &mut Found<'_>) {
        let Some(beginning) = &mut self.unread else {
            return;
        };
        let Some(before) = beginning.unread.take(piece) else {
            return;
        };
        if let Some(Beginning {
            names,
            site,
            encoding,
            ..
        }) = self.unread.take()
        {
            self.parser = Some(parser(names, site, &self.ids, encoding));
            self.read(&before, found);
        }
    }

    // Pieces may have one byte.
    #[inline(always)]
    fn read(&mut self, piece: &[u8], found: &mut Found<'_>) {
        let is_small = self.held.len() + piece.len() <= MAX_HELD;
        let is_held = is_small
            && match piece {
                [byte] => !self.may_end_with(*byte),
                piece => !self.may_end_in(piece),
            };
        match piece {
            [byte] if is_held => self.held.push(*byte),
            piece if is_held => self.held.extend_from_slice(piece),
            piece => self.parse(piece, is_small, found),
        }
    }

    /// Whether a tag may end in this piece. Between a `>` and the one that ends the next tag, this
    /// tag begins, or a value ends in which the first one stands.
    fn may_end_in(&mut self, piece: &[u8]) -> bool {
        piece
            .iter()
            .fold(false, |ends, byte| ends | self.may_end_with(*byte))
    }

    #[inline(always)]
    fn may_end_with(&mut self, byte: u8) -> bool {
        self.may_end |= matches!(byte, b'<' | b'"' | b'\'');
        byte == b'>' && std::mem::take(&mut self.may_end)
    }

    /// Has the parser read what is held and the piece.
    #[inline(never)]
    fn parse(&mut self, piece: &[u8], is_small: bool, found: &mut Found<'_>) {
        // Not known of a large piece.
        self.may_end |= !is_small;
        let Some(parser) = &mut self.parser else {
            return;
        };
        let tags = &mut self.tags;
        // After an error the parser must not be used again.
        let mut read = |bytes: &[u8]| {
            let result: Option<Result<(), RewritingError>> =
                tags.allow(bytes).then(|| parser.write(bytes));
            matches!(result, Some(Ok(())))
        };
        let mut can_go_on = true;
        let mut rest = piece;
        if !self.held.is_empty() {
            if is_small {
                self.held.extend_from_slice(piece);
                rest = &[];
            }
            can_go_on = read(&self.held);
            self.held.clear();
        }
        if can_go_on && !rest.is_empty() {
            can_go_on = read(rest);
        }
        if !can_go_on {
            self.parser = None;
            self.has_given_up = true;
        }
        self.hand_out(found);
    }

    fn hand_out(&mut self, found: &mut Found<'_>) {
        let mut ids = self.ids.borrow_mut();
        let FoundIds { ids, ends, .. } = &mut *ids;
        let mut from = 0;
        for end in ends.drain(..) {
            let id = ids.get(from..end).unwrap_or_default();
            from = end;
            if id != self.last && found(id, IN_FORM) {
                self.last.clear();
                self.last.extend_from_slice(id);
            }
        }
        ids.clear();
    }
}

impl Learner for FormsLearner {
    fn feed(&mut self, piece: &[u8], found: &mut Found<'_>) {
        if self.parser.is_none() {
            self.begin(piece, found);
            if self.parser.is_none() {
                return;
            }
        }
        self.read(piece, found);
    }

    fn end(&mut self, found: &mut Found<'_>) {
        self.unread = None;
        if let Some(parser) = self.parser.take() {
            // What is held has no end of a tag.
            // An error means that the page ends in the middle of a tag: no id is lost.
            let _: Result<(), RewritingError> = parser.end();
            self.hand_out(found);
        }
    }

    fn has_given_up(&self) -> bool {
        self.has_given_up
    }
}

fn parser(
    names: Arc<Names>,
    site: Site,
    ids: &Rc<RefCell<FoundIds>>,
    encoding: AsciiCompatibleEncoding,
) -> Parser {
    let site = Rc::new(RefCell::new((site, false)));
    // Selectors with an attribute would have the elements matched twice.
    let base = {
        let site = Rc::clone(&site);
        on("base", move |base| {
            let mut site = site.borrow_mut();
            // Only the first counts.
            if !site.1 && base.has_attribute("href") {
                site.1 = true;
                let href = attribute_bytes(base, "href").unwrap_or_default();
                site.0.rebase(decoded(&href, &mut Vec::new()));
            }
            Ok(())
        })
    };
    let action = {
        let (names, ids, site) = (Arc::clone(&names), Rc::clone(ids), Rc::clone(&site));
        on("form", move |form| {
            let action = attribute_bytes(form, "action");
            ids.borrow_mut().link(action, &names, &site.borrow().0);
            Ok(())
        })
    };
    let field = {
        let ids = Rc::clone(ids);
        on("input, button", move |field| {
            let mut ids = ids.borrow_mut();
            let action = attribute_bytes(field, "formaction");
            ids.link(action, &names, &site.borrow().0);
            if attribute_bytes(field, "name").is_some_and(|name| ids.is_session(&name, &names)) {
                ids.value(attribute_bytes(field, "value"), &names);
            }
            Ok(())
        })
    };
    let settings = Settings::new()
        .append_element_content_handler(base)
        .append_element_content_handler(action)
        .append_element_content_handler(field)
        .append_element_content_handler(on(NO_MARKUP, |_| Ok(())))
        .with_encoding(encoding)
        .with_adjust_charset_on_meta_tag(false)
        .with_memory_settings(html_parser::memory())
        .with_strict(false);
    HtmlRewriter::new(settings, discard as Discard)
}

/// The page reaches the client without the parser.
fn discard(_: &[u8]) {}

impl FoundIds {
    fn link(&mut self, link: Option<Vec<u8>>, names: &Names, site: &Site) {
        let Some(link) = link else { return };
        let Self { ids, ends, scratch } = self;
        let link = decoded(&link, scratch);
        if let ExtractedId::Id(id) = names.in_link(link, site) {
            ids.extend_from_slice(&id);
            ends.push(ids.len());
        }
    }

    fn is_session(&mut self, name: &[u8], names: &Names) -> bool {
        names.has(decoded(name, &mut self.scratch))
    }

    fn value(&mut self, value: Option<Vec<u8>>, names: &Names) {
        let Some(value) = value else { return };
        let Self { ids, ends, scratch } = self;
        if let Some(id) = names.id_in(decoded(&value, scratch)) {
            ids.extend_from_slice(id);
            ends.push(ids.len());
        }
    }
}
