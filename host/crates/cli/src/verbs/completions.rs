//! `toolcell completions SHELL`.

use clap::CommandFactory as _;

use crate::{
    app::Outcome,
    args::{self, Cli},
    exit, output,
};

pub(crate) fn completions(arguments: &args::CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Cli::command(),
        "toolcell",
        &mut script,
    );
    let script = String::from_utf8_lossy(&script).into_owned();
    let shell = arguments.shell.to_string();
    output::answer(
        serde_json::json!({ "shell": shell, "script": script }),
        |_| script.clone(),
    );
    Ok(exit::OK)
}
