//! Whether the server's prompt cache held what it should have, and why not.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::wire::{CacheTtl, Reply, ToolDefinition};

/// Why the prompt's beginning was not in the server's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MissReason {
    /// Another model answered than the turn before.
    ModelChanged,
    /// The operator's instructions changed.
    SystemChanged,
    /// Other tools are offered.
    ToolsChanged,
    /// Older messages changed: room was made.
    MessagesChanged,
    /// Too much time went by since the turn before.
    Expired,
    /// The prompt is shorter than what the server keeps.
    TooShort,
    /// Nothing of this: the server did not keep it, or did not find it.
    Unknown,
}

impl fmt::Display for MissReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ModelChanged => "another model answered",
            Self::SystemChanged => "the instructions changed",
            Self::ToolsChanged => "other tools are offered",
            Self::MessagesChanged => "older messages gave way",
            Self::Expired => "too much time went by",
            Self::TooShort => "the prompt is too short to be kept",
            Self::Unknown => "the server does not say why",
        })
    }
}

impl MissReason {
    /// What the server says, where that is a reason.
    fn of_server(reply: &Reply) -> Option<Self> {
        let said = reply
            .extra
            .get("diagnostics")?
            .pointer("/cache_miss_reason/type")?;
        Some(match said.as_str()? {
            "model_changed" => Self::ModelChanged,
            "system_changed" => Self::SystemChanged,
            "tools_changed" => Self::ToolsChanged,
            "messages_changed" => Self::MessagesChanged,
            _ => return None,
        })
    }
}

/// A turn whose prompt was not read from the cache as far as it should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheMiss {
    /// Why.
    pub reason: MissReason,
    /// How many tokens the cache should have held.
    pub expected_tokens: u64,
    /// How many were read from it.
    pub read_tokens: u64,
}

/// A request, as far as the cache of the next one depends on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Sent {
    model: String,
    system: String,
    tools: String,
    /// When, in milliseconds since the run began.
    at_ms: u64,
}

impl Sent {
    pub(crate) fn new(
        model: &str,
        system: Option<&str>,
        tools: &[ToolDefinition],
        at_ms: u64,
    ) -> Self {
        let tools = serde_json::to_vec(tools).unwrap_or_default();
        Self {
            model: model.to_owned(),
            system: fingerprint(system.unwrap_or_default().as_bytes()),
            tools: fingerprint(&tools),
            at_ms,
        }
    }
}

/// Enough to tell two texts of one run apart.
fn fingerprint(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What the cache should hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct CacheState {
    last: Option<Last>,
    /// Whether room was made since.
    pub(crate) compacted: bool,
    /// Whether the run stood still since, nobody knows how long.
    pub(crate) resumed: bool,
    /// Whether it was told that prompts are too short.
    told_short: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Last {
    sent: Sent,
    kept_tokens: u64,
    message: Option<String>,
}

impl CacheState {
    /// The server's id of the turn before.
    pub(crate) fn previous_message(&self) -> Option<&str> {
        self.last.as_ref()?.message.as_deref()
    }

    /// Takes a request and its reply. Says so where less was read from the cache than the turn before left there.
    pub(crate) fn judge(
        &mut self,
        mut sent: Sent,
        reply: &Reply,
        ttl: CacheTtl,
    ) -> Option<CacheMiss> {
        // Nothing was sent: the answer was kept from an earlier request.
        if reply.cached.is_some() {
            return None;
        }
        if let Some(other) = &reply.answered_by {
            sent.model.clone_from(other);
        }
        let usage = &reply.usage;
        let miss = self.miss(&sent, reply, ttl);
        *self = Self {
            last: Some(Last {
                sent,
                kept_tokens: usage
                    .cache_read_input_tokens
                    .saturating_add(usage.cache_creation_input_tokens),
                message: reply
                    .extra
                    .get("id")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            }),
            compacted: false,
            resumed: false,
            told_short: self.told_short
                || miss.is_some_and(|miss| miss.reason == MissReason::TooShort),
        };
        miss
    }

    fn miss(&self, sent: &Sent, reply: &Reply, ttl: CacheTtl) -> Option<CacheMiss> {
        let last = self.last.as_ref()?;
        let (expected, read) = (last.kept_tokens, reply.usage.cache_read_input_tokens);
        let miss = |reason| {
            Some(CacheMiss {
                reason,
                expected_tokens: expected,
                read_tokens: read,
            })
        };
        if expected == 0 && read == 0 {
            // It is the same in every turn until the conversation has grown.
            return if self.told_short {
                None
            } else {
                miss(MissReason::TooShort)
            };
        }
        // Servers count the same text alike, give or take what stands between blocks.
        if read >= expected - expected / 20 {
            return None;
        }
        let local = if last.sent.model != sent.model {
            MissReason::ModelChanged
        } else if last.sent.system != sent.system {
            MissReason::SystemChanged
        } else if last.sent.tools != sent.tools {
            MissReason::ToolsChanged
        } else if self.compacted {
            MissReason::MessagesChanged
        } else if self.resumed || sent.at_ms.saturating_sub(last.sent.at_ms) >= ttl.millis() {
            MissReason::Expired
        } else {
            MissReason::Unknown
        };
        miss(MissReason::of_server(reply).unwrap_or(local))
    }
}

#[cfg(test)]
mod tests;
