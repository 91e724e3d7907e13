//! Tests for the choice among several ids of a request. Without it, a stale cookie or an id that
//! was appended to a link hides the live session, or a client has the table searched without end.

use sticky_core::candidates::{Candidates, Standing, MAX_CANDIDATES};

use Standing::{Unknown, Unusable, Usable};

/// The one that decides, and how many were looked at.
fn decided(candidates: &[(&'static str, Standing)]) -> (Option<&'static str>, usize) {
    let mut looked_at = 0;
    let mut all = Candidates::none();
    for (id, standing) in candidates {
        let judge = || {
            looked_at += 1;
            (*standing, *id)
        };
        if all.offer(*id, judge).is_break() {
            break;
        }
    }
    (all.decided(), looked_at)
}

#[test]
fn the_first_that_leads_to_a_server_decides() {
    for (candidates, wanted, looked_at) in [
        (&[][..], None, 0),
        (&[("a", Unknown)], Some("a"), 1),
        (&[("a", Unusable)], Some("a"), 1),
        (&[("a", Usable)], Some("a"), 1),
        (&[("a", Usable), ("b", Usable)], Some("a"), 1),
        (&[("a", Unknown), ("b", Usable)], Some("b"), 2),
        (&[("a", Unusable), ("b", Usable)], Some("b"), 2),
        (&[("a", Unknown), ("b", Unknown)], Some("a"), 2),
        (&[("a", Unknown), ("b", Unusable)], Some("b"), 2),
        (&[("a", Unusable), ("b", Unknown)], Some("a"), 2),
        (&[("a", Unusable), ("b", Unusable)], Some("a"), 2),
        (
            &[
                ("a", Unknown),
                ("b", Unusable),
                ("c", Usable),
                ("d", Usable),
            ],
            Some("c"),
            3,
        ),
        (
            &[("a", Unknown), ("a", Unknown), ("b", Usable)],
            Some("b"),
            2,
        ),
    ] {
        assert_eq!(decided(candidates), (wanted, looked_at), "{candidates:?}");
    }
}

#[test]
fn at_most_eight_different_ones_are_looked_at() {
    const IDS: [&str; MAX_CANDIDATES + 1] = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let unknown = IDS.map(|id| (id, Unknown));
    for place in 0..IDS.len() {
        let mut candidates = unknown;
        candidates[place].1 = Usable;
        let wanted = if place < MAX_CANDIDATES {
            (Some(IDS[place]), place + 1)
        } else {
            (Some("1"), MAX_CANDIDATES)
        };
        assert_eq!(decided(&candidates), wanted, "{place}");
        // Those that were seen take no further place.
        let twice: Vec<_> = candidates.iter().flat_map(|one| [*one, *one]).collect();
        assert_eq!(decided(&twice), wanted, "{place}, twice");
    }
}
