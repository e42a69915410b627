//! From values of a type to JSON.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Number, Value, json};
use wasmtime::component::Val;

use super::{Type, Unwritable, VALUES};

/// The largest integer up to which every reader of JSON keeps every integer exact: 2^53 - 1.
const MAX_EXACT: u64 = (1 << 53) - 1;

/// Writes values, and counts what they take at least.
pub(super) struct Writer {
    bytes: u64,
    values: usize,
}

type Written = Result<Value, Unwritable>;

impl Writer {
    /// A writer of at most so many bytes. They are counted a little too low, since what is escaped takes more.
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            bytes: max_bytes,
            values: VALUES,
        }
    }

    fn count(&mut self, bytes: usize) -> Result<(), Unwritable> {
        self.values = self.values.checked_sub(1).ok_or(Unwritable::TooLarge)?;
        self.bytes = u64::try_from(bytes)
            .ok()
            .and_then(|bytes| self.bytes.checked_sub(bytes))
            .ok_or(Unwritable::TooLarge)?;
        Ok(())
    }

    fn text(&mut self, text: &str) -> Written {
        self.count(text.len())?;
        Ok(Value::from(text))
    }

    /// The JSON of a value.
    pub(super) fn value(&mut self, ty: &Type, value: &Val) -> Written {
        match (ty, value) {
            (Type::Char, Val::Char(it)) => self.text(it.encode_utf8(&mut [0; 4])),
            (Type::String, Val::String(text)) => self.text(text),
            (Type::Enum(_), Val::Enum(name)) => self.text(name),
            (Type::Bytes, Val::List(items)) => self.bytes(items),
            (Type::List(element), Val::List(items)) => {
                self.count(2)?;
                items.iter().map(|item| self.value(element, item)).collect()
            }
            (Type::Tuple(types), Val::Tuple(items)) if types.len() == items.len() => {
                self.count(2)?;
                let items = types.iter().zip(items);
                items.map(|(ty, item)| self.value(ty, item)).collect()
            }
            (Type::Record(fields), Val::Record(values)) if fields.len() == values.len() => {
                self.record(fields, values)
            }
            (Type::Variant(cases), Val::Variant(name, inner)) => {
                let ty = cases.iter().find(|(case, _)| case == name);
                let (_, ty) = ty.ok_or(Unwritable::Mismatch)?;
                self.case(name, ty.as_ref(), inner.as_deref())
            }
            (Type::Option(_), Val::Option(None)) => {
                self.count(4)?;
                Ok(Value::Null)
            }
            (Type::Option(inner), Val::Option(Some(value))) if inner.takes_null() => {
                self.case("some", Some(inner), Some(value))
            }
            (Type::Option(inner), Val::Option(Some(value))) => self.value(inner, value),
            (Type::Result { ok, .. }, Val::Result(Ok(value))) => {
                self.case("ok", ok.as_deref(), value.as_deref())
            }
            (Type::Result { err, .. }, Val::Result(Err(value))) => {
                self.case("err", err.as_deref(), value.as_deref())
            }
            (Type::Flags(_), Val::Flags(names)) => {
                self.count(2)?;
                names.iter().map(|name| self.text(name)).collect()
            }
            (ty, value) => {
                self.count(1)?;
                scalar(ty, value)
            }
        }
    }

    fn record(&mut self, fields: &[(String, Type)], values: &[(String, Val)]) -> Written {
        self.count(2)?;
        let mut members = Map::new();
        for ((name, ty), (found, value)) in fields.iter().zip(values) {
            if name != found {
                return Err(Unwritable::Mismatch);
            }
            self.count(name.len().saturating_add(3))?;
            members.insert(name.clone(), self.value(ty, value)?);
        }
        Ok(Value::Object(members))
    }

    fn case(&mut self, name: &str, ty: Option<&Type>, value: Option<&Val>) -> Written {
        match (ty, value) {
            (None, None) => self.text(name),
            (Some(ty), Some(value)) => {
                self.count(name.len().saturating_add(5))?;
                let value = self.value(ty, value)?;
                Ok(json!({ name: value }))
            }
            _ => Err(Unwritable::Mismatch),
        }
    }

    fn bytes(&mut self, items: &[Val]) -> Written {
        self.count(items.len().div_ceil(3).saturating_mul(4).saturating_add(2))?;
        let bytes = items
            .iter()
            .map(|item| match item {
                Val::U8(byte) => Ok(*byte),
                _ => Err(Unwritable::Mismatch),
            })
            .collect::<Result<Vec<u8>, _>>()?;
        Ok(Value::String(STANDARD.encode(bytes)))
    }
}

fn scalar(ty: &Type, value: &Val) -> Written {
    Ok(match (ty, value) {
        (Type::Bool, Val::Bool(it)) => Value::Bool(*it),
        (Type::Int(_), Val::S8(it)) => Value::from(*it),
        (Type::Int(_), Val::U8(it)) => Value::from(*it),
        (Type::Int(_), Val::S16(it)) => Value::from(*it),
        (Type::Int(_), Val::U16(it)) => Value::from(*it),
        (Type::Int(_), Val::S32(it)) => Value::from(*it),
        (Type::Int(_), Val::U32(it)) => Value::from(*it),
        (Type::Int(_), Val::S64(it)) if it.unsigned_abs() <= MAX_EXACT => Value::from(*it),
        (Type::Int(_), Val::S64(it)) => Value::from(it.to_string()),
        (Type::Int(_), Val::U64(it)) if *it <= MAX_EXACT => Value::from(*it),
        (Type::Int(_), Val::U64(it)) => Value::from(it.to_string()),
        (Type::Float32, Val::Float32(it)) => float(widen(*it)),
        (Type::Float64, Val::Float64(it)) => float(*it),
        _ => return Err(Unwritable::Mismatch),
    })
}

fn float(number: f64) -> Value {
    match Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => Value::from("NaN"),
        None if number > 0.0 => Value::from("Infinity"),
        None => Value::from("-Infinity"),
    }
}

/// A number of 32 bits as the shortest decimal that means it: 0.1, and not 0.10000000149011612.
fn widen(number: f32) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is compared with what it came from"
    )]
    let means = |wide: f64| (wide as f32).to_bits() == number.to_bits();
    number
        .to_string()
        .parse()
        .ok()
        .filter(|wide| means(*wide))
        .unwrap_or_else(|| f64::from(number))
}
