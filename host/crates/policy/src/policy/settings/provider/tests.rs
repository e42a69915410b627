use super::*;
use crate::{Layer, Layers, Policy};

const ALL: &str = r#"
[provider.local]
api = "openai"
url = "http://127.0.0.1:11434/v1/"
lacks = ["stream_options", "strict"]

[provider.team]
api = "anthropic"
url = "https://gateway.example.com"
key = "keyring:TEAM"
auth = "x-api-key"
version = "2023-06-01"
headers = { X-Team = "a b" }

[provider.vertex]
region = "europe-west1"
project = "p-1"
key = "file:token"

[provider.lan]
api = "bedrock"
url = "http://10.0.0.7:8080"
allow_http = true
region = "eu-west-1"
"#;

fn problem(text: &str) -> String {
    Policy::from_toml(text).unwrap_err().to_string()
}

fn named<'a>(providers: &'a [ProviderSettings], name: &str) -> &'a ProviderSettings {
    providers.iter().find(|it| it.name == name).unwrap()
}

#[test]
fn providers_are_read_and_written() {
    let policy = Policy::from_toml(ALL).unwrap().with_base("/etc/x");
    let text = policy.to_toml();
    assert_eq!(Policy::from_toml(&text).unwrap().to_toml(), text);
    let providers = Layers::from(policy).providers();
    let local = named(&providers, "local");
    assert_eq!(local.api, ModelApi::Openai);
    assert_eq!(local.url.as_deref(), Some("http://127.0.0.1:11434/v1"));
    let lacks = local.lacks.as_deref().unwrap();
    assert_eq!(lacks, ["stream_options", "strict"]);
    let team = named(&providers, "team");
    assert_eq!(team.key, Some(SecretSource::Keyring("TEAM".into())));
    assert_eq!(team.auth, Some(KeyHeader::XApiKey));
    assert_eq!(team.headers, [("x-team".to_owned(), "a b".to_owned())]);
    assert_eq!(team.rule.key, "provider.team".into());
    let vertex = named(&providers, "vertex");
    assert_eq!(vertex.api, ModelApi::Vertex);
    let key = vertex.key.clone().unwrap();
    assert_eq!(
        key,
        SecretSource::File {
            path: "token".into(),
            base: Some("/etc/x".into())
        }
    );
    assert!(named(&providers, "lan").allow_http);
}

#[test]
fn the_highest_file_that_has_a_name_decides_about_it() {
    let policy = |name: &str, text: &str| Policy::parse(name, text).unwrap();
    let one = |url: &str, name: &str| {
        format!("[provider.{name}]\napi = \"openai\"\nurl = \"https://{url}\"\n")
    };
    let layers = Layers::new()
        .with(Layer::User, policy("user", &one("a", "x")))
        .with(
            Layer::Project,
            policy(
                "project",
                &(one("b", "x") + &one("c", "y") + "[tool.calc]\n"),
            ),
        )
        .with(Layer::Session, policy("session", &one("d", "z")));
    let providers = layers.providers();
    let urls: Vec<_> = providers
        .iter()
        .map(|it| it.url.as_deref().unwrap())
        .collect();
    // What stands below the highest file that lists tools has no say.
    assert_eq!(urls, ["https://a", "https://c"]);
}

#[test]
fn what_cannot_be_a_provider_is_told() {
    for (table, words) in [
        ("x]", "`provider.x.api` is missing"),
        ("x]\napi = \"opnai\"", "cannot be `opnai`"),
        ("X]\napi = \"openai\"", "cannot be the name"),
        ("scripted]\napi = \"openai\"", "cannot be the name"),
        (
            "openai]\napi = \"anthropic\"",
            "another API than the provider's name",
        ),
        (
            "x]\napi = \"openai\"\nregion = \"r\"",
            "says nothing for the API `openai`",
        ),
        (
            "bedrock]\nlacks = [\"strict\"]",
            "says nothing for the API `bedrock`",
        ),
        ("openai]\nlacks = [\"tools\"]", "cannot be `tools`"),
        ("openai]\nurl = \"http://10.0.0.1\"", "has no TLS"),
        (
            "openai]\nurl = \"http://localhost.example.com\"",
            "has no TLS",
        ),
        (
            "openai]\nurl = \"http://10.0.0.1\"\nallow_http = \"x\"",
            "must be true or false",
        ),
        ("openai]\nurl = \"ftp://x\"", "neither https:// nor"),
        ("openai]\nurl = \"x\"", "is no URL"),
        ("openai]\nurl = \"https://x/?a=b\"", "holds `?`"),
        (
            "openai]\nkey = \"sk-aaaa\"",
            "does not say where the value comes from",
        ),
        (
            "openai]\nheaders = { Authorization = \"Bearer sk-aaaa\" }",
            "cannot be chosen",
        ),
        ("openai]\nheaders = { X = \"a\\nb\" }", "cannot be sent"),
        (
            "openai]\nheaders = { X = \"a\", x = \"b\" }",
            "cannot be sent",
        ),
        ("anthropic]\nversion = \"a b\"", "holds odd characters"),
        ("openai]\ncolour = 1", "no key `colour`"),
    ] {
        let text = format!("[provider.{table}");
        assert!(problem(&text).contains(words), "{text}: {}", problem(&text));
    }
}

#[test]
fn no_problem_shows_a_credential() {
    for table in [
        "openai]\nurl = \"https://user:hunter2-secret@x\"",
        "openai]\nkey = \"hunter2-secret\"",
        "openai]\nkey = \"env:hunter2-secret\"",
        "openai]\nheaders = { x-api-key = \"hunter2-secret\" }",
    ] {
        let problems = Policy::from_toml(&format!("[provider.{table}")).unwrap_err();
        assert!(!problems.to_string().contains("hunter2"), "{table}");
        for problem in problems.iter() {
            assert!(!format!("{problem:?}").contains("hunter2"), "{table}");
        }
    }
}

#[test]
fn there_is_an_end_to_them() {
    let many: String = (0..=MAX_PROVIDERS)
        .map(|n| format!("[provider.p{n}]\napi = \"openai\"\n"))
        .collect();
    assert!(problem(&many).contains("at most 64"));
    let headers: Vec<String> = (0..=MAX_PROVIDER_HEADERS)
        .map(|n| format!("x{n} = \"y\""))
        .collect();
    let text = format!("[provider.openai]\nheaders = {{ {} }}", headers.join(", "));
    assert!(problem(&text).contains("more than 32 headers"));
}
