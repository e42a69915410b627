//! A tool's JSON Schema: compiled once when the tool is loaded, and checked against every input and output.

mod weight;

use std::fmt;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use crate::text::escape_control;

/// How many problems of one value are reported.
const MAX_PROBLEMS: usize = 5;

/// The longest report about one problem, in characters. What a model sent is not echoed at length.
const MAX_PROBLEM_CHARS: usize = 200;

/// The largest compiled pattern, in bytes: 128 KiB. A package has room for thousands of patterns.
const PATTERN_BYTES: usize = 128 << 10;

/// The most work that one check may be: the parts of the schema times the bytes of the value. Small schemas take the
/// largest inputs, and small inputs fit the largest schemas.
const MAX_WORK: u64 = 1 << 28;

/// Up to this much work, parts of the schema times parts of the value, all problems are looked for; beyond it, a value
/// that does not fit is only told to be so, since every problem takes memory.
const MAX_REPORTED_WORK: u64 = 1 << 18;

/// A JSON Schema, compiled: what is checked against it is data, never code, and nothing is fetched.
pub struct Schema {
    validator: Validator,
    /// How much work it makes for each part of a value.
    weight: u64,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").finish_non_exhaustive()
    }
}

impl Schema {
    /// Compiles a schema of draft 2020-12. Only references into the schema itself are followed: nothing is ever read
    /// or fetched. Patterns run in linear time, and a schema that its references make large or endless is refused.
    ///
    /// # Errors
    ///
    /// What is wrong with the schema, with the JSON pointer to the place.
    pub fn compile(schema: &Value) -> Result<Self, String> {
        let weight = weight::weigh(schema)?;
        jsonschema::options()
            .with_draft(Draft::Draft202012)
            .offline()
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES))
            .should_validate_formats(true)
            .build(schema)
            .map(|validator| Self { validator, weight })
            .map_err(|error| at(error.instance_path().as_str(), &error.to_string()))
    }

    /// Checks a value.
    ///
    /// # Errors
    ///
    /// Up to five problems in one text, each with the JSON pointer to the place in the value; or that the value is too
    /// large for a schema of this size.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let (values, bytes) = size(value);
        if self.weight.saturating_mul(values.saturating_add(bytes)) > MAX_WORK {
            return Err(at("", "it is too large to be checked against its schema"));
        }
        if self.validator.is_valid(value) {
            return Ok(());
        }
        if self.weight.saturating_mul(values) > MAX_REPORTED_WORK {
            return Err(at("", "it does not fit, and is too large to say where"));
        }
        let mut errors = self.validator.iter_errors(value);
        let problems: Vec<String> = errors
            .by_ref()
            .take(MAX_PROBLEMS)
            .map(|error| at(error.instance_path().as_str(), &error.masked().to_string()))
            .collect();
        let more = if errors.next().is_some() {
            "; and more"
        } else {
            ""
        };
        Err(format!("{}{more}", problems.join("; ")))
    }
}

/// One problem with the place where it is.
fn at(pointer: &str, problem: &str) -> String {
    let place = if pointer.is_empty() {
        "the value itself"
    } else {
        pointer
    };
    let text: String = format!("{place}: {problem}")
        .chars()
        .take(MAX_PROBLEM_CHARS)
        .collect();
    escape_control(&text).into_owned()
}

/// How many values a value consists of, itself among them, and the bytes of its texts and numbers.
fn size(value: &Value) -> (u64, u64) {
    let add = |(values, bytes): (u64, u64), (more, longer): (u64, u64)| {
        (values.saturating_add(more), bytes.saturating_add(longer))
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => (1, 8),
        Value::String(text) => (1, text.len() as u64),
        Value::Array(items) => items.iter().map(size).fold((1, 0), add),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| add(size(value), (0, key.len() as u64)))
            .fold((1, 0), add),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(schema: Value, value: Value) -> Result<(), String> {
        Schema::compile(&schema).unwrap().check(&value)
    }

    #[test]
    fn a_value_that_fits_passes() {
        let schema = json!({"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}});
        assert_eq!(check(schema, json!({"city": "Lisbon"})), Ok(()));
    }

    #[test]
    fn problems_name_their_place() {
        let schema = json!({"type": "object", "required": ["city"], "additionalProperties": false, "properties": {
            "city": {"type": "string"}, "days": {"type": "array", "items": {"type": "integer", "maximum": 7}}}});
        let problem = check(schema.clone(), json!({"city": 1, "days": [1, 8]})).unwrap_err();
        assert!(problem.contains("/city: "), "{problem}");
        assert!(problem.contains("/days/1: "), "{problem}");
        let problem = check(schema.clone(), json!({})).unwrap_err();
        assert_eq!(problem, "the value itself: \"city\" is a required property");
        let problem = check(schema, json!({"city": "x", "ciy": 1})).unwrap_err();
        assert!(problem.contains("'ciy'"), "{problem}");
    }

    #[test]
    fn values_are_not_echoed_and_problems_are_few() {
        let schema = json!({"type": "array", "items": {"type": "integer"}});
        let long = "x\u{1b}[31m".repeat(1_000);
        let problem = check(schema, json!(vec![long; 50])).unwrap_err();
        assert!(problem.len() < 1_200, "{}", problem.len());
        assert!(
            !problem.contains("xx") && !problem.contains('\u{1b}'),
            "{problem}"
        );
        assert!(problem.ends_with("; and more"), "{problem}");
    }

    #[test]
    fn nothing_outside_is_referred_to() {
        for target in [
            "https://example.com/s.json",
            "file:///etc/passwd",
            "other.json",
            "urn:x",
        ] {
            let schema = json!({"type": "object", "properties": {"a/b": {"$ref": target}}});
            let problem = Schema::compile(&schema).unwrap_err();
            assert!(problem.starts_with("/properties/a~1b/$ref: "), "{problem}");
        }
        let inside = json!({"$defs": {"n": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/n"}}});
        assert!(
            Schema::compile(&inside)
                .unwrap()
                .check(&json!({"a": "x"}))
                .is_err()
        );
    }

    #[test]
    fn a_reference_in_data_is_none() {
        let schema = json!({"const": {"$ref": "https://example.com/"}});
        assert_eq!(
            check(schema, json!({"$ref": "https://example.com/"})),
            Ok(())
        );
    }

    #[test]
    fn a_wrong_schema_is_refused() {
        for schema in [
            json!({"type": "strin"}),
            json!({"properties": 3}),
            json!({"pattern": "("}),
            json!({"$ref": "#/$defs/missing"}),
            json!(7),
        ] {
            assert!(Schema::compile(&schema).is_err(), "{schema}");
        }
    }

    #[test]
    fn patterns_run_in_linear_time() {
        let schema = json!({"type": "string", "pattern": "^(a+)+$"});
        let text = "a".repeat(50_000) + "!";
        assert!(check(schema, json!(text)).is_err());
        assert!(Schema::compile(&json!({"pattern": "a{1000}{1000}"})).is_err());
        assert!(Schema::compile(&json!({"pattern": "\\p{L}{20}"})).is_err());
        assert!(Schema::compile(&json!({"pattern": "^[a-z0-9][a-z0-9_.-]{0,255}$"})).is_ok());
        assert!(Schema::compile(&json!({"pattern": "^\\p{Lu}\\p{L}*( \\p{L}+)*$"})).is_ok());
    }

    #[test]
    fn a_few_lines_cannot_make_endless_work() {
        let mut defs = serde_json::Map::new();
        for n in 0..60 {
            let next = json!({"$ref": format!("#/$defs/a{}", n + 1)});
            defs.insert(format!("a{n}"), json!({"allOf": [next, next]}));
        }
        defs.insert("a60".to_owned(), json!({}));
        let schema = json!({"$defs": defs, "$ref": "#/$defs/a0"});
        assert!(Schema::compile(&schema).is_err());
        assert!(Schema::compile(&json!({"properties": {"a": {"$ref": "#"}}})).is_err());
    }

    #[test]
    fn a_large_schema_takes_only_small_values() {
        let branches: Vec<Value> = (0..2_000)
            .map(|n| json!({"required": [format!("k{n}")]}))
            .collect();
        let schema = Schema::compile(&json!({"items": {"anyOf": branches}})).unwrap();
        let values = |count: usize| Value::Array(vec![json!({}); count]);
        let problem = schema.check(&values(100_000)).unwrap_err();
        assert!(problem.contains("too large to be checked"), "{problem}");
        let problem = schema.check(&values(100)).unwrap_err();
        assert!(problem.contains("too large to say where"), "{problem}");
        assert_eq!(schema.check(&json!([{"k1": 1}, {"k1999": 1}])), Ok(()));
    }

    #[test]
    fn a_small_schema_takes_the_largest_input() {
        let schema = json!({"type": "object", "properties": {"path": {"type": "string"},
            "content": {"type": "string"}}, "required": ["path"]});
        let content = "x".repeat(1 << 20);
        assert_eq!(
            check(schema.clone(), json!({"path": "/a", "content": content})),
            Ok(())
        );
        let problem = check(schema, json!({"content": content})).unwrap_err();
        assert!(problem.contains("required"), "{problem}");
    }

    #[test]
    fn a_later_draft_than_the_schema_names_does_not_matter() {
        let schema =
            json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "integer"});
        assert!(check(schema, json!(1)).is_ok());
    }
}
