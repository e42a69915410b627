//! Two policies compared, in the words of whoever reviews the change.
//!
//! What is compared is what is granted, and not how it is written: a rule that was split, moved or reworded is no change.
//! Packages are taken to request everything. Where two rules cannot be compared exactly, the change is told as one that
//! widens.

mod budget;
mod grants;
mod requests;
mod settings;

use std::{fmt, sync::Arc};

use serde::Serialize;

use crate::{
    Effect, EnvRequest, GrantSet, Labels, Layers, Manifest, Origin, Requests, Rule, SecretRequest,
    ToolPolicy,
};

/// Which way a change goes; ordered by how much it matters to whoever reviews it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// More may happen, or with fewer questions.
    Widened,
    /// Something is otherwise, and neither more nor less.
    Changed,
    /// Less may happen, or with more questions.
    Narrowed,
}

impl Direction {
    /// Every direction, in their order.
    pub const ALL: [Self; 3] = [Self::Widened, Self::Changed, Self::Narrowed];

    /// `widened`, `changed` or `narrowed`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Widened => "widened",
            Self::Changed => "changed",
            Self::Narrowed => "narrowed",
        }
    }

    /// The direction of a step on a scale that goes from the looser to the stricter.
    fn of<T: Ord>(old: &T, new: &T) -> Self {
        if new < old {
            Self::Widened
        } else {
            Self::Narrowed
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One difference between two policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// Which way it goes.
    pub direction: Direction,
    /// The package that it is about; absent for what holds for all.
    pub package: Option<String>,
    /// The difference in words, such as `github may now POST to https://api.github.com/repos/*/*/issues`.
    pub text: String,
    /// The line of the old policy that says it.
    pub old: Option<Rule>,
    /// The line of the new policy that says it.
    pub new: Option<Rule>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What is different in what two policies grant: what widens first, then in the order of the files.
pub fn diff(old: &Layers, new: &Layers) -> Vec<Change> {
    let mut changes = Changes::default();
    settings::compare(&mut changes, old, new);
    budget::compare(&mut changes, old, new);
    let mut packages = new.packages();
    let gone = old.packages().into_iter();
    let gone: Vec<&str> = gone.filter(|it| !packages.contains(it)).collect();
    packages.extend(gone);
    for package in packages {
        changes.package = Some(package.to_owned());
        compare(&mut changes, package, old, new);
    }
    // Stable: what is alike stays in its order.
    changes.list.sort_by_key(|change| change.direction);
    changes.list
}

/// Gathers changes.
#[derive(Default)]
struct Changes {
    package: Option<String>,
    list: Vec<Change>,
}

impl Changes {
    fn add(
        &mut self,
        direction: Direction,
        text: impl Into<String>,
        rules: (Option<&Rule>, Option<&Rule>),
    ) {
        self.list.push(Change {
            direction,
            package: self.package.clone(),
            text: text.into(),
            old: rules.0.filter(|rule| rule.is_written()).cloned(),
            new: rules.1.filter(|rule| rule.is_written()).cloned(),
        });
    }

    /// Something that may happen now.
    fn gained(&mut self, text: impl Into<String>, rule: &Rule) {
        self.add(Direction::Widened, text, (None, Some(rule)));
    }

    /// Something that may no longer happen.
    fn lost(&mut self, text: impl Into<String>, rule: &Rule) {
        self.add(Direction::Narrowed, text, (Some(rule), None));
    }
}

/// What one side says about one package.
struct Side<'l> {
    layers: &'l Layers,
    package: &'l str,
    /// What it grants to a tool that it does not name.
    grants: GrantSet,
}

impl<'l> Side<'l> {
    fn of(layers: &'l Layers, package: &'l str, manifest: &Manifest) -> Self {
        Self {
            layers,
            package,
            grants: GrantSet::new(layers, manifest, OTHERS),
        }
    }

    /// What each file says about the package, the highest first.
    fn tables(&self) -> impl Iterator<Item = &'l ToolPolicy> {
        let package = self.package;
        let files = self.layers.iter();
        files.filter_map(move |(_, policy)| policy.tool(package))
    }

    fn rule(&self) -> Option<&'l Rule> {
        self.tables().next().map(ToolPolicy::rule)
    }

    fn origin(&self) -> Option<(&'l Origin, Option<&'l str>)> {
        let (origin, base, _) = self.layers.origin(self.package)?;
        Some((origin, base))
    }

    fn approval(&self, tool: &str) -> (Effect, Option<&'l Rule>) {
        self.layers
            .approval(self.package, tool)
            .map_or((Effect::Allow, None), |(effect, rule)| (effect, Some(rule)))
    }

    fn labels(&self, tool: &str) -> Labels {
        let tables = self.tables().map(|table| table.labels(tool));
        tables.fold(Labels::default(), Labels::union)
    }
}

/// A name that no tool can have stands for the tools that no file names.
const OTHERS: &str = "*";

fn compare(changes: &mut Changes, package: &str, old: &Layers, new: &Layers) {
    let manifest = everything(package, [old, new]);
    let (old, new) = (
        Side::of(old, package, &manifest),
        Side::of(new, package, &manifest),
    );
    match (old.rule(), new.rule()) {
        (Some(rule), None) => {
            changes.lost(format!("{package} is no longer listed"), rule);
            return;
        }
        (None, Some(rule)) => {
            let from = new.origin().map(|(origin, _)| format!(", from {origin}"));
            let from = from.unwrap_or_default();
            changes.gained(format!("{package} is listed now{from}"), rule);
        }
        _ => moved(changes, &old, &new),
    }
    tools(changes, &old, &new);
    requests::compare(changes, &old, &new);
    grants::compare(changes, &old, &new);
    settings::limits(changes, &old, &new);
}

/// The package comes from elsewhere: other code gets what it is granted.
fn moved(changes: &mut Changes, old: &Side<'_>, new: &Side<'_>) {
    let package = new.package;
    if old.origin() == new.origin() {
        return;
    }
    let rules = (old.rule(), new.rule());
    let text = match (old.origin(), new.origin()) {
        (Some((was, _)), Some((is, _))) if was != is => {
            format!("{package} comes from {is} now, not from {was}: other code gets what it may do")
        }
        (None, Some((is, _))) => format!("{package} comes from {is} now"),
        (Some((was, _)), None) => {
            format!(
                "{package} comes no longer from {was}: any package of that name gets what it may do"
            )
        }
        _ => {
            changes.add(
                Direction::Changed,
                format!("{package} comes from another directory"),
                rules,
            );
            return;
        }
    };
    changes.add(Direction::Widened, text, rules);
}

/// Consent and marks, tool by tool.
fn tools(changes: &mut Changes, old: &Side<'_>, new: &Side<'_>) {
    let package = new.package;
    let mut names: Vec<&str> = vec![OTHERS];
    for table in old.tables().chain(new.tables()) {
        let named = table.approve.iter().map(|it| it.tool.as_deref());
        let labels = table.reads.iter().chain(&table.sends);
        for name in named.chain(labels.map(|it| it.tool.as_deref())).flatten() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let (was_default, is_default) = (old.approval(OTHERS).0, new.approval(OTHERS).0);
    let (was_marked, is_marked) = (old.labels(OTHERS), new.labels(OTHERS));
    for name in names {
        let whole = name == OTHERS;
        let who = if whole {
            format!("calls of {package}")
        } else {
            format!("calls of {package}'s tool {name}")
        };
        let ((was, old_rule), (is, new_rule)) = (old.approval(name), new.approval(name));
        // What is the same for the whole package is told once.
        if was != is && (whole || (was, is) != (was_default, is_default)) {
            let text = match is {
                Effect::Allow => format!("{who} are no longer asked about"),
                Effect::Ask if was == Effect::Deny => {
                    format!("{who} may now happen when a person consents")
                }
                Effect::Ask => format!("{who} now need a person's consent"),
                Effect::Deny => format!("{who} are now denied"),
            };
            let text = if (was, is) == (Effect::Deny, Effect::Allow) {
                format!("{who} may now happen")
            } else {
                text
            };
            changes.add(Direction::of(&was, &is), text, (old_rule, new_rule));
        }
        let (was, is) = (old.labels(name), new.labels(name));
        if whole || (was, is) != (was_marked, is_marked) {
            let rules = (old.rule(), new.rule());
            for (word, mark) in marks() {
                let has = |labels: Labels| labels.union(mark) == labels;
                match (has(was), has(is)) {
                    (true, false) => {
                        let text = format!("{who} are no longer marked: {word}");
                        changes.add(Direction::Widened, text, rules);
                    }
                    (false, true) => {
                        let text = format!("{who} are now marked: {word}");
                        changes.add(Direction::Narrowed, text, rules);
                    }
                    _ => {}
                }
            }
        }
    }
}

fn marks() -> [(&'static str, Labels); 3] {
    let [mut private, mut untrusted, mut outside] = [Labels::default(); 3];
    private.reads_private = true;
    untrusted.reads_untrusted = true;
    outside.sends_outside = true;
    [
        ("reads private", private),
        ("reads untrusted", untrusted),
        ("sends outside", outside),
    ]
}

/// A package that requests everything that any of these files could grant it.
fn everything(package: &str, sides: [&Layers; 2]) -> Manifest {
    let mut requests = Requests::everything();
    let files = sides.into_iter().flat_map(Layers::iter);
    for table in files.filter_map(|(_, policy)| policy.tool(package)) {
        for grant in table.env() {
            let name = grant.name.clone();
            requests.env.push(EnvRequest { name, why: None });
        }
        for grant in table.calls() {
            requests.calls.push(grant.tool.clone());
        }
        for secret in table.secrets() {
            requests.secrets.push(SecretRequest {
                name: secret.name.clone(),
                to: None,
                place: None,
                why: None,
            });
        }
    }
    let mut manifest = Manifest::default_for(package);
    package.clone_into(&mut manifest.name);
    manifest.request = Arc::new(requests);
    manifest
}

#[cfg(test)]
mod tests;
