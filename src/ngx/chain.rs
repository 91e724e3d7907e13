//! A chain of buffers on its way through the body filters: looked at and passed on, or taken out and
//! replaced by another.

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
            // SAFETY: the promise of from_ptr(); every link has a buffer.
            let this = unsafe { link.as_ref()? };
            link = this.next;
            NonNull::new(this.buf).map(|buf| Buffer(buf, PhantomData))
        })
    }

    /// There is no buffer.
    pub fn is_empty(self) -> bool {
        self.0.is_null()
    }
}

/// One buffer.
#[derive(Clone, Copy)]
pub struct Buffer<'a>(NonNull<sys::ngx_buf_t>, PhantomData<&'a ()>);

impl<'a> Buffer<'a> {
    /// The bytes, where the buffer has some in memory (`ngx_buf_in_memory()`).
    pub fn bytes(self) -> Option<&'a [u8]> {
        let buf = self.get();
        if buf.temporary() == 0 && buf.memory() == 0 && buf.mmap() == 0 {
            return None;
        }
        let len = (buf.last as usize).checked_sub(buf.pos as usize)?;
        if buf.pos.is_null() {
            return None;
        }
        // SAFETY: pos..last is the memory of a buffer that is in memory.
        Some(unsafe { std::slice::from_raw_parts(buf.pos, len) })
    }

    /// The bytes are in a file.
    pub fn in_file(self) -> bool {
        self.get().in_file() != 0
    }

    /// The last buffer of a response, or of a subrequest's.
    pub fn ends_response(self) -> bool {
        self.get().last_buf() != 0 || self.get().last_in_chain() != 0
    }

    /// Leaves nothing of the buffer to be sent, so that its owner can use it again.
    pub fn consume(self) {
        // SAFETY: a filter that sends something else may take the bytes of a buffer that it was
        // given, as ngx_http_gzip_body_filter() does; one thread.
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

/// The buffers in which a filter sends a body of its own, used again when they have been sent.
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

    /// A chain to be filled, with memory of the request's pool.
    pub fn begin<'o>(&'o self, pool: Pool<'o>) -> Filling<'o> {
        Filling {
            output: self,
            pool,
            first: null_mut(),
            last: null_mut(),
        }
    }

    /// Something that was sent before is still on its way.
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
            // SAFETY: last..end of the last buffer is memory of ours that nobody reads yet.
            unsafe {
                let buf = (*self.last).buf;
                std::ptr::copy_nonoverlapping(now.as_ptr(), (*buf).last, now.len());
                (*buf).last = (*buf).last.add(now.len());
            }
            bytes = later;
        }
        Some(())
    }

    /// What a buffer of the replaced chain says beside its bytes (end of response, flush) holds for
    /// what has been appended so far. `None`: out of memory.
    pub fn mark(&mut self, like: Buffer<'_>) -> Option<()> {
        let like = like.get();
        let says = like.last_buf() | like.last_in_chain() | like.flush() | like.sync();
        if says == 0 {
            return Some(());
        }
        if self.last.is_null() {
            self.add(0)?;
        }
        // SAFETY: add() has made the buffer; one thread.
        unsafe {
            let buf = &mut *(*self.last).buf;
            buf.set_last_buf(buf.last_buf() | like.last_buf());
            buf.set_last_in_chain(buf.last_in_chain() | like.last_in_chain());
            buf.set_flush(buf.flush() | like.flush());
        }
        Some(())
    }

    /// Nothing has been appended.
    pub fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// Sends the chain by `send`, and takes back the buffers that have gone out by then.
    pub fn send(
        mut self,
        send: impl FnOnce(*mut sys::ngx_chain_t) -> sys::ngx_int_t,
    ) -> sys::ngx_int_t {
        let code = send(self.first);
        let (mut free, mut busy) = (self.output.free.get(), self.output.busy.get());
        // SAFETY: chains of links and buffers of this pool, made by add().
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
        // SAFETY: add() has made the buffer, or start and end are NULL.
        unsafe {
            let buf = &*(*self.last).buf;
            // What comes after a flush or the end is not to be sent with it.
            if buf.flush() != 0 || buf.last_buf() != 0 || buf.sync() != 0 {
                return 0;
            }
            (buf.end as usize).saturating_sub(buf.last as usize)
        }
    }

    /// Appends an empty buffer with room for `size` bytes or, when it was used before, for what it
    /// has; for 0 bytes, one that only says something. Returns the room.
    fn add(&mut self, size: usize) -> Option<usize> {
        let mut free = self.output.free.get();
        // SAFETY: ngx_chain_get_free_buf() returns NULL or a link with a buffer, which is zeroed or
        // was ours before and has been sent.
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
