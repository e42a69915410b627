//! Reads `toolcell.toml`.

use std::sync::Arc;

use super::{
    MAX_EXPECTATIONS, MAX_POLICY_BYTES, MAX_POLICY_TOOLS, Policy, SecretsTable, ToolPolicy, egress,
    limits, memory, settings, tool,
};
use crate::{
    Expectation, FileKind, Limits, Problems, SharedLimits,
    access::MAX_PATH_BYTES,
    expect,
    limits::WrittenLimits,
    names,
    problem::Source,
    reader::{Entry, Reader, Section, shown},
};

const TOOL_KEYS: [&str; 8] = [
    "default", "session", "host", "egress", "secrets", "tool", "audit", "expect",
];

pub(super) fn policy(name: &str, text: &str) -> Result<Policy, Problems> {
    let source = Source::new(FileKind::Policy, name, text);
    let mut reader = Reader::new(&source);
    let policy = read(&mut reader, &source, text);
    reader.finish()?;
    policy.ok_or_else(|| Problems::internal(&source))
}

fn read(reader: &mut Reader<'_>, source: &Source, text: &str) -> Option<Policy> {
    if text.len() > MAX_POLICY_BYTES {
        reader.report(
            0..0,
            format!(
                "the policy has {} bytes; at most {MAX_POLICY_BYTES} are allowed",
                text.len()
            ),
            "split it into layers",
        );
        return None;
    }
    let document = reader.document(text)?;
    let root = Section::root(&document);
    reader.check_keys(&root, &[&TOOL_KEYS[..], settings::KEYS].concat());
    let mut policy = Policy {
        source: source.clone(),
        base: None,
        lock: None,
        approve: None,
        limits: WrittenLimits::default(),
        session: WrittenLimits::default(),
        combine: None,
        host: WrittenLimits::default(),
        egress: None,
        secrets: SecretsTable::default(),
        settings: settings::read(reader, &root),
        tools: Vec::new(),
        audit_path: None,
        expectations: Vec::new(),
    };
    if let Some(entry) = root.get("default") {
        defaults(reader, &entry, &mut policy);
    }
    if let Some(entry) = root.get("session") {
        session(reader, &entry, &mut policy);
    }
    if let Some(entry) = root.get("host") {
        policy.host = limits::written(reader, &entry, SharedLimits::HOST);
    }
    if let Some(entry) = root.get("egress") {
        policy.egress = egress::egress(reader, &entry);
    }
    if let Some(entry) = root.get("secrets") {
        policy.secrets = egress::secrets(reader, &entry);
    }
    if let Some(entry) = root.get("audit") {
        policy.audit_path = audit_path(reader, &entry);
    }
    if let Some(entry) = root.get("tool") {
        policy.tools = tools(reader, &entry);
    }
    if let Some(entry) = root.get("context") {
        memory(reader, &entry, &mut policy);
    }
    if let Some(entry) = root.get("expect") {
        policy.expectations = expectations(reader, &entry);
    }
    Some(policy)
}

/// `[context] memory` lists a tool like any other, so the same rules hold for it.
fn memory(reader: &mut Reader<'_>, entry: &Entry<'_>, policy: &mut Policy) {
    let settings = policy.settings.context.as_ref();
    let Some(directory) = settings.and_then(|context| context.memory.clone()) else {
        return;
    };
    let section = reader.any_section(entry.node, &entry.path);
    let Some(entry) = section.and_then(|section| section.get("memory")) else {
        return;
    };
    if policy.tool(memory::NAME).is_some() {
        reader.report(
            entry.key_span.clone(),
            format!(
                "`{}` makes the tool `memory`, and `tool.memory` is there as well",
                entry.path
            ),
            "remove one of them",
        );
        return;
    }
    let rule = reader.rule(&entry.key_span, &entry.path);
    let tool = memory::tool(&directory, None, &rule);
    policy.tools.push((memory::NAME.to_owned(), Arc::new(tool)));
}

fn defaults(reader: &mut Reader<'_>, entry: &Entry<'_>, policy: &mut Policy) {
    let Some(section) = reader.section(entry.node, &entry.path, &["limits", "approve"]) else {
        return;
    };
    if let Some(entry) = section.get("limits") {
        policy.limits = limits::written(reader, &entry, Limits::CATALOGUE);
    }
    if let Some(entry) = section.get("approve") {
        policy.approve = reader
            .effect(&entry)
            .map(|effect| (effect, reader.rule(&entry.key_span, &entry.path)));
    }
}

fn session(reader: &mut Reader<'_>, entry: &Entry<'_>, policy: &mut Policy) {
    policy.session = limits::written_beside(reader, entry, SharedLimits::SESSION, &["combine"]);
    let section = entry.node.value.as_table();
    let combine = section.and_then(|_| reader.any_section(entry.node, &entry.path)?.get("combine"));
    policy.combine = combine.and_then(|entry| {
        let effect = reader.effect(&entry)?;
        Some((effect, reader.rule(&entry.key_span, &entry.path)))
    });
}

fn audit_path(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<String> {
    let section = reader.section(entry.node, &entry.path, &["path"])?;
    let path = reader.required(&section, "path")?;
    let entry = section.get("path")?;
    host_path(reader, &entry, path)
}

/// A path on the host. Only its form is checked here: what it reaches, the host looks at.
pub(super) fn host_path(reader: &mut Reader<'_>, entry: &Entry<'_>, path: &str) -> Option<String> {
    let problem = if path.trim().is_empty() {
        "is empty"
    } else if path.chars().any(char::is_control) {
        "holds a control character"
    } else if path.len() > MAX_PATH_BYTES {
        "is longer than 4096 bytes"
    } else if path.starts_with('~') || path.contains("${") || path.starts_with('$') {
        "starts with `~` or holds a variable, and neither is expanded"
    } else {
        return Some(path.to_owned());
    };
    reader.report(
        entry.node.span(),
        format!("the path `{}` {problem}", shown(path)),
        "write the path in full, or relative to the policy file",
    );
    None
}

fn tools(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Vec<(String, Arc<ToolPolicy>)> {
    let Some(section) = reader.any_section(entry.node, &entry.path) else {
        return Vec::new();
    };
    let entries = section.entries();
    if entries.len() > MAX_POLICY_TOOLS {
        reader.report(
            entry.key_span.clone(),
            format!(
                "{} tools are listed; at most {MAX_POLICY_TOOLS} are allowed",
                entries.len()
            ),
            "split the policy",
        );
        return Vec::new();
    }
    let mut tools: Vec<(String, Arc<ToolPolicy>)> = Vec::new();
    for entry in entries {
        if !names::is_kebab_case(entry.key) {
            let help = match names::to_kebab_case(entry.key) {
                Some(kebab) => format!("tables are named after packages: [tool.{kebab}]"),
                None => "tables are named after packages, such as [tool.files]".to_owned(),
            };
            reader.report(
                entry.key_span.clone(),
                format!("`{}` is not a package name", shown(entry.key)),
                help,
            );
            continue;
        }
        if let Some((other, _)) = tools
            .iter()
            .find(|(other, _)| names::confusable(other, entry.key))
        {
            reader.report(
                entry.key_span.clone(),
                format!("the names `{other}` and `{}` look alike", entry.key),
                "remove one of them",
            );
        }
        if let Some(tool) = tool::policy(reader, &entry) {
            tools.push((entry.key.to_owned(), Arc::new(tool)));
        }
    }
    tools
}

fn expectations(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Vec<Expectation> {
    let elements = reader.list(entry, MAX_EXPECTATIONS).unwrap_or_default();
    elements
        .iter()
        .filter_map(|element| expect::parse(reader, element))
        .collect()
}
