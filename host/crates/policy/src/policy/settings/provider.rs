//! Reads `[provider.NAME]`.

use url::{Host, Url};

use super::SettingsTable;
use crate::{
    Rule, SecretSource, names,
    policy::secret,
    print::{Table, strings},
    reader::{Entry, Reader, Section, listed, shown},
};

/// The most providers in one file.
pub const MAX_PROVIDERS: usize = 64;

/// The most headers of one provider.
pub const MAX_PROVIDER_HEADERS: usize = 32;

/// The longest text of a provider, in bytes.
const MAX_TEXT_BYTES: usize = 2048;

/// What an OpenAI-compatible server may not know, in the words of its client.
pub const PROVIDER_LACKS: [&str; 18] = [
    "stream",
    "stream_options",
    "usage",
    "developer_role",
    "system_role",
    "max_completion_tokens",
    "parallel_tool_calls",
    "tool_choice",
    "strict",
    "response_format",
    "reasoning_effort",
    "reasoning_content",
    "prompt_cache_key",
    "images",
    "files",
    "call_ids",
    "seed",
    "top_k",
];

/// Headers that are not the operator's: some hold the key, which has a place of its own, and some belong to the connection.
const TAKEN_HEADERS: [&str; 16] = [
    "accept",
    "api-key",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-amz-date",
    "x-amz-security-token",
    "x-api-key",
];

/// The API that a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelApi {
    /// The Messages API of Anthropic.
    Anthropic,
    /// Chat completions as OpenAI has them, and as many servers do.
    Openai,
    /// The runtime endpoint of Amazon Bedrock.
    Bedrock,
    /// The Messages API of Amazon Bedrock.
    Mantle,
    /// Google Vertex AI.
    Vertex,
}

impl ModelApi {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::Anthropic,
        Self::Openai,
        Self::Bedrock,
        Self::Mantle,
        Self::Vertex,
    ];

    /// Its word in `toolcell.toml`, which is also the name of the provider that needs no table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Openai => "openai",
            Self::Bedrock => "bedrock",
            Self::Mantle => "mantle",
            Self::Vertex => "vertex",
        }
    }

    /// The API of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.name() == name)
    }

    /// The keys that say something for it.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Anthropic => &["auth", "version"],
            Self::Openai => &["auth", "lacks"],
            Self::Bedrock | Self::Mantle => &["version", "region"],
            Self::Vertex => &["version", "region", "project"],
        }
    }
}

/// In which header a key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyHeader {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// `X-Api-Key: KEY`.
    XApiKey,
    /// `Api-Key: KEY`.
    ApiKey,
}

const KEY_HEADERS: [(&str, KeyHeader); 3] = [
    ("bearer", KeyHeader::Bearer),
    ("x-api-key", KeyHeader::XApiKey),
    ("api-key", KeyHeader::ApiKey),
];

/// The table `[provider.NAME]`: a connection to models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSettings {
    /// What stands before the colon of `provider:model`.
    pub name: String,
    /// What is spoken there.
    pub api: ModelApi,
    /// Where it is; absent for the API's own place. Without TLS only on this machine, or where `allow_http` says so.
    pub url: Option<String>,
    /// Whether `url` may do without TLS elsewhere.
    pub allow_http: bool,
    /// Where the key comes from.
    pub key: Option<SecretSource>,
    /// In which header it is sent.
    pub auth: Option<KeyHeader>,
    /// The version of the Messages API.
    pub version: Option<String>,
    /// Further headers, with their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The region of a cloud.
    pub region: Option<String>,
    /// The project of a cloud.
    pub project: Option<String>,
    /// What an OpenAI-compatible server does not know, of [`PROVIDER_LACKS`]; absent for what such servers usually do not.
    pub lacks: Option<Vec<String>>,
    /// Where the table stands.
    pub rule: Rule,
}

impl ProviderSettings {
    /// The provider that is there without any table: the API at its own place, with its own variables.
    pub fn usual(api: ModelApi) -> Self {
        Self {
            name: api.name().to_owned(),
            api,
            url: None,
            allow_http: false,
            key: None,
            auth: None,
            version: None,
            headers: Vec::new(),
            region: None,
            project: None,
            lacks: None,
            rule: Rule::unwritten("no table [provider]"),
        }
    }
}

/// All providers of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Providers(pub(crate) Vec<ProviderSettings>);

impl Providers {
    /// Tells the directory that relative paths start from.
    pub(crate) fn set_base(&mut self, directory: &str) {
        for source in self.0.iter_mut().filter_map(|it| it.key.as_mut()) {
            secret::set_base(source, directory);
        }
    }
}

impl SettingsTable for Providers {
    const KEY: &'static str = "provider";

    fn read(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Self> {
        let entries = reader.any_section(entry.node, &entry.path)?.entries();
        if entries.len() > MAX_PROVIDERS {
            reader.report(
                entry.key_span.clone(),
                format!(
                    "{} providers are listed; at most {MAX_PROVIDERS} are allowed",
                    entries.len()
                ),
                "remove some",
            );
            return None;
        }
        let providers = entries.iter().filter_map(|entry| provider(reader, entry));
        Some(Self(providers.collect()))
    }

    fn print(&self) -> Table {
        self.0
            .iter()
            .map(|it| (it.name.clone(), printed(it).into()))
            .collect()
    }
}

const KEYS: [&str; 10] = [
    "api",
    "url",
    "allow_http",
    "key",
    "auth",
    "version",
    "headers",
    "region",
    "project",
    "lacks",
];

fn provider(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<ProviderSettings> {
    let section = reader.section(entry.node, &entry.path, &KEYS)?;
    if !names::is_public_name(entry.key) || entry.key == "scripted" {
        reader.report(
            entry.key_span.clone(),
            format!("`{}` cannot be the name of a provider", shown(entry.key)),
            "use a lower-case letter, then letters, digits, `-` and `_`; `scripted` is taken",
        );
        return None;
    }
    let api = api(reader, &section, entry)?;
    only_known(reader, &section, api);
    let url = section.get("url").and_then(|it| url(reader, &it, &section));
    let words = |reader: &mut Reader<'_>, key: &str| {
        section.get(key).and_then(|entry| word(reader, &entry))
    };
    Some(ProviderSettings {
        name: entry.key.to_owned(),
        api,
        url,
        allow_http: allows_http(&section),
        key: section
            .get("key")
            .and_then(|entry| secret::stored(reader, &entry)),
        auth: section
            .get("auth")
            .and_then(|entry| reader.word(&entry, &KEY_HEADERS).copied()),
        version: words(reader, "version"),
        headers: section
            .get("headers")
            .map(|entry| headers(reader, &entry))
            .unwrap_or_default(),
        region: words(reader, "region"),
        project: words(reader, "project"),
        lacks: section.get("lacks").map(|entry| lacks(reader, &entry)),
        rule: reader.rule(&entry.key_span, &entry.path),
    })
}

/// What `api` says, or the name where that is the name of an API.
fn api(reader: &mut Reader<'_>, section: &Section<'_>, table: &Entry<'_>) -> Option<ModelApi> {
    let named = ModelApi::from_name(table.key);
    let Some(entry) = section.get("api") else {
        if named.is_none() {
            reader.missing(section, "api");
        }
        return named;
    };
    let words = ModelApi::ALL.map(|api| (api.name(), api));
    let api = *reader.word(&entry, &words)?;
    if named.is_some_and(|named| named != api) {
        reader.report(
            entry.node.span(),
            format!(
                "`{}` is another API than the provider's name says",
                entry.path
            ),
            "give the table another name",
        );
        return None;
    }
    Some(api)
}

/// Reports keys that say nothing for this API: somebody expects something of them.
fn only_known(reader: &mut Reader<'_>, section: &Section<'_>, api: ModelApi) {
    for key in ["auth", "version", "region", "project", "lacks"] {
        if let Some(entry) = section.get(key)
            && !api.keys().contains(&key)
        {
            reader.report(
                entry.key_span.clone(),
                format!("`{}` says nothing for the API `{}`", entry.path, api.name()),
                format!(
                    "remove it; for this API there are also {}",
                    listed(api.keys())
                ),
            );
        }
    }
}

fn allows_http(section: &Section<'_>) -> bool {
    let written = section.get("allow_http");
    written.and_then(|entry| entry.node.value.as_bool()) == Some(true)
}

fn url(reader: &mut Reader<'_>, entry: &Entry<'_>, section: &Section<'_>) -> Option<String> {
    if let Some(entry) = section.get("allow_http") {
        reader.bool(&entry)?;
    }
    let text = reader.string(entry)?;
    if text.contains('@') {
        reader.hide(entry.node.span());
    }
    let why = match Url::parse(text) {
        Err(_) => "is no URL",
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "holds a user name or password, which has no place in a policy"
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => "holds `?` or `#`",
        Ok(url) if url.host_str().is_none_or(str::is_empty) => "names no host",
        Ok(url) => match url.scheme() {
            "https" => return Some(text.trim_end_matches('/').to_owned()),
            "http" if is_here(&url) || allows_http(section) => {
                return Some(text.trim_end_matches('/').to_owned());
            }
            "http" => {
                reader.report(
                    entry.node.span(),
                    format!("`{}` has no TLS: everything would travel in the clear", entry.path),
                    "write https, or add allow_http = true where the network between is yours alone",
                );
                return None;
            }
            _ => "begins with neither https:// nor http://",
        },
    };
    reader.report(
        entry.node.span(),
        format!("`{}` {why}", entry.path),
        "write it like \"https://models.example.com/v1\"",
    );
    None
}

/// Whether a URL leads to this machine itself.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A text without blanks that can stand in a header or a URL.
fn word(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<String> {
    let text = reader.string(entry)?;
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if !text.is_empty() && text.len() <= 200 && plain {
        return Some(text.to_owned());
    }
    reader.report(
        entry.node.span(),
        format!(
            "`{}` is empty, too long or holds odd characters",
            entry.path
        ),
        "write 1 to 200 plain characters without blanks",
    );
    None
}

fn headers(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Vec<(String, String)> {
    let Some(section) = reader.any_section(entry.node, &entry.path) else {
        return Vec::new();
    };
    let entries = section.entries();
    if entries.len() > MAX_PROVIDER_HEADERS {
        reader.report(
            entry.key_span.clone(),
            format!("more than {MAX_PROVIDER_HEADERS} headers"),
            "remove some",
        );
        return Vec::new();
    }
    let mut headers: Vec<(String, String)> = Vec::new();
    for entry in entries {
        let name = entry.key.to_ascii_lowercase();
        let Some(value) = reader.string(&entry) else {
            continue;
        };
        if TAKEN_HEADERS.contains(&name.as_str()) {
            reader.hide(entry.node.span());
            reader.report(
                entry.key_span.clone(),
                format!("`{}` is a header that cannot be chosen", entry.path),
                "a key belongs into `key`, which names where its value is kept",
            );
            continue;
        }
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let sound = !name.is_empty()
            && name.bytes().all(token)
            && !headers.iter().any(|(other, _)| *other == name)
            && value.len() <= MAX_TEXT_BYTES
            && value
                .bytes()
                .all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if sound {
            headers.push((name, value.to_owned()));
        } else {
            reader.report(
                entry.key_span.clone(),
                format!("`{}` cannot be sent as a header", entry.path),
                "write each name once, with plain characters and at most 2048 of them",
            );
        }
    }
    headers
}

fn lacks(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Vec<String> {
    let words = PROVIDER_LACKS.map(|word| (word, word));
    let elements = reader.list(entry, words.len()).unwrap_or_default();
    let mut lacks: Vec<String> = Vec::new();
    for element in elements {
        if let Some(word) = reader.word(&element, &words)
            && !lacks.iter().any(|it| it == word)
        {
            lacks.push((*word).to_owned());
        }
    }
    lacks
}

fn printed(provider: &ProviderSettings) -> Table {
    let mut table = Table::new();
    let mut put = |key: &str, value: Option<toml::Value>| {
        if let Some(value) = value {
            table.insert(key.to_owned(), value);
        }
    };
    let text = |text: &Option<String>| text.clone().map(toml::Value::from);
    put("api", Some(provider.api.name().into()));
    put("url", text(&provider.url));
    put("allow_http", provider.allow_http.then(|| true.into()));
    put("key", provider.key.as_ref().map(|it| it.to_string().into()));
    let auth = KEY_HEADERS
        .iter()
        .find(|(_, header)| Some(*header) == provider.auth);
    put("auth", auth.map(|(word, _)| (*word).into()));
    put("version", text(&provider.version));
    let headers: Table = provider
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect();
    put("headers", (!headers.is_empty()).then(|| headers.into()));
    put("region", text(&provider.region));
    put("project", text(&provider.project));
    put("lacks", provider.lacks.as_ref().map(|it| strings(it)));
    table
}

#[cfg(test)]
mod tests;
