//! OTLP over HTTP, in protobuf: spans and metrics to a collector, in the background.
//!
//! A collector that does not answer costs a run nothing but the time limit of the last export, and what could not be
//! delivered is said once, at the end.

use std::{
    fmt,
    io::Write as _,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    MetricExporter, Protocol, RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use toolcell::{ErrorKind, Redaction};
use toolcell_agent::model::{Timeouts, http_client};

use super::{chosen::Wanted, clean::Clean};
use crate::{failure::Failure, net};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long one request may take.
const EXPORT: Duration = Duration::from_secs(5);
/// How much of a collector's answer is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// The way of spans and that of metrics.
pub(crate) struct Exporters {
    pub(crate) spans: Clean<SpanExporter>,
    pub(crate) metrics: MetricExporter,
    pub(crate) trouble: Arc<Trouble>,
}

/// The way to a collector. Call it inside the runtime.
///
/// # Errors
/// Where the way cannot be set up.
pub(crate) fn exporters(
    wanted: &Wanted,
    headers: HeaderMap,
    way: &Arc<OnceLock<Redaction>>,
) -> Result<Exporters, Failure> {
    let failed = |error: &dyn std::error::Error| {
        let message = format!(
            "spans and metrics cannot be sent to {}: {error}",
            wanted.shown
        );
        Failure::new(ErrorKind::Unavailable, message).help("check the address of the collector")
    };
    let timeouts = Timeouts {
        connect: CONNECT,
        ..Timeouts::default()
    };
    let client = http_client(&timeouts).map_err(|error| failed(&error))?;
    let trouble = Arc::new(Trouble::default());
    let collector = || Collector {
        client: client.clone(),
        runtime: tokio::runtime::Handle::current(),
        redaction: net::redaction().clone(),
        trouble: Arc::clone(&trouble),
        headers: headers.clone(),
    };
    let retry = || {
        RetryPolicy::default()
            .with_max_retries(2)
            .with_initial_delay(Duration::from_millis(500))
            .with_max_delay(Duration::from_secs(5))
    };
    let spans = SpanExporter::builder()
        .with_http()
        .with_http_client(collector())
        .with_endpoint(&wanted.traces)
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(EXPORT)
        .with_retry_policy(retry())
        .build()
        .map_err(|error| failed(&error))?;
    let metrics = MetricExporter::builder()
        .with_http()
        .with_http_client(collector())
        .with_endpoint(&wanted.metrics)
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(EXPORT)
        .with_retry_policy(retry())
        .build()
        .map_err(|error| failed(&error))?;
    Ok(Exporters {
        spans: Clean::new(spans, Arc::clone(way)),
        metrics,
        trouble,
    })
}

/// What went wrong with exports so far.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    failed: AtomicU64,
    first: Mutex<Option<String>>,
}

impl Trouble {
    fn add(&self, why: impl FnOnce() -> String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(why);
    }

    /// How many exports failed and why the first did, if any.
    pub(crate) fn told(&self) -> Option<(u64, String)> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        Some((self.failed.load(Ordering::Relaxed), first.clone()?))
    }
}

/// The way to a collector.
pub(crate) struct Collector {
    pub(crate) client: reqwest::Client,
    /// Exporters have threads of their own, and this client needs the runtime.
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) redaction: Redaction,
    pub(crate) trouble: Arc<Trouble>,
    /// Those that were chosen for it.
    pub(crate) headers: HeaderMap,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

type Sent<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Collector {
    fn send_bytes<'s, 'a>(&'s self, request: Request<Bytes>) -> Sent<'a>
    where
        's: 'a,
        Self: 'a,
    {
        Box::pin(async move {
            let sent = self.send(request).await;
            match &sent {
                Ok(answer) if answer.status().is_success() => {}
                Ok(answer) => self
                    .trouble
                    .add(|| format!("it answers with status {}", answer.status().as_u16())),
                Err(why) => self.trouble.add(|| why.clone()),
            }
            sent.map_err(Into::into)
        })
    }
}

impl Collector {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        if self.holds_a_secret(request.body()) {
            return Err("it would have been sent a secret, so nothing was sent".to_owned());
        }
        let client = self.client.clone();
        let request = self.addressed(request);
        let sending = self.runtime.spawn(async move {
            match tokio::time::timeout(EXPORT, exchange(client, request)).await {
                Ok(answer) => answer,
                Err(_) => Err(format!("it did not answer within {} s", EXPORT.as_secs())),
            }
        });
        sending
            .await
            .unwrap_or_else(|_| Err("the program ended first".to_owned()))
    }

    /// The request with the headers that were chosen, and none that the library found by itself.
    fn addressed(&self, mut request: Request<Bytes>) -> Request<Bytes> {
        let mut headers = HeaderMap::new();
        for name in [CONTENT_TYPE, CONTENT_ENCODING, USER_AGENT] {
            if let Some(value) = request.headers().get(&name) {
                headers.insert(name, value.clone());
            }
        }
        headers.extend(self.headers.clone());
        *request.headers_mut() = headers;
        request
    }

    /// Whether anything that nobody may see came this far: spans were searched before, and metrics hold no texts.
    fn holds_a_secret(&self, body: &[u8]) -> bool {
        let mut clean = Vec::with_capacity(body.len());
        let mut writer = self.redaction.writer(&mut clean);
        let written = writer.write_all(body).and_then(|()| writer.flush());
        drop(writer);
        written.is_err() || clean != body
    }
}

async fn exchange(
    client: reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, String> {
    let request =
        reqwest::Request::try_from(request).map_err(|_| "its address is none".to_owned())?;
    let mut answer = client
        .execute(request)
        .await
        .map_err(|error| reason(&error))?;
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| reason(&error))? {
        if body.len() + piece.len() > MAX_ANSWER_BYTES {
            return Err(format!("its answer has more than {MAX_ANSWER_BYTES} bytes"));
        }
        body.extend_from_slice(&piece);
    }
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = answer.status();
    if let Some(wait) = answer.headers().get(RETRY_AFTER) {
        response.headers_mut().insert(RETRY_AFTER, wait.clone());
    }
    Ok(response)
}

/// What a failed exchange means, without the address and the headers that it was for.
fn reason(error: &reqwest::Error) -> String {
    if error.is_connect() {
        "it cannot be connected to".to_owned()
    } else if error.is_timeout() {
        "it did not answer in time".to_owned()
    } else {
        "the connection broke off".to_owned()
    }
}
