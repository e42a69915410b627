//! The tables of the model side: how models are asked, and what is kept and told of it. They grant a tool nothing.
//!
//! Of several files that have a table about where something goes, the highest decides, and a file below the highest one that
//! lists tools has no say (`Layers::settings`). A table that is a matter of taste is that of the lowest file
//! (`Layers::nearest`). `[budget]` and `[privacy]` add up: every file can only be stricter.

mod approvals;
mod budget;
mod cache;
mod context;
mod model;
mod privacy;
mod provider;
mod retention;
mod telemetry;

use crate::{
    Rule,
    print::Table,
    reader::{Entry, Reader, Section},
};

pub use approvals::{
    ANSWER_WAIT, ANSWER_WAIT_RANGE, ApprovalSettings, REMEMBERED, REMEMBERED_RANGE, Remember,
};
pub use budget::{BudgetBound, BudgetBounds, BudgetKey, BudgetPeriod, format_usd, parse_usd};
pub(crate) use budget::{BudgetSettings, BudgetTable};
pub use cache::{CACHE_BYTES, CacheSettings, CacheStore, MAX_CACHE_TTL};
pub use context::{
    ContextSettings, KEEP_TURNS, MAX_KNOWLEDGE, PromptCache, RESULT_TOKENS, WINDOW_TOKENS,
};
pub use model::{
    EFFORTS, MAX_FALLBACKS, MAX_OUTPUT_TOKENS, ModelCare, ModelSettings, ModelThinking,
    ModelToolChoice,
};
pub(crate) use privacy::PrivacySettings;
pub use privacy::{MAX_PERSONAL_KINDS, Scrub, Sink};
pub(crate) use provider::Providers;
pub use provider::{
    KeyHeader, MAX_PROVIDER_HEADERS, MAX_PROVIDERS, ModelApi, PROVIDER_LACKS, ProviderSettings,
};
pub use retention::{
    RETENTION_AGE, RETENTION_BYTES, Retention, RetentionSettings, format_age, parse_age,
};
pub use telemetry::{
    MAX_TELEMETRY_HEADERS, MAX_TELEMETRY_HOSTS, TelemetryHeader, TelemetrySettings,
    parse_collector, parse_listen,
};

/// One table.
trait SettingsTable: Sized {
    /// Its name.
    const KEY: &'static str;

    /// What it says; nothing where it says nothing, or where what it says is wrong and was reported.
    fn read(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Self>;

    /// The table as it is written.
    fn print(&self) -> Table;
}

/// What one file says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) model: Option<ModelSettings>,
    pub(crate) context: Option<ContextSettings>,
    pub(crate) providers: Option<Providers>,
    pub(crate) cache: Option<CacheSettings>,
    pub(crate) retention: Option<RetentionSettings>,
    pub(crate) telemetry: Option<TelemetrySettings>,
    pub(crate) privacy: Option<PrivacySettings>,
    pub(crate) budget: Option<BudgetSettings>,
    pub(crate) approvals: Option<ApprovalSettings>,
    /// Where this file has tables of [`ABOVE`].
    pub(crate) above: Vec<(&'static str, Rule)>,
}

/// The tables that no file may have below the highest one that lists tools: they say where something goes, and who may know
/// of it. Of the files above one may have each, or several [`SHARED`].
pub(crate) const ABOVE: &[&str] = &[
    Providers::KEY,
    CacheSettings::KEY,
    RetentionSettings::KEY,
    TelemetrySettings::KEY,
    ApprovalSettings::KEY,
];

/// The table whose entries several files may add to.
pub(crate) const SHARED: &str = Providers::KEY;

/// The names of the tables.
pub(super) const KEYS: &[&str] = &[
    ModelSettings::KEY,
    ContextSettings::KEY,
    Providers::KEY,
    CacheSettings::KEY,
    RetentionSettings::KEY,
    TelemetrySettings::KEY,
    PrivacySettings::KEY,
    BudgetSettings::KEY,
    ApprovalSettings::KEY,
];

pub(super) fn read(reader: &mut Reader<'_>, root: &Section<'_>) -> Settings {
    Settings {
        model: table(reader, root),
        context: table(reader, root),
        providers: table(reader, root),
        cache: table(reader, root),
        retention: table(reader, root),
        telemetry: table(reader, root),
        privacy: table(reader, root),
        budget: table(reader, root),
        approvals: table(reader, root),
        above: above(reader, root),
    }
}

fn above(reader: &Reader<'_>, root: &Section<'_>) -> Vec<(&'static str, Rule)> {
    let there = ABOVE.iter().filter_map(|key| {
        let entry = root.get(key)?;
        Some((*key, reader.rule(&entry.key_span, &entry.path)))
    });
    there.collect()
}

pub(super) fn print(settings: &Settings, root: &mut Table) {
    put(root, settings.model.as_ref());
    put(root, settings.context.as_ref());
    put(root, settings.providers.as_ref());
    put(root, settings.cache.as_ref());
    put(root, settings.retention.as_ref());
    put(root, settings.telemetry.as_ref());
    put(root, settings.privacy.as_ref());
    put(root, settings.budget.as_ref());
    put(root, settings.approvals.as_ref());
}

fn table<T: SettingsTable>(reader: &mut Reader<'_>, root: &Section<'_>) -> Option<T> {
    root.get(T::KEY).and_then(|entry| T::read(reader, &entry))
}

fn put<T: SettingsTable>(root: &mut Table, table: Option<&T>) {
    if let Some(table) = table {
        root.insert(T::KEY.to_owned(), table.print().into());
    }
}
