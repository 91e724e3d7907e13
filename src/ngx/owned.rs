//! What a module has put into its own place of each configuration and request.

use super::sys;

/// A type that a module keeps there. The traits below say in which place.
///
/// # Safety
/// `module()` is an HTTP module of ours. In the places that the traits say, it keeps `Self` and
/// nothing else.
pub unsafe trait Owned {
    /// The module.
    fn module() -> *const sys::ngx_module_t;
}

/// Kept for the whole of `http`.
///
/// # Safety
/// The module's create_main_conf() makes a `Self`.
pub unsafe trait MainConf: Owned {}

/// Kept for each server and upstream.
///
/// # Safety
/// The module's create_srv_conf() makes a `Self`.
pub unsafe trait SrvConf: Owned {}

/// Kept for each location.
///
/// # Safety
/// The module's create_loc_conf() makes a `Self`.
pub unsafe trait LocConf: Owned {}

/// Kept for a request, until an internal redirect or its end.
///
/// # Safety
/// Nothing else is stored in the module's place of a request.
pub unsafe trait Context: Owned {}
