use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::BoxFuture;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use toolcell::{Redaction, Secret};

use super::*;
use crate::{
    Budget, Catalog, ModelProvider,
    budget::{Allowance, Period, Scope},
    ledger::{Ledger, MemoryLedger, Shared},
    model::{Anthropic, AnthropicConfig, ApiKey, Timer},
    testing::server::{self, Request, Server, plain},
    wire::TurnOptions,
};

const MODEL: &str = "anthropic:claude-sonnet-5-5";
/// 2026-11-21T12:00:00Z.
const NOON: u64 = 1_795_262_400_000;

/// A timer that does not wait, and does something instead.
struct NoWait(Arc<dyn Fn(Duration) + Send + Sync>);

impl Timer for NoWait {
    fn wait(&self, time: Duration) -> BoxFuture<'_, ()> {
        (self.0)(time);
        Box::pin(tokio::task::yield_now())
    }

    fn dice(&self) -> f64 {
        0.0
    }
}

/// What the double of the API has: its batches, the oldest first, each with the ids of its requests and the number of looks
/// until it has ended.
#[derive(Default)]
struct State {
    batches: Vec<Taken>,
    submitted: usize,
    looks: usize,
}

struct Taken {
    ids: Vec<String>,
    looks: usize,
}

type Line = dyn Fn(usize, &str) -> Value + Send + Sync;

/// The API on a loopback server. `lose` says of which submissions the answer is lost, and of which the request.
struct Api {
    server: Server,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Lose {
    Nothing,
    Answer,
    Request,
}

impl Api {
    async fn start(
        lose: impl Fn(usize) -> Lose + Send + Sync + 'static,
        line: impl Fn(usize, &str) -> Value + Send + Sync + 'static,
    ) -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let (inside, line): (_, Arc<Line>) = (Arc::clone(&state), Arc::new(line));
        let server = Server::start(move |_, request| {
            server::Answer::Bytes(answered(&inside, request, &lose, &*line))
        });
        Self {
            server: server.await,
            state,
        }
    }

    /// One that answers every request with its id.
    async fn plain() -> Self {
        Self::start(|_| Lose::Nothing, |_, id| said(id, "fine")).await
    }

    fn submitted(&self) -> usize {
        self.state.lock().unwrap().submitted
    }
}

fn ok(body: &Value) -> Vec<u8> {
    plain(200, "content-type: application/json\r\n", &body.to_string())
}

fn shown(number: usize, taken: &Taken) -> Value {
    let (ended, all) = (taken.looks == 0, taken.ids.len());
    json!({
        "id": format!("msgbatch_{number}"), "type": "message_batch",
        "processing_status": if ended { "ended" } else { "in_progress" },
        "request_counts": { "processing": if ended { 0 } else { all }, "succeeded": if ended { all } else { 0 },
            "errored": 0, "canceled": 0, "expired": 0 },
        "created_at": "2026-11-21T12:00:00Z", "results_url": null,
    })
}

fn answered(
    state: &Mutex<State>,
    request: &Request,
    lose: &dyn Fn(usize) -> Lose,
    line: &Line,
) -> Vec<u8> {
    let mut words = request.head.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut state = state.lock().unwrap();
    let rest = path.strip_prefix("/v1/messages/batches").unwrap();
    let number = |id: &str| {
        id.strip_prefix("msgbatch_")
            .unwrap()
            .parse::<usize>()
            .unwrap()
    };
    if method == "POST" && rest.is_empty() {
        let lost = lose(state.submitted);
        state.submitted += 1;
        if lost == Lose::Request {
            return server::error(500, "", "api_error", "no luck");
        }
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let requests = body["requests"].as_array().unwrap();
        let ids = requests.iter().map(|it| {
            assert_eq!(it["params"]["model"], "claude-sonnet-5-5");
            assert!(it["params"]["stream"].is_null());
            it["custom_id"].as_str().unwrap().to_owned()
        });
        let taken = Taken {
            ids: ids.collect(),
            looks: state.looks,
        };
        state.batches.push(taken);
        let at = state.batches.len() - 1;
        return match lost {
            Lose::Nothing => ok(&shown(at, &state.batches[at])),
            _ => Vec::new(),
        };
    }
    if rest.is_empty() || rest.starts_with('?') {
        for taken in &mut state.batches {
            taken.looks = taken.looks.saturating_sub(1);
        }
        let one = rest.contains("limit=1&") || rest.ends_with("limit=1");
        let all = state.batches.iter().enumerate().rev();
        let data: Vec<Value> = all
            .map(|(at, it)| shown(at, it))
            .take(if one { 1 } else { 100 })
            .collect();
        return ok(&json!({ "data": data, "has_more": false, "first_id": null, "last_id": null }));
    }
    if let Some(id) = rest.strip_suffix("/results") {
        let at = number(&id[1..]);
        let taken = &state.batches[at];
        let lines = taken.ids.iter().rev().map(|id| match line(at, id) {
            Value::String(raw) => raw + "\n",
            value => value.to_string() + "\n",
        });
        return plain(
            200,
            "content-type: application/x-jsonl\r\n",
            &lines.collect::<String>(),
        );
    }
    let at = number(rest[1..].trim_end_matches("/cancel"));
    let taken = &mut state.batches[at];
    taken.looks = taken.looks.saturating_sub(1);
    ok(&shown(at, taken))
}

fn said(id: &str, text: &str) -> Value {
    json!({ "custom_id": id, "result": { "type": "succeeded", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5-5",
        "content": [{ "type": "text", "text": text }], "stop_reason": "end_turn",
        "usage": { "input_tokens": 100, "output_tokens": 50 } } } })
}

fn failed(id: &str, kind: &str) -> Value {
    json!({ "custom_id": id, "result": { "type": "errored",
        "error": { "type": "error", "error": { "type": kind, "message": "why not" }, "request_id": "r" } } })
}

fn tasks_of(ids: &[&str]) -> Vec<Task> {
    let one = |id: &&str| Task {
        id: (*id).into(),
        task: format!("do {id}"),
        system: None,
        model: None,
        max_tokens: Some(1_000),
    };
    ids.iter().map(one).collect()
}

/// A batch with its files.
struct Place {
    dir: tempfile::TempDir,
    tasks: Vec<Task>,
}

impl Place {
    fn new(ids: &[&str]) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            tasks: tasks_of(ids),
        }
    }

    /// Goes on with it, as a process of its own would.
    async fn deliver(&self, courier: &Courier) -> (Result<CourierEnd, BatchError>, Vec<Sent>) {
        let file = TicketFile::hold(self.dir.path().join("b.json")).unwrap();
        let mut ticket = file.read().unwrap_or_else(|_| {
            Ticket::new("tasks".into(), "digest".into(), self.out(), Value::Null)
        });
        let mut results = Results::open(self.out(), &Redaction::new()).unwrap();
        let heard = Mutex::new(Vec::new());
        let tell = |sent| heard.lock().unwrap().push(sent);
        let ended = courier
            .deliver(&file, &mut ticket, &self.tasks, &mut results, &tell)
            .await;
        (ended, heard.into_inner().unwrap())
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out.jsonl")
    }

    fn ticket(&self) -> Ticket {
        TicketFile::hold(self.dir.path().join("b.json"))
            .unwrap()
            .read()
            .unwrap()
    }

    /// The answers by their ids.
    fn answers(&self) -> Vec<Answer> {
        let text = fs::read_to_string(self.out()).unwrap();
        let mut all: Vec<Answer> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }
}

fn courier(api: &Api) -> Courier {
    let mut config = AnthropicConfig::new("claude-sonnet-5-5", ApiKey::new("k"));
    config.base_url.clone_from(&api.server.url);
    let model: Arc<dyn ModelProvider> = Arc::new(Anthropic::new(config).unwrap());
    Courier {
        models: [(MODEL.to_owned(), model)].into(),
        model: MODEL.into(),
        max_tokens: 16_000,
        system: Some("be brief".into()),
        options: TurnOptions::default(),
        budget: Budget::default(),
        shared: None,
        catalog: Catalog::embedded(),
        today: None,
        timer: Arc::new(NoWait(Arc::new(|_| {}))),
        cancel: CancellationToken::new(),
    }
}

#[tokio::test]
async fn answers_come_back_in_any_order_and_each_once() {
    let api = Api::plain().await;
    api.state.lock().unwrap().looks = 3;
    let place = Place::new(&["a", "b", "c"]);
    let (ended, heard) = place.deliver(&courier(&api)).await;
    assert_eq!(ended.unwrap(), CourierEnd::Done);
    assert_eq!(heard[0], Sent::Taken("msgbatch_0".into()));
    let answers = place.answers();
    assert_eq!(
        answers.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(),
        ["a", "b", "c"]
    );
    let first = &answers[0];
    assert_eq!(
        (first.ok, first.text.as_deref(), first.model.as_str()),
        (true, Some("fine"), MODEL)
    );
    // 100 tokens at 2 dollars a million and 50 at 10, at half the price.
    assert_eq!(first.cost_micro_usd, Some(350));
    // Another process finds nothing to do.
    let (again, _) = place.deliver(&courier(&api)).await;
    assert_eq!(again.unwrap(), CourierEnd::Done);
    assert_eq!((api.submitted(), place.answers().len()), (1, 3));
}

#[tokio::test]
async fn what_fails_is_told_and_what_was_bad_luck_is_sent_once_more() {
    let api = Api::start(
        |_| Lose::Nothing,
        |batch, id| match (batch, id.rsplit_once('-').unwrap().1) {
            (0, "0") => failed(id, "invalid_request_error"),
            (0, "1") => failed(id, "overloaded_error"),
            (0, "2") => json!({ "custom_id": id, "result": { "type": "expired" } }),
            (0, "3") => json!({ "custom_id": id, "result": { "type": "canceled" } }),
            (0, "4") => json!({ "custom_id": id, "result": { "type": "succeeded", "message": 7 } }),
            _ => said(id, "fine"),
        },
    )
    .await;
    let place = Place::new(&["a", "b", "c", "d", "e", "f"]);
    place.deliver(&courier(&api)).await.0.unwrap();
    let codes: Vec<_> = place
        .answers()
        .into_iter()
        .map(|it| it.error.map(|error| error.code))
        .collect();
    assert_eq!(
        codes,
        [
            Some(ErrorKind::InvalidInput),
            None,
            None,
            Some(ErrorKind::Cancelled),
            Some(ErrorKind::Unavailable),
            None
        ]
    );
    let state = api.state.lock().unwrap();
    assert_eq!(
        state
            .batches
            .iter()
            .map(|it| it.ids.len())
            .collect::<Vec<_>>(),
        [6, 2]
    );
}

#[tokio::test]
async fn nothing_is_sent_for_ever() {
    let expired = |_: usize, id: &str| json!({ "custom_id": id, "result": { "type": "expired" } });
    let api = Api::start(|_| Lose::Nothing, expired).await;
    let place = Place::new(&["a"]);
    place.deliver(&courier(&api)).await.0.unwrap();
    assert_eq!((api.submitted(), place.answers()[0].ok), (3, false));
}

#[tokio::test]
async fn lines_that_are_no_results_hurt_nobody_else() {
    let api = Api::start(
        |_| Lose::Nothing,
        |_, id| match id.rsplit_once('-').unwrap().1 {
            "0" => json!("{\"custom_id\": "),
            "1" => said("somebody-elses", "x"),
            "2" => said(&id.replace("-2", "-02"), "x"),
            _ => said(id, "fine"),
        },
    )
    .await;
    let place = Place::new(&["a", "b", "c", "d"]);
    let (ended, heard) = place.deliver(&courier(&api)).await;
    // Those without a result are sent again, and at last told to have none.
    ended.unwrap();
    let strange = heard
        .iter()
        .filter(|it| matches!(it, Sent::Strange(_)))
        .count();
    assert!(strange >= 3, "{heard:?}");
    let answers = place.answers();
    assert_eq!(answers.iter().filter(|it| it.ok).count(), 1, "{answers:?}");
    assert_eq!(answers.len(), 4);
}

#[tokio::test]
async fn a_batch_whose_answer_was_lost_is_found_and_not_sent_twice() {
    let lose = |number| {
        if number == 0 {
            Lose::Answer
        } else {
            Lose::Nothing
        }
    };
    let api = Api::start(lose, |_, id| said(id, "fine")).await;
    // A batch of somebody else, as large as ours.
    api.state.lock().unwrap().batches.push(Taken {
        ids: vec!["other-0".into(), "other-1".into()],
        looks: 0,
    });
    api.state.lock().unwrap().looks = 2;
    let place = Place::new(&["a", "b"]);
    let (ended, _) = place.deliver(&courier(&api)).await;
    assert!(matches!(ended, Err(BatchError::Unsure(_))), "{ended:?}");
    let (ended, heard) = place.deliver(&courier(&api)).await;
    assert_eq!(ended.unwrap(), CourierEnd::Done);
    assert!(
        heard.contains(&Sent::Found("msgbatch_1".into())),
        "{heard:?}"
    );
    assert_eq!((api.submitted(), place.answers().len()), (1, 2));
}

#[tokio::test]
async fn without_the_intent_it_would_be_sent_twice() {
    let lose = |number| {
        if number == 0 {
            Lose::Answer
        } else {
            Lose::Nothing
        }
    };
    let api = Api::start(lose, |_, id| said(id, "fine")).await;
    let place = Place::new(&["a", "b"]);
    assert!(place.deliver(&courier(&api)).await.0.is_err());
    // The twin: a ticket that says nothing of the attempt.
    let mut ticket = place.ticket();
    ticket.parts[0].place = super::ticket::Place::Here;
    TicketFile::hold(place.dir.path().join("b.json"))
        .unwrap()
        .write(&ticket)
        .unwrap();
    place.deliver(&courier(&api)).await.0.unwrap();
    assert_eq!(api.submitted(), 2);
}

#[tokio::test]
async fn a_batch_that_did_not_arrive_is_sent_again() {
    let lose = |number| {
        if number == 0 {
            Lose::Request
        } else {
            Lose::Nothing
        }
    };
    let api = Api::start(lose, |_, id| said(id, "fine")).await;
    let place = Place::new(&["a"]);
    assert!(matches!(
        place.deliver(&courier(&api)).await.0,
        Err(BatchError::Unsure(_))
    ));
    place.deliver(&courier(&api)).await.0.unwrap();
    assert_eq!((api.submitted(), place.answers().len()), (2, 1));
}

#[tokio::test]
async fn whoever_is_stopped_leaves_it_with_the_provider() {
    let api = Api::plain().await;
    api.state.lock().unwrap().looks = usize::MAX;
    let place = Place::new(&["a"]);
    let mut stopped = courier(&api);
    let cancel = stopped.cancel.clone();
    stopped.timer = Arc::new(NoWait(Arc::new(move |_| cancel.cancel())));
    assert_eq!(
        place.deliver(&stopped).await.0.unwrap(),
        CourierEnd::Stopped
    );
    assert_eq!(
        place.ticket().with_provider().collect::<Vec<_>>(),
        [(MODEL, "msgbatch_0")]
    );
    api.state.lock().unwrap().batches[0].looks = 1;
    place.deliver(&courier(&api)).await.0.unwrap();
    assert_eq!((api.submitted(), place.answers().len()), (1, 1));
}

#[tokio::test]
async fn a_batch_comes_out_of_the_budgets_before_it_is_sent() {
    let api = Api::plain().await;
    let ledger = Arc::new(MemoryLedger::new(Arc::new(|| NOON)));
    let shared = |cost| Shared {
        ledger: Arc::clone(&ledger) as Arc<dyn Ledger>,
        agent: "a".into(),
        of_agent: Vec::new(),
        of_tenant: vec![Allowance {
            cost_micro_usd: Some(cost),
            ..Allowance::unbounded(Period::Day)
        }],
    };
    let place = Place::new(&["a", "b"]);
    // Two answers of 1,000 tokens at half of 10 dollars a million, and a little for the prompts.
    let mut poor = courier(&api);
    poor.shared = Some(shared(10_000));
    let (ended, _) = place.deliver(&poor).await;
    assert!(matches!(ended, Err(BatchError::Budget(_))), "{ended:?}");
    assert_eq!(api.submitted(), 0);
    let mut rich = courier(&api);
    rich.shared = Some(shared(11_000));
    place.deliver(&rich).await.0.unwrap();
    let standing = ledger
        .standing(&Scope::tenant("default"))
        .await
        .unwrap()
        .swap_remove(0);
    assert_eq!(
        (standing.spent.cost_micro_usd, standing.spent.turns),
        (700, 2)
    );
    assert_eq!(standing.reserved.cost_micro_usd, 0);
}

#[tokio::test]
async fn what_is_refused_gives_back_what_was_reserved() {
    let refused = server::error(400, "", "invalid_request_error", "too many");
    let empty = ok(&json!({ "data": [], "has_more": false }));
    let answers = vec![empty, refused];
    let api = Api {
        server: Server::with(answers).await,
        state: Arc::default(),
    };
    let ledger = Arc::new(MemoryLedger::new(Arc::new(|| NOON)));
    let mut courier = courier(&api);
    courier.shared = Some(Shared {
        ledger: Arc::clone(&ledger) as Arc<dyn Ledger>,
        agent: "a".into(),
        of_agent: Vec::new(),
        of_tenant: vec![Allowance {
            tokens: Some(1_000_000),
            ..Allowance::unbounded(Period::Day)
        }],
    });
    let place = Place::new(&["a"]);
    let (ended, _) = place.deliver(&courier).await;
    assert!(matches!(ended, Err(BatchError::Model(_))), "{ended:?}");
    let standing = ledger
        .standing(&Scope::tenant("default"))
        .await
        .unwrap()
        .swap_remove(0);
    assert_eq!((standing.spent.tokens, standing.reserved.tokens), (0, 0));
    assert_eq!(place.ticket().parts[0].place, super::ticket::Place::Here);
}

#[tokio::test]
async fn a_task_beyond_what_each_may_spend_is_not_sent() {
    let api = Api::plain().await;
    let mut place = Place::new(&["a", "b"]);
    place.tasks[0].max_tokens = Some(900_000);
    let mut courier = courier(&api);
    courier.budget.tokens = 500_000;
    place.deliver(&courier).await.0.unwrap();
    let answers = place.answers();
    assert_eq!(
        answers[0].error.as_ref().unwrap().code,
        ErrorKind::BudgetExceeded
    );
    assert!(answers[1].ok);
    assert_eq!(api.state.lock().unwrap().batches[0].ids.len(), 1);
}

#[test]
fn only_one_process_holds_a_ticket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.json");
    let held = TicketFile::hold(&path).unwrap();
    assert!(matches!(
        TicketFile::hold(&path),
        Err(BatchError::Busy { .. })
    ));
    fs::write(&path, "{}").unwrap();
    assert!(matches!(held.read(), Err(BatchError::Damaged { .. })));
}

#[test]
fn a_line_that_was_cut_off_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.jsonl");
    let task = &tasks_of(&["a"])[0];
    let redaction = Redaction::new();
    let mut results = Results::open(&path, &redaction).unwrap();
    results
        .add(&Answer::none(task, MODEL, ErrorKind::Unavailable, "no"))
        .unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{whole}{{\"id\": \"b\", \"ok\"")).unwrap();
    let mut results = Results::open(&path, &redaction).unwrap();
    assert_eq!(
        (results.done("a"), results.done("b"), results.count()),
        (Some(false), None, (0, 1))
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), whole);
    assert_eq!((results.retry_failed(), results.done("a")), (1, None));
    // What is no file of answers is left alone.
    fs::write(&path, "my notes\n").unwrap();
    assert!(matches!(
        Results::open(&path, &redaction),
        Err(BatchError::Damaged { .. })
    ));
    assert_eq!(fs::read_to_string(&path).unwrap(), "my notes\n");
}

#[test]
fn no_answer_holds_a_secret() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.jsonl");
    let value = format!("tk{:032x}Z", rand::random::<u128>());
    let redaction = Redaction::new();
    redaction.register("TOKEN", Secret::new(value.as_str()).unwrap());
    let mut results = Results::open(&path, &redaction).unwrap();
    let task = &tasks_of(&["a"])[0];
    results
        .add(&Answer::none(
            task,
            MODEL,
            ErrorKind::Unavailable,
            format!("said {value}"),
        ))
        .unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("[secret TOKEN]") && !text.contains(&value),
        "{text}"
    );
}

#[test]
fn everything_that_is_wrong_with_tasks_is_told() {
    let text = "{\"id\":\"a\",\"task\":\"x\"}\n\n{\"id\":\"a\",\"task\":\"y\"}\n{\"id\":\"\",\"task\":\"x\"}\n\
                {\"id\":\"b\",\"task\":\" \"}\n{\"id\":\"c\",\"tusk\":\"x\"}\nnot json\n{\"id\":\"d\",\"task\":\"x\",\"max_tokens\":0}\n";
    let problems = tasks(text).unwrap_err();
    let lines: Vec<_> = problems
        .iter()
        .map(|it| it.split(':').next().unwrap())
        .collect();
    assert_eq!(
        lines,
        ["line 3", "line 4", "line 5", "line 6", "line 7", "line 8"]
    );
    assert_eq!(tasks(&"x\n".repeat(100)).unwrap_err().len(), 20);
    let read =
        tasks("{\"id\":\"a\",\"task\":\"x\",\"model\":\"p:m\",\"system\":\"s\",\"max_tokens\":5}")
            .unwrap();
    assert_eq!(
        (read[0].model.as_deref(), read[0].max_tokens),
        (Some("p:m"), Some(5))
    );
}

proptest! {
    #[test]
    fn no_text_breaks_the_reader_of_tasks(text in "\\PC{0,200}") {
        let _ = tasks(&text);
    }
}
