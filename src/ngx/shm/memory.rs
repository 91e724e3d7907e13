//! Memory of zones that other programs can find, and second mappings of it.

#[cfg(target_os = "linux")]
use std::cell::RefCell;
use std::mem::size_of;
use std::ptr::NonNull;
#[cfg(target_os = "linux")]
use std::rc::Rc;

#[cfg(target_os = "linux")]
pub use self::file::MemoryFile;
use super::users::{Number, Users};
use super::Shareable;

/// The header at the start of a block and as many words as fit after it.
///
/// # Safety
/// The block is mapped for `'a`.
pub unsafe fn split<'a, H: Shareable, W: Shareable>(
    block: NonNull<[u8]>,
) -> Option<(&'a H, &'a [W])> {
    let room = block.len().checked_sub(size_of::<H>())?;
    let header = block.cast::<H>();
    // SAFETY: the block has room for a header.
    let words = unsafe { header.add(1) }.cast::<W>();
    if !header.is_aligned() || !words.is_aligned() {
        return None;
    }
    // SAFETY: the caller's promise; aligned as just tested, and large enough. Shareable says that
    // any bytes will do and that other processes may write.
    unsafe {
        let words = std::slice::from_raw_parts(words.as_ptr(), room / size_of::<W>());
        Some((header.as_ref(), words))
    }
}

/// The block of a zone that is replaced, which older workers use, or another nginx.
pub struct OldBlock {
    block: NonNull<[u8]>,
    /// A mapping of its own, which nginx does not know. Else it is the zone's.
    is_own: bool,
    users: Users,
    /// What a program inherits that this one is upgraded to.
    #[cfg(target_os = "linux")]
    file: RefCell<Option<Rc<MemoryFile>>>,
}

impl OldBlock {
    /// A second mapping of the block of a zone, that stays when nginx unmaps the first; where the
    /// system has no such thing, the first. It was new in the configuration with the number
    /// `since`.
    ///
    /// # Safety
    /// The block is part of a shared mapping, which stays as long as [`OldBlock::is_own`] is false.
    pub unsafe fn of(
        block: NonNull<[u8]>,
        since: Number,
        #[cfg(target_os = "linux")] file: Option<Rc<MemoryFile>>,
    ) -> Self {
        // SAFETY: the caller's promise.
        let own = unsafe { mapped_again(block) };
        Self {
            block: own.unwrap_or(block),
            is_own: own.is_some(),
            users: Users::of_older_configurations(since),
            #[cfg(target_os = "linux")]
            file: RefCell::new(file),
        }
    }

    /// The block of a zone of the nginx that has started this one.
    #[cfg(target_os = "linux")]
    pub fn of_parent(file: &Rc<MemoryFile>) -> Option<Self> {
        Some(Self {
            block: file.map()?,
            is_own: true,
            users: Users::of_parent(),
            file: RefCell::new(Some(Rc::clone(file))),
        })
    }

    /// In a process that starts no other program: what such a program would inherit is not needed.
    pub fn close_file(&self) {
        #[cfg(target_os = "linux")]
        self.file.take();
    }

    /// Whether it stays when nginx unmaps the zone.
    pub fn is_own(&self) -> bool {
        self.is_own
    }

    /// See [`Zone::split`](super::Zone::split).
    pub fn split<H: Shareable, W: Shareable>(&self) -> Option<(&H, &[W])> {
        // SAFETY: mapped until it is dropped, or as long as the zone (OldBlock::of()).
        unsafe { split(self.block) }
    }

    /// Its size in bytes.
    pub fn size(&self) -> usize {
        self.block.len()
    }

    /// Whether a process may use it that knows no later one.
    pub fn has_users(&self) -> bool {
        !self.users.have_ended()
    }

    /// Gives the memory back to the system, in all processes. Whoever still reads it reads zeroes.
    pub fn free(&self) {
        #[cfg(target_os = "linux")]
        if self.is_own {
            let (at, size) = (self.block.cast::<u8>().as_ptr(), self.block.len());
            // SAFETY: a shared mapping of this block alone, whole pages. Shareable says that zeroes
            // will do. Should it fail, the memory stays until the mappings go.
            let _ =
                unsafe { rustix::mm::madvise(at.cast(), size, rustix::mm::Advice::LinuxRemove) };
        }
    }
}

impl Drop for OldBlock {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        if self.is_own {
            let (at, size) = (self.block.cast::<u8>().as_ptr(), self.block.len());
            // SAFETY: this mapping was made here, and split() borrows from self; Zone::task() says
            // why no thread has it any more.
            let _ = unsafe { rustix::mm::munmap(at.cast(), size) };
        }
    }
}

/// A mapping that nobody can use, in the place of which another one can be kept.
pub fn vacant(size: usize) -> Option<*mut u8> {
    #[cfg(target_os = "linux")]
    {
        use rustix::mm::{mmap_anonymous, MapFlags, ProtFlags};
        // SAFETY: a new mapping, where nothing is.
        let at = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                size,
                ProtFlags::empty(),
                MapFlags::PRIVATE,
            )
        };
        at.ok().map(<*mut std::ffi::c_void>::cast)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = size;
        None
    }
}

/// # Safety
/// The block is part of a shared mapping.
#[cfg(target_os = "linux")]
unsafe fn mapped_again(block: NonNull<[u8]>) -> Option<NonNull<[u8]>> {
    use rustix::mm::{mremap, MremapFlags};
    let (at, size) = (block.cast::<u8>().as_ptr(), block.len());
    // SAFETY: with an old size of 0, mremap(2) leaves a shared mapping as it is and maps the same
    // pages once more.
    let again = unsafe { mremap(at.cast(), 0, size, MremapFlags::MAYMOVE) }.ok()?;
    Some(NonNull::slice_from_raw_parts(
        NonNull::new(again.cast())?,
        size,
    ))
}

#[cfg(not(target_os = "linux"))]
unsafe fn mapped_again(_: NonNull<[u8]>) -> Option<NonNull<[u8]>> {
    None
}

#[cfg(target_os = "linux")]
mod file {
    use std::cell::RefCell;
    use std::os::fd::{AsFd, FromRawFd, OwnedFd};
    use std::ptr::NonNull;
    use std::rc::Rc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use rustix::fs::{fstat, ftruncate, memfd_create, MemfdFlags};
    use rustix::mm::{mmap, MapFlags, ProtFlags};
    use rustix::process::{getrlimit, Resource};

    use crate::ngx::process::is_upgrade;
    use crate::ngx::shm::open_files::open_files;

    /// What the names of such files begin with, in /proc/PID/fd and /proc/PID/maps.
    const NAME: &str = "nginx-sticky:";

    /// The longest name of a zone that the name of a file has room for.
    const LONGEST_NAME: usize = 200;

    /// At most 1 / `SHARE` of the files that a process may open are made for a configuration. While
    /// a configuration is read, those of the one before are open, too: at most twice as many in
    /// all.
    const SHARE: u64 = 4;

    static OPEN: AtomicUsize = AtomicUsize::new(0);

    /// Those of them that were made for the configuration that is being read.
    static NEW: AtomicUsize = AtomicUsize::new(0);

    /// The file in which the memory of a zone is. It has a name in no folder; the program that this
    /// one is upgraded to inherits the descriptor.
    pub struct MemoryFile {
        file: OwnedFd,
        size: usize,
        generation: u32,
    }

    impl MemoryFile {
        /// A new file of zeroes, which takes memory where it is written. `None`: the system has
        /// none, or this process has as many as it may. A zone that replaces another one has a
        /// higher generation.
        pub fn new(zone: &[u8], generation: u32, size: usize) -> Option<Self> {
            // A file of that size would end the process otherwise, by a signal.
            let largest = getrlimit(Resource::Fsize).current;
            let is_small = largest.is_none_or(|largest| size as u64 <= largest);
            let files = getrlimit(Resource::Nofile).current;
            let is_room = files.is_none_or(|files| {
                let below = |count: &AtomicUsize, most| (count.load(Relaxed) as u64) < most;
                below(&NEW, files / SHARE) && below(&OPEN, 2 * files / SHARE)
            });
            if zone.len() > LONGEST_NAME || !is_small || !is_room {
                return None;
            }
            // Not closed when another program is executed.
            let name = [name_of(zone), format!(".{generation}").into_bytes()].concat();
            let file = memfd_create(name.as_slice(), MemfdFlags::empty()).ok()?;
            ftruncate(&file, size as u64).ok()?;
            Some(Self::counted(file, size, generation))
        }

        /// The files that the nginx has which has started this one: of the zone of that name, and
        /// of those which that has replaced, the latest first. To be asked before the first
        /// [`MemoryFile::new`], and only for the first configuration.
        pub fn inherited(zone: &[u8]) -> Vec<Rc<Self>> {
            let wanted = name_of(zone);
            let mut found = INHERITED.with_borrow_mut(|inherited| {
                let all = inherited.get_or_insert_with(|| all_inherited().unwrap_or_default());
                let (found, others) = std::mem::take(all)
                    .into_iter()
                    .partition::<Vec<_>, _>(|it| it.name == wanted);
                *all = others;
                found
            });
            found.sort_by_key(|it| std::cmp::Reverse(it.file.generation));
            found.into_iter().map(|it| Rc::new(it.file)).collect()
        }

        /// See [`MemoryFile::new`].
        pub fn generation(&self) -> u32 {
            self.generation
        }

        /// To be called when a configuration is complete. Closes those inherited ones that no zone
        /// has.
        pub fn end_of_configuration() {
            // Also where no zone has asked.
            if INHERITED.take().is_none() && is_upgrade() {
                drop(all_inherited());
            }
            INHERITED.set(Some(Vec::new()));
            NEW.store(0, Relaxed);
        }

        fn counted(file: OwnedFd, size: usize, generation: u32) -> Self {
            OPEN.fetch_add(1, Relaxed);
            NEW.fetch_add(1, Relaxed);
            Self {
                file,
                size,
                generation,
            }
        }

        /// Maps it somewhere.
        pub(super) fn map(&self) -> Option<NonNull<[u8]>> {
            let size = self.size;
            // SAFETY: a new mapping, where nothing is.
            let at = unsafe {
                mmap(
                    std::ptr::null_mut(),
                    size,
                    ProtFlags::READ | ProtFlags::WRITE,
                    MapFlags::SHARED,
                    self.file.as_fd(),
                    0,
                )
            };
            Some(NonNull::slice_from_raw_parts(
                NonNull::new(at.ok()?.cast())?,
                size,
            ))
        }

        /// Maps it in the place of that memory, which is gone then. Whether that was done.
        ///
        /// # Safety
        /// The block is whole pages of a mapping, as large as the file, and nobody uses it.
        pub unsafe fn map_over(&self, block: NonNull<[u8]>) -> bool {
            let at = block.cast::<u8>().as_ptr().cast();
            // SAFETY: the caller's promise.
            let mapped = unsafe {
                mmap(
                    at,
                    block.len(),
                    ProtFlags::READ | ProtFlags::WRITE,
                    MapFlags::SHARED | MapFlags::FIXED,
                    self.file.as_fd(),
                    0,
                )
            };
            mapped == Ok(at)
        }
    }

    impl Drop for MemoryFile {
        fn drop(&mut self) {
            OPEN.fetch_sub(1, Relaxed);
            // Of a configuration that has failed. Those of an older one go when none is being read.
            let _ = NEW.fetch_update(Relaxed, Relaxed, |new| new.checked_sub(1));
        }
    }

    /// A file that was open when this program began.
    struct Inherited {
        name: Vec<u8>,
        file: MemoryFile,
    }

    thread_local! {
        /// Those that no zone has yet. `None`: nobody has looked.
        static INHERITED: RefCell<Option<Vec<Inherited>>> = const { RefCell::new(None) };
    }

    fn all_inherited() -> Option<Vec<Inherited>> {
        let mut all = Vec::new();
        for (number, name) in open_files()? {
            if name.starts_with(NAME.as_bytes()) {
                // SAFETY: it is open, and nobody else has it: this program has not made such files
                // yet.
                let file = unsafe { OwnedFd::from_raw_fd(number) };
                let size = usize::try_from(fstat(&file).ok()?.st_size).ok()?;
                let end = name
                    .iter()
                    .rposition(|byte| *byte == b'.')
                    .unwrap_or(name.len());
                let (name, generation) = name.split_at(end);
                let generation = std::str::from_utf8(generation.get(1..).unwrap_or_default());
                let generation = generation.ok().and_then(|it| it.parse().ok());
                all.push(Inherited {
                    name: name.to_vec(),
                    file: MemoryFile::counted(file, size, generation.unwrap_or_default()),
                });
            }
        }
        Some(all)
    }

    fn name_of(zone: &[u8]) -> Vec<u8> {
        [NAME.as_bytes(), zone].concat()
    }

    // memfd_create(2): 249 bytes.
    const _: () = assert!(NAME.len() + LONGEST_NAME < 249);
}
