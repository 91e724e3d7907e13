//! Which processes may still use memory that this one wants to free.
//!
//! Each configuration has a number, and a lock on the byte of that number of a file in memory. The
//! lock is on a descriptor that the master has while the configuration is its latest, and that
//! workers inherit and keep until they end. So it counts whoever may serve by that configuration,
//! from the moment when it is forked, whoever its parent is and however it ends; and each process
//! has one descriptor for that, however many others there are. An nginx that is started to replace
//! this one inherits the file, too, and takes higher numbers.

#[cfg(target_os = "linux")]
pub use self::locks::{close, end_of_configuration, enter_worker, find_inherited};
#[cfg(target_os = "linux")]
use self::locks::{is_held, with_numbers};
#[cfg(target_os = "linux")]
use crate::ngx::process::{role, Role};

/// The number of a configuration, the program that has read it in its upper half. 0 is lower than
/// all.
pub type Number = u64;

/// That of the configuration that is being read.
pub fn number() -> Number {
    #[cfg(target_os = "linux")]
    return with_numbers(|numbers| numbers.next()).unwrap_or_default();
    #[cfg(not(target_os = "linux"))]
    Number::default()
}

/// Those whose latest block of a zone is that one.
#[derive(Clone, Debug, Default)]
pub struct Users {
    /// The numbers of their configurations, from one up to the other, which is not among them.
    /// `None`: it is not known when they have ended.
    #[cfg(target_os = "linux")]
    numbers: Option<Vec<(Number, Number)>>,
}

#[cfg(target_os = "linux")]
impl Users {
    /// For a block that the configuration being read replaces, and that was new in the one with the
    /// number `since`: the processes of all configurations from that one on, and another nginx that
    /// this one has started.
    pub fn of_older_configurations(since: Number) -> Self {
        // With `master_process off`, this very process goes on with requests of the older one.
        if role() == Role::Single {
            return Self::default();
        }
        let numbers = with_numbers(|numbers| vec![(since, numbers.next()), numbers.of_children()]);
        Self { numbers }
    }

    /// For a block of the nginx that has started this one: all its processes, those of the one
    /// before it, too.
    pub fn of_parent() -> Self {
        let numbers = with_numbers(|numbers| vec![(0, numbers.first())]);
        Self { numbers }
    }

    /// Whether all have ended.
    pub fn have_ended(&self) -> bool {
        let Some(numbers) = &self.numbers else {
            return false;
        };
        let is_held = |&(from, to)| is_held(from, to).unwrap_or(true);
        !numbers.iter().any(is_held)
    }
}

#[cfg(not(target_os = "linux"))]
impl Users {
    /// See above. They are not known here.
    pub fn of_older_configurations(_: Number) -> Self {
        Self::default()
    }

    /// Whether all have ended. It is not known here.
    pub fn have_ended(&self) -> bool {
        false
    }
}

#[cfg(target_os = "linux")]
mod locks {
    use std::cell::RefCell;
    use std::io;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    use rustix::fs::{fstat, ftruncate, memfd_create, MemfdFlags, Mode, OFlags};
    use rustix::io::{fcntl_getfd, fcntl_setfd, FdFlags};

    use super::Number;
    use crate::ngx::process::{is_test, is_upgrade};
    use crate::ngx::shm::open_files::open_files;
    use crate::ngx::sys;

    /// What the file is called in /proc/PID/fd.
    const NAME: &[u8] = b"nginx-sticky-users";

    /// Bits of a number that count the configurations of one program.
    const CONFIGURATION: u32 = 32;

    /// The most programs that have replaced one another: the numbers are offsets in a file.
    const MOST_PROGRAMS: u64 = 1 << (i64::BITS - 1 - CONFIGURATION);

    thread_local! {
        static LATEST: RefCell<State> = const { RefCell::new(State::New) };
    }

    enum State {
        /// Nobody has asked yet.
        New,
        /// There is a lock for the latest configuration.
        Locked(Numbers),
        /// The system has no such files or locks, or no /proc.
        Without,
    }

    /// The numbers of this program, and the descriptor with the lock.
    pub struct Numbers {
        file: OwnedFd,
        program: u64,
        /// How many configurations are complete. While the first one is read, its lock is held
        /// already.
        complete: u32,
    }

    impl Numbers {
        /// That of the configuration that is being read.
        pub fn next(&self) -> Number {
            self.first() + u64::from(self.complete) + 1
        }

        /// Lower than all numbers of this program, and higher than those of the ones that it
        /// replaces.
        pub fn first(&self) -> Number {
            self.program << CONFIGURATION
        }

        /// Those of programs that replace this one.
        pub fn of_children(&self) -> (Number, Number) {
            (
                (self.program + 1) << CONFIGURATION,
                MOST_PROGRAMS << CONFIGURATION,
            )
        }

        /// The first lock of this program, in the file of the one that has started it, if there is
        /// one.
        fn begin(inherited: &[OwnedFd]) -> io::Result<Self> {
            let file = match inherited.first() {
                Some(file) => opened_anew(file, OFlags::RDWR)?,
                // Not closed when another program is executed.
                None => memfd_create(NAME, MemfdFlags::empty())?,
            };
            // The file's size is the number of its latest program.
            let program = u64::try_from(fstat(&file)?.st_size).unwrap_or_default() + 1;
            if program >= MOST_PROGRAMS {
                return Err(io::ErrorKind::StorageFull.into());
            }
            ftruncate(&file, program)?;
            let numbers = Self {
                file,
                program,
                complete: 0,
            };
            lock(&numbers.file, numbers.next())?;
            // Whether others will see it.
            match numbers.is_held(numbers.next(), numbers.next() + 1)? {
                true => Ok(numbers),
                false => Err(io::ErrorKind::Unsupported.into()),
            }
        }

        /// A configuration is complete: from now on processes are started for it.
        fn end_of_configuration(&mut self) -> io::Result<()> {
            if self.complete > 0 {
                let file = opened_anew(&self.file, OFlags::RDWR)?;
                lock(&file, self.next())?;
                self.file = file;
            }
            self.complete = self.complete.saturating_add(1);
            Ok(())
        }

        /// Whether a process has the lock of one of these numbers, this one included.
        fn is_held(&self, from: Number, to: Number) -> io::Result<bool> {
            // Of locks of its own a descriptor says nothing.
            let asking = opened_anew(&self.file, OFlags::RDONLY)?;
            let mut range = range(from, to);
            ofd_lock(&asking, sys::F_OFD_GETLK, &mut range)?;
            Ok(i32::from(range.l_type) != sys::F_UNLCK as i32)
        }
    }

    /// To be called before [`Users::of_parent`](super::Users::of_parent): takes over the file of
    /// the nginx that has started this one.
    pub fn find_inherited() {
        LATEST.with_borrow_mut(|state| {
            if matches!(state, State::New) && !is_test() {
                *state = State::begin();
            }
        });
    }

    impl State {
        fn begin() -> Self {
            let inherited = match is_upgrade() {
                true => inherited(),
                false => Vec::new(),
            };
            // The inherited descriptors are closed afterwards: until then they count for this
            // program.
            match Numbers::begin(&inherited) {
                Ok(numbers) => State::Locked(numbers),
                Err(_) => State::Without,
            }
        }
    }

    /// To be called when a configuration is complete, in which there are zones or not. If there is
    /// no descriptor for its lock, its processes have that of the one before, and count as its.
    pub fn end_of_configuration(has_zones: bool) {
        if has_zones {
            find_inherited();
        } else if is_upgrade() && with_numbers(|_| ()).is_none() {
            drop(inherited());
        }
        LATEST.with_borrow_mut(|state| {
            if let State::Locked(numbers) = state {
                let _ = numbers.end_of_configuration();
            }
        });
    }

    /// To be called in a process that serves requests and starts no other nginx.
    pub fn enter_worker() {
        LATEST.with_borrow(|state| {
            if let State::Locked(numbers) = state {
                // What other modules execute has nothing to do with it. Each process has flags of
                // its own.
                let flags = fcntl_getfd(&numbers.file).unwrap_or(FdFlags::empty());
                let _ = fcntl_setfd(&numbers.file, flags | FdFlags::CLOEXEC);
            }
        });
    }

    /// To be called in a process that uses no zone.
    pub fn close() {
        LATEST.set(State::Without);
    }

    /// Asks the numbers of this program. `None`: there are none.
    pub fn with_numbers<R>(ask: impl FnOnce(&Numbers) -> R) -> Option<R> {
        LATEST.with_borrow(|state| match state {
            State::Locked(numbers) => Some(ask(numbers)),
            State::New | State::Without => None,
        })
    }

    /// Whether a process has the lock of a configuration with one of these numbers. `None`: it is
    /// not known.
    pub fn is_held(from: Number, to: Number) -> Option<bool> {
        with_numbers(|numbers| numbers.is_held(from, to).ok())?
    }

    fn inherited() -> Vec<OwnedFd> {
        let all = open_files().unwrap_or_default().into_iter();
        let ours = all.filter(|(_, name)| name == NAME);
        // SAFETY: it is open, and nobody else has it: this program has not made such files yet.
        ours.map(|(number, _)| unsafe { OwnedFd::from_raw_fd(number) })
            .collect()
    }

    /// Another descriptor of a file in memory, which shares no locks with the first one.
    fn opened_anew(file: &OwnedFd, how: OFlags) -> io::Result<OwnedFd> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(rustix::fs::open(path, how, Mode::empty())?)
    }

    fn lock(file: &OwnedFd, number: Number) -> io::Result<()> {
        ofd_lock(file, sys::F_OFD_SETLK, &mut range(number, number + 1))
    }

    fn range(from: Number, to: Number) -> sys::flock {
        sys::flock {
            l_type: sys::F_WRLCK as _,
            l_whence: sys::SEEK_SET as _,
            l_start: from as _,
            l_len: to.saturating_sub(from) as _,
            l_pid: 0,
        }
    }

    fn ofd_lock(file: &OwnedFd, command: u32, range: &mut sys::flock) -> io::Result<()> {
        // SAFETY: fcntl(2) reads and writes one such structure for these commands.
        let result =
            unsafe { sys::fcntl(file.as_raw_fd(), command as _, std::ptr::from_mut(range)) };
        match result {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
