//! The README's first program, which is how a program embeds the host: it is run here, word for word.
//!
//! Its tool runs in a worker, and that is this program, started again: so this test has its own `main`.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops where something is wrong, and the README prints"
)]

mod common;
#[path = "confinement/harness.rs"]
mod harness;

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use serde_json::json;
use toolcell::{Policy, ToolCall, ToolHost};

/// The argument with which this program is the README's.
const AS_README: &str = "--as-readme";

/// The README's program, in whose directory there are a policy and a tool.
#[rustfmt::skip]
fn readme() -> Result<(), Box<dyn std::error::Error>> {
    // readme:begin
    toolcell::worker::run_if_worker(); // first of all: confined workers are this very program, started again
    tokio::runtime::Runtime::new()?.block_on(async {
        let policy = Policy::from_toml(&std::fs::read_to_string("toolcell.toml")?)?;
        let host = ToolHost::builder().policy(policy).build()?;
        host.load_file("weather.wasm").await?;
        let result = host.call(ToolCall::new("weather", json!({ "city": "Lisbon" }))).await?;
        println!("{}", result.text());
        Ok(())
    })
    // readme:end
}

fn main() -> ExitCode {
    toolcell::worker::run_if_worker();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == [AS_README] {
        readme().unwrap();
        return ExitCode::SUCCESS;
    }
    harness::run(
        &arguments,
        &[
            (
                "the_readme_shows_what_runs_here",
                the_readme_shows_what_runs_here,
            ),
            ("it_loads_a_tool_and_calls_it", it_loads_a_tool_and_calls_it),
        ],
    )
}

fn lines(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty()).collect()
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(begin).expect("the text has a beginning");
    rest.split_once(end).expect("the text has an end").0
}

fn the_readme_shows_what_runs_here() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let block = between(&readme, "```rust", "```");
    let (_, body) = block
        .split_once("fn main()")
        .expect("it is a whole program");
    let mut shown = lines(body);
    shown.remove(0);
    assert_eq!(shown.pop(), Some("}"));
    let here = include_str!("embedding.rs");
    assert_eq!(
        shown,
        lines(between(here, "// readme:begin", "// readme:end"))
    );
}

fn it_loads_a_tool_and_calls_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(common::guest("weather"), dir.path().join("weather.wasm")).unwrap();
    let policy = "[default.limits]\ntime = \"10s\"\n";
    fs::write(dir.path().join("toolcell.toml"), policy).unwrap();
    let ran = Command::new(std::env::current_exe().unwrap())
        .arg(AS_README)
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&ran.stdout),
        "It is sunny in Lisbon.\n",
        "{ran:?}"
    );
}
