//! The key of the encrypted file: from the keyring, or made of a passphrase that a person types or a file holds. It never
//! comes from the command line or from a variable's own value.

use std::{path::PathBuf, sync::Arc};

use argon2::{Algorithm, Argon2, Params};
use clap::ValueEnum;
use toolcell::Secret;
use zeroize::Zeroizing;

use super::{
    Bytes, Keyring, Trouble, What, blocking, hidden, hidden_twice,
    vault::{Cost, Entries, KEY_BYTES, Key, KeySource, Recipe, SALT_BYTES, Sealed, Vault},
};
use crate::{
    env,
    private::{self, Version},
    prompt,
};

/// How often a passphrase may be mistyped.
const TRIES: usize = 3;
/// The largest file with a passphrase, in bytes.
const PASSPHRASE_BYTES_MAX: u64 = 4096;

/// Where the key of a new encrypted file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyChoice {
    /// In the keyring
    Keyring,
    /// Made of a passphrase
    Passphrase,
}

/// Gives the keys of encrypted files.
pub(crate) struct Unlocker {
    keyring: Keyring,
    file: Option<PathBuf>,
}

impl Unlocker {
    /// Asks nobody yet.
    pub(crate) fn new() -> Self {
        Self {
            keyring: Keyring,
            file: env::get(env::VAULT_PASSPHRASE_FILE).map(PathBuf::from),
        }
    }

    /// Which version of a passphrase in a file there is.
    pub(super) fn passphrase_version(&self) -> Option<Version> {
        private::version_of(self.file.as_ref()?)
    }

    /// Opens a file, with the key that was good before where it still is.
    pub(crate) async fn unlock(
        &self,
        vault: &Vault,
        sealed: Sealed,
        known: Option<(Recipe, Key)>,
    ) -> Result<(Recipe, Key, Entries), Trouble> {
        let header = vault.header(&sealed)?;
        if let Some((recipe, key)) = known
            && recipe == header.recipe
            && let Ok((recipe, entries)) = vault.open(&sealed, &key)
        {
            return Ok((recipe, key, entries));
        }
        let recipe = header.recipe;
        let sealed = Arc::new(sealed);
        let cost = match recipe.source {
            KeySource::Keyring => {
                let key = self.of_keyring(&recipe, vault).await?;
                let (recipe, entries) = vault.open(&sealed, &key)?;
                return Ok((recipe, key, entries));
            }
            KeySource::Passphrase(cost) => cost,
        };
        let attempt = async |passphrase: Bytes| {
            let (vault, sealed) = (vault.clone(), Arc::clone(&sealed));
            blocking(move || {
                let key = derive(&passphrase, &recipe.salt, cost)?;
                let (recipe, entries) = vault.open(&sealed, &key)?;
                Ok((recipe, key, entries))
            })
            .await?
        };
        if let Some(passphrase) = self.of_file().await? {
            return attempt(passphrase).await;
        }
        let mut question = "Passphrase of the encrypted file of secrets: ";
        for _ in 1..TRIES {
            let opened = attempt(self.typed(question).await?).await;
            if opened.is_ok() {
                return opened;
            }
            question = "That is not it. Passphrase: ";
        }
        attempt(self.typed(question).await?).await
    }

    /// A new key, and how it is made.
    pub(crate) async fn fresh(&self, choice: Option<KeyChoice>) -> Result<(Recipe, Key), Trouble> {
        let salt: [u8; SALT_BYTES] = rand::random();
        let choice = match choice {
            Some(choice) => choice,
            None if self.file.is_none() && self.keyring.reachable().await.is_ok() => {
                KeyChoice::Keyring
            }
            None => KeyChoice::Passphrase,
        };
        match choice {
            KeyChoice::Keyring => {
                let recipe = Recipe {
                    source: KeySource::Keyring,
                    salt,
                };
                let key: Key = Zeroizing::new(rand::random());
                let kept = Zeroizing::new(key.to_vec());
                self.keyring.set(&entry(&recipe), kept).await?;
                Ok((recipe, key))
            }
            KeyChoice::Passphrase => {
                let passphrase = match self.of_file().await? {
                    Some(passphrase) => passphrase,
                    None => new_passphrase().await?,
                };
                strong(&passphrase)?;
                let cost = Cost::NEW;
                let recipe = Recipe {
                    source: KeySource::Passphrase(cost),
                    salt,
                };
                let key = blocking(move || derive(&passphrase, &salt, cost)).await??;
                Ok((recipe, key))
            }
        }
    }

    async fn of_keyring(&self, recipe: &Recipe, vault: &Vault) -> Result<Key, Trouble> {
        let found = self.keyring.get(&entry(recipe)).await?;
        let key = found.and_then(|key| <[u8; KEY_BYTES]>::try_from(key.as_slice()).ok());
        key.map(Zeroizing::new).ok_or_else(|| {
            let message = "the key of the encrypted file of secrets is not in the keyring";
            let help = format!(
                "use the keyring that it was made with; or remove {}, and set its values again",
                vault.path().display()
            );
            Trouble::new(What::Locked, message, help)
        })
    }

    /// The passphrase of the file that the environment names.
    async fn of_file(&self) -> Result<Option<Bytes>, Trouble> {
        let Some(path) = self.file.clone() else {
            return Ok(None);
        };
        let read = blocking(move || {
            private::read(&path, PASSPHRASE_BYTES_MAX)
                .map_err(|refused| Trouble::file(&path, &refused))
        });
        let (mut passphrase, _) = read.await??;
        if passphrase.last() == Some(&b'\n') {
            passphrase.pop();
        }
        if passphrase.last() == Some(&b'\r') {
            passphrase.pop();
        }
        Ok(Some(passphrase))
    }

    async fn typed(&self, question: &str) -> Result<Bytes, Trouble> {
        if !prompt::possible() {
            let help = format!(
                "name a file that holds the passphrase in {}, or keep the value in the keyring (`from = \"keyring:NAME\"`)",
                env::VAULT_PASSPHRASE_FILE
            );
            return Err(Trouble::new(
                What::Locked,
                "the encrypted file of secrets is locked, and there is no terminal to ask for its passphrase",
                help,
            ));
        }
        hidden(question.to_owned()).await
    }
}

/// The name of a file's key in the keyring. No value of a person's can have it.
fn entry(recipe: &Recipe) -> String {
    let salt: String = recipe
        .salt
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("vault key/{salt}")
}

async fn new_passphrase() -> Result<Bytes, Trouble> {
    if !prompt::possible() {
        return Err(Trouble::new(
            What::Locked,
            "a new encrypted file needs a passphrase, and there is no terminal to ask for one",
            format!(
                "name a file that holds it in {}",
                env::VAULT_PASSPHRASE_FILE
            ),
        ));
    }
    hidden_twice("New passphrase for the encrypted file of secrets".to_owned()).await
}

/// A passphrase has to be as good as a secret.
fn strong(passphrase: &[u8]) -> Result<(), Trouble> {
    let checked = Secret::new(passphrase.to_vec());
    checked.map(drop).map_err(|weak| {
        Trouble::new(
            What::Refused,
            format!("the passphrase is refused, since {weak}"),
            "use a longer one, such as four words that nobody would put together",
        )
    })
}

fn derive(passphrase: &[u8], salt: &[u8], cost: Cost) -> Result<Key, Trouble> {
    let failed = |_| {
        let message = "the key of the encrypted file cannot be made of a passphrase";
        Trouble::new(
            What::Unavailable,
            message,
            "see that there is enough free memory",
        )
    };
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(KEY_BYTES));
    let argon = Argon2::new(
        Algorithm::Argon2id,
        argon2::Version::V0x13,
        params.map_err(failed)?,
    );
    let mut key: Key = Zeroizing::new([0; KEY_BYTES]);
    argon
        .hash_password_into(passphrase, salt, key.as_mut_slice())
        .map_err(failed)?;
    Ok(key)
}
