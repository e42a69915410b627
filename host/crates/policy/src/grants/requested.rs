//! What a package asked for, against one access.

use url::Url;

use crate::{Access, Endpoint, FileAccess, Method, Requests, access::is_within, net::RequestPath};

impl Requests {
    /// Whether the package asked for this access.
    pub(crate) fn cover(&self, access: &Access) -> bool {
        match access {
            Access::Net { method, url } => {
                RequestPath::of(url).is_ok_and(|path| self.cover_net(*method, url, &path))
            }
            Access::File { path, access } => {
                self.file_access(path).is_some_and(|asked| asked >= *access)
            }
            Access::Env { name } => self.cover_env(name),
            Access::Call { tool } => self.cover_call(tool),
            Access::Secret { name, request } => match request {
                None => self.secrets.iter().any(|it| it.name == *name),
                Some(request) => {
                    let to = Endpoint::of(&request.url);
                    RequestPath::of(&request.url)
                        .is_ok_and(|path| self.cover_net(request.method, &request.url, &path))
                        && self.cover_secret(name, to.as_ref())
                }
            },
        }
    }

    /// Whether the package asked for a credential of this name for this endpoint.
    pub(crate) fn cover_secret(&self, name: &str, to: Option<&Endpoint>) -> bool {
        self.secrets.iter().any(|request| {
            request.name == name && (request.to.is_none() || request.to.as_ref() == to)
        })
    }

    pub(crate) fn cover_net(&self, method: Method, url: &Url, path: &RequestPath) -> bool {
        self.net
            .iter()
            .any(|request| request.scope.contains(method, url, path))
    }

    /// The most that the package asked for at a guest path.
    pub(crate) fn file_access(&self, guest: &str) -> Option<FileAccess> {
        let asking = self.files.iter().filter(|request| {
            request
                .guest
                .as_ref()
                .is_none_or(|asked| is_within(guest, asked))
        });
        asking.map(|request| request.access).max()
    }

    pub(crate) fn cover_env(&self, name: &str) -> bool {
        self.env.iter().any(|request| request.name == name)
    }

    pub(crate) fn cover_call(&self, tool: &str) -> bool {
        self.calls.iter().any(|request| request == tool)
    }
}
