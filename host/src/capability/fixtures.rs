//! Grants for tests, made the only way there is: by deciding.

use toolcell_policy::{
    Decision, GrantSet, Manifest, Policy, SecretGrant, SecretPlace, SecretSource, decide,
};

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

/// A credential for a destination such as `https://server.test:8443`, in the header `authorization`.
pub(crate) fn bearer(name: &str, to: &str) -> SecretGrant {
    let net = format!("net = [{{ to = \"{to}\", methods = [\"GET\", \"POST\"] }}]");
    let request = "net = [{ to = \"any\", methods = [\"GET\", \"POST\"], paths = [\"/**\"], why = \"tests\" }]";
    let grants = granted(&net, request);
    let net = grants.net().first().unwrap();
    SecretGrant {
        name: name.to_owned(),
        source: SecretSource::Env(name.to_owned()),
        scope: net.scope.clone(),
        place: SecretPlace::Header {
            name: "authorization".to_owned(),
            before: "Bearer ".to_owned(),
            after: String::new(),
        },
        rule: net.rule.clone(),
    }
}
