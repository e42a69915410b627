//! `fetch`: read pages and data from the web.
//!
//! A request is sent and its redirects are followed (`load`), the bytes become text (`decode`), an
//! HTML page becomes Markdown (`html`), and one page of that is answered (`page`).

mod decode;
mod html;
mod limits;
mod load;
mod page;

use toolcell_guest::{Error, Result, data, package, serde_json, tool};

use limits::{DEFAULT_CHARACTERS, PAGE_CHARACTERS};

package! {
    name = "fetch",
    tools = [fetch],
    request = {
        net = [{ to = "any", methods = ["GET"], why = "read the pages the model asks for" }],
    },
}

/// What to make of a page.
#[data]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// HTML as Markdown with its links; anything else as it is. The default.
    Markdown,
    /// HTML as plain words, without links; anything else as it is.
    Text,
    /// Only JSON, indented.
    Json,
    /// The text as the server sent it.
    Raw,
}

/// Reads a web page or an API's answer with a GET request, and answers it as text.
///
/// HTML becomes Markdown. A long answer comes in pages: when more remains, the last line says
/// `[characters 1-20000 of 53211; go on with offset=20001]`; every page is a request of its own. Up
/// to 5 redirects are followed, each if it is granted. Only what the operator granted can be reached;
/// a refused host stays refused, so do not try it again. At most the first 4 MiB are read. Images,
/// PDF and other binary data are refused, and scripts do not run.
#[tool(read_only, open_world)]
pub fn fetch(
    /// An absolute URL, for example `https://example.com/docs?page=2`.
    url: String,
    format: Option<Format>,
    /// The first character wanted, counted from 1.
    #[arg(default = 1, min = 1)]
    offset: u32,
    /// How many characters at most.
    #[arg(default = DEFAULT_CHARACTERS, min = 1, max = PAGE_CHARACTERS)]
    limit: u32,
) -> Result<String> {
    let format = format.unwrap_or(Format::Markdown);
    let loaded = load::load(&url, format)?;
    let text = decode::text(&loaded)?;
    let text = render(&text, format, &loaded)?;
    let mut answer = page::page(&text, offset as usize, limit as usize)?;
    if let Some(target) = &loaded.redirected {
        answer.insert_str(0, &format!("[redirected to {target}]\n"));
    }
    if loaded.cut {
        answer.push_str(&format!(
            "\n[only the first {} MiB were read]",
            limits::BODY_BYTES >> 20
        ));
    }
    Ok(answer)
}

fn render(text: &str, format: Format, loaded: &load::Loaded) -> Result<String> {
    match format {
        Format::Markdown if loaded.is_html(text) => Ok(html::markdown(text, &loaded.url)),
        Format::Text if loaded.is_html(text) => Ok(html::plain(text, &loaded.url)),
        Format::Json => {
            let wrong = |error| Error::failed(format!("{} is no JSON: {error}", loaded.url));
            let value: serde_json::Value = serde_json::from_str(text).map_err(wrong)?;
            serde_json::to_string_pretty(&value).map_err(wrong)
        }
        _ => Ok(text.to_owned()),
    }
}
