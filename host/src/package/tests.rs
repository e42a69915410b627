use std::fs;

use super::*;
use crate::{
    engine::limits,
    sandbox::fixtures::{ECHO, tool, tool_text, tool_with},
};

fn refused(bytes: &[u8]) -> String {
    let error = Package::parse("t", bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidComponent, "{error}");
    error.message().to_owned()
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// A tool with a manifest as a custom section of the component, or of its core module.
fn with_manifest(manifest: &str, nested: bool) -> Vec<u8> {
    let manifest = manifest.replace('"', "\\\"").replace('\n', "\\n");
    let section = format!("(@custom \"toolcell:manifest\" \"{manifest}\")");
    if nested {
        tool(&section, ECHO)
    } else {
        tool_with(&section, "", ECHO)
    }
}

const MANIFEST: &str = r#"
name = "weather"
version = "1.2.3"
[[tool]]
name = "forecast"
description = "Forecast for a city"
input = { type = "object" }
"#;

#[test]
fn what_is_no_component_is_named() {
    for (bytes, what) in [
        (&b""[..], "it is empty"),
        (b"\0asm\x01\0\0\0", "it is a core module"),
        (b"\0asm\x0e\0\x01\0", "encoding version 14"),
        (b"\0asm", "cut off"),
        (b"\x7fELF\x02\x01\x01\0", "compiled component (.cwasm)"),
        (b"  (component)", "text form (WAT)"),
        (b"hello", "it is text"),
        (b"\xff\xfe\x00\x01", "magic number"),
    ] {
        let message = refused(bytes);
        assert!(message.contains(what), "{message} should contain {what}");
    }
}

#[test]
fn a_compiled_component_is_refused() {
    let config = crate::engine::config::config(1, false);
    let engine = wasmtime::Engine::new(&config).unwrap();
    let compiled = engine.precompile_component(&tool("", ECHO)).unwrap();
    assert!(refused(&compiled).contains("never loaded"));
}

#[test]
fn a_component_cut_anywhere_is_refused() {
    let whole = tool("", ECHO);
    assert!(Package::parse("t", whole.clone()).is_ok());
    for length in 0..whole.len() {
        if Package::parse("t", &whole[..length]).is_ok() {
            // Only a whole custom section at the end, here the names for debuggers, may be missing.
            assert_eq!(whole[length], 0, "{length} of {} bytes", whole.len());
        }
    }
}

#[test]
fn garbage_is_refused_and_never_panics() {
    use proptest::prelude::*;
    proptest!(|(at in 8_usize..1_000, byte in any::<u8>(), tail in proptest::collection::vec(any::<u8>(), 0..64))| {
        let mut bytes = tool("", ECHO);
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = Package::parse("t", bytes.clone());
        bytes.truncate(at);
        bytes.extend(tail);
        let _ = Package::parse("t", bytes);
    });
}

#[test]
fn an_import_that_is_not_offered_is_named() {
    for (import, what) in [
        (
            "acme:db/query@1.0.0",
            "`acme:db/query@1.0.0`, which this host does not offer",
        ),
        ("wasi:filesystem/types@0.3.0", "wasi:filesystem/types@0.3.0"),
        ("wasi:cli/environment@0.2.0-rc-2023-11-10", "does not offer"),
        (
            "wasi:http/outgoing-handler@0.2.6",
            "requests no network access",
        ),
        (
            "toolcell:tool/tools@0.1.0",
            "requests no calls of other tools",
        ),
        ("toolcell:tool/kv@0.1.0", "does not offer yet"),
        ("toolcell:tool/secrets@0.1.0", "requests no secrets"),
        ("toolcell:tool/log@0.2.0", "speaks version 0.1.0"),
        ("toolcell:tool/magic@0.1.0", "does not exist"),
    ] {
        let bytes = tool_with(&format!("(import \"{import}\" (instance))"), "", ECHO);
        let message = refused(&bytes);
        assert!(message.contains(what), "{message} should contain {what}");
    }
    let bytes = tool_with("(import \"plain\" (func))", "", ECHO);
    assert!(refused(&bytes).contains("`plain`"));
}

#[test]
fn what_runtimes_import_unasked_is_fine() {
    let imports: String = [
        "wasi:filesystem/types@0.2.6",
        "wasi:cli/environment@0.2.0",
        "wasi:clocks/wall-clock@0.2.12",
        "wasi:sockets/tcp@0.2.3",
        "wasi:random/random@0.2.9",
        "wasi:http/types@0.2.6",
        "toolcell:tool/log@0.1.0",
        "toolcell:tool/progress@0.1.0",
    ]
    .map(|import| format!("(import \"{import}\" (instance))"))
    .concat();
    let package = Package::parse("t", tool_with(&imports, "", ECHO)).unwrap();
    // The contract's types are an import, too.
    assert_eq!(package.inspection().imports.len(), 9);
    assert_eq!(package.inspection().exports, ["toolcell:tool/tool@0.1.0"]);
    assert_eq!(package.inspection().core_modules, 1);
}

#[test]
fn a_request_lets_an_import_pass() {
    let net = "net = [{ to = \"any\" }]";
    let secret = "secrets = [{ name = \"KEY\", to = \"https://a.test\", why = \"a test\" }]";
    for (request, import, fine) in [
        (net, "wasi:http/outgoing-handler@0.2.6", true),
        (net, "toolcell:tool/secrets@0.1.0", false),
        (secret, "toolcell:tool/secrets@0.1.0", true),
        (secret, "wasi:http/outgoing-handler@0.2.6", false),
    ] {
        let manifest = format!("{MANIFEST}[request]\n{request}\n");
        let manifest = manifest.replace('"', "\\\"").replace('\n', "\\n");
        let component = format!(
            "(@custom \"toolcell:manifest\" \"{manifest}\") (import \"{import}\" (instance))"
        );
        let package = Package::parse("t", tool_with(&component, "", ECHO));
        assert_eq!(package.is_ok(), fine, "{request}: {import}");
    }
}

#[test]
fn another_version_of_the_contract_is_named() {
    let bytes = wat(&tool_text("", "", ECHO, "0.2.0"));
    let message = refused(&bytes);
    assert!(message.contains("toolcell:tool/tool@0.2.0"), "{message}");
    assert!(message.contains("version 0.1.0"), "{message}");
    assert!(refused(&wat("(component)")).contains("so it is no tool"));
}

#[test]
fn all_reasons_are_told_at_once() {
    let message = refused(&wat(
        "(component (import \"a:b/c\" (instance)) (import \"d:e/f\" (instance)))",
    ));
    for part in ["a:b/c", "d:e/f", "no tool"] {
        assert!(message.contains(part), "{message} should contain {part}");
    }
}

#[test]
fn features_that_are_off_are_refused() {
    for field in [
        "(memory $big i64 1)",
        "(memory $shared 1 2 shared)",
        "(type $s (struct))",
        "(tag $t)",
    ] {
        let message = refused(&tool(field, ECHO));
        assert!(message.contains("does not offer"), "{field}: {message}");
    }
}

#[test]
fn the_manifest_is_found_at_the_top_and_inside_the_core_module() {
    for nested in [false, true] {
        let package = Package::parse("t", with_manifest(MANIFEST, nested)).unwrap();
        assert_eq!(package.manifest().name, "weather");
        assert_eq!(package.manifest().tools.len(), 1);
    }
    let package = Package::parse("plain-tool", tool("", ECHO)).unwrap();
    assert_eq!(package.manifest().name, "plain-tool");
    assert!(package.digest().starts_with("sha256:"));
    assert_eq!(package.digest().len(), 7 + 64);
}

#[test]
fn different_manifests_are_refused_and_the_top_one_counts() {
    let section = |text: &str| format!("(@custom \"toolcell:manifest\" \"{text}\")");
    let two = format!("{} {}", section("a"), section("b"));
    assert!(refused(&tool_with(&two, "", ECHO)).contains("2 different manifests"));
    let top = section(&MANIFEST.replace('"', "\\\"").replace('\n', "\\n"));
    let package = Package::parse("t", tool_with(&top, &section("name = "), ECHO)).unwrap();
    assert_eq!(package.manifest().name, "weather");
}

#[test]
fn a_wrong_manifest_is_told_apart_from_a_wrong_component() {
    let error = Package::parse("t", with_manifest("nam = 1", false)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidManifest);
    let long = "#".repeat(limits::MANIFEST_BYTES + 1);
    assert!(refused(&with_manifest(&long, false)).contains("262145 bytes"));
    let bytes = tool_with("(@custom \"toolcell:manifest\" \"a\\ff\")", "", ECHO);
    assert!(refused(&bytes).contains("no UTF-8 text (byte 1)"));
}

#[test]
fn names_and_nesting_are_bounded() {
    let many: String = (0..=limits::COMPONENT_NAMES)
        .map(|n| format!("(import \"a:b/c{n}\" (instance))"))
        .collect();
    assert!(refused(&wat(&format!("(component {many})"))).contains("more than 256 imports"));
    let deep = limits::COMPONENT_NESTING + 1;
    let text = "(component ".repeat(deep) + &")".repeat(deep);
    assert!(refused(&wat(&text)).contains("nested more than 32 deep"));
}

#[test]
fn a_file_that_is_too_large_is_refused_by_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.wasm");
    // Reading its 100 GB of holes would take minutes.
    fs::File::create(&path).unwrap().set_len(100 << 30).unwrap();
    let error = Package::read_file(&path, limits::DEFAULT_COMPONENT_BYTES).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidComponent);
    assert!(error.message().contains("107374182400 bytes"), "{error}");
    assert!(
        error.message().contains("at most 67108864 bytes"),
        "{error}"
    );
}

#[test]
fn files_are_read_and_named_in_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("my-tool.wasm");
    fs::write(&path, tool("", ECHO)).unwrap();
    assert_eq!(
        Package::read_file(&path, 1 << 20).unwrap().manifest().name,
        "my-tool"
    );
    fs::write(&path, "nothing").unwrap();
    let error = Package::read_file(&path, 1 << 20).unwrap_err();
    assert!(
        error
            .message()
            .contains("my-tool.wasm: no component: it is text"),
        "{error}"
    );
    for missing in [dir.path().join("none.wasm"), dir.path().to_owned()] {
        let error = Package::read_file(&missing, 1 << 20).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidComponent, "{error}");
    }
}

#[test]
fn a_pipe_does_not_hold_the_reader_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe.wasm");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
    let error = Package::read_file(&path, 1 << 20).unwrap_err();
    assert!(error.message().contains("no regular file"), "{error}");
}
