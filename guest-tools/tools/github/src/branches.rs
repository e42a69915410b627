//! Branches: listed, and created from what is there.

use toolcell_guest::serde_json::json;
use toolcell_guest::{Error, Json, Result, data, tool};

use crate::api::Api;
use crate::limits::{DEFAULT_COUNT, MAX_COUNT, MAX_PAGE, NAME_CHARACTERS};
use crate::names::{Branch, Repo, is_commit};
use crate::view;

/// A branch in a list.
#[data]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BranchLine {
    /// Its name.
    pub(crate) name: String,
    /// Its last commit.
    pub(crate) commit: String,
    /// Whether GitHub guards it.
    pub(crate) protected: bool,
}

/// A page of branches.
#[data]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BranchList {
    /// The branch that pull requests are for where they do not say.
    pub(crate) default_branch: String,
    /// The branches by name.
    pub(crate) branches: Vec<BranchLine>,
    /// The number of the next page, where there is one.
    pub(crate) next_page: Option<u32>,
}

/// Lists the branches of a repository, and tells which one is the default branch.
#[tool(read_only, open_world)]
pub(crate) fn branch_list(
    /// The repository as `owner/name`.
    #[arg(pattern = "^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$", max_length = 140)]
    repo: String,
    /// How many at most on one page.
    #[arg(default = DEFAULT_COUNT, min = 1, max = MAX_COUNT)]
    count: u32,
    /// Which page, counted from 1.
    #[arg(default = 1, min = 1, max = MAX_PAGE)]
    page: u32,
) -> Result<Json<BranchList>> {
    let repo = Repo::parse(&repo)?;
    let api = Api::open()?;
    let default_branch = default_branch(&api, &repo)?;
    let parameters = [("per_page", count.to_string()), ("page", page.to_string())];
    let parameters = parameters
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let answer = api.list(&repo.path("/branches"), &parameters)?;
    let branches = view::list(&answer.value)?.iter().map(|branch| BranchLine {
        name: view::text(branch, "/name"),
        commit: view::text(branch, "/commit/sha"),
        protected: view::flag(branch, "/protected"),
    });
    Ok(Json(BranchList {
        default_branch,
        branches: branches.collect(),
        next_page: answer.more.then_some(page + 1),
    }))
}

/// A branch that was created.
#[data]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Created {
    /// Its name.
    pub(crate) branch: String,
    /// The commit that it starts at.
    pub(crate) commit: String,
}

/// Creates a branch. One that is there already stays as it is, and that is an error.
#[tool(open_world)]
pub(crate) fn branch_create(
    /// The repository as `owner/name`.
    #[arg(pattern = "^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$", max_length = 140)]
    repo: String,
    /// The name of the new branch, for example `agent/fix-typo`.
    #[arg(max_length = NAME_CHARACTERS)]
    branch: String,
    /// Where it starts: a branch, or a commit in full; the default branch without it.
    #[arg(max_length = NAME_CHARACTERS)]
    from: Option<String>,
) -> Result<Json<Created>> {
    let repo = Repo::parse(&repo)?;
    let branch = Branch::parse(&branch)?;
    let api = Api::open()?;
    let commit = match from {
        Some(commit) if is_commit(&commit) => commit,
        Some(from) => head(&api, &repo, &Branch::parse(&from)?)?,
        None => {
            let default = default_branch(&api, &repo)?;
            head(&api, &repo, &Branch::parse(&default)?)?
        }
    };
    let name = format!("refs/heads/{}", branch.as_str());
    let body = json!({ "ref": name, "sha": commit });
    api.change("POST", &repo.path("/git/refs"), &body)?;
    Ok(Json(Created {
        branch: branch.as_str().to_owned(),
        commit,
    }))
}

/// The default branch of a repository.
pub(crate) fn default_branch(api: &Api, repo: &Repo) -> Result<String> {
    let name = view::text(&api.get(&repo.path(""))?, "/default_branch");
    if name.is_empty() {
        return Err(Error::failed(
            "GitHub did not say what the default branch is",
        ));
    }
    Ok(name)
}

/// The last commit of a branch.
pub(crate) fn head(api: &Api, repo: &Repo, branch: &Branch) -> Result<String> {
    let found = api.get(&repo.head("ref", branch))?;
    let commit = view::text(&found, "/object/sha");
    if !is_commit(&commit) {
        let what = format!("GitHub knows no commit of the branch `{}`", branch.as_str());
        return Err(Error::not_found(what));
    }
    Ok(commit)
}
