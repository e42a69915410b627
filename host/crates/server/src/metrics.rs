//! `/metrics` for Prometheus, and `/healthz`.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::door::{Door, is_called_rightly};

/// What [`MetricsListener`] answers scrapes with: the text format of Prometheus, version 0.0.4.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How [`MetricsListener`] listens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MetricsOptions {
    /// The names, besides addresses and `localhost`, that requests may call this machine by in their `Host` header.
    /// Default none.
    pub names: Vec<String>,
    /// How many connections there are at one time. Default 16. More wait until one ends.
    pub connections: usize,
    /// How long a connection may be silent. Default 30 s.
    pub idle: Duration,
}

impl Default for MetricsOptions {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            connections: 16,
            idle: Duration::from_secs(30),
        }
    }
}

/// Why nothing can be listened to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// The system gives no such address.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address that was wanted.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// Gives the text of a scrape, or says in one sentence why there is none.
type Text = dyn Fn() -> Result<String, String> + Send + Sync;

struct Shared {
    text: Box<Text>,
    names: Vec<String>,
}

/// Answers `GET /metrics` and `GET /healthz` until it is dropped.
///
/// Whoever reaches the address can read the metrics: they hold names of tools and models and numbers, and nothing that a
/// person, a model or a tool wrote.
#[derive(Debug)]
pub struct MetricsListener {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl MetricsListener {
    /// Begins to listen. `text` gives the text of each scrape; it is called on a thread that may compute.
    ///
    /// # Errors
    /// [`MetricsError::Bind`] where the address is not to be had.
    pub async fn start<F>(
        address: SocketAddr,
        options: MetricsOptions,
        text: F,
    ) -> Result<Self, MetricsError>
    where
        F: Fn() -> Result<String, String> + Send + Sync + 'static,
    {
        let failed = |source| MetricsError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let shared = Arc::new(Shared {
            text: Box::new(text),
            names: options.names,
        });
        let app = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(|| async { "ok\n" }))
            .layer(middleware::from_fn_with_state(Arc::clone(&shared), check))
            .with_state(shared);
        let stop = CancellationToken::new();
        let door = Door::new(listener, options.connections.max(1), options.idle);
        let stopped = stop.clone().cancelled_owned();
        let serving = axum::serve(door, app).with_graceful_shutdown(stopped);
        let task = tokio::spawn(async move {
            // It ends without an error: what goes wrong with a connection ends that connection.
            let _ = serving.await;
        });
        Ok(Self {
            address: bound,
            stop,
            task,
        })
    }

    /// The address that is listened on; with port 0 asked for, the one that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsListener {
    fn drop(&mut self) {
        self.stop.cancel();
        self.task.abort();
    }
}

/// Refuses requests that call this machine by a name which somebody else gave it.
async fn check(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if is_called_rightly(request.headers(), &shared.names) {
        return next.run(request).await;
    }
    let why = "this name is none of this listener's: use an address, or have the operator list the name\n";
    (StatusCode::MISDIRECTED_REQUEST, why).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let text = tokio::task::spawn_blocking(move || (shared.text)()).await;
    match text.unwrap_or_else(|_| Err("the metrics cannot be gathered".to_owned())) {
        Ok(text) => {
            let kind = HeaderValue::from_static(CONTENT_TYPE);
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, why + "\n").into_response(),
    }
}

#[cfg(test)]
mod tests;
