//! The table of limits: one line each, from which readers, diagnostics and documentation are made.

use std::time::Duration;

use serde::Serialize;

use super::{KIB, Limits, MIB};
use crate::units::{format_duration, format_size};

const GIB: u64 = 1 << 30;
const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;

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
    /// The key under `[default.limits]` and `[tool.NAME.limits]`, or under `[session]` and `[host]`.
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
    pub(super) const fn new(
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
            "log_lines",
            LimitUnit::Count,
            Some(10_000),
            1_000_000,
            "lines of them, however short",
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
            "connections",
            LimitUnit::Count,
            Some(16),
            256,
            "requests of one call under way at one time",
        ),
        LimitInfo::new(
            "headers",
            LimitUnit::Bytes,
            Some(32 * KIB),
            MIB,
            "header section of one request or response",
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
            "open_files",
            LimitUnit::Count,
            Some(64),
            10_000,
            "files and directories that one call holds open",
        ),
        LimitInfo::new(
            "listings",
            LimitUnit::Count,
            Some(64),
            1_024,
            "listings of directories that one call holds open",
        ),
        LimitInfo::new(
            "random",
            LimitUnit::Bytes,
            Some(MIB),
            64 * MIB,
            "random bytes in one request for them",
        ),
        LimitInfo::new(
            "call_depth",
            LimitUnit::Count,
            Some(4),
            16,
            "how deep tools may call tools",
        ),
        LimitInfo::new(
            "nested_calls",
            LimitUnit::Count,
            Some(256),
            10_000,
            "calls of other tools below one call, at every depth together",
        ),
        LimitInfo::new(
            "hostcall",
            LimitUnit::Bytes,
            Some(16 * MIB),
            128 * MIB,
            "bytes that one call of a host function, or the answer, may copy into the host",
        ),
        LimitInfo::new(
            "resources",
            LimitUnit::Count,
            Some(1_000),
            100_000,
            "open files, streams, requests and the like that one call holds",
        ),
        LimitInfo::new(
            "handles",
            LimitUnit::Count,
            Some(1_000),
            100_000,
            "handles of such resources inside the guest",
        ),
        LimitInfo::new(
            "stack",
            LimitUnit::Bytes,
            Some(512 * KIB),
            MIB,
            "the guest's stack",
        ),
        LimitInfo::new(
            "instances",
            LimitUnit::Count,
            Some(64),
            64,
            "core instances of one call",
        ),
        LimitInfo::new(
            "memories",
            LimitUnit::Count,
            Some(2),
            2,
            "linear memories of one call",
        ),
        LimitInfo::new(
            "tables",
            LimitUnit::Count,
            Some(8),
            16,
            "tables of one call",
        ),
        LimitInfo::new(
            "table_elements",
            LimitUnit::Count,
            Some(20_000),
            100_000,
            "elements of all tables of one call together",
        ),
        LimitInfo::new(
            "concurrency",
            LimitUnit::Count,
            Some(16),
            1_024,
            "calls of the tool at one time",
        ),
        LimitInfo::new(
            "queue",
            LimitUnit::Count,
            Some(64),
            10_000,
            "calls of the tool that wait for a free place",
        ),
        LimitInfo::new(
            "questions",
            LimitUnit::Count,
            Some(8),
            256,
            "questions to a person about the tool that are open at one time",
        ),
        LimitInfo::new(
            "rate",
            LimitUnit::Rate,
            None,
            1_000_000,
            "calls of the tool over time",
        ),
    ];
}
