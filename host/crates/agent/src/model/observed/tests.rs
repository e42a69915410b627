use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;

use super::*;
use crate::testing::figures::{Figures, Values};

/// A model that says a word, and another a moment later.
struct Slow(Result<Reply, ModelError>);

impl ModelProvider for Slow {
    fn id(&self) -> &str {
        "m"
    }

    fn provider(&self) -> &str {
        "p"
    }

    fn stream<'a>(
        &'a self,
        _: &'a ModelRequest,
        sink: ModelSink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        Box::pin(async move {
            sink(ModelEvent::Text("a".into()));
            tokio::time::sleep(Duration::from_millis(2)).await;
            sink(ModelEvent::Text("b".into()));
            self.0.clone()
        })
    }
}

fn reply(extra: serde_json::Value) -> Reply {
    let mut value = json!({
        "content": "ab", "stop_reason": "end_turn", "id": "msg_1", "model": "m-2026",
        "usage": { "input_tokens": 10, "output_tokens": 5 },
    });
    value
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}

fn request() -> ModelRequest {
    let run = crate::Run::new(crate::testing::settings(), "t", "c");
    match run.next() {
        crate::Step::CallModel(request) => *request,
        other => panic!("{other:?}"),
    }
}

async fn counted(answer: Result<Reply, ModelError>) -> Values {
    let figures = Figures::new();
    let metrics = Metrics::new(&figures.meter());
    let model = Observed::new(Arc::new(Slow(answer)), metrics).priced(|_| Some(3_000_000));
    let _ = model.stream(&request(), &|_| {}).await;
    figures.read()
}

const ASKED: &str = "gen_ai.operation.name=chat,gen_ai.provider.name=p,gen_ai.request.model=m";

#[tokio::test]
async fn the_first_word_and_the_whole_turn_are_timed() {
    let read = counted(Ok(reply(json!({})))).await;
    let sum = |name: &str| read[&format!("{name}.sum{{{ASKED}}}")];
    let first = sum("gen_ai.client.operation.time_to_first_chunk");
    let whole = sum("gen_ai.client.operation.duration");
    assert!(first + 0.002 <= whole, "{read:#?}");
    let cost = "toolcell.cost.usd{gen_ai.provider.name=p,gen_ai.request.model=m}";
    assert_eq!(read.get(cost), Some(&3.0), "{read:#?}");
}

#[tokio::test]
async fn a_failed_turn_has_its_code_and_no_tokens() {
    let read = counted(Err(ModelError::Truncated)).await;
    let line = format!("gen_ai.client.operation.duration.count{{error.type=cut_off,{ASKED}}}");
    assert_eq!(read.get(&line), Some(&1.0), "{read:#?}");
    assert!(!read.keys().any(|key| key.contains("token")), "{read:#?}");
}

#[tokio::test]
async fn an_answer_out_of_the_cache_was_paid_for_before() {
    let read = counted(Ok(reply(json!({ "cached": {} })))).await;
    let spent = |key: &&String| key.contains("token") || key.contains("cost");
    assert_eq!(read.keys().find(spent), None, "{read:#?}");
}

#[tokio::test]
async fn what_another_model_answered_counts_for_that_one() {
    let read = counted(Ok(reply(json!({ "answered_by": "q:n" })))).await;
    for line in [
        "toolcell.model.fallbacks{gen_ai.provider.name=q,gen_ai.request.model=n}",
        "toolcell.cost.usd{gen_ai.provider.name=q,gen_ai.request.model=n}",
    ] {
        assert!(read.contains_key(line), "{line} in {read:#?}");
    }
}

#[tokio::test]
async fn a_turn_that_was_given_up_counts_as_cancelled() {
    let figures = Figures::new();
    let model = Observed::new(
        Arc::new(Slow(Err(ModelError::Truncated))),
        Metrics::new(&figures.meter()),
    );
    let request = request();
    let mut asked = model.stream(&request, &|_| {});
    assert!(futures_util::poll!(&mut asked).is_pending());
    drop(asked);
    let read = figures.read();
    let line = format!("gen_ai.client.operation.duration.count{{error.type=cancelled,{ASKED}}}");
    assert_eq!(read.get(&line), Some(&1.0), "{read:#?}");
}
