//! Which members of a document are session ids.

use super::escapes::MAX_ESCAPE;
use crate::url::{MAX_ID, MAX_NAME, MAX_NAMES};

/// The longest way to write a name, with each byte escaped, without the quotes.
pub(super) const MAX_WRITTEN_NAME: usize = MAX_ESCAPE * MAX_NAME;

/// The same for the value of an id. A longer string is not read, even if it has a short id and a
/// long suffix.
pub(super) const MAX_WRITTEN_VALUE: usize = MAX_ESCAPE * MAX_ID;

/// Which member of a JSON document is a session id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// Every member of this name, wherever it stands.
    ByName(Box<[u8]>),
    /// The member at this path of names, from the outermost object on. A name that is a number is
    /// also the index of an element. An empty path is a text that is one string.
    ByPath(Box<[Box<[u8]>]>),
}

impl Member {
    /// Whether the bytes of names and brackets tell where it is.
    pub(super) fn can_be_searched(&self) -> bool {
        match self {
            Member::ByName(_) => true,
            Member::ByPath(names) => {
                !names.is_empty() && names.iter().all(|name| index(name).is_none())
            }
        }
    }
}

/// The members of JSON that are session ids, in the order in which they count; [`MAX_NAMES`] at
/// most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPaths {
    paths: Vec<MemberPath>,
    /// Whether a name counts wherever it stands.
    pub(super) has_anywhere: bool,
    /// The greatest index of an element.
    last_index: u32,
    /// Whether a text that is one string is an id.
    pub(super) has_text: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct MemberPath {
    steps: Box<[PathStep]>,
    /// Its one name counts wherever it stands.
    is_anywhere: bool,
}

/// A name that leads on from an object, or an index that leads on from an array.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PathStep {
    name: Box<[u8]>,
    index: Option<u32>,
}

/// For each path, how many of its steps lead to a place, or [`OFF`].
pub(super) type Progress = [u8; MAX_NAMES];

const OFF: u8 = u8::MAX;

pub(super) const NOWHERE: Progress = [OFF; MAX_NAMES];

impl MemberPath {
    /// As the directive writes it.
    fn text(&self) -> Vec<u8> {
        let names: Vec<&[u8]> = self.steps.iter().map(|step| &*step.name).collect();
        let text = names.join(&b'.');
        match names.len() {
            0 | 1 if !self.is_anywhere => [b".", &*text].concat(),
            _ => text,
        }
    }
}

impl MemberPaths {
    /// The members from the ninth on are left out; the directive has no more.
    pub fn new<'a>(members: impl IntoIterator<Item = &'a Member>) -> Self {
        let path = |member: &Member| match member {
            Member::ByName(name) => MemberPath {
                steps: [PathStep::new(name)].into(),
                is_anywhere: true,
            },
            Member::ByPath(names) => MemberPath {
                steps: names.iter().map(|name| PathStep::new(name)).collect(),
                is_anywhere: false,
            },
        };
        let members = members.into_iter().take(MAX_NAMES);
        let paths: Vec<MemberPath> = members.map(path).collect();
        let steps = paths.iter().flat_map(|path| &path.steps);
        let indices = steps.filter_map(|step| step.index);
        Self {
            has_anywhere: paths.iter().any(|path| path.is_anywhere),
            last_index: indices.max().unwrap_or(0),
            has_text: paths.iter().any(|path| path.steps.is_empty()),
            paths,
        }
    }

    /// Whether a member of this name counts wherever it stands.
    pub fn have(&self, name: &[u8]) -> bool {
        let mut anywhere = self.paths.iter().filter(|path| path.is_anywhere);
        anywhere.any(|path| path.step(0).is_some_and(|step| *step.name == *name))
    }

    /// The member of this index as the directive writes it.
    pub fn text(&self, member: usize) -> Option<Vec<u8>> {
        self.paths.get(member).map(MemberPath::text)
    }

    pub(super) fn is_one(&self) -> bool {
        self.paths.len() == 1
    }

    /// The progress at a whole document.
    pub(super) fn at_document(&self) -> Progress {
        let mut progress = NOWHERE;
        for (progress, path) in progress.iter_mut().zip(&self.paths) {
            if !path.is_anywhere {
                *progress = 0;
            }
        }
        progress
    }

    /// The progress at the member of this name.
    pub(super) fn at_member(&self, around: &Progress, name: &[u8]) -> Progress {
        let mut progress = NOWHERE;
        let paths = self.paths.iter().zip(around);
        for (progress, (path, before)) in progress.iter_mut().zip(paths) {
            let steps = if path.is_anywhere { 0 } else { *before };
            if path.step(steps).is_some_and(|step| *step.name == *name) {
                *progress = steps + 1;
            }
        }
        progress
    }

    /// The progress at the element of this index. A name leads on from an array into the first
    /// objects and arrays in it, if this is one of these.
    pub(super) fn at_element(&self, around: &Progress, element: u32, leads_on: bool) -> Progress {
        let mut progress = NOWHERE;
        // Most elements of a long array.
        if !leads_on && element > self.last_index {
            return progress;
        }
        let paths = self.paths.iter().zip(around);
        for (progress, (path, before)) in progress.iter_mut().zip(paths) {
            *progress = match path.step(*before).map(|step| step.index) {
                Some(Some(index)) if index == element => before + 1,
                Some(None) if leads_on => *before,
                _ => OFF,
            };
        }
        progress
    }

    /// Turns the progress at an object or an array into that within it. Returns whether a path leads
    /// on there, and whether one may by an index.
    pub(super) fn lead_on(&self, progress: &mut Progress) -> (bool, bool) {
        let (mut leads_on, mut has_index) = (false, false);
        for (progress, path) in progress.iter_mut().zip(&self.paths) {
            match path.step(*progress).filter(|_| !path.is_anywhere) {
                None => *progress = OFF,
                Some(step) => {
                    leads_on = true;
                    has_index |= step.index.is_some();
                }
            }
        }
        (leads_on, has_index)
    }

    /// The member to which all steps lead.
    pub(super) fn reached(&self, progress: &Progress) -> Option<usize> {
        let paths = self.paths.iter().zip(progress);
        let mut paths = paths.map(|(path, steps)| usize::from(*steps) == path.steps.len());
        paths.position(|is_reached| is_reached)
    }
}

impl MemberPath {
    fn step(&self, index: u8) -> Option<&PathStep> {
        self.steps.get(usize::from(index))
    }
}

impl PathStep {
    fn new(name: &[u8]) -> Self {
        Self {
            name: name.into(),
            index: index(name),
        }
    }
}

/// The number of a step: without leading zeros, and small enough for any array.
fn index(step: &[u8]) -> Option<u32> {
    let is_number =
        step.iter().all(u8::is_ascii_digit) && (step.len() == 1 || step.first() != Some(&b'0'));
    let digits = is_number
        .then(|| std::str::from_utf8(step).ok())
        .flatten()?;
    digits.parse().ok()
}
