//! The decision for one tool.

use crate::{Effect, GrantSet, Layers, Manifest, Rule};

/// What happens to calls of a tool.
#[derive(Clone, Debug)]
#[must_use]
pub enum Decision {
    /// They run with these grants.
    Allow(GrantSet),
    /// They run with these grants after a person consented, because of this rule.
    Ask(GrantSet, Rule),
    /// They do not run, because of this rule.
    Deny(Rule),
}

impl Decision {
    /// Allow, ask or deny.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Allow(_) => Effect::Allow,
            Self::Ask(..) => Effect::Ask,
            Self::Deny(_) => Effect::Deny,
        }
    }

    /// The grants, unless denied.
    pub fn grants(&self) -> Option<&GrantSet> {
        match self {
            Self::Allow(grants) | Self::Ask(grants, _) => Some(grants),
            Self::Deny(_) => None,
        }
    }

    /// The rule that asks or denies.
    pub fn rule(&self) -> Option<&Rule> {
        match self {
            Self::Allow(_) => None,
            Self::Ask(_, rule) | Self::Deny(rule) => Some(rule),
        }
    }
}

/// Decides what a tool may do: what the package requests, as far as every layer grants it. `tool` is the name in the
/// manifest; a name that is not there is denied.
///
/// It is pure and total: the same values give the same decision. It depends on nothing that changes between calls, so a
/// host can keep the answer for as long as layers and manifest stay.
pub fn decide(layers: &Layers, manifest: &Manifest, tool: &str) -> Decision {
    if manifest.tool(tool).is_none() {
        return Decision::Deny(Rule::unwritten(
            "a package has only the tools of its manifest",
        ));
    }
    let approval = layers.approval(&manifest.name, tool);
    if let Some((Effect::Deny, rule)) = approval {
        return Decision::Deny(rule.clone());
    }
    let grants = GrantSet::new(layers, manifest, tool);
    // A directory is there for a whole call, so its consent is asked before the call.
    let asking_directory = grants.asking_directory().cloned();
    match (approval, asking_directory) {
        (Some((Effect::Ask, rule)), _) => {
            let rule = rule.clone();
            Decision::Ask(grants, rule)
        }
        (_, Some(rule)) => Decision::Ask(grants, rule),
        _ => Decision::Allow(grants),
    }
}

#[cfg(test)]
mod tests;
