//! What the zone of the cluster keeps: over a reload, over the death of who writes it, and in memory
//! that had something else.

use sticky_core::cluster::header::{ClusterHeader, Flag, Position, MOST_NODES};
use sticky_core::cluster::wire::NodeId;
use sticky_core::cluster::{Slot, SLOTS};

fn slots() -> Vec<Slot> {
    (0..SLOTS).map(|_| Slot::default()).collect()
}

#[test]
fn it_is_valid_when_it_was_begun() {
    let (header, slots) = (ClusterHeader::boxed(), slots());
    assert!(!header.is_valid_for(slots.len()));
    header.begin(&slots, (1, 2), true);
    assert!(header.is_valid_for(slots.len()));
    assert!(!header.is_valid_for(slots.len() + 1));
    assert!(!header.is_valid_for(slots.len() - 1));
    let NodeId(bytes) = header.node();
    assert_eq!(bytes[..9], [1, 0, 0, 0, 0, 0, 0, 0, 2]);
}

#[test]
fn positions_are_ordered_as_the_stream_is() {
    let header = ClusterHeader::boxed();
    assert_eq!(header.position(), Position::default());
    let mut last = Position::default();
    for (ms, sequence, records) in [
        (1, 0, 1),
        (1, 0, 2),
        (1, 0, Position::WHOLE),
        (1, 1, 0),
        (1 << 47, 5, 3),
        ((1 << 48) - 1, (1 << 48) - 1, Position::WHOLE),
    ] {
        let position = Position {
            ms,
            sequence,
            records,
        };
        assert!(position > last);
        header.set_position(position);
        assert_eq!(header.position(), position);
        last = position;
    }
}

#[test]
fn flags_are_apart() {
    let header = ClusterHeader::boxed();
    let all = [
        Flag::Joined,
        Flag::Up,
        Flag::ToldAway,
        Flag::ToldPolicy,
        Flag::MustFill,
        Flag::InUse,
        Flag::Emptying,
    ];
    for flag in all {
        assert!(!header.set(flag, true));
        assert!(header.set(flag, true));
        let others = all.iter().filter(|other| **other != flag);
        assert!(others.clone().all(|other| !header.is(*other)));
        assert!(header.set(flag, false));
        assert!(!header.is(flag));
    }
}

#[test]
fn scopes_keep_their_numbers() {
    let header = ClusterHeader::boxed();
    let numbers: Vec<_> = (1..=100).map(|digest| header.give_scope(digest)).collect();
    let again: Vec<_> = (1..=100).map(|digest| header.give_scope(digest)).collect();
    assert_eq!(numbers, again);
    assert!(numbers.iter().flatten().eq(&(0..100).collect::<Vec<u16>>()));
    let last = (101..20_000).map(|digest| header.give_scope(digest)).last();
    assert_eq!(last, Some(None), "there is an end of them");
    assert_eq!(header.give_scope(50), Some(49));
}

fn node(number: u64) -> NodeId {
    NodeId(u128::from(number).to_le_bytes())
}

#[test]
fn nodes_are_remembered() {
    let header = ClusterHeader::boxed();
    let nodes = header.nodes();
    assert_eq!(nodes.next_of(node(1)), None);
    nodes.set(node(1), 10, 1000);
    nodes.set(node(2), 20, 2000);
    nodes.set(node(1), 11, 3000);
    assert_eq!(nodes.next_of(node(1)), Some(11));
    assert_eq!(nodes.next_of(node(2)), Some(20));
    // The one goes that was not heard of for longest.
    for number in 3..=MOST_NODES as u64 + 1 {
        nodes.set(node(number), number, 4000);
    }
    assert_eq!(nodes.all().count(), MOST_NODES);
    assert_eq!(nodes.next_of(node(2)), None);
    assert_eq!(nodes.next_of(node(1)), Some(11));
}

#[test]
fn the_clock_is_that_of_the_store() {
    let (header, slots) = (ClusterHeader::boxed(), slots());
    header.begin(&slots, (1, 2), true);
    header.guess_clock(&slots, 1_000_000_500);
    assert_eq!(header.clock.milliseconds(1000), 1_000_001_500);
    assert_eq!(header.journal(&slots).ahead(), 1_000_000);
    assert!(!header.clock.is_set());
    // The answer took 2 ms, in the middle of which the store read its clock.
    header.clock.set(1_700_000_000_000_000, 5_000_000, 2_000);
    assert!(header.clock.is_set());
    assert_eq!(header.clock.milliseconds(5001), 1_700_000_000_000);
    // One that took too long tells nothing.
    header
        .clock
        .set(1_800_000_000_000_000, 6_000_000, 5_000_000);
    assert_eq!(header.clock.milliseconds(5001), 1_700_000_000_000);
    // Behind the monotonic clock.
    header.clock.set(1_000_000, 5_000_000, 0);
    assert_eq!(header.clock.milliseconds(6000), 2000);
}

#[test]
fn statistics_are_read_at_once() {
    let header = ClusterHeader::boxed();
    sticky_core::cluster::statistics::add(&header.statistics.records_in, 3);
    sticky_core::cluster::statistics::add(&header.statistics.records_in, 4);
    assert_eq!(header.statistics.read().records_in, 7);
    assert_eq!(header.statistics.read().records_out, 0);
}
