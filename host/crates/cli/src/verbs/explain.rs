//! `toolcell explain [CODE]`.

use serde_json::json;
use toolcell::ErrorKind;

use crate::{
    app::Outcome,
    args::ExplainArgs,
    exit, explain,
    failure::Failure,
    output,
    style::{self, paint},
};

pub(crate) fn explain(arguments: &ExplainArgs) -> Outcome {
    match &arguments.code {
        Some(code) => one(code),
        None => all(),
    }
}

fn one(code: &str) -> Outcome {
    let kind = ErrorKind::from_code(code).ok_or_else(|| {
        let nearest = ErrorKind::ALL
            .iter()
            .map(|kind| (strsim::damerau_levenshtein(kind.code(), code), kind.code()))
            .min()
            .filter(|(distance, _)| *distance <= 3);
        let help = match nearest {
            Some((_, nearest)) => format!("did you mean `{nearest}`? `toolcell explain` lists all"),
            None => "`toolcell explain` lists all".to_owned(),
        };
        Failure::usage(format!("there is no error code `{code}`")).help(help)
    })?;
    let text = explain::text(kind);
    let value = json!({ "code": kind.code(), "exit_status": exit::status(kind), "text": text });
    output::answer(value, |_| {
        let line = |line: &str| match line.trim_start_matches('#') {
            same if same.len() == line.len() => format!("{line}\n"),
            heading => format!("{}\n", paint(style::BOLD, heading.trim_start())),
        };
        text.lines().map(line).collect()
    });
    Ok(exit::OK)
}

fn all() -> Outcome {
    let entry = |kind: &ErrorKind| {
        json!({
            "code": kind.code(),
            "exit_status": exit::status(*kind),
            "summary": explain::summary(*kind),
        })
    };
    let value = json!({ "codes": ErrorKind::ALL.iter().map(entry).collect::<Vec<_>>() });
    output::answer(value, |_| {
        let line = |kind: &ErrorKind| {
            let code = paint(style::BOLD, format_args!("{:<18}", kind.code()));
            format!(
                "{code} {:>3}  {}\n",
                exit::status(*kind),
                output::column(explain::summary(*kind), 24)
            )
        };
        let lines: String = ErrorKind::ALL.iter().map(line).collect();
        format!(
            "{}\n{lines}",
            paint(style::DIM, "code              exit  meaning")
        )
    });
    Ok(exit::OK)
}
