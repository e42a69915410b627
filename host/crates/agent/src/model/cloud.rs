//! What model ids and regions are allowed to be where they become part of a URL.

use super::ModelError;

/// A text as one segment of a path: everything is percent-encoded but unreserved characters and those of `safe`.
///
/// # Errors
/// [`ModelError::Config`] for what would leave its segment: nothing, `.` and `..`, also with parameters (`;x`), which
/// servers may cut off before they look.
pub(super) fn segment(what: &str, text: &str, safe: &[u8]) -> Result<String, ModelError> {
    let (before, _) = text.split_once(';').unwrap_or((text, ""));
    if matches!(before, "" | "." | "..") {
        return Err(ModelError::Config(format!("`{text}` is no {what}")));
    }
    let mut quoted = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || safe.contains(&byte) {
            quoted.push(char::from(byte));
        } else {
            quoted.push_str(&format!("%{byte:02X}"));
        }
    }
    Ok(quoted)
}

/// A region as a part of a host name.
///
/// # Errors
/// [`ModelError::Config`] for what is no such part: it would name another host.
pub(super) fn region(text: &str) -> Result<&str, ModelError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > 40 || !text.bytes().all(fits) {
        return Err(ModelError::Config(format!(
            "`{}` is no region; write it like `eu-west-1`",
            text.escape_debug()
        )));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_in_their_segment() {
        let bedrock = |id| segment("model", id, b":;").unwrap();
        assert_eq!(
            bedrock("anthropic.claude-sonnet-4-5-20250929-v1:0"),
            "anthropic.claude-sonnet-4-5-20250929-v1:0"
        );
        assert_eq!(
            bedrock("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.x"),
            "arn:aws:bedrock:eu-west-1:1:inference-profile%2Feu.x"
        );
        assert_eq!(bedrock("a b?c#d%e@ü"), "a%20b%3Fc%23d%25e%40%C3%BC");
        assert_eq!(segment("model", "m@1;x", b"@").unwrap(), "m@1%3Bx");
        for id in ["", ".", "..", ";x", ".;x", "..;x"] {
            let error = segment("model", id, b":;").unwrap_err();
            assert_eq!(error.to_string(), format!("`{id}` is no model"));
        }
    }

    #[test]
    fn a_region_is_a_word() {
        assert_eq!(region("eu-west-1").unwrap(), "eu-west-1");
        for text in ["", "EU", "a.b", "x/y", "evil.com#", "é", &"a".repeat(41)] {
            assert!(region(text).is_err(), "{text}");
        }
    }
}
