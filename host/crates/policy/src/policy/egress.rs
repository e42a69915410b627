//! Reads `[egress]` and `[secrets]`.

use url::Url;

use super::parse::host_path;
use crate::{
    Effect, EgressPolicy, Rule, UnknownSecrets,
    print::{Table, strings},
    reader::{Entry, Reader},
};

/// The most files of certificates that are trusted besides the public ones.
pub const MAX_CA_FILES: usize = 16;

/// The table `[secrets]`: what holds for the secrets of all tools.
#[derive(Clone, Debug, Default)]
pub(crate) struct SecretsTable {
    pub(crate) unknown: Option<(UnknownSecrets, Rule)>,
    /// A file with more rules for `unknown`, as written.
    pub(crate) rules: Option<(String, Rule)>,
    pub(crate) arguments: Option<(Effect, Rule)>,
}

const UNKNOWN: [(&str, UnknownSecrets); 3] = [
    ("off", UnknownSecrets::Off),
    ("warn", UnknownSecrets::Warn),
    ("redact", UnknownSecrets::Redact),
];

impl UnknownSecrets {
    /// `off`, `warn` or `redact`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Redact => "redact",
        }
    }
}

impl std::fmt::Display for UnknownSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The table, unless it says nothing.
pub(super) fn egress(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<EgressPolicy> {
    let section = reader.section(entry.node, &entry.path, &["ca", "proxy", "proxy_resolves"])?;
    let proxy = section.get("proxy");
    let resolves = section.get("proxy_resolves");
    if let (None, Some(entry)) = (&proxy, &resolves) {
        reader.report(
            entry.key_span.clone(),
            "`proxy_resolves` says something only beside `proxy`",
            "remove it",
        );
    }
    let policy = EgressPolicy {
        ca: section
            .get("ca")
            .map(|entry| authorities(reader, &entry))
            .unwrap_or_default(),
        base: None,
        proxy: proxy.and_then(|entry| proxy_url(reader, &entry)),
        proxy_resolves: resolves
            .and_then(|entry| reader.bool(&entry))
            .unwrap_or_default(),
        rule: Some(reader.rule(&entry.key_span, &entry.path)),
    };
    (!policy.ca.is_empty() || policy.proxy.is_some()).then_some(policy)
}

fn authorities(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Vec<String> {
    let Some(files) = reader.strings(entry, MAX_CA_FILES) else {
        return Vec::new();
    };
    let mut paths: Vec<String> = Vec::new();
    for (element, text) in files {
        let Some(path) = host_path(reader, &element, text) else {
            continue;
        };
        if paths.contains(&path) {
            reader.report(
                element.node.span(),
                "this file stands here twice",
                "remove one",
            );
        } else {
            paths.push(path);
        }
    }
    paths
}

fn proxy_url(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Url> {
    let text = reader.string(entry)?;
    let why = match Url::parse(text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "holds a user name or password, which has no place in a policy"
        }
        Ok(url) if url.scheme() != "http" => "does not begin with http://",
        Ok(url) if url.path() != "/" || url.query().is_some() || url.fragment().is_some() => {
            "holds more than a host and a port"
        }
        Ok(url)
            if url
                .host_str()
                .is_none_or(|host| host.is_empty() || host.ends_with('.')) =>
        {
            "names no host, or one that ends with a dot"
        }
        Ok(url) => return Some(url),
        Err(_) => "is not a URL",
    };
    if text.contains('@') {
        reader.hide(entry.node.span());
    }
    reader.report(
        entry.node.span(),
        format!("`{}` {why}", entry.path),
        "write it like \"http://proxy.internal:3128\"",
    );
    None
}

pub(super) fn secrets(reader: &mut Reader<'_>, entry: &Entry<'_>) -> SecretsTable {
    let keys = ["unknown", "rules", "arguments"];
    let Some(section) = reader.section(entry.node, &entry.path, &keys) else {
        return SecretsTable::default();
    };
    SecretsTable {
        unknown: section.get("unknown").and_then(|entry| {
            let word = reader.word(&entry, &UNKNOWN).copied()?;
            Some((word, reader.rule(&entry.key_span, &entry.path)))
        }),
        rules: section.get("rules").and_then(|entry| {
            let path = reader.string(&entry)?;
            let path = host_path(reader, &entry, path)?;
            Some((path, reader.rule(&entry.key_span, &entry.path)))
        }),
        arguments: section.get("arguments").and_then(|entry| {
            let effect = reader.effect(&entry)?;
            Some((effect, reader.rule(&entry.key_span, &entry.path)))
        }),
    }
}

pub(super) fn printed_egress(policy: &EgressPolicy) -> Table {
    let mut table = Table::new();
    if !policy.ca.is_empty() {
        table.insert("ca".to_owned(), strings(&policy.ca));
    }
    if let Some(proxy) = &policy.proxy {
        table.insert("proxy".to_owned(), proxy.as_str().into());
        if policy.proxy_resolves {
            table.insert("proxy_resolves".to_owned(), true.into());
        }
    }
    table
}

pub(super) fn printed_secrets(secrets: &SecretsTable) -> Table {
    let mut table = Table::new();
    let mut put = |key: &str, value: Option<&str>| {
        if let Some(value) = value {
            table.insert(key.to_owned(), value.into());
        }
    };
    put("unknown", secrets.unknown.as_ref().map(|(it, _)| it.name()));
    put("rules", secrets.rules.as_ref().map(|(it, _)| it.as_str()));
    put(
        "arguments",
        secrets.arguments.as_ref().map(|(it, _)| it.name()),
    );
    table
}

#[cfg(test)]
mod tests;
