//! Tests for the drains by hand that all nodes of a cluster have. Without them, two operators at two
//! nodes may leave the nodes apart, or a server that was put back may be drained again by a node that
//! has been away.

mod table_zone;

use sticky_core::cluster::hand_drains::{HandDrain, HandDrains, MOST_DRAINS, UNNAMED_LASTS};
use sticky_core::cluster::header::ClusterHeader;
use sticky_core::cluster::Record;
use sticky_core::table::{Change, Fingerprint, Key};

use table_zone::Random;

const NOW: u64 = 1_800_000_000;

fn server(number: u128) -> Fingerprint {
    Fingerprint::from_bits(number + 1).unwrap()
}

fn drained(ordered: u64) -> HandDrain {
    HandDrain {
        is_drained: true,
        until: Some(ordered + 60),
        since: ordered,
        ordered,
    }
}

fn put_back(ordered: u64) -> HandDrain {
    HandDrain {
        is_drained: false,
        until: None,
        since: ordered,
        ordered,
    }
}

/// What is done to servers, of which the configuration has all.
fn done(drains: &HandDrains<'_>) -> Vec<(Fingerprint, HandDrain)> {
    let mut all = Vec::new();
    drains.carry_out(0, |_| true, |server, drain, _| all.push((server, *drain)));
    all
}

/// Sends what there is to send: returns the records.
fn sent(drains: &HandDrains<'_>) -> Vec<Record> {
    let all: Vec<_> = drains.to_send().collect();
    let records = all.iter().map(|it| {
        drains.note_sent(it);
        it.drain.record(it.server, it.change).unwrap()
    });
    records.collect()
}

#[test]
fn a_record_says_what_was_ordered() {
    let all = [
        drained(NOW),
        put_back(NOW),
        HandDrain {
            until: None,
            since: NOW - 100,
            ..drained(NOW)
        },
        drained((1 << 42) - 61),
    ];
    for drain in all {
        for change in [Change::Drained, Change::DrainKnown] {
            let record = drain.record(server(5), change).unwrap();
            assert_eq!(record.server, server(5));
            assert_eq!(HandDrain::of_record(&record), Some(drain));
        }
    }
    let record = drained(NOW).record(server(5), Change::Drained).unwrap();
    let odd = [
        Record {
            change: Change::Alive,
            ..record
        },
        Record {
            key: Key::new(3),
            ..record
        },
        Record {
            key: Key::new(4),
            ..record
        },
        Record {
            key: Key::new(u64::MAX - 2),
            ..record
        },
        Record {
            seen: 1 << 42,
            ..record
        },
        Record {
            created: NOW + 1,
            ..record
        },
    ];
    for record in odd {
        assert_eq!(HandDrain::of_record(&record), None, "{record:?}");
        let header = ClusterHeader::boxed();
        assert!(!header.drains().apply(&record, false, 0));
        assert_eq!(header.drains().agreed().count(), 0);
    }
}

#[test]
fn odd_times_come_back_as_they_were_sent() {
    let header = ClusterHeader::boxed();
    let drains = header.drains();
    let odd = HandDrain {
        since: NOW + 5,
        until: Some(u64::MAX),
        ..drained(NOW)
    };
    drains.order(server(1), &odd, 0);
    let record = sent(&drains)[0];
    drains.apply(&record, true, 0);
    // It is not its own any more: another one's counts.
    let other = put_back(NOW).record(server(1), Change::Drained).unwrap();
    drains.apply(&other, false, 0);
    assert_eq!(drains.shown(server(1)), Some(put_back(NOW)));
    let until = HandDrain::of_record(&record).unwrap().until;
    assert_eq!(until, Some((1 << 42) - 1), "for long, not for a moment");
}

#[test]
fn an_order_is_done_elsewhere_once() {
    let (here, there) = (ClusterHeader::boxed(), ClusterHeader::boxed());
    let (here, there) = (here.drains(), there.drains());
    let changes = here.changes();
    here.order(server(1), &drained(NOW), 0);
    assert_ne!(here.changes(), changes);
    assert_eq!(here.shown(server(1)), Some(drained(NOW)));
    assert_eq!(done(&here), [], "the operator's worker has done it");
    assert_eq!(here.agreed().count(), 0, "no other node knows");
    let records = sent(&here);
    assert_eq!(records.len(), 1);
    assert_eq!(sent(&here), []);
    for (drains, is_own) in [(&here, true), (&there, false)] {
        assert!(drains.apply(&records[0], is_own, 0));
        assert_eq!(
            drains.agreed().collect::<Vec<_>>(),
            [(server(1), drained(NOW))]
        );
    }
    assert_eq!(done(&there), [(server(1), drained(NOW))]);
    assert_eq!((done(&there), done(&here)), (vec![], vec![]));
    // Twice is once.
    there.apply(&records[0], false, 0);
    assert_eq!(done(&there), []);
    there.order(server(1), &put_back(NOW + 1), 0);
    let records = sent(&there);
    here.apply(&records[0], false, 0);
    assert_eq!(done(&here), [(server(1), put_back(NOW + 1))]);
}

#[test]
fn of_two_orders_the_later_entry_wins() {
    let headers = [ClusterHeader::boxed(), ClusterHeader::boxed()];
    let [one, other] = [headers[0].drains(), headers[1].drains()];
    one.order(server(1), &drained(NOW), 0);
    // By a clock that is late.
    other.order(server(1), &put_back(NOW - 5), 0);
    let (first, second) = (sent(&one)[0], sent(&other)[0]);
    one.apply(&first, true, 0);
    other.apply(&first, false, 0);
    assert_eq!(
        other.shown(server(1)),
        Some(put_back(NOW - 5)),
        "its own is on its way"
    );
    one.apply(&second, false, 0);
    other.apply(&second, true, 0);
    for drains in [one, other] {
        assert_eq!(drains.shown(server(1)), Some(put_back(NOW - 5)));
        assert_eq!(sent(&drains), []);
    }
    assert_eq!(done(&one), [(server(1), put_back(NOW - 5))]);
    assert_eq!(done(&other), []);
}

#[test]
fn an_order_that_was_given_meanwhile_stands() {
    let header = ClusterHeader::boxed();
    let drains = header.drains();
    drains.order(server(1), &drained(NOW), 0);
    let first = sent(&drains)[0];
    drains.order(server(1), &put_back(NOW + 1), 0);
    drains.apply(&first, true, 0);
    assert_eq!(drains.shown(server(1)), Some(put_back(NOW + 1)));
    assert_eq!(done(&drains), []);
    let second = sent(&drains);
    assert_eq!(second.len(), 1);
    drains.apply(&second[0], true, 0);
    assert_eq!(drains.agreed().next(), Some((server(1), put_back(NOW + 1))));
}

#[test]
fn of_old_the_latest_counts_and_who_does_not_know_it_is_told() {
    let headers = [ClusterHeader::boxed(), ClusterHeader::boxed()];
    let [one, other] = [headers[0].drains(), headers[1].drains()];
    // A node that has been away knows a drain; meanwhile, the server was put back.
    one.tell(server(1), &drained(NOW), 0);
    other.tell(server(1), &put_back(NOW + 50), 0);
    let (stale, newest) = (sent(&one), sent(&other));
    other.apply(&stale[0], false, 0);
    assert_eq!(other.shown(server(1)), Some(put_back(NOW + 50)));
    assert_eq!(sent(&other), newest, "who has told it is told");
    one.apply(&newest[0], false, 0);
    assert_eq!(done(&one), [(server(1), put_back(NOW + 50))]);
    one.apply(&newest[0], false, 0);
    assert_eq!((sent(&one), sent(&other)), (vec![], vec![]));
}

#[test]
fn times_of_before_the_first_contact_are_by_the_stores_clock_after_it() {
    for ahead in [30, -30] {
        let header = ClusterHeader::boxed();
        let drains = header.drains();
        drains.order(server(1), &drained(NOW), 0);
        drains.shift(ahead);
        let right = NOW.saturating_add_signed(ahead);
        let records = sent(&drains);
        assert_eq!(HandDrain::of_record(&records[0]), Some(drained(right)));
        // It comes back as it was sent.
        drains.apply(&records[0], true, 0);
        drains.shift(ahead);
        assert_eq!(drains.shown(server(1)), Some(drained(right)));
    }
}

#[test]
fn a_server_that_is_not_named_for_an_hour_is_forgotten() {
    let header = ClusterHeader::boxed();
    let drains = header.drains();
    let record = drained(NOW).record(server(1), Change::Drained).unwrap();
    drains.apply(&record, false, 5000);
    let look = |now, has: bool| {
        let mut count = 0;
        drains.carry_out(now, |_| has, |_, _, _| count += 1);
        count
    };
    assert_eq!(look(5000 + UNNAMED_LASTS, false), 0);
    assert_eq!(look(5000 + UNNAMED_LASTS, true), 1, "it is named again");
    assert_eq!(look(5000 + 2 * UNNAMED_LASTS, false), 0);
    assert_eq!(drains.agreed().count(), 1);
    assert_eq!(look(5001 + 2 * UNNAMED_LASTS, false), 0);
    assert_eq!(drains.agreed().count(), 0);
}

#[test]
fn where_there_is_no_room_one_that_was_put_back_goes() {
    let header = ClusterHeader::boxed();
    let drains = header.drains();
    for number in 0..MOST_DRAINS as u128 {
        let drain = match number {
            7 => put_back(NOW + 1),
            8 => put_back(NOW),
            _ => drained(NOW - number as u64),
        };
        drains.order(server(number), &drain, 0);
    }
    let all = |numbers: &[u128]| numbers.iter().all(|it| drains.shown(server(*it)).is_some());
    assert!(all(&[0, 7, 8, MOST_DRAINS as u128 - 1]));
    drains.order(server(5000), &drained(NOW), 0);
    assert!(all(&[5000, 7]) && !all(&[8]));
    drains.order(server(5001), &drained(NOW), 0);
    assert!(all(&[5000, 5001, 0]) && !all(&[7]));
    // Then the oldest drain.
    drains.order(server(5002), &drained(NOW), 0);
    assert!(!all(&[MOST_DRAINS as u128 - 1]));
    assert_eq!(drains.to_send().count(), MOST_DRAINS);
}

/// A node, with a clock that is late or early by some seconds.
struct Node {
    header: Box<ClusterHeader>,
    place: usize,
    skew: i64,
}

const SERVERS: u32 = 4;

struct Simulation {
    random: Random,
    nodes: Vec<Node>,
    /// Whose record, and the record.
    stream: Vec<(usize, Record)>,
    now: u64,
    /// Whether the store has lost nothing since all were quiet.
    is_whole: bool,
    compared: u64,
    in_order: u64,
}

impl Simulation {
    fn node(&mut self) -> Node {
        Node {
            header: ClusterHeader::boxed(),
            place: 0,
            skew: i64::from(self.random.below(5)) - 2,
        }
    }

    fn step(&mut self) {
        let index = self.random.below(self.nodes.len() as u32) as usize;
        self.now += u64::from(self.random.below(3) == 0);
        match self.random.below(100) {
            0..20 => {
                let node = &self.nodes[index];
                let ordered = self.now.saturating_add_signed(node.skew);
                let drain = match self.random.below(2) {
                    0 => drained(ordered),
                    _ => put_back(ordered),
                };
                let server = server(u128::from(self.random.below(SERVERS)));
                node.header.drains().order(server, &drain, 0);
            }
            20..50 => self.send(index),
            50..97 => drop(self.follow(index)),
            97 => {
                // A node begins anew, with what another one knows.
                let mut new = self.node();
                let from = self.random.below(self.nodes.len() as u32) as usize;
                new.place = self.nodes[from].place;
                for (server, drain) in self.nodes[from].header.drains().agreed() {
                    let record = drain.record(server, Change::DrainKnown).unwrap();
                    new.header.drains().apply(&record, false, 0);
                }
                // What it has ordered and not told ends with it.
                self.nodes[index] = new;
            }
            98 => {
                // Another server takes the store's place, which lacks the latest entries.
                let length = self.stream.len();
                let lost = self.random.below(4).min(length as u32) as usize;
                self.stream.truncate(length - lost);
                self.lose();
            }
            _ => {
                self.stream.clear();
                self.lose();
            }
        }
    }

    fn lose(&mut self) {
        self.is_whole = false;
        for node in &mut self.nodes {
            let drains = node.header.drains();
            if node.place > self.stream.len() {
                node.place = self.stream.len();
                drains.tell_all();
            } else {
                drains.send_again();
            }
        }
    }

    fn send(&mut self, index: usize) {
        let drains = self.nodes[index].header.drains();
        for one in drains.to_send() {
            let record = one.drain.record(one.server, one.change).unwrap();
            self.stream.push((index, record));
            if self.random.below(10) == 0 {
                // It ends before it has noted that.
                return;
            }
            drains.note_sent(&one);
        }
    }

    fn follow(&mut self, index: usize) -> bool {
        let node = &mut self.nodes[index];
        let Some((of, record)) = self.stream.get(node.place) else {
            return false;
        };
        assert!(node.header.drains().apply(record, *of == index, 0));
        node.place += 1;
        true
    }

    fn quieten(&mut self) {
        let mut rounds = 0;
        loop {
            let before = self.stream.len();
            for index in 0..self.nodes.len() {
                while self.nodes[index].header.drains().to_send().count() > 0 {
                    self.send(index);
                }
            }
            for index in 0..self.nodes.len() {
                while self.follow(index) {}
            }
            rounds += 1;
            assert!(rounds < 20, "nodes tell each other for ever");
            let is_quiet = |node: &Node| node.header.drains().to_send().count() == 0;
            if self.stream.len() == before && self.nodes.iter().all(is_quiet) {
                break;
            }
        }
        for number in 0..u128::from(SERVERS) {
            let shown = |node: &Node| node.header.drains().shown(server(number));
            let first = shown(&self.nodes[0]);
            for node in &self.nodes {
                assert_eq!(shown(node), first, "server {number}");
                self.compared += 1;
            }
            let its = self
                .stream
                .iter()
                .rev()
                .find(|it| it.1.server == server(number));
            if let Some((_, last)) = its.filter(|_| self.is_whole) {
                assert_eq!(first, HandDrain::of_record(last), "server {number}");
                self.in_order += 1;
            }
        }
        self.is_whole = true;
        self.stream.clear();
        self.nodes.iter_mut().for_each(|node| node.place = 0);
    }
}

#[test]
fn nodes_agree_when_all_is_quiet() {
    let mut simulation = Simulation {
        random: Random::seeded(147),
        nodes: Vec::new(),
        stream: Vec::new(),
        now: NOW,
        is_whole: true,
        compared: 0,
        in_order: 0,
    };
    for _ in 0..4 {
        let node = simulation.node();
        simulation.nodes.push(node);
    }
    for _ in 0..2000 {
        for _ in 0..simulation.random.below(120) {
            simulation.step();
        }
        simulation.quieten();
    }
    let (compared, in_order) = (simulation.compared, simulation.in_order);
    assert!(compared == 32_000 && in_order > 1000, "{in_order}");
}
