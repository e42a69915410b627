use proptest::prelude::*;

use super::*;
use crate::{Layer, Layers, Policy};

const ALL: &str = r#"[telemetry]
otlp = "https://collector.internal:4318/otlp"
listen = "127.0.0.1:9464"
hosts = ["metrics.internal"]
textfile = "metrics/toolcell.prom"
content = true

[telemetry.headers]
authorization = "Bearer env:OTLP_TOKEN"
x-scope-orgid = "team a"
"#;

fn problem(text: &str) -> String {
    Policy::from_toml(text).unwrap_err().to_string()
}

#[test]
fn a_table_is_read_and_printed() {
    let policy = Policy::from_toml(ALL).unwrap().with_base("/etc/toolcell");
    let printed = policy.to_toml();
    assert_eq!(Policy::from_toml(&printed).unwrap().to_toml(), printed);
    let settings = Layers::from(policy).telemetry();
    assert_eq!(
        settings.otlp.unwrap().as_str(),
        "https://collector.internal:4318/otlp"
    );
    assert_eq!(settings.listen.unwrap().to_string(), "127.0.0.1:9464");
    assert_eq!(settings.hosts, ["metrics.internal"]);
    assert_eq!(
        (settings.content, settings.base.as_deref()),
        (Some(true), Some("/etc/toolcell"))
    );
    let [auth, scope] = settings.headers.as_slice() else {
        panic!("{:?}", settings.headers);
    };
    assert_eq!(auth.text, "Bearer ");
    assert_eq!(
        auth.source,
        Some(SecretSource::Env("OTLP_TOKEN".to_owned()))
    );
    assert_eq!((scope.text.as_str(), &scope.source), ("team a", &None));
}

#[test]
fn a_file_below_the_one_that_lists_tools_has_no_say() {
    let listing = Policy::parse("user", "[tool.a]\n").unwrap();
    let project = Policy::parse(
        "project",
        "[telemetry]\notlp = \"http://evil.example\"\ncontent = true\n",
    );
    let layers = Layers::new()
        .with(Layer::User, listing)
        .with(Layer::Project, project.unwrap());
    assert_eq!(layers.telemetry(), TelemetrySettings::default());
}

#[test]
fn what_is_wrong_is_told() {
    for (line, words) in [
        ("otlp = \"collector:4318\"", "does not begin with http"),
        ("otlp = \"ftp://a\"", "does not begin with http"),
        ("otlp = \"http://u:p4ssw0rd@a\"", "holds a user name"),
        ("otlp = \"http://a/?k=v\"", "holds more than"),
        ("otlp = 4318", "must be a string"),
        ("listen = \"everywhere\"", "is no address"),
        ("listen = \"127.0.0.1\"", "is no address"),
        ("listen = \"127.0.0.1:99999\"", "is no address"),
        (
            "listen = \":9464\"\nhosts = [\"*.example.com\"]",
            "is no name",
        ),
        ("hosts = [\"a\"]", "only beside `listen`"),
        ("headers = { a = \"b\" }", "only beside `otlp`"),
        (
            "otlp = \"http://a\"\nheaders = { \"a b\" = \"c\" }",
            "is no header",
        ),
        (
            "otlp = \"http://a\"\nheaders = { Host = \"c\" }",
            "is no header",
        ),
        (
            "otlp = \"http://a\"\nheaders = { x-a = \"env:not a name\" }",
            "not a name",
        ),
        (
            "otlp = \"http://a\"\nheaders = { x-a = \"b\\nc: d\" }",
            "where its value comes from",
        ),
        ("textfile = \"\"", "is empty"),
        ("content = \"yes\"", "must be true or false"),
        ("endpoint = \"x\"", "no key `endpoint`"),
    ] {
        let told = problem(&format!("[telemetry]\n{line}\n"));
        assert!(told.contains(words), "{line}: {told}");
    }
}

#[test]
fn a_credential_that_is_written_out_is_refused_and_not_shown() {
    for name in [
        "Authorization",
        "x-api-key",
        "Cookie",
        "X-Honeycomb-Team-Secret",
    ] {
        let line =
            format!("otlp = \"http://a\"\nheaders = {{ {name} = \"Bearer hcaik_01jq2zz7\" }}");
        let problems = Policy::from_toml(&format!("[telemetry]\n{line}\n")).unwrap_err();
        let told = format!("{problems} {problems:?}");
        assert!(told.contains("no place in a policy"), "{told}");
        for problem in &problems {
            assert!(!problem.to_string().contains("hcaik"), "{name}: {problem}");
        }
    }
}

#[test]
fn addresses_to_listen_at() {
    for (text, address) in [
        ("9464", "127.0.0.1:9464"),
        (":0", "127.0.0.1:0"),
        ("localhost:1", "127.0.0.1:1"),
        ("0.0.0.0:80", "0.0.0.0:80"),
        ("[::1]:9464", "[::1]:9464"),
    ] {
        assert_eq!(parse_listen(text).unwrap().to_string(), address);
    }
    for text in ["", ":", "+9", ":+9", "metrics.internal:9464", "::1:9464"] {
        assert!(parse_listen(text).is_err(), "{text}");
    }
}

proptest! {
    /// Whatever stands there, it is read or told, and what is read is printed so that it is read again.
    #[test]
    fn any_text_is_read_or_told(value in "\\PC{0,40}", key in "otlp|listen|textfile") {
        let text = format!("[telemetry]\n{key} = {}\n", serde_json::Value::from(value));
        if let Ok(policy) = Policy::from_toml(&text) {
            let printed = policy.to_toml();
            prop_assert_eq!(Policy::from_toml(&printed).unwrap().to_toml(), printed);
        }
    }
}
