//! The body of a request for a chat completion.

use serde_json::{Map, Value, json};

use super::{
    lacks::{Lack, Lacks},
    messages::messages,
    names::Names,
};
use crate::{
    model::ModelError,
    wire::{ModelRequest, OutputFormat, Thinking, ToolChoice, ToolDefinition, TurnOptions},
};

/// The body as an object.
///
/// # Errors
/// [`ModelError::Config`] for options that the API or this server does not take, and that are no mere wishes.
pub(super) fn chat_body(
    request: &ModelRequest,
    lacks: &Lacks,
    names: &Names,
) -> Result<Map<String, Value>, ModelError> {
    let mut body = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    };
    let options = &request.options;
    let knows = |lack| !lacks.has(lack);
    put("model", Some(json!(request.model)));
    let system = system(request, lacks);
    put(
        "messages",
        Some(messages(request, system, lacks, names).into()),
    );
    let longest = match knows(Lack::MaxCompletionTokens) {
        true => "max_completion_tokens",
        false => "max_tokens",
    };
    put(longest, Some(json!(request.max_tokens)));
    let stream = knows(Lack::Stream);
    put("stream", Some(stream.into()));
    let usage = json!({ "include_usage": true });
    put(
        "stream_options",
        (stream && knows(Lack::StreamOptions)).then_some(usage),
    );
    if !request.tools.is_empty() {
        let tools: Vec<Value> = request
            .tools
            .iter()
            .map(|tool| self::tool(tool, names))
            .collect();
        put("tools", Some(tools.into()));
        put("tool_choice", tool_choice(options, lacks, names)?);
        let one = options.one_tool_at_a_time && knows(Lack::ParallelToolCalls);
        put("parallel_tool_calls", one.then_some(false.into()));
    }
    let effort = effort(options)?.filter(|_| knows(Lack::ReasoningEffort));
    put("reasoning_effort", effort.map(Value::from));
    let format = options
        .format
        .as_ref()
        .filter(|_| knows(Lack::ResponseFormat));
    put(
        "response_format",
        format.map(|format| response_format(format, knows(Lack::Strict))),
    );
    let stops = &options.stop_sequences;
    put("stop", (!stops.is_empty()).then(|| json!(stops)));
    sampling(options, lacks, &mut put)?;
    let key =
        Some(&request.conversation).filter(|key| !key.is_empty() && knows(Lack::PromptCacheKey));
    put("prompt_cache_key", key.map(|key| json!(key)));
    // The operator's own fields come last: they are the last word.
    body.extend(request.extra.clone());
    Ok(body)
}

/// The operator's instructions, and the shape of the answer where there is no field for it.
fn system(request: &ModelRequest, lacks: &Lacks) -> Option<String> {
    let shape = request
        .options
        .format
        .as_ref()
        .filter(|_| lacks.has(Lack::ResponseFormat))
        .map(|format| {
            format!(
                "Answer with one JSON value that fits this JSON Schema, and with nothing else:\n{}",
                format.schema
            )
        });
    match (request.system.clone(), shape) {
        (Some(system), Some(shape)) => Some(format!("{system}\n\n{shape}")),
        (system, shape) => system.or(shape),
    }
}

fn tool(tool: &ToolDefinition, names: &Names) -> Value {
    let mut function = json!({ "name": names.sent(&tool.name), "parameters": tool.input_schema });
    if let (false, Some(fields)) = (tool.description.is_empty(), function.as_object_mut()) {
        fields.insert("description".to_owned(), tool.description.as_str().into());
    }
    json!({ "type": "function", "function": function })
}

/// Nothing where it would say what holds anyway.
fn tool_choice(
    options: &TurnOptions,
    lacks: &Lacks,
    names: &Names,
) -> Result<Option<Value>, ModelError> {
    let choice = match &options.tool_choice {
        ToolChoice::Auto => return Ok(None),
        ToolChoice::Any => json!("required"),
        ToolChoice::None => json!("none"),
        ToolChoice::Tool(name) => {
            json!({ "type": "function", "function": { "name": names.sent(name) } })
        }
    };
    match lacks.has(Lack::ToolChoice) {
        true => Err(lacking("tool_choice", "leave the choice to the model")),
        false => Ok(Some(choice)),
    }
}

/// The API knows efforts only, and an effort of none for no thinking.
fn effort(options: &TurnOptions) -> Result<Option<&'static str>, ModelError> {
    match options.thinking {
        Some(Thinking::Off) => Ok(Some("none")),
        None | Some(Thinking::Adaptive) => Ok(options.effort.map(crate::wire::Effort::name)),
        Some(Thinking::Tokens(_) | Thinking::BetweenTools) => Err(ModelError::Config(
            "OpenAI-compatible servers take neither a number of tokens for thinking nor `between_tools`; say `adaptive` or \
             `off`, or choose an effort"
                .into(),
        )),
    }
}

fn response_format(format: &OutputFormat, strict: bool) -> Value {
    let mut schema = json!({ "name": format.name, "schema": format.schema });
    if let (true, Some(fields)) = (strict && is_strict(&format.schema), schema.as_object_mut()) {
        fields.insert("strict".to_owned(), true.into());
    }
    json!({ "type": "json_schema", "json_schema": schema })
}

/// Whether a schema has the form that `strict` needs: every object says which members it has, all of them are required
/// and there are no others.
fn is_strict(schema: &Value) -> bool {
    let own = match schema.get("properties").and_then(Value::as_object) {
        Some(properties) => {
            let required = schema.get("required").and_then(Value::as_array);
            let required = |name: &String| {
                required.is_some_and(|it| it.iter().any(|one| one.as_str() == Some(name)))
            };
            schema.get("additionalProperties") == Some(&false.into())
                && properties.keys().all(required)
        }
        None => schema.get("type") != Some(&"object".into()),
    };
    own && match schema {
        Value::Object(fields) => fields.values().all(is_strict),
        Value::Array(list) => list.iter().all(is_strict),
        _ => true,
    }
}

fn sampling(
    options: &TurnOptions,
    lacks: &Lacks,
    put: &mut impl FnMut(&str, Option<Value>),
) -> Result<(), ModelError> {
    let sampling = options.sampling;
    if sampling.seed.is_some() && lacks.has(Lack::Seed) {
        return Err(lacking("seed", "leave it out"));
    }
    if sampling.top_k.is_some() && lacks.has(Lack::TopK) {
        return Err(lacking("top_k", "leave it out"));
    }
    put("temperature", sampling.temperature.map(Value::from));
    put("top_p", sampling.top_p.map(Value::from));
    put("top_k", sampling.top_k.map(Value::from));
    put("seed", sampling.seed.map(Value::from));
    Ok(())
}

fn lacking(word: &str, instead: &str) -> ModelError {
    ModelError::Config(format!(
        "the model's server does not take `{word}` (it stands among what the server lacks); {instead}"
    ))
}

#[cfg(test)]
mod tests;
