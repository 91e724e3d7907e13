//! A chain of buffers on its way through the body filters: read and passed on, or replaced by
//! another.

use std::cell::Cell;
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::ptr::{null_mut, NonNull};

use rustix::io::{pread, retry_on_intr};

use super::pool::Pool;
use super::sys;

mod held;
mod input;

pub use held::Held;
pub use input::Input;

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

    /// How many bytes it has in a file.
    pub fn length_in_file(self) -> usize {
        let buf = self.get();
        if buf.in_file() == 0 {
            return 0;
        }
        usize::try_from(buf.file_last - buf.file_pos).unwrap_or(0)
    }

    /// Appends the first `length` of the bytes that it has in a file, which are no fewer. False:
    /// they cannot be read, or not all of them.
    pub fn read_file(self, length: usize, out: &mut Vec<u8>) -> bool {
        let buf = self.get();
        // SAFETY: NULL or the file of a buffer, which lives as long as the buffer (ngx_buf_t).
        let Some(file) = (unsafe { buf.file.as_ref() }) else {
            return false;
        };
        // nginx closes the file of a request's body when it sends the response
        // (ngx_http_upstream_send_response()).
        if file.fd < 0 {
            return false;
        }
        // SAFETY: otherwise a file is open as long as there are buffers of it.
        let file = unsafe { BorrowedFd::borrow_raw(file.fd) };
        let start = out.len();
        out.resize(start + length, 0);
        let mut at = start;
        while at < out.len() {
            // Not ngx_read_file(): it notes where nginx itself has come to.
            let offset = u64::try_from(buf.file_pos).unwrap_or(0) + (at - start) as u64;
            match retry_on_intr(|| pread(file, &mut out[at..], offset)) {
                Ok(read) if read > 0 => at += read,
                _ => {
                    out.truncate(at);
                    return false;
                }
            }
        }
        true
    }

    /// Whether it is the last buffer of a response, a subrequest's too.
    pub fn ends_response(self) -> bool {
        self.get().last_buf() != 0 || self.get().last_in_chain() != 0
    }

    /// What it says besides its bytes.
    fn marks(self) -> Marks {
        let buf = self.get();
        Marks {
            last_buf: buf.last_buf() != 0,
            last_in_chain: buf.last_in_chain() != 0,
            flush: buf.flush() != 0,
        }
    }

    fn get(self) -> &'a sys::ngx_buf_t {
        // SAFETY: the promise of Chain::from_ptr().
        unsafe { self.0.as_ref() }
    }
}

/// What a buffer says besides its bytes.
#[derive(Clone, Copy)]
pub struct Marks {
    last_buf: bool,
    last_in_chain: bool,
    flush: bool,
}

impl Marks {
    /// The end of a request's response, or of a subrequest's.
    pub fn end(is_main: bool) -> Self {
        Self {
            last_buf: is_main,
            last_in_chain: true,
            flush: false,
        }
    }

    /// Whether it is the last buffer of a response, a subrequest's too.
    pub fn end_response(self) -> bool {
        self.last_buf || self.last_in_chain
    }
}

/// What a filter returns: `NGX_OK`, unless it says otherwise.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Code(sys::ngx_int_t);

impl Code {
    /// Not everything was taken: the filter wants to be called again when more can be sent.
    pub const AGAIN: Self = Self(sys::AGAIN);

    /// The request has failed.
    pub const FAILED: Self = Self(sys::ERROR);

    /// What a function of nginx has returned.
    pub(super) fn from_int(code: sys::ngx_int_t) -> Self {
        Self(code)
    }

    /// The code for nginx.
    pub fn as_int(self) -> sys::ngx_int_t {
        self.0
    }

    /// Whether it is `NGX_OK`.
    pub fn is_ok(self) -> bool {
        self.0 == sys::OK
    }
}

/// The next body filter.
pub type Next<'n> = &'n dyn Fn(*mut sys::ngx_chain_t) -> sys::ngx_int_t;

/// The buffers in which a filter sends a body of its own. They are used again when they were sent.
pub struct Output {
    tag: sys::ngx_buf_tag_t,
    free: Cell<*mut sys::ngx_chain_t>,
    busy: Cell<*mut sys::ngx_chain_t>,
    written: Cell<u64>,
    /// Bytes were written since the last flush.
    unflushed: Cell<bool>,
    /// Bytes were written which the filters after this one may keep, to send them with more.
    unhurried: Cell<bool>,
}

/// How much of an output is not sent yet.
struct Busy {
    bytes: u64,
    /// What its buffers have room for.
    room: usize,
}

impl Output {
    /// Buffers of the module `tag`.
    pub fn new(tag: *const sys::ngx_module_t) -> Self {
        Self {
            tag: tag.cast_mut().cast(),
            free: Cell::new(null_mut()),
            busy: Cell::new(null_mut()),
            written: Cell::new(0),
            unflushed: Cell::new(false),
            unhurried: Cell::new(false),
        }
    }

    /// An empty chain, whose buffers are allocated in the request's pool.
    pub fn begin<'o>(&'o self, pool: Pool<'o>) -> Filling<'o> {
        Filling {
            room: self.busy().room,
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

    /// What the buffers that are not all out have room for, in bytes.
    pub fn room(&self) -> usize {
        self.busy().room
    }

    /// How many bytes are out, of all that were sent.
    pub fn sent(&self) -> u64 {
        self.written.get() - self.busy().bytes
    }

    fn busy(&self) -> Busy {
        let mut busy = Busy { bytes: 0, room: 0 };
        let mut link: *const sys::ngx_chain_t = self.busy.get();
        // SAFETY: NULL or a link that add() has made, and so is the next; each has a buffer.
        while let Some(this) = unsafe { link.as_ref() } {
            // SAFETY: as above.
            let buf = unsafe { &*this.buf };
            busy.bytes += (buf.last as usize).saturating_sub(buf.pos as usize) as u64;
            busy.room += (buf.end as usize).saturating_sub(buf.start as usize);
            link = this.next;
        }
        busy
    }
}

/// A chain that is being filled.
pub struct Filling<'o> {
    output: &'o Output,
    pool: Pool<'o>,
    first: *mut sys::ngx_chain_t,
    last: *mut sys::ngx_chain_t,
    room: usize,
}

impl Filling<'_> {
    /// Appends bytes. `None`: out of memory.
    pub fn push(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            let room = match self.room_left() {
                0 => self.add(bytes.len().clamp(SMALLEST, LARGEST))?,
                room => room,
            };
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            // SAFETY: room_left() or add() has seen that last..end has so many bytes, which are ours and
            // which nobody reads yet.
            unsafe {
                let buf = (*self.last).buf;
                std::ptr::copy_nonoverlapping(now.as_ptr(), (*buf).last, now.len());
                (*buf).last = (*buf).last.add(now.len());
            }
            bytes = later;
            let written = &self.output.written;
            written.set(written.get() + now.len() as u64);
            self.output.unflushed.set(true);
            self.output.unhurried.set(true);
        }
        Some(())
    }

    /// Takes over what a buffer of the replaced body says besides its bytes, for what has been
    /// appended so far. `None`: out of memory.
    pub fn mark(&mut self, like: Marks) -> Option<()> {
        let flush = like.flush && self.output.unflushed.get();
        if !(like.end_response() || flush) {
            return Some(());
        }
        // SAFETY: add() has made the buffer, which nobody else uses meanwhile.
        unsafe {
            let buf = &mut *self.last_buf()?;
            buf.set_last_buf(buf.last_buf() | u32::from(like.last_buf));
            buf.set_last_in_chain(buf.last_in_chain() | u32::from(like.last_in_chain));
            buf.set_flush(buf.flush() | u32::from(flush));
        }
        self.output
            .unflushed
            .set(!flush && self.output.unflushed.get());
        Some(())
    }

    /// Has the filters after this one send what they have, and not wait for more: nginx waits for the
    /// buffers that it came in. `None`: out of memory.
    pub fn hurry(&mut self) -> Option<()> {
        if self.output.unhurried.replace(false) {
            // SAFETY: add() has made the buffer, which nobody else uses meanwhile.
            // ngx_http_write_filter() sends what it has with a buffer that says so.
            unsafe { (*self.last_buf()?).set_recycled(1) };
        }
        Some(())
    }

    /// The last buffer, or an empty one.
    fn last_buf(&mut self) -> Option<*mut sys::ngx_buf_t> {
        if self.last.is_null() {
            self.add(0)?;
        }
        // SAFETY: add() has made the link.
        Some(unsafe { (*self.last).buf })
    }

    /// How many bytes the buffers have room for, with those that are not sent yet.
    pub fn room(&self) -> usize {
        self.room
    }

    /// How many bytes were written to the output so far, with those of this chain.
    pub fn written(&self) -> u64 {
        self.output.written.get()
    }

    /// Whether nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// Sends the chain, and takes back the buffers that are out by then. An empty chain asks the
    /// filters to go on with what they have. `None`: they cannot.
    pub fn send(mut self, next: Next<'_>) -> Option<Code> {
        let code = next(self.first);
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
        (code != sys::ERROR).then_some(Code(code))
    }

    /// Bytes that the last buffer has room for.
    fn room_left(&self) -> usize {
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
            // Without bytes, ngx_chain_update_chains() cannot see when a buffer is out: such a one
            // is not ours then, and is not used again.
            buf.tag = match size {
                0 => null_mut(),
                _ => self.output.tag,
            };
            buf.set_temporary(u32::from(size > 0));
            buf.set_sync(u32::from(size == 0));
            buf.set_flush(0);
            buf.set_recycled(0);
            buf.set_last_buf(0);
            buf.set_last_in_chain(0);
            (*link).next = null_mut();
            if self.last.is_null() {
                self.first = link;
            } else {
                (*self.last).next = link;
            }
            self.last = link;
            let room = match size {
                0 => 0,
                _ => buf.end as usize - buf.start as usize,
            };
            self.room += room;
            Some(room)
        }
    }
}
