//! Writing a state file.

use std::io::{self, BufWriter, Read, Write};

use super::{
    kind, KeyBefore, SectionHead, SnapshotError, SnapshotHeader, LONGEST_BODY, RECORD_SIZE,
};
use crate::counters::KeptDrain;
use crate::snapshot::SnapshotReader;
use crate::table::{test_points, Fingerprint, PeerId, Word};

/// Writes a file, in pieces.
pub struct SnapshotWriter<W: Write> {
    out: BufWriter<W>,
    /// The section that is being filled.
    kind: u32,
    body: Vec<u8>,
    sections: u64,
}

impl<W: Write> SnapshotWriter<W> {
    /// Begins a file.
    pub fn new(out: W, header: &SnapshotHeader) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(LONGEST_BODY, out);
        out.write_all(&header.bytes())?;
        Ok(Self {
            out,
            kind: kind::END,
            body: Vec::new(),
            sections: 0,
        })
    }

    /// Adds what the number in words means. To be called before the words are added.
    pub fn server(&mut self, number: PeerId, server: Fingerprint) -> io::Result<()> {
        let record = u128::from(number.get()) | server.bits() << SERVER_SHIFT;
        self.record(kind::SERVERS, record)
    }

    /// Adds a session; nothing for an empty word.
    pub fn session(&mut self, word: Word) -> io::Result<()> {
        if word.is_empty() {
            return Ok(());
        }
        self.record(kind::SESSIONS, word.bits())?;
        test_points::at("state: a word written");
        Ok(())
    }

    /// Adds the drain of a server.
    pub fn drain(&mut self, drain: &KeptDrain) -> io::Result<()> {
        // An even number of records fits into a section, so that both are in one.
        for record in drain.records() {
            self.record(kind::DRAINS, record)?;
        }
        Ok(())
    }

    /// Adds the key that the table had before.
    pub fn key_before(&mut self, key: &KeyBefore) -> io::Result<()> {
        let (k0, k1) = key.sip_keys;
        self.record(kind::KEY_BEFORE, u128::from(k0) | u128::from(k1) << 64)?;
        self.record(kind::KEY_BEFORE, u128::from(key.until))
    }

    /// Adds the sections of unknown kinds of another file, which has been checked.
    pub fn keep(&mut self, file: SnapshotReader<impl Read>) -> Result<(), KeepError> {
        self.end_section().map_err(KeepError::Write)?;
        let (out, sections) = (&mut self.out, &mut self.sections);
        file.unknown(|head, body| {
            if let Some(head) = head {
                *sections += 1;
                out.write_all(&head)?;
            }
            out.write_all(body)
        })
    }

    /// Ends the file.
    pub fn finish(mut self) -> io::Result<W> {
        self.end_section()?;
        self.kind = kind::END;
        self.body.extend(self.sections.to_le_bytes());
        self.end_section()?;
        self.out.into_inner().map_err(|error| error.into_error())
    }

    fn record(&mut self, kind: u32, record: u128) -> io::Result<()> {
        if self.kind != kind || self.body.len() > LONGEST_BODY - RECORD_SIZE {
            self.end_section()?;
            self.kind = kind;
        }
        self.body.extend(record.to_le_bytes());
        Ok(())
    }

    fn end_section(&mut self) -> io::Result<()> {
        if self.body.is_empty() {
            return Ok(());
        }
        let length = self.body.len() as u64;
        let mut sum = SectionHead::sum_before_body(self.kind, length);
        sum.update(&self.body);
        let head = SectionHead {
            kind: self.kind,
            sum: sum.finalize(),
            length,
        };
        self.out.write_all(&head.bytes())?;
        self.out.write_all(&self.body)?;
        self.body.clear();
        self.sections += 1;
        Ok(())
    }
}

const PAIRS: usize = LONGEST_BODY / (2 * RECORD_SIZE);
const _: () = assert!(PAIRS * 2 * RECORD_SIZE == LONGEST_BODY);

/// Where the fingerprint begins in the record of a server.
pub(super) const SERVER_SHIFT: u32 = 24;

/// Why sections are not kept.
#[derive(Debug)]
pub enum KeepError {
    /// The other file cannot be read.
    Read(SnapshotError),
    /// The new one cannot be written.
    Write(io::Error),
}
