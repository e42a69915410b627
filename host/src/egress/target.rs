//! Which server and resource a request is for, read once.
//!
//! A guest hands over the parts of an address as text. Two parsers that read such a text differently are how requests
//! slip past a policy, so there is one reading, the `url` crate's: the policy decides on it, and the very same value
//! names the host to look up, the server name for TLS, the `Host` header and the request line. Where the `http` crate
//! reads another host or port from the text, the request is refused.

use std::fmt::Write as _;

use http::Uri;
use url::{Host, Position, Url};

/// The longest address, in bytes, path and query included.
pub(crate) const URL_BYTES_MAX: usize = 16 * 1024;

/// A server and a resource on it: `http` or `https`, with a host, without user name, password or fragment.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    url: Url,
    host: Host,
    port: u16,
}

/// Why an address is refused before any rule is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    /// Neither `http` nor `https`.
    #[error("only http and https addresses can be requested")]
    Scheme,
    /// Something before an `@`.
    #[error("an address with a user name or password is never requested")]
    UserInfo,
    /// No host, or a port out of range, or characters that no address has.
    #[error("the address is not valid")]
    Invalid,
    /// See [`URL_BYTES_MAX`].
    #[error("the address is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    /// `example.com.`: the same server under a second name.
    #[error("a host name that ends in a dot is never requested")]
    TrailingDot,
    /// Two readings of one text.
    #[error("the address can be read in two ways")]
    Ambiguous,
}

impl Target {
    /// Reads the address of a request.
    pub(crate) fn read(uri: &Uri) -> Result<Self, TargetError> {
        let authority = uri.authority().ok_or(TargetError::Invalid)?;
        if authority.as_str().contains('@') {
            return Err(TargetError::UserInfo);
        }
        let text = uri.to_string();
        if text.len() > URL_BYTES_MAX {
            return Err(TargetError::TooLong);
        }
        let mut url = Url::parse(&text).map_err(|_| TargetError::Invalid)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(TargetError::Scheme);
        }
        url.set_fragment(None);
        let host = url.host().ok_or(TargetError::Invalid)?.to_owned();
        let port = url.port_or_known_default().ok_or(TargetError::Invalid)?;
        if matches!(&host, Host::Domain(name) if name.ends_with('.')) {
            return Err(TargetError::TrailingDot);
        }
        let agreed = same_host(&host, authority.host())
            && authority.port_u16().is_none_or(|read| read == port)
            && url.username().is_empty()
            && url.password().is_none();
        if !agreed {
            return Err(TargetError::Ambiguous);
        }
        Ok(Self { url, host, port })
    }

    /// The address that the policy decides on.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The same resource with one more query parameter. What it carries may be a credential, so the address is used for
    /// sending alone.
    pub(crate) fn with_parameter(&self, name: &str, value: &[u8]) -> Self {
        let mut query = self.url.query().unwrap_or_default().to_owned();
        if !query.is_empty() {
            query.push('&');
        }
        percent_encode(name.as_bytes(), &mut query);
        query.push('=');
        percent_encode(value, &mut query);
        let mut with = self.clone();
        with.url.set_query(Some(&query));
        with
    }

    /// The host to look up, and the name that a certificate must carry.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// The port to dial.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is encrypted.
    pub(crate) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The value of the `Host` header: the port only where it is not the scheme's own.
    pub(crate) fn host_header(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    /// The request line's resource: path and query, never an absolute address.
    pub(crate) fn path_and_query(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }

    /// The address without its query, which may carry what nobody should read in a log.
    pub(crate) fn without_query(&self) -> &str {
        &self.url[..Position::AfterPath]
    }
}

/// Writes everything but letters, digits and `-._~` as `%XX`.
fn percent_encode(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            // Writing to a text does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

/// Whether the text of a host is the normal form of what was read from it, letter case aside.
fn same_host(read: &Host, text: &str) -> bool {
    match read {
        Host::Domain(name) => name.eq_ignore_ascii_case(text),
        Host::Ipv4(address) => address.to_string() == text,
        Host::Ipv6(address) => text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'))
            .and_then(|text| text.parse::<std::net::Ipv6Addr>().ok())
            .is_some_and(|read| read == *address),
    }
}

#[cfg(test)]
mod tests;
