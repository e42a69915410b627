//! The SDK's HTTP client, one part of it in each tool.

use std::time::Duration;

use toolcell_guest::http::Request;
use toolcell_guest::serde_json::{Value, json};
use toolcell_guest::{Result, package, secrets, tool};

package! {
    name = "client",
    description = "The parts of an HTTP client",
    tools = [trailers, pieces, whole, pages, patient, change, exists],
    request = {
        net = [{ to = "any", methods = ["GET", "POST"] }],
        secrets = [{ name = "CLIENT_KEY", to = "any" }, { name = "OTHER_KEY", to = "any" }],
    },
}

/// Answers the trailers.
#[tool]
fn trailers(url: String) -> Result<String> {
    let trailers = Request::get(url).send()?.trailers()?;
    Ok(format!("{trailers:?}"))
}

/// Reads piece by piece, and tells how many bytes came in all and at most at once.
#[tool]
fn pieces(url: String, most: usize) -> Result<String> {
    let response = Request::get(url).send()?;
    let (mut all, mut largest) = (0, 0);
    while let Some(piece) = response.chunk(most)? {
        all += piece.len();
        largest = largest.max(piece.len());
    }
    Ok(format!("{all} {}", largest <= most))
}

/// Reads a whole text, within a limit.
#[tool]
fn whole(url: String, limit: Option<usize>) -> Result<String> {
    let request = Request::get(url);
    let request = match limit {
        Some(limit) => request.limit(limit),
        None => request,
    };
    request.send()?.ok()?.text()
}

/// Reads all pages of a list.
#[tool]
fn pages(url: String) -> Result<String> {
    let mut all = Vec::new();
    let mut next = Some(url);
    while let Some(url) = next {
        let response = Request::get(url).send()?.ok()?;
        next = response.link("next").map(|url| url.to_string());
        all.extend(response.json::<Vec<Value>>()?);
    }
    Ok(json!(all).to_string())
}

/// Waits so long for an answer, and no longer.
#[tool]
fn patient(url: String, milliseconds: u64) -> Result<String> {
    let time = Duration::from_millis(milliseconds);
    let request = Request::get(url).connect_timeout(Duration::from_secs(5));
    request
        .response_timeout(time)
        .idle_timeout(time)
        .send()?
        .text()
}

/// Changes something.
#[tool]
fn change(url: String) -> Result<String> {
    let answer: Value = Request::post(url)
        .query("q", "a&b")
        .json(&json!({ "x": 1 }))
        .redirects(2)
        .send()?
        .ok()?
        .json()?;
    Ok(answer.to_string())
}

/// Tells whether there is a credential.
#[tool]
fn exists(name: String) -> String {
    secrets::exists(&name).to_string()
}
