use serde_json::json;

use super::*;

fn request(tool: &str, access: &str) -> ApprovalRequest {
    let value = json!({
        "id": "ask_1", "tool": tool, "call_id": "c1", "access": access, "rule": "rule",
        "input_preview": "{}",
    });
    serde_json::from_value(value).unwrap()
}

fn what() -> RememberedFor {
    serde_json::from_value(json!({
        "tool": "fetch", "package": "fetch", "digest": "ab".repeat(32),
        "access": "GET https://a.example/x", "rule": "toolcell.toml:3 tool.fetch.net[0]",
        "rule_text": "{ to = \"https://a.example\", approve = \"ask\" },",
        "scope_digest": "cd".repeat(32),
    }))
    .unwrap()
}

#[test]
fn text_from_outside_is_escaped_and_cut() {
    let access = format!("read /work/\u{1b}[2K\u{202e}txt\n{}", "x".repeat(9000));
    let text = question(&request("files\u{7}", &access), Offers::default());
    assert!(!text.contains("\u{1b}[2K") && !text.contains('\u{202e}') && !text.contains('\u{7}'));
    assert!(text.contains("\\u{1b}[2K\\u{202e}txt\\n"), "{text}");
    assert!(text.chars().count() < 1000);
    assert_eq!(text.lines().count(), 4);
}

#[test]
fn only_what_is_offered_is_an_answer() {
    let all = Offers {
        remember: true,
        later: true,
    };
    let words = |offers| question(&request("t", "call"), offers);
    for word in ["[a] always", "[d] never", "[l] later"] {
        assert!(words(all).contains(word));
        assert!(!words(Offers::default()).contains(word));
    }
}

#[test]
fn what_is_remembered_is_shown_to_the_letter() {
    let shown = remember_question(&what(), true, Duration::from_secs(30 * 24 * 3600));
    let shown = anstream::adapter::strip_str(&shown).to_string();
    for part in [
        "for 30d",
        "answer:   allow",
        "tool:     fetch",
        &format!("fetch, sha256:{}", "ab".repeat(32)),
        "GET https://a.example/x, whatever its query and content",
        "toolcell.toml:3 tool.fetch.net[0]",
        "{ to = \"https://a.example\", approve = \"ask\" },",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let every = RememberedFor {
        access: "call".into(),
        ..what()
    };
    let shown = remember_question(&every, false, Duration::from_secs(60));
    assert!(shown.contains("every call, whatever its input"), "{shown}");
}

/// A Cyrillic letter looks like a Latin one; a control character moves the cursor; a long text hides its end.
#[test]
fn what_looks_alike_or_is_too_long_to_be_seen_is_not_remembered_unseen() {
    let alike = RememberedFor {
        access: "GET https://\u{430}.example/\u{1b}[2K".into(),
        ..what()
    };
    let shown = remember_question(&alike, true, Duration::from_secs(60));
    assert!(
        shown.contains("https://\\u{430}.example/\\u{1b}[2K"),
        "{shown}"
    );
    let long = RememberedFor {
        access: format!("GET https://a.example/{}", "x".repeat(MAX_REMEMBERED)),
        ..what()
    };
    assert!(shows_whole(&alike) && !shows_whole(&long));
}

#[test]
fn without_a_terminal_the_answer_is_no() {
    // Under a test runner standard input is no terminal.
    if !possible() {
        let all = Offers {
            remember: true,
            later: true,
        };
        assert_eq!(approve("?", all, Duration::from_secs(1)), Answer::Deny);
        assert!(!confirm("?"));
        assert!(!remember(
            &what(),
            true,
            Duration::from_secs(60),
            Duration::from_secs(1)
        ));
    }
}
