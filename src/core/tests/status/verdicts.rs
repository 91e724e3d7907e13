//! The sentence at the top.

use sticky_core::events::Status;
use sticky_core::status::{Mode, Sessions, Standing, StateFile, Sums, Upstream, Verdict, Zone};

use crate::sample::NOW;

fn verdict(counts: &[(Status, u64)]) -> Verdict {
    let mut sums = Sums::default();
    for (status, count) in counts {
        sums.requests[status.number()] = *count;
    }
    let upstream = Upstream {
        mode: Mode::Query,
        sums: Some(sums),
        ..Upstream::default()
    };
    Verdict::of(&upstream, None, NOW)
}

#[test]
fn what_an_operator_wants_does_not_lower_it() {
    use Status::{Gone, Hit, Miss};
    let judged = |counts: &[(Status, u64)], planned| {
        let mut sums = Sums::default();
        for (status, count) in counts {
            sums.requests[status.number()] = *count;
        }
        sums.planned = planned;
        let upstream = Upstream {
            mode: Mode::Query,
            sums: Some(sums),
            ..Upstream::default()
        };
        let verdict = Verdict::of(&upstream, None, NOW);
        (verdict.standing, verdict.cause)
    };
    assert_eq!(
        judged(&[(Hit, 500), (Gone, 500)], 500),
        (Standing::Good, None)
    );
    assert_eq!(
        judged(&[(Hit, 500), (Gone, 500)], 499),
        (Standing::Good, None)
    );
    // Others still do, also beside them.
    assert_eq!(
        judged(&[(Hit, 500), (Gone, 500)], 0),
        (Standing::Bad, Some(Gone))
    );
    let mixed = [(Hit, 900), (Gone, 160), (Miss, 70)];
    assert_eq!(judged(&mixed, 150), (Standing::Look, Some(Miss)));
    assert_eq!(judged(&mixed, 0), (Standing::Bad, Some(Gone)));
    // Whatever is in the counters.
    assert_eq!(
        judged(&[(Hit, 50), (Gone, 5)], u64::MAX),
        (Standing::Good, None)
    );
    assert_eq!(judged(&[(Gone, 500)], 500), (Standing::Unknown, None));
}

#[test]
fn it_tells_in_a_sentence_whether_sessions_hold() {
    use Standing::{Bad, Good, Look, Unknown};
    use Status::{Expired, Foreign, Full, Gone, Hit, Miss, New, None as NoId};

    type Case = (
        &'static [(Status, u64)],
        Standing,
        &'static str,
        Option<Status>,
    );
    let table: &[Case] = &[
        (&[], Unknown, "No request has come yet.", None),
        (
            &[(Hit, 960), (Miss, 40), (NoId, 7000), (New, 300)],
            Good,
            "96.0 % of the requests with a session id went to the server of the session.",
            None,
        ),
        (
            &[(Hit, 1_000_000)],
            Good,
            "100 % of the requests with a session id went to the server of the session.",
            None,
        ),
        // Never said of nearly all.
        (
            &[(Hit, 999_999), (Gone, 1)],
            Good,
            "99.9 % of the requests with a session id went to the server of the session.",
            None,
        ),
        (
            &[(Hit, 900), (Miss, 30), (Expired, 70)],
            Look,
            "90.0 % of the requests with a session id went to the server of the session. \
             7.0 % came back too late (EXPIRED).",
            Some(Expired),
        ),
        (
            &[(Hit, 100), (Miss, 900)],
            Bad,
            "10.0 % of the requests with a session id went to the server of the session. \
             90.0 % had one that is unknown here (MISS).",
            Some(Miss),
        ),
        (
            &[(Gone, 50), (Foreign, 10), (Full, 20)],
            Bad,
            "0.0 % of the requests with a session id went to the server of the session. \
             62.5 % found their server unusable (GONE).",
            Some(Gone),
        ),
        (
            &[(Hit, 3), (Miss, 1)],
            Unknown,
            "3 of 4 requests with a session id went to the server of the session: too few to judge.",
            None,
        ),
        (
            &[(NoId, 10)],
            Unknown,
            "None of 10 requests came with a session id.",
            None,
        ),
        (
            &[(NoId, 5_000), (New, 100)],
            Look,
            "None of 5,100 requests came with a session id.",
            Some(NoId),
        ),
        (
            &[(NoId, 100), (New, 5_000)],
            Bad,
            "None of 5,100 requests came with a session id.",
            Some(New),
        ),
    ];
    for (counts, standing, text, cause) in table {
        let found = verdict(counts);
        assert_eq!(found.text, *text);
        assert_eq!((found.standing, found.cause), (*standing, *cause), "{text}");
    }
    let most = verdict(&[(Hit, u64::MAX / 2), (Miss, u64::MAX / 2)]);
    assert_eq!(most.standing, Bad);
}

#[test]
fn a_zone_in_trouble_is_said_too() {
    let mut zone = Zone {
        sessions: Some(Sessions {
            in_use: 1,
            ..Sessions::default()
        }),
        ..Zone::default()
    };
    let upstream = Upstream {
        zone: Some(0),
        ..Upstream::default()
    };
    let of = |zone: &Zone<'_>| Verdict::of(&upstream, Some(zone), NOW);
    assert_eq!(of(&zone).text, "1 session known in its zone.");
    assert_eq!(of(&zone).standing, Standing::Unknown);

    zone.evicted_in_use = 1;
    zone.last_eviction = Some(NOW - 100_000);
    assert_eq!(of(&zone).standing, Standing::Unknown, "that is over");
    zone.last_eviction = Some(NOW - 300);
    assert_eq!(of(&zone).standing, Standing::Look);
    assert_eq!(
        of(&zone).text,
        "1 session known in its zone. 1 session in use was forgotten for new ones, last 5 min ago: \
         the zone is too small."
    );
    zone.evicted_in_use = 0;
    assert_eq!(
        of(&zone).standing,
        Standing::Unknown,
        "those were not in use"
    );

    zone.state = Some(StateFile {
        is_failing: true,
        ..StateFile::default()
    });
    assert_eq!(of(&zone).standing, Standing::Look);
    assert!(of(&zone).text.contains("state file"));
}
