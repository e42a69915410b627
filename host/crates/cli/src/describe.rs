//! Grants in plain words.

use toolcell_policy::{CallGrant, EnvGrant, FileAccess, FileGrant, NetGrant, ToolPolicy};

use crate::style::{self, paint};

/// One line of a description: what kind of thing, the words, and the rule behind it.
pub(crate) struct Line {
    kind: &'static str,
    words: String,
    rule: String,
}

impl Line {
    fn new(kind: &'static str, words: String, rule: &impl ToString) -> Self {
        Self {
            kind,
            words,
            rule: rule.to_string(),
        }
    }
}

/// The lines under each other, rules dimmed behind them.
pub(crate) fn text(lines: &[Line]) -> String {
    let width = lines
        .iter()
        .map(|line| line.words.chars().count())
        .max()
        .unwrap_or(0)
        .min(60);
    lines
        .iter()
        .map(|line| {
            let words = style::one_line(&line.words, 200);
            let rule = paint(style::DIM, style::one_line(&line.rule, 120));
            format!("  {:<7} {words:<width$}  {rule}\n", line.kind)
        })
        .collect()
}

/// What one file would grant to a package, before the package's requests and other layers narrow it.
pub(crate) fn tool_policy(tool: &ToolPolicy) -> Vec<Line> {
    let mut lines = grants(tool.files(), tool.net(), tool.env(), tool.calls());
    lines.extend(tool.given_secrets().map(|grant| {
        let words = format!(
            "use {} from {} for {}",
            grant.name, grant.source, grant.scope
        );
        Line::new("secrets", words, &grant.rule)
    }));
    lines
}

fn grants(
    files: &[FileGrant],
    net: &[NetGrant],
    env: &[EnvGrant],
    calls: &[CallGrant],
) -> Vec<Line> {
    let files = files.iter().map(|grant| {
        let what = match grant.access {
            FileAccess::Read => "read",
            FileAccess::Write => "read and change",
        };
        let words = format!(
            "{what} {}, as {}{}",
            grant.host,
            grant.guest,
            asks(grant.approve)
        );
        Line::new("files", words, &grant.rule)
    });
    let net = net.iter().map(|grant| {
        let words = format!("{}{}", net_words(grant), asks(grant.approve));
        Line::new("net", words, &grant.rule)
    });
    let env = env.iter().map(|grant| {
        Line::new(
            "env",
            format!("see {}={}", grant.name, grant.value),
            &grant.rule,
        )
    });
    let calls = calls
        .iter()
        .map(|grant| Line::new("calls", format!("call {}", grant.tool), &grant.rule));
    files.chain(net).chain(env).chain(calls).collect()
}

fn net_words(grant: &NetGrant) -> String {
    let methods: Vec<&str> = grant
        .scope
        .methods
        .iter()
        .map(|method| method.name())
        .collect();
    let to = grant
        .scope
        .to
        .as_ref()
        .map_or("any host".to_owned(), ToString::to_string);
    let paths: Vec<String> = grant.scope.paths.iter().map(ToString::to_string).collect();
    format!("{} {to} under {}", methods.join(" "), paths.join(" "))
}

fn asks(effect: toolcell_policy::Effect) -> &'static str {
    match effect {
        toolcell_policy::Effect::Allow => "",
        toolcell_policy::Effect::Ask => " (asks each time)",
        toolcell_policy::Effect::Deny => " (denied)",
    }
}
