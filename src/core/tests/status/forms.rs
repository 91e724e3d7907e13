//! What is in the three forms, and what the page needs beside it.

use std::collections::{BTreeMap, BTreeSet};

use sticky_core::status::{
    content_security_policy, Notice, Report, Upstream, Watched, Zone, FAMILIES,
};

use crate::names::sample;
use crate::sample::{json, metrics, page, page_with_hands, report};

#[test]
fn metrics_are_those_that_are_declared() {
    let mut report = report(b"u", b"s", b"z");
    // No line has all of them.
    report.upstreams[0].is_dry_run = true;
    report.upstreams[0].watched = Some(Watched {
        requests: 1,
        until: 2,
    });
    let text = metrics(&report);
    let mut written = Vec::new();
    let mut series = BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            written.push(rest.split_once(' ').expect("a type"));
        } else if !line.starts_with('#') {
            let (name, labels, _) = sample(line);
            assert_eq!(Some(&name.as_str()), written.last().map(|(name, _)| name));
            let family = FAMILIES.iter().find(|family| family.name == name);
            let labels_of: Vec<_> = labels.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(
                family.map(|family| family.labels),
                Some(&labels_of[..]),
                "{line}"
            );
            assert!(series.insert((name, labels)), "twice: {line}");
        }
    }
    let declared: Vec<_> = FAMILIES.iter().map(|it| (it.name, it.kind)).collect();
    assert_eq!(written, declared, "each once, in that order");
    for (name, kind) in declared {
        assert!(name.starts_with("nginx_sticky_"), "{name}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
    }
}

#[test]
fn metrics_have_the_numbers() {
    let text = metrics(&report(b"shop", b"10.0.0.1:8080", b"z"));
    for line in [
        "nginx_sticky_build_info{version=\"1.2.3\",nginx=\"1.30.6\"} 1",
        "nginx_sticky_requests_total{upstream=\"shop\",result=\"HIT\"} 930",
        "nginx_sticky_requests_total{upstream=\"shop\",result=\"MISS\"} 20",
        "nginx_sticky_server_hits_total{upstream=\"shop\",server=\"10.0.0.1:8080\"} 930",
        "nginx_sticky_sessions{upstream=\"shop\",server=\"10.0.0.1:8080\",state=\"in_use\"} 11",
        "nginx_sticky_sessions{upstream=\"shop\",server=\"10.0.0.1:8080\",state=\"unused\"} 2",
        "nginx_sticky_sessions_learned_total{upstream=\"shop\",source=\"html\"} 7",
        "nginx_sticky_bodies_total{upstream=\"shop\",source=\"html\",outcome=\"whole\"} 50",
        "nginx_sticky_bodies_total{upstream=\"shop\",source=\"html\",outcome=\"cut\"} 4",
        "nginx_sticky_bodies_total{upstream=\"shop\",source=\"html\",outcome=\"ended\"} 2",
        "nginx_sticky_bodies_total{upstream=\"shop\",source=\"json\",outcome=\"whole\"} 0",
        "nginx_sticky_bodies_total{upstream=\"shop\",source=\"xml\",outcome=\"given_up\"} 1",
        "nginx_sticky_body_bytes_total{upstream=\"shop\"} 1048576",
        "nginx_sticky_sessions_moved_total{reason=\"left\"} 2",
        "nginx_sticky_sessions_forgotten_total{reason=\"ended\"} 1",
        "nginx_sticky_server_max_sessions{upstream=\"shop\",server=\"10.0.0.1:8080\"} 13",
        "nginx_sticky_server_draining{upstream=\"shop\",server=\"10.0.0.1:8080\"} 1",
        "nginx_sticky_server_draining{upstream=\"shop\",server=\"unix:/run/b.sock\"} 1",
        "nginx_sticky_cluster_up 0",
        "nginx_sticky_cluster_lag_seconds 1.207",
        "nginx_sticky_cluster_records_total{direction=\"out\"} 4711",
        "nginx_sticky_sessions_evicted_total{zone=\"z\",state=\"in_use\"} 3",
        "nginx_sticky_zone_capacity_sessions{zone=\"z\"} 1000",
        "nginx_sticky_zone_used_sessions{zone=\"z\"} 13",
        "nginx_sticky_scan_timestamp_seconds{zone=\"z\"} 1795795255",
        "nginx_sticky_state_write_timestamp_seconds{zone=\"z\"} 1795795223",
        "nginx_sticky_state_errors_total{zone=\"z\"} 6",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\nin\n{text}");
    }
    assert!(!text.contains("by nginx"), "of those nothing is known");
    assert!(
        !text.contains("source=\"sse\",outcome"),
        "nothing reads such bodies"
    );
}

#[test]
fn bodies_are_shown_by_what_reads_them() {
    let known = report(b"u", b"s", b"z");
    let text = json(&known);
    let expected = "\"bodies\":{\"html\":{\"whole\":50,\"cut\":4,\"given_up\":3,\"ended\":2},\
                    \"json\":{\"whole\":0,\"cut\":0,\"given_up\":0,\"ended\":0},\
                    \"xml\":{\"whole\":0,\"cut\":0,\"given_up\":1,\"ended\":0}},\
                    \"body_bytes\":1048576";
    assert!(text.contains(expected), "{text}");
    let text = page(&known);
    for shown in [
        "Bodies read",
        "1,048,576 bytes",
        "html: cut",
        "xml: given_up",
    ] {
        assert!(text.contains(shown), "{shown}");
    }
    for hidden in ["json: ", "html: whole", "xml: cut"] {
        assert!(!text.contains(hidden), "{hidden}");
    }
    // Where no body is read, nothing is said of bodies.
    let mut other = known;
    other.upstreams[0].readers.clear();
    if let Some(sums) = &mut other.upstreams[0].sums {
        sums.bodies = Default::default();
    }
    assert!(!json(&other).contains("bod"));
    assert!(!metrics(&other).contains("bod"));
    assert!(!page(&other).contains("Bodies"));
}

#[test]
fn a_server_at_its_limit_says_so() {
    let known = report(b"u", b"s", b"z");
    assert!(json(&known).contains("\"max_sessions\":13,\"at_limit\":true"));
    assert!(page(&known).contains("at its limit of 13"));
    let mut has_room = known;
    has_room.upstreams[0].servers[0].is_full = false;
    assert!(json(&has_room).contains("\"max_sessions\":13,\"at_limit\":false"));
    assert!(!page(&has_room).contains("at its limit"));
}

#[test]
fn what_is_not_known_is_left_out() {
    let known = report(b"u", b"s", b"z");
    let unknown = Report {
        upstreams: vec![Upstream {
            name: b"u",
            ..Upstream::default()
        }],
        zones: vec![Zone {
            name: b"z",
            ..Zone::default()
        }],
        ..known
    };
    let text = metrics(&unknown);
    for name in [
        "requests",
        "sessions_learned",
        "server_hits",
        "zone_used",
        "scan",
        "state_",
    ] {
        assert!(!text.contains(&format!("nginx_sticky_{name}")), "{text}");
    }
    let text = json(&unknown);
    for name in [
        "requests",
        "steered",
        "sessions",
        "since",
        "state",
        "hits",
        "max_sessions",
        "at_limit",
    ] {
        assert!(!text.contains(&format!("\"{name}\":")), "{text}");
    }
    let text = page(&unknown);
    let body = text.split("<main").nth(1).expect("it has a main part");
    let body = body.split("What the outcomes mean").next().expect("a part");
    for words in [
        "Outcomes",
        "Last use",
        "<small>counted",
        "<small></small>",
        "% full",
    ] {
        assert!(!body.contains(words), "{words}: {body}");
    }
}

#[test]
fn the_page_needs_nothing_else() {
    let text = page_with_hands(report(b"u", b"s", b"z"), Notice::Done("Done.".into()));
    let markup = text.split("<script>").next().expect("a part");
    for outside in [
        " src=", "url(", "@import", "http:", "https:", "<link", "<iframe", " style=",
    ] {
        assert!(!markup.contains(outside), "{outside}");
    }
    // Each link within the page has a target.
    let ids: BTreeSet<&str> = attributes(&text, " id=\"").collect();
    let mut targets = attributes(&text, "href=\"#").peekable();
    assert!(targets.peek().is_some());
    for target in targets {
        assert!(ids.contains(target), "#{target}");
    }
    for label in attributes(&text, "aria-labelledby=\"") {
        assert!(ids.contains(label), "{label}");
    }
    assert_eq!(
        ids.len(),
        attributes(&text, " id=\"").count(),
        "each id once"
    );
}

fn attributes<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    let body = text.split("<script>").next().unwrap();
    body.split(start)
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
}

#[test]
fn every_element_is_closed() {
    let text = page_with_hands(
        report(b"u", b"s", b"z"),
        Notice::Ask("Is it?".into(), vec![]),
    );
    let mut open = Vec::new();
    let mut rest = text.as_str();
    while let Some((_, after)) = rest.split_once('<') {
        let (tag, after) = after.split_once('>').expect("a tag ends");
        rest = after;
        if tag.starts_with('!') || tag.ends_with('/') {
            continue;
        }
        let name = tag.split(' ').next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(
                open.pop(),
                Some(name),
                "before {}",
                &rest[..60.min(rest.len())]
            ),
            None if matches!(name, "meta" | "br" | "input") => {}
            None => open.push(name),
        }
        if matches!(name, "script" | "style") {
            let (_, after) = rest.split_once("</").expect("it ends");
            rest = after.split_once('>').expect("a tag ends").1;
            open.pop();
        }
    }
    assert_eq!(open, [""; 0]);
}

#[test]
fn rows_have_as_many_cells_as_the_head() {
    let text = page(&report(b"u", b"s", b"z"));
    let mut tables = 0;
    for table in text.split("<table class=\"cards\"").skip(1) {
        let table = table.split("</table>").next().unwrap();
        let (head, body) = table.split_once("</thead>").expect("a head");
        let columns = head.matches("<th ").count();
        for row in body.split("<tr").skip(1) {
            assert_eq!(
                row.matches("<th ").count() + row.matches("<td ").count(),
                columns
            );
        }
        tables += 1;
    }
    assert_eq!(tables, 4, "overview, servers, zones, cluster");
}

#[test]
fn of_many_upstreams_the_page_has_a_line_each() {
    let names: Vec<Vec<u8>> = (0..1000)
        .map(|n| format!("tenant{n}").into_bytes())
        .collect();
    let mut all = report(b"u", b"s", b"z");
    let one = all.upstreams.remove(0);
    all.upstreams = names
        .iter()
        .map(|name| Upstream {
            name,
            ..one.clone()
        })
        .collect();
    let text = page(&all);
    assert!(text.len() < 400_000, "{}", text.len());
    assert_eq!(text.matches("href=\"?upstream=tenant").count(), 1000);
    assert!(!text.contains("Outcomes"));
}

#[test]
fn the_policy_allows_the_style_and_the_script_of_the_page() {
    use base64::prelude::{Engine, BASE64_STANDARD};
    use sha2::{Digest, Sha256};

    let policy = content_security_policy();
    let rules: BTreeMap<&str, &str> = policy
        .split("; ")
        .map(|rule| rule.split_once(' ').expect("a rule has a value"))
        .collect();
    assert_eq!(rules["default-src"], "'none'");
    assert_eq!(rules["frame-ancestors"], "'self'");
    let text = page(&report(b"u", b"s", b"z"));
    for (rule, tag) in [("style-src", "style"), ("script-src", "script")] {
        let inner = text.split(&format!("<{tag}>")).nth(1).expect("it has one");
        let inner = inner.split(&format!("</{tag}>")).next().unwrap();
        let hash = BASE64_STANDARD.encode(Sha256::digest(inner));
        assert_eq!(rules[rule], format!("'sha256-{hash}'"), "{rule}");
    }
}

#[test]
fn pieces_are_bounded() {
    let names: Vec<Vec<u8>> = (0..200)
        .map(|n| format!("tenant{n}").into_bytes())
        .collect();
    let mut all = report(b"u", b"s", b"z");
    let one = all.upstreams.remove(0);
    all.upstreams = names
        .iter()
        .map(|name| Upstream {
            name,
            ..one.clone()
        })
        .collect();
    let mut longest = 0;
    let mut note = |piece: &[u8]| longest = longest.max(piece.len());
    sticky_core::status::page(&all, b"/", None, &mut note);
    sticky_core::status::json(&all, &mut note);
    sticky_core::status::metrics(&all, &mut note);
    assert!(longest < 32 * 1024, "{longest}");
}

#[test]
fn numbers_are_written_whole() {
    let mut all = report(b"u", b"s", b"z");
    for number in [0, 9, 10, 1_000_000, u64::MAX] {
        all.zones[0].capacity = number;
        assert!(json(&all).contains(&format!("\"capacity\":{number},")));
    }
}
