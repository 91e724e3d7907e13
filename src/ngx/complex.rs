//! Variables in the words of a directive, and their values for a request.

use std::marker::PhantomData;
use std::ptr::NonNull;

use super::conf::Conf;
use super::request::Request;
use super::sys;

/// A text that may hold variables.
#[derive(Clone, Copy)]
pub struct Text<'c>(NonNull<sys::ngx_http_complex_value_t>, PhantomData<&'c ()>);

impl<'c> Text<'c> {
    /// Compiles a word. `None`: nginx has written why not, or out of memory.
    pub fn compile(cf: Conf<'c>, word: &[u8]) -> Option<Self> {
        let pool = cf.pool()?;
        // nginx keeps the word, and its scripts end at a NUL (ngx_http_script_compile()).
        let word = pool.copy(&[word, b"\0"].concat())?;
        let (_, text) = word.split_last()?;
        // SAFETY: ngx_http_compile_complex_value() fills value, which lives in the cycle's pool,
        // and reads ccv, whose defaults are zeroes; text ends at a NUL.
        unsafe {
            let value = pool.zeroed::<sys::ngx_http_complex_value_t>()?;
            let mut text = sys::string(text);
            let mut ccv: sys::ngx_http_compile_complex_value_t = std::mem::zeroed();
            ccv.cf = cf.as_ptr();
            ccv.value = &raw mut text;
            ccv.complex_value = value.as_ptr();
            (sys::ngx_http_compile_complex_value(&raw mut ccv) == sys::OK)
                .then_some(Self(value, PhantomData))
        }
    }

    /// The text as it was written.
    pub fn source(self) -> &'c [u8] {
        // SAFETY: ngx_http_compile_complex_value() has copied compile()'s text, which is in the cycle's
        // pool.
        unsafe { sys::bytes(self.0.as_ref().value) }
    }

    /// The text for a request. `None`: out of memory.
    pub fn evaluate(self, r: Request<'c>) -> Option<&'c [u8]> {
        let mut value = sys::string(&[]);
        // SAFETY: ngx_http_complex_value() wants a live request and a compiled value, and returns a
        // string in the request's pool or in the configuration's.
        unsafe {
            let code = sys::ngx_http_complex_value(r.as_ptr(), self.0.as_ptr(), &raw mut value);
            (code == sys::OK).then(|| sys::bytes(value))
        }
    }

    /// The text for a request as it is now. nginx keeps the value of a variable of the
    /// configuration (`map`, `js_set` …) from its first use on, although what it is made of may
    /// have changed (`$upstream_…`); here it is asked for anew, and nginx keeps what it had. One
    /// whose value was set (`set`, a named capture) has that value. `None`: out of memory.
    pub fn evaluate_anew(self, r: Request<'c>) -> Option<&'c [u8]> {
        let kept: Vec<_> = self
            .variables()
            .filter_map(|variable| Some((variable, variable.ask_anew(r)?)))
            .collect();
        let text = self.evaluate(r);
        for (variable, value) in kept {
            // SAFETY: ask_anew() has read the value from there.
            unsafe { variable.kept(r).write(value) }
        }
        text
    }

    /// The variables in it.
    fn variables(self) -> impl Iterator<Item = Variable> {
        // SAFETY: NULL or what ngx_http_compile_complex_value() has made, which lives as long as
        // the configuration.
        let mut next = unsafe { self.0.as_ref().flushes };
        std::iter::from_fn(move || {
            // SAFETY: ngx_http_compile_complex_value() ends the indices with a -1.
            let index = unsafe { *next.as_ref()? };
            if index == sys::ngx_uint_t::MAX {
                return None;
            }
            // SAFETY: it was not the last one.
            next = unsafe { next.add(1) };
            Some(Variable(index))
        })
    }
}

/// A variable by its place in nginx's table.
#[derive(Clone, Copy, Debug)]
pub struct Variable(sys::ngx_uint_t);

impl Variable {
    /// The variable of that name, which may be defined later. `None`: nginx has written why not.
    pub fn named(cf: Conf<'_>, name: &[u8]) -> Option<Self> {
        let mut name = sys::string(name);
        // SAFETY: ngx_http_get_variable_index() wants the cf of a configuration being read, and
        // copies the name.
        let index = unsafe { sys::ngx_http_get_variable_index(cf.as_ptr(), &raw mut name) };
        usize::try_from(index).ok().map(Self)
    }

    /// Where nginx keeps its value for a request.
    fn kept(self, r: Request<'_>) -> *mut sys::ngx_variable_value_t {
        // SAFETY: ngx_http_alloc_request() makes variables, with a place for every index;
        // ngx_http_subrequest() takes over those of its request.
        unsafe { r.variables().add(self.0) }
    }

    /// Lets nginx ask for its value anew, once. Returns what nginx has kept; `None`: nginx asks for
    /// it anyway, or it never changes.
    fn ask_anew(self, r: Request<'_>) -> Option<sys::ngx_variable_value_t> {
        let kept = self.kept(r);
        // SAFETY: a value of a live request.
        let before = unsafe { *kept };
        if before.no_cacheable() != 0 || !r.may_redefine(self.0) {
            return None;
        }
        // SAFETY: a value of a live request; ngx_http_get_indexed_variable() fills in one that is
        // neither valid nor not_found, and returns NULL or it.
        unsafe {
            (*kept).set_valid(0);
            (*kept).set_not_found(0);
            let value = sys::ngx_http_get_indexed_variable(r.as_ptr(), self.0).as_ref();
            if value.is_none_or(|value| value.not_found() != 0 || value.len() == 0) {
                *kept = before;
            }
        }
        Some(before)
    }

    /// Its value now; `None` when it has none, or an empty one.
    pub fn value(self, r: Request<'_>) -> Option<&[u8]> {
        // SAFETY: ngx_http_get_variable_index() has returned the index.
        // ngx_http_get_flushed_variable() returns NULL or a value that lives as long as the
        // request.
        unsafe {
            let value = sys::ngx_http_get_flushed_variable(r.as_ptr(), self.0).as_ref()?;
            if value.not_found() != 0 || value.len() == 0 {
                return None;
            }
            Some(sys::bytes(sys::ngx_str_t {
                len: value.len() as usize,
                data: value.data,
            }))
        }
    }
}
