//! From `--model` to a model.

use std::{path::Path, sync::Arc};

use toolcell::ErrorKind;
use toolcell_agent::{
    ModelProvider,
    model::{Anthropic, AnthropicConfig, ApiKey, Resilient, Retry, Scripted},
};

use toolcell_policy::ModelSettings;

use crate::{env, failure::Failure, files};

/// The model of `run` and `demo --live` where none is named.
pub(crate) const DEFAULT: &str = "anthropic:claude-sonnet-5-5";

/// The longest script of recorded turns that is read, in bytes.
const MAX_SCRIPT_BYTES: u64 = 64 << 20;

/// The model of a run: that of the flag or the environment, else that of the policy, else the usual one.
pub(crate) fn chosen<'a>(asked: Option<&'a str>, settings: &'a ModelSettings) -> &'a str {
    asked.or(settings.name.as_deref()).unwrap_or(DEFAULT)
}

/// The model that `spec` names: `anthropic:MODEL` or `scripted:FILE`.
pub(crate) fn open(spec: &str) -> Result<Arc<dyn ModelProvider>, Failure> {
    match spec.split_once(':') {
        Some(("scripted", file)) if !file.is_empty() => scripted_file(Path::new(file)),
        Some(("anthropic", model)) if !model.is_empty() => anthropic(model),
        _ => Err(Failure::usage(format!("`{spec}` names no model")).help(
            "write `anthropic:MODEL`, for example `anthropic:claude-sonnet-5-5`, or `scripted:FILE` for recorded turns",
        )),
    }
}

/// Recorded turns.
pub(crate) fn scripted(name: &str, text: &str) -> Result<Arc<dyn ModelProvider>, Failure> {
    let script = Scripted::parse(name, text).map_err(|error| {
        let mut failure = Failure::usage(format!("the recorded turns in {name} are not valid"))
            .help("each line is one turn: {\"content\": [...], \"stop_reason\": \"tool_use\"}");
        let line = |problem: &toolcell_agent::model::ScriptProblem| {
            format!("{name}:{}: {}", problem.line, problem.message)
        };
        failure.details = error.problems.iter().map(line).collect();
        failure
    })?;
    Ok(Arc::new(script))
}

fn scripted_file(file: &Path) -> Result<Arc<dyn ModelProvider>, Failure> {
    let failed = |error: &std::io::Error| Failure::io("read", file, error);
    let text = files::read_text(file, MAX_SCRIPT_BYTES).map_err(|error| failed(&error))?;
    scripted(&file.display().to_string(), &text)
}

fn anthropic(model: &str) -> Result<Arc<dyn ModelProvider>, Failure> {
    let key = env::text(env::ANTHROPIC_API_KEY).ok_or_else(|| {
        Failure::new(
            ErrorKind::AuthRequired,
            format!("`anthropic:{model}` needs an API key, and ANTHROPIC_API_KEY is not set"),
        )
        .help("set ANTHROPIC_API_KEY, or replay recorded turns with `--model scripted:FILE`")
    })?;
    let mut config = AnthropicConfig::new(model, ApiKey::new(&key));
    if let Some(url) = env::text(env::ANTHROPIC_BASE_URL) {
        config.base_url = url;
    }
    let model = Anthropic::new(config).map_err(|error| {
        Failure::new(error.code(), error.to_string())
            .help("check ANTHROPIC_API_KEY and ANTHROPIC_BASE_URL")
    })?;
    Ok(Arc::new(Resilient::new(model, Retry::default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(spec: &str) -> Failure {
        match open(spec) {
            Ok(_) => panic!("{spec} is no model"),
            Err(failure) => failure,
        }
    }

    #[test]
    fn what_names_no_model_is_refused() {
        for spec in ["", "claude", "scripted:", "anthropic:", "openai:x"] {
            assert_eq!(refused(spec).kind, ErrorKind::InvalidInput, "{spec}");
        }
        assert_eq!(
            refused("scripted:/no/such/file").kind,
            ErrorKind::Unavailable
        );
    }

    #[test]
    fn all_problems_of_a_script_are_told() {
        let failure = match scripted("turns.jsonl", "{\n[]\n") {
            Ok(_) => panic!("no script"),
            Err(failure) => failure,
        };
        assert_eq!(failure.details.len(), 2);
        assert!(failure.details[0].starts_with("turns.jsonl:1: "));
    }
}
