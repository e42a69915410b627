//! A tool's JSON Schema: compiled once when the tool is loaded, and checked against every input and output.

use std::fmt;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use crate::text::escape_control;

/// How many problems of one value are reported.
const MAX_PROBLEMS: usize = 5;

/// The longest report about one problem, in characters. What a model sent is not echoed at length.
const MAX_PROBLEM_CHARS: usize = 200;

/// The largest compiled pattern, in bytes: 1 MiB.
const PATTERN_BYTES: usize = 1 << 20;

/// Keywords whose values are data, in which `$ref` is a name like any other.
const DATA: &[&str] = &["const", "default", "enum", "examples"];

/// A compiled schema.
pub(crate) struct Schema {
    validator: Validator,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").finish_non_exhaustive()
    }
}

impl Schema {
    /// Compiles a schema of draft 2020-12. Only references into the schema itself are followed: nothing is ever read
    /// or fetched. Patterns run in linear time.
    ///
    /// # Errors
    ///
    /// What is wrong with the schema, with the JSON pointer to the place.
    pub(crate) fn compile(schema: &Value) -> Result<Self, String> {
        refuse_outside_references(schema, &mut String::new())?;
        jsonschema::options()
            .with_draft(Draft::Draft202012)
            .offline()
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES))
            .should_validate_formats(true)
            .build(schema)
            .map(|validator| Self { validator })
            .map_err(|error| at(error.instance_path().as_str(), &error.to_string()))
    }

    /// Checks a value.
    ///
    /// # Errors
    ///
    /// Up to five problems in one text, each with the JSON pointer to the place in the value.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        if self.validator.is_valid(value) {
            return Ok(());
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

/// A reference to anywhere but this schema is refused by name, rather than as something that cannot be resolved.
fn refuse_outside_references(schema: &Value, pointer: &mut String) -> Result<(), String> {
    let visit = |pointer: &mut String, key: &str, value: &Value| {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
        let result = refuse_outside_references(value, pointer);
        pointer.truncate(length);
        result
    };
    match schema {
        Value::Object(members) => {
            for (key, value) in members {
                if DATA.contains(&key.as_str()) {
                    continue;
                }
                if matches!(key.as_str(), "$ref" | "$dynamicRef")
                    && value
                        .as_str()
                        .is_some_and(|target| !target.starts_with('#'))
                {
                    return Err(at(
                        &format!("{pointer}/{key}"),
                        "a reference may only point into the schema itself (`#/…`)",
                    ));
                }
                visit(pointer, key, value)?;
            }
            Ok(())
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, value)| visit(pointer, &index.to_string(), value)),
        _ => Ok(()),
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
    }

    #[test]
    fn a_later_draft_than_the_schema_names_does_not_matter() {
        let schema =
            json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "integer"});
        assert!(check(schema, json!(1)).is_ok());
    }
}
