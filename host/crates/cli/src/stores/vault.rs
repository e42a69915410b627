//! The encrypted file: all values of `vault:` under one key.
//!
//! ```text
//! header   magic, version, how the key is made, salt, the names with the times since when, nonce
//! rest     XChaCha20-Poly1305 of the values, with the whole header as associated data
//! ```
//!
//! Names are no secret and can be listed without the key; whoever changes one, or anything else of the file, makes it a file
//! that cannot be opened. It is replaced as a whole, under a lock, and never changed in place.

mod format;

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use toolcell::ErrorKind;

pub(crate) use format::{Cost, Entries, Entry, Header, Key, KeySource, Recipe, is_name};
pub(super) use format::{KEY_BYTES, SALT_BYTES};

use self::format::{FILE_BYTES_MAX, Wrong};
use super::{Bytes, Trouble, Unlocker, What, blocking, locked::Locked};
use crate::{
    dirs::{self, Dirs},
    failure::Failure,
    private::{self, Refused, Version},
};

/// Where it is.
#[derive(Clone, Debug)]
pub(crate) struct Vault {
    path: PathBuf,
}

/// The bytes of a file, and which version of it they are.
pub(crate) struct Sealed {
    bytes: Bytes,
    version: Version,
}

impl Vault {
    /// The one of this user.
    pub(crate) fn new(dirs: &Dirs) -> Self {
        Self {
            path: dirs.state.join("secrets.vault"),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file as it is; nothing where there is none.
    pub(crate) fn read(&self) -> Result<Option<Sealed>, Trouble> {
        match private::read(&self.path, FILE_BYTES_MAX as u64) {
            Ok((bytes, version)) => Ok(Some(Sealed { bytes, version })),
            Err(Refused::Absent) => Ok(None),
            Err(refused) => Err(Trouble::file(&self.path, &refused)),
        }
    }

    /// What is known of a file without its key.
    pub(crate) fn header(&self, sealed: &Sealed) -> Result<Header, Trouble> {
        format::header(&sealed.bytes).map_err(|wrong| self.wrong(wrong))
    }

    /// Opens a file.
    pub(crate) fn open(&self, sealed: &Sealed, key: &Key) -> Result<(Recipe, Entries), Trouble> {
        format::open(&sealed.bytes, key).map_err(|wrong| self.wrong(wrong))
    }

    /// Changes the values, under a lock: what others changed meanwhile stays. Where it fails, the old file stays.
    pub(crate) fn change(
        &self,
        recipe: &Recipe,
        key: &Key,
        change: impl FnOnce(&mut Entries),
    ) -> Result<(), Failure> {
        let _locked = Locked::of(&self.path)?;
        let mut entries = match self.read()? {
            None => Entries::new(),
            Some(sealed) => {
                let (found, entries) = self.open(&sealed, key)?;
                if found != *recipe {
                    let message = format!("{} was made anew meanwhile", self.path.display());
                    return Err(Failure::new(ErrorKind::Unavailable, message).help("try again"));
                }
                entries
            }
        };
        change(&mut entries);
        let file = format::seal(recipe, key, &entries).map_err(|wrong| {
            let message = format!("{} cannot hold that: {wrong}", self.path.display());
            Failure::new(ErrorKind::InvalidInput, message)
        })?;
        dirs::write_private(&self.path, &file)?;
        // The name of the new file is on the disk once its directory is.
        if let Some(directory) = self.path.parent()
            && let Ok(directory) = File::open(directory)
        {
            let _ = directory.sync_all();
        }
        Ok(())
    }

    fn wrong(&self, wrong: Wrong) -> Trouble {
        let help = match wrong {
            Wrong::Key => {
                "give the passphrase that it was made with; if it was changed, put an older copy in its place"
            }
            Wrong::Version(_) => "use the version of toolcell that wrote it, or a later one",
            _ => "put an older copy in its place, or remove it and set its values again",
        };
        // Models see the message, and paths of this machine are none of their business.
        Trouble::new(
            What::Damaged,
            format!("the encrypted file of secrets cannot be opened: {wrong}"),
            format!("{help}; it is {}", self.path.display()),
        )
    }
}

impl Sealed {
    pub(crate) fn version(&self) -> Version {
        self.version
    }
}

/// The values of the encrypted file for a host: opened when the first one is wanted, and read again when it was changed.
pub(super) struct Opened {
    vault: Vault,
    unlocker: Unlocker,
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    /// What could not be opened, and why. Nobody is asked twice for the same file.
    failed: Option<(Version, Option<Version>, Trouble)>,
}

struct Open {
    version: Version,
    recipe: Recipe,
    key: Key,
    entries: Entries,
}

impl Opened {
    pub(super) fn new(vault: Vault, unlocker: Unlocker) -> Self {
        Self {
            vault,
            unlocker,
            state: tokio::sync::Mutex::default(),
        }
    }

    /// A value; nothing where there is none.
    pub(super) async fn get(&self, name: &str) -> Result<Option<Bytes>, Trouble> {
        // One asks, and all others wait for what the person says.
        let mut state = self.state.lock().await;
        let Some(open) = self.opened(&mut state).await? else {
            return Ok(None);
        };
        Ok(open.entries.get(name).map(|entry| entry.value.clone()))
    }

    /// Keeps a value in the place of the one that has this name.
    pub(super) async fn put(&self, name: &str, value: Bytes) -> Result<(), Trouble> {
        let mut state = self.state.lock().await;
        let Some(open) = self.opened(&mut state).await? else {
            return Err(Trouble::new(
                What::Missing,
                "there is no encrypted file",
                "",
            ));
        };
        let (vault, recipe, key, name) = (
            self.vault.clone(),
            open.recipe,
            open.key.clone(),
            name.to_owned(),
        );
        let since = crate::stores::now();
        let kept = blocking(move || {
            vault.change(&recipe, &key, |entries| {
                entries.insert(name, Entry { since, value });
            })
        });
        kept.await?.map_err(|failure| {
            Trouble::new(
                What::Unavailable,
                failure.message,
                failure.help.unwrap_or_default(),
            )
        })
    }

    async fn opened<'a>(&self, state: &'a mut State) -> Result<Option<&'a Open>, Trouble> {
        let Some(version) = private::version_of(self.vault.path()) else {
            state.open = None;
            return Ok(None);
        };
        if state
            .open
            .as_ref()
            .is_some_and(|open| open.version == version)
        {
            return Ok(state.open.as_ref());
        }
        let of_passphrase = self.unlocker.passphrase_version();
        if let Some((failed, passphrase, trouble)) = &state.failed
            && (*failed, *passphrase) == (version, of_passphrase)
        {
            return Err(trouble.clone());
        }
        let known = state.open.take().map(|open| (open.recipe, open.key));
        match self.open(known).await {
            Ok(open) => {
                state.failed = None;
                state.open = open;
                Ok(state.open.as_ref())
            }
            Err(trouble) => {
                if trouble.what != What::Interrupted {
                    state.failed = Some((version, of_passphrase, trouble.clone()));
                }
                Err(trouble)
            }
        }
    }

    async fn open(&self, known: Option<(Recipe, Key)>) -> Result<Option<Open>, Trouble> {
        let vault = self.vault.clone();
        let Some(sealed) = blocking(move || vault.read()).await?? else {
            return Ok(None);
        };
        let version = sealed.version();
        let (recipe, key, entries) = self.unlocker.unlock(&self.vault, sealed, known).await?;
        Ok(Some(Open {
            version,
            recipe,
            key,
            entries,
        }))
    }
}

#[cfg(test)]
mod tests;
