//! What is to be sent to a server that collects counts.

use sticky_core::counters::{Counted, Counters, Digest, HitCounter, Kind, Place, Unsent};
use sticky_core::events::{BodyEnd, Forget, Move, Reader, Source, Status};
use sticky_core::happened::Happened;
use sticky_core::read_body::ReadBody;

use crate::zone::{count, hits, named, shape, upstreams, Zone};

fn unsent_hits_of(counters: &Counters<'_>, place: Place) -> u64 {
    let unsent = counters.unsent(place);
    let hits = |(counted, _): &&(Counted, Unsent<'_>)| *counted == Counted::Request(Status::Hit);
    unsent
        .iter()
        .find(hits)
        .map_or(0, |(_, unsent)| unsent.count)
}

#[test]
fn what_was_counted_is_sent_once() {
    let zone = Zone::begun(shape(4, 8, 4));
    let counters = zone.counters();
    counters.next_configuration();
    let place = named(&counters, 1, 1000);
    assert!(counters.unsent(place).is_empty());
    count(&counters, 0, place, 3);
    count(&counters, 5, place, 4);
    assert_eq!(unsent_hits_of(&counters, place), 7);
    assert_eq!(unsent_hits_of(&counters, place), 0);
    assert_eq!(hits(&counters, place), 7);

    // What could not be sent comes again.
    count(&counters, 1, place, 2);
    for (_, unsent) in counters.unsent(place) {
        unsent.give_back();
    }
    count(&counters, 2, place, 1);
    assert_eq!(unsent_hits_of(&counters, place), 3);

    // Each counter by its own name.
    let own = counters.slot(3).unwrap().own(place).unwrap();
    for status in Status::ALL {
        own.request(*status);
    }
    own.moved_by_hand(5);
    own.forgotten_by_hand(6);
    let happened = Happened::default();
    happened.learn(Source::Json);
    own.happened(&happened);
    let mut body = ReadBody::of_bytes(7);
    body.note(Reader::Sse, BodyEnd::Ended);
    own.body(body);
    own.planned();
    for (counted, unsent) in counters.unsent(place) {
        let expected = match counted {
            Counted::Request(_) => 1,
            Counted::Learned(source) => u64::from(source == Source::Json),
            Counted::Moved(reason) => u64::from(reason == Move::Hand) * 5,
            Counted::Forgotten(reason) => u64::from(reason == Forget::Hand) * 6,
            Counted::Body(reader, end) => u64::from((reader, end) == (Reader::Sse, BodyEnd::Ended)),
            Counted::BodyBytes => 7,
            Counted::Planned => 1,
        };
        assert_eq!(unsent.count, expected, "{counted:?}");
    }

    let server = Digest::of_server(b"u1", b"127.0.0.1:1");
    let server = counters.name(Kind::Server, &[server], 1000)[0].unwrap();
    assert!(counters.unsent_hits(server).is_none());
    own.hit(HitCounter::of(Some(server)));
    assert_eq!(
        counters.unsent_hits(server).map(|unsent| unsent.count),
        Some(1)
    );
    assert!(counters.unsent_hits(server).is_none());
}

#[test]
fn whoever_sends_at_once_sends_nothing_twice() {
    let zone = Zone::begun(shape(4, 8, 4));
    let counters = zone.counters();
    counters.next_configuration();
    let place = named(&counters, 1, 1000);
    const ROUNDS: u64 = 20_000;
    let sent: u64 = std::thread::scope(|scope| {
        let counting = scope.spawn(|| count(&counters, 0, place, ROUNDS));
        let sending = || {
            let sent = (0..2000).map(|_| unsent_hits_of(&counters, place));
            sent.sum::<u64>()
        };
        let senders: Vec<_> = (0..3).map(|_| scope.spawn(sending)).collect();
        counting.join().unwrap();
        senders.into_iter().map(|it| it.join().unwrap()).sum()
    });
    assert_eq!(sent + unsent_hits_of(&counters, place), ROUNDS);
}

#[test]
fn what_was_sent_goes_with_the_name() {
    let small = Zone::begun(shape(4, 8, 4));
    let before = small.counters();
    before.next_configuration();
    let place = named(&before, 1, 1000);
    count(&before, 0, place, 3);
    assert_eq!(unsent_hits_of(&before, place), 3);
    count(&before, 0, place, 2);

    // A larger zone.
    let large = Zone::begun(shape(400, 800, 4));
    let counters = large.counters();
    counters.take_over(&before, 2000);
    let place = named(&counters, 1, 2000);
    assert_eq!(unsent_hits_of(&counters, place), 2);
    assert_eq!(hits(&counters, place), 5);

    // Its entry becomes another's.
    count(&counters, 0, place, 1);
    let room = counters.shape().room(Kind::Upstream);
    counters.next_configuration();
    let others = counters.name(Kind::Upstream, &upstreams(100..100 + room), 3000);
    assert!(others.contains(&Some(place)));
    assert!(counters.unsent(place).is_empty());
    count(&counters, 0, place, 4);
    assert_eq!(unsent_hits_of(&counters, place), 4);
}

#[test]
fn what_was_counted_while_nobody_sent_is_left_out() {
    let zone = Zone::begun(shape(4, 8, 4));
    let counters = zone.counters();
    counters.next_configuration();
    let place = named(&counters, 1, 1000);
    let server = Digest::of_server(b"u1", b"127.0.0.1:1");
    let server = counters.name(Kind::Server, &[server], 1000)[0].unwrap();
    count(&counters, 0, place, 3);
    // It has always been sent: nothing is left out.
    assert!(!counters.start_sending());
    assert_eq!(unsent_hits_of(&counters, place), 3);
    counters.stop_sending();
    count(&counters, 0, place, 5);
    let own = counters.slot(0).unwrap().own(place).unwrap();
    own.hit(HitCounter::of(Some(server)));
    assert!(counters.start_sending());
    assert!(counters.unsent(place).is_empty());
    assert!(counters.unsent_hits(server).is_none());
    count(&counters, 0, place, 1);
    assert_eq!(unsent_hits_of(&counters, place), 1);
    assert!(!counters.start_sending());
}

#[test]
fn what_a_zone_counts_is_sent_also_when_it_begins_anew() {
    let memory = Zone::begun(shape(4, 8, 4));
    let counters = memory.counters();
    let zone = counters.name(Kind::Zone, &[Digest::of_zone(b"z")], 1000)[0].unwrap();
    let sent = |totals| {
        let unsent = counters.unsent_of_zone(zone, totals);
        unsent.map(|unsent| unsent.map_or(0, |unsent| unsent.count))
    };
    assert_eq!(sent([0, 0, 0]), [0, 0, 0]);
    assert_eq!(sent([5, 1, 0]), [5, 1, 0]);
    assert_eq!(sent([7, 1, 2]), [2, 0, 2]);
    assert_eq!(sent([3, 0, 2]), [3, 0, 0]);
    assert_eq!(sent([3, 2, 2]), [0, 2, 0]);
}
