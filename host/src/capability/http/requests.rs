//! The host's side of a call's requests: counting, deciding, sending.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use futures_util::future::BoxFuture;
use http::{Method, Request, Uri, header::LOCATION};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use toolcell_policy::{Access, Effect, Endpoint, NetGrant};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::{
    HttpOptions, HttpUsage, Network, Sent,
    credentials::{Credentials, Hears, Laden, Refusal, Used},
    follow::{Answer, Carries},
    returned::Searching,
    turn::Turn,
};
use crate::{
    Denial, ErrorKind,
    capability::recorder::Recorder,
    egress::{Bounds, EgressError, LimitKind, Meter, Phase, PoolKey, Target},
    text::escape_control,
};

/// All requests of one call, through `egress`.
pub(crate) struct Requests {
    options: HttpOptions,
    meter: Arc<Meter>,
    /// One permit for each request that may be under way.
    connections: Arc<Semaphore>,
    attempts: AtomicU32,
    sent: AtomicU32,
}

/// A request that may be sent.
pub(super) struct Decided {
    /// Where to.
    pub(super) target: Target,
    /// Whether the rule names its host as one that may lead to special addresses.
    special: bool,
}

impl Network for Requests {
    fn send(
        self: Arc<Self>,
        request: Request<WasiBody>,
        options: RequestOptions,
    ) -> BoxFuture<'static, Result<Sent, Error>> {
        let turn = Turn::behind(&self.connections);
        Box::pin(self.attempt(request, options, turn))
    }

    fn usage(&self) -> HttpUsage {
        HttpUsage {
            requests: u64::from(self.sent.load(Ordering::Relaxed)),
            sent_bytes: self.meter.sent(),
            received_bytes: self.meter.received(),
        }
    }
}

impl Requests {
    /// No request has been made yet.
    pub(crate) fn new(options: HttpOptions) -> Self {
        Self {
            meter: Arc::new(Meter::new(options.grants.limits().egress)),
            connections: Arc::new(Semaphore::new(options.grants.limits().connections as usize)),
            attempts: AtomicU32::new(0),
            sent: AtomicU32::new(0),
            options,
        }
    }

    /// Counts a request, reads its address and decides.
    pub(super) async fn admit(&self, method: &Method, uri: &Uri) -> Result<Decided, Error> {
        self.count()?;
        let (target, special) = self.decide(method, uri).await?;
        Ok(Decided { target, special })
    }

    /// How many redirects of a request are followed without the tool.
    pub(super) fn redirects(&self, method: &Method, target: &Target) -> u8 {
        let grants = &self.options.grants;
        grants.redirects(method.as_str(), target.url())
    }

    /// Sends one request that was decided on, and answers with the head of its response.
    pub(super) async fn one(
        self: Arc<Self>,
        request: Request<WasiBody>,
        options: &RequestOptions,
        Decided { target, special }: Decided,
        carries: Carries,
        turn: Turn,
    ) -> Result<Answer, Error> {
        let access = access(request.method(), target.without_query());
        let secrets = &self.options.secrets;
        let credentials = Credentials::of(secrets, request.method(), &target, carries);
        credentials
            .check(request.headers(), &target)
            .map_err(|refusal| self.refuse(&access, refusal))?;
        // Held until the response is read or given up. One that waits for ever waits until the end of the call.
        let place = turn.come().await;
        let laden = credentials
            .place(
                request,
                target,
                self.options.deadline,
                self.refusing(&access),
            )
            .await
            .map_err(|refusal| self.refuse(&access, refusal))?;
        // From here on the address may hold a secret: it goes to the server and nowhere else.
        let Laden {
            target,
            request,
            used,
        } = laden;
        self.sent.fetch_add(1, Ordering::Relaxed);
        let reached = format!("{}:{}", target.host(), target.port());
        let tally = self.options.recorder.reach(&reached);
        let meter = Arc::new(Meter::part(&self.meter, tally));
        let bounds = self.bounds(options, special, &used);
        let sent = self
            .options
            .egress
            .send(&target, request, bounds, &meter)
            .await;
        let (response, driver) = sent.map_err(|error| self.tell(&access, error))?;
        let location = response.headers().get(LOCATION).cloned();
        credentials.answered(&used, response.status());
        let (reading, driving) = (Arc::clone(&self), self);
        let (read_access, drive_access) = (access.clone(), access);
        let response = response.map(|body| {
            body.map_err(move |error| reading.tell(&read_access, error))
                .boxed_unsync()
        });
        let searching = Searching {
            secrets: Arc::clone(&driving.options.secrets),
            recorder: driving.options.recorder.clone(),
            destination: credentials.destination().map(ToOwned::to_owned),
            credentialed: !used.is_empty(),
        };
        let response = searching
            .clean(response, driving.refusing(&drive_access))
            .map_err(|refusal| driving.refuse(&drive_access, refusal))?;
        let held = Arc::clone(&place);
        let driver = async move {
            let _place = held;
            driver
                .await
                .map_err(|error| driving.tell(&drive_access, error))
        };
        Ok(Answer {
            response,
            driver: Box::new(driver),
            place,
            location,
        })
    }

    fn bounds(&self, options: &RequestOptions, special: bool, used: &Used) -> Bounds {
        let limits = self.options.grants.limits();
        Bounds {
            deadline: self.options.deadline.into(),
            connect: options.connect_timeout,
            first_byte: options.first_byte_timeout,
            between_bytes: options.between_bytes_timeout,
            response_bytes: limits.response,
            header_bytes: limits.headers,
            special,
            pool: Some(self.owner(used)),
        }
    }

    /// Refused requests count too: a tool that only probes has to come to an end.
    fn count(&self) -> Result<(), Error> {
        let limit = self.options.grants.limits().requests;
        let counted =
            self.attempts
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |attempts| {
                    (attempts < limit).then_some(attempts.saturating_add(1))
                });
        counted
            .map(|_| ())
            .map_err(|_| self.tell("", EgressError::Limit(LimitKind::Requests(limit))))
    }

    /// Reads the address and decides. Also answers whether the rule names the host as one with special addresses.
    async fn decide(&self, method: &Method, uri: &Uri) -> Result<(Target, bool), Error> {
        if matches!(*method, Method::CONNECT | Method::TRACE) {
            let rule = "default: CONNECT and TRACE are never sent";
            let reason = format!("the method {method} is never sent");
            return Err(self.deny(unread_access(method, uri), rule, reason));
        }
        let target = Target::read(uri).map_err(|error| {
            let rule = "default: an address has to be clear";
            self.deny(unread_access(method, uri), rule, error.to_string())
        })?;
        let access = access(method, target.without_query());
        let grants = &self.options.grants;
        if self.learned(method, &target).await {
            let special = Endpoint::names_private(target.url());
            return Ok((target, special));
        }
        let verdict = grants.check_net(method.as_str(), target.url());
        let refusal = match (verdict.effect, &self.options.approver) {
            (Effect::Allow, _) => None,
            (Effect::Deny, _) => Some(verdict.reason),
            (Effect::Ask, None) => Some("nobody is there to be asked".to_owned()),
            (Effect::Ask, Some(approver)) => {
                let refused = approver.ask(&access, &verdict.rule).await;
                refused.map(ToOwned::to_owned)
            }
        };
        if let Some(reason) = refusal {
            return Err(self.deny(access, verdict.rule.to_string(), reason));
        }
        let special = grants
            .net_grant(target.url())
            .is_some_and(NetGrant::allows_special_addresses);
        Ok((target, special))
    }

    /// Whether a host that learns was told that this request may happen, though no rule speaks of it.
    async fn learned(&self, method: &Method, target: &Target) -> bool {
        let method = toolcell_policy::Method::from_name(method.as_str());
        let (Some(asker), Some(method)) = (&self.options.approver, method) else {
            return false;
        };
        let access = Access::Net {
            method,
            url: target.url().clone(),
        };
        let lacks_a_line = self.options.grants.lacks_a_line(&access);
        asker.learn(access, lacks_a_line).await
    }

    /// Whose connections a request may go over: those of the same tenant and package that carried the same secrets.
    fn owner(&self, used: &Used) -> PoolKey {
        let tenant = self.options.tenant.as_ref();
        let tenant = tenant.map(|it| format!("tenant {it}"));
        let package = format!("package {}", self.options.grants.package());
        let bound = self.options.secrets.bound();
        let carried = used.iter().filter_map(|(place, _)| bound.get(*place));
        let carried = carried.map(|bound| format!("secret {}", bound.grant.name));
        PoolKey::new(tenant.into_iter().chain([package]).chain(carried))
    }

    fn deny(&self, access: String, rule: impl Into<String>, reason: String) -> Error {
        self.options.recorder.deny(Denial {
            capability: "net".to_owned(),
            access,
            rule: rule.into(),
            reason,
        });
        Error::HttpRequestDenied
    }

    /// Records what is refused because of a secret, and gives what the guest hears of it.
    fn refuse(&self, access: &str, refusal: Refusal) -> Error {
        refuse(&self.options.recorder, access, refusal)
    }

    /// Does the same with what is refused later.
    fn refusing(&self, access: &str) -> Hears {
        let (recorder, access) = (self.options.recorder.clone(), access.to_owned());
        Box::new(move |refusal| drop(refuse(&recorder, &access, refusal)))
    }

    /// Records what the host has to know of an error, and gives what the guest may know of it.
    fn tell(&self, access: &str, error: EgressError) -> Error {
        match error {
            EgressError::Refused(reason) => {
                let rule = "default: special addresses need a rule that names them";
                self.deny(access.to_owned(), rule, reason)
            }
            EgressError::Limit(limit) => {
                let recorder = &self.options.recorder;
                recorder.exceed(ErrorKind::LimitEgress, limit.to_string());
                match limit {
                    LimitKind::Sent(bytes) => Error::HttpRequestBodySize(Some(bytes)),
                    LimitKind::Response(bytes) => Error::HttpResponseBodySize(Some(bytes)),
                    LimitKind::Requests(_) => Error::ConnectionLimitReached,
                }
            }
            EgressError::NameNotFound => Error::DestinationNotFound,
            EgressError::Unreachable | EgressError::Proxy => Error::ConnectionRefused,
            EgressError::Tls => Error::TlsProtocolError,
            EgressError::Certificate => Error::TlsCertificateError,
            EgressError::Timeout(phase) => timed_out(phase),
            EgressError::RequestHeaders => Error::HttpRequestHeaderSectionSize(None),
            EgressError::RequestAddress => Error::HttpRequestUriInvalid,
            EgressError::HeadTooLarge => Error::HttpResponseHeaderSectionSize(None),
            EgressError::RequestAborted | EgressError::Protocol => Error::HttpProtocolError,
            EgressError::Incomplete => Error::HttpResponseIncomplete,
        }
    }
}

fn refuse(recorder: &Recorder, access: &str, refusal: Refusal) -> Error {
    if let Some(kind) = refusal.ends {
        // The record keeps an earlier limit, if there was one.
        let _ = recorder.exceed(kind, refusal.reason.clone());
    }
    recorder.deny(Denial {
        capability: "secrets".to_owned(),
        access: access.to_owned(),
        rule: refusal.rule,
        reason: refusal.reason,
    });
    refusal.error
}

fn timed_out(phase: Phase) -> Error {
    match phase {
        Phase::Connect => Error::ConnectionTimeout,
        Phase::FirstByte => Error::HttpResponseTimeout,
        Phase::BetweenBytes | Phase::Rate => Error::ConnectionReadTimeout,
    }
}

/// `GET https://example.com/path`, as people and the audit log see it.
fn access(method: &Method, address: &str) -> String {
    format!("{method} {address}")
}

/// As [`access`], of an address that could not be read: its host and path, without user name, password and query.
fn unread_access(method: &Method, uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or_default();
    let host = uri.host().unwrap_or_default();
    let port = uri
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let path = escape_control(uri.path());
    format!("{method} {scheme}://{host}{port}{path}")
}
