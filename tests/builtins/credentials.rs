//! The built-in tools with credentials: the server gets the value once, and nobody else ever.

use serde_json::{Value, json};
use toolcell::{
    ErrorKind, Secret, SecretError, SecretQuery, SecretSource, SecretStore, ToolHost,
    ToolHostBuilder, ToolResult, testing::Weakness,
};

use super::{
    call, common,
    double::{Double, Reply, Seen},
};

const VALUE: &str = "made-up-9fQ2xLr7Vt0KbZ4mWc8N1sYdHj5PaE3u";

/// Has one value, under any name.
struct Store;

impl SecretStore for Store {
    async fn get(&self, query: SecretQuery<'_>) -> Result<Option<Secret>, SecretError> {
        assert!(matches!(query.source, SecretSource::Env(_)));
        Ok(Secret::new(VALUE).ok())
    }
}

async fn host(double: &Double, policy: &str) -> ToolHost {
    let host = builder(double, policy).build().unwrap();
    host.load_policy_tools().await.unwrap();
    host
}

fn builder(double: &Double, policy: &str) -> ToolHostBuilder {
    let policy = toolcell::Policy::from_toml(&policy.replace("BASE", &double.base())).unwrap();
    let builder = common::builder(common::isolation()).policy(policy);
    builder.egress(double.egress()).secrets(Store)
}

/// A server that tells everything it was sent, in its headers and in a field of its body.
fn echo(seen: &Seen, field: &str) -> Reply {
    let told = format!("{:?}", seen.headers);
    let known = seen.headers.iter().find(|(_, value)| value.contains(VALUE));
    let value = known.map_or("", |(_, value)| value.as_str()).to_owned();
    Reply::json(200, &json!({ field: told, "results": [], "number": 1 })).header("x-echo", &value)
}

/// Everything that a caller gets, which must not hold the value.
async fn checked(host: &ToolHost, tool: &str, input: Value) -> ToolResult {
    let result = call(host, tool, input).await;
    let shown = format!("{result:?}");
    assert!(!shown.contains(VALUE), "{shown}");
    result
}

const GITHUB: &str = r#"
    [tool.github]
    from = "builtin:github"
    net = [{ to = "BASE", methods = ["GET", "POST"], paths = ["/api/v3/**"] }]
    env = { GITHUB_API_URL = "BASE/api/v3" }
    secrets.GITHUB_TOKEN = { from = "env:GITHUB_TOKEN", to = "BASE", header = "Authorization: Bearer {}" }
"#;

#[tokio::test]
async fn github_uses_a_token_that_it_never_sees() {
    let double = Double::start("github.test", |seen| match seen.path() {
        "/api/v3/repos/acme/site/issues/2" => {
            Reply::json(401, &json!({ "message": "Bad credentials" }))
        }
        "/api/v3/repos/acme/site/issues/3" => {
            let spent = Reply::json(403, &json!({ "message": format!("rate limit of {VALUE}") }));
            spent.header("x-ratelimit-remaining", "0")
        }
        "/api/v3/repos/acme/site/contents/a" => Reply::json(
            200,
            &json!({ "type": "file", "encoding": "none", "size": 9, "content": "" }),
        ),
        _ => echo(seen, "body"),
    })
    .await;
    let host = host(&double, GITHUB).await;
    let get = |number: u64| json!({ "repo": "acme/site", "number": number });
    let result = checked(&host, "github_issue-get", get(1)).await;
    assert!(!result.is_error(), "{result:?}");
    assert!(
        result.text().contains("[secret GITHUB_TOKEN]"),
        "{result:?}"
    );
    let seen = double.only();
    assert_eq!(seen.all("authorization"), [format!("Bearer {VALUE}")]);

    let input = json!({ "repo": "acme/site", "title": "T" });
    assert!(
        !checked(&host, "github_issue-create", input)
            .await
            .is_error()
    );
    assert_eq!(
        double.only().all("authorization"),
        [format!("Bearer {VALUE}")]
    );

    // The tool knows that there is a token, and says what that means.
    let result = checked(&host, "github_issue-get", get(2)).await;
    let failure = result.failure.unwrap();
    assert_eq!(failure.kind, ErrorKind::AuthRequired);
    assert!(
        failure
            .message
            .ends_with("does not know the GITHUB_TOKEN, or it has expired"),
        "{failure:?}"
    );
    let result = checked(&host, "github_issue-get", get(3)).await;
    let failure = result.failure.unwrap();
    assert_eq!(failure.kind, ErrorKind::Unavailable);
    assert!(
        failure
            .message
            .contains("rate limit of [secret GITHUB_TOKEN]"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn searches_use_keys_that_they_never_see() {
    let double = Double::start("brave.test", |seen| {
        let description = format!("{:?}", seen.headers);
        let result =
            json!({ "url": "https://example.com/", "title": VALUE, "description": description });
        Reply::json(200, &json!({ "query": {}, "web": { "results": [result] } }))
    })
    .await;
    let policy = r#"
        [tool.search]
        from = "builtin:search"
        net = [{ to = "BASE", paths = ["/res/v1/web/search"] }]
        env = { SEARCH_ENGINE = "brave", SEARCH_URL = "BASE" }
        secrets.BRAVE_API_KEY = { from = "env:KEY", to = "BASE", header = "X-Subscription-Token: {}" }
    "#;
    let host = host(&double, policy).await;
    let result = checked(&host, "search", json!({ "query": "x" })).await;
    assert!(!result.is_error(), "{result:?}");
    assert!(
        result
            .text()
            .contains("\"title\":\"[secret BRAVE_API_KEY]\""),
        "{result:?}"
    );
    let seen = double.only();
    assert_eq!(seen.all("x-subscription-token"), [VALUE]);
    assert!(seen.all("authorization").is_empty() && !seen.target.contains(VALUE));
}

const HTTP: &str = r#"
    [tool.http]
    from = "builtin:http"
    net = [{ to = "BASE", methods = ["GET", "POST"] }]
    secrets.HTTP_TOKEN = { from = "env:TOKEN", to = "BASE", header = "X-Api-Key: {}", paths = ["/v1/**"] }
"#;

#[tokio::test]
async fn any_request_uses_a_credential_that_no_model_sees() {
    let double = Double::start("api.test", |seen| echo(seen, "told")).await;
    let host = host(&double, HTTP).await;
    let url = |path: &str| json!({ "url": format!("{}{path}", double.base()) });
    let result = checked(&host, "http", url("/v1/x")).await;
    assert!(
        result.text().contains("\"x-echo\":\"[secret HTTP_TOKEN]\""),
        "{result:?}"
    );
    assert_eq!(double.only().all("x-api-key"), [VALUE]);
    // Elsewhere on the same server it is not sent.
    assert!(!checked(&host, "http", url("/v2/x")).await.is_error());
    assert!(double.only().all("x-api-key").is_empty());
    // A model that sets the header itself is refused, and nothing is sent.
    let mut input = url("/v1/x");
    input["headers"] = json!({ "X-API-key": "mine" });
    assert!(checked(&host, "http", input).await.is_error());
    assert!(double.seen().is_empty());
}

#[tokio::test]
async fn without_the_searches_of_the_host_a_model_would_see_the_value() {
    let double = Double::start("api.test", |seen| echo(seen, "told")).await;
    let weak = builder(&double, HTTP)
        .weakness(Weakness::ResponsesAsTheyAre)
        .weakness(Weakness::LeavesAsItIs);
    let host = weak.build().unwrap();
    host.load_policy_tools().await.unwrap();
    let input = json!({ "url": format!("{}/v1/x", double.base()) });
    let result = call(&host, "http", input).await;
    assert!(result.text().contains(VALUE), "{result:?}");
}

#[tokio::test]
async fn a_tool_learns_of_a_credential_that_it_is_there_and_no_more() {
    let double = Double::start("api.test", |seen| echo(seen, "told")).await;
    let policy = r#"
        [tool.client]
        net = [{ to = "BASE" }]
        secrets.CLIENT_KEY = { from = "env:KEY", to = "BASE", header = "X-Key: {}" }
        secrets.UNASKED = { from = "env:KEY", to = "BASE", header = "X-Other: {}" }
    "#;
    let host = builder(&double, policy).build().unwrap();
    host.load_file(common::guest("client")).await.unwrap();
    for (name, there) in [
        ("CLIENT_KEY", "true"),
        // Requested and not granted; granted and not requested; neither.
        ("OTHER_KEY", "false"),
        ("UNASKED", "false"),
        ("KEY", "false"),
        ("", "false"),
    ] {
        let result = checked(&host, "client_exists", json!({ "name": name })).await;
        assert_eq!(result.text(), there, "{name}");
    }
    let input = json!({ "url": format!("{}/x", double.base()) });
    assert!(!checked(&host, "client_whole", input).await.is_error());
    let seen = double.only();
    assert_eq!(seen.all("x-key"), [VALUE]);
    assert!(seen.all("x-other").is_empty());
}
