//! A chain of buffers on its way through the body filters: read and passed on, or replaced by
//! another.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::{null_mut, NonNull};

use super::pool::Pool;
use super::sys;

/// Sizes of buffers for a body that is replaced, in bytes.
const SMALLEST: usize = 4 * 1024;
const LARGEST: usize = 32 * 1024;

/// A chain, possibly empty.
#[derive(Clone, Copy)]
pub struct Chain<'a>(*const sys::ngx_chain_t, PhantomData<&'a ()>);

impl<'a> Chain<'a> {
    /// # Safety
    /// `chain` is NULL or a chain that lives and stays unchanged for `'a`.
    pub unsafe fn from_ptr(chain: *const sys::ngx_chain_t) -> Self {
        Self(chain, PhantomData)
    }

    /// The buffers in order.
    pub fn buffers(self) -> impl Iterator<Item = Buffer<'a>> {
        let mut link = self.0;
        std::iter::from_fn(move || {
            // SAFETY: NULL or a link of the chain, by the promise of from_ptr().
            let this = unsafe { link.as_ref()? };
            link = this.next;
            NonNull::new(this.buf).map(|buf| Buffer(buf, PhantomData))
        })
    }

    /// Whether there is no buffer.
    pub fn is_empty(self) -> bool {
        self.0.is_null()
    }
}

/// One buffer.
#[derive(Clone, Copy)]
pub struct Buffer<'a>(NonNull<sys::ngx_buf_t>, PhantomData<&'a ()>);

impl<'a> Buffer<'a> {
    /// The bytes, where they are in memory (`ngx_buf_in_memory()`).
    pub fn bytes(self) -> Option<&'a [u8]> {
        let buf = self.get();
        if buf.temporary() == 0 && buf.memory() == 0 && buf.mmap() == 0 {
            return None;
        }
        let len = (buf.last as usize).checked_sub(buf.pos as usize)?;
        if buf.pos.is_null() {
            return None;
        }
        // SAFETY: pos..last are the bytes of a buffer that is in memory (ngx_buf_t).
        Some(unsafe { std::slice::from_raw_parts(buf.pos, len) })
    }

    /// Whether the bytes are in a file.
    pub fn in_file(self) -> bool {
        self.get().in_file() != 0
    }

    /// Whether it is the last buffer of a response, a subrequest's too.
    pub fn ends_response(self) -> bool {
        self.get().last_buf() != 0 || self.get().last_in_chain() != 0
    }

    /// Leaves nothing of the buffer to be sent, so that its owner can use it again.
    pub fn consume(self) {
        // SAFETY: a live buffer that nobody else uses meanwhile. A filter that sends something else
        // may take its bytes, as ngx_http_gzip_body_filter() does.
        unsafe {
            let buf = self.0.as_ptr();
            (*buf).pos = (*buf).last;
            (*buf).file_pos = (*buf).file_last;
        }
    }

    fn get(self) -> &'a sys::ngx_buf_t {
        // SAFETY: the promise of Chain::from_ptr().
        unsafe { self.0.as_ref() }
    }
}

/// The buffers in which a filter sends a body of its own. They are used again when they were sent.
pub struct Output {
    tag: sys::ngx_buf_tag_t,
    free: Cell<*mut sys::ngx_chain_t>,
    busy: Cell<*mut sys::ngx_chain_t>,
}

impl Output {
    /// Buffers of the module `tag`.
    pub fn new(tag: *const sys::ngx_module_t) -> Self {
        Self {
            tag: tag.cast_mut().cast(),
            free: Cell::new(null_mut()),
            busy: Cell::new(null_mut()),
        }
    }

    /// An empty chain, whose buffers are allocated in the request's pool.
    pub fn begin<'o>(&'o self, pool: Pool<'o>) -> Filling<'o> {
        Filling {
            output: self,
            pool,
            first: null_mut(),
            last: null_mut(),
        }
    }

    /// Whether a chain that was sent before is not all out yet.
    pub fn is_busy(&self) -> bool {
        !self.busy.get().is_null()
    }
}

/// A chain that is being filled.
pub struct Filling<'o> {
    output: &'o Output,
    pool: Pool<'o>,
    first: *mut sys::ngx_chain_t,
    last: *mut sys::ngx_chain_t,
}

impl Filling<'_> {
    /// Appends bytes. `None`: out of memory.
    pub fn push(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            let room = match self.room() {
                0 => self.add(bytes.len().clamp(SMALLEST, LARGEST))?,
                room => room,
            };
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            // SAFETY: room() or add() has seen that last..end has so many bytes, which are ours and
            // which nobody reads yet.
            unsafe {
                let buf = (*self.last).buf;
                std::ptr::copy_nonoverlapping(now.as_ptr(), (*buf).last, now.len());
                (*buf).last = (*buf).last.add(now.len());
            }
            bytes = later;
        }
        Some(())
    }

    /// Takes over from a buffer of the replaced chain what it says besides its bytes (end of
    /// response, flush), for what has been appended so far. `None`: out of memory.
    pub fn mark(&mut self, like: Buffer<'_>) -> Option<()> {
        let like = like.get();
        let says = like.last_buf() | like.last_in_chain() | like.flush() | like.sync();
        if says == 0 {
            return Some(());
        }
        if self.last.is_null() {
            self.add(0)?;
        }
        // SAFETY: add() has made the buffer, which nobody else uses meanwhile.
        unsafe {
            let buf = &mut *(*self.last).buf;
            buf.set_last_buf(buf.last_buf() | like.last_buf());
            buf.set_last_in_chain(buf.last_in_chain() | like.last_in_chain());
            buf.set_flush(buf.flush() | like.flush());
        }
        Some(())
    }

    /// Whether nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// Sends the chain by `send`, and takes back the buffers that are out by then.
    pub fn send(
        mut self,
        send: impl FnOnce(*mut sys::ngx_chain_t) -> sys::ngx_int_t,
    ) -> sys::ngx_int_t {
        let code = send(self.first);
        let (mut free, mut busy) = (self.output.free.get(), self.output.busy.get());
        // SAFETY: ngx_chain_update_chains() wants chains of links and buffers of this pool: add()
        // has made them.
        unsafe {
            let tag = self.output.tag;
            let pool = self.pool.as_ptr();
            sys::ngx_chain_update_chains(pool, &mut free, &mut busy, &mut self.first, tag);
        }
        self.output.free.set(free);
        self.output.busy.set(busy);
        code
    }

    /// Bytes that the last buffer has room for.
    fn room(&self) -> usize {
        if self.last.is_null() {
            return 0;
        }
        // SAFETY: add() has made the link and its buffer.
        let buf = unsafe { &*(*self.last).buf };
        // What comes after a flush or the end is not sent with it.
        if buf.flush() != 0 || buf.last_buf() != 0 || buf.sync() != 0 {
            return 0;
        }
        (buf.end as usize).saturating_sub(buf.last as usize)
    }

    /// Appends an empty buffer with room for `size` bytes, or with the room that it had when it was
    /// used before. With a size of 0 it only carries flags. Returns the room.
    fn add(&mut self, size: usize) -> Option<usize> {
        let mut free = self.output.free.get();
        // SAFETY: ngx_chain_get_free_buf() returns NULL or a link with a buffer, a zeroed one or
        // one of ours that was sent. last is a link that add() has made.
        unsafe {
            let link = sys::ngx_chain_get_free_buf(self.pool.as_ptr(), &mut free);
            self.output.free.set(free);
            let buf = &mut *NonNull::new(link)?.as_ref().buf;
            if size > 0 && buf.start.is_null() {
                buf.start = self.pool.bytes(size)?.as_ptr();
                buf.end = buf.start.add(size);
            }
            (buf.pos, buf.last) = (buf.start, buf.start);
            buf.tag = self.output.tag;
            buf.set_temporary(u32::from(size > 0));
            buf.set_sync(u32::from(size == 0));
            buf.set_flush(0);
            buf.set_last_buf(0);
            buf.set_last_in_chain(0);
            (*link).next = null_mut();
            if self.last.is_null() {
                self.first = link;
            } else {
                (*self.last).next = link;
            }
            self.last = link;
            Some(if size > 0 {
                buf.end as usize - buf.start as usize
            } else {
                0
            })
        }
    }
}
