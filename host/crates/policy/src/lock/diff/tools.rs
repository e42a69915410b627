//! Tools, compared.

use serde_json::Value;

use super::{ChangeKind, Changes, quoted, texts};
use crate::{Annotations, Manifest, ToolDefinition, print::canonical_json};

/// Differences of one schema that are shown.
const MAX_SCHEMA_CHANGES: usize = 12;

pub(super) fn introduce(changes: &mut Changes, manifest: &Manifest) {
    for tool in &manifest.tools {
        let name = manifest.public_name(tool);
        changes.add(ChangeKind::Tool, format!("offers {name}{}", says(tool)));
    }
}

fn says(tool: &ToolDefinition) -> String {
    match tool.description.as_str() {
        "" => String::new(),
        text => format!(": {}", quoted(text, 0)),
    }
}

pub(super) fn compare(changes: &mut Changes, old: &Manifest, new: &Manifest) {
    for tool in &new.tools {
        let name = new.public_name(tool);
        match old.tool(&tool.name) {
            None => changes.add(
                ChangeKind::Tool,
                format!("the tool {name} is new{}", says(tool)),
            ),
            Some(was) => {
                let old_name = old.public_name(was);
                if old_name != name {
                    changes.add(
                        ChangeKind::Tool,
                        format!("the tool {old_name} is called {name} now"),
                    );
                }
                compare_tool(changes, &name, was, tool);
            }
        }
    }
    for tool in &old.tools {
        if new.tool(&tool.name).is_none() {
            let name = old.public_name(tool);
            changes.add(ChangeKind::Tool, format!("the tool {name} is gone"));
        }
    }
    let order = |manifest: &Manifest| -> Vec<String> {
        manifest.tools.iter().map(|it| it.name.clone()).collect()
    };
    let (mut was, mut is) = (order(old), order(new));
    let moved = was != is;
    was.sort_unstable();
    is.sort_unstable();
    if moved && was == is {
        changes.add(ChangeKind::Tool, "the tools stand in another order");
    }
}

fn compare_tool(changes: &mut Changes, name: &str, old: &ToolDefinition, new: &ToolDefinition) {
    if old.description != new.description {
        changes.add(
            ChangeKind::Tool,
            format!(
                "the description of {name} {}",
                texts(&old.description, &new.description)
            ),
        );
    }
    schema(
        changes,
        &format!("the input of {name}"),
        &old.input,
        &new.input,
    );
    let what = format!("the answer of {name}");
    match (&old.output, &new.output) {
        (None, None) => {}
        (Some(old), Some(new)) => schema(changes, &what, old, new),
        (None, Some(_)) => changes.add(ChangeKind::Tool, format!("{what} has a schema now")),
        (Some(_), None) => {
            changes.add(ChangeKind::Tool, format!("{what} has no schema any more"));
        }
    }
    annotations(changes, name, old.annotations, new.annotations);
}

fn annotations(changes: &mut Changes, name: &str, old: Annotations, new: Annotations) {
    let said = |flag: Option<bool>| match flag {
        None => "not said",
        Some(true) => "true",
        Some(false) => "false",
    };
    for (key, was, is) in [
        ("read-only", old.read_only, new.read_only),
        ("idempotent", old.idempotent, new.idempotent),
        ("open-world", old.open_world, new.open_world),
        ("destructive", old.destructive, new.destructive),
    ] {
        if was != is {
            changes.add(
                ChangeKind::Tool,
                format!("{name}: `{key}` was {} and is {}", said(was), said(is)),
            );
        }
    }
}

fn schema(changes: &mut Changes, what: &str, old: &Value, new: &Value) {
    let mut found = Vec::new();
    walk("", old, new, &mut found);
    let more = found.len().saturating_sub(MAX_SCHEMA_CHANGES);
    found.truncate(MAX_SCHEMA_CHANGES);
    for difference in found {
        changes.add(ChangeKind::Tool, format!("{what}: {difference}"));
    }
    if more > 0 {
        changes.add(ChangeKind::Tool, format!("{what}: {more} more differences"));
    }
}

/// The places where two values differ, as JSON pointers. Schemas are not nested deeply: the manifest's parser saw to it.
fn walk(at: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(was), Value::Object(is)) => {
            for (key, value) in is {
                let at = format!("{at}/{key}");
                match was.get(key) {
                    Some(before) => walk(&at, before, value, found),
                    None => found.push(format!("{} is new: {}", place(&at), shown(value))),
                }
            }
            for key in was.keys().filter(|key| !is.contains_key(*key)) {
                found.push(format!("{} is gone", place(&format!("{at}/{key}"))));
            }
        }
        (Value::String(was), Value::String(is)) if was != is => {
            found.push(format!("{} {}", place(at), texts(was, is)));
        }
        (was, is) if was != is => found.push(format!(
            "{} was {} and is {}",
            place(at),
            shown(was),
            shown(is)
        )),
        _ => {}
    }
}

/// Quoted, since keys are chosen by the package.
fn place(at: &str) -> String {
    quoted(at, 0)
}

fn shown(value: &Value) -> String {
    quoted(&canonical_json(value), 0)
}
