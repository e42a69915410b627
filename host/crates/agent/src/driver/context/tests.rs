use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use toolcell::Content;

use super::*;
use crate::{
    ModelProvider, RunContext, RunReport,
    model::{
        Anthropic, AnthropicConfig, ApiKey, ModelError, ModelSink,
        anthropic::body::{Dialect, messages_body},
    },
    testing::{
        Tools, recorder, reply, result,
        server::{self, Server},
        tool_use,
    },
    wire::{Block, StopReason, TokenUsage},
};

/// A model that asks for a file so many times and then ends, and that gives a summary when it is asked for one. It keeps
/// what it was sent, byte for byte.
#[derive(Clone, Default)]
struct Reader {
    turns: u32,
    sent: Arc<Mutex<Vec<String>>>,
    counted: Arc<AtomicUsize>,
    /// What counting answers.
    count: Option<u64>,
    /// How many bytes it says in each turn.
    says: usize,
}

impl Reader {
    fn new(turns: u32) -> Self {
        Self {
            turns,
            ..Self::default()
        }
    }

    fn sent(&self) -> Vec<String> {
        self.sent.lock().unwrap().clone()
    }
}

impl ModelProvider for Reader {
    fn id(&self) -> &str {
        "reader"
    }

    fn provider(&self) -> &str {
        // Breakpoints are a part of the bytes.
        "anthropic"
    }

    fn is_free(&self) -> bool {
        true
    }

    fn stream<'a>(
        &'a self,
        request: &'a ModelRequest,
        _: ModelSink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        let dialect = Dialect {
            model: true,
            stream: Some(true),
            version: None,
            sampling: false,
        };
        let body = Value::from(messages_body(request, dialect).unwrap()).to_string();
        self.sent.lock().unwrap().push(body);
        let id = format!("t{}", request.turn);
        let mut answer = if request.tools.is_empty() {
            reply(
                StopReason::EndTurn,
                vec![Block::text(format!("Summary {id}."))],
            )
        } else if request.turn >= self.turns {
            reply(StopReason::EndTurn, vec![Block::text("done")])
        } else {
            let call = tool_use(&id, "read", json!({ "for": id }));
            let text = Block::text(format!("I look. {}", "y".repeat(self.says)));
            reply(StopReason::ToolUse, vec![text, call])
        };
        answer.usage = TokenUsage::default();
        Box::pin(std::future::ready(Ok(answer)))
    }

    fn count_tokens<'a>(
        &'a self,
        _: &'a ModelRequest,
    ) -> BoxFuture<'a, Result<Option<u64>, ModelError>> {
        self.counted.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(Ok(self.count)))
    }
}

/// Tools whose every answer has about 700 tokens and names its call.
fn files() -> Tools {
    Tools::new(|call, _| {
        let text = format!("{} {}", call.id, "x".repeat(2_450));
        Box::pin(async move { Ok(result(&call, vec![Content::text(text)])) })
    })
}

fn rules() -> ContextRules {
    ContextRules {
        window: Some(10_000),
        ..ContextRules::default()
    }
}

fn agent(model: impl ModelProvider + 'static, rules: ContextRules) -> Agent {
    let agent = Agent::builder(files(), model).context(rules);
    agent.max_tokens(1_000).build().unwrap()
}

async fn run(agent: &Agent, transcript: Option<&Path>) -> (RunReport, Vec<Value>) {
    let (events, heard) = recorder();
    let context = RunContext {
        events: Some(events),
        transcript: transcript.map(Path::to_path_buf),
        ..RunContext::default()
    };
    let report = agent.run("go", &context).await.unwrap();
    let heard = heard.lock().unwrap();
    let events = heard
        .iter()
        .map(|event| serde_json::to_value(event).unwrap());
    (report, events.collect())
}

fn of_type<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events
        .iter()
        .filter(|event| event["type"] == kind)
        .collect()
}

#[tokio::test]
async fn a_long_run_gives_way_step_by_step_and_says_so() {
    let model = Reader {
        says: 1_000,
        ..Reader::new(40)
    };
    let (report, events) = run(&agent(model.clone(), rules()), None).await;
    assert_eq!(report.outcome, RunOutcome::Finished);
    let steps = of_type(&events, "compacted");
    assert_eq!(steps.len(), report.context.compactions as usize);
    assert!(
        report.context.cleared_results > 0 && report.context.summaries > 0,
        "{report:?}"
    );
    for step in steps {
        assert!(
            step["tokens_after"].as_u64() < step["tokens_before"].as_u64(),
            "{step}"
        );
    }
    // A summary is a turn of the run, and its text is not told as the model's.
    let summaries = of_type(&events, "summary_start").len() as u32;
    assert_eq!(summaries, report.context.summaries);
    assert_eq!(report.spent.turns as usize, model.sent().len());
    assert!(
        !of_type(&events, "text")
            .iter()
            .any(|event| event["text"].to_string().contains("Summary"))
    );
    assert!(model.sent().last().unwrap().contains("Summary t"));
}

/// A run is killed after each line of its transcript in turn. Whatever was cut and gave way before: the resumed run sends
/// the bytes that the one which was not killed sends.
#[tokio::test]
async fn a_run_that_was_killed_sends_what_it_would_have_sent() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole.jsonl");
    let rules = ContextRules {
        // Some answers are cut as well.
        result_tokens: 1_000,
        window: Some(8_000),
        ..rules()
    };
    let reader = || Reader {
        says: 1_000,
        ..Reader::new(14)
    };
    let model = reader();
    run(&agent(model.clone(), rules.clone()), Some(&whole)).await;
    let all = model.sent();
    let text = fs::read_to_string(&whole).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let compacted = lines
        .iter()
        .filter(|line| line.contains(r#""type":"compaction""#))
        .count();
    assert!(compacted >= 2, "{compacted} steps");
    assert!(text.contains("Summary t"), "none of them by a summary");
    for killed_after in 1..lines.len() - 1 {
        let path = dir.path().join(format!("{killed_after}.jsonl"));
        fs::write(&path, lines[..killed_after].concat()).unwrap();
        let model = reader();
        let again = Tools::new(|call, _| {
            let text = format!("{} {}", call.id, "x".repeat(2_450));
            Box::pin(async move { Ok(result(&call, vec![Content::text(text)])) })
        });
        let agent = Agent::builder(again, model.clone()).context(rules.clone());
        let agent = agent.max_tokens(1_000).build().unwrap();
        let report = agent.resume(&path, &RunContext::default()).await.unwrap();
        assert_eq!(report.outcome, RunOutcome::Finished);
        let sent = model.sent();
        assert_eq!(
            sent,
            all[all.len() - sent.len()..],
            "killed after line {killed_after}"
        );
    }
}

#[tokio::test]
async fn rules_of_an_earlier_resumption_hold_for_what_came_under_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.jsonl");
    let strict = ContextRules {
        result_tokens: 1_000,
        ..rules()
    };
    let big = || {
        Tools::new(|call, _| {
            let text = format!("{}\n", call.id).repeat(3_000);
            Box::pin(async move { Ok(result(&call, vec![Content::text(text)])) })
        })
    };
    let agent = |turns, rules: &ContextRules| {
        let model = Reader::new(turns);
        let rules = ContextRules {
            window: Some(100_000),
            ..rules.clone()
        };
        let agent = Agent::builder(big(), model.clone()).context(rules);
        (agent.build().unwrap(), model)
    };
    let context = RunContext {
        transcript: Some(path.clone()),
        ..RunContext::default()
    };
    agent(1, &rules()).0.run("go", &context).await.unwrap();
    // Take the end away, so that it goes on.
    let cut_end = || {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let kept = lines
            .iter()
            .rposition(|line| line.contains(r#""type":"tool_result""#))
            .unwrap();
        fs::write(&path, lines[..=kept].concat()).unwrap();
    };
    cut_end();
    let (under_strict, first) = agent(2, &strict);
    under_strict
        .resume(&path, &RunContext::default())
        .await
        .unwrap();
    cut_end();
    let (under_old, second) = agent(2, &rules());
    under_old
        .resume(&path, &RunContext::default())
        .await
        .unwrap();
    assert_eq!(first.sent().last(), second.sent().last());
    assert!(second.sent().last().unwrap().contains("are left out here"));
}

#[tokio::test]
async fn tokens_are_counted_only_where_the_estimate_leaves_it_open() {
    // The count says that there is room, so nothing gives way until the estimate is far above.
    let model = Reader {
        count: Some(10),
        ..Reader::new(12)
    };
    let (report, _) = run(&agent(model.clone(), rules()), None).await;
    let asked = model.counted.load(Ordering::Relaxed);
    assert!(
        (1..=3).contains(&asked),
        "counted {asked} times in {} turns",
        report.spent.turns
    );
    assert_eq!(report.context.compactions, 1);
    // One that says that there is none is believed as well.
    let model = Reader {
        count: Some(1_000_000),
        ..Reader::new(11)
    };
    let (report, _) = run(&agent(model.clone(), rules()), None).await;
    assert!(model.counted.load(Ordering::Relaxed) >= 1);
    assert!(report.context.compactions >= 1);
}

#[tokio::test]
async fn a_tool_may_have_the_name_of_the_agents_own() {
    let agent = agent(Reader::new(1), rules());
    let tool = |name: &str| ToolSpec {
        name: name.into(),
        description: String::new(),
        input_schema: json!({}),
        repeatable: true,
    };
    let name = |tools: &[&str]| {
        let tools: Vec<ToolSpec> = tools.iter().map(|name| tool(name)).collect();
        agent.context_rules(&tools).reader
    };
    assert_eq!(name(&["a"]).as_deref(), Some("result_read"));
    assert_eq!(name(&["result_read"]).as_deref(), Some("result_read_2"));
    assert_eq!(
        name(&["result_read", "result_read_2"]).as_deref(),
        Some("result_read_3")
    );
    assert_eq!(name(&[]), None);
}

#[test]
fn rules_that_cannot_work_are_told() {
    let build = |rules: ContextRules, system: &str| {
        let agent = Agent::builder(files(), Reader::new(1)).context(rules);
        match agent.system(system).max_tokens(1_000).build() {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    };
    let with = |change: fn(&mut ContextRules)| {
        let mut rules = rules();
        change(&mut rules);
        build(rules, "")
    };
    assert_eq!(with(|_| {}), "");
    for share in [0.0, -1.0, 1.01, f64::NAN] {
        let rules = ContextRules {
            compact_at: share,
            ..rules()
        };
        assert!(build(rules, "").contains("compact_at"), "{share}");
    }
    assert!(with(|rules| rules.keep_turns = 0).contains("keep_turns"));
    assert!(with(|rules| rules.result_tokens = 999).contains("result_tokens"));
    assert!(with(|rules| rules.window = Some(999)).contains("window"));
    // 8,000 tokens may stand in a prompt.
    assert_eq!(build(rules(), &"x".repeat(28_000)), "");
    let told = build(rules(), &"x".repeat(28_004));
    assert!(
        told.contains("the instructions have about 8002 tokens"),
        "{told}"
    );
}

/// A model of a server on this machine.
fn served(server: &Server) -> Anthropic {
    let mut config = AnthropicConfig::new("claude-test", ApiKey::new("key"));
    config.base_url.clone_from(&server.url);
    Anthropic::new(config).unwrap()
}

/// Whether a request is one for a summary: it offers no tool.
fn wants_summary(request: &server::Request) -> bool {
    let body: Value = serde_json::from_str(&request.body).unwrap();
    body.get("tools").is_none()
}

fn too_long() -> server::Answer {
    let message = "prompt is too long: 210000 tokens > 200000 maximum";
    server::Answer::Bytes(server::error(400, "", "invalid_request_error", message))
}

fn turn(number: usize, end: bool) -> server::Answer {
    let id = format!("toolu_{number}");
    let call = (!end).then_some((id.as_str(), "read"));
    server::Answer::Bytes(server::stream(&server::turn("text", call)))
}

#[tokio::test]
async fn a_prompt_that_is_too_long_for_the_server_is_made_shorter_once_and_sent_again() {
    let server = Server::start(|number, _| match number {
        0..6 => turn(number, false),
        6 => too_long(),
        _ => turn(number, true),
    })
    .await;
    let agent = agent(served(&server), ContextRules::default());
    let (report, events) = run(&agent, None).await;
    assert_eq!(report.outcome, RunOutcome::Finished);
    let steps = of_type(&events, "compacted");
    assert_eq!((steps.len(), &steps[0]["forced"]), (1, &json!(true)));
    let bodies: Vec<String> = server
        .requests
        .lock()
        .unwrap()
        .iter()
        .map(|it| it.body.clone())
        .collect();
    assert!(bodies.last().unwrap().len() < bodies[6].len());
    assert!(bodies.last().unwrap().contains("was left out to make room"));
}

#[tokio::test]
async fn a_server_that_says_so_again_ends_the_run() {
    let server = Server::start(|number, request| match number {
        0..6 => turn(number, false),
        _ if wants_summary(request) => turn(number, true),
        _ => too_long(),
    })
    .await;
    let agent = agent(served(&server), ContextRules::default());
    let (report, events) = run(&agent, None).await;
    let RunOutcome::ContextOverflow { message } = &report.outcome else {
        panic!("{report:?}")
    };
    assert!(message.starts_with("prompt is too long"), "{message}");
    assert_eq!(of_type(&events, "compacted").len(), 1);
}

#[tokio::test]
async fn a_conversation_with_nothing_to_leave_out_ends_at_once() {
    let server = Server::start(|_, _| too_long()).await;
    let agent = agent(served(&server), ContextRules::default());
    let (report, _) = run(&agent, None).await;
    assert!(matches!(report.outcome, RunOutcome::ContextOverflow { .. }));
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_miss_of_the_prompt_cache_is_told_with_its_reason() {
    let usage = |number: usize| match number {
        0 => r#"{"input_tokens":3,"cache_creation_input_tokens":2000,"output_tokens":1}"#,
        1 => r#"{"input_tokens":3,"cache_read_input_tokens":2000,"output_tokens":1}"#,
        _ => r#"{"input_tokens":3,"cache_creation_input_tokens":2000,"output_tokens":1}"#,
    };
    let server = Server::start(move |number, _| {
        let call = (number < 2).then_some(("", "read"));
        let id = format!("toolu_{number}");
        let events = server::turn("text", call.map(|(_, name)| (id.as_str(), name)));
        let plain = r#"{"input_tokens":9,"output_tokens":1}"#;
        assert!(events.contains(plain), "{events}");
        server::Answer::Bytes(server::stream(&events.replace(plain, usage(number))))
    })
    .await;
    let (report, events) = run(&agent(served(&server), ContextRules::default()), None).await;
    let misses = of_type(&events, "cache_miss");
    assert_eq!(
        *misses[0],
        json!({ "type": "cache_miss", "turn": 3, "reason": "unknown", "expected_tokens": 2000, "read_tokens": 0 })
    );
    assert_eq!(misses.len(), 1);
    let told = serde_json::to_value(&report).unwrap();
    assert_eq!(told["context"]["cache_misses"], json!({ "unknown": 1 }));
    assert_eq!(told["context"]["cache_write_tokens"], json!(4000));
}

#[tokio::test]
async fn a_summary_that_cannot_be_had_ends_the_run_and_it_can_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.jsonl");
    let server = Server::start(|number, request| match wants_summary(request) {
        true => server::Answer::Bytes(server::error(403, "", "permission_error", "no")),
        false => turn(number, false),
    })
    .await;
    let tight = ContextRules {
        window: Some(2_000),
        keep_turns: 1,
        ..ContextRules::default()
    };
    let small = Tools::new(|call, _| {
        let text = "x".repeat(300);
        Box::pin(async move { Ok(result(&call, vec![Content::text(text)])) })
    });
    let repeat = crate::RepeatLimits { note: 99, stop: 99 };
    let agent = Agent::builder(small.clone(), served(&server)).context(tight.clone());
    let agent = agent.max_tokens(500).repeat(repeat).build().unwrap();
    let (report, _) = run(&agent, Some(&path)).await;
    let RunOutcome::Failed { message, .. } = &report.outcome else {
        panic!("{report:?}")
    };
    assert!(
        message.starts_with("no summary of the conversation: "),
        "{message}"
    );
    let agent = Agent::builder(small, Reader::new(0)).context(tight);
    let agent = agent.max_tokens(500).build().unwrap();
    let report = agent.resume(&path, &RunContext::default()).await.unwrap();
    assert_eq!(
        (report.outcome, report.context.summaries),
        (RunOutcome::Finished, 1)
    );
}

#[test]
fn a_model_that_gives_no_summary_gets_the_list_of_its_calls() {
    let calls = vec![tool_use("t1", "read", json!({ "path": "/a" }))];
    let messages = [
        crate::wire::Message::user(vec![Block::text("go")]),
        crate::wire::Message::assistant(calls.clone()),
    ];
    for silent in [
        reply(StopReason::Refusal, vec![Block::text("no")]),
        reply(StopReason::EndTurn, vec![Block::text(" ")]),
        reply(StopReason::ToolUse, calls),
    ] {
        let text = context::summary_text(&silent, &messages, 2);
        assert!(
            text.ends_with("were made:\n- read {\"path\":\"/a\"}"),
            "{text}"
        );
    }
}
