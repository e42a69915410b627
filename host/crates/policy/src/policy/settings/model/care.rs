//! The keys of `[model]` that say how carefully models are asked: how often again, how many at a time, how long, and whom
//! else.

use std::{ops::RangeInclusive, time::Duration};

use super::name;
use crate::{
    print::{Table, strings},
    reader::{Entry, Reader, Section},
    units::{format_duration, parse_duration},
};

/// The most models that can stand in for another.
pub const MAX_FALLBACKS: usize = 8;

/// How carefully models are asked. What is absent is left to the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelCare {
    /// The models that answer where the one of the run cannot, each as `provider:model`.
    pub fallback: Vec<String>,
    /// How often a request is sent again.
    pub retries: Option<u32>,
    /// The longest wait that a server may ask for.
    pub longest_wait: Option<Duration>,
    /// For a connection.
    pub connect: Option<Duration>,
    /// For the answer to begin, and from one piece of it to the next.
    pub idle: Option<Duration>,
    /// For a whole turn.
    pub total: Option<Duration>,
    /// Requests under way at one time.
    pub concurrency: Option<u32>,
    /// Requests in any minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens a minute.
    pub tokens_per_minute: Option<u64>,
    /// Requests that wait for their turn.
    pub queue: Option<u32>,
    /// How long one request waits for its turns.
    pub longest_queue: Option<Duration>,
    /// Failures in a row that open the breaker; 0 turns it off.
    pub breaker_failures: Option<u32>,
    /// How long the breaker is open.
    pub breaker_open: Option<Duration>,
    /// How many connections to one server wait for the next request.
    pub spare_connections: Option<u32>,
    /// How long one waits.
    pub keep_connections: Option<Duration>,
    /// How often a quiet connection is asked whether it still stands; zero asks never.
    pub probe_connections: Option<Duration>,
}

/// The keys.
pub(super) const KEYS: [&str; 13] = [
    "fallback",
    "retries",
    "longest_wait",
    "connect",
    "idle",
    "total",
    "concurrency",
    "requests_per_minute",
    "tokens_per_minute",
    "queue",
    "longest_queue",
    "breaker",
    "connections",
];

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) fn read(reader: &mut Reader<'_>, section: &Section<'_>) -> ModelCare {
    let breaker = inner(reader, section, "breaker", &["failures", "open"]);
    let keys = ["spare", "keep", "probe"];
    let connections = inner(reader, section, "connections", &keys);
    ModelCare {
        fallback: section
            .get("fallback")
            .map(|entry| fallback(reader, &entry))
            .unwrap_or_default(),
        retries: number(reader, Some(section), "retries", 0..=20),
        longest_wait: time(reader, Some(section), "longest_wait", MS..=HOUR),
        connect: time(reader, Some(section), "connect", MS..=HOUR),
        idle: time(reader, Some(section), "idle", MS..=HOUR),
        total: time(reader, Some(section), "total", MS..=DAY),
        concurrency: number(reader, Some(section), "concurrency", 1..=1_024),
        requests_per_minute: wide(reader, section, "requests_per_minute", 1_000_000),
        tokens_per_minute: wide(reader, section, "tokens_per_minute", 1_000_000_000_000),
        queue: number(reader, Some(section), "queue", 1..=100_000),
        longest_queue: time(reader, Some(section), "longest_queue", MS..=DAY),
        breaker_failures: number(reader, breaker.as_ref(), "failures", 0..=1_000),
        breaker_open: time(reader, breaker.as_ref(), "open", MS..=HOUR),
        spare_connections: number(reader, connections.as_ref(), "spare", 0..=1_024),
        keep_connections: time(reader, connections.as_ref(), "keep", MS..=HOUR),
        probe_connections: time(reader, connections.as_ref(), "probe", Duration::ZERO..=HOUR),
    }
}

fn inner<'d>(
    reader: &mut Reader<'_>,
    section: &Section<'d>,
    key: &str,
    keys: &[&str],
) -> Option<Section<'d>> {
    let entry = section.get(key)?;
    reader.section(entry.node, &entry.path, keys)
}

fn number(
    reader: &mut Reader<'_>,
    section: Option<&Section<'_>>,
    key: &str,
    range: RangeInclusive<u32>,
) -> Option<u32> {
    let entry = section?.get(key)?;
    let number = reader.number(&entry)?;
    match u32::try_from(number) {
        Ok(number) if range.contains(&number) => Some(number),
        _ => {
            outside(reader, &entry, &number, range.start(), range.end());
            None
        }
    }
}

fn wide(reader: &mut Reader<'_>, section: &Section<'_>, key: &str, most: u64) -> Option<u64> {
    let entry = section.get(key)?;
    let number = reader.number(&entry)?;
    if (1..=most).contains(&number) {
        return Some(number);
    }
    outside(reader, &entry, &number, &1, &most);
    None
}

fn time(
    reader: &mut Reader<'_>,
    section: Option<&Section<'_>>,
    key: &str,
    range: RangeInclusive<Duration>,
) -> Option<Duration> {
    let entry = section?.get(key)?;
    let text = reader.string(&entry)?;
    let Some(time) = parse_duration(text) else {
        reader.report(
            entry.node.span(),
            format!("`{}` is no time", entry.path),
            "write a whole number with a unit, for example \"30s\" or \"10m\"",
        );
        return None;
    };
    if range.contains(&time) {
        return Some(time);
    }
    let [least, most] = [range.start(), range.end()].map(|it| format_duration(*it));
    outside(reader, &entry, &text, &least, &most);
    None
}

fn outside(
    reader: &mut Reader<'_>,
    entry: &Entry<'_>,
    found: &dyn std::fmt::Display,
    least: &dyn std::fmt::Display,
    most: &dyn std::fmt::Display,
) {
    reader.report(
        entry.node.span(),
        format!("`{}` is {found}", entry.path),
        format!("it can be from {least} to {most}"),
    );
}

fn fallback(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Vec<String> {
    let elements = reader.list(entry, MAX_FALLBACKS).unwrap_or_default();
    let mut names: Vec<String> = Vec::new();
    for element in elements {
        let Some(name) = name(reader, &element) else {
            continue;
        };
        if names.contains(&name) {
            reader.report(
                element.node.span(),
                "this model stands here twice",
                "remove one",
            );
        } else {
            names.push(name);
        }
    }
    names
}

pub(super) fn print(care: &ModelCare, table: &mut Table) {
    if !care.fallback.is_empty() {
        table.insert("fallback".to_owned(), strings(&care.fallback));
    }
    put_number(table, "retries", care.retries.map(u64::from));
    put_time(table, "longest_wait", care.longest_wait);
    put_time(table, "connect", care.connect);
    put_time(table, "idle", care.idle);
    put_time(table, "total", care.total);
    put_number(table, "concurrency", care.concurrency.map(u64::from));
    put_number(table, "requests_per_minute", care.requests_per_minute);
    put_number(table, "tokens_per_minute", care.tokens_per_minute);
    put_number(table, "queue", care.queue.map(u64::from));
    put_time(table, "longest_queue", care.longest_queue);
    let mut breaker = Table::new();
    put_number(
        &mut breaker,
        "failures",
        care.breaker_failures.map(u64::from),
    );
    put_time(&mut breaker, "open", care.breaker_open);
    let mut connections = Table::new();
    let spare = care.spare_connections.map(u64::from);
    put_number(&mut connections, "spare", spare);
    put_time(&mut connections, "keep", care.keep_connections);
    put_time(&mut connections, "probe", care.probe_connections);
    for (key, inner) in [("breaker", breaker), ("connections", connections)] {
        if !inner.is_empty() {
            table.insert(key.to_owned(), inner.into());
        }
    }
}

fn put_number(table: &mut Table, key: &str, number: Option<u64>) {
    // What was read is far below what TOML can hold.
    if let Some(number) = number.and_then(|number| i64::try_from(number).ok()) {
        table.insert(key.to_owned(), number.into());
    }
}

fn put_time(table: &mut Table, key: &str, time: Option<Duration>) {
    if let Some(time) = time {
        table.insert(key.to_owned(), format_duration(time).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Layers, Policy};

    const ALL: &str = "[model]
breaker = { failures = 3, open = \"10s\" }
concurrency = 4
connect = \"2s\"
connections = { keep = \"1m\", probe = \"0s\", spare = 2 }
fallback = [\"openai:gpt-6\", \"anthropic:claude-haiku-5-5\"]
idle = \"45s\"
longest_queue = \"5m\"
longest_wait = \"20s\"
queue = 50
requests_per_minute = 60
retries = 5
tokens_per_minute = 80000
total = \"15m\"
";

    #[test]
    fn every_key_is_read_and_written() {
        let policy = Policy::from_toml(ALL).unwrap();
        let written = policy.to_toml();
        let again = Policy::from_toml(&written).unwrap();
        let secs = |secs| Some(Duration::from_secs(secs));
        let expected = ModelCare {
            fallback: vec!["openai:gpt-6".into(), "anthropic:claude-haiku-5-5".into()],
            retries: Some(5),
            longest_wait: secs(20),
            connect: secs(2),
            idle: secs(45),
            total: secs(900),
            concurrency: Some(4),
            requests_per_minute: Some(60),
            tokens_per_minute: Some(80_000),
            queue: Some(50),
            longest_queue: secs(300),
            breaker_failures: Some(3),
            breaker_open: secs(10),
            spare_connections: Some(2),
            keep_connections: secs(60),
            probe_connections: secs(0),
        };
        assert_eq!(Layers::from(policy).model().care, expected);
        assert_eq!(Layers::from(again).model().care, expected, "{written}");
        let nothing = Policy::from_toml("[model]\nuse = \"a:b\"\n").unwrap();
        assert_eq!(Layers::from(nothing).model().care, ModelCare::default());
    }

    #[test]
    fn what_cannot_be_is_told_with_what_can() {
        for (text, words) in [
            ("retries = 21", "from 0 to 20"),
            ("retries = \"2\"", "must be a whole number"),
            ("longest_wait = \"2h\"", "from 1ms to 1h"),
            ("longest_wait = 60", "must be a string"),
            ("idle = \"0s\"", "from 1ms to 1h"),
            ("total = \"soon\"", "is no time"),
            ("concurrency = 0", "from 1 to 1024"),
            ("requests_per_minute = 0", "from 1 to 1000000"),
            ("tokens_per_minute = 0", "from 1 to 1000000000000"),
            ("queue = 0", "from 1 to 100000"),
            ("breaker = 5", "must be a table"),
            ("breaker = { fail = 5 }", "no key `fail`"),
            ("breaker = { failures = 1001 }", "from 0 to 1000"),
            ("connections = { spare = 1025 }", "from 0 to 1024"),
            ("fallback = [\"gpt\"]", "names no model"),
            ("fallback = [\"a:b\", \"a:b\"]", "stands here twice"),
            ("fallback = \"a:b\"", "must be a list"),
            ("retry = 2", "did you mean `retries`?"),
        ] {
            let problem = Policy::from_toml(&format!("[model]\n{text}\n")).unwrap_err();
            let problem = format!("{problem} {problem:?}");
            assert!(problem.contains(words), "{text}: {problem}");
        }
        let nine: Vec<String> = (0..9).map(|number| format!("\"a:{number}\"")).collect();
        let text = format!("[model]\nfallback = [{}]\n", nine.join(", "));
        let problem = Policy::from_toml(&text).unwrap_err().to_string();
        assert!(problem.contains("at most 8"), "{problem}");
    }
}
