//! Limits: what one call may use at most. Every limit is finite unless it is documented as absent by default.

use std::time::Duration;

use serde::Serialize;

use crate::{
    Rule,
    units::{Rate, format_duration, format_size},
};

/// Ceilings for one call (for `concurrency` and `rate`: for one tool).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Wall clock time of a call, host calls included. Default 30 s.
    pub time: Duration,
    /// Time the guest executes. Default 10 s.
    pub cpu: Duration,
    /// Fuel: a deterministic bound on executed instructions. Default: not counted.
    pub fuel: Option<u64>,
    /// Bytes over all linear memories. Default 256 MiB.
    pub memory: u64,
    /// Bytes of the answer. Default 256 KiB.
    pub output: u64,
    /// Bytes of log, standard output and standard error together. Default 64 KiB.
    pub log: u64,
    /// Bytes sent to the network. Default 8 MiB.
    pub egress: u64,
    /// Bytes received in one response. Default 16 MiB.
    pub response: u64,
    /// Requests sent. Default 64.
    pub requests: u32,
    /// Calls of the tool at one time. Default 16.
    pub concurrency: u32,
    /// Calls of the tool over time. Default: not limited.
    pub rate: Option<Rate>,
    /// Bytes written to files. Default 64 MiB.
    pub written: u64,
    /// Files and directories created. Default 1024.
    pub created: u32,
    /// How deep tools may call tools. Default 4.
    pub call_depth: u32,
}

/// What a limit is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitUnit {
    /// Written like `"30s"`; numbers in the catalogue are milliseconds.
    Duration,
    /// Written like `"256KiB"`; numbers in the catalogue are bytes.
    Bytes,
    /// A plain number.
    Count,
    /// Written like `"60/min"`; numbers in the catalogue are the count per period.
    Rate,
}

/// One line of the table of limits.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LimitInfo {
    /// The key under `[default.limits]` and `[tool.NAME.limits]`.
    pub key: &'static str,
    /// What it is counted in.
    pub unit: LimitUnit,
    /// What holds when nothing is written; `None` is no limit.
    pub default: Option<u64>,
    /// The most that a policy can set.
    pub max: u64,
    /// What is limited, in plain words.
    pub what: &'static str,
}

impl LimitInfo {
    const fn new(
        key: &'static str,
        unit: LimitUnit,
        default: Option<u64>,
        max: u64,
        what: &'static str,
    ) -> Self {
        Self {
            key,
            unit,
            default,
            max,
            what,
        }
    }

    /// A number of this limit as people write it, for example `256KiB`.
    pub fn show(&self, value: u64) -> String {
        match self.unit {
            LimitUnit::Duration => format_duration(Duration::from_millis(value)),
            LimitUnit::Bytes => format_size(value),
            LimitUnit::Count | LimitUnit::Rate => value.to_string(),
        }
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;

impl Limits {
    /// Every limit with its unit, default and ceiling; the documentation's table is made of this.
    pub const CATALOGUE: &[LimitInfo] = &[
        LimitInfo::new(
            "time",
            LimitUnit::Duration,
            Some(30 * SECOND),
            HOUR,
            "wall clock time of one call, host calls included",
        ),
        LimitInfo::new(
            "cpu",
            LimitUnit::Duration,
            Some(10 * SECOND),
            HOUR,
            "time the guest executes in one call",
        ),
        LimitInfo::new(
            "fuel",
            LimitUnit::Count,
            None,
            1_000_000_000_000_000,
            "instructions the guest executes in one call, counted deterministically",
        ),
        LimitInfo::new(
            "memory",
            LimitUnit::Bytes,
            Some(256 * MIB),
            4 * GIB,
            "memory of one call, summed over all linear memories",
        ),
        LimitInfo::new(
            "output",
            LimitUnit::Bytes,
            Some(256 * KIB),
            16 * MIB,
            "size of the answer",
        ),
        LimitInfo::new(
            "log",
            LimitUnit::Bytes,
            Some(64 * KIB),
            16 * MIB,
            "log, standard output and standard error of one call together",
        ),
        LimitInfo::new(
            "egress",
            LimitUnit::Bytes,
            Some(8 * MIB),
            GIB,
            "bytes sent to the network in one call",
        ),
        LimitInfo::new(
            "response",
            LimitUnit::Bytes,
            Some(16 * MIB),
            GIB,
            "bytes received in one response",
        ),
        LimitInfo::new(
            "requests",
            LimitUnit::Count,
            Some(64),
            10_000,
            "requests sent in one call",
        ),
        LimitInfo::new(
            "concurrency",
            LimitUnit::Count,
            Some(16),
            1_024,
            "calls of the tool at one time",
        ),
        LimitInfo::new(
            "rate",
            LimitUnit::Rate,
            None,
            1_000_000,
            "calls of the tool over time",
        ),
        LimitInfo::new(
            "written",
            LimitUnit::Bytes,
            Some(64 * MIB),
            16 * GIB,
            "bytes written to files in one call",
        ),
        LimitInfo::new(
            "created",
            LimitUnit::Count,
            Some(1_024),
            1_000_000,
            "files and directories created in one call",
        ),
        LimitInfo::new(
            "call_depth",
            LimitUnit::Count,
            Some(4),
            16,
            "how deep tools may call tools",
        ),
    ];

    /// The catalogue's line of a key.
    pub fn info(key: &str) -> Option<&'static LimitInfo> {
        Self::CATALOGUE.iter().find(|info| info.key == key)
    }

    /// The value under a key in the catalogue's numbers; `None` when it is not limited, or the key is none.
    pub fn get(&self, key: &str) -> Option<u64> {
        match key {
            "time" => Some(millis(self.time)),
            "cpu" => Some(millis(self.cpu)),
            "fuel" => self.fuel,
            "memory" => Some(self.memory),
            "output" => Some(self.output),
            "log" => Some(self.log),
            "egress" => Some(self.egress),
            "response" => Some(self.response),
            "requests" => Some(self.requests.into()),
            "concurrency" => Some(self.concurrency.into()),
            "rate" => self.rate.map(|rate| rate.count.into()),
            "written" => Some(self.written),
            "created" => Some(self.created.into()),
            "call_depth" => Some(self.call_depth.into()),
            _ => None,
        }
    }

    /// The value under a key as people write it, for example `256KiB`; `None` when it is not limited.
    pub fn show(&self, key: &str) -> Option<String> {
        match self.rate {
            Some(rate) if key == "rate" => Some(rate.to_string()),
            _ => Some(Self::info(key)?.show(self.get(key)?)),
        }
    }

    fn set(&mut self, value: &LimitValue, key: &str) {
        match (key, value) {
            ("rate", LimitValue::Rate(rate)) => self.rate = Some(*rate),
            (_, LimitValue::Rate(_)) => {}
            (key, LimitValue::Number(number)) => self.set_number(key, *number),
        }
    }

    fn set_number(&mut self, key: &str, value: u64) {
        // Counts never exceed their ceilings, which all fit.
        let count = u32::try_from(value).unwrap_or(u32::MAX);
        match key {
            "time" => self.time = Duration::from_millis(value),
            "cpu" => self.cpu = Duration::from_millis(value),
            "fuel" => self.fuel = Some(value),
            "memory" => self.memory = value,
            "output" => self.output = value,
            "log" => self.log = value,
            "egress" => self.egress = value,
            "response" => self.response = value,
            "requests" => self.requests = count,
            "concurrency" => self.concurrency = count,
            "written" => self.written = value,
            "created" => self.created = count,
            "call_depth" => self.call_depth = count,
            _ => {}
        }
    }

    /// Sets every written limit, whether it is higher or lower than now.
    pub(crate) fn replace_with(&mut self, written: &WrittenLimits) {
        for limit in &written.0 {
            self.set(&limit.value, limit.key);
        }
    }

    /// Sets every written limit that is stricter than now.
    pub(crate) fn narrow_with(&mut self, written: &WrittenLimits) {
        for limit in &written.0 {
            let value = match limit.value {
                LimitValue::Rate(rate) => {
                    LimitValue::Rate(self.rate.map_or(rate, |mine| mine.stricter(rate)))
                }
                LimitValue::Number(number) => {
                    LimitValue::Number(self.get(limit.key).map_or(number, |mine| mine.min(number)))
                }
            };
            self.set(&value, limit.key);
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(30),
            cpu: Duration::from_secs(10),
            fuel: None,
            memory: 256 * MIB,
            output: 256 * KIB,
            log: 64 * KIB,
            egress: 8 * MIB,
            response: 16 * MIB,
            requests: 64,
            concurrency: 16,
            rate: None,
            written: 64 * MIB,
            created: 1_024,
            call_depth: 4,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LimitValue {
    Number(u64),
    Rate(Rate),
}

/// One limit as a policy file writes it.
#[derive(Clone, Debug)]
pub(crate) struct WrittenLimit {
    pub(crate) key: &'static str,
    pub(crate) value: LimitValue,
    pub(crate) rule: Rule,
}

impl WrittenLimit {
    pub(crate) fn show(&self) -> String {
        match (&self.value, Limits::info(self.key)) {
            (LimitValue::Rate(rate), _) => rate.to_string(),
            (LimitValue::Number(number), Some(info)) => info.show(*number),
            (LimitValue::Number(number), None) => number.to_string(),
        }
    }
}

/// The limits that one table of a policy file writes, each key at most once.
#[derive(Clone, Debug, Default)]
pub(crate) struct WrittenLimits(pub(crate) Vec<WrittenLimit>);

impl WrittenLimits {
    pub(crate) fn get(&self, key: &str) -> Option<&WrittenLimit> {
        self.0.iter().find(|limit| limit.key == key)
    }

    /// These limits, and those of the file's defaults that are not written here.
    pub(crate) fn over(&self, defaults: &Self) -> Self {
        let mut all = self.0.clone();
        all.extend(
            defaults
                .0
                .iter()
                .filter(|limit| self.get(limit.key).is_none())
                .cloned(),
        );
        Self(all)
    }
}

#[cfg(test)]
mod tests;
