//! From JSON to values of a type.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Number, Value};
use wasmtime::component::Val;

use super::{Int, Misfit, Type, VALUES, schema::ODD_FLOATS};
use crate::text::escape_control;

/// How much is shown of a name that came with the value, in characters.
const SHOWN_CHARS: usize = 64;

/// Where a value lies: the way to it, made into text only where something is wrong.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    Root,
    Field(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl At<'_> {
    fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Field(parent, name) => {
                let name = name.replace('~', "~0").replace('/', "~1");
                format!("{}/{}", parent.pointer(), shown(&name))
            }
            Self::Item(parent, index) => format!("{}/{index}", parent.pointer()),
        }
    }

    pub(super) fn wrong<T>(&self, message: impl Into<String>) -> Result<T, Misfit> {
        Err(Misfit {
            pointer: self.pointer(),
            message: message.into(),
        })
    }
}

fn shown(text: &str) -> String {
    let short: String = text.chars().take(SHOWN_CHARS).collect();
    escape_control(&short).into_owned()
}

/// Reads values, and counts them.
pub(super) struct Reader {
    left: usize,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { left: VALUES }
    }

    fn count(&mut self, values: usize, at: &At<'_>) -> Result<(), Misfit> {
        match self.left.checked_sub(values) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => at.wrong(format!(
                "the whole input consists of more than {VALUES} values"
            )),
        }
    }

    /// A value of a type.
    ///
    /// # Errors
    ///
    /// What does not fit, and where.
    pub(super) fn value(&mut self, ty: &Type, value: &Value, at: &At<'_>) -> Result<Val, Misfit> {
        self.count(1, at)?;
        match (ty, value) {
            (Type::Bool, Value::Bool(it)) => Ok(Val::Bool(*it)),
            (Type::Int(int), value) => integer(*int, value, at),
            (Type::Float32 | Type::Float64, value) => float(ty, value, at),
            (Type::Char, Value::String(text)) => one_char(text, at),
            (Type::String, Value::String(text)) => Ok(Val::String(text.clone())),
            (Type::Bytes, Value::String(text)) => self.bytes(text, at),
            (Type::List(element), Value::Array(items)) => {
                let items = items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.value(element, item, &At::Item(at, index)))
                    .collect::<Result<_, _>>()?;
                Ok(Val::List(items))
            }
            (Type::Record(fields), Value::Object(members)) => {
                Ok(Val::Record(self.fields(fields, members, at)?))
            }
            (Type::Tuple(types), Value::Array(items)) => self.tuple(types, items, at),
            (Type::Variant(cases), value) => {
                let cases = || cases.iter().map(|(name, ty)| (name.as_str(), ty.as_ref()));
                let (name, inner) = self.case(cases, value, at)?;
                Ok(Val::Variant(name.to_owned(), inner))
            }
            (Type::Enum(names), Value::String(name)) if names.contains(name) => {
                Ok(Val::Enum(name.clone()))
            }
            (Type::Enum(names), _) => at.wrong(format!("expected one of {}", listed(names))),
            (Type::Option(_), Value::Null) => Ok(Val::Option(None)),
            (Type::Option(inner), value) => self.some(inner, value, at),
            (Type::Result { ok, err }, value) => {
                let cases = || [("ok", ok.as_deref()), ("err", err.as_deref())].into_iter();
                let (name, inner) = self.case(cases, value, at)?;
                Ok(Val::Result(if name == "ok" {
                    Ok(inner)
                } else {
                    Err(inner)
                }))
            }
            (Type::Flags(names), Value::Array(items)) => self.flags(names, items, at),
            (ty, value) => at.wrong(format!("expected {}, found {}", ty.form(), kind(value))),
        }
    }

    /// The fields of a record, or the arguments of a function, in the order of the type.
    pub(super) fn fields(
        &mut self,
        fields: &[(String, Type)],
        members: &Map<String, Value>,
        at: &At<'_>,
    ) -> Result<Vec<(String, Val)>, Misfit> {
        let unknown = members
            .keys()
            .find(|key| !fields.iter().any(|(name, _)| name == *key));
        if let Some(unknown) = unknown {
            let known: Vec<&String> = fields.iter().map(|(name, _)| name).collect();
            let known = if known.is_empty() {
                "there are none".to_owned()
            } else {
                format!("there are {}", listed(&known))
            };
            return At::Field(at, unknown).wrong(format!("no such field; {known}"));
        }
        fields
            .iter()
            .map(|(name, ty)| {
                let here = At::Field(at, name);
                let value = match members.get(name) {
                    Some(value) => self.value(ty, value, &here)?,
                    None if ty.takes_null() => Val::Option(None),
                    None => return here.wrong("it is missing"),
                };
                Ok((name.clone(), value))
            })
            .collect()
    }

    fn tuple(&mut self, types: &[Type], items: &[Value], at: &At<'_>) -> Result<Val, Misfit> {
        if types.len() != items.len() {
            return at.wrong(format!(
                "expected {} items, found {}",
                types.len(),
                items.len()
            ));
        }
        let items = types.iter().zip(items).enumerate();
        let items = items
            .map(|(index, (ty, item))| self.value(ty, item, &At::Item(at, index)))
            .collect::<Result<_, _>>()?;
        Ok(Val::Tuple(items))
    }

    fn bytes(&mut self, text: &str, at: &At<'_>) -> Result<Val, Misfit> {
        let Ok(bytes) = STANDARD.decode(text) else {
            return at.wrong("expected bytes in standard base64, with padding");
        };
        self.count(bytes.len(), at)?;
        Ok(Val::List(bytes.into_iter().map(Val::U8).collect()))
    }

    fn some(&mut self, inner: &Type, value: &Value, at: &At<'_>) -> Result<Val, Misfit> {
        if !inner.takes_null() {
            let value = self.value(inner, value, at)?;
            return Ok(Val::Option(Some(Box::new(value))));
        }
        match only(value) {
            Some(("some", value)) => {
                let value = self.value(inner, value, &At::Field(at, "some"))?;
                Ok(Val::Option(Some(Box::new(value))))
            }
            _ => at.wrong("expected null, or an object with the one key `some`"),
        }
    }

    fn case<'t, C>(
        &mut self,
        cases: impl Fn() -> C,
        value: &Value,
        at: &At<'_>,
    ) -> Result<(&'t str, Option<Box<Val>>), Misfit>
    where
        C: Iterator<Item = (&'t str, Option<&'t Type>)>,
    {
        let find = |wanted: &str| cases().find(|(name, _)| *name == wanted);
        match (value, only(value)) {
            (Value::String(wanted), _) => {
                if let Some((name, None)) = find(wanted) {
                    return Ok((name, None));
                }
            }
            (_, Some((wanted, inner))) => {
                if let Some((name, Some(ty))) = find(wanted) {
                    let inner = self.value(ty, inner, &At::Field(at, name))?;
                    return Ok((name, Some(Box::new(inner))));
                }
            }
            _ => {}
        }
        let forms: Vec<String> = cases()
            .map(|(name, ty)| match ty {
                Some(_) => format!("{{\"{name}\": …}}"),
                None => format!("\"{name}\""),
            })
            .collect();
        at.wrong(format!("expected one of {}", listed(&forms)))
    }

    fn flags(&mut self, names: &[String], items: &[Value], at: &At<'_>) -> Result<Val, Misfit> {
        let mut set: Vec<String> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let here = At::Item(at, index);
            let Some(name) = item
                .as_str()
                .and_then(|item| names.iter().find(|name| *name == item))
            else {
                return here.wrong(format!("expected one of {}", listed(names)));
            };
            if set.contains(name) {
                return here.wrong(format!("`{name}` is there twice"));
            }
            set.push(name.clone());
        }
        Ok(Val::Flags(set))
    }
}

/// The only member of an object.
fn only(value: &Value) -> Option<(&str, &Value)> {
    let members = value.as_object().filter(|members| members.len() == 1)?;
    members
        .iter()
        .next()
        .map(|(name, value)| (name.as_str(), value))
}

fn integer(int: Int, value: &Value, at: &At<'_>) -> Result<Val, Misfit> {
    let (min, max) = int.range();
    let expected = || at.wrong(format!("expected an integer from {min} to {max}"));
    let number = match value {
        Value::Number(number) => match whole(number) {
            Some(number) => number,
            None if number.as_f64().is_some_and(|it| it.fract() == 0.0) => {
                return at.wrong("expected an integer, written without a fraction or an exponent");
            }
            None => return expected(),
        },
        Value::String(text) if int.is_wide() => match decimal(text) {
            Some(number) => number,
            None => return expected(),
        },
        _ => return expected(),
    };
    let made = match int {
        Int::S8 => i8::try_from(number).map(Val::S8),
        Int::U8 => u8::try_from(number).map(Val::U8),
        Int::S16 => i16::try_from(number).map(Val::S16),
        Int::U16 => u16::try_from(number).map(Val::U16),
        Int::S32 => i32::try_from(number).map(Val::S32),
        Int::U32 => u32::try_from(number).map(Val::U32),
        Int::S64 => i64::try_from(number).map(Val::S64),
        Int::U64 => u64::try_from(number).map(Val::U64),
    };
    made.or_else(|_| expected())
}

fn whole(number: &Number) -> Option<i128> {
    let unsigned = number.as_u64().map(i128::from);
    unsigned.or_else(|| number.as_i64().map(i128::from))
}

/// An integer as people write it: digits, maybe with a `-`, and no zeros before them.
fn decimal(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = (1..=20).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'))
        && text != "-0";
    if plain { text.parse().ok() } else { None }
}

fn float(ty: &Type, value: &Value, at: &At<'_>) -> Result<Val, Misfit> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    };
    let Some(number) = number else {
        return at.wrong(format!(
            "expected a number, or one of {}",
            listed(&ODD_FLOATS.map(|odd| format!("\"{odd}\"")))
        ));
    };
    if *ty == Type::Float64 {
        return Ok(Val::Float64(number));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the nearest value is what is meant, and one beyond all is refused"
    )]
    let narrow = number as f32;
    if narrow.is_infinite() && number.is_finite() {
        return at.wrong("the number is too large for 32 bits");
    }
    Ok(Val::Float32(narrow))
}

fn one_char(text: &str, at: &At<'_>) -> Result<Val, Misfit> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(it), None) => Ok(Val::Char(it)),
        _ => at.wrong("expected text of exactly one character"),
    }
}

/// The first few of some names.
fn listed<T: AsRef<str>>(names: &[T]) -> String {
    const MOST: usize = 12;
    let mut shown: Vec<&str> = names.iter().take(MOST).map(AsRef::as_ref).collect();
    if names.len() > MOST {
        shown.push("…");
    }
    shown.join(", ")
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

impl Type {
    /// What a value of this type is in JSON.
    fn form(&self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Int(_) => "an integer",
            Self::Float32 | Self::Float64 => "a number",
            Self::Char => "text of one character",
            Self::String => "text",
            Self::Bytes => "bytes in base64",
            Self::List(_) | Self::Tuple(_) => "an array",
            Self::Record(_) => "an object",
            Self::Variant(_) | Self::Enum(_) | Self::Result { .. } => "one of the cases",
            Self::Option(_) => "a value or null",
            Self::Flags(_) => "an array of names",
        }
    }
}
