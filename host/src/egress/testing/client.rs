//! Requests of tests that go out as a call's do.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use tokio::time::Instant;
use tokio_rustls::rustls::RootCertStore;

use super::{Names, PLENTY, egress};
use crate::egress::{
    Bounds, Egress, EgressError, Meter, PoolKey, Target, inbound::Inbound, request::Driver,
};

pub(crate) const MANY: u64 = 1 << 20;

/// What a head may have.
pub(crate) const HEADER_BYTES: u64 = 32 * 1024;

pub(crate) fn bounds() -> Bounds {
    Bounds {
        deadline: Instant::now() + PLENTY,
        connect: None,
        first_byte: None,
        between_bytes: None,
        response_bytes: MANY,
        header_bytes: HEADER_BYTES,
        special: true,
        pool: None,
    }
}

/// What this owner's requests are bound by.
pub(crate) fn owned(name: &str) -> Bounds {
    Bounds {
        pool: Some(PoolKey::new([name])),
        ..bounds()
    }
}

pub(crate) fn target(text: &str) -> Target {
    Target::read(&text.parse().unwrap()).unwrap()
}

pub(crate) fn get() -> Request<Empty<Bytes>> {
    Request::new(Empty::new())
}

/// A way out on which `server.test` is the loopback address.
pub(crate) fn loopback() -> Egress {
    loopback_trusting(RootCertStore::empty())
}

/// As [`loopback`], with roots of trust.
pub(crate) fn loopback_trusting(roots: RootCertStore) -> Egress {
    let names = Names::default().with("server.test", &[&["127.0.0.1"]]);
    egress(Arc::new(names), roots)
}

/// Reads a body to its end while its connection is moved.
pub(crate) async fn read(
    response: Response<Inbound>,
    driver: Driver,
) -> Result<String, EgressError> {
    let moving = tokio::spawn(driver);
    let body = response.into_body().collect().await?.to_bytes();
    moving.abort();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

pub(crate) async fn fetch(way: &Egress, text: &str, bounds: Bounds) -> Result<String, EgressError> {
    let meter = Arc::new(Meter::new(MANY));
    let (response, driver) = way.send(&target(text), get(), bounds, &meter).await?;
    read(response, driver).await
}
