use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use serde_json::{Map, json};
use tokio::sync::Notify;
use toolcell::{LikelySecrets, Redaction, Secret, TenantId};

use super::*;
use crate::{
    Catalog,
    cache::{CacheRules, Counts, Store},
    model::ModelEvent,
    testing::{reply, tool_use},
    wire::{Block, Message, StopReason, TurnOptions},
};

/// A model that answers as told and counts how often it was asked. It waits until it may answer, where it is told to.
struct Counting {
    answer: Box<dyn Fn(usize) -> Result<Reply, ModelError> + Send + Sync>,
    asked: Arc<AtomicUsize>,
    gate: Option<Arc<Notify>>,
}

impl ModelProvider for Counting {
    fn id(&self) -> &str {
        "claude-sonnet-5-5"
    }

    fn provider(&self) -> &str {
        "anthropic"
    }

    fn stream<'a>(
        &'a self,
        _: &'a ModelRequest,
        sink: ModelSink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        Box::pin(async move {
            let number = self.asked.fetch_add(1, Ordering::SeqCst);
            if let Some(gate) = &self.gate {
                gate.notified().await;
            }
            let reply = (self.answer)(number)?;
            replay(&reply, sink);
            Ok(reply)
        })
    }
}

/// A clock that is moved by hand.
#[derive(Clone, Default)]
struct Hands(Arc<AtomicU64>);

impl Hands {
    fn forward(&self, time: Duration) {
        self.0.fetch_add(time.as_secs(), Ordering::SeqCst);
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + self.0.load(Ordering::SeqCst))
    }
}

fn cache(settings: &CacheRules, hands: &Hands) -> Arc<ResponseCache> {
    let hands = hands.clone();
    let store = Store::memory(settings, None);
    Arc::new(ResponseCache::new(store, settings.clone(), move || {
        hands.now()
    }))
}

fn usual() -> Arc<ResponseCache> {
    cache(&CacheRules::default(), &Hands::default())
}

struct Asked {
    model: Cached<Counting>,
    asked: Arc<AtomicUsize>,
}

impl Asked {
    fn times(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn ask(&self, request: &ModelRequest) -> Result<Reply, ModelError> {
        self.model.stream(request, &|_| {}).await
    }
}

/// A model in front of which is this cache.
fn in_front(
    cache: &Arc<ResponseCache>,
    answer: impl Fn(usize) -> Result<Reply, ModelError> + Send + Sync + 'static,
) -> Asked {
    gated(cache, answer, None)
}

fn gated(
    cache: &Arc<ResponseCache>,
    answer: impl Fn(usize) -> Result<Reply, ModelError> + Send + Sync + 'static,
    gate: Option<Arc<Notify>>,
) -> Asked {
    let asked = Arc::new(AtomicUsize::new(0));
    let model = Counting {
        answer: Box::new(answer),
        asked: Arc::clone(&asked),
        gate,
    };
    let price = Catalog::embedded().price("claude-sonnet-5-5", Some("2026-11-21"));
    let model =
        Cached::new(model, "https://api.example 2026-10-21", Arc::clone(cache)).priced(price);
    Asked { model, asked }
}

fn numbered(number: usize) -> Result<Reply, ModelError> {
    let mut reply = reply(
        StopReason::EndTurn,
        vec![Block::text(format!("answer {number}"))],
    );
    reply.request_id = Some(format!("req_{number}"));
    Ok(reply)
}

fn request(text: &str) -> ModelRequest {
    ModelRequest {
        turn: 0,
        conversation: "one".into(),
        tenant: None,
        model: "claude-sonnet-5-5".into(),
        max_tokens: 100,
        system: None,
        tools: Vec::new(),
        messages: vec![Message::user(vec![Block::text(text)])],
        options: TurnOptions::default(),
        cache: None,
        extra: Map::new(),
    }
}

async fn counts(cache: &ResponseCache) -> Counts {
    cache.stats().await.unwrap().counts
}

#[tokio::test]
async fn the_same_request_is_sent_once_and_told_as_if_it_came_again() {
    let cache = usual();
    let model = in_front(&cache, |_| {
        let content = vec![
            Block::Other(json!({ "type": "thinking", "thinking": "hm", "signature": "s" })),
            Block::text("two words"),
            tool_use("t1", "read", json!({ "a": 1 })),
        ];
        Ok(Reply {
            request_id: Some("req_1".into()),
            ..reply(StopReason::ToolUse, content)
        })
    });
    let events = Mutex::new(Vec::new());
    let listen = |event| events.lock().unwrap().push(event);
    let first = model.model.stream(&request("hi"), &listen).await.unwrap();
    let told = std::mem::take(&mut *events.lock().unwrap());
    let second = model.model.stream(&request("hi"), &listen).await.unwrap();
    assert_eq!(model.times(), 1);
    assert_eq!(*events.lock().unwrap(), told);
    assert_eq!(
        told.last(),
        Some(&ModelEvent::ToolUse {
            id: "t1".into(),
            name: "read".into()
        })
    );
    assert_eq!((first.cached, first.cost_micro_usd), (None, None));
    // 10 tokens in and 5 out at 2 and 10 dollars a million.
    let saved = Some(70);
    assert_eq!(
        second.cached,
        Some(wire::Cached {
            saved_micro_usd: saved
        })
    );
    assert_eq!(
        (second.cost_micro_usd, second.request_id.as_deref()),
        (Some(0), None)
    );
    assert_eq!((second.content, second.usage), (first.content, first.usage));
    let counts = counts(&cache).await;
    assert_eq!(
        (
            counts.hits,
            counts.misses,
            counts.kept,
            counts.saved_micro_usd
        ),
        (1, 1, 1, 70)
    );
    assert_eq!(counts.hit_rate(), Some(0.5));
}

#[tokio::test]
async fn another_request_and_another_tenant_are_asked_for_themselves() {
    let cache = usual();
    let model = in_front(&cache, numbered);
    model.ask(&request("hi")).await.unwrap();
    model.ask(&request("hello")).await.unwrap();
    let of = |tenant: &str| ModelRequest {
        tenant: Some(TenantId::new(tenant)),
        ..request("hi")
    };
    for tenant in ["a", "b", "a", "b"] {
        model.ask(&of(tenant)).await.unwrap();
    }
    assert_eq!(model.times(), 4);
    // Nor is what a tenant asked known to a server of another name.
    let elsewhere = Cached::new(
        Counting {
            answer: Box::new(numbered),
            asked: Arc::clone(&model.asked),
            gate: None,
        },
        "https://other.example 2026-10-21",
        Arc::clone(&cache),
    );
    elsewhere.stream(&request("hi"), &|_| {}).await.unwrap();
    assert_eq!(model.times(), 5);
}

#[tokio::test]
async fn an_answer_ends_when_its_time_is_over() {
    let (settings, hands) = (CacheRules::default(), Hands::default());
    let cache = cache(&settings, &hands);
    let model = in_front(&cache, numbered);
    model.ask(&request("hi")).await.unwrap();
    hands.forward(Duration::from_secs(24 * 3600 - 1));
    assert!(model.ask(&request("hi")).await.unwrap().cached.is_some());
    hands.forward(Duration::from_secs(1));
    assert!(model.ask(&request("hi")).await.unwrap().cached.is_none());
    assert_eq!(model.times(), 2);
}

#[tokio::test]
async fn errors_and_answers_that_are_not_whole_are_not_kept() {
    let cache = usual();
    let model = in_front(&cache, |number| match number {
        0 => Err(ModelError::Truncated),
        1 => Ok(reply(StopReason::Refusal, vec![Block::text("no")])),
        2 => Ok(reply(StopReason::MaxTokens, vec![Block::text("cut")])),
        _ => numbered(number),
    });
    assert_eq!(model.ask(&request("hi")).await, Err(ModelError::Truncated));
    for _ in 0..3 {
        assert_eq!(model.ask(&request("hi")).await.unwrap().cached, None);
    }
    assert!(model.ask(&request("hi")).await.unwrap().cached.is_some());
    assert_eq!(model.times(), 4);
    let counts = counts(&cache).await;
    assert_eq!(
        (counts.misses, counts.not_kept, counts.kept, counts.hits),
        (4, 2, 1, 1)
    );
}

#[tokio::test]
async fn a_request_that_wants_a_new_answer_gets_one() {
    let cache = usual();
    let model = in_front(&cache, numbered);
    let mut warm = request("hi");
    warm.options.sampling.temperature = Some(0.7);
    for number in 0..2 {
        assert_eq!(
            model.ask(&warm).await.unwrap().text(),
            format!("answer {number}")
        );
    }
    assert_eq!(counts(&cache).await.left_out, 2);
}

#[tokio::test]
async fn an_answer_that_holds_a_secret_is_not_kept() {
    const VALUE: &str = "q7Rk2mXw9TbZ";
    let redaction = Redaction::new();
    redaction.register("TOKEN", Secret::new(VALUE).unwrap());
    let says = |text: &str| {
        let text = text.to_owned();
        move |_| Ok(reply(StopReason::EndTurn, vec![Block::text(text.as_str())]))
    };
    let cache = usual();
    cache.search(&redaction, &LikelySecrets::default());
    for (text, times) in [(VALUE, 2), ("nothing", 1)] {
        let model = in_front(&cache, says(text));
        for _ in 0..2 {
            model.ask(&request(text)).await.unwrap();
        }
        assert_eq!(model.times(), times, "{text}");
    }
    let hidden = in_front(&cache, |_| {
        let input = json!({ "deep": [{ VALUE: 1 }] });
        Ok(reply(
            StopReason::ToolUse,
            vec![tool_use("t1", "read", input)],
        ))
    });
    for _ in 0..2 {
        hidden.ask(&request("in an input")).await.unwrap();
    }
    assert_eq!(hidden.times(), 2);
    // Without the search it would have been kept: the test sees what it looks for.
    let model = in_front(&usual(), says(VALUE));
    for _ in 0..2 {
        model.ask(&request("unsearched")).await.unwrap();
    }
    assert_eq!(model.times(), 1);
}

#[tokio::test]
async fn identical_requests_at_the_same_time_are_one() {
    let cache = usual();
    let gate = Arc::new(Notify::new());
    let model = Arc::new(gated(&cache, numbered, Some(Arc::clone(&gate))));
    let runs: Vec<_> = (0..100)
        .map(|_| {
            let model = Arc::clone(&model);
            tokio::spawn(async move { model.ask(&request("hi")).await.unwrap() })
        })
        .collect();
    while model.times() == 0 {
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    let mut cached = 0;
    for run in runs {
        let reply = run.await.unwrap();
        assert_eq!(reply.text(), "answer 0");
        cached += usize::from(reply.cached.is_some());
    }
    assert_eq!((model.times(), cached), (1, 99));
    let counts = counts(&cache).await;
    assert_eq!((counts.misses, counts.hits + counts.shared), (1, 99));
    assert_eq!(counts.saved_micro_usd, 99 * 70);
}

#[tokio::test]
async fn those_who_wait_for_a_failure_ask_at_once_and_not_in_a_row() {
    let cache = usual();
    let gate = Arc::new(Notify::new());
    let model = Arc::new(gated(
        &cache,
        |number| {
            if number == 0 {
                Err(ModelError::Truncated)
            } else {
                numbered(number)
            }
        },
        Some(Arc::clone(&gate)),
    ));
    let ask = |model: &Arc<Asked>| {
        let model = Arc::clone(model);
        tokio::spawn(async move { model.ask(&request("hi")).await })
    };
    let first = ask(&model);
    while model.times() == 0 {
        tokio::task::yield_now().await;
    }
    let others: Vec<_> = (0..10).map(|_| ask(&model)).collect();
    // All of them wait by now.
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(model.times(), 1);
    gate.notify_one();
    assert_eq!(first.await.unwrap(), Err(ModelError::Truncated));
    // All ten are under way at once, before one of them is answered.
    while model.times() < 11 {
        tokio::task::yield_now().await;
    }
    for other in others {
        gate.notify_one();
        gate.notify_waiters();
        assert!(other.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn a_request_that_is_given_up_hands_its_place_on() {
    let cache = usual();
    let gate = Arc::new(Notify::new());
    let model = Arc::new(gated(&cache, numbered, Some(Arc::clone(&gate))));
    let ask = |model: &Arc<Asked>| {
        let model = Arc::clone(model);
        tokio::spawn(async move { model.ask(&request("hi")).await.unwrap() })
    };
    let first = ask(&model);
    while model.times() == 0 {
        tokio::task::yield_now().await;
    }
    let others = [ask(&model), ask(&model)];
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    while model.times() < 2 {
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    for other in others {
        assert_eq!(other.await.unwrap().text(), "answer 1");
    }
    assert_eq!(model.times(), 2);
}

#[tokio::test]
async fn a_store_has_an_end() {
    let settings = CacheRules {
        size: 20_000,
        ..CacheRules::default()
    };
    let cache = cache(&settings, &Hands::default());
    let long = |bytes: usize| {
        move |_| {
            Ok(reply(
                StopReason::EndTurn,
                vec![Block::text("x".repeat(bytes))],
            ))
        }
    };
    // One answer takes a quarter at most.
    let model = in_front(&cache, long(6_000));
    for _ in 0..2 {
        model.ask(&request("too long")).await.unwrap();
    }
    assert_eq!(model.times(), 2);
    let model = in_front(&cache, long(1_000));
    for number in 0..100 {
        model.ask(&request(&number.to_string())).await.unwrap();
    }
    let held = cache.stats().await.unwrap().holdings;
    assert!(held.bytes.unwrap() <= 20_000, "{held:?}");
    assert!((5..20).contains(&held.entries.unwrap()), "{held:?}");
    // The newest is there and the oldest is not.
    model.ask(&request("99")).await.unwrap();
    assert_eq!(model.times(), 100);
    model.ask(&request("0")).await.unwrap();
    assert_eq!(model.times(), 101);
    assert!(cache.clear().await.unwrap() > 4);
    model.ask(&request("99")).await.unwrap();
    assert_eq!(model.times(), 102);
}

#[tokio::test]
async fn what_costs_nothing_is_not_kept() {
    let cache = usual();
    let script = json!({ "content": "hi", "stop_reason": "end_turn" }).to_string();
    let model = crate::model::Scripted::parse("s", &script).unwrap();
    let model = Cached::new(model, "", Arc::clone(&cache));
    for _ in 0..2 {
        let reply = model.stream(&request("hi"), &|_| {}).await.unwrap();
        assert_eq!(reply.cached, None);
    }
    assert_eq!(counts(&cache).await, Counts::default());
}

/// Asks for a tool, and is done when it has the answer.
struct TwoTurns(Arc<AtomicUsize>);

impl ModelProvider for TwoTurns {
    fn id(&self) -> &str {
        "claude-sonnet-5-5"
    }

    fn provider(&self) -> &str {
        "anthropic"
    }

    fn stream<'a>(
        &'a self,
        request: &'a ModelRequest,
        _: ModelSink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let answered = request.last_results().next().is_some();
        let reply = match answered {
            true => reply(StopReason::EndTurn, vec![Block::text("done")]),
            false => reply(
                StopReason::ToolUse,
                vec![tool_use("t1", "read", json!({ "a": 1 }))],
            ),
        };
        Box::pin(std::future::ready(Ok(reply)))
    }
}

/// Runs that are answered with the same turns have calls of the same ids, and none gets into another's way.
#[tokio::test]
async fn runs_of_one_process_share_answers_and_nothing_else() {
    let (tools, asked) = (crate::testing::Tools::echo(), Arc::new(AtomicUsize::new(0)));
    let model = Cached::new(TwoTurns(Arc::clone(&asked)), "https://api.example", usual());
    let agent = crate::Agent::builder(tools.clone(), model).build().unwrap();
    let run = || {
        let agent = agent.clone();
        tokio::spawn(async move {
            agent
                .run("go", &crate::RunContext::default())
                .await
                .unwrap()
        })
    };
    let mut reports = Vec::new();
    for run in [run(), run(), run()] {
        reports.push(run.await.unwrap());
    }
    reports.push(run().await.unwrap());
    for report in &reports {
        assert_eq!(report.outcome, crate::RunOutcome::Finished);
        assert_eq!((report.text.as_str(), report.spent.turns), ("done", 2));
    }
    assert_eq!(
        asked.load(Ordering::SeqCst),
        2,
        "each turn was asked for once"
    );
    assert_eq!(tools.seen(), ["t1"; 4], "every run calls its tools itself");
    let paid = reports.iter().filter(|it| it.spent.prompt_tokens > 0);
    assert!(paid.count() >= 1 && reports[3].spent.cost_micro_usd == Some(0));
}
