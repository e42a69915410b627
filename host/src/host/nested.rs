//! Calls that a tool makes of other tools.

use std::{future::Future, pin::Pin, sync::Arc, time::Instant};

use serde_json::Value;

use super::{Shared, first::First};
use crate::{
    CallContext, ErrorKind, SessionId, ToolCall, ToolFailure, ToolResult, Usage,
    capability::tools::{Callee, Nesting},
};

/// Carries out the calls of one call: with the callee's own grants, and its caller's deadline and cancellation.
pub(super) struct Nested {
    shared: Arc<Shared>,
    context: CallContext,
    first: First,
}

impl Nested {
    /// `session` is that of the caller: what it calls counts for it, too.
    pub(super) fn new(
        shared: &Arc<Shared>,
        context: &CallContext,
        session: &SessionId,
        deadline: Instant,
        first: &First,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            context: CallContext {
                deadline: Some(deadline),
                session: Some(session.clone()),
                ..context.clone()
            },
            first: first.clone(),
        }
    }
}

impl Callee for Nested {
    fn call(
        &self,
        name: String,
        input: Value,
        nesting: Nesting,
    ) -> Pin<Box<dyn Future<Output = ToolResult> + Send + '_>> {
        Box::pin(async move {
            let call = ToolCall::new(name, input);
            let (call_id, tool) = (call.id.clone(), call.tool.clone());
            let first = Some(&self.first);
            let called = self.shared.call(call, &self.context, nesting, first).await;
            if self.first.cancel().is_cancelled() {
                // The caller is being ended too. It must not go on with half an answer, nor answer itself.
                return std::future::pending().await;
            }
            match called {
                Ok(result) => result,
                // The log that took no record of this call will take none of its caller, whose result is withheld. What
                // went wrong may name paths of the host, and is not for a tool.
                Err(_) => ToolResult {
                    call_id,
                    tool,
                    content: Vec::new(),
                    structured: None,
                    failure: Some(ToolFailure::new(
                        ErrorKind::Internal,
                        "the host failed during the call",
                    )),
                    usage: Usage::default(),
                    denials: Vec::new(),
                    redactions: std::collections::BTreeMap::new(),
                    pending: None,
                },
            }
        })
    }
}
