//! Answers kept in a Redis server, which several hosts can share.
//!
//! A server that is away costs a request a second at most, and then nothing for a while: it never fails a run.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use redis::{
    AsyncCommands as _, Client, RedisError, TlsCertificates,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::time::timeout;
use url::Url;

use super::{CacheError, Counts, Holdings, Key};

/// How long one command may take, connecting included.
const COMMAND: Duration = Duration::from_secs(1);
/// How long looking through all keys may take.
const LOOK_THROUGH: Duration = Duration::from_secs(20);
/// Every key of this program begins like this, so that a server can be shared with others. The number is the form's.
const PREFIX: &str = "toolcell:cache:1:";
/// The hash with the counts.
const COUNTS: &str = "toolcell:cache:counts";

/// Where a Redis server is. It may hold a password, which is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(Url);

impl RedisUrl {
    /// Reads `redis://[user:password@]host[:port][/db]`, the same with `rediss://` over TLS, or
    /// `redis+unix:///path/to/socket`.
    ///
    /// # Errors
    /// Says what is wrong, without the text itself.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| "it is no URL")?;
        match url.scheme() {
            "redis" | "rediss" if url.host_str().is_none_or(str::is_empty) => {
                return Err("it names no host");
            }
            "redis+unix" if matches!(url.path(), "" | "/") => return Err("it names no socket"),
            "redis" | "rediss" | "redis+unix" => {}
            _ => return Err("it begins with none of redis://, rediss:// and redis+unix://"),
        }
        // The library would take `#insecure` for leave to trust any server.
        if url.fragment().is_some() {
            return Err("it has a part after `#`");
        }
        if url.scheme() == "redis+unix" {
            return Ok(Self(url));
        }
        if url.query().is_some() {
            return Err("it has a part after `?`");
        }
        let database = url.path().trim_start_matches('/');
        if !database.is_empty() && database.parse::<u16>().is_err() {
            return Err("what follows the host is no number of a database");
        }
        Ok(Self(url))
    }

    /// The password in it, so that it can be made known to a search.
    pub fn password(&self) -> Option<String> {
        if self.0.scheme() == "redis+unix" {
            let pass = self.0.query_pairs().find(|(name, _)| name == "pass");
            return pass.map(|(_, value)| value.into_owned());
        }
        self.0.password().map(percent_decoded)
    }

    /// The same with this password.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        if self.0.scheme() == "redis+unix" {
            let others: Vec<(String, String)> = self
                .0
                .query_pairs()
                .filter(|(name, _)| name != "pass")
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
            let mut query = self.0.query_pairs_mut();
            query
                .clear()
                .extend_pairs(others)
                .append_pair("pass", password);
            drop(query);
        } else {
            // It fails for a URL without a host only, which `parse` refuses. A percent sign would be taken for the
            // beginning of an escape.
            let _ = self.0.set_password(Some(&password.replace('%', "%25")));
        }
        self
    }

    fn is_tls(&self) -> bool {
        self.0.scheme() == "rediss"
    }
}

fn percent_decoded(text: &str) -> String {
    // The names of a form are decoded in the same way, where these three mean something else.
    let text = text
        .replace('+', "%2B")
        .replace('&', "%26")
        .replace('=', "%3D");
    url::form_urlencoded::parse(text.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        shown.set_query(None);
        if shown.password().is_some() || !shown.username().is_empty() {
            // These fail only for URLs without a host, which have neither.
            let _ = shown.set_username("");
            let _ = shown.set_password(None);
        }
        f.write_str(shown.as_str())
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

/// A store in a Redis server.
pub(crate) struct Redis {
    url: RedisUrl,
    client: Client,
    /// Made at the first use, since it belongs to the runtime of that moment.
    connection: Mutex<Option<ConnectionManager>>,
    /// The largest answer, in bytes: no more is read.
    entry: u64,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis({})", self.url)
    }
}

impl Redis {
    /// The store at `url`, with answers of at most `entry` bytes. `authorities` are certificates in PEM that sign the
    /// server's, where those that the web trusts do not. Nothing is sent yet.
    pub(crate) fn new(
        url: RedisUrl,
        authorities: Option<Vec<u8>>,
        entry: u64,
    ) -> Result<Self, CacheError> {
        let wrong = |error: &RedisError| CacheError::Redis {
            url: url.to_string(),
            message: said(error, &url),
        };
        let text = url.0.as_str();
        let client = match authorities {
            Some(_) if url.is_tls() => Client::build_with_tls(
                text,
                TlsCertificates {
                    client_tls: None,
                    root_cert: authorities,
                },
            ),
            _ => Client::open(text),
        };
        let client = client.map_err(|error| wrong(&error))?;
        Ok(Self {
            url,
            client,
            connection: Mutex::new(None),
            entry,
        })
    }

    pub(crate) fn url(&self) -> &RedisUrl {
        &self.url
    }

    pub(crate) async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, CacheError> {
        let mut connection = self.connection()?;
        // Somebody else may have put anything of any size there: one byte more than wanted shows that it is none of ours.
        let end = isize::try_from(self.entry).unwrap_or(isize::MAX);
        let bytes: Vec<u8> = self
            .within(COMMAND, connection.getrange(name(key), 0, end))
            .await?;
        let fits = u64::try_from(bytes.len()).is_ok_and(|bytes| bytes <= self.entry);
        Ok((fits && !bytes.is_empty()).then_some(bytes))
    }

    pub(crate) async fn put(
        &self,
        key: &Key,
        bytes: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        let mut connection = self.connection()?;
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        self.within(COMMAND, connection.pset_ex(name(key), bytes, ttl))
            .await
    }

    /// Adds to what all hosts counted, and gives the sum.
    pub(crate) async fn count(&self, more: &Counts) -> Result<Counts, CacheError> {
        let mut connection = self.connection()?;
        let mut pipe = redis::pipe();
        for (field, more) in more.fields().into_iter().filter(|(_, more)| *more > 0) {
            let more = i64::try_from(more).unwrap_or(i64::MAX);
            pipe.hincr(COUNTS, field, more).ignore();
        }
        pipe.hgetall(COUNTS);
        let (all,): (Vec<(String, i64)>,) = self
            .within(COMMAND, pipe.query_async(&mut connection))
            .await?;
        let fields = all
            .iter()
            .map(|(name, it)| (name.as_str(), u64::try_from(*it).unwrap_or(0)));
        Ok(Counts::of_fields(fields))
    }

    /// How many answers there are. What they take together only the server knows.
    pub(crate) async fn holdings(&self) -> Result<Holdings, CacheError> {
        let mut entries: u64 = 0;
        self.each_page(async |_, names| {
            entries = entries.saturating_add(u64::try_from(names.len()).unwrap_or(u64::MAX));
            Ok(())
        })
        .await?;
        Ok(Holdings {
            entries: Some(entries),
            bytes: None,
        })
    }

    /// Removes every answer and every count of this program, and nothing else.
    pub(crate) async fn clear(&self) -> Result<u64, CacheError> {
        let mut removed: u64 = 0;
        self.each_page(async |connection, names| {
            let gone: u64 = connection.unlink(names).await?;
            removed = removed.saturating_add(gone);
            Ok(())
        })
        .await?;
        let mut connection = self.connection()?;
        let _: u64 = self.within(COMMAND, connection.unlink(COUNTS)).await?;
        Ok(removed)
    }

    /// Goes through all keys of this program, some at a time.
    async fn each_page(
        &self,
        mut page: impl AsyncFnMut(&mut ConnectionManager, Vec<Vec<u8>>) -> Result<(), RedisError>,
    ) -> Result<(), CacheError> {
        let mut connection = self.connection()?;
        let looked = async {
            let mut cursor = 0_u64;
            loop {
                let mut scan = redis::cmd("SCAN");
                scan.arg(cursor)
                    .arg("MATCH")
                    .arg(format!("{PREFIX}*"))
                    .arg("COUNT")
                    .arg(500);
                let (next, names): (u64, Vec<Vec<u8>>) = scan.query_async(&mut connection).await?;
                if !names.is_empty() {
                    page(&mut connection, names).await?;
                }
                if next == 0 {
                    return Ok(());
                }
                cursor = next;
            }
        };
        self.within(LOOK_THROUGH, looked).await
    }

    fn connection(&self) -> Result<ConnectionManager, CacheError> {
        let mut made = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = &*made {
            return Ok(connection.clone());
        }
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(COMMAND))
            .set_response_timeout(Some(COMMAND))
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_millis(200));
        let connection = ConnectionManager::new_lazy_with_config(self.client.clone(), config)
            .map_err(|error| self.failed(&error))?;
        Ok(made.insert(connection).clone())
    }

    async fn within<T>(
        &self,
        time: Duration,
        work: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, CacheError> {
        match timeout(time, work).await {
            Ok(done) => done.map_err(|error| self.failed(&error)),
            Err(_) => Err(CacheError::Redis {
                url: self.url.to_string(),
                message: format!("it did not answer within {} s", time.as_secs()),
            }),
        }
    }

    fn failed(&self, error: &RedisError) -> CacheError {
        CacheError::Redis {
            url: self.url.to_string(),
            message: said(error, &self.url),
        }
    }
}

fn name(key: &Key) -> String {
    format!("{PREFIX}{key}")
}

/// What a failure says, without the password, and not too long.
fn said(error: &RedisError, url: &RedisUrl) -> String {
    const MOST: usize = 200;
    let mut text = error.to_string();
    for hidden in [url.password(), url.0.password().map(str::to_owned)]
        .into_iter()
        .flatten()
    {
        if !hidden.is_empty() {
            text = text.replace(&hidden, "…");
        }
    }
    toolcell::text::escape_control(&text)
        .chars()
        .take(MOST)
        .collect()
}

#[cfg(test)]
mod tests;
