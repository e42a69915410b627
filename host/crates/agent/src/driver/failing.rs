//! Turns that fail: what is left of them, and what the run does next.

use std::fs;

use serde_json::json;

use super::*;
use crate::{
    AgentBuilder, Budget, BudgetKind,
    machine::Step,
    model::{BreakerSettings, Fallback, Lanes, LimitSettings, ModelError, Resilient, Retry},
    testing::{
        Tools,
        model::{Double, http},
        recorder, reply, tool_use,
    },
    wire::{Block, StopReason},
};

fn agent(tools: &Tools, model: Arc<dyn ModelProvider>) -> AgentBuilder {
    AgentBuilder::new(Arc::new(tools.clone()), model)
}

/// Asks for a tool first, and says that it is done when the result is there.
fn worker(id: &str) -> Arc<Double> {
    Double::new(id, |request, _| {
        Ok(match request.last_results().next() {
            None => reply(
                StopReason::ToolUse,
                vec![
                    Block::Other(json!({ "type": "thinking", "thinking": "hm", "signature": "s" })),
                    tool_use("t1", "read", json!({})),
                ],
            ),
            Some(_) => reply(StopReason::EndTurn, vec![Block::text("done")]),
        })
    })
}

fn errors() -> Vec<ModelError> {
    vec![
        ModelError::Truncated,
        ModelError::Transport("reset".into()),
        ModelError::Protocol("no JSON".into()),
        ModelError::Busy("full".into()),
        http(401, "authentication_error"),
        http(429, "rate_limit_error"),
        http(529, "overloaded_error"),
    ]
}

#[tokio::test]
async fn a_failed_turn_leaves_the_run_as_it_was() {
    for error in errors() {
        let code = error.code();
        let model = Double::new("m", move |_, _| Err(error.clone()));
        let tools = Tools::echo();
        let agent = agent(&tools, model.clone()).build().unwrap();
        let context = RunContext::default();
        let mut run = Run::new(agent.settings(), "go", "c");
        run.on_reply(reply(
            StopReason::ToolUse,
            vec![tool_use("t1", "read", json!({}))],
        ))
        .unwrap();
        run.on_tool_result("t1", crate::testing::output("x"))
            .unwrap();
        let before = run.clone();
        let mut session = Session::new(&agent, &context, run, None);
        let Step::CallModel(request) = session.run.next() else {
            panic!("the model's turn");
        };
        let outcome = session
            .turn(*request, crate::driver::context::Purpose::Turn)
            .await
            .unwrap();
        assert!(matches!(outcome, Some(RunOutcome::Failed { code: it, .. }) if it == code));
        // What the server is paid for all the same is counted; nothing else has changed.
        let without_spent = |run: &Run| {
            let mut run = serde_json::to_value(run).unwrap();
            run.as_object_mut().unwrap().remove("spent");
            run
        };
        assert_eq!(without_spent(&session.run), without_spent(&before));
        assert_eq!(session.run.spent().turns, before.spent().turns);
        assert_eq!((model.seen().len(), tools.seen().len()), (1, 0));
    }
}

/// Nothing of a turn that failed is in the transcript, and the run goes on from it with the very same request.
#[tokio::test]
async fn a_failed_turn_can_be_asked_for_again_by_a_resumed_run() {
    let directory = tempfile::tempdir().unwrap();
    for (number, error) in errors().into_iter().enumerate() {
        let path = directory.path().join(format!("{number}.jsonl"));
        let tools = Tools::echo();
        let failing = Double::new("m", move |request, _| match request.last_results().next() {
            Some(_) => Err(error.clone()),
            None => Ok(reply(
                StopReason::ToolUse,
                vec![tool_use("t1", "read", json!({}))],
            )),
        });
        let first = agent(&tools, failing.clone()).build().unwrap();
        let context = RunContext {
            transcript: Some(path.clone()),
            ..RunContext::default()
        };
        let report = first.run("go", &context).await.unwrap();
        assert!(matches!(report.outcome, RunOutcome::Failed { .. }));
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("so far"), "{text}");
        let kinds: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].clone())
            .filter(|kind| kind != "lost")
            .collect();
        assert_eq!(
            kinds,
            ["header", "reply", "tool_start", "tool_result", "end"]
        );

        let good = worker("m");
        let second = agent(&tools, good.clone()).build().unwrap();
        let report = second.resume(&path, &RunContext::default()).await.unwrap();
        assert_eq!(report.outcome, RunOutcome::Finished);
        assert_eq!(tools.seen(), ["t1"]);
        assert_eq!(good.seen()[0].messages, failing.seen()[1].messages);
    }
}

/// Text of the attempt that broke off is told, then taken back; the tools of a turn run once, when all of it is there.
#[tokio::test]
async fn tools_wait_for_the_attempt_that_arrives_whole() {
    let broken = Double::new("m", |request, number| match number {
        0 | 1 => Err(ModelError::Truncated),
        _ if request.last_results().next().is_some() => {
            Ok(reply(StopReason::EndTurn, vec![Block::text("done")]))
        }
        _ => Ok(reply(
            StopReason::ToolUse,
            vec![tool_use("t1", "write", json!({}))],
        )),
    });
    let tools = Tools::echo();
    let timer = crate::testing::time::FakeTimer::new();
    let model = Resilient::with_timer(broken.clone(), Retry::default(), timer);
    let (events, heard) = recorder();
    let context = RunContext {
        events: Some(events),
        ..RunContext::default()
    };
    let agent = agent(&tools, Arc::new(model)).build().unwrap();
    let report = agent.run("go", &context).await.unwrap();
    assert_eq!(report.outcome, RunOutcome::Finished);
    assert_eq!(
        (tools.seen(), broken.seen().len()),
        (vec!["t1".to_owned()], 4)
    );
    let discarded: Vec<bool> = heard
        .lock()
        .unwrap()
        .iter()
        .filter_map(|event| match event {
            AgentEvent::ModelRetry { discarded, .. } => Some(*discarded),
            _ => None,
        })
        .collect();
    assert_eq!(discarded, [true, true]);
}

/// A model whose server asks for a pause that nobody here wants to sit through.
fn pausing() -> Arc<dyn ModelProvider> {
    let limited = Double::new("m", |_, _| {
        Err(ModelError::Http {
            status: 429,
            kind: "rate_limit_error".into(),
            message: "later".into(),
            request_id: None,
            retry_after: Some(Duration::from_secs(3000)),
            should_retry: None,
        })
    });
    let retry = Retry {
        longest_wait: Duration::from_secs(3600),
        ..Retry::default()
    };
    let limits = LimitSettings {
        longest_queue: Duration::from_secs(7200),
        ..LimitSettings::default()
    };
    let lanes = Lanes::new(limits, BreakerSettings::default());
    Arc::new(Resilient::shared(limited, retry, &lanes))
}

#[tokio::test]
async fn a_cancelled_run_waits_no_longer() {
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let context = RunContext {
        events: Some(Arc::new(move |event| {
            if let AgentEvent::ModelRetry { .. } = event {
                stop.cancel();
            }
        })),
        cancel,
        ..RunContext::default()
    };
    let agent = agent(&Tools::echo(), pausing()).build().unwrap();
    let report = agent.run("go", &context).await.unwrap();
    assert_eq!(report.outcome, RunOutcome::Cancelled);
}

#[tokio::test]
async fn the_time_budget_cuts_a_wait_off() {
    let budget = Budget {
        time_ms: 30,
        ..Budget::default()
    };
    let agent = agent(&Tools::echo(), pausing())
        .budget(budget)
        .build()
        .unwrap();
    let report = agent.run("go", &RunContext::default()).await.unwrap();
    let RunOutcome::BudgetExceeded(over) = report.outcome else {
        panic!("{:?}", report.outcome);
    };
    assert_eq!(over.budget, BudgetKind::Time);
}

#[tokio::test]
async fn the_model_that_answered_is_named_and_paid() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.jsonl");
    let tools = Tools::echo();
    let down = Double::new("claude-opus-4-5", |_, _| Err(http(529, "overloaded_error")));
    let other = worker("claude-haiku-4-5");
    let model = Fallback::new(down.clone(), vec![other.clone()]);
    let first = agent(&tools, Arc::new(model)).build().unwrap();
    let context = RunContext {
        transcript: Some(path.clone()),
        ..RunContext::default()
    };
    let report = first.run("go", &context).await.unwrap();
    assert_eq!(report.outcome, RunOutcome::Finished);
    // Two turns of 10 tokens at 1 USD and 5 at 5 USD a million.
    assert_eq!(report.spent.cost_micro_usd, Some(2 * 35));
    // The one that thought got its thinking back, the one that did not never saw it.
    let kinds = |model: &Double, turn: usize| -> Vec<String> {
        let request = model.seen()[turn].clone();
        let content = &request.messages[1].content;
        content
            .iter()
            .map(|block| block.kind().to_owned())
            .collect()
    };
    assert_eq!(kinds(&other, 1), ["thinking", "tool_use"]);
    assert_eq!(kinds(&down, 1), ["tool_use"]);
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.contains(r#""answered_by":"double:claude-haiku-4-5""#),
        "{text}"
    );

    // A run that goes on with another model keeps that apart, too.
    let third = worker("claude-sonnet-4-5");
    let cut: Vec<&str> = text.lines().take(4).collect();
    fs::write(&path, format!("{}\n", cut.join("\n"))).unwrap();
    let model = Fallback::new(third.clone(), Vec::new());
    let second = agent(&tools, Arc::new(model)).build().unwrap();
    let report = second.resume(&path, &RunContext::default()).await.unwrap();
    assert_eq!(report.outcome, RunOutcome::Finished);
    assert_eq!(kinds(&third, 0), ["tool_use"]);
}

#[test]
fn a_budget_on_cost_needs_the_price_of_every_model_that_may_answer() {
    let budget = Budget {
        cost_micro_usd: Some(1),
        ..Budget::default()
    };
    let model = Fallback::new(worker("claude-opus-4-5"), vec![worker("unheard-of")]);
    let built = agent(&Tools::echo(), Arc::new(model))
        .budget(budget)
        .build();
    let message = built.err().unwrap().to_string();
    assert!(
        message.contains("the price of unheard-of is not known"),
        "{message}"
    );
}
