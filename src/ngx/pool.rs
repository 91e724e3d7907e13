//! Memory that lives as long as a request or a cycle.

use std::marker::PhantomData;
use std::mem::{align_of, needs_drop, size_of};
use std::os::raw::c_void;
use std::ptr::NonNull;

use super::sys;

/// A pool of nginx, alive for `'p`.
#[derive(Clone, Copy)]
pub struct Pool<'p>(NonNull<sys::ngx_pool_t>, PhantomData<&'p ()>);

impl<'p> Pool<'p> {
    /// # Safety
    /// `pool` is a pool that lives for `'p`.
    pub unsafe fn from_ptr(pool: *mut sys::ngx_pool_t) -> Option<Self> {
        NonNull::new(pool).map(|pool| Self(pool, PhantomData))
    }

    /// The pointer for nginx's own functions.
    pub fn as_ptr(self) -> *mut sys::ngx_pool_t {
        self.0.as_ptr()
    }

    /// Uninitialised bytes. `None`: out of memory.
    pub fn bytes(self, size: usize) -> Option<NonNull<u8>> {
        // SAFETY: ngx_pnalloc() wants a live pool, and returns NULL or memory of that size.
        unsafe { NonNull::new(sys::ngx_pnalloc(self.0.as_ptr(), size.max(1)).cast()) }
    }

    /// Moves a value that needs no drop into the pool. `None`: out of memory.
    #[inline]
    pub fn place<T>(self, value: T) -> Option<&'p T> {
        Some(self.vacant()?.fill(value))
    }

    /// Memory for a value that needs no drop. `None`: out of memory.
    #[inline]
    pub fn vacant<T>(self) -> Option<Vacant<'p, T>> {
        const { assert!(!needs_drop::<T>() && align_of::<T>() <= sys::NGX_ALIGNMENT) };
        // SAFETY: ngx_palloc() returns NULL or memory of that size, aligned to NGX_ALIGNMENT.
        let place = unsafe { sys::ngx_palloc(self.0.as_ptr(), size_of::<T>()) };
        NonNull::new(place.cast()).map(|place| Vacant(place, PhantomData))
    }

    /// Moves a value into the pool, which drops it when it is destroyed. `None`: out of memory.
    pub fn keep<T>(self, value: T) -> Option<&'p T> {
        unsafe extern "C" fn drop_value<T>(data: *mut c_void) {
            // SAFETY: ngx_destroy_pool() calls this once, with what keep() has put there.
            super::guard::guard((), || unsafe { data.cast::<T>().drop_in_place() });
        }
        const { assert!(align_of::<T>() <= sys::NGX_ALIGNMENT) };
        // SAFETY: ngx_pool_cleanup_add() returns NULL or a cleanup whose data has that size and
        // the alignment of ngx_palloc().
        unsafe {
            let cleanup =
                NonNull::new(sys::ngx_pool_cleanup_add(self.0.as_ptr(), size_of::<T>()))?.as_mut();
            let place = NonNull::new(cleanup.data)?.cast::<T>();
            place.write(value);
            cleanup.handler = Some(drop_value::<T>);
            Some(place.as_ref())
        }
    }

    /// A structure of nginx in the pool, all of it zero. `None`: out of memory.
    ///
    /// # Safety
    /// Zeroes are a value of `T`.
    pub unsafe fn zeroed<T>(self) -> Option<NonNull<T>> {
        const { assert!(!needs_drop::<T>() && align_of::<T>() <= sys::NGX_ALIGNMENT) };
        // SAFETY: ngx_pcalloc() returns NULL or zeroed memory of that size, aligned.
        unsafe { NonNull::new(sys::ngx_pcalloc(self.0.as_ptr(), size_of::<T>()).cast()) }
    }

    /// A copy of some bytes in the pool. `None`: out of memory.
    pub fn copy(self, bytes: &[u8]) -> Option<&'p [u8]> {
        self.concat(&[bytes])
    }

    /// A copy of all parts, one after the other, in the pool. `None`: out of memory.
    #[inline]
    pub fn concat(self, parts: &[&[u8]]) -> Option<&'p [u8]> {
        let length = parts
            .iter()
            .try_fold(0usize, |sum, part| sum.checked_add(part.len()))?;
        let start = self.bytes(length)?.as_ptr();
        // SAFETY: bytes() has allocated as much as the parts have, which fill it; new memory
        // overlaps nothing.
        unsafe {
            let mut end = start;
            for part in parts.iter().filter(|part| !part.is_empty()) {
                std::ptr::copy_nonoverlapping(part.as_ptr(), end, part.len());
                end = end.add(part.len());
            }
            Some(std::slice::from_raw_parts(start, length))
        }
    }
}

/// Memory of a pool for a value, which can so be made where it stays.
pub struct Vacant<'p, T>(NonNull<T>, PhantomData<&'p ()>);

impl<'p, T: 'p> Vacant<'p, T> {
    /// Puts the value there.
    // Out of line, it would be made elsewhere and copied.
    #[inline(always)]
    pub fn fill(self, value: T) -> &'p T {
        // SAFETY: Pool::vacant() has allocated the memory, which lives for 'p.
        unsafe {
            self.0.write(value);
            self.0.as_ref()
        }
    }
}
