//! The Message Batches API.

use std::fmt::Write as _;

use futures_util::future::BoxFuture;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::{
    Anthropic, OLD_VERSION,
    body::{Dialect, messages_body},
};
use crate::{
    model::{Batch, BatchLimits, BatchLine, BatchResult, Batches, ModelError, More, http::Ask},
    wire::{ModelRequest, Reply},
};

/// What the API takes at once: 100,000 requests, and 256 MB.
const LIMITS: BatchLimits = BatchLimits {
    requests: 100_000,
    bytes: 256_000_000,
};

/// No line of results is longer: the longest answer has far fewer bytes.
const MAX_LINE_BYTES: usize = 64 << 20;

/// How many batches one page of the list has, and how many pages are read.
const PAGE: usize = 100;
const MAX_PAGES: usize = 100;

#[derive(Deserialize)]
struct Page {
    data: Vec<Batch>,
    #[serde(default)]
    has_more: bool,
    #[serde(default)]
    last_id: Option<String>,
}

impl Anthropic {
    /// The URL of a batch, or of something about it. The id comes from a server or a file, so it is one segment whatever
    /// it holds.
    fn batch_url(&self, segments: &[&str]) -> Result<Url, ModelError> {
        let mut url = self.batches.clone();
        match url.path_segments_mut() {
            Ok(mut path) => path.extend(segments),
            Err(()) => return Err(ModelError::Config("the base URL cannot have a path".into())),
        };
        Ok(url)
    }

    fn batch_ask(&self, method: Method, url: Url, accept: &'static str) -> Ask<'_> {
        Ask {
            method,
            url,
            headers: self.headers.clone(),
            body: Vec::new(),
            accept,
            hide: std::slice::from_ref(&self.config.api_key),
        }
    }

    async fn batch(&self, ask: Ask<'_>) -> Result<Batch, ModelError> {
        let answer = self.http.json(ask).await?;
        serde_json::from_value(answer)
            .map_err(|error| ModelError::Protocol(format!("no batch: {error}")))
    }

    async fn page(&self, after: Option<&str>, size: usize) -> Result<Page, ModelError> {
        let mut url = self.batches.clone();
        url.query_pairs_mut()
            .append_pair("limit", &size.to_string());
        if let Some(after) = after {
            url.query_pairs_mut().append_pair("after_id", after);
        }
        let ask = self.batch_ask(Method::GET, url, "application/json");
        let answer = self.http.json(ask).await?;
        serde_json::from_value(answer)
            .map_err(|error| ModelError::Protocol(format!("no list of batches: {error}")))
    }

    async fn newer_batches(&self, than: Option<&str>) -> Result<Vec<Batch>, ModelError> {
        let mut newer = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let page = self.page(after.as_deref(), PAGE).await?;
            for batch in page.data {
                if Some(batch.id.as_str()) == than {
                    return Ok(newer);
                }
                newer.push(batch);
            }
            match page.last_id {
                // A server that repeats itself would go on for ever.
                Some(last) if page.has_more && after.as_ref() != Some(&last) => after = Some(last),
                _ => return Ok(newer),
            }
        }
        let most = PAGE * MAX_PAGES;
        Err(ModelError::Protocol(format!(
            "there are more than {most} newer batches"
        )))
    }
}

impl Batches for Anthropic {
    fn certain(&self) -> bool {
        self.first_party()
    }

    fn limits(&self) -> BatchLimits {
        LIMITS
    }

    fn entry(&self, id: &str, request: &ModelRequest) -> Result<Vec<u8>, ModelError> {
        let dialect = Dialect {
            model: true,
            stream: None,
            version: None,
            sampling: self.config.version == OLD_VERSION,
        };
        let params = messages_body(request, dialect)?;
        Ok(json!({ "custom_id": id, "params": params })
            .to_string()
            .into_bytes())
    }

    fn submit<'a>(&'a self, entries: &'a [Vec<u8>]) -> BoxFuture<'a, Result<Batch, ModelError>> {
        let mut body = b"{\"requests\":[".to_vec();
        body.extend(entries.join(&b','));
        body.extend(b"]}");
        let mut ask = self.batch_ask(Method::POST, self.batches.clone(), "application/json");
        ask.body = body;
        Box::pin(self.batch(ask))
    }

    fn status<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Batch, ModelError>> {
        Box::pin(async move {
            let url = self.batch_url(&[id])?;
            self.batch(self.batch_ask(Method::GET, url, "application/json"))
                .await
        })
    }

    fn newest(&self) -> BoxFuture<'_, Result<Option<Batch>, ModelError>> {
        Box::pin(async move { Ok(self.page(None, 1).await?.data.into_iter().next()) })
    }

    fn newer<'a>(&'a self, than: Option<&'a str>) -> BoxFuture<'a, Result<Vec<Batch>, ModelError>> {
        Box::pin(self.newer_batches(than))
    }

    fn results<'a>(
        &'a self,
        id: &'a str,
        each: &'a mut (dyn FnMut(BatchLine) -> More + Send),
    ) -> BoxFuture<'a, Result<(), ModelError>> {
        Box::pin(async move {
            let url = self.batch_url(&[id, "results"])?;
            let ask = self.batch_ask(Method::GET, url, "*/*");
            let mut each = |line: &[u8]| each(read(line));
            self.http.lines(ask, MAX_LINE_BYTES, &mut each).await
        })
    }

    fn cancel<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Batch, ModelError>> {
        Box::pin(async move {
            let url = self.batch_url(&[id, "cancel"])?;
            self.batch(self.batch_ask(Method::POST, url, "application/json"))
                .await
        })
    }
}

/// Reads one line of results. What is wrong with a line is that line's trouble only.
fn read(line: &[u8]) -> BatchLine {
    let broken = |id, why: String| BatchLine {
        id,
        result: BatchResult::Broken(why),
    };
    let mut value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(error) => return broken(None, format!("no JSON: {error}")),
    };
    let id = value.get("custom_id").and_then(Value::as_str);
    let Some(id) = id.map(str::to_owned) else {
        return broken(None, "it has no `custom_id`".into());
    };
    let Some(result) = value.get_mut("result") else {
        return broken(Some(id), "it has no `result`".into());
    };
    let kind = result
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_owned();
    let result = match kind.as_str() {
        "succeeded" => {
            let message = result
                .get_mut("message")
                .map(Value::take)
                .unwrap_or_default();
            match serde_json::from_value::<Reply>(message) {
                Ok(reply) => BatchResult::Answered(Box::new(reply)),
                Err(error) => BatchResult::Broken(format!("its message is none: {error}")),
            }
        }
        "errored" => failed(result),
        "canceled" => BatchResult::Canceled,
        "expired" => BatchResult::Expired,
        other => {
            let mut why = String::from("its result has the unknown type ");
            let _ = write!(why, "`{}`", other.chars().take(40).collect::<String>());
            BatchResult::Broken(why)
        }
    };
    BatchLine {
        id: Some(id),
        result,
    }
}

/// `{"type": "errored", "error": {"type": "error", "error": {"type", "message"}}}`; also without the middle.
fn failed(result: &Value) -> BatchResult {
    let outer = result.get("error").unwrap_or(&Value::Null);
    let inner = outer.get("error").unwrap_or(outer);
    let word = |key: &str| inner.get(key).and_then(Value::as_str);
    BatchResult::Failed {
        kind: word("type").unwrap_or("api_error").to_owned(),
        message: word("message")
            .unwrap_or("the server did not say why")
            .to_owned(),
    }
}

#[cfg(test)]
mod tests;
