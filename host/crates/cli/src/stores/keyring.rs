//! The keyring of the operating system.
//!
//! It cannot be asked which names it has without unlocking it, so those that were set with `toolcell secret set` are written
//! down in the state directory. The list holds names and times, and no value.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use toolcell::ErrorKind;

use super::{Bytes, Trouble, What, locked::Locked};
use crate::{dirs, dirs::Dirs, failure::Failure, files};

/// How long the keyring may take. A person may have to unlock it meanwhile.
const KEYRING_TIME: Duration = Duration::from_secs(60);
/// The largest list that is read, in bytes.
const LIST_BYTES_MAX: u64 = 1 << 20;

/// The other places, for where there is no keyring.
const ELSEWHERE: &str = "keep the value in toolcell's encrypted file (`toolcell secret set NAME --in vault`, and \
    `from = \"vault:NAME\"` in the policy), or in a file of its own (`from = \"file:PATH\"`)";

/// The keyring of this user.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keyring;

impl Keyring {
    /// A value; nothing where there is none.
    pub(crate) async fn get(self, name: &str) -> Result<Option<Bytes>, Trouble> {
        let name = name.to_owned();
        on_thread(move || system::get(&name)).await
    }

    /// Keeps a value, in the place of one that has this name.
    pub(crate) async fn set(self, name: &str, value: Bytes) -> Result<(), Trouble> {
        let name = name.to_owned();
        on_thread(move || system::set(&name, &value)).await
    }

    /// Removes a value; says whether there was one.
    pub(crate) async fn remove(self, name: &str) -> Result<bool, Trouble> {
        let name = name.to_owned();
        on_thread(move || system::remove(&name)).await
    }

    /// Whether there is a keyring at all.
    pub(crate) async fn reachable(self) -> Result<(), Trouble> {
        on_thread(system::reachable).await
    }
}

/// Asks where it holds nobody up. A thread of its own, since the clients of keyrings wait in their own ways; one that never
/// comes back is left behind.
async fn on_thread<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let started = std::thread::Builder::new()
        .name("keyring".to_owned())
        .spawn(move || tell.send(ask()).map_err(drop));
    if started.is_err() {
        return Err(Trouble::internal());
    }
    match tokio::time::timeout(KEYRING_TIME, told).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(Trouble::internal()),
        Err(_) => Err(Trouble::new(
            What::Locked,
            format!(
                "the keyring did not answer within {} s",
                KEYRING_TIME.as_secs()
            ),
            format!("unlock it and try again, or {ELSEWHERE}"),
        )),
    }
}

#[cfg(all(feature = "keyring", any(target_os = "linux", target_os = "macos")))]
mod system {
    use std::sync::Arc;

    use keyring_core::{Entry, Error, api::CredentialStoreApi};
    use zeroize::Zeroizing;

    use super::{Bytes, ELSEWHERE, Trouble, What};

    /// Under what all entries are found.
    const SERVICE: &str = "toolcell";

    #[cfg(target_os = "linux")]
    fn store() -> keyring_core::Result<Arc<impl CredentialStoreApi>> {
        zbus_secret_service_keyring_store::Store::new()
    }

    #[cfg(target_os = "macos")]
    fn store() -> keyring_core::Result<Arc<impl CredentialStoreApi>> {
        apple_native_keyring_store::keychain::Store::new()
    }

    fn entry(name: &str) -> Result<Entry, Trouble> {
        let store = store().map_err(|_| {
            Trouble::new(
                What::Unavailable,
                "there is no keyring here: this session has no service for it",
                ELSEWHERE,
            )
        })?;
        store
            .build(SERVICE, name, None)
            .map_err(|error| told(&error))
    }

    pub(super) fn reachable() -> Result<(), Trouble> {
        entry("toolcell").map(drop)
    }

    pub(super) fn get(name: &str) -> Result<Option<Bytes>, Trouble> {
        match entry(name)?.get_secret() {
            Ok(value) => Ok(Some(Zeroizing::new(value))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(told(&error)),
        }
    }

    pub(super) fn set(name: &str, value: &[u8]) -> Result<(), Trouble> {
        entry(name)?.set_secret(value).map_err(|error| told(&error))
    }

    pub(super) fn remove(name: &str) -> Result<bool, Trouble> {
        match entry(name)?.delete_credential() {
            Ok(()) => Ok(true),
            Err(Error::NoEntry) => Ok(false),
            Err(error) => Err(told(&error)),
        }
    }

    /// In our own words: some errors carry the value.
    fn told(error: &Error) -> Trouble {
        let again = format!("unlock it and try again, or {ELSEWHERE}");
        match error {
            Error::NoStorageAccess(_) => Trouble::new(What::Locked, "the keyring is locked", again),
            Error::Ambiguous(_) => Trouble::new(
                What::Refused,
                "the keyring has several entries of that name",
                "remove all of them but one with the keyring's own program",
            ),
            Error::TooLong(..) | Error::Invalid(..) => Trouble::new(
                What::Refused,
                "the keyring does not take a value of that name or length",
                ELSEWHERE,
            ),
            _ => Trouble::new(
                What::Unavailable,
                "the keyring answered with an error",
                format!("see that it runs, or {ELSEWHERE}"),
            ),
        }
    }
}

#[cfg(not(all(feature = "keyring", any(target_os = "linux", target_os = "macos"))))]
mod system {
    use super::{Bytes, ELSEWHERE, Trouble, What};

    fn nothing() -> Trouble {
        Trouble::new(
            What::Unavailable,
            "this toolcell was built without the keyring",
            ELSEWHERE,
        )
    }

    pub(super) fn reachable() -> Result<(), Trouble> {
        Err(nothing())
    }

    pub(super) fn get(_: &str) -> Result<Option<Bytes>, Trouble> {
        Err(nothing())
    }

    pub(super) fn set(_: &str, _: &[u8]) -> Result<(), Trouble> {
        Err(nothing())
    }

    pub(super) fn remove(_: &str) -> Result<bool, Trouble> {
        Err(nothing())
    }
}

/// The names that were set in the keyring, each with the time since when, in seconds since 1970.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    pub(crate) names: BTreeMap<String, u64>,
}

impl List {
    fn path(dirs: &Dirs) -> PathBuf {
        dirs.state.join("keyring.json")
    }

    /// Reads the list; one that is absent has no names.
    pub(crate) fn read(dirs: &Dirs) -> Result<Self, Failure> {
        Self::read_from(&Self::path(dirs))
    }

    fn read_from(path: &Path) -> Result<Self, Failure> {
        let text = match files::read(path, LIST_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::io("read", path, &error)),
        };
        serde_json::from_slice(&text).map_err(|error| {
            let message = format!(
                "the list of names in the keyring, {}, is damaged: {error}",
                path.display()
            );
            Failure::new(ErrorKind::Unavailable, message)
                .help("remove it; the values stay in the keyring, and their names come back when they are set again")
        })
    }

    /// Changes the list.
    pub(crate) fn change(
        dirs: &Dirs,
        change: impl FnOnce(&mut BTreeMap<String, u64>),
    ) -> Result<(), Failure> {
        let path = Self::path(dirs);
        let _locked = Locked::of(&path)?;
        let mut list = Self::read_from(&path)?;
        change(&mut list.names);
        let text = serde_json::to_vec_pretty(&list)
            .map_err(|error| Failure::new(ErrorKind::Internal, error.to_string()))?;
        dirs::write_private(&path, &text)
    }
}
