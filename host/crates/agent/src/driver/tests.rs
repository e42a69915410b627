mod waiting;

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::sync::{Barrier, Notify};
use toolcell::{CallEvent, Content, Denial, ErrorKind};

use super::*;
use crate::{
    BudgetKind, ModelProvider,
    model::{ModelError, ModelSink, Scripted},
    testing::{Tools, failed, recorder, reply, result, tool_use},
    wire::{Block, ModelRequest, Reply, StopReason},
};

/// A script that asks for these tools in one turn and then ends.
fn script(calls: &[(&str, &str)]) -> Scripted {
    let content: Vec<Block> = calls
        .iter()
        .map(|(id, name)| tool_use(id, name, json!({ "for": id })))
        .collect();
    let turn =
        json!({ "content": content, "stop_reason": "tool_use", "usage": { "input_tokens": 7 } });
    let end = json!({ "content": "done", "stop_reason": "end_turn" });
    Scripted::parse("script", &format!("{turn}\n{end}\n")).unwrap()
}

fn agent(tools: &Tools, model: impl ModelProvider + 'static) -> Agent {
    Agent::builder(tools.clone(), model).build().unwrap()
}

fn of_type(events: &[AgentEvent], kind: &str) -> Vec<Value> {
    let events = events
        .iter()
        .map(|event| serde_json::to_value(event).unwrap());
    events.filter(|event| event["type"] == kind).collect()
}

/// Tools that log, are denied a file, and fail.
fn denied() -> Tools {
    Tools::new(|call, context| {
        Box::pin(async move {
            let event = CallEvent::Log {
                level: "info".into(),
                message: "hello".into(),
            };
            context.events.unwrap()(&call.id, event);
            let mut answer = failed(&call, ErrorKind::Denied, "no");
            answer.usage.wall_us = 42;
            answer.denials.push(Denial {
                capability: "files".into(),
                access: "read /etc/passwd".into(),
                rule: "default".into(),
                reason: "not granted".into(),
            });
            Ok(answer)
        })
    })
}

#[tokio::test]
async fn a_run_tells_its_story() {
    let tools = denied();
    let (events, heard) = recorder();
    let context = RunContext {
        events: Some(events),
        ..RunContext::default()
    };
    let report = agent(&tools, script(&[("t1", "read")]))
        .run("go", &context)
        .await
        .unwrap();
    assert_eq!(
        (report.outcome, report.text.as_str()),
        (RunOutcome::Finished, "done")
    );

    let heard = heard.lock().unwrap();
    let kinds: Vec<String> = heard
        .iter()
        .map(|event| {
            serde_json::to_value(event).unwrap()["type"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "run_start",
            "turn_start",
            "tool_use",
            "usage",
            "tool_call_start",
            "tool_call_event",
            "tool_call_end",
            "turn_start",
            "text",
            "usage",
            "done",
        ]
    );
    let start = &of_type(&heard, "run_start")[0];
    assert_eq!(
        start["tools"],
        json!(["other", "read", "result_read", "write"])
    );
    let end = &of_type(&heard, "tool_call_end")[0];
    assert_eq!(
        (&end["code"], &end["text"]),
        (&json!("denied"), &json!("denied: no"))
    );
    assert_eq!(
        (&end["wall_us"], &end["denials"][0]["access"]),
        (&json!(42), &json!("read /etc/passwd"))
    );
    let done = &of_type(&heard, "done")[0];
    assert_eq!(
        (&done["outcome"], &done["spent"]["turns"]),
        (&json!("finished"), &json!(2))
    );
    assert_eq!(done["spent"]["cost_micro_usd"], json!(0));
    assert!(
        !serde_json::to_string(&*heard)
            .unwrap()
            .contains("secret help")
    );
}

#[tokio::test]
async fn every_failure_of_a_tool_is_an_answer_and_the_loop_goes_on() {
    let tools = Tools::new(|call, _| {
        Box::pin(async move {
            let kind = match call.id.as_str() {
                "t1" => ErrorKind::Denied,
                "t2" => ErrorKind::LimitTime,
                "t3" => ErrorKind::Trap,
                _ => ErrorKind::InvalidInput,
            };
            Ok(failed(&call, kind, "why"))
        })
    });
    let calls = [
        ("t1", "read"),
        ("t2", "write"),
        ("t3", "other"),
        ("t4", "read"),
        ("t5", "unknown"),
    ];
    let text = [
        ("denied: why"),
        ("limit_time: why"),
        ("trap: why"),
        ("invalid_input: why"),
        ("unknown_tool: there is no tool `unknown`"),
    ];
    let expected: Vec<Value> = text
        .iter()
        .map(|text| json!({ "is_error": true, "contains": text, "lacks": "help" }))
        .collect();
    let content: Vec<Block> = calls
        .iter()
        .map(|(id, name)| tool_use(id, name, json!({})))
        .collect();
    let turns = [
        json!({ "content": content, "stop_reason": "tool_use" }),
        json!({ "content": "ok", "stop_reason": "end_turn", "expect": { "results": expected } }),
    ];
    let model = Scripted::parse("s", &format!("{}\n{}", turns[0], turns[1])).unwrap();
    let report = agent(&tools, model)
        .run("go", &RunContext::default())
        .await
        .unwrap();
    assert_eq!(report.outcome, RunOutcome::Finished);
    assert_eq!(tools.seen(), ["t1", "t2", "t3", "t4"]);
}

#[tokio::test]
async fn calls_of_a_turn_run_at_the_same_time() {
    // Each call waits for all others: one after the other, they would never end.
    let barrier = Arc::new(Barrier::new(3));
    let tools = Tools::new(move |call, _| {
        let barrier = Arc::clone(&barrier);
        Box::pin(async move {
            barrier.wait().await;
            Ok(result(&call, vec![Content::text(call.id.as_str())]))
        })
    });
    let model = script(&[("t1", "read"), ("t2", "read"), ("t3", "write")]);
    let report = agent(&tools, model)
        .run("go", &RunContext::default())
        .await
        .unwrap();
    assert_eq!(report.outcome, RunOutcome::Finished);
}

#[tokio::test]
async fn no_more_calls_run_at_the_same_time_than_allowed() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let highest = Arc::clone(&most);
    let tools = Tools::new(move |call, _| {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        Box::pin(async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(result(&call, vec![]))
        })
    });
    let ids: Vec<String> = (0..30).map(|n| format!("t{n}")).collect();
    let calls: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "read")).collect();
    agent(&tools, script(&calls))
        .run("go", &RunContext::default())
        .await
        .unwrap();
    assert_eq!(
        (highest.load(Ordering::SeqCst), tools.seen().len()),
        (8, 30)
    );
}

#[tokio::test]
async fn a_host_that_fails_ends_the_run_but_loses_no_result() {
    let failed = Arc::new(Notify::new());
    let tools = Tools::new(move |call, _| {
        let failed = Arc::clone(&failed);
        Box::pin(async move {
            if call.id.as_str() == "t1" {
                failed.notify_one();
                return Err(toolcell::Error::new(
                    ErrorKind::Internal,
                    "the audit log is full",
                ));
            }
            failed.notified().await;
            Ok(result(&call, vec![]))
        })
    });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.jsonl");
    let context = RunContext {
        transcript: Some(path.clone()),
        ..RunContext::default()
    };
    let model = script(&[("t1", "write"), ("t2", "write"), ("t3", "write")]);
    let agent = Agent::builder(tools.clone(), model)
        .parallel(2)
        .build()
        .unwrap();
    let error = agent.run("go", &context).await.unwrap_err();
    assert_eq!(error.to_string(), "the audit log is full");
    assert_eq!(tools.seen(), ["t1", "t2"]);
    let written = std::fs::read_to_string(path).unwrap();
    assert!(
        written.contains(r#""type":"tool_result","id":"t2""#),
        "{written}"
    );
}

#[tokio::test]
async fn a_call_that_panics_ends_the_run_with_an_error() {
    let tools = Tools::new(|_, _| Box::pin(async { panic!("a bug in the host") }));
    let error = agent(&tools, script(&[("t1", "read")]))
        .run("go", &RunContext::default())
        .await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "a tool call broke inside the host"
    );
}

#[tokio::test]
async fn stopping_cancels_calls_and_keeps_their_results() {
    let tools = Tools::new(|call, context| {
        Box::pin(async move {
            context.cancel.cancelled().await;
            Ok(failed(&call, ErrorKind::Cancelled, "the caller went away"))
        })
    });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.jsonl");
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let context = RunContext {
        transcript: Some(path.clone()),
        cancel,
        events: Some(Arc::new(move |event| {
            if matches!(event, AgentEvent::ToolCallStart { .. }) {
                stop.cancel();
            }
        })),
        ..RunContext::default()
    };
    let model = script(&[("t1", "write")]);
    let report = agent(&tools, model.clone())
        .run("go", &context)
        .await
        .unwrap();
    assert_eq!(report.outcome, RunOutcome::Cancelled);

    // It goes on later, without the call that was cancelled.
    let tools = Tools::echo();
    let report = agent(&tools, model)
        .resume(path, &RunContext::default())
        .await
        .unwrap();
    assert_eq!(report.outcome, RunOutcome::Finished);
    assert!(tools.seen().is_empty());
}

#[tokio::test]
async fn a_call_that_ignores_its_cancellation_is_abandoned() {
    let tools = Tools::new(|_, _| Box::pin(std::future::pending()));
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let context = RunContext {
        cancel,
        events: Some(Arc::new(move |event| {
            if matches!(event, AgentEvent::ToolCallStart { .. }) {
                stop.cancel();
            }
        })),
        transcript: None,
        ..RunContext::default()
    };
    let mut agent = agent(&tools, script(&[("t1", "write")]));
    agent.rules.cancel_grace = Duration::from_millis(10);
    let report = agent.run("go", &context).await.unwrap();
    assert_eq!(report.outcome, RunOutcome::Cancelled);
}

/// A model that answers each turn as told.
struct Fake<F>(F);

impl<F: Fn(&ModelRequest) -> BoxFuture<'static, Result<Reply, ModelError>> + Send + Sync>
    ModelProvider for Fake<F>
{
    fn id(&self) -> &str {
        "fake"
    }

    fn provider(&self) -> &str {
        "test"
    }

    fn stream<'a>(
        &'a self,
        request: &'a ModelRequest,
        _: ModelSink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        (self.0)(request)
    }
}

#[tokio::test]
async fn the_time_budget_cuts_off_a_silent_model() {
    let model =
        Fake(|_: &ModelRequest| -> BoxFuture<'static, _> { Box::pin(std::future::pending()) });
    let budget = Budget {
        time_ms: 20,
        ..Budget::default()
    };
    let agent = Agent::builder(Tools::echo(), model)
        .budget(budget)
        .build()
        .unwrap();
    let report = agent.run("go", &RunContext::default()).await.unwrap();
    assert!(
        matches!(
            &report.outcome,
            RunOutcome::BudgetExceeded(it) if (it.budget, it.limit) == (BudgetKind::Time, 20) && it.spent >= 20
        ),
        "{report:?}"
    );
}

#[tokio::test]
async fn the_time_budget_is_a_calls_deadline() {
    let deadline = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&deadline);
    let tools = Tools::new(move |call, context| {
        *seen.lock().unwrap() = context.deadline;
        Box::pin(async move { Ok(result(&call, vec![])) })
    });
    let before = std::time::Instant::now();
    let budget = Budget {
        time_ms: 60_000,
        ..Budget::default()
    };
    let agent = Agent::builder(tools, script(&[("t1", "read")]))
        .budget(budget)
        .build()
        .unwrap();
    agent.run("go", &RunContext::default()).await.unwrap();
    let deadline = deadline.lock().unwrap().unwrap();
    let minute = Duration::from_secs(60);
    assert!(deadline <= std::time::Instant::now() + minute && deadline > before);
}

#[tokio::test]
async fn a_model_that_fails_or_talks_nonsense_fails_the_run() {
    let cases = [
        (
            Err(ModelError::Truncated),
            "unavailable: the answer was cut off: the stream ended before the turn did",
        ),
        (
            Ok(reply(StopReason::ToolUse, vec![])),
            "unavailable: the model's turn makes no sense: it stopped for tool use and asks for no tool",
        ),
    ];
    for (answer, expected) in cases {
        let model = Fake(move |_: &ModelRequest| -> BoxFuture<'static, _> {
            Box::pin(std::future::ready(answer.clone()))
        });
        let report = agent(&Tools::echo(), model)
            .run("go", &RunContext::default())
            .await
            .unwrap();
        assert_eq!(report.outcome.to_string(), expected);
    }
}

#[tokio::test]
async fn a_run_can_be_spawned() {
    let agent = agent(&Tools::echo(), script(&[("t1", "read")]));
    let task = tokio::spawn(async move { agent.run("go", &RunContext::default()).await });
    assert_eq!(task.await.unwrap().unwrap().outcome, RunOutcome::Finished);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let unpriced =
        || Fake(|_: &ModelRequest| -> BoxFuture<'static, _> { Box::pin(std::future::pending()) });
    let builder = || Agent::builder(Tools::echo(), unpriced());
    let cost = Budget {
        cost_micro_usd: Some(1),
        ..Budget::default()
    };
    assert!(builder().build().is_ok());
    for (builder, expected) in [
        (builder().max_tokens(0), "max_tokens must be at least 1"),
        (
            builder().parallel(0),
            "at least one call must be able to run",
        ),
        (
            builder().request_field("tools", json!([])),
            "the request field `tools` is set by the loop",
        ),
        (builder().budget(cost), "the price of fake is not known"),
    ] {
        let said = builder.build().map(|_| ()).unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
    }
}
