//! The shapes of inputs and answers, known while compiling.
//!
//! Authors meet this room only through [`Data`]: it is implemented for the usual types of `std`
//! and, by [`data`](crate::data), for their own.

use std::collections::BTreeMap;

/// A type that travels as JSON between a model and a tool.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand in a tool's input or answer",
    label = "its JSON Schema is not known",
    note = "use String, bool, numbers, Option<T>, Vec<T>, BTreeMap<String, T> or serde_json::Value, \
            or put #[data] on a type of your own"
)]
pub trait Data {
    /// What a value looks like.
    const SCHEMA: Schema;
    /// Whether a value must be given. Only an `Option` need not.
    const REQUIRED: bool = true;

    /// Whether there is no value, so that the name is left out of an answer.
    fn is_absent(&self) -> bool {
        false
    }
}

/// What a JSON value looks like.
#[derive(Debug, Clone, Copy)]
pub enum Schema {
    /// Any value.
    Any,
    /// A text.
    Text,
    /// `true` or `false`.
    Flag,
    /// A number, with or without a fraction.
    Number,
    /// A whole number, with its bounds where it has any.
    Integer(Option<i64>, Option<i64>),
    /// A list of equal things.
    List(&'static Schema),
    /// Any names, with values of one kind.
    Map(&'static Schema),
    /// Named values, and no others.
    Object(&'static [Property]),
    /// One of a few words.
    Choice(&'static [Choice]),
}

/// One named value of an object.
#[derive(Debug, Clone, Copy)]
pub struct Property {
    /// The name in the JSON object.
    pub name: &'static str,
    /// What it is for; may be empty.
    pub description: &'static str,
    /// Whether it must be given.
    pub required: bool,
    /// What it looks like.
    pub schema: &'static Schema,
    /// What is taken when it is not given.
    pub default: Option<Literal>,
    /// The least number.
    pub min: Option<i64>,
    /// The greatest number.
    pub max: Option<i64>,
    /// The regular expression that a text matches; of a list or a map, each text in it.
    pub pattern: Option<&'static str>,
    /// The most characters of a text; of a list or a map, of each text in it.
    pub max_length: Option<i64>,
    /// The most elements of a list.
    pub max_items: Option<i64>,
}

/// One word that may be chosen.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// The word.
    pub name: &'static str,
    /// What it means; may be empty.
    pub description: &'static str,
}

/// A default.
#[derive(Debug, Clone, Copy)]
pub enum Literal {
    /// A text.
    Text(&'static str),
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
}

macro_rules! data {
    ($($schema:expr => $($kind:ty),+;)+) => {
        $($(impl Data for $kind { const SCHEMA: Schema = $schema; })+)+
    };
}

data! {
    Schema::Any => serde_json::Value;
    Schema::Text => String, char;
    Schema::Flag => bool;
    Schema::Number => f32, f64;
    Schema::Integer(Some(0), Some(u8::MAX as i64)) => u8;
    Schema::Integer(Some(0), Some(u16::MAX as i64)) => u16;
    // From 32 bits on the bounds say nothing to a model; the tool still checks them.
    Schema::Integer(Some(0), None) => u32, u64, usize;
    Schema::Integer(Some(i8::MIN as i64), Some(i8::MAX as i64)) => i8;
    Schema::Integer(Some(i16::MIN as i64), Some(i16::MAX as i64)) => i16;
    Schema::Integer(None, None) => i32, i64, isize;
}

impl<T: Data> Data for Option<T> {
    const SCHEMA: Schema = T::SCHEMA;
    const REQUIRED: bool = false;

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T: Data> Data for Vec<T> {
    const SCHEMA: Schema = Schema::List(&T::SCHEMA);
}

impl<T: Data> Data for BTreeMap<String, T> {
    const SCHEMA: Schema = Schema::Map(&T::SCHEMA);
}
