//! What is counted of a configuration: its sticky upstreams, their servers, and its zones.

use sticky_core::counters::Named;

use crate::ngx::conf::Conf;
use crate::ngx::cycle::Cycle;
use crate::ngx::shm::ZoneError;
use crate::zone::counters;

use super::error::Refusal;
use super::types::{MainConf, UpstreamConf};

/// Makes the zone of counters, if any upstream is sticky. Called when all have been read.
pub fn add_zone<'c>(cf: Conf<'c>, main: &MainConf<'c>) -> Result<(), Refusal> {
    let upstreams = main.sticky.borrow();
    if upstreams.is_empty() {
        return Ok(());
    }
    let named = Named {
        upstreams: upstreams.len(),
        servers: upstreams.iter().map(|us| us.labels().len()).sum(),
        zones: main.by_zone.borrow().len(),
    };
    let zone = counters::add(cf, named)
        .map_err(|(ZoneError::Reported | ZoneError::OutOfMemory)| Refusal::Reported)?;
    // It is empty: the configuration is completed once.
    let _ = main.counters.set(zone);
    Ok(())
}

/// Gives all of them their counters. Called when the configuration is complete, also when it is only
/// tested.
pub fn begin(new: Cycle<'_>) {
    let Some(main) = new.main_conf::<MainConf<'_>>() else {
        return;
    };
    let Some(zone) = main.counters.get() else {
        return;
    };
    let upstreams = main.sticky.borrow();
    let names = upstreams.iter().map(|us| {
        let labels = us.labels().into_iter().collect();
        (us.name(), labels)
    });
    let by_zone = main.by_zone.borrow();
    let zones: Vec<&[u8]> = by_zone.keys().copied().collect();
    let (counted, _) = counters::name(zone, &names.collect::<Vec<_>>(), &zones);
    for (us, counters) in upstreams.iter().zip(counted) {
        let conf = us.srv_conf::<UpstreamConf<'_>>();
        if let Some(sticky) = conf.and_then(UpstreamConf::active) {
            // It is empty: a configuration is complete once.
            let _ = sticky.counters.set(counters);
        }
    }
}
