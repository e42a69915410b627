//! Reads `tool.toml`.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Annotations, DEFAULT_WORLD, MAX_DESCRIPTION_BYTES, MAX_MANIFEST_BYTES, MAX_SCHEMA_BYTES,
    MAX_SCHEMA_DEPTH, MAX_TOOLS, Manifest, ToolDefinition, requests,
};
use crate::{
    FileKind, Problems, names,
    problem::Source,
    reader::{Entry, Reader, Section, shown},
};

pub(super) fn manifest(name: &str, text: &str) -> Result<Manifest, Problems> {
    let source = Source::new(FileKind::Manifest, name, text);
    let mut reader = Reader::new(&source);
    let manifest = read(&mut reader, text);
    reader.finish()?;
    // Whatever keeps the manifest from being built was reported, so this line is reached with a manifest only.
    manifest.ok_or_else(|| Problems::internal(&source))
}

fn read(reader: &mut Reader<'_>, text: &str) -> Option<Manifest> {
    if text.len() > MAX_MANIFEST_BYTES {
        reader.report(
            0..0,
            format!(
                "the manifest has {} bytes; at most {MAX_MANIFEST_BYTES} are allowed",
                text.len()
            ),
            "shorten descriptions and schemas",
        );
        return None;
    }
    let document = reader.document(text)?;
    let root = Section::root(&document);
    reader.check_keys(
        &root,
        &["name", "version", "world", "description", "tool", "request"],
    );
    let name = reader
        .required(&root, "name")
        .and_then(|_| kebab_name(reader, &root, "package"));
    body(reader, &root, name)
}

/// Everything but the name.
pub(super) fn body(
    reader: &mut Reader<'_>,
    root: &Section<'_>,
    name: Option<String>,
) -> Option<Manifest> {
    let version = version(reader, root);
    let world = world(reader, root);
    let description = description(reader, root);
    let tools = tools(reader, root, name.as_deref());
    let request = requests::read(reader, root);
    Some(Manifest {
        name: name?,
        version: version?,
        world: world?,
        description: description?,
        tools: tools?,
        request: Arc::new(request),
    })
}

/// The `name` of a section in kebab-case; absence was reported before.
fn kebab_name(reader: &mut Reader<'_>, section: &Section<'_>, what: &str) -> Option<String> {
    let entry = section.get("name")?;
    let name = entry.node.value.as_str()?;
    if names::is_kebab_case(name) {
        return Some(name.to_owned());
    }
    let help = match names::to_kebab_case(name) {
        Some(kebab) => format!("write \"{kebab}\""),
        None => "use lower-case words of letters and digits, joined by `-`".to_owned(),
    };
    reader.report(
        entry.node.span(),
        format!("the {what} name `{}` is not in kebab-case", shown(name)),
        help,
    );
    None
}

fn version(reader: &mut Reader<'_>, root: &Section<'_>) -> Option<String> {
    let text = reader.required(root, "version")?;
    let (core, suffix) = match text.find(['-', '+']) {
        Some(at) => text.split_at_checked(at)?,
        None => (text, ""),
    };
    let numbers: Vec<&str> = core.split('.').collect();
    let plain = numbers.len() == 3
        && numbers.iter().all(|n| {
            (1..=9).contains(&n.len())
                && n.bytes().all(|b| b.is_ascii_digit())
                && (*n == "0" || !n.starts_with('0'))
        });
    let tail = suffix.len() <= 64
        && suffix
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-+".contains(&b))
        && suffix.len() != 1;
    if plain && tail {
        return Some(text.to_owned());
    }
    let span = root.get("version")?.node.span();
    reader.report(
        span,
        format!("`{}` is not a version", shown(text)),
        "a version is three numbers, such as \"0.1.0\"",
    );
    None
}

fn world(reader: &mut Reader<'_>, root: &Section<'_>) -> Option<String> {
    let Some(entry) = root.get("world") else {
        return Some(DEFAULT_WORLD.to_owned());
    };
    let text = reader.string(&entry)?;
    let valid = text.split_once('@').is_some_and(|(package, version)| {
        package == "toolcell:tool"
            && !version.is_empty()
            && version.len() <= 32
            && version.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    });
    if valid {
        return Some(text.to_owned());
    }
    reader.report(
        entry.node.span(),
        format!("`{}` is not a contract that is known", shown(text)),
        format!("write \"{DEFAULT_WORLD}\", or leave `world` out"),
    );
    None
}

fn description(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<String> {
    match section.get("description") {
        Some(entry) => plain_text(reader, &entry, MAX_DESCRIPTION_BYTES),
        None => Some(String::new()),
    }
}

/// A text for people and models, bounded and without characters that hide or reorder.
pub(super) fn plain_text(reader: &mut Reader<'_>, entry: &Entry<'_>, max: usize) -> Option<String> {
    let text = reader.string(entry)?;
    if text.len() > max {
        reader.report(
            entry.node.span(),
            format!(
                "`{}` has {} bytes; at most {max} are allowed",
                entry.path,
                text.len()
            ),
            "shorten it",
        );
        return None;
    }
    if let Some(hidden) = names::hidden_character(text) {
        report_hidden(reader, entry, hidden);
        return None;
    }
    Some(text.to_owned())
}

fn tools(
    reader: &mut Reader<'_>,
    root: &Section<'_>,
    package: Option<&str>,
) -> Option<Vec<ToolDefinition>> {
    let Some(entry) = root.get("tool") else {
        reader.report(
            0..0,
            "the package offers no tool",
            "add a [[tool]] with a name",
        );
        return None;
    };
    let elements = reader.list(&entry, MAX_TOOLS)?;
    if elements.is_empty() {
        reader.report(
            entry.node.span(),
            "the package offers no tool",
            "add a [[tool]] with a name",
        );
        return None;
    }
    let only = elements.len() == 1;
    let mut tools: Vec<ToolDefinition> = Vec::new();
    let mut complete = true;
    for element in elements {
        let Some(tool) = tool(reader, &element) else {
            complete = false;
            continue;
        };
        let public = names::public_name(package.unwrap_or_default(), &tool.name, only);
        if tools.iter().any(|other| other.name == tool.name) {
            reader.report(
                element.node.span(),
                format!("a second tool is called `{}`", tool.name),
                "tools of one package need different names",
            );
        } else if let Some(other) = tools
            .iter()
            .find(|other| names::confusable(&other.name, &tool.name))
        {
            reader.report(
                element.node.span(),
                format!("the names `{}` and `{}` look alike", other.name, tool.name),
                "give one of them another name",
            );
        } else if package.is_some() && public.len() > names::MAX_PUBLIC_NAME {
            reader.report(
                element.node.span(),
                format!("the public name `{public}` has more than 64 characters"),
                "shorten the package's or the tool's name",
            );
        }
        tools.push(tool);
    }
    complete.then_some(tools)
}

fn tool(reader: &mut Reader<'_>, element: &Entry<'_>) -> Option<ToolDefinition> {
    let keys = ["name", "description", "input", "output", "annotations"];
    let section = reader.section(element.node, &element.path, &keys)?;
    let name = reader
        .required(&section, "name")
        .and_then(|_| kebab_name(reader, &section, "tool"));
    let description = description(reader, &section);
    let input = match section.get("input") {
        Some(entry) => schema(reader, &entry),
        None => {
            reader.missing(&section, "input");
            None
        }
    };
    let output = match section.get("output") {
        Some(entry) => Some(schema(reader, &entry)?),
        None => None,
    };
    let annotations = annotations(reader, &section);
    Some(ToolDefinition {
        name: name?,
        description: description?,
        input: input?,
        output,
        annotations,
    })
}

/// A schema, written as a TOML table or as JSON in a string (TOML has no null, and generators write JSON anyway).
fn schema(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Value> {
    let schema = match entry.node.value.as_str() {
        Some(text) => match serde_json::from_str::<Value>(text) {
            Ok(value) => value,
            Err(error) => {
                reader.report(
                    entry.node.span(),
                    format!("`{}` is not JSON: {error}", entry.path),
                    "write a table, or JSON in quotes",
                );
                return None;
            }
        },
        None => reader.json(entry.node, &entry.path)?,
    };
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        reader.report(
            entry.node.span(),
            format!("`{}` must describe an object", entry.path),
            "add type = \"object\" and put the fields into properties",
        );
        return None;
    }
    let bytes = schema.to_string().len();
    if bytes > MAX_SCHEMA_BYTES {
        reader.report(
            entry.node.span(),
            format!(
                "`{}` has {bytes} bytes; at most {MAX_SCHEMA_BYTES} are allowed",
                entry.path
            ),
            "simplify the schema",
        );
        return None;
    }
    if !shallower_than(&schema, MAX_SCHEMA_DEPTH) {
        reader.report(
            entry.node.span(),
            format!(
                "`{}` is nested deeper than {MAX_SCHEMA_DEPTH} levels",
                entry.path
            ),
            "simplify the schema",
        );
        return None;
    }
    if let Some(hidden) = hidden_in(&schema) {
        report_hidden(reader, entry, hidden);
        return None;
    }
    Some(schema)
}

/// The first character that must not be shown in any text of a schema: models read them like descriptions.
fn hidden_in(value: &Value) -> Option<char> {
    match value {
        Value::String(text) => names::hidden_character(text),
        Value::Array(items) => items.iter().find_map(hidden_in),
        Value::Object(map) => map
            .iter()
            .find_map(|(key, value)| names::hidden_character(key).or_else(|| hidden_in(value))),
        _ => None,
    }
}

fn report_hidden(reader: &mut Reader<'_>, entry: &Entry<'_>, hidden: char) {
    reader.report(
        entry.node.span(),
        format!(
            "`{}` holds U+{:04X}, a character that is invisible or changes what people see",
            entry.path, hidden as u32
        ),
        "remove it",
    );
}

fn shallower_than(value: &Value, levels: usize) -> bool {
    match (value, levels.checked_sub(1)) {
        (_, None) => false,
        (Value::Array(items), Some(left)) => items.iter().all(|item| shallower_than(item, left)),
        (Value::Object(map), Some(left)) => map.values().all(|item| shallower_than(item, left)),
        _ => true,
    }
}

fn annotations(reader: &mut Reader<'_>, section: &Section<'_>) -> Annotations {
    let keys = ["read-only", "idempotent", "open-world", "destructive"];
    let Some(section) = section
        .get("annotations")
        .and_then(|entry| reader.section(entry.node, &entry.path, &keys))
    else {
        return Annotations::default();
    };
    let mut flag = |key| section.get(key).and_then(|entry| reader.bool(&entry));
    Annotations {
        read_only: flag("read-only"),
        idempotent: flag("idempotent"),
        open_world: flag("open-world"),
        destructive: flag("destructive"),
    }
}
