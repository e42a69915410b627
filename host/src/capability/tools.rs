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
use futures_util::future::BoxFuture;
use serde_json::Value;
use toolcell_policy::{Access, GrantSet};
use wasmtime::component::{HasData, Linker};

use super::{
    LimitExceeded,
    answer::{Answer, Blob, Body, OwnError, OwnErrorKind, Piece},
    ask::Ask,
    bindings::toolcell::tool::{
        tools::{self, Host},
        types::{self as wit},
    },
    recorder::Recorder,
};
use crate::{Content, Denial, ErrorKind, ToolFailure, ToolResult, engine::limits};

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
    /// What is left of the limit `nested_calls` of this call and of every call above it. Depth alone would allow any
    /// number of calls side by side.
    budgets: Vec<Budget>,
}

/// How many calls one call may cause, at every depth together.
#[derive(Clone, Debug)]
struct Budget {
    max: u32,
    left: Arc<AtomicU32>,
}

impl Nesting {
    /// The place of a call that no tool made.
    pub(crate) fn top() -> Self {
        Self {
            depth: 0,
            budgets: Vec::new(),
        }
    }

    /// Whether no tool made the call.
    pub(crate) fn is_top(&self) -> bool {
        self.depth == 0
    }

    /// The same place, where everything that is called from it counts against one more budget.
    pub(crate) fn within(&self, nested_calls: u32) -> Self {
        let mut budgets = self.budgets.clone();
        budgets.push(Budget {
            max: nested_calls,
            left: Arc::new(AtomicU32::new(nested_calls)),
        });
        Self {
            depth: self.depth,
            budgets,
        }
    }

    /// Whether a budget of the call, or of one above it, is used up.
    fn is_used_up(&self) -> bool {
        let mut budgets = self.budgets.iter();
        budgets.any(|budget| budget.left.load(Relaxed) == 0)
    }

    /// The place of a call made from here, as long as every budget lasts.
    ///
    /// # Errors
    ///
    /// The budget that is used up. It ends the call, so that what was taken from others is not given back.
    fn below(&self) -> Result<Self, u32> {
        for budget in &self.budgets {
            budget
                .left
                .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
                .map_err(|_| budget.max)?;
        }
        Ok(Self {
            depth: self.depth + 1,
            budgets: self.budgets.clone(),
        })
    }
}

/// Answers the calls of one guest, after deciding on them.
pub(crate) trait CallTools: Send + Sync {
    /// Calls the tool with the public name `name`; `input` is the guest's text.
    ///
    /// # Errors
    ///
    /// The limit that ends the guest.
    fn call<'a>(
        &'a self,
        name: String,
        input: String,
    ) -> BoxFuture<'a, Result<Answer, LimitExceeded>>;
}

/// What one call may call.
pub(crate) struct ToolsState(pub(crate) Arc<dyn CallTools>);

/// Decides on the calls of one guest by its grants, and has them carried out.
pub(crate) struct Admission {
    pub(crate) grants: GrantSet,
    /// The place of the guest's own call.
    pub(crate) nesting: Nesting,
    pub(crate) callee: Arc<dyn Callee>,
    /// Who hears of calls in a host that learns.
    pub(crate) asker: Option<Arc<dyn Ask>>,
    pub(crate) recorder: Recorder,
}

impl Admission {
    /// Whether the tool may be called from here, or what the caller is told instead.
    async fn admit(&self, name: &str) -> Result<(), OwnError> {
        let verdict = self.grants.check_call(name);
        if !self.learned(name).await && !verdict.is_allowed() {
            return Err(self.deny(name, verdict.rule.to_string(), verdict.reason));
        }
        let max = self.grants.limits().call_depth;
        if self.nesting.depth >= max {
            let reason = format!("tools may call tools {max} deep at most");
            return Err(self.deny(name, format!("limit: call_depth = {max}"), reason));
        }
        Ok(())
    }

    /// Whether a host that learns was told that this tool may be called, though no rule speaks of it.
    async fn learned(&self, name: &str) -> bool {
        let Some(asker) = &self.asker else {
            return false;
        };
        let access = Access::Call {
            tool: name.to_owned(),
        };
        let lacks_a_line = self.grants.lacks_a_line(&access);
        asker.learn(access, lacks_a_line).await
    }

    /// What was denied to a callee was denied to whoever called it as well: where its answer comes of that, it is to
    /// be told by its rule, and not to look like a fault of the tool. A budget that a callee used up ends whoever's it
    /// is.
    fn hand_up(&self, result: &ToolResult) -> Result<(), LimitExceeded> {
        let Some(failure) = &result.failure else {
            return Ok(());
        };
        match failure.kind {
            ErrorKind::Denied => self.recorder.deny(Denial {
                capability: "tools".into(),
                access: format!("call {}", result.tool),
                rule: failure.rule.clone().unwrap_or_default(),
                reason: failure.message.clone(),
            }),
            ErrorKind::BudgetExceeded if self.nesting.is_used_up() => {
                return Err(self.recorder.exceed(failure.kind, failure.message.clone()));
            }
            _ => {}
        }
        Ok(())
    }

    fn deny(&self, name: &str, rule: String, reason: String) -> OwnError {
        self.recorder.deny(Denial {
            capability: "tools".into(),
            access: format!("call {name}"),
            rule,
            reason: reason.clone(),
        });
        refusal(OwnErrorKind::Denied, reason)
    }
}

impl CallTools for Admission {
    fn call<'a>(
        &'a self,
        name: String,
        input: String,
    ) -> BoxFuture<'a, Result<Answer, LimitExceeded>> {
        Box::pin(async move {
            if let Err(refused) = self.admit(&name).await {
                return Ok(Err(refused));
            }
            let input = match read(input) {
                Ok(input) => input,
                Err(refused) => return Ok(Err(refused)),
            };
            let nesting = self.nesting.below().map_err(|max| {
                self.recorder.exceed(
                    ErrorKind::BudgetExceeded,
                    format!("tools made more calls of tools than they may: the limit `nested_calls` is {max}"),
                )
            })?;
            let result = self.callee.call(name, input, nesting).await;
            self.hand_up(&result)?;
            Ok(answer(result))
        })
    }
}

fn read(input: String) -> Result<Value, OwnError> {
    // Before it is read: as values in the host's memory it is many times as large.
    if input.len() > limits::INPUT_BYTES {
        let max = limits::INPUT_BYTES;
        let message = format!(
            "the input has {} bytes; an input may have at most {max} bytes",
            input.len()
        );
        return Err(refusal(OwnErrorKind::InvalidInput, message));
    }
    serde_json::from_str(&input).map_err(|error| {
        let message = format!("the input is not JSON: {error}");
        refusal(OwnErrorKind::InvalidInput, message)
    })
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

impl Host for ToolsState {
    async fn call(
        &mut self,
        name: String,
        input: String,
    ) -> wasmtime::Result<Result<Vec<wit::Content>, wit::ToolError>> {
        let answer = self.0.call(name, input).await?;
        Ok(answer
            .map(|pieces| pieces.into_iter().map(Into::into).collect())
            .map_err(Into::into))
    }
}

fn answer(result: ToolResult) -> Answer {
    match result.failure {
        Some(failure) => Err(error(failure)),
        None => result.content.into_iter().map(content).collect(),
    }
}

fn refusal(kind: OwnErrorKind, message: String) -> OwnError {
    OwnError {
        kind,
        code: None,
        message,
        request_sent: false,
    }
}

/// A callee's failure for its caller. Rule and help are for people, and stay with the host.
fn error(failure: ToolFailure) -> OwnError {
    let kind = match failure.kind {
        ErrorKind::InvalidInput => OwnErrorKind::InvalidInput,
        ErrorKind::UnknownTool => OwnErrorKind::NotFound,
        ErrorKind::Denied => OwnErrorKind::Denied,
        ErrorKind::AuthRequired => OwnErrorKind::AuthRequired,
        ErrorKind::Unavailable | ErrorKind::Busy => OwnErrorKind::Unavailable,
        ErrorKind::LimitOutput => OwnErrorKind::TooLarge,
        _ => OwnErrorKind::Failed,
    };
    OwnError {
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

fn content(content: Content) -> Result<Piece, OwnError> {
    let blob = |mime_type, data: String| {
        Ok(Blob {
            mime_type,
            data: decode(&data)?,
        })
    };
    Ok(match content {
        Content::Text { text } => Piece::Text(text),
        Content::Json { json } => Piece::Json(json.to_string()),
        Content::Image { mime_type, data } => Piece::Image(blob(mime_type, data)?),
        Content::Audio { mime_type, data } => Piece::Audio(blob(mime_type, data)?),
        Content::Resource {
            uri,
            mime_type,
            text,
            blob,
        } => Piece::Resource {
            uri,
            mime_type,
            body: match (text, blob) {
                (Some(text), _) => Body::Text(text),
                (None, blob) => Body::Bytes(decode(&blob.unwrap_or_default())?),
            },
        },
    })
}

fn decode(data: &str) -> Result<Vec<u8>, OwnError> {
    BASE64_STANDARD.decode(data).map_err(|_| {
        let message = "the called tool answered with bytes that are not base64";
        refusal(OwnErrorKind::Failed, message.into())
    })
}

impl From<Piece> for wit::Content {
    fn from(piece: Piece) -> Self {
        let blob = |Blob { mime_type, data }| wit::Blob { mime_type, data };
        match piece {
            Piece::Text(text) => Self::Text(text),
            Piece::Json(json) => Self::Json(json),
            Piece::Image(image) => Self::Image(blob(image)),
            Piece::Audio(audio) => Self::Audio(blob(audio)),
            Piece::Resource {
                uri,
                mime_type,
                body,
            } => Self::Resource(wit::EmbeddedResource {
                uri,
                mime_type,
                body: match body {
                    Body::Text(text) => wit::ResourceBody::Text(text),
                    Body::Bytes(bytes) => wit::ResourceBody::Bytes(bytes),
                },
            }),
        }
    }
}

impl From<OwnError> for wit::ToolError {
    fn from(error: OwnError) -> Self {
        Self {
            kind: match error.kind {
                OwnErrorKind::InvalidInput => wit::ErrorKind::InvalidInput,
                OwnErrorKind::NotFound => wit::ErrorKind::NotFound,
                OwnErrorKind::Denied => wit::ErrorKind::Denied,
                OwnErrorKind::AuthRequired => wit::ErrorKind::AuthRequired,
                OwnErrorKind::Unavailable => wit::ErrorKind::Unavailable,
                OwnErrorKind::TooLarge => wit::ErrorKind::TooLarge,
                OwnErrorKind::Failed => wit::ErrorKind::Failed,
            },
            code: error.code,
            message: error.message,
            request_sent: error.request_sent,
        }
    }
}

#[cfg(test)]
mod tests;
