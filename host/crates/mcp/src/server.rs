//! The requests that a client may send.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CustomRequest, CustomResult,
        ErrorCode, Implementation, InputResponses, ListToolsResult, PaginatedRequestParams,
        ProtocolVersion, ServerCapabilities, ServerConfig,
    },
    service::RequestContext,
};
use serde_json::Value;
use toolcell::{CallContext, ErrorKind, SessionId, SharedApprover, ToolCall, ToolHost, ToolResult};

use crate::{
    ANSWER_WAIT, Options,
    aside::{Calls, Came, Gone, Running, Wanted},
    ask::{self, Allowed, Now},
    convert,
    progress::{self, Reports},
};

/// How long a client may keep the list of tools, in milliseconds: a minute, so that it notices an update soon.
const LIST_TTL_MS: u64 = 60_000;

/// A tool host as an MCP server.
pub(crate) struct ToolServer {
    host: ToolHost,
    options: Options,
    /// There is one server for each connection, and so one session.
    session: SessionId,
    /// What the person at the client allowed for this session.
    allowed: Allowed,
    /// The calls that wait for that person.
    calls: Calls,
}

impl ToolServer {
    pub(crate) fn new(host: ToolHost, options: Options) -> Self {
        Self {
            host,
            options,
            session: SessionId::random(),
            allowed: Allowed::default(),
            calls: Calls::default(),
        }
    }

    fn wait(&self) -> Duration {
        self.options.answer_wait.unwrap_or(ANSWER_WAIT)
    }

    /// A call whose client may be asked while it runs, or not at all.
    async fn call_through(
        &self,
        wanted: Wanted,
        surroundings: CallContext,
        reports: Reports,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let call = ToolCall::new(wanted.tool, Value::Object(wanted.arguments));
        let running = self.host.call_with(call, &surroundings);
        let result = progress::forward(running, reports, &context.peer).await;
        answer(result, is_modern(context))
    }

    /// A call that is put aside when it asks.
    async fn call_aside(
        &self,
        mut running: Running,
        reports: Reports,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let going = running.go_on(&context.ct);
        let mut came = progress::forward(going, reports, &context.peer).await;
        loop {
            let question = match came {
                Came::Ended(Ok(result)) => return answer(result, true),
                Came::Ended(Err(error)) => return Err(failed(&error)),
                Came::Asks(question) => question,
            };
            match self.calls.put(running, question, self.wait()) {
                Ok(required) => return Ok(required.into()),
                // The question was dropped, so nobody answers it.
                Err(back) => running = back,
            }
            came = running.go_on(&context.ct).await;
        }
    }

    /// Goes on with a call that was put aside.
    async fn call_again(
        &self,
        name: &str,
        wanted: &Wanted,
        responses: Option<&InputResponses>,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match self.calls.take(name, wanted, responses) {
            Ok((running, None)) => self.call_aside(running, None, context).await,
            Ok((running, Some(question))) => match self.calls.put(running, question, self.wait()) {
                Ok(required) => Ok(required.into()),
                Err(running) => self.call_aside(running, None, context).await,
            },
            Err(gone) => {
                let message = match gone {
                    Gone::Unknown => "no call waits under this `requestState`; make the call again",
                    Gone::Other => "this `requestState` belongs to another call",
                };
                Err(ErrorData::invalid_params(message, None))
            }
        }
    }
}

/// What a client is told of a call that ended.
fn answer(
    result: toolcell::Result<ToolResult>,
    modern: bool,
) -> Result<CallToolResponse, ErrorData> {
    let result = result.map_err(|error| failed(&error))?;
    match &result.failure {
        Some(failure) if failure.kind == ErrorKind::UnknownTool => {
            Err(ErrorData::invalid_params(failure.message.clone(), None))
        }
        _ => Ok(convert::result(result, modern).into()),
    }
}

/// What went wrong inside the host is for its operator, not for whoever is connected.
fn failed(error: &dyn std::error::Error) -> ErrorData {
    tracing::error!(%error, "the call could not be carried out");
    ErrorData::internal_error("the tool host failed; its log says why", None)
}

impl ServerHandler for ToolServer {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        let own = Implementation::new("toolcell", env!("CARGO_PKG_VERSION"));
        let mut info = ServerConfig::new(capabilities).with_server_info(own);
        info.instructions.clone_from(&self.options.instructions);
        info
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        if request.is_some_and(|request| request.cursor.is_some()) {
            let message = "unknown cursor: the list of tools has one page";
            return Err(ErrorData::invalid_params(message, None));
        }
        let modern = is_modern(&context);
        let tools = self.host.tools();
        let tools = tools.iter().map(|tool| convert::tool(tool, modern));
        let list = ListToolsResult::with_all_items(tools.collect());
        Ok(match modern {
            true => list
                .with_ttl_ms(LIST_TTL_MS)
                .with_cache_scope(CacheScope::Private),
            false => list,
        })
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let wanted = Wanted {
            tool: request.name.into_owned(),
            arguments: request.arguments.unwrap_or_default(),
        };
        if let Some(name) = &request.request_state {
            let responses = request.input_responses.as_ref();
            return self.call_again(name, &wanted, responses, &context).await;
        }
        let (events, reports) = progress::channel(context.meta.get_progress_token());
        let mut surroundings = CallContext {
            cancel: context.ct.clone(),
            events: Some(events),
            session: Some(self.session.clone()),
            ..CallContext::default()
        };
        let asks = ask::shows_forms(context.client_capabilities().as_ref());
        if asks && is_modern(&context) {
            let running =
                Running::begin(&self.host, wanted, surroundings, &self.allowed, self.wait());
            return self.call_aside(running, reports, &context).await;
        }
        if asks {
            surroundings.approver = Some(SharedApprover::new(Now {
                peer: context.peer.clone(),
                allowed: self.allowed.clone(),
                wait: self.wait(),
            }));
        }
        self.call_through(wanted, surroundings, reports, &context)
            .await
    }

    /// rmcp passes on as custom what it does not know, and also what it knows in a shape that it does not.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        match request.method.as_str() {
            "tools/call" => {
                let message = "`tools/call` takes `name`, a string, and `arguments`, an object";
                Err(ErrorData::invalid_params(message, None))
            }
            "tools/list" => Err(ErrorData::invalid_params(
                "`tools/list` takes `cursor`, a string, or nothing",
                None,
            )),
            _ => Err(ErrorData::new(
                ErrorCode::METHOD_NOT_FOUND,
                "there is no such method",
                None,
            )),
        }
    }
}

/// Whether the request belongs to a revision in which every request stands for itself. Revisions are dates, which
/// compare as text.
fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context
        .protocol_version()
        .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}
