//! The registry of servers.

use sticky_core::table::Word;

use crate::pair::*;

/// One of them at most has the number, and its session is its own.
fn told_apart(zone: &Zone, here: bool, there: bool) {
    let expected = (here && !there).then_some(1);
    assert_eq!(zone.server_of(MOBILE), expected);
    assert_eq!(zone.server_of(NEWCOMER), there.then_some(2));
}

fn learn_of_server(zone: &Zone, id: Id, server: u64) -> bool {
    let server = zone.register(server);
    server.is_some_and(|server| zone.learn_of(id, &server))
}

#[test]
fn a_number_is_not_reused_while_a_session_is_learned_with_it() {
    race(
        3,
        Zone::with_idle_server,
        |zone| learn_of_server(zone, MOBILE, 1),
        |zone| {
            zone.sweep();
            learn_of_server(zone, NEWCOMER, 2)
        },
        told_apart,
    );
}

#[test]
fn a_session_is_not_learned_with_a_number_that_is_reused_meanwhile() {
    race(
        2,
        || {
            let zone = Zone::with(|_| Word::EMPTY);
            assert!(zone.register(1).is_some());
            zone
        },
        |zone| learn_of_server(zone, MOBILE, 1),
        |zone| {
            for _ in 0..3 {
                zone.sweep();
            }
            learn_of_server(zone, NEWCOMER, 2)
        },
        told_apart,
    );
}

#[test]
fn two_workers_that_register_a_server_agree() {
    race(
        4,
        || Zone::with(|_| Word::EMPTY),
        |zone| zone.register(1).map(|server| server.number),
        |zone| {
            let numbers = [zone.register(1), zone.register(2)];
            numbers.map(|server| server.map(|server| server.number))
        },
        |_, here, there| assert_eq!([here, None], there),
    );
}
