//! A hundred agents at once, over real connections and in real time. It takes most of a minute and is run by hand:
//! `cargo nextest run -p toolcell-agent --run-ignored only --no-capture -E 'test(hundred_agents)'`.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};

use super::*;
use crate::{
    AgentBuilder, RunContext, RunOutcome,
    model::{Anthropic, AnthropicConfig, ApiKey},
    testing::{
        Tools,
        server::{Answer, Server, error, stream, turn},
    },
};

const AGENTS: usize = 100;
const STORM: Duration = Duration::from_secs(10);
const A_MINUTE: u64 = 600;

/// Every request, by when it came and whether it was refused.
type Log = Arc<Mutex<Vec<(Duration, bool)>>>;

/// Refuses everybody for ten seconds and says until when; then each agent gets a tool to call, and then its end.
async fn stormy(log: &Log) -> Server {
    let log = Arc::clone(log);
    let start = Instant::now();
    Server::start(move |_, request| {
        let now = start.elapsed();
        log.lock().unwrap().push((now, now < STORM));
        Answer::Bytes(match STORM.checked_sub(now) {
            Some(left) if !left.is_zero() => {
                let headers = format!("retry-after: {:.3}\r\n", left.as_secs_f64());
                error(429, &headers, "rate_limit_error", "slow down")
            }
            _ if request.body.contains("tool_result") => stream(&turn("done", None)),
            _ => stream(&turn("", Some(("toolu_1", "write")))),
        })
    })
    .await
}

#[ignore = "takes most of a minute of real time"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_agents_in_real_time() {
    let log = Log::default();
    let server = stormy(&log).await;
    let limits = LimitSettings {
        requests_per_minute: Some(A_MINUTE),
        ..LimitSettings::default()
    };
    let lanes = Lanes::new(limits, BreakerSettings::default());
    let began = Instant::now();
    let agents: FuturesUnordered<_> = (0..AGENTS)
        .map(|number| {
            let config = AnthropicConfig {
                base_url: server.url.clone(),
                ..AnthropicConfig::new("claude-sonnet-5-5", ApiKey::new("k"))
            };
            let model = Anthropic::new(config).unwrap();
            let model = Resilient::shared(model, Retry::default(), &lanes);
            let tools = Tools::echo();
            let runner = Arc::new(tools.clone());
            let agent = AgentBuilder::new(runner, Arc::new(model)).build().unwrap();
            async move {
                let task = format!("agent {number}");
                let report = agent.run(&task, &RunContext::default()).await.unwrap();
                (report.outcome, tools.seen().len())
            }
        })
        .collect();
    let ended: Vec<(RunOutcome, usize)> = agents.collect().await;
    let took = began.elapsed();
    let finished = ended
        .iter()
        .filter(|(outcome, calls)| (outcome, *calls) == (&RunOutcome::Finished, 1))
        .count();

    let log = log.lock().unwrap().clone();
    let refused = log.iter().filter(|(_, refused)| *refused).count();
    let busiest = |span: Duration| {
        let within = |at: usize| {
            let end = log[at].0 + span;
            log[at..].iter().take_while(|(time, _)| *time < end).count()
        };
        (0..log.len()).map(within).max().unwrap_or_default()
    };
    let (minute, second) = (
        busiest(Duration::from_secs(60)),
        busiest(Duration::from_secs(1)),
    );
    println!(
        "agents: {AGENTS}, finished: {finished}, lost: {}",
        AGENTS - finished
    );
    println!(
        "requests: {}, refused with 429 in the first {} s: {refused}",
        log.len(),
        STORM.as_secs()
    );
    println!(
        "limit: {A_MINUTE} a minute; the busiest minute saw {minute}, the busiest second {second}"
    );
    println!("took: {:.1} s", took.as_secs_f64());
    assert_eq!(finished, AGENTS);
    assert_eq!(log.len() - refused, 2 * AGENTS);
    assert!(minute <= usize::try_from(A_MINUTE).unwrap());
    assert!(refused <= 16, "{refused}");
}
