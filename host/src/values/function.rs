//! A function as a tool: its schemas, its arguments from an input, and its answer.

use serde_json::{Value, json};
use wasmtime::component::Val;

use super::{
    Misfit, Type, Unwritable,
    read::{At, Reader},
    schema::object,
    write::Writer,
};

/// The parameters and the result of a function that can be a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) params: Vec<(String, Type)>,
    pub(crate) result: Option<Type>,
}

/// What a function answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// It has no result, and did not fail.
    Nothing,
    /// Its result is text.
    Text(String),
    /// Its result is any other value.
    Value(Value),
    /// It returned the error of its `result`, as words for the model.
    Failed(String),
}

/// What the answers of a function are, where they are asked for as one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// They are objects already.
    Record,
    /// They are any value, which becomes the one member `result`.
    Value,
}

impl Shape {
    /// An answer as one object.
    pub(crate) fn structured(self, answer: Value) -> Value {
        match self {
            Self::Record => answer,
            Self::Value => json!({ "result": answer }),
        }
    }
}

impl Function {
    /// The schema of its input: an object with the parameters by name.
    pub(crate) fn input_schema(&self) -> Value {
        object(&self.params)
    }

    /// The schema of its structured answer: a record as it is, and any other value as the one member `result`, since
    /// clients and models expect an object. `None` where it has nothing to answer.
    pub(crate) fn output_schema(&self) -> Option<Value> {
        let ty = self.payload()?;
        Some(match self.shape() {
            Shape::Record => ty.schema(),
            Shape::Value => json!({
                "type": "object", "properties": { "result": ty.schema() }, "required": ["result"],
                "additionalProperties": false,
            }),
        })
    }

    /// What its answers are.
    pub(crate) fn shape(&self) -> Shape {
        match self.payload() {
            Some(Type::Record(_)) => Shape::Record,
            _ => Shape::Value,
        }
    }

    /// The type of what it answers where all goes well: an error of its own is no answer.
    fn payload(&self) -> Option<&Type> {
        match self.result.as_ref()? {
            Type::Result { ok, .. } => ok.as_deref(),
            other => Some(other),
        }
    }

    /// The arguments for an input.
    ///
    /// # Errors
    ///
    /// What does not fit, and where.
    pub(crate) fn arguments(&self, input: &Value) -> Result<Vec<Val>, Misfit> {
        let Value::Object(members) = input else {
            return At::Root.wrong("expected an object with the arguments by name");
        };
        let fields = Reader::new().fields(&self.params, members, &At::Root)?;
        Ok(fields.into_iter().map(|(_, value)| value).collect())
    }

    /// The answer in a result, of at most so many bytes.
    ///
    /// # Errors
    ///
    /// It is too large.
    pub(crate) fn answer(
        &self,
        result: Option<&Val>,
        max_bytes: u64,
    ) -> Result<Answer, Unwritable> {
        let (ty, value) = match (&self.result, result) {
            (None, None) => return Ok(Answer::Nothing),
            (Some(Type::Result { ok, err }), Some(Val::Result(outcome))) => match (outcome, ok) {
                (Ok(None), None) => return Ok(Answer::Nothing),
                (Ok(Some(value)), Some(ty)) => (ty.as_ref(), value.as_ref()),
                (Err(value), _) => return failed(err.as_deref(), value.as_deref(), max_bytes),
                _ => return Err(Unwritable::Mismatch),
            },
            (Some(ty), Some(value)) => (ty, value),
            _ => return Err(Unwritable::Mismatch),
        };
        match Writer::new(max_bytes).value(ty, value)? {
            Value::String(text) if *ty == Type::String => Ok(Answer::Text(text)),
            value => Ok(Answer::Value(value)),
        }
    }
}

fn failed(ty: Option<&Type>, value: Option<&Val>, max_bytes: u64) -> Result<Answer, Unwritable> {
    match (ty, value) {
        (None, None) => Ok(Answer::Failed(
            "the tool failed, and gave no reason".to_owned(),
        )),
        (Some(ty), Some(value)) => Ok(Answer::Failed(
            match Writer::new(max_bytes).value(ty, value)? {
                Value::String(text) => text,
                value => value.to_string(),
            },
        )),
        _ => Err(Unwritable::Mismatch),
    }
}
