use proptest::prelude::*;

use super::*;
use crate::{
    Layer, Policy,
    testing::{answers, policy},
};

fn read(name: &str, text: &str) -> Layers {
    Policy::parse(name, text).unwrap().into()
}

fn told(old: &str, new: &str) -> Vec<String> {
    let changes = diff(&read("old", old), &read("new", new));
    changes
        .iter()
        .map(|it| format!("{}: {it}", it.direction))
        .collect()
}

/// Two contents of one table, and what is told of the step from the one to the other, and of the way back.
fn both_ways(old: &str, new: &str, there: &[&str], back: &[&str]) {
    let table = |rest: &str| format!("[tool.github]\n{rest}\n");
    assert_eq!(told(&table(old), &table(new)), there, "{old} -> {new}");
    assert_eq!(told(&table(new), &table(old)), back, "{new} -> {old}");
    assert_eq!(told(&table(new), &table(new)), [""; 0]);
}

const API: &str = "to = \"https://api.github.com\"";

#[test]
fn requests_are_told_by_method_and_place() {
    let get = format!("net = [{{ {API}, methods = [\"GET\"], paths = [\"/repos/**\"] }}]");
    let post = format!(
        "net = [{{ {API}, methods = [\"GET\"], paths = [\"/repos/**\"] }}, {{ {API}, methods = [\"POST\", \"PUT\"], paths = [\"/repos/*/*/issues\"] }}]"
    );
    both_ways(
        &get,
        &post,
        &["widened: github may now POST, PUT to https://api.github.com/repos/*/*/issues"],
        &["narrowed: github may no longer POST, PUT to https://api.github.com/repos/*/*/issues"],
    );
    let narrow = get.replace("/repos/**", "/repos/acme/**");
    both_ways(
        &narrow,
        &get,
        &[
            "widened: github may now GET to https://api.github.com/repos/** (before only to https://api.github.com/repos/acme/**)",
        ],
        &[
            "narrowed: github may no longer GET to https://api.github.com/repos/** (still to https://api.github.com/repos/acme/**)",
        ],
    );
    let asks = post.replace("issues\"] }", "issues\"], approve = \"ask\" }");
    both_ways(
        &asks,
        &post,
        &[
            "widened: github no longer asks before it sends POST, PUT to https://api.github.com/repos/*/*/issues",
        ],
        &[
            "narrowed: github now asks before it sends POST, PUT to https://api.github.com/repos/*/*/issues",
        ],
    );
    both_ways(
        &get,
        &asks,
        &[
            "widened: github may now POST, PUT to https://api.github.com/repos/*/*/issues when a person consents",
        ],
        &["narrowed: github may no longer POST, PUT to https://api.github.com/repos/*/*/issues"],
    );
    // The same rules in other words are no change.
    let split = format!(
        "net = [{{ {API}, methods = [\"PUT\"], paths = [\"/repos/*/*/issues\"] }}, {{ {API}, methods = [\"POST\"], paths = [\"/repos/*/*/issues\"] }}, {{ {API}, methods = [\"GET\"], paths = [\"/repos/**\"] }}]"
    );
    both_ways(&post, &split, &[], &[]);
}

#[test]
fn denials_redirects_and_private_places_are_told() {
    let all = format!("net = [{{ {API} }}]");
    let denied = format!(
        "net = [{{ {API} }}, {{ to = \"https://*.github.com\", paths = [\"/admin/**\"], approve = \"deny\" }}]"
    );
    both_ways(
        &denied,
        &all,
        &["widened: github may now GET, HEAD to https://api.github.com/admin/**"],
        &["narrowed: github may no longer GET, HEAD to https://api.github.com/admin/**"],
    );
    let follows = format!("net = [{{ {API}, redirects = 3 }}]");
    both_ways(
        &all,
        &follows,
        &[
            "widened: redirects followed for github's GET, HEAD to https://api.github.com/**: 0 -> 3",
        ],
        &[
            "narrowed: redirects followed for github's GET, HEAD to https://api.github.com/**: 3 -> 0",
        ],
    );
    both_ways(
        "",
        "net = [{ to = \"http://127.0.0.1:8080\", methods = [\"GET\"] }]",
        &["widened: github may now GET to http://127.0.0.1:8080/**, private addresses included"],
        &["narrowed: github may no longer GET to http://127.0.0.1:8080/**"],
    );
}

const SECRET: &str = "secrets.TOKEN = { from = \"env:A\", to = \"https://api.github.com\", header = \"Authorization: Bearer {}\", methods = [\"GET\"], paths = [\"/repos/**\"] }";

#[test]
fn secrets_are_told_by_their_uses() {
    let net = format!(
        "net = [{{ {API}, methods = [\"GET\", \"POST\"] }}, {{ to = \"https://b.example\" }}]\n"
    );
    let with = |secret: &str| format!("{net}{secret}");
    let one = with(SECRET);
    both_ways(
        &net,
        &one,
        &[
            "widened: TOKEN may now be put into the header `Authorization` of github's requests: GET https://api.github.com/repos/**",
        ],
        &["narrowed: TOKEN may no longer be used for github"],
    );
    both_ways(
        &one,
        &with(&SECRET.replace("[\"GET\"]", "[\"GET\", \"POST\"]")),
        &["widened: TOKEN may now also be used for github's POST https://api.github.com/repos/**"],
        &[
            "narrowed: TOKEN may no longer be used for github's POST https://api.github.com/repos/**",
        ],
    );
    both_ways(
        &one,
        &with(&SECRET.replace("\"/repos/**\"", "\"/repos/**\", \"/user\"")),
        &["widened: TOKEN may now also be used for github's GET https://api.github.com/user"],
        &["narrowed: TOKEN may no longer be used for github's GET https://api.github.com/user"],
    );
    both_ways(
        &one,
        &with(&SECRET.replace("https://api.github.com", "https://b.example")),
        &[
            "widened: TOKEN may now also be used for github's GET https://b.example/repos/**",
            "narrowed: TOKEN may no longer be used for github's GET https://api.github.com/repos/**",
        ],
        &[
            "widened: TOKEN may now also be used for github's GET https://api.github.com/repos/**",
            "narrowed: TOKEN may no longer be used for github's GET https://b.example/repos/**",
        ],
    );
    both_ways(
        &one,
        &with(&SECRET.replace("header = \"Authorization: Bearer {}\"", "query = \"key\"")),
        &[
            "widened: github's TOKEN is put into the query parameter `key` now, not into the header `Authorization`",
        ],
        &[
            "changed: github's TOKEN is put into the header `Authorization` now, not into the query parameter `key`",
        ],
    );
    both_ways(
        &one,
        &with(
            &SECRET
                .replace("Bearer {}", "token {}")
                .replace("env:A", "vault:B"),
        ),
        &[
            "changed: github's TOKEN comes from vault:B now, not from env:A",
            "changed: github's TOKEN is put into the header `Authorization` in another format",
        ],
        &[
            "changed: github's TOKEN comes from env:A now, not from vault:B",
            "changed: github's TOKEN is put into the header `Authorization` in another format",
        ],
    );
}

#[test]
fn directories_variables_and_calls_are_told() {
    let files = |access: &str, rest: &str| {
        format!("files = [{{ host = \"./w\", guest = \"/work\", access = \"{access}\"{rest} }}]")
    };
    let (reads, writes) = (files("read", ""), files("write", ""));
    both_ways(
        "",
        &writes,
        &["widened: github may now read and write /work, which is ./w on this machine"],
        &["narrowed: github may no longer read and write /work"],
    );
    both_ways(
        &reads,
        &writes,
        &["widened: github may now write to /work"],
        &["narrowed: github may no longer write to /work"],
    );
    both_ways(
        &writes,
        &files("write", ", unlock = [\".git\"]"),
        &["widened: github may now change the guarded .git in /work"],
        &["narrowed: github may no longer change the guarded .git in /work"],
    );
    both_ways(
        &files("read", ", approve = \"ask\""),
        &reads,
        &["widened: github no longer asks because of /work"],
        &["narrowed: github now asks before each call because of /work"],
    );
    both_ways(
        &reads,
        &reads.replace("./w", "/home"),
        &["widened: github may now read /work, which is /home on this machine, and no longer ./w"],
        &["widened: github may now read /work, which is ./w on this machine, and no longer /home"],
    );
    both_ways(
        "scratch = \"/tmp\"",
        "env = { A = \"1\" }\ncalls = [\"time_now\"]",
        &[
            "widened: github sees the variable A now",
            "widened: github may now call time_now",
            "narrowed: calls of github have no directory of their own at /tmp any more",
        ],
        &[
            "widened: each call of github has a directory of its own at /tmp",
            "narrowed: github no longer sees the variable A",
            "narrowed: github may no longer call time_now",
        ],
    );
    both_ways(
        "env = { A = \"1\" }\nclock = \"frozen:2026-01-01T00:00:00Z\"",
        "env = { A = \"2\" }\nrandom = \"seeded:1\"",
        &[
            "changed: github sees another value of the variable A",
            "changed: github sees the real time now",
            "changed: github gets other random numbers, which repeat now",
        ],
        &[
            "changed: github sees another value of the variable A",
            "changed: github sees another time, which stands now",
            "changed: github gets real random numbers now",
        ],
    );
}

#[test]
fn consent_marks_limits_and_isolation_are_told() {
    both_ways(
        "approve = { merge = \"deny\", \"*\" = \"ask\" }",
        "approve = \"ask\"",
        &["widened: calls of github's tool merge may now happen when a person consents"],
        &["narrowed: calls of github's tool merge are now denied"],
    );
    both_ways(
        "approve = \"ask\"",
        "",
        &["widened: calls of github are no longer asked about"],
        &["narrowed: calls of github now need a person's consent"],
    );
    both_ways(
        "reads = { issue = \"untrusted\", \"*\" = \"private\" }\nsends = \"outside\"",
        "reads = \"private\"",
        &[
            "widened: calls of github are no longer marked: sends outside",
            "widened: calls of github's tool issue are no longer marked: reads untrusted",
            "widened: calls of github's tool issue are no longer marked: sends outside",
            "narrowed: calls of github's tool issue are now marked: reads private",
        ],
        &[
            "widened: calls of github's tool issue are no longer marked: reads private",
            "narrowed: calls of github are now marked: sends outside",
            "narrowed: calls of github's tool issue are now marked: reads untrusted",
            "narrowed: calls of github's tool issue are now marked: sends outside",
        ],
    );
    both_ways(
        "limits = { time = \"30s\", rate = \"60/min\" }",
        "limits = { time = \"60s\", rate = \"1/s\" }",
        &[
            "widened: limit time of github: 30s -> 1m",
            "narrowed: limit rate of github: 60/min -> 1/s",
        ],
        &[
            "widened: limit rate of github: 1/s -> 60/min",
            "narrowed: limit time of github: 1m -> 30s",
        ],
    );
    both_ways(
        "isolation = \"process\"",
        "isolation = \"thread\"",
        &["widened: github runs in the host's own process now, not in a process of its own"],
        &["narrowed: github runs in a process of its own now, not in the host's own process"],
    );
    both_ways(
        "from = \"./a.wasm\"",
        "from = \"./b.wasm\"",
        &[
            "widened: github comes from ./b.wasm now, not from ./a.wasm: other code gets what it may do",
        ],
        &[
            "widened: github comes from ./a.wasm now, not from ./b.wasm: other code gets what it may do",
        ],
    );
}

#[test]
fn what_holds_for_all_is_told_once() {
    let old = "[default.limits]\nmemory = \"64MiB\"\n[tool.a]\n[tool.b]\nlimits = { memory = \"1GiB\" }\n[secrets]\nunknown = \"redact\"\narguments = \"ask\"\nrules = \"r.toml\"\n[session]\nconcurrency = 4\n[egress]\nca = [\"x.pem\"]\nproxy = \"http://one:1\"\n";
    let new = "[default.limits]\nmemory = \"32MiB\"\n[tool.a]\n[tool.c]\nfrom = \"c.wasm\"\nenv = { A = \"1\" }\n[session]\ncombine = \"allow\"\n[host]\nqueue = 10\n[egress]\nca = [\"y.pem\"]\n[audit]\npath = \"x\"\n";
    assert_eq!(
        told(old, new),
        [
            "widened: a session that combines private data, untrusted text and a way out: that happens unasked now",
            "widened: what looks like a credential: redact -> warn",
            "widened: servers with a certificate by y.pem are trusted now",
            "widened: the rules in r.toml for what looks like a credential no longer count",
            "widened: limit concurrency of a session: 4 -> 32",
            "widened: c is listed now, from c.wasm",
            "widened: c sees the variable A now",
            "changed: requests no longer go through the proxy http://one:1/",
            "changed: the audit log goes to another place",
            "narrowed: a call with the value of a secret in its input is denied now",
            "narrowed: servers with a certificate by x.pem are no longer trusted",
            "narrowed: limit memory of every tool: 64MiB -> 32MiB",
            "narrowed: limit queue of the host: 256 -> 10",
            "narrowed: b is no longer listed",
        ]
    );
}

#[test]
fn where_answers_of_models_lie_is_told() {
    let table = |store: &str| format!("[cache]\nstore = \"{store}\"\nttl = \"1h\"\n");
    for (old, new, says) in [
        (
            "off",
            "redis://h",
            "widened: answers of models are kept at redis://h, and taken from there",
        ),
        (
            "redis://h",
            "off",
            "narrowed: answers of models are not kept",
        ),
        (
            "off",
            "memory",
            "changed: answers of models are kept: memory",
        ),
    ] {
        assert_eq!(told(&table(old), &table(new)), [says]);
    }
    assert!(told(&table("disk"), &table("disk")).is_empty());
}

#[test]
fn who_is_told_what_happens_is_told() {
    let table = |line: &str| format!("[telemetry]\n{line}\n");
    let collector = "otlp = \"http://a\"";
    for (old, new, says) in [
        (
            "",
            collector,
            "widened: the collector at http://a/ is told what runs and tools do",
        ),
        (
            collector,
            "",
            "narrowed: the collector at http://a/ is told nothing any more",
        ),
        (
            "content = false",
            "content = true",
            "widened: the collector is also told what people, models and tools say",
        ),
        (
            "listen = \"9464\"",
            "listen = \"0.0.0.0:9464\"",
            "widened: whoever reaches 0.0.0.0:9464 can read the metrics",
        ),
    ] {
        assert_eq!(told(&table(old), &table(new)), [says]);
    }
    let here = told(&table(""), &table("listen = \"9464\""));
    assert!(here.is_empty(), "{here:?}");
}

#[test]
fn lines_are_named_where_there_are_any() {
    let old = "[tool.github]\nnet = [{ to = \"https://a.b\", approve = \"ask\" }]\nlimits = { time = \"1s\" }\n";
    let new = "[default.limits]\ntime = \"2s\"\n[tool.github]\nnet = [{ to = \"https://a.b\" }]\n";
    let changes = diff(&read("old", old), &read("new", new));
    let lines: Vec<[String; 2]> = changes
        .iter()
        .map(|it| {
            [&it.old, &it.new]
                .map(|rule| rule.as_ref().map(ToString::to_string).unwrap_or_default())
        })
        .collect();
    assert_eq!(
        lines,
        [
            ["old:2 tool.github.net[0]", "new:4 tool.github.net[0]"],
            ["old:3 tool.github.limits.time", "new:2 default.limits.time"],
            ["", "new:2 default.limits.time"],
        ]
    );
}

#[test]
fn what_is_too_much_to_compare_counts_as_wider() {
    let paths = |prefix: &str| -> String {
        let paths: Vec<String> = (0..64)
            .map(|it| format!("\"/{prefix}{it}/*/x*/**\""))
            .collect();
        paths.join(", ")
    };
    let methods =
        "methods = [\"GET\", \"HEAD\", \"POST\", \"PUT\", \"PATCH\", \"DELETE\", \"OPTIONS\"]";
    let rules: Vec<String> = (0..64)
        .map(|it| {
            format!(
                "{{ to = \"https://h{it}.b\", {methods}, paths = [{}] }}",
                paths("a")
            )
        })
        .collect();
    let text = format!("[tool.a]\nnet = [{}]\n", rules.join(", "));
    assert_eq!(
        told("[tool.a]\n", &text),
        ["widened: a has too many rules for requests to be compared"]
    );
}

/// The tools of `pack`, with everything requested.
fn package(sides: [&Layers; 2]) -> Manifest {
    let mut manifest = everything("pack", sides);
    let tool = |name: &str| crate::ToolDefinition {
        name: name.to_owned(),
        ..manifest.tools[0].clone()
    };
    manifest.tools = vec![tool("read"), tool("edit"), tool("other")];
    manifest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_gets_looser_is_told(old in policy(), new in policy()) {
        let (old, new) = (Layers::from(old), Layers::from(new));
        let changes = diff(&old, &new);
        let widened = changes.iter().any(|it| it.direction == Direction::Widened);
        let manifest = package([&old, &new]);
        for tool in ["read", "edit", "other"] {
            let pairs = answers(&old, &manifest, tool).into_iter().zip(answers(&new, &manifest, tool));
            for ((access, was), (_, is)) in pairs {
                prop_assert!(is >= was || widened, "{tool} {access}: {was} became {is}, {changes:?}");
            }
        }
    }

    #[test]
    fn the_same_policy_is_no_change(old in policy()) {
        let printed = Policy::from_toml(&old.to_toml()).unwrap();
        let changes = diff(&old.into(), &printed.into());
        prop_assert!(changes.is_empty(), "{changes:?}");
    }

    #[test]
    fn a_lower_layer_widens_nothing(upper in crate::testing::ceiling(), lower in policy()) {
        let above = Layers::from(upper);
        let both = above.clone().with(Layer::Session, lower);
        let changes = diff(&above, &both);
        // Where a package comes from, and where it runs, may be said by any file.
        let widened = changes.iter().find(|it| it.direction == Direction::Widened);
        let listed = widened.filter(|it| !it.text.ends_with("is listed now"));
        prop_assert!(listed.is_none(), "{listed:?}");
    }
}
