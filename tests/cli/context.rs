//! `run` with files that the model knows, a memory, and a context that is too small.

use std::fs;

use serde_json::{Value, json};

use crate::{cell::Cell, runs::script};

fn run<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let usual = [
        "run",
        "go",
        "--policy",
        "policy.toml",
        "--model",
        "scripted:turns.jsonl",
    ];
    [&usual[..], more].concat()
}

/// The instructions of the only run.
fn system(cell: &Cell) -> String {
    let run = fs::read_dir(cell.state("runs"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let text = fs::read_to_string(run.path()).unwrap();
    let header: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    fs::remove_file(run.path()).unwrap();
    header["run"]["settings"]["system"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn the_model_knows_the_files_that_flags_and_policy_name() {
    let cell = Cell::new();
    cell.file("turns.jsonl", script(&[("Done.", &[])]));
    cell.file("docs/b.md", "Bees make honey.\n");
    cell.file("docs/a.md", "Ants do not.\n");
    let shown = cell
        .run(&run(&[
            "--system",
            "Be brief.",
            "--knowledge",
            "docs/*.md",
            "--knowledge",
            "none/*.md",
        ]))
        .exits(0);
    assert!(
        shown
            .stderr
            .contains("the model knows docs/a.md (13 bytes), docs/b.md (17 bytes)"),
        "{shown}"
    );
    assert!(
        shown.stderr.contains("no file matches `none/*.md`"),
        "{shown}"
    );
    let told = system(&cell);
    assert!(
        told.starts_with("Be brief.\n\nThe operator gives you these files"),
        "{told}"
    );
    assert!(told.find("Ants do not.").unwrap() < told.find("Bees make honey.").unwrap());

    let policy = fs::read_to_string(cell.path("policy.toml")).unwrap();
    cell.file(
        "policy.toml",
        format!("[context]\nknowledge = [\"docs/a.md\"]\n{policy}"),
    );
    cell.run(&run(&[])).exits(0);
    let told = system(&cell);
    assert!(
        told.contains("Ants do not.") && !told.contains("Bees"),
        "{told}"
    );
}

#[test]
fn what_the_model_shall_know_stays_below_its_directory() {
    let cell = Cell::new();
    cell.file("turns.jsonl", script(&[("Done.", &[])]));
    cell.file("outside.md", "secret");
    fs::create_dir(cell.path("docs")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", cell.path("docs/z.md")).unwrap();
    let refused = cell.run(&run(&["--knowledge", "docs/*.md"])).exits(2);
    assert!(refused.stderr.contains("docs/z.md"), "{refused}");
    let refused = cell.run(&run(&["--knowledge", "../*.md"])).exits(2);
    assert!(
        refused.stderr.contains("leads out of the directory"),
        "{refused}"
    );
    cell.file("docs/z.md.bin", [0xff, 0xfe]);
    let refused = cell.run(&run(&["--knowledge", "docs/*.bin"])).exits(2);
    assert!(refused.stderr.contains("no UTF-8 text"), "{refused}");
}

#[test]
fn a_memory_lasts_from_run_to_run_and_leads_nowhere_else() {
    let cell = Cell::new();
    let create =
        json!({ "command": "create", "path": "/memories/notes.md", "file_text": "Likes tea.\n" });
    let away = json!({ "command": "view", "path": "/memories/away/passwd" });
    let (create, away) = ([("memory", create)], [("memory", away)]);
    let turns: Vec<(&str, &[(&str, Value)])> = vec![
        ("I note it.", &create),
        ("I look elsewhere.", &away),
        ("Done.", &[]),
    ];
    cell.file("turns.jsonl", script(&turns));
    fs::create_dir(cell.path("mine")).unwrap();
    std::os::unix::fs::symlink("/etc", cell.path("mine/away")).unwrap();
    let json = cell
        .run(&run(&["--memory", "mine", "--json"]))
        .exits(0)
        .json();
    assert_eq!(json["data"]["calls"][0]["code"], Value::Null, "{json}");
    assert_eq!(json["data"]["calls"][1]["code"], "denied", "{json}");
    assert_eq!(
        fs::read_to_string(cell.path("mine/notes.md")).unwrap(),
        "Likes tea.\n"
    );
    fs::remove_file(cell.path("mine/away")).unwrap();
    let told = system(&cell);
    assert!(
        told.contains("You have a memory") && !told.contains("/memories/notes.md"),
        "{told}"
    );

    // The policy may say it as well, and the directory is made where it is missing.
    let policy = fs::read_to_string(cell.path("policy.toml")).unwrap();
    cell.file(
        "policy.toml",
        format!("[context]\nmemory = \"mine\"\n{policy}"),
    );
    cell.file("turns.jsonl", script(&[("Done.", &[])]));
    cell.run(&run(&[])).exits(0);
    assert!(system(&cell).contains("- /memories/notes.md (11 bytes)"));
    let tools = cell.run(&["tools", "--policy", "policy.toml"]).exits(0);
    assert!(tools.stdout.contains("memory"), "{tools}");
    let fresh = fs::read_to_string(cell.path("policy.toml"))
        .unwrap()
        .replace("mine", "new/one");
    cell.file("policy.toml", fresh);
    cell.run(&run(&[])).exits(0);
    assert!(cell.path("new/one").is_dir());
    assert!(system(&cell).contains("It is empty so far."));
}

#[test]
fn a_policy_with_a_tool_of_that_name_keeps_it() {
    let cell = Cell::new();
    cell.file("turns.jsonl", script(&[("Done.", &[])]));
    let policy = fs::read_to_string(cell.path("policy.toml")).unwrap();
    cell.file(
        "policy.toml",
        format!("{policy}\n[tool.memory]\nfrom = \"builtin:calc\"\n"),
    );
    let refused = cell.run(&run(&["--memory", "mine"])).exits(2);
    assert!(
        refused.stderr.contains("a tool `memory` of its own"),
        "{refused}"
    );
}

#[test]
fn a_small_context_gives_way_and_says_so() {
    let cell = Cell::new();
    cell.file("workspace/long.txt", "a line of the file\n".repeat(400));
    let read = [("files_read", json!({ "path": "/work/long.txt" }))];
    let again = [(
        "files_read",
        json!({ "path": "/work/long.txt", "limit": 300 }),
    )];
    let turns: Vec<(&str, &[(&str, Value)])> = vec![
        ("One.", &read),
        ("Two.", &again),
        // A summary is a turn too.
        ("The file was read twice.", &[]),
        ("Three.", &again),
        ("The file was read three times.", &[]),
        ("Done.", &[]),
    ];
    cell.file("turns.jsonl", script(&turns));
    let small = [
        "--window",
        "5000",
        "--result-tokens",
        "1000",
        "--keep-turns",
        "1",
    ];
    let shown = cell.run(&run(&small)).exits(0);
    assert!(shown.stderr.contains("the model got "), "{shown}");
    assert!(
        shown.stderr.contains("the conversation gave way: "),
        "{shown}"
    );
    let wrong = cell.run(&run(&["--compact-at", "2"])).exits(2);
    assert!(
        wrong
            .stderr
            .contains("compact_at must be above 0 and at most 1"),
        "{wrong}"
    );
}
