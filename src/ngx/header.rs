//! The headers of a request and of its response.

use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use super::sys;

/// A header of a request or a response.
#[derive(Clone, Copy)]
pub struct Header<'r>(NonNull<sys::ngx_table_elt_t>, PhantomData<&'r ()>);

/// The headers of a list in their order.
///
/// # Safety
/// `list` is zero or was initialised by ngx_list_init() for elements of that type, and lives for
/// `'r`.
pub(super) unsafe fn headers<'r>(list: *const sys::ngx_list_t) -> impl Iterator<Item = Header<'r>> {
    // SAFETY: the caller's promise; a field of the list.
    let mut part: *const sys::ngx_list_part_t = unsafe { &raw const (*list).part };
    // The next element of the part before, and the end of that.
    let (mut next, mut end) = (ptr::null_mut(), ptr::null_mut());
    std::iter::from_fn(move || {
        while ptr::eq(next, end) {
            // SAFETY: NULL, or a part that ngx_list_push() has made.
            let this = unsafe { part.as_ref()? };
            next = this.elts.cast::<sys::ngx_table_elt_t>();
            end = next.wrapping_add(this.nelts);
            part = this.next;
        }
        let element = next;
        next = next.wrapping_add(1);
        // SAFETY: a part has nelts elements, and an element of the list lives as long.
        unsafe { Header::from_ptr(element) }
    })
}

/// Whether `is_such` holds for the length of the name of any header of a list.
///
/// # Safety
/// As [`headers`].
#[inline(always)]
pub(super) unsafe fn have_name_of(
    list: *const sys::ngx_list_t,
    is_such: impl Fn(usize) -> bool,
) -> bool {
    // SAFETY: the caller's promise; a part that ngx_list_push() has made has nelts elements, and is
    // followed by another one or NULL.
    unsafe {
        let mut part = &raw const (*list).part;
        while !part.is_null() {
            let elements = (*part).elts.cast::<sys::ngx_table_elt_t>();
            for index in 0..(*part).nelts {
                if is_such((*elements.add(index)).key.len) {
                    return true;
                }
            }
            part = (*part).next;
        }
    }
    false
}

impl<'r> Header<'r> {
    /// # Safety
    /// NULL or an element of a list of headers of a request that lives for `'r`.
    pub(super) unsafe fn from_ptr(element: *mut sys::ngx_table_elt_t) -> Option<Self> {
        NonNull::new(element).map(|element| Self(element, PhantomData))
    }

    /// The name as it was sent.
    pub fn name(self) -> &'r [u8] {
        // SAFETY: a string that lives as long as its element.
        unsafe { sys::bytes(self.0.as_ref().key) }
    }

    /// The value.
    pub fn value(self) -> &'r [u8] {
        // SAFETY: a string that lives as long as its element.
        unsafe { sys::bytes(self.0.as_ref().value) }
    }

    /// Whether it is kept from being sent.
    pub(super) fn is_hidden(self) -> bool {
        // SAFETY: an element of a live request.
        unsafe { self.0.as_ref().hash == 0 }
    }

    /// Sets another value.
    pub fn set_value(self, value: &'r [u8]) {
        // SAFETY: an element of a live request that nobody else uses meanwhile.
        unsafe { (*self.0.as_ptr()).value = sys::string(value) }
    }

    /// Keeps the header from being sent (`ngx_http_header_filter()` skips a hash of 0).
    pub fn hide(self) {
        // SAFETY: an element of a live request that nobody else uses meanwhile.
        unsafe { (*self.0.as_ptr()).hash = 0 }
    }
}
