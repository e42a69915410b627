//! Where toolcell keeps its own files. None of these may be reached by a grant.

use std::path::PathBuf;

use etcetera::{BaseStrategy, base_strategy::Xdg};
use toolcell::ErrorKind;

use crate::{env, failure::Failure};

/// The policy of the machine's administrator, the highest layer.
pub(crate) const SYSTEM_POLICY: &str = "/etc/toolcell/toolcell.toml";

/// The name of a policy file.
pub(crate) const POLICY_FILE: &str = "toolcell.toml";

/// The extension of lock files, which lie beside their policy and have its name otherwise.
pub(crate) const LOCK_EXTENSION: &str = "lock";

/// The directories of this user.
#[derive(Clone, Debug)]
pub(crate) struct Dirs {
    /// Audit log, transcripts, trusted policies.
    pub(crate) state: PathBuf,
    /// Compiled components.
    pub(crate) cache: PathBuf,
    /// The user's policy.
    pub(crate) config: PathBuf,
}

impl Dirs {
    /// Finds the directories; creates none.
    pub(crate) fn find() -> Result<Self, Failure> {
        let of = |name: &str| env::get(name).map(PathBuf::from);
        let (state, cache, config) = (of(env::STATE_DIR), of(env::CACHE_DIR), of(env::CONFIG_DIR));
        if let (Some(state), Some(cache), Some(config)) = (&state, &cache, &config) {
            return Ok(Self {
                state: absolute(state.clone())?,
                cache: absolute(cache.clone())?,
                config: absolute(config.clone())?,
            });
        }
        let xdg = Xdg::new().map_err(|_| {
            Failure::new(ErrorKind::Unavailable, "cannot find your home directory")
                .help("set HOME, or TOOLCELL_STATE_DIR, TOOLCELL_CACHE_DIR and TOOLCELL_CONFIG_DIR")
        })?;
        if xdg.home_dir().is_relative() {
            // It would mean another place in every working directory.
            let message = format!("HOME is no absolute path: {}", xdg.home_dir().display());
            return Err(Failure::new(ErrorKind::Unavailable, message).help("set HOME"));
        }
        let own = |dir: PathBuf| dir.join("toolcell");
        // `Xdg` always knows a state directory; the fallback is what the specification names.
        let default_state = || {
            xdg.state_dir()
                .unwrap_or(xdg.home_dir().join(".local/state"))
        };
        Ok(Self {
            state: absolute(state.unwrap_or_else(|| own(default_state())))?,
            cache: absolute(cache.unwrap_or_else(|| own(xdg.cache_dir())))?,
            config: absolute(config.unwrap_or_else(|| own(xdg.config_dir())))?,
        })
    }

    /// The audit log when nothing else is said.
    pub(crate) fn audit(&self) -> PathBuf {
        self.state.join("audit.jsonl")
    }

    /// The transcripts of runs.
    pub(crate) fn runs(&self) -> PathBuf {
        self.state.join("runs")
    }

    /// The digests of the policies that a person trusted.
    pub(crate) fn trusted(&self) -> PathBuf {
        self.state.join("trusted.json")
    }

    /// The user's own policy.
    pub(crate) fn user_policy(&self) -> PathBuf {
        self.config.join(POLICY_FILE)
    }
}

/// A path that no longer depends on the working directory.
fn absolute(path: PathBuf) -> Result<PathBuf, Failure> {
    std::path::absolute(&path).map_err(|error| Failure::io("use", &path, &error))
}

/// Creates a directory that only this user may enter, with the parents it needs.
pub(crate) fn create_private(dir: &std::path::Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| Failure::io("create the directory", dir, &error))
}

/// Replaces a file at once, readable by this user only: a reader sees the old or the new content.
pub(crate) fn write_private(path: &std::path::Path, content: &[u8]) -> Result<(), Failure> {
    let dir = path.parent().unwrap_or(std::path::Path::new("."));
    create_private(dir)?;
    replace(path, content, 0o600)
}

/// Replaces a file at once. `mode` is what the file may be at most; the process's mask holds for it as for every file.
pub(crate) fn replace(path: &std::path::Path, content: &[u8], mode: u32) -> Result<(), Failure> {
    use std::{io::Write as _, os::unix::fs::PermissionsExt as _};
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => std::path::Path::new("."),
    };
    let failed = |error: &std::io::Error| Failure::io("write", path, error);
    // A temporary file has a random name, and lies in the same directory so that it can be renamed.
    let mut file = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(mode))
        .tempfile_in(dir)
        .map_err(|error| failed(&error))?;
    file.write_all(content).map_err(|error| failed(&error))?;
    file.as_file().sync_all().map_err(|error| failed(&error))?;
    file.persist(path).map_err(|error| failed(&error.error))?;
    Ok(())
}
