//! A cycle.

use std::ffi::CStr;
use std::os::raw::c_int;

use super::conf::Conf;
use super::log::Log;
use super::owned::MainConf;
use super::shm::{Adopt, Zone};
use super::sys;

/// `ngx_cycle_t`: a configuration that is served.
#[derive(Clone, Copy)]
pub struct Cycle<'c>(&'c sys::ngx_cycle_t);

impl<'c> Cycle<'c> {
    /// # Safety
    /// `cycle` is NULL or lives for `'c`.
    pub unsafe fn from_ptr(cycle: *const sys::ngx_cycle_t) -> Option<Self> {
        // SAFETY: the caller's promise.
        unsafe { cycle.as_ref() }.map(Self)
    }

    /// The cycle whose configuration is being read.
    pub fn of(cf: Conf<'c>) -> Option<Self> {
        // SAFETY: ngx_init_cycle() sets conf.cycle to the new cycle, which the configuration lives
        // in.
        unsafe { Self::from_ptr((*cf.as_ptr()).cycle) }
    }

    /// Its error log, also while it is not the running one yet.
    pub fn log(self) -> Option<Log> {
        // SAFETY: ngx_init_cycle() points log at new_log, which is a part of the cycle.
        unsafe { Log::from_ptr(self.0.log) }
    }

    /// What a module keeps for the whole of `http`. `None`: the configuration has no such block.
    pub fn main_conf<T: MainConf>(self) -> Option<&'c T> {
        // SAFETY: MainConf says what the place holds. ngx_http_block() puts an ngx_http_conf_ctx_t
        // into conf_ctx, which is zero until then, at the place of ngx_http_module
        // (ngx_http_cycle_get_module_main_conf()).
        unsafe {
            let http = &raw const sys::ngx_http_module;
            let context = (*self.0.conf_ctx.add((*http).index)).cast::<sys::ngx_http_conf_ctx_t>();
            (*context.as_ref()?.main_conf.add((*T::module()).ctx_index))
                .cast::<T>()
                .as_ref()
        }
    }

    /// How many processes serve requests.
    pub fn workers(self) -> usize {
        self.core().map_or(1, |conf| match conf.master {
            0 => 1,
            _ => usize::try_from(conf.worker_processes).unwrap_or(1),
        })
    }

    /// Whether the configuration lets one process do all (`master_process off`), as far as it has been
    /// read.
    pub fn is_single(self) -> bool {
        self.core().is_some_and(|conf| conf.master == 0)
    }

    /// Whether it is the first one of the process.
    pub fn is_first(self) -> bool {
        // SAFETY: ngx_init_cycle() sets old_cycle to the one before, or to that of main(), which has no
        // configuration (ngx_is_init_cycle()).
        unsafe { self.0.old_cycle.as_ref() }.is_none_or(|old| old.conf_ctx.is_null())
    }

    /// The name of the user of the worker processes, where it may not be that of this process.
    pub fn workers_name(self) -> Option<&'c [u8]> {
        let conf = self.core_conf()?;
        // SAFETY: ngx_set_user() and ngx_core_module_init_conf() set username to a string of the
        // cycle's pool, or to a literal.
        unsafe {
            (!conf.username.is_null())
                .then(|| CStr::from_ptr(conf.username.cast_const().cast()).to_bytes())
        }
    }

    /// The module's zones.
    pub fn zones<T: Adopt + 'c>(self) -> Vec<&'c Zone<T>> {
        Zone::all(self.0)
    }

    /// User and group of the worker processes (`user`), where they are not those of this process.
    pub fn workers_owner(self) -> Option<(u32, u32)> {
        self.core_conf().map(|conf| (conf.user, conf.group))
    }

    /// User and groups of the worker processes, also the user's other groups, where the user is not
    /// that of this process.
    pub fn workers_user(self) -> Option<(u32, Vec<u32>)> {
        let conf = self.core_conf().filter(|conf| conf.user != 0)?;
        let mut groups = vec![conf.group; MAX_GROUPS];
        let mut count = MAX_GROUPS as c_int;
        // SAFETY: ngx_set_user() and ngx_core_module_init_conf() set username with the user. There are
        // as many groups as count says.
        let found = unsafe {
            sys::getgrouplist(conf.username, conf.group, groups.as_mut_ptr(), &mut count)
        };
        groups.truncate(match found {
            0.. => found as usize,
            // More than that.
            ..0 => MAX_GROUPS,
        });
        Some((conf.user, groups))
    }

    /// nginx's main configuration, where this process may start others as another user.
    fn core_conf(self) -> Option<&'c sys::ngx_core_conf_t> {
        // SAFETY: it cannot fail.
        let is_root = unsafe { sys::geteuid() } == 0;
        self.core().filter(|_| is_root)
    }

    fn core(self) -> Option<&'c sys::ngx_core_conf_t> {
        // SAFETY: ngx_init_cycle() puts what ngx_core_module_create_conf() has made into conf_ctx, at
        // the place of ngx_core_module (ngx_get_conf()).
        unsafe {
            let core = &raw const sys::ngx_core_module;
            let conf = (*self.0.conf_ctx.add((*core).index)).cast::<sys::ngx_core_conf_t>();
            conf.as_ref()
        }
    }
}

/// So many groups of a user are looked at.
const MAX_GROUPS: usize = 64;
