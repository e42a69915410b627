//! Public name -> prepared tool. Listing reads what was prepared when the package was loaded; nothing runs.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use toolcell_policy::{Decision, Rule, ToolDefinition, names};

use crate::{
    Error, ErrorKind, Result, admission::Bounds, capability::files::FileRoots, sandbox::Executor,
    schema::Schema, values::Shape,
};

/// How many similar names are suggested for one that does not exist.
const SUGGESTIONS: usize = 3;

/// One tool, ready to be called.
pub(crate) struct Tool {
    /// The name it is called by.
    pub(crate) public_name: String,
    /// What its manifest says about it.
    pub(crate) definition: ToolDefinition,
    /// The package it belongs to.
    pub(crate) package: Arc<PackageInfo>,
    /// What the policy says about it.
    pub(crate) access: Access,
    pub(crate) input: Schema,
    pub(crate) output: Option<Schema>,
    /// What its answers are, where it is a function with types of its own.
    pub(crate) shape: Option<Shape>,
    /// The limits on all of its calls together.
    pub(crate) bounds: Bounds,
}

/// What the policy decided about a tool, once for all of its calls.
pub(crate) enum Access {
    /// It may not be called.
    Denied(Rule),
    /// It may be called, after a person consented where a rule asks for it. The grants come with their directories,
    /// which are open.
    Granted {
        roots: Arc<FileRoots>,
        /// Where its calls run.
        executor: Arc<dyn Executor>,
        /// The line that lists the package, as shown to people.
        listed: String,
        ask: Option<Rule>,
    },
}

impl Access {
    /// Where calls of the tool run; absent where it may not be called.
    pub(crate) fn executor(&self) -> Option<&Arc<dyn Executor>> {
        match self {
            Self::Denied(_) => None,
            Self::Granted { executor, .. } => Some(executor),
        }
    }

    /// The decision that this was made of.
    pub(crate) fn decision(&self) -> Decision {
        match self {
            Self::Denied(rule) => Decision::Deny(rule.clone()),
            Self::Granted {
                roots, ask: None, ..
            } => Decision::Allow(roots.grants().clone()),
            Self::Granted {
                roots,
                ask: Some(rule),
                ..
            } => Decision::Ask(roots.grants().clone(), rule.clone()),
        }
    }
}

/// What the tools of one package have in common.
#[derive(Debug)]
pub(crate) struct PackageInfo {
    pub(crate) name: String,
    /// SHA-256 of the component in hexadecimal digits.
    pub(crate) digest: String,
    /// Where it was loaded from.
    pub(crate) origin: String,
}

/// The tools of a host.
#[derive(Default)]
pub(crate) struct Registry {
    tools: RwLock<BTreeMap<String, Arc<Tool>>>,
}

impl Registry {
    /// The tool with this public name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Tool>> {
        self.read().get(name).cloned()
    }

    /// Every tool, sorted by its public name.
    pub(crate) fn all(&self) -> Vec<Arc<Tool>> {
        self.read().values().cloned().collect()
    }

    /// Names of tools that look like `name`, the most similar first.
    pub(crate) fn nearest(&self, name: &str) -> Vec<String> {
        let tools = self.read();
        let mut similar: Vec<(f64, &String)> = tools
            .keys()
            .map(|known| (similarity(name, known), known))
            .filter(|(similarity, _)| *similarity > 0.75)
            .collect();
        similar.sort_by(|a, b| b.0.total_cmp(&a.0));
        similar
            .into_iter()
            .take(SUGGESTIONS)
            .map(|(_, known)| known.clone())
            .collect()
    }

    /// Adds the tools of one package, all or none. With `replace`, they take the place of the package's tools that
    /// are there; calls that run finish with the old ones.
    ///
    /// # Errors
    ///
    /// `invalid_manifest` where a name is taken, looks like one that is taken, or the package is loaded already.
    pub(crate) fn add(&self, package: &str, tools: Vec<Tool>, replace: bool) -> Result<()> {
        let mut registered = self.write();
        let mut next = registered.clone();
        if replace {
            next.retain(|_, tool| tool.package.name != package);
        } else if let Some(tool) = next.values().find(|tool| tool.package.name == package) {
            return Err(Error::new(
                ErrorKind::InvalidManifest,
                format!(
                    "the package `{package}` is loaded already, from {}",
                    tool.package.origin
                ),
            )
            .with_help("Reload it to put another version in its place."));
        }
        if let Some(tool) = next
            .values()
            .find(|tool| names::confusable(&tool.package.name, package))
        {
            return Err(Error::new(
                ErrorKind::InvalidManifest,
                format!(
                    "the package `{package}` has a name that looks like `{}`, which is loaded from {}",
                    tool.package.name, tool.package.origin
                ),
            )
            .with_help("Load only one of them, or rename one in its manifest."));
        }
        for tool in tools {
            check_name(&next, &tool)?;
            next.insert(tool.public_name.clone(), Arc::new(tool));
        }
        *registered = next;
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<Tool>>> {
        // The map is replaced as a whole, so it is complete whatever happened to a thread that held the lock.
        self.tools.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Arc<Tool>>> {
        self.tools.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much a name is like a known one, from 0 to 1. A tool's name without its package is a common mistake.
fn similarity(name: &str, known: &str) -> f64 {
    let part = name.len() > 2 && known.split('_').any(|part| part == name);
    if part {
        1.0
    } else {
        strsim::jaro_winkler(name, known)
    }
}

/// A model tells tools apart by their names alone.
fn check_name(registered: &BTreeMap<String, Arc<Tool>>, tool: &Tool) -> Result<()> {
    let name = &tool.public_name;
    let clash = registered
        .iter()
        .find(|(other, _)| *other == name || names::confusable(other, name));
    let Some((other, its)) = clash else {
        return Ok(());
    };
    let why = if other == name {
        "has the same public name as".to_owned()
    } else {
        format!("has a public name that looks like `{other}` of")
    };
    Err(Error::new(
        ErrorKind::InvalidManifest,
        format!(
            "the tool `{name}` of the package `{}` {why} the package `{}`",
            tool.package.name, its.package.name
        ),
    )
    .with_help("Load only one of them, or rename one in its manifest."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_name_is_like_the_whole() {
        assert!(similarity("read", "files_read") > similarity("raed", "files_read"));
        assert!(similarity("wether", "weather") > 0.75);
        assert!(similarity("x", "files_read") < 0.75);
    }
}
