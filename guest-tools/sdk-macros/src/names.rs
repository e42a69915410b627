//! Names as they stand in a manifest.

use syn::{Ident, Result};

/// The name of a Rust item in the manifest: `search_text` becomes `search-text`.
pub(crate) fn kebab(ident: &Ident) -> String {
    let name = ident.to_string();
    let name = name.strip_prefix("r#").unwrap_or(&name);
    let mut kebab = String::new();
    for (index, character) in name.char_indices() {
        if character.is_uppercase() && index > 0 {
            kebab.push('-');
        }
        match character {
            '_' => kebab.push('-'),
            other => kebab.extend(other.to_lowercase()),
        }
    }
    kebab
}

/// Whether `name` may stand in a manifest: lower-case letters, digits and single hyphens inside.
pub(crate) fn check(name: &str, span: proc_macro2::Span) -> Result<()> {
    let letters = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    if letters && starts && !name.ends_with('-') && !name.contains("--") && name.len() <= 64 {
        return Ok(());
    }
    let rule = "lower-case ASCII letters, digits and single hyphens, starting with a letter, \
                at most 64 characters";
    Err(syn::Error::new(
        span,
        format!("`{name}` cannot be a name in a manifest: {rule}"),
    ))
}
