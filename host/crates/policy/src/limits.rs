//! Limits: what one call may use at most. Every limit is finite unless it is documented as absent by default.

mod catalogue;
mod shared;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Rule, units::Rate};

pub use catalogue::{LimitInfo, LimitUnit};
pub use shared::SharedLimits;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Ceilings for one call (for `concurrency`, `rate`, `queue` and `questions`: for one tool).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Lines of log, standard output and standard error together. Default 10,000.
    pub log_lines: u32,
    /// Bytes sent to the network. Default 8 MiB.
    pub egress: u64,
    /// Bytes received in one response. Default 16 MiB.
    pub response: u64,
    /// Requests sent. Default 64.
    pub requests: u32,
    /// Requests under way at one time; one more waits. Default 16.
    pub connections: u32,
    /// Bytes of the header section of one request or response. Default 32 KiB.
    pub headers: u64,
    /// Bytes written to files. Default 64 MiB.
    pub written: u64,
    /// Files and directories created. Default 1024.
    pub created: u32,
    /// Files and directories held open at one time. Default 64.
    pub open_files: u32,
    /// Listings of directories held open at one time. Default 64.
    pub listings: u32,
    /// Random bytes in one request for them. Default 1 MiB.
    pub random: u64,
    /// How deep tools may call tools. Default 4.
    pub call_depth: u32,
    /// Calls of other tools below one call, at every depth together. Default 256.
    pub nested_calls: u32,
    /// Bytes that one call of a host function, or the answer, may copy into the host. Default 16 MiB.
    pub hostcall: u64,
    /// Open files, streams, requests and other entries of the host's resource table. Default 1000.
    pub resources: u32,
    /// Live resource handles inside the component model. Default 1000.
    pub handles: u32,
    /// Bytes of the guest's stack. Default 512 KiB.
    pub stack: u64,
    /// Core instances. Default 64.
    pub instances: u32,
    /// Linear memories. Default 2.
    pub memories: u32,
    /// Tables. Default 8.
    pub tables: u32,
    /// Elements of all tables together. Default 20,000.
    pub table_elements: u32,
    /// Calls of the tool at one time. Default 16.
    pub concurrency: u32,
    /// Calls of the tool that wait for a free place. Default 64.
    pub queue: u32,
    /// Questions to a person about the tool that are open at one time. Default 8.
    pub questions: u32,
    /// Calls of the tool over time. Default: not limited.
    pub rate: Option<Rate>,
}

impl Limits {
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
            "log_lines" => Some(self.log_lines.into()),
            "egress" => Some(self.egress),
            "response" => Some(self.response),
            "requests" => Some(self.requests.into()),
            "connections" => Some(self.connections.into()),
            "headers" => Some(self.headers),
            "written" => Some(self.written),
            "created" => Some(self.created.into()),
            "open_files" => Some(self.open_files.into()),
            "listings" => Some(self.listings.into()),
            "random" => Some(self.random),
            "call_depth" => Some(self.call_depth.into()),
            "nested_calls" => Some(self.nested_calls.into()),
            "hostcall" => Some(self.hostcall),
            "resources" => Some(self.resources.into()),
            "handles" => Some(self.handles.into()),
            "stack" => Some(self.stack),
            "instances" => Some(self.instances.into()),
            "memories" => Some(self.memories.into()),
            "tables" => Some(self.tables.into()),
            "table_elements" => Some(self.table_elements.into()),
            "concurrency" => Some(self.concurrency.into()),
            "queue" => Some(self.queue.into()),
            "questions" => Some(self.questions.into()),
            "rate" => self.rate.map(|rate| rate.count.into()),
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
            "log_lines" => self.log_lines = count,
            "egress" => self.egress = value,
            "response" => self.response = value,
            "requests" => self.requests = count,
            "connections" => self.connections = count,
            "headers" => self.headers = value,
            "written" => self.written = value,
            "created" => self.created = count,
            "open_files" => self.open_files = count,
            "listings" => self.listings = count,
            "random" => self.random = value,
            "call_depth" => self.call_depth = count,
            "nested_calls" => self.nested_calls = count,
            "hostcall" => self.hostcall = value,
            "resources" => self.resources = count,
            "handles" => self.handles = count,
            "stack" => self.stack = value,
            "instances" => self.instances = count,
            "memories" => self.memories = count,
            "tables" => self.tables = count,
            "table_elements" => self.table_elements = count,
            "concurrency" => self.concurrency = count,
            "queue" => self.queue = count,
            "questions" => self.questions = count,
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
            log_lines: 10_000,
            egress: 8 * MIB,
            response: 16 * MIB,
            requests: 64,
            connections: 16,
            headers: 32 * KIB,
            written: 64 * MIB,
            created: 1_024,
            open_files: 64,
            listings: 64,
            random: MIB,
            call_depth: 4,
            nested_calls: 256,
            hostcall: 16 * MIB,
            resources: 1_000,
            handles: 1_000,
            stack: 512 * KIB,
            instances: 64,
            memories: 2,
            tables: 8,
            table_elements: 20_000,
            concurrency: 16,
            queue: 64,
            questions: 8,
            rate: None,
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
