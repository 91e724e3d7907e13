//! The journal of a cluster, whose place is reserved and filled at once.

use sticky_core::table::{Change, Journal, JournalHead, Key, Note, PeerId, Slot};

use crate::pair::both;

/// A ring of two places.
struct Ring {
    head: JournalHead,
    slots: [Slot; 2],
}

fn note(number: u32) -> Note {
    Note {
        change: Change::Learned,
        is_taken_back: false,
        key: Key::new(number.into()),
        scope: 0,
        server: PeerId::new(number),
        from: PeerId::new(0),
        second: 0,
        period: 0,
        set: 0,
    }
}

impl Ring {
    fn new() -> Ring {
        Ring {
            head: JournalHead::default(),
            slots: Default::default(),
        }
    }

    /// Both places are filled, and the note of the first one has returned.
    fn over() -> Ring {
        let ring = Ring::new();
        assert_eq!([ring.note(8), ring.note(9)], [Some(0), Some(1)]);
        ring.journal().set_sent(2);
        ring.journal().set_returned(1);
        ring
    }

    fn journal(&self) -> Journal<'_> {
        Journal::new(&self.head, &self.slots)
    }

    /// Where it was noted.
    fn note(&self, number: u32) -> Option<u64> {
        Some(self.journal().note(&note(number))?.position)
    }

    fn at(&self, position: u64) -> Option<u32> {
        Some(self.journal().at(position)?.server.get())
    }
}

#[test]
fn two_workers_note_in_two_places() {
    both(
        4,
        Ring::new,
        |ring| ring.note(1),
        |ring| ring.note(2),
        |ring, here, there| {
            let (here, there) = (here.unwrap(), there.unwrap());
            assert_eq!((here + there, ring.journal().tail()), (1, 2));
            assert_eq!((ring.at(here), ring.at(there)), (Some(1), Some(2)));
        },
    );
}

#[test]
fn what_is_before_the_tail_is_seen() {
    both(
        4,
        Ring::new,
        |ring| (ring.note(1), ring.note(2)),
        |ring| {
            let tail = ring.journal().tail();
            (0..tail).map(|at| ring.at(at)).collect::<Vec<_>>()
        },
        |_, here, there| {
            assert_eq!(here, (Some(0), Some(1)));
            assert_eq!(there, [Some(1), Some(2)][..there.len()]);
        },
    );
}

#[test]
fn a_place_is_used_again_once() {
    both(
        4,
        Ring::over,
        |ring| ring.note(1),
        |ring| ring.note(2),
        |ring, here, there| {
            let noted = match (here, there) {
                (Some(2), None) => 1,
                (None, Some(2)) => 2,
                both => panic!("{both:?}"),
            };
            assert_eq!((ring.at(1), ring.at(2)), (Some(9), Some(noted)));
            assert_eq!((ring.journal().tail(), ring.journal().dropped()), (3, 1));
        },
    );
}

#[test]
fn no_note_is_written_over_before_it_has_returned() {
    both(
        4,
        Ring::over,
        |ring| [ring.note(1), ring.note(2)],
        |ring| {
            let seen = ring.at(1);
            ring.journal().set_returned(2);
            seen
        },
        |ring, here, there| {
            assert_eq!((there, here[0]), (Some(9), Some(2)));
            assert_eq!(ring.at(2), Some(1));
            assert_eq!(ring.at(3), here[1].map(|_| 2));
        },
    );
}
