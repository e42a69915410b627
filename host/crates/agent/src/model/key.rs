//! The key to a model's API.

use std::fmt;

use reqwest::header::HeaderValue;
use sha2::{Digest, Sha256};

use super::ModelError;

/// An API key. It is never printed.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    /// Takes a key; white space around it, as at the end of a file, does not belong to it.
    pub fn new(key: &str) -> Self {
        Self(key.trim().to_owned())
    }

    /// The key itself, to sign with.
    #[cfg(feature = "bedrock")]
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// The value of a header that holds the key behind `before`.
    ///
    /// # Errors
    /// [`ModelError::Key`] when the key is missing or cannot be sent.
    pub(crate) fn header(&self, before: &str) -> Result<HeaderValue, ModelError> {
        if self.0.is_empty() {
            return Err(ModelError::Key("is missing"));
        }
        let mut value = HeaderValue::from_str(&format!("{before}{}", self.0))
            .map_err(|_| ModelError::Key("holds characters that cannot be sent"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Tells keys apart without saying anything about them: the beginning of a hash.
    pub(crate) fn payer(&self) -> String {
        let hash = Sha256::digest(self.0.as_bytes());
        hash.iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Removes the key from a text that somebody else wrote.
    pub(crate) fn redact(&self, text: &str) -> String {
        if self.0.is_empty() {
            return text.to_owned();
        }
        text.replace(&self.0, "[redacted]")
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}
