//! Tests for the choice of peers; without these a session goes to a server that is down, or a
//! server gets more than `max_conns` when it closes a kept connection.

use sticky_core::availability::{Availability, Unavailable};

use Unavailable::{Failed, Full};

#[test]
fn a_peer_is_usable_unless_it_is_down_or_has_failed_or_is_full() {
    // Down, failed, full; at first, and again after a closed connection.
    for (is_down, has_failed, is_full, first, again) in [
        (false, false, false, Ok(()), Ok(())),
        (false, false, true, Err(Full), Err(Full)),
        (false, true, false, Err(Failed), Ok(())),
        (false, true, true, Err(Failed), Err(Full)),
        (true, false, false, Err(Failed), Err(Failed)),
        (true, false, true, Err(Failed), Err(Failed)),
        (true, true, false, Err(Failed), Err(Failed)),
        (true, true, true, Err(Failed), Err(Failed)),
    ] {
        let peer = Availability {
            is_down,
            has_failed,
            is_full,
        };
        assert_eq!(peer.test(), first, "{peer:?}");
        assert_eq!(peer.test_again(), again, "{peer:?}, again");
    }
}
