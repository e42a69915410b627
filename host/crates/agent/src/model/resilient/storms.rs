//! Servers that behave badly, over real connections.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt, stream as streams};

use super::*;
use crate::{
    Agent, AgentBuilder, RunContext, RunOutcome,
    model::{Anthropic, AnthropicConfig, ApiKey, Connections, Timeouts},
    testing::{
        Tools,
        server::{Answer, Server, error, plain, stream, turn},
        time::FakeTimer,
    },
};

fn config(server: &Server) -> AnthropicConfig {
    AnthropicConfig {
        base_url: server.url.clone(),
        ..AnthropicConfig::new("claude-sonnet-5-5", ApiKey::new("k"))
    }
}

fn agent(tools: &Tools, model: impl ModelProvider + 'static) -> Agent {
    AgentBuilder::new(Arc::new(tools.clone()), Arc::new(model))
        .build()
        .unwrap()
}

/// Asks once; says what came of it and which waits there would have been.
async fn ask(config: AnthropicConfig) -> (Result<Reply, ModelError>, Vec<Duration>) {
    let timer = FakeTimer::new();
    let model = Anthropic::new(config).unwrap();
    let model = Resilient::with_timer(model, Retry::default(), timer.clone());
    let reply = model.stream(&super::tests::request("c"), &|_| ()).await;
    (reply, timer.waits())
}

/// Wherever the first answer breaks off, the second one counts, and each call runs once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_cut_at_every_byte_is_asked_for_again() {
    let whole = stream(&turn("Let me see.", Some(("toolu_1", "write"))));
    let length = whole.len();
    let seen: Mutex<Vec<String>> = Mutex::default();
    let server = Server::start(move |_, request| {
        if request.body.contains("tool_result") {
            return Answer::Bytes(stream(&turn("done", None)));
        }
        let (_, rest) = request.body.split_once("cut at ").unwrap();
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let mut seen = seen.lock().unwrap();
        if seen.contains(&digits) {
            return Answer::Bytes(whole.clone());
        }
        let part = whole[..digits.parse().unwrap()].to_vec();
        seen.push(digits);
        // Half of them end, half of them are torn down.
        match part.len() % 2 {
            0 => Answer::Bytes(part),
            _ => Answer::Reset(part),
        }
    })
    .await;
    let limits = LimitSettings {
        concurrency: 16,
        ..LimitSettings::default()
    };
    let breaker = BreakerSettings {
        failures: 0,
        ..BreakerSettings::default()
    };
    let lanes = Lanes::new(limits, breaker).timer(FakeTimer::new());
    let model: Arc<dyn ModelProvider> = Arc::new(Resilient::shared(
        Anthropic::new(config(&server)).unwrap(),
        Retry::default(),
        &lanes,
    ));
    let ended: Vec<(usize, RunOutcome, Vec<String>)> = streams::iter(0..=length)
        .map(|cut| {
            let model = Arc::clone(&model);
            async move {
                let tools = Tools::echo();
                let task = format!("cut at {cut}");
                let run = agent(&tools, model);
                let report = run.run(&task, &RunContext::default()).await.unwrap();
                (cut, report.outcome, tools.seen())
            }
        })
        .buffer_unordered(16)
        .collect()
        .await;
    for (cut, outcome, calls) in ended {
        assert_eq!(outcome, RunOutcome::Finished, "cut at {cut}");
        assert_eq!(calls, ["toolu_1"], "cut at {cut}");
    }
}

#[tokio::test]
async fn what_another_try_may_mend_is_tried_again() {
    let whole = stream(&turn("whole", None));
    let half = whole[..whole.len() / 2].to_vec();
    let half_error = half.clone();
    let broken: Vec<Box<dyn Fn() -> Answer + Send + Sync>> = vec![
        Box::new(|| Answer::Reset(Vec::new())),
        Box::new(move || Answer::Reset(half.clone())),
        Box::new(move || Answer::Bytes(half_error.clone())),
        Box::new(|| Answer::Bytes(error(529, "", "overloaded_error", "busy"))),
        Box::new(|| Answer::Bytes(plain(503, "content-type: text/html\r\n", "<h1>no</h1>"))),
        Box::new(|| Answer::Bytes(error(400, "x-should-retry: true\r\n", "x", "y"))),
    ];
    for (case, broken) in broken.into_iter().enumerate() {
        let whole = whole.clone();
        let server = Server::start(move |number, _| match number {
            0 => broken(),
            _ => Answer::Bytewise(whole.clone()),
        })
        .await;
        let (reply, waits) = ask(config(&server)).await;
        assert_eq!(reply.unwrap().text(), "whole", "case {case}");
        assert_eq!((waits.len(), server.count()), (1, 2), "case {case}");
    }
}

#[tokio::test]
async fn what_another_try_would_not_mend_is_told_at_once() {
    let start = turn("so far", None);
    let (start, _) = start.split_once("event: content_block_stop").unwrap();
    let malformed = |data: &str| {
        stream(&format!(
            "{start}event: content_block_delta\ndata: {data}\n\n"
        ))
    };
    let spent = r#"{"error":{"type":"rate_limit_error","message":"spent","details":{"error_code":"enforced_spend_limit_reached"}}}"#;
    let quota =
        r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"spent"}}"#;
    let json = "content-type: application/json\r\nretry-after: 1\r\nx-should-retry: true\r\n";
    for (answer, words) in [
        (malformed("{"), "no JSON"),
        (
            malformed(r#"{"type":"content_block_delta","index":7}"#),
            "is not open",
        ),
        (
            plain(200, "content-type: text/html\r\n", "<h1>hi</h1>"),
            "text/html",
        ),
        (
            plain(200, "content-type: application/json\r\n", "{}"),
            "application/json",
        ),
        (
            error(429, "x-should-retry: false\r\n", "rate_limit_error", "no"),
            "429",
        ),
        (
            error(429, "retry-after: 61\r\n", "rate_limit_error", "no"),
            "429",
        ),
        (plain(429, json, spent), "enforced_spend_limit_reached"),
        (plain(429, json, quota), "insufficient_quota"),
    ] {
        let server = Server::with(vec![answer]).await;
        let (reply, waits) = ask(config(&server)).await;
        let message = reply.unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
        assert_eq!((waits.len(), server.count()), (0, 1), "{message}");
    }
}

#[tokio::test]
async fn a_date_counts_from_the_servers_clock_or_else_from_ours() {
    fn at(text: &str) -> SystemTime {
        httpdate::parse_http_date(text).unwrap()
    }
    let until = "retry-after: Sat, 21 Nov 2026 10:00:12 GMT\r\n";
    let limited = |headers: String| error(429, &headers, "rate_limit_error", "later");
    let good = || stream(&turn("x", None));
    for (headers, expected) in [
        (
            format!("date: Sat, 21 Nov 2026 10:00:02 GMT\r\n{until}"),
            10,
        ),
        (until.to_owned(), 5),
    ] {
        let server = Server::with(vec![limited(headers), good()]).await;
        let timeouts = Timeouts {
            clock: Some(|| at("Sat, 21 Nov 2026 10:00:07 GMT")),
            ..Timeouts::default()
        };
        let (reply, waits) = ask(AnthropicConfig {
            timeouts,
            ..config(&server)
        })
        .await;
        assert!(reply.is_ok());
        assert_eq!(waits, [Duration::from_secs(expected)]);
    }
}

/// Other requests of the process do not run into the wall that one has found.
#[tokio::test]
async fn a_storm_of_529_is_left_alone_by_everybody() {
    let server = Server::with(vec![error(529, "", "overloaded_error", "busy")]).await;
    let timer = FakeTimer::new();
    let lanes = Lanes::default().timer(timer.clone());
    let model = |_| {
        let model = Anthropic::new(config(&server)).unwrap();
        Resilient::shared(model, Retry::default(), &lanes).with_others()
    };
    let mut failed = 0;
    let mut open = 0;
    for number in 0..20 {
        match model(number)
            .stream(&super::tests::request("c"), &|_| ())
            .await
        {
            Err(ModelError::Open { failures: 5, .. }) => open += 1,
            Err(ModelError::Http { status: 529, .. }) => failed += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((failed, open, server.count()), (1, 19, 5));
}

#[tokio::test]
async fn the_limits_of_the_server_are_heard_of_and_kept() {
    let limits = "x-ratelimit-limit-requests: 60\r\nx-ratelimit-remaining-requests: 1\r\n";
    let mut answer = String::from_utf8(stream(&turn("x", None))).unwrap();
    answer = answer.replacen("request-id", &format!("{limits}request-id"), 1);
    let server = Server::with(vec![answer.into_bytes()]).await;
    let timer = FakeTimer::new();
    let model = Anthropic::new(config(&server)).unwrap();
    let model = Resilient::with_timer(model, Retry::default(), timer.clone());
    let told = Mutex::new(Vec::new());
    let sink = |event| told.lock().unwrap().push(event);
    for _ in 0..3 {
        model
            .stream(&super::tests::request("c"), &sink)
            .await
            .unwrap();
    }
    // One was left after the first answer. The second answer says the same of a bucket that holds none by now.
    assert_eq!(timer.waits().len(), 1);
    let told = told.into_inner().unwrap();
    let heard = told
        .iter()
        .filter(|it| matches!(it, ModelEvent::RateLimits(_)))
        .count();
    let waiting = ModelEvent::Waiting {
        reason: WaitReason::Requests,
        time: Some(timer.waits()[0]),
    };
    assert_eq!((heard, told.contains(&waiting)), (3, true), "{told:?}");
}

#[tokio::test]
async fn connections_are_kept_as_far_as_wanted() {
    let answer = String::from_utf8(stream(&turn("x", None))).unwrap();
    let answer = answer.replacen("connection: close\r\n", "", 1).into_bytes();
    for (spare, connections) in [(16, 1), (0, 3)] {
        let answer = answer.clone();
        let server = Server::start(move |_, _| Answer::Keep(answer.clone())).await;
        let timeouts = Timeouts {
            connections: Connections {
                spare,
                ..Connections::default()
            },
            ..Timeouts::default()
        };
        let model = Anthropic::new(AnthropicConfig {
            timeouts,
            ..config(&server)
        })
        .unwrap();
        for _ in 0..3 {
            model
                .stream(&super::tests::request("c"), &|_| ())
                .await
                .unwrap();
        }
        let made = server.connections.load(Ordering::SeqCst);
        assert_eq!((server.count(), made), (3, connections));
    }
}
