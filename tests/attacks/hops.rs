//! Attacks by going on to another place: other ports and schemes, wildcards that match too much.

use toolcell::Policy;

use crate::{
    spy::{Reply, Spy},
    stage::{Run, Spoils, attack},
    wire::{Ask, GOOD, Net, everything_at, policy},
};

/// What is not granted at a host of which one port, one method and some paths are.
fn elsewhere(port: u16, wrong: u16) -> Vec<Ask> {
    let mut asks = Vec::new();
    for scheme in ["http", "https"] {
        for place in [
            GOOD.to_owned(),
            format!("{GOOD}:{wrong}"),
            format!("{GOOD}:22"),
            format!("{GOOD}:0"),
            format!("{GOOD}:80"),
            format!("{GOOD}:443"),
            format!("{GOOD}:65535"),
            format!("{GOOD}:65536"),
            format!("{GOOD}:-1"),
            format!("{GOOD}:"),
            format!("{GOOD}:{wrong}:{port}"),
            format!("{GOOD}:{}", u32::from(wrong) + 65536),
            format!("{GOOD}:{wrong}e0"),
            format!("{GOOD}:٢٢"),
        ] {
            asks.push(Ask::get(format!("{scheme}://{place}/v1/x")));
        }
    }
    asks.push(Ask::get(format!("https://{GOOD}:{port}/v1/x")));
    for method in [
        "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "get", "GET ", "GE\tT", "QUERY",
    ] {
        asks.push(Ask::new(method, format!("http://{GOOD}:{port}/v1/x")));
    }
    for path in [
        "/",
        "/v1",
        "/v2/x",
        "/V1/x",
        "/v1/../v2/x",
        "/v1/%2e%2e/v2/x",
        "/v1/..%2fv2/x",
        "/v1/.%2e/v2",
        "/v1%2f..%2fv2/x",
        "/v1/..;/v2/x",
        "/v1/..\\v2/x",
        "/v1/%5c../v2",
        "//v1/x",
        "/./v2/x",
        "/%76%32/x",
        "/v1/%252e%252e/v2/x",
    ] {
        asks.push(Ask::get(format!("http://{GOOD}:{port}{path}")));
    }
    asks
}

/// N10: another port, another scheme, another method, another path of the host that is granted.
async fn n10(run: Run) -> Spoils {
    let server = Spy::start(Reply::ok("hello")).await;
    let other = Spy::start(Reply::ok("another door")).await;
    let (port, wrong) = (server.port, other.port);
    let mut rules = vec![format!(
        "to = \"http://{GOOD}:{port}\", methods = [\"GET\"], paths = [\"/v1/**\"]"
    )];
    if !run.defended {
        rules = [port, wrong]
            .map(|port| everything_at(&format!("http://{GOOD}:{port}")))
            .to_vec();
    }
    let net = Net::new(run, &policy(&rules)).await;
    let asks = elsewhere(port, wrong);
    let told = net.send(&asks).await;
    assert_eq!(told.answers.len(), asks.len(), "{:?}", told.result);
    let mut spoils = Vec::new();
    for one in other.heard().await {
        spoils.push(format!("another port heard {:?}", one.head().first()));
    }
    for one in server.heard().await {
        let line = one.head().first().cloned().unwrap_or_default();
        // What arrives is what was granted, whatever it was written like.
        let granted = line.starts_with("GET /v1/") && !line.contains("..") && !line.contains("v2");
        if !granted {
            spoils.push(format!("the server heard {line:?}"));
        }
    }
    let honest = net
        .send(&[Ask::get(format!("http://{GOOD}:{port}/v1/x"))])
        .await;
    assert_eq!(honest.answers[0].body(), "hello");
    spoils
}

attack! { n10:
    attack_n10_thread = THREAD,
    attack_n10_process = PROCESS,
    attack_n10_is_seen_without_its_defence = UNDEFENDED,
}

/// What a rule for `*.example.com` reaches, and what it does not.
const WILD: &[(&str, bool)] = &[
    ("a.example.com", true),
    ("A.EXAMPLE.COM", true),
    ("www.example.com", true),
    ("1.example.com", true),
    ("a-b.example.com", true),
    ("xn--bcher-kva.example.com", true),
    ("_dmarc.example.com", true),
    ("example.com", false),
    (".example.com", false),
    ("..example.com", false),
    ("a.b.example.com", false),
    ("a.b.c.example.com", false),
    ("a..example.com", false),
    ("evil-example.com", false),
    ("evilexample.com", false),
    ("a.evil-example.com", false),
    ("a.evilexample.com", false),
    ("a.example.com.evil.test", false),
    ("a.example.com.", false),
    ("a.example.com..", false),
    ("a.example.comevil", false),
    ("a.example.com-evil.test", false),
    ("a.example.co", false),
    ("a.example.net", false),
    ("a.examplexcom", false),
    ("a.xample.com", false),
    ("aexample.com", false),
    ("com", false),
    // An odd label, and one label all the same.
    ("*.example.com", true),
    ("*", false),
    ("%2a.example.com", false),
    ("a%2eb.example.com", false),
    ("a%2fexample.com", false),
    ("a.example%2ecom", false),
    ("evil.test#.example.com", false),
    ("evil.test?.example.com", false),
    ("evil.test%00.example.com", false),
    ("evil.test\\.example.com", false),
    ("evil.test:80.example.com", false),
    ("evil.test@a.example.com", false),
    ("a.example.com@evil.test", false),
    ("a。b.example.com", false),
    ("a\u{ad}.b.example.com", false),
    ("127.0.0.1.example.com", false),
    ("127.0.0.1", false),
];

/// Rules that would match too much, and are none.
const TOO_WIDE: &[&str] = &[
    "http://*",
    "http://*:80",
    "http://*.com",
    "http://*.*.example.com",
    "http://a.*.example.com",
    "http://*a.example.com",
    "http://a*.example.com",
    "http://**.example.com",
    "http://*.example.*",
    "http://?.example.com",
    "http://*.127.0.0.1",
    "*://a.example.com",
    "http://a.example.com:*",
    "http://*.",
    "any",
];

/// N11: wildcards that match too much. What was granted is what is looked up.
async fn n11(run: Run) -> Spoils {
    let mut spoils = Vec::new();
    for wide in TOO_WIDE {
        if Policy::parse("policy.toml", &policy(&[everything_at(wide)])).is_ok() {
            spoils.push(format!("{wide} is a rule"));
        }
    }
    assert!(WILD.len() >= 40);
    let mut rules = vec![everything_at("http://*.example.com")];
    if !run.defended {
        let wider = ["*.b.example.com", "*.evilexample.com", "example.com"];
        rules.extend(wider.map(|it| everything_at(&format!("http://{it}"))));
    }
    let net = Net::new(run, &policy(&rules)).await;
    let asks: Vec<Ask> = WILD
        .iter()
        .map(|(host, _)| Ask::parts("http", host, "/"))
        .collect();
    // All of them lead to loopback addresses, so that none is dialled; but only what is granted is looked up.
    let told = net.send(&asks).await;
    assert_eq!(told.answers.len(), asks.len(), "{:?}", told.result);
    let granted: Vec<String> = WILD
        .iter()
        .filter(|(_, granted)| *granted)
        .map(|(host, _)| host.to_lowercase())
        .collect();
    let asked = net.names.asked();
    for name in asked.iter().filter(|name| !granted.contains(*name)) {
        spoils.push(format!("{name} was looked up"));
    }
    if let Some(name) = granted.iter().find(|name| !asked.contains(name)) {
        panic!("{name} is granted, and was not looked up");
    }
    spoils
}

attack! { n11:
    attack_n11_thread = THREAD,
    attack_n11_process = PROCESS,
    attack_n11_is_seen_without_its_defence = UNDEFENDED,
}
