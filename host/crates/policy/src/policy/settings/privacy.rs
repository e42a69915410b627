//! Reads `[privacy]`.

use super::SettingsTable;
use crate::{
    Rule,
    policy::parse::host_path,
    print::{Table, strings},
    reader::{Entry, Reader},
};

/// The most kinds of personal data that can be named.
pub const MAX_PERSONAL_KINDS: usize = 100;

/// What is done about personal data in one place. Ordered from the loosest to the strictest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scrub {
    /// Nothing.
    #[default]
    Off,
    /// `[kind]` takes its place.
    Mask,
    /// The whole text that holds it goes.
    Drop,
}

const SCRUBS: [(&str, Scrub); 3] = [
    ("off", Scrub::Off),
    ("mask", Scrub::Mask),
    ("drop", Scrub::Drop),
];

impl Scrub {
    /// `off`, `mask` or `drop`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Mask => "mask",
            Self::Drop => "drop",
        }
    }
}

impl std::fmt::Display for Scrub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Where toolcell stores texts, or sends them for somebody to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sink {
    /// The transcripts of runs.
    Transcript,
    /// The audit log.
    Audit,
    /// Runs that were archived.
    Archive,
    /// Answers of models that are kept.
    Cache,
    /// Spans and metrics.
    Telemetry,
}

impl Sink {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Transcript,
        Self::Audit,
        Self::Archive,
        Self::Cache,
        Self::Telemetry,
    ];

    /// The key in the policy.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transcript => "transcript",
            Self::Audit => "audit",
            Self::Archive => "archive",
            Self::Cache => "cache",
            Self::Telemetry => "telemetry",
        }
    }
}

/// The table `[privacy]` of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PrivacySettings {
    /// What is done, by sink.
    pub(crate) scrubs: Vec<(Sink, (Scrub, Rule))>,
    /// The kinds of personal data that are meant; none for the usual ones.
    pub(crate) kinds: Vec<String>,
    /// A file with more rules, as written.
    pub(crate) rules: Option<(String, Rule)>,
}

impl SettingsTable for PrivacySettings {
    const KEY: &'static str = "privacy";

    fn read(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Self> {
        let mut keys: Vec<&str> = Sink::ALL.iter().map(|sink| sink.name()).collect();
        keys.extend(["kinds", "rules"]);
        let section = reader.section(entry.node, &entry.path, &keys)?;
        let mut table = Self::default();
        for sink in Sink::ALL {
            let Some(entry) = section.get(sink.name()) else {
                continue;
            };
            if let Some(scrub) = reader.word(&entry, &SCRUBS).copied() {
                let rule = reader.rule(&entry.key_span, &entry.path);
                table.scrubs.push((sink, (scrub, rule)));
            }
        }
        if let Some(entry) = section.get("kinds") {
            table.kinds = kinds(reader, &entry);
        }
        table.rules = section.get("rules").and_then(|entry| {
            let path = reader.string(&entry)?;
            let path = host_path(reader, &entry, path)?;
            Some((path, reader.rule(&entry.key_span, &entry.path)))
        });
        Some(table)
    }

    fn print(&self) -> Table {
        let mut table = Table::new();
        for (sink, (scrub, _)) in &self.scrubs {
            table.insert(sink.name().to_owned(), scrub.name().into());
        }
        if !self.kinds.is_empty() {
            table.insert("kinds".to_owned(), strings(&self.kinds));
        }
        if let Some((path, _)) = &self.rules {
            table.insert("rules".to_owned(), path.clone().into());
        }
        table
    }
}

impl PrivacySettings {
    pub(crate) fn scrub(&self, sink: Sink) -> Option<&(Scrub, Rule)> {
        let mut scrubs = self.scrubs.iter();
        scrubs
            .find(|(other, _)| *other == sink)
            .map(|(_, said)| said)
    }
}

fn kinds(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Vec<String> {
    let mut kinds: Vec<String> = Vec::new();
    for (element, text) in reader
        .strings(entry, MAX_PERSONAL_KINDS)
        .unwrap_or_default()
    {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || !text.bytes().all(plain) {
            reader.report(
                element.node.span(),
                "a kind has lower-case letters, digits and `-`",
                "write it like \"email\"",
            );
        } else if kinds.iter().any(|kind| kind == text) {
            reader.report(
                element.node.span(),
                "this kind stands here twice",
                "remove one",
            );
        } else {
            kinds.push(text.to_owned());
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Layer, Layers, Policy};

    fn policy(text: &str) -> Policy {
        Policy::parse("p.toml", text).unwrap()
    }

    #[test]
    fn the_stricter_word_holds_in_each_place() {
        let high = policy("[privacy]\ntranscript = \"mask\"\naudit = \"drop\"\n");
        let low = policy("[privacy]\ntranscript = \"drop\"\naudit = \"off\"\ncache = \"mask\"\n");
        let layers = Layers::new()
            .with(Layer::System, high)
            .with(Layer::Project, low);
        let words = Sink::ALL.map(|sink| layers.privacy(sink).0.name());
        assert_eq!(words, ["drop", "drop", "off", "mask", "off"]);
        let (_, rule) = layers.privacy(Sink::Cache);
        assert_eq!(rule.to_string(), "p.toml:4 privacy.cache");
        let (_, rule) = layers.privacy(Sink::Telemetry);
        assert!(rule.to_string().contains("telemetry = \"off\""), "{rule}");
    }

    #[test]
    fn kinds_of_all_files_are_meant() {
        let high = policy("[privacy]\nkinds = [\"email\"]\nrules = \"./a.toml\"\n");
        let low = policy("[privacy]\nkinds = [\"card\", \"email\"]\n");
        let both = Layers::new()
            .with(Layer::System, high.clone())
            .with(Layer::Project, low);
        assert_eq!(both.personal_kinds(), ["email", "card"]);
        assert_eq!(both.personal_rules().len(), 1);
        // A file that names none means the usual ones, which are more than one kind.
        let usual = policy("[privacy]\naudit = \"mask\"\n");
        let with_usual = Layers::new()
            .with(Layer::System, usual)
            .with(Layer::Project, high);
        assert!(with_usual.personal_kinds().is_empty());
    }

    #[test]
    fn the_table_is_written_as_it_was_read() {
        let text =
            "[privacy]\naudit = \"mask\"\nkinds = [\n    \"email\",\n]\nrules = \"./pii.toml\"\n";
        let printed = policy(text).to_toml();
        assert_eq!(policy(&printed).to_toml(), printed);
        assert!(printed.contains("audit = \"mask\"") && printed.contains("email"));
        for (wrong, words) in [
            ("audit = \"hide\"", "hide"),
            ("transcripts = \"mask\"", "no key `transcripts`"),
            ("kinds = [\"E-Mail\"]", "lower-case"),
            ("kinds = [\"card\", \"card\"]", "twice"),
            ("kinds = \"card\"", "must be a list"),
            ("rules = \"~/x\"", "~"),
        ] {
            let error = Policy::from_toml(&format!("[privacy]\n{wrong}")).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
