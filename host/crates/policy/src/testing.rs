//! Random policies, packages and accesses for property tests. Few values of each kind, so that they meet often.

use proptest::{prelude::*, sample::subsequence};
use url::Url;

use crate::{Access, Effect, FileAccess, Manifest, Method, NetAccess, Policy};

const ENDPOINTS: [&str; 6] = [
    "https://a.example.com",
    "https://b.example.com",
    "https://*.example.com",
    "http://127.0.0.1:8080",
    "https://db.internal.corp",
    "https://*.internal.corp",
];
const PATHS: [&str; 5] = ["/**", "/v1/**", "/v1/*", "/v1/x", "/v2/*/y"];
const APPROVE: [&str; 3] = ["allow", "ask", "deny"];
const SECRET_ENDPOINTS: [&str; 2] = ["https://a.example.com", "https://b.example.com"];
const NAMES: [&str; 3] = ["ALPHA", "BETA", "GAMMA"];
const CALLS: [&str; 3] = ["time_now", "calc", "files_read"];
const GUESTS: [&str; 3] = ["/work", "/data", "/out"];

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    format!("[{}]", words.join(", "))
}

fn some_of(
    words: &'static [&'static str],
    least: usize,
) -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(words, least..=words.len())
}

fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    proptest::sample::select(words)
}

fn net_entry(any: bool) -> impl Strategy<Value = String> {
    let to = if any {
        prop_oneof![one_of(&ENDPOINTS), Just("any")].boxed()
    } else {
        one_of(&ENDPOINTS).boxed()
    };
    (
        to,
        some_of(&["GET", "POST", "DELETE"], 1),
        some_of(&PATHS, 1),
    )
        .prop_map(|(to, methods, paths)| {
            format!(
                "to = \"{to}\", methods = {}, paths = {}",
                quoted(&methods),
                quoted(&paths)
            )
        })
}

fn net_grant() -> impl Strategy<Value = String> {
    (net_entry(false), one_of(&APPROVE), 0_u8..3).prop_map(|(entry, approve, redirects)| {
        let redirects = if approve == "deny" { 0 } else { redirects };
        format!("{{ {entry}, approve = \"{approve}\", redirects = {redirects} }}")
    })
}

/// Secrets with and without a source. Each has a header of its own.
fn secrets() -> impl Strategy<Value = String> {
    let one = |name: &'static str| {
        let narrowed = (
            prop::option::of(some_of(&["GET", "POST", "DELETE"], 1)),
            prop::option::of(some_of(&PATHS, 1)),
        );
        let given = prop_oneof![3 => Just(true), 1 => Just(false)];
        let secret = (one_of(&SECRET_ENDPOINTS), narrowed, given);
        prop::option::of(secret.prop_map(move |(to, (methods, paths), given)| {
            let mut keys = format!("to = \"{to}\"");
            let lists = [("methods", methods), ("paths", paths)];
            for (key, words) in lists
                .iter()
                .filter_map(|(key, words)| Some((key, words.as_ref()?)))
            {
                keys.push_str(&format!(", {key} = {}", quoted(words)));
            }
            if given {
                keys.push_str(&format!(
                    ", from = \"env:{name}\", header = \"x-{name}: {{}}\""
                ));
            }
            format!("secrets.{name} = {{ {keys} }}\n")
        }))
    };
    (one("ALPHA"), one("BETA")).prop_map(|(a, b)| a.unwrap_or_default() + &b.unwrap_or_default())
}

fn labels() -> impl Strategy<Value = String> {
    let reads = prop_oneof![
        2 => Just(""),
        1 => Just("reads = \"private\"\n"),
        1 => Just("reads = { read = \"untrusted\", \"*\" = [\"private\"] }\n"),
        1 => Just("reads = { read = [], \"*\" = [\"private\", \"untrusted\"] }\n"),
    ];
    let sends = prop_oneof![
        2 => Just(""),
        1 => Just("sends = \"outside\"\n"),
        1 => Just("sends = { edit = \"outside\" }\n"),
    ];
    (reads, sends).prop_map(|(reads, sends)| format!("{reads}{sends}"))
}

/// The tables that hold for all tools.
fn words() -> impl Strategy<Value = String> {
    let word = |words| prop::option::of(one_of(words));
    (
        word(&APPROVE),
        word(&APPROVE),
        word(&["off", "warn", "redact"]),
        prop::option::weighted(0.2, Just("[egress]\nproxy = \"http://proxy:1\"\n")),
    )
        .prop_map(|(combine, arguments, unknown, egress)| {
            let key = |key: &str, word: Option<&str>| {
                word.map(|it| format!("{key} = \"{it}\"\n"))
                    .unwrap_or_default()
            };
            format!(
                "[session]\n{}[secrets]\n{}{}{}",
                key("combine", combine),
                key("arguments", arguments),
                key("unknown", unknown),
                egress.unwrap_or_default()
            )
        })
}

fn file_grants() -> impl Strategy<Value = String> {
    let access = prop::collection::vec(
        (
            one_of(&["read", "write"]),
            one_of(&APPROVE),
            one_of(&["./x", "./y"]),
        ),
        3,
    );
    (some_of(&GUESTS, 0), access).prop_map(|(guests, access)| {
        let grants: Vec<String> = guests
            .iter()
            .zip(access)
            .map(|(guest, (access, approve, host))| {
                format!("{{ host = \"{host}\", guest = \"{guest}\", access = \"{access}\", approve = \"{approve}\" }}")
            })
            .collect();
        format!("files = [{}]", grants.join(", "))
    })
}

fn limits() -> impl Strategy<Value = String> {
    (
        prop::option::of(1_u32..100),
        prop::option::of(1_u32..1000),
        prop::option::of(1_u32..100),
        prop::option::of(1_u32..100),
    )
        .prop_map(|(time, memory, requests, rate)| {
            let time = time.map(|it| format!("time = \"{it}s\""));
            let memory = memory.map(|it| format!("memory = \"{it}MiB\""));
            let requests = requests.map(|it| format!("requests = {it}"));
            let rate = rate.map(|it| format!("rate = \"{it}/min\""));
            let all: Vec<String> = [time, memory, requests, rate]
                .into_iter()
                .flatten()
                .collect();
            format!("limits = {{ {} }}", all.join(", "))
        })
}

fn approve() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        one_of(&APPROVE).prop_map(|effect| format!("approve = \"{effect}\"")),
        (one_of(&APPROVE), one_of(&APPROVE))
            .prop_map(|(all, own)| format!("approve = {{ \"*\" = \"{all}\", read = \"{own}\" }}")),
    ]
}

fn tool(name: &'static str) -> impl Strategy<Value = String> {
    (
        prop::collection::vec(net_grant(), 0..3),
        file_grants(),
        some_of(&NAMES, 0),
        some_of(&CALLS, 0),
        limits(),
        approve(),
        (secrets().boxed(), labels().boxed()),
    )
        .prop_map(move |(net, files, env, calls, limits, approve, (secrets, labels))| {
            let env: Vec<String> = env.iter().map(|name| format!("{name} = \"x\"")).collect();
            format!(
                "[tool.{name}]\nnet = [{}]\n{files}\nenv = {{ {} }}\ncalls = {}\n{limits}\n{approve}\n{secrets}{labels}",
                net.join(", "),
                env.join(", "),
                quoted(&calls)
            )
        })
}

/// A policy; one that lists tools lists `pack`, or only another package.
pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    let tools = prop_oneof![
        1 => Just(String::new()),
        6 => tool("pack").boxed(),
        1 => tool("other").boxed(),
    ];
    let default = (limits(), prop::option::of(one_of(&APPROVE))).prop_map(|(limits, approve)| {
        let approve = approve
            .map(|it| format!("approve = \"{it}\""))
            .unwrap_or_default();
        format!("[default]\n{limits}\n{approve}\n")
    });
    (default.boxed(), words().boxed(), tools)
        .prop_filter_map("rules that never decide", |(default, words, tools)| {
            Policy::from_toml(&format!("{default}{words}{tools}")).ok()
        })
}

/// A policy that lists `pack`.
pub(crate) fn ceiling() -> impl Strategy<Value = Policy> {
    policy().prop_filter("lists no tools", |policy| !policy.tools.is_empty())
}

/// The package `pack` with the tools `read` and `edit`.
pub(crate) fn manifest() -> impl Strategy<Value = Manifest> {
    let net = prop::collection::vec(net_entry(true), 0..3);
    let files = prop::option::of(one_of(&[
        "access = \"write\"",
        "access = \"read\"",
        "access = \"write\", guest = \"/work\"",
    ]));
    let secrets = prop::collection::vec(
        (one_of(&NAMES), one_of(&["any", SECRET_ENDPOINTS[0]])),
        0..3,
    );
    (net, files, some_of(&NAMES, 0), some_of(&CALLS, 0), secrets).prop_filter_map(
        "the same request twice",
        |(net, files, env, calls, secrets)| {
            let secrets: Vec<String> = secrets
                .iter()
                .map(|(name, to)| format!("{{ name = \"{name}\", to = \"{to}\" }}"))
                .collect();
            let net: Vec<String> = net.iter().map(|entry| format!("{{ {entry} }}")).collect();
            let files = files.map(|entry| format!("{{ {entry} }}")).unwrap_or_default();
            let tool = |name: &str| format!("[[tool]]\nname = \"{name}\"\ninput = {{ type = \"object\" }}\n");
            let text = format!(
                "name = \"pack\"\nversion = \"1.0.0\"\n{}{}[request]\nnet = [{}]\nfiles = [{files}]\nenv = {}\ncalls = {}\nsecrets = [{}]\n",
                tool("read"),
                tool("edit"),
                net.join(", "),
                quoted(&env),
                quoted(&calls),
                secrets.join(", "),
            );
            Manifest::from_toml(&text).ok()
        },
    )
}

/// Every kind of access, to places that rules name and to places that none does.
pub(crate) fn probes() -> Vec<Access> {
    let mut all = Vec::new();
    for host in [
        "https://a.example.com",
        "https://b.example.com",
        "https://c.example.com",
        "http://127.0.0.1:8080",
        "https://db.internal.corp",
        "https://a.example.com:8443",
        "http://169.254.169.254",
    ] {
        for path in [
            "/",
            "/v1/x",
            "/v1/y",
            "/v1/x/z",
            "/v2/a/y",
            "/v1//x",
            "/v1/%2e%2e%2fx",
        ] {
            for method in [Method::Get, Method::Post, Method::Delete, Method::Put] {
                let url = Url::parse(&format!("{host}{path}")).unwrap();
                all.push(Access::Net { method, url });
            }
        }
    }
    for path in [
        "/work",
        "/work/a/b",
        "/data/x",
        "/out",
        "/workshop",
        "/",
        "/etc/passwd",
    ] {
        for access in [FileAccess::Read, FileAccess::Write] {
            all.push(Access::File {
                path: path.to_owned(),
                access,
            });
        }
    }
    all.extend(NAMES.iter().chain(&["DELTA"]).map(|name| Access::Env {
        name: (*name).to_owned(),
    }));
    for name in NAMES {
        let name = name.to_owned();
        let requests = all.iter().filter_map(|access| match access {
            Access::Net { method, url } if url.host_str() != Some("169.254.169.254") => {
                let (method, url) = (*method, url.clone());
                Some(NetAccess { method, url })
            }
            _ => None,
        });
        let requests: Vec<Option<NetAccess>> = requests.map(Some).chain([None]).collect();
        all.extend(requests.into_iter().map(|request| Access::Secret {
            name: name.clone(),
            request,
        }));
    }
    all.extend(
        CALLS
            .iter()
            .chain(&["other_tool"])
            .map(|tool| Access::Call {
                tool: (*tool).to_owned(),
            }),
    );
    all
}

/// What every probe gets.
pub(crate) fn answers(
    layers: &crate::Layers,
    manifest: &Manifest,
    tool: &str,
) -> Vec<(Access, Effect)> {
    let answer = |access: Access| {
        let effect = crate::verdict(layers, manifest, tool, &access).effect;
        (access, effect)
    };
    probes().into_iter().map(answer).collect()
}
