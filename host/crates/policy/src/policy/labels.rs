//! Reads `reads = "private"` and `sends = "outside"`.

use crate::{
    Labels, Rule, names,
    print::{Table, strings},
    reader::{Entry, Reader, shown},
};

/// What one file says that a tool of a package does with data; all tools that it does not name where `tool` is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToolLabels {
    pub(crate) tool: Option<String>,
    pub(crate) labels: Labels,
    pub(crate) rule: Rule,
}

/// The words of one key, each with what it marks.
pub(super) type Words = [(&'static str, Labels)];

const NONE: Labels = Labels {
    reads_private: false,
    reads_untrusted: false,
    sends_outside: false,
};

pub(super) const READS: [(&str, Labels); 2] = [
    (
        "private",
        Labels {
            reads_private: true,
            ..NONE
        },
    ),
    (
        "untrusted",
        Labels {
            reads_untrusted: true,
            ..NONE
        },
    ),
];

pub(super) const SENDS: [(&str, Labels); 1] = [(
    "outside",
    Labels {
        sends_outside: true,
        ..NONE
    },
)];

/// One word, a list of them, or a table of these by tool in which `*` stands for the others.
pub(super) fn labels(
    reader: &mut Reader<'_>,
    entry: &Entry<'_>,
    words: &'static Words,
) -> Vec<ToolLabels> {
    if !entry.node.value.is_table() {
        let Some(labels) = marked(reader, entry, words) else {
            return Vec::new();
        };
        if labels.is_empty() {
            marks_nothing(reader, entry);
        }
        let rule = reader.rule(&entry.key_span, &entry.path);
        return vec![ToolLabels {
            tool: None,
            labels,
            rule,
        }];
    }
    let Some(section) = reader.any_section(entry.node, &entry.path) else {
        return Vec::new();
    };
    let others = section.get("*").is_some();
    let mut all = Vec::new();
    for entry in section.entries() {
        let tool = match entry.key {
            "*" => None,
            name if names::is_kebab_case(name) => Some(name.to_owned()),
            name => {
                reader.report(
                    entry.key_span.clone(),
                    format!("`{}` is not the name of a tool", shown(name)),
                    "name a tool as its manifest does, or \"*\" for all others",
                );
                continue;
            }
        };
        let Some(labels) = marked(reader, &entry, words) else {
            continue;
        };
        // A tool of its own may be marked with nothing, where the others are marked.
        if labels.is_empty() && (tool.is_none() || !others) {
            marks_nothing(reader, &entry);
        }
        let rule = reader.rule(&entry.key_span, &entry.path);
        all.push(ToolLabels { tool, labels, rule });
    }
    if section.entries().is_empty() {
        marks_nothing(reader, entry);
    }
    all
}

fn marked(reader: &mut Reader<'_>, entry: &Entry<'_>, words: &'static Words) -> Option<Labels> {
    if entry.node.value.is_str() {
        return reader.word(entry, words).copied();
    }
    let mut all = Labels::default();
    for element in reader.list(entry, words.len())? {
        let Some(label) = reader.word(&element, words).copied() else {
            continue;
        };
        if all.union(label) == all {
            reader.report(
                element.node.span(),
                "this word stands here twice",
                "remove one",
            );
        }
        all = all.union(label);
    }
    Some(all)
}

fn marks_nothing(reader: &mut Reader<'_>, entry: &Entry<'_>) {
    reader.report(
        entry.key_span.clone(),
        format!("`{}` marks nothing", entry.path),
        "name what the tool does, or leave the key out",
    );
}

/// What a file says about one tool: its own entry, else the one for all others.
pub(super) fn of_tool<'l>(all: &'l [ToolLabels], tool: &str) -> Option<&'l ToolLabels> {
    let own = all.iter().find(|it| it.tool.as_deref() == Some(tool));
    own.or_else(|| all.iter().find(|it| it.tool.is_none()))
}

pub(super) fn printed(all: &[ToolLabels], words: &Words) -> Option<toml::Value> {
    let value = |labels: Labels| -> toml::Value {
        let marked = words.iter().filter(|(_, it)| labels.union(*it) == labels);
        let marked: Vec<&str> = marked.map(|(word, _)| *word).collect();
        match marked.as_slice() {
            [one] => (*one).into(),
            several => strings(several),
        }
    };
    match all {
        [] => None,
        [all] if all.tool.is_none() => Some(value(all.labels)),
        several => {
            let entries = several.iter().map(|it| {
                let key = it.tool.clone().unwrap_or_else(|| "*".to_owned());
                (key, value(it.labels))
            });
            Some(toml::Value::Table(entries.collect::<Table>()))
        }
    }
}
