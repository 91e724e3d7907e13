//! `mode=discover`: the zone of what is seen, and where each upstream has its part of it.

use sticky_core::counters::first_digest;
use sticky_core::discover::sample::{words_for, MOST_UPSTREAMS};

use crate::ngx::conf::Conf;
use crate::ngx::cycle::Cycle;
use crate::ngx::shm::ZoneError;
use crate::ngx::upstream::Upstream;
use crate::zone::counters;
use crate::zone::samples;

use super::error::Refusal;
use super::types::{Discovery, MainConf, Rule, UpstreamConf};

/// Makes the zone, if any upstream is watched. Called when all have been read.
pub fn add_zone<'c>(cf: Conf<'c>, main: &MainConf<'c>) -> Result<(), Refusal> {
    let watched = main.sticky.borrow();
    let count = watched
        .iter()
        .filter(|us| discovery(**us).is_some())
        .count();
    if count == 0 {
        return Ok(());
    }
    if count > MOST_UPSTREAMS {
        return Err(Refusal::TooManyWatched);
    }
    let zone = samples::add(cf, count * words_for(count))
        .map_err(|(ZoneError::Reported | ZoneError::OutOfMemory)| Refusal::Reported)?;
    // It is empty: the configuration is completed once.
    let _ = main.samples.set(zone);
    Ok(())
}

/// What an upstream has of `mode=discover`.
pub fn discovery<'c>(us: Upstream<'c>) -> Option<&'c Discovery<'c>> {
    match &us.srv_conf::<UpstreamConf<'c>>()?.active()?.rule {
        Rule::Discover(discovery) => Some(discovery),
        _ => None,
    }
}

/// Gives each its part. Called when the configuration is complete, also when it is only tested.
pub fn begin(new: Cycle<'_>) {
    let Some(main) = new.main_conf::<MainConf<'_>>() else {
        return;
    };
    let Some(zone) = main.samples.get() else {
        return;
    };
    let upstreams = main.sticky.borrow();
    let watched: Vec<_> = upstreams
        .iter()
        .filter_map(|us| Some((*us, discovery(*us)?)))
        .collect();
    let words = words_for(watched.len());
    for (number, (us, discovery)) in watched.into_iter().enumerate() {
        let Some(watch) = samples::watch(zone, number * words, words) else {
            continue;
        };
        let seconds = discovery.rule.seconds;
        let directive = [us.name(), &b" "[..], seconds.to_string().as_bytes()].concat();
        watch
            .sample
            .begin(first_digest(&directive), counters::now(), seconds);
        // It is empty: a configuration is complete once.
        let _ = discovery.watch.set(watch);
    }
}
