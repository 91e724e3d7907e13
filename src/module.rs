//! What nginx sees: directives, variables, callbacks, and the tables that `load_module` reads.
//!
//! Two modules. The first comes before nginx's upstream modules, so that it gets the directives of an
//! upstream block first and completes its configuration before upstreams are initialised. The second is a
//! filter: its place in ngx_module_order is after gunzip and before sub, addition and ssi have changed
//! the body.

use std::cell::UnsafeCell;
use std::os::raw::{c_char, c_void};
use std::ptr;

use ngx::core::{NGX_CONF_ERROR, NGX_CONF_OK};

use crate::config::types::{LocationConf, MainConf, UpstreamConf};
use crate::config::{cluster_zone, clustered, counted, directives, discovery, status_page};
use crate::ngx::admission::{self, Admit};
use crate::ngx::background_task;
use crate::ngx::conf::Conf;
use crate::ngx::cycle::Cycle;
use crate::ngx::guard::guard;
use crate::ngx::hook::{Hook, Policy};
use crate::ngx::pool::Pool;
use crate::ngx::process::{self, Role};
use crate::ngx::request::Request;
use crate::ngx::shm::{self, Zone};
use crate::ngx::sys::{self, ngx_conf_t, ngx_http_module_t, ngx_int_t, ngx_module_t};
use crate::ngx::timer::{self, Repeated, Slot};
use crate::ngx::upstream::Upstream;
use crate::operator;
use crate::request::{session_id, steer, usable};
use crate::response::AccelRedirect;
use crate::zone::cluster::{self, ClusterZoneConf};
use crate::zone::counters::CountersConf;
use crate::zone::samples::SamplesConf;
use crate::zone::table_zone::ZoneConf;
use crate::zone::{counters, housekeeping};

mod commands;
mod every_second;
mod filters;
mod owned;
mod variables;
mod version;

use commands::{refuse, COMMANDS};
use every_second::EverySecond;
use filters::install_filters;
use variables::add_variables;

/// The module: owner of the configurations and the contexts of requests, tag of the zones.
fn tag() -> *const ngx_module_t {
    MODULE.0.get()
}

/// Steers the requests of sticky upstreams.
struct Steering;

impl Policy for Steering {
    type Conf<'c> = UpstreamConf<'c>;

    fn hook<'a>(conf: &'a UpstreamConf<'_>) -> &'a Hook {
        &conf.hook
    }

    fn is_wanted(us: Upstream<'_>) -> bool {
        us.srv_conf::<UpstreamConf<'_>>()
            .is_some_and(|conf| conf.active().is_some())
    }

    #[inline(always)]
    fn decide<'r>(r: Request<'r>, us: Upstream<'r>, conf: &'r UpstreamConf<'r>) {
        steer::steer::<AccelRedirect>(r, us, conf);
    }
}

/// Reads the bodies of requests.
struct Bodies;

impl Admit for Bodies {
    fn is_read(r: Request<'_>) -> bool {
        session_id::may_be_in_body(r)
    }
}

/// Called five times a second in every worker of a cluster.
struct Clustering;

impl Repeated for Clustering {
    const EVERY: u32 = 200;

    fn slot() -> &'static Slot {
        static SLOT: Slot = Slot::new();
        &SLOT
    }

    fn tick() {
        // SAFETY: ngx_cycle is the running cycle while the event loop runs (main(),
        // ngx_master_process_cycle(), ngx_single_process_cycle()).
        if let Some(running) = unsafe { Cycle::from_ptr(sys::ngx_cycle) } {
            cluster::tick(running);
            if process::role() == Role::Worker(0) && !process::is_draining() {
                cluster_zone::carry_out_drains(running);
            }
        }
    }
}

/// A table of nginx, which writes into it (ctx_index, index, name).
#[repr(transparent)]
pub struct NginxTable<T>(UnsafeCell<T>);

// SAFETY: nginx and the callbacks here use the tables in the main thread of a process only; the
// threads of ngx_thread_pool and of background tasks do not.
unsafe impl<T> Sync for NginxTable<T> {}

impl<T> NginxTable<T> {
    const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }
}

static CONTEXT: NginxTable<ngx_http_module_t> = NginxTable::new(ngx_http_module_t {
    preconfiguration: Some(add_variables),
    postconfiguration: None,
    create_main_conf: Some(create_main_conf),
    init_main_conf: Some(init_main_conf),
    create_srv_conf: Some(create_srv_conf),
    merge_srv_conf: None,
    create_loc_conf: Some(create_loc_conf),
    merge_loc_conf: Some(merge_loc_conf),
});

static FILTER_CONTEXT: NginxTable<ngx_http_module_t> = NginxTable::new(ngx_http_module_t {
    preconfiguration: None,
    postconfiguration: Some(install_filters),
    create_main_conf: None,
    // A module without configuration has no init_main_conf call: main's is enough.
    init_main_conf: None,
    create_srv_conf: None,
    merge_srv_conf: None,
    create_loc_conf: None,
    merge_loc_conf: None,
});

// The tables that nginx's configure writes refer to the modules by these names, when they are linked
// into nginx. A name that others could replace would cost a step more wherever the index is read.
#[cfg_attr(feature = "static", export_name = "ngx_http_sticky_rs_module")]
static MODULE: NginxTable<ngx_module_t> = NginxTable::new(ngx_module_t {
    ctx: CONTEXT.0.get().cast(),
    commands: COMMANDS.0.get().cast(),
    type_: sys::NGX_HTTP_MODULE as sys::ngx_uint_t,
    init_module: Some(init_module),
    init_process: Some(init_process),
    exit_process: Some(exit_process),
    exit_master: Some(exit_master),
    ..ngx_module_t::default()
});

#[cfg_attr(feature = "static", export_name = "ngx_http_sticky_rs_filter_module")]
static FILTER: NginxTable<ngx_module_t> = NginxTable::new(ngx_module_t {
    ctx: FILTER_CONTEXT.0.get().cast(),
    type_: sys::NGX_HTTP_MODULE as sys::ngx_uint_t,
    ..ngx_module_t::default()
});

/// The tag of the cluster's zone: it must be another one than those of the two modules. nginx compares
/// tags and looks at no more of them (ngx_shared_memory_add(), ngx_init_cycle()).
static CLUSTER: NginxTable<ngx_module_t> = NginxTable::new(ngx_module_t::default());

/// The same for the zone of `mode=discover`.
static SAMPLES: NginxTable<ngx_module_t> = NginxTable::new(ngx_module_t::default());

/// Pointers that ngx_load_module() reads. A module that is linked into nginx has none: configure writes
/// tables of these names.
#[cfg(not(feature = "static"))]
#[repr(transparent)]
pub struct Exported<T>(T);

// SAFETY: pointers that never change.
#[cfg(not(feature = "static"))]
unsafe impl<T> Sync for Exported<T> {}

/// The modules in this file (ngx_load_module()).
#[cfg(not(feature = "static"))]
#[no_mangle]
#[allow(non_upper_case_globals)]
pub static ngx_modules: Exported<[*const ngx_module_t; 3]> =
    Exported([MODULE.0.get(), FILTER.0.get(), ptr::null()]);

/// Their names, in the same order.
#[cfg(not(feature = "static"))]
#[no_mangle]
#[allow(non_upper_case_globals)]
pub static ngx_module_names: Exported<[*const c_char; 3]> = Exported([
    c"ngx_http_sticky_rs_module".as_ptr(),
    c"ngx_http_sticky_rs_filter_module".as_ptr(),
    ptr::null(),
]);

/// Each of our modules is put before the first module after it in this list that nginx has
/// (ngx_add_module()).
#[cfg(not(feature = "static"))]
#[no_mangle]
#[allow(non_upper_case_globals)]
pub static ngx_module_order: Exported<[*const c_char; 8]> = Exported([
    c"ngx_http_sticky_rs_module".as_ptr(),
    c"ngx_http_upstream_module".as_ptr(),
    c"ngx_http_sticky_rs_filter_module".as_ptr(),
    c"ngx_http_gunzip_filter_module".as_ptr(),
    c"ngx_http_userid_filter_module".as_ptr(),
    c"ngx_http_headers_filter_module".as_ptr(),
    c"ngx_http_copy_filter_module".as_ptr(),
    ptr::null(),
]);

unsafe extern "C" fn create_main_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    create::<MainConf<'_>>(cf)
}

unsafe extern "C" fn create_srv_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    create::<UpstreamConf<'_>>(cf)
}

unsafe extern "C" fn create_loc_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    create::<LocationConf>(cf)
}

fn create<T: Default>(cf: *mut ngx_conf_t) -> *mut c_void {
    guard(ptr::null_mut(), || {
        // SAFETY: these pass a cf that is being read: ngx_http_block(), ngx_http_core_server(),
        // ngx_http_core_location(), ngx_http_core_limit_except(), ngx_http_rewrite_if() and
        // ngx_http_upstream(). Its pool is the cycle's (ngx_init_cycle()).
        let conf = unsafe { Pool::from_ptr((*cf).pool) }.and_then(|pool| pool.keep(T::default()));
        conf.map_or(ptr::null_mut(), |conf| {
            ptr::from_ref(conf).cast_mut().cast()
        })
    })
}

unsafe extern "C" fn merge_loc_conf(
    cf: *mut ngx_conf_t,
    outer: *mut c_void,
    inner: *mut c_void,
) -> *mut c_char {
    // SAFETY: ngx_http_merge_servers() and ngx_http_merge_locations() pass two that
    // create_loc_conf() has made, in the same place of two levels.
    let (outer, inner) = unsafe {
        (
            &*outer.cast::<LocationConf>(),
            &*inner.cast::<LocationConf>(),
        )
    };
    inner.inherit(outer);
    if inner.status.get().is_some() {
        // SAFETY: cf is that of the http block.
        let cf = unsafe { Conf::from_ptr(cf) };
        if let Some(cf) = cf.filter(|cf| cf.has_other_handler(answer_operator)) {
            guard((), || status_page::warn_replaced(cf, inner));
        }
    }
    if let Some(page) = outer.status.get().filter(|_| inner.status.get().is_none()) {
        // SAFETY: as above, and cf is that of the http block.
        let cf = unsafe { Conf::from_ptr(cf) };
        if let Some(cf) = cf.filter(|cf| cf.is_part_without_handler()) {
            inner.status.set(Some(page));
            cf.set_handler(answer_operator);
        }
    }
    NGX_CONF_OK
}

unsafe extern "C" fn init_main_conf(cf: *mut ngx_conf_t, main: *mut c_void) -> *mut c_char {
    // SAFETY: ngx_http_block() passes the cf of the http block, and what create_main_conf() has
    // made.
    let (Some(cf), Some(main)) =
        (unsafe { (Conf::from_ptr(cf), main.cast::<MainConf<'_>>().as_ref()) })
    else {
        return NGX_CONF_ERROR;
    };
    guard(NGX_CONF_ERROR, || {
        match directives::complete::<Steering>(cf, main) {
            Ok(()) => NGX_CONF_OK,
            Err(why) => refuse(cf, &why),
        }
    })
}

unsafe extern "C" fn init_module(cycle: *mut sys::ngx_cycle_t) -> ngx_int_t {
    // With `master_process off`, the zones of the previous cycle are about to be unmapped.
    guard((), background_task::stop_all);
    // The same: the process may have served an older cycle, which will be no more.
    guard((), admission::open);
    // SAFETY: ngx_init_cycle() passes the new cycle, which is complete (ngx_init_modules()).
    if let Some(new) = unsafe { Cycle::from_ptr(cycle) } {
        guard((), || version::announce(new));
        guard((), || {
            let zones = new.zones::<ZoneConf>();
            shm::end_of_configuration(!zones.is_empty());
            Zone::keep_for_older_requests(&zones);
            Zone::keep_for_older_requests(&new.zones::<CountersConf>());
            Zone::keep_for_older_requests(&new.zones::<SamplesConf>());
        });
        guard((), || {
            housekeeping::settle_keys(new);
            clustered::begin(new);
        });
        guard((), || counted::begin(new));
        guard((), || discovery::begin(new));
        guard((), || housekeeping::begin(new));
        guard((), || cluster_zone::begin(new));
        guard((), || directives::warn(new));
        if !guard(true, || clustered::check(new)) {
            return sys::ERROR;
        }
    }
    sys::OK
}

unsafe extern "C" fn init_process(cycle: *mut sys::ngx_cycle_t) -> ngx_int_t {
    // SAFETY: ngx_worker_process_init() and ngx_single_process_cycle() pass the running cycle.
    let running = unsafe { Cycle::from_ptr(cycle) };
    guard((), || {
        if let Some(running) = running.filter(|_| process::role() != Role::Single) {
            housekeeping::enter(running);
            counters::enter(running);
            running
                .zones::<SamplesConf>()
                .iter()
                .for_each(|zone| zone.close_file());
            cluster::enter(running);
            cluster_zone::carry_out_drains(running);
        }
        if matches!(process::role(), Role::Worker(_) | Role::Single) {
            EverySecond::tick();
            timer::start::<EverySecond>();
            if running.is_some_and(|running| !running.zones::<ClusterZoneConf>().is_empty()) {
                timer::start::<Clustering>();
            }
        }
    });
    sys::OK
}

unsafe extern "C" fn exit_process(cycle: *mut sys::ngx_cycle_t) {
    // SAFETY: ngx_worker_process_exit() and ngx_single_process_cycle() pass the running cycle.
    if let Some(running) = unsafe { Cycle::from_ptr(cycle) } {
        guard((), || operator::leave_worker(running));
        guard((), || cluster::leave_worker(running));
        guard((), || {
            housekeeping::leave_worker(running, &|zone| usable::servers_of(running, zone));
        });
    }
}

unsafe extern "C" fn exit_master(cycle: *mut sys::ngx_cycle_t) {
    // SAFETY: ngx_master_process_exit() passes the running cycle.
    if let Some(running) = unsafe { Cycle::from_ptr(cycle) } {
        guard((), || {
            housekeeping::leave_master(running, &|zone| usable::servers_of(running, zone))
        });
    }
}

/// Answers the requests of a location with `sticky_status`.
unsafe extern "C" fn answer_operator(r: sys::RequestPtr) -> ngx_int_t {
    // SAFETY: ngx_http_core_content_phase() passes a live request.
    let Some(request) = (unsafe { Request::from_ptr(r) }) else {
        return sys::ERROR;
    };
    guard(sys::NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t, || {
        operator::answer(request).as_int()
    })
}
