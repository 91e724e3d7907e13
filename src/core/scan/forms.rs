//! Finds the session ids in the forms of a page, and nowhere else: where form actions and fields lead
//! and what they are called. For that the elements must be understood, which lol_html does; it
//! costs a hundred times what the search of `html` does.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use encoding_rs::{Encoding, X_USER_DEFINED};
use lol_html::errors::RewritingError;
use lol_html::html_content::Element;
use lol_html::{element, AsciiCompatibleEncoding, HtmlRewriter, MemorySettings, Settings};

use super::search::references;
use super::source::Source;
use super::Learner;
use crate::http::header_value::parameter;
use crate::http::media_type::is_page;
use crate::url::{Carried, Names, Site};

/// What lol_html may hold of one page, in bytes: the tag in progress, and 128 for each element that has
/// no end tag yet. Valid pages leave out those of `li`, `td` or `option`, so thousands may be open. Beyond
/// that the rest of the page teaches nothing.
pub const MEMORY: usize = 4 * 1024 * 1024;

/// The elements whose content is no markup. Someone must ask for them: of tags that nobody asks for,
/// lol_html 3.0.3 does not see the end in `<script type=>`, and takes what follows for markup.
pub(crate) const NO_MARKUP: &str =
    "script, style, title, textarea, iframe, noembed, noframes, noscript, xmp, plaintext";

type Rewriter = HtmlRewriter<'static, Discard>;
type Discard = fn(&[u8]);

/// Learns the session ids in the forms of one page: `<form action>`, `formaction` of buttons and
/// inputs, and the value of a `<input name=NAME value=…>` or such a button.
pub struct FormsLearner {
    /// `None` when nothing (more) can be learned from this page.
    rewriter: Option<Rewriter>,
    heard: Rc<RefCell<Heard>>,
    last: Vec<u8>,
}

/// The ids of the piece that is being read.
#[derive(Default)]
struct Heard {
    ids: Vec<Vec<u8>>,
    scratch: Vec<u8>,
}

impl FormsLearner {
    /// A learner for one response. `charset` is the parameter of its Content-Type: one that is not
    /// compatible with ASCII, or that browsers do not know, teaches nothing.
    pub fn new(names: Arc<Names>, site: Site, charset: Option<&[u8]>) -> Self {
        let heard = Rc::new(RefCell::new(Heard::default()));
        let encoding =
            AsciiCompatibleEncoding::new(X_USER_DEFINED).filter(|_| is_readable(charset));
        let rewriter = encoding.map(|encoding| rewriter(names, site, &heard, encoding));
        Self {
            rewriter,
            heard,
            last: Vec::new(),
        }
    }

    fn hand_out(&mut self, found: &mut dyn FnMut(&[u8])) {
        let ids = std::mem::take(&mut self.heard.borrow_mut().ids);
        for id in ids {
            if id != self.last {
                found(&id);
                self.last = id;
            }
        }
    }
}

impl Learner for FormsLearner {
    fn feed(&mut self, piece: &[u8], found: &mut dyn FnMut(&[u8])) {
        let Some(rewriter) = &mut self.rewriter else {
            return;
        };
        // After an error the rewriter must not be used again.
        let result: Result<(), RewritingError> = rewriter.write(piece);
        if result.is_err() {
            self.rewriter = None;
        }
        self.hand_out(found);
    }

    fn end(&mut self, found: &mut dyn FnMut(&[u8])) {
        if let Some(rewriter) = self.rewriter.take() {
            // A page that ends in the middle of a tag is no loss.
            let _: Result<(), RewritingError> = rewriter.end();
            self.hand_out(found);
        }
    }
}

/// As `learn=` has it.
pub static SOURCE: Source = Source {
    word: "forms",
    reads: is_page,
    finds_urls: true,
    finds_members: false,
    learner: |of| {
        let charset = parameter(of.body.media_type, b"charset");
        let learner = FormsLearner::new(Arc::clone(of.names), of.site.clone(), charset.as_deref());
        Box::new(learner)
    },
};

fn rewriter(
    names: Arc<Names>,
    site: Site,
    heard: &Rc<RefCell<Heard>>,
    encoding: AsciiCompatibleEncoding,
) -> Rewriter {
    let site = Rc::new(RefCell::new((site, false)));
    let base = {
        let site = Rc::clone(&site);
        element!("base[href]", move |base| {
            let mut site = site.borrow_mut();
            // Only the first counts.
            if !std::mem::replace(&mut site.1, true) {
                let href = bytes_of(base, "href").unwrap_or_default();
                site.0.rebase(references::decoded(&href, &mut Vec::new()));
            }
            Ok(())
        })
    };
    let action = {
        let (names, heard, site) = (Arc::clone(&names), Rc::clone(heard), Rc::clone(&site));
        element!("form[action]", move |form| {
            heard
                .borrow_mut()
                .link(bytes_of(form, "action"), &names, &site.borrow().0);
            Ok(())
        })
    };
    let field = {
        let heard = Rc::clone(heard);
        element!("input, button", move |field| {
            let mut heard = heard.borrow_mut();
            heard.link(bytes_of(field, "formaction"), &names, &site.borrow().0);
            if bytes_of(field, "name").is_some_and(|name| heard.is_session(&name, &names)) {
                heard.value(bytes_of(field, "value"), &names);
            }
            Ok(())
        })
    };
    let memory = MemorySettings::new()
        .with_max_allowed_memory_usage(MEMORY)
        .with_graceful_bail_out_on_memory_limit_exceeded(true);
    // x-user-defined maps every byte to a character of its own and back, so that an id keeps its
    // bytes whatever the charset of the page is; nothing that ends a tag or a value is changed.
    let settings = Settings::new()
        .append_element_content_handler(base)
        .append_element_content_handler(action)
        .append_element_content_handler(field)
        .append_element_content_handler(element!(NO_MARKUP, |_| Ok(())))
        .with_encoding(encoding)
        .with_adjust_charset_on_meta_tag(false)
        .with_memory_settings(memory)
        .with_strict(false);
    HtmlRewriter::new(settings, discard as Discard)
}

/// The module passes the page on by itself.
fn discard(_: &[u8]) {}

impl Heard {
    fn link(&mut self, link: Option<Vec<u8>>, names: &Names, site: &Site) {
        let Some(link) = link else { return };
        let link = references::decoded(&link, &mut self.scratch);
        if let Carried::Id(id) = names.in_link(link, site) {
            self.ids.push(id.into_owned());
        }
    }

    fn is_session(&mut self, name: &[u8], names: &Names) -> bool {
        names.has(references::decoded(name, &mut self.scratch))
    }

    fn value(&mut self, value: Option<Vec<u8>>, names: &Names) {
        let Some(value) = value else { return };
        let value = references::decoded(&value, &mut self.scratch);
        self.ids.extend(names.id_in(value).map(<[u8]>::to_vec));
    }
}

/// Whether tags can be told in a page of that charset: it is compatible with ASCII, or not named.
pub(crate) fn is_readable(charset: Option<&[u8]>) -> bool {
    charset.is_none_or(|label| {
        Encoding::for_label_no_replacement(label).is_some_and(Encoding::is_ascii_compatible)
    })
}

/// The bytes of an attribute as they stand in the page. `None`: there is none, or its value begins with
/// a byte order mark, which makes lol_html read it in another encoding than the page.
pub(crate) fn bytes_of(element: &Element<'_, '_>, name: &str) -> Option<Vec<u8>> {
    let attributes = element.attributes();
    let attribute = attributes
        .iter()
        .find(|attribute| attribute.name() == name)?;
    // The low byte is the byte: U+0000 to U+007F, and U+F780 to U+F7FF for the others.
    let value = attribute.value();
    let value: Vec<u8> = value.chars().map(|c| (u32::from(c) & 0xff) as u8).collect();
    let place = attribute.value_source_location();
    (value.len() == place.map_or(0, |place| place.bytes().len())).then_some(value)
}
