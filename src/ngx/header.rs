//! The headers of a request and of its response.

use std::marker::PhantomData;
use std::ptr::NonNull;

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
    let mut index = 0;
    std::iter::from_fn(move || loop {
        // SAFETY: NULL, or a part that ngx_list_push() has made.
        let this = unsafe { part.as_ref()? };
        if index < this.nelts {
            // SAFETY: a part has nelts elements.
            let element = unsafe { this.elts.cast::<sys::ngx_table_elt_t>().add(index) };
            index += 1;
            // SAFETY: an element of the list lives as long.
            return unsafe { Header::from_ptr(element) };
        }
        part = this.next;
        index = 0;
    })
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
