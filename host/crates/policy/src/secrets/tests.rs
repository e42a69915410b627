use super::*;
use crate::{
    Access, Decision, GrantSet, Layer, Layers, Manifest, Policy, Problem, Verdict, decide, explain,
    explain_access, verdict,
};

const POLICY: &str = r#"
[tool.github]
net = [
  { to = "https://api.github.com", methods = ["GET", "POST"], paths = ["/repos/**"], redirects = 2 },
  { to = "https://api.github.com", methods = ["POST"], paths = ["/repos/*/*/merge"], approve = "ask" },
  { to = "https://uploads.github.com", methods = ["POST"] },
]
reads = { issue = "untrusted", "*" = "private", list = [] }
sends = { issue = "outside" }
secrets.GITHUB_TOKEN = { from = "env:GITHUB_TOKEN", to = "https://api.github.com", header = "Authorization: Bearer {}" }
secrets.UPLOAD = { from = "vault:UPLOAD", to = "https://uploads.github.com", query = "key", paths = ["/v1/**"] }
secrets.UNASKED = { from = "env:X", to = "https://api.github.com", header = "X-Key: {}" }
secrets.ELSEWHERE = { from = "env:X", to = "https://api.github.com", header = "X-Else: {}" }
"#;

const MANIFEST: &str = r#"
name = "github"
version = "0.1.0"
[[tool]]
name = "issue"
input = { type = "object" }
[[tool]]
name = "list"
input = { type = "object" }
[[tool]]
name = "read"
input = { type = "object" }
[request]
net = [{ to = "any", methods = ["GET", "POST", "DELETE"] }]
secrets = [
  { name = "GITHUB_TOKEN", to = "https://api.github.com", header = "Authorization: Bearer {}", why = "act for you" },
  { name = "UPLOAD", to = "any", query = "key" },
  { name = "ELSEWHERE", to = "https://elsewhere.example" },
  { name = "MISSING", to = "https://api.github.com", header = "X-Missing" },
]
"#;

fn policy(text: &str) -> Policy {
    Policy::from_toml(text).unwrap()
}

fn manifest() -> Manifest {
    Manifest::from_toml(MANIFEST).unwrap()
}

fn grants(layers: &Layers, tool: &str) -> GrantSet {
    decide(layers, &manifest(), tool).grants().unwrap().clone()
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn names(grants: &GrantSet) -> Vec<&str> {
    grants.secrets().iter().map(|it| it.name.as_str()).collect()
}

#[test]
fn a_secret_needs_the_policy_and_the_request_for_its_destination() {
    let grants = grants(&policy(POLICY).into(), "read");
    assert_eq!(names(&grants), ["GITHUB_TOKEN", "UPLOAD"]);
    let effect = |name: &str| {
        let Verdict { effect, rule, .. } = grants.check_secret(name);
        (effect, rule.to_string())
    };
    let asked = "default: denied unless the package requests it".to_owned();
    let written = "default: denied until written".to_owned();
    let line = "toolcell.toml:10 tool.github.secrets.GITHUB_TOKEN".to_owned();
    assert_eq!(effect("GITHUB_TOKEN"), (Effect::Allow, line));
    assert_eq!(effect("UNASKED"), (Effect::Deny, asked.clone()));
    assert_eq!(effect("ELSEWHERE"), (Effect::Deny, asked));
    assert_eq!(effect("MISSING"), (Effect::Deny, written.clone()));
    assert_eq!(effect("NEVER"), (Effect::Deny, written));
}

const USES: &[(&str, &str, &str, Effect)] = &[
    (
        "GITHUB_TOKEN",
        "GET",
        "https://api.github.com/repos/a/b",
        Effect::Allow,
    ),
    (
        "GITHUB_TOKEN",
        "GET",
        "https://api.github.com:443/repos/a",
        Effect::Allow,
    ),
    (
        "GITHUB_TOKEN",
        "POST",
        "https://api.github.com/repos/a/b/merge",
        Effect::Ask,
    ),
    (
        "GITHUB_TOKEN",
        "GET",
        "https://api.github.com/user",
        Effect::Deny,
    ),
    (
        "GITHUB_TOKEN",
        "DELETE",
        "https://api.github.com/repos/a",
        Effect::Deny,
    ),
    (
        "GITHUB_TOKEN",
        "POST",
        "https://uploads.github.com/v1/x",
        Effect::Deny,
    ),
    (
        "GITHUB_TOKEN",
        "GET",
        "http://api.github.com/repos/a",
        Effect::Deny,
    ),
    (
        "GITHUB_TOKEN",
        "GET",
        "https://api.github.com:8443/repos/a",
        Effect::Deny,
    ),
    (
        "GITHUB_TOKEN",
        "GET",
        "https://api.github.com./repos/a",
        Effect::Deny,
    ),
    (
        "GITHUB_TOKEN",
        "GET",
        "https://evil-api.github.com/repos/a",
        Effect::Deny,
    ),
    (
        "UPLOAD",
        "POST",
        "https://uploads.github.com/v1/x",
        Effect::Allow,
    ),
    (
        "UPLOAD",
        "POST",
        "https://uploads.github.com/v2/x",
        Effect::Deny,
    ),
];

#[test]
fn a_secret_is_for_its_requests_alone() {
    let grants = grants(&policy(POLICY).into(), "read");
    for (name, method, address, effect) in USES {
        let verdict = grants.check_secret_in(name, method, &url(address));
        assert_eq!(
            verdict.effect, *effect,
            "{name} {method} {address}: {verdict:?}"
        );
        let grant = grants.secrets().iter().find(|it| it.name == *name).unwrap();
        if *effect < Effect::Deny {
            assert!(grant.applies(method, &url(address)) && grant.is_for(&url(address)));
        }
    }
    let upload = &grants.secrets()[1];
    let other = url("https://uploads.github.com/v2/x");
    assert!(upload.is_for(&other) && !upload.applies("POST", &other));
    assert!(!upload.applies("POST", &url("https://uploads.github.com/v1/..%2fx")));
}

/// Two layers with the same rules for requests, and these lines about secrets.
fn layered(upper: &str, lower: &str) -> Layers {
    let net = "[tool.github]\nnet = [{ to = \"https://api.github.com\", methods = [\"GET\", \"POST\"] }]\n";
    let file = |name: &str, rest: &str| Policy::parse(name, &format!("{net}{rest}")).unwrap();
    Layers::new()
        .with(Layer::User, file("user", upper))
        .with(Layer::Project, file("project", lower))
}

const TOKEN: &str = "secrets.GITHUB_TOKEN = { from = \"env:A\", to = \"https://api.github.com\", basic = \"u\", paths = [\"/repos/*/x*/**\", \"/user\"] }";

fn lower(rest: &str) -> String {
    format!("secrets.GITHUB_TOKEN = {{ to = \"https://api.github.com\"{rest} }}")
}

fn messages(problems: &[Problem]) -> Vec<String> {
    problems
        .iter()
        .map(|it| format!("{}:{} {it}", it.file(), it.line()))
        .collect()
}

#[test]
fn a_lower_layer_keeps_narrows_or_takes_a_secret_away() {
    let left = |rest: &str| {
        let layers = layered(TOKEN, rest);
        assert!(layers.errors().is_empty());
        let grants = grants(&layers, "read");
        let secret = grants.secrets().first()?;
        assert_eq!(secret.source, SecretSource::Env("A".to_owned()));
        assert_eq!(secret.rule.file.as_ref(), "user");
        Some(secret.scope.to_string())
    };
    let get = |rest: &str| format!("GET https://api.github.com, paths {rest}");
    let all = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS https://api.github.com, paths /repos/*/x*/**, /user";
    assert_eq!(left(&lower("")).as_deref(), Some(all));
    let only = lower(", methods = [\"GET\"]");
    assert_eq!(left(&only), Some(get("/repos/*/x*/**, /user")));
    let only = lower(", methods = [\"GET\"], paths = [\"/repos/acme/**\"]");
    assert_eq!(left(&only), Some(get("/repos/acme/x*/**")));
    let only = lower(", methods = [\"GET\"], paths = [\"/repos/acme/xy/z\", \"/other\"]");
    assert_eq!(left(&only), Some(get("/repos/acme/xy/z")));
    // What two patterns have in common is left out where it is no pattern.
    assert_eq!(left(&lower(", paths = [\"/repos/*/*y/z\"]")), None);
    assert_eq!(left(&lower(", paths = [\"/other\"]")), None);
    assert_eq!(left(""), None);
    assert_eq!(
        left("secrets.OTHER = { to = \"https://api.github.com\" }"),
        None
    );
    // Its own place and source have no effect.
    let own = lower(", from = \"env:B\", header = \"X-Key: {}\", methods = [\"GET\"]");
    assert_eq!(left(&own), Some(get("/repos/*/x*/**, /user")));
}

#[test]
fn what_a_lower_layer_writes_about_secrets_in_vain_is_told() {
    for (lower, message) in [
        (
            lower(", from = \"env:B\", basic = \"u\""),
            "project:3 where `GITHUB_TOKEN` comes from, and where it is put, is decided by user",
        ),
        (
            lower(", paths = [\"/other\"]"),
            "project:3 no request is left for `GITHUB_TOKEN` of those that user binds it to",
        ),
        (
            "secrets.OTHER = { to = \"https://api.github.com\" }".to_owned(),
            "project:3 the secret `OTHER` is not granted by user",
        ),
        (
            lower("").replace("api.github.com", "api.github.com:8443"),
            "project:3 user binds `GITHUB_TOKEN` to https://api.github.com",
        ),
    ] {
        let lower = if lower.contains(":8443") {
            "net = [{ to = \"https://api.github.com:8443\" }]\n".to_owned() + &lower
        } else {
            lower
        };
        let layers = if lower.contains(":8443") {
            let file = |name: &str, text: &str| Policy::parse(name, text).unwrap();
            let upper = "[tool.github]\nnet = [{ to = \"https://api.github.com\" }, { to = \"https://api.github.com:8443\" }]\n";
            Layers::new()
                .with(Layer::User, file("user", &format!("{upper}{TOKEN}")))
                .with(
                    Layer::Project,
                    file("project", &format!("[tool.github]\n{lower}")),
                )
        } else {
            layered(TOKEN, &lower)
        };
        assert_eq!(messages(&layers.problems()), [message]);
    }
    assert!(layered(TOKEN, TOKEN).problems().is_empty());
    assert!(layered(TOKEN, "").problems().is_empty());
}

#[test]
fn a_secret_without_a_value_in_the_highest_file_is_an_error() {
    let layers = layered(&lower(""), TOKEN);
    assert!(grants(&layers, "read").secrets().is_empty());
    let errors = messages(&layers.errors());
    assert_eq!(
        errors,
        ["user:3 `GITHUB_TOKEN` has no value: no file above this one says where it comes from"]
    );
    let verdict = grants(&layers, "read").check_secret("GITHUB_TOKEN");
    assert_eq!(verdict.effect, Effect::Deny);
}

#[test]
fn the_least_of_all_layers_redirects_is_followed() {
    let layers = Layers::from(policy(POLICY));
    let of = |layers: &Layers, method: &str, address: &str| {
        grants(layers, "read").redirects(method, &url(address))
    };
    let issues = "https://api.github.com/repos/a/b/issues";
    assert_eq!(of(&layers, "GET", issues), 2);
    assert_eq!(of(&layers, "POST", issues), 2);
    // The rule that asks says nothing about redirects, so none is followed.
    assert_eq!(
        of(&layers, "POST", "https://api.github.com/repos/a/b/merge"),
        0
    );
    assert_eq!(of(&layers, "PUT", issues), 0);
    assert_eq!(of(&layers, "GET", "https://example.com/"), 0);
    let lower = |redirects: u8| {
        let net = "to = \"https://api.github.com\", methods = [\"GET\"]";
        policy(&format!(
            "[tool.github]\nnet = [{{ {net}, redirects = {redirects} }}]"
        ))
    };
    let below = |redirects: u8| layers.clone().with(Layer::Session, lower(redirects));
    assert_eq!(of(&below(0), "GET", issues), 0);
    assert_eq!(of(&below(1), "GET", issues), 1);
    assert_eq!(of(&below(10), "GET", issues), 2);
    assert_eq!(grants(&below(1), "read").net()[0].redirects, 1);
    assert_eq!(
        messages(&below(10).problems()),
        ["toolcell.toml:2 `redirects` is 2 already in toolcell.toml"]
    );
    let other = policy("[tool.other]");
    assert_eq!(of(&layers.with(Layer::Session, other), "GET", issues), 0);
}

#[test]
fn labels_are_by_tool_and_of_all_layers() {
    let layers = Layers::from(policy(POLICY));
    let of = |layers: &Layers, tool: &str| {
        let labels = grants(layers, tool).labels();
        (
            labels.reads_private,
            labels.reads_untrusted,
            labels.sends_outside,
        )
    };
    assert_eq!(of(&layers, "issue"), (false, true, true));
    assert_eq!(of(&layers, "read"), (true, false, false));
    assert_eq!(of(&layers, "list"), (false, false, false));
    let lower = policy("[tool.github]\nreads = [\"private\"]\nsends = \"outside\"");
    let below = layers.with(Layer::Session, lower);
    assert_eq!(of(&below, "issue"), (true, true, true));
    assert_eq!(of(&below, "list"), (true, false, true));
    assert!(below.problems().is_empty());
}

#[test]
fn labels_are_read_and_written() {
    let tool = |labels: &str| format!("[tool.a]\n{labels}\n");
    for labels in [
        "reads = \"private\"",
        "reads = [\"untrusted\", \"private\"]",
        "sends = [\"outside\"]",
        "reads = { a-b = [], \"*\" = [\"private\", \"untrusted\"] }\nsends = { x = \"outside\" }",
    ] {
        let policy = policy(&tool(labels));
        let printed = policy.to_toml();
        let again = Policy::from_toml(&printed).unwrap();
        assert_eq!(again.to_toml(), printed);
        for name in ["a-b", "x", "other"] {
            let labels = |policy: &Policy| policy.tool("a").unwrap().labels(name);
            assert_eq!(labels(&policy), labels(&again), "{printed}");
        }
    }
    for (labels, message) in [
        ("reads = \"secret\"", "cannot be `secret`"),
        ("reads = \"outside\"", "cannot be `outside`"),
        ("sends = \"private\"", "cannot be `private`"),
        ("reads = []", "`tool.a.reads` marks nothing"),
        ("reads = {}", "`tool.a.reads` marks nothing"),
        ("reads = { x = [] }", "`tool.a.reads.x` marks nothing"),
        ("reads = { \"*\" = [] }", "marks nothing"),
        ("reads = [\"private\", \"private\"]", "stands here twice"),
        (
            "reads = [\"private\", \"untrusted\", \"private\"]",
            "at most 2 are allowed",
        ),
        ("reads = true", "must be a list"),
        ("reads = { A_B = \"private\" }", "not the name of a tool"),
        ("read = \"private\"", "no key `read`"),
    ] {
        let problems = Policy::from_toml(&tool(labels)).unwrap_err();
        assert!(
            problems.count() == 1 && problems.to_string().contains(message),
            "{labels}: {problems}"
        );
    }
}

#[test]
fn a_mark_for_a_tool_that_is_not_there_is_an_error() {
    let text = "[tool.github]\nreads = { isue = \"untrusted\" }\nsends = { raed = \"outside\" }";
    let layers = Layers::from(policy(text));
    let unknown = layers.unknown_tools(&manifest());
    assert_eq!(
        messages(&unknown),
        [
            "toolcell.toml:2 the package `github` has no tool `isue`",
            "toolcell.toml:3 the package `github` has no tool `raed`",
        ]
    );
    assert_eq!(unknown[0].help(), Some("did you mean `issue`?"));
}

#[test]
fn what_is_not_requested_of_secrets_is_reported() {
    let problems = Layers::from(policy(POLICY)).problems_for(&manifest());
    assert_eq!(
        messages(&problems),
        [
            "toolcell.toml:12 the package `github` does not request the secret UNASKED for https://api.github.com",
            "toolcell.toml:13 the package `github` does not request the secret ELSEWHERE for https://api.github.com",
        ]
    );
}

#[test]
fn a_query_is_worth_a_warning() {
    let layers = Layers::from(policy(POLICY));
    assert_eq!(
        messages(&layers.warnings()),
        [
            "toolcell.toml:11 `UPLOAD` is put into the query parameter `key`, which lands in the logs of servers and proxies"
        ]
    );
    assert!(layers.errors().is_empty());
}

#[test]
fn secrets_and_labels_are_explained() {
    let layers = Layers::from(policy(POLICY));
    let all: Vec<String> = ["issue", "list"]
        .iter()
        .map(|tool| {
            let lines = explain(&layers, &manifest(), tool).lines;
            let lines: Vec<String> = lines
                .into_iter()
                .filter(|line| !line.contains("together:") && !line.contains("Limits:"))
                .collect();
            lines.join("\n")
        })
        .collect();
    insta::assert_snapshot!("explained", all.join("\n\n"));
}

#[test]
fn an_access_to_a_secret_is_explained() {
    let layers = Layers::from(policy(POLICY));
    let all: Vec<String> = [
        "secret GITHUB_TOKEN",
        "secret GITHUB_TOKEN https://api.github.com/repos/a",
        "secret GITHUB_TOKEN POST https://api.github.com/repos/a/b/merge",
        "secret GITHUB_TOKEN https://api.github.com/user",
        "secret UPLOAD POST https://uploads.github.com/v2/x",
        "secret MISSING",
        "secret UNASKED",
    ]
    .iter()
    .map(|text| {
        let access = Access::parse(text).unwrap();
        assert_eq!(Access::parse(&access.to_string()).as_ref(), Some(&access));
        explain_access(&layers, &manifest(), "read", &access).to_string()
    })
    .collect();
    insta::assert_snapshot!("access", all.join("\n\n"));
    for text in [
        "secret",
        "secret A-B",
        "secret A GET",
        "secret A FETCH https://a.b",
    ] {
        assert_eq!(Access::parse(text), None, "{text}");
    }
}

#[test]
fn expectations_speak_of_secrets() {
    let expect = r#"
[[expect]]
tool = "github"
secret = "GITHUB_TOKEN"
is = "allow"
[[expect]]
tool = "github"
secret = "GITHUB_TOKEN"
net = "https://api.github.com/repos/a"
is = "allow"
[[expect]]
tool = "github_issue"
secret = "GITHUB_TOKEN"
net = "https://api.github.com/repos/a/b/merge"
method = "POST"
is = "ask"
[[expect]]
tool = "github"
secret = "GITHUB_TOKEN"
net = "https://evil.example/repos/a"
is = "deny"
[[expect]]
tool = "github"
secret = "OTHER"
is = "deny"
"#;
    let policy = policy(&format!("{POLICY}{expect}"));
    let printed = policy.to_toml();
    assert_eq!(Policy::from_toml(&printed).unwrap().to_toml(), printed);
    for manifests in [vec![], vec![manifest()]] {
        let outcomes = Layers::from(policy.clone()).test(&manifests);
        assert_eq!(outcomes.len(), 5);
        assert!(outcomes.iter().all(|it| it.passed), "{outcomes:#?}");
    }
    for (text, message) in [
        ("secret = \"A\"\nfile = \"/x\"", "more than one access"),
        ("secret = \"A\"\nmethod = \"GET\"", "only beside `net`"),
        ("secret = \"A B\"", "not the name of a secret"),
        ("secret = \"A\"\nnet = \"x\"", "is not a URL"),
    ] {
        let text = format!("[[expect]]\ntool = \"a\"\nis = \"deny\"\n{text}");
        let problems = Policy::from_toml(&text).unwrap_err();
        assert!(problems.to_string().contains(message), "{problems}");
    }
}

#[test]
fn a_secret_says_nothing_about_calls() {
    let access = Access::parse("secret GITHUB_TOKEN").unwrap();
    let denied = policy(&POLICY.replace("reads =", "approve = \"deny\"\nreads ="));
    let verdict = verdict(&denied.into(), &manifest(), "read", &access);
    assert_eq!(verdict.effect, Effect::Deny);
    let Decision::Allow(grants) = decide(&policy(POLICY).into(), &manifest(), "read") else {
        panic!("nothing asks or denies here");
    };
    let json = serde_json::to_value(&grants).unwrap();
    assert_eq!(json["secrets"][0]["source"]["env"], "GITHUB_TOKEN");
    assert_eq!(json["secrets"][0]["to"], "https://api.github.com");
    assert_eq!(json["labels"]["reads_private"], true);
}

#[test]
fn a_package_asks_for_a_place_or_none() {
    let with = |secret: &str| {
        let text = format!(
            "name = \"a\"\nversion = \"1.0.0\"\n[[tool]]\nname = \"a\"\ninput = {{ type = \"object\" }}\n[request]\nsecrets = [{{ name = \"K\", {secret} }}]"
        );
        Manifest::from_toml(&text)
    };
    for (secret, place) in [
        ("to = \"any\"", None),
        (
            "to = \"https://a.b\", header = \"X-Key\"",
            Some(("header", "X-Key: {}")),
        ),
        (
            "to = \"https://a.b\", header = \"x-key: t {}\"",
            Some(("header", "X-Key: t {}")),
        ),
        ("to = \"https://a.b\", basic = \"u\"", Some(("basic", "u"))),
        (
            "to = \"https://a.b\", query = \"k\", why = \"x\"",
            Some(("query", "k")),
        ),
        ("to = \"https://a.b\", json = \"/a\"", Some(("json", "/a"))),
    ] {
        let manifest = with(secret).unwrap();
        let written = manifest.request.secrets[0]
            .place
            .as_ref()
            .map(SecretPlace::written);
        let place = place.map(|(key, text)| (key, text.to_owned()));
        assert_eq!(written, place);
        assert_eq!(Manifest::from_toml(&manifest.to_toml()).unwrap(), manifest);
    }
    for (secret, message) in [
        ("to = \"http://a.b\"", "never sent unencrypted"),
        ("to = \"https://*.a.b\"", "exactly one host"),
        (
            "to = \"https://a.b\", header = \"Host\"",
            "says how a message is sent",
        ),
        (
            "to = \"https://a.b\", header = \"X\", query = \"k\"",
            "is put twice",
        ),
        ("to = \"https://a.b\", from = \"env:A\"", "no key `from`"),
    ] {
        let problems = with(secret).unwrap_err();
        assert!(problems.to_string().contains(message), "{problems}");
    }
}
