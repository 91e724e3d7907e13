//! Tests for compressed bodies: what a client can decompress is read, the bounds hold, and a broken
//! body does no harm. Without them, no session is learned from backends that compress, or a small
//! body may keep a worker busy.

#[path = "pages/corpus.rs"]
mod corpus;
#[path = "pages/hollow.rs"]
mod hollow;
mod learners;

use std::io::Write;

use corpus::Random;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flate2::Compression;
use learners::{ids_at_any_cut, ids_in, names, site};
use sticky_core::scan::inflate::{Coding, InflatingLearner, MAX_HOLLOW, MAX_RATIO, MAX_UNPACKED};
use sticky_core::scan::text::TextLearner;
use sticky_core::scan::Learner;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Packer {
    Gzip,
    Zlib,
    Raw,
    Brotli,
    Zstd,
}

const PACKERS: [Packer; 5] = [
    Packer::Gzip,
    Packer::Zlib,
    Packer::Raw,
    Packer::Brotli,
    Packer::Zstd,
];

impl Packer {
    fn coding(self) -> Coding {
        match self {
            Packer::Gzip => Coding::Gzip,
            Packer::Zlib | Packer::Raw => Coding::Deflate,
            Packer::Brotli => Coding::Brotli,
            Packer::Zstd => Coding::Zstd,
        }
    }

    /// The parts, compressed in one stream that is flushed behind each of them.
    fn pack_flushed(self, parts: &[&[u8]]) -> Vec<Vec<u8>> {
        fn packed<W: Write>(
            mut writer: W,
            parts: &[&[u8]],
            out: fn(&mut W) -> &mut Vec<u8>,
            finish: fn(W) -> Vec<u8>,
        ) -> Vec<Vec<u8>> {
            let mut pieces = Vec::new();
            for part in parts {
                writer.write_all(part).unwrap();
                writer.flush().unwrap();
                pieces.push(std::mem::take(out(&mut writer)));
            }
            pieces.push(finish(writer));
            pieces
        }
        let best = Compression::best();
        match self {
            Packer::Gzip => packed(
                GzEncoder::new(Vec::new(), best),
                parts,
                |w| w.get_mut(),
                |w| w.finish().unwrap(),
            ),
            Packer::Zlib => packed(
                ZlibEncoder::new(Vec::new(), best),
                parts,
                |w| w.get_mut(),
                |w| w.finish().unwrap(),
            ),
            Packer::Raw => packed(
                DeflateEncoder::new(Vec::new(), best),
                parts,
                |w| w.get_mut(),
                |w| w.finish().unwrap(),
            ),
            Packer::Brotli => packed(
                brotli::CompressorWriter::new(Vec::new(), 4096, 5, 24),
                parts,
                |w| w.get_mut(),
                |w| w.into_inner(),
            ),
            Packer::Zstd => packed(
                Zstd::new(),
                parts,
                |w| &mut w.out,
                |mut w| {
                    w.step(&[], zstd_safe::zstd_sys::ZSTD_EndDirective::ZSTD_e_end);
                    w.out
                },
            ),
        }
    }

    fn pack(self, body: &[u8]) -> Vec<u8> {
        self.pack_flushed(&[body]).concat()
    }

    fn learner(self) -> Box<dyn Learner> {
        learner(self.coding())
    }
}

struct Zstd {
    context: zstd_safe::CCtx<'static>,
    out: Vec<u8>,
}

impl Zstd {
    fn new() -> Self {
        let context = zstd_safe::CCtx::create();
        let out = Vec::new();
        Self { context, out }
    }

    fn step(&mut self, bytes: &[u8], end: zstd_safe::zstd_sys::ZSTD_EndDirective) {
        let mut input = zstd_safe::InBuffer::around(bytes);
        loop {
            let mut buffer = [0; 4096];
            let mut output = zstd_safe::OutBuffer::around(&mut buffer[..]);
            let left = self
                .context
                .compress_stream2(&mut output, &mut input, end)
                .unwrap();
            self.out.extend_from_slice(output.as_slice());
            if left == 0 && input.pos() == bytes.len() {
                return;
            }
        }
    }
}

impl Write for Zstd {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.step(
            bytes,
            zstd_safe::zstd_sys::ZSTD_EndDirective::ZSTD_e_continue,
        );
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.step(&[], zstd_safe::zstd_sys::ZSTD_EndDirective::ZSTD_e_flush);
        Ok(())
    }
}

fn learner(coding: Coding) -> Box<dyn Learner> {
    let text = TextLearner::new(names(&["sid"]), site());
    Box::new(InflatingLearner::new(coding, Box::new(text)))
}

/// Bytes that do not compress well.
fn noise(len: usize) -> Vec<u8> {
    let mut random = Random(len as u64);
    (0..len)
        .map(|_| b"abcdefghijklmnopqrstuvwxyzABCDEF"[random.below(32)])
        .collect()
}

#[test]
fn names_of_codings() {
    for (name, coding) in [
        ("gzip", Some(Coding::Gzip)),
        ("GZIP", Some(Coding::Gzip)),
        (" x-gzip ", Some(Coding::Gzip)),
        ("deflate", Some(Coding::Deflate)),
        ("br", Some(Coding::Brotli)),
        ("zstd", Some(Coding::Zstd)),
        ("gzip, br", None),
        ("compress", None),
        ("", None),
    ] {
        assert_eq!(Coding::named(name.as_bytes()), coding, "{name}");
    }
}

#[test]
fn bodies_are_read_however_they_are_cut() {
    for packer in PACKERS {
        for body in [
            b"<a href='/x?sid=1'> <a href='/x?sid=2'> <p>text</p> <a href='?sid=3'>".to_vec(),
            b"/x?sid=1 /x?sid=2 /x?sid=3".to_vec(),
            [
                &noise(300)[..],
                b" /x?sid=1 /x?sid=2 ",
                &noise(20),
                b" ?sid=3",
            ]
            .concat(),
        ] {
            let ids = ids_at_any_cut(&|| packer.learner(), &packer.pack(&body));
            assert_eq!(ids.join(" "), "1 2 3", "{packer:?}");
        }
        assert!(ids_in(packer.learner(), [&packer.pack(b"")[..]]).is_empty());
    }
}

/// No session is used before it is learned: what the client can decompress has been read.
#[test]
fn what_is_flushed_is_found_at_once() {
    for packer in PACKERS {
        let parts = ["/x?sid=1\n", "data: /x?sid=2 ", "\n\n", "/x?sid=3 "].map(str::as_bytes);
        let pieces = packer.pack_flushed(&parts);
        let mut learner = packer.learner();
        for (piece, expected) in pieces.iter().zip(["1", "2", "", "3", ""]) {
            let mut ids = String::new();
            learner.feed(piece, &mut |id, _| {
                ids.push_str(std::str::from_utf8(id).unwrap());
                true
            });
            assert_eq!(ids, expected, "{packer:?}");
        }
    }
}

#[test]
fn members_and_frames_follow_each_other() {
    for (packer, count) in [
        (Packer::Gzip, "1 2"),
        (Packer::Zstd, "1 2"),
        // These have only one: what follows is ignored.
        (Packer::Zlib, "1"),
        (Packer::Raw, "1"),
        (Packer::Brotli, "1"),
    ] {
        let body = [packer.pack(b"/x?sid=1 "), packer.pack(b"/x?sid=2 ")].concat();
        let ids = ids_at_any_cut(&|| packer.learner(), &body);
        assert_eq!(ids.join(" "), count, "{packer:?}");
    }
}

#[test]
fn an_incomplete_id_is_not_learned() {
    for packer in PACKERS {
        let packed = packer.pack(&[&noise(500)[..], b" /x?sid=abcdefgh"].concat());
        for len in 0..packed.len() {
            let mut learner = packer.learner();
            let mut ids = Vec::new();
            learner.feed(&packed[..len], &mut |id, _| {
                ids.push(id.to_vec());
                true
            });
            learner.end(&mut |id, _| {
                ids.push(id.to_vec());
                true
            });
            // The checksum may be missing, but no part of the text.
            let whole: &[u8] = b"abcdefgh";
            assert!(
                ids.iter().all(|id| id == whole),
                "{packer:?} {len}: {ids:?}"
            );
        }
    }
}

#[test]
fn the_bounds_hold() {
    let limit = MAX_UNPACKED as usize;
    for packer in PACKERS {
        for (distance, ids) in [(limit - 20, "1 2"), (limit + 1, "1")] {
            let far = noise(distance - 10);
            let body = [b" ?sid=1 ", &far[..], b" ?sid=2 "].concat();
            for size in [1000, 10_000, usize::MAX] {
                let packed = packer.pack(&body);
                let pieces = packed.chunks(size.min(packed.len()));
                assert_eq!(
                    ids_in(packer.learner(), pieces).join(" "),
                    ids,
                    "{packer:?} {distance}"
                );
            }
        }
        // A bomb of 20 MB, in pieces or at once.
        let zeros = vec![b' '; 4 << 20];
        let parts: Vec<&[u8]> = std::iter::once(&b" ?sid=1 "[..])
            .chain(std::iter::repeat_n(&zeros[..], 5))
            .chain([&b" ?sid=2 "[..]])
            .collect();
        let bomb = packer.pack_flushed(&parts).concat();
        for size in [100, 4096, usize::MAX] {
            let pieces = bomb.chunks(size.min(bomb.len()));
            assert_eq!(
                ids_in(packer.learner(), pieces).join(" "),
                "1",
                "{packer:?} {size}"
            );
        }
        // Below the limit, but with too high a ratio.
        let body = [b" ?sid=1 ", &zeros[..200_000], b" ?sid=2 "].concat();
        let packed = packer.pack(&body);
        assert!(
            packed.len() < body.len() / MAX_RATIO as usize,
            "{packer:?}: {}",
            packed.len()
        );
        let found = ids_in(packer.learner(), [&packed[..]]);
        assert!(!found.contains(&"2".to_owned()), "{packer:?}: {found:?}");
    }
}

/// Bodies that unpack to little cost much: a code for Huffman tables is a few bytes.
#[test]
fn the_input_is_bounded_too() {
    type Hollow = fn(usize, &[u8]) -> Vec<u8>;
    let bodies: [(Coding, Hollow); 4] = [
        (Coding::Brotli, hollow::brotli),
        (Coding::Deflate, hollow::deflate),
        (Coding::Gzip, hollow::gzip),
        (Coding::Zstd, hollow::zstd),
    ];
    for (coding, hollow) in bodies {
        let bound = MAX_HOLLOW + coding.longest_block();
        for (len, ids) in [(0, "1"), (bound * 3 / 4, "1"), (bound + 20_000, "")] {
            let body = hollow(len as usize, b" ?sid=1 ");
            for size in [1, 100, 4096, usize::MAX] {
                let pieces = body.chunks(size.min(body.len()));
                let found = ids_in(learner(coding), pieces).join(" ");
                assert_eq!(found, ids, "{coding:?}: {len} bytes by {size}");
            }
        }
    }
}

/// No server sends more bytes than its text has; the blocks of zstd come whole.
#[test]
fn what_cannot_be_compressed_is_read() {
    let mut random = Random(5);
    let text: Vec<u8> = (0..200_000)
        .map(|_| b'!' + random.below(94) as u8)
        .collect();
    let text: Vec<u8> = text
        .iter()
        .map(|b| if *b == b'?' { b'-' } else { *b })
        .collect();
    let body = [b" ?sid=1 ", &text[..], b" ?sid=2 "].concat();
    for packer in PACKERS {
        let packed = packer.pack(&body);
        assert!(packed.len() > text.len() / 2, "{packer:?}");
        for size in [1, 1000, usize::MAX] {
            let pieces = packed.chunks(size.min(packed.len()));
            let found = ids_in(packer.learner(), pieces).join(" ");
            assert_eq!(found, "1 2", "{packer:?} by {size}");
        }
        // What follows a body is ignored, and does not undo its end.
        if matches!(packer, Packer::Zlib | Packer::Raw | Packer::Brotli) {
            let body = [packer.pack(b"/x?sid=1"), vec![0; 100_000]].concat();
            let pieces = body.chunks(4096);
            assert_eq!(ids_in(packer.learner(), pieces), ["1"], "{packer:?}");
        }
    }
}

#[test]
fn broken_bodies_do_no_harm() {
    let mut random = Random(3);
    for packer in PACKERS {
        let packed = packer.pack(&[&noise(2000)[..], b" ?sid=1 ", &noise(100)].concat());
        for _ in 0..2000 {
            let mut broken = packed.clone();
            for _ in 0..=random.below(4) {
                let near = 64 + random.below(broken.len());
                let at = random.below(near.min(broken.len()));
                broken[at] = random.next() as u8;
            }
            let size = 1 + random.below(700);
            ids_in(packer.learner(), broken.chunks(size));
        }
        // With another coding, not compressed, or random bytes.
        for other in PACKERS {
            ids_in(learner(other.coding()), [&packed[..]]);
        }
        let plain = b"<a href='?sid=1'>";
        assert!(
            ids_in(packer.learner(), [&plain[..]]).is_empty(),
            "{packer:?}"
        );
        for _ in 0..200 {
            let junk: Vec<u8> = (0..500).map(|_| random.next() as u8).collect();
            ids_in(packer.learner(), [&junk[..]]);
        }
    }
}

/// A window that is too large for HTTP.
#[test]
fn too_large_a_window_is_refused() {
    // Magic number, descriptor without a size, window of 1 GB, a raw block that is the last one.
    let frame = [
        &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0, 0x49, 0x00, 0x00][..],
        b" ?sid=1 x",
    ]
    .concat();
    assert!(ids_in(learner(Coding::Zstd), [&frame[..]]).is_empty());
    // The same with 8 MB.
    let frame = [
        &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x68, 0x49, 0x00, 0x00][..],
        b" ?sid=1 x",
    ]
    .concat();
    assert_eq!(ids_in(learner(Coding::Zstd), [&frame[..]]), ["1"]);
}
