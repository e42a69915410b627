//! A place of its own for each test: a working directory, a home, and an environment that holds nothing else.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use tempfile::TempDir;

/// A policy that lets the built-in tools read and write `workspace`.
pub(crate) const POLICY: &str = r#"
[tool.files]
from = "builtin:files"
files = [{ host = "workspace", guest = "/work", access = "write" }]

[tool.calc]
from = "builtin:calc"

[tool.fetch]
from = "builtin:fetch"
net = [{ to = "https://api.example.com", methods = ["GET"], paths = ["/v1/**"] }]
"#;

pub(crate) struct Cell {
    dir: TempDir,
    env: Vec<(String, String)>,
}

impl Cell {
    /// An empty place.
    pub(crate) fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        Self {
            dir,
            env: Vec::new(),
        }
    }

    /// A place with a workspace and a policy for it in `policy.toml`.
    pub(crate) fn new() -> Self {
        let cell = Self::empty();
        cell.file("policy.toml", POLICY);
        cell.file("workspace/a.txt", "first\nsecond\n");
        cell
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A path in the working directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("work").join(name)
    }

    /// A path in the state directory.
    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.dir.path().join("state").join(name)
    }

    /// Writes a file in the working directory.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let root = self.dir.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_toolcell"));
        command
            .args(arguments)
            .current_dir(root.join("work"))
            .env_clear()
            .env("HOME", root.join("home"))
            .env("TMPDIR", root)
            .env("TOOLCELL_STATE_DIR", root.join("state"))
            .env("TOOLCELL_CONFIG_DIR", root.join("config"))
            // Compiling the built-in tools for every test again would take most of the time.
            .env(
                "TOOLCELL_CACHE_DIR",
                Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli-cache"),
            )
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs `toolcell` without a terminal.
    pub(crate) fn run(&self, arguments: &[&str]) -> Shown {
        let output = self.command(arguments).output().unwrap();
        self.shown(arguments, &output)
    }

    /// Runs `toolcell` with something on standard input.
    pub(crate) fn run_with(&self, input: &str, arguments: &[&str]) -> Shown {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        self.shown(arguments, &child.wait_with_output().unwrap())
    }

    /// Starts `toolcell` and leaves it running.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// The command at a terminal of its own, whose keys are what is written to standard input. The script `around` has
    /// the command as `"$0" "$@"`.
    pub(crate) fn start_at_terminal(&self, around: &str, arguments: &[&str]) -> Child {
        let plain = self.command(arguments);
        let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.display());
        let words: Vec<String> = plain.get_args().map(quoted).collect();
        let program = quoted(plain.get_program());
        self.file("around.sh", around);
        let line = format!("sh -c '. ./around.sh' {program} {}", words.join(" "));
        let mut command = Command::new("script");
        command
            .args([
                "--quiet",
                "--return",
                "--flush",
                "--command",
                &line,
                "/dev/null",
            ])
            .current_dir(plain.get_current_dir().unwrap())
            .env_clear();
        let set = plain
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)));
        command.envs(set).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Starts `toolcell` with a pipe as its standard input.
    pub(crate) fn start_with_input(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Starts `toolcell` with pipes for all that it reads and says.
    pub(crate) fn start_in_background(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).spawn().unwrap()
    }

    /// The same behind a shell, to whose script `"$0" "$@"` is the command.
    pub(crate) fn start_in_shell(&self, script: &str, arguments: &[&str]) -> Child {
        let plain = self.command(arguments);
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(plain.get_program());
        command.args(plain.get_args());
        command
            .current_dir(plain.get_current_dir().unwrap())
            .env_clear();
        let set = plain
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)));
        command.envs(set);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(Stdio::null()).spawn().unwrap()
    }

    /// Starts `toolcell` with standard output going elsewhere.
    pub(crate) fn start_into(&self, arguments: &[&str], stdout: Stdio) -> Child {
        self.command(arguments).stdout(stdout).spawn().unwrap()
    }

    pub(crate) fn shown(&self, arguments: &[&str], output: &Output) -> Shown {
        let root = self.dir.path().display().to_string();
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec())
                .unwrap()
                .replace(&root, "[DIR]")
                .replace(env!("CARGO_BIN_EXE_toolcell"), "toolcell")
        };
        Shown {
            line: format!("toolcell {}", arguments.join(" ")).replace(&root, "[DIR]"),
            status: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

/// What a command showed.
#[derive(Debug)]
pub(crate) struct Shown {
    line: String,
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Shown {
    /// The one JSON object on standard output.
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap()
    }

    pub(crate) fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{self}");
        self
    }
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "$ {}", self.line)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                writeln!(f, "--- {name}")?;
                f.write_str(text)?;
                if !text.ends_with('\n') {
                    writeln!(f, "[no newline]")?;
                }
            }
        }
        match self.status {
            Some(status) => writeln!(f, "--- exit {status}"),
            None => writeln!(f, "--- killed"),
        }
    }
}

/// Compares what commands showed with a golden file. What differs each time is replaced by a word in brackets.
macro_rules! golden {
    ($name:literal, $($shown:expr),+ $(,)?) => {{
        let shown = [$($shown.to_string()),+].join("\n");
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        for (pattern, word) in crate::cell::CHANGING {
            settings.add_filter(pattern, *word);
        }
        settings.bind(|| insta::assert_snapshot!($name, shown));
    }};
}
pub(crate) use golden;

/// What differs each time, and its word.
pub(crate) const CHANGING: &[(&str, &str)] = &[
    (r"call_[0-9a-f]{32}", "[CALL]"),
    (r"\b[0-9a-f]{64}\b", "[HASH]"),
    (r"\br[0-9a-f]{8}\b", "[RUN]"),
    (r"toolcell-demo-\w+", "toolcell-demo-[RANDOM]"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+Z)?", "[TIME]"),
    (r" *\b\d+(\.\d)? (µs|ms|s)\b", " [DURATION]"),
    (
        r#""(cpu_us|wall_us|memory_peak_bytes|time_ms)":\d+"#,
        r#""$1":[N]"#,
    ),
    (r"\b\d+ tokens, \d+\.\d+ USD", "[N] tokens, [COST] USD"),
    (r"size     .*", "size     [SIZE]"),
    (r"asked for \d+ bytes", "asked for [N] bytes"),
    (r"\d+ records", "[N] records"),
    (r"toolcell \d+\.\d+\.\d+", "toolcell [VERSION]"),
];
