//! What a component must export and may import.

use toolcell_policy::Manifest;

use super::{Inspection, plain::Plain};
use crate::{Error, ErrorKind, Result};

/// The version of `toolcell:tool` that this host speaks.
pub(crate) const CONTRACT_VERSION: &str = "0.1.0";

const CONTRACT: &str = "toolcell:tool/";

/// What a tool of the contract exports, without the version.
const EXPORTED: &str = "toolcell:tool/tool@";

/// Interfaces of WASI 0.2 that are always linked: what the manifest did not request leads to nothing. Language
/// runtimes import many of them unasked.
const WASI: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// What a component is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A tool for a model.
    Tool,
    /// A program for a person.
    Program,
}

/// Checks a component against the contract and its manifest. All reasons against it are in one error.
///
/// # Errors
///
/// `invalid_component`.
pub(super) fn check(
    inspection: &Inspection,
    manifest: &Manifest,
    role: Role,
    plain: Option<&Plain>,
) -> Result<()> {
    let mut reasons: Vec<String> = inspection
        .imports
        .iter()
        .filter_map(|import| check_import(import, manifest).err())
        .collect();
    let exported = match (role, plain) {
        (Role::Tool, Some(plain)) => exports_functions(plain),
        (Role::Tool, None) => exports_tool(inspection),
        (Role::Program, _) => exports_run(inspection),
    };
    reasons.extend(exported.err());
    if reasons.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidComponent, reasons.join("; ")))
}

/// Whether a component does not export the contract, in no version.
pub(super) fn is_plain(inspection: &Inspection) -> bool {
    !inspection
        .exports
        .iter()
        .any(|export| export.starts_with(EXPORTED))
}

fn exports_functions(plain: &Plain) -> Result<(), String> {
    if !plain.is_empty() {
        return Ok(());
    }
    let none = format!("it exports no `{EXPORTED}{CONTRACT_VERSION}`");
    Err(match plain.reasons() {
        None => format!("{none} and no function that could be a tool, so it is no tool"),
        Some(reasons) => {
            format!("{none}, and none of its functions can be a tool: {reasons}")
        }
    })
}

fn exports_tool(inspection: &Inspection) -> Result<(), String> {
    let offered: Vec<&str> = inspection
        .exports
        .iter()
        .filter_map(|export| export.strip_prefix(EXPORTED))
        .collect();
    if offered.contains(&CONTRACT_VERSION) {
        return Ok(());
    }
    match offered.first() {
        Some(other) => Err(format!(
            "it exports `toolcell:tool/tool@{other}`, and this host speaks version {CONTRACT_VERSION}"
        )),
        None => Err(format!(
            "it exports no `toolcell:tool/tool@{CONTRACT_VERSION}`, so it is no tool"
        )),
    }
}

fn exports_run(inspection: &Inspection) -> Result<(), String> {
    let found = inspection.exports.iter().any(|export| {
        let version = export.strip_prefix("wasi:cli/run@");
        version.is_some_and(is_wasi_0_2)
    });
    if found {
        return Ok(());
    }
    Err("it exports no `wasi:cli/run` of WASI 0.2, so it is no program".to_owned())
}

fn check_import(import: &str, manifest: &Manifest) -> Result<(), String> {
    if let Some(own) = import.strip_prefix(CONTRACT) {
        return check_own(import, own, manifest);
    }
    let unknown = || {
        Err(format!(
            "it imports `{import}`, which this host does not offer"
        ))
    };
    let Some((interface, version)) = import.split_once('@') else {
        return unknown();
    };
    if !WASI.contains(&interface) || !is_wasi_0_2(version) {
        return unknown();
    }
    if interface == "wasi:http/outgoing-handler" && manifest.request.net.is_empty() {
        return Err(format!(
            "it imports `{import}`, and its manifest requests no network access"
        ));
    }
    Ok(())
}

/// An interface of toolcell itself.
fn check_own(import: &str, own: &str, manifest: &Manifest) -> Result<(), String> {
    let (interface, version) = own.split_once('@').unwrap_or((own, ""));
    if version != CONTRACT_VERSION {
        return Err(format!(
            "it imports `{import}`, and this host speaks version {CONTRACT_VERSION}"
        ));
    }
    match interface {
        "types" | "log" | "progress" => Ok(()),
        "tools" if manifest.request.calls.is_empty() => Err(format!(
            "it imports `{import}`, and its manifest requests no calls of other tools"
        )),
        "tools" => Ok(()),
        "secrets" if manifest.request.secrets.is_empty() => Err(format!(
            "it imports `{import}`, and its manifest requests no secrets"
        )),
        "secrets" => Ok(()),
        "kv" => Err(format!(
            "it imports `{import}`, which this version of toolcell does not offer yet"
        )),
        _ => Err(format!("it imports `{import}`, which does not exist")),
    }
}

/// WASI 0.2 and its patch releases are compatible with each other; previews and release candidates are not.
fn is_wasi_0_2(version: &str) -> bool {
    version
        .strip_prefix("0.2.")
        .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
}
