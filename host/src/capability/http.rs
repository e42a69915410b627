//! `wasi:http/types` and `wasi:http/outgoing-handler`: requests to where the grants allow, through `egress`.
//!
//! Every request is counted, read once, decided by the grants on exactly what will be dialled, and only then sent.
//! What is refused is recorded and looks to the guest like `HTTP-request-denied`; a limit that is reached is recorded
//! and fails the request, and the body under way with it.

mod credentials;
mod follow;
mod requests;
mod returned;
mod turn;

use std::{future::Future, sync::Arc, time::Instant};

use futures_util::future::BoxFuture;
use http::{HeaderName, Request, Response};
use toolcell_policy::GrantSet;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi_http::{
    Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttp, WasiHttpCtx, WasiHttpCtxView,
    WasiHttpHooks, p2::bindings,
};

use crate::{TenantId, egress::Egress, secrets::CallSecrets};

use super::{ask::Ask, recorder::Recorder};

pub(crate) use requests::Requests;

/// The most bytes a guest writes into a request body at once; two such pieces are held for each request.
const BODY_PIECE_BYTES_MAX: usize = 64 * 1024;

/// The headers that belong to the connection and not to the guest, and with them all that start with `proxy-`.
const FORBIDDEN_HEADERS: [&str; 8] = [
    "connection",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// What a call brings for its requests.
pub(crate) struct HttpOptions {
    /// Whose call it is, where there are several: their connections are never shared.
    pub(crate) tenant: Option<TenantId>,
    /// Where it may go, and its limits.
    pub(crate) grants: GrantSet,
    /// The way out.
    pub(crate) egress: Arc<Egress>,
    /// The credentials that requests may carry.
    pub(crate) secrets: Arc<CallSecrets>,
    /// The end of the call.
    pub(crate) deadline: Instant,
    /// Hears of denials and limits.
    pub(crate) recorder: Recorder,
    /// Who is asked; nobody means no.
    pub(crate) approver: Option<Arc<dyn Ask>>,
}

/// What the requests of a call came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HttpUsage {
    /// Requests that were allowed and tried.
    pub(crate) requests: u64,
    /// HTTP bytes sent, heads and framing included.
    pub(crate) sent_bytes: u64,
    /// HTTP bytes received, heads and framing included.
    pub(crate) received_bytes: u64,
}

/// The HTTP side of one call.
pub(crate) struct HttpState {
    ctx: WasiHttpCtx,
    hooks: Hooks,
}

/// What the `wasi:http` functions work on.
pub(crate) type HttpView<'a> = WasiHttpCtxView<'a>;

/// Sends the requests of one call, after deciding on them.
pub(crate) trait Network: Send + Sync {
    /// Sends a request, and answers with the head of its response and with what moves the bytes of both bodies.
    fn send(
        self: Arc<Self>,
        request: Request<WasiBody>,
        options: RequestOptions,
    ) -> BoxFuture<'static, Result<Sent, Error>>;

    /// What was used so far.
    fn usage(&self) -> HttpUsage;
}

impl HttpState {
    /// The state of a call that has made no request yet. Header fields that the guest makes may have so many bytes.
    pub(crate) fn new(network: Arc<dyn Network>, header_bytes: u64) -> Self {
        let mut ctx = WasiHttpCtx::new();
        ctx.set_field_size_limit(usize::try_from(header_bytes).unwrap_or(usize::MAX));
        Self {
            ctx,
            hooks: Hooks(network),
        }
    }

    /// Lends the state to a `wasi:http` function.
    pub(crate) fn view<'a>(&'a mut self, table: &'a mut ResourceTable) -> HttpView<'a> {
        WasiHttpCtxView {
            ctx: &mut self.ctx,
            table,
            hooks: &mut self.hooks,
        }
    }

    /// What was used so far.
    pub(crate) fn usage(&self) -> HttpUsage {
        self.hooks.0.usage()
    }
}

/// Offers `wasi:http/types` and `wasi:http/outgoing-handler`.
///
/// # Errors
///
/// When the linker has them already.
pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    get: fn(&mut T) -> HttpView<'_>,
) -> wasmtime::Result<()> {
    let options = bindings::LinkOptions::default();
    bindings::http::types::add_to_linker::<T, WasiHttp>(linker, &(&options).into(), get)?;
    bindings::http::outgoing_handler::add_to_linker::<T, WasiHttp>(linker, get)
}

type Sending = dyn Future<Output = Result<Sent, Error>> + Send;
/// The response as far as its head, and what moves the bytes of both bodies while it is polled.
pub(crate) type Sent = (Response<WasiBody>, Box<Driving>);
/// Is done when the response is; to drop it is to give the request up.
pub(crate) type Driving = dyn Future<Output = Result<(), Error>> + Send;

struct Hooks(Arc<dyn Network>);

impl WasiHttpHooks for Hooks {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        is_forbidden(name)
    }

    // Trailers are checked with this form, so both have to say the same.
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(is_forbidden)
    }

    // `egress` writes it, from the address that was decided on.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_PIECE_BYTES_MAX
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _response_done: Box<Driving>,
    ) -> Box<Sending> {
        let network = Arc::clone(&self.0);
        Box::new(network.send(request, options.unwrap_or_default()))
    }
}

/// Whether a header belongs to the connection and not to the guest.
pub(crate) fn is_forbidden(name: &HeaderName) -> bool {
    FORBIDDEN_HEADERS.contains(&name.as_str()) || name.as_str().starts_with("proxy-")
}

#[cfg(test)]
mod tests;
