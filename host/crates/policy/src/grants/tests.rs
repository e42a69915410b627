use proptest::prelude::*;
use url::Url;

use super::*;
use crate::{
    Access, Decision, FileAccess, Policy, Verdict, decide,
    testing::{ceiling, manifest, probes},
};

fn grants(policy: &str, request: &str) -> GrantSet {
    let layers = Layers::from(Policy::from_toml(&format!("[tool.pack]\n{policy}")).unwrap());
    let text = format!(
        "name = \"pack\"\nversion = \"1.0.0\"\n[[tool]]\nname = \"read\"\ninput = {{ type = \"object\" }}\n[request]\n{request}"
    );
    match decide(&layers, &Manifest::from_toml(&text).unwrap(), "read") {
        Decision::Allow(grants) | Decision::Ask(grants, _) => grants,
        Decision::Deny(rule) => panic!("denied by {rule}"),
    }
}

fn net(grants: &GrantSet, method: &str, address: &str) -> Verdict {
    grants.check_net(method, &Url::parse(address).unwrap())
}

#[test]
fn of_several_rules_the_strictest_decides() {
    let grants = grants(
        r#"net = [
  { to = "https://a.example.com", methods = ["GET", "POST", "DELETE"] },
  { to = "https://a.example.com", methods = ["POST"], approve = "ask" },
  { to = "https://a.example.com", methods = ["GET", "POST", "DELETE"], paths = ["/admin/**"], approve = "deny" },
]"#,
        "net = [{ to = \"any\", methods = [\"GET\", \"POST\", \"DELETE\"] }]",
    );
    for (method, path, effect, line) in [
        ("GET", "/x", Effect::Allow, 3),
        ("POST", "/x", Effect::Ask, 4),
        ("DELETE", "/admin/x", Effect::Deny, 5),
        ("POST", "/admin/x", Effect::Deny, 5),
        ("POST", "/%61dmin/x", Effect::Deny, 5),
        ("POST", "//admin/x", Effect::Deny, 5),
    ] {
        let verdict = net(&grants, method, &format!("https://a.example.com{path}"));
        assert_eq!(
            (verdict.effect, verdict.rule.line),
            (effect, line),
            "{method} {path}"
        );
    }
    assert_eq!(
        grants.net().len(),
        2,
        "what is denied is not among the grants"
    );
    assert_eq!(grants.net_denials().count(), 1);
}

const UNWRITTEN: &str = "default: denied until written";
const UNREQUESTED: &str = "default: denied unless the package requests it";
const MISREAD: &str = "default: requests that can be misread are denied";
const CLIMBING: &str = "default: paths that climb out of a directory are denied";

/// Denials of a package with a grant of each kind, some of which it does not request.
fn denied() -> (GrantSet, Vec<(Verdict, &'static str)>) {
    let grants = grants(
        r#"net = [{ to = "https://a.example.com" }, { to = "https://b.example.com" }]
files = [{ host = "./w", guest = "/work", access = "read" }, { host = "./d", guest = "/data", access = "write" }]
calls = ["calc", "time_now"]
env = { A = "1" }"#,
        "net = [{ to = \"https://a.example.com\" }]\nfiles = [{ access = \"write\", guest = \"/work\" }]\ncalls = [\"calc\"]",
    );
    let read = |path: &str| grants.check_file(path, FileAccess::Read);
    let denials = vec![
        (net(&grants, "GET", "https://c.example.com/"), UNWRITTEN),
        (net(&grants, "POST", "https://a.example.com/"), UNWRITTEN),
        (net(&grants, "GET", "https://b.example.com/"), UNREQUESTED),
        (net(&grants, "BREW", "https://a.example.com/"), UNWRITTEN),
        (net(&grants, "GET", "ftp://a.example.com/"), UNWRITTEN),
        (net(&grants, "GET", "data:text/plain,x"), UNWRITTEN),
        (net(&grants, "GET", "https://u@a.example.com/"), MISREAD),
        (
            net(&grants, "GET", "https://a.example.com/%2e%2e%2f"),
            MISREAD,
        ),
        (read("/etc/passwd"), UNWRITTEN),
        (
            grants.check_file("/work/x", FileAccess::Write),
            "toolcell.toml:3 tool.pack.files[0]",
        ),
        (read("/data/x"), UNREQUESTED),
        (read("/work/../data"), CLIMBING),
        (read("work/x"), CLIMBING),
        (grants.check_call("time_now"), UNREQUESTED),
        (grants.check_call("files_read"), UNWRITTEN),
        (grants.check_env("A"), UNREQUESTED),
        (grants.check_env("B"), UNWRITTEN),
    ];
    (grants, denials)
}

#[test]
fn denials_name_the_rule_and_not_the_way_around() {
    let (grants, denials) = denied();
    let read = |path: &str| grants.check_file(path, FileAccess::Read);
    for (verdict, rule) in denials {
        assert_eq!(
            (verdict.effect, verdict.rule.to_string().as_str()),
            (Effect::Deny, rule),
            "{}",
            verdict.reason
        );
        for word in ["toolcell.toml", "policy file", " add ", "grant it"] {
            assert!(!verdict.reason.contains(word), "{}", verdict.reason);
        }
    }
    assert!(read("/work").is_allowed() && read("/work/./a//b").is_allowed());
    assert!(net(&grants, "HEAD", "https://a.example.com/x").is_allowed());
    assert!(grants.check_call("calc").is_allowed());
}

#[test]
fn reasons_show_no_query_and_no_control_characters() {
    let grants = grants("", "");
    let verdict = net(&grants, "GET", "https://a.example.com/p?token=secret#frag");
    assert_eq!(
        verdict.reason,
        "GET https://a.example.com/p is not granted to this tool"
    );
    let verdict = grants.check_file("/a\u{1b}[31m\u{202e}b", FileAccess::Read);
    assert!(
        !verdict.reason.contains(['\u{1b}', '\u{202e}']),
        "{}",
        verdict.reason
    );
    let verdict = grants.check_call(&"x".repeat(10_000));
    assert!(verdict.reason.len() < 200);
}

#[test]
fn a_request_for_less_access_narrows_the_grant() {
    let grants = grants(
        "files = [{ host = \"./w\", guest = \"/work\", access = \"write\" }]",
        "files = [{ access = \"read\" }]",
    );
    assert_eq!(grants.files()[0].access, FileAccess::Read);
    let verdict = grants.check_file("/work/a", FileAccess::Write);
    assert_eq!(verdict.rule.to_string(), UNREQUESTED);
}

#[test]
fn a_request_or_a_wildcard_never_opens_private_addresses() {
    let special = |policy: &str, request: &str, address: &str| {
        let grants = grants(
            &format!("net = [{policy}]"),
            &format!("net = [{{ to = \"{request}\" }}]"),
        );
        grants
            .net_grant(&Url::parse(address).unwrap())
            .is_some_and(NetGrant::allows_special_addresses)
    };
    let wild = "{ to = \"https://*.corp.internal\" }";
    let exact = "{ to = \"https://db.corp.internal\" }";
    assert!(!special(
        wild,
        "https://db.corp.internal",
        "https://db.corp.internal/"
    ));
    assert!(special(exact, "any", "https://db.corp.internal/"));
    assert!(!special(exact, "any", "https://x.corp.internal/"));
    let both = format!(
        "{{ to = \"https://*.corp.internal\", methods = [\"GET\", \"POST\"], paths = [\"/x\"] }}, {exact}"
    );
    assert!(special(&both, "any", "https://db.corp.internal/"));
    let denied = "{ to = \"https://*.corp.internal\" }, { to = \"https://db.corp.internal\", methods = [\"POST\"], approve = \"deny\" }";
    assert!(!special(denied, "any", "https://db.corp.internal/"));
}

#[test]
fn grants_can_be_shown_as_json() {
    let grants = grants(
        "net = [{ to = \"http://localhost:3000\", approve = \"ask\" }]",
        "net = [{ to = \"any\" }]",
    );
    let json = serde_json::to_value(&grants).unwrap();
    assert_eq!(json["net"][0]["to"], "http://localhost:3000");
    assert_eq!(json["net"][0]["special_addresses"], true);
    assert_eq!(json["net"][0]["rule"]["line"], 2);
    assert_eq!(json["limits"]["requests"], 64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_allowed_is_also_shown(policy in ceiling(), manifest in manifest()) {
        let decision = decide(&Layers::from(policy), &manifest, "read");
        let Some(grants) = decision.grants() else { return Ok(()) };
        for access in probes() {
            match &access {
                Access::Net { method, url } if grants.check_net(method.name(), url).effect < Effect::Deny => {
                    prop_assert!(grants.net_grant(url).is_some(), "{access}");
                }
                Access::Env { name } => {
                    let shown = grants.env().iter().any(|it| it.name == *name);
                    prop_assert_eq!(grants.check_env(name).is_allowed(), shown);
                }
                Access::Call { tool } => {
                    let shown = grants.calls().iter().any(|it| it.tool == *tool);
                    prop_assert_eq!(grants.check_call(tool).is_allowed(), shown);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn any_access_gets_an_answer(method in ".{0,12}", address in ".{0,40}", path in ".{0,40}") {
        let grants = grants("net = [{ to = \"https://a.example.com\" }]", "net = [{ to = \"any\" }]");
        if let Ok(url) = Url::parse(&address) {
            let _ = grants.check_net(&method, &url);
        }
        let _ = grants.check_file(&path, FileAccess::Write);
        let _ = (grants.check_call(&path), grants.check_env(&path));
    }
}

/// What two files, each with the rest of its only file grant and its `scratch`, leave of both.
fn layered(upper: &str, lower: &str, request: &str) -> GrantSet {
    let policy = |text: &str| Policy::from_toml(&format!("[tool.pack]\n{text}")).unwrap();
    let layers = Layers::new()
        .with(crate::Layer::User, policy(upper))
        .with(crate::Layer::Project, policy(lower));
    let text = format!(
        "name = \"pack\"\nversion = \"1.0.0\"\n[[tool]]\nname = \"read\"\ninput = {{ type = \"object\" }}\n[request]\n{request}"
    );
    let manifest = Manifest::from_toml(&text).unwrap();
    decide(&layers, &manifest, "read").grants().unwrap().clone()
}

const WRITE: &str = "files = [{ access = \"write\" }]";

fn work(unlock: &str) -> String {
    format!("files = [{{ host = \"w\", guest = \"/work\", access = \"write\"{unlock} }}]")
}

#[test]
fn guarded_places_are_denied_for_writing_unless_every_layer_unlocks_them() {
    let both = ", unlock = [\".git\", \".Git/Hooks\"]";
    let hooks = ", unlock = [\".git/hooks\"]";
    for (upper, lower, unlocked) in [
        ("", "", vec![]),
        (both, "", vec![]),
        ("", both, vec![]),
        (both, hooks, vec![".git/hooks"]),
        (both, both, vec![".git", ".git/hooks"]),
    ] {
        let grants = layered(&work(upper), &work(lower), WRITE);
        assert_eq!(grants.files()[0].unlock, unlocked);
        let verdict = grants.check_file("/work/x/.GIT/hooks/pre-commit", FileAccess::Write);
        assert_eq!(verdict.is_allowed(), unlocked.len() == 2, "{verdict:?}");
        if !verdict.is_allowed() {
            assert!(
                verdict.rule.to_string().contains("guarded place"),
                "{verdict:?}"
            );
        }
        let read = grants.check_file("/work/x/.GIT/hooks/pre-commit", FileAccess::Read);
        assert!(read.is_allowed());
        assert!(
            grants
                .check_file("/work/src/x", FileAccess::Write)
                .is_allowed()
        );
    }
}

#[test]
fn a_scratch_directory_needs_every_layer_and_the_request() {
    let tmp = "scratch = \"/tmp\"";
    let of = |upper: &str, lower: &str, request: &str| {
        let grants = layered(upper, lower, request);
        let allowed = grants
            .check_file("/tmp/.bashrc", FileAccess::Write)
            .is_allowed();
        assert_eq!(allowed, grants.scratch().is_some());
        assert_eq!(allowed, !grants.is_empty());
        allowed
    };
    assert!(of(tmp, tmp, WRITE));
    assert!(of(
        tmp,
        tmp,
        "files = [{ access = \"write\", guest = \"/tmp\" }]"
    ));
    assert!(!of(tmp, "", WRITE));
    assert!(!of("", tmp, WRITE));
    assert!(!of(tmp, "scratch = \"/var\"", WRITE));
    assert!(!of(tmp, tmp, "files = [{ access = \"read\" }]"));
    assert!(!of(
        tmp,
        tmp,
        "files = [{ access = \"write\", guest = \"/work\" }]"
    ));
    assert!(!of(tmp, tmp, ""));
}
