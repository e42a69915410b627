//! The Model Context Protocol for toolcell: serves the tools of a [`ToolHost`] to any MCP client.
//!
//! Everything a client can reach is [`ToolHost::tools`] and [`ToolHost::call_with`], so a client gets what the host's
//! policy grants and nothing else. Both lives of the protocol are spoken: revisions up to 2025-11-25, which begin with
//! `initialize`, and 2026-07-28, where every request stands for itself.
//!
//! ```no_run
//! # async fn example(host: toolcell::ToolHost) -> Result<(), toolcell_mcp::Error> {
//! toolcell_mcp::serve_stdio(host, toolcell_mcp::Options::default()).await
//! # }
//! ```

mod aside;
mod ask;
mod clean;
mod convert;
mod progress;
mod server;

use std::time::Duration;

pub use progress::LIKELY_SECRETS;
use rmcp::{ServiceExt as _, service::ServerInitializeError};
use tokio::io::{AsyncRead, AsyncWrite};
use toolcell::ToolHost;

/// How to serve.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What a client may tell its model about these tools as a whole.
    pub instructions: Option<String>,
    /// How long a person at the client has to answer a question; then it may not happen. Default: 5 minutes.
    pub answer_wait: Option<Duration>,
}

/// How long a person has to answer where nothing else is said.
const ANSWER_WAIT: Duration = Duration::from_secs(5 * 60);

/// Why serving ended before the client was gone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The client began with something else than the protocol, or could not be answered.
    #[error("the MCP client did not begin as the protocol asks: {0}")]
    Handshake(String),
    /// The server's own task failed.
    #[error("the MCP server stopped: {0}")]
    Stopped(#[source] tokio::task::JoinError),
}

/// Serves the host's tools on standard input and output until the client closes the input. Nothing else in the
/// process may read the one or write to the other meanwhile.
///
/// A message is one line of at most 16 MiB; a longer one is discarded. Calls that still run when the client goes away
/// have 5 seconds to end, then they are cancelled. No message holds the value of a secret that the host knows.
///
/// # Errors
/// When the client does not begin as the protocol asks.
pub async fn serve_stdio(host: ToolHost, options: Options) -> Result<(), Error> {
    let (input, output) = rmcp::transport::stdio();
    serve(host, options, input, output).await
}

/// The same as [`serve_stdio`] on any pair of streams.
///
/// # Errors
/// When the client does not begin as the protocol asks.
pub async fn serve(
    host: ToolHost,
    options: Options,
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
) -> Result<(), Error> {
    let output = clean::Clean::new(output, host.redaction().clone());
    let server = server::ToolServer::new(host, options);
    let running = match server.serve((input, output)).await {
        Ok(running) => running,
        // Gone before its first message: nothing was asked, and nothing went wrong.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(Error::Handshake(error.to_string())),
    };
    running.waiting().await.map_err(Error::Stopped)?;
    Ok(())
}
