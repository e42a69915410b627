//! `github`: issues, pull requests, branches and files through GitHub's REST API.
//!
//! There is no merge here, no approval, no deletion of a branch and nothing of administration, and the
//! package asks for no path that could do one of these. A file is changed only by a commit on top of a
//! branch, and that branch stands in the path of the request that moves it (`commit`): so a policy can
//! say which branches these are, which it could not if they stood in a body.
//!
//! `api` sends requests and explains refusals, `names` checks what becomes part of a path, `view` makes
//! short answers of GitHub's long ones. The tools are in the other files.

mod api;
mod branches;
mod commit;
mod files;
mod issues;
mod limits;
mod names;
mod page;
mod pulls;
mod search;
mod view;

use toolcell_guest::package;

use branches::{branch_create, branch_list};
use files::file_read;
use issues::{comment_create, issue_create, issue_get, issue_list, issue_update};
use pulls::{pull_comment, pull_create, pull_get, pull_list};

package! {
    name = "github",
    tools = [
        issue_list, issue_get, issue_create, issue_update, comment_create,
        pull_list, pull_get, pull_create, pull_comment,
        branch_list, branch_create, file_read, commit::commit, search::search,
    ],
    request = {
        net = [
            {
                to = "https://api.github.com",
                methods = ["GET"],
                paths = [
                    "/repos/*/*",
                    "/repos/*/*/branches",
                    "/repos/*/*/contents",
                    "/repos/*/*/contents/**",
                    "/repos/*/*/git/commits/*",
                    "/repos/*/*/git/ref/heads/**",
                    "/repos/*/*/issues",
                    "/repos/*/*/issues/*",
                    "/repos/*/*/issues/*/comments",
                    "/repos/*/*/pulls",
                    "/repos/*/*/pulls/*",
                    "/repos/*/*/pulls/*/comments",
                    "/repos/*/*/pulls/*/files",
                    "/search/code",
                    "/search/issues",
                ],
                why = "read issues, pull requests, branches and files",
            },
            {
                to = "https://api.github.com",
                methods = ["POST"],
                paths = [
                    "/repos/*/*/git/blobs",
                    "/repos/*/*/git/commits",
                    "/repos/*/*/git/refs",
                    "/repos/*/*/git/trees",
                    "/repos/*/*/issues",
                    "/repos/*/*/issues/*/comments",
                    "/repos/*/*/pulls",
                    "/repos/*/*/pulls/*/comments",
                ],
                why = "open issues and pull requests, comment, create branches and commits",
            },
            {
                to = "https://api.github.com",
                methods = ["PATCH"],
                paths = ["/repos/*/*/git/refs/heads/**", "/repos/*/*/issues/*"],
                why = "put a commit on top of a branch; change and close issues",
            },
            {
                to = "any",
                methods = ["GET"],
                paths = [
                    "/api/v3/repos/*/*",
                    "/api/v3/repos/*/*/branches",
                    "/api/v3/repos/*/*/contents",
                    "/api/v3/repos/*/*/contents/**",
                    "/api/v3/repos/*/*/git/commits/*",
                    "/api/v3/repos/*/*/git/ref/heads/**",
                    "/api/v3/repos/*/*/issues",
                    "/api/v3/repos/*/*/issues/*",
                    "/api/v3/repos/*/*/issues/*/comments",
                    "/api/v3/repos/*/*/pulls",
                    "/api/v3/repos/*/*/pulls/*",
                    "/api/v3/repos/*/*/pulls/*/comments",
                    "/api/v3/repos/*/*/pulls/*/files",
                    "/api/v3/search/code",
                    "/api/v3/search/issues",
                ],
                why = "the same on a GitHub Enterprise that GITHUB_API_URL names",
            },
            {
                to = "any",
                methods = ["POST"],
                paths = [
                    "/api/v3/repos/*/*/git/blobs",
                    "/api/v3/repos/*/*/git/commits",
                    "/api/v3/repos/*/*/git/refs",
                    "/api/v3/repos/*/*/git/trees",
                    "/api/v3/repos/*/*/issues",
                    "/api/v3/repos/*/*/issues/*/comments",
                    "/api/v3/repos/*/*/pulls",
                    "/api/v3/repos/*/*/pulls/*/comments",
                ],
                why = "the same on a GitHub Enterprise that GITHUB_API_URL names",
            },
            {
                to = "any",
                methods = ["PATCH"],
                paths = ["/api/v3/repos/*/*/git/refs/heads/**", "/api/v3/repos/*/*/issues/*"],
                why = "the same on a GitHub Enterprise that GITHUB_API_URL names",
            },
        ],
        env = [{ name = "GITHUB_API_URL", why = "a GitHub Enterprise; https://api.github.com without it" }],
        secrets = [{
            name = "GITHUB_TOKEN",
            to = "any",
            header = "Authorization: Bearer {}",
            why = "without a token only public things can be read, and few of them an hour",
        }],
    },
}
