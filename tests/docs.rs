//! What is written by hand agrees with the code: every policy and manifest in it is parsed and its expectations hold,
//! links lead somewhere, and the tests and constants that it names exist. The tables of limits are made here:
//! `INSTA_UPDATE=always cargo test -p toolcell-cli --test docs` writes them anew.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails may panic"
)]

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

#[path = "attacks/rows.rs"]
mod rows;

use toolcell_policy::{Layers, Limits, Manifest, Policy, SharedLimits};

/// The repository.
fn root() -> PathBuf {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = crate_dir.ancestors().nth(3);
    root.expect("the crate lies three levels deep").to_owned()
}

/// Every page, by its path from the root.
fn all_pages() -> Vec<String> {
    let mut pages: Vec<String> = fs::read_dir(root().join("docs"))
        .expect("docs can be listed")
        .map(|entry| entry.expect("docs can be listed").file_name())
        .map(|name| format!("docs/{}", name.to_string_lossy()))
        .filter(|page| page.ends_with(".md"))
        .collect();
    let top = ["README", "ARCHITECTURE", "CONTRIBUTING", "SECURITY"];
    pages.extend(top.map(|name| format!("{name}.md")));
    pages.push("guest-tools/README.md".to_owned());
    pages.sort();
    pages
}

fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// A fenced block: the line it starts at, its language, its text.
struct Block {
    line: usize,
    language: String,
    text: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open = false;
    for (number, line) in (1..).zip(text.lines()) {
        match (line.trim_start().strip_prefix("```"), found.last_mut()) {
            (Some(_), _) if open => open = false,
            (Some(language), _) => {
                open = true;
                found.push(Block {
                    line: number,
                    language: language.to_owned(),
                    text: String::new(),
                });
            }
            (None, Some(block)) if open => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, _) => {}
        }
    }
    found
}

const LIMITS_BEGIN: &str = "<!-- limits:begin";
const LIMITS_END: &str = "<!-- limits:end -->";

fn limits() -> String {
    let mut table = String::from(
        "| limit | what is limited | default | at most |\n| --- | --- | --- | --- |\n",
    );
    for info in Limits::CATALOGUE {
        let shown = |value| match info.key {
            "rate" => format!("{} in one period", info.show(value)),
            _ => info.show(value),
        };
        let default = info.default.map_or("no limit".to_owned(), shown);
        let (key, what, most) = (info.key, info.what, shown(info.max));
        writeln!(table, "| `{key}` | {what} | {default} | {most} |").unwrap();
    }
    table
}

/// A page with the table of limits that it should have.
fn with_limits(page: &str) -> String {
    let text = read(page);
    let parts = text.split_once(LIMITS_BEGIN).and_then(|(before, rest)| {
        let (note, rest) = rest.split_once('\n')?;
        let (_, after) = rest.split_once(LIMITS_END)?;
        Some((before, note, after))
    });
    let (before, note, after) = parts.unwrap_or_else(|| panic!("{page} has no place for limits"));
    format!(
        "{before}{LIMITS_BEGIN}{note}\n{}{LIMITS_END}{after}",
        limits()
    )
}

const SHARED_BEGIN: &str = "<!-- shared-limits:begin";
const SHARED_END: &str = "<!-- shared-limits:end -->";

fn shared_limits() -> String {
    let mut table = String::from(
        "| table | limit | what is limited | default | at most |\n| --- | --- | --- | --- | --- |\n",
    );
    for (name, catalogue) in [
        ("session", SharedLimits::SESSION),
        ("host", SharedLimits::HOST),
    ] {
        for info in catalogue {
            let rate = if info.key == "rate" {
                " in one period"
            } else {
                ""
            };
            let default = match (info.default, info.key) {
                (Some(value), _) => info.show(value),
                (None, "concurrency") => "the engine's places, 64".to_owned(),
                (None, _) => "no limit".to_owned(),
            };
            let (key, what, most) = (info.key, info.what, info.show(info.max));
            writeln!(
                table,
                "| `[{name}]` | `{key}` | {what} | {default} | {most}{rate} |"
            )
            .unwrap();
        }
    }
    table
}

#[test]
fn the_table_of_limits_on_many_calls_says_what_the_code_does() {
    let page = "docs/limits.md";
    let text = read(page);
    let parts = text.split_once(SHARED_BEGIN).and_then(|(before, rest)| {
        let (note, rest) = rest.split_once('\n')?;
        let (_, after) = rest.split_once(SHARED_END)?;
        Some((before, note, after))
    });
    let (before, note, after) = parts.expect("the page has a place for them");
    let wanted = format!(
        "{before}{SHARED_BEGIN}{note}\n{}{SHARED_END}{after}",
        shared_limits()
    );
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::write(root().join(page), &wanted).unwrap();
    }
    assert!(
        read(page) == wanted,
        "the limits in {page} differ from the code; see the top of this file"
    );
}

#[test]
fn the_tables_of_limits_say_what_the_code_does() {
    for page in ["README.md", "docs/limits.md"] {
        let wanted = with_limits(page);
        if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
            fs::write(root().join(page), &wanted).unwrap();
        }
        assert!(
            read(page) == wanted,
            "the limits in {page} differ from the code; see the top of this file"
        );
    }
}

#[test]
fn every_policy_and_manifest_is_valid_and_every_expectation_holds() {
    let mut policies = 0;
    for page in all_pages() {
        for block in blocks(&read(&page)) {
            let name = format!("{page}:{}", block.line);
            let first = block.text.lines().next().unwrap_or_default();
            if block.language != "toml" || first.starts_with("# Cargo.toml") {
                continue;
            }
            if first.starts_with("# tool.toml") {
                let manifest = Manifest::parse(&name, &block.text);
                manifest.unwrap_or_else(|problems| panic!("{name}\n{problems}"));
                continue;
            }
            let policy = Policy::parse(&name, &block.text);
            let policy = policy.unwrap_or_else(|problems| panic!("{name}\n{problems}"));
            policies += 1;
            for outcome in Layers::from(policy).test(&[]) {
                let rule = &outcome.expectation.rule;
                assert!(outcome.passed, "{rule}: {:?}", outcome.verdict);
            }
        }
    }
    assert!(policies > 10, "only {policies} policies were found");
}

/// What a heading is called in a link, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut dead = Vec::new();
    for page in all_pages() {
        let text = read(&page);
        let code: Vec<String> = blocks(&text).into_iter().map(|it| it.text).collect();
        let mut prose = text.clone();
        for block in &code {
            prose = prose.replace(block, "");
        }
        for rest in prose.split("](").skip(1) {
            let link = rest.split(')').next().unwrap_or_default();
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => root().join(&page),
                path => root().join(&page).with_file_name("").join(path),
            };
            let known = || anchors(&fs::read_to_string(&target).unwrap_or_default());
            let there =
                target.exists() && (fragment.is_empty() || known().iter().any(|it| it == fragment));
            if !there {
                dead.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

/// The texts in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_test_that_security_names_exists() {
    let text = read("SECURITY.md");
    let mut all = String::new();
    sources(&root().join("host"), &mut all);
    sources(&root().join("tests"), &mut all);
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let test = |name: &&str| {
        let word = name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        word && name.matches('_').count() > 1
    };
    let named: Vec<&str> = rows.flat_map(quoted).filter(test).collect();
    assert!(named.len() > 100, "only {} tests were found", named.len());
    for name in named {
        assert!(all.contains(&format!("fn {name}(")), "there is no {name}");
    }
}

const ATTACKS_BEGIN: &str = "<!-- generated: attacks";
const ATTACKS_INTRO: &str = "\
The attacks on files, resources and secrets, by what is loaded and over the network are run under their own names, such as
`attack_f1_process`: `cargo nextest run -E 'test(/attack/)'`. **thread** and **process** are the two kinds of isolation; a second mark there says
that the attack is also run where the system call openat2 fails, as on an old kernel. **seen without** is the twin of each
attack: without the defence the same attack must succeed, or the test could not fail.

";
const ATTACKS_END: &str = "<!-- generated: end -->";

/// What the sources say about one test of an attack: there is none, there is one, or it is ignored for a reason.
fn mark(sources: &str, name: &str) -> String {
    let found = [format!("{name} = "), format!("fn {name}(")];
    let Some(line) = found.iter().find_map(|it| sources.find(it)) else {
        return "–".to_owned();
    };
    let before = sources[..line].lines().rev().take(2).collect::<String>();
    match before
        .split_once("#[ignore = \"")
        .and_then(|(_, rest)| rest.split_once('"'))
    {
        Some((reason, _)) => format!("no: {reason}"),
        None => "✓".to_owned(),
    }
}

/// The tables of the attacks that have tests under their own names.
fn attacks() -> String {
    let mut all = String::new();
    sources(&root().join("tests/attacks"), &mut all);
    sources(&root().join("tests/cli"), &mut all);
    let mut text = ATTACKS_INTRO.to_owned();
    for (letter, title, group) in rows::GROUPS {
        if group.is_empty() {
            continue;
        }
        writeln!(text, "### {title}\n").unwrap();
        text +=
            "| id | attack | what holds | thread | process | seen without | tests of the parts |\n";
        text += "| --- | --- | --- | --- | --- | --- | --- |\n";
        for row in *group {
            assert!(row.id.starts_with(letter));
            let id = row.id.to_lowercase();
            let both = |isolation: &str| {
                let plain = mark(&all, &format!("attack_{id}_{isolation}"));
                let without = mark(&all, &format!("attack_{id}_{isolation}_without_openat2"));
                if without == "–" {
                    plain
                } else {
                    format!("{plain} {without}")
                }
            };
            let twin = mark(&all, &format!("attack_{id}_is_seen_without_its_defence"));
            let parts: Vec<String> = row.parts.iter().map(|it| format!("`{it}`")).collect();
            writeln!(
                text,
                "| {} | {} | {} | {} | {} | {twin} | {} |",
                row.id,
                row.attack,
                row.defence,
                both("thread"),
                both("process"),
                parts.join(", ")
            )
            .unwrap();
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_tables_of_attacks_say_what_the_tests_are() {
    let page = read("SECURITY.md");
    let (before, rest) = page
        .split_once(ATTACKS_BEGIN)
        .expect("there is a place for the tables");
    let (note, rest) = rest.split_once('\n').unwrap();
    let (_, after) = rest.split_once(ATTACKS_END).expect("the tables end");
    let wanted = format!(
        "{before}{ATTACKS_BEGIN}{note}\n\n{}{ATTACKS_END}{after}",
        attacks()
    );
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::write(root().join("SECURITY.md"), &wanted).unwrap();
    }
    assert!(
        read("SECURITY.md") == wanted,
        "the attacks in SECURITY.md differ from the tests; see the top of this file"
    );
}

#[test]
fn every_attack_has_its_tests() {
    let mut all = String::new();
    sources(&root().join("tests/attacks"), &mut all);
    sources(&root().join("tests/cli"), &mut all);
    let mut missing = Vec::new();
    for row in rows::GROUPS.iter().flat_map(|(_, _, rows)| *rows) {
        for suffix in ["thread", "is_seen_without_its_defence"] {
            let name = format!("attack_{}_{suffix}", row.id.to_lowercase());
            if mark(&all, &name) == "–" {
                missing.push(name);
            }
        }
    }
    assert!(missing.is_empty(), "there is no {}", missing.join(", "));
    for name in all.split("attack_").skip(1) {
        let id = name.split('_').next().unwrap_or_default().to_uppercase();
        let listed = rows::GROUPS
            .iter()
            .flat_map(|(_, _, rows)| *rows)
            .any(|row| row.id == id);
        let is_id = id.len() > 1 && id[1..].chars().all(|c| c.is_ascii_digit());
        assert!(
            !is_id || listed,
            "attack_{} is in no row",
            id.to_lowercase()
        );
    }
}

#[test]
fn every_ceiling_that_limits_names_exists() {
    let text = read("docs/limits.md");
    let mut source = String::new();
    sources(&root().join("host"), &mut source);
    let ceilings = text.lines().filter(|line| line.starts_with("| "));
    for name in ceilings.flat_map(|row| quoted(row.rsplit(" | ").next().unwrap_or_default())) {
        let constant = name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        let wanted = format!("const {name}:");
        assert!(!constant || source.contains(&wanted), "{name}");
    }
}

/// Everything under a directory that is Rust.
fn sources(dir: &Path, all: &mut String) {
    for entry in fs::read_dir(dir).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|it| it == "rs") {
            all.push_str(&fs::read_to_string(path).expect("it can be read"));
        }
    }
}

/// A page with this text between two marks.
fn between(page: &str, name: &str, text: &str) -> String {
    let old = read(page);
    let (begin, end) = (format!("<!-- {name}:begin"), format!("<!-- {name}:end -->"));
    let parts = old.split_once(&begin).and_then(|(before, rest)| {
        let (note, rest) = rest.split_once('\n')?;
        let (_, after) = rest.split_once(&end)?;
        Some((before, note, after))
    });
    let (before, note, after) = parts.unwrap_or_else(|| panic!("{page} has no place for {name}"));
    format!("{before}{begin}{note}\n{text}{end}{after}")
}

fn spans() -> String {
    let all = toolcell_agent::metrics::SPANS.iter();
    let mut text = String::new();
    for span in all.chain(toolcell::telemetry::SPANS) {
        write!(
            text,
            "\n`{}`: {}.\n\n| attribute | says |\n| --- | --- |\n",
            span.name, span.about
        )
        .unwrap();
        for (name, says) in span.attributes {
            writeln!(text, "| `{name}` | {says} |").unwrap();
        }
    }
    text.push('\n');
    text
}

fn metrics() -> String {
    let mut text = String::from("\n| metric | kind | labels | says |\n| --- | --- | --- | --- |\n");
    let all = toolcell_agent::metrics::METRICS.iter();
    for metric in all.chain(toolcell::telemetry::METRICS) {
        let labels: Vec<String> = metric.labels.iter().map(|it| format!("`{it}`")).collect();
        let (name, kind, about) = (metric.name, metric.kind.name(), metric.about);
        writeln!(
            text,
            "| `{name}` | {kind}, {} | {} | {about} |",
            metric.unit,
            labels.join(", ")
        )
        .unwrap();
    }
    text.push('\n');
    text
}

#[test]
fn the_tables_of_telemetry_say_what_the_code_does() {
    let page = "docs/telemetry.md";
    for (name, text) in [("spans", spans()), ("metrics", metrics())] {
        let wanted = between(page, name, &text);
        if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
            fs::write(root().join(page), &wanted).unwrap();
        }
        assert!(
            read(page) == wanted,
            "the {name} in {page} differ from the code; see the top of this file"
        );
    }
}
