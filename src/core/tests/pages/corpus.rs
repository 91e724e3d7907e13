//! The pages for the tests: ours in this folder, and those under STICKY_PAGES. And the ids that a
//! test puts into the links of a page, as an application would.

#![allow(dead_code)] // Each test uses a part of it.

use std::path::{Path, PathBuf};

pub struct Page {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// The pages in this folder, sorted by name.
pub fn committed() -> Vec<Page> {
    let pages = pages_under(Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/pages"
    )));
    assert!(pages.len() >= 10, "our own pages are missing");
    pages
}

/// All `.html` and `.htm` files under the folder STICKY_PAGES; none if it is not set.
pub fn unpacked() -> Vec<Page> {
    match std::env::var_os("STICKY_PAGES") {
        Some(folder) => {
            let pages = pages_under(Path::new(&folder));
            assert!(
                !pages.is_empty(),
                "no pages under STICKY_PAGES={}",
                Path::new(&folder).display()
            );
            pages
        }
        None => {
            println!("STICKY_PAGES is not set: only the committed pages ran");
            Vec::new()
        }
    }
}

fn pages_under(folder: &Path) -> Vec<Page> {
    let mut files = Vec::new();
    collect(folder, &mut files);
    files.sort();
    let read = |file: PathBuf| {
        let bytes = std::fs::read(&file).ok()?;
        Some(Page {
            name: file.display().to_string(),
            bytes,
        })
    };
    files.into_iter().filter_map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_page = path
            .extension()
            .is_some_and(|ext| ext == "html" || ext == "htm");
        if path.is_symlink() {
            continue;
        } else if path.is_dir() {
            collect(&path, files);
        } else if is_page {
            files.push(path);
        }
    }
}

/// SplitMix64: the same numbers on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// The page with another id in each `href` and `action`, in one of the many ways in which
/// applications write it, and the number of ids.
pub fn with_ids(page: &[u8], random: &mut Random) -> (Vec<u8>, usize) {
    rewritten(page, |count, link| {
        let separator = match link.contains(&b'?') {
            true => random.pick(&["&amp;", "&", "&#38;", "&#x26;", ";"]),
            false => "?",
        };
        let name = random.pick(&["", "", "a=1&amp;", "xsid=2&"]);
        let id = format!(
            "z{count}{}",
            random.pick(&["k", "%41b", "&#67;d", "-0f3a9c8d77e1b2"])
        );
        let tail = random.pick(&["", "", "&b=2", "&amp;sidebar=1"]);
        format!("{separator}{name}sid={id}{tail}")
    })
}

/// The page with one id of 32 hex digits in each `href` and `action`, as PHP puts it there.
pub fn with_one_id(page: &[u8], random: &mut Random) -> (Vec<u8>, usize) {
    let id = format!("{:016x}{:016x}", random.next(), random.next());
    rewritten(page, |_, link| {
        let separator = if link.contains(&b'?') { "&amp;" } else { "?" };
        format!("{separator}sid={id}")
    })
}

fn rewritten(page: &[u8], mut parameter: impl FnMut(usize, &[u8]) -> String) -> (Vec<u8>, usize) {
    let mut out = Vec::with_capacity(page.len() * 2);
    let mut count = 0;
    let mut at = 0;
    while at < page.len() {
        let rest = &page[at..];
        let attribute = [&b"href="[..], b"action="].into_iter().find(|name| {
            rest.get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
        });
        let Some(attribute) = attribute else {
            out.push(page[at]);
            at += 1;
            continue;
        };
        let mut from = attribute.len();
        let quote = rest
            .get(from)
            .copied()
            .filter(|b| *b == b'"' || *b == b'\'');
        from += usize::from(quote.is_some());
        let ends = |b: &u8| match quote {
            Some(quote) => *b == quote,
            None => b.is_ascii_whitespace() || *b == b'>',
        };
        let value = rest.get(from..).unwrap_or_default();
        let value = &value[..value.iter().position(ends).unwrap_or(value.len())];
        let (link, fragment) =
            value.split_at(value.iter().position(|b| *b == b'#').unwrap_or(value.len()));
        out.extend_from_slice(&rest[..from]);
        out.extend_from_slice(link);
        // Not in a link that is cut by a reference such as "&#38;", and not outside of tags.
        if !link.ends_with(b"&") && !value.starts_with(b"\\") && !value.contains(&b'<') {
            out.extend_from_slice(parameter(count, link).as_bytes());
            count += 1;
        }
        out.extend_from_slice(fragment);
        at += from + value.len();
    }
    (out, count)
}
