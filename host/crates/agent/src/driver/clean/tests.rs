use std::{fs, path::Path, sync::Arc};

use futures_util::future::BoxFuture;
use serde_json::json;
use toolcell::{Content, ErrorKind, Secret};

use super::*;
use crate::{
    Agent, ModelError, ModelProvider, RunContext, RunReport,
    model::ModelSink,
    testing::{Tools, recorder, reply, result, tool_use},
    wire::{Block, ModelRequest, Reply, StopReason},
};

const VALUE: &str = "q7Rk2mXw9TbZ";

fn knowing() -> Redaction {
    let redaction = Redaction::new();
    redaction.register("TOKEN", Secret::new(VALUE).unwrap());
    redaction
}

/// A model that repeats a value wherever it can: in text that comes in pieces, in what it thinks, and in what it asks for.
struct Repeats {
    then: Then,
}

#[derive(Clone, Copy, PartialEq)]
enum Then {
    Ends,
    Fails,
}

impl ModelProvider for Repeats {
    fn id(&self) -> &str {
        "repeats"
    }

    fn provider(&self) -> &str {
        "test"
    }

    fn is_free(&self) -> bool {
        true
    }

    fn stream<'a>(
        &'a self,
        request: &'a ModelRequest,
        sink: ModelSink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        Box::pin(async move {
            let (one, two) = VALUE.split_at(5);
            sink(ModelEvent::Thinking(format!("I think {one}")));
            sink(ModelEvent::Thinking(two.to_owned()));
            for piece in ["It is ", one, two, ". And ", one] {
                sink(ModelEvent::Text(piece.to_owned()));
            }
            sink(ModelEvent::Text(two.to_owned()));
            if request.turn == 0 {
                sink(ModelEvent::ToolUse {
                    id: VALUE.to_owned(),
                    name: "read".to_owned(),
                });
                let input = json!({ "path": VALUE, VALUE: [VALUE] });
                let call = tool_use(VALUE, "read", input);
                let text = Block::text(format!("It is {VALUE}."));
                return Ok(reply(StopReason::ToolUse, vec![text, call]));
            }
            if self.then == Then::Fails {
                sink(ModelEvent::Retry {
                    attempt: 2,
                    delay: std::time::Duration::ZERO,
                    error: format!("the server said {VALUE}"),
                    discarded: true,
                });
                return Err(ModelError::Protocol(format!("it sent {VALUE}")));
            }
            let text = Block::text(format!("It was {VALUE}."));
            Ok(reply(StopReason::EndTurn, vec![text]))
        })
    }
}

/// What a tool that found the value makes of it, should its host not have searched for it.
fn tools() -> Tools {
    Tools::new(|call, context| {
        Box::pin(async move {
            let event = CallEvent::Log {
                level: "info".into(),
                message: format!("log {VALUE}"),
            };
            (context.events.as_ref().unwrap())(&call.id, event);
            let event = CallEvent::Progress {
                done: 1.0,
                total: None,
                message: Some(format!("progress {VALUE}")),
            };
            (context.events.as_ref().unwrap())(&call.id, event);
            let mut answer = result(&call, vec![Content::text(format!("found {VALUE}"))]);
            answer.denials.push(Denial {
                capability: "net".into(),
                access: format!("GET https://h.test/{VALUE}"),
                rule: "default".into(),
                reason: VALUE.into(),
            });
            Ok(answer)
        })
    })
}

/// Everything that a run leaves behind: its events, its transcript and its report.
async fn run(redaction: &Redaction, then: Then, transcript: &Path) -> (String, RunReport) {
    let (events, heard) = recorder();
    let context = RunContext {
        events: Some(events),
        transcript: Some(transcript.to_owned()),
        ..RunContext::default()
    };
    let agent = Agent::builder(tools(), Repeats { then })
        .redaction(redaction.clone())
        .system(format!("The token is {VALUE}"))
        .build()
        .unwrap();
    let report = agent.run(&format!("Use {VALUE}"), &context).await.unwrap();
    let mut seen = fs::read_to_string(transcript).unwrap();
    let mut texts = [String::new(), String::new()];
    for event in &*heard.lock().unwrap() {
        seen += &serde_json::to_string(event).unwrap();
        match event {
            AgentEvent::Text { text } => texts[0] += text,
            AgentEvent::Thinking { text } => texts[1] += text,
            _ => {}
        }
    }
    // What came in pieces is whole for whoever puts them together.
    seen += &texts.concat();
    seen += &serde_json::to_string(&report).unwrap();
    (seen, report)
}

#[tokio::test]
async fn nothing_that_a_run_tells_or_keeps_holds_a_secret() {
    for then in [Then::Ends, Then::Fails] {
        let dir = tempfile::tempdir().unwrap();
        let (seen, report) = run(&knowing(), then, &dir.path().join("a.jsonl")).await;
        assert!(!seen.contains(VALUE), "{seen}");
        assert!(seen.contains("[secret TOKEN]"));
        if then == Then::Ends {
            assert_eq!(report.text, "It was [secret TOKEN].");
        } else {
            assert_eq!(report.outcome.code(), Some(ErrorKind::Unavailable));
        }
        // Without the net, it would have been all over the place.
        let (seen, _) = run(&Redaction::new(), then, &dir.path().join("b.jsonl")).await;
        assert!(seen.matches(VALUE).count() > 20, "{seen}");
    }
}

#[tokio::test]
async fn a_run_goes_on_from_a_transcript_without_its_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    run(&knowing(), Then::Fails, &path).await;
    let agent = Agent::builder(tools(), Repeats { then: Then::Ends })
        .redaction(knowing())
        .build()
        .unwrap();
    let report = agent.resume(&path, &RunContext::default()).await.unwrap();
    assert_eq!(report.text, "It was [secret TOKEN].");
}

#[test]
fn a_text_waits_no_longer_than_it_could_be_the_beginning_of_a_secret() {
    let mut turn = Turn::new(&knowing(), &LikelySecrets::default());
    let mut told = |piece: &str| {
        let told = turn.take(ModelEvent::Text(piece.to_owned()));
        let texts = told.into_iter().map(|event| match event {
            AgentEvent::Text { text } => text,
            other => panic!("{other:?}"),
        });
        texts.collect::<String>()
    };
    assert_eq!(told("Nothing of it, "), "Nothing of it, ");
    assert_eq!(told(&VALUE[..4]), "");
    assert_eq!(
        told(" is no secret. "),
        format!("{} is no secret. ", &VALUE[..4])
    );
    // What follows could belong to it.
    let found = told(VALUE) + &told(" is one");
    assert!(found.starts_with("[secret TOKEN] is"), "{found}");
}

#[test]
fn what_was_held_back_comes_before_what_follows() {
    let (one, two) = VALUE.split_at(5);
    let mut turn = Turn::new(&knowing(), &LikelySecrets::default());
    assert!(turn.take(ModelEvent::Thinking(one.into())).is_empty());
    let mut told = turn.take(ModelEvent::Text(two.into()));
    told.extend(turn.finish());
    let thought = AgentEvent::Thinking { text: one.into() };
    assert_eq!(told[0], thought);
    let texts = told[1..].iter().map(|event| match event {
        AgentEvent::Text { text } => text.as_str(),
        other => panic!("{other:?}"),
    });
    assert_eq!(texts.collect::<String>(), two);
}

#[test]
fn every_outcome_is_searched() {
    let text = || VALUE.to_owned();
    for mut outcome in [
        RunOutcome::Refused {
            category: Some(text()),
            explanation: Some(text()),
        },
        RunOutcome::ContextOverflow { message: text() },
        RunOutcome::Repeated {
            tool: text(),
            times: 3,
        },
        RunOutcome::Stopped {
            reason: Some(text()),
        },
        RunOutcome::Failed {
            code: ErrorKind::Unavailable,
            message: text(),
        },
    ] {
        assert!(format!("{outcome:?}").contains(VALUE));
        super::outcome(&knowing(), &mut outcome);
        assert!(!format!("{outcome:?}").contains(VALUE), "{outcome:?}");
    }
}

#[test]
fn a_tool_host_brings_its_own_search() {
    let host = Arc::new(toolcell::ToolHost::builder().build().unwrap());
    host.redaction()
        .register("TOKEN", Secret::new(VALUE).unwrap());
    let runner: &dyn crate::ToolRunner = &*host;
    assert_eq!(runner.redaction().text(VALUE), "[secret TOKEN]");
}

/// What nobody was ever given. It is put together here, so that no other search finds it in this file.
fn likely_token() -> String {
    format!("ghp_{}", "a8Kd03mZq7LxW2vRtY5nB9cE4uHs6JpG1fTo")
}

/// Answers with such a token in two pieces, and ends.
struct Guesses;

impl ModelProvider for Guesses {
    fn id(&self) -> &str {
        "guesses"
    }

    fn provider(&self) -> &str {
        "test"
    }

    fn is_free(&self) -> bool {
        true
    }

    fn stream<'a>(
        &'a self,
        _: &'a ModelRequest,
        sink: ModelSink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        Box::pin(async move {
            let text = format!("Try {} now.", likely_token());
            let (one, two) = text.split_at(20);
            sink(ModelEvent::Text(one.to_owned()));
            sink(ModelEvent::Text(two.to_owned()));
            Ok(reply(StopReason::EndTurn, vec![Block::text(text)]))
        })
    }
}

#[tokio::test]
async fn what_looks_like_a_credential_is_told_or_replaced() {
    for (mode, told, kept) in [("off", 0, true), ("warn", 1, true), ("redact", 1, false)] {
        let policy = format!("[secrets]\nunknown = \"{mode}\"\n");
        let policy = toolcell::Policy::from_toml(&policy).unwrap();
        let host = toolcell::ToolHost::builder()
            .policy(policy)
            .build()
            .unwrap();
        let (events, heard) = recorder();
        let dir = tempfile::tempdir().unwrap();
        let transcript = dir.path().join("a.jsonl");
        let context = RunContext {
            events: Some(events),
            transcript: Some(transcript.clone()),
            ..RunContext::default()
        };
        let agent = Agent::builder(host, Guesses).build().unwrap();
        let report = agent.run("guess", &context).await.unwrap();
        let heard = heard.lock().unwrap();
        let events: Vec<String> = heard
            .iter()
            .filter(|event| matches!(event, AgentEvent::LikelySecret { .. }))
            .map(|event| serde_json::to_string(event).unwrap())
            .collect();
        assert_eq!(events.len(), told, "{mode}");
        if let Some(event) = events.first() {
            let shown = json!({
                "type": "likely_secret", "turn": 1, "rule": "github-token",
                "about": "a GitHub access token", "count": 1, "replaced": !kept,
            });
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(event).unwrap(),
                shown
            );
        }
        let text: String = heard
            .iter()
            .filter_map(|event| match event {
                AgentEvent::Text { text } => Some(text.as_str()),
                _ => None,
            })
            .collect();
        let written = fs::read_to_string(&transcript).unwrap();
        for seen in [&text, &report.text, &written] {
            assert_eq!(seen.contains(&likely_token()), kept, "{mode}: {seen}");
            assert_eq!(
                seen.contains("[likely secret github-token]"),
                !kept,
                "{mode}"
            );
        }
    }
}
