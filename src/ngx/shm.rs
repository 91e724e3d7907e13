//! A zone of shared memory with one block in it: a header and an array of words.
//!
//! The block is allocated once, when the zone is made, and never freed: nginx's slab mutex is not
//! locked while requests are served. Its address is the same in all workers and after a reload.
//!
//! Behind the block is a file in memory. An nginx that is upgraded to another binary leaves it to
//! that one, so that both have the same block while they serve side by side.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::mem::size_of;
use std::ptr::NonNull;
use std::rc::Rc;

mod memory;
#[cfg(target_os = "linux")]
mod open_files;
mod users;

#[cfg(target_os = "linux")]
use memory::MemoryFile;
pub use memory::OldBlock;
use users::Number;

use super::background_task::BackgroundTask;
use super::companion;
use super::conf::Conf;
use super::log::Log;
use super::owned::Owned;
use super::process::{is_test, is_upgrade, role, Role};
use super::sys;

/// A type for shared memory.
///
/// # Safety
/// Any bytes are a valid value, all access is atomic, and the type has no pointer, no drop and no
/// padding that matters.
pub unsafe trait Shareable {}

/// What a module keeps for each of its zones in a configuration.
///
/// # Safety
/// Zones whose tag is the module have this type and no other.
pub unsafe trait Adopt: Owned + Default {
    /// Called for the zone of a new cycle, after its memory was found or made. `false` refuses the
    /// configuration.
    fn adopt(zone: &Zone<Self>, memory: Memory) -> bool;

    /// Whether a block of another nginx can be used as it is.
    fn is_usable(block: &OldBlock) -> bool;
}

/// What is in the block of a zone.
pub enum Memory {
    /// What the cycle before has left, which had the same zone; or the block of the nginx that has
    /// started this one, which goes on using it.
    Kept {
        /// What the zone has replaced in an earlier cycle, see [`Zone::keep_replaced`].
        replaced: Vec<Rc<OldBlock>>,
    },
    /// Zeroes, of which none was written, nor read: the system has not provided the memory yet.
    New {
        /// The block of the zone of the same name in the cycle before, or in the nginx that has
        /// started this one, if its size is another; followed by those that this zone has replaced
        /// itself.
        before: Vec<Rc<OldBlock>>,
    },
}

/// A zone of the configuration.
pub struct Zone<T> {
    shm_zone: Cell<*mut sys::ngx_shm_zone_t>,
    block: Cell<Option<NonNull<[u8]>>>,
    #[cfg(target_os = "linux")]
    file: RefCell<Option<Rc<MemoryFile>>>,
    /// See [`MemoryFile::new`].
    #[cfg(target_os = "linux")]
    generation: Cell<u32>,
    /// The first configuration that has this block; 0: that of another nginx.
    since: Cell<Number>,
    replaced: OnceCell<Vec<Rc<OldBlock>>>,
    conf: T,
}

/// Why there is no zone.
pub enum ZoneError {
    /// nginx has written why.
    Reported,
    /// Out of memory.
    OutOfMemory,
}

impl<T: Adopt> Zone<T> {
    /// The zone of that name, of `size` bytes, or of the size that another directive gives when
    /// `size` is 0.
    pub fn add<'c>(cf: Conf<'c>, name: &'c [u8], size: usize) -> Result<&'c Self, ZoneError>
    where
        T: 'c,
    {
        // SAFETY: ngx_shared_memory_add() returns NULL after it wrote why, or the one zone of that
        // name and tag, whose data is NULL or a Zone<T>: nobody else has that tag.
        unsafe {
            let mut name = sys::string(name);
            let tag = T::module().cast_mut().cast();
            let shm_zone = sys::ngx_shared_memory_add(cf.as_ptr(), &mut name, size, tag);
            let Some(at) = shm_zone.as_mut() else {
                return Err(ZoneError::Reported);
            };
            if let Some(zone) = at.data.cast::<Self>().as_ref() {
                return Ok(zone);
            }
            let zone = Self {
                shm_zone: Cell::new(shm_zone),
                block: Cell::new(None),
                #[cfg(target_os = "linux")]
                file: RefCell::default(),
                #[cfg(target_os = "linux")]
                generation: Cell::default(),
                since: Cell::default(),
                replaced: OnceCell::new(),
                conf: T::default(),
            };
            let pool = cf.pool().ok_or(ZoneError::OutOfMemory)?;
            let zone = pool.keep(zone).ok_or(ZoneError::OutOfMemory)?;
            at.init = Some(init_zone::<T>);
            at.data = std::ptr::from_ref(zone).cast_mut().cast();
            Ok(zone)
        }
    }

    /// Gives the zone its size where no directive did. Only while the configuration is read.
    pub fn default_size(&self, size: usize) {
        // SAFETY: an element of cycle->shared_memory, which does not move (ngx_list_push()).
        // ngx_init_cycle() maps the zones after the configuration was read.
        unsafe {
            let shm = &mut (*self.shm_zone.get()).shm;
            if shm.size == 0 {
                shm.size = size;
            }
        }
    }

    /// The size of a zone whose block is to have so many bytes at least.
    pub fn size_for(block: usize) -> usize {
        // SAFETY: a word that ngx_os_init() sets before a configuration is read.
        let page = unsafe { sys::ngx_pagesize };
        // What ngx_slab_init() puts in front of the pages: the pool, less than 32 lists and their
        // statistics, and what it knows of each page. One page more, for the alignment.
        let pages = block.div_ceil(page) + 1;
        let fixed = size_of::<sys::ngx_slab_pool_t>()
            + 32 * (size_of::<sys::ngx_slab_page_t>() + size_of::<sys::ngx_slab_stat_t>());
        let size = fixed + pages * (page + size_of::<sys::ngx_slab_page_t>());
        size.next_multiple_of(page)
    }

    /// What the module keeps for it.
    pub fn conf(&self) -> &T {
        &self.conf
    }

    /// The zone's name.
    pub fn name(&self) -> &[u8] {
        // SAFETY: a string of the configuration (ngx_shared_memory_add()).
        unsafe { sys::bytes((*self.shm_zone.get()).shm.name) }
    }

    /// The header at the start of the block and as many words as fit after it. `None` before the
    /// zone was made.
    pub fn split<H: Shareable, W: Shareable>(&self) -> Option<(&H, &[W])> {
        // SAFETY: the block is mapped as long as the cycle (ngx_shm_alloc()).
        unsafe { memory::split(self.block.get()?) }
    }

    /// The blocks that this one has replaced, as long as they are needed, the latest first.
    pub fn replaced(&self) -> &[Rc<OldBlock>] {
        self.replaced.get().map(Vec::as_slice).unwrap_or_default()
    }

    /// Keeps the blocks that this one has replaced. Once, in [`Adopt::adopt`].
    pub fn keep_replaced(&self, replaced: Vec<Rc<OldBlock>>) {
        // It is set in a zone of the new cycle only.
        let _ = self.replaced.set(replaced);
    }

    /// Keeps them until the process ends, where a thread that has not ended may still use them.
    pub fn keep_replaced_for_ever(&self) {
        for block in self.replaced() {
            let _ = Rc::into_raw(Rc::clone(block));
        }
    }

    /// In a process that starts no other program: what such a program would inherit is not needed.
    pub fn close_file(&self) {
        #[cfg(target_os = "linux")]
        self.file.take();
        self.replaced().iter().for_each(|block| block.close_file());
    }

    /// Starts work on the headers and the words of some zones, as [`Zone::split`] has them, in a
    /// thread beside the event loop. `None` before the zones were made.
    pub fn task<H, W, R>(
        zones: &[&Self],
        work: impl FnOnce(&[(&H, &[W])]) -> R + Send + 'static,
    ) -> Option<io::Result<BackgroundTask<R>>>
    where
        H: Shareable + Sync + 'static,
        W: Shareable + Sync + 'static,
        R: Send + 'static,
    {
        let parts: Option<Vec<_>> = zones.iter().map(|zone| zone.split::<H, W>()).collect();
        // SAFETY: blocks of zones.
        Some(unsafe { task_on(&parts?, work) })
    }

    /// The same with a zone of another kind beside them.
    pub fn task_beside<U: Adopt, H, W, I, X, R>(
        zones: &[&Self],
        other: &Zone<U>,
        work: impl FnOnce(&[(&H, &[W])], (&I, &[X])) -> R + Send + 'static,
    ) -> Option<io::Result<BackgroundTask<R>>>
    where
        H: Shareable + Sync + 'static,
        W: Shareable + Sync + 'static,
        I: Shareable + Sync + 'static,
        X: Shareable + Sync + 'static,
        R: Send + 'static,
    {
        let parts: Option<Vec<_>> = zones.iter().map(|zone| zone.split::<H, W>()).collect();
        // SAFETY: blocks of zones.
        let (beside, parts) = (unsafe { lasting(other.split::<I, X>()?) }, parts?);
        // SAFETY: blocks of zones.
        Some(unsafe { task_on(&parts, move |parts| work(parts, beside)) })
    }

    /// The same in a thread that lives as long as this worker does, on each zone followed by the blocks
    /// that it has replaced. `None` before the zones were made, and in a process that is no worker.
    pub fn companion_beside<U: Adopt, H, W, I, X>(
        zones: &[&Self],
        other: &Zone<U>,
        work: impl FnOnce(&[Vec<(&H, &[W])>], (&I, &[X])) + Send + 'static,
    ) -> Option<io::Result<()>>
    where
        H: Shareable + Sync + 'static,
        W: Shareable + Sync + 'static,
        I: Shareable + Sync + 'static,
        X: Shareable + Sync + 'static,
    {
        if !matches!(role(), Role::Worker(_)) {
            return None;
        }
        let mut parts = Vec::new();
        for zone in zones {
            // SAFETY: blocks of zones, and those that they keep. In a worker, which begins no cycle,
            // nobody unmaps them (ngx_init_cycle()) until the process has ended.
            let mut all = vec![unsafe { lasting(zone.split::<H, W>()?) }];
            for block in zone.replaced() {
                // SAFETY: as above.
                all.push(unsafe { lasting(block.split::<H, W>()?) });
            }
            parts.push(all);
        }
        // SAFETY: as above.
        let beside = unsafe { lasting(other.split::<I, X>()?) };
        Some(companion::start(move || work(&parts, beside)))
    }

    /// The same on a zone, followed by the blocks that it has replaced.
    pub fn task_with_replaced<H, W, R>(
        &self,
        work: impl FnOnce(&[(&H, &[W])]) -> R + Send + 'static,
    ) -> Option<io::Result<BackgroundTask<R>>>
    where
        H: Shareable + Sync + 'static,
        W: Shareable + Sync + 'static,
        R: Send + 'static,
    {
        let mut parts = vec![self.split::<H, W>()?];
        for block in self.replaced() {
            parts.push(block.split::<H, W>()?);
        }
        // SAFETY: the block of a zone, and those that it keeps.
        Some(unsafe { task_on(&parts, work) })
    }

    /// The same with a zone of another kind beside them.
    pub fn task_with_replaced_beside<U: Adopt, H, W, I, X, R>(
        &self,
        other: &Zone<U>,
        work: impl FnOnce(&[(&H, &[W])], (&I, &[X])) -> R + Send + 'static,
    ) -> Option<io::Result<BackgroundTask<R>>>
    where
        H: Shareable + Sync + 'static,
        W: Shareable + Sync + 'static,
        I: Shareable + Sync + 'static,
        X: Shareable + Sync + 'static,
        R: Send + 'static,
    {
        // SAFETY: the block of a zone.
        let beside = unsafe { lasting(other.split::<I, X>()?) };
        self.task_with_replaced(move |parts: &[(&H, &[W])]| work(parts, beside))
    }

    /// The memory of a zone that the cycle before had not, or in another size.
    ///
    /// # Safety
    /// As for [`Zone::allocate`].
    unsafe fn begin(&self) -> Option<Memory> {
        // Before this program makes such files itself.
        #[cfg(target_os = "linux")]
        let inherited = match is_upgrade() && !is_test() {
            true => MemoryFile::inherited(self.name()),
            false => Vec::new(),
        };
        #[cfg(target_os = "linux")]
        if let Some(latest) = inherited.first() {
            self.generation.set(latest.generation().saturating_add(1));
            users::find_inherited();
        }
        self.since.set(users::number());
        // SAFETY: the caller's promise.
        unsafe {
            let before = self.before();
            if !self.allocate() {
                return None;
            }
            #[cfg(target_os = "linux")]
            if !inherited.is_empty() {
                return self.inherit(&inherited);
            }
            Some(Memory::New { before })
        }
    }

    /// Allocates the block, which is zero: the largest run of whole pages that the zone has.
    ///
    /// # Safety
    /// ngx_init_cycle() has just mapped the zone's memory, and nobody else uses it yet.
    unsafe fn allocate(&self) -> bool {
        // SAFETY: ngx_init_zone_pool() has put a slab pool at the zone's start, whose free pages
        // are one run. ngx_slab_alloc() returns NULL or size bytes. Their address is kept in
        // pool->data, as other modules do.
        unsafe {
            let pool = (*self.shm_zone.get())
                .shm
                .addr
                .cast::<sys::ngx_slab_pool_t>();
            let size = (*pool).pfree * sys::ngx_pagesize;
            let Some(block) = NonNull::new(sys::ngx_slab_alloc(pool, size)) else {
                return false;
            };
            let block = NonNull::slice_from_raw_parts(block.cast::<u8>(), size);
            (*pool).data = block.cast::<u8>().as_ptr().cast();
            self.block.set(Some(block));
            if self.map_file(block) {
                return true;
            }
            // ngx_shm_alloc() has mapped anonymous memory, or /dev/zero, or made a segment of
            // System V: new pages of all of them are zero. Since then only ngx_slab_init() has
            // written to it, and to its own tables in front of the first page (pool->start), as has
            // ngx_slab_alloc(). An nginx with NGX_DEBUG_MALLOC, however, has filled all of it
            // (ngx_slab_junk()), which the first word shows. Nothing else of the block is touched:
            // each page that is read or written takes memory from then on.
            if block.cast::<u64>().read() != 0 {
                block.cast::<u8>().write_bytes(0, size);
            }
            true
        }
    }

    /// Puts a new file of zeroes behind the block, if the system has one.
    ///
    /// # Safety
    /// The block is whole pages of the zone's mapping, and nobody uses it.
    #[cfg(target_os = "linux")]
    unsafe fn map_file(&self, block: NonNull<[u8]>) -> bool {
        let Some(file) = MemoryFile::new(self.name(), self.generation.get(), block.len()) else {
            return false;
        };
        // SAFETY: the caller's promise.
        let is_mapped = unsafe { file.map_over(block) };
        self.file.replace(is_mapped.then(|| Rc::new(file)));
        is_mapped
    }

    #[cfg(not(target_os = "linux"))]
    unsafe fn map_file(&self, _: NonNull<[u8]>) -> bool {
        false
    }

    /// The memory of the zone of the same name in the nginx that has started this one, for the
    /// first configuration, from its files and those of what that has replaced.
    ///
    /// # Safety
    /// Nobody uses the zone yet.
    #[cfg(target_os = "linux")]
    unsafe fn inherit(&self, files: &[Rc<MemoryFile>]) -> Option<Memory> {
        let mut before: Vec<_> = files
            .iter()
            .map_while(|file| OldBlock::of_parent(file).map(Rc::new))
            .collect();
        let block = self.block.get()?;
        let same = before.first().zip(files.first());
        let same = same.filter(|(old, _)| block.len() == old.size() && T::is_usable(old));
        let Some((_, file)) = same else {
            return Some(Memory::New { before });
        };
        // SAFETY: the block is whole pages, as large as the file, and nobody uses it.
        if !unsafe { file.map_over(block) } {
            // Whatever is mapped there now.
            return None;
        }
        self.generation.set(file.generation());
        self.since.set(Number::default());
        self.file.replace(Some(Rc::clone(file)));
        let replaced = before.split_off(1);
        Some(Memory::Kept { replaced })
    }

    /// The zone of the same name in the cycle that is still running, which has another size.
    ///
    /// # Safety
    /// While a new cycle is being initialised.
    unsafe fn before(&self) -> Vec<Rc<OldBlock>> {
        // SAFETY: ngx_cycle is the running cycle until ngx_init_cycle() has returned (main(),
        // ngx_master_process_cycle()); its zones and their memory stay until then.
        let zones = unsafe { sys::ngx_cycle.as_ref() }.map(Self::all);
        let mut zones = zones.into_iter().flatten();
        let old = zones.find(|old| old.shm_zone != self.shm_zone && old.name() == self.name());
        let Some((old, block)) = old.and_then(|old| Some((old, old.block.get()?))) else {
            return Vec::new();
        };
        #[cfg(target_os = "linux")]
        self.generation.set(old.generation.get().saturating_add(1));
        // SAFETY: it is part of the zone's mapping, which ngx_init_cycle() unmaps after the new
        // zones were initialised.
        let block = unsafe {
            OldBlock::of(
                block,
                old.since.get(),
                #[cfg(target_os = "linux")]
                old.file.borrow().clone(),
            )
        };
        let mut blocks = vec![Rc::new(block)];
        blocks.extend(old.replaced().iter().cloned());
        blocks
    }

    /// Keeps the memory of the zones of the cycle before which the new one has not, where this very
    /// process goes on with requests of that cycle (`master_process off`): nginx would unmap it. To
    /// be called in init_module.
    pub fn keep_for_older_requests(new: &[&Self]) {
        if role() != Role::Single {
            return;
        }
        // SAFETY: ngx_cycle is the cycle before until ngx_init_cycle() has returned; it is zero
        // where there was none (main()).
        let old = unsafe { sys::ngx_cycle.as_ref() }.map(Self::all);
        for zone in old.into_iter().flatten() {
            let is_gone = !new.iter().any(|new| new.block == zone.block);
            if is_gone {
                // SAFETY: an element of the old cycle's shared_memory. ngx_init_cycle() unmaps what
                // it says next, and nothing else uses it: the block is reached by its own address.
                unsafe {
                    let shm = &mut (*zone.shm_zone.get()).shm;
                    if let Some(vacant) = memory::vacant(shm.size) {
                        shm.addr = vacant;
                    }
                }
            }
        }
    }

    /// The module's zones in a cycle.
    pub(super) fn all<'c>(cycle: &'c sys::ngx_cycle_t) -> Vec<&'c Self>
    where
        T: 'c,
    {
        let mut zones = Vec::new();
        // SAFETY: ngx_init_cycle() makes the list, of parts with nelts elements (ngx_list_push()).
        // The tag says that data is NULL or a Zone<T>, see Zone::add().
        unsafe {
            let mut part: *const sys::ngx_list_part_t = &cycle.shared_memory.part;
            while let Some(this) = part.as_ref() {
                for index in 0..this.nelts {
                    let zone = this.elts.cast::<sys::ngx_shm_zone_t>().add(index);
                    if (*zone).tag == T::module().cast_mut().cast() {
                        zones.extend((*zone).data.cast::<Self>().as_ref());
                    }
                }
                part = this.next;
            }
        }
        zones
    }

    /// nginx's log of the cycle that the zone belongs to.
    pub fn log(&self) -> Log {
        // SAFETY: ngx_init_cycle() sets the log to the cycle's, which lives as long as the zone.
        unsafe { Log::from_ptr((*self.shm_zone.get()).shm.log) }.unwrap_or(Log::cycle())
    }
}

/// # Safety
/// Blocks of zones of a cycle, or kept by them.
unsafe fn task_on<H, W, R>(
    parts: &[(&H, &[W])],
    work: impl FnOnce(&[(&H, &[W])]) -> R + Send + 'static,
) -> io::Result<BackgroundTask<R>>
where
    H: Shareable + Sync + 'static,
    W: Shareable + Sync + 'static,
    R: Send + 'static,
{
    // SAFETY: the caller's promise.
    let parts = parts.iter().map(|part| unsafe { lasting(*part) });
    let parts: Vec<_> = parts.collect();
    BackgroundTask::start(move || work(&parts))
}

/// What a background task may use.
///
/// # Safety
/// As for [`task_on`].
unsafe fn lasting<H: 'static, W: 'static>(
    (header, words): (&H, &[W]),
) -> (&'static H, &'static [W]) {
    // SAFETY: only ngx_init_cycle() unmaps a zone, one of a configuration that is gone, and drops
    // what it keeps, after it has called init_module (ngx_init_modules()), where the module waits
    // for all background tasks. A worker does before its cycle's pool goes, in exit_process.
    unsafe {
        (
            &*std::ptr::from_ref(header),
            &*std::ptr::from_ref::<[W]>(words),
        )
    }
}

/// To be called when a configuration is complete, in which there are zones or not. Closes what the
/// nginx that has started this one has left for zones that this one has not.
pub fn end_of_configuration(has_zones: bool) {
    #[cfg(target_os = "linux")]
    {
        users::end_of_configuration(has_zones);
        MemoryFile::end_of_configuration();
    }
    #[cfg(not(target_os = "linux"))]
    let _ = has_zones;
}

/// To be called at the start of a process that serves requests, or helps to, and is not the only
/// one.
pub fn enter() {
    #[cfg(target_os = "linux")]
    match role() {
        Role::Worker(_) => users::enter_worker(),
        _ => users::close(),
    }
}

unsafe extern "C" fn init_zone<T: Adopt>(
    shm_zone: *mut sys::ngx_shm_zone_t,
    data: *mut std::os::raw::c_void,
) -> sys::ngx_int_t {
    // SAFETY: ngx_init_cycle() passes the zone, whose data Zone::add() has set, and the data of the
    // zone of the same name, tag and size in the cycle before, or NULL. The elements of
    // cycle->shared_memory do not move.
    let (zone, same) = unsafe {
        (
            &*(*shm_zone).data.cast::<Zone<T>>(),
            data.cast::<Zone<T>>().as_ref(),
        )
    };
    zone.shm_zone.set(shm_zone);
    super::guard::guard(sys::ERROR, || {
        let memory = match same.and_then(|same| Some((same, same.block.get()?))) {
            Some((same, block)) => {
                zone.block.set(Some(block));
                zone.since.set(same.since.get());
                #[cfg(target_os = "linux")]
                zone.file.replace(same.file.borrow().clone());
                #[cfg(target_os = "linux")]
                zone.generation.set(same.generation.get());
                let replaced = same.replaced().to_vec();
                Some(Memory::Kept { replaced })
            }
            // SAFETY: ngx_init_cycle() has mapped the zone for nobody else, and is still at work:
            // without the data of a zone before, it comes from ngx_shm_alloc() and
            // ngx_init_zone_pool().
            None => unsafe { zone.begin() },
        };
        let Some(memory) = memory else {
            return sys::ERROR;
        };
        if T::adopt(zone, memory) {
            sys::OK
        } else {
            sys::ERROR
        }
    })
}
