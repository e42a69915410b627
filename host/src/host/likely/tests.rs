use serde_json::json;
use toolcell_policy::Policy;

use super::*;

/// What nobody was ever given. It is put together here, so that no other search finds it in this file.
fn token() -> String {
    format!("ghp_{}", "a8Kd03mZq7LxW2vRtY5nB9cE4uHs6JpG1fTo")
}

fn likely(mode: &str) -> LikelySecrets {
    let policy = Policy::from_toml(&format!("[secrets]\nunknown = \"{mode}\"\n")).unwrap();
    LikelySecrets::of(&Layers::from(policy), None).unwrap()
}

fn told(count: u64, replaced: bool) -> LikelySecret {
    LikelySecret {
        rule: "github-token".into(),
        about: "a GitHub access token".into(),
        count,
        replaced,
    }
}

#[test]
fn a_text_is_left_told_or_replaced() {
    let before = format!("use {0} or {0}", token());
    let mut text = before.clone();
    assert_eq!(likely("off").look(&mut text), []);
    assert_eq!(likely("warn").look(&mut text), [told(2, false)]);
    assert_eq!(text, before);
    assert_eq!(likely("redact").look(&mut text), [told(2, true)]);
    assert_eq!(
        text,
        "use [likely secret github-token] or [likely secret github-token]"
    );
    assert!(
        LikelySecrets::default()
            .look(&mut before.clone())
            .is_empty()
    );
}

#[test]
fn it_is_only_told_where_no_policy_says_anything() {
    let likely = LikelySecrets::of(&Layers::new(), None).unwrap();
    assert_eq!(likely.look(&mut token()), [told(1, false)]);
    assert!(!likely.replaces());
}

#[test]
fn every_text_of_an_answer_is_searched() {
    let token = token();
    let resource = |uri: &str, text: &str| Content::Resource {
        uri: uri.to_owned(),
        mime_type: None,
        text: Some(text.to_owned()),
        blob: None,
    };
    let mut content = vec![
        Content::text(token.as_str()),
        Content::Json {
            json: json!({ "deep": [{ "in": token }] }),
        },
        resource(&format!("file:///{token}"), "nothing"),
        resource("file:///a", &format!("it is {token}")),
    ];
    assert_eq!(likely("warn").content(&mut content), [told(4, false)]);
    assert_eq!(likely("redact").content(&mut content), [told(4, true)]);
    let text = serde_json::to_string(&content).unwrap();
    assert!(!text.contains(&token), "{text}");
    assert_eq!(
        text.matches("[likely secret github-token]").count(),
        4,
        "{text}"
    );
}

#[test]
fn a_failure_is_searched_too() {
    let mut failure = ToolFailure::new(ErrorKind::ToolError, format!("no {}", token()));
    failure.tool_code = Some(token());
    assert_eq!(likely("redact").failure(&mut failure), [told(2, true)]);
    assert_eq!(failure.message, "no [likely secret github-token]");
}

#[test]
fn no_more_than_so_much_of_an_answer_is_searched() {
    let filler = "x ".repeat(UNKNOWN_SEARCH_BYTES_MAX / 2);
    let mut content = vec![Content::text(filler), Content::text(token())];
    assert_eq!(likely("redact").content(&mut content), []);
    let mut text = format!("{} {}", token(), "x ".repeat(UNKNOWN_SEARCH_BYTES_MAX));
    assert_eq!(likely("redact").look(&mut text).len(), 1);
    assert!(text.starts_with("[likely secret github-token] x") && text.ends_with("x "));
}

#[test]
fn rules_of_a_file_are_added_and_a_wrong_one_names_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let of = |text: Option<&str>| {
        if let Some(text) = text {
            std::fs::write(dir.path().join("rules.toml"), text).unwrap();
        }
        let policy = Policy::from_toml("[secrets]\nrules = \"./rules.toml\"\n").unwrap();
        LikelySecrets::of(&Layers::from(policy), Some(dir.path()))
    };
    let missing = of(None).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::InvalidPolicy);
    assert!(
        missing.message().contains("toolcell.toml:2 secrets.rules"),
        "{missing}"
    );
    let rule = "[[rule]]\nid = \"ours\"\ndescription = \"A pass of ours\"\nregex = 'pass-[0-9]{6}'\nkeywords = [\"pass-\"]\n";
    let found = of(Some(rule)).unwrap().look(&mut "pass-493021".to_owned());
    assert_eq!(
        (found[0].rule.as_str(), found[0].about.as_str()),
        ("ours", "a pass of ours")
    );
    let wrong = of(Some("[[rule]]\nid = 1\n")).unwrap_err();
    assert!(
        wrong.message().contains("rules.toml") && wrong.help().is_some(),
        "{wrong}"
    );
}
