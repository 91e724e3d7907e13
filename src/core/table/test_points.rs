//! Test points: named places between the steps of an operation, where tests let a worker die, or
//! let another one continue. Without feature `steps`, which no release build has, they do nothing.

/// The test point `name`.
#[cfg(not(feature = "steps"))]
#[inline(always)]
pub fn at(_name: &'static str) {}

#[cfg(feature = "steps")]
pub use enabled::{at, hook, Hook, KILL_AT};

#[cfg(feature = "steps")]
mod enabled {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::sync::OnceLock;

    use rustix::process::{getpid, kill_process, Signal};

    /// What a test does at each test point.
    pub type Hook = Rc<dyn Fn(&'static str)>;

    /// Environment variable with the value `NAME:COUNT`: the process kills itself with SIGKILL when
    /// it reaches the test point NAME for the COUNTth time.
    pub const KILL_AT: &str = "STICKY_KILL_AT";

    thread_local! {
        static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
    }

    /// Sets the hook of this thread and returns the previous one.
    pub fn hook(new: Option<Hook>) -> Option<Hook> {
        HOOK.with(|hook| hook.replace(new))
    }

    /// The test point `name`.
    pub fn at(name: &'static str) {
        die_at(name);
        // Cloned, because a hook may suspend this operation and resume another.
        let hook = HOOK.with(|hook| hook.borrow().clone());
        if let Some(hook) = hook {
            hook(name);
        }
    }

    fn die_at(name: &str) {
        static PLAN: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();
        let plan = PLAN.get_or_init(|| {
            let plan = std::env::var(KILL_AT).ok()?;
            let (name, count) = plan.rsplit_once(':')?;
            Some((name.to_owned(), AtomicU64::new(count.parse().ok()?)))
        });
        if let Some((point, left)) = plan {
            if point == name && left.fetch_sub(1, Relaxed) == 1 {
                // Cannot fail: a process may signal itself.
                let _ = kill_process(getpid(), Signal::KILL);
            }
        }
    }
}
