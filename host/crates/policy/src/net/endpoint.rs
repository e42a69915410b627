//! Scheme, host and port of a rule.

use std::fmt;

use serde::{Serialize, Serializer};
use url::{Host, Url};

use super::Scheme;

/// A host as a rule names it, normalised by the `url` crate (lower case, punycode, canonical IP addresses).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Exactly this name or address.
    Exact(Host<String>),
    /// Exactly one label before this name: `*.example.com` holds `example.com`.
    OneLabel(String),
}

impl HostPattern {
    fn matches(&self, host: &Host<&str>) -> bool {
        match (self, host) {
            (Self::Exact(Host::Domain(mine)), Host::Domain(theirs)) => mine == theirs,
            (Self::Exact(Host::Ipv4(mine)), Host::Ipv4(theirs)) => mine == theirs,
            (Self::Exact(Host::Ipv6(mine)), Host::Ipv6(theirs)) => mine == theirs,
            (Self::OneLabel(suffix), Host::Domain(name)) => name
                .split_once('.')
                .is_some_and(|(label, rest)| !label.is_empty() && rest == suffix),
            _ => false,
        }
    }

    fn covers(&self, other: &Self) -> bool {
        self == other
            || match (self, other) {
                (Self::OneLabel(_), Self::Exact(Host::Domain(name))) => {
                    self.matches(&Host::Domain(name.as_str()))
                }
                _ => false,
            }
    }

    /// Whether the operator plainly wrote a place of the private network: an IP address, `localhost`, a name without a
    /// dot, or a name under a suffix that never is public. Only then may egress connect to private addresses for it; a
    /// wildcard never names one.
    pub(crate) fn names_special(&self) -> bool {
        const PRIVATE: [&str; 9] = [
            "localhost",
            "local",
            "internal",
            "intranet",
            "lan",
            "home",
            "corp",
            "private",
            "test",
        ];
        match self {
            Self::Exact(Host::Domain(name)) => {
                let last = name.rsplit('.').next().unwrap_or(name);
                last == name || PRIVATE.contains(&last) || name.ends_with(".home.arpa")
            }
            Self::Exact(Host::Ipv4(_) | Host::Ipv6(_)) => true,
            Self::OneLabel(_) => false,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => host.fmt(f),
            Self::OneLabel(suffix) => write!(f, "*.{suffix}"),
        }
    }
}

/// Scheme, host and port: what stands in `to`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The scheme.
    pub scheme: Scheme,
    /// The host.
    pub host: HostPattern,
    /// The port; the scheme's own where the rule names none.
    pub port: u16,
}

/// Why a text is no endpoint, and how to write it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EndpointError {
    pub(crate) message: String,
    pub(crate) help: String,
}

impl EndpointError {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: help.into(),
        }
    }
}

const HOW_TO_WRITE: &str =
    "write it like \"https://api.example.com\" or \"https://*.example.com:8443\"";

impl Endpoint {
    pub(crate) fn parse(text: &str) -> Result<Self, EndpointError> {
        if text
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
        {
            return Err(EndpointError::new(
                "blanks, control characters and backslashes have no place in an address",
                HOW_TO_WRITE,
            ));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(EndpointError::new(
                format!("`{text}` names no scheme"),
                format!("did you mean \"https://{text}\"?"),
            ));
        };
        if rest == "*" || rest.starts_with("*:") || rest.starts_with("*/") {
            return Err(EndpointError::new(
                "a bare `*` would grant the whole internet",
                "name the hosts, or one label of a domain: \"https://*.example.com\"",
            ));
        }
        let (wildcard, named) = match rest.strip_prefix("*.") {
            Some(named) => (true, named),
            None => (false, rest),
        };
        if named.contains('*') {
            return Err(EndpointError::new(
                "`*` can stand only for the whole first label of a host",
                HOW_TO_WRITE,
            ));
        }
        let url = Url::parse(&format!("{scheme}://{named}")).map_err(|error| {
            EndpointError::new(format!("`{text}` is no address: {error}"), HOW_TO_WRITE)
        })?;
        Self::from_url(&url, named, wildcard)
    }

    fn from_url(url: &Url, written: &str, wildcard: bool) -> Result<Self, EndpointError> {
        let Some(scheme) = Scheme::of(url) else {
            return Err(EndpointError::new(
                format!("the scheme `{}` is not supported", url.scheme()),
                "only http and https reach the network",
            ));
        };
        refuse_extras(url, written)?;
        let Some(host) = url.host() else {
            return Err(EndpointError::new(
                "the address names no host",
                HOW_TO_WRITE,
            ));
        };
        Ok(Self {
            scheme,
            host: host_pattern(host, wildcard)?,
            port: url.port_or_known_default().unwrap_or(scheme.default_port()),
        })
    }

    /// Whether a rule that names the place of this address would let it lead to private addresses.
    pub fn names_private(url: &Url) -> bool {
        Self::parse(&url.origin().ascii_serialization())
            .is_ok_and(|endpoint| endpoint.host.names_special())
    }

    /// The endpoint of a URL, which names its host exactly.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        let scheme = Scheme::of(url)?;
        Some(Self {
            scheme,
            host: HostPattern::Exact(url.host()?.to_owned()),
            port: url.port_or_known_default()?,
        })
    }

    pub(super) fn matches(&self, url: &Url) -> bool {
        Scheme::of(url) == Some(self.scheme)
            && url.port_or_known_default() == Some(self.port)
            && url.host().is_some_and(|host| self.host.matches(&host))
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.port == other.port && self.host.covers(&other.host)
    }
}

fn refuse_extras(url: &Url, written: &str) -> Result<(), EndpointError> {
    if written.contains('@') {
        return Err(EndpointError::new(
            "a user name or password has no place in a rule",
            HOW_TO_WRITE,
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(EndpointError::new(
            "a query or fragment cannot be part of a rule",
            "rules look at scheme, host, port, method and path; leave out what follows `?` or `#`",
        ));
    }
    if url.path() != "/" {
        return Err(EndpointError::new(
            format!("the path `{}` does not belong in `to`", url.path()),
            format!("write it as paths = [\"{}\"]", url.path()),
        ));
    }
    Ok(())
}

fn host_pattern(host: Host<&str>, wildcard: bool) -> Result<HostPattern, EndpointError> {
    if let Host::Domain(name) = host
        && name.ends_with('.')
    {
        return Err(EndpointError::new(
            format!("the host `{name}` ends with a dot"),
            format!("write `{}`", name.trim_end_matches('.')),
        ));
    }
    match (wildcard, host) {
        (false, host) => Ok(HostPattern::Exact(host.to_owned())),
        (true, Host::Domain(name)) if name.contains('.') => {
            Ok(HostPattern::OneLabel(name.to_owned()))
        }
        (true, Host::Domain(name)) => Err(EndpointError::new(
            format!("`*.{name}` would grant every name of a whole top-level domain"),
            format!("name the domain: \"https://*.example.{name}\""),
        )),
        (true, _) => Err(EndpointError::new(
            "a wildcard cannot stand before an IP address",
            "name each address, or use a host name",
        )),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        if self.port != self.scheme.default_port() {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
