//! `[[expect]]`: what a policy must answer, written beside it and checked by `toolcell policy test`.

use serde::{Serialize, Serializer};
use url::Url;

use crate::{
    Decision, Effect, EnvRequest, FileAccess, Layers, Manifest, Method, Requests, Rule,
    SecretRequest, Verdict,
    access::{self, normal_guest_path},
    decide::decide,
    names,
    print::Table,
    reader::{Entry, Reader, Section, shown},
};

/// One `[[expect]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expectation {
    /// A package, or one tool of it by its public name.
    pub tool: String,
    /// What is tried.
    pub access: Access,
    /// What it must get.
    pub is: Effect,
    /// The line of the expectation.
    pub rule: Rule,
}

/// One concrete access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Access {
    /// A request.
    Net {
        /// With which method.
        method: Method,
        /// To where.
        #[serde(serialize_with = "as_text")]
        url: Url,
    },
    /// A file or directory.
    File {
        /// The guest path.
        path: String,
        /// Read or write.
        access: FileAccess,
    },
    /// Seeing a variable.
    Env {
        /// Its name.
        name: String,
    },
    /// Calling another tool.
    Call {
        /// Its public name.
        tool: String,
    },
    /// Having a credential that the host adds to requests.
    Secret {
        /// Its name.
        name: String,
        /// The request that it is added to; any for `None`.
        request: Option<NetAccess>,
    },
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetAccess {
    /// With which method.
    pub method: Method,
    /// To where.
    #[serde(serialize_with = "as_text")]
    pub url: Url,
}

impl NetAccess {
    /// `GET https://…`, or `https://…` for a GET.
    fn parse(text: &str) -> Option<Self> {
        let (method, url) = match text.split_once(char::is_whitespace) {
            Some((method, url)) => (Method::from_name(method)?, url.trim()),
            None => (Method::Get, text),
        };
        let url = Url::parse(url).ok()?;
        Some(Self { method, url })
    }
}

fn as_text<S: Serializer>(url: &Url, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(url.as_str())
}

impl Access {
    /// An access as people write it on a command line: `GET https://…`, `https://…` (a GET), `read /path`,
    /// `write /path`, `env NAME`, `call TOOL`, `secret NAME`, `secret NAME GET https://…`. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(url) = Url::parse(text) {
            let web = matches!(url.scheme(), "http" | "https");
            return web.then_some(Self::Net {
                method: Method::Get,
                url,
            });
        }
        let (verb, object) = text.split_once(char::is_whitespace)?;
        let object = object.trim();
        let file = |access| normal_guest_path(object).map(|path| Self::File { path, access });
        match verb {
            "read" => file(FileAccess::Read),
            "write" => file(FileAccess::Write),
            "env" => access::is_env_name(object).then(|| Self::Env {
                name: object.to_owned(),
            }),
            "call" => names::is_public_name(object).then(|| Self::Call {
                tool: object.to_owned(),
            }),
            "secret" => {
                let (name, request) = match object.split_once(char::is_whitespace) {
                    Some((name, request)) => (name, Some(NetAccess::parse(request.trim())?)),
                    None => (object, None),
                };
                access::is_env_name(name).then(|| Self::Secret {
                    name: name.to_owned(),
                    request,
                })
            }
            method => Some(Self::Net {
                method: Method::from_name(method)?,
                url: Url::parse(object).ok()?,
            }),
        }
    }
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Net { method, url } => write!(f, "{method} {url}"),
            Self::File { path, access } => write!(f, "{access} {path}"),
            Self::Env { name } => write!(f, "env {name}"),
            Self::Call { tool } => write!(f, "call {tool}"),
            Self::Secret {
                name,
                request: None,
            } => write!(f, "secret {name}"),
            Self::Secret {
                name,
                request: Some(NetAccess { method, url }),
            } => write!(f, "secret {name} {method} {url}"),
        }
    }
}

/// How one expectation came out.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The expectation.
    pub expectation: Expectation,
    /// What the policy answers.
    pub verdict: Verdict,
    /// Whether that is what was expected.
    pub passed: bool,
    /// Whether the package was not at hand, so that it was taken to request everything.
    pub requests_assumed: bool,
}

impl Layers {
    /// Checks every expectation of every file. `manifests` are the packages at hand; a package that is not among them is
    /// taken to request everything, so that a policy can be tested alone.
    pub fn test(&self, manifests: &[Manifest]) -> Vec<Outcome> {
        let expectations = self.iter().flat_map(|(_, policy)| policy.expectations());
        expectations
            .map(|expectation| self.outcome(expectation, manifests))
            .collect()
    }

    fn outcome(&self, expectation: &Expectation, manifests: &[Manifest]) -> Outcome {
        let found = find(manifests, &expectation.tool);
        let requests_assumed = found.is_none();
        let verdict = match found {
            Some((manifest, tool)) => verdict(self, manifest, tool, &expectation.access),
            None => {
                let manifest = self.assumed(&expectation.tool, &expectation.access);
                let tool = manifest
                    .tools
                    .first()
                    .map(|tool| tool.name.clone())
                    .unwrap_or_default();
                verdict(self, &manifest, &tool, &expectation.access)
            }
        };
        Outcome {
            expectation: expectation.clone(),
            passed: verdict.effect == expectation.is,
            verdict,
            requests_assumed,
        }
    }

    /// A package that requests everything, for the name in an expectation: a listed package, or a public name that
    /// starts with one.
    fn assumed(&self, name: &str, access: &Access) -> Manifest {
        let packages = self.packages();
        let listed = packages
            .iter()
            .find(|package| **package == name)
            .map(|it| (*it, *it));
        let split = || {
            packages.iter().find_map(|package| {
                let tool = name.strip_prefix(package)?.strip_prefix('_')?;
                Some((*package, tool))
            })
        };
        let (package, tool) = listed.or_else(split).unwrap_or((name, name));
        let mut manifest = Manifest::default_for(package);
        package.clone_into(&mut manifest.name);
        if let Some(definition) = manifest.tools.first_mut() {
            tool.clone_into(&mut definition.name);
        }
        let mut requests = Requests::everything();
        match access {
            Access::Env { name } => requests.env.push(EnvRequest {
                name: name.clone(),
                why: None,
            }),
            Access::Call { tool } => requests.calls.push(tool.clone()),
            Access::Secret { name, .. } => requests.secrets.push(SecretRequest {
                name: name.clone(),
                to: None,
                place: None,
                why: None,
            }),
            Access::Net { .. } | Access::File { .. } => {}
        }
        manifest.request = requests.into();
        manifest
    }
}

/// The package, and the tool's name in it, that a name in an expectation means. A package stands for its first tool:
/// grants are the same for all tools of a package.
fn find<'m>(manifests: &'m [Manifest], name: &str) -> Option<(&'m Manifest, &'m str)> {
    manifests.iter().find_map(|manifest| {
        let by_tool = manifest
            .tools
            .iter()
            .find(|tool| manifest.public_name(tool) == name);
        let by_package = || manifest.tools.first().filter(|_| manifest.name == name);
        by_tool
            .or_else(by_package)
            .map(|tool| (manifest, tool.name.as_str()))
    })
}

/// What one access of one tool gets: the stricter of the decision for the tool and the answer for the access.
pub fn verdict(layers: &Layers, manifest: &Manifest, tool: &str, access: &Access) -> Verdict {
    let decision = decide(layers, manifest, tool);
    let Some(grants) = decision.grants() else {
        let rule = decision.rule().cloned().unwrap_or_else(Rule::until_written);
        return Verdict::deny(rule, "calls of this tool are denied by the policy");
    };
    let verdict = grants.check(access);
    match &decision {
        Decision::Ask(_, rule) if verdict.effect == Effect::Allow => Verdict::new(
            Effect::Ask,
            rule.clone(),
            "calls of this tool need a person's consent",
        ),
        _ => verdict,
    }
}

pub(crate) fn parse(reader: &mut Reader<'_>, element: &Entry<'_>) -> Option<Expectation> {
    let keys = [
        "tool", "net", "method", "file", "access", "env", "call", "secret", "is",
    ];
    let section = reader.section(element.node, &element.path, &keys)?;
    let tool = reader.required(&section, "tool");
    let is = match section.get("is") {
        Some(entry) => reader.effect(&entry),
        None => {
            reader.missing(&section, "is");
            None
        }
    };
    let access = access_of(reader, &section);
    let tool = tool?;
    if !names::is_public_name(tool) {
        let span = section.get("tool")?.node.span();
        reader.report(
            span,
            format!("`{}` is not a tool or package", shown(tool)),
            "name a package such as `files`, or a tool such as `files_read`",
        );
        return None;
    }
    Some(Expectation {
        tool: tool.to_owned(),
        access: access?,
        is: is?,
        rule: reader.rule(&section.span, &element.path),
    })
}

fn access_of(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Access> {
    // Beside a secret, `net` is the request that it is for.
    let kinds = match section.get("secret") {
        Some(_) => ["secret", "file", "env", "call"],
        None => ["net", "file", "env", "call"],
    };
    let given: Vec<Entry<'_>> = kinds.iter().filter_map(|key| section.get(key)).collect();
    let [entry] = given.as_slice() else {
        let count = if given.is_empty() {
            "no access"
        } else {
            "more than one access"
        };
        reader.report(
            section.span.clone(),
            format!("`{}` names {count}", section.path),
            "name exactly one of net, file, env, call and secret; a secret may have a net",
        );
        return None;
    };
    for (extra, wanted) in [("method", "net"), ("access", "file")] {
        let there = entry.key == wanted || (entry.key == "secret" && section.get(wanted).is_some());
        if let Some(misplaced) = section.get(extra).filter(|_| !there) {
            reader.report(
                misplaced.key_span,
                format!("`{extra}` says something only beside `{wanted}`"),
                "remove it",
            );
        }
    }
    let text = reader.string(entry)?;
    match entry.key {
        "net" => net_access(reader, section, entry, text)
            .map(|NetAccess { method, url }| Access::Net { method, url }),
        "secret" => secret_access(reader, section, entry, text),
        "file" => {
            let access = match section.get("access") {
                Some(_) => access::file_access(reader, section)?,
                None => FileAccess::Read,
            };
            let path = access::guest_path(reader, entry)?;
            Some(Access::File { path, access })
        }
        "env" => named(
            reader,
            entry,
            access::is_env_name(text),
            "the name of a variable",
        )
        .map(|()| Access::Env {
            name: text.to_owned(),
        }),
        _ => named(
            reader,
            entry,
            names::is_public_name(text),
            "a tool's public name",
        )
        .map(|()| Access::Call {
            tool: text.to_owned(),
        }),
    }
}

fn secret_access(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    entry: &Entry<'_>,
    text: &str,
) -> Option<Access> {
    let request = match section.get("net") {
        Some(entry) => {
            let text = reader.string(&entry)?;
            Some(net_access(reader, section, &entry, text)?)
        }
        None => None,
    };
    let valid = access::is_env_name(text);
    named(reader, entry, valid, "the name of a secret")?;
    let name = text.to_owned();
    Some(Access::Secret { name, request })
}

fn named(reader: &mut Reader<'_>, entry: &Entry<'_>, valid: bool, what: &str) -> Option<()> {
    if !valid {
        let text = entry.node.value.as_str().unwrap_or_default();
        reader.report(
            entry.node.span(),
            format!("`{}` is not {what}", shown(text)),
            "write it as the manifest does",
        );
    }
    valid.then_some(())
}

fn net_access(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    entry: &Entry<'_>,
    text: &str,
) -> Option<NetAccess> {
    let method = match section.get("method") {
        Some(entry) => *reader.word(&entry, &Method::ALL.map(|method| (method.name(), method)))?,
        None => Method::Get,
    };
    match Url::parse(text) {
        Ok(url) => Some(NetAccess { method, url }),
        Err(error) => {
            reader.report(
                entry.node.span(),
                format!("`{}` is not a URL: {error}", shown(text)),
                "write it like \"https://api.example.com/v1/items\"",
            );
            None
        }
    }
}

/// The expectation as TOML.
pub(crate) fn table(expectation: &Expectation) -> Table {
    let mut table = Table::new();
    let mut put = |key: &str, value: &str| table.insert(key.to_owned(), value.into());
    put("tool", &expectation.tool);
    match &expectation.access {
        Access::Net { method, url } => {
            put("net", url.as_str());
            put("method", method.name());
        }
        Access::File { path, access } => {
            put("file", path);
            put("access", access.name());
        }
        Access::Env { name } => {
            put("env", name);
        }
        Access::Call { tool } => {
            put("call", tool);
        }
        Access::Secret { name, request } => {
            put("secret", name);
            if let Some(NetAccess { method, url }) = request {
                put("net", url.as_str());
                put("method", method.name());
            }
        }
    }
    put("is", expectation.is.name());
    table
}

#[cfg(test)]
mod tests;
