use proptest::prelude::*;

use super::*;
use crate::{
    Clock, Decision, FileAccess, Lock, LockedPackage, Random, decide,
    testing::{answers, ceiling, manifest, policy, probes},
};

fn read(text: &str) -> Policy {
    Policy::from_toml(text).unwrap()
}

fn named(name: &str, text: &str) -> Policy {
    Policy::parse(name, text).unwrap()
}

fn package(request: &str) -> Manifest {
    let text = format!(
        "name = \"pack\"\nversion = \"1.0.0\"\n[[tool]]\nname = \"read\"\ninput = {{ type = \"object\" }}\n[request]\n{request}"
    );
    Manifest::from_toml(&text).unwrap()
}

fn messages(problems: &[Problem]) -> Vec<String> {
    problems
        .iter()
        .map(|it| format!("{}:{} {it}", it.file(), it.line()))
        .collect()
}

#[test]
fn layers_are_kept_highest_first_however_they_are_added() {
    let layers = Layers::new()
        .with(Layer::Session, named("session", ""))
        .with(Layer::System, named("system", ""))
        .with(Layer::Project, named("project-1", ""))
        .with(Layer::Project, named("project-2", ""))
        .with(Layer::User, named("user", ""));
    let names: Vec<&str> = layers.iter().map(|(_, policy)| policy.name()).collect();
    assert_eq!(
        names,
        ["system", "user", "project-1", "project-2", "session"]
    );
}

#[test]
fn a_layer_that_lists_no_tools_narrows_limits_and_approve_only() {
    let project = "[tool.pack]\nenv = { A = \"1\" }\nlimits = { memory = \"1GiB\", time = \"5s\" }";
    let layers = Layers::from(read(project)).with(
        Layer::System,
        read("[default]\napprove = \"ask\"\nlimits = { memory = \"128MiB\" }"),
    );
    let Decision::Ask(grants, rule) = decide(&layers, &package("env = [\"A\"]"), "read") else {
        panic!("the system layer asks");
    };
    assert_eq!(rule.to_string(), "toolcell.toml:2 default.approve");
    assert_eq!(rule.layer, Some(Layer::System));
    assert_eq!(grants.env().len(), 1);
    assert_eq!(grants.limits().memory, 128 << 20);
    assert_eq!(grants.limits().time.as_secs(), 5);
}

#[test]
fn a_tool_may_raise_its_files_own_defaults_but_not_a_higher_layers() {
    let project =
        read("[default.limits]\nmemory = \"64MiB\"\n[tool.pack]\nlimits = { memory = \"1GiB\" }");
    let alone = Layers::from(project.clone());
    assert_eq!(alone.limits("pack").memory, 1 << 30);
    assert_eq!(alone.limits("other").memory, 64 << 20);
    let below = Layers::from(project).with(Layer::User, read(""));
    assert_eq!(
        below.limits("pack").memory,
        256 << 20,
        "the user's layer has the default"
    );
}

#[test]
fn what_a_lower_layer_does_not_list_is_not_granted() {
    let system = "[tool.pack]\nenv = { A = \"1\", B = \"2\" }\n[tool.other]";
    let request = package("env = [\"A\", \"B\"]");
    let layers = |project: &str| {
        Layers::new()
            .with(Layer::System, named("system", system))
            .with(Layer::Project, read(project))
    };
    let seen = |project: &str| {
        let decision = decide(&layers(project), &request, "read");
        let grants = decision.grants().unwrap();
        grants
            .env()
            .iter()
            .map(|it| it.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(seen(""), ["A", "B"]);
    assert_eq!(seen("[tool.pack]\nenv = { A = \"1\" }"), ["A"]);
    assert!(seen("[tool.other]").is_empty());
    let decision = decide(
        &layers("[tool.pack]\nenv = { A = \"1\" }"),
        &request,
        "read",
    );
    let verdict = decision.grants().unwrap().check_env("B");
    assert_eq!(verdict.rule.to_string(), "toolcell.toml:1 tool.pack");
}

#[test]
fn a_lower_layer_cannot_change_values_clock_random_or_origin() {
    let system = "[tool.pack]\nfrom = \"builtin:pack\"\nenv = { A = \"1\" }";
    let project = "[tool.pack]\nfrom = \"./other.wasm\"\nenv = { A = \"2\" }\nrandom = \"seeded:1\"\nclock = \"frozen:2026-01-01T00:00:00Z\"";
    let layers = Layers::new()
        .with(Layer::System, named("system.toml", system))
        .with(Layer::Project, read(project));
    let decision = decide(&layers, &package("env = [\"A\"]"), "read");
    let grants = decision.grants().unwrap();
    assert_eq!(grants.env()[0].value, "1");
    assert_eq!(
        (grants.clock(), grants.random()),
        (&Clock::Real, &Random::Real)
    );
    let (origin, base, rule) = layers.origin("pack").unwrap();
    assert_eq!((origin.to_string().as_str(), base), ("builtin:pack", None));
    assert_eq!(rule.layer, Some(Layer::System));
    assert_eq!(layers.packages(), ["pack"]);
    assert_eq!(
        messages(&layers.problems()),
        [
            "toolcell.toml:3 the value of `A` is decided by system.toml",
            "toolcell.toml:1 `clock` is decided by system.toml",
            "toolcell.toml:1 where the package comes from is decided by system.toml",
        ]
    );
}

#[test]
fn a_lower_layer_can_only_go_from_thread_to_process() {
    let written = |kind: Option<&str>| {
        let key = kind.map(|kind| format!("isolation = \"{kind}\""));
        format!("[tool.pack]\n{}", key.unwrap_or_default())
    };
    let (thread, process) = (Some("thread"), Some("process"));
    for (above, below, left, warned) in [
        (None, None, None, false),
        (None, process, process, false),
        (None, thread, None, true),
        (thread, None, thread, false),
        (thread, thread, thread, false),
        (thread, process, process, false),
        (process, thread, process, true),
        (process, None, process, false),
    ] {
        let layers = Layers::new()
            .with(Layer::System, named("system.toml", &written(above)))
            .with(Layer::Project, read(&written(below)));
        let decision = decide(&layers, &package(""), "read");
        let isolation = decision.grants().unwrap().isolation();
        let name = isolation.map(|(isolation, _)| isolation.name());
        assert_eq!(name, left, "{above:?} over {below:?}");
        if let Some((_, rule)) = isolation {
            assert!(
                rule.to_string().ends_with(":2 tool.pack.isolation"),
                "{rule}"
            );
        }
        assert_eq!(
            layers.problems().len(),
            usize::from(warned),
            "{above:?} over {below:?}"
        );
    }
    // A package that a lower layer leaves out gets no choice either.
    let layers = Layers::new()
        .with(Layer::System, named("system.toml", "[tool.other]"))
        .with(Layer::Project, read(&written(thread)));
    let decision = decide(&layers, &package(""), "read");
    assert!(decision.grants().unwrap().isolation().is_none());
}

#[test]
fn two_layers_mean_one_directory_only_when_it_is_the_same_place() {
    let file = |host: &str, guest: &str, access: &str| {
        format!(
            "[tool.pack]\nfiles = [{{ host = \"{host}\", guest = \"{guest}\", access = \"{access}\" }}]"
        )
    };
    let request = package("files = [{ access = \"write\" }]");
    let granted = |upper: Policy, lower: Policy| {
        let layers = Layers::new()
            .with(Layer::System, upper)
            .with(Layer::Project, lower);
        let decision = decide(&layers, &request, "read");
        decision
            .grants()
            .unwrap()
            .files()
            .first()
            .map(|it| it.access)
    };
    let srv = read(&file("/srv/data", "/work", "write"));
    assert_eq!(
        granted(srv.clone(), read(&file("/srv/data", "/work", "read"))),
        Some(FileAccess::Read)
    );
    assert_eq!(
        granted(srv.clone(), read(&file("/srv/./data/", "/work", "write"))),
        Some(FileAccess::Write)
    );
    let relative = read(&file("./data", "/work", "write"));
    assert_eq!(
        granted(srv.clone(), relative.clone().with_base("/srv")),
        Some(FileAccess::Write)
    );
    assert_eq!(granted(srv.clone(), relative.with_base("/home")), None);
    assert_eq!(
        granted(srv.clone(), read(&file("/srv/data/sub", "/work", "read"))),
        None
    );
    assert_eq!(
        granted(srv.clone(), read(&file("/srv/x/../data", "/work", "read"))),
        None
    );
    assert_eq!(
        granted(srv, read(&file("/srv/data", "/other", "read"))),
        None
    );
}

#[test]
fn a_lower_layer_cannot_turn_a_wildcard_into_a_private_name() {
    let net = |to: &str| read(&format!("[tool.pack]\nnet = [{{ to = \"{to}\" }}]"));
    let special = |upper: &str, lower: &str| {
        let layers = Layers::new()
            .with(Layer::System, net(upper))
            .with(Layer::Project, net(lower));
        let decision = decide(&layers, &package("net = [{ to = \"any\" }]"), "read");
        let url = "https://db.corp.internal/".parse().unwrap();
        let grants = decision.grants().unwrap();
        assert!(grants.check_net("GET", &url).is_allowed());
        grants.net_grant(&url).unwrap().allows_special_addresses()
    };
    let (wild, exact) = ("https://*.corp.internal", "https://db.corp.internal");
    assert!(special(exact, exact));
    assert!(!special(wild, exact));
    assert!(!special(exact, wild));
}

#[test]
fn what_a_lower_layer_writes_in_vain_is_reported() {
    let system = r#"
[default.limits]
memory = "128MiB"
[tool.pack]
net = [{ to = "https://*.example.com" }]
files = [{ host = "/srv", guest = "/work", access = "read" }]
"#;
    let project = r#"
[tool.pack]
net = [{ to = "https://a.example.com" }, { to = "https://evil.example" }]
files = [{ host = "/srv", guest = "/work", access = "write" }, { host = "/etc", guest = "/etc", access = "read" }]
env = { A = "1" }
calls = ["time_now"]
limits = { memory = "1GiB", time = "1s" }
[tool.extra]
"#;
    let layers = Layers::new()
        .with(Layer::System, named("system.toml", system))
        .with(Layer::Project, named("project.toml", project));
    assert_eq!(
        messages(&layers.problems()),
        [
            "project.toml:3 `GET, HEAD https://evil.example` is not granted by system.toml",
            "project.toml:4 system.toml lets `/work` be read only",
            "project.toml:4 the directory `/etc` at `/etc` is not granted by system.toml",
            "project.toml:5 the variable `A` is not granted by system.toml",
            "project.toml:6 calling `time_now` is not granted by system.toml",
            "project.toml:8 `extra` gets nothing here: system.toml does not list it",
            "project.toml:7 `memory` is 128MiB already in a layer above",
        ]
    );
    assert!(Layers::from(read(system)).problems().is_empty());
}

#[test]
fn what_a_package_makes_useless_is_reported() {
    let policy = r#"
[tool.pack]
net = [{ to = "https://a.example.com" }, { to = "https://b.example.com" }]
files = [{ host = "/srv", guest = "/work", access = "read" }]
env = { A = "1", B = "2" }
calls = ["time_now"]
approve = { raed = "ask", "*" = "allow" }
"#;
    let request = package("net = [{ to = \"https://a.example.com\" }]\nenv = [\"A\"]");
    let problems = Layers::from(read(policy)).problems_for(&request);
    assert_eq!(
        messages(&problems),
        [
            "toolcell.toml:7 the package `pack` has no tool `raed`",
            "toolcell.toml:3 the package `pack` does not request GET, HEAD https://b.example.com",
            "toolcell.toml:4 the package `pack` does not request a directory at /work",
            "toolcell.toml:5 the package `pack` does not request the variable B",
            "toolcell.toml:6 the package `pack` does not request calling time_now",
        ]
    );
    assert_eq!(problems[0].help(), Some("did you mean `read`?"));
    let unknown = Layers::from(read(policy)).unknown_tools(&request);
    assert_eq!(messages(&unknown), messages(&problems[..1]));
}

fn effects(layers: &Layers, manifest: &Manifest) -> Vec<Effect> {
    let all = ["read", "edit"].map(|tool| answers(layers, manifest, tool));
    all.into_iter()
        .flatten()
        .map(|(_, effect)| effect)
        .collect()
}

#[test]
fn a_lower_layer_only_lowers_what_sessions_and_the_host_may() {
    let upper = "[session]\nconcurrency = 100\nrate = \"60/min\"\n[host]\nqueue = 10";
    let lower = "[session]\nconcurrency = 200\nrate = \"1/s\"\nqueue = 5\n[host]\nconcurrency = 8\nqueue = 20";
    let layers = Layers::new()
        .with(Layer::User, Policy::from_toml(upper).unwrap())
        .with(Layer::Project, Policy::from_toml(lower).unwrap());
    let (session, host) = (layers.session_limits(), layers.host_limits());
    assert_eq!(session.concurrency, Some(100));
    assert_eq!((session.queue, session.questions), (5, 16));
    // As many in the long run, and a smaller burst.
    assert_eq!(session.show("rate").as_deref(), Some("1/s"));
    assert_eq!((host.concurrency, host.queue), (Some(8), 10));
    let problems: Vec<String> = layers.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "`concurrency` is 100 already in a layer above",
            "`queue` is 10 already in a layer above"
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_layer_below_a_ceiling_never_widens(upper in ceiling(), lower in policy(), manifest in manifest()) {
        let above = Layers::from(upper.clone());
        let both = above.clone().with(Layer::Session, lower);
        let (before, after) = (effects(&above, &manifest), effects(&both, &manifest));
        for (access, (before, after)) in probes().iter().cycle().zip(before.iter().zip(&after)) {
            prop_assert!(after >= before, "{access}: {before} became {after}");
        }
        let words = |layers: &Layers| (layers.combine(), layers.secret_arguments(), layers.unknown_secrets());
        let ((a, b, c), (d, e, f)) = (words(&above), words(&both));
        prop_assert!(a <= d && b <= e && c <= f);
        prop_assert_eq!(above.egress(), both.egress());
        for tool in ["read", "edit"] {
            let decision = |layers: &Layers| decide(layers, &manifest, tool);
            let (before, after) = (decision(&above), decision(&both));
            let (Some(before), Some(after)) = (before.grants(), after.grants()) else { continue };
            prop_assert_eq!(before.labels().union(after.labels()), after.labels());
            for access in probes() {
                let crate::Access::Net { method, url } = access else { continue };
                let redirects = |grants: &crate::GrantSet| grants.redirects(method.name(), &url);
                prop_assert!(redirects(after) <= redirects(before));
            }
            for secret in after.secrets() {
                let same = before.secrets().iter().find(|it| it.name == secret.name);
                prop_assert!(same.is_some_and(|it| it.source == secret.source && it.place == secret.place));
            }
        }
        let (before, after) = (above.limits("pack"), both.limits("pack"));
        for info in Limits::CATALOGUE {
            if let Some(before) = before.get(info.key) {
                prop_assert!(after.get(info.key).is_some_and(|after| after <= before), "{}", info.key);
            }
        }
    }

    #[test]
    fn special_addresses_need_every_layer_to_name_them(upper in ceiling(), lower in policy(), manifest in manifest()) {
        let above = Layers::from(upper);
        let both = above.clone().with(Layer::Session, lower);
        let special = |layers: &Layers, access: &crate::Access| {
            let crate::Access::Net { url, .. } = access else { return false };
            let decision = decide(layers, &manifest, "read");
            decision.grants().and_then(|it| it.net_grant(url)).is_some_and(crate::NetGrant::allows_special_addresses)
        };
        for access in probes() {
            prop_assert!(special(&above, &access) || !special(&both, &access), "{access}");
        }
    }

    #[test]
    fn a_request_less_never_widens(upper in ceiling(), manifest in manifest()) {
        let layers = Layers::from(upper);
        let mut fewer = manifest.clone();
        let mut requests = (*manifest.request).clone();
        requests.net.pop();
        requests.env.pop();
        requests.calls.pop();
        requests.secrets.pop();
        requests.files.clear();
        fewer.request = requests.into();
        let pairs = effects(&layers, &manifest).into_iter().zip(effects(&layers, &fewer));
        for (all, less) in pairs {
            // Without the request for a directory its `ask` no longer makes the whole call ask.
            prop_assert!(less >= all || all == Effect::Ask, "{all} became {less}");
        }
    }

    #[test]
    fn printing_and_parsing_again_decides_the_same(policy in policy(), manifest in manifest()) {
        let printed = policy.to_toml();
        let again = Policy::from_toml(&printed).unwrap();
        prop_assert_eq!(&again.to_toml(), &printed);
        let (before, after) = (Layers::from(policy), Layers::from(again));
        prop_assert_eq!(effects(&before, &manifest), effects(&after, &manifest));
        prop_assert_eq!(before.limits("pack"), after.limits("pack"));
        prop_assert_eq!(&Manifest::from_toml(&manifest.to_toml()).unwrap(), &manifest);
    }
}

#[test]
fn a_lock_pins_what_its_policy_says_where_to_get() {
    let locked = |name: &str| {
        let manifest = Manifest::default_for(name);
        LockedPackage::new("x.wasm", [0; 32], 1, ["a:b/c"], &manifest)
    };
    let mut lock = Lock::new();
    lock.insert(locked("one"));
    let text = "[tool.one]\nfrom = \"x.wasm\"\n[tool.two]\nfrom = \"y.wasm\"\n[tool.calc]\nfrom = \"builtin:calc\"\n[tool.three]\n";
    let with = Policy::from_toml(text).unwrap().with_lock(lock);
    let layers = Layers::from(with);
    let pins = |name: &str| -> Vec<bool> { layers.pins(name).iter().map(Result::is_ok).collect() };
    assert_eq!(pins("one"), [true]);
    assert_eq!(pins("two"), [false]);
    for free in ["calc", "three", "four"] {
        assert_eq!(pins(free), [false; 0], "{free}");
    }
    let missing = layers.pins("two")[0].unwrap_err();
    assert_eq!(missing.to_string(), "toolcell.toml:3 tool.two");
    assert_eq!(layers.unpinned(), ["two"]);
    let without = Layers::from(Policy::from_toml(text).unwrap());
    assert_eq!(without.pins("two"), []);
    assert_eq!(without.unpinned(), ["one", "two"]);
}

#[test]
fn one_file_says_where_things_go() {
    let policy = |name: &str, table: &str| {
        let tool = "[tool.files]\nfrom = \"builtin:files\"\n";
        Policy::parse(name, &format!("{tool}{table}")).unwrap()
    };
    for table in [
        "[cache]\nstore = \"memory\"\n",
        "[retention.runs]\nage = \"30d\"\n",
        "[telemetry]\nlisten = \"127.0.0.1:9464\"\n",
        "[provider.local]\napi = \"openai\"\nurl = \"http://127.0.0.1:1/v1\"\n",
    ] {
        let errors = |user: &str, project: &str| {
            Layers::new()
                .with(Layer::User, policy("user.toml", user))
                .with(Layer::Project, policy("project.toml", project))
                .errors()
                .len()
        };
        assert_eq!(errors(table, ""), 0, "{table}");
        assert_eq!(errors("", table), 1, "{table}");
        let both = usize::from(!table.starts_with("[provider"));
        let above = Layers::new()
            .with(Layer::System, Policy::parse("system.toml", table).unwrap())
            .with(Layer::User, policy("user.toml", table));
        assert_eq!(above.errors().len(), both, "{table}");
    }
    // What is a matter of taste, and what only gets stricter, may stand in every file.
    let user = policy(
        "user.toml",
        "[model]\nmax_tokens = 5\n[privacy]\naudit = \"mask\"\n",
    );
    let layers = Layers::from(user.clone()).with(Layer::Project, user);
    assert!(layers.errors().is_empty());
}
