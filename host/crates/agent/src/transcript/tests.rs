use serde_json::json;

use super::*;
use crate::{
    Agent, AgentError, Budget, RunContext,
    model::Scripted,
    testing::{Tools, recorder},
};

/// Two turns with tools, of which `read` may be repeated and `write` and `other` may not.
const SCRIPT: &str = r#"
{"content":[{"type":"text","text":"I look."},{"type":"tool_use","id":"r1","name":"read","input":{}},{"type":"tool_use","id":"w1","name":"write","input":{"a":1}},{"type":"tool_use","id":"x1","name":"nope","input":{}}],"stop_reason":"tool_use"}
{"content":[{"type":"tool_use","id":"w2","name":"write","input":{"a":2}},{"type":"tool_use","id":"w3","name":"other","input":{"a":3}}],"stop_reason":"tool_use"}
{"content":"All done.","stop_reason":"end_turn"}
"#;

fn agent(tools: &Tools) -> Agent {
    let model = Scripted::parse("script", SCRIPT).unwrap();
    Agent::builder(tools.clone(), model)
        .parallel(1)
        .build()
        .unwrap()
}

fn context(path: &Path) -> RunContext {
    RunContext {
        transcript: Some(path.into()),
        ..RunContext::default()
    }
}

/// The bytes of a whole run's transcript.
async fn recorded(dir: &Path) -> Vec<u8> {
    let path = dir.join("whole.jsonl");
    let tools = Tools::echo();
    let report = agent(&tools).run("go", &context(&path)).await.unwrap();
    assert_eq!(report.outcome, RunOutcome::Finished);
    assert_eq!(tools.seen(), ["r1", "w1", "w2", "w3"]);
    std::fs::read(path).unwrap()
}

/// The ids of the lines of one kind.
fn ids(bytes: &[u8], kind: &str) -> Vec<String> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter(|line| line["type"] == kind)
        .map(|line| line["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_run_leaves_its_story_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = recorded(dir.path()).await;
    let kinds: Vec<String> = String::from_utf8(bytes)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| {
            format!(
                "{} {}",
                line["type"].as_str().unwrap(),
                line["id"].as_str().unwrap_or("")
            )
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "header ",
            "reply ",
            "tool_start r1",
            "tool_result r1",
            "tool_start w1",
            "tool_result w1",
            "tool_result x1",
            "reply ",
            "tool_start w2",
            "tool_result w2",
            "tool_start w3",
            "tool_result w3",
            "reply ",
            "end ",
        ]
    );
}

/// A kill at any byte: what finished is not done again, and what may have begun only if that is safe.
#[tokio::test]
async fn a_run_killed_at_any_byte_goes_on_and_repeats_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let whole = recorded(dir.path()).await;
    let header = whole.iter().position(|byte| *byte == b'\n').unwrap();
    let path = dir.path().join("cut.jsonl");
    // A line that is torn is torn wherever it is, so around the ends of lines every byte is tried, and else each 13th.
    let near_end =
        |cut: usize| whole[cut.saturating_sub(2)..(cut + 2).min(whole.len())].contains(&b'\n');
    for cut in (header..=whole.len()).filter(|cut| cut % 13 == 0 || near_end(*cut)) {
        let left = &whole[..cut];
        std::fs::write(&path, left).unwrap();
        let (started, finished) = (ids(left, "tool_start"), ids(left, "tool_result"));

        let tools = Tools::echo();
        let report = agent(&tools)
            .resume(&path, &RunContext::default())
            .await
            .unwrap();
        assert_eq!(
            (report.outcome, report.text.as_str()),
            (RunOutcome::Finished, "All done.")
        );

        let expected: Vec<&str> = ["r1", "w1", "w2", "w3"]
            .into_iter()
            .filter(|id| !finished.iter().any(|done| done == id))
            .filter(|id| *id == "r1" || !started.iter().any(|begun| begun == id))
            .collect();
        assert_eq!(tools.seen(), expected, "cut at {cut}");

        // What is on disk now is whole again, and every call has exactly one result.
        let after = std::fs::read(&path).unwrap();
        let mut results = ids(&after, "tool_result");
        results.sort();
        assert_eq!(results, ["r1", "w1", "w2", "w3", "x1"], "cut at {cut}");
        let (_, records) = Transcript::open(&path).unwrap();
        assert_eq!(
            records
                .iter()
                .filter(|record| matches!(record, Record::Reply { .. }))
                .count(),
            3
        );
    }
}

#[tokio::test]
async fn an_interrupted_call_is_told_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let whole = recorded(dir.path()).await;
    let text = String::from_utf8(whole).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let path = dir.path().join("cut.jsonl");
    // Up to the start of w1.
    std::fs::write(&path, lines[..5].concat()).unwrap();
    let (events, heard) = recorder();
    let context = RunContext {
        events: Some(events),
        ..RunContext::default()
    };
    agent(&Tools::echo()).resume(&path, &context).await.unwrap();
    let after = std::fs::read_to_string(&path).unwrap();
    assert!(after.contains("cancelled: the run was interrupted while this call was under way"));
    let heard = serde_json::to_value(&*heard.lock().unwrap()).unwrap();
    assert_eq!(
        (&heard[0]["type"], &heard[0]["resumed"]),
        (&json!("run_start"), &json!(true))
    );
    assert_eq!(
        (&heard[1]["type"], &heard[1]["call_id"]),
        (&json!("tool_call_end"), &json!("w1"))
    );
}

#[tokio::test]
async fn a_finished_run_is_only_reported_again() {
    let dir = tempfile::tempdir().unwrap();
    let whole = recorded(dir.path()).await;
    let path = dir.path().join("again.jsonl");
    std::fs::write(&path, &whole).unwrap();
    let tools = Tools::echo();
    let report = agent(&tools)
        .resume(&path, &RunContext::default())
        .await
        .unwrap();
    assert_eq!(
        (report.outcome, report.spent.turns),
        (RunOutcome::Finished, 3)
    );
    assert!(tools.seen().is_empty());
}

#[tokio::test]
async fn time_counts_over_all_sessions() {
    let dir = tempfile::tempdir().unwrap();
    let whole = recorded(dir.path()).await;
    let text = String::from_utf8(whole).unwrap();
    let mut lines: Vec<String> = text
        .lines()
        .take(2)
        .map(|line| format!("{line}\n"))
        .collect();
    let mut reply: Value = serde_json::from_str(&lines[1]).unwrap();
    reply["time_ms"] = json!(5_000);
    lines[1] = format!("{reply}\n");
    let path = dir.path().join("slow.jsonl");
    std::fs::write(&path, lines.concat()).unwrap();
    let tools = Tools::echo();
    let model = Scripted::parse("script", SCRIPT).unwrap();
    let budget = Budget {
        time_ms: 5_000,
        ..Budget::default()
    };
    let agent = Agent::builder(tools.clone(), model)
        .budget(budget)
        .build()
        .unwrap();
    let report = agent.resume(&path, &RunContext::default()).await.unwrap();
    assert!(
        matches!(
            &report.outcome,
            RunOutcome::BudgetExceeded(it) if it.budget == crate::BudgetKind::Time
        ),
        "{report:?}"
    );
    assert!(tools.seen().is_empty());
}

#[tokio::test]
async fn a_transcript_becomes_a_script() {
    let dir = tempfile::tempdir().unwrap();
    recorded(dir.path()).await;
    let script = Transcript::to_script(dir.path().join("whole.jsonl")).unwrap();
    let tools = Tools::echo();
    let model = Scripted::parse("again", &script).unwrap();
    let agent = Agent::builder(tools.clone(), model).build().unwrap();
    let report = agent.run("go", &RunContext::default()).await.unwrap();
    assert_eq!(report.text, "All done.");
    assert_eq!(tools.seen(), ["r1", "w1", "w2", "w3"]);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    recorded(dir.path()).await;
    let file = std::fs::metadata(dir.path().join("whole.jsonl")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
}

fn message(result: Result<(Transcript, Vec<Record>), TranscriptError>) -> String {
    result.map(|_| ()).unwrap_err().to_string()
}

#[tokio::test]
async fn what_is_no_transcript_is_refused_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let whole = String::from_utf8(recorded(dir.path()).await).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let path = dir.path().join("wrong.jsonl");
    for (text, expected) in [
        (String::new(), "line 1: it does not begin with a header"),
        (
            lines[0][..50].to_owned(),
            "line 1: it does not begin with a header",
        ),
        (
            lines[1].to_owned(),
            "line 1: it does not begin with a header",
        ),
        (
            lines[0].replace("\"format\":1", "\"format\":9"),
            "line 1: its format is 9; this version reads 1",
        ),
        (
            format!("{}garbage\n{}", lines[0], lines[1]),
            "line 2: expected value",
        ),
        (format!("{}garbage\n", lines[0]), "line 2: expected value"),
    ] {
        std::fs::write(&path, &text).unwrap();
        let said = message(Transcript::open(&path));
        assert!(said.contains(expected), "{said}");
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            text,
            "a refused file was changed"
        );
    }
    for (text, expected) in [
        (
            format!("{0}{1}{1}", lines[0], lines[1]),
            "line 3: the run does not wait for the model",
        ),
        (
            format!("{}{}", lines[0], lines[3]),
            "line 2: no tool use `r1` waits for a result",
        ),
        (
            format!("{0}{1}{2}{3}{3}", lines[0], lines[1], lines[2], lines[3]),
            "line 5: the tool use `r1` already has its result",
        ),
        (
            format!("{0}{0}", lines[0]),
            "line 2: the model's turn makes no sense: a second header",
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = agent(&Tools::echo())
            .resume(&path, &RunContext::default())
            .await;
        let said = error.unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
    }
    assert!(message(Transcript::open(dir.path().join("none"))).contains("none: "));
}

#[tokio::test]
async fn a_file_that_is_there_or_in_use_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    recorded(dir.path()).await;
    let path = dir.path().join("whole.jsonl");
    let error = agent(&Tools::echo())
        .run("go", &context(&path))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, AgentError::Transcript(TranscriptError::Io { .. })),
        "{error}"
    );

    let _held = Transcript::open(&path).unwrap();
    let said = message(Transcript::open(&path));
    assert!(
        said.ends_with("belongs to a run that is still going"),
        "{said}"
    );
}

#[test]
fn a_full_disk_is_one_clear_line() {
    let path = Path::new("/dev/full");
    let Ok(file) = OpenOptions::new().write(true).open(path) else {
        return;
    };
    let mut transcript = Transcript::of(path.into(), file);
    let error = transcript
        .append(&Record::Resume {
            model: None,
            context: None,
        })
        .unwrap_err();
    assert!(
        error.to_string().starts_with("transcript /dev/full: "),
        "{error}"
    );
}
