//! Doubles for this crate's tests.

#[path = "../../../../tests/common/figures.rs"]
pub(crate) mod figures;
pub(crate) mod model;
#[cfg(feature = "cache-redis")]
#[path = "../../../../tests/common/redis.rs"]
pub(crate) mod redis;
pub(crate) mod server;
pub(crate) mod time;

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use toolcell::{
    ApprovalRequest, CallContext, Content, ErrorKind, ToolCall, ToolFailure, ToolResult, Usage,
};

use crate::{
    event::{AgentEvent, AgentSink},
    machine::{RunSettings, ToolOutput},
    runner::{ToolRunner, ToolSpec},
    wire::{
        Block, Message, ModelRequest, Reply, StopReason, TokenUsage, ToolDefinition, ToolUse,
        TurnOptions,
    },
};

pub(crate) fn settings() -> RunSettings {
    let tool = |name: &str| ToolDefinition {
        name: name.into(),
        description: String::new(),
        input_schema: json!({ "type": "object" }),
    };
    RunSettings {
        model: "test".into(),
        max_tokens: 100,
        system: None,
        tools: vec![tool("b"), tool("a"), tool("c")],
        extra: Map::new(),
        options: crate::wire::TurnOptions::default(),
        budget: crate::Budget::default(),
        repeat: crate::RepeatLimits::default(),
        price: None,
        context: crate::context::ContextRules::default(),
    }
}

/// A request for a turn of a hundred tokens.
pub(crate) fn request(messages: Vec<Message>) -> ModelRequest {
    ModelRequest {
        turn: 0,
        model: "claude-sonnet-5-5".into(),
        max_tokens: 100,
        system: None,
        tools: Vec::new(),
        messages,
        conversation: "c".into(),
        tenant: None,
        options: TurnOptions::default(),
        cache: None,
        extra: Map::new(),
    }
}

pub(crate) fn tool_use(id: &str, name: &str, input: Value) -> Block {
    Block::ToolUse(ToolUse {
        id: id.into(),
        name: name.into(),
        input,
        extra: Map::new(),
    })
}

pub(crate) fn reply(stop: StopReason, content: Vec<Block>) -> Reply {
    Reply {
        content,
        stop_reason: Some(stop),
        usage: TokenUsage {
            input_tokens: 10,
            output_tokens: 5,
            ..TokenUsage::default()
        },
        ..Reply::default()
    }
}

pub(crate) fn output(text: &str) -> ToolOutput {
    ToolOutput {
        content: vec![Block::text(text)],
        code: None,
    }
}

pub(crate) fn result(call: &ToolCall, content: Vec<Content>) -> ToolResult {
    ToolResult {
        call_id: call.id.clone(),
        tool: call.tool.clone(),
        content,
        structured: None,
        failure: None,
        usage: Usage::default(),
        denials: Vec::new(),
        redactions: std::collections::BTreeMap::new(),
        pending: None,
    }
}

pub(crate) fn failed(call: &ToolCall, kind: ErrorKind, message: &str) -> ToolResult {
    ToolResult {
        failure: Some(ToolFailure {
            help: Some("secret help".into()),
            ..ToolFailure::new(kind, message)
        }),
        ..result(call, vec![Content::text(message)])
    }
}

/// A question of a call.
pub(crate) fn approval(call_id: &str, tool: &str) -> ApprovalRequest {
    let value = json!({
        "id": format!("ask_{call_id}"), "tool": tool, "call_id": call_id, "access": "call",
        "rule": "toolcell.toml:2 tool.t.approve", "input_preview": "{}",
    });
    serde_json::from_value(value).unwrap()
}

/// A call that waits for the answer to a question.
pub(crate) fn pending(call: &ToolCall) -> ToolResult {
    ToolResult {
        pending: Some(Box::new(approval(call.id.as_str(), &call.tool))),
        ..failed(call, ErrorKind::Unavailable, "it waits")
    }
}

type Body =
    dyn Fn(ToolCall, CallContext) -> BoxFuture<'static, toolcell::Result<ToolResult>> + Send + Sync;

/// Tools without a sandbox, which remember their calls. `read` may be repeated, `write` and `other` may not.
#[derive(Clone)]
pub(crate) struct Tools {
    body: Arc<Body>,
    pub(crate) calls: Arc<Mutex<Vec<String>>>,
}

impl Tools {
    pub(crate) fn new<F>(body: F) -> Self
    where
        F: Fn(ToolCall, CallContext) -> BoxFuture<'static, toolcell::Result<ToolResult>>
            + Send
            + Sync
            + 'static,
    {
        Self {
            body: Arc::new(body),
            calls: Arc::default(),
        }
    }

    /// Answers every call with its id.
    pub(crate) fn echo() -> Self {
        Self::new(|call, _| {
            let text = format!("did {}", call.id);
            Box::pin(async move { Ok(result(&call, vec![Content::text(text)])) })
        })
    }

    /// The ids of all calls so far, sorted.
    pub(crate) fn seen(&self) -> Vec<String> {
        let mut seen = self.calls.lock().unwrap().clone();
        seen.sort();
        seen
    }
}

impl ToolRunner for Tools {
    fn tools(&self) -> Vec<ToolSpec> {
        ["write", "read", "other"]
            .into_iter()
            .map(|name| ToolSpec {
                name: name.into(),
                description: format!("the tool {name}"),
                input_schema: json!({ "type": "object" }),
                repeatable: name == "read",
            })
            .collect()
    }

    fn call<'a>(
        &'a self,
        call: ToolCall,
        context: &'a CallContext,
    ) -> BoxFuture<'a, toolcell::Result<ToolResult>> {
        self.calls.lock().unwrap().push(call.id.to_string());
        (self.body)(call, context.clone())
    }
}

/// A sink and what it heard.
pub(crate) fn recorder() -> (AgentSink, Arc<Mutex<Vec<AgentEvent>>>) {
    let heard: Arc<Mutex<Vec<AgentEvent>>> = Arc::default();
    let into = Arc::clone(&heard);
    (
        Arc::new(move |event| into.lock().unwrap().push(event)),
        heard,
    )
}
