//! HTML as text.
//!
//! There is no tree: tokens go straight to the writer, so that no page, however broken or deeply
//! nested, costs more than its length.

mod entities;
mod render;
mod tokens;
mod writer;

#[cfg(test)]
mod tests;

use toolcell_guest::http::Url;

/// The page as Markdown. Links are made absolute with the page's own `url`.
pub(crate) fn markdown(html: &str, url: &Url) -> String {
    render::render(html, Some(url))
}

/// The page as plain words, in lines.
pub(crate) fn plain(html: &str, _url: &Url) -> String {
    render::render(html, None)
}
