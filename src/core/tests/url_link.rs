//! Tests for where a link leads, as browsers read it, and for the id in it. Without these, ids of
//! other sites may be learned, or those of the own site missed.

use sticky_core::url::{refresh_target, ExtractedId, Names, Site};

fn in_link(link: &str, site: &Site) -> String {
    match Names::new(vec![b"sid"[..].into()]).in_link(link.as_bytes(), site) {
        ExtractedId::Absent => "-".into(),
        ExtractedId::Conflict => "conflict".into(),
        ExtractedId::Id(id) => id.escape_ascii().to_string(),
    }
}

fn shop() -> Site {
    Site::new(b"Shop.Example:8443", &[])
}

#[test]
fn links_to_the_site_have_the_id_of_their_query() {
    for link in [
        "?sid=1",
        "page.php?sid=1",
        "/page.php?a=b&sid=1#top",
        "./a/../b?sid=1",
        "  page.php?sid=1\x0c\x00",
        "pa\tge.php?s\nid=\r1",
        "\x01?sid=1",
        "1a:b?sid=1",
        "a/b:c?sid=1",
        "/\tx?sid=1",
        "\\x?sid=1",
        "page?x?&sid=1",
        "page??&sid=1",
        "page?a=http://other.example/&sid=1",
        "http://shop.example/?sid=1",
        "http://shop.example?sid=1",
        "HTTPS://SHOP.EXAMPLE:443/?sid=1",
        "http://shop.example./?sid=1",
        "http://shop.example:/?sid=1",
        "http://shop.example:99/?sid=1",
        "http://user:p%40w@shop.example/?sid=1",
        "http://other.example@shop.example/?sid=1",
        "http://a@b@shop.example/?sid=1",
        "http://sh%6Fp.example/?sid=1",
        "http:\\\\shop.example\\?sid=1",
        "http:////shop.example/?sid=1",
        "ht\ntp://shop.ex\tample/?sid=1",
        "//shop.example/?sid=1",
        "/\\shop.example/?sid=1",
        "\\\\shop.example/?sid=1",
        "///shop.example/?sid=1",
        "/\n/shop.example/?sid=1",
    ] {
        assert_eq!(in_link(link, &shop()), "1", "{link:?}");
    }
}

/// An obviously relative link gives the same result without a site as with one.
#[test]
fn an_obviously_relative_link_reads_as_any_other() {
    let names = Names::new(vec![b"sid"[..].into()]);
    let plain = b"/shop/page.php?a=b&sid=1&c=d";
    assert_eq!(
        names.in_plain_link(plain),
        Some(ExtractedId::Id(b"1"[..].into()))
    );
    assert_eq!(
        names.in_plain_link(b"/shop/page.php?a=b&c=d"),
        Some(ExtractedId::Absent)
    );
    let mut plain_ones = 0;
    for at in 0..plain.len() {
        for byte in 0..=255 {
            for second in *b"/?x" {
                let mut link = plain.to_vec();
                (link[1], link[at]) = (second, byte);
                if let Some(extracted) = names.in_plain_link(&link) {
                    plain_ones += 1;
                    let shown = link.escape_ascii();
                    assert_eq!(extracted, names.in_link(&link, &shop()), "{shown}");
                }
            }
        }
    }
    assert!(plain_ones > 10_000, "{plain_ones}");
}

#[test]
fn links_elsewhere_and_links_without_the_name_have_no_id() {
    for link in [
        "",
        " ",
        "#sid=1",
        "#?sid=1",
        "page#?sid=1",
        "/sid=1",
        "/sid=1/?a=b",
        "page;sid=1",
        "page?a=b#&sid=1",
        "mailto:a@shop.example?sid=1",
        "javascript:go('?sid=1')",
        "JaVa\tScript:go('?sid=1')",
        "data:text/html,?sid=1",
        "ftp://shop.example/?sid=1",
        "a:b?sid=1",
        "x-y+z.1:?sid=1",
        "http:page?sid=1",
        "http:/page?sid=1",
        "http:?sid=1",
        "http://?sid=1",
        "http:///?sid=1",
        "//",
        "//?sid=1",
        "http://other.example/?sid=1",
        "http://shop.example.other.example/?sid=1",
        "http://xshop.example/?sid=1",
        "http://shop.example@other.example/?sid=1",
        "http://other.example\\@shop.example/?sid=1",
        "http://other.example/@shop.example/?sid=1",
        "http://other.example?@shop.example/?sid=1",
        "http://other.example#@shop.example/?sid=1",
        "http://shop.example:port/?sid=1",
        "http://shop.example:65536/?sid=1",
        "http://shop.example:+80/?sid=1",
        "http://[::1]/?sid=1",
        "//other.example/?sid=1",
        "/\\other.example/?sid=1",
        "\\/other.example/?sid=1",
        "/\t/other.example/?sid=1",
        "//other.example\\shop.example/?sid=1",
    ] {
        assert_eq!(in_link(link, &shop()), "-", "{link:?}");
    }
}

#[test]
fn a_link_with_two_ids_is_a_conflict() {
    assert_eq!(in_link("?sid=1&sid=2", &shop()), "conflict");
    assert_eq!(in_link("//other.example/?sid=1&sid=2", &shop()), "-");
}

#[test]
fn ipv6_hosts_and_ports_are_told_apart() {
    let site = Site::new(b"[::1]:8080", &[]);
    for (link, id) in [
        ("http://[::1]/?sid=1", "1"),
        ("http://[::1]:9/?sid=1", "1"),
        ("http://[::2]/?sid=1", "-"),
        ("http://[::1/?sid=1", "-"),
        ("http://[::1]x/?sid=1", "-"),
        ("http://::1/?sid=1", "-"),
    ] {
        assert_eq!(in_link(link, &site), id, "{link}");
    }
}

#[test]
fn other_hosts_belong_to_the_site_by_their_patterns() {
    let patterns = ["a.example", ".b.example", "*.C.example", "*", ".", "*."];
    let patterns: Vec<Box<[u8]>> = patterns.iter().map(|host| host.as_bytes().into()).collect();
    let site = Site::new(b"shop.example", &patterns);
    for (host, is_own) in [
        ("shop.example", true),
        ("A.example.", true),
        ("x.a.example", false),
        ("b.example", true),
        ("x.B.example", true),
        ("x.y.b.example", true),
        ("xb.example", false),
        ("c.example", false),
        ("x.c.example", true),
        ("xc.example", false),
        ("example", false),
        ("*", true),
        ("", false),
        (".", false),
        ("other.example", false),
    ] {
        assert_eq!(site.has_host(host.as_bytes()), is_own, "{host}");
    }
}

#[test]
fn for_a_request_without_a_host_only_relative_links_count() {
    for host in ["", ":80", "bad:port"] {
        let site = Site::new(host.as_bytes(), &[]);
        assert_eq!(in_link("/?sid=1", &site), "1");
        assert_eq!(in_link("http:///?sid=1", &site), "-");
        assert_eq!(in_link("http://@/?sid=1", &site), "-");
    }
}

#[test]
fn relative_links_lead_where_the_base_leads() {
    for (base, relative) in [
        ("http://other.example/", "-"),
        (" //other.example ", "-"),
        // Depends on the scheme of the page, which is not known.
        ("http:/", "-"),
        ("https:x", "-"),
        ("about:blank", "-"),
        // These do not count.
        ("data:,", "1"),
        (" JavaScript:x", "1"),
        ("http://", "1"),
        ("//", "1"),
        ("https://:8080/", "1"),
        ("//other.example:port/", "1"),
        ("http://shop.example/dir/", "1"),
        ("//SHOP.example", "1"),
        ("/dir/", "1"),
        ("", "1"),
    ] {
        let mut site = shop();
        site.rebase(base.as_bytes());
        assert_eq!(in_link("?sid=1", &site), relative, "{base}");
        assert_eq!(in_link("/x?sid=1", &site), relative, "{base}");
        assert_eq!(in_link("//shop.example/?sid=1", &site), "1", "{base}");
        assert_eq!(in_link("//other.example/?sid=1", &site), "-", "{base}");
    }
}

#[test]
fn the_target_of_a_refresh_is_written_in_many_ways() {
    for (value, url) in [
        ("5; url=next.php", Some("next.php")),
        ("5;URL='next.php'x", Some("next.php")),
        ("5 , url = \"next.php", Some("next.php")),
        ("0;next.php", Some("next.php")),
        ("0 next.php", Some("next.php")),
        ("0.5;url=x", Some("x")),
        ("0;url", Some("url")),
        ("0;urlx=1", Some("urlx=1")),
        ("5", None),
        ("5;", None),
        ("5; url=", None),
        ("url=x", None),
        ("5x", None),
        ("", None),
    ] {
        let found = refresh_target(value.as_bytes());
        assert_eq!(found, url.map(str::as_bytes), "{value}");
    }
}
