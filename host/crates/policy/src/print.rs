//! What writing manifests and writing policies have in common.

use serde_json::Value;

use crate::{Method, NetScope, PathPattern};

pub(crate) type Table = toml::Table;

/// The text of a table. All tables here are made of strings, numbers, flags, lists and tables, which TOML can write.
pub(crate) fn table_text(table: &Table) -> String {
    toml::to_string(table).unwrap_or_default()
}

pub(crate) fn strings<T: ToString>(items: &[T]) -> toml::Value {
    let list: Vec<toml::Value> = items.iter().map(|item| item.to_string().into()).collect();
    list.into()
}

/// A scope without what is the default anyway.
pub(crate) fn net_scope(scope: &NetScope) -> Table {
    let mut table = Table::new();
    let to = scope
        .to
        .as_ref()
        .map_or_else(|| "any".to_owned(), ToString::to_string);
    table.insert("to".to_owned(), to.into());
    if scope.methods != Method::DEFAULT {
        table.insert("methods".to_owned(), strings(&scope.methods));
    }
    let everything = scope.paths.len() == 1 && scope.paths.iter().all(PathPattern::is_everything);
    if !everything {
        table.insert("paths".to_owned(), strings(&scope.paths));
    }
    table
}

/// JSON without blanks and with sorted keys, whatever order the map has: one text for one value.
pub(crate) fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    canonical(value, &mut text);
    text
}

fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                canonical(item, text);
            }
            text.push(']');
        }
        Value::Object(map) => {
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (at, (key, value)) in members.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                canonical(value, text);
            }
            text.push('}');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_json_has_one_form() {
        let value: Value =
            serde_json::from_str(r#"{"b":[1, {"z":0,"a":null}],"a":"ü\n"}"#).unwrap();
        assert_eq!(
            canonical_json(&value),
            r#"{"a":"ü\n","b":[1,{"a":null,"z":0}]}"#
        );
    }
}
