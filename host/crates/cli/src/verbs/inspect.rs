//! `toolcell inspect FILE|builtin:NAME`. Nothing of the component runs, and nothing is compiled.

use serde_json::json;
use toolcell::{Package, text::escape_control};
use toolcell_policy::{Requests, ToolDefinition};

use crate::{
    app::Outcome,
    args::InspectArgs,
    exit, hosts, output,
    style::{self, paint},
};

/// Imports that deserve a word, by the start of their names.
const FLAGGED: &[(&str, &str)] = &[
    (
        "wasi:sockets/",
        "sockets and name lookups: linked, and every operation denied",
    ),
    ("wasi:http/", "web requests: only what is granted"),
    ("wasi:filesystem/", "files: only granted directories"),
    ("toolcell:tool/tools", "other tools: only granted ones"),
];

pub(crate) fn inspect(arguments: &InspectArgs) -> Outcome {
    let package = hosts::named_package(&arguments.component)?;
    let (manifest, inspection) = (package.manifest(), package.inspection());
    let imports: Vec<_> = inspection
        .imports
        .iter()
        .map(|import| json!({ "name": import, "note": note(import) }))
        .collect();
    let tools: Vec<_> = manifest
        .tools
        .iter()
        .map(|tool| {
            json!({
                "public_name": manifest.public_name(tool),
                "description": tool.description,
                "input_schema": tool.input,
                "output_schema": tool.output,
                "annotations": tool.annotations,
            })
        })
        .collect();
    let value = json!({
        "package": manifest.name,
        "version": manifest.version,
        "world": (!package.is_plain()).then_some(&manifest.world),
        "description": manifest.description,
        "digest": package.digest(),
        "bytes": inspection.bytes,
        "core_modules": inspection.core_modules,
        "has_manifest": inspection.manifest.is_some(),
        "tools": tools,
        "requests": manifest.request,
        "imports": imports,
        "exports": inspection.exports,
        "left_out": package.left_out(),
    });
    output::answer(value, |_| human(&package));
    Ok(exit::OK)
}

fn note(import: &str) -> Option<&'static str> {
    FLAGGED
        .iter()
        .find(|(start, _)| import.starts_with(start))
        .map(|(_, note)| *note)
}

fn human(package: &Package) -> String {
    let (manifest, inspection) = (package.manifest(), package.inspection());
    let heading = |text: &str| format!("\n{}\n", paint(style::BOLD, text));
    let about = format!(
        "{} {}  {}",
        paint(style::BOLD, escape_control(&manifest.name)),
        escape_control(&manifest.version),
        escape_control(&manifest.description)
    );
    let mut text = format!("{}\n", about.trim_end());
    let from = match (inspection.manifest.is_some(), package.is_plain()) {
        (true, _) => "",
        (false, true) => " (it carries no manifest)",
        (false, false) => " (assumed: it carries no manifest)",
    };
    let contract = if package.is_plain() {
        "none: its exported functions are the tools"
    } else {
        &manifest.world
    };
    text.push_str(&format!("  contract {}{from}\n", escape_control(contract)));
    text.push_str(&format!("  digest   {}\n", package.digest()));
    text.push_str(&format!("  size     {}\n", style::size(inspection.bytes)));
    text.push_str(&heading("Tools"));
    for tool in &manifest.tools {
        text.push_str(&tool_text(&manifest.public_name(tool), tool));
    }
    text.push_str(&left_out(package));
    text.push_str(&heading("Requests, none of which is granted by itself"));
    text.push_str(&requests(&manifest.request));
    text.push_str(&heading("Imports"));
    for import in &inspection.imports {
        let note = note(import).map_or(String::new(), |note| {
            paint(style::NOTE, format_args!("  {note}"))
        });
        text.push_str(&format!("  {}{note}\n", escape_control(import)));
    }
    if inspection.imports.is_empty() {
        text.push_str("  none\n");
    }
    text
}

fn tool_text(name: &str, tool: &ToolDefinition) -> String {
    let about = style::one_line(tool.description.lines().next().unwrap_or_default(), 100);
    let head = format!("  {}  {about}", paint(style::BOLD, escape_control(name)));
    let mut text = format!("{}\n", head.trim_end());
    text.push_str(&format!(
        "    input  {}\n",
        escape_control(&tool.input.to_string())
    ));
    if let Some(output) = &tool.output {
        text.push_str(&format!(
            "    output {}\n",
            escape_control(&output.to_string())
        ));
    }
    text
}

/// The functions of a component without the contract that are no tools.
fn left_out(package: &Package) -> String {
    if package.left_out().is_empty() {
        return String::new();
    }
    let mut text = format!("\n{}\n", paint(style::BOLD, "Functions that are no tools"));
    for it in package.left_out() {
        let line = format!("  {}  {}", it.function, it.reason);
        text.push_str(&format!("{}\n", escape_control(&line)));
    }
    text
}

fn requests(requests: &Requests) -> String {
    let why = |why: &Option<String>| why.as_ref().map_or(String::new(), |why| format!(": {why}"));
    let files = requests.files.iter().map(|it| {
        let guest = it.guest.as_deref().unwrap_or("any granted directory");
        format!("{:<7} {} {guest}{}", "files", it.access, why(&it.why))
    });
    let net = requests.net.iter().map(|it| {
        let to = it
            .scope
            .to
            .as_ref()
            .map_or("any granted host".to_owned(), ToString::to_string);
        let methods: Vec<&str> = it
            .scope
            .methods
            .iter()
            .map(|method| method.name())
            .collect();
        format!("{:<7} {} {to}{}", "net", methods.join(" "), why(&it.why))
    });
    let env = requests
        .env
        .iter()
        .map(|it| format!("{:<7} {}{}", "env", it.name, why(&it.why)));
    let calls = requests
        .calls
        .iter()
        .map(|it| format!("{:<7} {it}", "calls"));
    let secrets = requests.secrets.iter().map(|it| {
        format!(
            "{:<7} {} for {}{}",
            "secret",
            it.name,
            it.destination(),
            why(&it.why)
        )
    });
    let lines: Vec<String> = files
        .chain(net)
        .chain(env)
        .chain(calls)
        .chain(secrets)
        .collect();
    if lines.is_empty() {
        return "  nothing\n".to_owned();
    }
    lines
        .iter()
        .map(|line| format!("  {}\n", escape_control(line)))
        .collect()
}
