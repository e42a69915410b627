//! Calls of components that know nothing of this host's contract: one of their functions is called with values made of
//! the input, and its result becomes the answer.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;
use toolcell_policy::MAX_TOOLS;
use wasmtime::{
    Store,
    component::{Component, ComponentExportIndex, InstancePre, Val},
};

use super::CallState;
use crate::{
    ErrorKind,
    capability::answer::{Answer, OwnError, OwnErrorKind, Piece},
    values::{self, Function, Offered, Place, Unwritable},
};

/// A linked component and the functions that are its tools.
#[derive(Clone)]
pub(super) struct Plain {
    pre: InstancePre<CallState>,
    functions: Arc<BTreeMap<String, Callable>>,
}

/// A function and where it is.
struct Callable {
    index: ComponentExportIndex,
    function: Function,
}

impl Plain {
    /// Finds the functions, by the rules that also name the tools when a package is inspected.
    pub(super) fn new(pre: InstancePre<CallState>) -> Self {
        let component = pre.component();
        let (tools, _) = values::offer(values::functions_of_component(component), MAX_TOOLS);
        let functions = tools
            .into_iter()
            .filter_map(
                |Offered {
                     name,
                     place,
                     function,
                 }| {
                    let index = index(component, &place)?;
                    Some((name, Callable { index, function }))
                },
            )
            .collect();
        Self {
            functions: Arc::new(functions),
            pre,
        }
    }

    /// Calls the function of a tool, in a store with all its limits.
    pub(super) async fn call(
        &self,
        store: &mut Store<CallState>,
        tool: &str,
        input: &str,
        max_output: u64,
    ) -> wasmtime::Result<Answer> {
        let missing = || failed(OwnErrorKind::Failed, "the component has no such function");
        let Some(Callable { index, function }) = self.functions.get(tool) else {
            return Ok(missing());
        };
        let arguments = match arguments(function, input) {
            Ok(arguments) => arguments,
            Err(why) => {
                let why = format!("the input does not fit the function: {why}");
                return Ok(failed(OwnErrorKind::InvalidInput, why));
            }
        };
        let instance = self.pre.instantiate_async(&mut *store).await?;
        let Some(callable) = instance.get_func(&mut *store, index) else {
            return Ok(missing());
        };
        let mut results = vec![Val::Bool(false); usize::from(function.result.is_some())];
        callable
            .call_async(&mut *store, &arguments, &mut results)
            .await?;
        match function.answer(results.first(), max_output) {
            Ok(answer) => Ok(plain(answer)),
            Err(Unwritable::TooLarge) => {
                let why =
                    format!("the answer has more than the {max_output} bytes that are allowed");
                let recorder = &store.data().recorder;
                Err(recorder.exceed(ErrorKind::LimitOutput, why).into())
            }
            Err(Unwritable::Mismatch) => {
                let why = "the function's result is no value of its type";
                Ok(failed(OwnErrorKind::Failed, why))
            }
        }
    }
}

fn arguments(function: &Function, input: &str) -> Result<Vec<Val>, String> {
    let input: Value = serde_json::from_str(input).map_err(|_| "it is no JSON".to_owned())?;
    function
        .arguments(&input)
        .map_err(|misfit| misfit.to_string())
}

/// The answer as a tool of the contract would give it.
fn plain(answer: values::Answer) -> Answer {
    match answer {
        values::Answer::Nothing => Ok(Vec::new()),
        values::Answer::Text(text) => Ok(vec![Piece::Text(text)]),
        values::Answer::Value(value) => Ok(vec![Piece::Json(value.to_string())]),
        values::Answer::Failed(why) => failed(OwnErrorKind::Failed, why),
    }
}

fn failed(kind: OwnErrorKind, message: impl Into<String>) -> Answer {
    Err(OwnError {
        kind,
        code: None,
        message: message.into(),
        request_sent: false,
    })
}

fn index(component: &Component, place: &Place) -> Option<ComponentExportIndex> {
    let instance = match &place.instance {
        Some(instance) => Some(component.get_export_index(None, instance)?),
        None => None,
    };
    component.get_export_index(instance.as_ref(), &place.name)
}
