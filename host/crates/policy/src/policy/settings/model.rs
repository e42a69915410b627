//! Reads `[model]`.

use super::SettingsTable;
use crate::{
    Rule,
    print::Table,
    reader::{Entry, Reader},
};

/// The longest answer of one turn that can be asked for, in tokens.
pub const MAX_OUTPUT_TOKENS: u32 = 1_000_000;

/// The table `[model]`: how the models of runs are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelSettings {
    /// The model of runs that name none, as `provider:model`.
    pub name: Option<String>,
    /// The longest answer of one turn, in tokens.
    pub max_tokens: Option<u32>,
    /// Where the table stands.
    pub rule: Option<Rule>,
}

impl SettingsTable for ModelSettings {
    const KEY: &'static str = "model";

    fn read(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Self> {
        let section = reader.section(entry.node, &entry.path, &["use", "max_tokens"])?;
        Some(Self {
            name: section.get("use").and_then(|entry| name(reader, &entry)),
            max_tokens: section
                .get("max_tokens")
                .and_then(|entry| tokens(reader, &entry)),
            rule: Some(reader.rule(&entry.key_span, &entry.path)),
        })
    }

    fn print(&self) -> Table {
        let mut table = Table::new();
        if let Some(name) = &self.name {
            table.insert("use".to_owned(), name.clone().into());
        }
        if let Some(tokens) = self.max_tokens {
            table.insert("max_tokens".to_owned(), i64::from(tokens).into());
        }
        table
    }
}

fn name(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<String> {
    let text = reader.string(entry)?;
    if let Some((provider, model)) = text.split_once(':')
        && !provider.is_empty()
        && !model.is_empty()
    {
        return Some(text.to_owned());
    }
    reader.report(
        entry.node.span(),
        format!("`{}` names no model", entry.path),
        "write `provider:model`, for example \"anthropic:claude-sonnet-5-5\"",
    );
    None
}

fn tokens(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<u32> {
    let number = reader.number(entry)?;
    match u32::try_from(number) {
        Ok(tokens @ 1..=MAX_OUTPUT_TOKENS) => Some(tokens),
        _ => {
            reader.report(
                entry.node.span(),
                format!("`{}` is {number}", entry.path),
                format!("write a number from 1 to {MAX_OUTPUT_TOKENS}"),
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Layers, Policy};

    fn problem(text: &str) -> String {
        Policy::from_toml(text).unwrap_err().to_string()
    }

    #[test]
    fn the_highest_file_decides() {
        let policy = |name: &str, model: &str| {
            let text = format!("[model]\nuse = \"{model}\"\nmax_tokens = 500\n");
            Policy::parse(name, &text).unwrap()
        };
        let text = policy("a", "anthropic:x").to_toml();
        assert_eq!(Policy::from_toml(&text).unwrap().to_toml(), text);
        assert!(text.contains("max_tokens = 500"), "{text}");
        let layers = Layers::from(policy("a", "anthropic:x"));
        assert_eq!(layers.model().name.as_deref(), Some("anthropic:x"));
        assert_eq!(layers.model().rule.unwrap().to_string(), "a:1 model");
        assert_eq!(Layers::default().model(), super::ModelSettings::default());
    }

    #[test]
    fn what_names_no_model_is_told() {
        for (text, words) in [
            ("[model]\nuse = \"x\"", "names no model"),
            ("[model]\nuse = \":x\"", "names no model"),
            ("[model]\nmax_tokens = 0", "is 0"),
            ("[model]\nmax_tokens = 1000001", "is 1000001"),
            ("[model]\nmodel = \"x:y\"", "no key `model`"),
            ("[model]\nuse = 5", "must be"),
        ] {
            assert!(problem(text).contains(words), "{text}: {}", problem(text));
        }
    }
}
