//! A chain of buffers on its way through the body filters: looked at, never changed.

use std::marker::PhantomData;

use super::sys;

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
            unsafe { this.buf.as_ref() }.map(Buffer)
        })
    }
}

/// One buffer.
#[derive(Clone, Copy)]
pub struct Buffer<'a>(&'a sys::ngx_buf_t);

impl<'a> Buffer<'a> {
    /// The bytes, where the buffer has some in memory (`ngx_buf_in_memory()`).
    pub fn bytes(self) -> Option<&'a [u8]> {
        let buf = self.0;
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
        self.0.in_file() != 0
    }

    /// The last buffer of a response, or of a subrequest's.
    pub fn ends_response(self) -> bool {
        self.0.last_buf() != 0 || self.0.last_in_chain() != 0
    }
}
