//! Credentials: where their values live, who gets at them, and the redactor that searches for them. Also what else must not
//! be stored as it is: texts that look like credentials, and personal data.
//!
//! A value comes from a [`SecretStore`], is kept as a [`Secret`], which can be neither shown nor copied, and is used in one
//! place: where a request goes out. Before it can be used it is known to the redactor, so that whatever comes back is
//! searched for it.
//!
//! This room knows nothing of requests, guests or calls.

mod call;
#[cfg(test)]
mod fixtures;
mod keeper;
mod known;
mod oauth;
mod personal;
mod redact;
mod redaction;
mod secret;
mod store;
mod tokens;
mod unknown;
mod weakness;

pub(crate) use call::{BoundSecret, CallSecrets, TokenSource};
pub(crate) use keeper::Keeper;
pub(crate) use known::Tenant;
pub(crate) use oauth::{ANSWER_BYTES_MAX, TokenAnswer, TokenError, TokenRequest};
pub use personal::{
    PERSONAL_RULE_FILE_BYTES_MAX, PERSONAL_RULES_MAX, PersonalData, PersonalRuleError,
    PersonalRules,
};
pub use redact::Hits;
#[cfg(any(test, feature = "test-support"))]
pub(crate) use redact::fuzzing;
pub(crate) use redact::{RedactStream, Redactor};
pub use redaction::{RedactedText, RedactingWriter, Redaction};
pub use secret::{
    SECRET_BITS_MIN, SECRET_BYTES_MAX, SECRET_BYTES_MIN, SECRET_DISTINCT_MIN,
    SECRET_PLAIN_BYTES_MIN, Secret, WeakSecret,
};
pub(crate) use store::AnySecretStore;
pub use store::{Kept, SecretError, SecretQuery, SecretStore};
pub(crate) use tokens::TokenEndpoint;
pub use unknown::{
    Finding, RULE_FILE_BYTES_MAX, RULES_MAX, RuleError, UNKNOWN_SEARCH_BYTES_MAX, UnknownSecrets,
};
#[cfg(any(test, feature = "test-support"))]
pub use weakness::Weakness;
#[cfg(not(any(test, feature = "test-support")))]
pub(crate) use weakness::Weakness;
pub(crate) use weakness::Weaknesses;
