//! Reading a state file.

use std::io::{self, BufReader, ErrorKind, Read};

use super::write::{KeepError, SERVER_SHIFT};
use super::{
    kind, SectionHead, SnapshotError, SnapshotHeader, HEADER_SIZE, LONGEST_BODY, MAGIC,
    MOST_UNKNOWN, RECORD_SIZE, SECTION_HEAD_SIZE,
};
use crate::counters::KeptDrain;
use crate::table::{Fingerprint, PeerId, Word};

/// One thing in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record {
    /// What the number in words means.
    Server(PeerId, Fingerprint),
    /// A live session, no empty word.
    Session(Word),
    /// A server that gets no new sessions.
    Drain(KeptDrain),
    /// The key that the table had before.
    KeyBefore(KeyBefore),
}

/// The SipHash key that a table had before. Some sessions may be under it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyBefore {
    /// The key.
    pub sip_keys: (u64, u64),
    /// Sessions are looked for under it before this second since 1970.
    pub until: u64,
}

/// A file that is complete and undamaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checked {
    /// What it begins with.
    pub header: SnapshotHeader,
    /// How many sessions are in it.
    pub sessions: u64,
    /// Whether it has sections of unknown kinds.
    pub has_unknown: bool,
}

/// Reads all of a file.
pub fn check(input: impl Read) -> Result<Checked, SnapshotError> {
    let mut reader = SnapshotReader::open(input)?;
    let mut sessions = 0;
    for record in &mut reader {
        sessions += u64::from(matches!(record?, Record::Session(_)));
    }
    Ok(Checked {
        header: reader.header,
        sessions,
        has_unknown: reader.has_unknown,
    })
}

/// What is in a file, until its end or the first error. If [`check`] has not succeeded, that may be
/// anything.
pub struct SnapshotReader<R> {
    input: BufReader<R>,
    header: SnapshotHeader,
    /// The section that is being read, if it is of a known kind, and how far.
    kind: u32,
    body: Vec<u8>,
    at: usize,
    sections: u64,
    has_unknown: bool,
    /// Bytes of sections of unknown kinds so far.
    unknown: u64,
    is_done: bool,
}

impl<R: Read> SnapshotReader<R> {
    /// Reads the header.
    pub fn open(input: R) -> Result<SnapshotReader<R>, SnapshotError> {
        let mut input = BufReader::with_capacity(LONGEST_BODY, input);
        let mut bytes = [0; HEADER_SIZE];
        // One after the other: a short file of another program is not "cut short", and of a newer
        // version only this much is known.
        let (magic, rest) = bytes.split_at_mut(MAGIC.len());
        input.read_exact(magic)?;
        if magic != MAGIC {
            return Err(SnapshotError::Foreign);
        }
        let (version, rest) = rest.split_at_mut(size_of::<u64>());
        input.read_exact(version)?;
        match SnapshotHeader::from_bytes(&bytes_with(magic, version)) {
            Err(error @ (SnapshotError::Version(_) | SnapshotError::Newer(_))) => {
                return Err(error)
            }
            _ => input.read_exact(rest)?,
        }
        Ok(SnapshotReader {
            input,
            header: SnapshotHeader::from_bytes(&bytes)?,
            kind: kind::END,
            body: Vec::new(),
            at: 0,
            sections: 0,
            has_unknown: false,
            unknown: 0,
            is_done: false,
        })
    }

    /// What the file begins with.
    pub fn header(&self) -> &SnapshotHeader {
        &self.header
    }

    fn record(&mut self) -> Result<Option<Record>, SnapshotError> {
        loop {
            let rest = self.body.get(self.at..).unwrap_or_default();
            if let Some(bytes) = rest.first_chunk::<RECORD_SIZE>() {
                self.at += RECORD_SIZE;
                let bits = u128::from_le_bytes(*bytes);
                if matches!(self.kind, kind::DRAINS | kind::KEY_BEFORE) {
                    let second = rest.get(RECORD_SIZE..).and_then(<[u8]>::first_chunk);
                    let second = second.ok_or(SnapshotError::Damaged)?;
                    self.at += RECORD_SIZE;
                    let second = u128::from_le_bytes(*second);
                    return Ok(Some(match self.kind {
                        kind::DRAINS => Record::Drain(KeptDrain::of_records([bits, second])),
                        _ => Record::KeyBefore(KeyBefore {
                            sip_keys: (bits as u64, (bits >> 64) as u64),
                            until: second as u64,
                        }),
                    }));
                }
                return record_of(self.kind, bits).map(Some);
            }
            if !rest.is_empty() {
                return Err(SnapshotError::Damaged);
            }
            if !self.next_section(&mut |_, _| Ok(()))? {
                return Ok(None);
            }
        }
    }

    /// Reads the next section: its body, if its kind is known; else hands it to `unknown` in pieces,
    /// the first with the head of the section. False at the end of the file.
    fn next_section(&mut self, unknown: &mut TakePiece<'_>) -> Result<bool, SnapshotError> {
        let mut bytes = [0; SECTION_HEAD_SIZE];
        self.input.read_exact(&mut bytes)?;
        let head = SectionHead::from_bytes(bytes);
        self.kind = head.kind;
        self.body.clear();
        self.at = 0;
        let mut sum = SectionHead::sum_before_body(head.kind, head.length);
        if matches!(
            head.kind,
            kind::END | kind::SERVERS | kind::SESSIONS | kind::DRAINS | kind::KEY_BEFORE
        ) {
            if head.length > LONGEST_BODY as u64 {
                return Err(SnapshotError::Damaged);
            }
            self.body.resize(head.length as usize, 0);
            self.input.read_exact(&mut self.body)?;
            sum.update(&self.body);
        } else {
            // A sparse file may claim any length.
            self.unknown = self.unknown.saturating_add(head.length);
            if self.unknown > MOST_UNKNOWN {
                return Err(SnapshotError::Damaged);
            }
            self.has_unknown = true;
            unknown(Some(bytes), &[])?;
            let mut left = head.length;
            while left > 0 {
                let piece = left.min(LONGEST_BODY as u64) as usize;
                self.body.resize(piece, 0);
                self.input.read_exact(&mut self.body)?;
                sum.update(&self.body);
                unknown(None, &self.body)?;
                left -= piece as u64;
            }
            self.body.clear();
        }
        if sum.finalize() != head.sum {
            return Err(SnapshotError::Damaged);
        }
        if head.kind == kind::END {
            self.is_done = true;
            return self.end().map(|()| false);
        }
        self.sections += 1;
        Ok(true)
    }

    /// The file ends with the section just read.
    fn end(&mut self) -> Result<(), SnapshotError> {
        if *self.body != self.sections.to_le_bytes() {
            return Err(SnapshotError::Damaged);
        }
        match self.input.read_exact(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(error.into()),
            Ok(()) => Err(SnapshotError::Damaged),
        }
    }

    /// Hands all sections of unknown kinds to `take`, in pieces, the first of each with its head.
    pub(super) fn unknown(
        mut self,
        mut take: impl FnMut(Option<Head>, &[u8]) -> io::Result<()>,
    ) -> Result<(), KeepError> {
        let mut failed = None;
        let mut take = |head: Option<Head>, body: &[u8]| {
            take(head, body).map_err(|error| {
                failed = Some(error);
                io::Error::from(ErrorKind::Other)
            })
        };
        let read = loop {
            match self.next_section(&mut take) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        match (failed, read) {
            (Some(error), _) => Err(KeepError::Write(error)),
            (None, read) => read.map_err(KeepError::Read),
        }
    }
}

/// The bytes that a section begins with.
type Head = [u8; SECTION_HEAD_SIZE];

type TakePiece<'a> = dyn FnMut(Option<Head>, &[u8]) -> io::Result<()> + 'a;

/// A header of which no more is known.
fn bytes_with(magic: &[u8], version: &[u8]) -> [u8; HEADER_SIZE] {
    let mut bytes = [0; HEADER_SIZE];
    for (place, byte) in bytes.iter_mut().zip(magic.iter().chain(version)) {
        *place = *byte;
    }
    bytes
}

fn record_of(kind: u32, bits: u128) -> Result<Record, SnapshotError> {
    let record = match kind {
        kind::SERVERS => {
            let number = PeerId::new(bits as u32);
            let server = Fingerprint::from_bits(bits >> SERVER_SHIFT);
            server
                .filter(|server| u128::from(number.get()) | server.bits() << SERVER_SHIFT == bits)
                .map(|server| Record::Server(number, server))
        }
        kind::SESSIONS => {
            let word = Word::from_bits(bits);
            (!word.is_empty()).then_some(Record::Session(word))
        }
        _ => None,
    };
    record.ok_or(SnapshotError::Damaged)
}

impl<R: Read> Iterator for SnapshotReader<R> {
    type Item = Result<Record, SnapshotError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let record = self.record().transpose();
        self.is_done = !matches!(record, Some(Ok(_)));
        record
    }
}
