//! The models that the API offers.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Anthropic, ModelError};
use crate::model::http::Ask;

/// The most pages of the list that are asked for.
const MAX_PAGES: usize = 20;

/// How many models a page shall have; the API takes no more.
const PAGE: &str = "1000";

/// A model that the API offers to this key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListedModel {
    /// Its id.
    pub id: String,
    /// Its name for people.
    #[serde(default)]
    pub display_name: Option<String>,
    /// `active`, `deprecated` or `retired`.
    #[serde(default)]
    pub lifecycle: Option<String>,
    /// How many tokens a prompt may have.
    #[serde(default)]
    pub max_input_tokens: Option<u64>,
    /// How many tokens an answer may have.
    #[serde(default)]
    pub max_tokens: Option<u64>,
    /// When it goes, where that is known: an RFC 3339 time.
    #[serde(default)]
    pub retires_at: Option<String>,
    /// Fields that this crate does not know, or has no use for.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<ListedModel>,
    #[serde(default)]
    has_more: bool,
    #[serde(default)]
    last_id: Option<String>,
}

impl Anthropic {
    /// The models that the API offers to this key, in its order.
    ///
    /// # Errors
    /// [`ModelError`], as for a turn.
    pub async fn models(&self) -> Result<Vec<ListedModel>, ModelError> {
        let mut models: Vec<ListedModel> = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut url = self.models.clone();
            url.query_pairs_mut().append_pair("limit", PAGE);
            if let Some(after) = &after {
                url.query_pairs_mut().append_pair("after_id", after);
            }
            let answer = self
                .http
                .json(Ask {
                    method: Method::GET,
                    url,
                    headers: self.headers.clone(),
                    body: Vec::new(),
                    accept: "application/json",
                    hide: std::slice::from_ref(&self.config.api_key),
                })
                .await?;
            let page: Page = serde_json::from_value(answer)
                .map_err(|error| ModelError::Protocol(format!("no list of models: {error}")))?;
            models.extend(page.data);
            match page.last_id {
                // A server that repeats itself would go on for ever.
                Some(last) if page.has_more && after.as_ref() != Some(&last) => after = Some(last),
                _ => return Ok(models),
            }
        }
        Ok(models)
    }
}
