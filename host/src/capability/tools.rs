//! Calls of other granted tools. A callee runs with its own grants; what it shares with its caller is the deadline,
//! and the budget of the whole tree of calls that one model's call grows into.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use toolcell_policy::GrantSet;
use wasmtime::component::{HasData, Linker};

use super::{
    bindings::toolcell::tool::{
        tools::{self, Host},
        types::{self as wit},
    },
    recorder::Recorder,
};
use crate::{Content, Denial, ErrorKind, ToolFailure, ToolResult, engine::limits};

/// How many calls all tools of one tree may make together. Depth alone would allow any number of them side by side.
pub(crate) const MAX_NESTED_CALLS: u32 = 256;

/// Who carries out a call that a tool makes.
pub(crate) trait Callee: Send + Sync {
    /// Calls the tool with the public name `name`. The result is what a model would see.
    fn call(
        &self,
        name: String,
        input: Value,
        nesting: Nesting,
    ) -> Pin<Box<dyn Future<Output = ToolResult> + Send + '_>>;
}

/// The place of a call in a tree of calls.
#[derive(Clone, Debug)]
pub(crate) struct Nesting {
    /// How many tools called one another to get here; 0 at the top.
    depth: u32,
    left: Arc<AtomicU32>,
}

impl Nesting {
    /// The place of a call that no tool made.
    pub(crate) fn top() -> Self {
        Self {
            depth: 0,
            left: Arc::new(AtomicU32::new(MAX_NESTED_CALLS)),
        }
    }

    /// The place of a call made from here, as long as the tree's budget lasts.
    fn below(&self) -> Option<Self> {
        self.left
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
            .ok()?;
        Some(Self {
            depth: self.depth + 1,
            left: self.left.clone(),
        })
    }
}

/// What one call may call.
pub(crate) struct ToolsState {
    grants: GrantSet,
    nesting: Nesting,
    callee: Arc<dyn Callee>,
    recorder: Recorder,
}

impl ToolsState {
    /// The state of a call at a place in its tree, whose calls `callee` carries out.
    pub(crate) fn new(
        grants: GrantSet,
        nesting: Nesting,
        callee: Arc<dyn Callee>,
        recorder: Recorder,
    ) -> Self {
        Self {
            grants,
            nesting,
            callee,
            recorder,
        }
    }

    /// Whether the tool may be called from here, or what the caller is told instead.
    fn admit(&self, name: &str) -> Result<(), wit::ToolError> {
        let verdict = self.grants.check_call(name);
        if !verdict.is_allowed() {
            return Err(self.deny(name, verdict.rule.to_string(), verdict.reason));
        }
        let max = self.grants.limits().call_depth;
        if self.nesting.depth >= max {
            let reason = format!("tools may call tools {max} deep at most");
            return Err(self.deny(name, format!("limit: call_depth = {max}"), reason));
        }
        Ok(())
    }

    fn deny(&self, name: &str, rule: String, reason: String) -> wit::ToolError {
        self.recorder.deny(Denial {
            capability: "tools".into(),
            access: format!("call {name}"),
            rule,
            reason: reason.clone(),
        });
        refusal(wit::ErrorKind::Denied, reason)
    }
}

struct HasTools;

impl HasData for HasTools {
    type Data<'a> = &'a mut ToolsState;
}

/// Links `toolcell:tool/tools`.
pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    get: fn(&mut T) -> &mut ToolsState,
) -> wasmtime::Result<()> {
    tools::add_to_linker::<T, HasTools>(linker, get)
}

type Answer = Result<Vec<wit::Content>, wit::ToolError>;

impl Host for ToolsState {
    async fn call(&mut self, name: String, input: String) -> wasmtime::Result<Answer> {
        if let Err(refused) = self.admit(&name) {
            return Ok(Err(refused));
        }
        // Before it is read: as values in the host's memory it is many times as large.
        if input.len() > limits::INPUT_BYTES {
            let max = limits::INPUT_BYTES;
            let message = format!(
                "the input has {} bytes; an input may have at most {max} bytes",
                input.len()
            );
            return Ok(Err(refusal(wit::ErrorKind::InvalidInput, message)));
        }
        let input = match serde_json::from_str::<Value>(&input) {
            Ok(input) => input,
            Err(error) => {
                let message = format!("the input is not JSON: {error}");
                return Ok(Err(refusal(wit::ErrorKind::InvalidInput, message)));
            }
        };
        let Some(nesting) = self.nesting.below() else {
            return Err(self
                .recorder
                .exceed(
                    ErrorKind::BudgetExceeded,
                    format!("tools made more than {MAX_NESTED_CALLS} calls of tools"),
                )
                .into());
        };
        let result = self.callee.call(name, input, nesting).await;
        Ok(answer(result))
    }
}

fn answer(result: ToolResult) -> Answer {
    match result.failure {
        Some(failure) => Err(error(failure)),
        None => result.content.into_iter().map(content).collect(),
    }
}

fn refusal(kind: wit::ErrorKind, message: String) -> wit::ToolError {
    wit::ToolError {
        kind,
        code: None,
        message,
        request_sent: false,
    }
}

/// A callee's failure for its caller. Rule and help are for people, and stay with the host.
fn error(failure: ToolFailure) -> wit::ToolError {
    let kind = match failure.kind {
        ErrorKind::InvalidInput => wit::ErrorKind::InvalidInput,
        ErrorKind::UnknownTool => wit::ErrorKind::NotFound,
        ErrorKind::Denied => wit::ErrorKind::Denied,
        ErrorKind::AuthRequired => wit::ErrorKind::AuthRequired,
        ErrorKind::Unavailable | ErrorKind::Busy => wit::ErrorKind::Unavailable,
        ErrorKind::LimitOutput => wit::ErrorKind::TooLarge,
        _ => wit::ErrorKind::Failed,
    };
    wit::ToolError {
        kind,
        code: Some(
            failure
                .tool_code
                .unwrap_or_else(|| failure.kind.code().to_owned()),
        ),
        message: failure.message,
        request_sent: failure.request_sent,
    }
}

fn content(content: Content) -> Result<wit::Content, wit::ToolError> {
    let blob = |mime_type, data: String| {
        Ok(wit::Blob {
            mime_type,
            data: decode(&data)?,
        })
    };
    Ok(match content {
        Content::Text { text } => wit::Content::Text(text),
        Content::Json { json } => wit::Content::Json(json.to_string()),
        Content::Image { mime_type, data } => wit::Content::Image(blob(mime_type, data)?),
        Content::Audio { mime_type, data } => wit::Content::Audio(blob(mime_type, data)?),
        Content::Resource {
            uri,
            mime_type,
            text,
            blob,
        } => wit::Content::Resource(wit::EmbeddedResource {
            uri,
            mime_type,
            body: match (text, blob) {
                (Some(text), _) => wit::ResourceBody::Text(text),
                (None, blob) => wit::ResourceBody::Bytes(decode(&blob.unwrap_or_default())?),
            },
        }),
    })
}

fn decode(data: &str) -> Result<Vec<u8>, wit::ToolError> {
    BASE64_STANDARD.decode(data).map_err(|_| {
        let message = "the called tool answered with bytes that are not base64";
        refusal(wit::ErrorKind::Failed, message.into())
    })
}

#[cfg(test)]
mod tests;
