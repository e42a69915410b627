//! Tools of one session, by what they do with data.

use super::*;
use crate::SessionId;

const MARKS: &str = "[tool.p]\nreads = \"private\"\n[tool.u]\nreads = \"untrusted\"\n[tool.o]\nsends = \"outside\"\n[tool.none]\n";

async fn host(text: &str, answer: Option<Approval>) -> (ToolHost, Seen, Asked) {
    let (seen, asked) = (Seen::default(), Asked::default());
    let mut builder = builder(text).audit(seen.clone());
    if let Some(answer) = answer {
        builder = builder.approver(Says(answer, Arc::clone(&asked)));
    }
    let host = builder.build().unwrap();
    for name in ["p", "u", "o", "none"] {
        let bytes = package(&manifest(name, name, ""), ECHO);
        host.load_bytes(name, bytes).await.unwrap();
    }
    (host, seen, asked)
}

type Asked = Arc<Mutex<Vec<ApprovalRequest>>>;

fn session(name: &str) -> CallContext {
    CallContext {
        session: Some(SessionId::new(name)),
        ..CallContext::default()
    }
}

/// Calls tools one after the other in a session, and tells which were denied.
async fn denied(host: &ToolHost, name: &str, tools: &[&str]) -> Vec<bool> {
    let mut all = Vec::new();
    for tool in tools {
        let result = host.call_with(call(tool), &session(name)).await.unwrap();
        let failure = result.failure.map(|failure| failure.kind);
        assert!(
            matches!(failure, None | Some(ErrorKind::Denied)),
            "{failure:?}"
        );
        all.push(failure.is_some());
    }
    all
}

const ACCESS: &str = "combine private data, untrusted text and a way out: p read private data (call 1), u read untrusted text (call 2), o would send data outside";

#[tokio::test]
async fn nobody_to_ask_means_that_all_three_do_not_come_together() {
    let (host, seen, _) = host(MARKS, None).await;
    let tools = ["p", "u", "none", "o", "p", "u", "o", "none"];
    let came = denied(&host, "s", &tools).await;
    assert_eq!(came, [false, false, false, true, false, false, true, false]);
    assert_eq!(denied(&host, "other", &["o", "p"]).await, [false, false]);
    let result = host.call_with(call("o"), &session("s")).await.unwrap();
    let failure = result.failure.unwrap();
    let rule = "default: combine = \"ask\"";
    assert_eq!(failure.rule.as_deref(), Some(rule));
    assert!(
        failure
            .message
            .contains("(call 2), o would send data outside; it needs"),
        "{failure:?}"
    );
    assert_eq!(result.denials[0].capability, "combine");
    assert_eq!(result.denials[0].access, ACCESS);
    let decision = (ACCESS.to_owned(), "Ask".to_owned(), rule.to_owned());
    assert!(
        seen.decisions().contains(&decision),
        "{:?}",
        seen.decisions()
    );
}

#[tokio::test]
async fn whoever_may_say_yes_says_so_for_one_call() {
    let (yes, seen, asked) = host(MARKS, Some(Approval::Allow)).await;
    let came = denied(&yes, "s", &["p", "u", "o", "u", "o"]).await;
    assert_eq!(came, [false; 5]);
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(asked[0].access, ACCESS);
    assert_eq!(asked[0].rule, "default: combine = \"ask\"");
    let said = seen.decisions();
    assert!(said.contains(&(ACCESS.to_owned(), "Allow".to_owned(), "approver".to_owned())));
    let (no, _, asked) = host(MARKS, Some(Approval::Deny)).await;
    assert_eq!(
        denied(&no, "s", &["o", "u", "p", "o", "u", "p"]).await,
        [false, false, true, false, false, true]
    );
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn the_policy_may_let_it_through_or_refuse_it() {
    let combine = |word: &str| format!("[session]\ncombine = \"{word}\"\n{MARKS}");
    let (allow, seen, asked) = host(&combine("allow"), Some(Approval::Deny)).await;
    assert_eq!(denied(&allow, "s", &["p", "u", "o"]).await, [false; 3]);
    assert!(asked.lock().unwrap().is_empty());
    let rule = "toolcell.toml:2 session.combine".to_owned();
    let decision = (ACCESS.to_owned(), "Allow".to_owned(), rule.clone());
    assert!(seen.decisions().contains(&decision));
    let (deny, seen, asked) = host(&combine("deny"), Some(Approval::Allow)).await;
    assert_eq!(
        denied(&deny, "s", &["p", "u", "o"]).await,
        [false, false, true]
    );
    assert!(asked.lock().unwrap().is_empty());
    let decision = (ACCESS.to_owned(), "Deny".to_owned(), rule);
    assert!(seen.decisions().contains(&decision));
}

#[tokio::test]
async fn a_tool_that_does_all_three_asks_every_time() {
    let all = "[tool.p]\nreads = [\"private\", \"untrusted\"]\nsends = \"outside\"\n";
    let (host, _, asked) = host(all, Some(Approval::Allow)).await;
    for _ in 0..2 {
        assert!(host.call(call("p")).await.unwrap().failure.is_none());
    }
    assert_eq!(denied(&host, "s", &["p", "p"]).await, [false, false]);
    assert_eq!(asked.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_session_that_goes_on_elsewhere_is_told_what_was_called() {
    let (host, _, _) = host(MARKS, None).await;
    for tool in ["p", "u", "none", "unknown"] {
        host.was_called(tool, &session("s"));
        host.was_called(tool, &CallContext::default());
    }
    assert_eq!(denied(&host, "s", &["o"]).await, [true]);
    host.forget_session(None, &SessionId::new("s"));
    assert_eq!(denied(&host, "s", &["o"]).await, [false]);
}

#[tokio::test]
async fn a_call_that_was_busy_has_read_nothing() {
    let rate = MARKS.replace("[tool.p]\n", "[tool.p]\nlimits = { rate = \"1/h\" }\n");
    let (host, _, _) = host(&rate, None).await;
    assert_eq!(denied(&host, "other", &["p"]).await, [false]);
    let result = host.call_with(call("p"), &session("s")).await.unwrap();
    assert_eq!(kind(&result), ErrorKind::Busy);
    assert_eq!(denied(&host, "s", &["u", "o"]).await, [false, false]);
}

#[tokio::test]
async fn a_mark_for_a_tool_that_does_not_exist_is_refused() {
    for key in [
        "reads = { tt = \"private\" }",
        "sends = { tt = \"outside\" }",
    ] {
        let host = builder(&format!("[tool.t]\n{key}\n")).build().unwrap();
        let t = package(&manifest("t", "t", ""), ECHO);
        let error = host.load_bytes("t", t).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidPolicy);
        assert_eq!(
            error.message(),
            "toolcell.toml:2: the package `t` has no tool `tt`"
        );
    }
}

#[test]
fn a_host_does_not_start_with_files_that_cannot_mean_what_they_say() {
    let file = |name: &str, text: &str| Policy::parse(name, text).unwrap();
    let layers = toolcell_policy::Layers::new()
        .with(toolcell_policy::Layer::User, file("user", "[tool.t]"))
        .with(
            toolcell_policy::Layer::Project,
            file("project", "[egress]\nproxy = \"http://proxy:1\"\n[tool.t]"),
        );
    let error = ToolHost::builder().policy(layers).build().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidPolicy);
    assert!(error.message().starts_with("project:1: "), "{error}");
}
