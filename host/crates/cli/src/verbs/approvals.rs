//! `toolcell approvals list` and `toolcell approvals forget`.

use std::time::SystemTime;

use serde_json::{Value, json};
use toolcell::text::escape_control;

use crate::{
    app::Outcome,
    args::ApprovalsVerb,
    dirs::Dirs,
    exit,
    failure::Failure,
    output,
    remembered::{Remembered, RememberedAnswer},
    style,
};

pub(crate) fn approvals(verb: ApprovalsVerb) -> Outcome {
    let remembered = Remembered::of(&Dirs::find()?);
    match verb {
        ApprovalsVerb::List => list(&remembered),
        ApprovalsVerb::Forget { ids, .. } => forget(&remembered, &ids),
    }
}

fn list(remembered: &Remembered) -> Outcome {
    let answers = remembered.read(SystemTime::now())?;
    let value = json!({ "answers": answers.iter().map(shown).collect::<Vec<_>>() });
    output::answer(value, |_| {
        if answers.is_empty() {
            return "no answer is remembered".to_owned();
        }
        let blocks: Vec<String> = answers.iter().map(lines).collect();
        blocks.join("\n")
    });
    Ok(exit::OK)
}

fn shown(answer: &RememberedAnswer) -> Value {
    json!({
        "id": answer.id(),
        "allow": answer.allow,
        "since": answer.since,
        "until": answer.until,
        "for": answer.what,
    })
}

fn lines(answer: &RememberedAnswer) -> String {
    let safe = |text: &str| escape_control(text).into_owned();
    let what = &answer.what;
    let word = if answer.allow { "allow" } else { "deny" };
    let days = answer
        .until
        .saturating_sub(answer.since)
        .div_ceil(24 * 3600);
    format!(
        "{}  {word}  {}: {}\n  package {}, sha256:{}\n  rule {} `{}`, for {}",
        answer.id(),
        safe(&what.tool),
        safe(&what.access),
        safe(&what.package),
        safe(&what.digest),
        safe(&what.rule),
        safe(&what.rule_text),
        style::count(usize::try_from(days).unwrap_or(usize::MAX), "day"),
    )
}

fn forget(remembered: &Remembered, ids: &[String]) -> Outcome {
    let gone = remembered.change(SystemTime::now(), |answers| {
        for id in ids {
            if !answers.iter().any(|answer| answer.id() == *id) {
                let message = format!("no remembered answer is called `{}`", escape_control(id));
                return Err(Failure::usage(message).help("`toolcell approvals list` names them"));
            }
        }
        let before = answers.len();
        answers.retain(|answer| !ids.is_empty() && !ids.contains(&answer.id()));
        Ok(before - answers.len())
    })?;
    output::answer(json!({ "forgotten": gone }), |_| {
        format!("forgot {}", style::count(gone, "answer"))
    });
    Ok(exit::OK)
}
