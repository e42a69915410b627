//! `toolcell policy check|diff|explain|test`; `learn` is beside it.

use std::path::{Path, PathBuf};

use serde_json::json;
use toolcell::{ErrorKind, text::escape_control};
use toolcell_policy::{
    Access, Change, Direction, Layers, Lock, Manifest, Policy, Problem, explain_access,
};

use crate::{
    app::Outcome,
    args::{PolicyOptions, PolicyVerb},
    dirs::Dirs,
    exit,
    failure::{Failure, problems_json},
    hosts, locks, output,
    policies::{self, InForce},
    style::{self, paint},
};

pub(crate) async fn policy(verb: PolicyVerb) -> Outcome {
    match verb {
        PolicyVerb::Check { files } => check(&files),
        PolicyVerb::Explain {
            tool,
            access,
            policy,
        } => explain(tool.as_deref(), &access.join(" "), &policy),
        PolicyVerb::Diff {
            old,
            new,
            fail_on_widening,
        } => diff(&old, &new, fail_on_widening),
        PolicyVerb::Learn(arguments) => super::learn::learn(arguments).await,
        PolicyVerb::Test { policy } => test(&policy),
    }
}

/// What the new file grants otherwise than the old one, each alone and without the layers above. What is relative means the
/// same place in both, wherever the two lie while they are compared.
fn diff(old: &Path, new: &Path, fail_on_widening: bool) -> Outcome {
    let read = |path: &Path| -> Result<Layers, Failure> {
        let content = policies::read_content(path)?;
        let policy = Policy::parse(&path.display().to_string(), &content.policy)?;
        Ok(policy.into())
    };
    let changes = toolcell_policy::diff(&read(old)?, &read(new)?);
    let widens = |change: &&Change| change.direction == Direction::Widened;
    let widened = changes.iter().filter(widens).count();
    let value = json!({ "changes": changes, "widened": widened });
    let text = changes_text(&changes);
    if widened == 0 || !fail_on_widening {
        output::answer(value, |_| text);
        return Ok(exit::OK);
    }
    if !output::json() {
        output::piece(&text);
    }
    let count = style::count(widened, "change");
    let verb = if widened == 1 { "widens" } else { "widen" };
    let message = format!("{count} {verb} what is granted");
    Err(Failure::check(ErrorKind::InvalidPolicy, message).data(value))
}

/// The changes under their directions, each with the lines that say it.
fn changes_text(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "Nothing is granted otherwise.\n".to_owned();
    }
    let mut lines: Vec<String> = Vec::new();
    for direction in Direction::ALL {
        let colour = match direction {
            Direction::Widened => style::BAD,
            Direction::Changed => style::NOTE,
            Direction::Narrowed => style::GOOD,
        };
        let before = lines.len();
        for change in changes.iter().filter(|it| it.direction == direction) {
            lines.push(style::wrapped(&escape_control(&change.text), 2, 4));
            let rules = [("was", &change.old), ("is", &change.new)];
            let rules = rules.into_iter().filter_map(|(word, rule)| {
                let rule = rule.as_ref()?.to_string();
                Some(format!("      {word} {}", escape_control(&rule)))
            });
            lines.extend(rules);
        }
        if lines.len() > before {
            lines.insert(
                before,
                paint(colour, format_args!("{direction}:")).to_string(),
            );
        }
    }
    lines.join("\n") + "\n"
}

/// Shows what is wrong in each file, and what the files in force cannot mean together.
fn check(files: &[PathBuf]) -> Outcome {
    if files.is_empty() {
        return check_in_force();
    }
    let (mut problems, mut warnings): (Vec<Problem>, Vec<Problem>) = Default::default();
    for file in files {
        let content = policies::read_content(file)?;
        match Policy::parse(&file.display().to_string(), &content.policy) {
            Ok(policy) => warnings.extend(policy.warnings()),
            Err(found) => problems.extend(found.iter().cloned()),
        }
        let lock = policies::lock_path(file).display().to_string();
        if let Some(Err(found)) = content.lock.map(|text| Lock::parse(&lock, &text)) {
            problems.extend(found.iter().cloned());
        }
    }
    let names: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    checked(&names, problems, &warnings)
}

fn check_in_force() -> Outcome {
    let dirs = Dirs::find()?;
    let in_force = policies::load(&policies::from_environment(), &dirs)?;
    if in_force.files.is_empty() {
        return Err(
            Failure::new(ErrorKind::InvalidPolicy, "no policy is in force here")
                .help("name a file: `toolcell policy check FILE`"),
        );
    }
    let names: Vec<String> = in_force
        .files
        .iter()
        .map(|(layer, file)| format!("{layer} {}", file.display()))
        .collect();
    let mut problems = in_force.layers.problems();
    for manifest in hosts::manifests(&in_force.layers)? {
        problems.extend(in_force.layers.problems_for(&manifest));
    }
    if problems.is_empty() {
        check_locks(&in_force)?;
    }
    checked(&names, problems, &in_force.layers.warnings())
}

/// Packages that are not what was locked are an error, and packages that nothing pins are worth a note.
fn check_locks(in_force: &InForce) -> Result<(), Failure> {
    let differing = locks::differing(&in_force.layers)?;
    if !differing.is_empty() {
        let count = style::count(differing.len(), "package");
        let mut failure = Failure::check(
            ErrorKind::DigestMismatch,
            format!("{count} not as locked: {}", differing.join(", ")),
        );
        failure.help = Some("`toolcell lock --check` says what changed".to_owned());
        return Err(failure);
    }
    if let Some(note) = locks::unpinned(&in_force.layers) {
        output::note(paint(style::NOTE, format_args!("note: {note}")));
    }
    Ok(())
}

/// Warnings are told beside the answer, and change nothing about it.
fn checked(names: &[String], problems: Vec<Problem>, warnings: &[Problem]) -> Outcome {
    for warning in warnings {
        let (file, line) = (warning.file(), warning.line());
        let text = escape_control(&format!("{file}:{line}: {warning}")).into_owned();
        output::note(paint(style::NOTE, format_args!("warning: {text}")));
        if let Some(help) = warning.help() {
            output::note(format_args!("help: {help}"));
        }
    }
    if problems.is_empty() {
        let warnings = problems_json(warnings);
        let value = json!({ "files": names, "problems": [], "warnings": warnings });
        output::answer(value, |_| {
            let line = |name: &String| format!("{} {name}\n", paint(style::GOOD, "valid:"));
            names.iter().map(line).collect()
        });
        return Ok(exit::OK);
    }
    let count = style::count(problems.len(), "problem");
    let mut failure = Failure::new(ErrorKind::InvalidPolicy, format!("{count} found"));
    failure.problems = problems.into();
    Err(failure)
}

fn explain(tool: Option<&str>, access: &str, options: &PolicyOptions) -> Outcome {
    let dirs = Dirs::find()?;
    let in_force = policies::load(options, &dirs)?;
    let manifests = hosts::manifests(&in_force.layers)?;
    let tools = tools_of(&manifests, tool)?;
    if tools.is_empty() {
        output::note(
            "the policy in force lists no tools, so nothing is granted; name one with --policy FILE",
        );
    }
    if access.is_empty() {
        explain_tools(&in_force.layers, &tools);
        return Ok(exit::OK);
    }
    let access = Access::parse(access).ok_or_else(|| {
        Failure::usage(format!("`{access}` is no access")).help(
            "write `read /work/a.txt`, `write /work/a.txt`, `GET https://api.example.com/`, `env NAME`, `call TOOL` or \
             `secret NAME GET https://api.example.com/`",
        )
    })?;
    // A package stands for its first tool, as in `[[expect]]`: grants are the same for all tools of a package.
    let Some((manifest, name)) = tools.first() else {
        return Ok(exit::OK);
    };
    let explained = explain_access(&in_force.layers, manifest, name, &access);
    let value = json!({
        "tool": explained.tool,
        "access": access.to_string(),
        "effect": explained.effect,
        "rule": explained.rule.as_ref().map(ToString::to_string),
        "lines": explained.lines,
        "help": explained.help,
    });
    output::answer(value, |_| output::safe_lines(&explained.to_string()));
    Ok(exit::OK)
}

/// What each tool may do. Tools that may do the same, as those of one package mostly may, are told together.
fn explain_tools(layers: &Layers, tools: &[(&Manifest, &str)]) {
    let mut values = Vec::new();
    let mut groups: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    for (manifest, name) in tools {
        let explained = toolcell_policy::explain(layers, manifest, name);
        let decision = toolcell_policy::decide(layers, manifest, name);
        values.push(json!({
            "tool": explained.tool,
            "package": manifest.name,
            "effect": explained.effect,
            "rule": explained.rule.as_ref().map(ToString::to_string),
            "lines": explained.lines,
            "grants": decision.grants(),
            "requests": manifest.request,
        }));
        let mut lines = explained.lines.into_iter();
        let first = lines.next().unwrap_or_default();
        let rest: Vec<String> = lines.collect();
        match groups.last_mut() {
            Some((firsts, same)) if *same == rest => firsts.push(first),
            _ => groups.push((vec![first], rest)),
        }
    }
    output::answer(json!({ "tools": values }), |_| {
        let group = |(firsts, rest): &(Vec<String>, Vec<String>)| {
            let heads = firsts
                .iter()
                .map(|line| paint(style::BOLD, escape_control(line)));
            let rest = rest
                .iter()
                .map(|line| style::wrapped(&escape_control(line), 2, 4));
            heads.chain(rest).collect::<Vec<_>>().join("\n")
        };
        groups.iter().map(group).collect::<Vec<_>>().join("\n\n")
    });
}

/// The tools that a name means, of a tool or of a package, each with its manifest; all for none.
fn tools_of<'m>(
    manifests: &'m [Manifest],
    name: Option<&str>,
) -> Result<Vec<(&'m Manifest, &'m str)>, Failure> {
    let all = manifests
        .iter()
        .flat_map(|manifest| manifest.tools.iter().map(move |tool| (manifest, tool)));
    let found: Vec<_> = all
        .filter(|(manifest, tool)| {
            name.is_none_or(|name| manifest.public_name(tool) == name || manifest.name == name)
        })
        .map(|(manifest, tool)| (manifest, tool.name.as_str()))
        .collect();
    match (found.is_empty(), name) {
        (true, Some(name)) => Err(Failure::new(
            ErrorKind::UnknownTool,
            format!("the policy offers no tool and no package `{name}`"),
        )
        .help("`toolcell tools` lists them")),
        _ => Ok(found),
    }
}

fn test(options: &PolicyOptions) -> Outcome {
    let dirs = Dirs::find()?;
    let in_force = policies::load(options, &dirs)?;
    let outcomes = in_force.layers.test(&hosts::manifests(&in_force.layers)?);
    if outcomes.is_empty() {
        return Err(Failure::new(
            ErrorKind::InvalidPolicy,
            "the policy has no [[expect]] to test",
        )
        .help(
            "add for example: [[expect]] tool = \"files\" file = \"/etc/passwd\" is = \"deny\"",
        ));
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    let value = json!({ "expectations": outcomes, "failed": failed });
    let text: String = outcomes.iter().map(outcome_line).collect();
    if failed == 0 {
        output::answer(value, |_| text);
        return Ok(exit::OK);
    }
    if !output::json() {
        output::piece(&text);
    }
    let message = format!(
        "{failed} of {} {} not hold",
        style::count(outcomes.len(), "expectation"),
        if failed == 1 { "does" } else { "do" }
    );
    Err(Failure::check(ErrorKind::InvalidPolicy, message).data(value))
}

fn outcome_line(outcome: &toolcell_policy::Outcome) -> String {
    let expected = &outcome.expectation;
    let tried = escape_control(&format!("{} {}", expected.tool, expected.access)).into_owned();
    let assumed = if outcome.requests_assumed {
        " (package not at hand)"
    } else {
        ""
    };
    if outcome.passed {
        return format!(
            "{} {tried} is {}{assumed}\n",
            paint(style::GOOD, "✓"),
            expected.is
        );
    }
    let verdict = &outcome.verdict;
    format!(
        "{} {tried} is {}, expected {} by {}\n    {} ({})\n",
        paint(style::BAD, "✗"),
        verdict.effect,
        expected.is,
        expected.rule,
        verdict.reason,
        verdict.rule
    )
}
