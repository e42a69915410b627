//! Runs that wait for a person: what they wait for, and the answers that they go on with.

use toolcell::{Answers, ApprovalId, ApprovalRequest, ErrorKind};
use toolcell_agent::{RunOutcome, Transcript};

use super::{Place, failed};
use crate::{
    args::{ApprovalOptions, RunArgs},
    exit,
    failure::Failure,
    style,
};

/// The most that is shown of an input, in characters.
const MAX_INPUT: usize = 200;

/// Refuses answers for a run that has not begun: it waits for none.
pub(super) fn check(arguments: &RunArgs) -> Result<(), Failure> {
    let options = &arguments.approval;
    let answers = options.approve_all || !(options.approve.is_empty() && options.deny.is_empty());
    if answers && arguments.resume.is_none() {
        return Err(Failure::usage("a run that begins waits for no answer yet")
            .help("name the run that waits with `--resume ID`"));
    }
    Ok(())
}

/// The answers on the command line.
pub(super) fn answers(arguments: &RunArgs, place: &Place) -> Result<Answers, Failure> {
    let ApprovalOptions {
        approve,
        deny,
        approve_all,
        ..
    } = &arguments.approval;
    if approve.is_empty() && deny.is_empty() && !approve_all {
        return Ok(Answers::new());
    }
    let waiting = Transcript::waiting(&place.transcript).map_err(|error| failed(error.into()))?;
    let mut answers = Answers::new();
    if *approve_all {
        answers = waiting.iter().map(|it| (it.id.clone(), true)).collect();
    }
    for (ids, allow) in [(approve, true), (deny, false)] {
        for id in ids {
            let id = ApprovalId::new(id);
            if !waiting.iter().any(|it| it.id == id) {
                return Err(unknown(&id, &waiting));
            }
            if !approve_all && answers.get(&id).is_some_and(|before| before != allow) {
                let message = format!("`{id}` is both approved and denied");
                return Err(Failure::usage(message).help("give it one answer"));
            }
            answers = answers.with(id, allow);
        }
    }
    Ok(answers)
}

fn unknown(id: &ApprovalId, waiting: &[ApprovalRequest]) -> Failure {
    let ids: Vec<&str> = waiting.iter().map(|it| it.id.as_str()).collect();
    let help = match ids.as_slice() {
        [] => "the run waits for no answer; go on with it without one".to_owned(),
        ids => format!("the run waits for {}", ids.join(", ")),
    };
    Failure::usage(format!("the run does not wait for an answer to `{id}`")).help(help)
}

/// What to say of a run that waits.
pub(super) fn failure(outcome: &RunOutcome, resume: Option<&str>) -> Option<Failure> {
    let RunOutcome::Waiting { approvals } = outcome else {
        return None;
    };
    let mut failure = Failure::new(ErrorKind::Unavailable, outcome.to_string());
    failure.status = Some(exit::WAITING);
    failure.details = approvals.iter().flat_map(lines).collect();
    failure.help = resume.map(|resume| match approvals.as_slice() {
        [one] => format!("{resume} --approve {0}, or --deny {0}", one.id),
        _ => format!("{resume} with --approve ID and --deny ID, or --approve-all"),
    });
    Some(failure)
}

fn lines(request: &ApprovalRequest) -> Vec<String> {
    let shown = |text: &str| style::one_line(text, MAX_INPUT);
    vec![
        format!("{}", request.id),
        format!(
            "  {} wants: {}",
            shown(&request.tool),
            shown(&request.access)
        ),
        format!("  input: {}", shown(&request.input_preview)),
        format!("  rule:  {}", shown(&request.rule)),
    ]
}
