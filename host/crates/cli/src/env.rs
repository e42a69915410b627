//! Every environment variable that toolcell reads, in one place. Nothing else in the workspace reads any.

use std::{env, ffi::OsString, os::unix::ffi::OsStringExt as _};

use zeroize::Zeroizing;

/// A variable and what it is for.
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it is for, in one line.
    pub(crate) about: &'static str,
    /// Whether its value must never be shown.
    pub(crate) secret: bool,
}

pub(crate) const POLICY: &str = "TOOLCELL_POLICY";
pub(crate) const AUDIT: &str = "TOOLCELL_AUDIT";
pub(crate) const REQUIRE_CONFINEMENT: &str = "TOOLCELL_REQUIRE_CONFINEMENT";
pub(crate) const LOG: &str = "TOOLCELL_LOG";
pub(crate) const MODEL: &str = "TOOLCELL_MODEL";
pub(crate) const STATE_DIR: &str = "TOOLCELL_STATE_DIR";
pub(crate) const CACHE_DIR: &str = "TOOLCELL_CACHE_DIR";
pub(crate) const CONFIG_DIR: &str = "TOOLCELL_CONFIG_DIR";
pub(crate) const VAULT_PASSPHRASE_FILE: &str = "TOOLCELL_VAULT_PASSPHRASE_FILE";
pub(crate) const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
pub(crate) const ANTHROPIC_API_KEY: &str = "ANTHROPIC_API_KEY";
pub(crate) const ANTHROPIC_BASE_URL: &str = "ANTHROPIC_BASE_URL";

const fn open(name: &'static str, about: &'static str) -> Variable {
    Variable {
        name,
        about,
        secret: false,
    }
}

/// The catalogue, in the order of the documentation.
pub(crate) const ALL: &[Variable] = &[
    open(POLICY, "policy file, like --policy"),
    open(AUDIT, "audit log, like --audit"),
    open(
        REQUIRE_CONFINEMENT,
        "`full` or `partial`, like --require-confinement",
    ),
    open(MODEL, "model of `run`, like --model"),
    open(
        LOG,
        "what is said on standard error, like -v: a level, or `toolcell=trace,h2=info`",
    ),
    open(
        STATE_DIR,
        "audit log, transcripts and trusted policies (default $XDG_STATE_HOME/toolcell)",
    ),
    open(
        CACHE_DIR,
        "compiled components (default $XDG_CACHE_HOME/toolcell)",
    ),
    open(
        CONFIG_DIR,
        "the user's policy toolcell.toml (default $XDG_CONFIG_HOME/toolcell)",
    ),
    open(
        VAULT_PASSPHRASE_FILE,
        "a file of mode 0600 with the passphrase of the encrypted file of secrets",
    ),
    open(
        CREDENTIALS_DIRECTORY,
        "where a service manager put credentials, for secrets `from = \"file:…\"`",
    ),
    Variable {
        name: ANTHROPIC_API_KEY,
        about: "key for `--model anthropic:…` and `demo --live`",
        secret: true,
    },
    open(
        ANTHROPIC_BASE_URL,
        "where the Messages API is (default https://api.anthropic.com)",
    ),
    open("NO_COLOR", "no colour when set to anything; --color wins"),
    open(
        "CLICOLOR_FORCE",
        "colour also off a terminal when set; --color wins",
    ),
    open(
        "HOME",
        "base of the directories when the XDG variables are absent",
    ),
    open("XDG_STATE_HOME", "base of the state directory"),
    open("XDG_CACHE_HOME", "base of the cache directory"),
    open("XDG_CONFIG_HOME", "base of the configuration directory"),
];

/// The value of a variable; an empty one counts as absent.
pub(crate) fn get(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// The value of a variable as text; one that is no UTF-8 counts as absent.
pub(crate) fn text(name: &str) -> Option<String> {
    get(name)?.into_string().ok()
}

/// The value of a variable that a policy grants as a secret. It is not in the catalogue: its name is the operator's.
pub(crate) fn secret(name: &str) -> Option<Zeroizing<Vec<u8>>> {
    get(name).map(|value| Zeroizing::new(value.into_vec()))
}

/// How a command that is shown for copying begins: the program as it was called, where the shell would not find it by its
/// name alone.
pub(crate) fn program() -> String {
    let called = env::args().next().unwrap_or_default();
    let by_path =
        called.contains(std::path::MAIN_SEPARATOR) && !called.contains(char::is_whitespace);
    if by_path {
        called
    } else {
        "toolcell".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_keys_are_secret() {
        for (at, variable) in ALL.iter().enumerate() {
            assert!(ALL[..at].iter().all(|other| other.name != variable.name));
            assert_eq!(variable.secret, variable.name.ends_with("_KEY"));
        }
    }
}
