//! Places that a person's own tools execute or obey later, and that a tool with write access therefore must not change
//! unless the grant names them.
//!
//! What is on the list: a program of the person reads the place *unasked*, because it was started or because a directory
//! was opened or entered, and then runs or obeys what stands there; or the place proves who the person is. What is not:
//! what a person runs on purpose and can read before (`Makefile`, `package.json`, sources), and what runs elsewhere after
//! a review (`.github/workflows`). Ordinary work of a tool is to change those.
//!
//! The list guards against surprises. It is no boundary: that is the directory which was granted.

use crate::{FileGrant, Rule};

mod fold;
#[cfg(test)]
mod tests;

use fold::fold;

/// One entry of the list. It covers the place itself and everything beneath it, at any depth of a granted directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardedPlace {
    /// What `unlock` names: one to three names joined by `/`, or `*` and the end of a name.
    pub place: &'static str,
    /// The programs that obey it, such as "shells".
    pub used_by: &'static str,
}

impl GuardedPlace {
    /// The rule that refuses a change of the place.
    pub fn rule(&self) -> Rule {
        Rule::unwritten(&format!(
            "a guarded place, denied unless the grant says unlock = [\"{}\"]",
            self.place
        ))
    }

    /// Why a change is refused, for the guest and the model too.
    pub fn reason(&self) -> String {
        format!("{} obey what stands in {}", self.used_by, self.place)
    }
}

impl FileGrant {
    /// How a path inside the directory stands to the guarded places that the grant does not unlock, as far as text can
    /// tell: the names of the grant's own directory are those that the policy writes.
    pub fn standing(&self, inside: &str) -> Standing {
        let base = self.base.as_deref().unwrap_or_default();
        standing(&format!("{base}/{}", self.host), inside, &self.unlock)
    }
}

const fn places<const N: usize>(
    used_by: &'static str,
    names: [&'static str; N],
) -> [GuardedPlace; N] {
    let mut all = [GuardedPlace { place: "", used_by }; N];
    let mut index = 0;
    // A constant cannot be made with iterators.
    while index < N {
        #[expect(clippy::indexing_slicing, reason = "the index is below N")]
        {
            all[index].place = names[index];
        }
        index += 1;
    }
    all
}

/// The list, by who obeys.
static LIST: &[&[GuardedPlace]] = &[
    // Inside `.git` each of the finer places needs a name of its own, so that unlocking the repository's data does not
    // hand out the places from which git runs commands.
    &places(
        "git and its helpers",
        [
            ".git",
            ".git/hooks",
            ".git/config",
            ".git/config.worktree",
            ".git/commondir",
            ".git/modules",
            ".git/worktrees",
            ".gitconfig",
            ".config/git",
            ".githooks",
            ".husky",
            ".pre-commit-config.yaml",
            "lefthook.yml",
            ".lefthook.yml",
        ],
    ),
    &places("version control programs", [".hg", ".hgrc", ".jj", ".svn"]),
    &places(
        "shells",
        [
            ".bashrc",
            ".bash_profile",
            ".bash_login",
            ".bash_logout",
            ".bash_aliases",
            ".profile",
            ".zshrc",
            ".zshenv",
            ".zprofile",
            ".zlogin",
            ".zlogout",
            ".kshrc",
            ".mkshrc",
            ".cshrc",
            ".tcshrc",
            ".login",
            ".logout",
            ".inputrc",
            ".envrc",
            ".config/fish",
            ".config/direnv",
            ".config/environment.d",
            ".mise.toml",
            "mise.toml",
        ],
    ),
    &places(
        "login sessions",
        [
            ".xprofile",
            ".xinitrc",
            ".xsession",
            ".xsessionrc",
            ".pam_environment",
            ".config/autostart",
            ".config/systemd",
            ".local/bin",
            ".local/share/applications",
            "Library/LaunchAgents",
        ],
    ),
    &places(
        "editors",
        [
            ".vscode",
            "*.code-workspace",
            ".devcontainer",
            ".devcontainer.json",
            ".idea",
            ".fleet",
            ".zed",
            ".vim",
            ".vimrc",
            ".gvimrc",
            ".exrc",
            ".nvimrc",
            ".nvim.lua",
            ".config/nvim",
            ".emacs",
            ".emacs.d",
            ".config/emacs",
            ".dir-locals.el",
            ".dir-locals-2.el",
        ],
    ),
    &places(
        "coding agents",
        [
            ".mcp.json",
            "AGENTS.md",
            "AGENTS.override.md",
            ".agents",
            "CLAUDE.md",
            "CLAUDE.local.md",
            ".claude",
            ".claude.json",
            "GEMINI.md",
            ".gemini",
            ".codex",
            ".cursor",
            ".cursorrules",
            ".windsurf",
            ".windsurfrules",
            ".clinerules",
            ".roo",
            ".continue",
            ".aider.conf.yml",
            ".amazonq",
            ".augment",
            ".kiro",
            ".junie",
            ".opencode",
            "opencode.json",
            ".goosehints",
            ".github/copilot-instructions.md",
            ".github/instructions",
            ".github/prompts",
            ".github/agents",
            "toolcell.toml",
            ".config/toolcell",
        ],
    ),
    &places(
        "package managers and build tools",
        [
            ".npmrc",
            ".yarnrc",
            ".yarnrc.yml",
            ".pnpmfile.cjs",
            ".pypirc",
            ".pip",
            ".config/pip",
            ".condarc",
            ".cargo",
            ".bundle",
            ".gemrc",
            ".mvn",
            ".m2",
            ".gradle/init.d",
            ".terraformrc",
        ],
    ),
    &places(
        "interactive programs",
        [
            ".gdbinit",
            ".lldbinit",
            ".irbrc",
            ".pryrc",
            ".pythonrc",
            ".pythonrc.py",
            ".Rprofile",
            ".psqlrc",
            ".sqliterc",
            ".my.cnf",
            ".tmux.conf",
            ".screenrc",
            ".curlrc",
            ".wgetrc",
        ],
    ),
    &places(
        "programs that prove who a person is",
        [
            ".ssh",
            ".gnupg",
            ".netrc",
            ".aws",
            ".azure",
            ".kube",
            ".docker",
            ".config/gcloud",
            ".config/gh",
        ],
    ),
];

/// The most names in a place.
pub(crate) const MAX_NAMES: usize = 3;

/// Every guarded place, those that one kind of program obeys together.
pub fn guarded_places() -> impl Iterator<Item = &'static GuardedPlace> {
    LIST.iter().flat_map(|group| group.iter())
}

/// The entry that `unlock` names, however its letters are written.
pub(crate) fn guarded_place(name: &str) -> Option<&'static GuardedPlace> {
    guarded_places().find(|it| it.place.eq_ignore_ascii_case(name))
}

/// How a path stands to the guarded places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing guards it.
    Free,
    /// It carries the first names of a guarded place, as `.config` does of `.config/fish`: making and removing such a
    /// directory is harmless, but whatever moves it or puts something else there moves the guarded place.
    Above(&'static GuardedPlace),
    /// It is a guarded place, or lies in one.
    Inside(&'static GuardedPlace),
}

/// How a path inside a granted directory stands to the guarded places that `unlock` does not name.
///
/// `lead` is the path of the granted directory itself, of which the last names are looked at: with a grant of `.git`,
/// `hooks` is guarded. A place that contains the whole grant was named by whoever wrote the grant, and guards nothing.
///
/// Paths are compared name by name, without case, without characters that file systems ignore, and with the short names
/// that Windows file systems give.
pub fn standing(lead: &str, path: &str, unlock: &[String]) -> Standing {
    let mut names: Vec<String> = segments(lead).collect();
    names.drain(..names.len().saturating_sub(MAX_NAMES));
    let outside = names.len();
    names.extend(segments(path));
    let mut above = Standing::Free;
    let locked = |it: &&GuardedPlace| !unlock.iter().any(|name| name == it.place);
    for place in guarded_places().filter(locked) {
        match fit(place, &names, outside) {
            Some(Fit::Whole) => return Standing::Inside(place),
            Some(Fit::Begin) => above = Standing::Above(place),
            None => {}
        }
    }
    above
}

fn segments(path: &str) -> impl Iterator<Item = String> {
    // A backslash separates names on some file systems that are mounted from elsewhere.
    path.split(['/', '\\'])
        .filter(|name| !matches!(*name, "" | "."))
        .map(fold)
}

enum Fit {
    /// All names of the place occur, one after the other.
    Whole,
    /// The path ends with the first names of the place.
    Begin,
}

fn fit(place: &GuardedPlace, names: &[String], outside: usize) -> Option<Fit> {
    let wanted: Vec<&str> = place.place.split('/').collect();
    let mut begins = None;
    for start in 0..names.len() {
        let there = names.get(start..).unwrap_or_default();
        let equal = there
            .iter()
            .zip(&wanted)
            .take_while(|(name, wanted)| fold::is(name, wanted))
            .count();
        if equal == wanted.len() && start + equal > outside {
            return Some(Fit::Whole);
        }
        if equal < wanted.len() && equal == there.len() && names.len() > outside {
            begins = Some(Fit::Begin);
        }
    }
    begins
}
