//! Processes that may still use memory which this one wants to free.

use std::cell::RefCell;
#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};

#[cfg(target_os = "linux")]
use rustix::event::{poll, PollFd, PollFlags, Timespec};
#[cfg(target_os = "linux")]
use rustix::io::Errno;
#[cfg(target_os = "linux")]
use rustix::process::{getppid, pidfd_open, Pid, PidfdFlags};

use crate::ngx::process::{self, is_upgrade, Role};
use crate::ngx::sys;

thread_local! {
    /// What the zones have that were made for the configuration that is being read.
    static LATEST: RefCell<Weak<RefCell<Processes>>> = const { RefCell::new(Weak::new()) };

    /// See [`Processes::of_parent`].
    static PARENT: Rc<RefCell<Processes>> = Rc::new(RefCell::new(Processes::parent()));
}

/// Some processes, by descriptors that name them even when their numbers are others' again.
#[derive(Default)]
pub struct Processes {
    #[cfg(target_os = "linux")]
    running: Vec<OwnedFd>,
    /// There are some of which nobody can say when they have ended.
    has_unknown: bool,
}

impl Processes {
    /// The workers and helpers of this master, and another nginx that it has started or that has
    /// started it. For the new configuration there are none yet. All zones of a configuration have the
    /// same ones.
    pub fn of_older_configurations() -> Rc<RefCell<Self>> {
        let known = LATEST.with_borrow(Weak::upgrade);
        known.unwrap_or_else(|| {
            let all = Rc::new(RefCell::new(Self::now()));
            LATEST.set(Rc::downgrade(&all));
            all
        })
    }

    /// To be called when a configuration is complete: for the next one it is an older one, too. Those
    /// of a configuration that fails are gone with it.
    pub fn end_of_configuration() {
        LATEST.take();
    }

    fn now() -> Self {
        // With `master_process off`, this very process goes on with requests of the older one.
        let mut all = Self {
            has_unknown: process::role() == Role::Single,
            ..Self::default()
        };
        // SAFETY: words and an array that the master changes in its own thread only, this one
        // (ngx_spawn_process(), ngx_reap_children()); ngx_last_process entries are in use.
        unsafe {
            let count = usize::try_from(sys::ngx_last_process).unwrap_or_default();
            let first = (&raw const sys::ngx_processes).cast::<sys::ngx_process_t>();
            for index in 0..count {
                let process = first.add(index);
                // -1: there was one.
                if (*process).pid > 0 && (*process).exited() == 0 {
                    all.add((*process).pid);
                }
            }
        }
        all.add_all_of(&PARENT.with(Rc::clone).borrow());
        all
    }

    /// The nginx that has started this one, to be replaced by it, with all its processes: it ends last.
    /// To be called first while it is known to be there, since later another process may have its number
    /// or be the parent.
    pub fn of_parent() -> Rc<RefCell<Self>> {
        PARENT.with(Rc::clone)
    }

    fn parent() -> Self {
        let mut all = Self::default();
        // SAFETY: a word that main() sets when the program begins.
        let parent = unsafe { sys::ngx_parent };
        if is_upgrade() && is_parent(parent) {
            all.add(parent);
        }
        all
    }

    fn add_all_of(&mut self, other: &Self) {
        #[cfg(target_os = "linux")]
        for process in &other.running {
            match process.try_clone() {
                Ok(process) => self.running.push(process),
                Err(_) => self.has_unknown = true,
            }
        }
        self.has_unknown |= other.has_unknown;
    }

    #[cfg(target_os = "linux")]
    fn add(&mut self, pid: sys::ngx_pid_t) {
        let Some(pid) = Pid::from_raw(pid) else {
            return;
        };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => self.running.push(process),
            Err(Errno::SRCH) => {}
            Err(_) => self.has_unknown = true,
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn add(&mut self, _: sys::ngx_pid_t) {
        self.has_unknown = true;
    }

    /// Whether all have ended.
    pub fn have_ended(&mut self) -> bool {
        #[cfg(target_os = "linux")]
        {
            let now = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            // Readable: it has ended.
            self.running.retain(|process| {
                let mut polled = [PollFd::new(process, PollFlags::IN)];
                poll(&mut polled, Some(&now)) != Ok(1)
            });
            self.running.is_empty() && !self.has_unknown
        }
        #[cfg(not(target_os = "linux"))]
        !self.has_unknown
    }
}

/// Whether that process is the parent of this one, still.
#[cfg(target_os = "linux")]
fn is_parent(pid: sys::ngx_pid_t) -> bool {
    getppid().is_some_and(|parent| parent.as_raw_nonzero().get() == pid)
}

#[cfg(not(target_os = "linux"))]
fn is_parent(_: sys::ngx_pid_t) -> bool {
    true
}
