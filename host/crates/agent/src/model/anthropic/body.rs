//! The body of a Messages request, for every API that takes one.

mod marks;
mod shape;

use serde_json::{Map, Value, json};

use crate::{
    model::ModelError,
    wire::{ModelRequest, OutputFormat, Thinking, ToolChoice, TurnOptions},
};

/// What differs between the APIs that take a Messages request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect<'a> {
    /// Whether the body names the model; elsewhere the URL does.
    pub(crate) model: bool,
    /// The field `stream`; absent where the URL says it.
    pub(crate) stream: Option<bool>,
    /// The field `anthropic_version`; absent where a header says it.
    pub(crate) version: Option<&'a str>,
    /// Whether sampling parameters are taken.
    pub(crate) sampling: bool,
}

/// The body as an object.
///
/// # Errors
/// [`ModelError::Config`] for options that this dialect does not take.
pub(crate) fn messages_body(
    request: &ModelRequest,
    dialect: Dialect<'_>,
) -> Result<Map<String, Value>, ModelError> {
    let mut body = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    };
    put("model", dialect.model.then(|| json!(request.model)));
    put("max_tokens", Some(json!(request.max_tokens)));
    put("stream", dialect.stream.map(Value::from));
    put("anthropic_version", dialect.version.map(Value::from));
    put("system", marks::system(request));
    put("tools", marks::tools(request));
    put("messages", Some(marks::messages(request)));
    let options = &request.options;
    put(
        "tool_choice",
        tool_choice(options, !request.tools.is_empty()),
    );
    put("thinking", options.thinking.map(thinking));
    put("output_config", output_config(options));
    let stops = &options.stop_sequences;
    put("stop_sequences", (!stops.is_empty()).then(|| json!(stops)));
    if !options.sampling.is_default() {
        sampling(options, dialect, &mut put)?;
    }
    let sampled = ["temperature", "top_p", "top_k"];
    if !dialect.sampling && sampled.iter().any(|key| request.extra.contains_key(*key)) {
        return Err(no_sampling());
    }
    // The operator's own fields come last: they are the last word.
    body.extend(request.extra.clone());
    Ok(body)
}

fn no_sampling() -> ModelError {
    ModelError::Config(
        "the Messages API takes no temperature, top_p or top_k since version 2026-10-21; \
         leave them out, or pin the version before (2023-06-01, bedrock-2023-05-31, vertex-2023-10-16)"
            .into(),
    )
}

/// The body of a request that has the tokens of this one counted.
///
/// # Errors
/// As [`messages_body`].
pub(crate) fn count_body(request: &ModelRequest) -> Result<Map<String, Value>, ModelError> {
    let dialect = Dialect {
        model: true,
        stream: None,
        version: None,
        // What is not counted is taken out again.
        sampling: true,
    };
    let mut body = messages_body(request, dialect)?;
    body.retain(|key, _| COUNTED.contains(&key.as_str()));
    Ok(body)
}

/// The fields that the counting endpoint takes.
const COUNTED: [&str; 11] = [
    "cache_control",
    "context_management",
    "mcp_servers",
    "messages",
    "model",
    "output_config",
    "speed",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];

fn sampling(
    options: &TurnOptions,
    dialect: Dialect<'_>,
    put: &mut impl FnMut(&str, Option<Value>),
) -> Result<(), ModelError> {
    let sampling = options.sampling;
    if sampling.seed.is_some() {
        return Err(ModelError::Config("the Messages API takes no seed".into()));
    }
    if !dialect.sampling {
        return Err(no_sampling());
    }
    put("temperature", sampling.temperature.map(Value::from));
    put("top_p", sampling.top_p.map(Value::from));
    put("top_k", sampling.top_k.map(Value::from));
    Ok(())
}

/// Nothing where it would say what holds anyway.
fn tool_choice(options: &TurnOptions, any_tools: bool) -> Option<Value> {
    let mut choice = match &options.tool_choice {
        _ if !any_tools => return None,
        ToolChoice::Auto if !options.one_tool_at_a_time => return None,
        ToolChoice::Auto => json!({ "type": "auto" }),
        ToolChoice::Any => json!({ "type": "any" }),
        ToolChoice::None => return Some(json!({ "type": "none" })),
        ToolChoice::Tool(name) => json!({ "type": "tool", "name": name }),
    };
    if let (true, Some(fields)) = (options.one_tool_at_a_time, choice.as_object_mut()) {
        fields.insert("disable_parallel_tool_use".into(), true.into());
    }
    Some(choice)
}

fn thinking(thinking: Thinking) -> Value {
    match thinking {
        Thinking::Adaptive => json!({ "type": "adaptive" }),
        Thinking::Tokens(tokens) => json!({ "type": "enabled", "budget_tokens": tokens }),
        Thinking::BetweenTools => json!({ "type": "between_tools" }),
        Thinking::Off => json!({ "type": "disabled" }),
    }
}

fn output_config(options: &TurnOptions) -> Option<Value> {
    let mut config = Map::new();
    if let Some(effort) = options.effort {
        config.insert("effort".into(), effort.name().into());
    }
    if let Some(OutputFormat { schema, .. }) = &options.format {
        let schema = shape::simplified(schema);
        let format = json!({ "type": "json_schema", "schema": schema });
        config.insert("format".into(), format);
    }
    (!config.is_empty()).then(|| config.into())
}

#[cfg(test)]
mod tests;
