//! Reads `[context]`.

use std::ops::RangeInclusive;

use super::SettingsTable;
use crate::{
    Rule,
    policy::parse::host_path,
    print::{Table, strings},
    reader::{Entry, Reader, Section},
};

/// How many tokens a model's context can have.
pub const WINDOW_TOKENS: RangeInclusive<u64> = 1_000..=100_000_000;
/// How many tokens of a tool's result a model can get at once.
pub const RESULT_TOKENS: RangeInclusive<u64> = 1_000..=1_000_000;
/// How many of the newest turns can be kept whole.
pub const KEEP_TURNS: RangeInclusive<u64> = 1..=1_000;
/// The most patterns of files that a model knows.
pub const MAX_KNOWLEDGE: usize = 32;

/// The table `[context]`: how runs use the context of their models.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContextSettings {
    /// The model's context in tokens, within [`WINDOW_TOKENS`].
    pub window: Option<u64>,
    /// From which share of it on older parts of a conversation give way; above 0 and at most 1.
    pub compact_at: Option<f64>,
    /// How many of the newest turns stay whole then, within [`KEEP_TURNS`].
    pub keep_turns: Option<u64>,
    /// How many tokens of a tool's result the model gets at once, within [`RESULT_TOKENS`].
    pub result_tokens: Option<u64>,
    /// For how long servers shall keep the beginnings of prompts.
    pub cache_ttl: Option<PromptCache>,
    /// Patterns of the files that the model knows from the start, as written.
    pub knowledge: Vec<String>,
    /// The directory that is the model's memory, as written: it makes the tool `memory`.
    pub memory: Option<String>,
    /// The directory that relative paths start from, where it was told.
    pub base: Option<String>,
    /// Where the table stands.
    pub rule: Option<Rule>,
}

/// For how long servers shall keep the beginnings of prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptCache {
    /// Not at all.
    Off,
    /// Five minutes.
    Minutes5,
    /// An hour.
    Hour,
}

impl PromptCache {
    /// All of them, with their words.
    pub const ALL: [(&'static str, Self); 3] = [
        ("off", Self::Off),
        ("5m", Self::Minutes5),
        ("1h", Self::Hour),
    ];

    /// `off`, `5m` or `1h`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Minutes5 => "5m",
            Self::Hour => "1h",
        }
    }
}

const KEYS: [&str; 7] = [
    "window",
    "compact_at",
    "keep_turns",
    "result_tokens",
    "cache_ttl",
    "knowledge",
    "memory",
];

impl SettingsTable for ContextSettings {
    const KEY: &'static str = "context";

    fn read(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Self> {
        let section = reader.section(entry.node, &entry.path, &KEYS)?;
        Some(Self {
            window: number(reader, &section, "window", &WINDOW_TOKENS),
            compact_at: section.get("compact_at").and_then(|it| share(reader, &it)),
            keep_turns: number(reader, &section, "keep_turns", &KEEP_TURNS),
            result_tokens: number(reader, &section, "result_tokens", &RESULT_TOKENS),
            cache_ttl: section
                .get("cache_ttl")
                .and_then(|it| reader.word(&it, &PromptCache::ALL).copied()),
            knowledge: section
                .get("knowledge")
                .map(|it| knowledge(reader, &it))
                .unwrap_or_default(),
            memory: section.get("memory").and_then(|it| {
                let path = reader.string(&it)?;
                host_path(reader, &it, path)
            }),
            base: None,
            rule: Some(reader.rule(&entry.key_span, &entry.path)),
        })
    }

    fn print(&self) -> Table {
        let mut table = Table::new();
        let mut put = |key: &str, value: Option<toml::Value>| {
            if let Some(value) = value {
                table.insert(key.to_owned(), value);
            }
        };
        // Every bound fits into TOML's signed numbers.
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX).into();
        put("window", self.window.map(number));
        put("compact_at", self.compact_at.map(Into::into));
        put("keep_turns", self.keep_turns.map(number));
        put("result_tokens", self.result_tokens.map(number));
        put("cache_ttl", self.cache_ttl.map(|it| it.name().into()));
        put(
            "knowledge",
            (!self.knowledge.is_empty()).then(|| strings(&self.knowledge)),
        );
        put("memory", self.memory.clone().map(Into::into));
        table
    }
}

fn number(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    key: &str,
    range: &RangeInclusive<u64>,
) -> Option<u64> {
    let entry = section.get(key)?;
    let number = reader.number(&entry)?;
    if range.contains(&number) {
        return Some(number);
    }
    reader.report(
        entry.node.span(),
        format!("`{}` is {number}", entry.path),
        format!("write a number from {} to {}", range.start(), range.end()),
    );
    None
}

fn share(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<f64> {
    let share = reader.json(entry.node, &entry.path)?.as_f64();
    if let Some(share) = share.filter(|share| *share > 0.0 && *share <= 1.0) {
        return Some(share);
    }
    reader.report(
        entry.node.span(),
        format!("`{}` is no share of the context", entry.path),
        "write a number above 0 and at most 1, for example 0.8",
    );
    None
}

fn knowledge(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Vec<String> {
    let mut globs: Vec<String> = Vec::new();
    for (element, text) in reader.strings(entry, MAX_KNOWLEDGE).unwrap_or_default() {
        let Some(glob) = host_path(reader, &element, text) else {
            continue;
        };
        let leaves = glob.starts_with('/') || glob.split('/').any(|part| part == "..");
        if leaves {
            reader.report(
                element.node.span(),
                format!("`{}` leads out of the policy's directory", element.path),
                "name files below it, for example \"docs/*.md\"",
            );
        } else if globs.contains(&glob) {
            reader.report(
                element.node.span(),
                "this pattern stands here twice",
                "remove one",
            );
        } else {
            globs.push(glob);
        }
    }
    globs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Layer, Layers, Policy};

    const ALL: &str = r#"[context]
cache_ttl = "1h"
compact_at = 0.5
keep_turns = 6
knowledge = ["docs/*.md", "NOTES.md"]
memory = "./memory"
result_tokens = 2000
window = 32000
"#;

    #[test]
    fn everything_is_read_and_written_again() {
        let policy = Policy::from_toml(ALL).unwrap().with_base("/project");
        assert_eq!(policy.to_toml(), ALL);
        let said = Layers::from(policy).context();
        assert_eq!((said.window, said.compact_at), (Some(32_000), Some(0.5)));
        assert_eq!(
            (said.keep_turns, said.result_tokens),
            (Some(6), Some(2_000))
        );
        assert_eq!(said.cache_ttl, Some(PromptCache::Hour));
        assert_eq!(said.knowledge, ["docs/*.md", "NOTES.md"]);
        assert_eq!(said.memory.as_deref(), Some("./memory"));
        assert_eq!(said.base.as_deref(), Some("/project"));
        assert_eq!(said.rule.unwrap().to_string(), "toolcell.toml:1 context");
        assert_eq!(Layers::default().context(), ContextSettings::default());
    }

    #[test]
    fn the_file_nearest_to_the_work_decides() {
        let policy =
            |turns| Policy::from_toml(&format!("[context]\nkeep_turns = {turns}\n")).unwrap();
        let layers = Layers::new()
            .with(Layer::User, policy(3))
            .with(Layer::Project, policy(5));
        assert_eq!(layers.context().keep_turns, Some(5));
    }

    #[test]
    fn what_cannot_be_is_told() {
        for (line, words) in [
            ("window = 999", "`context.window` is 999"),
            ("window = 100000001", "is 100000001"),
            ("compact_at = 0", "no share of the context"),
            ("compact_at = 1.1", "no share of the context"),
            ("compact_at = -0.5", "no share of the context"),
            ("compact_at = \"half\"", "no share of the context"),
            ("compact_at = nan", "JSON does not have"),
            ("keep_turns = 0", "is 0"),
            ("keep_turns = 1001", "is 1001"),
            ("result_tokens = 999", "is 999"),
            ("result_tokens = 1000001", "is 1000001"),
            ("cache_ttl = \"2h\"", "cannot be `2h`"),
            ("knowledge = \"a\"", "must be a list"),
            ("knowledge = [\"/etc/*\"]", "leads out of"),
            ("knowledge = [\"a/../../b\"]", "leads out of"),
            ("knowledge = [\"a\", \"a\"]", "stands here twice"),
            ("knowledge = [\"~/a\"]", "neither is expanded"),
            ("memory = \"\"", "is empty"),
            ("memories = \"a\"", "no key `memories`"),
        ] {
            let error = Policy::from_toml(&format!("[context]\n{line}\n")).unwrap_err();
            assert!(error.to_string().contains(words), "{line}: {error}");
        }
        let many = vec!["\"a\""; MAX_KNOWLEDGE + 1].join(", ");
        let error = Policy::from_toml(&format!("[context]\nknowledge = [{many}]\n")).unwrap_err();
        assert!(
            error.to_string().contains("at most 32 are allowed"),
            "{error}"
        );
    }

    #[test]
    fn a_memory_is_a_tool_with_one_directory() {
        let policy = Policy::from_toml(ALL).unwrap().with_base("/project");
        let tool = policy.tool("memory").unwrap();
        assert_eq!(tool.from().unwrap().to_string(), "builtin:memory");
        let [grant] = tool.files() else {
            panic!("{tool:?}")
        };
        assert_eq!(
            (grant.host.as_str(), grant.guest.as_str()),
            ("./memory", "/memories")
        );
        assert_eq!(grant.base.as_deref(), Some("/project"));
        assert_eq!(grant.rule.to_string(), "toolcell.toml:6 context.memory");
        assert!(tool.net().is_empty() && tool.env().is_empty() && tool.calls().is_empty());
        let both = format!("{ALL}[tool.memory]\nfrom = \"builtin:memory\"\n");
        let error = Policy::from_toml(&both).unwrap_err().to_string();
        assert!(error.contains("`tool.memory` is there as well"), "{error}");
    }

    #[test]
    fn a_memory_for_a_session_is_listed_by_every_file_that_lists_tools() {
        let files = "[tool.files]\nfrom = \"builtin:files\"\n";
        let policy = |text: &str| Policy::from_toml(text).unwrap();
        let layers = Layers::new()
            .with(Layer::System, policy("[default]\napprove = \"allow\"\n"))
            .with(Layer::User, policy(files))
            .with(Layer::Project, policy(ALL))
            .with_memory("/m");
        let hosts: Vec<Option<&str>> = layers
            .iter()
            .map(|(_, policy)| Some(policy.tool("memory")?.files()[0].host.as_str()))
            .collect();
        assert_eq!(hosts, [None, Some("/m"), Some("/m")]);
        assert_eq!(layers.packages(), ["files", "memory"]);
        let alone = Layers::default().with_memory("/m");
        assert_eq!(alone.packages(), ["memory"]);
    }
}
