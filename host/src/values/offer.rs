//! Which exported functions become tools, and under which names.

use serde::Serialize;
use toolcell_policy::names;

use super::{Function, SCHEMA_BYTES, types::Unfit};

/// Interfaces that hosts call and models do not.
const NOT_FOR_MODELS: &[&str] = &["wasi:", "toolcell:"];

/// What language runtimes export for themselves: Python an instance, QuickJS a function.
const RUNTIMES: &[&str] = &["exports", "init"];

/// Where a component exports a function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The name of the instance, for example `docs:adder/add@0.1.0`; `None` at the top.
    pub(crate) instance: Option<String>,
    /// The function's name.
    pub(crate) name: String,
}

impl Place {
    pub(super) fn top(name: &str) -> Self {
        Self {
            instance: None,
            name: name.to_owned(),
        }
    }

    pub(super) fn inside(instance: &str, name: &str) -> Self {
        Self {
            instance: Some(instance.to_owned()),
            name: name.to_owned(),
        }
    }

    /// The interface's own name, without its package and version.
    pub(super) fn interface(&self) -> Option<&str> {
        let instance = self.instance.as_deref()?;
        let plain = instance
            .split_once('@')
            .map_or(instance, |(plain, _)| plain);
        Some(plain.rsplit(['/', ':']).next().unwrap_or(plain))
    }

    /// A kebab-case name for the tool: of the function, after that of its interface unless both are the same.
    fn tool_name(&self) -> Option<String> {
        if self.name.len() > names::MAX_PUBLIC_NAME {
            return None;
        }
        let function = names::to_kebab_case(&self.name)?;
        let name = match self.interface().and_then(names::to_kebab_case) {
            Some(interface) if interface != function => format!("{interface}-{function}"),
            _ => function,
        };
        names::is_kebab_case(&name).then_some(name)
    }

    fn shown(&self) -> String {
        match &self.instance {
            Some(instance) => format!("{instance}#{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// A function that a component exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exported {
    pub(crate) place: Place,
    /// Its types, or why it can be no tool.
    pub(crate) function: Result<Function, Unfit>,
}

/// A function that is no tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LeftOut {
    /// Its name, after that of its instance and `#`.
    pub function: String,
    /// Why, for example that it uses a resource, which has no form in JSON.
    pub reason: String,
}

impl LeftOut {
    pub(crate) fn new(place: &Place, reason: impl Into<String>) -> Self {
        let function: String = place.shown().chars().take(256).collect();
        Self {
            function,
            reason: reason.into(),
        }
    }
}

/// A function that becomes a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offered {
    /// The tool's name in kebab-case, unlike any other of the component.
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) function: Function,
}

/// Picks the functions that become tools, at most `most` of them. The order in which a component lists its exports does
/// not matter.
pub(crate) fn offer(mut exported: Vec<Exported>, most: usize) -> (Vec<Offered>, Vec<LeftOut>) {
    exported.sort_by(|a, b| a.place.cmp(&b.place));
    let (mut tools, mut left_out) = (Vec::<Offered>::new(), Vec::new());
    for Exported { place, function } in exported {
        if is_for_hosts(&place) {
            continue;
        }
        match fit(&place, function, &tools, most) {
            Ok((name, function)) => tools.push(Offered {
                name,
                place,
                function,
            }),
            Err(reason) => left_out.push(LeftOut::new(&place, reason)),
        }
    }
    (tools, left_out)
}

fn is_for_hosts(place: &Place) -> bool {
    let top = place.instance.as_deref().unwrap_or(&place.name);
    NOT_FOR_MODELS.iter().any(|start| top.starts_with(start))
}

fn fit(
    place: &Place,
    function: Result<Function, Unfit>,
    tools: &[Offered],
    most: usize,
) -> Result<(String, Function), Unfit> {
    let top = place.instance.as_deref().unwrap_or(&place.name);
    if RUNTIMES.contains(&top) {
        return Err("language runtimes export it for themselves".to_owned());
    }
    if place.name.contains(['[', ']']) {
        return Err("it belongs to a resource".to_owned());
    }
    let function = function?;
    let name = place.tool_name().ok_or_else(|| {
        format!(
            "no tool's name can be made of it: at most {} letters and digits",
            names::MAX_PUBLIC_NAME
        )
    })?;
    let alike = tools
        .iter()
        .find(|tool| tool.name == name || names::confusable(&tool.name, &name));
    if let Some(other) = alike {
        return Err(format!(
            "its name as a tool, `{name}`, is or looks like that of {}",
            other.place.shown()
        ));
    }
    let largest = [Some(function.input_schema()), function.output_schema()];
    let largest = largest
        .iter()
        .flatten()
        .map(|schema| schema.to_string().len())
        .max();
    if largest.is_some_and(|bytes| bytes > SCHEMA_BYTES) {
        return Err(format!("its schema has more than {SCHEMA_BYTES} bytes"));
    }
    if tools.len() >= most {
        return Err(format!("a package has at most {most} tools"));
    }
    Ok((name, function))
}
