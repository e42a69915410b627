//! Reads `[budget.run]`, `[budget.agent]` and `[budget.tenant]`.
//!
//! Unlike the other tables of the model side, those of every file count, and a file only lowers what the ones above it
//! say: a budget that a project could raise would be none.

use std::time::Duration;

use super::SettingsTable;
use crate::{
    Rule,
    print::Table,
    reader::{Entry, Reader, Section},
    units::{format_duration, parse_duration},
};

/// The largest amount of money of a budget, in US dollars.
const MAX_USD: u64 = 1_000_000_000;
/// The most turns or calls of a budget.
const MAX_COUNT: u64 = 1_000_000_000;
/// The most tokens of a budget.
const MAX_TOKENS: u64 = 1_000_000_000_000_000;

/// What can have a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BudgetKey {
    /// Model turns.
    Turns,
    /// Tool calls.
    Calls,
    /// Tokens, read and written.
    Tokens,
    /// Millionths of a US dollar.
    Cost,
    /// Wall clock time in milliseconds.
    Time,
}

impl BudgetKey {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Turns,
        Self::Calls,
        Self::Tokens,
        Self::Cost,
        Self::Time,
    ];

    /// The key in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Turns => "turns",
            Self::Calls => "calls",
            Self::Tokens => "tokens",
            Self::Cost => "cost",
            Self::Time => "time",
        }
    }

    /// An amount as it is written in the file, without quotes.
    pub fn show(self, amount: u64) -> String {
        match self {
            Self::Turns | Self::Calls | Self::Tokens => amount.to_string(),
            Self::Cost => format_usd(amount),
            Self::Time => format_duration(Duration::from_millis(amount)),
        }
    }
}

/// Which time a budget is for. Days and months are those of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BudgetPeriod {
    /// Each run by itself.
    Run,
    /// A day.
    Day,
    /// A month.
    Month,
    /// All time.
    Ever,
}

const PERIODS: [(&str, BudgetPeriod); 4] = [
    ("run", BudgetPeriod::Run),
    ("day", BudgetPeriod::Day),
    ("month", BudgetPeriod::Month),
    ("ever", BudgetPeriod::Ever),
];

impl BudgetPeriod {
    /// `run`, `day`, `month` or `ever`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Day => "day",
            Self::Month => "month",
            Self::Ever => "ever",
        }
    }
}

/// So much of one thing at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetBound {
    /// Of what.
    pub key: BudgetKey,
    /// In the unit of its [`BudgetKey`].
    pub amount: u64,
    /// The line that says so.
    pub rule: Rule,
}

/// What there may be of each thing. What is absent has no bound here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetBounds(Vec<BudgetBound>);

impl BudgetBounds {
    /// The bound on one thing.
    pub fn get(&self, key: BudgetKey) -> Option<&BudgetBound> {
        self.0.iter().find(|bound| bound.key == key)
    }

    /// Every bound.
    pub fn iter(&self) -> impl Iterator<Item = &BudgetBound> {
        self.0.iter()
    }

    /// Whether nothing is bound.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the lower one of each.
    pub(crate) fn lower(&mut self, others: &Self) {
        for other in &others.0 {
            match self.0.iter_mut().find(|bound| bound.key == other.key) {
                Some(bound) if bound.amount <= other.amount => {}
                Some(bound) => *bound = other.clone(),
                None => self.0.push(other.clone()),
            }
        }
    }

    /// Takes the other's word where it has one.
    pub(crate) fn replace(&mut self, others: &Self) {
        for other in &others.0 {
            self.0.retain(|bound| bound.key != other.key);
            self.0.push(other.clone());
        }
    }
}

impl From<BudgetBound> for BudgetBounds {
    fn from(bound: BudgetBound) -> Self {
        Self(vec![bound])
    }
}

/// One of the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BudgetTable {
    pub(crate) per: BudgetPeriod,
    pub(crate) bounds: BudgetBounds,
}

/// The table `[budget]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct BudgetSettings {
    pub(crate) run: Option<BudgetTable>,
    pub(crate) agent: Option<BudgetTable>,
    pub(crate) tenant: Option<BudgetTable>,
}

impl BudgetSettings {
    /// Every rule of the tables.
    pub(crate) fn rules_mut(&mut self) -> impl Iterator<Item = &mut Rule> {
        let tables = [&mut self.run, &mut self.agent, &mut self.tenant];
        let bounds = tables.into_iter().flatten();
        bounds.flat_map(|table| table.bounds.0.iter_mut().map(|bound| &mut bound.rule))
    }
}

impl SettingsTable for BudgetSettings {
    const KEY: &'static str = "budget";

    fn read(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Self> {
        let section = reader.section(entry.node, &entry.path, &["run", "agent", "tenant"])?;
        let mut table = |key: &str, per| {
            let entry = section.get(key)?;
            table(reader, &entry, per)
        };
        Some(Self {
            run: table("run", BudgetPeriod::Run),
            agent: table("agent", BudgetPeriod::Day),
            tenant: table("tenant", BudgetPeriod::Day),
        })
    }

    fn print(&self) -> Table {
        let tables = [
            ("run", &self.run),
            ("agent", &self.agent),
            ("tenant", &self.tenant),
        ];
        let tables = tables.into_iter().filter_map(|(key, table)| {
            let table = table.as_ref()?;
            Some((key.to_owned(), printed(key, table).into()))
        });
        tables.collect()
    }
}

/// One table. What holds for a run is for each run by itself, so that table says no `per`.
fn table(reader: &mut Reader<'_>, entry: &Entry<'_>, default: BudgetPeriod) -> Option<BudgetTable> {
    let keys = ["tokens", "cost", "turns", "calls", "time", "per"];
    let known = match default {
        BudgetPeriod::Run => keys.split_last().map_or(&keys[..], |(_, rest)| rest),
        _ => &keys[..],
    };
    let section = reader.section(entry.node, &entry.path, known)?;
    let per = match section.get("per") {
        Some(entry) if default != BudgetPeriod::Run => {
            reader.word(&entry, &PERIODS).copied().unwrap_or(default)
        }
        _ => default,
    };
    let bounds = BudgetKey::ALL.into_iter();
    let bounds = bounds.filter_map(|key| bound(reader, &section, key));
    Some(BudgetTable {
        per,
        bounds: BudgetBounds(bounds.collect()),
    })
}

fn bound(reader: &mut Reader<'_>, section: &Section<'_>, key: BudgetKey) -> Option<BudgetBound> {
    let entry = section.get(key.name())?;
    let amount = match key {
        BudgetKey::Turns | BudgetKey::Calls => count(reader, &entry, MAX_COUNT),
        BudgetKey::Tokens => count(reader, &entry, MAX_TOKENS),
        BudgetKey::Cost => money(reader, &entry),
        BudgetKey::Time => time(reader, &entry),
    };
    Some(BudgetBound {
        key,
        amount: amount?,
        rule: reader.rule(&entry.key_span, &entry.path),
    })
}

fn count(reader: &mut Reader<'_>, entry: &Entry<'_>, most: u64) -> Option<u64> {
    let number = reader.number(entry)?;
    if number > most {
        reader.report(
            entry.node.span(),
            format!("`{}` is {number}", entry.path),
            format!("write a number from 0 to {most}"),
        );
        return None;
    }
    Some(number)
}

fn money(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<u64> {
    let text = reader.string(entry)?;
    let amount = parse_usd(text);
    if amount.is_none() {
        reader.report(
            entry.node.span(),
            format!("`{}` is no amount of US dollars", entry.path),
            "write it like \"5.00\", with at most six digits behind the point",
        );
    }
    amount
}

fn time(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<u64> {
    let text = reader.string(entry)?;
    let time = parse_duration(text).and_then(|time| u64::try_from(time.as_millis()).ok());
    if time.is_none() {
        reader.report(
            entry.node.span(),
            format!("`{}` is no time", entry.path),
            "write it like \"90s\", \"10m\" or \"1h\"",
        );
    }
    time
}

fn printed(key: &str, table: &BudgetTable) -> Table {
    let mut written = Table::new();
    if key != "run" {
        written.insert("per".to_owned(), table.per.name().into());
    }
    for bound in table.bounds.iter() {
        let value = match bound.key {
            // Every ceiling fits into TOML's signed numbers.
            BudgetKey::Turns | BudgetKey::Calls | BudgetKey::Tokens => {
                i64::try_from(bound.amount).unwrap_or(i64::MAX).into()
            }
            BudgetKey::Cost | BudgetKey::Time => bound.key.show(bound.amount).into(),
        };
        written.insert(bound.key.name().to_owned(), value);
    }
    written
}

/// Millionths of a US dollar from `"5"`, `"0.50"` or `"0.000001"`. No signs, blanks or words: there is one way to write an
/// amount.
pub fn parse_usd(text: &str) -> Option<u64> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = match text.split_once('.') {
        Some((whole, part)) if digits(part) && part.len() <= 6 => (whole, part),
        Some(_) => return None,
        None => (text, ""),
    };
    if !digits(whole) {
        return None;
    }
    let whole: u64 = whole.parse().ok().filter(|whole| *whole <= MAX_USD)?;
    let part: u64 = format!("{part:0<6}").parse().ok()?;
    Some(whole * 1_000_000 + part)
}

/// The inverse of [`parse_usd`], with at least cents.
pub fn format_usd(micro_usd: u64) -> String {
    let part = format!("{:06}", micro_usd % 1_000_000);
    let (cents, rest) = part.split_at(2);
    let rest = rest.trim_end_matches('0');
    format!("{}.{cents}{rest}", micro_usd / 1_000_000)
}

#[cfg(test)]
mod tests;
