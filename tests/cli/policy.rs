//! `policy`, `trust`, and which policy is in force.

use std::fs;

use crate::cell::{Cell, POLICY, golden};

const BROKEN: &str = r#"[default.limits]
time = "30"
memroy = "64MiB"

[tool.github]
from = "oci://registry.example/github"
net = [{ to = "https://*", method = ["GET"] }]
"#;

#[test]
fn everything_that_is_wrong_is_shown_at_once() {
    let cell = Cell::new();
    cell.file("broken.toml", BROKEN);
    cell.file("cut.toml", "[tool.files\nfrom = ");
    golden!(
        "policy_broken",
        cell.run(&["policy", "check", "broken.toml"]).exits(2),
        cell.run(&["policy", "check", "policy.toml"]).exits(0),
        cell.run(&["policy", "check", "none.toml"]).exits(2),
        cell.run(&["policy", "check"]).exits(2),
        cell.run(&["tools", "--policy", "cut.toml"]).exits(2),
    );
    let json = cell
        .run(&["policy", "check", "broken.toml", "--json"])
        .exits(2)
        .json();
    let error = &json["error"];
    assert_eq!(error["code"], "invalid_policy");
    assert_eq!(error["span"]["line"], 2);
    assert_eq!(error["span"]["column"], 8);
    assert_eq!(error["span"]["offset"], BROKEN.find("\"30\"").unwrap());
    assert_eq!(error["span"]["len"], 4);
    assert!(error["problems"].as_array().unwrap().len() >= 4, "{error}");
}

#[test]
fn what_is_worth_a_second_thought_is_told_and_changes_nothing() {
    let cell = Cell::new();
    let text = "[tool.web]\nnet = [{ to = \"https://h.example\" }]\n\
                secrets.KEY = { from = \"env:KEY\", to = \"https://h.example\", query = \"api_key\" }\n";
    cell.file("query.toml", text);
    golden!(
        "policy_warning",
        cell.run(&["policy", "check", "query.toml"]).exits(0),
    );
    let json = cell
        .run(&["policy", "check", "query.toml", "--json"])
        .exits(0)
        .json();
    let warning = &json["data"]["warnings"][0];
    assert_eq!(warning["span"]["line"], 3);
    assert!(warning["message"].as_str().unwrap().contains("logs"));
}

const OLD: &str = r#"[default.limits]
time = "30s"

[tool.files]
from = "builtin:files"
files = [{ host = "./workspace", guest = "/work", access = "write" }]

[tool.github]
from = "./github.wasm"
net = [{ to = "https://api.github.com", methods = ["GET"], paths = ["/repos/**"] }]
secrets.GITHUB_TOKEN = { from = "env:GITHUB_TOKEN", to = "https://api.github.com", header = "Authorization: Bearer {}", methods = ["GET"] }
reads = ["private", "untrusted"]
"#;

const NEW: &str = r#"[default.limits]
time = "30s"

[tool.files]
from = "builtin:files"
files = [{ host = "./workspace", guest = "/work", access = "read" }]

[tool.github]
from = "./github.wasm"
net = [
    { to = "https://api.github.com", methods = ["GET"], paths = ["/repos/**"] },
    { to = "https://api.github.com", methods = ["POST"], paths = ["/repos/*/*/issues"] },
]
secrets.GITHUB_TOKEN = { from = "vault:GITHUB_TOKEN", to = "https://api.github.com", header = "Authorization: Bearer {}", methods = ["GET", "POST"] }
reads = ["private", "untrusted"]
sends = "outside"
limits = { time = "60s" }
"#;

#[test]
fn two_policies_are_compared_in_a_reviewers_words() {
    let cell = Cell::new();
    cell.file("old.toml", OLD);
    cell.file("new.toml", NEW);
    cell.file("broken.toml", "[tool.files\n");
    let diff = ["policy", "diff", "old.toml", "new.toml"];
    let fail = [&diff[..], &["--fail-on-widening"]].concat();
    golden!(
        "policy_diff",
        cell.run(&diff).exits(0),
        cell.run(&["policy", "diff", "new.toml", "new.toml"])
            .exits(0),
        cell.run(&["policy", "diff", "new.toml", "broken.toml"])
            .exits(2),
        cell.run(&["policy", "diff", "new.toml"]).exits(2),
        cell.run(&fail).exits(1),
    );
    let json = cell.run(&[&diff[..], &["--json"]].concat()).exits(0).json();
    assert_eq!(json["data"]["widened"], 3);
    let first = &json["data"]["changes"][0];
    assert_eq!(first["direction"], "widened");
    assert_eq!(first["package"], "github");
    assert_eq!(first["new"]["line"], 12);
    let json = cell.run(&[&fail[..], &["--json"]].concat()).exits(1).json();
    assert_eq!(json["ok"], false);
    let same = ["policy", "diff", "old.toml", "old.toml"];
    cell.run(&[&same[..], &["--fail-on-widening"]].concat())
        .exits(0);
}

#[test]
fn a_policy_is_explained_and_tested() {
    let cell = Cell::new();
    let expect = "\n[[expect]]\ntool = \"files\"\nfile = \"/etc/passwd\"\nis = \"deny\"\n\
                  \n[[expect]]\ntool = \"fetch\"\nnet = \"https://api.example.com/v1/x\"\nis = \"deny\"\n";
    cell.file("tested.toml", format!("{POLICY}{expect}"));
    golden!(
        "policy_explained",
        cell.run(&["policy", "explain", "--policy", "policy.toml"])
            .exits(0),
        cell.run(&[
            "policy",
            "explain",
            "--policy",
            "policy.toml",
            "files_read",
            "read",
            "/etc/passwd"
        ])
        .exits(0),
        cell.run(&[
            "policy",
            "explain",
            "--policy",
            "policy.toml",
            "fetch",
            "https://api.example.com/v1/x",
            "--json"
        ])
        .exits(0),
        cell.run(&[
            "policy",
            "explain",
            "--policy",
            "policy.toml",
            "fetch",
            "burn",
            "it"
        ])
        .exits(2),
        cell.run(&["policy", "explain", "--policy", "policy.toml", "none"])
            .exits(2),
        cell.run(&["policy", "test", "--policy", "tested.toml"])
            .exits(1),
        cell.run(&["policy", "test", "--policy", "policy.toml"])
            .exits(2),
    );
}

#[test]
fn a_projects_policy_is_in_force_only_once_it_was_trusted() {
    let cell = Cell::new();
    cell.file("toolcell.toml", POLICY);
    let read = ["call", "files_read", r#"{"path":"/work/a.txt"}"#];
    let before = cell.run(&read).exits(2);
    let asked = cell.run(&["trust"]).exits(2);
    let trusted = cell.run(&["trust", "--yes"]).exits(0);
    let again = cell.run(&["trust", "--yes"]).exits(0);
    let after = cell.run(&read).exits(0);
    cell.file("toolcell.toml", format!("{POLICY}\n# changed\n"));
    let changed = cell.run(&read).exits(2);
    let asked_again = cell.run(&["trust"]).exits(2);
    cell.run(&["trust", "--yes", "--json"]).exits(0);
    let revoked = cell.run(&["trust", "--revoke"]).exits(0);
    cell.run(&read).exits(2);
    golden!(
        "trust",
        before,
        asked,
        trusted,
        again,
        after,
        changed,
        asked_again,
        revoked
    );
}

#[test]
fn trust_needs_a_file() {
    let cell = Cell::empty();
    golden!(
        "trust_nothing",
        cell.run(&["trust"]).exits(2),
        cell.run(&["trust", "none.toml"]).exits(2),
    );
}

#[test]
fn no_tool_may_write_where_its_policy_lies() {
    let cell = Cell::new();
    cell.file(
        "wide.toml",
        "[tool.files]\nfrom = \"builtin:files\"\nfiles = [{ host = \".\", guest = \"/work\", access = \"write\" }]\n",
    );
    golden!(
        "policy_writable",
        cell.run(&["tools", "--policy", "wide.toml"]).exits(2)
    );
    let narrow = fs::read_to_string(cell.path("wide.toml"))
        .unwrap()
        .replace("write", "read");
    cell.file("wide.toml", narrow);
    cell.run(&["tools", "--policy", "wide.toml"]).exits(0);
}

#[test]
fn the_users_own_policy_narrows_the_named_one() {
    let cell = Cell::new();
    cell.file(
        "../config/toolcell.toml",
        "[tool.calc]\nfrom = \"builtin:calc\"\n",
    );
    golden!(
        "policy_user",
        cell.run(&[
            "call",
            "--policy",
            "policy.toml",
            "files_read",
            r#"{"path":"/work/a.txt"}"#
        ])
        .exits(3),
        cell.run(&[
            "call",
            "--policy",
            "policy.toml",
            "calc",
            r#"{"expression":"1+1"}"#
        ])
        .exits(0),
        cell.run(&["policy", "check"]).exits(0),
    );
}
