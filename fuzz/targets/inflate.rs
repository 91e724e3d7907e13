//! Compressed bodies: the bounds hold for any bytes, and a compressed text is read like the text
//! itself. First byte: the coding; with bit 4 the rest is a text to compress first; with bit 5 it
//! is then damaged. The next four: the pieces.
#![no_main]

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;

use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flate2::Compression;
use libfuzzer_sys::fuzz_target;
use sticky_core::scan::inflate::{Coding, InflatingLearner, MAX_RATIO, MAX_UNPACKED};
use sticky_core::scan::text::TextLearner;
use sticky_core::scan::{Found, Learner};
use sticky_core::url::Names;
use sticky_fuzz::{pieces, site};

/// How much of any body may be decompressed.
const SMALL: usize = 8 * 1024;

fuzz_target!(|input: &[u8]| {
    let Some(([choice, seed @ ..], rest)) = input.split_first_chunk::<5>() else {
        return;
    };
    let seed = u32::from_le_bytes(*seed);
    if choice & 0x10 == 0 {
        read(*choice, rest, seed);
        return;
    }
    let mut packed = pack(*choice, rest);
    if choice & 0x20 != 0 {
        let at = seed as usize % packed.len();
        packed[at] ^= 1 + (seed >> 24) as u8 % 255;
        read(*choice, &packed, seed);
        return;
    }
    let (found, plain) = (
        read(*choice, &packed, seed),
        pieces::new_ids(&[rest], text()),
    );
    assert!(plain.starts_with(&found));
    if rest.len() <= SMALL {
        assert_eq!(pieces::shown(&found), pieces::shown(&plain));
        let cut = pieces::ids(&packed, seed, || {
            InflatingLearner::new(coding(*choice), Box::new(text()))
        });
        assert_eq!(cut, plain);
    }
});

fn coding(choice: u8) -> Coding {
    match choice & 0x07 {
        0 | 5 => Coding::Gzip,
        1 | 2 | 6 => Coding::Deflate,
        3 => Coding::Brotli,
        _ => Coding::Zstd,
    }
}

fn text() -> TextLearner {
    TextLearner::new(Arc::new(Names::new(vec![b"sid"[..].into()])), site())
}

/// The ids in a compressed body. In pieces, a bound may be reached earlier than in the whole body,
/// and more may be read before the damage of a broken one. The ids are the same up to there.
fn read(choice: u8, packed: &[u8], seed: u32) -> Vec<Vec<u8>> {
    fn inflating<L: Learner>(choice: u8, learner: L) -> InflatingLearner<L> {
        InflatingLearner::new(coding(choice), learner)
    }
    let whole = pieces::new_ids(&[packed], inflating(choice, text()));
    for cut in pieces::cuts(packed, seed) {
        let ids = pieces::new_ids(&cut, inflating(choice, text()));
        let is_prefix = whole.starts_with(&ids) || ids.starts_with(&whole);
        assert!(is_prefix, "{:?}", pieces::shown(&ids));

        let unpacked = Rc::new(Cell::new(0));
        let counting = Counting(Rc::clone(&unpacked));
        pieces::read(&cut, inflating(choice, counting));
        assert!(
            unpacked.get() <= MAX_UNPACKED.min((MAX_RATIO * packed.len() as u64).max(SMALL as u64))
        );
    }
    whole
}

fn pack(choice: u8, plain: &[u8]) -> Vec<u8> {
    fn written<W: Write>(mut writer: W, plain: &[u8]) -> W {
        // Writing to a vector cannot fail.
        let _ = writer.write_all(plain);
        writer
    }
    let level = Compression::new(u32::from(choice >> 6) * 3);
    match choice & 0x07 {
        0 => written(GzEncoder::new(Vec::new(), level), plain)
            .finish()
            .expect("a vector"),
        1 => written(ZlibEncoder::new(Vec::new(), level), plain)
            .finish()
            .expect("a vector"),
        2 => written(DeflateEncoder::new(Vec::new(), level), plain)
            .finish()
            .expect("a vector"),
        3 => {
            let quality = u32::from(choice >> 6);
            written(
                brotli::CompressorWriter::new(Vec::new(), 4096, quality, 18),
                plain,
            )
            .into_inner()
        }
        4 | 7 => zstd(plain),
        // Several members.
        5 => {
            let (one, two) = plain.split_at(plain.len() / 2);
            [pack(0, one), pack(0, two)].concat()
        }
        _ => pack(1, plain),
    }
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    let mut packed = vec![0; zstd_safe::compress_bound(plain.len())];
    let len = zstd_safe::compress(&mut packed[..], plain, 1).expect("there is room");
    packed.truncate(len);
    packed
}

/// Counts the bytes that it gets.
struct Counting(Rc<Cell<u64>>);

impl Learner for Counting {
    fn feed(&mut self, piece: &[u8], _: &mut Found<'_>) {
        self.0.set(self.0.get() + piece.len() as u64);
    }

    fn end(&mut self, _: &mut Found<'_>) {}
}
