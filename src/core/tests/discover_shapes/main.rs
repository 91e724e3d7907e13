//! Tests for `mode=discover` on the shapes of real applications, as they were seen on the wire;
//! without them it may propose a line that loses sessions, or none where there is one.
//! `--nocapture` shows the table: the application, what is proposed, and the line that is known to
//! be right.

mod shapes;

use std::sync::atomic::AtomicU64;

use sticky_core::directive::parse;
use sticky_core::discover::judge::{judge, Candidate, Findings};
use sticky_core::discover::look::{self, Request};
use sticky_core::discover::sample::{Answer, Exchange, Sample, LEAST_WORDS};
use sticky_core::discover::Sighting;
use sticky_core::scan::Learner;

use shapes::{Shape, NOTHING, SHAPES};

const CLIENTS: u64 = 30;
const SERVERS: u64 = 3;
const NOW: u64 = 1_700_000_000;

struct World {
    words: Vec<AtomicU64>,
    turn: u64,
}

impl World {
    fn new() -> Self {
        let words = (0..LEAST_WORDS).map(|_| AtomicU64::new(0)).collect();
        Self { words, turn: 0 }
    }

    fn sample(&self) -> Sample<'_> {
        let sample = Sample::of(&self.words).expect("enough words");
        sample.begin(1, NOW, 3600);
        sample
    }

    /// All clients walk their sessions, one step of each at a time.
    fn walk(&mut self, shape: &Shape, clients: u64) -> Findings {
        for (number, (request, response)) in shape.steps.iter().enumerate() {
            for client in 0..clients {
                let fill = |text: &str| {
                    let once = value(1_000 + client * 100 + number as u64);
                    text.replace("{id}", &value(client * 2 + 1))
                        .replace("{two}", &value(client * 2 + 2))
                        .replace("{once}", &once)
                        .replace("{all}", &value(0xa11))
                };
                self.exchange(client, &fill(request), &fill(response));
            }
        }
        judge(&self.sample())
    }

    fn exchange(&mut self, client: u64, request: &str, response: &str) {
        self.turn += 1;
        let who = Exchange {
            client: hash(client.to_string().as_bytes()),
            server: hash(&[b's', (self.turn % SERVERS) as u8]),
            now: NOW + self.turn / 100,
        };
        let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
        let mut lines = head.lines();
        let target = lines.next().and_then(|line| line.split(' ').nth(1));
        let (path, query) = target.map_or(("", ""), |it| it.split_once('?').unwrap_or((it, "")));
        let mut brought = Vec::new();
        let headers: Vec<_> = lines.filter_map(|line| line.split_once(": ")).collect();
        for (name, value) in &headers {
            look::request_header(name.as_bytes(), value.as_bytes(), &mut note(&mut brought));
        }
        let it = Request {
            path: path.as_bytes(),
            query: query.as_bytes(),
            body_type: type_of(&headers).as_bytes(),
            body: body.as_bytes(),
        };
        look::request(&it, &mut note(&mut brought));
        let (head, body) = response.split_once("\n\n").unwrap_or((response, ""));
        let headers: Vec<_> = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .collect();
        let mut handed_out = Vec::new();
        for (name, value) in &headers {
            look::response_header(
                name.as_bytes(),
                value.as_bytes(),
                &mut note(&mut handed_out),
            );
        }
        let is_upgrade = headers.iter().any(|(name, _)| *name == "Upgrade");
        let status = if is_upgrade { 101 } else { 200 };
        let media_type = type_of(&headers).as_bytes();
        let answer = Answer::of(status, media_type);
        self.sample().note(who, answer, &brought, &handed_out);
        if look::reads(media_type) {
            let mut handed_out = Vec::new();
            let mut beginning = look::Beginning::default();
            for piece in body.as_bytes().chunks(7) {
                beginning.feed(piece, &mut |_, _| true);
            }
            look::body(media_type, beginning.bytes(), &mut note(&mut handed_out));
            self.sample().note_body(who, &handed_out);
        }
    }
}

fn type_of<'a>(headers: &[(&str, &'a str)]) -> &'a str {
    let found = headers.iter().find(|(name, _)| *name == "Content-Type");
    found.map_or("", |(_, value)| value)
}

fn note(all: &mut Vec<Sighting>) -> impl FnMut(sticky_core::discover::Kind, &[u8], &[u8]) + '_ {
    |kind, name, value| {
        all.push(Sighting {
            kind,
            name: name.into(),
            value: hash(value),
        });
    }
}

/// As random as what applications make.
fn value(number: u64) -> String {
    let (one, two) = (hash(&number.to_le_bytes()), hash(&(!number).to_le_bytes()));
    format!("{one:016x}{two:08x}")
}

fn hash(bytes: &[u8]) -> u64 {
    let seed = bytes.iter().fold(0x1234_5678_9abc_def1u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (seed ^ seed >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ mixed >> 32
}

#[test]
fn the_line_of_each_application_is_proposed() {
    let mut wrong = Vec::new();
    println!(
        "{:35} {:10} proposed / known to be right",
        "application", ""
    );
    for shape in SHAPES {
        let findings = World::new().walk(shape, CLIENTS);
        let best = findings.candidates.first();
        let proposed = best.map_or("", |it| &it.directive);
        let certainty = match best.and_then(|it| it.uncertain) {
            None => "certain",
            Some(_) => "uncertain",
        };
        println!(
            "{:35} {certainty:10} {proposed}\n{:46} {}",
            shape.name, "", shape.right
        );
        if proposed != shape.proposed {
            wrong.push(format!("{}: {proposed:?}, {findings:#?}", shape.name));
        }
        for line in [shape.right, proposed] {
            let words = line.trim_start_matches("sticky").trim_end_matches(';');
            let words: Vec<&[u8]> = words.split_whitespace().map(str::as_bytes).collect();
            assert!(parse(&words).is_ok(), "{line}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What frames of a WebSocket hand out, a request brings first: the server that gets it has not made
/// it.
#[test]
fn ids_that_frames_may_hand_out_are_named_behind_a_cookie() {
    let of = |name: &str| {
        let Some(shape) = SHAPES.iter().find(|shape| shape.name == name) else {
            panic!("this shape is there");
        };
        World::new().walk(shape, CLIENTS).candidates
    };
    let names_frames = |it: &Candidate| it.uncertain.is_some_and(|why| why.contains("frames"));
    let shiny = of("Shiny, an id from a WebSocket");
    let lines: Vec<_> = shiny.iter().map(|it| &*it.directive).collect();
    let segment = "sticky mode=query from=segment:/session/ learn=request;";
    assert_eq!(lines, ["sticky;", segment]);
    assert!(!names_frames(&shiny[0]) && names_frames(&shiny[1]));
    // A request that upgrades its connection brings such an id, or no connection was upgraded.
    for name in ["SockJS, a WebSocket and then polling", "Gradio"] {
        assert!(of(name).iter().all(|it| !names_frames(it)), "{name}");
    }
}

#[test]
fn nothing_is_certain_where_there_are_no_sessions() {
    for shape in NOTHING {
        let findings = World::new().walk(shape, CLIENTS);
        let certain = |it: &&Candidate| it.uncertain.is_none();
        assert_eq!(
            findings.candidates.iter().find(certain),
            None,
            "{}",
            shape.name
        );
        assert!(findings.why.is_some(), "{}", shape.name);
    }
}

#[test]
fn names_of_few_clients_are_not_shown() {
    for shape in SHAPES {
        let findings = World::new().walk(shape, 12);
        assert!(
            findings.candidates.is_empty(),
            "{}: {findings:#?}",
            shape.name
        );
        assert!(findings
            .why
            .is_some_and(|why| why.contains("too few clients")));
    }
}

#[test]
fn counts_say_how_many_went_astray() {
    let Some(cookie) = SHAPES.iter().find(|shape| shape.name == "PHP, cookie") else {
        panic!("this shape is there");
    };
    let findings = World::new().walk(cookie, CLIENTS);
    let best = findings.candidates.first().expect("a candidate");
    assert_eq!((best.seen, best.returned, best.requests), (30, 30, 60));
    // 30 clients at 3 servers in turn: a step later, each is at the same server again.
    assert_eq!(best.astray, 0);
    assert_eq!(findings.requests, 90);
    assert!(
        (28..=32).contains(&findings.clients),
        "{}",
        findings.clients
    );
    let findings = World::new().walk(cookie, CLIENTS + 1);
    assert_eq!(findings.candidates.first().map(|it| it.astray), Some(62));
}

/// Whatever is in the memory, and whoever floods it.
#[test]
fn any_words_and_any_names_do_no_harm() {
    for fill in [0, 1, u64::MAX, 0x0101_0101_0101_0101, 0x7fff_ffff_ffff_ffff] {
        let words: Vec<_> = (0..LEAST_WORDS + 100)
            .map(|at| AtomicU64::new(fill ^ (hash(&[at as u8, fill as u8]) * u64::from(fill != 0))))
            .collect();
        let sample = Sample::of(&words).expect("enough words");
        judge(&sample);
        assert!(!sample.takes(hash(b"x"), u64::MAX));
        sample.is_line_due(NOW);
    }
    let mut world = World::new();
    for number in 0..20_000 {
        let request = format!(
            "GET /?{0}=x{1}&b{0}={1}\nCookie: c{0}={1}\nX-{0}: {1}",
            value(number),
            value(number + 1)
        );
        world.exchange(number, &request, "Set-Cookie: a=1\n\n");
    }
    let findings = judge(&world.sample());
    assert!(findings.candidates.len() <= 9);
    assert_eq!(findings.requests, 20_000);
    assert!(Sample::of(&world.words[1..]).is_none());
}

#[test]
fn it_ends_and_begins_anew_for_another_directive() {
    let world = World::new();
    let sample = world.sample();
    assert!(sample.takes(0, NOW) && sample.takes(0, NOW + 3599) && !sample.takes(0, NOW + 3600));
    assert!(!sample.is_line_due(NOW + 59));
    assert!(sample.is_line_due(NOW + 60));
    assert!(!sample.is_line_due(NOW + 60), "once a minute");
    assert!(sample.is_line_due(NOW + 4000), "once in the end");
    assert!(!sample.is_line_due(NOW + 5000));
    sample.begin(1, NOW + 5000, 60);
    assert!(!sample.takes(0, NOW + 5000), "the same directive goes on");
    sample.begin(2, NOW + 5000, 60);
    assert!(sample.takes(0, NOW + 5000));
    assert_eq!(judge(&sample).requests, 0);
}

/// Of more than some hundreds of requests a second, those of some clients are looked at.
#[test]
fn the_sample_is_bounded_in_time() {
    let world = World::new();
    let sample = world.sample();
    let mut taken = 0;
    for second in 0..20 {
        for number in 0..5_000 {
            taken +=
                u64::from(sample.takes(hash(&[number as u8, (number >> 8) as u8]), NOW + second));
        }
    }
    assert!(taken <= 20 * 400, "{taken}");
    assert!(taken >= 2_000, "{taken}");
}
