//! Which of nginx's processes this is, and what it is about to do.

use super::sys;

/// Which of nginx's processes this is (`ngx_process`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The only one, with `master_process off`; also any process before it has become another.
    Single,
    /// The one that starts the others. It serves no requests.
    Master,
    /// The worker of that number, from 0.
    Worker(usize),
    /// One that keeps the cache, or that sends a signal.
    Other,
}

/// What this process is.
pub fn role() -> Role {
    // SAFETY: words that are set before the event loop runs (main(), ngx_worker_process_init(),
    // ngx_spawn_process()).
    unsafe {
        match sys::ngx_process as u32 {
            sys::NGX_PROCESS_SINGLE => Role::Single,
            sys::NGX_PROCESS_MASTER => Role::Master,
            sys::NGX_PROCESS_WORKER => Role::Worker(sys::ngx_worker),
            _ => Role::Other,
        }
    }
}

/// Whether the worker finishes the requests that it has and takes no new ones.
pub fn is_draining() -> bool {
    // SAFETY: a word that only ngx_worker_process_cycle() sets.
    unsafe { sys::ngx_exiting != 0 }
}

/// Whether the process was told to end at once.
pub fn is_terminating() -> bool {
    // SAFETY: a word of type sig_atomic_t, which ngx_signal_handler() sets at any time.
    unsafe { (&raw const sys::ngx_terminate).read_volatile() != 0 }
}

/// Whether the configuration is only tested (`nginx -t`).
pub fn is_test() -> bool {
    // SAFETY: a word that ngx_get_options() sets.
    unsafe { sys::ngx_test_config != 0 }
}

/// Whether another nginx has started this one, to be replaced by it (USR2).
pub fn is_upgrade() -> bool {
    // SAFETY: a word that ngx_add_inherited_sockets() sets, before the first ngx_init_cycle().
    unsafe { sys::ngx_inherited != 0 }
}

/// Whether no process has that number, of those that this one may send signals to.
pub fn is_gone(number: u32) -> bool {
    let number = i32::try_from(number)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let test = number.map(rustix::process::test_kill_process);
    matches!(test, Some(Err(rustix::io::Errno::SRCH)))
}
