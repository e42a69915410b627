//! Reads `[retention]`.

use std::time::Duration;

use super::SettingsTable;
use crate::{
    Rule, format_size, parse_duration, parse_size,
    policy::parse::host_path,
    print::Table,
    reader::{Entry, Reader},
};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long anything can be kept: from an hour to a hundred years.
pub const RETENTION_AGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(3600)..=Duration::from_secs(36_525 * 24 * 3600);
/// How much can be kept, in bytes: from 1 MiB to 1 PiB.
pub const RETENTION_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 50;

/// How much is kept of something, and for how long. What is absent has no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// What is older goes; within [`RETENTION_AGE`].
    pub age: Option<Duration>,
    /// Where there is more, the oldest goes; in bytes, within [`RETENTION_BYTES`].
    pub size: Option<u64>,
}

impl Retention {
    /// Whether everything is kept.
    pub fn is_unbounded(&self) -> bool {
        *self == Self::default()
    }
}

/// The table `[retention]`: what is kept of runs, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionSettings {
    /// Transcripts of runs.
    pub runs: Retention,
    /// Answers of models, beside what `[cache]` says.
    pub cache: Retention,
    /// Archived runs.
    pub archive: Retention,
    /// Where runs are archived, as written.
    pub archive_path: Option<String>,
    /// The directory that a relative path starts from, where it was told.
    pub base: Option<String>,
    /// Where the table stands.
    pub rule: Option<Rule>,
}

impl SettingsTable for RetentionSettings {
    const KEY: &'static str = "retention";

    fn read(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Self> {
        let keys = ["runs", "cache", "archive"];
        let section = reader.section(entry.node, &entry.path, &keys)?;
        let kept = |reader: &mut Reader<'_>, key, more: &[&str]| {
            section
                .get(key)
                .and_then(|it| retention(reader, &it, more))
                .unwrap_or_default()
        };
        Some(Self {
            runs: kept(reader, "runs", &[]),
            cache: kept(reader, "cache", &[]),
            archive: kept(reader, "archive", &["path"]),
            archive_path: section.get("archive").and_then(|it| path(reader, &it)),
            base: None,
            rule: Some(reader.rule(&entry.key_span, &entry.path)),
        })
    }

    fn print(&self) -> Table {
        let mut table = Table::new();
        let mut put = |key: &str, kept: &Retention, path: Option<&String>| {
            let mut inner = Table::new();
            if let Some(path) = path {
                inner.insert("path".to_owned(), path.clone().into());
            }
            if let Some(age) = kept.age {
                inner.insert("age".to_owned(), format_age(age).into());
            }
            if let Some(size) = kept.size {
                inner.insert("size".to_owned(), format_size(size).into());
            }
            if !inner.is_empty() {
                table.insert(key.to_owned(), inner.into());
            }
        };
        put("runs", &self.runs, None);
        put("cache", &self.cache, None);
        put("archive", &self.archive, self.archive_path.as_ref());
        table
    }
}

fn retention(reader: &mut Reader<'_>, entry: &Entry<'_>, more: &[&str]) -> Option<Retention> {
    let keys = [&["age", "size"][..], more].concat();
    let section = reader.section(entry.node, &entry.path, &keys)?;
    if section.entries().is_empty() {
        reader.report(
            entry.node.span(),
            format!("`{}` says nothing", entry.path),
            "write age = \"30d\", size = \"1GiB\", or both",
        );
    }
    Some(Retention {
        age: section.get("age").and_then(|it| age(reader, &it)),
        size: section.get("size").and_then(|it| size(reader, &it)),
    })
}

fn path(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<String> {
    entry.node.value.as_table()?;
    let entry = reader.any_section(entry.node, &entry.path)?.get("path")?;
    let path = reader.string(&entry)?;
    host_path(reader, &entry, path)
}

fn age(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Duration> {
    let text = reader.string(entry)?;
    let age = parse_age(text).filter(|it| RETENTION_AGE.contains(it));
    if age.is_none() {
        reader.report(
            entry.node.span(),
            format!(
                "`{}` is not a time from an hour to a hundred years",
                entry.path
            ),
            "write for example \"30d\" or \"12h\"",
        );
    }
    age
}

fn size(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<u64> {
    let text = reader.string(entry)?;
    let size = parse_size(text).filter(|it| RETENTION_BYTES.contains(it));
    if size.is_none() {
        reader.report(
            entry.node.span(),
            format!("`{}` is not a size from 1MiB to 1PiB", entry.path),
            "write for example \"1GiB\"",
        );
    }
    size
}

/// A time from `"30d"` or, as elsewhere, `"12h"`. A day has 24 hours.
pub fn parse_age(text: &str) -> Option<Duration> {
    match text.strip_suffix('d') {
        Some(days) if !days.is_empty() && days.bytes().all(|it| it.is_ascii_digit()) => {
            DAY.checked_mul(days.parse().ok()?)
        }
        _ => parse_duration(text),
    }
}

/// The shortest exact way to write such a time; the inverse of [`parse_age`].
pub fn format_age(age: Duration) -> String {
    let whole = age.as_secs() / DAY.as_secs();
    if whole > 0 && age == DAY * u32::try_from(whole).unwrap_or(u32::MAX) {
        return format!("{whole}d");
    }
    crate::format_duration(age)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Layers, Policy};

    #[test]
    fn the_table_comes_back_as_it_was_written() {
        let text = "[retention]\nruns = { age = \"30d\", size = \"1GiB\" }\n\
                    archive = { path = \"./archive\", age = \"365d\" }\ncache = { age = \"12h\" }\n";
        let policy = Policy::from_toml(text).unwrap().with_base("/etc/own");
        let printed = policy.to_toml();
        assert_eq!(Policy::from_toml(&printed).unwrap().to_toml(), printed);
        let settings = Layers::from(policy).retention();
        assert_eq!(settings.runs.age, Some(DAY * 30));
        assert_eq!(settings.runs.size, Some(1 << 30));
        assert_eq!(settings.cache.age, Some(DAY / 2));
        assert_eq!(settings.archive_path.as_deref(), Some("./archive"));
        assert_eq!(settings.base.as_deref(), Some("/etc/own"));
        assert!(!settings.archive.is_unbounded());
        assert_eq!(Layers::default().retention(), RetentionSettings::default());
    }

    #[test]
    fn what_cannot_be_is_told() {
        for (text, words) in [
            ("runs = {}", "says nothing"),
            ("runs = 30", "must be"),
            ("runs = { age = \"0d\" }", "not a time"),
            ("runs = { age = \"59m\" }", "not a time"),
            ("runs = { age = \"36526d\" }", "not a time"),
            ("runs = { age = \"99999999999999999999d\" }", "not a time"),
            ("runs = { age = \"+1d\" }", "not a time"),
            ("runs = { size = \"0\" }", "not a size"),
            ("runs = { path = \"x\" }", "no key `path`"),
            ("archive = { path = \"~/x\" }", "starts with `~`"),
            ("audit = { age = \"1d\" }", "no key `audit`"),
            ("transcripts = { age = \"1d\" }", "no key `transcripts`"),
        ] {
            let problems = Policy::from_toml(&format!("[retention]\n{text}\n")).unwrap_err();
            assert!(problems.to_string().contains(words), "{text}: {problems}");
        }
    }

    #[test]
    fn ages_are_written_as_they_are_read() {
        for (text, hours) in [("1d", 24), ("2h", 2), ("25h", 25), ("30d", 720)] {
            let age = parse_age(text).unwrap();
            assert_eq!(
                (age.as_secs(), format_age(age).as_str()),
                (hours * 3600, text)
            );
        }
        assert_eq!(format_age(parse_age("48h").unwrap()), "2d");
        for wrong in ["", "d", "1.5d", "1D", " 1d"] {
            assert_eq!(parse_age(wrong), None, "{wrong}");
        }
    }
}
