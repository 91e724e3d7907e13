//! Random changes of an input.

use super::input::Input;

/// The longest text that is repeated, and that stands before it.
const MAX_TEXT: usize = 400;

const PIECES: [usize; 9] = [1, 3, 16, 64, 100, 512, 1500, 4096, 16384];

const NAMES: [&[&str]; 6] = [
    &["sid"],
    &["$sid"],
    &["(S)"],
    &["sid", "(S)"],
    &[
        "sid",
        "PHPSESSID",
        "jsessionid",
        "s",
        "token",
        "osCsid",
        "id",
        "session_id",
    ],
    &["x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7"],
];

/// What texts are made of; `NAME` is one of the names.
const WORDS: [&str; 60] = [
    "NAME",
    "NAME",
    "?NAME=",
    "&NAME=",
    ";NAME=",
    "NAME=",
    "&amp;NAME=",
    "\"NAME\"",
    "\"NAME\":",
    "\"NAME\":\"a\"",
    "(S(",
    "S(",
    ")",
    "/",
    "?",
    "&",
    "&amp;",
    "&quot;",
    "&#38;",
    "&#x26",
    ";",
    "=",
    "\"",
    "'",
    "`",
    "<",
    ">",
    " ",
    "\t",
    "\r",
    "\n",
    "\r\n",
    "\n\n",
    "<a ",
    "<a href=",
    "<a href=\"",
    "<a x='",
    "<b",
    "<input name=",
    "<input name=NAME value=",
    "<form action=",
    "<base href=",
    "<script>",
    "</script>",
    "<script type=application/json>",
    "<meta content=\"0;url=",
    "\\",
    "\\\\",
    "\\\"",
    "\\u0026",
    "\\u0073",
    "\\x26",
    "{",
    "}",
    "[",
    "]",
    "data:",
    "{\"data\":{",
    ",",
    "%73",
];

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// The input with one to three changes; `other` is another one that is known.
pub fn changed(input: &Input, other: &Input, random: &mut Random) -> Input {
    let mut input = input.clone();
    for _ in 0..=random.below(3) {
        match random.below(12) {
            0 => input.piece = random.pick(&PIECES),
            1 => {
                let names = random.pick(&NAMES);
                let texts = [&mut input.first, &mut input.then];
                for text in texts {
                    *text = renamed(text, &input.names, names, random);
                }
                input.names = names.iter().map(|name| name.to_string()).collect();
            }
            2 => input.parts = random.pick(&["query", "path"]).into(),
            3 => input.first = other.first.clone(),
            4 => splice(&mut input.then, &other.then, random),
            5 => {
                let mut first = std::mem::take(&mut input.first);
                edit(&mut first, &input.names, random);
                input.first = first;
            }
            _ => {
                let mut then = std::mem::take(&mut input.then);
                edit(&mut then, &input.names, random);
                input.then = then;
            }
        }
    }
    if input.then.is_empty() {
        input.then = b"sid=".to_vec();
    }
    input.first.truncate(MAX_TEXT);
    input.then.truncate(MAX_TEXT);
    input
}

/// The text with other names.
fn renamed(text: &[u8], old: &[String], new: &[&str], random: &mut Random) -> Vec<u8> {
    let mut text = text.to_vec();
    for name in old {
        let name = name.as_bytes();
        let mut at = 0;
        while let Some(found) = memchr::memmem::find(&text[at..], name) {
            let with = random.pick(new).as_bytes();
            text.splice(at + found..at + found + name.len(), with.iter().copied());
            at += found + with.len();
        }
    }
    text
}

/// Puts a part of another text in.
fn splice(text: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let from = random.below(other.len());
    let to = from + random.below(other.len() - from + 1);
    let at = random.below(text.len() + 1);
    text.splice(at..at, other[from..to].iter().copied());
}

fn edit(text: &mut Vec<u8>, names: &[String], random: &mut Random) {
    let at = random.below(text.len() + 1);
    let len = random.below(6).min(text.len() - at);
    match random.below(8) {
        0 => drop(text.drain(at..at + len)),
        1 | 2 => {
            // Once more, or many times.
            let part = text[at..at + len].to_vec();
            let times = random.pick(&[1, 1, 3, 30, 100]);
            text.splice(at..at, part.repeat(times));
        }
        3 => {
            let part: Vec<u8> = text.drain(at..at + len).collect();
            let to = random.below(text.len() + 1);
            text.splice(to..to, part);
        }
        kind => {
            let name = &names[random.below(names.len())];
            let word = random.pick(&WORDS).replace("NAME", name);
            let end = if kind == 4 { at + len } else { at };
            text.splice(at..end, word.into_bytes());
        }
    }
}
