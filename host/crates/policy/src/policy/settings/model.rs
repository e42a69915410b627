//! Reads `[model]`.

mod care;
mod words;

use std::str::FromStr;

use super::SettingsTable;
use crate::{
    Rule,
    policy::parse::host_path,
    print::Table,
    reader::{Entry, Reader, shown},
};

pub use care::{MAX_FALLBACKS, ModelCare};
pub use words::{ModelThinking, ModelToolChoice};

/// The longest answer of one turn that can be asked for, in tokens.
pub const MAX_OUTPUT_TOKENS: u32 = 1_000_000;

/// How much work a model can be told to put into an answer, the least first.
pub const EFFORTS: [&str; 5] = ["low", "medium", "high", "xhigh", "max"];

/// The table `[model]`: how the models of runs are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelSettings {
    /// The model of runs that name none, as `provider:model`.
    pub name: Option<String>,
    /// The longest answer of one turn, in tokens.
    pub max_tokens: Option<u32>,
    /// How much work the model puts into an answer: one of [`EFFORTS`].
    pub effort: Option<&'static str>,
    /// Whether and how long the model thinks before it answers.
    pub thinking: Option<ModelThinking>,
    /// Whether the model may ask for several tools in one turn.
    pub parallel_tools: Option<bool>,
    /// Whether and which tools the model may ask for.
    pub tool_choice: Option<ModelToolChoice>,
    /// How carefully models are asked.
    pub care: ModelCare,
    /// A file with a catalog of models over the embedded one, as written.
    pub catalog: Option<String>,
    /// The directory that a relative path starts from, where the policy was told it.
    pub base: Option<String>,
    /// Where the table stands.
    pub rule: Option<Rule>,
}

/// The keys of the table.
const KEYS: [&str; 7] = [
    "catalog",
    "use",
    "max_tokens",
    "effort",
    "thinking",
    "parallel_tools",
    "tool_choice",
];

impl SettingsTable for ModelSettings {
    const KEY: &'static str = "model";

    fn read(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Self> {
        let keys = [&KEYS[..], &care::KEYS].concat();
        let section = reader.section(entry.node, &entry.path, &keys)?;
        Some(Self {
            name: section.get("use").and_then(|entry| name(reader, &entry)),
            max_tokens: section
                .get("max_tokens")
                .and_then(|entry| tokens(reader, &entry)),
            effort: section.get("effort").and_then(|entry| {
                reader
                    .word(&entry, &EFFORTS.map(|word| (word, word)))
                    .copied()
            }),
            thinking: section
                .get("thinking")
                .and_then(|entry| thinking(reader, &entry)),
            parallel_tools: section
                .get("parallel_tools")
                .and_then(|entry| reader.bool(&entry)),
            tool_choice: section
                .get("tool_choice")
                .and_then(|entry| tool_choice(reader, &entry)),
            care: care::read(reader, &section),
            catalog: section.get("catalog").and_then(|entry| {
                let path = reader.string(&entry)?;
                host_path(reader, &entry, path)
            }),
            base: None,
            rule: Some(reader.rule(&entry.key_span, &entry.path)),
        })
    }

    fn print(&self) -> Table {
        let mut table = Table::new();
        if let Some(catalog) = &self.catalog {
            table.insert("catalog".to_owned(), catalog.clone().into());
        }
        if let Some(name) = &self.name {
            table.insert("use".to_owned(), name.clone().into());
        }
        if let Some(tokens) = self.max_tokens {
            table.insert("max_tokens".to_owned(), i64::from(tokens).into());
        }
        if let Some(effort) = self.effort {
            table.insert("effort".to_owned(), effort.into());
        }
        match self.thinking {
            Some(ModelThinking::Tokens(tokens)) => {
                table.insert("thinking".to_owned(), i64::from(tokens).into());
            }
            Some(word) => {
                table.insert("thinking".to_owned(), word.to_string().into());
            }
            None => {}
        }
        if let Some(parallel) = self.parallel_tools {
            table.insert("parallel_tools".to_owned(), parallel.into());
        }
        if let Some(choice) = &self.tool_choice {
            table.insert("tool_choice".to_owned(), choice.to_string().into());
        }
        care::print(&self.care, &mut table);
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

fn thinking(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<ModelThinking> {
    if entry.node.value.as_integer().is_some() {
        return tokens(reader, entry).map(ModelThinking::Tokens);
    }
    parsed(reader, entry, "or a number of tokens, without quotes")
}

fn tool_choice(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<ModelToolChoice> {
    parsed(reader, entry, "or for example \"tool:files_read\"")
}

/// A word, or what else stands for a value. The flags of `toolcell run` are read in the same way.
fn parsed<T: FromStr<Err = &'static str>>(
    reader: &mut Reader<'_>,
    entry: &Entry<'_>,
    or: &str,
) -> Option<T> {
    let text = reader.string(entry)?;
    match text.parse() {
        Ok(value) => Some(value),
        Err(words) => {
            let message = format!("`{}` is `{}`", entry.path, shown(text));
            reader.report(entry.node.span(), message, format!("write {words}, {or}"));
            None
        }
    }
}

#[cfg(test)]
mod tests;
