//! The README's first lines, which are how a program embeds the host: they are run here, word for word.
//!
//! The tool runs in a worker, and that is this program, started again: so this test has its own `main`.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops where something is wrong, and the README prints"
)]

mod common;
#[path = "confinement/harness.rs"]
mod harness;

use std::{fs, path::Path};

use serde_json::json;
use toolcell::{Policy, ToolCall, ToolHost};

const POLICY: &str = "[default.limits]\ntime = \"10s\"\n";

/// The README's lines. The directory of this test's process holds `weather.wasm`.
#[rustfmt::skip]
async fn example(policy: &str) -> Result<String, Box<dyn std::error::Error>> {
    // readme:begin
    let host = ToolHost::builder().policy(Policy::from_toml(policy)?).build()?;
    host.load_file("weather.wasm").await?;
    let result = host.call(ToolCall::new("weather", json!({ "city": "Lisbon" }))).await?;
    println!("{}", result.text());
    // readme:end
    Ok(result.text())
}

/// The lines of a text without indentation and without the ones that rustdoc hides.
fn lines(text: &str) -> Vec<&str> {
    let shown = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'));
    shown.filter(|line| !line.is_empty()).collect()
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(begin).expect("the text has a beginning");
    rest.split_once(end).expect("the text has an end").0
}

fn main() -> std::process::ExitCode {
    toolcell::worker::run_if_worker();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    harness::run(
        &arguments,
        &[
            (
                "the_readme_shows_the_lines_that_run_here",
                the_readme_shows_the_lines_that_run_here,
            ),
            ("they_load_a_tool_and_call_it", they_load_a_tool_and_call_it),
        ],
    )
}

fn the_readme_shows_the_lines_that_run_here() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let block = lines(between(&readme, "```rust", "```"));
    let shown: Vec<&str> = block
        .into_iter()
        .skip_while(|line| !line.starts_with("let host"))
        .collect();
    let here = lines(between(
        include_str!("embedding.rs"),
        "// readme:begin",
        "// readme:end",
    ));
    assert_eq!(shown, here);
}

#[tokio::main]
async fn they_load_a_tool_and_call_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(common::guest("weather"), dir.path().join("weather.wasm")).unwrap();
    // It is the only test of this file that looks at the directory it runs in.
    std::env::set_current_dir(dir.path()).unwrap();
    assert_eq!(example(POLICY).await.unwrap(), "It is sunny in Lisbon.");
}
