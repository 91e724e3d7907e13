//! The buffers of a body that a filter replaces by its own.
//!
//! A buffer is consumed when what stands for it is sent, as ngx_http_sub_filter does it: to leave
//! buffers unconsumed is the only way to tell nginx that more cannot be sent now, and then it stops
//! reading the response.

use std::collections::VecDeque;
use std::ptr::NonNull;

use super::{sys, Buffer, Chain, Marks};

/// The buffers of a body that have come and are not consumed yet.
#[derive(Default)]
pub struct Input {
    waiting: VecDeque<Waiting>,
    /// So many of them were read to their ends.
    read: usize,
    /// Bytes that were read of the one after these.
    position: usize,
    /// Bytes of the piece that is being read.
    piece: usize,
}

/// A buffer that is not consumed yet.
struct Waiting {
    /// `None`: it has no bytes. Its owner may use it again at once then, so that only its marks were
    /// kept.
    buf: Option<NonNull<sys::ngx_buf_t>>,
    marks: Marks,
    /// Once it was read: what stands for it is sent when so many bytes are.
    until: u64,
}

/// A piece of a body.
pub struct Piece<'i> {
    /// Its bytes, perhaps none.
    pub bytes: &'i [u8],
    /// If it is the last of a buffer: what that says besides.
    pub marks: Option<Marks>,
}

impl Input {
    /// Appends the buffers of a chain. The chain itself is not kept.
    pub fn add(&mut self, chain: Chain<'_>) {
        self.waiting.extend(chain.buffers().map(|buffer| {
            Waiting {
                buf: buffer
                    .bytes()
                    .is_some_and(|bytes| !bytes.is_empty())
                    .then_some(buffer.0),
                marks: buffer.marks(),
                until: 0,
            }
        }));
    }

    /// The next piece, of at most `size` bytes. It comes again until [`Input::advance`] was called.
    pub fn piece(&mut self, size: usize) -> Option<Piece<'_>> {
        let waiting = self.waiting.get(self.read)?;
        let bytes = waiting.bytes().get(self.position..).unwrap_or_default();
        let (now, later) = bytes.split_at_checked(size).unwrap_or((bytes, &[]));
        self.piece = now.len();
        Some(Piece {
            bytes: now,
            marks: later.is_empty().then_some(waiting.marks),
        })
    }

    /// Goes on behind the piece. What stands for all pieces up to it is sent when `until` bytes are.
    pub fn advance(&mut self, until: u64) {
        let Some(waiting) = self.waiting.get_mut(self.read) else {
            return;
        };
        self.position += std::mem::take(&mut self.piece);
        if self.position >= waiting.bytes().len() {
            waiting.until = until;
            self.read += 1;
            self.position = 0;
        }
    }

    /// Consumes the buffers whose replacement is sent, now that so many bytes are.
    pub fn consume(&mut self, sent: u64) {
        while self.read > 0 && self.waiting.front().is_some_and(|one| one.until <= sent) {
            if let Some(waiting) = self.waiting.pop_front() {
                waiting.consume();
                self.read -= 1;
            }
        }
    }

    /// Whether something has not been read.
    pub fn has_unread(&self) -> bool {
        self.waiting.len() > self.read
    }

    /// Whether the owner of a buffer waits for it, to use it again.
    pub fn is_wanted_back(&self) -> bool {
        self.waiting.iter().any(Waiting::is_recycled)
    }
}

impl Waiting {
    fn bytes(&self) -> &[u8] {
        self.buffer().and_then(Buffer::bytes).unwrap_or_default()
    }

    fn is_recycled(&self) -> bool {
        self.buffer()
            .is_some_and(|buffer| buffer.get().recycled() != 0)
    }

    /// Leaves nothing of the buffer to be sent.
    fn consume(&self) {
        if let Some(buf) = self.buf {
            // SAFETY: as in buffer(). A filter that sends something else may take its bytes.
            unsafe {
                let buf = buf.as_ptr();
                (*buf).pos = (*buf).last;
                (*buf).file_pos = (*buf).file_last;
            }
        }
    }

    fn buffer(&self) -> Option<Buffer<'_>> {
        // A buffer of a body is in the pool of its request, as is what keeps this Input. Whoever has
        // made it leaves it alone until its bytes are consumed (ngx_chain_update_chains()).
        self.buf.map(|buf| Buffer(buf, std::marker::PhantomData))
    }
}
