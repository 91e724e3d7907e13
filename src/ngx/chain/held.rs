//! The buffers of a body that a filter reads, and passes on as they are when it has read them.

use std::collections::VecDeque;
use std::ptr::{null_mut, NonNull};

use super::{sys, Buffer, Chain, Code, Next};
use crate::ngx::pool::Pool;

/// The buffers of a body that have come and are not passed on yet.
#[derive(Default)]
pub struct Held {
    waiting: VecDeque<NonNull<sys::ngx_buf_t>>,
    /// So many of them were read to their ends.
    read: usize,
    /// Bytes that were read of the one after these.
    position: usize,
}

impl Held {
    /// Appends the buffers of a chain. The chain itself is not kept. `None`: out of memory.
    pub fn add(&mut self, chain: Chain<'_>, pool: Pool<'_>) -> Option<()> {
        for buffer in chain.buffers() {
            let has_bytes = buffer.bytes().is_some_and(|bytes| !bytes.is_empty());
            let buf = match has_bytes || buffer.length_in_file() > 0 {
                true => buffer.0,
                // Its owner may use it again at once.
                false => copy(buffer, pool)?,
            };
            self.waiting.push_back(buf);
        }
        Some(())
    }

    /// Notes that of what was added first, so many buffers were read, and so many bytes of the next one.
    pub fn was_read(&mut self, buffers: usize, bytes: usize) {
        self.read = buffers;
        self.position = bytes;
    }

    /// The bytes of the next buffer that were not read, and whether it is the last of the response, a
    /// subrequest's too.
    pub fn unread(&self) -> Option<(&[u8], bool)> {
        let buffer = Buffer(*self.waiting.get(self.read)?, std::marker::PhantomData);
        let bytes = buffer.bytes().unwrap_or_default();
        let unread = bytes.get(self.position..).unwrap_or_default();
        Some((unread, buffer.ends_response()))
    }

    /// So many of these were read.
    pub fn advance(&mut self, bytes: usize) {
        self.position += bytes;
    }

    /// All of these were read: goes on with the buffer behind.
    pub fn go_behind(&mut self) {
        self.read += 1;
        self.position = 0;
    }

    /// What is kept counts as read.
    pub fn read_all(&mut self) {
        self.read = self.waiting.len();
        self.position = 0;
    }

    /// Whether something can be passed on.
    pub fn has_read(&self) -> bool {
        self.read > 0
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Passes on what was read. Without any, the filters go on with what they have. `None`: they cannot,
    /// or out of memory.
    pub fn send(&mut self, pool: Pool<'_>, next: Next<'_>) -> Option<Code> {
        let mut first: *mut sys::ngx_chain_t = null_mut();
        let mut end: *mut *mut sys::ngx_chain_t = &raw mut first;
        for buf in self.waiting.drain(..std::mem::take(&mut self.read)) {
            // SAFETY: ngx_alloc_chain_link() returns NULL or a link of the pool, which nobody else has;
            // `end` is `first` or the end of the link before.
            unsafe {
                let link = NonNull::new(sys::ngx_alloc_chain_link(pool.as_ptr()))?.as_ptr();
                (*link).buf = buf.as_ptr();
                (*link).next = null_mut();
                *end = link;
                end = &raw mut (*link).next;
            }
        }
        let code = next(first);
        // SAFETY: the links of above. Filters do not keep links (ngx_chain_update_chains()), which go
        // back to the pool as ngx_free_chain() has it.
        unsafe {
            while let Some(link) = first.as_mut() {
                let after = link.next;
                link.next = (*pool.as_ptr()).chain;
                (*pool.as_ptr()).chain = link;
                first = after;
            }
        }
        (code != sys::ERROR).then_some(Code::from_int(code))
    }
}

/// A buffer without bytes that says the same. `None`: out of memory.
fn copy(buffer: Buffer<'_>, pool: Pool<'_>) -> Option<NonNull<sys::ngx_buf_t>> {
    // SAFETY: zeroes are a value of a buffer: one without bytes and marks.
    let copy = unsafe { pool.zeroed::<sys::ngx_buf_t>()? };
    let from = buffer.get();
    // SAFETY: a new buffer, which nobody else has.
    let to = unsafe { &mut *copy.as_ptr() };
    to.set_flush(from.flush());
    to.set_sync(from.sync());
    to.set_last_buf(from.last_buf());
    to.set_last_in_chain(from.last_in_chain());
    Some(copy)
}
