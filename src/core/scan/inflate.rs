//! Reads compressed bodies: a copy of the body is decompressed for a learner, while the client gets
//! the bytes as they are.
//!
//! An id is found as soon as the client could decompress it: each piece is decompressed as far as
//! possible before it is passed on. Three bounds hold: [`MAX_UNPACKED`], [`MAX_RATIO`] and
//! [`MAX_HOLLOW`]. A body that exceeds one of them, or is broken, is not read any further. From a
//! body that ends too early, the complete ids are learned, but not one that is cut.
//!
//! A single coding is supported, not one upon another (`gzip, br`). Several gzip members or zstd
//! frames in a row are one body. `deflate` is zlib, as it should be (RFC 9110, 8.4.1.2), or without
//! its header, as some servers send it. Windows are as large as HTTP allows: 32 KB for gzip and
//! deflate, 16 MB for br (RFC 7932), 8 MB for zstd (RFC 9659). No more than [`MAX_UNPACKED`] of a
//! window is ever written to, because no more is decompressed.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use super::{Found, Learner};
use crate::events::BodyEnd;

/// How much of one body is decompressed at most, in bytes.
pub const MAX_UNPACKED: u64 = 256 * 1024;

/// How many times as large as the compressed bytes so far the decompressed ones may be, beyond the
/// first 8 KB.
pub const MAX_RATIO: u64 = 100;

/// How many compressed bytes are read beyond twice the text that they have become: tables for
/// decoding cost much more time than text does, and a body may have nothing else. Real bodies are
/// shorter than their text. A [block](Coding::longest_block) comes on top.
pub const MAX_HOLLOW: u64 = 16 * 1024;

/// How much is decompressed at a time, in bytes.
const STEP: usize = 8 * 1024;

/// How many compressed bytes are read at a time, or the bound would be looked at too late.
const STEP_IN: usize = 4 * 1024;

/// The binary logarithm of the window size of gzip.
const WINDOW_BITS: u8 = 15;

/// The same for the largest window of zstd.
const ZSTD_WINDOW: u32 = 23;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, or 1951 alone.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    /// The coding of a Content-Encoding. `None`: it cannot be decompressed.
    pub fn named(encoding: &[u8]) -> Option<Self> {
        const NAMES: [(&[u8], Coding); 5] = [
            (b"gzip", Coding::Gzip),
            (b"x-gzip", Coding::Gzip),
            (b"deflate", Coding::Deflate),
            (b"br", Coding::Brotli),
            (b"zstd", Coding::Zstd),
        ];
        let encoding = encoding.trim_ascii();
        let found = NAMES
            .iter()
            .find(|(name, _)| encoding.eq_ignore_ascii_case(name));
        found.map(|(_, coding)| *coding)
    }

    /// The most bytes from which no text comes yet, because their block is not complete. Only zstd
    /// waits for that (RFC 8878, 3.1.1.2.4).
    #[doc(hidden)]
    pub fn longest_block(self) -> u64 {
        match self {
            Coding::Gzip | Coding::Deflate | Coding::Brotli => 0,
            Coding::Zstd => 128 * 1024,
        }
    }
}

/// Decompresses one body for a learner.
pub struct InflatingLearner<L> {
    learner: L,
    /// `None`: nothing more is read.
    decoder: Option<Decoder>,
    /// What is decompressed, [`STEP`] bytes at a time.
    buffer: Box<[u8]>,
    compressed: u64,
    /// How many of them the decoder has read.
    read: u64,
    unpacked: u64,
    /// How many may be read beyond twice that.
    hollow: u64,
    /// The bytes so far are a whole body.
    is_complete: bool,
    has_given_up: bool,
    /// It was decompressed as far as bodies are.
    is_cut: bool,
}

impl<L: Learner> InflatingLearner<L> {
    /// A learner for one response. No id is learned if there is no memory for the decoder.
    pub fn new(coding: Coding, learner: L) -> Self {
        let decoder = Decoder::new(coding);
        Self {
            learner,
            has_given_up: decoder.is_none(),
            decoder,
            buffer: vec![0; STEP].into(),
            compressed: 0,
            read: 0,
            unpacked: 0,
            hollow: MAX_HOLLOW + coding.longest_block(),
            is_complete: false,
            is_cut: false,
        }
    }

    /// What gets the text.
    pub fn learner(&self) -> &L {
        &self.learner
    }

    /// How many of the compressed bytes were read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.read
    }

    /// Why the text so far is not whole. `None`: it is.
    pub(super) fn stopped(&self) -> Option<BodyEnd> {
        match (self.has_given_up, self.is_cut) {
            (true, true) => Some(BodyEnd::Cut),
            (true, false) => Some(BodyEnd::GivenUp),
            (false, _) => {
                let is_broken_off = !self.is_complete && self.compressed > 0;
                is_broken_off.then_some(BodyEnd::Ended)
            }
        }
    }

    fn give_up(&mut self) {
        self.decoder = None;
        self.has_given_up = true;
    }

    /// How much may still be decompressed of the bytes so far.
    fn allowed(&self) -> u64 {
        // A short body is read in whatever pieces it comes.
        let allowed = self
            .compressed
            .saturating_mul(MAX_RATIO)
            .max(STEP as u64)
            .min(MAX_UNPACKED);
        allowed.saturating_sub(self.unpacked)
    }
}

impl<L: Learner> InflatingLearner<L> {
    /// Reads on as long as it may, as [`BodyLearner::feed_while`](super::body::BodyLearner::feed_while)
    /// does.
    pub fn feed_while(
        &mut self,
        piece: &[u8],
        may_read: &mut dyn FnMut(usize) -> bool,
        found: &mut Found<'_>,
    ) -> Option<usize> {
        let mut rest = piece;
        self.compressed += piece.len() as u64;
        while let Some(decoder) = &mut self.decoder {
            if !may_read(STEP) {
                self.compressed -= rest.len() as u64;
                return Some(piece.len() - rest.len());
            }
            let input = rest.get(..STEP_IN).unwrap_or(rest);
            let Some(Unpacked {
                read,
                written,
                is_end,
            }) = decoder.unpack(input, &mut self.buffer)
            else {
                self.give_up();
                break;
            };
            self.read += read as u64;
            if written as u64 > self.allowed() {
                self.is_cut = self.unpacked + written as u64 > MAX_UNPACKED;
                self.give_up();
                break;
            }
            rest = rest.get(read..).unwrap_or_default();
            self.unpacked += written as u64;
            if read + written > 0 {
                self.is_complete = is_end;
            }
            self.learner
                .feed(self.buffer.get(..written).unwrap_or_default(), found);
            if self.read > 2 * self.unpacked + self.hollow {
                self.give_up();
                break;
            }
            // A buffer that is not full holds all that could be decompressed.
            if rest.is_empty() && written < STEP || read + written == 0 {
                break;
            }
        }
        None
    }
}

impl<L: Learner> Learner for InflatingLearner<L> {
    fn feed(&mut self, piece: &[u8], found: &mut Found<'_>) {
        let read = self.feed_while(piece, &mut |_| true, found);
        debug_assert_eq!(read, None, "it may read all");
    }

    fn end(&mut self, found: &mut Found<'_>) {
        if self.decoder.take().is_some() && self.is_complete {
            self.learner.end(found);
        }
    }

    fn has_given_up(&self) -> bool {
        self.has_given_up || self.learner.has_given_up()
    }
}

/// One step of decompression.
#[derive(Default)]
struct Unpacked {
    read: usize,
    written: usize,
    /// The bytes so far are a whole body.
    is_end: bool,
}

enum Decoder {
    /// `None`: between two members.
    Gzip(Option<Decompress>),
    /// The first byte, which alone does not tell whether there is a header.
    Deflate(Option<u8>),
    /// The same, once that is known.
    Inflate(Decompress),
    Brotli(Box<Brotli>),
    Zstd(DCtx<'static>),
    /// Behind the end of a body.
    Done,
}

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

impl Decoder {
    fn new(coding: Coding) -> Option<Self> {
        Some(match coding {
            Coding::Gzip => Self::Gzip(None),
            Coding::Deflate => Self::Deflate(None),
            Coding::Brotli => {
                let alloc = StandardAlloc::default;
                // Strict: no windows beyond RFC 7932.
                Self::Brotli(Box::new(Brotli::new_strict(alloc(), alloc(), alloc())))
            }
            Coding::Zstd => {
                let mut context = DCtx::try_create()?;
                let window = DParameter::WindowLogMax(ZSTD_WINDOW);
                context.set_parameter(window).ok()?;
                Self::Zstd(context)
            }
        })
    }

    /// Decompresses as much as fits. `None`: the body is broken.
    fn unpack(&mut self, input: &[u8], output: &mut [u8]) -> Option<Unpacked> {
        match self {
            Self::Gzip(member) => {
                if input.is_empty() && member.is_none() {
                    return Some(Unpacked::default());
                }
                let decompress = member.get_or_insert_with(|| Decompress::new_gzip(WINDOW_BITS));
                let unpacked = inflate(decompress, input, output)?;
                if unpacked.is_end {
                    *member = None;
                }
                Some(unpacked)
            }
            Self::Deflate(first) => match (*first, input.first()) {
                (_, None) => Some(Unpacked::default()),
                (None, Some(byte)) => {
                    *first = Some(*byte);
                    Some(Unpacked {
                        read: 1,
                        ..Unpacked::default()
                    })
                }
                (Some(first), Some(second)) => {
                    let mut decompress = Decompress::new(is_zlib(first, *second));
                    inflate(&mut decompress, &[first], &mut [])?;
                    *self = Self::Inflate(decompress);
                    self.unpack(input, output)
                }
            },
            Self::Inflate(decompress) => {
                let unpacked = inflate(decompress, input, output)?;
                if unpacked.is_end {
                    *self = Self::Done;
                }
                Some(unpacked)
            }
            Self::Brotli(state) => {
                let (mut left, mut read) = (input.len(), 0);
                let (mut room, mut written) = (output.len(), 0);
                let result = BrotliDecompressStream(
                    &mut left,
                    &mut read,
                    input,
                    &mut room,
                    &mut written,
                    output,
                    &mut 0,
                    state,
                );
                let is_end = matches!(result, BrotliResult::ResultSuccess);
                if is_end {
                    *self = Self::Done;
                }
                let is_broken = matches!(result, BrotliResult::ResultFailure);
                (!is_broken).then_some(Unpacked {
                    read,
                    written,
                    is_end,
                })
            }
            Self::Zstd(context) => {
                let mut input = InBuffer::around(input);
                let mut output = OutBuffer::around(output);
                let left = context.decompress_stream(&mut output, &mut input).ok()?;
                Some(Unpacked {
                    read: input.pos(),
                    written: output.pos(),
                    is_end: left == 0,
                })
            }
            // What follows the body is ignored.
            Self::Done => Some(Unpacked::default()),
        }
    }
}

fn inflate(decompress: &mut Decompress, input: &[u8], output: &mut [u8]) -> Option<Unpacked> {
    let (read, written) = (decompress.total_in(), decompress.total_out());
    let flush = FlushDecompress::None;
    let status = decompress.decompress(input, output, flush).ok()?;
    Some(Unpacked {
        read: usize::try_from(decompress.total_in() - read).ok()?,
        written: usize::try_from(decompress.total_out() - written).ok()?,
        is_end: status == Status::StreamEnd,
    })
}

/// Whether these two bytes begin a zlib header without a preset dictionary (RFC 1950, 2.2).
fn is_zlib(cmf: u8, flg: u8) -> bool {
    let is_checked = u16::from_be_bytes([cmf, flg]).is_multiple_of(31);
    cmf & 0x0f == 8 && cmf >> 4 <= 7 && flg & 0x20 == 0 && is_checked
}
