//! Chooses the learners for a body by its media type and by the directive.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::body::{BodyLearner, Sources};
use super::json::Members;
use super::learn_set::{LearnSet, MediaType};
use super::literals::LiteralNames;
use super::source::{Body, LearnerContext, Source, JSON, SOURCES};
use super::xml::XmlNames;
use crate::events::{self, Reader, Skip};
use crate::happened::Skips;
use crate::http::header_value::is_value;
use crate::url::{Names, Site};

/// What reads the bodies of an upstream's responses, prepared once per configuration.
///
/// ```
/// use std::sync::Arc;
///
/// use sticky_core::directive::{parse, Mode};
/// use sticky_core::events::Source;
/// use sticky_core::scan::readers::Readers;
/// use sticky_core::scan::source::Body;
/// use sticky_core::scan::{FoundIn, IdClass, Learner};
/// use sticky_core::url::Site;
///
/// let Ok(Mode::Query(rule)) = parse(&[b"mode=query", b"name=sid"]) else {
///     panic!("this directive is valid");
/// };
/// let readers = Readers::new(&rule.learn, &rule.response_names);
/// assert!(readers.read(b"text/html; charset=utf-8"));
/// assert!(!readers.read(b"image/png"));
///
/// let body = Body {
///     media_type: b"text/html",
///     coding: None,
///     known: b"",
/// };
/// let site = Site::new(b"shop.example", &[]);
/// let mut learner = readers.learner(&body, &site).expect("pages are read");
/// let mut ids = Vec::new();
/// let mut found = |id: &[u8], found_in| {
///     ids.push((id.to_vec(), found_in));
///     true
/// };
/// // The body may come in any pieces.
/// for piece in ["<a href='/cart?si", "d=4711'>cart</a>"] {
///     learner.feed(piece.as_bytes(), &mut found);
/// }
/// learner.end(&mut found);
/// let found_in = FoundIn {
///     class: IdClass::Attribute,
///     source: Source::Html,
/// };
/// assert_eq!(ids, [(b"4711".to_vec(), found_in)]);
/// ```
#[derive(Debug, Clone)]
pub struct Readers {
    names: Arc<Names>,
    /// The prefixes of segments among them.
    segments: Option<Arc<Names>>,
    members: Arc<Members>,
    elements: Arc<XmlNames>,
    literals: Arc<LiteralNames>,
    sources: Vec<&'static Source>,
    types: Vec<MediaType>,
    skipped_type: Skips,
    /// Whether there is more than the types of the sources.
    has_more: bool,
    latest: LatestType,
    /// The site that was asked for last: mostly it is asked for again.
    latest_site: RefCell<Option<Site>>,
}

/// The media type that was asked for last, if it is short, and whether it is read: mostly it is asked
/// for again.
#[derive(Debug, Clone, Default)]
struct LatestType {
    /// Its first eight bytes, and its last ones, which may be partly the same.
    ends: Cell<(u64, u64)>,
    /// 0: there was none.
    length: Cell<usize>,
    is_read: Cell<bool>,
    /// What reads it, if that is one source alone.
    reader: Cell<Option<&'static Source>>,
}

impl LatestType {
    #[inline(always)]
    fn ends_of(media_type: &[u8]) -> Option<(u64, u64)> {
        let (first, last) = (media_type.first_chunk()?, media_type.last_chunk()?);
        Some((u64::from_ne_bytes(*first), u64::from_ne_bytes(*last)))
    }

    /// `None`: it is another one.
    #[inline(always)]
    fn is_read(&self, media_type: &[u8]) -> Option<bool> {
        let is_same = media_type.len() == self.length.get()
            && Self::ends_of(media_type) == Some(self.ends.get());
        is_same.then(|| self.is_read.get())
    }

    fn set(&self, media_type: &[u8], is_read: bool, reader: Option<&'static Source>) {
        if let (Some(ends), 8..=16) = (Self::ends_of(media_type), media_type.len()) {
            self.ends.set(ends);
            self.length.set(media_type.len());
            self.is_read.set(is_read);
            self.reader.set(reader);
        }
    }
}

impl Readers {
    /// The readers of a directive.
    pub fn new(learn: &LearnSet, names: &Arc<Names>) -> Self {
        let all = SOURCES.into_iter();
        Self {
            segments: names.have_segments().then(|| names.of_segments().into()),
            members: Arc::new(Members::new(&learn.members)),
            elements: Arc::new(XmlNames::new(&learn.elements)),
            literals: Arc::new(LiteralNames::new(&learn.literals)),
            types: learn.types.clone(),
            skipped_type: match learn.bodies.is_empty() {
                true => Skips::default(),
                false => Skip::Type.into(),
            },
            names: Arc::clone(names),
            latest: LatestType::default(),
            latest_site: RefCell::default(),
            has_more: !learn.types.is_empty() || learn.bodies.contains(&&JSON),
            sources: all.filter(|one| learn.bodies.contains(one)).collect(),
        }
    }

    /// Whether a body of this type is read, if it is not compressed.
    #[inline]
    pub fn read(&self, media_type: &[u8]) -> bool {
        match self.latest.is_read(media_type) {
            Some(is_read) => is_read,
            None => self.find(media_type),
        }
    }

    /// The same where it was asked for last and nothing else decides. `None`: it is to be asked.
    #[inline(always)]
    pub fn read_at_once(&self, media_type: &[u8]) -> Option<bool> {
        match self.has_more {
            true => None,
            false => self.latest.is_read(media_type),
        }
    }

    #[inline(never)]
    fn find(&self, media_type: &[u8]) -> bool {
        let is_read = self.reads_type(media_type);
        let mut readers = self.used(media_type);
        let reader = readers.next().filter(|_| readers.next().is_none());
        self.latest.set(media_type, is_read, reader);
        is_read
    }

    fn reads_type(&self, media_type: &[u8]) -> bool {
        self.sources.iter().any(|source| (source.reads)(media_type))
            || self.has_more && self.is_added(media_type)
    }

    /// Whether a body of this type is read if it is short:
    /// [`MAX_SHORT`](super::source::MAX_SHORT) at most.
    #[inline]
    pub fn read_short(&self, media_type: &[u8]) -> bool {
        self.has_more && self.are_short_read(media_type)
    }

    #[inline(never)]
    fn is_added(&self, media_type: &[u8]) -> bool {
        let mut types = self.types.iter();
        types.any(|own| is_value(media_type, &own.essence))
    }

    #[inline(never)]
    fn are_short_read(&self, media_type: &[u8]) -> bool {
        let mut sources = self.sources.iter();
        sources.any(|source| (source.reads_short)(media_type))
    }

    /// What is noted of a body that is not read: nothing, where none is.
    #[inline]
    pub fn skipped_type(&self) -> Skips {
        self.skipped_type
    }

    /// The sources of `learn=` that read bodies.
    pub fn readers(&self) -> impl Iterator<Item = Reader> + '_ {
        self.sources.iter().map(|source| source.read_as)
    }

    /// The sources of `learn=` that read a body of this type.
    pub fn sources_of(&self, media_type: &[u8]) -> impl Iterator<Item = events::Source> + '_ {
        let used: Vec<_> = self.used(media_type).collect();
        used.into_iter().map(|source| source.counted_as)
    }

    /// Those that read a body of this type.
    fn used<'a>(&'a self, media_type: &'a [u8]) -> impl Iterator<Item = &'static Source> + 'a {
        let mut are_urls_read = false;
        let mut used = move |source: &'static Source| {
            let is_used = self.is_used(source, media_type, are_urls_read);
            are_urls_read |= is_used && source.finds_urls;
            is_used.then_some(source)
        };
        self.sources.iter().filter_map(move |source| used(source))
    }

    /// Of the sources that find URLs, one is enough.
    fn is_used(&self, source: &'static Source, media_type: &[u8], are_urls_read: bool) -> bool {
        self.is_read_by(source, media_type) && !(source.finds_urls && are_urls_read)
    }

    fn is_read_by(&self, source: &'static Source, media_type: &[u8]) -> bool {
        let mut added = self.types.iter().filter(|own| own.source == source);
        (source.reads)(media_type)
            || (source.reads_short)(media_type)
            || added.any(|own| is_value(media_type, &own.essence))
    }

    /// The learner for a body. `None`: it is not read.
    pub fn learner(&self, body: &Body<'_>, site: &Site) -> Option<BodyLearner> {
        let context = LearnerContext {
            body,
            site,
            names: &self.names,
            segments: self.segments.as_ref(),
            members: &self.members,
            elements: &self.elements,
            literals: &self.literals,
        };
        let begin = |source: &'static Source| (source.read_as, (source.learner)(&context).into());
        let is_latest = self.latest.is_read(body.media_type) == Some(true);
        let sources = match self.latest.reader.get().filter(|_| is_latest) {
            Some(reader) => Sources::of(begin(reader), std::iter::empty()),
            None => {
                let mut learners = self.used(body.media_type).map(begin);
                Sources::of(learners.next()?, learners)
            }
        };
        Some(BodyLearner::new(sources, body.coding))
    }

    /// The site of a request to this host; `hosts` are those of the directive, always the same.
    pub fn site(&self, host: &[u8], hosts: &[Box<[u8]>]) -> Site {
        let mut latest = self.latest_site.borrow_mut();
        match &*latest {
            Some(site) if site.is_of(host) => site.clone(),
            _ => latest.insert(Site::new(host, hosts)).clone(),
        }
    }
}
