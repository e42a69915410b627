//! Reads `[telemetry]`.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use url::Url;

use super::SettingsTable;
use crate::{
    Rule, SecretSource,
    policy::{parse::host_path, secret},
    print::{Table, strings},
    reader::{Entry, Reader, shown},
};

/// The most headers for a collector.
pub const MAX_TELEMETRY_HEADERS: usize = 16;
/// The most names that a listener of metrics goes by.
pub const MAX_TELEMETRY_HOSTS: usize = 16;
/// The longest value of a header that is written out.
const MAX_VALUE_BYTES: usize = 1024;

/// The table `[telemetry]`: who is told what runs and tools do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelemetrySettings {
    /// Where the collector of spans and metrics is (OTLP over HTTP), without `/v1/traces`.
    pub otlp: Option<Url>,
    /// Headers for the collector.
    pub headers: Vec<TelemetryHeader>,
    /// The address at which `/metrics` is to be read.
    pub listen: Option<SocketAddr>,
    /// The names, besides addresses and `localhost`, that readers of `/metrics` may call this machine by.
    pub hosts: Vec<String>,
    /// The file that metrics are added to at the end of a command; as written.
    pub textfile: Option<String>,
    /// Whether what people, models and tools say goes to the collector too.
    pub content: Option<bool>,
    /// The directory that relative paths start from, where it was told.
    pub base: Option<String>,
    /// Where the table stands.
    pub rule: Option<Rule>,
}

/// A header for the collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryHeader {
    /// Its name, in small letters.
    pub name: String,
    /// What stands before the value, such as `Bearer `; the whole value where there is no source.
    pub text: String,
    /// Where the value comes from, if it is a secret.
    pub source: Option<SecretSource>,
}

impl fmt::Display for TelemetryHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.source {
            Some(source) => source.fmt(f),
            None => Ok(()),
        }
    }
}

impl TelemetrySettings {
    /// Tells the directory that relative paths start from.
    pub(crate) fn set_base(&mut self, directory: &str) {
        self.base = Some(directory.to_owned());
        for header in &mut self.headers {
            if let Some(source) = &mut header.source {
                secret::set_base(source, directory);
            }
        }
    }
}

const KEYS: [&str; 6] = ["otlp", "headers", "listen", "hosts", "textfile", "content"];

impl SettingsTable for TelemetrySettings {
    const KEY: &'static str = "telemetry";

    fn read(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Self> {
        let section = reader.section(entry.node, &entry.path, &KEYS)?;
        let settings = Self {
            otlp: section.get("otlp").and_then(|it| collector(reader, &it)),
            headers: section
                .get("headers")
                .map(|it| headers(reader, &it))
                .unwrap_or_default(),
            listen: section.get("listen").and_then(|it| listen(reader, &it)),
            hosts: section
                .get("hosts")
                .map(|it| hosts(reader, &it))
                .unwrap_or_default(),
            textfile: section.get("textfile").and_then(|it| {
                let path = reader.string(&it)?;
                host_path(reader, &it, path)
            }),
            content: section.get("content").and_then(|it| reader.bool(&it)),
            base: None,
            rule: Some(reader.rule(&entry.key_span, &entry.path)),
        };
        for (key, beside) in [("headers", "otlp"), ("hosts", "listen")] {
            if let (Some(entry), None) = (section.get(key), section.get(beside)) {
                reader.report(
                    entry.key_span.clone(),
                    format!("`{}` says something only beside `{beside}`", entry.path),
                    format!("write {beside} = …, or remove it"),
                );
            }
        }
        Some(settings)
    }

    fn print(&self) -> Table {
        let mut table = Table::new();
        if let Some(url) = &self.otlp {
            table.insert("otlp".to_owned(), url.as_str().into());
        }
        if !self.headers.is_empty() {
            let headers = self.headers.iter();
            let lines = headers.map(|it| (it.name.clone(), it.to_string().into()));
            table.insert("headers".to_owned(), lines.collect::<Table>().into());
        }
        if let Some(address) = &self.listen {
            table.insert("listen".to_owned(), address.to_string().into());
        }
        if !self.hosts.is_empty() {
            table.insert("hosts".to_owned(), strings(&self.hosts));
        }
        if let Some(path) = &self.textfile {
            table.insert("textfile".to_owned(), path.clone().into());
        }
        if let Some(content) = self.content {
            table.insert("content".to_owned(), content.into());
        }
        table
    }
}

/// Reads the address of a collector as people write it. What is wrong with it is said without it: it may hold a credential.
///
/// # Errors
/// What is wrong, as the end of a sentence.
pub fn parse_collector(text: &str) -> Result<Url, &'static str> {
    match Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            Err("does not begin with http:// or https://")
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Err("holds a user name or password; name a header for it")
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            Err("holds more than a host, a port and a path")
        }
        Ok(url) if url.host_str().is_none_or(str::is_empty) => Err("names no host"),
        Ok(url) => Ok(url),
        Err(_) => Err("is not a URL"),
    }
}

/// Reads an address to listen at: `9464`, `:9464` and `localhost:9464` mean this machine alone.
///
/// # Errors
/// What is wrong, as the end of a sentence.
pub fn parse_listen(text: &str) -> Result<SocketAddr, &'static str> {
    let local = |port: &str| {
        let plain = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| plain);
        port.map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    };
    let bare = text.strip_prefix("localhost:").or(text.strip_prefix(':'));
    local(bare.unwrap_or(text))
        .or_else(|| text.parse().ok())
        .ok_or("is no address with a port, such as 127.0.0.1:9464")
}

fn collector(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Url> {
    let text = reader.string(entry)?;
    match parse_collector(text) {
        Ok(url) => Some(url),
        Err(why) => {
            if text.contains('@') {
                reader.hide(entry.node.span());
            }
            reader.report(
                entry.node.span(),
                format!("`{}` {why}", entry.path),
                "write it like \"http://127.0.0.1:4318\"",
            );
            None
        }
    }
}

fn listen(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<SocketAddr> {
    match parse_listen(reader.string(entry)?) {
        Ok(address) => Some(address),
        Err(why) => {
            reader.report(
                entry.node.span(),
                format!("`{}` {why}", entry.path),
                "write it like \"127.0.0.1:9464\"",
            );
            None
        }
    }
}

fn hosts(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Vec<String> {
    let names = reader
        .strings(entry, MAX_TELEMETRY_HOSTS)
        .unwrap_or_default();
    let mut good = Vec::new();
    for (element, text) in names {
        let label = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !text.is_empty() && text.len() <= 253 && text.chars().all(label) {
            good.push(text.to_owned());
        } else {
            reader.report(
                element.node.span(),
                format!("`{}` is no name of a host", shown(text)),
                "write the name alone, without scheme and port, and no `*`",
            );
        }
    }
    good
}

fn headers(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Vec<TelemetryHeader> {
    let Some(section) = reader.any_section(entry.node, &entry.path) else {
        return Vec::new();
    };
    let entries = section.entries();
    if entries.len() > MAX_TELEMETRY_HEADERS {
        reader.report(
            entry.key_span.clone(),
            format!(
                "{} headers are named; at most {MAX_TELEMETRY_HEADERS} are allowed",
                entries.len()
            ),
            "remove some",
        );
        return Vec::new();
    }
    entries
        .iter()
        .filter_map(|entry| header(reader, entry))
        .collect()
}

fn header(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<TelemetryHeader> {
    let name = entry.key.to_ascii_lowercase();
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let ours = [
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
        "connection",
    ];
    if name.is_empty() || name.len() > 128 || !name.chars().all(token) || ours.contains(&&*name) {
        reader.report(
            entry.key_span.clone(),
            format!("`{}` is no header that can be set", shown(entry.key)),
            "use letters, digits and `-`, as in X-Scope-OrgID",
        );
        return None;
    }
    let Some(text) = reader.string(entry) else {
        reader.hide(entry.node.span());
        return None;
    };
    let kinds = ["env:", "file:", "keyring:", "vault:"];
    let starts = text
        .match_indices(' ')
        .map(|(at, _)| at + 1)
        .chain([0])
        .filter(|at| {
            let rest = text.get(*at..).unwrap_or_default();
            kinds.iter().any(|kind| rest.starts_with(kind))
        })
        .min();
    if let Some((before, source)) = starts.and_then(|at| text.split_at_checked(at))
        && is_value(before)
    {
        let source = secret::stored_text(reader, entry, source)?;
        return Some(TelemetryHeader {
            name,
            text: before.to_owned(),
            source: Some(source),
        });
    }
    if is_credential(&name) || !is_value(text) {
        reader.hide(entry.node.span());
        reader.report(
            entry.node.span(),
            format!("`{}` is not written where its value comes from", entry.path),
            "write \"env:NAME\", \"file:PATH\", \"keyring:NAME\" or \"vault:NAME\", or for example \"Bearer env:NAME\"; \
             a credential has no place in a policy",
        );
        return None;
    }
    Some(TelemetryHeader {
        name,
        text: text.to_owned(),
        source: None,
    })
}

/// Whether it can stand in a header.
fn is_value(text: &str) -> bool {
    text.len() <= MAX_VALUE_BYTES && text.bytes().all(|byte| (b' '..0x7f).contains(&byte))
}

/// Whether a header of this name carries what nobody else may know.
fn is_credential(name: &str) -> bool {
    let words = [
        "auth", "key", "token", "secret", "cookie", "pass", "cred", "sign",
    ];
    words.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests;
