//! What writing manifests and writing policies have in common.

use crate::{Method, NetScope, PathPattern};

pub(crate) type Table = toml::Table;

/// The text of a table. All tables here are made of strings, numbers, flags, lists and tables, which TOML can write.
pub(crate) fn table_text(table: &Table) -> String {
    toml::to_string(table).unwrap_or_default()
}

pub(crate) fn strings<T: ToString>(items: &[T]) -> toml::Value {
    let list: Vec<toml::Value> = items.iter().map(|item| item.to_string().into()).collect();
    list.into()
}

/// A scope without what is the default anyway.
pub(crate) fn net_scope(scope: &NetScope) -> Table {
    let mut table = Table::new();
    let to = scope
        .to
        .as_ref()
        .map_or_else(|| "any".to_owned(), ToString::to_string);
    table.insert("to".to_owned(), to.into());
    if scope.methods != Method::DEFAULT {
        table.insert("methods".to_owned(), strings(&scope.methods));
    }
    let everything = scope.paths.len() == 1 && scope.paths.iter().all(PathPattern::is_everything);
    if !everything {
        table.insert("paths".to_owned(), strings(&scope.paths));
    }
    table
}
