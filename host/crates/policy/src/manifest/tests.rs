use serde_json::json;

use super::*;
use crate::{Method, Problem};

const WEATHER: &str = r#"
name = "weather"
version = "0.1.0"
world = "toolcell:tool@0.1"
description = "Weather by city"

[[tool]]
name = "forecast"
description = "Forecast for a city"
input = { type = "object", required = ["city"], properties = { city = { type = "string" }, days = { type = "integer", maximum = 7 } } }
annotations = { read-only = true, idempotent = true, open-world = true }

[request]
net = [{ to = "https://api.example.com", methods = ["GET"], paths = ["/v1/**"], why = "fetch forecasts" }]
secrets = [{ name = "WEATHER_KEY", to = "https://api.example.com", header = "X-Api-Key" }]
files = [{ access = "read" }, { access = "write", guest = "/cache", why = "keep forecasts" }]
env = ["LANG", { name = "TZ", why = "local time" }]
calls = ["time_now"]
"#;

/// A manifest with one more line in its tool or its request.
fn with(tool: &str, request: &str) -> String {
    format!(
        "name = \"a\"\nversion = \"1.0.0\"\n[[tool]]\nname = \"t\"\ninput = {{ type = \"object\" }}\n{tool}\n[request]\n{request}"
    )
}

fn problem(text: &str) -> Problem {
    let problems = match Manifest::from_toml(text) {
        Ok(manifest) => panic!("no problem found in\n{text}\nread as {manifest:#?}"),
        Err(problems) => problems,
    };
    assert_eq!(problems.count(), 1, "{problems:?}");
    problems.iter().next().cloned().unwrap()
}

#[test]
fn the_manifest_of_the_guide_is_read_in_full() {
    let manifest = Manifest::from_toml(WEATHER).unwrap();
    assert_eq!(manifest.name, "weather");
    let tool = manifest.tool("forecast").unwrap();
    assert_eq!(manifest.public_name(tool), "weather_forecast");
    assert_eq!(tool.input["properties"]["days"]["maximum"], json!(7));
    assert_eq!(tool.annotations.read_only, Some(true));
    assert_eq!(tool.annotations.destructive, None);
    let request = &manifest.request;
    assert_eq!(request.net[0].scope.methods, [Method::Get]);
    assert_eq!(request.net[0].why.as_deref(), Some("fetch forecasts"));
    assert_eq!(request.files[1].guest.as_deref(), Some("/cache"));
    assert_eq!(request.env[1].name, "TZ");
    assert_eq!(request.calls, ["time_now"]);
    let place = request.secrets[0].place.as_ref().unwrap();
    assert_eq!(place.written(), ("header", "X-Api-Key: {}".to_owned()));
    assert_eq!(Manifest::from_toml(&manifest.to_toml()).unwrap(), manifest);
}

#[test]
fn any_host_can_be_requested() {
    let manifest = Manifest::from_toml(&with("", "net = [{ to = \"any\" }]")).unwrap();
    assert_eq!(manifest.request.net[0].scope.to, None);
    assert_eq!(
        manifest.request.net[0].scope.methods,
        [Method::Get, Method::Head]
    );
}

#[test]
fn a_schema_can_be_json_in_a_string() {
    let schema =
        r#"{"type":"object","properties":{"a":{"default":null,"maximum":18446744073709551615}}}"#;
    let text = format!(
        "name = \"a\"\nversion = \"1.0.0\"\n[[tool]]\nname = \"t\"\ninput = '{schema}'\noutput = {{ type = \"object\" }}"
    );
    let manifest = Manifest::from_toml(&text).unwrap();
    assert_eq!(
        manifest.tools[0].input["properties"]["a"]["default"],
        Value::Null
    );
    assert_eq!(manifest.tools[0].output, Some(json!({ "type": "object" })));
    assert_eq!(Manifest::from_toml(&manifest.to_toml()).unwrap(), manifest);
}

#[test]
fn a_component_without_manifest_gets_a_plain_one() {
    for (stem, name) in [
        ("greet", "greet"),
        ("My Tool_v2", "my-tool-v2"),
        ("---", "tool"),
        ("123", "tool"),
        ("", "tool"),
        ("大", "tool"),
    ] {
        let manifest = Manifest::default_for(stem);
        assert_eq!(manifest.name, name);
        assert_eq!(manifest.public_name(&manifest.tools[0]), name);
        assert_eq!(*manifest.request, Requests::default());
        assert_eq!(Manifest::from_toml(&manifest.to_toml()).unwrap(), manifest);
    }
}

fn refuse(cases: &[(String, &str)]) {
    for (text, part) in cases {
        let found = problem(text);
        assert!(found.message().contains(part), "{text}\n{found:?}");
        assert_eq!(found.code(), "invalid_manifest");
    }
}

#[test]
fn bad_names_and_versions_are_refused() {
    refuse(&[
        (
            with("", "").replace("name = \"a\"", "name = \"My_Tool\""),
            "not in kebab-case",
        ),
        (
            with("", "").replace("name = \"a\"\n", ""),
            "`name` is missing",
        ),
        (
            with("", "").replace("name = \"a\"", "name = 1"),
            "must be a string",
        ),
        (with("", "").replace("1.0.0", "1.0"), "is not a version"),
        (with("", "").replace("1.0.0", "v1.0.0"), "is not a version"),
        (with("", "").replace("1.0.0", "01.0.0"), "is not a version"),
        (
            with("", "").replace("name = \"a\"", "name = \"a\"\nworld = \"wasi:cli\""),
            "not a contract",
        ),
        (
            with("", "").replace("name = \"a\"", "name = \"a\"\nwrold = \"x\""),
            "no key `wrold`",
        ),
        (
            "name = \"a\"\nversion = \"1.0.0\"".to_owned(),
            "offers no tool",
        ),
        (
            "name = \"a\"\nversion = \"1.0.0\"\ntool = []".to_owned(),
            "offers no tool",
        ),
        (
            with("", "").replace("name = \"t\"\n", ""),
            "`tool[0].name` is missing",
        ),
        (
            with("", "").replace("input = { type = \"object\" }", ""),
            "`tool[0].input` is missing",
        ),
    ]);
}

#[test]
fn bad_schemas_and_descriptions_are_refused() {
    refuse(&[
        (
            with("", "").replace("\"object\"", "\"string\""),
            "must describe an object",
        ),
        (
            with("", "").replace("\"object\"", "2026-01-01"),
            "is a date",
        ),
        (
            with("", "").replace("\"object\"", "\"object\", x = nan"),
            "a number that JSON does not have",
        ),
        (
            with("", "").replace("{ type = \"object\" }", "'{'"),
            "is not JSON",
        ),
        (
            with("output = { type = \"array\" }", ""),
            "must describe an object",
        ),
        (
            with("annotations = { readonly = true }", ""),
            "no key `readonly`",
        ),
        (
            with("annotations = { read-only = 1 }", ""),
            "must be true or false",
        ),
        (with("description = \"a\\u202Eb\"", ""), "U+202E"),
        (with("description = \"a\\U000E0041b\"", ""), "U+E0041"),
        (with("description = \"a\\u001Bb\"", ""), "U+001B"),
        (
            with("output = { type = \"object\", title = \"x\\u200By\" }", ""),
            "U+200B",
        ),
    ]);
}

#[test]
fn bad_requests_are_refused() {
    refuse(&[
        (with("", "net = [{ to = \"https://*\" }]"), "bare `*`"),
        (
            with("", "net = [{ to = \"any\" }, { to = \"any\" }]"),
            "stands here twice",
        ),
        (
            with("", "net = [{ to = \"any\", why = 1 }]"),
            "must be a string",
        ),
        (
            with("", "files = [{ guest = \"/x\" }]"),
            "access` is missing",
        ),
        (
            with("", "files = [{ access = \"read\", guest = \"x\" }]"),
            "not an absolute, normalised path",
        ),
        (
            with("", "env = [\"A-B\"]"),
            "not a name of an environment variable",
        ),
        (with("", "env = [{ why = \"x\" }]"), "name` is missing"),
        (with("", "calls = [\"X\"]"), "not a tool's public name"),
        (with("", "secrets = [{ name = \"K\" }]"), "to` is missing"),
        (
            with("", "secrets = [{ name = \"K K\", to = \"https://a.b\" }]"),
            "not a name of a secret",
        ),
        (
            with("", "secrets = [{ name = \"K\", to = \"a.b\" }]"),
            "names no scheme",
        ),
        (with("", "clock = \"real\""), "no key `clock`"),
    ]);
}

#[test]
fn tools_of_a_package_have_different_names() {
    let two = |a: &str, b: &str| {
        let tool =
            |name: &str| format!("[[tool]]\nname = \"{name}\"\ninput = {{ type = \"object\" }}\n");
        format!("name = \"a\"\nversion = \"1.0.0\"\n{}{}", tool(a), tool(b))
    };
    assert!(problem(&two("x", "x")).message().contains("second tool"));
    assert!(
        problem(&two("tool-1", "tool-l"))
            .message()
            .contains("look alike")
    );
    let long = "x".repeat(63);
    assert!(
        problem(&two(&long, "y"))
            .message()
            .contains("more than 64 characters")
    );
    assert!(Manifest::from_toml(&two("x", "y")).is_ok());
}

#[test]
fn sizes_have_ceilings() {
    let long = "x".repeat(MAX_DESCRIPTION_BYTES + 1);
    assert!(
        problem(&with(&format!("description = \"{long}\""), ""))
            .message()
            .contains("at most 4096")
    );
    let just = "x".repeat(MAX_DESCRIPTION_BYTES);
    assert!(Manifest::from_toml(&with(&format!("description = \"{just}\""), "")).is_ok());
    let why = "x".repeat(MAX_WHY_BYTES + 1);
    let request = format!("env = [{{ name = \"A\", why = \"{why}\" }}]");
    assert!(
        problem(&with("", &request))
            .message()
            .contains("at most 512")
    );
    let big = "x".repeat(MAX_SCHEMA_BYTES);
    let schema = format!("output = {{ type = \"object\", title = \"{big}\" }}");
    assert!(
        problem(&with(&schema, ""))
            .message()
            .contains("at most 65536")
    );
    let comment = format!("{}\n#{}", with("", ""), "x".repeat(MAX_MANIFEST_BYTES));
    assert!(problem(&comment).message().contains("at most 262144"));
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let schema = format!("output = {{ type = \"object\", examples = {deep} }}");
    assert!(
        problem(&with(&schema, ""))
            .message()
            .contains("nested deeper")
    );
    let tool = |n: usize| format!("[[tool]]\nname = \"t{n}x\"\ninput = {{ type = \"object\" }}\n");
    let tools: String = (0..=MAX_TOOLS).map(tool).collect();
    let text = format!("name = \"a\"\nversion = \"1.0.0\"\n{tools}");
    assert!(problem(&text).message().contains("at most 128"));
}

#[test]
fn a_manifest_is_json_for_people_who_inspect_it() {
    let json = serde_json::to_value(Manifest::from_toml(WEATHER).unwrap()).unwrap();
    assert_eq!(json["request"]["net"][0]["to"], "https://api.example.com");
    assert_eq!(json["request"]["net"][0]["paths"][0], "/v1/**");
    assert_eq!(json["tools"][0]["name"], "forecast");
}
