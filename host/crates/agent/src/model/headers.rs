//! Headers that an operator adds to every request.

use std::fmt;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::ModelError;

/// Further headers. Their values are never printed: some gateways take keys in them.
#[derive(Clone, Default)]
pub struct Headers(HeaderMap);

impl Headers {
    /// Takes names with their values. Of two with one name the later one counts.
    ///
    /// # Errors
    /// [`ModelError::Config`] for what cannot be a header.
    pub fn new<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ModelError> {
        let mut headers = Self::default();
        for (name, value) in pairs {
            headers.set(name, value)?;
        }
        Ok(headers)
    }

    /// Sets one, in the place of an earlier one.
    ///
    /// # Errors
    /// As [`Headers::new`].
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ModelError> {
        let wrong = |what: &str| {
            let name = name.escape_debug();
            ModelError::Config(format!("the {what} of the header `{name}` cannot be sent"))
        };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("name"))?;
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong("value"))?;
        value.set_sensitive(true);
        self.0.insert(key, value);
        Ok(())
    }

    /// The value of one, where it is text.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    /// Puts them over others.
    pub(super) fn over(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.0 {
            headers.insert(name, value.clone());
        }
    }

    /// The same without one of them.
    #[cfg(feature = "bedrock")]
    pub(super) fn without(&self, name: &str) -> Self {
        let mut headers = self.clone();
        headers.0.remove(name);
        headers
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_never_printed() {
        let headers = Headers::new([("X-Team", "a"), ("x-team", "hunter2")]).unwrap();
        assert_eq!(headers.get("x-team"), Some("hunter2"));
        assert_eq!(format!("{headers:?}"), r#"{"x-team"}"#);
        for (name, value) in [("a b", "c"), ("", "c"), ("a", "b\nc"), ("a\r\nb", "c")] {
            let error = Headers::new([(name, value)]).unwrap_err().to_string();
            assert!(error.contains("cannot be sent"), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
