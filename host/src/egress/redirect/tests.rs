use proptest::prelude::*;

use super::*;

fn target(text: &str) -> Target {
    Target::read(&text.parse().unwrap()).unwrap()
}

fn location(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(LOCATION, text.parse().unwrap());
    headers
}

fn step(method: Method, from: &str, status: u16, to: &str, body: bool) -> Result<Hop, Stay> {
    let mut trail = Trail::new(&method, &target(from), 5);
    let status = StatusCode::from_u16(status).unwrap();
    trail.next(status, &location(to), body)
}

#[test]
fn methods_change_as_everybody_expects() {
    for (status, method, next, with_body) in [
        (301, Method::POST, Method::GET, false),
        (302, Method::POST, Method::GET, false),
        (303, Method::POST, Method::GET, false),
        (303, Method::PUT, Method::GET, false),
        (303, Method::HEAD, Method::HEAD, true),
        (301, Method::GET, Method::GET, true),
        (301, Method::PUT, Method::PUT, true),
        (302, Method::DELETE, Method::DELETE, true),
        (307, Method::POST, Method::POST, true),
        (308, Method::PATCH, Method::PATCH, true),
    ] {
        let hop = step(method, "https://a.test/x", status, "/y", true).unwrap();
        assert_eq!((hop.method, hop.with_body), (next, with_body), "{status}");
        assert_eq!(hop.target.url().as_str(), "https://a.test/y");
    }
    for status in [200, 201, 300, 304, 305, 306, 309, 400, 500] {
        let stay = step(Method::GET, "https://a.test/x", status, "/y", true).unwrap_err();
        assert_eq!(stay, Stay::NoRedirect);
    }
}

#[test]
fn a_body_that_is_gone_is_not_sent_again() {
    for (status, stays) in [(301, false), (303, false), (307, true), (308, true)] {
        let next = step(Method::POST, "https://a.test/x", status, "/y", false);
        assert_eq!(next.err() == Some(Stay::Body), stays, "{status}");
    }
}

#[test]
fn an_address_is_read_once_and_in_one_way() {
    for (to, reads) in [
        ("/y", "https://a.test/y"),
        ("y?z=1", "https://a.test/d/y?z=1"),
        ("?z", "https://a.test/d/x?z"),
        ("//b.test/y", "https://b.test/y"),
        ("HTTPS://B.test:443/../y", "https://b.test/y"),
        ("https://b.test/y#part", "https://b.test/y"),
        ("https://0x7f.1/", "https://127.0.0.1/"),
        ("https://a.test:8443/", "https://a.test:8443/"),
    ] {
        let hop = step(Method::GET, "https://a.test/d/x", 302, to, true).unwrap();
        assert_eq!(hop.target.url().as_str(), reads, "{to}");
    }
    let long = format!("/{}", "y".repeat(URL_BYTES_MAX));
    for to in [
        "",
        "https://me@b.test/",
        "https://me:secret@b.test/",
        "https://b.test.@a.test/",
        "https://b.test./",
        "https://b.test\\@a.test/",
        "\\\\b.test\\",
        "ftp://b.test/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://",
        "https://b.test:99999/",
        "https://b .test/",
        "https://b\t.test/",
        "https://[::1/",
        long.as_str(),
    ] {
        let stay = step(Method::GET, "https://a.test/d/x", 302, to, true).unwrap_err();
        assert_eq!(stay, Stay::Unreadable, "{to}");
    }
    let mut trail = Trail::new(&Method::GET, &target("https://a.test/"), 5);
    let mut twice = location("/y");
    twice.append(LOCATION, "/y".parse().unwrap());
    let mut raw = HeaderMap::new();
    raw.insert(LOCATION, http::HeaderValue::from_bytes(b"/\xff").unwrap());
    for headers in [twice, raw, HeaderMap::new()] {
        let stay = trail.next(StatusCode::FOUND, &headers, true).unwrap_err();
        assert_eq!(stay, Stay::Unreadable);
    }
}

#[test]
fn what_was_encrypted_stays_encrypted() {
    let down = step(Method::GET, "https://a.test/", 302, "http://a.test/y", true);
    assert_eq!(down.unwrap_err(), Stay::Downgrade);
    step(Method::GET, "http://a.test/", 302, "https://a.test/y", true).unwrap();
}

#[test]
fn a_way_has_an_end_and_no_circles() {
    let mut trail = Trail::new(&Method::GET, &target("https://a.test/0"), 3);
    for to in ["/1", "/2", "/3"] {
        trail.next(StatusCode::FOUND, &location(to), true).unwrap();
    }
    let stay = trail.next(StatusCode::FOUND, &location("/4"), true);
    assert_eq!(stay.unwrap_err(), Stay::Enough);

    let mut trail = Trail::new(&Method::POST, &target("https://a.test/0"), 9);
    let found = |trail: &mut Trail, to| trail.next(StatusCode::FOUND, &location(to), true);
    // The same address with another method is another request.
    found(&mut trail, "/0").unwrap();
    found(&mut trail, "/1").unwrap();
    assert_eq!(found(&mut trail, "/0").unwrap_err(), Stay::Loop);
    assert_eq!(found(&mut trail, "/1").unwrap_err(), Stay::Loop);

    let mut none = Trail::new(&Method::GET, &target("https://a.test/0"), 0);
    assert_eq!(found(&mut none, "/1").unwrap_err(), Stay::Enough);
}

fn sent() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in [
        "accept",
        "user-agent",
        "content-type",
        "content-length",
        "authorization",
        "cookie",
        "proxy-authorization",
        "x-api-key",
        "x-auth-token",
        "private-token",
        "referer",
        "origin",
        "range",
        "x-own",
    ] {
        headers.append(HeaderName::from_static(name), "x".parse().unwrap());
    }
    headers
}

fn names(headers: &HeaderMap) -> Vec<&str> {
    headers.keys().map(HeaderName::as_str).collect()
}

#[test]
fn another_server_hears_nothing_that_could_be_a_credential() {
    let body = ["content-type", "content-length"];
    for to in [
        "https://b.test/",
        "https://a.test:8443/",
        "https://x.a.test/",
        "//b.test/",
    ] {
        let hop = step(Method::POST, "https://a.test/", 307, to, true).unwrap();
        let own = hop.headers(&sent());
        assert_eq!(
            names(&own),
            [["accept", "user-agent"], body].concat(),
            "{to}"
        );
        let hop = step(Method::POST, "https://a.test/", 302, to, true).unwrap();
        assert_eq!(
            names(&hop.headers(&sent())),
            ["accept", "user-agent"],
            "{to}"
        );
    }
    let up = step(Method::GET, "http://a.test/", 302, "https://a.test/", true).unwrap();
    assert!(!up.headers(&sent()).contains_key("authorization"));
}

#[test]
fn the_same_server_hears_the_same() {
    let hop = step(
        Method::POST,
        "https://a.test/",
        307,
        "https://A.test:443/y",
        true,
    )
    .unwrap();
    assert_eq!(hop.headers(&sent()), sent());
    let hop = step(Method::POST, "https://a.test/", 303, "/y", true).unwrap();
    let left = hop.headers(&sent());
    assert!(left.contains_key("cookie") && !left.contains_key("content-type"));
}

proptest! {
    #[test]
    fn whatever_a_server_says_leads_to_a_clear_address_or_nowhere(to in "\\PC{0,60}", https in any::<bool>()) {
        let from = if https { "https://a.test/d/x" } else { "http://a.test/d/x" };
        let Ok(value) = http::HeaderValue::from_bytes(to.as_bytes()) else { return Ok(()) };
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, value);
        let mut trail = Trail::new(&Method::GET, &target(from), 5);
        if let Ok(hop) = trail.next(StatusCode::FOUND, &headers, true) {
            let url = hop.target.url();
            prop_assert!(url.fragment().is_none() && url.username().is_empty());
            prop_assert!(hop.target.is_https() || !https);
        }
    }
}
