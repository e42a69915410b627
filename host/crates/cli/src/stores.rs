//! Where the values of secrets come from on a person's machine: the environment, files, the keyring, and the encrypted file.
//!
//! Nothing is opened before a tool is called that holds a secret of that kind. What cannot be had is told with what to do
//! about it, and never with anything of a value.

mod hidden;
mod keyring;
mod locked;
mod unlock;
mod vault;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use toolcell::{
    ErrorKind, Kept, SECRET_BYTES_MAX, Secret, SecretError, SecretQuery, SecretSource, SecretStore,
};
use zeroize::Zeroizing;

pub(crate) use hidden::{hidden, hidden_twice};
pub(crate) use keyring::{Keyring, List};
pub(crate) use unlock::{KeyChoice, Unlocker};
pub(crate) use vault::{Entry as VaultEntry, Vault, is_name};

use self::vault::Opened;
use crate::{
    dirs::Dirs,
    env,
    failure::Failure,
    private::{self, Refused},
};

/// How long a value of the keyring is kept before it is asked for again: the keyring is another process, and may be slow.
pub(crate) const KEYRING_KEPT: Duration = Duration::from_secs(5 * 60);
/// A value and the line end after it.
const FILE_BYTES_MAX: u64 = SECRET_BYTES_MAX as u64 + 2;

/// A value, overwritten when it is dropped.
pub(crate) type Bytes = Zeroizing<Vec<u8>>;

/// Why a value cannot be had.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) what: What,
    /// Models may see it: it names no path of this machine.
    pub(crate) message: String,
    /// For people.
    pub(crate) help: String,
}

/// What kind of trouble, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// There is no such value.
    Missing,
    /// A file that others can read or write, or a link, or somebody else's.
    Unsafe,
    /// A value that is too weak, or no value.
    Refused,
    /// The keyring or the encrypted file is locked, and nobody is there to unlock it.
    Locked,
    /// There is no keyring, or the system says no.
    Unavailable,
    /// The encrypted file is damaged, or the key is another one.
    Damaged,
    /// The person who was asked gave it up.
    Interrupted,
}

impl What {
    /// The word for programs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unsafe => "unsafe_file",
            Self::Refused => "refused",
            Self::Locked => "locked",
            Self::Unavailable => "unavailable",
            Self::Damaged => "damaged",
            Self::Interrupted => "interrupted",
        }
    }
}

impl Trouble {
    pub(crate) fn new(what: What, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            what,
            message: message.into(),
            help: help.into(),
        }
    }

    /// A file that is not read.
    fn file(path: &Path, refused: &Refused) -> Self {
        let (message, help) = refused.told(path);
        let what = match refused {
            Refused::Absent => What::Missing,
            Refused::Io(_) => What::Unavailable,
            Refused::TooLarge(_) => What::Refused,
            Refused::Link | Refused::NoFile | Refused::Owner(_) | Refused::Mode(_) => What::Unsafe,
        };
        Self::new(what, message, help)
    }

    /// Something of toolcell's own ended early.
    fn internal() -> Self {
        Self::new(What::Unavailable, "toolcell is ending", "try again")
    }
}

impl From<Trouble> for SecretError {
    fn from(trouble: Trouble) -> Self {
        Self::new(trouble.message).with_help(trouble.help)
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        let kind = match trouble.what {
            What::Refused => ErrorKind::InvalidInput,
            What::Unavailable => ErrorKind::Unavailable,
            What::Interrupted => ErrorKind::Cancelled,
            What::Missing | What::Unsafe | What::Locked | What::Damaged => ErrorKind::AuthRequired,
        };
        Self::new(kind, trouble.message).help(trouble.help)
    }
}

/// All stores of this machine and user.
pub(crate) struct Stores {
    keyring: Keyring,
    kept: Mutex<HashMap<String, (Bytes, Instant)>>,
    vault: Opened,
    credentials: Option<PathBuf>,
}

impl Stores {
    /// Opens nothing yet.
    pub(crate) fn new(dirs: &Dirs) -> Self {
        Self {
            keyring: Keyring,
            kept: Mutex::default(),
            vault: Opened::new(Vault::new(dirs), Unlocker::new()),
            credentials: env::get(env::CREDENTIALS_DIRECTORY).map(PathBuf::from),
        }
    }

    /// The bytes of a value, as they are kept; nothing where there are none.
    pub(crate) async fn bytes(&self, source: &SecretSource) -> Result<Option<Bytes>, Trouble> {
        match source {
            SecretSource::Env(name) => Ok(env::secret(name)),
            SecretSource::File { path, base } => {
                let path = private::resolved(path, base.as_deref());
                let credential =
                    path.parent().is_some() && path.parent() == self.credentials.as_deref();
                blocking(move || file(&path, credential)).await?
            }
            SecretSource::Keyring(name) => self.of_keyring(name).await,
            SecretSource::Vault(name) => self.vault.get(name).await,
            _ => Ok(None),
        }
    }

    /// A value that may be used.
    pub(crate) async fn value(&self, source: &SecretSource) -> Result<Option<Secret>, Trouble> {
        let Some(bytes) = self.bytes(source).await? else {
            return Ok(None);
        };
        let secret = Secret::from_line(bytes.to_vec());
        secret.map(Some).map_err(weak_value)
    }

    async fn of_keyring(&self, name: &str) -> Result<Option<Bytes>, Trouble> {
        if let Some((value, since)) = self.kept().get(name)
            && since.elapsed() < KEYRING_KEPT
        {
            return Ok(Some(value.clone()));
        }
        let found = self.keyring.get(name).await?;
        let mut kept = self.kept();
        match &found {
            Some(value) => kept.insert(name.to_owned(), (value.clone(), Instant::now())),
            None => kept.remove(name),
        };
        Ok(found)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Bytes, Instant)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SecretStore for Stores {
    async fn get(&self, query: SecretQuery<'_>) -> Result<Option<Secret>, SecretError> {
        Ok(self.value(query.source).await?)
    }

    async fn put(&self, query: SecretQuery<'_>, value: &Secret) -> Result<Kept, SecretError> {
        let bytes = Zeroizing::new(value.expose().to_vec());
        match query.source {
            SecretSource::Keyring(name) => {
                self.keyring.set(name, bytes.clone()).await?;
                self.kept().insert(name.clone(), (bytes, Instant::now()));
                Ok(Kept::Yes)
            }
            SecretSource::Vault(name) => {
                self.vault.put(name, bytes).await?;
                Ok(Kept::Yes)
            }
            // Whoever set a variable or wrote a file would not know of it.
            _ => Ok(Kept::No),
        }
    }
}

/// A value that cannot be used.
pub(crate) fn weak_value(weak: toolcell::WeakSecret) -> Trouble {
    Trouble::new(
        What::Refused,
        format!("its value is refused, since {weak}"),
        "use a value that was made by chance, as services hand them out; docs/secrets.md has the rule",
    )
}

fn file(path: &Path, credential: bool) -> Result<Option<Bytes>, Trouble> {
    let read = match credential {
        true => private::read_credential(path, FILE_BYTES_MAX),
        false => private::read(path, FILE_BYTES_MAX),
    };
    match read {
        Ok((bytes, _)) => Ok(Some(bytes)),
        Err(Refused::Absent) => Ok(None),
        Err(refused) => Err(Trouble::file(path, &refused)),
    }
}

/// Runs what waits for the disk, or computes, where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Trouble::internal())
}

/// The time now, in seconds since 1970.
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
