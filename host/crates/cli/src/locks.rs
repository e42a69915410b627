//! What the lock file of a policy says, against what is there.

use serde_json::{Value, json};
use toolcell::{ErrorKind, Package, text::escape_control};
use toolcell_policy::{Layers, Lock, LockedPackage, Origin, Policy, lock::Change};

use crate::{
    failure::Failure,
    hosts,
    style::{self, paint},
};

/// How a package stands to the lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It is what the lock file says.
    Same,
    /// The lock file does not name it.
    New,
    /// It is another one than the lock file says, or comes from elsewhere.
    Changed,
    /// The lock file names it, and the policy no longer says where to get it.
    Gone,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::New => "new",
            Self::Changed => "changed",
            Self::Gone => "gone",
        }
    }
}

/// One package, compared.
#[derive(Debug)]
pub(crate) struct Compared {
    pub(crate) status: Status,
    pub(crate) changes: Vec<Change>,
    /// As it is; for one that is gone, as it was.
    package: LockedPackage,
    /// Where it came from before, where that is another place.
    moved: Option<String>,
}

/// What there is, and what a lock file would say of it.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) lock: Lock,
    pub(crate) packages: Vec<Package>,
}

/// The packages that come from outside the host and that a policy says where to get, as they are now. Nothing is
/// compiled or run.
pub(crate) fn found(layers: &Layers, policy: &Policy) -> Result<Found, Failure> {
    let mut all = Found::default();
    for (name, tool) in policy.tools() {
        let (Some(from), Some((origin, base, rule))) = (tool.from(), layers.origin(name)) else {
            continue;
        };
        if matches!(origin, Origin::Builtin(_)) || matches!(from, Origin::Builtin(_)) {
            continue;
        }
        let package = hosts::package(origin, base).map_err(|failure| Failure {
            rule: Some(rule.to_string()),
            ..failure
        })?;
        let called = &package.manifest().name;
        if called != name {
            let message = format!("the package from `{origin}` is called `{called}`, not `{name}`");
            return Err(Failure::new(ErrorKind::InvalidPolicy, message)
                .rule(rule.to_string())
                .help(format!("write `[tool.{called}]`")));
        }
        all.lock.insert(package.locked(from.to_string()));
        all.packages.push(package);
    }
    Ok(all)
}

/// The names of packages that some lock file in force does not have as they are, sorted.
pub(crate) fn differing(layers: &Layers) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for (_, policy) in layers.iter() {
        let Some(recorded) = policy.lock() else {
            continue;
        };
        for it in compare(recorded, &found(layers, policy)?.lock) {
            // One that came from elsewhere is the same one, and one that is gone is not loaded.
            let changed = it.status == Status::New || !it.changes.is_empty();
            if changed && !names.iter().any(|name| name == it.package.name()) {
                names.push(it.package.name().to_owned());
            }
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// What to say of packages from outside that no lock file pins; nothing where there is none.
pub(crate) fn unpinned(layers: &Layers) -> Option<String> {
    let names = layers.unpinned();
    if names.is_empty() {
        return None;
    }
    let pin = if names.len() == 1 { "it" } else { "them" };
    Some(format!(
        "no lock file pins {}, so any change of {pin} is taken as it is; `toolcell lock` records {pin}",
        names.join(", ")
    ))
}

/// What is recorded against what is there, sorted by name.
pub(crate) fn compare(recorded: &Lock, found: &Lock) -> Vec<Compared> {
    let mut all: Vec<Compared> = found
        .packages()
        .map(|now| match recorded.package(now.name()) {
            None => Compared {
                status: Status::New,
                changes: now.introduction(),
                package: now.clone(),
                moved: None,
            },
            Some(was) => {
                let moved = (was.from() != now.from()).then(|| was.from().to_owned());
                let same = was.matches(now) && moved.is_none();
                Compared {
                    status: if same { Status::Same } else { Status::Changed },
                    changes: was.changes_to(now),
                    package: now.clone(),
                    moved,
                }
            }
        })
        .collect();
    let gone = recorded
        .packages()
        .filter(|was| found.package(was.name()).is_none());
    all.extend(gone.map(|was| Compared {
        status: Status::Gone,
        changes: Vec::new(),
        package: was.clone(),
        moved: None,
    }));
    all.sort_by(|a, b| a.package.name().cmp(b.package.name()));
    all
}

impl Compared {
    /// Whether it is this package, and another one than was recorded.
    pub(crate) fn is_changed(&self, name: &str) -> bool {
        matches!(self.status, Status::New | Status::Changed) && self.package.name() == name
    }

    /// Whether a person has to look at it before it is recorded.
    pub(crate) fn needs_consent(&self) -> bool {
        self.changes
            .iter()
            .any(|change| change.kind.needs_consent())
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "name": self.package.name(),
            "status": self.status.word(),
            "version": self.package.version(),
            "from": self.package.from(),
            "component": self.package.component(),
            "changes": self.changes,
        })
    }

    /// The package and its changes, a line each. Everything in them is escaped.
    pub(crate) fn lines(&self) -> Vec<String> {
        let package = &self.package;
        let name = format!("{} {}", package.name(), package.version());
        let from = format!("from {}", package.from());
        let head = match self.status {
            Status::Same => format!("{name} is as it was locked"),
            Status::New => format!("{name} {from} is not locked yet"),
            Status::Changed => format!("{name} {from} is not what was locked"),
            Status::Gone => {
                format!("{name} is locked, and the policy no longer says where to get it")
            }
        };
        let mut lines = vec![head];
        if let Some(was) = &self.moved {
            lines.push(format!("it came from {was}"));
        }
        lines.extend(self.changes.iter().map(|change| change.text.clone()));
        lines
            .iter()
            .map(|line| escape_control(line).into_owned())
            .collect()
    }

    /// The same for people; what needs their consent is marked.
    pub(crate) fn text(&self) -> String {
        let lines = self.lines();
        let unmarked = lines.len().saturating_sub(self.changes.len());
        let mut text = String::new();
        for (at, line) in lines.iter().enumerate() {
            let change = at.checked_sub(unmarked).and_then(|at| self.changes.get(at));
            let grave = change.is_some_and(|change| change.kind.needs_consent());
            match at {
                0 => text.push_str(&paint(style::BOLD, line)),
                _ if grave => {
                    text.push_str(&format!("\n  {} {line}", paint(style::NOTE, "!")));
                }
                _ => text.push_str(&format!("\n    {line}")),
            }
        }
        text
    }
}
