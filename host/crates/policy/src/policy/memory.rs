//! The tool that `[context] memory` makes: `builtin:memory`, with one directory to write to and nothing else.

use super::{FileGrant, Origin, ToolPolicy};
use crate::{Effect, FileAccess, Rule, limits::WrittenLimits};

/// The name of the tool, and of the package.
pub(crate) const NAME: &str = "memory";

/// Where the tool finds the directory.
const GUEST: &str = "/memories";

/// What is granted to it, by this line.
pub(crate) fn tool(directory: &str, base: Option<&str>, rule: &Rule) -> ToolPolicy {
    ToolPolicy {
        rule: rule.clone(),
        from: Some(Origin::Builtin(NAME.to_owned())),
        files: vec![FileGrant {
            host: directory.to_owned(),
            base: base.map(str::to_owned),
            guest: GUEST.to_owned(),
            access: FileAccess::Write,
            approve: Effect::Allow,
            unlock: Vec::new(),
            rule: rule.clone(),
        }],
        scratch: None,
        net: Vec::new(),
        env: Vec::new(),
        calls: Vec::new(),
        secrets: Vec::new(),
        reads: Vec::new(),
        sends: Vec::new(),
        clock: None,
        random: None,
        approve: Vec::new(),
        limits: WrittenLimits::default(),
        isolation: None,
    }
}
