//! `batch`: many tasks, through the provider and one by one.

use std::{
    fs,
    process::Command,
    sync::{Arc, Mutex, mpsc},
};

use serde_json::{Value, json};

use crate::{
    api::{Answer, Api, Request},
    cell::Cell,
};

const TASKS: &str =
    "{\"id\":\"a\",\"task\":\"say a\"}\n{\"id\":\"b\",\"task\":\"say b\",\"max_tokens\":50}\n";

/// A place with two tasks and a policy that offers no tools.
fn cell(api: &Api) -> Cell {
    let cell = Cell::empty()
        .env("ANTHROPIC_API_KEY", "key")
        .env("ANTHROPIC_BASE_URL", &api.url);
    cell.file("policy.toml", "");
    cell.file("tasks.jsonl", TASKS);
    cell
}

const BATCH: &[&str] = &["batch", "tasks.jsonl", "--policy", "policy.toml"];

/// The answers by their ids.
fn answers(cell: &Cell, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(cell.path(file)).unwrap();
    let mut all: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    all.sort_by_key(|it| it["id"].as_str().unwrap().to_owned());
    all
}

/// The only batch in the state directory.
fn id(cell: &Cell) -> String {
    let entries = fs::read_dir(cell.state("batches")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut ids = names.filter_map(|name| Some(name.strip_suffix(".json")?.to_owned()));
    ids.next().unwrap()
}

/// The provider's API for batches, as far as one batch needs it. `ended` says whether it has ended.
fn provider(
    ended: impl Fn() -> bool + Send + Sync + 'static,
) -> impl Fn(usize, &Request) -> Answer + Send + Sync {
    let taken: Arc<Mutex<Vec<String>>> = Arc::default();
    move |_, request| {
        let json = |value: Value| Answer::Whole(200, "application/json", value.to_string());
        let mut taken = taken.lock().unwrap();
        let shown = |count: usize| {
            json!({ "id": "msgbatch_1", "processing_status": if ended() { "ended" } else { "in_progress" },
                "request_counts": { "processing": 0, "succeeded": count } })
        };
        let path = request.path.strip_prefix("/v1/messages/batches").unwrap();
        if request.method == "POST" && path.is_empty() {
            let ids = request.json()["requests"].as_array().unwrap().clone();
            taken.extend(
                ids.iter()
                    .map(|it| it["custom_id"].as_str().unwrap().to_owned()),
            );
            return json(shown(taken.len()));
        }
        if path.starts_with('?') {
            let data = if taken.is_empty() {
                vec![]
            } else {
                vec![shown(taken.len())]
            };
            return json(json!({ "data": data, "has_more": false }));
        }
        if path.ends_with("/results") {
            let line = |id: &String| {
                json!({ "custom_id": id, "result": { "type": "succeeded", "message": {
                    "content": [{ "type": "text", "text": "there" }], "stop_reason": "end_turn",
                    "usage": { "input_tokens": 10, "output_tokens": 5 } } } })
            };
            let lines: String = taken
                .iter()
                .rev()
                .map(|id| format!("{}\n", line(id)))
                .collect();
            return Answer::Whole(200, "application/x-jsonl", lines);
        }
        json(shown(taken.len()))
    }
}

#[test]
fn tasks_go_through_the_provider() {
    let api = Api::start(provider(|| true));
    let cell = cell(&api);
    let done = cell
        .run(&[BATCH, &["--via", "batch", "--json"]].concat())
        .exits(0)
        .json();
    assert_eq!(
        (&done["data"]["answered"], &done["data"]["open"]),
        (&json!(2), &json!(0))
    );
    let all = answers(&cell, "tasks.answers.jsonl");
    assert_eq!(
        (&all[0]["id"], &all[0]["ok"], &all[0]["text"]),
        (&json!("a"), &json!(true), &json!("there"))
    );
    let requests = api.requests();
    let submitted: Vec<_> = requests.iter().filter(|it| it.method == "POST").collect();
    assert_eq!(submitted.len(), 1);
    let params = &submitted[0].json()["requests"][1]["params"];
    assert_eq!(
        (&params["max_tokens"], &params["stream"]),
        (&json!(50), &Value::Null)
    );
}

#[test]
fn a_batch_that_was_killed_is_collected_and_not_sent_twice() {
    let ended = Arc::new(Mutex::new(false));
    let (looks, hears) = mpsc::channel();
    let (inside, looked) = (Arc::clone(&ended), Mutex::new(looks));
    let answers_of = provider(move || *inside.lock().unwrap());
    let api = Api::start(move |number, request| {
        if request.path.ends_with("/msgbatch_1") {
            let _ = looked.lock().unwrap().send(());
        }
        answers_of(number, request)
    });
    let cell = cell(&api);
    let mut killed = cell.start(&[BATCH, &["--via", "batch"]].concat());
    hears.recv().unwrap();
    let kill = Command::new("kill")
        .args(["-9", &killed.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    killed.wait().unwrap();
    *ended.lock().unwrap() = true;
    cell.run(&["batch", "--resume", &id(&cell), "--policy", "policy.toml"])
        .exits(0);
    assert_eq!(answers(&cell, "tasks.answers.jsonl").len(), 2);
    let posts = api
        .requests()
        .iter()
        .filter(|it| it.method == "POST")
        .count();
    assert_eq!(posts, 1);
}

#[test]
fn tasks_go_one_by_one_where_it_is_not_certain_that_there_are_batches() {
    let api = Api::start(|_, request| {
        let task = request.json()["messages"][0]["content"][0]["text"].to_string();
        if task.contains("say b") {
            Answer::error(400, "invalid_request_error", "not that")
        } else {
            Answer::turn("here", 10, 5)
        }
    });
    let cell = cell(&api);
    let shown = cell
        .run(&[BATCH, &["--out", "out.jsonl"]].concat())
        .exits(1);
    assert!(
        shown.stderr.contains("1 answered, 1 without an answer"),
        "{shown}"
    );
    assert!(shown.stderr.contains("--retry-failed"), "{shown}");
    let all = answers(&cell, "out.jsonl");
    assert_eq!(
        (&all[0]["ok"], &all[1]["error"]["code"]),
        (&json!(true), &json!("invalid_input"))
    );
    let run = all[0]["run_id"].as_str().unwrap();
    assert!(cell.state(&format!("runs/{run}.jsonl")).exists());
    // What has its line is left out, also by a new batch.
    cell.run(&[BATCH, &["--out", "out.jsonl"]].concat())
        .exits(1);
    assert_eq!(api.requests().len(), 2);
}

#[test]
fn what_cannot_be_a_batch_is_told() {
    let api = Api::start(|_, _| Answer::turn("here", 10, 5));
    let cell = cell(&api);
    cell.file("tools.toml", "[tool.calc]\nfrom = \"builtin:calc\"\n");
    let tools = [
        "batch",
        "tasks.jsonl",
        "--policy",
        "tools.toml",
        "--via",
        "batch",
    ];
    let shown = cell.run(&tools).exits(2);
    assert!(shown.stderr.contains("--no-tools"), "{shown}");
    cell.file(
        "bad.jsonl",
        "{\"id\":\"a\"}\n{\"id\":\"b\",\"task\":\"x\",\"tsk\":1}\n",
    );
    let shown = cell
        .run(&["batch", "bad.jsonl", "--policy", "policy.toml"])
        .exits(2);
    assert!(
        shown.stderr.contains("line 1") && shown.stderr.contains("line 2"),
        "{shown}"
    );
    for wrong in ["b0", "../x", ""] {
        cell.run(&["batch", "--resume", wrong, "--policy", "policy.toml"])
            .exits(2);
    }
    assert!(api.requests().is_empty());
}

#[test]
fn a_batch_ends_where_a_shared_budget_does() {
    let api = Api::start(|_, _| Answer::turn("here", 10, 5));
    let cell = cell(&api);
    cell.file("policy.toml", "[budget.tenant]\nturns = 1\n");
    let shown = cell
        .run(&[BATCH, &["--via", "direct", "--concurrency", "1"]].concat())
        .exits(4);
    assert!(shown.stderr.contains("batch --resume"), "{shown}");
    assert_eq!(
        (
            api.requests().len(),
            answers(&cell, "tasks.answers.jsonl").len()
        ),
        (1, 1)
    );
}
