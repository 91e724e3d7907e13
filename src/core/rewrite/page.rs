//! The parameter in a page: in its links and forms. Here the elements must really be understood,
//! which lol_html does.

use std::cell::RefCell;
use std::rc::Rc;

use encoding_rs::X_USER_DEFINED;
use lol_html::html_content::{ContentType, Element};
use lol_html::{element, AsciiCompatibleEncoding, HtmlRewriter, MemorySettings, Settings};

use super::{Notation, Parameter};
use crate::scan::forms::{self, MEMORY, NO_MARKUP};
use crate::scan::search::references;
use crate::url::Site;

/// Puts the parameter into one page, piece by piece. Nothing is lost: what comes in goes out, at
/// the latest with [`PageRewriter::end`].
///
/// Changed are `href` of `a` and `area`, `src` of `frame` and `iframe`, `action` of forms that
/// POST, `formaction`, and the URL of a refresh in `meta`. A form that sends its fields by GET, or
/// that names no action, gets the parameter as a hidden input, because browsers replace the query
/// of a GET form by its fields (HTML standard, "form submission algorithm"). Scripts, images and
/// style sheets are left alone, and with them what `integrity` guards.
///
/// Beyond the [`MEMORY`] that lol_html may hold of one page the rest of the page passes as it is.
pub struct PageRewriter {
    /// `None` when the rest of the page passes as it is.
    rewriter: Option<HtmlRewriter<'static, Sink>>,
    out: Rc<RefCell<Vec<u8>>>,
}

type Sink = Box<dyn FnMut(&[u8])>;

/// What the handlers share.
struct Page {
    parameter: Parameter,
    site: RefCell<Site>,
    has_base: RefCell<bool>,
}

impl PageRewriter {
    /// A rewriter for one response. `None`: its `charset`, the parameter of Content-Type, is not
    /// compatible with ASCII, or one that browsers do not know.
    pub fn new(parameter: Parameter, site: Site, charset: Option<&[u8]>) -> Option<Self> {
        if !forms::is_readable(charset) {
            return None;
        }
        // Every byte is a character of its own and back, so a page of any charset keeps its bytes.
        let encoding = AsciiCompatibleEncoding::new(X_USER_DEFINED)?;
        let out = Rc::new(RefCell::new(Vec::new()));
        let sink: Sink = {
            let out = Rc::clone(&out);
            Box::new(move |bytes| out.borrow_mut().extend_from_slice(bytes))
        };
        let page = Rc::new(Page {
            parameter,
            site: RefCell::new(site),
            has_base: RefCell::new(false),
        });
        Some(Self {
            rewriter: Some(HtmlRewriter::new(settings(&page, encoding), sink)),
            out,
        })
    }

    /// The next piece of the page; what can go out by now is given to `pass`.
    pub fn feed(&mut self, piece: &[u8], pass: &mut dyn FnMut(&[u8])) {
        match &mut self.rewriter {
            // After an error it must not be used again, and has put out all that it had.
            Some(rewriter) => {
                if rewriter.write(piece).is_err() {
                    self.rewriter = None;
                }
            }
            None => pass(piece),
        }
        self.hand_out(pass);
    }

    /// Whether the rest of the page passes as it is, because the parser cannot read it.
    pub fn has_given_up(&self) -> bool {
        self.rewriter.is_none()
    }

    /// The page is over; gives the rest to `pass`.
    pub fn end(&mut self, pass: &mut dyn FnMut(&[u8])) {
        if let Some(rewriter) = self.rewriter.take() {
            // A page that ends in the middle of a tag goes out as it is.
            let _ = rewriter.end();
            self.hand_out(pass);
        }
    }

    fn hand_out(&self, pass: &mut dyn FnMut(&[u8])) {
        let mut out = self.out.borrow_mut();
        if !out.is_empty() {
            pass(&out);
            out.clear();
        }
    }
}

fn settings(page: &Rc<Page>, encoding: AsciiCompatibleEncoding) -> Settings<'static, 'static> {
    let links = |attribute: &'static str| {
        let page = Rc::clone(page);
        move |element: &mut Element<'_, '_>| {
            page.change(element, attribute);
            Ok(())
        }
    };
    let base = {
        let page = Rc::clone(page);
        element!("base[href]", move |base| {
            page.rebase(base);
            Ok(())
        })
    };
    let form = {
        let page = Rc::clone(page);
        element!("form", move |form| {
            page.form(form);
            Ok(())
        })
    };
    let refresh = {
        let page = Rc::clone(page);
        element!("meta[http-equiv][content]", move |meta| {
            page.refresh(meta);
            Ok(())
        })
    };
    let memory = MemorySettings::new()
        .with_max_allowed_memory_usage(MEMORY)
        .with_graceful_bail_out_on_memory_limit_exceeded(true);
    Settings::new()
        .append_element_content_handler(base)
        .append_element_content_handler(element!("a[href], area[href]", links("href")))
        .append_element_content_handler(element!("frame[src], iframe[src]", links("src")))
        .append_element_content_handler(element!(
            "input[formaction], button[formaction]",
            links("formaction")
        ))
        .append_element_content_handler(form)
        .append_element_content_handler(refresh)
        .append_element_content_handler(element!(NO_MARKUP, |_| Ok(())))
        .with_encoding(encoding)
        .with_adjust_charset_on_meta_tag(false)
        .with_memory_settings(memory)
        // Its own errors are of this kind, too: without it they would take the rest of a piece along.
        .with_graceful_bail_out_on_content_handler_error(true)
        .with_strict(false)
}

impl Page {
    fn rebase(&self, base: &Element<'_, '_>) {
        // Only the first counts.
        if !self.has_base.replace(true) {
            let href = forms::bytes_of(base, "href").unwrap_or_default();
            let href = references::decoded(&href, &mut Vec::new()).to_vec();
            self.site.borrow_mut().rebase(&href);
        }
    }

    fn change(&self, element: &mut Element<'_, '_>, attribute: &str) {
        let Some(link) = forms::bytes_of(element, attribute) else {
            return;
        };
        let site = self.site.borrow();
        if let Some(link) = self.parameter.in_link(&link, &site, Notation::Html) {
            set(element, attribute, &link);
        }
    }

    fn refresh(&self, meta: &mut Element<'_, '_>) {
        let kind = forms::bytes_of(meta, "http-equiv").unwrap_or_default();
        if !kind.trim_ascii().eq_ignore_ascii_case(b"refresh") {
            return;
        }
        let content = forms::bytes_of(meta, "content").unwrap_or_default();
        let site = self.site.borrow();
        if let Some(content) = self.parameter.in_refresh(&content, &site, Notation::Html) {
            set(meta, "content", &content);
        }
    }

    fn form(&self, form: &mut Element<'_, '_>) {
        let method = forms::bytes_of(form, "method").unwrap_or_default();
        let posts = method.trim_ascii().eq_ignore_ascii_case(b"post");
        if !posts && method.trim_ascii().eq_ignore_ascii_case(b"dialog") {
            return;
        }
        let action = forms::bytes_of(form, "action");
        if action.is_none() && form.has_attribute("action") {
            return;
        }
        let action = action.unwrap_or_default();
        let mut scratch = Vec::new();
        let read = references::decoded(&action, &mut scratch).trim_ascii();
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

/// Sets an attribute to bytes as they shall stand in the page.
fn set(element: &mut Element<'_, '_>, attribute: &str, value: &[u8]) {
    // lol_html divides the attributes of a tag that it writes anew by spaces: "x/=y" is two of them,
    // "x =y" is one.
    let attributes = element.attributes();
    if attributes.iter().any(|other| other.name().starts_with('=')) {
        return;
    }
    // The name is one of ours, so no error can come of it.
    let _ = element.set_attribute(attribute, &text_of(value));
}

/// The characters that x-user-defined makes of bytes.
fn text_of(bytes: &[u8]) -> String {
    X_USER_DEFINED
        .decode_without_bom_handling(bytes)
        .0
        .into_owned()
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
