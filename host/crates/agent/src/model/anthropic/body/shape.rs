//! JSON Schemas in the part of the language that the API takes for the form of an answer.

use serde_json::{Map, Value, json};

/// The forms of texts that the API knows.
const FORMATS: [&str; 10] = [
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "uri",
    "ipv4",
    "ipv6",
    "uuid",
];

/// What is passed on as it is.
const PLAIN: [&str; 7] = [
    "$ref", "type", "enum", "const", "title", "required", "default",
];

/// The schema without what the API refuses: bounds of numbers, lengths and the like. These go into the description, where
/// the model reads them, as in the official clients. Whoever asked checks the answer against the schema as it was.
pub(super) fn simplified(schema: &Value) -> Value {
    let Value::Object(fields) = schema else {
        return schema.clone();
    };
    let mut simple = Map::new();
    let mut told = Vec::new();
    for (key, value) in fields {
        match (key.as_str(), value) {
            (key, value) if PLAIN.contains(&key) => {
                simple.insert(key.to_owned(), value.clone());
            }
            ("$defs" | "properties", Value::Object(members)) => {
                let members = members
                    .iter()
                    .map(|(name, it)| (name.clone(), simplified(it)));
                simple.insert(key.clone(), members.collect::<Map<_, _>>().into());
            }
            ("items", value) => {
                simple.insert(key.clone(), simplified(value));
            }
            ("anyOf" | "allOf", Value::Array(list)) => {
                let list: Vec<Value> = list.iter().map(simplified).collect();
                simple.insert(key.clone(), list.into());
            }
            ("oneOf", Value::Array(list)) => {
                let list: Vec<Value> = list.iter().map(simplified).collect();
                simple.insert("anyOf".to_owned(), list.into());
            }
            ("format", Value::String(format)) if FORMATS.contains(&format.as_str()) => {
                simple.insert(key.clone(), value.clone());
            }
            ("minItems", value) if [json!(0), json!(1)].contains(value) => {
                simple.insert(key.clone(), value.clone());
            }
            ("$schema" | "$id" | "description" | "additionalProperties", _) => {}
            _ => told.push(format!("{key}: {value}")),
        }
    }
    if fields.get("type") == Some(&"object".into()) {
        simple.insert("additionalProperties".to_owned(), false.into());
        simple.entry("properties").or_insert_with(|| json!({}));
    }
    let description = fields.get("description").and_then(Value::as_str);
    let told = (!told.is_empty()).then(|| format!("{{{}}}", told.join(", ")));
    let parts: Vec<&str> = description.into_iter().chain(told.as_deref()).collect();
    if !parts.is_empty() {
        simple.insert("description".to_owned(), parts.join("\n\n").into());
    }
    simple.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_refuses_is_told_in_words() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "required": ["n"],
            "additionalProperties": true, "$defs": { "a": { "type": "object" } },
            "properties": {
                "n": { "type": "integer", "description": "A number", "minimum": 1, "maximum": 10 },
                "when": { "type": "string", "format": "date" },
                "code": { "type": "string", "format": "regex", "pattern": "^a" },
                "list": { "type": "array", "items": { "$ref": "#/$defs/a" }, "minItems": 1, "maxItems": 3 },
                "one": { "oneOf": [{ "const": 1 }, { "type": "null" }] },
            },
        });
        let simple = json!({
            "type": "object", "required": ["n"], "additionalProperties": false,
            "$defs": { "a": { "type": "object", "properties": {}, "additionalProperties": false } },
            "properties": {
                "n": { "type": "integer", "description": "A number\n\n{maximum: 10, minimum: 1}" },
                "when": { "type": "string", "format": "date" },
                "code": { "type": "string", "description": "{format: \"regex\", pattern: \"^a\"}" },
                "list": { "type": "array", "items": { "$ref": "#/$defs/a" }, "minItems": 1, "description": "{maxItems: 3}" },
                "one": { "anyOf": [{ "const": 1 }, { "type": "null" }] },
            },
        });
        assert_eq!(simplified(&schema), simple);
        assert_eq!(simplified(&simple), simple);
    }
}
