//! From the policy and `--cache` to the cache of a model's answers.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use toolcell::{ErrorKind, Secret, SecretSource};
use toolcell_agent::cache::{
    CacheError, CacheRules, Counts, RedisUrl, ResponseCache, SharedKey, Store,
};
use toolcell_policy::{CacheSettings, CacheStore, RetentionSettings};

use crate::{
    dirs::Dirs,
    failure::Failure,
    files, net, output,
    policies::InForce,
    stores::Stores,
    style::{self, paint},
};

/// The longest file of authorities that is read, in bytes.
const MAX_CA_BYTES: u64 = 1 << 20;

/// What a cache is made of here.
pub(crate) struct Caches<'a> {
    settings: CacheSettings,
    rules: CacheRules,
    dirs: &'a Dirs,
}

impl<'a> Caches<'a> {
    /// Reads and opens nothing yet.
    pub(crate) fn new(in_force: &InForce, dirs: &'a Dirs) -> Self {
        let settings = in_force.layers.cache();
        let rules = rules(&settings, &in_force.layers.retention());
        Self {
            settings,
            rules,
            dirs,
        }
    }

    /// Where answers are kept: what the flag or the environment says, else the policy, else nowhere.
    pub(crate) fn chosen(&self, asked: Option<&str>) -> Result<CacheStore, Failure> {
        match asked {
            Some(text) => parse(text),
            None => Ok(self.settings.store.clone().unwrap_or(CacheStore::Off)),
        }
    }

    /// The cache; nothing where answers are not kept.
    pub(crate) async fn open(
        &self,
        store: &CacheStore,
    ) -> Result<Option<Arc<ResponseCache>>, Failure> {
        let (store, key) = match store {
            CacheStore::Off => return Ok(None),
            CacheStore::Memory => (Store::memory(&self.rules, Some(self.counts())), None),
            CacheStore::Disk => (Store::disk(&self.rules, self.file()), None),
            CacheStore::Redis(url) => (self.redis(url).await?, self.key().await?),
        };
        let tell = |line: &str| output::note(paint(style::NOTE, format_args!("note: {line}")));
        let mut cache =
            ResponseCache::new(store, self.rules.clone(), SystemTime::now).telling(tell);
        if let Some(key) = key {
            cache = cache.with_key(key);
        }
        Ok(Some(Arc::new(cache)))
    }

    /// The file of answers.
    pub(crate) fn file(&self) -> PathBuf {
        self.dirs.cache.join("replies.redb")
    }

    /// What caches in memory were good for, which outlives them.
    pub(crate) fn counts(&self) -> PathBuf {
        self.dirs.state.join("cache-memory.json")
    }

    async fn redis(&self, url: &str) -> Result<Store, Failure> {
        let wrong = |message: String| {
            Failure::usage(format!("the cache's Redis server: {message}"))
                .help("write for example `redis://127.0.0.1:6379` or `rediss://cache.internal`")
        };
        let mut url = RedisUrl::parse(url).map_err(|why| wrong(why.to_owned()))?;
        if let Some(source) = &self.settings.password {
            let password = self.value("password", source).await?;
            let text = std::str::from_utf8(password.expose())
                .map_err(|_| wrong("its password is no text".to_owned()))?;
            url = url.with_password(text);
        }
        if let Some(password) = url.password()
            && let Ok(secret) = Secret::new(password)
        {
            net::redaction().register("cache.password", secret);
        }
        let authorities = match &self.settings.ca {
            Some(path) => {
                let base = self.settings.base.as_deref().unwrap_or(".");
                let path = Path::new(base).join(path);
                let read = files::read(&path, MAX_CA_BYTES);
                Some(read.map_err(|error| Failure::io("read", &path, &error))?)
            }
            None => None,
        };
        Store::redis(&self.rules, url, authorities).map_err(|error| failed(&error))
    }

    async fn key(&self) -> Result<Option<SharedKey>, Failure> {
        match &self.settings.key {
            Some(source) => Ok(Some(SharedKey::new(&self.value("key", source).await?))),
            None => Ok(None),
        }
    }

    async fn value(&self, key: &str, source: &SecretSource) -> Result<Secret, Failure> {
        let failed = |failure: Failure| Failure {
            message: format!("`cache.{key}`, {source}: {}", failure.message),
            rule: self.settings.rule.as_ref().map(ToString::to_string),
            ..failure
        };
        let value = Stores::new(self.dirs).value(source).await;
        let value = value.map_err(|trouble| failed(trouble.into()))?;
        value.ok_or_else(|| {
            failed(
                Failure::new(ErrorKind::AuthRequired, "there is no such value")
                    .help(format!("put it there, or remove `{key}` from [cache]")),
            )
        })
    }
}

/// The cache of a run; nothing where answers are not kept.
pub(crate) async fn for_run(
    in_force: &InForce,
    dirs: &Dirs,
    asked: Option<&str>,
) -> Result<Option<Arc<ResponseCache>>, Failure> {
    let caches = Caches::new(in_force, dirs);
    caches.open(&caches.chosen(asked)?).await
}

/// What was counted by this process, which is stored with it.
pub(crate) async fn counted(cache: Option<&ResponseCache>) -> Option<Counts> {
    let cache = cache?;
    cache.flush().await;
    Some(cache.counted())
}

/// The stricter of what `[cache]` and `[retention]` say.
fn rules(settings: &CacheSettings, retention: &RetentionSettings) -> CacheRules {
    let usual = CacheRules::default();
    let ttl = settings.ttl.unwrap_or(usual.ttl);
    let size = settings.size.unwrap_or(usual.size);
    CacheRules {
        ttl: retention.cache.age.map_or(ttl, |age| age.min(ttl)),
        size: retention.cache.size.map_or(size, |most| most.min(size)),
        ..usual
    }
}

fn parse(text: &str) -> Result<CacheStore, Failure> {
    match text {
        "off" => Ok(CacheStore::Off),
        "memory" => Ok(CacheStore::Memory),
        "disk" => Ok(CacheStore::Disk),
        url if url.contains("://") => match RedisUrl::parse(url) {
            Ok(_) => Ok(CacheStore::Redis(url.to_owned())),
            Err(why) => Err(Failure::usage(format!("--cache cannot be this URL: {why}"))
                .help("write for example `redis://127.0.0.1:6379` or `rediss://cache.internal`")),
        },
        _ => Err(Failure::usage(
            "--cache is `off`, `memory`, `disk`, or the URL of a Redis server",
        )
        .help("write for example `--cache memory` or `--cache redis://127.0.0.1:6379`")),
    }
}

/// A store that does not do what it should.
pub(crate) fn failed(error: &CacheError) -> Failure {
    let help = match error {
        CacheError::Redis { .. } => "see that the server is there, and check its URL and password",
        CacheError::Busy { .. } => "try again when the other process is done",
        _ => "check the file and its directory, or remove it: it holds nothing but kept answers",
    };
    Failure::new(
        ErrorKind::Unavailable,
        crate::failure::without_number(&error.to_string()),
    )
    .help(help)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use toolcell_policy::{Layers, Policy};

    use super::*;

    fn of(text: &str) -> CacheRules {
        let layers = Layers::from(Policy::from_toml(text).unwrap());
        rules(&layers.cache(), &layers.retention())
    }

    #[test]
    fn the_stricter_of_two_tables_holds() {
        let hour = Duration::from_secs(3600);
        assert_eq!(of(""), CacheRules::default());
        let both = of(
            "[cache]\nttl = \"2h\"\nsize = \"8MiB\"\n[retention]\ncache = { age = \"1h\", size = \"1GiB\" }\n",
        );
        assert_eq!((both.ttl, both.size), (hour, 8 << 20));
        let other =
            of("[cache]\nttl = \"1h\"\n[retention]\ncache = { age = \"2h\", size = \"2MiB\" }\n");
        assert_eq!((other.ttl, other.size), (hour, 2 << 20));
    }

    #[test]
    fn what_is_no_store_is_told_without_its_password() {
        for text in [
            "",
            "on",
            "Memory",
            "http://h",
            "redis://u:s3cret@",
            "rediss://u:s3cret@h/#insecure",
        ] {
            let failure = parse(text).unwrap_err();
            assert_eq!(failure.kind, ErrorKind::InvalidInput, "{text}");
            assert!(!failure.message.contains("s3cret"), "{}", failure.message);
        }
        assert_eq!(parse("off").unwrap(), CacheStore::Off);
        let url = "redis+unix:///run/redis.sock";
        assert_eq!(parse(url).unwrap(), CacheStore::Redis(url.to_owned()));
    }
}
