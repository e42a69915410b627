//! Questions that nobody answers now, and answers that were given before.

use super::*;
use crate::{Answers, ApprovalId, CallEvent, secrets::Weakness};

const ASK: &str = "[tool.t]\napprove = \"ask\"\n";

type Asked = Arc<Mutex<Vec<ApprovalRequest>>>;

struct Setup {
    host: ToolHost,
    seen: Seen,
    asked: Asked,
}

async fn setup(policy: &str, answer: Approval, weak: &[Weakness]) -> Setup {
    let (seen, asked) = (Seen::default(), Asked::default());
    let mut builder = builder(policy)
        .audit(seen.clone())
        .approver(Says(answer, Arc::clone(&asked)));
    for weakness in weak {
        builder = builder.weakness(*weakness);
    }
    let host = builder.build().unwrap();
    for name in ["t", "u"] {
        let bytes = package(&manifest(name, name, ""), ECHO);
        host.load_bytes(name, bytes).await.unwrap();
    }
    Setup { host, seen, asked }
}

/// The call that every question here is about.
fn asks() -> ToolCall {
    call("t").with_id(CallId::new("c1"))
}

fn given(answers: Answers) -> CallContext {
    CallContext {
        answers,
        ..CallContext::default()
    }
}

/// The question of a call that is put off.
async fn question(host: &ToolHost, call: ToolCall) -> ApprovalRequest {
    let result = host.call(call).await.unwrap();
    assert_eq!(kind(&result), ErrorKind::Unavailable, "{result:?}");
    *result.pending.unwrap()
}

#[tokio::test]
async fn a_call_that_is_put_off_does_nothing_and_says_what_it_waits_for() {
    let Setup { host, seen, asked } = setup(ASK, Approval::Later, &[]).await;
    let result = host.call(asks()).await.unwrap();
    assert_eq!(kind(&result), ErrorKind::Unavailable);
    let pending = result.pending.clone().unwrap();
    assert_eq!(*pending, asked.lock().unwrap()[0]);
    assert_eq!(
        (pending.access.as_str(), pending.tool.as_str()),
        ("call", "t")
    );
    assert_eq!(pending.rule, "toolcell.toml:2 tool.t.approve");
    assert_eq!(pending.rule_text, "approve = \"ask\"");
    let remembered = pending.remembered_for.clone().unwrap();
    assert_eq!(remembered.rule_text, pending.rule_text);
    assert!(result.text().contains(pending.id.as_str()), "{result:?}");
    assert_eq!(seen.decisions()[1].2, "approver: later");
    assert_eq!(
        seen.outcomes(),
        [Outcome::Failed(ErrorKind::Unavailable)],
        "nothing ran"
    );
    let report = host.admission_report();
    assert_eq!((report.questions, report.running), (0, 0));
    let text = serde_json::to_string(&result).unwrap();
    assert_eq!(serde_json::from_str::<ToolResult>(&text).unwrap(), result);
}

#[tokio::test]
async fn an_answer_that_is_given_before_counts_for_the_same_call() {
    let pending = question(&setup(ASK, Approval::Later, &[]).await.host, asks()).await;
    // Another process: everything is made anew, and nobody is there to ask.
    for (allow, outcome) in [(true, None), (false, Some(ErrorKind::Denied))] {
        let Setup { host, seen, asked } = setup(ASK, Approval::Nobody, &[]).await;
        let answers = Answers::new().with(pending.id.clone(), allow);
        let result = host.call_with(asks(), &given(answers)).await.unwrap();
        assert_eq!(result.failure.map(|failure| failure.kind), outcome);
        assert!(asked.lock().unwrap().is_empty());
        let rule = format!("approver: given before as {}", pending.id);
        assert_eq!(seen.decisions()[1].2, rule);
    }
}

/// Whether an answer to a question of one call counts for another call, under a policy.
async fn counts(policy: &str, other: ToolCall, weak: &[Weakness]) -> bool {
    let answered = question(&setup(ASK, Approval::Later, weak).await.host, asks()).await;
    let Setup { host, .. } = setup(policy, Approval::Nobody, weak).await;
    let answers = Answers::new().with(answered.id, true);
    let result = host.call_with(other, &given(answers)).await.unwrap();
    !result.is_error()
}

#[tokio::test]
async fn an_answer_counts_for_nothing_else() {
    let as_c1 = |call: ToolCall| call.with_id(CallId::new("c1"));
    let both = format!("{ASK}[tool.u]\napprove = \"ask\"\n");
    let others = [
        // Another input, another tool, another call.
        (ASK, as_c1(ToolCall::new("t", json!({ "a": 2 })))),
        (&both, as_c1(call("u"))),
        (ASK, call("t").with_id(CallId::new("c2"))),
        // Another rule: of another key, of another wording, with other grants beside it.
        ("[default]\napprove = \"ask\"\n", asks()),
        ("[tool.t]\napprove = \"ask\" # now\n", asks()),
        ("[tool.t]\napprove = { t = \"ask\" }\n", asks()),
        ("[tool.t]\napprove = \"ask\"\nenv = { A = \"b\" }\n", asks()),
    ];
    for (policy, other) in others {
        assert!(
            !counts(policy, other.clone(), &[]).await,
            "{policy} {other:?}"
        );
        let same_call = other.id.as_str() == "c1";
        let without = counts(policy, other, &[Weakness::AnswersFit]).await;
        assert_eq!(without, same_call, "{policy}");
    }
    assert!(counts(ASK, asks(), &[]).await);
    // What stands above the rule is of no matter.
    let moved = format!("# a remark\n{ASK}");
    assert!(counts(&moved, asks(), &[]).await);
}

#[tokio::test]
async fn another_package_of_the_same_name_is_asked_about_anew() {
    let first = question(&setup(ASK, Approval::Later, &[]).await.host, asks()).await;
    let host = builder(ASK)
        .approver(Says(Approval::Later, Asked::default()))
        .build()
        .unwrap();
    let other = package(&manifest("t", "t", ""), SPIN);
    host.load_bytes("t", other).await.unwrap();
    let context = given(Answers::new().with(first.id.clone(), true));
    let result = host.call_with(asks(), &context).await.unwrap();
    let again = result.pending.unwrap();
    assert_ne!(again.id, first.id);
    assert_ne!(again.digest, first.digest);
    let covers = |a: &ApprovalRequest, b: &ApprovalRequest| {
        let [a, b] = [a, b].map(|it| it.remembered_for.clone().unwrap());
        a.covers(&b)
    };
    assert!(!covers(&first, &again) && covers(&first, &first));
}

/// The same words of a policy grant other directories where its file lies elsewhere.
#[tokio::test]
async fn what_is_remembered_belongs_to_a_place_and_to_a_tenant() {
    let of = async |base: &str, tenant: Option<&str>| {
        let policy = Policy::from_toml(ASK).unwrap().with_base(base);
        let host = ToolHost::builder()
            .policy(policy)
            .default_isolation(toolcell_policy::Isolation::Thread)
            .approver(Says(Approval::Later, Asked::default()))
            .build()
            .unwrap();
        host.load_bytes("t", package(&manifest("t", "t", ""), ECHO))
            .await
            .unwrap();
        let context = CallContext {
            tenant: tenant.map(crate::TenantId::new),
            ..CallContext::default()
        };
        *host
            .call_with(asks(), &context)
            .await
            .unwrap()
            .pending
            .unwrap()
    };
    let (here, there) = (of("/a", None).await, of("/b", None).await);
    let others = of("/a", Some("x")).await;
    assert_eq!(here.id, there.id, "an answer goes to another machine");
    assert_ne!(here.id, others.id);
    let [here, there, others] = [here, there, others].map(|it| it.remembered_for.unwrap());
    assert!(!here.covers(&there) && !here.covers(&others));
    assert!(here.covers(&of("/a", None).await.remembered_for.unwrap()));
}

#[tokio::test]
async fn a_remembered_answer_is_on_record_with_its_rule() {
    for allow in [true, false] {
        let Setup { host, seen, .. } = setup(ASK, Approval::Remembered { allow }, &[]).await;
        let result = host.call(asks()).await.unwrap();
        assert_eq!(result.is_error(), !allow);
        let effect = if allow { "Allow" } else { "Deny" };
        let rule = "remembered: toolcell.toml:2 tool.t.approve";
        let expected = ("call".into(), effect.into(), rule.into());
        assert_eq!(seen.decisions()[1], expected);
    }
}

#[tokio::test]
async fn a_call_may_bring_its_own_approver() {
    let Setup { host, asked, .. } = setup(ASK, Approval::Nobody, &[]).await;
    let own = Asked::default();
    let context = CallContext {
        approver: Some(crate::SharedApprover::new(Says(
            Approval::Allow,
            Arc::clone(&own),
        ))),
        ..CallContext::default()
    };
    assert!(!host.call_with(asks(), &context).await.unwrap().is_error());
    assert_eq!(
        (asked.lock().unwrap().len(), own.lock().unwrap().len()),
        (1, 1)
    );
    // Whoever is asked on behalf of the host decides.
    let Setup { host, .. } = setup(ASK, Approval::Deny, &[]).await;
    assert!(host.call_with(asks(), &context).await.unwrap().is_error());
    assert_eq!(own.lock().unwrap().len(), 1);
}

/// A question that is open when everything is stopped is the one that the call waits for.
#[tokio::test]
async fn a_call_that_is_cancelled_while_it_asks_can_be_made_again() {
    let host = builder(ASK).approver(Never).build().unwrap();
    host.load_bytes("t", tool("", ECHO)).await.unwrap();
    let heard: Arc<Mutex<Vec<CallEvent>>> = Arc::default();
    let context = CallContext::default();
    let (into, cancel) = (Arc::clone(&heard), context.cancel.clone());
    let context = CallContext {
        events: Some(Arc::new(move |_, event| {
            into.lock().unwrap().push(event);
            cancel.cancel();
        })),
        ..context
    };
    let result = host.call_with(asks(), &context).await.unwrap();
    assert_eq!(kind(&result), ErrorKind::Cancelled);
    let pending = result.pending.unwrap();
    let asked = CallEvent::Asked {
        request: pending,
        unbegun: true,
    };
    assert_eq!(heard.lock().unwrap().as_slice(), [asked]);
    // One that was cancelled before it asked waits for nothing.
    let context = CallContext::default();
    context.cancel.cancel();
    let result = host.call_with(asks(), &context).await.unwrap();
    assert_eq!(
        (kind(&result), result.pending),
        (ErrorKind::Cancelled, None)
    );
}

#[tokio::test]
async fn an_answer_is_told_before_anything_happens_because_of_it() {
    let Setup { host, seen, .. } = setup(ASK, Approval::Allow, &[]).await;
    let heard: Arc<Mutex<Vec<(CallEvent, usize)>>> = Arc::default();
    let into = Arc::clone(&heard);
    let context = CallContext {
        events: Some(Arc::new(move |_, event| {
            into.lock().unwrap().push((event, seen.outcomes().len()));
        })),
        ..CallContext::default()
    };
    host.call_with(asks(), &context).await.unwrap();
    let heard = heard.lock().unwrap();
    let (CallEvent::Asked { request, .. }, 0) = &heard[0] else {
        panic!("{heard:?}");
    };
    let answered = CallEvent::Answered {
        id: request.id.clone(),
        allowed: true,
        by: "approver".into(),
    };
    assert_eq!(heard[1], (answered, 0));
}

/// The value of a secret is neither shown nor told by the digest of an input.
#[tokio::test]
async fn a_question_is_the_same_whatever_the_value_of_a_secret_in_its_input() {
    let of = async |value: &str| {
        let policy = format!("{ASK}[secrets]\narguments = \"allow\"\n");
        let Setup { host, .. } = setup(&policy, Approval::Later, &[]).await;
        let secret = crate::Secret::new(value).unwrap();
        host.redaction().register("TOKEN", secret);
        let call = ToolCall::new("t", json!({ "a": value })).with_id(CallId::new("c1"));
        question(&host, call).await
    };
    let (one, two) = (of("q7Rk2mXw9TbZ").await, of("Zb9wXm2kR7qT").await);
    assert_eq!(one.id, two.id);
    assert_eq!(one.input_preview, "{\"a\":\"[secret TOKEN]\"}");
}

#[test]
fn ids_that_people_type_are_only_ever_compared() {
    let answers = Answers::new().with(ApprovalId::new("ask_\n"), true);
    assert_eq!(answers.get(&ApprovalId::new("ask_")), None);
    assert_eq!(answers.get(&ApprovalId::new("ask__")), Some(true));
}
