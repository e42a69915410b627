//! `toolcell call TOOL [INPUT]`.

use std::{io, path::Path, sync::Arc};

use serde_json::{Value, json};
use toolcell::{
    CallContext, CallEvent, Content, ErrorKind, EventSink, ToolCall, ToolHost, ToolResult,
    text::escape_control,
};

use crate::{
    app::Outcome,
    args::CallArgs,
    dirs::Dirs,
    exit,
    failure::Failure,
    files, hosts, interrupt, output, policies,
    style::{self, paint},
    telemetry,
};

/// The longest input that is read from a file or standard input, in bytes.
const MAX_INPUT_BYTES: u64 = 16 << 20;

pub(crate) async fn call(arguments: CallArgs) -> Outcome {
    let input = input(&arguments.input)?;
    let dirs = Dirs::find()?;
    let in_force = policies::load(&arguments.policy, &dirs)?;
    telemetry::start(&arguments.telemetry, &in_force, &dirs).await?;
    let host = hosts::start(&in_force, &dirs, arguments.workers, arguments.isolation)?;
    let tool = match &arguments.component {
        Some(component) => named(load(&host, component).await?, arguments.tool),
        None => {
            host.load_policy_tools().await?;
            arguments.tool
        }
    };
    let context = CallContext {
        cancel: interrupt::token(),
        events: Some(told()),
        ..CallContext::default()
    };
    let result = host.call_with(ToolCall::new(tool, input), &context).await?;
    show(
        &result,
        in_force.files.is_empty() && arguments.component.is_none(),
    )
}

pub(super) async fn load(host: &ToolHost, component: &str) -> Result<Vec<String>, Failure> {
    Ok(match component.strip_prefix("builtin:") {
        Some(name) => host.load_bytes(name, hosts::builtin_bytes(name)?).await?,
        None => host.load_file(component).await?,
    })
}

/// The public name of the tool that is meant. Of the one package that was loaded, a tool's own name says enough.
pub(super) fn named(names: Vec<String>, tool: String) -> String {
    // A package's name has no `_`.
    let own = |name: &String| name.split_once('_').is_some_and(|(_, own)| own == tool);
    match names.iter().find(|name| own(name)) {
        Some(name) if !names.contains(&tool) => name.clone(),
        _ => tool,
    }
}

/// The tool's log lines, as they come, and what looks like a credential in its answer, which is told in any case.
fn told() -> EventSink {
    Arc::new(|_, event| match event {
        CallEvent::Log { level, message } if !output::json() => {
            output::note(paint(style::DIM, format_args!("{level}: {message}")));
        }
        CallEvent::LikelySecret { tool, likely } => {
            let line = format!("note: {}'s answer holds {likely}", escape_control(&tool));
            output::note(paint(style::NOTE, line));
        }
        _ => {}
    })
}

fn show(result: &ToolResult, no_policy: bool) -> Outcome {
    let value = data(result);
    let Some(reason) = &result.failure else {
        if output::json() {
            output::answer(value, |_| String::new());
        } else {
            human(result);
        }
        return Ok(exit::OK);
    };
    let mut failure = Failure::from(reason).data(value);
    if failure.help.is_none() {
        failure.help = Some(match reason.kind {
            ErrorKind::UnknownTool if no_policy => {
                "no policy is in force here, so no tool is offered: name one with --policy FILE"
                    .to_owned()
            }
            kind => format!("`toolcell explain {kind}` says more"),
        });
    }
    Err(failure)
}

/// The shape that scripts rely on.
fn data(result: &ToolResult) -> Value {
    let mut data = json!({
        "tool": result.tool,
        "call_id": result.call_id,
        "is_error": result.is_error(),
        "content": result.content,
        "structured": result.structured,
        "usage": result.usage,
        "denials": result.denials,
    });
    if let (Some(data), false) = (data.as_object_mut(), result.redactions.is_empty()) {
        data.insert("redactions".to_owned(), json!(result.redactions));
    }
    data
}

fn human(result: &ToolResult) {
    for piece in &result.content {
        match piece {
            Content::Text { text } => output::text(text),
            Content::Json { json } => output::data(json),
            Content::Resource {
                text: Some(text), ..
            } => output::text(text),
            Content::Resource { uri, .. } => not_shown(&format!("resource {uri}")),
            Content::Image { mime_type, .. } | Content::Audio { mime_type, .. } => {
                not_shown(mime_type)
            }
            _ => not_shown("content of a newer kind"),
        }
    }
    if let (true, Some(structured)) = (result.content.is_empty(), &result.structured) {
        output::data(structured);
    }
    for denial in &result.denials {
        let line = format!("refused: {} ({})", denial.access, denial.rule);
        output::note(paint(style::NOTE, escape_control(&line)));
    }
}

fn not_shown(what: &str) {
    output::note(format!(
        "[{} is not shown; use --json]",
        escape_control(what)
    ));
}

/// The input: JSON itself, `@FILE`, or `-` for standard input.
pub(super) fn input(argument: &str) -> Result<Value, Failure> {
    let failed = |name: &str, error| Failure::io("read", Path::new(name), &error);
    let (text, from) = match argument.strip_prefix('@') {
        Some(file) => {
            let text = files::read_text(Path::new(file), MAX_INPUT_BYTES);
            (text.map_err(|error| failed(file, error))?, file)
        }
        None if argument == "-" => {
            let text = files::read_text_from(io::stdin().lock(), MAX_INPUT_BYTES);
            let from = "standard input";
            (text.map_err(|error| failed(from, error))?, from)
        }
        None => (argument.to_owned(), "the argument"),
    };
    serde_json::from_str(&text).map_err(|error| {
        Failure::usage(format!("the input in {from} is no JSON: {error}"))
            .help("quote it for your shell, for example '{\"path\":\"/work/README.md\"}', or pass @FILE or -")
    })
}
