//! Typed values out of a document.

use serde_json::{Map, Number, Value};
use toml::de::{DeInteger, DeValue};

use super::{Entry, Node, Reader, Section, listed, node, shown};
use crate::{Effect, names};

impl Reader<'_> {
    pub(crate) fn string<'d>(&mut self, entry: &Entry<'d>) -> Option<&'d str> {
        let text = entry.node.value.as_str();
        if text.is_none() {
            self.wrong_type(entry.node, &entry.path, "a string");
        }
        text
    }

    pub(crate) fn bool(&mut self, entry: &Entry<'_>) -> Option<bool> {
        let value = entry.node.value.as_bool();
        if value.is_none() {
            self.wrong_type(entry.node, &entry.path, "true or false");
        }
        value
    }

    /// A string that must be there.
    pub(crate) fn required<'d>(&mut self, section: &Section<'d>, key: &str) -> Option<&'d str> {
        match section.get(key) {
            Some(entry) => self.string(&entry),
            None => {
                self.missing(section, key);
                None
            }
        }
    }

    pub(crate) fn missing(&mut self, section: &Section<'_>, key: &str) {
        // A table's span can be its whole body; its first line is enough to find it.
        let text = self
            .source
            .text
            .get(section.span.clone())
            .unwrap_or_default();
        let first_line = text.split('\n').next().unwrap_or_default().len();
        let span = section.span.start..section.span.start + first_line;
        self.report(
            span,
            format!("`{}` is missing", section.path_of(key)),
            format!("add {key} = …"),
        );
    }

    /// The elements of a list, each with its path such as `tool.files.files[0]`.
    pub(crate) fn list<'d>(&mut self, entry: &Entry<'d>, max: usize) -> Option<Vec<Entry<'d>>> {
        let Some(array) = entry.node.value.as_array() else {
            self.wrong_type(entry.node, &entry.path, "a list");
            return None;
        };
        if array.len() > max {
            self.report(
                entry.node.span(),
                format!(
                    "`{}` has {} entries; at most {max} are allowed",
                    entry.path,
                    array.len()
                ),
                "merge or remove some",
            );
            return None;
        }
        let elements = array.iter().enumerate().map(|(index, value)| {
            let node = node(value);
            Entry {
                key: entry.key,
                key_span: node.span(),
                node,
                path: format!("{}[{index}]", entry.path),
            }
        });
        Some(elements.collect())
    }

    /// A list of strings; elements of another type are reported and left out.
    pub(crate) fn strings<'d>(
        &mut self,
        entry: &Entry<'d>,
        max: usize,
    ) -> Option<Vec<(Entry<'d>, &'d str)>> {
        let elements = self.list(entry, max)?;
        let strings = elements
            .into_iter()
            .filter_map(|element| self.string(&element).map(|text| (element, text)));
        Some(strings.collect())
    }

    /// One of a few words.
    pub(crate) fn word<'w, T>(
        &mut self,
        entry: &Entry<'_>,
        words: &'w [(&'w str, T)],
    ) -> Option<&'w T> {
        let text = self.string(entry)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(value);
        }
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let help = match names::nearest(text, all.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the words here are {}", listed(&all)),
        };
        self.report(
            entry.node.span(),
            format!("`{}` cannot be `{}`", entry.path, shown(text)),
            help,
        );
        None
    }

    pub(crate) fn effect(&mut self, entry: &Entry<'_>) -> Option<Effect> {
        self.word(entry, &Effect::ALL.map(|effect| (effect.name(), effect)))
            .copied()
    }

    /// A whole number that is not negative.
    pub(crate) fn number(&mut self, entry: &Entry<'_>) -> Option<u64> {
        match entry.node.value {
            DeValue::Integer(integer) => {
                let number = integer_of(integer).and_then(|number| u64::try_from(number).ok());
                if number.is_none() {
                    self.report(
                        entry.node.span(),
                        format!("`{}` is not a number from 0 to {}", entry.path, u64::MAX),
                        "write a whole number that is not negative",
                    );
                }
                number
            }
            _ => {
                self.wrong_type(entry.node, &entry.path, "a whole number");
                None
            }
        }
    }

    /// The JSON value that a TOML value stands for. Dates and numbers that JSON does not have are reported.
    pub(crate) fn json(&mut self, node: Node<'_>, path: &str) -> Option<Value> {
        match node.value {
            DeValue::String(text) => Some(Value::String(text.to_string())),
            DeValue::Boolean(value) => Some(Value::Bool(*value)),
            DeValue::Integer(integer) => {
                let number = integer_of(integer).and_then(Number::from_i128);
                self.json_number(node, path, number)
            }
            DeValue::Float(float) => {
                let number = float.as_str().parse().ok().and_then(Number::from_f64);
                self.json_number(node, path, number)
            }
            DeValue::Datetime(_) => {
                self.report(
                    node.span(),
                    format!("`{path}` is a date, and JSON has none"),
                    "put it in quotes",
                );
                None
            }
            DeValue::Array(array) => {
                let values = array
                    .iter()
                    .map(|value| self.json(super::node(value), path));
                values
                    .collect::<Vec<_>>()
                    .into_iter()
                    .collect::<Option<Vec<_>>>()
                    .map(Value::Array)
            }
            DeValue::Table(table) => {
                let mut map = Map::new();
                for (key, value) in table {
                    let path = format!("{path}.{}", shown(key.get_ref()));
                    map.insert(
                        key.get_ref().to_string(),
                        self.json(super::node(value), &path)?,
                    );
                }
                Some(Value::Object(map))
            }
        }
    }

    fn json_number(&mut self, node: Node<'_>, path: &str, number: Option<Number>) -> Option<Value> {
        if number.is_none() {
            self.report(
                node.span(),
                format!("`{path}` is a number that JSON does not have"),
                "write a finite number",
            );
        }
        number.map(Value::Number)
    }
}

fn integer_of(integer: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(integer.as_str(), integer.radix()).ok()
}
