//! Where the names of ids stand in a piece of a stream, so that events without them are skipped.

use crate::scan::json::Members;
use crate::scan::search::matches::{Match, Matches};
use crate::scan::text::{is_in_word, is_word_behind};
use crate::url::{Name, Names};

const FIRST: Match = Match { end: 0, needle: 0 };

/// What may be an id.
#[derive(Clone, Copy)]
pub(super) enum Named {
    /// The name of a parameter ends there.
    InUrl(usize),
    /// The name of a member does, or an escape.
    Member(Match),
}

impl Named {
    pub(super) fn end(self) -> usize {
        match self {
            Self::InUrl(end) => end,
            Self::Member(name) => name.end,
        }
    }
}

/// The names in one piece, in the order of their ends.
pub(super) struct NamedIn<'a> {
    piece: &'a [u8],
    names: &'a Names,
    members: &'a Members,
    /// No needle of them is another one than a name of parameters.
    are_parameters: bool,
    in_text: Matches<'a, Names>,
    in_json: InJson<'a>,
    next_in_text: Option<Named>,
    next: Option<Named>,
}

/// How the names of members are found.
enum InJson<'a> {
    /// They are those of parameters, and are found with them. Where the next escape is, which may be part
    /// of one.
    WithNames(Option<Match>),
    Apart(Box<Matches<'a, Members>>, Option<Match>),
}

impl<'a> NamedIn<'a> {
    pub(super) fn new(piece: &'a [u8], names: &'a Names, members: &'a Members) -> Self {
        let in_json = match members.are_named_as(|name| has_parameter(names, name)) {
            true => InJson::WithNames(members.escape_behind(piece, 0)),
            false => {
                let mut matches = Box::new(Matches::new(members, piece, FIRST));
                let next = matches.next(piece);
                InJson::Apart(matches, next)
            }
        };
        let mut needles = (0..).map_while(|index| names.nth(index));
        let mut named = Self {
            piece,
            names,
            members,
            are_parameters: needles.all(Name::is_parameter),
            in_text: Matches::new(names, piece, FIRST),
            in_json,
            next_in_text: None,
            next: None,
        };
        named.next_in_text = named.search_text();
        named.advance();
        named
    }

    /// Where the first name ends that ends behind `at`.
    #[inline]
    pub(super) fn first_behind(&mut self, at: usize) -> usize {
        while self.next.is_some_and(|next| next.end() <= at) {
            self.advance();
        }
        self.next.map_or(usize::MAX, Named::end)
    }

    /// The next one, if it ends up to `end`.
    #[inline]
    pub(super) fn take_up_to(&mut self, end: usize) -> Option<Named> {
        let next = self.next.filter(|next| next.end() <= end)?;
        self.advance();
        Some(next)
    }

    fn advance(&mut self) {
        let member = match &self.in_json {
            InJson::WithNames(next) | InJson::Apart(_, next) => *next,
        };
        let is_member_first = match (self.next_in_text, member) {
            (Some(in_text), Some(member)) => member.end < in_text.end(),
            (in_text, _) => in_text.is_none(),
        };
        if !is_member_first {
            self.next = self.next_in_text;
            self.next_in_text = self.search_text();
            return;
        }
        self.next = member.map(Named::Member);
        match &mut self.in_json {
            InJson::WithNames(next) => {
                *next = next.and_then(|last| self.members.escape_behind(self.piece, last.end));
            }
            InJson::Apart(matches, next) => *next = matches.next(self.piece),
        }
    }

    fn search_text(&mut self) -> Option<Named> {
        loop {
            let name = self.in_text.next(self.piece)?;
            let is_quoted = self.piece.get(name.end) == Some(&b'"');
            if is_quoted && matches!(self.in_json, InJson::WithNames(_)) {
                if let Some(member) = self.quoted(name) {
                    return Some(Named::Member(member));
                }
            }
            let is_in_word = match self.are_parameters {
                true => is_word_behind(self.piece, name),
                false => is_in_word(self.names, self.piece, name),
            };
            if !is_in_word {
                return Some(Named::InUrl(name.end));
            }
        }
    }

    /// The member that has this name, if a quote stands before it.
    #[inline]
    fn quoted(&self, name: Match) -> Option<Match> {
        let bytes = &*self.names.nth(name.needle)?.bytes;
        let before = name.end.checked_sub(bytes.len() + 1)?;
        let needle = self.members.named(bytes)?;
        (self.piece.get(before) == Some(&b'"')).then_some(Match {
            end: name.end + 1,
            needle,
        })
    }
}

/// Whether texts are searched for this name as a whole.
fn has_parameter(names: &Names, name: &[u8]) -> bool {
    let mut needles = (0..).map_while(|index| names.nth(index));
    needles
        .any(|needle| needle.is_parameter() && is_searched_whole(needle) && *needle.bytes == *name)
}

fn is_searched_whole(name: &Name) -> bool {
    name.literal.needle() == &*name.bytes
}
