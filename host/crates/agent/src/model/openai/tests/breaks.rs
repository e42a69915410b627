//! Connections that break off, stand still, or are slow.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream as streams};

use super::*;
use crate::{
    RunContext, RunOutcome,
    model::TimeoutKind,
    testing::{
        Tools,
        server::{Answer, Request},
    },
};

/// Asks for a run of one call at servers that break off after so many bytes each, and says how each ended and how many
/// calls were made.
async fn cut_everywhere(whole: Vec<u8>) -> Vec<(usize, RunOutcome, usize)> {
    let length = whole.len();
    let answer = move |_: usize, request: &Request| {
        if request.body.contains("tool_call_id") {
            return Answer::Bytes(stream(&chat_turn("done", None)));
        }
        let (_, rest) = request.body.split_once("cut at ").unwrap();
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Answer::Bytes(whole[..digits.parse().unwrap()].to_vec())
    };
    let server = Server::start(answer).await;
    let model: Arc<dyn ModelProvider> = Arc::new(OpenAi::new(config(&server.url)).unwrap());
    streams::iter(0..=length)
        .map(|cut| {
            let model = Arc::clone(&model);
            async move {
                let tools = Tools::echo();
                let agent = crate::AgentBuilder::new(Arc::new(tools.clone()), model)
                    .build()
                    .unwrap();
                let report = agent
                    .run(&format!("cut at {cut}"), &RunContext::default())
                    .await
                    .unwrap();
                (cut, report.outcome, tools.seen().len())
            }
        })
        .buffer_unordered(16)
        .collect()
        .await
}

/// The heart of it: wherever the connection breaks, either the whole turn arrived or no tool runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_cut_at_every_byte_runs_no_tool() {
    let whole = stream(&chat_turn("Let me see.", Some(("call_1", "read"))));
    let length = whole.len();
    let mut finished = 0;
    for (cut, outcome, calls) in cut_everywhere(whole).await {
        match outcome {
            RunOutcome::Finished => {
                assert_eq!(calls, 1, "cut at {cut}");
                // What is left is the end of the last chunk and the end of all chunks.
                assert!(length - cut <= 8, "cut at {cut} of {length}");
                finished += 1;
            }
            RunOutcome::Failed { code, .. } => {
                assert_eq!(code, toolcell::ErrorKind::Unavailable);
                assert_eq!(calls, 0, "cut at {cut}");
            }
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
    assert!(finished >= 1);
}

/// Where the end of the connection is the end of the answer, only the reason to stop says that the turn is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_a_length_runs_no_tool_before_its_reason() {
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n";
    let whole = format!(
        "{head}{}",
        chat_turn("Let me see.", Some(("call_1", "read")))
    );
    let reason = whole.find(r#""finish_reason":"tool_calls""#).unwrap();
    let results = cut_everywhere(whole.into_bytes()).await;
    let ran = results
        .iter()
        .filter(|(_, _, calls)| *calls > 0)
        .map(|(cut, ..)| *cut);
    assert!(ran.clone().count() > 1);
    assert!(ran.min().unwrap() > reason);
}

#[tokio::test]
async fn a_reset_is_told() {
    let mut whole = stream(&chat_turn("x", None));
    whole.truncate(whole.len() / 2);
    let server = Server::with(vec![whole]).await;
    let error = ask(config(&server.url)).await.reply.unwrap_err();
    assert!(matches!(error, ModelError::Transport(_)), "{error:?}");
}

#[tokio::test]
async fn silence_is_not_waited_out() {
    let whole = stream(&chat_turn("x", None));
    let server = Server::start(move |_, _| Answer::Stall(whole[..whole.len() / 2].to_vec())).await;
    let (short, long) = (Duration::from_millis(50), Duration::from_secs(600));
    for (idle, total, kind) in [
        (short, long, TimeoutKind::Idle),
        (long, short, TimeoutKind::Total),
    ] {
        let timeouts = Timeouts {
            idle,
            total,
            ..Timeouts::default()
        };
        let config = OpenAiConfig {
            timeouts,
            ..config(&server.url)
        };
        let after = short;
        assert_eq!(
            ask(config).await.reply,
            Err(ModelError::Timeout { kind, after })
        );
    }
}

#[tokio::test]
async fn bytes_that_come_one_by_one_make_a_turn() {
    let whole = stream(&chat_turn("slow", Some(("call_1", "read"))));
    let server = Server::start(move |_, _| Answer::Bytewise(whole.clone())).await;
    let reply = ask(config(&server.url)).await.reply.unwrap();
    assert_eq!(
        (reply.text().as_str(), reply.tool_uses().count()),
        ("slow", 1)
    );
}
