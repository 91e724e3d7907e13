//! `mode=rewrite`: adds a parameter that names the server to the links of its responses.
//!
//! Redirects are rewritten in the header. Pages are taken out of the chain of buffers, piece by piece,
//! and sent in buffers of our own.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use sticky_core::directive::RewriteRule;
use sticky_core::http::header_value::parameter;
use sticky_core::http::media_type::is_page;
use sticky_core::rewrite::{PageRewriter, RouteParameter};
use sticky_core::url::Site;

use crate::config::types::MainConf;
use crate::ngx::chain::{Chain, Filling, Output};
use crate::ngx::log::Level;
use crate::ngx::owned::Owned;
use crate::ngx::request::Request;
use crate::request::context::{Page, RequestContext};

/// Headers with a digest of the page as the server has sent it (RFC 9530; RFC 3230; RFC 2616, 14.15).
const DIGESTS: [&[u8]; 4] = [b"Content-Digest", b"Repr-Digest", b"Digest", b"Content-MD5"];

/// The request's arguments without the parameters of this mode, as the application knows them. The
/// value of `$sticky_args`.
pub fn args_of_application(r: Request<'_>) -> Option<&[u8]> {
    let names = r.main_conf::<MainConf>()?.own_parameters.borrow();
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
        if !context.sticky.logged_encoding.replace(true) {
            r.log().write(
                Level::Notice,
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
            output: Output::new(RequestContext::module()),
        };
        if let Some(page) = r.pool().and_then(|pool| pool.keep(page)) {
            context.page.set(Some(page));
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
            Level::Notice,
            format_args!(
                "sticky: the rest of a page is not rewritten, its markup is broken or too deep, \
                 upstream \"{}\"",
                context.sticky.upstream.escape_ascii()
            ),
        );
    }
}

/// What replaces a piece of a page.
pub enum Replacement<'o> {
    /// These buffers.
    Chain(Filling<'o>),
    /// Nothing yet: the piece ends inside a tag.
    Later,
}

/// Rewrites a piece of the page. An empty one asks for the buffers that are still being sent. `None`:
/// out of memory.
pub fn body<'r>(
    r: Request<'r>,
    context: &RequestContext<'_>,
    page: &'r Page,
    chain: Chain<'_>,
) -> Option<Replacement<'r>> {
    let mut rewriter = page.rewriter.borrow_mut();
    let mut filling = page.output.begin(r.pool()?);
    let mut pushed = Some(());
    let mut pass = |filling: &mut Filling<'r>, bytes: &[u8]| {
        pushed = pushed.and_then(|()| filling.push(bytes));
    };
    for buffer in chain.buffers() {
        if let Some(bytes) = buffer.bytes() {
            rewriter.feed(bytes, &mut |bytes| pass(&mut filling, bytes));
            buffer.consume();
            if rewriter.has_given_up() {
                log_broken_page(r, context);
            }
        }
        if buffer.ends_response() {
            rewriter.end(&mut |bytes| pass(&mut filling, bytes));
        }
        filling.mark(buffer)?;
    }
    pushed?;
    if filling.is_empty() && !chain.is_empty() && !page.output.is_busy() {
        return Some(Replacement::Later);
    }
    Some(Replacement::Chain(filling))
}
