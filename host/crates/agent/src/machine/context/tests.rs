//! A run over many turns: what it sends, and what of it stays the same.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    context::Summary,
    machine::{RunSettings, Step},
    model::anthropic::body::{Dialect, messages_body},
    testing::{output, reply, settings, tool_use},
    wire::{Block, Message, Role, StopReason, text_of},
};

/// Rules under which long conversations are short.
fn rules() -> ContextRules {
    ContextRules {
        window: Some(10_000),
        result_tokens: 1_000,
        cache_min_tokens: Some(100),
        reader: Some("result_read".into()),
        ..ContextRules::default()
    }
}

fn run() -> Run {
    let mut settings = RunSettings {
        system: Some("You keep the accounts.".into()),
        context: rules(),
        ..settings()
    };
    settings.tools.push(context::reader("result_read"));
    Run::new(settings, "Which invoices are overdue?", "c")
}

fn request(run: &Run) -> ModelRequest {
    match run.next() {
        Step::CallModel(request) => *request,
        other => panic!("{other:?}"),
    }
}

/// A turn with calls whose answers have so many tokens each.
fn turn(run: &mut Run, answers: &[usize]) {
    let number = run.spent().turns;
    let id = |call: usize| format!("t{number}-{call}");
    let calls =
        (0..answers.len()).map(|call| tool_use(&id(call), "a", json!({ "n": [number, call] })));
    let thinking = json!({ "type": "thinking", "thinking": "hm", "signature": "s" });
    let content = std::iter::once(Block::Other(thinking)).chain(calls);
    let mut reply = reply(StopReason::ToolUse, content.collect());
    reply.usage = crate::wire::TokenUsage::default();
    run.on_reply(reply).unwrap();
    for (call, tokens) in answers.iter().enumerate() {
        let text: String = (0..tokens / 4)
            .map(|line| format!("line {line:07}\n"))
            .collect();
        run.on_tool_result(&id(call), output(&text)).unwrap();
    }
}

/// Makes room as a driver does, with the summary that a model would give.
fn make_room(run: &mut Run) -> Option<Compaction> {
    let tokens = run.prompt_tokens();
    if tokens <= run.compaction_threshold() {
        return None;
    }
    let plan = run.room(tokens, false)?;
    let summary = plan.through.map(|through| Summary {
        through,
        text: "What was done so far.".into(),
    });
    let answer = summary
        .is_some()
        .then(|| reply(StopReason::EndTurn, vec![]));
    let compaction = Compaction {
        cleared: plan.cleared,
        summary,
        forced: false,
        tokens_before: tokens,
    };
    run.on_compaction(&compaction, answer.as_ref()).unwrap();
    Some(compaction)
}

fn rendered(request: &ModelRequest) -> Value {
    let dialect = Dialect {
        model: true,
        stream: Some(true),
        version: None,
        sampling: false,
    };
    messages_body(request, dialect).unwrap().into()
}

fn unmarked(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            fields.remove("cache_control");
            fields
                .values_mut()
                .for_each(|field| *field = unmarked(field.take()));
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| *item = unmarked(item.take())),
        _ => {}
    }
    value
}

/// Everything that the server's cache compares, in its order, one text for each block; and the numbers of those that are
/// marked.
fn prompt(request: &ModelRequest) -> (Vec<String>, Vec<usize>) {
    let body = rendered(request);
    let mut blocks: Vec<(String, &Value)> = Vec::new();
    for tool in body["tools"].as_array().into_iter().flatten() {
        blocks.push((String::new(), tool));
    }
    for block in body["system"].as_array().into_iter().flatten() {
        blocks.push(("system".into(), block));
    }
    for message in body["messages"].as_array().unwrap() {
        for block in message["content"].as_array().unwrap() {
            blocks.push((message["role"].to_string(), block));
        }
    }
    let marks = blocks.iter().enumerate();
    let marks = marks.filter(|(_, (_, block))| block.get("cache_control").is_some());
    (
        blocks
            .iter()
            .map(|(role, block)| format!("{role} {}", unmarked((*block).clone())))
            .collect(),
        marks.map(|(number, _)| number).collect(),
    )
}

/// Every call is answered in the very next message, and every answer has its call there.
fn check_pairs(messages: &[Message]) {
    let ids = |message: Option<&Message>, uses: bool| -> Vec<String> {
        let blocks = message.into_iter().flat_map(|message| &message.content);
        blocks
            .filter_map(|block| match block {
                Block::ToolUse(call) if uses => Some(call.id.clone()),
                Block::ToolResult(result) if !uses => Some(result.tool_use_id.clone()),
                _ => None,
            })
            .collect()
    };
    for (number, message) in messages.iter().enumerate() {
        if message.role == Role::Assistant {
            assert_eq!(
                ids(Some(message), true),
                ids(messages.get(number + 1), false)
            );
        } else if number > 0 {
            assert_eq!(
                ids(messages.get(number - 1), true),
                ids(Some(message), false)
            );
        }
    }
}

#[test]
fn a_long_answer_is_cut_and_the_model_reads_on_in_it() {
    let mut run = run();
    turn(&mut run, &[3_000]);
    assert_eq!(run.context_report().cut_results, 1);
    let request = request(&run);
    let Block::ToolResult(result) = &request.messages[2].content[0] else {
        panic!()
    };
    let text = text_of(&result.content);
    let at = text.find("result_read {").unwrap();
    let input = &text[at + "result_read ".len()..];
    let input: Value = serde_json::from_str(&input[..=input.find('}').unwrap()]).unwrap();
    let asked = vec![tool_use("r", "result_read", input)];
    run.on_reply(reply(StopReason::ToolUse, asked)).unwrap();
    let Step::CallTools(calls) = run.next() else {
        panic!()
    };
    let crate::Dispatch::Refuse(call, page) = calls[0].clone() else {
        panic!("it is no tool to be run")
    };
    let first_missing = text[..text.find('[').unwrap()].lines().count();
    let page_text = text_of(&page.content);
    assert!(
        page_text.starts_with(&format!("line {first_missing:07}\n")),
        "{page_text}"
    );
    assert_eq!(run.on_tool_result(&call.id, page).unwrap(), None);
}

#[test]
fn results_give_way_first_and_a_summary_comes_only_when_that_is_not_enough() {
    let mut run = run();
    let mut steps = Vec::new();
    for _ in 0..60 {
        steps.extend(make_room(&mut run));
        check_pairs(run.messages());
        turn(&mut run, &[700]);
    }
    let first = &steps[0];
    assert!(
        first.summary.is_none() && !first.cleared.is_empty(),
        "{first:?}"
    );
    assert!(steps.iter().any(|step| step.summary.is_some()));
    // Few large steps: each is worth several turns.
    assert!(steps.len() <= 60 / 3, "{} steps in 60 turns", steps.len());
    let text = text_of(&run.messages()[0].content);
    assert!(text.starts_with("Which invoices are overdue?\n"), "{text}");
    assert_eq!(text.matches("What was done so far.").count(), 1);
    assert_eq!(run.context_report().compactions as usize, steps.len());
}

#[test]
fn what_gave_way_to_a_note_can_be_read_again() {
    let mut run = run();
    while make_room(&mut run).is_none() {
        turn(&mut run, &[700]);
    }
    let note = run
        .messages()
        .iter()
        .flat_map(|message| &message.content)
        .find_map(|block| match block {
            Block::ToolResult(result) => {
                Some((result.tool_use_id.clone(), text_of(&result.content)))
            }
            _ => None,
        });
    let (id, note) = note.unwrap();
    assert!(note.starts_with("[The answer of a, about "), "{note}");
    assert!(
        note.ends_with(&format!("result_read {{\"call_id\":\"{id}\"}}]")),
        "{note}"
    );
    let Block::ToolUse(call) = tool_use("r", "result_read", json!({ "call_id": id })) else {
        panic!()
    };
    let page = run.read_on(&call).unwrap();
    assert!(text_of(&page.content).starts_with("line 0000000\nline 0000001\n"));
}

#[test]
fn a_step_that_fits_no_conversation_changes_nothing() {
    let mut run = run();
    turn(&mut run, &[1]);
    turn(&mut run, &[1]);
    let before = run.clone();
    // In the middle of a pair, before the first turn, behind the end.
    for through in [0, 1, 2, 4, 9] {
        let compaction = Compaction {
            summary: Some(Summary {
                through,
                text: "s".into(),
            }),
            ..Compaction::default()
        };
        let answer = run.on_compaction(&compaction, None);
        assert!(
            matches!(answer, Err(MachineError::InvalidReply(_))),
            "{through}"
        );
        assert_eq!(run, before);
    }
}

#[test]
fn nothing_gives_way_where_it_would_not_help() {
    let mut run = run();
    turn(
        &mut run,
        &[900, 900, 900, 900, 900, 900, 900, 900, 900, 900],
    );
    assert!(run.prompt_tokens() > run.compaction_threshold());
    // The newest turn alone is too long.
    assert_eq!(run.room(run.prompt_tokens(), false), None);
    assert_eq!(run.room(run.prompt_tokens(), true), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Turn after turn, whatever is cut: the prompt that the server was told to keep comes again byte by byte, and it can
    /// be found from a breakpoint within what the server looks back. Only a step that makes room changes it.
    #[test]
    fn the_prompt_that_is_kept_comes_again(
        turns in prop::collection::vec(prop::collection::vec(0_usize..1_800, 1..14), 1..14)
    ) {
        let mut run = run();
        let mut before: Option<(Vec<String>, Vec<usize>)> = None;
        for answers in turns {
            if make_room(&mut run).is_some() {
                before = None;
            }
            let request = request(&run);
            let (blocks, marks) = prompt(&request);
            prop_assert!(marks.len() <= 4);
            let thoughts = marks.iter().filter(|mark| blocks[**mark].contains("\"thinking\""));
            prop_assert_eq!(thoughts.count(), 0);
            if let Some((earlier, kept)) = &before {
                let end = *kept.last().unwrap();
                prop_assert_eq!(&earlier[..=end], &blocks[..=end]);
                prop_assert!(
                    marks.iter().any(|mark| *mark >= end && mark - end <= 20),
                    "{:?} after {}", marks, end
                );
            }
            before = (!marks.is_empty()).then_some((blocks, marks));
            turn(&mut run, &answers);
        }
    }

    /// Whatever gives way: pairs stay together, the task and the newest turn whole, and the same steps on the same
    /// conversation send the same bytes.
    #[test]
    fn room_is_made_without_harm(
        turns in prop::collection::vec(prop::collection::vec(0_usize..3_000, 1..4), 1..16),
        keep_turns in 1_usize..6,
    ) {
        let mut run = run();
        run.settings.context.keep_turns = keep_turns;
        let mut again = run.clone();
        for answers in turns {
            turn(&mut run, &answers);
            turn(&mut again, &answers);
            let newest = run.messages()[run.messages().len() - 2..].to_vec();
            let tokens = run.prompt_tokens();
            if let Some(compaction) = make_room(&mut run) {
                prop_assert!(run.prompt_tokens() < tokens);
                let answer = compaction.summary.is_some().then(|| reply(StopReason::EndTurn, vec![]));
                let written = serde_json::to_string(&compaction).unwrap();
                let compaction: Compaction = serde_json::from_str(&written).unwrap();
                again.on_compaction(&compaction, answer.as_ref()).unwrap();
            }
            check_pairs(run.messages());
            prop_assert_eq!(&run.messages()[run.messages().len() - 2..], &newest[..]);
            prop_assert_eq!(&run.messages()[0].content[0], &Block::text("Which invoices are overdue?"));
            prop_assert_eq!(rendered(&request(&run)).to_string(), rendered(&request(&again)).to_string());
        }
        let stored: Run = serde_json::from_str(&serde_json::to_string(&run).unwrap()).unwrap();
        prop_assert_eq!(stored, run);
    }
}
