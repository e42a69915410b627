use proptest::{collection::vec, prelude::*};

use super::*;

const MANIFEST: &str = r#"
    name = "web"
    version = "0.1.0"
    [[tool]]
    name = "web"
    input = { type = "object" }
    [request]
    net = [{ to = "any", methods = ["GET", "POST", "DELETE"], why = "a test" }]
    files = [{ access = "write", why = "a test" }]
    calls = ["time_now"]
    secrets = [{ name = "WEB_KEY", to = "https://a.example", header = "X-Key: {}", why = "a test" }]
"#;

fn learned(policy: &str, accesses: &[&str]) -> Learned {
    let manifest = Manifest::from_toml(MANIFEST).unwrap();
    let layers = match policy {
        "" => Layers::new(),
        policy => Layers::from(Policy::from_toml(policy).unwrap()),
    };
    let accesses: Vec<Access> = accesses
        .iter()
        .map(|access| Access::parse(access).unwrap())
        .collect();
    let watched = Watched {
        manifest: &manifest,
        from: Some("./web.wasm"),
        accesses: &accesses,
    };
    learn(&layers, &[watched])
}

#[test]
fn requests_become_rules_for_exactly_them() {
    let learned = learned(
        "",
        &[
            "GET https://b.example/v1/a?q=1",
            "GET https://b.example/v1/a?q=2",
            "GET https://b.example/v1/b",
            "POST https://b.example/v1/b",
            "GET https://b.example:8443/",
            "GET http://b.example/%66oo",
        ],
    );
    assert_eq!(
        learned.toml,
        r#"[tool.web]
from = "./web.wasm"
net = [
    { to = "https://b.example", methods = ["GET"], paths = ["/v1/a"] },
    { to = "https://b.example", methods = ["GET", "POST"], paths = ["/v1/b"] },
    { to = "https://b.example:8443", methods = ["GET"], paths = ["/"] },
    { to = "http://b.example", methods = ["GET"], paths = ["/foo"] },
]
"#
    );
    assert_eq!(learned.notes, [""; 0]);
}

#[test]
fn a_path_that_reads_as_a_pattern_is_told_and_not_widened() {
    let learned = learned("", &["GET https://b.example/a*b"]);
    assert_eq!(learned.toml, "[tool.web]\nfrom = \"./web.wasm\"\n");
    assert_eq!(
        learned.notes,
        ["web: GET https://b.example/a*b cannot be written as a rule that means only this"]
    );
}

#[test]
fn a_secret_is_proposed_for_what_was_reached_of_its_place() {
    let learned = learned(
        "",
        &["GET https://a.example/v1/a", "POST https://a.example/v1/b"],
    );
    assert!(
        learned.toml.ends_with(
            "secrets.WEB_KEY = { from = \"env:WEB_KEY\", to = \"https://a.example\", header = \"X-Key: {}\", methods = [\"GET\", \"POST\"], paths = [\"/v1/a\", \"/v1/b\"] }\n"
        ),
        "{}",
        learned.toml
    );
    let elsewhere = super::tests::learned("", &["GET https://b.example/v1/a"]);
    assert!(!elsewhere.toml.contains("secrets"), "{}", elsewhere.toml);
}

#[test]
fn directories_are_the_deepest_that_hold_what_was_touched() {
    let policy = r#"
        [tool.web]
        files = [
            { host = "./workspace", guest = "/work", access = "write" },
            { host = "/srv/unused", guest = "/unused", access = "read" },
        ]
    "#;
    let learned = learned(
        policy,
        &[
            "read /work/a/b/one.txt",
            "read /work/a/c/two.txt",
            "read /data/x/three.txt",
        ],
    );
    assert!(
        learned.toml.contains(
            "files = [\n    { host = \"./workspace/a\", guest = \"/work/a\", access = \"read\" },\n    { host = \"/data/x\", guest = \"/data/x\", access = \"read\" },\n]"
        ),
        "{}",
        learned.toml
    );
    assert_eq!(
        learned.notes,
        ["web: choose which directory of this machine shall be /data/x"]
    );
    let writing = super::tests::learned(policy, &["read /work/a.txt", "write /work/b/c.txt"]);
    assert!(
        writing
            .toml
            .contains("{ host = \"./workspace\", guest = \"/work\", access = \"write\" }"),
        "{}",
        writing.toml
    );
}

#[test]
fn what_a_person_denied_stays_denied() {
    let policy = r#"
        [tool.web]
        net = [
            { to = "https://b.example" },
            { to = "https://b.example", paths = ["/private/**"], approve = "deny" },
        ]
    "#;
    let learned = learned(
        policy,
        &[
            "GET https://b.example/private/a",
            "GET https://b.example/open",
        ],
    );
    assert!(
        learned.toml.contains("paths = [\"/open\"]"),
        "{}",
        learned.toml
    );
    assert!(!learned.toml.contains("private"), "{}", learned.toml);
    assert_eq!(
        learned.notes,
        ["web: GET https://b.example/private/a stays denied by toolcell.toml:5 tool.web.net[1]"]
    );
}

#[test]
fn calls_are_learned_and_nothing_seen_gives_an_empty_table() {
    let learned = learned("", &["call time_now", "call time_now"]);
    assert!(
        learned.toml.contains("calls = [\"time_now\"]\n"),
        "{}",
        learned.toml
    );
    let nothing = super::tests::learned("", &[]);
    assert_eq!(nothing.toml, "[tool.web]\nfrom = \"./web.wasm\"\n");
}

proptest! {
    /// Whatever was seen, the printed policy can be read, allows all of it that it does not speak of in a note, and nothing
    /// on another host, with another method, or on another path.
    #[test]
    fn what_is_learned_is_enough_and_no_more(
        seen in vec(("(GET|POST|DELETE)", "(a|b)", "/[a-z*%.~é]{0,4}(/[a-z]{0,3})?"), 0..12),
        other in ("(GET|POST|DELETE)", "(a|b|c)", "/[a-z]{0,4}(/[a-z]{0,3})?"),
    ) {
        let access = |(method, host, path): &(String, String, String)| {
            Access::parse(&format!("{method} https://{host}.example{path}"))
        };
        let seen: Vec<Access> = seen.iter().filter_map(access).collect();
        let manifest = Manifest::from_toml(MANIFEST).unwrap();
        let watched = Watched { manifest: &manifest, from: Some("./web.wasm"), accesses: &seen };
        let learned = learn(&Layers::new(), &[watched]);
        let layers = Layers::from(Policy::from_toml(&learned.toml).unwrap());
        for access in &seen {
            let allowed = verdict(&layers, &manifest, "web", access).is_allowed();
            let told = learned.notes.iter().any(|note| note.contains(&format!(": {access} ")));
            prop_assert!(allowed != told, "{access}: {learned:?}");
        }
        let other = access(&other).unwrap();
        if verdict(&layers, &manifest, "web", &other).is_allowed() {
            prop_assert!(seen.contains(&other), "{other}: {learned:?}");
        }
    }
}
