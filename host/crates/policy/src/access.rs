//! Tables that manifest and policy share: network scopes, guest directories, names of variables.

use serde::{Deserialize, Serialize};

use crate::{
    Endpoint, HostPattern, Method, NetScope, PathPattern, Scheme, names,
    reader::{Entry, Reader, Section, listed, shown},
};

/// The most entries in a list of net rules, files, calls or variables.
pub const MAX_LIST: usize = 64;

/// The longest value of an environment variable, in bytes.
pub const MAX_ENV_VALUE_BYTES: usize = 4096;

/// The longest guest or host path, in bytes.
pub const MAX_PATH_BYTES: usize = 4096;

/// What may be done with a directory. Write includes read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileAccess {
    /// List and read.
    Read,
    /// Also create, change and remove.
    Write,
}

impl FileAccess {
    /// `read` or `write`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl std::fmt::Display for FileAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

pub(crate) fn file_access(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<FileAccess> {
    match section.get("access") {
        Some(entry) => reader
            .word(
                &entry,
                &[("read", FileAccess::Read), ("write", FileAccess::Write)],
            )
            .copied(),
        None => {
            reader.missing(section, "access");
            None
        }
    }
}

/// A guest path that is absolute and normalised.
pub(crate) fn guest_path(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<String> {
    let text = reader.string(entry)?;
    let normal = normal_guest_path(text);
    if normal.as_deref() == Some(text) && text.len() <= MAX_PATH_BYTES {
        return normal;
    }
    let help = match normal {
        _ if text.chars().any(char::is_control) => "leave out control characters".to_owned(),
        Some(normal) if text.len() <= MAX_PATH_BYTES => format!("write \"{}\"", shown(&normal)),
        _ => "a guest path is absolute, such as \"/work\", and has no `..`".to_owned(),
    };
    reader.report(
        entry.node.span(),
        format!(
            "`{}` is not an absolute, normalised path in the guest",
            shown(text)
        ),
        help,
    );
    None
}

/// The one way to write a guest path: absolute, no `.`, no empty segments, no slash at the end. `None` when it is
/// relative, climbs with `..`, or holds a control character or backslash.
pub(crate) fn normal_guest_path(text: &str) -> Option<String> {
    let rest = text.strip_prefix('/')?;
    if rest.chars().any(|c| c.is_control() || c == '\\') {
        return None;
    }
    let segments: Vec<&str> = rest
        .split('/')
        .filter(|segment| !matches!(*segment, "" | "."))
        .collect();
    if segments.contains(&"..") {
        return None;
    }
    Some(format!("/{}", segments.join("/")))
}

/// Whether a normalised guest path is a directory or lies beneath it.
pub(crate) fn is_within(path: &str, directory: &str) -> bool {
    directory == "/"
        || path
            .strip_prefix(directory)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The `to`, `methods` and `paths` of a net entry.
pub(crate) fn net_scope(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    any_allowed: bool,
) -> Option<NetScope> {
    let to = match section.get("to") {
        Some(entry) => endpoint(reader, &entry, any_allowed),
        None => {
            reader.missing(section, "to");
            None
        }
    };
    let (methods, paths) = methods_and_paths(reader, section, &Method::DEFAULT);
    Some(NetScope {
        to: to?,
        methods: methods?,
        paths: paths?,
    })
}

/// The destination of a credential with its methods and paths, which are all where none are named: that a request may be
/// sent at all is said elsewhere.
pub(crate) fn secret_scope(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<NetScope> {
    let to = match section.get("to") {
        Some(entry) => secret_endpoint(reader, &entry),
        None => {
            reader.missing(section, "to");
            None
        }
    };
    let (methods, paths) = methods_and_paths(reader, section, &Method::ALL);
    Some(NetScope {
        to: Some(to?),
        methods: methods?,
        paths: paths?,
    })
}

/// Where a credential may go: one host, named in full, and encrypted.
pub(crate) fn secret_endpoint(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Endpoint> {
    let text = reader.string(entry)?;
    let refuse = |reader: &mut Reader<'_>, message: String, help: String| {
        if text.contains('@') {
            reader.hide(entry.node.span());
        }
        reader.report(entry.node.span(), message, help);
        None
    };
    match Endpoint::parse(text) {
        Ok(Endpoint {
            host: HostPattern::OneLabel(suffix),
            ..
        }) => refuse(
            reader,
            "a secret goes to exactly one host, and `*.` stands for many".to_owned(),
            format!("name the host, for example \"https://api.{suffix}\""),
        ),
        Ok(endpoint) if endpoint.scheme != Scheme::Https => refuse(
            reader,
            "a secret is never sent unencrypted".to_owned(),
            "write \"https://…\"; for a server of your own, name its authority in `[egress] ca`"
                .to_owned(),
        ),
        Ok(endpoint) => Some(endpoint),
        Err(_) if text.contains('@') => refuse(
            reader,
            "a user name or password has no place in a rule".to_owned(),
            "write it like \"https://api.example.com\"".to_owned(),
        ),
        Err(error) => refuse(reader, error.message, error.help),
    }
}

type Written<T> = Option<Vec<T>>;

fn methods_and_paths(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    default: &[Method],
) -> (Written<Method>, Written<PathPattern>) {
    let methods = match section.get("methods") {
        Some(entry) => methods(reader, &entry),
        None => Some(default.to_vec()),
    };
    let paths = match section.get("paths") {
        Some(entry) => paths(reader, &entry),
        None => Some(vec![PathPattern::everything()]),
    };
    (methods, paths)
}

#[expect(
    clippy::option_option,
    reason = "the outer tells a reported problem, the inner any host"
)]
fn endpoint(
    reader: &mut Reader<'_>,
    entry: &Entry<'_>,
    any_allowed: bool,
) -> Option<Option<Endpoint>> {
    let text = reader.string(entry)?;
    if text == "any" {
        if any_allowed {
            return Some(None);
        }
        reader.report(
            entry.node.span(),
            "a policy cannot grant any host",
            "name the hosts, for example \"https://api.example.com\"",
        );
        return None;
    }
    match Endpoint::parse(text) {
        Ok(endpoint) => Some(Some(endpoint)),
        Err(error) => {
            reader.report(entry.node.span(), error.message, error.help);
            None
        }
    }
}

fn methods(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Vec<Method>> {
    let names = reader.strings(entry, Method::ALL.len())?;
    if names.is_empty() {
        never_matches(reader, entry, "methods");
        return None;
    }
    let mut methods = Vec::new();
    let mut complete = true;
    for (element, name) in names {
        match Method::from_name(name) {
            Some(method) if methods.contains(&method) => {
                complete = false;
                reader.report(
                    element.node.span(),
                    format!("`{name}` stands here twice"),
                    "remove one",
                );
            }
            Some(method) => methods.push(method),
            None => {
                complete = false;
                let upper = name.to_ascii_uppercase();
                let help = match upper.as_str() {
                    "CONNECT" | "TRACE" => {
                        "no rule can grant it: it would go around what rules can check".to_owned()
                    }
                    upper if Method::from_name(upper).is_some() => format!("write \"{upper}\""),
                    _ => format!("the methods are {}", listed(&Method::ALL.map(Method::name))),
                };
                reader.report(
                    element.node.span(),
                    format!("`{}` is not a method that can be granted", shown(name)),
                    help,
                );
            }
        }
    }
    methods.sort_unstable();
    complete.then_some(methods)
}

fn paths(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Vec<PathPattern>> {
    let texts = reader.strings(entry, MAX_LIST)?;
    if texts.is_empty() {
        never_matches(reader, entry, "paths");
        return None;
    }
    let mut patterns: Vec<PathPattern> = Vec::new();
    let mut complete = true;
    for (element, text) in texts {
        match PathPattern::parse(text) {
            Ok(pattern) if patterns.contains(&pattern) => {
                complete = false;
                reader.report(
                    element.node.span(),
                    format!("`{text}` stands here twice"),
                    "remove one",
                );
            }
            Ok(pattern) => patterns.push(pattern),
            Err(why) => {
                complete = false;
                reader.report(
                    element.node.span(),
                    format!("`{}` is not a path pattern", shown(text)),
                    why,
                );
            }
        }
    }
    complete.then_some(patterns)
}

fn never_matches(reader: &mut Reader<'_>, entry: &Entry<'_>, what: &str) {
    reader.report(
        entry.node.span(),
        format!("an empty list of {what} never matches"),
        format!("leave `{what}` out for the default, or name some"),
    );
}

/// A name of an environment variable: letters, digits and `_`, not first a digit, at most 128 characters.
pub(crate) fn is_env_name(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A list of public tool names, as in `calls`.
pub(crate) fn call_names<'d>(
    reader: &mut Reader<'_>,
    entry: &Entry<'d>,
) -> Vec<(Entry<'d>, String)> {
    let mut calls: Vec<(Entry<'d>, String)> = Vec::new();
    for (element, name) in reader.strings(entry, MAX_LIST).unwrap_or_default() {
        if !names::is_public_name(name) {
            reader.report(
                element.node.span(),
                format!("`{}` is not a tool's public name", shown(name)),
                "public names look like `time_now`: lower-case letters, digits, `_` and `-`",
            );
        } else if calls.iter().any(|(_, other)| other == name) {
            reader.report(
                element.node.span(),
                format!("`{name}` stands here twice"),
                "remove one",
            );
        } else {
            calls.push((element, name.to_owned()));
        }
    }
    calls
}
