//! Attacks on where a credential goes, and on who may use it.

use std::collections::BTreeSet;

use serde_json::json;
use toolcell::{Policy, testing::Weakness};

use crate::{
    common::{guest, tests},
    searcher,
    spy::{Authority, Heard, Reply, Spy},
    stage::{Run, Spoils, attack},
    vault::{Keys, Vault, bearer, bound, random_value, usual, weak},
    wire::{Ask, GOOD, everything_at},
};

/// S1: everything that a tool can learn of where it runs: arguments, variables, of the host or of others.
async fn s1(run: Run) -> Spoils {
    let path = std::env::var("PATH").unwrap();
    let greeting = if run.defended { "hello" } else { path.as_str() };
    let policy = format!("[tool.env]\nenv = {{ GREETING = {greeting:?} }}\n");
    let value = random_value();
    let vault = Vault::with("KEY", &value);
    let keys = Keys::new(weak(run, &[]), &policy, &vault, Authority::new().roots()).await;
    keys.host.load_file(guest("env")).await.unwrap();
    let text = keys.call("env", json!({})).await.text();
    let own = std::env::vars().filter(|(name, it)| it.len() > 8 && name != "GREETING");
    let mut spoils: Spoils = own
        .filter(|(name, it)| text.contains(it.as_str()) || text.contains(&format!("{name}=")))
        .map(|(name, _)| format!("the host's {name}"))
        .collect();
    if run.defended && text != r#"arguments [] variables ["GREETING=hello"]"# {
        spoils.push(text);
    }
    spoils
}

attack! { s1:
    attack_s1_thread = THREAD,
    attack_s1_process = PROCESS,
    attack_s1_is_seen_without_its_defence = UNDEFENDED,
}

/// A server for many names, and who vouches for it.
async fn anywhere(reply: Reply) -> (Spy, Authority) {
    let authority = Authority::new();
    let certificate = authority.vouch(GOOD, |it| {
        for name in ELSEWHERE.iter().chain(&["127.0.0.10", "127.0.0.1"]) {
            let name = name.parse().map_or_else(
                |_| rcgen::SanType::DnsName((*name).try_into().unwrap()),
                rcgen::SanType::IpAddress,
            );
            it.subject_alt_names.push(name);
        }
    });
    let spy = Spy::scripted(Some(certificate), move |_| reply.clone()).await;
    (spy, authority)
}

/// Hosts next to the one that a credential is for.
const ELSEWHERE: &[&str] = &[
    "www.allowed.test",
    "user-content.allowed.test",
    "allowed.test.evil.test",
    "evil-allowed.test",
    "evilallowed.test",
    "allowed-test.test",
    "xallowed.test",
    "llowed.test",
    "evil.test",
];

/// Where a server heard a credential that it should not have, in whatever part of a request.
fn misplaced(heard: &[Heard], value: &str, what: &str) -> Spoils {
    let told = heard
        .iter()
        .filter(|it| searcher::find(&it.bytes, value).is_some());
    told.map(|it| {
        format!(
            "{what}: {:?} of {:?} heard it",
            it.head().first(),
            it.server_name
        )
    })
    .collect()
}

/// S2: a credential with other methods, other paths and other hosts than its own; and no way to ask for it.
async fn s2(run: Run) -> Spoils {
    let mut spoils = Vec::new();
    let wit = std::fs::read_to_string(tests().join("../wit/secrets.wit")).unwrap();
    let functions: Vec<&str> = wit.lines().filter(|it| it.contains(": func(")).collect();
    if functions != ["  exists: func(name: string) -> bool;"] {
        spoils.push(format!("the contract offers {functions:?}"));
    }
    let (spy, authority) = anywhere(Reply::ok("hello")).await;
    let value = random_value();
    let to = format!("https://{GOOD}:{}", spy.port);
    let secret = format!(
        "KEY = {{ from = \"vault:KEY\", to = {to:?}, header = \"X-Key: {{}}\", methods = [\"GET\"], paths = [\"/v1/**\"] }}"
    );
    let mut rules = vec![everything_at(&to)];
    let elsewhere = ELSEWHERE
        .iter()
        .map(|host| format!("https://{host}:{}", spy.port));
    rules.extend(elsewhere.clone().map(|it| everything_at(&it)));
    let keys = Keys::new(
        weak(run, &[Weakness::EveryDestination]),
        &bound(&rules, &[&secret]),
        &Vault::with("KEY", &value),
        authority.roots(),
    )
    .await;
    let honest = keys.send(&[Ask::get(format!("{to}/v1/x"))]).await;
    assert_eq!(honest[0].status(), Some(200), "{honest:?}");
    assert_eq!(spy.heard().await[0].values("x-key"), [value.as_str()]);
    let mut asks = Vec::new();
    for method in [
        "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "get", "TRACE",
    ] {
        asks.push(Ask::new(method, format!("{to}/v1/x")));
    }
    for path in [
        "/",
        "/v1",
        "/v2/x",
        "/V1/x",
        "/v1x",
        "/v1/../v2",
        "/v1/%2e%2e/v2",
        "/v1/..%2fv2",
        "/v1/..;/v2",
        "/v1%2fx",
        "//v1/x",
        "/x?/v1/x",
        "/v2/x#/v1/x",
        "/v1/..\\v2",
        "/%76%31/../v2",
    ] {
        asks.push(Ask::get(format!("{to}{path}")));
    }
    asks.extend(elsewhere.map(|it| Ask::get(format!("{it}/v1/x"))));
    keys.send(&asks).await;
    let heard = spy.heard().await;
    assert!(heard.len() > 10, "most of them arrive");
    spoils.extend(misplaced(&heard[1..], &value, "another request"));
    spoils
}

attack! { s2:
    attack_s2_thread = THREAD,
    attack_s2_process = PROCESS,
    attack_s2_is_seen_without_its_defence = UNDEFENDED,
}

/// The places of a credential, each with an honest request and requests that fill it.
fn filled(to: &str) -> [(&'static str, Ask, Vec<Ask>); 3] {
    let get = |path: &str| Ask::get(format!("{to}{path}"));
    let post = |body: &str| {
        Ask::new("POST", format!("{to}/"))
            .header("content-type", "application/json")
            .body(body)
    };
    let header: Vec<Ask> = [
        "Authorization",
        "authorization",
        "AUTHORIZATION",
        "aUTHORIZATION",
    ]
    .iter()
    .flat_map(|name| {
        let once = get("/").header(name, "Bearer mine");
        let twice = once.clone().header("authorization", "Bearer mine too");
        let trailer = Ask::new("POST", format!("{to}/"))
            .body("b")
            .trailer(name, "Bearer mine");
        [once, twice, trailer, get("/").header(name, "")]
    })
    .collect();
    let queries = [
        "api_key=mine",
        "API_KEY=mine",
        "a=1&api_key=mine",
        "api%5Fkey=mine",
        "%61pi_key=mine",
        "api_key[]=mine",
        "a=1;api_key=mine",
        "api_key",
        "api.key=mine",
        "api_key=mine&api_key=mine",
    ];
    let query: Vec<Ask> = queries.iter().map(|it| get(&format!("/?{it}"))).collect();
    let bodies = [
        r#"{"auth":{"token":"mine"}}"#,
        r#"{"auth":{"token":"mine","token":"mine"}}"#,
        r#"{"auth":{"token":"mine"},"auth":{"token":"mine"}}"#,
        r#"{"auth":{"\u0074oken":"mine"}}"#,
        r#"{"auth":{"token":["mine"]}}"#,
        r#"{"auth":"mine"}"#,
        r#"["mine"]"#,
        r#"{"auth":{}} {"auth":{"token":"mine"}}"#,
    ];
    let json: Vec<Ask> = bodies.iter().map(|it| post(it)).collect();
    [
        ("header = \"Authorization: Bearer {}\"", get("/"), header),
        ("query = \"api_key\"", get("/?a=1"), query),
        ("json = \"/auth/token\"", post(r#"{"auth":{}}"#), json),
    ]
}

/// S7: a tool fills the place of a credential itself, in every spelling that a server may take for it.
async fn s7(run: Run) -> Spoils {
    let (spy, authority) = anywhere(Reply::ok("hello")).await;
    let value = random_value();
    let to = format!("https://{GOOD}:{}", spy.port);
    let mut spoils = Vec::new();
    for (place, honest, asks) in filled(&to) {
        let before = spy.heard().await.len();
        let secret = format!("KEY = {{ from = \"vault:KEY\", to = {to:?}, {place} }}");
        let keys = Keys::new(
            weak(run, &[Weakness::ValuesJoin]),
            &bound(&[everything_at(&to)], &[&secret]),
            &Vault::with("KEY", &value),
            authority.roots(),
        )
        .await;
        keys.send(&[honest]).await;
        keys.send(&asks).await;
        let heard = spy.heard().await;
        let heard = &heard[before..];
        let first = heard
            .first()
            .map(|it| searcher::find(&it.bytes, &value).is_some());
        assert_eq!(first, Some(true), "{place}: the credential arrives");
        for one in &heard[1..] {
            let text = one.text();
            // A request without it is one that was given up when its trailers came.
            if text.contains("mine") && one.bytes.ends_with(b"\n")
                || one.values("authorization").len() > 1
            {
                spoils.push(format!("{place}: the server heard {:?}", one.head()));
            } else if text.contains("mine") && place.starts_with("json") {
                spoils.push(format!("{place}: the server heard {text:?}"));
            }
        }
    }
    spoils
}

attack! { s7:
    attack_s7_thread = THREAD,
    attack_s7_process = PROCESS,
    attack_s7_is_seen_without_its_defence = UNDEFENDED,
}

/// Bindings that reach too far, and are none.
const TOO_FAR: &[&str] = &[
    "http://allowed.test",
    "https://*.allowed.test",
    "https://*.test",
    "https://*",
    "any",
    "https://allowed.test:*",
    "https://user@allowed.test",
    "https://allowed.test/path",
    "https://allowed.test?x",
    "https://allowed.test.",
    "ws://allowed.test",
    "allowed.test",
    "https://",
    "",
];

/// S8: hosts that look like the one a credential is for, another port, no encryption, its address; and bindings that
/// would reach them.
async fn s8(run: Run) -> Spoils {
    let mut spoils = Vec::new();
    for to in TOO_FAR {
        let secret =
            format!("KEY = {{ from = \"vault:KEY\", to = {to:?}, header = \"X-Key: {{}}\" }}");
        let rules = [
            everything_at("https://allowed.test"),
            everything_at("http://allowed.test"),
        ];
        if Policy::parse("policy.toml", &bound(&rules, &[&secret])).is_ok() {
            spoils.push(format!("{to:?} is a binding"));
        }
    }
    let (spy, authority) = anywhere(Reply::ok("hello")).await;
    let plain = Spy::start(Reply::ok("hello")).await;
    let other = Spy::scripted(Some(authority.vouch_for(GOOD)), |_| Reply::ok("hello")).await;
    let value = random_value();
    let mut places: Vec<String> = ELSEWHERE
        .iter()
        .chain(&["127.0.0.10", "127.0.0.1"])
        .map(|host| format!("https://{host}:{}", spy.port))
        .collect();
    places.push(format!("http://{GOOD}:{}", plain.port));
    places.push(format!("https://{GOOD}:{}", other.port));
    let mut rules: Vec<String> = places.iter().map(|it| everything_at(it)).collect();
    rules.push(everything_at(&format!("https://{GOOD}:{}", spy.port)));
    let keys = Keys::new(
        weak(run, &[Weakness::EveryDestination]),
        &bound(&rules, &[&bearer(spy.port)]),
        &Vault::with("KEY", &value),
        authority.roots(),
    )
    .await;
    let asks: Vec<Ask> = places.iter().map(|it| Ask::get(format!("{it}/"))).collect();
    let saw = keys.send(&asks).await;
    for (place, saw) in places.iter().zip(&saw) {
        assert_eq!(saw.status(), Some(200), "{place} is granted: {saw:?}");
    }
    for spy in [&spy, &plain, &other] {
        spoils.extend(misplaced(&spy.heard().await, &value, "another place"));
    }
    keys.send(&[Ask::get(format!(
        "https://{}:{}/",
        GOOD.to_uppercase(),
        spy.port
    ))])
    .await;
    let last = spy.heard().await.pop().unwrap();
    assert_eq!(
        last.values("authorization"),
        [format!("Bearer {value}")],
        "its own host"
    );
    spoils
}

attack! { s8:
    attack_s8_thread = THREAD,
    attack_s8_process = PROCESS,
    attack_s8_is_seen_without_its_defence = UNDEFENDED,
}

/// S13: what a tool learns by asking whether credentials exist.
async fn s13(run: Run) -> Spoils {
    let vault = Vault::default();
    let to = format!("https://{GOOD}");
    let mut secrets = vec![bearer(443)];
    if !run.defended {
        secrets.push(format!(
            "OTHER = {{ from = \"vault:OTHER\", to = {to:?}, header = \"X-Other: {{}}\" }}"
        ));
    }
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    let policy = bound(&[everything_at(&to)], &secrets);
    let names = [
        "KEY",
        "OTHER",
        "key",
        "KEY ",
        "KEY\0",
        "",
        "*",
        "../KEY",
        "vault:KEY",
        "PATH",
        "HOME",
    ];
    let mut answers = BTreeSet::new();
    // Whatever the value is, and whether there are others, the answer is the same.
    for value in [random_value(), random_value().repeat(20)] {
        vault.put("", "KEY", &value);
        vault.put("", "OTHER", &random_value());
        let keys = Keys::new(weak(run, &[]), &policy, &vault, Authority::new().roots()).await;
        let result = keys.call("keys_exist", json!({ "names": names })).await;
        assert!(!result.is_error(), "{result:?}");
        answers.insert(result.text());
    }
    let mut only_its_own = vec![false; names.len()];
    only_its_own[0] = true;
    let expected = serde_json::to_string(&only_its_own).unwrap();
    answers.into_iter().filter(|it| *it != expected).collect()
}

attack! { s13:
    attack_s13_thread = THREAD,
    attack_s13_process = PROCESS,
    attack_s13_is_seen_without_its_defence = UNDEFENDED,
}

/// S18: two tenants with a credential of the same name, in turns and at the same time, and one who has none.
async fn s18(run: Run) -> Spoils {
    let authority = Authority::new();
    let spy = Spy::scripted(Some(authority.vouch_for(GOOD)), |heard| {
        let body = heard.text();
        Reply::head("200 OK", &[], body.as_bytes())
    })
    .await;
    let (mine, yours) = (random_value(), random_value());
    let vault = Vault::default();
    vault.put("mine", "KEY", &mine);
    // Without the defence: a store that does not ask whose call it is.
    let second = if run.defended { &yours } else { &mine };
    vault.put("yours", "KEY", second);
    let keys = Keys::new(weak(run, &[]), &usual(spy.port), &vault, authority.roots()).await;
    let asks = [Ask::get(format!("https://{GOOD}:{}/", spy.port)).header("x-whose", "WHOSE")];
    let of = |tenant: &str| {
        asks.clone().map(|ask| {
            let text = ask.0.to_string().replace("WHOSE", tenant);
            Ask(serde_json::from_str(&text).unwrap())
        })
    };
    for _ in 0..5 {
        let (of_mine, of_yours, of_nobody) = (of("mine"), of("yours"), of("nobody"));
        let (first, second, third) = tokio::join!(
            keys.send_for("mine", &of_mine),
            keys.send_for("yours", &of_yours),
            keys.send_for("nobody", &of_nobody),
        );
        for (result, saw) in [first, second, third] {
            assert!(!result.is_error(), "{result:?}");
            assert!(
                saw.iter()
                    .all(|it| it.find(&mine).is_none() && it.find(&yours).is_none())
            );
        }
    }
    let mut spoils = Vec::new();
    for one in spy.heard().await {
        let whose = one.values("x-whose").pop().unwrap_or_default();
        let expected = match whose.as_str() {
            "mine" => vec![format!("Bearer {mine}")],
            "yours" => vec![format!("Bearer {yours}")],
            _ => Vec::new(),
        };
        if one.values("authorization") != expected {
            spoils.push(format!("a call for {whose} used another credential"));
        }
    }
    for (tenant, expected) in [("mine", "[true]"), ("nobody", "[false]")] {
        let result = keys
            .call_for(tenant, "keys_exist", json!({ "names": ["KEY"] }))
            .await;
        if result.text() != expected {
            spoils.push(format!("{tenant} has {}", result.text()));
        }
    }
    spoils
}

attack! { s18:
    attack_s18_thread = THREAD,
    attack_s18_process = PROCESS,
    attack_s18_is_seen_without_its_defence = UNDEFENDED,
}
