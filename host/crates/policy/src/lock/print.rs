//! Writes `toolcell.lock`.

use super::{LOCK_VERSION, Lock, LockedPackage};
use crate::{
    manifest,
    print::{Table, strings, table_text},
};

const HEADER: &str = "\
# Written by `toolcell lock`; do not edit it by hand. It pins each package to what was looked at when it was locked:
# a package whose component, manifest or tool list has another digest is not loaded. Keep it under version control.

";

pub(super) fn lock(lock: &Lock) -> String {
    let mut root = Table::new();
    root.insert(
        "version".to_owned(),
        i64::try_from(LOCK_VERSION).unwrap_or(i64::MAX).into(),
    );
    let packages: Table = lock
        .packages
        .iter()
        .map(|(name, it)| (name.clone(), package(it).into()))
        .collect();
    if !packages.is_empty() {
        root.insert("package".to_owned(), packages.into());
    }
    format!("{HEADER}{}", table_text(&root))
}

/// The manifest's own keys, with what is recorded beside it. The name is that of the table.
fn package(package: &LockedPackage) -> Table {
    let mut table = manifest::recorded(&package.manifest);
    table.remove("name");
    let text = |text: String| toml::Value::String(text);
    table.insert("from".to_owned(), text(package.from.clone()));
    table.insert("component".to_owned(), text(package.component.to_string()));
    table.insert(
        "manifest".to_owned(),
        text(package.manifest_digest.to_string()),
    );
    table.insert("tools".to_owned(), text(package.tools_digest.to_string()));
    table.insert(
        "bytes".to_owned(),
        i64::try_from(package.bytes).unwrap_or(i64::MAX).into(),
    );
    table.insert("imports".to_owned(), strings(&package.imports));
    table
}
