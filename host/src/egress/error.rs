//! What can go wrong on the way out, in words that say nothing of what the other side sent.

/// Why a request did not get its answer. It never holds text of the peer, of TLS or of the operating system: those
/// are under somebody else's control, and this reaches the guest and through it the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EgressError {
    /// An address that the rule does not reach. The text says which and why.
    #[error("{0}")]
    Refused(String),
    /// The name has no address.
    #[error("the host name was not found")]
    NameNotFound,
    /// No address of the host accepted the connection in time.
    #[error("the host does not accept the connection")]
    Unreachable,
    /// The operator's proxy is not there, or did not open a way to the host. What it said stays with it.
    #[error("the proxy of the host's operator does not lead there")]
    Proxy,
    /// TLS failed, the certificate aside.
    #[error("the encrypted connection failed")]
    Tls,
    /// The certificate is not the host's, or nobody vouches for it.
    #[error("the certificate of the host is not valid")]
    Certificate,
    /// A time ran out.
    #[error("{0}")]
    Timeout(Phase),
    /// The request's header fields are too many or too large.
    #[error("the headers of the request are too large")]
    RequestHeaders,
    /// The request's path or host cannot be written into an HTTP request.
    #[error("the address of the request cannot be sent")]
    RequestAddress,
    /// The guest gave up its request body half-way.
    #[error("the request body was not finished")]
    RequestAborted,
    /// The head of the answer, interim answers included, is larger than allowed.
    #[error("the head of the response is too large")]
    HeadTooLarge,
    /// What came back is no HTTP, or more framing than answer.
    #[error("the response is not valid HTTP")]
    Protocol,
    /// The connection ended before the answer did.
    #[error("the connection ended before the response did")]
    Incomplete,
    /// A limit of the call.
    #[error("{0}")]
    Limit(LimitKind),
}

/// Which of the times ran out. Each ends at the call's deadline at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Phase {
    /// Name lookup, TCP and TLS together.
    #[error("no connection in time")]
    Connect,
    /// From the request's start to the head of the answer.
    #[error("no response in time")]
    FirstByte,
    /// Between two pieces of the answer's body.
    #[error("the response stalled")]
    BetweenBytes,
    /// Pieces came, but too few bytes in them.
    #[error("the response is too slow")]
    Rate,
}

/// Which limit of the call was reached, with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LimitKind {
    /// Bytes sent in all requests of a call.
    #[error("the call may send {0} bytes")]
    Sent(u64),
    /// Bytes of one response body.
    #[error("a response may have {0} bytes")]
    Response(u64),
    /// Requests of a call.
    #[error("the call may make {0} requests")]
    Requests(u32),
}
