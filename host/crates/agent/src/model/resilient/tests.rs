use std::sync::Mutex;

use futures_util::{StreamExt, stream::FuturesUnordered};
use serde_json::Map;

use super::*;
use crate::{
    testing::{reply, time::VirtualTime},
    wire::{Block, Message, StopReason, TurnOptions},
};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) fn request(conversation: &str) -> ModelRequest {
    ModelRequest {
        turn: 0,
        conversation: conversation.into(),
        tenant: None,
        model: "m".into(),
        max_tokens: 100,
        system: None,
        tools: Vec::new(),
        messages: vec![Message::user(vec![Block::text("hi")])],
        options: TurnOptions::default(),
        cache: None,
        extra: Map::new(),
    }
}

fn http(status: u16, kind: &str, after: Option<f64>) -> ModelError {
    ModelError::Http {
        status,
        kind: kind.into(),
        message: "no".into(),
        request_id: None,
        retry_after: after.map(Duration::from_secs_f64),
        should_retry: None,
    }
}

type Answer = dyn Fn(Duration, usize) -> Result<(), ModelError> + Send + Sync;

/// A server that takes a tenth of a second for every answer, and remembers when it was asked by whom.
struct Server {
    time: Arc<VirtualTime>,
    answer: Box<Answer>,
    asked: Mutex<Vec<(Duration, String)>>,
}

impl Server {
    /// `answer` gets the time and the number of the request, from 0.
    fn new(
        time: &Arc<VirtualTime>,
        answer: impl Fn(Duration, usize) -> Result<(), ModelError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            time: Arc::clone(time),
            answer: Box::new(answer),
            asked: Mutex::default(),
        })
    }

    fn times(&self) -> Vec<Duration> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(time, _)| *time).collect()
    }
}

impl ModelProvider for Server {
    fn id(&self) -> &str {
        "m"
    }

    fn provider(&self) -> &str {
        "double"
    }

    fn stream<'a>(
        &'a self,
        request: &'a ModelRequest,
        sink: ModelSink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        Box::pin(async move {
            let now = self.time.passed();
            let number = {
                let mut asked = self.asked.lock().unwrap();
                asked.push((now, request.conversation.clone()));
                asked.len() - 1
            };
            self.time.wait(Duration::from_millis(100)).await;
            sink(ModelEvent::Text("so far".into()));
            (self.answer)(now, number)?;
            Ok(reply(StopReason::EndTurn, vec![Block::text("done")]))
        })
    }
}

fn lanes(time: &Arc<VirtualTime>, limits: LimitSettings, breaker: BreakerSettings) -> Lanes {
    Lanes::new(limits, breaker).timer(time.clone())
}

async fn ask(model: &impl ModelProvider, name: &str) -> Result<Reply, ModelError> {
    model.stream(&request(name), &|_| ()).await
}

/// How many requests the busiest minute saw.
fn busiest_minute(times: &[Duration]) -> usize {
    let of = |at: usize| {
        let end = times[at] + secs(60);
        times[at..].iter().take_while(|time| **time < end).count()
    };
    (0..times.len()).map(of).max().unwrap_or_default()
}

/// What an operator sees who lets a hundred agents work while the server refuses everybody for ten seconds.
#[test]
fn a_hundred_agents_outlast_a_storm_of_429() {
    for after in [Some(10.0), Some(1.0), Some(0.05)] {
        let time = VirtualTime::new();
        let server = Server::new(&time, move |now, _| {
            match now < secs(10) {
                // The time that is left, or each time the same.
                true if after == Some(10.0) => {
                    let left = secs(10) - now;
                    Err(http(429, "rate_limit_error", Some(left.as_secs_f64())))
                }
                true => Err(http(429, "rate_limit_error", after)),
                false => Ok(()),
            }
        });
        let limits = LimitSettings {
            requests_per_minute: Some(120),
            ..LimitSettings::default()
        };
        let lanes = lanes(&time, limits, BreakerSettings::default());
        let agents: FuturesUnordered<_> = (0..100)
            .map(|agent| {
                let model = Resilient::shared(server.clone(), Retry::default(), &lanes);
                async move { ask(&model, &format!("agent {agent}")).await.map(|_| agent) }
            })
            .collect();
        let finished = time.run(agents.collect::<Vec<_>>());
        let mut finished: Vec<i32> = finished.into_iter().map(Result::unwrap).collect();
        finished.sort_unstable();
        assert_eq!(finished, (0..100).collect::<Vec<_>>());
        let times = server.times();
        assert!(busiest_minute(&times) <= 120, "{after:?}: {times:?}");
        // Nobody hammers: the storm itself saw few requests, although a hundred were waiting.
        let in_storm = times.iter().filter(|time| **time < secs(10)).count();
        assert!(in_storm <= 30, "{after:?}: {in_storm}");
        assert!(time.passed() < secs(180), "{after:?}: {:?}", time.passed());
    }
}

#[test]
fn a_storm_of_529_opens_the_breaker_and_a_probe_closes_it() {
    let time = VirtualTime::new();
    let server = Server::new(&time, |now, _| match now < secs(20) {
        true => Err(http(529, "overloaded_error", None)),
        false => Ok(()),
    });
    let lanes = lanes(&time, LimitSettings::default(), BreakerSettings::default());
    let model = Resilient::shared(server.clone(), Retry::default(), &lanes);
    // Three attempts, two attempts until it opens at five failures; the next one waits for its end.
    assert!(time.run(ask(&model, "a")).is_err());
    let told = Mutex::new(Vec::new());
    let sink = |event| told.lock().unwrap().push(event);
    let answer = time.run(model.stream(&request("b"), &sink));
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(server.times().len(), 3 + 2 + 1);
    let waited = told.into_inner().unwrap().into_iter().any(|event| {
        matches!(
            event,
            ModelEvent::Waiting {
                reason: WaitReason::Breaker,
                time: Some(_)
            }
        )
    });
    assert!(waited);
    assert_eq!(model.breaker.state(), BreakerState::Closed);
}

#[test]
fn a_server_cannot_ask_to_be_left_alone_for_ever() {
    let time = VirtualTime::new();
    let server = Server::new(&time, |_, number| match number {
        0 => Err(http(503, "x", Some(1e9))),
        _ => Ok(()),
    });
    let breaker = BreakerSettings {
        failures: 1,
        ..BreakerSettings::default()
    };
    let lanes = lanes(&time, LimitSettings::default(), breaker);
    let model = Resilient::shared(server.clone(), Retry::default(), &lanes);
    assert!(time.run(ask(&model, "a")).is_err());
    assert_eq!(model.breaker.state(), BreakerState::Open);
    assert!(time.run(ask(&model, "b")).is_ok());
    assert_eq!(server.times()[1], Duration::from_millis(100) + secs(60));
}

/// Where another model can answer, nobody waits as long as where there is none.
#[test]
fn a_model_with_others_behind_it_gives_up_sooner() {
    for (others, waited) in [(true, 60), (false, 600)] {
        let time = VirtualTime::new();
        let server = Server::new(&time, |_, _| Err(http(429, "rate_limit_error", Some(7.0))));
        let lanes = lanes(&time, LimitSettings::default(), BreakerSettings::default());
        let mut model = Resilient::shared(server, Retry::default(), &lanes);
        if others {
            model = model.with_others();
        }
        let error = time.run(ask(&model, "a")).unwrap_err();
        assert_eq!(error.code(), toolcell::ErrorKind::Busy);
        assert!(
            error.to_string().contains(&format!("for {waited} s")),
            "{error}"
        );
        assert_eq!(time.passed(), secs(waited));
    }
}

/// Everybody hears of a pause, not only who met the limit.
#[test]
fn one_refusal_holds_all_requests() {
    let time = VirtualTime::new();
    let server = Server::new(&time, |_, number| match number {
        0 => Err(http(429, "rate_limit_error", Some(20.0))),
        _ => Ok(()),
    });
    let limits = LimitSettings {
        concurrency: 1,
        ..LimitSettings::default()
    };
    let lanes = lanes(&time, limits, BreakerSettings::default());
    let agents: FuturesUnordered<_> = (0..3)
        .map(|agent| {
            let model = Resilient::shared(server.clone(), Retry::default(), &lanes);
            async move { ask(&model, &format!("agent {agent}")).await }
        })
        .collect();
    let answers = time.run(agents.collect::<Vec<_>>());
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let asked = server.asked.lock().unwrap().clone();
    let names: Vec<&str> = asked.iter().map(|(_, name)| name.as_str()).collect();
    // The one that was refused is the first again.
    assert_eq!(names, ["agent 0", "agent 0", "agent 1", "agent 2"]);
    assert_eq!(asked[1].0, Duration::from_millis(20_100));
}

#[test]
fn without_retries_nothing_is_sent_again() {
    let time = VirtualTime::new();
    let server = Server::new(&time, |_, _| Err(http(429, "rate_limit_error", Some(1.0))));
    let lanes = lanes(&time, LimitSettings::default(), BreakerSettings::default());
    let retry = Retry {
        retries: 0,
        ..Retry::default()
    };
    let model = Resilient::shared(server.clone(), retry, &lanes);
    assert!(time.run(ask(&model, "a")).is_err());
    assert_eq!(server.times().len(), 1);
}
