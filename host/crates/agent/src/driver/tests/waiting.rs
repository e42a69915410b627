//! Runs that wait for a person.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use toolcell::{Answers, ApprovalId, CallContext, ToolCall};

use super::*;
use crate::testing::{approval, pending};

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn transcript(&self) -> PathBuf {
        self.0.path().join("run.jsonl")
    }

    fn context(&self) -> RunContext {
        RunContext {
            transcript: Some(self.transcript()),
            ..RunContext::default()
        }
    }
}

fn with(answers: &[(&str, bool)]) -> RunContext {
    let answers = answers
        .iter()
        .map(|(id, allow)| (ApprovalId::new(id), *allow));
    RunContext {
        answers: Answers::from_iter(answers),
        ..RunContext::default()
    }
}

fn id(call: &str) -> ApprovalId {
    ApprovalId::new(&format!("ask_{call}"))
}

/// Tools of which `write` and `other` wait for an answer, and do what it says.
fn asking() -> Tools {
    Tools::new(|call: ToolCall, context: CallContext| {
        Box::pin(async move {
            if call.tool == "read" {
                return Ok(result(&call, vec![Content::text("read")]));
            }
            Ok(match context.answers.get(&id(call.id.as_str())) {
                None => pending(&call),
                Some(true) => result(&call, vec![Content::text("done it")]),
                Some(false) => failed(&call, ErrorKind::Denied, "no"),
            })
        })
    })
}

fn waits_for(outcome: &RunOutcome) -> Vec<String> {
    match outcome {
        RunOutcome::Waiting { approvals } => approvals.iter().map(|it| it.id.to_string()).collect(),
        other => panic!("{other}"),
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

/// What the model was told of a call.
fn told(path: &Path, call: &str) -> Value {
    let mut all = lines(path).into_iter();
    let found = all.find(|it| it["type"] == "tool_result" && it["id"] == call);
    found.unwrap()["output"].clone()
}

const CALLS: &[(&str, &str)] = &[("t1", "write"), ("t2", "read"), ("t3", "other")];

#[tokio::test]
async fn a_run_waits_is_kept_and_goes_on_elsewhere_with_the_answers() {
    let place = Place::new();
    let tools = asking();
    let report = agent(&tools, script(CALLS))
        .run("go", &place.context())
        .await
        .unwrap();
    let mut waiting = waits_for(&report.outcome);
    waiting.sort();
    assert_eq!(waiting, ["ask_t1", "ask_t3"]);
    assert_eq!(report.outcome.code(), Some(ErrorKind::Unavailable));
    assert_eq!(tools.seen(), ["t1", "t2", "t3"]);
    let asked = Transcript::waiting(place.transcript()).unwrap();
    let mut asked: Vec<_> = asked.iter().map(|it| it.id.to_string()).collect();
    asked.sort();
    assert_eq!(asked, waiting);

    // Another machine has the file and nothing else.
    let other = Place::new();
    std::fs::rename(place.transcript(), other.transcript()).unwrap();
    let tools = asking();
    let report = agent(&tools, script(CALLS))
        .resume(
            other.transcript(),
            &with(&[("ask_t1", true), ("ask_t3", false)]),
        )
        .await
        .unwrap();
    assert_eq!(report.outcome, RunOutcome::Finished);
    assert_eq!(
        tools.seen(),
        ["t1", "t3"],
        "what finished is not done again"
    );
    assert_eq!(
        told(&other.transcript(), "t1")["content"][0]["text"],
        "done it"
    );
    assert_eq!(told(&other.transcript(), "t3")["code"], "denied");
    assert!(Transcript::waiting(other.transcript()).unwrap().is_empty());
}

#[tokio::test]
async fn a_question_without_an_answer_is_asked_again() {
    let place = Place::new();
    let report = agent(&asking(), script(CALLS))
        .run("go", &place.context())
        .await
        .unwrap();
    waits_for(&report.outcome);
    // One answer of two: the other question stays.
    let tools = asking();
    let report = agent(&tools, script(CALLS))
        .resume(place.transcript(), &with(&[("ask_t1", true)]))
        .await
        .unwrap();
    assert_eq!(waits_for(&report.outcome), ["ask_t3"]);
    let report = agent(&tools, script(CALLS))
        .resume(place.transcript(), &with(&[("ask_t3", true)]))
        .await
        .unwrap();
    assert_eq!(report.outcome, RunOutcome::Finished);
    assert_eq!(tools.seen(), ["t1", "t3", "t3"]);
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_refused_before_anything_happens() {
    let place = Place::new();
    let agent = agent(&asking(), script(CALLS));
    agent.run("go", &place.context()).await.unwrap();
    let before = lines(&place.transcript());
    let error = agent
        .resume(
            place.transcript(),
            &with(&[("ask_t1", true), ("ask_t2", true)]),
        )
        .await
        .unwrap_err();
    let message = "the run does not wait for an answer to `ask_t2`";
    assert_eq!(error.to_string(), message);
    assert_eq!(lines(&place.transcript()), before);
    let fresh = RunContext {
        transcript: Some(place.0.path().join("other.jsonl")),
        ..with(&[("ask_t1", true)])
    };
    assert!(agent.run("go", &fresh).await.is_err());
    assert!(!place.0.path().join("other.jsonl").exists());
}

/// A tool that tells of a question, and of its answer where it is given one, and never ends.
fn stuck(answered: bool, reached: Arc<Notify>) -> Tools {
    Tools::new(move |call: ToolCall, context: CallContext| {
        let reached = Arc::clone(&reached);
        Box::pin(async move {
            let events = context.events.unwrap();
            let request = Box::new(approval(call.id.as_str(), &call.tool));
            let asked = CallEvent::Asked {
                request,
                unbegun: true,
            };
            events(&call.id, asked);
            if answered {
                let answer = CallEvent::Answered {
                    id: id(call.id.as_str()),
                    allowed: true,
                    by: "approver".into(),
                };
                events(&call.id, answer);
            }
            reached.notify_one();
            std::future::pending().await
        })
    })
}

/// Kills a run while its only call, of a tool that must not be called twice, asks or has its answer. Then goes on.
async fn killed(answered: bool) -> (Place, Tools) {
    let place = Place::new();
    let reached = Arc::new(Notify::new());
    let calls = &[("t1", "write")];
    let stuck = agent(&stuck(answered, Arc::clone(&reached)), script(calls));
    let context = place.context();
    tokio::select! {
        _ = stuck.run("go", &context) => panic!("it ended"),
        () = reached.notified() => {}
    }
    drop(stuck);
    let tools = asking();
    let report = agent(&tools, script(calls))
        .resume(place.transcript(), &RunContext::default())
        .await
        .unwrap();
    match answered {
        true => assert_eq!(report.outcome, RunOutcome::Finished),
        false => assert_eq!(waits_for(&report.outcome), ["ask_t1"]),
    }
    (place, tools)
}

#[tokio::test]
async fn a_run_that_is_killed_while_it_asks_asks_the_same_again() {
    let (place, tools) = killed(false).await;
    assert_eq!(tools.seen(), ["t1"]);
    let report = agent(&tools, script(&[("t1", "write")]))
        .resume(place.transcript(), &with(&[("ask_t1", true)]))
        .await
        .unwrap();
    assert_eq!(report.outcome, RunOutcome::Finished);
}

#[tokio::test]
async fn a_run_that_is_killed_after_the_answer_does_nothing_twice() {
    let (place, tools) = killed(true).await;
    assert!(tools.seen().is_empty());
    assert_eq!(told(&place.transcript(), "t1")["code"], "cancelled");
}

#[tokio::test]
async fn a_run_that_is_stopped_while_it_asks_asks_the_same_again() {
    let place = Place::new();
    let cancel = CancellationToken::new();
    let stopping = cancel.clone();
    let tools = Tools::new(move |call: ToolCall, _| {
        stopping.cancel();
        Box::pin(async move { Ok(pending(&call)) })
    });
    let context = RunContext {
        cancel,
        ..place.context()
    };
    let calls = &[("t1", "write")];
    let report = agent(&tools, script(calls))
        .run("go", &context)
        .await
        .unwrap();
    assert_eq!(report.outcome, RunOutcome::Cancelled);
    let tools = asking();
    let report = agent(&tools, script(calls))
        .resume(place.transcript(), &RunContext::default())
        .await
        .unwrap();
    assert_eq!(waits_for(&report.outcome), ["ask_t1"]);
}

/// Before its question, a call is not on record as called: the labels of a session count what was done.
#[tokio::test]
async fn what_waits_was_not_called() {
    let place = Place::new();
    agent(&asking(), script(CALLS))
        .run("go", &place.context())
        .await
        .unwrap();
    let (_, records) = Transcript::open(place.transcript()).unwrap();
    let resumed = crate::transcript::replay(records).unwrap();
    assert_eq!(resumed.called(), ["read"]);
}

#[tokio::test]
async fn programs_hear_of_a_call_that_waits() {
    let (events, heard) = recorder();
    let context = RunContext {
        events: Some(events),
        ..RunContext::default()
    };
    agent(&asking(), script(&[("t1", "write")]))
        .run("go", &context)
        .await
        .unwrap();
    let heard = heard.lock().unwrap();
    let waiting = &of_type(&heard, "tool_call_waiting")[0];
    assert_eq!(waiting["approval"]["id"], "ask_t1");
    assert!(of_type(&heard, "tool_call_end").is_empty());
    let done = &of_type(&heard, "done")[0];
    assert_eq!(done["outcome"], "waiting");
    assert_eq!(done["approvals"][0]["id"], "ask_t1");
}

/// Two ids of a model that look the same to a log are two calls, and two questions.
#[tokio::test]
async fn calls_with_strange_ids_stay_apart() {
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let into = Arc::clone(&heard);
    let tools = Tools::new(move |call: ToolCall, _| {
        into.lock().unwrap().push(call.id.to_string());
        Box::pin(async move { Ok(result(&call, vec![Content::text("done")])) })
    });
    let calls = &[("ä", "read"), ("ö", "read"), ("~a", "read"), ("a", "read")];
    let report = agent(&tools, script(calls))
        .run("go", &RunContext::default())
        .await
        .unwrap();
    assert_eq!(report.outcome, RunOutcome::Finished);
    let mut heard = heard.lock().unwrap().clone();
    heard.sort();
    heard.dedup();
    assert_eq!(heard.len(), 4, "{heard:?}");
    assert!(heard.contains(&"a".to_owned()) && !heard.contains(&"~a".to_owned()));
}

/// What cannot be written down must not happen.
#[test]
fn a_question_that_cannot_be_written_stops_the_calls() {
    let place = Place::new();
    std::fs::write(place.transcript(), "").unwrap();
    let journal = Journal::new(Some(Transcript::unwritable(&place.transcript())));
    let calls = CancellationToken::new();
    let asked = |unbegun| CallEvent::Asked {
        request: Box::new(approval("t1", "write")),
        unbegun,
    };
    let questions = journal.questions();
    questions.hear("t1", &asked(false), &calls);
    assert!(!calls.is_cancelled() && journal.failed().is_ok());
    questions.hear("t1", &asked(true), &calls);
    assert!(calls.is_cancelled() && journal.failed().is_err());
}
