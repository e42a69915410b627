//! Credentials: where a value comes from, and the one place of the one destination that it is put into.

use std::fmt;

use serde::{Serialize, Serializer};
use url::Url;

use crate::{Effect, Endpoint, HostPattern, Method, NetScope, PathPattern, Rule, net::RequestPath};

/// A credential that the host puts into a package's requests. Its value is nowhere in a policy, and never in a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecretGrant {
    /// The name that the package and its operator know it by.
    pub name: String,
    /// Where its value comes from.
    pub source: SecretSource,
    /// To which requests it is added: exactly one https endpoint, with these methods and paths.
    #[serde(flatten)]
    pub scope: NetScope,
    /// Where in a request it is put.
    pub place: SecretPlace,
    /// The line that grants it.
    pub rule: Rule,
}

impl SecretGrant {
    /// Whether the credential is added to this request: same scheme, host and port, and a method and path of the binding.
    pub fn applies(&self, method: &str, url: &Url) -> bool {
        let (Some(method), Ok(path)) = (Method::from_name(method), RequestPath::of(url)) else {
            return false;
        };
        self.scope.contains(method, url, &path)
    }

    /// Whether this is its destination: same scheme, host and port. What comes back from there may hold the value, even
    /// where a request was sent without it.
    pub fn is_for(&self, url: &Url) -> bool {
        self.scope.reaches_host(url)
    }

    /// Its destination.
    pub fn to(&self) -> Option<&Endpoint> {
        self.scope.to.as_ref()
    }

    /// With which methods it is used.
    pub fn methods(&self) -> &[Method] {
        &self.scope.methods
    }

    /// For which paths it is used.
    pub fn paths(&self) -> &[PathPattern] {
        &self.scope.paths
    }
}

/// Where the value of a credential comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SecretSource {
    /// A variable of the host's own environment.
    Env(String),
    /// A file, as written, and the directory that a relative path starts from, where the policy was told it.
    File {
        /// The path as written.
        path: String,
        /// See [`Policy::with_base`](crate::Policy::with_base).
        base: Option<String>,
    },
    /// An entry of the operating system's keyring.
    Keyring(String),
    /// An entry of toolcell's encrypted file.
    Vault(String),
    /// An access token that the host fetches.
    OAuth(Box<OAuthSource>),
}

impl SecretSource {
    /// `env`, `file`, `keyring`, `vault` or `oauth`: all that an error says of a source besides its name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Env(_) => "env",
            Self::File { .. } => "file",
            Self::Keyring(_) => "keyring",
            Self::Vault(_) => "vault",
            Self::OAuth(_) => "oauth",
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) | Self::Keyring(name) | Self::Vault(name) => {
                write!(f, "{}:{name}", self.kind())
            }
            Self::File { path, .. } => write!(f, "file:{path}"),
            Self::OAuth(oauth) => write!(f, "oauth {}", oauth.token_url),
        }
    }
}

/// How the host gets an access token (OAuth 2.0, RFC 6749).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct OAuthSource {
    /// Which grant.
    pub grant: OAuthGrant,
    /// The token endpoint; always https.
    #[serde(serialize_with = "as_text")]
    pub token_url: Url,
    /// The client's identifier, which is no secret.
    pub client_id: String,
    /// Where the client's own secret comes from; never [`SecretSource::OAuth`]. Required for client credentials.
    pub client_secret: Option<SecretSource>,
    /// The scopes asked for.
    pub scopes: Vec<String>,
    /// How the client proves who it is.
    pub auth: OAuthAuth,
}

impl OAuthSource {
    /// Whether the token endpoint may lie at private, loopback or link-local addresses: only where its address plainly
    /// names such a place, as for [`NetGrant::allows_special_addresses`](crate::NetGrant::allows_special_addresses).
    pub fn allows_special_addresses(&self) -> bool {
        let host = self.token_url.host().map(|host| host.to_owned());
        host.is_some_and(|host| HostPattern::Exact(host).names_special())
    }
}

/// The grants that need no person.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OAuthGrant {
    /// `client_credentials`.
    ClientCredentials,
    /// `refresh_token`, with where the refresh token comes from; never [`SecretSource::OAuth`].
    RefreshToken(SecretSource),
}

/// How a client proves who it is at the token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OAuthAuth {
    /// HTTP basic authentication, which every server must offer.
    #[default]
    Basic,
    /// In the form of the request.
    Body,
}

/// Where in a request a credential is put.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretPlace {
    /// In a header: its name in lower case, and the text before and after the value.
    Header {
        /// The header's name, in lower case.
        name: String,
        /// What stands before the value, such as `Bearer `.
        before: String,
        /// What stands after it; mostly nothing.
        after: String,
    },
    /// As the password of basic authentication, for this user.
    Basic {
        /// The user's name; may be empty, has no colon.
        user: String,
    },
    /// As a query parameter of this name. It lands in logs of servers and proxies, so it is the last choice.
    Query {
        /// The parameter's name, decoded.
        name: String,
    },
    /// In a JSON body, at this JSON pointer.
    Json {
        /// An RFC 6901 pointer; never empty.
        pointer: String,
    },
}

/// What is done about texts that look like credentials which nobody registered. Ordered from the weaker to the stronger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownSecrets {
    /// Nothing.
    Off,
    /// The person hears of it; the text stays.
    #[default]
    Warn,
    /// The text is replaced.
    Redact,
}

/// `[egress]`: the operator's own words about the way out. Only the highest layer that lists tools has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EgressPolicy {
    /// PEM files, as written, of authorities that are trusted besides the public ones.
    pub ca: Vec<String>,
    /// The directory that relative paths of `ca` start from, where the policy was told it.
    pub base: Option<String>,
    /// The forward proxy, always `http`.
    #[serde(serialize_with = "as_text_if_any")]
    pub proxy: Option<Url>,
    /// Whether the proxy looks names up. Default: no, the host does, and checks the addresses.
    pub proxy_resolves: bool,
    /// The line of the table.
    pub rule: Option<Rule>,
}

/// What a tool does with data, in its operator's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Labels {
    /// Its answers hold what must not leave: `reads = "private"`.
    pub reads_private: bool,
    /// Its answers hold what strangers wrote: `reads = "untrusted"`.
    pub reads_untrusted: bool,
    /// Its calls carry data to others: `sends = "outside"`.
    pub sends_outside: bool,
}

impl Labels {
    /// Whether nothing is marked.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// What either of the two does.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            reads_private: self.reads_private || other.reads_private,
            reads_untrusted: self.reads_untrusted || other.reads_untrusted,
            sends_outside: self.sends_outside || other.sends_outside,
        }
    }

    /// Whether private data, text of strangers and a way out come together.
    pub fn combine_all(self) -> bool {
        self.reads_private && self.reads_untrusted && self.sends_outside
    }
}

fn as_text<S: Serializer>(url: &Url, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(url.as_str())
}

fn as_text_if_any<S: Serializer>(url: &Option<Url>, serializer: S) -> Result<S::Ok, S::Error> {
    url.as_ref().map(Url::as_str).serialize(serializer)
}

/// What holds where no layer says anything.
pub(crate) const DEFAULT_COMBINE: Effect = Effect::Ask;
/// As [`DEFAULT_COMBINE`], for inputs that hold the value of a known secret.
pub(crate) const DEFAULT_ARGUMENTS: Effect = Effect::Deny;

#[cfg(test)]
mod tests;
