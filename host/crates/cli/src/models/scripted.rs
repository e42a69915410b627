//! Recorded turns.

use std::{path::Path, sync::Arc};

use toolcell_agent::{
    ModelProvider,
    model::{ScriptProblem, Scripted},
};

use crate::{failure::Failure, files};

/// The longest script of recorded turns that is read, in bytes.
const MAX_SCRIPT_BYTES: u64 = 64 << 20;

/// Recorded turns.
pub(crate) fn scripted(name: &str, text: &str) -> Result<Arc<dyn ModelProvider>, Failure> {
    let script = Scripted::parse(name, text).map_err(|error| {
        let mut failure = Failure::usage(format!("the recorded turns in {name} are not valid"))
            .help("each line is one turn: {\"content\": [...], \"stop_reason\": \"tool_use\"}");
        let line =
            |problem: &ScriptProblem| format!("{name}:{}: {}", problem.line, problem.message);
        failure.details = error.problems.iter().map(line).collect();
        failure
    })?;
    Ok(Arc::new(script))
}

/// The recorded turns of a file.
pub(super) fn file(file: &Path) -> Result<Arc<dyn ModelProvider>, Failure> {
    let failed = |error: &std::io::Error| Failure::io("read", file, error);
    let text = files::read_text(file, MAX_SCRIPT_BYTES).map_err(|error| failed(&error))?;
    scripted(&file.display().to_string(), &text)
}

#[cfg(test)]
mod tests {
    use super::*;

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
