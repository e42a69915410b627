//! The requests that a client may send.

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CustomRequest, CustomResult,
        ErrorCode, Implementation, ListToolsResult, PaginatedRequestParams, ProtocolVersion,
        ServerCapabilities, ServerConfig,
    },
    service::RequestContext,
};
use serde_json::Value;
use toolcell::{CallContext, ErrorKind, SessionId, ToolCall, ToolHost};

use crate::{Options, convert, progress};

/// How long a client may keep the list of tools, in milliseconds: a minute, so that it notices an update soon.
const LIST_TTL_MS: u64 = 60_000;

/// A tool host as an MCP server.
pub(crate) struct ToolServer {
    host: ToolHost,
    options: Options,
    /// There is one server for each connection, and so one session.
    session: SessionId,
}

impl ToolServer {
    pub(crate) fn new(host: ToolHost, options: Options) -> Self {
        Self {
            host,
            options,
            session: SessionId::random(),
        }
    }
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
        let input = Value::Object(request.arguments.unwrap_or_default());
        let call = ToolCall::new(request.name, input);
        let modern = is_modern(&context);
        let (events, reports) = progress::channel(context.meta.get_progress_token());
        let surroundings = CallContext {
            cancel: context.ct.clone(),
            events: Some(events),
            session: Some(self.session.clone()),
            ..CallContext::default()
        };
        let running = self.host.call_with(call, &surroundings);
        let result = progress::forward(running, reports, &context.peer)
            .await
            .map_err(|error| {
                // What went wrong inside the host is for its operator, not for whoever is connected.
                tracing::error!(%error, "the call could not be carried out");
                ErrorData::internal_error("the tool host failed; its log says why", None)
            })?;
        match &result.failure {
            Some(failure) if failure.kind == ErrorKind::UnknownTool => {
                Err(ErrorData::invalid_params(failure.message.clone(), None))
            }
            _ => Ok(convert::result(result, modern).into()),
        }
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
