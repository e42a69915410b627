//! Reads `[approvals]`.

use std::{ops::RangeInclusive, time::Duration};

use super::{SettingsTable, format_age, parse_age};
use crate::{
    Rule,
    print::Table,
    reader::{Entry, Reader},
};

/// How long an answer is remembered where nothing else is said: 30 days.
pub const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long an answer can be remembered: from a minute to a year.
pub const REMEMBERED_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(366 * 24 * 3600);
/// How long somebody who is asked has to answer where nothing else is said: 5 minutes.
pub const ANSWER_WAIT: Duration = Duration::from_secs(5 * 60);
/// How long somebody who is asked can have to answer: from a second to a day.
pub const ANSWER_WAIT_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// The table `[approvals]`: how persons are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApprovalSettings {
    /// Whether a person may have an answer remembered.
    pub remember: Option<Remember>,
    /// How long a question waits for its answer; within [`ANSWER_WAIT_RANGE`].
    pub wait: Option<Duration>,
    /// Whether a run stops, and can go on later, where nobody answers.
    pub park: Option<bool>,
    /// Where the table stands.
    pub rule: Option<Rule>,
}

/// Whether and for how long an answer may be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remember {
    /// Not at all.
    No,
    /// For so long; within [`REMEMBERED_RANGE`].
    For(Duration),
}

impl ApprovalSettings {
    /// For how long an answer may be remembered; nothing where it may not.
    pub fn remembered(&self) -> Option<Duration> {
        match self.remember {
            None => Some(REMEMBERED),
            Some(Remember::For(time)) => Some(time),
            Some(Remember::No) => None,
        }
    }

    /// How long a question waits for its answer.
    pub fn wait(&self) -> Duration {
        self.wait.unwrap_or(ANSWER_WAIT)
    }

    /// Whether a run stops where nobody answers.
    pub fn park(&self) -> bool {
        self.park.unwrap_or(false)
    }
}

impl SettingsTable for ApprovalSettings {
    const KEY: &'static str = "approvals";

    fn read(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Self> {
        let section = reader.section(entry.node, &entry.path, &["remember", "wait", "park"])?;
        let remember = section.get("remember");
        Some(Self {
            remember: remember.and_then(|entry| match entry.node.value.as_bool() {
                Some(true) => Some(Remember::For(REMEMBERED)),
                Some(false) => Some(Remember::No),
                None => time(reader, &entry, &REMEMBERED_RANGE).map(Remember::For),
            }),
            wait: section
                .get("wait")
                .and_then(|entry| time(reader, &entry, &ANSWER_WAIT_RANGE)),
            park: section.get("park").and_then(|entry| reader.bool(&entry)),
            rule: Some(reader.rule(&entry.key_span, &entry.path)),
        })
    }

    fn print(&self) -> Table {
        let mut table = Table::new();
        match self.remember {
            None => {}
            Some(Remember::No) => {
                table.insert("remember".to_owned(), false.into());
            }
            Some(Remember::For(time)) => {
                table.insert("remember".to_owned(), format_age(time).into());
            }
        }
        if let Some(wait) = self.wait {
            table.insert("wait".to_owned(), format_age(wait).into());
        }
        if let Some(park) = self.park {
            table.insert("park".to_owned(), park.into());
        }
        table
    }
}

fn time(
    reader: &mut Reader<'_>,
    entry: &Entry<'_>,
    range: &RangeInclusive<Duration>,
) -> Option<Duration> {
    let text = reader.string(entry)?;
    let time = parse_age(text).filter(|time| range.contains(time));
    if time.is_none() {
        reader.report(
            entry.node.span(),
            format!("`{}` is no time that can be used here", entry.path),
            format!(
                "write a time from {} to {}, for example \"10m\"",
                format_age(*range.start()),
                format_age(*range.end())
            ),
        );
    }
    time
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Layers, Policy};

    fn settings(text: &str) -> ApprovalSettings {
        Layers::from(Policy::from_toml(text).unwrap()).approvals()
    }

    #[test]
    fn what_is_written_holds_and_comes_back() {
        let text = "[approvals]\nremember = \"7d\"\nwait = \"90s\"\npark = true\n";
        let read = settings(text);
        assert_eq!(read.remembered(), Some(Duration::from_secs(7 * 24 * 3600)));
        assert_eq!((read.wait(), read.park()), (Duration::from_secs(90), true));
        let printed = Policy::from_toml(text).unwrap().to_toml();
        assert_eq!(settings(&printed), read);
        let never = settings("[approvals]\nremember = false\n");
        assert_eq!(never.remembered(), None);
        let printed = "[approvals]\nremember = false\n";
        assert_eq!(Policy::from_toml(printed).unwrap().to_toml(), printed);
        let on = settings("[approvals]\nremember = true\n");
        let nothing = settings("");
        assert_eq!(on.remembered(), nothing.remembered());
        assert_eq!((nothing.wait(), nothing.park()), (ANSWER_WAIT, false));
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (text, words) in [
            ("remember = \"1s\"", "is no time that can be used here"),
            ("remember = \"367d\"", "`approvals.remember` is no time"),
            ("remember = 5", "must be"),
            ("wait = \"0s\"", "is no time that can be used here"),
            ("wait = \"25h\"", "`approvals.wait` is no time"),
            ("wait = true", "must be"),
            ("park = \"yes\"", "must be true or false"),
            ("parked = true", "no key `parked`"),
        ] {
            let text = format!("[approvals]\n{text}\n");
            let told = Policy::from_toml(&text).unwrap_err().to_string();
            assert!(told.contains(words), "{text}: {told}");
        }
    }
}
