//! From what packages were seen to use to the smallest policy that would have sufficed, for a person to review.
//!
//! Nothing is widened: hosts stay exact, paths are those that were used, and a directory is the deepest one that holds
//! everything that was touched. What cannot be written without widening is told instead of being written.

mod files;
mod net;

use std::fmt::Write as _;

use crate::{
    Access, Effect, Endpoint, Layers, Manifest, Method, NetScope, PathPattern, Policy, Scheme,
    SecretPlace, SecretRequest, verdict,
};

/// One package that was watched.
#[derive(Clone, Copy, Debug)]
pub struct Watched<'a> {
    /// What it is and what it requests.
    pub manifest: &'a Manifest,
    /// What to write for `from`, where that is known.
    pub from: Option<&'a str>,
    /// Everything that it used, or was refused.
    pub accesses: &'a [Access],
}

/// What was learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// The policy, as a text for people: it can be saved as it is.
    pub toml: String,
    /// What a person has to decide or should know, one sentence each.
    pub notes: Vec<String>,
}

/// The smallest policy under which everything that was seen is allowed, as far as it can be written. `layers` are what was
/// in force: where they say from which directory a guest path comes, that is kept.
pub fn learn(layers: &Layers, watched: &[Watched<'_>]) -> Learned {
    let mut notes = Vec::new();
    let mut toml = String::new();
    for package in watched {
        let mut table = Table::of(layers, package, &mut notes);
        table.leave_out_refused(layers, &mut notes);
        if !toml.is_empty() {
            toml.push('\n');
        }
        table.write(&mut toml, &mut notes);
    }
    let learned = Learned { toml, notes };
    learned.checked(watched)
}

/// `[tool.NAME]` in the making.
struct Table<'a> {
    package: &'a Watched<'a>,
    accesses: Vec<&'a Access>,
    dirs: Vec<files::Dir>,
}

impl<'a> Table<'a> {
    fn of(layers: &Layers, package: &'a Watched<'a>, notes: &mut Vec<String>) -> Self {
        let mut accesses: Vec<&Access> = Vec::new();
        for access in package.accesses {
            if !accesses.contains(&access) {
                accesses.push(access);
            }
        }
        let paths = accesses.iter().filter_map(|access| match access {
            Access::File { path, access } => Some((path.as_str(), *access)),
            _ => None,
        });
        let dirs = files::smallest(
            &files::known(layers, &package.manifest.name),
            paths,
            &package.manifest.name,
            notes,
        );
        Self {
            package,
            accesses,
            dirs,
        }
    }

    /// A person who wrote `deny` meant it.
    fn leave_out_refused(&mut self, layers: &Layers, notes: &mut Vec<String>) {
        let manifest = self.package.manifest;
        let Some(tool) = manifest.tools.first() else {
            return;
        };
        self.accesses.retain(|access| {
            let verdict = verdict(layers, manifest, &tool.name, access);
            let refused = verdict.effect == Effect::Deny && verdict.rule.is_written();
            if refused {
                notes.push(format!(
                    "{}: {access} stays denied by {}",
                    manifest.name, verdict.rule
                ));
            }
            !refused
        });
    }

    fn write(&self, toml: &mut String, notes: &mut Vec<String>) {
        let name = &self.package.manifest.name;
        line(toml, format_args!("[tool.{name}]"));
        if let Some(from) = self.package.from {
            line(toml, format_args!("from = {}", quoted(from)));
        }
        list(toml, "files", self.dirs.iter().map(files::Dir::to_toml));
        let requests = self.accesses.iter().filter_map(|access| match access {
            Access::Net { method, url } => Some((*method, url)),
            _ => None,
        });
        let rules = net::rules(requests, name, notes);
        list(toml, "net", rules.iter().map(net_rule));
        self.write_calls(toml);
        for request in &self.package.manifest.request.secrets {
            self.write_secret(toml, request, &rules, notes);
        }
        for request in &self.package.manifest.request.env {
            notes.push(format!(
                "{name} requests the variable {}: whether it is needed cannot be watched",
                request.name
            ));
        }
    }

    fn write_calls(&self, toml: &mut String) {
        let calls: Vec<String> = self
            .accesses
            .iter()
            .filter_map(|access| match access {
                Access::Call { tool } => Some(quoted(tool)),
                _ => None,
            })
            .collect();
        if !calls.is_empty() {
            line(toml, format_args!("calls = [{}]", calls.join(", ")));
        }
    }

    /// A secret that the package requests for a place that it really reached, for the methods and paths it used there.
    fn write_secret(
        &self,
        toml: &mut String,
        request: &SecretRequest,
        rules: &[NetScope],
        notes: &mut Vec<String>,
    ) {
        let package = &self.package.manifest.name;
        let mut used: Vec<&NetScope> = rules
            .iter()
            .filter(|rule| {
                let https = rule.to.as_ref().filter(|to| to.scheme == Scheme::Https);
                https.is_some() && (request.to.is_none() || request.to.as_ref() == https)
            })
            .collect();
        let Some(to) = used.first().and_then(|rule| rule.to.clone()) else {
            return;
        };
        if used.iter().any(|rule| rule.to.as_ref() != Some(&to)) {
            notes.push(format!(
                "{package}: it reached more than one host, so say for which one {} is",
                request.name
            ));
            used.retain(|rule| rule.to.as_ref() == Some(&to));
        }
        let mut methods: Vec<Method> = used.iter().flat_map(|it| it.methods.clone()).collect();
        methods.sort_unstable();
        methods.dedup();
        let paths: Vec<PathPattern> = used.iter().flat_map(|it| it.paths.clone()).collect();
        let name = &request.name;
        let place = request.place.as_ref().map(SecretPlace::written);
        let (key, place) =
            place.unwrap_or_else(|| ("header", "Authorization: Bearer {}".to_owned()));
        line(
            toml,
            format_args!(
                "secrets.{name} = {{ from = \"env:{name}\", to = {}, {key} = {}, methods = {}, paths = {} }}",
                quoted(&to.to_string()),
                quoted(&place),
                names(&methods),
                names(&paths),
            ),
        );
        notes.push(format!(
            "{package}: choose where {name} comes from (`env:`, `file:`, `keyring:` or `vault:`)"
        ));
    }
}

impl Learned {
    /// Holds the text against what was seen: what it would not allow is told.
    fn checked(mut self, watched: &[Watched<'_>]) -> Self {
        let layers = match Policy::parse("learned.toml", &self.toml) {
            Ok(policy) => Layers::from(policy),
            Err(problems) => {
                self.notes
                    .push(format!("the learned policy needs mending: {problems}"));
                return self;
            }
        };
        for package in watched {
            let Some(tool) = package.manifest.tools.first() else {
                continue;
            };
            for access in package.accesses {
                let verdict = verdict(&layers, package.manifest, &tool.name, access);
                let told = || {
                    self.notes
                        .iter()
                        .any(|note| note.contains(&format!(": {access} ")))
                };
                if verdict.effect != Effect::Allow && !told() {
                    let note = format!(
                        "{}: {access} is not covered: {}",
                        package.manifest.name, verdict.reason
                    );
                    self.notes.push(note);
                }
            }
        }
        self
    }
}

fn line(toml: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(toml, "{line}");
}

/// A key with a list of tables, one a line.
fn list(toml: &mut String, key: &str, items: impl Iterator<Item = String>) {
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        return;
    }
    line(toml, format_args!("{key} = ["));
    for item in items {
        line(toml, format_args!("    {item},"));
    }
    line(toml, format_args!("]"));
}

fn net_rule(scope: &NetScope) -> String {
    let to = scope
        .to
        .as_ref()
        .map(Endpoint::to_string)
        .unwrap_or_default();
    format!(
        "{{ to = {}, methods = {}, paths = {} }}",
        quoted(&to),
        names(&scope.methods),
        names(&scope.paths)
    )
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn names<T: ToString>(items: &[T]) -> String {
    let names: Vec<String> = items.iter().map(|item| quoted(&item.to_string())).collect();
    format!("[{}]", names.join(", "))
}

#[cfg(test)]
mod tests;
