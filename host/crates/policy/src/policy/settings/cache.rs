//! Reads `[cache]`.

use std::{fmt, time::Duration};

use url::Url;

use super::SettingsTable;
use crate::{
    Rule, SecretSource, format_duration, format_size, parse_duration, parse_size,
    policy::{parse::host_path, secret},
    print::Table,
    reader::{Entry, Reader},
};

/// The longest time for which answers of models are kept: 30 days.
pub const MAX_CACHE_TTL: Duration = Duration::from_secs(30 * 24 * 3600);
/// The least and the most that kept answers may take, in bytes: 1 MiB and 1 TiB.
pub const CACHE_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 40;

/// The table `[cache]`: whether and where answers of models are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheSettings {
    /// Where; absent where the file does not say.
    pub store: Option<CacheStore>,
    /// For how long; from a second to [`MAX_CACHE_TTL`].
    pub ttl: Option<Duration>,
    /// How many bytes they may take together; within [`CACHE_BYTES`].
    pub size: Option<u64>,
    /// The password for the server.
    pub password: Option<SecretSource>,
    /// The key that all hosts share which use one server: only what was kept with it counts.
    pub key: Option<SecretSource>,
    /// A file with the authorities, in PEM, that sign the server's certificate; as written.
    pub ca: Option<String>,
    /// The directory that relative paths start from, where it was told.
    pub base: Option<String>,
    /// Where the table stands.
    pub rule: Option<Rule>,
}

/// Where answers are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheStore {
    /// Nowhere.
    Off,
    /// In the memory of the process.
    Memory,
    /// In a file in the directory for caches.
    Disk,
    /// In a Redis server: its URL, which holds no password.
    Redis(String),
}

impl fmt::Display for CacheStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Redis(url) => url,
        })
    }
}

impl CacheSettings {
    /// Tells the directory that relative paths start from.
    pub(crate) fn set_base(&mut self, directory: &str) {
        self.base = Some(directory.to_owned());
        for source in [&mut self.password, &mut self.key].into_iter().flatten() {
            secret::set_base(source, directory);
        }
    }
}

const KEYS: [&str; 6] = ["store", "ttl", "size", "password", "key", "ca"];

impl SettingsTable for CacheSettings {
    const KEY: &'static str = "cache";

    fn read(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Self> {
        let section = reader.section(entry.node, &entry.path, &KEYS)?;
        let store = section.get("store").and_then(|it| store(reader, &it));
        let source = |reader: &mut Reader<'_>, key| {
            section.get(key).and_then(|it| secret::stored(reader, &it))
        };
        let settings = Self {
            ttl: section.get("ttl").and_then(|it| ttl(reader, &it)),
            size: section.get("size").and_then(|it| size(reader, &it)),
            password: source(reader, "password"),
            key: source(reader, "key"),
            ca: section.get("ca").and_then(|it| {
                let path = reader.string(&it)?;
                host_path(reader, &it, path)
            }),
            base: None,
            rule: Some(reader.rule(&entry.key_span, &entry.path)),
            store,
        };
        let server = matches!(settings.store, Some(CacheStore::Redis(_)));
        for key in ["password", "key", "ca"] {
            if let (false, Some(entry)) = (server, section.get(key)) {
                reader.report(
                    entry.key_span.clone(),
                    format!("`{}` says something only beside a server", entry.path),
                    "write store = \"redis://HOST\", or remove it",
                );
            }
        }
        Some(settings)
    }

    fn print(&self) -> Table {
        let mut table = Table::new();
        let mut put = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                table.insert(key.to_owned(), value.into());
            }
        };
        put("store", self.store.as_ref().map(ToString::to_string));
        put("ttl", self.ttl.map(format_duration));
        put("size", self.size.map(format_size));
        put("password", self.password.as_ref().map(ToString::to_string));
        put("key", self.key.as_ref().map(ToString::to_string));
        put("ca", self.ca.clone());
        table
    }
}

fn store(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<CacheStore> {
    let text = reader.string(entry)?;
    match text {
        "off" => return Some(CacheStore::Off),
        "memory" => return Some(CacheStore::Memory),
        "disk" => return Some(CacheStore::Disk),
        _ => {}
    }
    let why = match Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "redis" | "rediss" | "redis+unix") => {
            "is none of `off`, `memory`, `disk` and a URL of a Redis server"
        }
        Ok(url)
            if url.password().is_some() || url.query_pairs().any(|(name, _)| name == "pass") =>
        {
            "holds a password, which has no place in a policy"
        }
        Ok(url) if url.fragment().is_some() => "has a part after `#`",
        Ok(url) if url.scheme() != "redis+unix" && url.host_str().is_none_or(str::is_empty) => {
            "names no host"
        }
        Ok(_) => return Some(CacheStore::Redis(text.to_owned())),
        Err(_) => "is none of `off`, `memory`, `disk` and a URL of a Redis server",
    };
    if text.contains('@') || text.contains("pass") {
        reader.hide(entry.node.span());
    }
    reader.report(
        entry.node.span(),
        format!("`{}` {why}", entry.path),
        "write for example \"memory\", or \"rediss://cache.internal\" and password = \"env:NAME\" beside it",
    );
    None
}

fn ttl(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Duration> {
    let text = reader.string(entry)?;
    let time = parse_duration(text);
    let right = time.filter(|it| (Duration::from_secs(1)..=MAX_CACHE_TTL).contains(it));
    if right.is_none() {
        reader.report(
            entry.node.span(),
            format!("`{}` is not a time from a second to 720 hours", entry.path),
            "write for example \"24h\" or \"90m\"",
        );
    }
    right
}

fn size(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<u64> {
    let text = reader.string(entry)?;
    let size = parse_size(text).filter(|it| CACHE_BYTES.contains(it));
    if size.is_none() {
        reader.report(
            entry.node.span(),
            format!("`{}` is not a size from 1MiB to 1TiB", entry.path),
            "write for example \"256MiB\"",
        );
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Layers, Policy};

    fn read(text: &str) -> CacheSettings {
        Layers::from(Policy::from_toml(text).unwrap().with_base("/etc/own")).cache()
    }

    #[test]
    fn the_table_comes_back_as_it_was_written() {
        for text in [
            "[cache]\nstore = \"off\"\n",
            "[cache]\nsize = \"512MiB\"\nstore = \"memory\"\nttl = \"1h\"\n",
            "[cache]\nstore = \"disk\"\n",
            "[cache]\nca = \"ca.pem\"\nkey = \"file:k\"\npassword = \"env:PW\"\nstore = \"rediss://me@h:1/2\"\n",
        ] {
            let printed = Policy::from_toml(text).unwrap().to_toml();
            assert_eq!(printed.trim(), text.trim());
        }
        let settings = read("[cache]\nstore = \"redis://h\"\nkey = \"file:k\"\nca = \"c\"\n");
        assert_eq!(settings.store, Some(CacheStore::Redis("redis://h".into())));
        assert_eq!(settings.base.as_deref(), Some("/etc/own"));
        let Some(SecretSource::File { base, .. }) = settings.key else {
            panic!("{settings:?}");
        };
        assert_eq!(base.as_deref(), Some("/etc/own"));
        assert_eq!(read(""), CacheSettings::default());
    }

    #[test]
    fn the_highest_file_decides_and_a_project_below_the_tools_has_no_say() {
        let policy = |text: &str| Policy::from_toml(text).unwrap();
        let layers = Layers::new()
            .with(
                crate::Layer::User,
                policy("[tool.calc]\nfrom = \"builtin:calc\"\n"),
            )
            .with(
                crate::Layer::Project,
                policy("[cache]\nstore = \"redis://elsewhere\"\n"),
            );
        assert_eq!(layers.cache(), CacheSettings::default());
        let layers = Layers::new()
            .with(crate::Layer::System, policy("[cache]\nstore = \"off\"\n"))
            .with(
                crate::Layer::Project,
                policy("[cache]\nstore = \"memory\"\n"),
            );
        assert_eq!(layers.cache().store, Some(CacheStore::Off));
    }

    #[test]
    fn what_cannot_be_is_told_and_no_password_repeated() {
        for (text, words) in [
            ("store = \"on\"", "is none of `off`"),
            ("store = \"http://h\"", "is none of `off`"),
            ("store = 5", "must be"),
            ("store = \"redis://\"", "names no host"),
            ("store = \"rediss://h#insecure\"", "after `#`"),
            ("store = \"redis://u:s3cret-b4tt3ry@h\"", "holds a password"),
            (
                "store = \"redis+unix:///s?pass=s3cret-b4tt3ry\"",
                "holds a password",
            ),
            ("ttl = \"0s\"", "not a time"),
            ("ttl = \"721h\"", "not a time"),
            ("ttl = \"1 day\"", "not a time"),
            ("size = \"1KiB\"", "not a size"),
            ("size = \"2000GiB\"", "not a size"),
            (
                "store = \"memory\"\nkey = \"env:K\"",
                "only beside a server",
            ),
            ("ca = \"c\"", "only beside a server"),
            (
                "store = \"redis://h\"\nkey = \"s3cret-b4tt3ry\"",
                "where the value comes from",
            ),
            ("time = \"1h\"", "no key `time`"),
        ] {
            let problems = Policy::from_toml(&format!("[cache]\n{text}\n")).unwrap_err();
            let said = format!("{problems} {problems:?}");
            assert!(problems.to_string().contains(words), "{text}: {problems}");
            assert!(!problems.to_string().contains("s3cret"), "{said}");
        }
    }
}
