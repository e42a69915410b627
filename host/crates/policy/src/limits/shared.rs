//! Limits on many calls together: those of one session, and those of the whole host.

use serde::{Deserialize, Serialize};

use super::{LimitInfo, LimitUnit, LimitValue, WrittenLimits};
use crate::units::Rate;

/// What all calls of one session, or of the whole host, may be together: the tables `[session]` and `[host]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedLimits {
    /// Calls at one time. `None` for a host is as many as its engine has places, which it never exceeds; a session
    /// always has a number, 32 by default.
    pub concurrency: Option<u32>,
    /// Calls that wait for a free place. Default 64 for a session, 256 for a host.
    pub queue: u32,
    /// Questions to a person that are open at one time. Default 16 for a session, 64 for a host.
    pub questions: u32,
    /// Calls over time. Default: not limited.
    pub rate: Option<Rate>,
}

const SESSION_CONCURRENCY: u32 = 32;
const SESSION_QUEUE: u32 = 64;
const SESSION_QUESTIONS: u32 = 16;
const HOST_QUEUE: u32 = 256;
const HOST_QUESTIONS: u32 = 64;

impl SharedLimits {
    /// Every limit of a session, under `[session]`.
    pub const SESSION: &[LimitInfo] = &[
        LimitInfo::new(
            "concurrency",
            LimitUnit::Count,
            Some(SESSION_CONCURRENCY as u64),
            1_024,
            "calls of one session at one time",
        ),
        LimitInfo::new(
            "queue",
            LimitUnit::Count,
            Some(SESSION_QUEUE as u64),
            10_000,
            "calls of one session that wait for a free place",
        ),
        LimitInfo::new(
            "questions",
            LimitUnit::Count,
            Some(SESSION_QUESTIONS as u64),
            256,
            "questions to a person that one session has open at one time",
        ),
        LimitInfo::new(
            "rate",
            LimitUnit::Rate,
            None,
            1_000_000,
            "calls of one session over time",
        ),
    ];

    /// Every limit of a host, under `[host]`.
    pub const HOST: &[LimitInfo] = &[
        LimitInfo::new(
            "concurrency",
            LimitUnit::Count,
            None,
            1_024,
            "calls of all tools at one time, within the engine's places",
        ),
        LimitInfo::new(
            "queue",
            LimitUnit::Count,
            Some(HOST_QUEUE as u64),
            10_000,
            "calls of all tools that wait for a free place",
        ),
        LimitInfo::new(
            "questions",
            LimitUnit::Count,
            Some(HOST_QUESTIONS as u64),
            1_024,
            "questions to a person that are open at one time",
        ),
        LimitInfo::new(
            "rate",
            LimitUnit::Rate,
            None,
            10_000_000,
            "calls of all tools over time",
        ),
    ];

    /// What holds for a session of which no policy says anything.
    pub fn session() -> Self {
        Self {
            concurrency: Some(SESSION_CONCURRENCY),
            queue: SESSION_QUEUE,
            questions: SESSION_QUESTIONS,
            rate: None,
        }
    }

    /// What holds for a host of which no policy says anything.
    pub fn host() -> Self {
        Self {
            concurrency: None,
            queue: HOST_QUEUE,
            questions: HOST_QUESTIONS,
            rate: None,
        }
    }

    /// The value under a key in the catalogue's numbers; `None` when it is not limited, or the key is none.
    pub fn get(&self, key: &str) -> Option<u64> {
        match key {
            "concurrency" => self.concurrency.map(u64::from),
            "queue" => Some(self.queue.into()),
            "questions" => Some(self.questions.into()),
            "rate" => self.rate.map(|rate| rate.count.into()),
            _ => None,
        }
    }

    /// The value under a key as people write it, for example `60/min`; `None` when it is not limited.
    pub fn show(&self, key: &str) -> Option<String> {
        match self.rate {
            Some(rate) if key == "rate" => Some(rate.to_string()),
            _ => Some(self.get(key)?.to_string()),
        }
    }

    fn set(&mut self, key: &str, value: &LimitValue) {
        match value {
            LimitValue::Rate(rate) => self.rate = Some(*rate),
            LimitValue::Number(number) => {
                // Counts never exceed their ceilings, which all fit.
                let count = u32::try_from(*number).unwrap_or(u32::MAX);
                match key {
                    "concurrency" => self.concurrency = Some(count),
                    "queue" => self.queue = count,
                    "questions" => self.questions = count,
                    _ => {}
                }
            }
        }
    }

    /// These limits under what files say about them, the highest file first: it may raise them, and every other one
    /// only lowers them.
    #[must_use]
    pub(crate) fn under<'w>(mut self, files: impl Iterator<Item = &'w WrittenLimits>) -> Self {
        for (index, written) in files.enumerate() {
            for limit in &written.0 {
                let value = match limit.value {
                    _ if index == 0 => limit.value.clone(),
                    LimitValue::Rate(rate) => {
                        LimitValue::Rate(self.rate.map_or(rate, |mine| mine.stricter(rate)))
                    }
                    LimitValue::Number(number) => LimitValue::Number(
                        self.get(limit.key).map_or(number, |mine| mine.min(number)),
                    ),
                };
                self.set(limit.key, &value);
            }
        }
        self
    }
}
