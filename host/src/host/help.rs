//! How to fix a failure, for people. The model never sees it.

use crate::{ErrorKind, ToolFailure};

/// Adds help to a failure of a tool of `package` that has none.
pub(super) fn add(failure: &mut ToolFailure, package: &str) {
    if failure.help.is_none() {
        failure.help = help(failure, package);
    }
}

fn help(failure: &ToolFailure, package: &str) -> Option<String> {
    if let Some((table, key)) = named(failure, package) {
        return Some(format!(
            "If that is too little, raise `{key}` under `[{table}]` in the policy."
        ));
    }
    let keys = match failure.kind {
        ErrorKind::Denied => return Some(denied(failure.rule.as_deref(), package)),
        ErrorKind::LimitTime => "`time`",
        ErrorKind::LimitCpu => "`cpu` or `fuel`",
        ErrorKind::LimitMemory => "`memory`",
        ErrorKind::LimitOutput => "`output`",
        ErrorKind::LimitLog => "`log`",
        ErrorKind::LimitEgress => "`egress`, `response` or `requests`",
        ErrorKind::LimitFiles => "`written` or `created`",
        _ => return None,
    };
    Some(format!(
        "If the tool needs more, raise {keys} under `[tool.{package}.limits]` in the policy."
    ))
}

/// The limit that a message of the host's own names, and the table of the policy that sets it.
fn named<'m>(failure: &'m ToolFailure, package: &str) -> Option<(String, &'m str)> {
    let of_host = matches!(
        failure.kind,
        ErrorKind::Busy | ErrorKind::LimitMemory | ErrorKind::LimitOutput | ErrorKind::Trap
    );
    let (_, rest) = failure.message.split_once("its limit `")?;
    let (key, _) = rest.split_once('`')?;
    let table = if failure.message.starts_with("the session") {
        "session".to_owned()
    } else if failure.message.starts_with("the host") {
        "host".to_owned()
    } else {
        format!("tool.{package}.limits")
    };
    of_host.then_some((table, key))
}

fn denied(rule: Option<&str>, package: &str) -> String {
    match rule {
        Some(rule) if !rule.starts_with("default: ") => {
            format!("The rule {rule} decided; change it if this should be allowed.")
        }
        _ => format!(
            "Nothing in the policy grants it; grant it under `[tool.{package}]` if this should be allowed, and see that \
             the package's manifest requests it."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help_for(kind: ErrorKind, rule: Option<&str>) -> Option<String> {
        let mut failure = ToolFailure::new(kind, "m");
        failure.rule = rule.map(str::to_owned);
        add(&mut failure, "files");
        failure.help
    }

    #[test]
    fn limits_name_their_keys() {
        let help = help_for(ErrorKind::LimitCpu, None).unwrap();
        assert!(
            help.contains("`cpu`") && help.contains("[tool.files.limits]"),
            "{help}"
        );
        assert_eq!(help_for(ErrorKind::ToolError, None), None);
    }

    #[test]
    fn a_message_that_names_its_limit_gets_help_for_that_one() {
        let help = |message: &str| {
            let mut failure = ToolFailure::new(ErrorKind::Busy, message);
            add(&mut failure, "files");
            failure.help
        };
        for (message, wanted) in [
            (
                "the tool is called: its limit `rate` is 1/s",
                "`rate` under `[tool.files.limits]`",
            ),
            (
                "the session has: its limit `queue` is 1",
                "`queue` under `[session]`",
            ),
            (
                "the host has: its limit `queue` is 1",
                "`queue` under `[host]`",
            ),
        ] {
            let help = help(message).unwrap();
            assert!(help.contains(wanted), "{help}");
        }
        assert_eq!(help("the tool is busy"), None);
    }

    #[test]
    fn every_key_is_a_limit_of_the_policy() {
        for kind in ErrorKind::ALL {
            let Some(help) = help_for(*kind, None).filter(|_| *kind != ErrorKind::Denied) else {
                continue;
            };
            let keys = help
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|key| !key.contains('['));
            for key in keys {
                assert!(toolcell_policy::Limits::info(key).is_some(), "{key}");
            }
        }
    }

    #[test]
    fn denials_name_the_rule_or_what_is_missing() {
        let written = help_for(ErrorKind::Denied, Some("toolcell.toml:2 tool.t.approve")).unwrap();
        assert!(
            written.contains("toolcell.toml:2 tool.t.approve"),
            "{written}"
        );
        let unwritten = help_for(ErrorKind::Denied, Some("default: denied until written")).unwrap();
        assert!(unwritten.contains("[tool.files]"), "{unwritten}");
    }
}
