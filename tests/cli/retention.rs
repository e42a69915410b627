//! Runs that were kept: listed, shown, archived with their audit records, and removed when their time is over.

use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
    time::{Duration, SystemTime},
};

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::{
    cell::{Cell, Shown},
    runs::script,
};

const RUN: &[&str] = &[
    "run",
    "look around",
    "--policy",
    "policy.toml",
    "--model",
    "scripted:turns.jsonl",
    "--json",
];

/// A place where runs read a file, are refused another, and end.
fn place(retention: &str) -> Cell {
    let cell = Cell::new();
    let policy = fs::read_to_string(cell.path("policy.toml")).unwrap();
    cell.file("policy.toml", format!("{policy}\n{retention}"));
    let read = |path: &str| ("files_read", json!({ "path": path }));
    let turns = [
        ("I look.", &[read("/work/a.txt")][..]),
        ("And there.\u{1b}[2J", &[read("/etc/passwd")][..]),
        ("Done.", &[]),
    ];
    cell.file("turns.jsonl", script(&turns));
    cell
}

/// A run, by its id.
fn run(cell: &Cell) -> String {
    let json = cell.run(RUN).exits(0).json();
    json["data"]["run_id"].as_str().unwrap().to_owned()
}

fn runs(cell: &Cell, more: &[&str]) -> Shown {
    cell.run(&[&["runs"], more, &["--policy", "policy.toml"]].concat())
}

fn transcript(cell: &Cell, id: &str) -> std::path::PathBuf {
    cell.state("runs").join(format!("{id}.jsonl"))
}

/// Makes a run as old as if it had ended so many days ago.
fn age(cell: &Cell, id: &str, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
    let file = File::options()
        .write(true)
        .open(transcript(cell, id))
        .unwrap();
    file.set_modified(then).unwrap();
}

fn unpacked(path: &Path) -> String {
    let mut text = String::new();
    GzDecoder::new(File::open(path).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    text
}

#[test]
fn runs_are_listed_and_shown() {
    let cell = place("");
    assert_eq!(
        runs(&cell, &["list"]).exits(0).stdout,
        "no run was kept yet\n"
    );
    let (old, new) = (run(&cell), run(&cell));
    age(&cell, &old, 1);
    fs::write(cell.state("runs").join("rbroken.jsonl"), "no transcript\n").unwrap();
    fs::write(cell.state("runs").join("notes.txt"), "no run").unwrap();
    let listed = runs(&cell, &["list", "--json"]).exits(0).json();
    let list = listed["data"]["runs"].as_array().unwrap();
    assert_eq!(listed["data"]["total"], 3);
    let ids: Vec<&str> = list.iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["rbroken", &new, &old], "the newest first");
    assert!(list[0]["unreadable"].as_str().unwrap().contains("header"));
    let short = &list[1]["run"];
    assert_eq!(
        (&short["task"], &short["outcome"], &short["turns"]),
        (&json!("look around"), &json!("finished"), &json!(3))
    );
    assert_eq!(
        (&short["model"], &short["cost_micro_usd"], &short["calls"]),
        (&json!("scripted"), &json!(0), &json!(2))
    );
    let people = runs(&cell, &["list", "--last", "2"]).exits(0);
    for says in [
        &new[..],
        "finished",
        "scripted, 3 turns, 0.0000 USD",
        "look around",
        "2 of 3",
    ] {
        assert!(people.stdout.contains(says), "{says}: {people}");
    }

    let shown = runs(&cell, &["show", &new]).exits(0);
    for says in [
        "task\nlook around",
        "I look.",
        "→ files_read",
        "first",
        "denied read /etc/passwd",
        "— finished —",
    ] {
        assert!(shown.stdout.contains(says), "{says}: {shown}");
    }
    assert!(
        !shown.stdout.contains('\u{1b}'),
        "nothing steers the terminal: {shown}"
    );
    let steps = runs(&cell, &["show", &new, "--json"]).exits(0).json();
    assert_eq!(steps["data"]["steps"][2]["step"], "call");
    for wrong in ["r0", "../x", "rbroken"] {
        runs(&cell, &["show", wrong]).exits(2);
    }
}

#[test]
fn a_run_is_archived_with_the_records_of_its_calls_and_checked_when_it_is_read() {
    let cell = place("[retention]\narchive = { path = \"archive\" }\n");
    let (other, id) = (run(&cell), run(&cell));
    let told = runs(&cell, &["archive", &id, "--remove"]).exits(0);
    assert!(
        told.stdout.contains("audit records") && told.stdout.contains("1 run archived in"),
        "{told}"
    );
    assert!(!transcript(&cell, &id).exists() && transcript(&cell, &other).exists());

    let place = cell.path("archive").join(&id);
    assert!(unpacked(&place.join("transcript.jsonl.gz")).contains("look around"));
    let records = unpacked(&place.join("audit.jsonl.gz"));
    assert!(
        records.contains("read /etc/passwd") && records.contains("toolu_0_0"),
        "{records}"
    );
    let manifest: Value =
        serde_json::from_str(&fs::read_to_string(place.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(
        (&manifest["run"], &manifest["summary"]["outcome"]),
        (&json!(id), &json!("finished"))
    );
    assert_eq!(manifest["files"][1]["lines"], records.lines().count());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&place), mode(&place.join("manifest.json"))),
            (0o700, 0o600)
        );
    }

    let listed = runs(&cell, &["list", "--archived", "--json"])
        .exits(0)
        .json();
    assert_eq!(
        (&listed["data"]["runs"][0]["id"], &listed["data"]["total"]),
        (&json!(id), &json!(1))
    );
    let shown = runs(&cell, &["show", &id]).exits(0);
    assert!(shown.stdout.contains("— finished —"), "{shown}");
    // It can be archived again, and nothing else is left lying about.
    runs(&cell, &["archive", &other]).exits(0);
    runs(&cell, &["archive", "--all"]).exits(0);
    assert_eq!(fs::read_dir(cell.path("archive")).unwrap().count(), 2);

    // Whatever is changed in it is found.
    for name in ["transcript.jsonl.gz", "audit.jsonl.gz", "manifest.json"] {
        let good = fs::read(place.join(name)).unwrap();
        let bad = match name {
            "manifest.json" => String::from_utf8(good.clone())
                .unwrap()
                .replacen("\"content_bytes\": ", "\"content_bytes\": 1", 1)
                .into_bytes(),
            _ => {
                let mut bad = good.clone();
                let at = bad.len() / 2;
                bad[at] ^= 1;
                bad
            }
        };
        assert_ne!(bad, good);
        fs::write(place.join(name), bad).unwrap();
        let told = runs(&cell, &["show", &id, "--json"]).exits(1).json();
        assert_eq!(told["error"]["code"], "digest_mismatch", "{name}");
        fs::write(place.join(name), good).unwrap();
        runs(&cell, &["show", &id]).exits(0);
    }
}

#[test]
fn what_is_archived_passes_the_search_for_personal_data() {
    let cell =
        place("[retention]\narchive = { path = \"archive\" }\n[privacy]\narchive = \"mask\"\n");
    let mail = "ada.lovelace@example.com";
    cell.file("turns.jsonl", script(&[(mail, &[])]));
    let id = run(&cell);
    assert!(
        fs::read_to_string(transcript(&cell, &id))
            .unwrap()
            .contains(mail)
    );
    runs(&cell, &["archive", &id]).exits(0);
    let packed = unpacked(&cell.path("archive").join(&id).join("transcript.jsonl.gz"));
    assert!(
        packed.contains("[email]") && !packed.contains(mail),
        "{packed}"
    );
}

#[test]
fn old_runs_go_and_one_that_is_going_on_stays() {
    let cell = place("");
    let ids = [run(&cell), run(&cell), run(&cell)];
    for (id, days) in ids.iter().zip([40, 35, 1]) {
        age(&cell, id, days);
    }
    // Somebody is at the second one.
    let held = File::open(transcript(&cell, &ids[1])).unwrap();
    held.lock().unwrap();
    let nothing = runs(&cell, &["prune"]).exits(2);
    assert!(
        nothing.stderr.contains("nothing says what is to go"),
        "{nothing}"
    );
    let dry = runs(&cell, &["prune", "--age", "30d", "--dry-run", "--json"])
        .exits(0)
        .json();
    assert_eq!(
        (&dry["data"]["runs"], &dry["data"]["held"]),
        (&json!([ids[0]]), &json!([ids[1]]))
    );
    assert!(transcript(&cell, &ids[0]).exists());
    let told = runs(&cell, &["prune", "--age", "30d"]).exits(0);
    assert!(
        told.stdout.contains("1 run (") && told.stdout.contains("1 run kept, going on"),
        "{told}"
    );
    assert!(!transcript(&cell, &ids[0]).exists());
    assert!(transcript(&cell, &ids[1]).exists() && transcript(&cell, &ids[2]).exists());
    drop(held);
    runs(&cell, &["prune", "--size", "1B"]).exits(0);
    assert_eq!(fs::read_dir(cell.state("runs")).unwrap().count(), 0);
}

#[test]
fn a_run_tidies_up_before_it_begins_where_the_policy_says_so() {
    let cell = place(
        "[retention]\nruns = { age = \"30d\" }\narchive = { path = \"archive\", age = \"365d\" }\n",
    );
    let old = run(&cell);
    age(&cell, &old, 31);
    let told = cell.run(&RUN[..RUN.len() - 1]).exits(0);
    let lines: Vec<&str> = told
        .stderr
        .lines()
        .filter(|line| line.starts_with("retention: "))
        .collect();
    assert_eq!(lines.len(), 1, "{told}");
    assert!(
        lines[0].contains("1 run (") && lines[0].contains("1 of them archived first"),
        "{told}"
    );
    assert!(!transcript(&cell, &old).exists());
    runs(&cell, &["show", &old]).exits(0);
    // There is nothing to say the next time.
    let told = cell.run(&RUN[..RUN.len() - 1]).exits(0);
    assert!(!told.stderr.contains("retention:"), "{told}");
    // The archive has a time of its own.
    let manifest = cell.path("archive").join(&old).join("manifest.json");
    let then = SystemTime::now() - Duration::from_secs(366 * 24 * 3600);
    File::options()
        .write(true)
        .open(&manifest)
        .unwrap()
        .set_modified(then)
        .unwrap();
    let told = cell.run(&RUN[..RUN.len() - 1]).exits(0);
    assert!(told.stderr.contains("1 archived run removed"), "{told}");
    assert!(!manifest.exists());
}

#[test]
fn a_place_that_cannot_be_written_keeps_the_runs_and_no_run_from_beginning() {
    let cell =
        place("[retention]\nruns = { age = \"30d\" }\narchive = { path = \"policy.toml\" }\n");
    let old = run(&cell);
    age(&cell, &old, 31);
    let told = cell.run(&RUN[..RUN.len() - 1]).exits(0);
    assert!(told.stderr.contains("retention: "), "{told}");
    assert!(
        transcript(&cell, &old).exists(),
        "what could not be archived is not removed"
    );
    runs(&cell, &["archive", &old]).exits(1);
    let nowhere = place("");
    let id = run(&nowhere);
    let told = runs(&nowhere, &["archive", &id]).exits(2);
    assert!(
        told.stderr.contains("names no place for archived runs"),
        "{told}"
    );
}
