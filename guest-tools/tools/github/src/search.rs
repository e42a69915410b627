//! Search in issues, pull requests and code.

use toolcell_guest::serde_json::Value;
use toolcell_guest::{Error, Json, Result, data, tool};

use crate::api::Api;
use crate::limits::{DEFAULT_COUNT, MAX_COUNT};
use crate::names::Repo;
use crate::view;

/// What to search.
#[data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Issues. The default.
    Issues,
    /// Pull requests.
    Pulls,
    /// Files by what is in them. Needs a token.
    Code,
}

/// One thing that was found.
#[data]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hit {
    /// The repository as `owner/name`.
    pub(crate) repo: String,
    /// The number of an issue or pull request.
    pub(crate) number: Option<u64>,
    /// The title of an issue or pull request.
    pub(crate) title: Option<String>,
    /// `open` or `closed`.
    pub(crate) state: Option<String>,
    /// The path of a file.
    pub(crate) path: Option<String>,
    /// Where people see it.
    pub(crate) url: String,
}

/// A page of what was found.
#[data]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hits {
    /// How many there are in all, as far as GitHub counts.
    pub(crate) total: u64,
    /// What was found, the best first.
    pub(crate) hits: Vec<Hit>,
    /// Whether GitHub gave up before it had looked everywhere.
    pub(crate) incomplete: bool,
    /// The number of the next page, where there is one.
    pub(crate) next_page: Option<u32>,
}

/// Searches issues, pull requests or code on GitHub.
#[tool(read_only, open_world)]
pub(crate) fn search(
    /// What to look for, with GitHub's qualifiers, for example `timeout label:bug is:open` or `Retry language:rust`.
    #[arg(max_length = 256)]
    query: String,
    kind: Option<Kind>,
    /// Only in this repository, as `owner/name`.
    #[arg(pattern = "^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$", max_length = 140)]
    repo: Option<String>,
    /// How many at most on one page.
    #[arg(default = DEFAULT_COUNT, min = 1, max = MAX_COUNT)]
    count: u32,
    /// Which page, counted from 1. GitHub shows the first 1,000 of what it found.
    #[arg(default = 1, min = 1, max = 1000)]
    page: u32,
) -> Result<Json<Hits>> {
    let (place, only) = match kind {
        None | Some(Kind::Issues) => ("/search/issues", " is:issue"),
        Some(Kind::Pulls) => ("/search/issues", " is:pr"),
        Some(Kind::Code) => ("/search/code", ""),
    };
    let repo = match repo {
        Some(repo) => format!(" repo:{}", Repo::parse(&repo)?.as_str()),
        None => String::new(),
    };
    let query = format!("{}{only}{repo}", query.trim());
    let parameters = [
        ("q", query.as_str()),
        ("per_page", &count.to_string()),
        ("page", &page.to_string()),
    ];
    let answer = Api::open()?.list(place, &parameters)?;
    let items = answer.value.get("items").and_then(Value::as_array);
    let items = items.ok_or_else(|| Error::failed("GitHub answered something else than a list"))?;
    Ok(Json(Hits {
        total: view::number(&answer.value, "/total_count"),
        hits: items.iter().map(hit).collect(),
        incomplete: view::flag(&answer.value, "/incomplete_results"),
        next_page: answer.more.then_some(page + 1),
    }))
}

fn hit(item: &Value) -> Hit {
    // An issue names its repository only by the end of an address.
    let repo = match view::text(item, "/repository/full_name") {
        name if !name.is_empty() => name,
        _ => {
            let place = view::text(item, "/repository_url");
            let mut parts = place.rsplit('/');
            let (name, owner) = (parts.next(), parts.next());
            format!("{}/{}", owner.unwrap_or_default(), name.unwrap_or_default())
        }
    };
    Hit {
        repo,
        number: Some(view::number(item, "/number")).filter(|number| *number > 0),
        title: view::some_text(item, "/title"),
        state: view::some_text(item, "/state"),
        path: view::some_text(item, "/path"),
        url: view::text(item, "/html_url"),
    }
}

#[cfg(test)]
mod tests {
    use toolcell_guest::serde_json::json;

    use super::hit;

    #[test]
    fn a_hit_names_its_repository() {
        let issue = json!({ "repository_url": "https://api.github.com/repos/acme/site", "number": 7, "title": "t" });
        let issue = hit(&issue);
        assert_eq!((issue.repo.as_str(), issue.number), ("acme/site", Some(7)));
        let file = hit(&json!({ "repository": { "full_name": "acme/site" }, "path": "src/a.rs" }));
        assert_eq!(
            (file.repo.as_str(), file.path.as_deref(), file.number),
            ("acme/site", Some("src/a.rs"), None)
        );
    }
}
