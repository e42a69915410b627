//! "The agent pushes a branch and opens a pull request, but has no merge": by what the package asks for, and by what the
//! recommended policy grants even to a tool that asks for everything.

use std::{fs, path::Path};

use serde_json::json;
use toolcell::{Decision, ErrorKind, Layers, Package, Policy, builtin};
use toolcell_policy::{Effect, decide};

use super::{
    call, common,
    double::{Double, Reply},
    host_with,
};

/// What merges, approves, deletes, or rules, and must be nowhere: method and path behind the API's own.
const NEVER: [(&str, &str); 24] = [
    ("PUT", "/repos/acme/site/pulls/7/merge"),
    ("PUT", "/repos/acme/site/pulls/7/update-branch"),
    ("POST", "/repos/acme/site/merges"),
    ("POST", "/repos/acme/site/merge-upstream"),
    ("POST", "/repos/acme/site/pulls/7/reviews"),
    ("POST", "/repos/acme/site/pulls/7/reviews/1/events"),
    ("PUT", "/repos/acme/site/pulls/7/reviews/1"),
    ("PATCH", "/repos/acme/site/pulls/7"),
    ("POST", "/graphql"),
    ("PUT", "/repos/acme/site/contents/src/a.rs"),
    ("DELETE", "/repos/acme/site/contents/src/a.rs"),
    ("DELETE", "/repos/acme/site/git/refs/heads/agent/fix"),
    ("DELETE", "/repos/acme/site/git/refs/heads/main"),
    ("PATCH", "/repos/acme/site/git/refs/tags/v1"),
    ("POST", "/repos/acme/site/branches/main/rename"),
    ("DELETE", "/repos/acme/site/branches/main/protection"),
    ("PATCH", "/repos/acme/site"),
    ("DELETE", "/repos/acme/site"),
    ("POST", "/repos/acme/site/forks"),
    ("PUT", "/repos/acme/site/collaborators/eve"),
    ("POST", "/repos/acme/site/hooks"),
    ("POST", "/repos/acme/site/keys"),
    ("POST", "/repos/acme/site/actions/workflows/1/dispatches"),
    ("PUT", "/repos/acme/site/actions/secrets/X"),
];

/// The spellings by which a server might be led to the same place.
fn spellings(path: &str) -> Vec<String> {
    let (before, last) = path.rsplit_once('/').unwrap();
    let mut spellings = vec![
        path.to_owned(),
        format!("{path}/"),
        format!("{before}//{last}"),
        format!("/{path}"),
        format!("{before}/x/../{last}"),
        format!("{before}/%2e/{last}"),
        format!("{path}?x=/repos/acme/site/issues"),
        format!("/repos/acme/site/issues/..;/..{path}"),
    ];
    if !before.is_empty() {
        spellings.push(format!("{before}%2F{last}"));
    }
    spellings
}

#[test]
fn the_package_asks_for_nothing_that_merges() {
    let package = Package::parse("github.wasm", builtin("github").unwrap()).unwrap();
    let methods = "[\"GET\", \"HEAD\", \"POST\", \"PUT\", \"PATCH\", \"DELETE\", \"OPTIONS\"]";
    // An operator who grants everything: what is left is what was asked for.
    let policy = format!(
        "[tool.github]\nnet = [\n{{ to = \"https://api.github.com\", methods = {methods} }},\n\
         {{ to = \"https://ghe.example\", methods = {methods} }}]"
    );
    let layers = Layers::from(Policy::from_toml(&policy).unwrap());
    let Decision::Allow(grants) = decide(&layers, package.manifest(), "issue-list") else {
        panic!("the tool is not allowed");
    };
    let checked = |method: &str, url: &str| grants.check_net(method, &url.parse().unwrap()).effect;
    for base in ["https://api.github.com", "https://ghe.example/api/v3"] {
        for (method, path) in NEVER {
            for path in spellings(path) {
                let url = format!("{base}{path}");
                assert_eq!(checked(method, &url), Effect::Deny, "{method} {url}");
            }
        }
        // The checks could fail: this is what the tools do.
        for (method, path) in [
            ("POST", "/repos/acme/site/pulls"),
            ("PATCH", "/repos/acme/site/git/refs/heads/agent/fix"),
            ("POST", "/repos/acme/site/git/trees"),
            ("GET", "/repos/acme/site/pulls/7"),
        ] {
            let url = format!("{base}{path}");
            assert_eq!(checked(method, &url), Effect::Allow, "{method} {url}");
        }
    }
    let requests = &package.manifest().request.net;
    let methods = requests.iter().flat_map(|it| &it.scope.methods);
    let methods: Vec<&str> = methods.map(|method| method.name()).collect();
    assert_eq!(methods, ["GET", "POST", "PATCH", "GET", "POST", "PATCH"]);
}

/// The rules that the documentation recommends, for a double instead of GitHub.
fn recommended(base: &str) -> String {
    let page = common::tests().join(Path::new("../docs/tools.md"));
    let page = fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("[tool.github]\n").unwrap();
    let (_, rest) = rest.split_once("net = [\n").unwrap();
    let (net, _) = rest.split_once("\n]\n").unwrap();
    format!(
        "net = [\n{}\n]\n",
        net.replace("https://api.github.com", base)
    )
}

/// A tool that asks for everything, under these rules: what the double got of all that must never happen.
async fn attempted(double: &Double, rules: &str) -> Vec<String> {
    let policy = format!("[tool.http]\nfrom = \"builtin:http\"\n{rules}");
    let host = host_with(&policy, double.egress()).await;
    let mut never = NEVER.to_vec();
    never.push(("PATCH", "/repos/acme/site/git/refs/heads/main"));
    never.push(("PATCH", "/repos/acme/site/git/refs/heads/agent-main"));
    never.push(("POST", "/repos/acme/other/issues"));
    never.push(("POST", "/user/repos"));
    for (method, path) in never {
        for path in spellings(path) {
            let url = format!("{}{path}", double.base());
            let input =
                json!({ "url": url, "method": method, "json": { "sha": "x", "force": true } });
            let result = call(&host, "http", input).await;
            if let Some(failure) = &result.failure {
                assert_eq!(
                    failure.kind,
                    ErrorKind::Denied,
                    "{method} {url}: {result:?}"
                );
                assert_eq!(result.denials.len(), 1, "{method} {url}");
            }
        }
    }
    double.seen().iter().map(|seen| seen.line()).collect()
}

#[tokio::test]
async fn a_hostile_tool_under_the_recommended_policy_merges_nothing() {
    let double = Double::start("github.test", |_| Reply::json(200, &json!({}))).await;
    let rules = recommended(&double.base());
    assert_eq!(attempted(&double, &rules).await, [""; 0]);
    // What it is for goes through.
    let policy = format!("[tool.http]\nfrom = \"builtin:http\"\n{rules}");
    let host = host_with(&policy, double.egress()).await;
    for (method, path) in [
        ("POST", "/repos/acme/site/pulls"),
        ("PATCH", "/repos/acme/site/git/refs/heads/agent/fix"),
    ] {
        let url = format!("{}{path}", double.base());
        let result = call(&host, "http", json!({ "url": url, "method": method })).await;
        assert!(!result.is_error(), "{result:?}");
        assert_eq!(double.only().line(), format!("{method} {path}"));
    }
}

#[tokio::test]
async fn a_hostile_tool_without_the_recommended_policy_would_merge() {
    let double = Double::start("github.test", |_| Reply::json(200, &json!({}))).await;
    let methods = "[\"GET\", \"POST\", \"PUT\", \"PATCH\", \"DELETE\"]";
    let rules = format!(
        "net = [{{ to = \"{}\", methods = {methods} }}]",
        double.base()
    );
    let seen = attempted(&double, &rules).await;
    for (method, path) in NEVER {
        let line = format!("{method} {path}");
        assert!(seen.contains(&line), "{line}");
    }
}
