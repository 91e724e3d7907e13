//! `mode=rewrite`: adds a parameter that names the server to the links of its responses.
//!
//! Redirects are rewritten in the header. Pages are taken out of the chain of buffers, piece by piece,
//! and sent in buffers of our own. As long as the client does not take these, the others are not
//! consumed, so that nginx stops reading the response: a page of any size takes as much memory.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

use sticky_core::directive::RewriteRule;
use sticky_core::events::{BodyEnd, Skip};
use sticky_core::http::header_value::parameter;
use sticky_core::http::media_type::is_page;
use sticky_core::rewrite::{PageRewriter, RouteParameter};
use sticky_core::url::Site;

use crate::config::types::MainConf;
use crate::ngx::chain::{Chain, Code, Filling, Marks, Next, Output};
use crate::ngx::log::Level;
use crate::ngx::owned::Owned;
use crate::ngx::pace;
use crate::ngx::request::Request;
use crate::request::context::{Page, RequestContext};

/// So much of a page may be on its way to the client, in bytes of buffers; as much as nginx's gzip
/// keeps (`gzip_buffers`). What comes beyond waits in nginx's own buffers.
const MAX_BUSY: usize = 128 * 1024;

/// So much is rewritten at a time, in bytes: [`MAX_BUSY`] is exceeded by what becomes of it.
const STEP: usize = 8 * 1024;

/// Headers with a digest of the page as the server has sent it (RFC 9530; RFC 3230; RFC 2616, 14.15).
const DIGESTS: [&[u8]; 4] = [b"Content-Digest", b"Repr-Digest", b"Digest", b"Content-MD5"];

/// The request's arguments without the parameters of this mode, as the application knows them. The
/// value of `$sticky_args`.
pub fn args_of_application(r: Request<'_>) -> Option<&[u8]> {
    let names = r.main_conf::<MainConf<'_>>()?.own_parameters.borrow();
    names.iter().try_fold(
        r.args(),
        |args, names| match sticky_core::rewrite::without(names, args) {
            Cow::Borrowed(args) => Some(args),
            Cow::Owned(args) => r.pool()?.copy(&args),
        },
    )
}

/// Whether a response may have links: it redirects, or is a page.
pub fn has_links(r: Request<'_>) -> bool {
    is_page(r.response_type())
        || r.response_headers().any(|header| {
            let name = header.name();
            name.eq_ignore_ascii_case(b"location") || name.eq_ignore_ascii_case(b"refresh")
        })
}

/// Rewrites the header of a response that the server called `answered` gives, and prepares to rewrite
/// its page.
pub fn header<'r>(
    r: Request<'r>,
    context: &'r RequestContext<'r>,
    rule: &RewriteRule,
    answered: &[u8],
) {
    if context.sticky.is_dry_run {
        return;
    }
    let index = context.peer_index();
    let Some(peer) = context.peer_to_show(&index, answered) else {
        return;
    };
    let own = RouteParameter::new(Arc::clone(&rule.names), &peer.value);
    let site = Site::new(r.host(), &rule.hosts);
    for header in r.response_headers() {
        let new = own.in_header(header.name(), header.value(), &site);
        if let Some(value) = new.and_then(|value| r.pool()?.copy(&value)) {
            header.set_value(value);
        }
    }
    if !is_page(r.response_type()) || matches!(r.status(), 100..200 | 204 | 206 | 304) {
        return;
    }
    if r.content_coding().is_some() {
        context.noted.skip(Skip::Coding);
        if !context.sticky.logged_encoding.replace(true) {
            r.log().write(
                Level::Error,
                format_args!(
                    "sticky: compressed pages are not rewritten, add proxy_set_header \
                     Accept-Encoding \"\", upstream \"{}\"",
                    context.sticky.upstream.escape_ascii()
                ),
            );
        }
        return;
    }
    let charset = parameter(r.response_type(), b"charset");
    let Some(rewriter) = PageRewriter::new(own, site, charset.as_deref()) else {
        return;
    };
    if r.is_head() {
        // The header is the one that GET gets.
        page_will_change(r);
    } else if !r.is_header_only() {
        let page = Page {
            rewriter: RefCell::new(rewriter),
            input: RefCell::default(),
            output: Output::new(RequestContext::module()),
            is_held: Cell::new(false),
            place: pace::Place::default(),
            bytes: Cell::default(),
            end: Cell::default(),
        };
        if let Some(page) = r.pool().and_then(|pool| pool.keep(page)) {
            context.page.set(Some(page));
            context.noted.read_body();
            context.awaits_body.set(true);
            page_will_change(r);
            r.need_body_in_memory();
        }
    }
}

fn page_will_change(r: Request<'_>) {
    r.body_will_change();
    for header in r.response_headers() {
        if DIGESTS
            .iter()
            .any(|name| header.name().eq_ignore_ascii_case(name))
        {
            header.hide();
        }
    }
}

/// Logged once for each upstream and worker.
#[cold]
fn log_broken_page(r: Request<'_>, context: &RequestContext<'_>) {
    if !context.sticky.logged_broken_page.replace(true) {
        r.log().write(
            Level::Error,
            format_args!(
                "sticky: the rest of a page is not rewritten, its markup is broken or too deep, \
                 upstream \"{}\"",
                context.sticky.upstream.escape_ascii()
            ),
        );
    }
}

/// Rewrites the next buffers of a page, and sends what has become of them. Without buffers, the rest
/// goes on that is kept back. `None`: it cannot go on.
pub fn body<'r>(
    r: Request<'r>,
    context: &RequestContext<'_>,
    page: &'r Page,
    chain: Chain<'_>,
    next: Next<'_>,
) -> Option<Code> {
    page.input.borrow_mut().add(chain);
    // Other modules may use the same bit. They set it again when they are called.
    let was_held = page.is_held.take();
    if was_held {
        r.set_body_is_held(false);
    }
    let mut code = Code::default();
    // Where nothing is held, a call without buffers is not for this filter.
    let is_passed = chain.is_empty() && (!was_held || r.is_pending());
    let mut push_on = page.output.is_busy() || is_passed;
    loop {
        let filling = rewrite(r, context, page)?;
        let is_over = filling.is_empty() && !push_on;
        if !is_over {
            code = filling.send(next)?;
        }
        let mut input = page.input.borrow_mut();
        input.consume(page.output.sent());
        if is_over {
            page.is_held.set(input.has_unread());
            break;
        }
        push_on = false;
    }
    if page.is_held.get() {
        r.set_body_is_held(true);
        if page.output.room() < MAX_BUSY {
            page.place.wait(r);
        }
        if code.is_ok() {
            code = Code::AGAIN;
        }
    }
    Some(code)
}

/// Rewrites what has come of a page, up to the bound of what is being sent. `None`: out of memory.
fn rewrite<'r>(
    r: Request<'r>,
    context: &RequestContext<'_>,
    page: &'r Page,
) -> Option<Filling<'r>> {
    let mut input = page.input.borrow_mut();
    let mut rewriter = page.rewriter.borrow_mut();
    let mut filling = page.output.begin(r.pool()?);
    while filling.room() < MAX_BUSY {
        let Some(piece) = input.piece(STEP) else {
            break;
        };
        if !piece.bytes.is_empty() && !pace::may_read(piece.bytes.len()) {
            break;
        }
        let mut pushed = Some(());
        let mut pass = |bytes: &[u8]| pushed = pushed.and_then(|()| filling.push(bytes));
        if !piece.bytes.is_empty() {
            page.bytes.set(page.bytes.get() + piece.bytes.len() as u64);
            rewriter.feed(piece.bytes, &mut pass);
            if rewriter.has_given_up() {
                context.noted.skip(Skip::GivenUp);
                log_broken_page(r, context);
            }
        }
        if piece.marks.is_some_and(Marks::end_response) {
            page.end.set(Some(match rewriter.has_given_up() {
                true => BodyEnd::GivenUp,
                false => BodyEnd::Whole,
            }));
            rewriter.end(&mut pass);
        }
        pushed?;
        if let Some(marks) = piece.marks {
            filling.mark(marks)?;
        }
        input.advance(filling.written());
    }
    if input.has_unread() || input.is_wanted_back() {
        filling.hurry()?;
    }
    Some(filling)
}
