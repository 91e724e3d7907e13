//! Writes the directive for ids that are handed out in some places and come back in others.

use super::sample::KnownPlace;
use super::{Kind, Part};
use crate::directive::parse;
use crate::events::Source;

/// The order in which places are named.
const ORDER: [Part; 10] = [
    Part::Cookie,
    Part::Path,
    Part::Query,
    Part::Form,
    Part::Header,
    Part::HeaderParameter,
    Part::Bearer,
    Part::Json,
    Part::Segment,
    Part::Xml,
];

/// Names of members that mean something else elsewhere in a text: only the outermost is meant.
const GENERIC: [&[u8]; 4] = [b"id", b"token", b"key", b"user"];

/// The words of a directive so far.
#[derive(Default)]
struct Words {
    names: Vec<Vec<u8>>,
    from: Vec<String>,
    learn: Vec<String>,
}

/// The directive. `None`: there is none.
pub(super) fn line(out: &[&KnownPlace], back: &[&KnownPlace], is_request: bool) -> Option<String> {
    let mut words = Words::default();
    for part in ORDER {
        for place in back.iter().filter(|place| place.kind.part == part) {
            words.add_back(place);
        }
    }
    // A URL in JSON is looked at where no member has the id itself.
    let is_url = |place: &KnownPlace| is_url_in_json(place.kind);
    for place in out.iter().filter(|place| !is_url(place)) {
        words.add_out(place);
    }
    for place in out.iter().filter(|place| is_url(place)) {
        words.add_out(place);
    }
    if is_request {
        words.learn.push("request".to_owned());
    }
    let line = words.written();
    let inner = line.strip_prefix("sticky ")?.strip_suffix(';')?;
    let all: Vec<&[u8]> = inner.split(' ').map(str::as_bytes).collect();
    parse(&all).is_ok().then_some(line)
}

fn is_url_in_json(kind: Kind) -> bool {
    kind.part != Part::Json && kind.source == Some(Source::Json)
}

impl Words {
    fn add_back(&mut self, place: &KnownPlace) {
        let word = match place.kind.part {
            Part::Query | Part::Form | Part::Cookie | Part::Path => {
                self.add_name(place);
                label(place.kind.part).to_owned()
            }
            Part::Json => self.member(&place.name),
            _ => in_words(place),
        };
        push(&mut self.from, word);
    }

    fn add_out(&mut self, place: &KnownPlace) {
        let Kind { part, source } = place.kind;
        let is_link = matches!(part, Part::Query | Part::Path | Part::Form);
        if is_link || part == Part::Literal {
            self.add_name(place);
        }
        match (part, source) {
            (Part::Cookie, _) => {
                let has_name = self.names.contains(&place.name);
                push(
                    &mut self.learn,
                    match has_name {
                        true => "cookie".to_owned(),
                        false => in_words(place),
                    },
                );
            }
            (Part::Json, source) => {
                let member = self.member(&place.name);
                push(&mut self.learn, member);
                if source == Some(Source::Sse) {
                    push(&mut self.learn, "sse".to_owned());
                }
            }
            (Part::Header | Part::HeaderParameter | Part::Xml, _) => {
                push(&mut self.learn, in_words(place));
            }
            // Of URLs in JSON, segments alone are read.
            (Part::Segment, Some(Source::Json)) => {
                if !self.learn.iter().any(|word| word.starts_with("json")) {
                    push(&mut self.learn, "json".to_owned());
                }
            }
            (_, Some(Source::Json)) | (_, None) => {}
            (_, Some(source)) => push(&mut self.learn, source.name().to_owned()),
        }
    }

    /// In paths, case does not count.
    fn add_name(&mut self, place: &KnownPlace) {
        let is_known = |known: &Vec<u8>| match place.kind.part {
            Part::Path => known.eq_ignore_ascii_case(&place.name),
            _ => *known == place.name,
        };
        if !self.names.iter().any(is_known) {
            self.names.push(place.name.clone());
        }
    }

    /// A member of JSON.
    fn member(&self, path: &[u8]) -> String {
        let text = String::from_utf8_lossy(path);
        match path {
            b"" => "json:.".to_owned(),
            _ if self.names.iter().any(|name| name == path) => "json".to_owned(),
            _ if GENERIC.contains(&path) => format!("json:.{text}"),
            _ => format!("json:{text}"),
        }
    }

    fn written(&self) -> String {
        let mut line = String::from("sticky mode=query");
        for name in &self.names {
            line += &format!(" name={}", String::from_utf8_lossy(name));
        }
        let is_in = |words: &[String], all: &[&str]| words.iter().all(|it| all.contains(&&**it));
        let is_default = is_in(&self.from, &["cookie", "path", "query", "form"])
            && is_in(&self.learn, &["html", "location", "cookie"]);
        let is_cookie = is_in(&self.from, &["cookie"]) && is_in(&self.learn, &["cookie"]);
        if !is_default || is_cookie {
            line += &format!(" from={}", self.from.join(","));
            line += &format!(" learn={}", self.learn.join(","));
        }
        line + ";"
    }
}

fn push(words: &mut Vec<String>, word: String) {
    if !words.contains(&word) {
        words.push(word);
    }
}

fn label(part: Part) -> &'static str {
    match part {
        Part::Query => "query",
        Part::Path => "path",
        Part::Segment => "segment",
        Part::Form => "form",
        Part::Cookie => "cookie",
        Part::Header | Part::HeaderParameter => "header",
        Part::Bearer => "bearer",
        Part::Json => "json",
        Part::Literal => "script",
        Part::Xml => "xml",
    }
}

/// A place as `from=` and `learn=` write it, with its name: `query:sid`, and for what a response
/// has in links, what has the links: `html query:sid`.
pub(super) fn in_words(place: &KnownPlace) -> String {
    let Kind { part, source } = place.kind;
    let mut words = String::new();
    if let (Part::Query | Part::Path | Part::Segment | Part::Form, Some(source)) = (part, source) {
        words = format!("{} ", source.name());
    }
    words += label(part);
    if !place.name.is_empty() {
        words.push(':');
        words += &String::from_utf8_lossy(&match part {
            Part::Header | Part::HeaderParameter => capitals(&place.name),
            _ => place.name.clone(),
        });
    }
    words
}

/// `X-Session-Id`, as headers are mostly written.
fn capitals(name: &[u8]) -> Vec<u8> {
    let mut is_first = true;
    let mut is_behind = false;
    let bytes = name.iter().map(|byte| {
        let written = if is_first && !is_behind {
            byte.to_ascii_uppercase()
        } else {
            *byte
        };
        is_behind |= *byte == b':';
        is_first = *byte == b'-';
        written
    });
    bytes.collect()
}
