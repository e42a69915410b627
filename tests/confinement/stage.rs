//! The place of an attack, and how it ended.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// The first argument of a process that attacks.
pub(crate) const CHILD: &str = "--attack";
/// What an attack prints that reached what it wanted.
pub(crate) const WON: &str = "won";
/// What no attack may see.
pub(crate) const CANARY: &str = "canary 5f1c";

/// Whether an attack runs behind the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wall {
    Up,
    /// As up, but `openat2` answers that it does not exist.
    UpWithoutOpenat2,
    Down,
}

impl Wall {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::UpWithoutOpenat2 => "up-without-openat2",
            Self::Down => "down",
        }
    }
}

/// How an attack ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Won,
    /// It was told no: the message.
    Refused(String),
    /// It was killed by this signal.
    Killed(i32),
}

/// Two granted directories, `ro` and `rw`, and beside them `secret`, which holds the canary.
pub(crate) struct Stage {
    dir: TempDir,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["ro/sub", "rw/sub"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("ro/file"), "may be read").unwrap();
        fs::write(dir.path().join("rw/file"), "may be changed").unwrap();
        fs::write(dir.path().join("secret"), CANARY).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A command that runs an attack here. It has no standard input, as a worker has none.
    pub(crate) fn command(&self, attack: &str, wall: Wall, more: &[String]) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([CHILD, attack, wall.as_str()])
            .arg(std::process::id().to_string())
            .arg(self.path())
            .args(more)
            .current_dir(self.path())
            .stdin(std::process::Stdio::null());
        command
    }

    pub(crate) fn attack(&self, attack: &str, wall: Wall, more: &[String]) -> Fate {
        fate(&self.command(attack, wall, more).output().unwrap())
    }
}

pub(crate) fn fate(output: &Output) -> Fate {
    let shown = String::from_utf8_lossy(&output.stdout);
    match output.status.signal() {
        Some(signal) => Fate::Killed(signal),
        None if output.status.success() && shown.trim() == WON => Fate::Won,
        None => {
            let errors = String::from_utf8_lossy(&output.stderr);
            Fate::Refused(format!("{}{}", shown.trim(), errors.trim()))
        }
    }
}

/// Where an attack takes place, as the attacker sees it.
pub(crate) struct Scene {
    pub(crate) dir: PathBuf,
    pub(crate) parent: u32,
    pub(crate) more: Vec<String>,
}

impl Scene {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}
