//! Reads `secrets.NAME = { from, to, header }`.
//!
//! What stands in such a table may be a value by mistake. So nothing of it is repeated in a message but names and known
//! words, and what may be a value is hidden in the lines that a report shows.

mod oauth;
mod place;

use crate::{
    Effect, Method, NetGrant, NetScope, PathPattern, Rule, SecretPlace, SecretSource,
    access::{self, is_env_name},
    names,
    policy::parse::host_path,
    print::{Table, strings},
    reader::{Entry, Reader, Section, shown},
};

pub use oauth::MAX_OAUTH_SCOPES;
pub use place::MAX_HEADER_FORMAT_BYTES;
pub(crate) use place::suggestion;

/// The most secrets of one tool.
pub const MAX_SECRETS: usize = 32;

const KEYS: [&str; 9] = [
    "from", "oauth", "to", "methods", "paths", "header", "basic", "query", "json",
];

/// What one file says about one secret of one package.
#[derive(Clone, Debug)]
pub(crate) struct WrittenSecret {
    pub(crate) name: String,
    /// Where the value comes from and where it is put; nothing in a file that only lets a higher one's secret be used.
    pub(crate) given: Option<(SecretSource, SecretPlace)>,
    /// To which requests it is added; `to` is never `None`.
    pub(crate) scope: NetScope,
    pub(crate) rule: Rule,
}

/// The secrets of a tool. `net` are its rules where all of them could be read.
pub(super) fn secrets(
    reader: &mut Reader<'_>,
    entry: &Entry<'_>,
    net: Option<&[NetGrant]>,
) -> Vec<WrittenSecret> {
    let Some(section) = table(reader, entry) else {
        return Vec::new();
    };
    let entries = section.entries();
    if entries.len() > MAX_SECRETS {
        for entry in &entries {
            reader.hide(entry.node.span());
        }
        reader.report(
            entry.key_span.clone(),
            format!(
                "{} secrets are given; at most {MAX_SECRETS} are allowed",
                entries.len()
            ),
            "give fewer, or split the package",
        );
        return Vec::new();
    }
    let mut all: Vec<WrittenSecret> = Vec::new();
    for entry in entries {
        if !is_env_name(entry.key) {
            reader.report(
                entry.key_span.clone(),
                format!("`{}` is not a name of a secret", shown(entry.key)),
                "use letters, digits and `_`, as in `API_KEY`",
            );
            reader.hide(entry.node.span());
            continue;
        }
        let Some(written) = secret(reader, &entry) else {
            continue;
        };
        if net.is_some_and(|net| !reached(&written.scope, net)) {
            unreached(reader, &entry, &written.scope);
        }
        if let Some((other, what)) = clash(&all, &written) {
            reader.report(
                entry.key_span.clone(),
                format!(
                    "`{}` (line {}) sets the {what} of the same requests",
                    other.name, other.rule.line
                ),
                "give them different methods or paths, or remove one",
            );
        }
        all.push(written);
    }
    all
}

/// A table, and nothing of it shown where it is none.
fn table<'d>(reader: &mut Reader<'_>, entry: &Entry<'d>) -> Option<Section<'d>> {
    let section = reader.any_section(entry.node, &entry.path);
    if section.is_none() {
        reader.hide(entry.node.span());
    }
    section
}

/// As [`Reader::check_keys`]; the values of unknown keys are not shown.
fn check_keys(reader: &mut Reader<'_>, section: &Section<'_>, keys: &[&str]) {
    for entry in section.entries() {
        if !keys.contains(&entry.key) {
            reader.hide(entry.node.span());
        }
    }
    reader.check_keys(section, keys);
}

fn secret(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<WrittenSecret> {
    let section = table(reader, entry)?;
    check_keys(reader, &section, &KEYS);
    let scope = access::secret_scope(reader, &section);
    let source = source(reader, &section);
    let place = place::place(reader, &section);
    let given = match (source, place) {
        (Given::Nothing, Given::Nothing) => Some(None),
        (Given::One(source), Given::One(place)) => Some(Some((source, place))),
        (Given::Nothing, _) => {
            reader.report(
                entry.key_span.clone(),
                format!("`{}` does not say where its value comes from", entry.path),
                "add from = \"env:NAME\", or leave the place out too to let a secret of a higher layer be used",
            );
            None
        }
        (_, Given::Nothing) => {
            reader.report(
                entry.key_span.clone(),
                format!(
                    "`{}` does not say where in a request its value is put",
                    entry.path
                ),
                "add header = \"Authorization: Bearer {}\", or basic, query or json",
            );
            None
        }
        _ => None,
    };
    Some(WrittenSecret {
        name: entry.key.to_owned(),
        given: given?,
        scope: scope?,
        rule: reader.rule(&entry.key_span, &entry.path),
    })
}

/// One of several keys.
enum Given<T> {
    Nothing,
    One(T),
    /// It was reported.
    Wrong,
}

impl<T> From<Option<T>> for Given<T> {
    fn from(read: Option<T>) -> Self {
        read.map_or(Self::Wrong, Self::One)
    }
}

/// The only one of some keys that is there.
fn only<'d>(
    reader: &mut Reader<'_>,
    section: &Section<'d>,
    keys: &[&str],
    what: &str,
) -> Given<Entry<'d>> {
    let mut given: Vec<Entry<'d>> = keys.iter().filter_map(|key| section.get(key)).collect();
    match (given.pop(), given.pop()) {
        (None, _) => Given::Nothing,
        (Some(only), None) => Given::One(only),
        (Some(second), Some(first)) => {
            for entry in [&first, &second] {
                reader.hide(entry.node.span());
            }
            reader.report(
                second.key_span,
                format!(
                    "`{}` names {what} twice, beside `{}`",
                    second.path, first.key
                ),
                "keep one of them",
            );
            Given::Wrong
        }
    }
}

fn source(reader: &mut Reader<'_>, section: &Section<'_>) -> Given<SecretSource> {
    let what = "where the value comes from";
    match only(reader, section, &["from", "oauth"], what) {
        Given::Nothing => Given::Nothing,
        Given::Wrong => Given::Wrong,
        Given::One(entry) if entry.key == "from" => stored(reader, &entry).into(),
        Given::One(entry) => oauth::source(reader, &entry).into(),
    }
}

/// A source that holds a value: `env:NAME`, `file:PATH`, `keyring:NAME` or `vault:NAME`.
pub(super) fn stored(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<SecretSource> {
    let Some(text) = reader.string(entry) else {
        reader.hide(entry.node.span());
        return None;
    };
    stored_text(reader, entry, text)
}

/// The same where the source is a part of what is written.
pub(super) fn stored_text(
    reader: &mut Reader<'_>,
    entry: &Entry<'_>,
    text: &str,
) -> Option<SecretSource> {
    const KINDS: [&str; 4] = ["env", "file", "keyring", "vault"];
    let (kind, rest) = text.split_once(':').unwrap_or_default();
    let source = match kind {
        "file" => {
            return host_path(reader, entry, rest)
                .map(|path| SecretSource::File { path, base: None });
        }
        "env" => SecretSource::Env as fn(String) -> SecretSource,
        "keyring" => SecretSource::Keyring,
        "vault" => SecretSource::Vault,
        _ => {
            reader.hide(entry.node.span());
            let help = match names::nearest(kind, KINDS) {
                Some(near) if !kind.is_empty() => format!("did you mean \"{near}:…\"?"),
                _ => "write \"env:NAME\", \"file:PATH\", \"keyring:NAME\" or \"vault:NAME\", and never the value itself"
                    .to_owned(),
            };
            reader.report(
                entry.node.span(),
                format!("`{}` does not say where the value comes from", entry.path),
                help,
            );
            return None;
        }
    };
    if !is_env_name(rest) {
        reader.hide(entry.node.span());
        reader.report(
            entry.node.span(),
            format!("what follows `{kind}:` in `{}` is not a name", entry.path),
            "use letters, digits and `_`, as in `API_KEY`",
        );
        return None;
    }
    Some(source(rest.to_owned()))
}

fn reached(scope: &NetScope, net: &[NetGrant]) -> bool {
    let granting = net.iter().filter(|grant| grant.approve < Effect::Deny);
    granting
        .into_iter()
        .any(|grant| grant.scope.narrowed_by(scope).is_some())
}

fn unreached(reader: &mut Reader<'_>, entry: &Entry<'_>, scope: &NetScope) {
    let to = scope
        .to
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    reader.report(
        entry.key_span.clone(),
        format!(
            "`{}` can never be used: no rule in `net` lets the tool send such requests",
            entry.path
        ),
        format!("grant them, for example net = [{{ to = \"{to}\" }}], or remove the secret"),
    );
}

/// An earlier secret that is put into the same place of some request.
fn clash<'s>(
    all: &'s [WrittenSecret],
    secret: &WrittenSecret,
) -> Option<(&'s WrittenSecret, String)> {
    let (_, mine) = secret.given.as_ref()?;
    all.iter().find_map(|other| {
        let (_, theirs) = other.given.as_ref()?;
        let place = mine.clash(theirs)?;
        other
            .scope
            .overlaps(&secret.scope)
            .then_some((other, place))
    })
}

/// The secret as TOML.
pub(super) fn printed(secret: &WrittenSecret) -> Table {
    let mut table = Table::new();
    let scope = &secret.scope;
    if let Some(to) = &scope.to {
        table.insert("to".to_owned(), to.to_string().into());
    }
    if scope.methods != Method::ALL {
        table.insert("methods".to_owned(), strings(&scope.methods));
    }
    if !(scope.paths.len() == 1 && scope.paths.iter().all(PathPattern::is_everything)) {
        table.insert("paths".to_owned(), strings(&scope.paths));
    }
    if let Some((source, place)) = &secret.given {
        match source {
            SecretSource::OAuth(source) => {
                table.insert("oauth".to_owned(), oauth::printed(source).into());
            }
            stored => {
                table.insert("from".to_owned(), stored.to_string().into());
            }
        }
        let (key, text) = place.written();
        table.insert(key.to_owned(), text.into());
    }
    table
}

/// Tells the directory that relative paths start from.
pub(super) fn set_base(source: &mut SecretSource, directory: &str) {
    match source {
        SecretSource::File { base, .. } => *base = Some(directory.to_owned()),
        SecretSource::OAuth(oauth) => {
            if let Some(secret) = &mut oauth.client_secret {
                set_base(secret, directory);
            }
            if let crate::OAuthGrant::RefreshToken(token) = &mut oauth.grant {
                set_base(token, directory);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
