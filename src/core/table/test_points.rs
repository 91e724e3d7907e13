//! Marks between the steps of whatever takes several: where tests let a worker die, or another
//! go first. Without feature `steps`, which no release build has, they are nothing.

/// The program has come to the place called `name`.
#[cfg(not(feature = "steps"))]
#[inline(always)]
pub fn at(_name: &'static str) {}

#[cfg(feature = "steps")]
pub use marked::{at, hook, Hook, KILL_AT};

#[cfg(feature = "steps")]
mod marked {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::sync::OnceLock;

    use rustix::process::{getpid, kill_process, Signal};

    /// What a test does at each mark.
    pub type Hook = Rc<dyn Fn(&'static str)>;

    /// Environment variable `NAME:COUNT`: the process kills itself, as SIGKILL does it, when it
    /// comes to the mark called NAME for the COUNTth time.
    pub const KILL_AT: &str = "STICKY_KILL_AT";

    thread_local! {
        static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
    }

    /// Sets the hook of this thread and returns the one before.
    pub fn hook(new: Option<Hook>) -> Option<Hook> {
        HOOK.with(|hook| hook.replace(new))
    }

    /// The program has come to the place called `name`.
    pub fn at(name: &'static str) {
        die_at(name);
        // Cloned, because a hook may suspend this piece of work and go on with another.
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
        if let Some((mark, left)) = plan {
            if mark == name && left.fetch_sub(1, Relaxed) == 1 {
                // It cannot fail: the process is ours.
                let _ = kill_process(getpid(), Signal::KILL);
            }
        }
    }
}
