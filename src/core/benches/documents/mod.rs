//! The cost of reading JSON, event streams and text: documents of a quarter of a megabyte, in
//! instructions per KB.

use std::fmt::Write;
use std::sync::Arc;

use sticky_core::scan::json::Member;
use sticky_core::scan::json::{JsonLearner, Members};
use sticky_core::scan::sse::SseLearner;
use sticky_core::scan::text::TextLearner;
use sticky_core::scan::Learner;
use sticky_core::url::{Names, Site};

use super::{instructions, learn, PIECE};

const SIZE: usize = 256 * 1024;

/// The documents, and how they are read.
const ROWS: [(&str, Record, Method); 7] = [
    ("json:sid", Record::Compact, Method::ByName),
    ("json:data.sid", Record::Compact, Method::ByPath),
    ("   pretty-printed", Record::Pretty, Method::ByPath),
    ("   long texts", Record::Long, Method::ByPath),
    ("   small members", Record::Small, Method::ByPath),
    ("sse", Record::Event, Method::Events),
    ("text", Record::Line, Method::Text),
];

/// How many of the records have an id.
const IDS: [&str; 3] = ["none", "one", "all"];

#[derive(Clone, Copy, PartialEq)]
enum Record {
    Compact,
    Pretty,
    Long,
    Small,
    Event,
    Line,
}

#[derive(Clone, Copy)]
enum Method {
    ByName,
    ByPath,
    Events,
    Text,
}

/// Prints the table.
pub fn measure() {
    println!(
        "\nDocuments of {} KB, with an id in none, one or all of their records\n",
        SIZE / 1024
    );
    println!(
        "| documents, instructions per KB | {} |\n|---|---:|---:|---:|",
        IDS.join(" | ")
    );
    for (row, (name, ..)) in ROWS.iter().enumerate() {
        let counts = [0, 1, 2].map(|ids| {
            let size = document(row, ids).len() as u64;
            let count = instructions(&["document", &row.to_string(), &ids.to_string()]);
            count.map_or("-".into(), |count| (count * 1024 / size).to_string())
        });
        println!("| {} | {} |", name.trim(), counts.join(" | "));
    }
}

/// The document of a row, with the same id in none, one or all of its records, see [`IDS`].
pub fn document(row: usize, ids: usize) -> Vec<u8> {
    let record = ROWS[row].1;
    let (open, close) = match record {
        Record::Compact | Record::Long | Record::Small => (r#"{"data":["#, "{}]}"),
        Record::Pretty => ("{\n  \"data\": [\n", "    {}\n  ]\n}\n"),
        Record::Event | Record::Line => ("", ""),
    };
    let mut text = String::from(open);
    for i in 0.. {
        if text.len() >= SIZE {
            break;
        }
        let id = match ids == 2 || ids == 1 && i == 0 {
            true => "0123456789abcdef0123456789abcdef",
            false => "",
        };
        write(&mut text, record, i, id);
    }
    text.push_str(close);
    text.into_bytes()
}

fn write(text: &mut String, record: Record, i: u64, id: &str) {
    let member = |space: &str| match id {
        "" => String::new(),
        id => format!("\"sid\":{space}\"{id}\","),
    };
    let written = match record {
        Record::Compact => write!(
            text,
            r#"{{"id":{i},{}"name":"Item {i}","price":{}.25,"tags":["a","b","clothes"],"active":true,"owner":null,"description":"A text of some length that goes on for a while and tells little","url":"https://shop.example/item/{i}","stock":{{"here":true,"count":{i}}}}},"#,
            member(""),
            i % 90,
        ),
        Record::Pretty => write!(
            text,
            "    {{\n      \"id\": {i},\n      {}\"name\": \"Item {i}\",\n      \"tags\": [\n        \"a\",\n        \"clothes\"\n      ],\n      \"active\": true,\n      \"description\": \"A text of some length that goes on for a while and tells little\",\n      \"url\": \"https://shop.example/item/{i}\",\n      \"stock\": {{\n        \"here\": true,\n        \"count\": {i}\n      }}\n    }},\n",
            member(" "),
        ),
        Record::Long => write!(
            text,
            r#"{{"id":{i},{}"text":"{}"}},"#,
            member(""),
            "lorem ipsum dolor sit amet ".repeat(60),
        ),
        Record::Small => write!(
            text,
            r#"{{"id":{i},{}"n":"u{i}","x":{},"ok":true,"t":"a"}},"#,
            member(""),
            i % 7,
        ),
        Record::Event => write!(
            text,
            "event: message\nid: {i}\ndata: {{\"jsonrpc\":\"2.0\",{}\"id\":{i},\"result\":{{\"content\":[{{\"type\":\"text\",\"text\":\"some words of an answer\"}}]}}}}\n\n",
            member(""),
        ),
        Record::Line => writeln!(
            text,
            "The quick brown fox goes to http://shop.example/page?a={i}{} for more of it.",
            if id.is_empty() { String::new() } else { format!("&sid={id}") },
        ),
    };
    written.expect("a String takes everything");
}

/// Reads a document once; returns the number of ids.
pub fn round(row: usize, document: &[u8]) -> usize {
    let names = Arc::new(Names::new(vec![b"sid"[..].into()]));
    let member = match ROWS[row].2 {
        Method::ByPath => Member::ByPath([b"data"[..].into(), b"sid"[..].into()].into()),
        _ => Member::ByName(b"sid"[..].into()),
    };
    let json = || JsonLearner::new(Arc::new(Members::new(&[member])), Arc::clone(&names));
    let text = || TextLearner::new(Arc::clone(&names), Site::new(b"shop.example", &[]));
    let learner: Box<dyn Learner> = match ROWS[row].2 {
        Method::ByName | Method::ByPath => Box::new(json()),
        Method::Events => Box::new(SseLearner::new(text(), json())),
        Method::Text => Box::new(text()),
    };
    let mut count = 0;
    learn(learner, document.chunks(PIECE), &mut count);
    count
}
