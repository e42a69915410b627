//! A Redis server of a test's own, which ends with the test.

#![allow(
    dead_code,
    clippy::panic,
    reason = "each test uses its part, and a test that fails may panic"
)]

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
};

use tempfile::TempDir;

/// Where the server listens beside nothing at all: a socket in a directory of its own.
pub(crate) struct RedisServer {
    child: Child,
    /// What it says is read by nobody any more; without a reader it would be told so.
    _says: BufReader<ChildStdout>,
    dir: TempDir,
    arguments: Vec<String>,
}

impl RedisServer {
    /// Starts a server with these arguments besides. There is none where `TOOLCELL_TEST_REDIS=off` says that this machine
    /// does without: the test is left out then.
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        if std::env::var("TOOLCELL_TEST_REDIS").is_ok_and(|it| it == "off") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
        let (child, says) = spawn(&dir, &arguments);
        Some(Self {
            child,
            _says: says,
            dir,
            arguments,
        })
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Ends it, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let _ = std::fs::remove_file(self.socket());
    }

    /// Starts it again at the same place; it has forgotten everything.
    pub(crate) fn again(&mut self) {
        (self.child, self._says) = spawn(&self.dir, &self.arguments);
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server, as soon as it answers.
fn spawn(dir: &TempDir, arguments: &[String]) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new("redis-server");
    command
        .args(["--port", "0", "--unixsocket"])
        .arg(dir.path().join("redis.sock"))
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(dir.path())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => panic!(
            "redis-server cannot be started ({error}): install the package redis-server (`make setup-redis` does), \
             or set TOOLCELL_TEST_REDIS=off to leave its tests out"
        ),
    };
    let mut says = BufReader::new(child.stdout.take().unwrap());
    let mut all = String::new();
    let mut ready = false;
    while !ready {
        let before = all.len();
        if says.read_line(&mut all).unwrap() == 0 {
            break;
        }
        ready = all[before..]
            .to_lowercase()
            .contains("ready to accept connections");
    }
    if !ready {
        let ended = child.wait();
        panic!("redis-server ended at once ({ended:?}):\n{all}");
    }
    (child, says)
}
