//! What of a prompt a server is told to keep.

use serde::{Deserialize, Serialize};

/// Where a request has its breakpoints: a server's prompt cache keeps what stands before each. At most four. They are no
/// part of what the model reads, so two requests that differ in nothing else get the same answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CachePlan {
    /// For how long the server shall keep it: one time for all, so that a longer never comes after a shorter.
    pub ttl: CacheTtl,
    /// Behind the last tool.
    pub tools: bool,
    /// Behind the operator's instructions.
    pub system: bool,
    /// Behind these blocks: the number of the message and of the block in it, in rising order.
    pub blocks: Vec<(usize, usize)>,
    /// The server's id of the answer before, by which it can say why it found nothing.
    pub previous_message: Option<String>,
}

impl CachePlan {
    /// How many breakpoints there are.
    pub fn len(&self) -> usize {
        usize::from(self.tools) + usize::from(self.system) + self.blocks.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// For how long a prompt cache keeps what it was not asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheTtl {
    /// Five minutes. Writing costs a quarter more than plain input.
    #[default]
    #[serde(rename = "5m")]
    Minutes5,
    /// An hour. Writing costs twice as much as plain input.
    #[serde(rename = "1h")]
    Hour,
}

impl CacheTtl {
    /// Both, the shorter first.
    pub const ALL: [Self; 2] = [Self::Minutes5, Self::Hour];

    /// `5m` or `1h`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minutes5 => "5m",
            Self::Hour => "1h",
        }
    }

    pub(crate) fn millis(self) -> u64 {
        match self {
            Self::Minutes5 => 300_000,
            Self::Hour => 3_600_000,
        }
    }
}
