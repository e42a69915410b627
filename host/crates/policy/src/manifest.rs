//! The author's file `tool.toml`: what a package is, which tools it offers, and what it would like to be granted.

mod parse;
mod print;
mod requests;

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::{
    Endpoint, FileAccess, NetScope, Problems, SecretPlace, names,
    print::Table,
    reader::{Reader, Section},
};

/// The longest manifest, in bytes.
pub const MAX_MANIFEST_BYTES: usize = 256 << 10;
/// The most tools in one package.
pub const MAX_TOOLS: usize = 128;
/// The longest description, in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 4 << 10;
/// The largest schema, in bytes of JSON.
pub const MAX_SCHEMA_BYTES: usize = 64 << 10;
/// How deep a schema may be nested.
pub const MAX_SCHEMA_DEPTH: usize = 32;
/// The longest `why` of a request, in bytes.
pub const MAX_WHY_BYTES: usize = 512;
/// The contract that a package implements when its manifest does not say.
pub const DEFAULT_WORLD: &str = "toolcell:tool@0.1";

/// What a package says of itself. Nothing in it grants anything.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Manifest {
    /// The package's name in kebab-case.
    pub name: String,
    /// The package's version, as three numbers and an optional suffix; `0.0.0` when the manifest is a default one.
    pub version: String,
    /// The contract, for example `toolcell:tool@0.1`.
    pub world: String,
    /// What the package is for; may be empty.
    pub description: String,
    /// The tools; never empty.
    pub tools: Vec<ToolDefinition>,
    /// What it would like to be granted.
    #[serde(serialize_with = "shared")]
    pub request: Arc<Requests>,
}

fn endpoint<S: Serializer>(to: &Option<Endpoint>, serializer: S) -> Result<S::Ok, S::Error> {
    match to {
        Some(endpoint) => endpoint.serialize(serializer),
        None => serializer.serialize_str("any"),
    }
}

fn shared<S: Serializer>(requests: &Arc<Requests>, serializer: S) -> Result<S::Ok, S::Error> {
    requests.as_ref().serialize(serializer)
}

/// One tool of a package.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToolDefinition {
    /// The name in kebab-case, unique in the package.
    pub name: String,
    /// What the model reads; may be empty.
    pub description: String,
    /// The JSON Schema of the input; always an object schema.
    pub input: Value,
    /// The JSON Schema of the structured answer, where the tool has one.
    pub output: Option<Value>,
    /// Hints for people and models; nothing is decided by them.
    pub annotations: Annotations,
}

/// What a tool's author says about its effects. Hints only: no decision depends on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Annotations {
    /// It changes nothing.
    pub read_only: Option<bool>,
    /// Calling it again with the same input changes nothing more.
    pub idempotent: Option<bool>,
    /// It deals with the world outside.
    pub open_world: Option<bool>,
    /// It may destroy what was there.
    pub destructive: Option<bool>,
}

/// What a package would like to be granted. The policy grants at most this, and nothing by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// Network access.
    pub net: Vec<NetRequest>,
    /// Directories.
    pub files: Vec<FileRequest>,
    /// Environment variables.
    pub env: Vec<EnvRequest>,
    /// Other tools to call, by public name.
    pub calls: Vec<String>,
    /// Credentials that the host puts into requests.
    pub secrets: Vec<SecretRequest>,
}

impl Requests {
    /// A request for everything, to look at a policy alone.
    pub(crate) fn everything() -> Self {
        Self {
            net: vec![NetRequest {
                scope: NetScope {
                    to: None,
                    methods: crate::Method::ALL.to_vec(),
                    paths: vec![crate::PathPattern::everything()],
                },
                why: None,
            }],
            files: vec![FileRequest {
                access: FileAccess::Write,
                guest: None,
                why: None,
            }],
            ..Self::default()
        }
    }
}

/// A wish to reach a host, or any host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetRequest {
    /// Where to and how; `scope.to` is `None` for `to = "any"`.
    #[serde(flatten)]
    pub scope: NetScope,
    /// Why, in the author's words.
    pub why: Option<String>,
}

/// A wish for a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileRequest {
    /// Read, or also write.
    pub access: FileAccess,
    /// Where in the guest; `None` is anywhere.
    pub guest: Option<String>,
    /// Why, in the author's words.
    pub why: Option<String>,
}

/// A wish for an environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnvRequest {
    /// The variable's name.
    pub name: String,
    /// Why, in the author's words.
    pub why: Option<String>,
}

/// A wish that a credential be added to requests to one host. The package never sees its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecretRequest {
    /// The slot's name.
    pub name: String,
    /// The endpoint it would be used for; `None` is the one that the policy names, written `to = "any"`.
    #[serde(serialize_with = "endpoint")]
    pub to: Option<Endpoint>,
    /// Where it should be put, as the author suggests; the policy decides.
    pub place: Option<SecretPlace>,
    /// Why, in the author's words.
    pub why: Option<String>,
}

impl SecretRequest {
    /// The endpoint it would be used for, in words.
    pub fn destination(&self) -> String {
        self.to
            .as_ref()
            .map_or_else(|| "any one host".to_owned(), ToString::to_string)
    }
}

impl Manifest {
    /// Reads a manifest; `name` is the file's name in diagnostics.
    ///
    /// # Errors
    /// All problems of the file at once.
    pub fn parse(name: &str, text: &str) -> Result<Self, Problems> {
        parse::manifest(name, text)
    }

    /// Reads a manifest that is called `tool.toml`.
    ///
    /// # Errors
    /// All problems of the file at once.
    pub fn from_toml(text: &str) -> Result<Self, Problems> {
        Self::parse("tool.toml", text)
    }

    /// The manifest of a component that carries none: package and only tool named after the file, any JSON object as
    /// input, nothing requested. A stem of which no name can be made becomes `tool`.
    pub fn default_for(file_stem: &str) -> Self {
        let name = names::to_kebab_case(file_stem).unwrap_or_else(|| "tool".to_owned());
        Self {
            name: name.clone(),
            version: "0.0.0".to_owned(),
            world: DEFAULT_WORLD.to_owned(),
            description: String::new(),
            tools: vec![ToolDefinition {
                name,
                description: String::new(),
                input: json!({ "type": "object" }),
                output: None,
                annotations: Annotations::default(),
            }],
            request: Arc::default(),
        }
    }

    /// The manifest as TOML; parsing it gives the same manifest.
    pub fn to_toml(&self) -> String {
        print::manifest(self)
    }

    /// The name that models call a tool of this package by: `package_tool`, or `package` when its only tool carries
    /// its name.
    pub fn public_name(&self, tool: &ToolDefinition) -> String {
        names::public_name(&self.name, &tool.name, self.tools.len() == 1)
    }

    /// The tool of that name in the manifest.
    pub fn tool(&self, name: &str) -> Option<&ToolDefinition> {
        self.tools.iter().find(|tool| tool.name == name)
    }
}

/// The keys of a recorded manifest but its name, which a lock file has as the name of a table.
pub(crate) const RECORDED_KEYS: [&str; 5] = ["version", "world", "description", "tool", "request"];

/// Reads what [`recorded`] writes.
pub(crate) fn read_recorded(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    name: &str,
) -> Option<Manifest> {
    parse::body(reader, section, Some(name.to_owned()))
}

/// A manifest in its shortest form, schemas as JSON in strings: how a lock file records it.
pub(crate) fn recorded(manifest: &Manifest) -> Table {
    print::table(manifest, print::schema_text)
}

/// The tools alone, as a lock file records them.
pub(crate) fn recorded_tools(manifest: &Manifest) -> Table {
    let tools = print::tools(manifest, print::schema_text);
    Table::from_iter([("tool".to_owned(), tools)])
}

#[cfg(test)]
mod tests;
