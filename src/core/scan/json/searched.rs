//! The members that are searched by their names.

use std::sync::Arc;

use memchr::memmem::Finder;

use super::escapes::hexadecimal;
use super::member::{Member, MemberPaths};
use crate::scan::search::matches::{Match, Needles};
use crate::url::{NeedleIndex, MAX_NAMES};

/// The members that are session ids, prepared once per configuration.
#[derive(Debug, Clone)]
pub struct Members {
    /// Of those that are searched.
    pub(super) paths: Vec<Path>,
    /// Those that cannot be searched, so all members around them are read.
    pub(super) read: Vec<Arc<MemberPaths>>,
    /// The start of an escape that stands for an ASCII character.
    escape: Finder<'static>,
    index: NeedleIndex,
}

/// The names that lead to a member.
#[derive(Debug, Clone)]
pub(super) struct Path {
    pub(super) steps: Box<[Step]>,
    /// Its one name counts wherever it stands; other paths begin at the outermost object.
    pub(super) is_by_name: bool,
}

/// A name, and the search for it in quotes.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) name: Box<[u8]>,
    pub(super) quoted: Finder<'static>,
}

impl Members {
    /// Prepares the search for these members.
    pub fn new(members: &[Member]) -> Self {
        let path = |member: &Member| match member {
            Member::ByName(name) => Path {
                steps: [Step::new(name)].into(),
                is_by_name: true,
            },
            Member::ByPath(names) => Path {
                steps: names.iter().map(|name| Step::new(name)).collect(),
                is_by_name: false,
            },
        };
        let (searched, read): (Vec<&Member>, Vec<&Member>) =
            members.iter().partition(|member| member.can_be_searched());
        let paths: Vec<Path> = searched.into_iter().map(path).collect();
        let read = read.chunks(MAX_NAMES);
        let read = read.map(|members| Arc::new(MemberPaths::new(members.iter().copied())));
        let escape = Finder::new(b"\\u00").into_owned();
        let first = paths.iter().filter_map(|path| path.steps.first());
        let needles = first.map(|step| &step.quoted).chain([&escape]);
        Self {
            index: NeedleIndex::of(needles),
            read: read.collect(),
            paths,
            escape,
        }
    }

    /// Whether a name in quotes is always a whole string. Not `:sid`: in `"a":sid"`, the first of
    /// its quotes would close a string.
    pub(super) fn can_be_searched_by_name(&self) -> bool {
        let may_open = |step: &Step| !step.name.starts_with(b":");
        let is_plain = |path: &Path| path.is_by_name && path.steps.iter().all(may_open);
        self.are_few() && self.paths.iter().all(is_plain)
    }

    /// Whether a text without [needles](Needles) has none of them.
    pub(in crate::scan) fn are_searched(&self) -> bool {
        self.read.is_empty() && self.are_few()
    }

    /// Whether all are names that count anywhere, and `is_searched` as such.
    pub(in crate::scan) fn are_named_as(&self, is_searched: impl Fn(&[u8]) -> bool) -> bool {
        let mut names = self.paths.iter().flat_map(|path| &path.steps);
        self.can_be_searched_by_name() && names.all(|step| is_searched(&step.name))
    }

    /// Which needle has this name in quotes.
    pub(in crate::scan) fn named(&self, name: &[u8]) -> Option<usize> {
        let mut paths = self.paths.iter();
        paths.position(|path| path.has_step(0, name))
    }

    /// The first escape behind `at` that may be part of a name. Most texts have no backslash, which costs
    /// less to find.
    pub(in crate::scan) fn escape_behind(&self, bytes: &[u8], at: usize) -> Option<Match> {
        let first = at + memchr::memchr(b'\\', bytes.get(at..)?)?;
        let found = self.escape.find(bytes.get(first..)?)?;
        Some(Match {
            end: first + found + self.escape.needle().len(),
            needle: self.paths.len(),
        })
    }

    /// Whether those that are searched are few enough to be searched at once.
    fn are_few(&self) -> bool {
        self.paths.len() <= MAX_NAMES
    }

    /// Whether this needle is the escape, not a name.
    pub(super) fn is_escape(&self, needle: usize) -> bool {
        needle == self.paths.len()
    }

    /// Whether one of the names has the character of this hexadecimal number.
    pub(super) fn has_character(&self, digits: &[u8]) -> bool {
        let byte = hexadecimal(digits).and_then(|number| u8::try_from(number).ok());
        let mut steps = self.paths.iter().flat_map(|path| &path.steps);
        byte.is_some_and(|byte| steps.any(|step| step.name.contains(&byte)))
    }

    /// Whether a member of this name counts wherever it stands.
    pub(super) fn has(&self, name: &[u8]) -> bool {
        self.paths
            .iter()
            .any(|path| path.is_by_name && path.has_step(0, name))
    }
}

impl Path {
    pub(super) fn has_step(&self, index: usize, name: &[u8]) -> bool {
        self.steps
            .get(index)
            .is_some_and(|step| *step.name == *name)
    }
}

impl Step {
    fn new(name: &[u8]) -> Self {
        let quoted = [b"\"", name, b"\""].concat();
        Self {
            name: name.into(),
            quoted: Finder::new(&quoted).into_owned(),
        }
    }
}

impl Needles for Members {
    #[inline]
    fn index(&self) -> &NeedleIndex {
        &self.index
    }

    fn nth(&self, index: usize) -> Option<&Finder<'static>> {
        match self.paths.get(index) {
            Some(path) => path.steps.first().map(|step| &step.quoted),
            None => self.is_escape(index).then_some(&self.escape),
        }
    }

    fn longest(&self) -> usize {
        let names = self.paths.iter().flat_map(|path| &path.steps);
        let needles = names.map(|step| &step.quoted).chain([&self.escape]);
        needles
            .map(|needle| needle.needle().len())
            .max()
            .unwrap_or(0)
    }
}
