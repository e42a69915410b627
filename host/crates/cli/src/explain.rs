//! The long text behind every error code. Each is a Markdown file of its own: a title, a line that says what happened,
//! then why it happens and what to do.

use toolcell::ErrorKind;

macro_rules! texts {
    ($($kind:ident => $file:literal,)*) => {
        /// The text for an error code.
        pub(crate) fn text(kind: ErrorKind) -> &'static str {
            match kind {
                $(ErrorKind::$kind => include_str!(concat!("explain/", $file, ".md")),)*
                // `ErrorKind` may grow; the test below finds a kind without a text.
                _ => "",
            }
        }
    };
}

texts! {
    UnknownTool => "unknown_tool",
    InvalidInput => "invalid_input",
    InvalidOutput => "invalid_output",
    Denied => "denied",
    AuthRequired => "auth_required",
    LimitTime => "limit_time",
    LimitCpu => "limit_cpu",
    LimitMemory => "limit_memory",
    LimitOutput => "limit_output",
    LimitLog => "limit_log",
    LimitEgress => "limit_egress",
    LimitFiles => "limit_files",
    Trap => "trap",
    ToolError => "tool_error",
    Unavailable => "unavailable",
    Busy => "busy",
    Cancelled => "cancelled",
    InvalidPolicy => "invalid_policy",
    InvalidManifest => "invalid_manifest",
    InvalidComponent => "invalid_component",
    Untrusted => "untrusted",
    DigestMismatch => "digest_mismatch",
    SignatureInvalid => "signature_invalid",
    BudgetExceeded => "budget_exceeded",
    Internal => "internal",
}

/// The first sentence of the text: what happened.
pub(crate) fn summary(kind: ErrorKind) -> &'static str {
    text(kind).lines().nth(2).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit;

    #[test]
    fn every_code_has_a_text_of_the_same_shape() {
        for kind in ErrorKind::ALL {
            let text = text(*kind);
            let code = kind.code();
            assert!(text.starts_with(&format!("# {code}\n\n")), "{code}: title");
            assert!(summary(*kind).ends_with('.'), "{code}: summary");
            assert!(text.contains("\n## Why\n"), "{code}: why");
            assert!(text.contains("\n## What to do\n"), "{code}: what to do");
            let status = format!("\nExit status {}.", exit::status(*kind));
            assert!(text.contains(&status), "{code}: {status}");
            assert!(
                text.lines().skip(3).all(|line| line.chars().count() <= 80),
                "{code}: width"
            );
        }
    }
}
