//! Many requests at once: a server takes them together, answers within a day, and at half the price.

use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::ModelError;
use crate::wire::{ModelRequest, Reply};

/// An API for batches of requests.
pub trait Batches: Send + Sync {
    /// Whether it is certain that the server has it. Other servers that speak a provider's protocol often lack it.
    fn certain(&self) -> bool;

    /// How much one batch takes.
    fn limits(&self) -> BatchLimits;

    /// One request as it stands in a batch. `id` has 1 to 64 letters, digits, `_` and `-`.
    ///
    /// # Errors
    /// [`ModelError::Config`] for a request that cannot be one of a batch.
    fn entry(&self, id: &str, request: &ModelRequest) -> Result<Vec<u8>, ModelError>;

    /// Submits entries, once: whoever asks again after an error may submit them twice.
    ///
    /// # Errors
    /// [`ModelError`]; only some of its kinds say that nothing was submitted.
    fn submit<'a>(&'a self, entries: &'a [Vec<u8>]) -> BoxFuture<'a, Result<Batch, ModelError>>;

    /// How a batch stands.
    ///
    /// # Errors
    /// [`ModelError`].
    fn status<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Batch, ModelError>>;

    /// The newest batch of all.
    ///
    /// # Errors
    /// [`ModelError`].
    fn newest(&self) -> BoxFuture<'_, Result<Option<Batch>, ModelError>>;

    /// Every batch that is newer than this one, or all there are, the newest first.
    ///
    /// # Errors
    /// [`ModelError`].
    fn newer<'a>(&'a self, than: Option<&'a str>) -> BoxFuture<'a, Result<Vec<Batch>, ModelError>>;

    /// Reads the results of a batch that has ended, one after the other and in any order, until `each` says that it has
    /// enough. A line that is no result is told as such.
    ///
    /// # Errors
    /// [`ModelError`], also when the answer breaks off; `each` has then heard of some.
    fn results<'a>(
        &'a self,
        id: &'a str,
        each: &'a mut (dyn FnMut(BatchLine) -> More + Send),
    ) -> BoxFuture<'a, Result<(), ModelError>>;

    /// Asks for a batch to be given up. What is answered already stays so.
    ///
    /// # Errors
    /// [`ModelError`].
    fn cancel<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Batch, ModelError>>;
}

/// How much one batch takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Requests.
    pub requests: usize,
    /// Bytes of the whole body.
    pub bytes: usize,
}

/// A batch as its server tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Batch {
    /// The server's id of it.
    pub id: String,
    /// How far it is.
    #[serde(rename = "processing_status")]
    pub status: BatchStatus,
    /// How its requests stand.
    #[serde(rename = "request_counts", default)]
    pub counts: BatchCounts,
}

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchStatus {
    /// Under way.
    InProgress,
    /// It is being given up.
    Canceling,
    /// All of it has a result.
    Ended,
    /// A word that this version does not know. It is not at its end.
    #[serde(other)]
    Other,
}

/// How the requests of a batch stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct BatchCounts {
    /// Without a result.
    pub processing: u64,
    /// Answered.
    pub succeeded: u64,
    /// Refused, or failed.
    pub errored: u64,
    /// Given up before they were answered.
    pub canceled: u64,
    /// Not answered in time.
    pub expired: u64,
}

impl BatchCounts {
    /// All requests.
    pub fn all(&self) -> u64 {
        [
            self.processing,
            self.succeeded,
            self.errored,
            self.canceled,
            self.expired,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }
}

/// A line of a batch's results.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchLine {
    /// The id of the request; absent where the line has none that could be read.
    pub id: Option<String>,
    /// What came of it.
    pub result: BatchResult,
}

/// What came of one request.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchResult {
    /// It was answered.
    Answered(Box<Reply>),
    /// It was refused, or failed.
    Failed {
        /// The server's word for it, for example `invalid_request_error`.
        kind: String,
        /// What the server said.
        message: String,
    },
    /// It was given up before it was answered.
    Canceled,
    /// It was not answered in time.
    Expired,
    /// The line is no result.
    Broken(String),
}

/// Whether further results are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// The next one.
    Next,
    /// None.
    Enough,
}
