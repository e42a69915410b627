//! How much work a schema makes, before anything is checked against it.
//!
//! A schema comes from a package's author, and checking a value runs on the host, where no limit of the sandbox holds.
//! References let a few lines stand for any number of checks: `a` that refers twice to `b`, which refers twice to `c`,
//! doubles with every line. So every schema is written out in thought, each reference replaced by what it refers to,
//! and what does not come to an end soon is refused.

use serde_json::Value;

use super::at;

/// The most subschemas and listed values of a schema, each counted as often as references lead to it; a pattern counts
/// as 200 of them.
pub(super) const MAX_WEIGHT: u64 = 10_000;

/// What a pattern counts, since it is compiled to thousands of bytes: a schema has fewer than 50 of them.
const PATTERN_WEIGHT: u64 = MAX_WEIGHT / 50;

/// How deep subschemas may lie in one another, references followed. A schema that refers to itself has no end.
pub(super) const MAX_DEPTH: usize = 64;

/// Keywords whose values are data, in which `$ref` is a name like any other.
const DATA: &[&str] = &["const", "default", "enum", "examples"];

/// Keywords whose values are subschemas by name: their members are no keywords.
const NAMED: &[&str] = &[
    "$defs",
    "definitions",
    "dependencies",
    "dependentSchemas",
    "patternProperties",
    "properties",
];

/// References that are not followed here, and what would give plain ones another meaning.
const NOT_FOLLOWED: &[&str] = &["$dynamicRef", "$recursiveRef", "$anchor", "$dynamicAnchor"];

/// Counts the subschemas of a schema, each as often as references lead to it.
///
/// # Errors
///
/// What is refused, with the JSON pointer to the place: a reference out of the schema, a schema that is too large or
/// too deep once its references are followed, and other ways to refer than `#/…`.
pub(super) fn weigh(schema: &Value) -> Result<u64, String> {
    let mut scales = Scales {
        root: schema,
        weight: 0,
        path: Vec::new(),
    };
    scales.schema(schema, 1)?;
    Ok(scales.weight)
}

struct Scales<'a> {
    root: &'a Value,
    weight: u64,
    /// Where the scales are: the keys on the way, `$ref` among them.
    path: Vec<String>,
}

impl<'a> Scales<'a> {
    /// A subschema, or a list of them, which is checked `times` times.
    fn schema(&mut self, schema: &'a Value, times: u64) -> Result<(), String> {
        self.add(times)?;
        if self.path.len() > MAX_DEPTH {
            return Err(self.wrong(&format!(
                "the schema is more than {MAX_DEPTH} levels deep once its references are followed; one that refers to itself is not supported"
            )));
        }
        match schema {
            Value::Object(members) => {
                // What is left over is found by checking everything beside it once more.
                let again = ["unevaluatedItems", "unevaluatedProperties"]
                    .iter()
                    .any(|key| members.contains_key(*key));
                let times = if again {
                    times.saturating_mul(2)
                } else {
                    times
                };
                members
                    .iter()
                    .try_for_each(|(key, value)| self.keyword(key, value, times))
            }
            Value::Array(items) => items
                .iter()
                .enumerate()
                .try_for_each(|(index, item)| self.below(&index.to_string(), item, times)),
            _ => Ok(()),
        }
    }

    fn keyword(&mut self, key: &str, value: &'a Value, times: u64) -> Result<(), String> {
        match value {
            Value::String(target) if key == "$ref" => {
                self.path.push(key.to_owned());
                let target = self.target(target)?;
                self.schema(target, times)?;
                self.path.pop();
                Ok(())
            }
            Value::String(_) if NOT_FOLLOWED.contains(&key) => {
                self.path.push(key.to_owned());
                Err(self.wrong("references are written as `$ref` with `#/…`"))
            }
            Value::String(_) if key == "$id" && !self.path.is_empty() => {
                self.path.push(key.to_owned());
                Err(self.wrong("only the whole schema may have an `$id`"))
            }
            Value::String(_) if key == "pattern" => self.add(times.saturating_mul(PATTERN_WEIGHT)),
            Value::Array(values) if DATA.contains(&key) => {
                let count = u64::try_from(values.len()).unwrap_or(u64::MAX);
                self.add(times.saturating_mul(count))
            }
            _ if DATA.contains(&key) => Ok(()),
            Value::Object(named) if NAMED.contains(&key) => {
                self.path.push(key.to_owned());
                if key == "patternProperties" {
                    let count = u64::try_from(named.len()).unwrap_or(u64::MAX);
                    self.add(count.saturating_mul(times).saturating_mul(PATTERN_WEIGHT))?;
                }
                named
                    .iter()
                    .try_for_each(|(name, schema)| self.below(name, schema, times))?;
                self.path.pop();
                Ok(())
            }
            Value::Object(_) | Value::Array(_) => self.below(key, value, times),
            _ => Ok(()),
        }
    }

    fn below(&mut self, key: &str, schema: &'a Value, times: u64) -> Result<(), String> {
        self.path.push(key.to_owned());
        self.schema(schema, times)?;
        self.path.pop();
        Ok(())
    }

    fn add(&mut self, weight: u64) -> Result<(), String> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight <= MAX_WEIGHT {
            return Ok(());
        }
        Err(self.wrong(&format!(
            "the schema has more than {MAX_WEIGHT} parts once its references are followed"
        )))
    }

    /// What a reference refers to.
    fn target(&self, target: &str) -> Result<&'a Value, String> {
        let pointer = target
            .strip_prefix('#')
            .filter(|pointer| pointer.is_empty() || pointer.starts_with('/'))
            .ok_or_else(|| {
                self.wrong("a reference may only point into the schema itself (`#/…`)")
            })?;
        if pointer.contains('%') {
            return Err(self.wrong("a reference is written plainly, without `%` escapes"));
        }
        self.root
            .pointer(pointer)
            .ok_or_else(|| self.wrong("the reference leads to nothing"))
    }

    fn wrong(&self, what: &str) -> String {
        let pointer: String = self
            .path
            .iter()
            .map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1")))
            .collect();
        // The end of a way that is too deep says nothing that its beginning does not say.
        let pointer: String = pointer.chars().take(80).collect();
        at(&pointer, what)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    /// `a0` refers twice to `a1`, which refers twice to `a2`, and so on.
    fn doubling(steps: usize) -> Value {
        let mut defs: Map<String, Value> = (0..steps)
            .map(|n| {
                let next = json!({"$ref": format!("#/$defs/a{}", n + 1)});
                (format!("a{n}"), json!({"allOf": [next, next]}))
            })
            .collect();
        defs.insert(format!("a{steps}"), json!({}));
        json!({"$defs": defs, "$ref": "#/$defs/a0"})
    }

    #[test]
    fn parts_are_counted_as_often_as_they_are_reached() {
        assert_eq!(weigh(&json!({})).unwrap(), 1);
        let schema = json!({"properties": {"a": {"enum": [1, 2, 3]}, "b": {"items": {}}}});
        assert_eq!(weigh(&schema).unwrap(), 1 + 1 + 3 + 2);
        let twice = json!({"$defs": {"n": {"items": {}}}, "allOf": [{"$ref": "#/$defs/n"}, {"$ref": "#/$defs/n"}]});
        assert_eq!(weigh(&twice).unwrap(), 1 + 2 + 1 + 2 + 2 * 2);
        let left_over = json!({"allOf": [{}], "unevaluatedProperties": false});
        assert!(weigh(&left_over).unwrap() > weigh(&json!({"allOf": [{}]})).unwrap());
    }

    #[test]
    fn references_that_multiply_are_refused() {
        assert!(weigh(&doubling(4)).is_ok());
        for steps in [12, 20, 60, 500] {
            let problem = weigh(&doubling(steps)).unwrap_err();
            assert!(
                problem.contains("once its references are followed"),
                "{problem}"
            );
        }
        let mut nested = json!({"unevaluatedProperties": false});
        for _ in 0..14 {
            nested = json!({"allOf": [nested], "unevaluatedProperties": false});
        }
        assert!(weigh(&nested).unwrap_err().contains("10000 parts"));
    }

    #[test]
    fn patterns_are_few() {
        let patterns = |count: usize| -> Vec<Value> {
            (0..count)
                .map(|n| json!({"pattern": format!("a{n}")}))
                .collect()
        };
        assert!(weigh(&json!({"allOf": patterns(40)})).is_ok());
        assert!(weigh(&json!({"allOf": patterns(50)})).is_err());
        let named: Map<String, Value> = (0..50).map(|n| (format!("a{n}"), json!({}))).collect();
        assert!(weigh(&json!({"patternProperties": named})).is_err());
        assert!(weigh(&json!({"properties": named})).is_ok());
    }

    #[test]
    fn what_refers_to_itself_is_refused() {
        for schema in [
            json!({"$ref": "#"}),
            json!({"properties": {"default": {"$ref": "#"}}}),
            json!({"$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"items": {"$ref": "#/$defs/a"}}}}),
        ] {
            let problem = weigh(&schema).unwrap_err();
            assert!(problem.contains("refers to itself"), "{problem}");
        }
    }

    #[test]
    fn other_ways_to_refer_are_refused() {
        for schema in [
            json!({"$dynamicRef": "#a"}),
            json!({"$ref": "#a", "$defs": {"b": {"$anchor": "a"}}}),
            json!({"properties": {"a": {"$id": "https://example.com/x"}}}),
            json!({"$ref": "#/$defs/a%62"}),
            json!({"$ref": "#/$defs/missing"}),
        ] {
            assert!(weigh(&schema).is_err(), "{schema}");
        }
        assert!(weigh(&json!({"$id": "https://example.com/x", "type": "object"})).is_ok());
        assert!(weigh(&json!({"properties": {"$ref": {}, "$id": {}, "$anchor": {}}})).is_ok());
    }
}
