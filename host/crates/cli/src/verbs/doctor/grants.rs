//! What lies in granted directories and belongs to more than them: files with a second name, which may lie elsewhere, and
//! file systems that are mounted inside.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use toolcell_policy::{FileGrant, Layers};

use super::{Check, Level};
use crate::style;

/// How many entries of one directory are looked at, and for how long: the answer is a hint, and nobody waits for it.
const MAX_ENTRIES: usize = 50_000;
const MAX_TIME: Duration = Duration::from_secs(3);

/// How many of the things found are named.
const SHOWN: usize = 5;

/// What was found in one directory, by paths inside it.
#[derive(Default)]
struct Found {
    linked: Vec<PathBuf>,
    mounts: Vec<PathBuf>,
    entries: usize,
    /// Why not everything was looked at.
    stopped: Option<String>,
}

/// One check for each thing found in each granted directory, or a single good one. None where nothing is granted.
pub(super) fn check(layers: &Layers) -> Vec<Check> {
    let mut seen = BTreeSet::new();
    let mut checks = Vec::new();
    let mut entries = 0;
    for grant in layers
        .iter()
        .flat_map(|(_, policy)| policy.tools())
        .flat_map(|(_, tool)| tool.files())
    {
        let root = host_path(grant);
        // One that does not exist is told when the tool is loaded.
        let Ok(root) = root.canonicalize() else {
            continue;
        };
        if seen.insert(root.clone()) {
            let found = walk(&root, MAX_ENTRIES, Instant::now() + MAX_TIME);
            entries += found.entries;
            checks.extend(report(grant, &found));
        }
    }
    if checks.is_empty() && !seen.is_empty() {
        let grants = style::count(seen.len(), "granted place");
        let what = format!("{grants}, {entries} names in all: no hard links, no mounts");
        checks.push(Check::ok("grants", what));
    }
    checks
}

fn host_path(grant: &FileGrant) -> PathBuf {
    match &grant.base {
        Some(base) => Path::new(base).join(&grant.host),
        None => PathBuf::from(&grant.host),
    }
}

fn report(grant: &FileGrant, found: &Found) -> Vec<Check> {
    let place = format!("{} at {} ({})", grant.host, grant.guest, grant.rule);
    let mut checks = Vec::new();
    let mut note = |what: String, help: &str| {
        checks.push(Check::new("grants", Level::Note, format!("{place}: {what}")).help(help));
    };
    if !found.linked.is_empty() {
        let count = style::count(found.linked.len(), "file");
        note(
            format!("{count} with a second name: {}", named(&found.linked)),
            "a hard link is the same file under all its names, and toolcell cannot see where the others are: if one lies \
             outside, the tool reaches that file too; copy the file to be sure",
        );
    }
    if !found.mounts.is_empty() {
        note(
            format!("mounted inside: {}", named(&found.mounts)),
            "what is mounted there is granted with the directory, except for file systems that show the kernel's own \
             state; unmount it, or grant a directory beside it",
        );
    }
    if let Some(why) = &found.stopped {
        note(
            format!("not everything was looked at: {why}"),
            "hard links and mounts beyond that are not told here",
        );
    }
    checks
}

fn named(paths: &[PathBuf]) -> String {
    let mut names: Vec<String> = paths
        .iter()
        .take(SHOWN)
        .map(|path| path.display().to_string())
        .collect();
    if paths.len() > SHOWN {
        names.push(format!("{} more", paths.len() - SHOWN));
    }
    names.join(", ")
}

/// Looks at what lies beneath a directory, without following links and without entering other file systems.
fn walk(root: &Path, max_entries: usize, until: Instant) -> Found {
    let mut found = Found::default();
    let Ok(own) = fs::metadata(root) else {
        found.stopped = Some("it cannot be read".into());
        return found;
    };
    let mut unread = 0;
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            unread += 1;
            continue;
        };
        for entry in entries.flatten() {
            if found.entries >= max_entries || Instant::now() >= until {
                let count = found.entries;
                found.stopped = Some(format!("it stopped after {count} entries"));
                return found;
            }
            found.entries += 1;
            let path = entry.path();
            let Ok(metadata) = fs::symlink_metadata(&path) else {
                continue;
            };
            let inside = || path.strip_prefix(root).unwrap_or(&path).to_owned();
            if metadata.dev() != own.dev() {
                found.mounts.push(inside());
            } else if metadata.is_dir() {
                open.push(path);
            } else if metadata.is_file() && metadata.nlink() > 1 {
                found.linked.push(inside());
            }
        }
    }
    if unread > 0 {
        let what = format!("{unread} of its directories cannot be read");
        found.stopped = Some(what);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn hard_links_are_found_and_the_walk_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join("work");
        fs::create_dir_all(work.join("a/b")).unwrap();
        fs::write(dir.path().join("secret"), "x").unwrap();
        fs::write(work.join("plain"), "x").unwrap();
        fs::hard_link(dir.path().join("secret"), work.join("a/b/innocent")).unwrap();
        symlink("/", work.join("everything")).unwrap();
        let later = Instant::now() + Duration::from_secs(600);
        let found = walk(&work, 100, later);
        assert_eq!(found.linked, [PathBuf::from("a/b/innocent")]);
        assert_eq!((found.entries, found.mounts.len()), (5, 0));
        assert!(found.stopped.is_none());

        let found = walk(&work, 2, later);
        assert_eq!(found.stopped.unwrap(), "it stopped after 2 entries");
        let found = walk(&work, 100, Instant::now());
        assert_eq!(found.entries, 0);
    }

    #[test]
    fn what_is_found_is_told_with_its_rule_and_few_names() {
        let policy = "[tool.t]\nfiles = [{ host = \"work\", guest = \"/w\", access = \"read\" }]";
        let policy = toolcell_policy::Policy::from_toml(policy).unwrap();
        let grant = &policy.tool("t").unwrap().files()[0];
        let found = Found {
            linked: (0..7).map(|n| PathBuf::from(format!("f{n}"))).collect(),
            mounts: vec!["mnt".into()],
            entries: 9,
            stopped: Some("it stopped after 9 entries".into()),
        };
        let checks = report(grant, &found);
        assert_eq!(
            checks[0].what,
            "work at /w (toolcell.toml:2 tool.t.files[0]): 7 files with a second name: f0, f1, f2, f3, f4, 2 more"
        );
        assert!(checks[1].what.ends_with("mounted inside: mnt"));
        assert_eq!(checks.len(), 3);
        assert!(
            checks
                .iter()
                .all(|it| it.level == Level::Note && it.help.is_some())
        );
    }
}
