//! Tests for servers that get no new sessions: who begins and ends a drain, in what order workers see
//! it, and what a damaged zone may claim. Without them a server that an operator has drained takes
//! sessions again, or one that he has put back does not.

mod counters_zone;

use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use sticky_core::counters::{
    Digest, Drain, DrainCells, DrainedBy, KeptDrain, Mark, FORGOTTEN_AFTER,
};

use counters_zone::{places, Zone};

const NOW: u64 = 1_800_000_000;

/// Two servers, and the mark of their upstream.
fn servers(zone: &Zone) -> ([DrainCells<'_>; 2], Mark<'_>) {
    let counters = zone.counters();
    let (upstream, one, other) = places(&counters, NOW);
    let cells = [one, other].map(|place| counters.drain(place).unwrap());
    (cells, counters.mark(upstream).unwrap())
}

const BY_HAND: Drain = Drain {
    by: DrainedBy::Hand,
    until: None,
};

const BY_SERVER: Drain = Drain {
    by: DrainedBy::Server,
    until: None,
};

#[test]
fn an_operator_drains_and_puts_back() {
    let zone = Zone::new();
    let ([one, other], mark) = servers(&zone);
    assert!(!mark.is_set() && one.drain().is_none());
    one.begin_by_hand(None, NOW, mark);
    assert!(mark.is_set());
    assert_eq!((one.drain(), one.since()), (Some(BY_HAND), NOW));
    assert_eq!(other.drain(), None);
    assert_eq!(one.end_by_hand(), Some(BY_HAND));
    assert_eq!((one.drain(), one.end_by_hand()), (None, None));
}

#[test]
fn a_server_ends_what_it_has_said_and_no_more() {
    let zone = Zone::new();
    let ([one, _], mark) = servers(&zone);
    assert!(!one.end_by_server());
    assert!(one.begin_by_server(NOW, mark));
    assert!(
        !one.begin_by_server(NOW + 5, mark),
        "it has said so already"
    );
    assert_eq!((one.drain(), one.since()), (Some(BY_SERVER), NOW));
    assert!(one.end_by_server());
    assert_eq!(one.drain(), None);

    // An operator takes over, and the server cannot undo that.
    one.begin_by_server(NOW, mark);
    one.begin_by_hand(Some(NOW + 60), NOW + 9, mark);
    let by_hand = one.drain().unwrap();
    assert_eq!(
        (by_hand.by, by_hand.until),
        (DrainedBy::Hand, Some(NOW + 60))
    );
    assert_eq!(one.since(), NOW, "it goes on");
    assert!(!one.end_by_server());
    assert!(!one.begin_by_server(NOW, mark));
    assert_eq!(one.drain(), Some(by_hand));
    // And he puts back what has drained itself.
    one.end_by_hand();
    one.begin_by_server(NOW, mark);
    assert_eq!(one.end_by_hand(), Some(BY_SERVER));
}

#[test]
fn a_time_ends_the_sessions_of_the_server() {
    let until = |until| Drain {
        until: Some(until),
        ..BY_HAND
    };
    assert!(!BY_HAND.is_over(u64::MAX));
    assert!(!until(NOW).is_over(NOW - 1));
    assert!(until(NOW).is_over(NOW) && until(NOW).is_over(NOW + 1));
    let zone = Zone::new();
    let ([one, _], mark) = servers(&zone);
    // Again, with another time.
    one.begin_by_hand(Some(NOW + 60), NOW, mark);
    one.begin_by_hand(Some(NOW + 10), NOW + 1, mark);
    assert_eq!(one.drain(), Some(until(NOW + 10)));
    one.begin_by_hand(None, NOW + 2, mark);
    assert_eq!(one.drain(), Some(BY_HAND));
}

#[test]
fn a_server_that_has_left_for_long_is_not_drained_when_it_comes_back() {
    let zone = Zone::new();
    let ([one, other], mark) = servers(&zone);
    one.begin_by_hand(None, NOW, mark);
    other.begin_by_hand(None, NOW, mark);
    // Seen now and then.
    for hour in 1..5 {
        one.see(NOW + hour * FORGOTTEN_AFTER);
    }
    assert_eq!(one.drain(), Some(BY_HAND));
    other.see(NOW + FORGOTTEN_AFTER + 1);
    assert_eq!(other.drain(), None);
    // A clock that was set back forgets nothing.
    one.see(NOW - 10 * FORGOTTEN_AFTER);
    assert_eq!(one.drain(), Some(BY_HAND));
}

#[test]
fn the_mark_goes_when_none_is_drained() {
    let zone = Zone::new();
    let ([one, other], mark) = servers(&zone);
    one.begin_by_hand(None, NOW, mark);
    let is_any = || one.drain().is_some() || other.drain().is_some();
    mark.clear_drains_unless(is_any);
    assert!(mark.is_set());
    one.end_by_hand();
    assert!(mark.is_set(), "a hint");
    mark.clear_drains_unless(is_any);
    assert!(!mark.is_set());
}

/// Whoever clears the mark while another one drains a server leaves it set.
#[test]
fn no_drain_is_without_its_mark() {
    let zone = Zone::new();
    let ([one, other], mark) = servers(&zone);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..20_000 {
                mark.clear_drains_unless(|| one.drain().is_some() || other.drain().is_some());
            }
        });
        for _ in 0..20_000 {
            one.begin_by_hand(None, NOW, mark);
            one.end_by_hand();
        }
        one.begin_by_hand(None, NOW, mark);
    });
    assert!(mark.is_set());
}

#[test]
fn whatever_bytes_are_in_the_zone_mean_something() {
    let zone = Zone::new();
    let _ = servers(&zone);
    let mut bits = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..200 {
        // Only behind the names, which are in the first four words of each entry.
        for (at, word) in zone.words.iter().enumerate() {
            if at % 16 >= 4 && at < 16 * 16 {
                bits = bits.rotate_left(5) ^ bits.wrapping_mul(0x2545_f491_4f6c_dd1d);
                word.store(bits, Relaxed);
            }
        }
        let ([one, other], mark) = servers(&zone);
        for server in [one, other] {
            let _ = server.drain().map(|drain| drain.is_over(NOW));
            server.see(NOW);
            server.end_by_server();
            server.begin_by_server(NOW, mark);
            server.end_by_hand();
            assert_eq!(server.drain(), None);
        }
    }
}

#[test]
fn a_state_file_is_gone_on_with_unless_something_else_was_done() {
    let (old, new) = (Zone::new(), Zone::new());
    let ([one, other], mark) = servers(&old);
    let digest = Digest::of_server(b"u", b"a");
    assert_eq!(other.keep(digest), None);
    one.begin_by_hand(Some(NOW + 60), NOW, mark);
    let kept = one.keep(digest).unwrap();
    let again = KeptDrain::of_records(kept.records());
    assert_eq!(again, kept);

    let ([restored, other], mark) = servers(&new);
    restored.restore(&kept, NOW + 5, mark);
    assert!(mark.is_set());
    assert_eq!((restored.drain(), restored.since()), (one.drain(), NOW));
    other.begin_by_server(NOW + 5, mark);
    other.restore(&kept, NOW + 6, mark);
    assert_eq!(other.drain(), Some(BY_SERVER));
}
