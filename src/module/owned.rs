//! What nginx keeps for the module, and in which place; what stands in memory that processes share.

use std::sync::atomic::AtomicU64;

use portable_atomic::AtomicU128;
use sticky_core::cluster::header::ClusterHeader;
use sticky_core::cluster::Slot as NoteSlot;
use sticky_core::counters::CountersHeader;
use sticky_core::discover::sample::SamplesHeader;
use sticky_core::table::ZoneHeader;

use crate::config::types::{LocationConf, MainConf, UpstreamConf};
use crate::ngx::owned;
use crate::ngx::request::Turns;
use crate::ngx::shm::{Adopt, Memory, OldBlock, Shareable, Zone};
use crate::ngx::sys::ngx_module_t;
use crate::request::context::RequestContext;
use crate::zone::adopt;
use crate::zone::cluster::{self, ClusterZoneConf};
use crate::zone::counters::{self, CountersConf};
use crate::zone::samples::{self, SamplesConf};
use crate::zone::table_zone::ZoneConf;

use super::{tag, CLUSTER, FILTER, SAMPLES};

// SAFETY: `repr(C)` structures of 64-bit atomics, for which any bytes are a value.
unsafe impl Shareable for ZoneHeader {}
// SAFETY: an atomic of 16 bytes, for which any bytes are a value.
unsafe impl Shareable for AtomicU128 {}
// SAFETY: as ZoneHeader.
unsafe impl Shareable for CountersHeader {}
// SAFETY: an atomic of 8 bytes, for which any bytes are a value.
unsafe impl Shareable for AtomicU64 {}
// SAFETY: as ZoneHeader.
unsafe impl Shareable for SamplesHeader {}
// SAFETY: `repr(C)` structures of atomics of 8 and 16 bytes, for which any bytes are a value. The two
// that are in front of the first of 16 bytes are padding that nobody reads.
unsafe impl Shareable for ClusterHeader {}
// SAFETY: a `repr(C)` structure of atomics of 16 bytes, for which any bytes are a value.
unsafe impl Shareable for NoteSlot {}

/// What MODULE keeps, and in which place.
macro_rules! owned {
    ($($kept:ty: $($place:ident)?;)*) => {
        $(
            // SAFETY: MODULE is an HTTP module. nginx keeps for it what create_main_conf(),
            // create_srv_conf() and create_loc_conf() of module.rs make, each of them one type; a request
            // what set_context() takes, which is the one Context of MODULE; a zone of its tag what
            // Zone::add() is called for, which is the one Adopt.
            unsafe impl owned::Owned for $kept {
                fn module() -> *const ngx_module_t {
                    tag()
                }
            }
            $(
                // SAFETY: as above.
                unsafe impl owned::$place for $kept {}
            )?
        )*
    };
}

owned! {
    MainConf<'_>: MainConf;
    UpstreamConf<'_>: SrvConf;
    LocationConf: LocConf;
    RequestContext<'_>: Context;
    ZoneConf: ;
}

// SAFETY: FILTER keeps nothing else in a request; set_context() takes this type alone for it.
unsafe impl owned::Owned for Turns<'_> {
    fn module() -> *const ngx_module_t {
        FILTER.0.get()
    }
}

// SAFETY: as above.
unsafe impl owned::Context for Turns<'_> {}

// SAFETY: FILTER keeps nothing in nginx's configurations; a zone of its tag has what Zone::add() is
// called for, which is the one Adopt that it is the module of.
unsafe impl owned::Owned for CountersConf {
    fn module() -> *const ngx_module_t {
        FILTER.0.get()
    }
}

// SAFETY: no other type is Adopt with that module, and only Zone::add() gives zones its tag.
unsafe impl Adopt for CountersConf {
    fn adopt(zone: &Zone<Self>, memory: Memory) -> bool {
        counters::adopt(zone, memory)
    }

    fn is_usable(block: &OldBlock) -> bool {
        counters::is_usable(block)
    }
}

// SAFETY: CLUSTER is no module of nginx, so it has nothing in its configurations; a zone of its tag has
// what Zone::add() is called for, which is the one Adopt that it is the module of.
unsafe impl owned::Owned for ClusterZoneConf {
    fn module() -> *const ngx_module_t {
        CLUSTER.0.get()
    }
}

// SAFETY: no other type is Adopt with that module, and only Zone::add() gives zones its tag.
unsafe impl Adopt for ClusterZoneConf {
    fn adopt(zone: &Zone<Self>, memory: Memory) -> bool {
        cluster::adopt(zone, memory)
    }

    fn is_usable(block: &OldBlock) -> bool {
        cluster::is_usable(block)
    }
}

// SAFETY: SAMPLES is no module of nginx, so it has nothing in its configurations; a zone of its tag has
// what Zone::add() is called for, which is the one Adopt that it is the module of.
unsafe impl owned::Owned for SamplesConf {
    fn module() -> *const ngx_module_t {
        SAMPLES.0.get()
    }
}

// SAFETY: no other type is Adopt with that module, and only Zone::add() gives zones its tag.
unsafe impl Adopt for SamplesConf {
    fn adopt(zone: &Zone<Self>, memory: Memory) -> bool {
        samples::adopt(zone, memory)
    }

    fn is_usable(block: &OldBlock) -> bool {
        samples::is_usable(block)
    }
}

// SAFETY: no other type is Adopt with that module, and only Zone::add() gives zones its tag.
unsafe impl Adopt for ZoneConf {
    fn adopt(zone: &Zone<Self>, memory: Memory) -> bool {
        adopt::adopt(zone, memory)
    }

    fn is_usable(block: &OldBlock) -> bool {
        adopt::is_usable(block)
    }
}
