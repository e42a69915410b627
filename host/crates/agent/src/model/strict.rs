//! JSON without what JSON leaves open.

use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

use crate::wire::deeper;

/// How deep a tool's input may be nested.
const MAX_DEPTH: usize = 64;

/// Reads an object and refuses what JSON leaves open: of two members with one name, a check could read one and the
/// tool the other.
pub(super) fn strict_object(text: &str) -> Result<Value, String> {
    let value: Unique = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if deeper(&value.0, MAX_DEPTH) {
        return Err(format!("it is nested deeper than {MAX_DEPTH} levels"));
    }
    match value.0 {
        Value::Object(_) => Ok(value.0),
        _ => Err("it is no object".into()),
    }
}

/// A JSON value all of whose objects have distinct names.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Unique)
    }
}

struct UniqueVisitor;

impl<'de> de::Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((name, Unique(value))) = map.next_entry::<String, Unique>()? {
            if fields.insert(name.clone(), value).is_some() {
                return Err(de::Error::custom(format_args!(
                    "the name `{name}` occurs twice in one object"
                )));
            }
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_objects() {
        let text = r#"{"a":[1,-2,3.5,"x",null,true,{"a":{}}]}"#;
        let expected = json!({"a":[1, -2, 3.5, "x", null, true, {"a": {}}]});
        assert_eq!(strict_object(text), Ok(expected));
    }

    #[test]
    fn refuses_what_is_not_one_clear_object() {
        let nested = |levels| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        assert!(strict_object(&nested(64)).is_ok());
        assert!(
            strict_object(&nested(65))
                .unwrap_err()
                .contains("deeper than 64 levels")
        );
        let deep = nested(100_000);
        for text in [
            "[]",
            "5",
            "null",
            r#"{"a":1"#,
            r#"{"a":1}{}"#,
            r#"{"a":1e400}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"x":[{"a":1,"\u0061":2}]}"#,
            r#"{"a":"\ud800"}"#,
            deep.as_str(),
        ] {
            let start: String = text.chars().take(40).collect();
            assert!(strict_object(text).is_err(), "{start}");
        }
    }
}
