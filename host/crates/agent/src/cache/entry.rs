//! One kept answer as bytes: its form, a tag over all of it, and the answer. What is not exactly that is no answer.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Key, SharedKey};
use crate::wire::Reply;

/// The form of the bytes. Another version of this program with another form takes these for nothing.
const FORM: &[u8; 8] = b"tcreply1";

/// How far the clocks of hosts that share a cache may be apart.
const CLOCKS_APART: Duration = Duration::from_secs(300);

/// An answer that is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was kept, in milliseconds since 1970.
    kept_ms: u64,
    /// When it ends, likewise.
    ends_ms: u64,
    /// What it cost in millionths of a US dollar, where that is known.
    pub cost_micro_usd: Option<u64>,
    /// The whole answer.
    pub reply: Reply,
}

/// Why bytes are not taken for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// They are none, or were changed, or belong to another request, or were sealed with another key.
    NotOurs,
    /// Its time is over.
    Ended,
}

impl Entry {
    /// An answer that is kept from now on for so long.
    pub fn new(reply: Reply, cost_micro_usd: Option<u64>, now: SystemTime, ttl: Duration) -> Self {
        let kept_ms = millis(now);
        Self {
            kept_ms,
            ends_ms: kept_ms.saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)),
            cost_micro_usd,
            reply,
        }
    }

    /// When it ends, in milliseconds since 1970.
    pub(crate) fn ends_ms(&self) -> u64 {
        self.ends_ms
    }

    /// The bytes to keep under `key`.
    pub(crate) fn seal(
        &self,
        key: &Key,
        shared: Option<&SharedKey>,
    ) -> serde_json::Result<Vec<u8>> {
        let body = serde_json::to_vec(self)?;
        let mut bytes = Vec::with_capacity(FORM.len() + 32 + body.len());
        bytes.extend_from_slice(FORM);
        bytes.extend_from_slice(&tag(key, &body, shared));
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }

    /// The answer in bytes that were found under `key`. It also ends where this host keeps answers for a shorter time
    /// than whoever kept it.
    pub(crate) fn open(
        bytes: &[u8],
        key: &Key,
        shared: Option<&SharedKey>,
        now: SystemTime,
        ttl: Duration,
    ) -> Result<Self, Unfit> {
        let (found, body) = bytes
            .strip_prefix(FORM)
            .and_then(|rest| rest.split_first_chunk::<32>())
            .ok_or(Unfit::NotOurs)?;
        if !same(found, &tag(key, body, shared)) {
            return Err(Unfit::NotOurs);
        }
        let entry: Self = serde_json::from_slice(body).map_err(|_| Unfit::NotOurs)?;
        let (now, ttl) = (
            millis(now),
            u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
        );
        let apart = u64::try_from(CLOCKS_APART.as_millis()).unwrap_or(u64::MAX);
        let begun = entry.kept_ms <= now.saturating_add(apart);
        let ends = entry.ends_ms.min(entry.kept_ms.saturating_add(ttl));
        if begun && now < ends {
            Ok(entry)
        } else {
            Err(Unfit::Ended)
        }
    }
}

fn tag(key: &Key, body: &[u8], shared: Option<&SharedKey>) -> [u8; 32] {
    match shared {
        Some(shared) => shared.tag("toolcell cache entry", &[key.as_bytes(), body]),
        None => {
            let mut hash = Sha256::new();
            hash.update(FORM);
            hash.update(key.as_bytes());
            hash.update(body);
            hash.finalize().into()
        }
    }
}

/// Whether two tags are the same, in a time that does not depend on where they differ.
fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.iter()
        .zip(other)
        .fold(0, |differ, (a, b)| differ | (a ^ b))
        == 0
}

/// Milliseconds since 1970; a time before it is 1970.
pub(crate) fn millis(time: SystemTime) -> u64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
