//! The debug line of a response: how it is read, what is learned from it and what is skipped.

use std::fmt::{self, Write};

use sticky_core::events::{Forget, Move, Source};
use sticky_core::scan::inflate::Coding;

use crate::config::types::Rule;
use crate::ngx::exchange::Exchange;
use crate::ngx::request::Request;
use crate::request::context::RequestContext;
use crate::request::trace::Trace;
use crate::request::traced::Outcome;

use super::learn::{self, body};

/// How a response is read.
struct Read {
    status: usize,
    /// The peer that gives it; `None`: nginx itself, or its cache.
    peer: Option<Vec<u8>>,
    /// Its Content-Type.
    media_type: Vec<u8>,
    /// Its Content-Encoding.
    coding: Option<Vec<u8>>,
    /// The sources of `learn=` that read its body.
    sources: Vec<Source>,
}

/// The header of a response is about to be sent.
#[cold]
#[inline(never)]
pub fn header<'r>(r: Request<'r>, context: &'r RequestContext<'r>, trace: &Trace<'r>) {
    // Else it is nginx's own, or from its cache.
    let name = context.answered.get().filter(|_| !r.is_cached());
    if !trace.takes_line() {
        context.trace_attempt(Outcome::None);
    }
    let media_type = r.response_type();
    let sources = match &context.sticky.rule {
        Rule::Query(_, _, readers)
            if name.is_some() && learn::may_learn(r, r.status()) && body::is_there(r) =>
        {
            let is_coded = r.content_coding().map(Coding::named) == Some(None);
            let is_read = !is_coded && body::reads_type(r, readers);
            let sources = readers.sources_of(media_type);
            sources.filter(|_| is_read).collect()
        }
        _ => Vec::new(),
    };
    let read = Read {
        status: r.status(),
        peer: name.map(<[u8]>::to_vec),
        media_type: media_type.to_vec(),
        coding: r.content_coding().map(<[u8]>::to_vec),
        sources,
    };
    trace.at_end(move |trace| write(trace, context, &read));
}

/// The peer called `name` has answered with X-Accel-Redirect.
#[cold]
#[inline(never)]
pub fn redirected<'r>(
    context: &'r RequestContext<'r>,
    trace: &Trace<'r>,
    name: &[u8],
    exchange: Exchange<'r>,
) {
    let read = Read {
        status: exchange.answer(),
        peer: Some(name.to_vec()),
        media_type: Vec::new(),
        coding: None,
        sources: Vec::new(),
    };
    trace.at_end(move |trace| write(trace, context, &read));
}

fn write(trace: &Trace<'_>, context: &RequestContext<'_>, read: &Read) {
    // Writing to a String does not fail.
    let _ = write_response(trace, context, read);
}

fn write_response(trace: &Trace<'_>, context: &RequestContext<'_>, read: &Read) -> fmt::Result {
    let mut line = String::new();
    write!(line, "{}", read.status)?;
    match &read.peer {
        Some(peer) => write!(line, " from {}", peer.escape_ascii())?,
        None => write!(line, ", of nginx or its cache")?,
    }
    write!(line, ", type \"{}\"", read.media_type.escape_ascii())?;
    if let Some(coding) = &read.coding {
        write!(line, ", coding \"{}\"", coding.escape_ascii())?;
    }
    // In the other modes nothing is learned.
    if context.sticky.rule.sessions().is_some() {
        write_learned(trace, &mut line, read)?;
    }
    let happened = context.noted_so_far();
    let skipped = happened.skipped().to_string();
    if !skipped.is_empty() {
        write!(line, "; skipped: {skipped}")?;
    }
    for why in Move::ALL
        .iter()
        .filter(|why| happened.count_moved(**why) > 0)
    {
        write!(line, "; moved: {}", why.name())?;
    }
    for why in Forget::ALL
        .iter()
        .filter(|why| happened.count_forgotten(**why) > 0)
    {
        write!(line, "; forgotten: {}", why.name())?;
    }
    let upstream = context.sticky.upstream.escape_ascii();
    trace.log().debug(format_args!(
        "sticky: response {line}, upstream \"{upstream}\""
    ));
    Ok(())
}

fn write_learned(trace: &Trace<'_>, line: &mut String, read: &Read) -> fmt::Result {
    let sources: Vec<_> = read.sources.iter().map(|source| source.name()).collect();
    match &*sources {
        [] => write!(line, ", body not read")?,
        sources => write!(line, ", body read by {}", sources.join(" "))?,
    }
    line.push_str("; learned");
    let learned = trace.learned();
    if learned.is_empty() {
        line.push_str(" nothing");
    }
    for (source, id_hash) in &*learned {
        write!(line, " {}", source.name())?;
        if let Some(id_hash) = id_hash {
            write!(line, ":{id_hash:08x}")?;
        }
    }
    Ok(())
}
