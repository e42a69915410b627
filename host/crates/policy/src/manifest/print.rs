//! Writes `tool.toml`.

use serde_json::Value;

use super::{Annotations, Manifest, Requests, ToolDefinition};
use crate::print::{Table, canonical_json, net_scope, strings, table_text};

pub(super) fn manifest(manifest: &Manifest) -> String {
    table_text(&table(manifest, schema))
}

/// The manifest without what is left to its default. `schema` writes schemas.
pub(super) fn table(manifest: &Manifest, schema: fn(&Value) -> toml::Value) -> Table {
    let mut root = Table::new();
    root.insert("name".to_owned(), manifest.name.clone().into());
    root.insert("version".to_owned(), manifest.version.clone().into());
    root.insert("world".to_owned(), manifest.world.clone().into());
    put_text(&mut root, "description", &manifest.description);
    root.insert("tool".to_owned(), tools(manifest, schema));
    let request = requests(&manifest.request);
    if !request.is_empty() {
        root.insert("request".to_owned(), request.into());
    }
    root
}

/// The list of tools alone.
pub(super) fn tools(manifest: &Manifest, schema: fn(&Value) -> toml::Value) -> toml::Value {
    let tools: Vec<toml::Value> = manifest.tools.iter().map(|it| tool(it, schema)).collect();
    tools.into()
}

fn put_text(table: &mut Table, key: &str, text: &str) {
    if !text.is_empty() {
        table.insert(key.to_owned(), text.into());
    }
}

fn put_why(table: &mut Table, why: Option<&String>) {
    if let Some(why) = why {
        table.insert("why".to_owned(), why.clone().into());
    }
}

fn tool(tool: &ToolDefinition, schema: fn(&Value) -> toml::Value) -> toml::Value {
    let mut table = Table::new();
    table.insert("name".to_owned(), tool.name.clone().into());
    put_text(&mut table, "description", &tool.description);
    table.insert("input".to_owned(), schema(&tool.input));
    if let Some(output) = &tool.output {
        table.insert("output".to_owned(), schema(output));
    }
    let annotations = annotations(tool.annotations);
    if !annotations.is_empty() {
        table.insert("annotations".to_owned(), annotations.into());
    }
    table.into()
}

/// A table where TOML can say it, else JSON in a string.
fn schema(schema: &Value) -> toml::Value {
    to_toml(schema).unwrap_or_else(|| schema.to_string().into())
}

/// Always JSON in a string: one line, whatever the schema.
pub(super) fn schema_text(schema: &Value) -> toml::Value {
    canonical_json(schema).into()
}

fn to_toml(value: &Value) -> Option<toml::Value> {
    match value {
        Value::Null => None,
        Value::Bool(value) => Some((*value).into()),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Some(integer.into()),
            None if number.is_f64() => number.as_f64().map(toml::Value::Float),
            None => None,
        },
        Value::String(text) => Some(text.clone().into()),
        Value::Array(values) => values
            .iter()
            .map(to_toml)
            .collect::<Option<Vec<_>>>()
            .map(toml::Value::Array),
        Value::Object(map) => {
            let mut table = Table::new();
            for (key, value) in map {
                table.insert(key.clone(), to_toml(value)?);
            }
            Some(table.into())
        }
    }
}

fn annotations(annotations: Annotations) -> Table {
    let flags = [
        ("read-only", annotations.read_only),
        ("idempotent", annotations.idempotent),
        ("open-world", annotations.open_world),
        ("destructive", annotations.destructive),
    ];
    flags
        .into_iter()
        .filter_map(|(key, flag)| flag.map(|flag| (key.to_owned(), flag.into())))
        .collect()
}

fn requests(requests: &Requests) -> Table {
    let net = requests.net.iter().map(|request| {
        let mut table = net_scope(&request.scope);
        put_why(&mut table, request.why.as_ref());
        table
    });
    let files = requests.files.iter().map(|request| {
        let mut table = Table::new();
        table.insert("access".to_owned(), request.access.name().into());
        if let Some(guest) = &request.guest {
            table.insert("guest".to_owned(), guest.clone().into());
        }
        put_why(&mut table, request.why.as_ref());
        table
    });
    let env = requests.env.iter().map(|request| {
        let mut table = Table::new();
        table.insert("name".to_owned(), request.name.clone().into());
        put_why(&mut table, request.why.as_ref());
        table
    });
    let secrets = requests.secrets.iter().map(|request| {
        let mut table = Table::new();
        table.insert("name".to_owned(), request.name.clone().into());
        let to = request.to.as_ref();
        let to = to.map_or_else(|| "any".to_owned(), ToString::to_string);
        table.insert("to".to_owned(), to.into());
        if let Some(place) = &request.place {
            let (key, text) = place.written();
            table.insert(key.to_owned(), text.into());
        }
        put_why(&mut table, request.why.as_ref());
        table
    });
    let mut all = Table::new();
    put_list(&mut all, "net", net);
    put_list(&mut all, "files", files);
    put_list(&mut all, "env", env);
    put_list(&mut all, "secrets", secrets);
    if !requests.calls.is_empty() {
        all.insert("calls".to_owned(), strings(&requests.calls));
    }
    all
}

fn put_list(all: &mut Table, key: &str, tables: impl Iterator<Item = Table>) {
    let list: Vec<toml::Value> = tables.map(toml::Value::Table).collect();
    if !list.is_empty() {
        all.insert(key.to_owned(), list.into());
    }
}
