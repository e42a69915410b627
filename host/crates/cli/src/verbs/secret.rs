//! `toolcell secret set|list|remove|check`: keeps values, and never shows one.

mod check;
mod list;

use std::{
    ffi::OsString,
    io::{self, Read as _},
    path::Path,
};

use serde_json::json;
use toolcell::{ErrorKind, SECRET_BYTES_MAX, Secret};
use zeroize::Zeroizing;

use crate::{
    app::Outcome,
    args::{SecretPlace, SecretSetArgs, SecretVerb},
    dirs::Dirs,
    exit,
    failure::Failure,
    interrupt, net, output, prompt,
    stores::{
        Bytes, KeyChoice, Keyring, List, Unlocker, Vault, VaultEntry, hidden_twice, is_name, now,
        weak_value,
    },
    style::{self, paint},
};

impl SecretPlace {
    fn name(self) -> &'static str {
        match self {
            Self::Keyring => "keyring",
            Self::Vault => "vault",
        }
    }
}

pub(crate) async fn secret(verb: SecretVerb) -> Outcome {
    let stop = interrupt::token();
    let work = async {
        match verb {
            SecretVerb::Set(arguments) => set(arguments).await,
            SecretVerb::List { policy } => list::list(&policy).await,
            SecretVerb::Remove { name, place } => remove(name, place).await,
            SecretVerb::Check { policy } => check::check(&policy).await,
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(Failure::new(ErrorKind::Cancelled, "interrupted")),
        outcome = work => outcome,
    }
}

async fn set(arguments: SecretSetArgs) -> Outcome {
    refuse_values(&arguments.refused)?;
    let name = named(arguments.name)?;
    let dirs = Dirs::find()?;
    let place = match arguments.place {
        Some(place) => place,
        None if Keyring.reachable().await.is_ok() => SecretPlace::Keyring,
        None => SecretPlace::Vault,
    };
    if place == SecretPlace::Keyring && arguments.key.is_some() {
        return Err(Failure::usage("--key is for the encrypted file").help("add `--in vault`"));
    }
    let value = value(&name).await?;
    let replaced = match place {
        SecretPlace::Keyring => set_in_keyring(&dirs, &name, value).await?,
        SecretPlace::Vault => set_in_vault(&dirs, &name, value, arguments.key).await?,
    };
    let place = place.name();
    let data = json!({ "name": name, "in": place, "replaced": replaced });
    output::answer(data, |_| {
        let what = if replaced { "replaced:" } else { "kept:" };
        format!(
            "{} {name}, for `from = \"{place}:{name}\"` in a policy",
            paint(style::GOOD, what)
        )
    });
    Ok(exit::OK)
}

/// Whoever has the list of processes or the history of the shell would have the value. It is not repeated.
fn refuse_values(given: &[OsString]) -> Result<(), Failure> {
    if given.is_empty() {
        return Ok(());
    }
    let message = "a value is never taken from the command line, where other programs and the shell's history see it";
    Err(Failure::usage(message).help(
        "leave it away and type it when you are asked, or pipe it: `toolcell secret set NAME < FILE`; if what you typed \
         was a real value, get a new one from its service",
    ))
}

/// A name, or a failure that does not repeat it: it may be a value in the wrong place.
fn named(name: String) -> Result<String, Failure> {
    if is_name(&name) {
        return Ok(name);
    }
    let message = "that is no name of a value: a name has 1 to 128 letters, digits, `_`, `.` and `-`, and begins with none \
                   of the last two";
    Err(Failure::usage(message)
        .help("give a name such as `GITHUB_TOKEN`, and never the value itself"))
}

/// What a person types twice without seeing it, or all of standard input.
async fn value(name: &str) -> Result<Bytes, Failure> {
    let bytes = if prompt::possible() {
        hidden_twice(format!("Value of {name}")).await?
    } else {
        from_input()?
    };
    // Checked as a host will check it. The line end of a file is no part of it.
    let secret = Secret::from_line(bytes.to_vec()).map_err(|weak| {
        let trouble = weak_value(weak);
        Failure::usage(format!("{name} is not kept: {}", trouble.message)).help(trouble.help)
    })?;
    let value = Zeroizing::new(secret.expose().to_vec());
    net::redaction().register(name, secret);
    Ok(value)
}

fn from_input() -> Result<Bytes, Failure> {
    // A value, a line end, and one byte more than allowed. Room for all of it: what grows leaves a copy behind.
    let most = SECRET_BYTES_MAX.saturating_add(3);
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    let mut input = io::stdin().lock().take(most as u64);
    input
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::io("read", Path::new("standard input"), &error))?;
    Ok(bytes)
}

async fn set_in_keyring(dirs: &Dirs, name: &str, value: Bytes) -> Result<bool, Failure> {
    let replaced = Keyring.get(name).await?.is_some();
    Keyring.set(name, value).await?;
    List::change(dirs, |names| {
        names.insert(name.to_owned(), now());
    })?;
    Ok(replaced)
}

async fn set_in_vault(
    dirs: &Dirs,
    name: &str,
    value: Bytes,
    choice: Option<KeyChoice>,
) -> Result<bool, Failure> {
    let vault = Vault::new(dirs);
    let unlocker = Unlocker::new();
    let (recipe, key) = match vault.read()? {
        None => unlocker.fresh(choice).await?,
        Some(_) if choice.is_some() => {
            let message = format!("{} has its key already", vault.path().display());
            return Err(Failure::usage(message).help("leave --key away; it is for a new file"));
        }
        Some(sealed) => {
            let (recipe, key, _) = unlocker.unlock(&vault, sealed, None).await?;
            (recipe, key)
        }
    };
    let mut replaced = false;
    vault.change(&recipe, &key, |entries| {
        let entry = VaultEntry {
            since: now(),
            value,
        };
        replaced = entries.insert(name.to_owned(), entry).is_some();
    })?;
    Ok(replaced)
}

async fn remove(name: String, place: Option<SecretPlace>) -> Outcome {
    let name = named(name)?;
    let dirs = Dirs::find()?;
    let vault = Vault::new(&dirs);
    let place = match place {
        Some(place) => place,
        None => found(&dirs, &vault, &name)?,
    };
    let removed = match place {
        SecretPlace::Keyring => {
            let removed = Keyring.remove(&name).await?;
            List::change(&dirs, |names| {
                names.remove(&name);
            })?;
            removed
        }
        SecretPlace::Vault => remove_from_vault(&vault, &name).await?,
    };
    if !removed {
        return Err(absent(&name));
    }
    let place = place.name();
    let data = json!({ "name": name, "in": place, "removed": true });
    output::answer(data, |_| {
        format!(
            "{} {name}, from the {place}",
            paint(style::GOOD, "removed:")
        )
    });
    Ok(exit::OK)
}

/// The one place where a name is kept.
fn found(dirs: &Dirs, vault: &Vault, name: &str) -> Result<SecretPlace, Failure> {
    let in_keyring = List::read(dirs)?.names.contains_key(name);
    let in_vault = match vault.read()? {
        None => false,
        Some(sealed) => vault.header(&sealed)?.names.contains_key(name),
    };
    match (in_keyring, in_vault) {
        (true, false) => Ok(SecretPlace::Keyring),
        (false, true) => Ok(SecretPlace::Vault),
        (false, false) => Err(absent(name)),
        (true, true) => {
            let message = format!("{name} is in the keyring and in the encrypted file");
            Err(Failure::usage(message).help("say which one: `--in keyring` or `--in vault`"))
        }
    }
}

async fn remove_from_vault(vault: &Vault, name: &str) -> Result<bool, Failure> {
    let Some(sealed) = vault.read()? else {
        return Ok(false);
    };
    if !vault.header(&sealed)?.names.contains_key(name) {
        return Ok(false);
    }
    let (recipe, key, _) = Unlocker::new().unlock(vault, sealed, None).await?;
    let mut removed = false;
    vault.change(&recipe, &key, |entries| {
        removed = entries.remove(name).is_some();
    })?;
    Ok(removed)
}

fn absent(name: &str) -> Failure {
    Failure::usage(format!("no value of the name {name} is kept"))
        .help("`toolcell secret list` shows what is kept")
}
