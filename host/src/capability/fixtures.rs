//! Grants for tests, made the only way there is: by deciding.

use toolcell_policy::{Decision, GrantSet, Manifest, Policy, decide};

/// A request for every directory.
pub(crate) const ALL_FILES: &str = r#"files = [{ access = "write", why = "tests" }]"#;

/// What the table `[tool.t]` of a policy grants to a package `t` with a table `[request]`.
pub(crate) fn granted(tool: &str, request: &str) -> GrantSet {
    let policy = format!("[tool.t]\nfrom = \"builtin:files\"\n{tool}");
    let policy = Policy::parse("toolcell.toml", &policy).unwrap();
    let manifest = format!(
        r#"
        name = "t"
        version = "0.1.0"
        world = "toolcell:tool@0.1"
        description = "For tests"
        [[tool]]
        name = "t"
        description = "For tests"
        input = {{ type = "object" }}
        [request]
        {request}"#
    );
    match decide(
        &policy.into(),
        &Manifest::from_toml(&manifest).unwrap(),
        "t",
    ) {
        Decision::Allow(grants) => grants,
        other => panic!("{other:?}"),
    }
}
