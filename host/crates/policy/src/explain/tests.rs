use super::*;
use crate::Policy;

const POLICY: &str = r#"
[default.limits]
time = "20s"
[tool.weather]
net = [
  { to = "https://api.example.com", methods = ["GET", "POST"], paths = ["/v1/**"] },
  { to = "http://localhost:3000", approve = "ask" },
  { to = "https://api.example.com", methods = ["POST"], paths = ["/v1/admin/**"], approve = "deny" },
]
files = [{ host = "./cache", guest = "/cache", access = "read" }]
env = { LANG = "C.UTF-8" }
calls = ["time_now"]
clock = "frozen:2026-01-01T00:00:00Z"
random = "seeded:7"
isolation = "process"
approve = { "*" = "allow", history = "ask", erase = "deny" }
"#;

const MANIFEST: &str = r#"
name = "weather"
version = "0.1.0"
[[tool]]
name = "forecast"
input = { type = "object" }
[[tool]]
name = "history"
input = { type = "object" }
[[tool]]
name = "erase"
input = { type = "object" }
[request]
net = [{ to = "any", methods = ["GET", "POST"] }, { to = "https://other.example", why = "mirror" }]
files = [{ access = "write", guest = "/cache", why = "keep forecasts" }]
env = ["LANG", "TZ"]
calls = ["time_now", "calc"]
secrets = [{ name = "KEY", to = "https://api.example.com" }]
"#;

fn setup() -> (Layers, Manifest) {
    (
        Policy::from_toml(POLICY).unwrap().into(),
        Manifest::from_toml(MANIFEST).unwrap(),
    )
}

#[test]
fn a_tool_is_explained_in_plain_words() {
    let (layers, manifest) = setup();
    let all: Vec<String> = ["forecast", "history", "erase", "unknown"]
        .iter()
        .map(|tool| explain(&layers, &manifest, tool).to_string())
        .collect();
    insta::assert_snapshot!("tool", all.join("\n\n"));
}

#[test]
fn without_grants_that_is_said() {
    let explanation = explain(&Layers::new(), &Manifest::default_for("greet"), "greet");
    assert!(
        explanation
            .lines
            .iter()
            .any(|line| line.contains("reaches no directory"))
    );
    assert_eq!(explanation.effect, Effect::Allow);
}

#[test]
fn an_access_is_explained_with_what_would_grant_it() {
    let (layers, manifest) = setup();
    let accesses = [
        "https://api.example.com/v1/lisbon",
        "POST https://api.example.com/v1/admin/x",
        "DELETE https://api.example.com/v1/x",
        "http://localhost:3000/x",
        "https://example.com/a",
        "https://example.com/%2e%2e%2fa",
        "read /cache/a",
        "write /cache/a",
        "read /etc/passwd",
        "env LANG",
        "env TZ",
        "env HOME",
        "call time_now",
        "call calc",
    ];
    let all: Vec<String> = accesses
        .iter()
        .map(|text| {
            let access = Access::parse(text).unwrap();
            explain_access(&layers, &manifest, "forecast", &access).to_string()
        })
        .collect();
    insta::assert_snapshot!("access", all.join("\n\n"));
}

#[test]
fn explanations_are_json_too() {
    let (layers, manifest) = setup();
    let json = serde_json::to_value(explain(&layers, &manifest, "erase")).unwrap();
    assert_eq!(json["effect"], "deny");
    assert_eq!(json["rule"]["layer"], "project");
    assert_eq!(json["tool"], "weather_erase");
}
