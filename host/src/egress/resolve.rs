//! From a name to addresses.

use std::{io, net::IpAddr};

use futures_util::future::BoxFuture;

/// Looks names up. It is asked only after the policy said yes, and once per request: what it answers is what gets
/// checked, and what was checked is what gets dialled.
pub trait Resolver: Send + Sync {
    /// Every address of a host name. An empty list means the name has none.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver.
pub(crate) struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}
