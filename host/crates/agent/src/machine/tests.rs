use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    budget::BudgetKind,
    testing::{output, reply, settings, tool_use},
    wire::{Role, Unparsed},
};

fn run() -> Run {
    Run::new(settings(), "do it", "c")
}

/// A run whose model asked for these tools.
fn asked(calls: &[(&str, &str)]) -> Run {
    let mut run = run();
    let content = calls
        .iter()
        .map(|(id, name)| tool_use(id, name, json!({ "n": id })))
        .collect();
    run.on_reply(reply(StopReason::ToolUse, content)).unwrap();
    run
}

fn waiting(run: &Run) -> Vec<Dispatch> {
    match run.next() {
        Step::CallTools(waiting) => waiting,
        other => panic!("{other:?}"),
    }
}

fn request(run: &Run) -> ModelRequest {
    match run.next() {
        Step::CallModel(request) => *request,
        other => panic!("{other:?}"),
    }
}

fn ended(run: &Run) -> RunOutcome {
    match run.next() {
        Step::Done(outcome) => outcome,
        other => panic!("{other:?}"),
    }
}

/// The budget that ended the run, its limit and what was spent of it.
fn used_up(run: &Run) -> (BudgetKind, u64, u64) {
    match ended(run) {
        RunOutcome::BudgetExceeded(it) => (it.budget, it.limit, it.spent),
        other => panic!("{other}"),
    }
}

#[test]
fn a_choice_that_insists_on_a_call_gives_way_to_it() {
    for choice in [ToolChoice::Any, ToolChoice::Tool("a".into())] {
        let mut settings = settings();
        settings.options.tool_choice = choice.clone();
        let mut run = Run::new(settings, "do it", "c");
        assert_eq!(request(&run).options.tool_choice, choice);
        let call = tool_use("1", "a", json!({}));
        run.on_reply(reply(StopReason::ToolUse, vec![call]))
            .unwrap();
        run.on_tool_result("1", output("x")).unwrap();
        assert_eq!(request(&run).options.tool_choice, ToolChoice::Auto);
    }
}

#[test]
fn a_run_begins_with_the_task_and_sorted_tools() {
    let request = request(&run());
    assert_eq!(
        request.messages,
        [Message::user(vec![Block::text("do it")])]
    );
    let names: Vec<&str> = request
        .tools
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(request.turn, 0);
}

#[test]
fn the_cycle_keeps_everything_and_answers_in_the_models_order() {
    let mut run = run();
    let content = vec![
        Block::Other(json!({ "type": "thinking", "thinking": "", "signature": "s" })),
        Block::text("let me see"),
        tool_use("t1", "a", json!({})),
        Block::Other(json!({ "type": "from_the_future" })),
        tool_use("t2", "b", json!({ "x": 1 })),
    ];
    run.on_reply(reply(StopReason::ToolUse, content.clone()))
        .unwrap();
    assert_eq!(waiting(&run).len(), 2);
    run.on_tool_result("t2", ToolOutput::failure(ErrorKind::Trap, "it trapped"))
        .unwrap();
    assert_eq!(waiting(&run).len(), 1);
    run.on_tool_result("t1", output("one")).unwrap();

    let request = request(&run);
    assert_eq!(request.messages[1].content, content);
    assert_eq!(request.messages[1].by.as_deref(), Some("test"));
    assert_eq!(request.messages.len(), 3);
    assert_eq!(
        serde_json::to_value(&request.messages[2]).unwrap(),
        json!({ "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": "t1", "content": [{ "type": "text", "text": "one" }] },
            { "type": "tool_result", "tool_use_id": "t2", "is_error": true,
              "content": [{ "type": "text", "text": "trap: it trapped" }] },
        ] })
    );
    run.on_reply(reply(
        StopReason::EndTurn,
        vec![Block::text("do"), Block::text("ne")],
    ))
    .unwrap();
    assert_eq!(ended(&run), RunOutcome::Finished);
    assert_eq!(run.text(), "done");
    assert_eq!((run.spent().turns, run.spent().calls), (2, 2));
}

#[test]
fn tools_run_for_no_other_reason_than_tool_use() {
    let details = Some(json!({ "type": "refusal", "category": "cyber", "explanation": "no" }));
    let refused = RunOutcome::Refused {
        category: Some("cyber".into()),
        explanation: Some("no".into()),
    };
    let stopped = |reason: Option<&str>| RunOutcome::Stopped {
        reason: reason.map(Into::into),
    };
    let overflow = RunOutcome::ContextOverflow {
        message: "the answer filled the rest of it".into(),
    };
    let cases = [
        (Some(StopReason::EndTurn), RunOutcome::Finished),
        (Some(StopReason::StopSequence), RunOutcome::Finished),
        (Some(StopReason::MaxTokens), RunOutcome::MaxTokens),
        (Some(StopReason::Refusal), refused),
        (Some(StopReason::ContextWindowExceeded), overflow),
        (Some(StopReason::Other("new".into())), stopped(Some("new"))),
        (None, stopped(None)),
    ];
    for (stop_reason, outcome) in cases {
        let mut run = run();
        let content = vec![Block::text("so far"), tool_use("t", "a", json!({}))];
        run.on_reply(Reply {
            stop_reason,
            stop_details: details.clone(),
            ..reply(StopReason::EndTurn, content)
        })
        .unwrap();
        assert_eq!(ended(&run), outcome);
        assert_eq!(run.text(), "so far");
        assert_eq!(run.spent().calls, 0);
        assert_eq!(
            run.on_tool_result("t", output("x")),
            Err(MachineError::UnknownCall("t".into()))
        );
    }
}

#[test]
fn a_paused_turn_is_sent_back_as_it_is() {
    let mut run = run();
    let content = vec![Block::Other(
        json!({ "type": "server_tool_use", "id": "s" }),
    )];
    run.on_reply(reply(StopReason::PauseTurn, content.clone()))
        .unwrap();
    let request = request(&run);
    assert_eq!(request.turn, 1);
    assert_eq!(request.messages.len(), 2);
    assert_eq!(request.messages[1].content, content);
    assert_eq!(request.messages[1].by.as_deref(), Some("test"));
    // A model that only ever pauses runs into the budget.
    for _ in 1..50 {
        run.on_reply(reply(StopReason::PauseTurn, vec![])).unwrap();
    }
    assert!(matches!(
        ended(&run),
        RunOutcome::BudgetExceeded(exceeded) if exceeded.budget == BudgetKind::Turns
    ));
}

#[test]
fn a_long_conversation_ends_cleanly() {
    let mut run = run();
    run.on_context_overflow("prompt is too long".into());
    assert_eq!(
        ended(&run),
        RunOutcome::ContextOverflow {
            message: "prompt is too long".into()
        }
    );
}

#[test]
fn calls_that_make_no_sense_are_answered_and_not_run() {
    let mut run = run();
    let content = vec![
        tool_use("t1", "nope", json!({})),
        tool_use("t2", "a", json!([1])),
        tool_use("t3", "a", json!({ "INVALID_JSON": "{\"x" })),
        tool_use("t4", "a", json!({})),
    ];
    run.on_reply(Reply {
        unparsed: vec![Unparsed {
            id: "t3".into(),
            error: "EOF".into(),
        }],
        ..reply(StopReason::ToolUse, content)
    })
    .unwrap();
    let waiting = waiting(&run);
    let refusals: Vec<String> = waiting
        .iter()
        .filter_map(|dispatch| match dispatch {
            Dispatch::Refuse(call, output) => {
                assert!(output.is_error());
                let text = serde_json::to_value(&output.content).unwrap();
                Some(format!("{} {}", call.id, text[0]["text"].as_str().unwrap()))
            }
            Dispatch::Run(_) => None,
        })
        .collect();
    assert_eq!(
        refusals,
        [
            "t1 unknown_tool: there is no tool `nope`",
            "t2 invalid_input: the input must be a JSON object",
            "t3 invalid_input: the input is no valid JSON object: EOF",
        ]
    );
    assert!(matches!(&waiting[3], Dispatch::Run(call) if call.id == "t4"));
}

#[test]
fn turns_that_break_the_protocol_change_nothing() {
    let mut run = asked(&[("old", "a")]);
    assert_eq!(
        run.on_reply(reply(StopReason::EndTurn, vec![])),
        Err(MachineError::UnexpectedReply)
    );
    run.on_tool_result("old", output("x")).unwrap();
    let before = run.clone();
    let a = |id: &str| tool_use(id, "a", json!({}));
    let cases = [
        (vec![a("t"), a("t")], "two tool uses have the id `t`"),
        (vec![a("old")], "two tool uses have the id `old`"),
        (vec![a("")], "empty id or name"),
        (vec![tool_use("t", "", json!({}))], "empty id or name"),
        (vec![Block::text("x")], "asks for no tool"),
        (
            vec![
                a("t"),
                Block::Other(json!({ "type": "tool_use", "name": "a" })),
            ],
            "lacks its id or name",
        ),
    ];
    for (content, expected) in cases {
        let error = run
            .on_reply(reply(StopReason::ToolUse, content))
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(run, before);
    }
}

#[test]
fn what_could_not_be_read_again_is_refused() {
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    let ended = |levels| {
        let mut run = run();
        let content = vec![Block::Other(json!({ "type": "x", "deep": nested(levels) }))];
        run.on_reply(reply(StopReason::EndTurn, content))
            .map(|_| through_json(&run) == run)
    };
    assert_eq!(ended(99), Ok(true));
    let error = ended(100).unwrap_err().to_string();
    assert!(error.contains("nested deeper than 100 levels"), "{error}");
    let call = vec![tool_use("t", "a", json!({ "a": nested(100) }))];
    assert!(run().on_reply(reply(StopReason::ToolUse, call)).is_err());
}

#[test]
fn results_that_nobody_waits_for_are_refused() {
    let mut run = asked(&[("t1", "a"), ("t2", "a")]);
    run.on_tool_result("t1", output("x")).unwrap();
    let before = run.clone();
    assert_eq!(
        run.on_tool_result("t1", output("y")),
        Err(MachineError::AnsweredTwice("t1".into()))
    );
    assert_eq!(
        run.on_tool_result("zzz", output("y")),
        Err(MachineError::UnknownCall("zzz".into()))
    );
    assert_eq!(run, before);
}

/// Lets a model ask for the same call until something ends the run.
fn ask_on(settings: RunSettings) -> (Run, u32) {
    let mut run = Run::new(settings, "x", "c");
    for turn in 0.. {
        match run.next() {
            Step::Done(_) => return (run, turn),
            Step::CallModel(_) => {
                let call = tool_use(&format!("t{turn}"), "a", json!({ "n": turn }));
                run.on_reply(reply(StopReason::ToolUse, vec![call]))
                    .unwrap();
            }
            Step::CallTools(waiting) => {
                for dispatch in waiting {
                    run.on_tool_result(&dispatch.call().id, output("same"))
                        .unwrap();
                }
            }
        }
        let time = u64::from(run.spent().turns) * 10;
        run.set_time(std::time::Duration::from_millis(time));
    }
    panic!("a run without an end")
}

#[test]
fn every_budget_is_reached() {
    let free = Some(Price::free());
    let dear = crate::Catalog::embedded().price("claude-opus-5", None);
    let budget = |change: fn(&mut Budget)| {
        let mut budget = Budget::default();
        change(&mut budget);
        budget
    };
    let cost = budget(|b| b.cost_micro_usd = Some(300));
    let cases = [
        (BudgetKind::Turns, budget(|b| b.turns = 3), 3, 3, None),
        (BudgetKind::Calls, budget(|b| b.calls = 3), 3, 4, None),
        (BudgetKind::Tokens, budget(|b| b.tokens = 40), 40, 45, free),
        (BudgetKind::Cost, cost, 300, 350, dear),
        (BudgetKind::Time, budget(|b| b.time_ms = 25), 25, 30, None),
    ];
    for (budget, limits, limit, used, price) in cases {
        let (run, _) = ask_on(RunSettings {
            budget: limits,
            price,
            ..settings()
        });
        assert_eq!(used_up(&run), (budget, limit, used));
    }
    // The default, too, is finite.
    let (run, _) = ask_on(settings());
    assert_eq!(run.spent().turns, 50);
}

#[test]
fn a_turn_with_more_calls_than_are_left_is_not_run_at_all() {
    let budget = Budget {
        calls: 2,
        ..Budget::default()
    };
    let mut run = Run::new(
        RunSettings {
            budget,
            ..settings()
        },
        "x",
        "c",
    );
    let calls = ["t1", "t2", "t3"].map(|id| tool_use(id, "a", json!({ "id": id })));
    run.on_reply(reply(StopReason::ToolUse, calls.into()))
        .unwrap();
    assert_eq!(used_up(&run), (BudgetKind::Calls, 2, 3));
    // With a larger budget it goes on where it stopped.
    run.change_settings(settings());
    assert_eq!(waiting(&run).len(), 3);
}

#[test]
fn repetition_is_noted_and_then_ends_the_run() {
    let mut run = run();
    let mut noted = Vec::new();
    for turn in 1_u32..=8 {
        let call = tool_use(&format!("t{turn}"), "a", json!({ "same": true }));
        run.on_reply(reply(StopReason::ToolUse, vec![call]))
            .unwrap();
        if turn == 8 {
            break;
        }
        run.on_tool_result(&format!("t{turn}"), output("no"))
            .unwrap();
        let last = serde_json::to_string(run.messages().last().unwrap()).unwrap();
        if last.contains("Note from the host: this is call") {
            noted.push(turn);
        }
    }
    assert_eq!(noted, [3, 4, 5, 6, 7]);
    assert_eq!(
        ended(&run),
        RunOutcome::Repeated {
            tool: "a".into(),
            times: 8
        }
    );
}

#[test]
fn changed_settings_keep_the_operators_instructions() {
    let system = |text: &str| RunSettings {
        system: Some(text.into()),
        ..settings()
    };
    let mut run = Run::new(system("one"), "x", "c");
    run.change_settings(RunSettings {
        model: "other".into(),
        ..system("two")
    });
    let request = request(&run);
    assert_eq!(
        (request.model.as_str(), request.system.as_deref()),
        ("other", Some("one"))
    );
    assert_eq!(request.tools[0].name, "a");
}

fn through_json(run: &Run) -> Run {
    serde_json::from_str(&serde_json::to_string(run).unwrap()).unwrap()
}

proptest! {
    /// In whatever order calls finish, and wherever the run is put away and taken up again, the model hears the same.
    #[test]
    fn the_order_of_completion_does_not_matter(
        order in (1_usize..9).prop_flat_map(|n| Just((0..n).collect::<Vec<_>>()).prop_shuffle()),
        put_away in any::<u16>(),
    ) {
        let ids: Vec<String> = (0..order.len()).map(|n| format!("t{n}")).collect();
        let calls: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "a")).collect();
        let finish = |order: &[usize], put_away: u16| {
            let mut run = asked(&calls);
            for (step, index) in order.iter().enumerate() {
                if put_away >> step & 1 == 1 {
                    let again = through_json(&run);
                    prop_assert_eq!(&again, &run);
                    run = again;
                }
                run.on_tool_result(&ids[*index], output(&format!("answer {index}"))).unwrap();
            }
            prop_assert_eq!(&through_json(&run), &run);
            Ok(run)
        };
        let straight: Vec<usize> = (0..order.len()).collect();
        let run = finish(&order, put_away)?;
        prop_assert_eq!(&run, &finish(&straight, 0)?);
        let last = run.messages().last().unwrap();
        prop_assert_eq!(last.role, Role::User);
        let answered: Vec<&str> = last.content.iter().filter_map(|block| match block {
            Block::ToolResult(result) => Some(result.tool_use_id.as_str()),
            _ => None,
        }).collect();
        prop_assert_eq!(answered, ids.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Nothing that is given to a run, in whatever order, makes it panic or lose the rule that every call of a turn is
    /// answered once, right after the turn.
    #[test]
    fn no_order_of_events_breaks_a_run(events in prop::collection::vec((0_u8..7, 0_usize..4), 0..40)) {
        let mut run = Run::new(settings(), "x", "c");
        for (turn, (kind, n)) in events.into_iter().enumerate() {
            let call = |n| tool_use(&format!("t{turn}-{n}"), ["a", "b", "nope"][n % 3], json!({}));
            let _ = match kind {
                0 | 1 => run.on_reply(reply(StopReason::ToolUse, (0..n).map(call).collect())).is_ok(),
                2 => run.on_reply(reply(StopReason::PauseTurn, vec![Block::text("p")])).is_ok(),
                3..6 => match run.next() {
                    Step::CallTools(waiting) => {
                        let id = waiting[n % waiting.len()].call().id.clone();
                        run.on_tool_result(&id, output("x")).is_ok()
                    }
                    _ => run.on_tool_result("t", output("x")).is_ok(),
                },
                _ => run.on_tool_result(&format!("t{n}"), output("x")).is_ok(),
            };
            prop_assert_eq!(&through_json(&run), &run);
        }
        let messages = run.messages();
        for (message, next) in messages.iter().zip(messages.iter().skip(1)) {
            let asked: Vec<&str> = message.content.iter().filter_map(|block| match block {
                Block::ToolUse(call) => Some(call.id.as_str()),
                _ => None,
            }).collect();
            if !asked.is_empty() {
                let answered: Vec<&str> = next.content.iter().filter_map(|block| match block {
                    Block::ToolResult(result) => Some(result.tool_use_id.as_str()),
                    _ => None,
                }).collect();
                prop_assert_eq!(asked, answered);
            }
        }
    }
}
