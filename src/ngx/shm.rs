//! A zone of shared memory with one block in it: a header and an array of words.
//!
//! The block is allocated once, when the zone is made, and never freed: nginx's slab mutex is not
//! locked while requests are served. Its address is the same in all workers and after a reload.

use std::cell::Cell;
use std::io;
use std::mem::size_of;
use std::ptr::NonNull;

use super::background_task::BackgroundTask;
use super::conf::Conf;
use super::log::Log;
use super::owned::Owned;
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
    fn adopt(zone: &Zone<Self>, memory: Memory<'_, Self>) -> bool;
}

/// What is in the block of a zone.
pub enum Memory<'z, T> {
    /// What the cycle before has left, which had the same zone.
    Kept,
    /// Zeroes, of which none was written, nor read: the system has not provided the memory yet.
    New {
        /// The zone of the same name in the cycle before, if its size is another.
        before: Option<&'z Zone<T>>,
    },
}

/// A zone of the configuration.
pub struct Zone<T> {
    shm_zone: Cell<*mut sys::ngx_shm_zone_t>,
    block: Cell<Option<NonNull<[u8]>>>,
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
        let block = self.block.get()?;
        let room = block.len().checked_sub(size_of::<H>())?;
        let header = block.cast::<H>();
        // SAFETY: the block has room for a header.
        let words = unsafe { header.add(1) }.cast::<W>();
        if !header.is_aligned() || !words.is_aligned() {
            return None;
        }
        // SAFETY: the block is mapped as long as the cycle (ngx_shm_alloc()), aligned as just
        // tested, and large enough. Shareable says that any bytes will do and that other processes
        // may write.
        unsafe {
            let words = std::slice::from_raw_parts(words.as_ptr(), room / size_of::<W>());
            Some((header.as_ref(), words))
        }
    }

    /// Starts work on the headers and the words of some zones, as [`Zone::split`] has them, in a thread
    /// beside the event loop. `None` before the zones were made.
    pub fn task<H, W, R>(
        zones: &[&Self],
        work: impl FnOnce(&[(&H, &[W])]) -> R + Send + 'static,
    ) -> Option<io::Result<BackgroundTask<R>>>
    where
        H: Shareable + Sync + 'static,
        W: Shareable + Sync + 'static,
        R: Send + 'static,
    {
        let mut parts: Vec<(&'static H, &'static [W])> = Vec::new();
        for zone in zones {
            let (header, words) = zone.split::<H, W>()?;
            // SAFETY: only ngx_init_cycle() unmaps a zone, one of a configuration that is gone, after
            // it has called init_module (ngx_init_modules()), where the module waits for all background
            // tasks.
            parts.push(unsafe { (&*std::ptr::from_ref(header), &*std::ptr::from_ref(words)) });
        }
        Some(BackgroundTask::start(move || work(&parts)))
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
            // ngx_shm_alloc() has mapped anonymous memory, or /dev/zero, or made a segment of System V:
            // new pages of all of them are zero. Since then only ngx_slab_init() has written to it, and
            // to its own tables in front of the first page (pool->start), as has ngx_slab_alloc(). An
            // nginx with NGX_DEBUG_MALLOC, however, has filled all of it (ngx_slab_junk()), which the
            // first word shows. Nothing else of the block is touched: each page that is read or written
            // takes memory from then on.
            if block.cast::<u64>().read() != 0 {
                block.cast::<u8>().write_bytes(0, size);
            }
            let block = block.cast::<u8>();
            (*pool).data = block.as_ptr().cast();
            self.block
                .set(Some(NonNull::slice_from_raw_parts(block, size)));
            true
        }
    }

    /// The zone of the same name in the cycle that is still running, which has another size.
    ///
    /// # Safety
    /// While a new cycle is being initialised.
    unsafe fn before(&self) -> Option<&Self> {
        // SAFETY: ngx_cycle is the running cycle until ngx_init_cycle() has returned (main(),
        // ngx_master_process_cycle()); its zones and their memory stay until then.
        let zones = Self::all(unsafe { sys::ngx_cycle.as_ref()? });
        zones
            .into_iter()
            .find(|old| old.shm_zone != self.shm_zone && old.name() == self.name())
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
        let memory = match same.and_then(|same| same.block.get()) {
            Some(block) => {
                zone.block.set(Some(block));
                Memory::Kept
            }
            // SAFETY: ngx_init_cycle() has mapped the zone for nobody else, and is still at work:
            // without the data of a zone before, it comes from ngx_shm_alloc() and
            // ngx_init_zone_pool().
            None => unsafe {
                if !zone.allocate() {
                    return sys::ERROR;
                }
                Memory::New {
                    before: zone.before(),
                }
            },
        };
        if T::adopt(zone, memory) {
            sys::OK
        } else {
            sys::ERROR
        }
    })
}
