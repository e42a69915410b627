//! Directories: the deepest that hold everything that was touched.

use super::quoted;
use crate::{FileAccess, FileGrant, Layers, access::is_within};

/// A directory to grant.
pub(super) struct Dir {
    host: String,
    guest: String,
    access: FileAccess,
}

impl Dir {
    pub(super) fn to_toml(&self) -> String {
        format!(
            "{{ host = {}, guest = {}, access = {} }}",
            quoted(&self.host),
            quoted(&self.guest),
            quoted(&self.access.to_string())
        )
    }
}

/// The directories that the highest layer with this package grants: there it is known what they are on the host.
pub(super) fn known(layers: &Layers, package: &str) -> Vec<FileGrant> {
    let tool = layers.iter().find_map(|(_, policy)| policy.tool(package));
    tool.map(|tool| tool.files().to_vec()).unwrap_or_default()
}

/// One directory for each known one that was used, and one for each top of the tree of paths that no known one holds.
pub(super) fn smallest<'a>(
    known: &[FileGrant],
    paths: impl Iterator<Item = (&'a str, FileAccess)>,
    package: &str,
    notes: &mut Vec<String>,
) -> Vec<Dir> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (path, access) in paths {
        let grant = known.iter().find(|grant| is_within(path, &grant.guest));
        let top = match grant {
            Some(grant) => grant.guest.as_str(),
            None => top(path),
        };
        if top == "/" && grant.is_none() {
            notes.push(format!(
                "{package}: {access} {path} lies in no directory that could be granted"
            ));
            continue;
        }
        let parent = if path == top { path } else { parent(path) };
        match groups.iter_mut().find(|group| group.top == top) {
            Some(group) => {
                group.common = common(group.common, parent);
                group.access = group.access.max(access);
            }
            None => groups.push(Group {
                top,
                grant,
                common: parent,
                access,
            }),
        }
    }
    groups
        .into_iter()
        .map(|group| group.dir(package, notes))
        .collect()
}

/// What was touched in one directory.
struct Group<'a> {
    top: &'a str,
    grant: Option<&'a FileGrant>,
    common: &'a str,
    access: FileAccess,
}

impl Group<'_> {
    fn dir(&self, package: &str, notes: &mut Vec<String>) -> Dir {
        let guest = self.common.to_owned();
        let host = match self.grant {
            Some(grant) => {
                let inside = guest.strip_prefix(grant.guest.as_str()).unwrap_or_default();
                let inside = inside.trim_start_matches('/');
                if inside.is_empty() {
                    grant.host.clone()
                } else {
                    format!("{}/{inside}", grant.host.trim_end_matches('/'))
                }
            }
            None => {
                notes.push(format!(
                    "{package}: choose which directory of this machine shall be {guest}"
                ));
                guest.clone()
            }
        };
        Dir {
            host,
            guest,
            access: self.access,
        }
    }
}

/// `/work` of `/work/a/b`.
fn top(path: &str) -> &str {
    let end = path
        .char_indices()
        .skip(1)
        .find(|(_, c)| *c == '/')
        .map(|(at, _)| at);
    match end {
        Some(end) => path.get(..end).unwrap_or("/"),
        None => "/",
    }
}

fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => path.get(..at).unwrap_or("/"),
    }
}

/// The deepest directory that holds both.
fn common<'a>(one: &'a str, other: &str) -> &'a str {
    let mut directory = one;
    while !is_within(other, directory) {
        directory = parent(directory);
    }
    directory
}
