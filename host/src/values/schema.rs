//! JSON Schemas (2020-12) of types. What a schema lets pass and the type does not is told when the value is read.

use serde_json::{Map, Value, json};

use super::{Int, Type};

/// What has no number in JSON.
pub(super) const ODD_FLOATS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// The most characters of an integer that is written as text.
const INT_CHARS: usize = 20;

impl Type {
    /// The schema of the values that have this type.
    pub(crate) fn schema(&self) -> Value {
        match self {
            Self::Bool => json!({ "type": "boolean" }),
            Self::Int(int) => integer(*int),
            Self::Float32 | Self::Float64 => {
                json!({ "anyOf": [{ "type": "number" }, { "type": "string", "enum": ODD_FLOATS }] })
            }
            Self::Char => json!({ "type": "string", "minLength": 1, "maxLength": 1 }),
            Self::String => json!({ "type": "string" }),
            Self::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Self::List(element) => json!({ "type": "array", "items": element.schema() }),
            Self::Record(fields) => object(fields),
            Self::Tuple(types) => {
                let items: Vec<Value> = types.iter().map(Self::schema).collect();
                json!({
                    "type": "array", "prefixItems": items, "items": false,
                    "minItems": types.len(), "maxItems": types.len(),
                })
            }
            Self::Variant(cases) => {
                let cases = cases.iter().map(|(name, ty)| (name.as_str(), ty.as_ref()));
                one_of(cases.collect())
            }
            Self::Enum(names) => json!({ "type": "string", "enum": names }),
            Self::Option(inner) => {
                let some = if inner.takes_null() {
                    case("some", inner)
                } else {
                    inner.schema()
                };
                json!({ "anyOf": [some, { "type": "null" }] })
            }
            Self::Result { ok, err } => {
                one_of(vec![("ok", ok.as_deref()), ("err", err.as_deref())])
            }
            Self::Flags(names) => json!({
                "type": "array", "items": { "type": "string", "enum": names },
                "uniqueItems": true, "maxItems": names.len(),
            }),
        }
    }
}

fn integer(int: Int) -> Value {
    // JSON numbers of 64 bits fit serde_json's own integers, whose two kinds together are one range.
    let number = |bound: i128| match (u64::try_from(bound), i64::try_from(bound)) {
        (Ok(bound), _) => json!(bound),
        (_, Ok(bound)) => json!(bound),
        _ => Value::Null,
    };
    let (min, max) = int.range();
    let (min, max) = (number(min), number(max));
    if int.is_wide() {
        json!({ "type": ["integer", "string"], "minimum": min, "maximum": max, "minLength": 1, "maxLength": INT_CHARS })
    } else {
        json!({ "type": "integer", "minimum": min, "maximum": max })
    }
}

/// An object with these fields and no others. What has a form for "none" may be left out.
pub(super) fn object(fields: &[(String, Type)]) -> Value {
    let properties: Map<String, Value> = fields
        .iter()
        .map(|(name, ty)| (name.clone(), ty.schema()))
        .collect();
    let required: Vec<&String> = fields
        .iter()
        .filter(|(_, ty)| !ty.takes_null())
        .map(|(name, _)| name)
        .collect();
    json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    })
}

/// A case with something in it.
fn case(name: &str, ty: &Type) -> Value {
    json!({
        "type": "object", "properties": { name: ty.schema() }, "required": [name], "additionalProperties": false,
    })
}

/// Cases: those with something in them are objects with one key, the others are their names.
fn one_of(cases: Vec<(&str, Option<&Type>)>) -> Value {
    let bare: Vec<&str> = cases
        .iter()
        .filter(|(_, ty)| ty.is_none())
        .map(|(name, _)| *name)
        .collect();
    let mut forms: Vec<Value> = Vec::new();
    if !bare.is_empty() {
        forms.push(json!({ "type": "string", "enum": bare }));
    }
    let full = cases
        .iter()
        .filter_map(|(name, ty)| Some(case(name, (*ty)?)));
    forms.extend(full);
    json!({ "anyOf": forms })
}
