//! Doc comments as descriptions.

use syn::{Attribute, Expr, ExprLit, Lit, Meta, Result};

/// The text of the doc comments among `attributes`, as a model should read it; empty without any.
///
/// Lines that only wrap a paragraph are joined, since the width of the source is of no meaning;
/// blank lines, list items and indented or fenced blocks keep their line breaks.
pub(crate) fn text(attributes: &[Attribute]) -> Result<String> {
    let mut lines = Vec::new();
    for attribute in attributes.iter().filter(|a| a.path().is_ident("doc")) {
        let Meta::NameValue(pair) = &attribute.meta else {
            continue; // `#[doc(hidden)]` and the like
        };
        let Expr::Lit(ExprLit {
            lit: Lit::Str(line),
            ..
        }) = &pair.value
        else {
            let what = "a description must be written out: a model reads it, and a macro cannot";
            return Err(syn::Error::new_spanned(&pair.value, what));
        };
        lines.extend(line.value().split('\n').map(|line| {
            let line = line.strip_prefix(' ').unwrap_or(line);
            line.trim_end().to_owned()
        }));
    }
    Ok(join(&lines).trim().to_owned())
}

fn join(lines: &[String]) -> String {
    let mut joined: Vec<String> = Vec::new();
    let mut fenced = false;
    for line in lines {
        let fence = line.starts_with("```");
        let goes_on = !(fenced || fence || line.is_empty() || stands_alone(line));
        match joined.last_mut() {
            Some(last) if goes_on && !last.is_empty() && !last.starts_with("```") => {
                last.push(' ');
                last.push_str(line.trim_start());
            }
            _ => joined.push(line.clone()),
        }
        fenced ^= fence;
    }
    joined.join("\n")
}

/// Whether a line starts something of its own: a list item, a heading, a table or a block.
fn stands_alone(line: &str) -> bool {
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    ["- ", "* ", "#", "|", "    "]
        .iter()
        .any(|start| line.starts_with(start))
        || number.len() < line.len() && number.starts_with(". ")
}
