use std::fmt::Write;

use miette::{GraphicalReportHandler, GraphicalTheme, JSONReportHandler, NarratableReportHandler};

use super::*;
use crate::{OAuthAuth, OAuthGrant, Policy, Problem, Problems, SecretPlace};

const NET: &str =
    "[tool.a]\nnet = [{ to = \"https://h.example\", methods = [\"GET\", \"POST\"] }]\n";

fn file(secrets: &str) -> String {
    format!("{NET}{secrets}\n")
}

fn read(secrets: &str) -> Policy {
    Policy::from_toml(&file(secrets)).unwrap()
}

fn problems(secrets: &str) -> Problems {
    match Policy::from_toml(&file(secrets)) {
        Ok(policy) => panic!("no problem found; read as\n{}", policy.to_toml()),
        Err(problems) => problems,
    }
}

fn problem(secrets: &str) -> Problem {
    let problems = problems(secrets);
    assert_eq!(problems.count(), 1, "{problems:#?}");
    problems.iter().next().unwrap().clone()
}

/// A secret of which only these keys are written.
fn secret(keys: &str) -> String {
    format!("secrets.KEY = {{ {keys} }}")
}

const TO: &str = "to = \"https://h.example\"";

#[test]
fn every_source_and_place_is_read_and_written() {
    for (keys, source, place) in [
        (
            "from = \"env:TOKEN\", header = \"Authorization: Bearer {}\"",
            SecretSource::Env("TOKEN".to_owned()),
            SecretPlace::Header {
                name: "authorization".to_owned(),
                before: "Bearer ".to_owned(),
                after: String::new(),
            },
        ),
        (
            "from = \"keyring:TOKEN\", header = \"x-key:{};v=1\"",
            SecretSource::Keyring("TOKEN".to_owned()),
            SecretPlace::Header {
                name: "x-key".to_owned(),
                before: String::new(),
                after: ";v=1".to_owned(),
            },
        ),
        (
            "from = \"file:./key\", query = \"api_key\", methods = [\"GET\"], paths = [\"/v1/**\"]",
            SecretSource::File {
                path: "./key".to_owned(),
                base: Some("/srv".to_owned()),
            },
            SecretPlace::Query {
                name: "api_key".to_owned(),
            },
        ),
        (
            "from = \"vault:TOKEN\", basic = \"user\"",
            SecretSource::Vault("TOKEN".to_owned()),
            SecretPlace::Basic {
                user: "user".to_owned(),
            },
        ),
        (
            "from = \"vault:TOKEN\", json = \"/auth/token~1x\"",
            SecretSource::Vault("TOKEN".to_owned()),
            SecretPlace::Json {
                pointer: "/auth/token~1x".to_owned(),
            },
        ),
    ] {
        let policy = read(&secret(&format!("{TO}, {keys}"))).with_base("/srv");
        let written = &policy.tool("a").unwrap().secrets[0];
        assert_eq!(written.given, Some((source, place)));
        assert_eq!(
            written.rule.to_string(),
            "toolcell.toml:3 tool.a.secrets.KEY"
        );
        let printed = policy.to_toml();
        assert_eq!(Policy::from_toml(&printed).unwrap().to_toml(), printed);
    }
    let narrowing = read(&secret(&format!("{TO}, methods = [\"GET\"]")));
    let written = &narrowing.tool("a").unwrap().secrets[0];
    assert_eq!(written.given, None);
    assert_eq!(written.scope.methods, [Method::Get]);
    let printed = narrowing.to_toml();
    assert_eq!(Policy::from_toml(&printed).unwrap().to_toml(), printed);
}

#[test]
fn without_methods_and_paths_all_are_meant() {
    let policy = read(&secret(&format!("{TO}, from = \"env:A\", basic = \"\"")));
    let scope = &policy.tool("a").unwrap().secrets[0].scope;
    assert_eq!(scope.methods, Method::ALL);
    assert!(scope.paths[0].is_everything());
}

/// A secret that is an access token.
fn oauth(keys: &str) -> String {
    secret(&format!(
        "{TO}, header = \"Authorization: Bearer {{}}\", oauth = {{ token_url = \"https://auth.example/token\", client_id = \"abc\", {keys} }}"
    ))
}

#[test]
fn access_tokens_have_sources_of_their_own() {
    let policy = read(&oauth(
        "grant = \"client_credentials\", client_secret = \"file:cs\", scopes = [\"a\", \"b:c\"], auth = \"body\"",
    ))
    .with_base("/srv");
    let printed = policy.to_toml();
    assert_eq!(Policy::from_toml(&printed).unwrap().to_toml(), printed);
    let (source, _) = policy.tool("a").unwrap().secrets[0].given.clone().unwrap();
    let SecretSource::OAuth(source) = source else {
        panic!("{source:?}");
    };
    assert_eq!(source.grant, OAuthGrant::ClientCredentials);
    assert_eq!(source.auth, OAuthAuth::Body);
    assert_eq!(source.scopes, ["a", "b:c"]);
    let base = Some("/srv".to_owned());
    let path = "cs".to_owned();
    assert_eq!(
        source.client_secret,
        Some(SecretSource::File { path, base })
    );
    let policy = read(&oauth(
        "grant = \"refresh_token\", refresh_token = \"keyring:RT\"",
    ));
    let printed = policy.to_toml();
    assert_eq!(Policy::from_toml(&printed).unwrap().to_toml(), printed);
}

#[test]
fn what_is_wrong_with_an_access_token_is_told() {
    for (keys, message) in [
        ("", "`tool.a.secrets.KEY.oauth.grant` is missing"),
        ("grant = \"password\"", "cannot be `password`"),
        (
            "grant = \"client_credentials\"",
            "client_secret` is missing",
        ),
        ("grant = \"refresh_token\"", "refresh_token` is missing"),
        (
            "grant = \"client_credentials\", client_secret = \"env:A\", refresh_token = \"env:B\"",
            "only beside grant",
        ),
        (
            "grant = \"refresh_token\", refresh_token = \"env:B\", auth = \"basic\"",
            "only beside `client_secret`",
        ),
        (
            "grant = \"client_credentials\", client_secret = \"env:A\", scopes = [\"a b\"]",
            "is not a scope",
        ),
        (
            "grant = \"client_credentials\", client_secret = \"env:A\", scopes = [\"a\", \"a\"]",
            "stands here twice",
        ),
        (
            "grant = \"client_credentials\", client_secret = \"oauth:A\"",
            "does not say where the value comes from",
        ),
        (
            "grant = \"client_credentials\", client_secret = \"env:A\", scope = \"a\"",
            "no key `scope`",
        ),
    ] {
        let found = problem(&oauth(keys));
        assert!(found.message().contains(message), "{keys}: {found:?}");
    }
    for url in [
        "http://auth.example/token",
        "https://me:hunter2@auth.example/token",
        "https://auth.example/token?a=b",
        "https://auth.example./token",
        "auth.example",
    ] {
        let text = oauth("grant = \"client_credentials\", client_secret = \"env:A\"")
            .replace("https://auth.example/token", url);
        let found = problem(&text);
        assert!(found.message().contains("token_url"), "{url}: {found:?}");
    }
}

/// The keys of a secret, in which `TO` is a destination and `FULL` all that a secret needs; what is told, and the help.
const WRONG: &[(&str, &str, &str)] = &[
    (r#"from = "env:A", basic = "u""#, "to` is missing", "add to"),
    (
        r#"TO, basic = "u""#,
        "where its value comes from",
        "higher layer",
    ),
    (r#"TO, from = "env:A""#, "where in a request", "header"),
    (
        r#"FULL, basic = "u""#,
        "where the value is put twice",
        "keep one",
    ),
    (
        "FULL, oauth = {}",
        "where the value comes from twice",
        "keep one",
    ),
    (
        r#"FULL, form = "x""#,
        "no key `form`",
        "did you mean `from`?",
    ),
    (
        r#"TO, from = "keyrng:A", basic = "u""#,
        "where the value comes from",
        "\"keyring:…\"",
    ),
    (
        r#"TO, from = "env:A-B", basic = "u""#,
        "follows `env:`",
        "letters",
    ),
    (
        r#"TO, from = "vault:", basic = "u""#,
        "follows `vault:`",
        "letters",
    ),
    (
        r#"TO, from = "file:~/key", basic = "u""#,
        "neither is expanded",
        "in full",
    ),
    (
        r#"to = "http://h.example", from = "env:A", basic = "u""#,
        "never sent unencrypted",
        "https",
    ),
    (
        r#"to = "https://*.example.com", from = "env:A", basic = "u""#,
        "exactly one host",
        "https://api.example.com",
    ),
    (
        r#"to = "https://h.example/v1", from = "env:A", basic = "u""#,
        "does not belong in `to`",
        "paths",
    ),
    (
        r#"TO, from = "env:A", header = "X-Key""#,
        "names no header",
        "Bearer {}",
    ),
    (
        r#"TO, from = "env:A", header = "X Key: {}""#,
        "name of a header",
        "Bearer {}",
    ),
    (
        r#"TO, from = "env:A", header = "X-Key: a""#,
        "no {} in its format",
        "Bearer {}",
    ),
    (
        r#"TO, from = "env:A", header = "X-Key: {}{}""#,
        "more than one {}",
        "Bearer {}",
    ),
    (
        r#"TO, from = "env:A", header = "X-Key: {}\u0001""#,
        "printable ASCII",
        "Bearer {}",
    ),
    (
        r#"TO, from = "env:A", header = "Host: {}""#,
        "says how a message is sent",
        "`host`",
    ),
    (
        r#"TO, from = "env:A", header = "accept-Encoding: {}""#,
        "says how a message is sent",
        "`te`",
    ),
    (
        r#"TO, from = "env:A", basic = "user:hunter2""#,
        "not a user's name",
        "without colon",
    ),
    (
        r#"TO, from = "env:A", query = "a&b""#,
        "not the name of a query parameter",
        "api_key",
    ),
    (
        r#"TO, from = "env:A", json = "token""#,
        "not a JSON pointer",
        "/auth/token",
    ),
    (
        r#"TO, from = "env:A", json = "/a~2""#,
        "not a JSON pointer",
        "/auth/token",
    ),
    (
        r#"to = "https://other.example", from = "env:A", basic = "u""#,
        "can never be used",
        "net = [{ to = \"https://other.example\" }]",
    ),
    (
        r#"FULL, methods = ["DELETE"]"#,
        "can never be used",
        "net =",
    ),
    ("FULL, methods = []", "empty list of methods", "leave"),
];

#[test]
fn what_is_wrong_with_a_secret_is_told() {
    let full = format!("{TO}, from = \"env:A\", header = \"X-Key: {{}}\"");
    for (keys, message, help) in WRONG {
        let found = problem(&secret(&keys.replace("FULL", &full).replace("TO", TO)));
        assert!(found.message().contains(message), "{keys}: {found:?}");
        assert!(found.help().unwrap().contains(help), "{keys}: {found:?}");
    }
    let found = problem(&secret(&full).replace("KEY", "\"A KEY\""));
    assert!(
        found.message().contains("not a name of a secret"),
        "{found:?}"
    );
    let found = problem("secrets = []");
    assert!(found.message().contains("must be a table"), "{found:?}");
}

#[test]
fn a_net_rule_that_denies_does_not_reach_a_secret() {
    let text = "[tool.a]\nnet = [{ to = \"https://h.example\", approve = \"deny\" }]\nsecrets.KEY = { to = \"https://h.example\", from = \"env:A\", basic = \"u\" }";
    let problems = Policy::from_toml(text).unwrap_err();
    assert!(
        problems.to_string().contains("can never be used"),
        "{problems}"
    );
    // Where `net` is wrong, that is all there is to say.
    let text = text.replace("\"deny\"", "\"dney\"");
    let problems = Policy::from_toml(&text).unwrap_err();
    assert!(
        problems.count() == 1 && problems.to_string().contains("dney"),
        "{problems}"
    );
}

#[test]
fn two_secrets_never_share_a_place() {
    let two = |one: &str, other: &str| {
        format!(
            "secrets.A = {{ {TO}, from = \"env:A\", {one} }}\nsecrets.B = {{ {TO}, from = \"env:B\", {other} }}"
        )
    };
    for (one, other, what) in [
        (
            "header = \"X-Key: {}\"",
            "header = \"x-key: b {}\"",
            "header `X-Key`",
        ),
        (
            "header = \"authorization: {}\"",
            "basic = \"u\"",
            "header `Authorization`",
        ),
        ("basic = \"u\"", "basic = \"v\"", "header `Authorization`"),
        ("query = \"k\"", "query = \"k\"", "query parameter `k`"),
        ("json = \"/a\"", "json = \"/a/b\"", "place of the JSON body"),
        (
            "basic = \"u\", paths = [\"/v1/**\"]",
            "basic = \"v\", paths = [\"/*/x\"]",
            "header `Authorization`",
        ),
    ] {
        let found = problem(&two(one, other));
        assert!(found.message().contains(what), "{one} {other}: {found:?}");
        assert!(found.message().contains("`A` (line 3)"), "{found:?}");
    }
    for (one, other) in [
        ("header = \"X-Key: {}\"", "header = \"X-Key-2: {}\""),
        ("basic = \"u\"", "query = \"k\""),
        ("json = \"/a\"", "json = \"/ab\""),
        ("query = \"k\"", "query = \"K\""),
        (
            "basic = \"u\", methods = [\"GET\"]",
            "basic = \"v\", methods = [\"POST\"]",
        ),
        (
            "basic = \"u\", paths = [\"/v1/**\"]",
            "basic = \"v\", paths = [\"/v2/**\"]",
        ),
    ] {
        read(&two(one, other));
    }
}

#[test]
fn there_are_at_most_so_many_secrets_and_scopes_and_so_long_headers() {
    let many = |count: usize| -> String {
        let secrets = (0..count).map(|it| {
            format!("secrets.K{it} = {{ {TO}, from = \"env:A\", header = \"x-{it}: {{}}\" }}\n")
        });
        secrets.collect()
    };
    assert_eq!(
        read(&many(MAX_SECRETS)).tool("a").unwrap().secrets.len(),
        32
    );
    assert!(
        problem(&many(MAX_SECRETS + 1))
            .message()
            .contains("at most 32")
    );
    let header = |len: usize| {
        let format = format!("x: {{}}{}", "a".repeat(len - 5));
        secret(&format!("{TO}, from = \"env:A\", header = \"{format}\""))
    };
    read(&header(MAX_HEADER_FORMAT_BYTES));
    assert!(
        problem(&header(MAX_HEADER_FORMAT_BYTES + 1))
            .message()
            .contains("at most 256")
    );
    let scopes = |count: usize| {
        let scopes: Vec<String> = (0..count).map(|it| format!("\"s{it}\"")).collect();
        secret(&format!(
            "{TO}, basic = \"u\", oauth = {{ grant = \"client_credentials\", token_url = \"https://a.example\", client_id = \"c\", client_secret = \"env:A\", scopes = [{}] }}",
            scopes.join(", ")
        ))
    };
    read(&scopes(MAX_OAUTH_SCOPES));
    assert!(
        problem(&scopes(MAX_OAUTH_SCOPES + 1))
            .message()
            .contains("at most 32")
    );
}

#[test]
fn the_words_of_an_access_token_are_bounded() {
    let with = |id: usize, scope: usize| {
        let (id, scope) = ("i".repeat(id), "s".repeat(scope));
        secret(&format!(
            "{TO}, basic = \"u\", oauth = {{ grant = \"client_credentials\", token_url = \"https://a.example\", client_id = \"{id}\", client_secret = \"env:A\", scopes = [\"{scope}\"] }}"
        ))
    };
    read(&with(256, 256));
    for (id, scope, message) in [
        (257, 1, "not a client's identifier"),
        (0, 1, "not a client's identifier"),
        (1, 257, "is not a scope"),
        (1, 0, "is not a scope"),
    ] {
        let found = problem(&with(id, scope));
        assert!(found.message().contains(message), "{found:?}");
    }
}

/// What each kind of report makes of the problems of a file.
fn reports(problems: &Problems) -> Vec<String> {
    let mut all = [const { String::new() }; 3];
    let theme = GraphicalTheme::unicode_nocolor();
    GraphicalReportHandler::new_themed(theme)
        .render_report(&mut all[0], problems)
        .unwrap();
    NarratableReportHandler::new()
        .render_report(&mut all[1], problems)
        .unwrap();
    JSONReportHandler::new()
        .render_report(&mut all[2], problems)
        .unwrap();
    let mut all = all.to_vec();
    all.push(format!("{problems} {problems:?} {problems:#?}"));
    for problem in problems {
        let mut told = String::new();
        write!(told, "{problem} {problem:?} {:?}", problem.help()).unwrap();
        all.push(told);
    }
    all
}

const VALUE: &str = "hunter2-0123456789";

/// Files of people who wrote the value itself.
fn mistaken() -> Vec<String> {
    let full = format!("{TO}, from = \"env:A\", header = \"X-Key: {{}}\"");
    let oauth = "oauth = { grant = \"client_credentials\", token_url = \"https://a.example\", client_id = \"c\", client_secret = \"env:A\" }";
    let with_oauth = format!("{TO}, {oauth}, basic = \"u\"");
    let mut all = vec![
        format!("secrets.KEY = \"{VALUE}\""),
        format!("secrets = \"{VALUE}\""),
        format!("secrets.\"no name\" = \"{VALUE}\""),
        secret(&full.replace("env:A", VALUE)),
        secret(&full.replace("env:A", &format!("env:{VALUE}"))),
        secret(&full.replace("env:A", &format!("value:{VALUE}"))),
        secret(&full.replace("\"env:A\"", &format!("[\"{VALUE}\"]"))),
        secret(&full.replace("{}", VALUE)),
        secret(&full.replace("X-Key: {}", VALUE)),
        secret(&full.replace("\"X-Key: {}\"", &format!("[\"{VALUE}\"]"))),
        secret(&format!("{full}, value = \"{VALUE}\"")),
        secret(&format!("{full}, value = {{ is = \"{VALUE}\" }}")),
        secret(&format!("{full}, basic = \"{VALUE}\"")),
        secret(&full.replace("https://", &format!("https://{VALUE}@"))),
        secret(&full.replace("https://", &format!("https://me:{VALUE}@"))),
        secret(&full.replace("https://", &format!("{VALUE}@"))),
        secret(&format!("{TO}, from = \"env:A\", basic = \"me:{VALUE}\"")),
        secret(&format!("{TO}, from = \"env:A\", query = \"key={VALUE}\"")),
        secret(&format!("{TO}, from = \"env:A\", json = \"{VALUE}\"")),
        secret(&with_oauth.replace("env:A", VALUE)),
        secret(
            &with_oauth
                .replace("client_id", "client_key")
                .replace("\"c\"", &format!("\"{VALUE}\"")),
        ),
        secret(&with_oauth.replace("https://a", &format!("https://me:{VALUE}@a"))),
        secret(&format!("{TO}, basic = \"u\", oauth = \"{VALUE}\"")),
        format!("[egress]\nproxy = \"http://me:{VALUE}@proxy:1\""),
    ];
    // Other problems of the file, beside the line.
    let beside: Vec<String> = all
        .iter()
        .map(|text| format!("aprove = \"ask\"\n{text}\nbad_key = 1"))
        .collect();
    all.extend(beside);
    all
}

#[test]
fn a_value_that_was_written_by_mistake_is_shown_nowhere() {
    for text in mistaken() {
        let problems = problems(&text);
        for report in reports(&problems) {
            assert!(!report.contains(VALUE), "{text}\n{report}");
        }
    }
}

/// The twin of the test above: a report does show the lines of a file, so it would be seen.
#[test]
fn a_report_shows_what_is_not_hidden() {
    let problems = problems(&format!("aprove = \"{VALUE}\""));
    assert!(
        reports(&problems)
            .iter()
            .any(|report| report.contains(VALUE))
    );
}
