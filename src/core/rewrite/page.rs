//! Puts the parameter into the links and forms of a page. For that the elements must be parsed,
//! which lol_html does, from the first one that may be changed on.

use std::cell::RefCell;
use std::rc::Rc;

use lol_html::html_content::{ContentType, Element};
use lol_html::{AsciiCompatibleEncoding, HtmlRewriter, Settings};

use super::{Notation, RouteParameter};
use crate::scan::character_references::decoded;
use crate::scan::html_parser::{self, attribute_bytes, on, text_of, TagNames, NO_MARKUP};
use crate::scan::unread::Unread;
use crate::url::Site;

/// Puts the parameter into one page, piece by piece. Everything that comes in goes out, at the
/// latest with [`PageRewriter::end`].
///
/// Changed are `href` of `a` and `area`, `src` of `frame` and `iframe`, `action` of forms that
/// POST, `formaction`, and the URL of a refresh in `meta`. A form that sends its fields by GET, or
/// has no action, gets the parameter as a hidden input, because browsers replace the query of a GET
/// form by its fields (HTML Standard, "form submission algorithm"). Scripts, images and style
/// sheets stay as they are, and with them whatever has an `integrity` attribute.
///
/// If lol_html would need more than [`MAX_MEMORY`](crate::scan::forms::MAX_MEMORY) for a page, the
/// rest of the page passes as it is.
pub struct PageRewriter {
    /// Until the parser begins; nothing is changed before.
    unread: Option<Beginning>,
    /// `None` before it begins, and when the rest of the page passes as it is.
    rewriter: Option<HtmlRewriter<'static, Sink>>,
    names: TagNames,
    out: Rc<RefCell<Vec<u8>>>,
    /// So many bytes that come out have been passed before.
    passed: usize,
}

/// The elements that may be changed, and `base`.
const ELEMENTS: &[&[u8]] = &[
    b"a", b"area", b"base", b"button", b"form", b"frame", b"iframe", b"input", b"meta",
];

/// What the parser needs to begin.
struct Beginning {
    unread: Unread,
    parameter: RouteParameter,
    site: Site,
    encoding: AsciiCompatibleEncoding,
}

/// So much room is kept from piece to piece for what comes out, in bytes.
const KEPT: usize = 16 * 1024;

type Sink = Box<dyn FnMut(&[u8])>;

/// What the handlers of elements share.
struct Handlers {
    parameter: RouteParameter,
    site: RefCell<Site>,
    has_base: RefCell<bool>,
}

impl PageRewriter {
    /// A rewriter for one response. `None`: its `charset`, the parameter of Content-Type, is not
    /// compatible with ASCII, or browsers do not know it.
    pub fn new(parameter: RouteParameter, site: Site, charset: Option<&[u8]>) -> Option<Self> {
        let encoding = html_parser::encoding(charset)?;
        Some(Self {
            unread: Some(Beginning {
                unread: Unread::new(ELEMENTS),
                parameter,
                site,
                encoding,
            }),
            rewriter: None,
            names: TagNames::new(),
            out: Rc::default(),
            passed: 0,
        })
    }

    /// Takes the next piece of the page, and gives to `pass` what can go out by now.
    pub fn feed(&mut self, piece: &[u8], pass: &mut dyn FnMut(&[u8])) {
        if let Some(beginning) = &mut self.unread {
            match beginning.unread.take(piece) {
                None => {
                    pass(piece);
                    return;
                }
                Some(before) => {
                    self.begin();
                    self.passed = before.len();
                    self.read(&before, pass);
                }
            }
        }
        self.read(piece, pass);
    }

    fn begin(&mut self) {
        let Some(beginning) = self.unread.take() else {
            return;
        };
        let out = Rc::clone(&self.out);
        let sink: Sink = Box::new(move |bytes| out.borrow_mut().extend_from_slice(bytes));
        let handlers = Rc::new(Handlers {
            parameter: beginning.parameter,
            site: RefCell::new(beginning.site),
            has_base: RefCell::new(false),
        });
        let settings = settings(&handlers, beginning.encoding);
        self.rewriter = Some(HtmlRewriter::new(settings, sink));
    }

    fn read(&mut self, piece: &[u8], pass: &mut dyn FnMut(&[u8])) {
        if self.rewriter.is_some() && !self.names.allow(piece) {
            self.end(pass);
        }
        match &mut self.rewriter {
            // After an error it must not be used again. By then it has put out all that it held.
            Some(rewriter) => {
                if rewriter.write(piece).is_err() {
                    self.rewriter = None;
                }
            }
            None if self.passed == 0 => pass(piece),
            None => self.out.borrow_mut().extend_from_slice(piece),
        }
        self.hand_out(pass);
    }

    /// Whether the rest of the page passes as it is, because the parser cannot read it.
    pub fn has_given_up(&self) -> bool {
        self.rewriter.is_none() && self.unread.is_none()
    }

    /// The page is complete. Gives the rest to `pass`.
    pub fn end(&mut self, pass: &mut dyn FnMut(&[u8])) {
        self.unread = None;
        if let Some(rewriter) = self.rewriter.take() {
            // A page that ends in the middle of a tag goes out as it is.
            let _ = rewriter.end();
            self.hand_out(pass);
        }
    }

    fn hand_out(&mut self, pass: &mut dyn FnMut(&[u8])) {
        let mut out = self.out.borrow_mut();
        let known = self.passed.min(out.len());
        self.passed -= known;
        let new = out.get(known..).unwrap_or_default();
        if !new.is_empty() {
            pass(new);
        }
        out.clear();
        out.shrink_to(KEPT);
    }
}

fn settings(
    handlers: &Rc<Handlers>,
    encoding: AsciiCompatibleEncoding,
) -> Settings<'static, 'static> {
    // Selectors with an attribute would have the elements matched twice.
    let links = |attribute: &'static str| {
        let handlers = Rc::clone(handlers);
        move |element: &mut Element<'_, '_>| {
            handlers.change(element, attribute);
            Ok(())
        }
    };
    let base = {
        let handlers = Rc::clone(handlers);
        on("base", move |base| {
            if base.has_attribute("href") {
                handlers.rebase(base);
            }
            Ok(())
        })
    };
    let form = {
        let handlers = Rc::clone(handlers);
        on("form", move |form| {
            handlers.form(form);
            Ok(())
        })
    };
    let refresh = {
        let handlers = Rc::clone(handlers);
        on("meta", move |meta| {
            handlers.refresh(meta);
            Ok(())
        })
    };
    Settings::new()
        .append_element_content_handler(base)
        .append_element_content_handler(on("a, area", links("href")))
        .append_element_content_handler(on("frame, iframe", links("src")))
        .append_element_content_handler(on("input, button", links("formaction")))
        .append_element_content_handler(form)
        .append_element_content_handler(refresh)
        .append_element_content_handler(on(NO_MARKUP, |_| Ok(())))
        .with_encoding(encoding)
        .with_adjust_charset_on_meta_tag(false)
        .with_memory_settings(html_parser::memory())
        // Some errors of lol_html itself count as errors of a handler. Without this, they would
        // lose the rest of a piece.
        .with_graceful_bail_out_on_content_handler_error(true)
        .with_strict(false)
}

impl Handlers {
    fn rebase(&self, base: &Element<'_, '_>) {
        // Only the first counts.
        if !self.has_base.replace(true) {
            let href = attribute_bytes(base, "href").unwrap_or_default();
            let href = decoded(&href, &mut Vec::new()).to_vec();
            self.site.borrow_mut().rebase(&href);
        }
    }

    fn change(&self, element: &mut Element<'_, '_>, attribute: &str) {
        let Some(link) = attribute_bytes(element, attribute) else {
            return;
        };
        let site = self.site.borrow();
        if let Some(link) = self.parameter.in_link(&link, &site, Notation::Html) {
            set(element, attribute, &link);
        }
    }

    fn refresh(&self, meta: &mut Element<'_, '_>) {
        let kind = attribute_bytes(meta, "http-equiv").unwrap_or_default();
        if !kind.trim_ascii().eq_ignore_ascii_case(b"refresh") {
            return;
        }
        let content = attribute_bytes(meta, "content").unwrap_or_default();
        let site = self.site.borrow();
        if let Some(content) = self.parameter.in_refresh(&content, &site, Notation::Html) {
            set(meta, "content", &content);
        }
    }

    fn form(&self, form: &mut Element<'_, '_>) {
        let method = attribute_bytes(form, "method").unwrap_or_default();
        let posts = method.trim_ascii().eq_ignore_ascii_case(b"post");
        if !posts && method.trim_ascii().eq_ignore_ascii_case(b"dialog") {
            return;
        }
        let action = attribute_bytes(form, "action");
        if action.is_none() && form.has_attribute("action") {
            return;
        }
        let action = action.unwrap_or_default();
        let mut scratch = Vec::new();
        let read = decoded(&action, &mut scratch).trim_ascii();
        if posts && !read.is_empty() {
            self.change(form, "action");
        } else if read.is_empty() || self.site.borrow().owns(read) {
            let name = self.parameter.names.nth(0);
            let name = name.map(|name| &*name.bytes).unwrap_or_default();
            let input = [
                b"<input type=\"hidden\" name=\"",
                name,
                b"\" value=\"",
                &escaped(&self.parameter.value),
                b"\" />",
            ]
            .concat();
            form.prepend(&text_of(&input), ContentType::Html);
        }
    }
}

/// Sets an attribute to these bytes.
fn set(element: &mut Element<'_, '_>, attribute: &str, value: &[u8]) {
    // lol_html writes the attributes of a changed tag with spaces between them: the two of "x/=y"
    // would become one, "x =y".
    let attributes = element.attributes();
    if attributes.iter().any(|other| other.name().starts_with('=')) {
        return;
    }
    // Only an invalid name is an error, and ours are valid.
    let _ = element.set_attribute(attribute, &text_of(value));
}

fn escaped(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for byte in value {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            byte => out.push(*byte),
        }
    }
    out
}
