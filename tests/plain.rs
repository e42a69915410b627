//! Components that know nothing of toolcell: their exported functions are tools, whatever types they have.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails may panic"
)]

mod common;

use std::fs;

use common::{builder, guest, isolation};
use serde_json::{Value, json};
use toolcell::{Content, Error, ErrorKind, Package, Policy, ToolCall, ToolHost, ToolResult};

fn host(policy: &str) -> ToolHost {
    builder(isolation())
        .policy(Policy::parse("policy.toml", policy).unwrap())
        .build()
        .unwrap()
}

async fn shapes(policy: &str) -> ToolHost {
    let host = host(policy);
    host.load_file(guest("shapes")).await.unwrap();
    host
}

async fn call(host: &ToolHost, tool: &str, input: Value) -> ToolResult {
    let result = host.call(ToolCall::new(tool, input)).await;
    result.expect("the host is well")
}

/// What a tool answers as one object.
async fn answer(host: &ToolHost, tool: &str, input: Value) -> Value {
    let result = call(host, tool, input).await;
    assert_eq!(result.failure, None, "{tool}");
    result.structured.expect("it has a structured answer")
}

fn failure(result: &ToolResult) -> (ErrorKind, &str) {
    let failure = result.failure.as_ref().expect("it failed");
    (failure.kind, &failure.message)
}

#[tokio::test]
async fn a_function_is_a_tool() {
    let host = host("[tool.adder]\n");
    assert_eq!(host.load_file(guest("adder")).await.unwrap(), ["adder_add"]);
    let tool = &host.tools()[0];
    assert_eq!(tool.description, "add: func(x: u32, y: u32) -> u32");
    let number = json!({"type": "integer", "minimum": 0, "maximum": 4_294_967_295_u32});
    assert_eq!(
        tool.input_schema,
        json!({
            "type": "object", "properties": {"x": number, "y": number}, "required": ["x", "y"],
            "additionalProperties": false,
        })
    );
    let result = call(&host, "adder_add", json!({"x": 1, "y": 2})).await;
    assert_eq!(result.content, [Content::Json { json: json!(3) }]);
    assert_eq!(result.structured, Some(json!({"result": 3})));
    assert_eq!(result.usage.output_bytes, 1);
    for (wrong, place) in [
        (json!({"x": 1}), "\"y\" is a required property"),
        (json!({"x": 1, "y": -1}), "/y: "),
        (json!({"x": 1, "y": 1, "z": 1}), "'z'"),
        (
            json!({"x": 1, "y": 1.0}),
            "/y: expected an integer, written without",
        ),
    ] {
        let result = call(&host, "adder_add", wrong).await;
        let (kind, message) = failure(&result);
        assert_eq!(kind, ErrorKind::InvalidInput);
        assert!(message.contains(place), "{message} lacks {place}");
    }
}

#[tokio::test]
async fn every_kind_of_type_passes() {
    let host = shapes("[tool.shapes]\n").await;
    for shape in [
        json!("empty"),
        json!({"circle": 1.5}),
        json!({"circle": "NaN"}),
        json!({"polygon": [{"x": 1, "y": -2, "long-label": null}, {"x": 0, "y": 0, "long-label": "ß"}]}),
    ] {
        let answer = answer(&host, "shapes_shapes-back", json!({ "it": shape })).await;
        assert_eq!(answer, json!({ "result": shape }));
    }
    let point = json!({"x": 2_147_483_647, "y": 0});
    assert_eq!(
        answer(
            &host,
            "shapes_shapes-move-by",
            json!({"it": point, "by": [1, 2]})
        )
        .await,
        json!({"x": -2_147_483_648_i64, "y": 2, "long-label": null}),
        "a record is an object already"
    );
    for maybe in [json!(null), json!({"some": null}), json!({"some": 7})] {
        let given = json!({ "it": maybe });
        let answer = answer(&host, "shapes_shapes-maybe", given).await;
        assert_eq!(answer, json!({ "result": maybe }));
    }
    let none = answer(&host, "shapes_shapes-maybe", json!({})).await;
    assert_eq!(none, json!({ "result": null }));
    assert_eq!(
        answer(
            &host,
            "shapes_shapes-paint",
            json!({"hue": "light-blue", "may": ["run", "read"]})
        )
        .await,
        json!({"result": [["read", "run"], "light-blue", "\u{10ffff}"]})
    );
    assert_eq!(
        answer(&host, "shapes_shapes-bytes", json!({"it": "AQID"})).await,
        json!({"result": "AwIB"})
    );
    let url = call(&host, "shapes_shapes-get-url", json!({})).await;
    assert_eq!(url.content, [Content::text("https://example.com/")]);
    assert_eq!(
        url.structured,
        Some(json!({"result": "https://example.com/"}))
    );
    let nothing = call(&host, "shapes_shapes-nothing", json!({})).await;
    assert!(!nothing.is_error() && nothing.content.is_empty() && nothing.structured.is_none());
}

#[tokio::test]
async fn odd_values_pass_or_fail_and_never_break_the_host() {
    let host = shapes("[tool.shapes]\n").await;
    assert_eq!(
        answer(
            &host,
            "shapes_shapes-widest",
            json!({"u": "18446744073709551615", "s": i64::MIN})
        )
        .await,
        json!({"result": ["18446744073709551615", "-9223372036854775808"]})
    );
    assert_eq!(
        answer(
            &host,
            "shapes_shapes-widest",
            json!({"u": u64::MAX, "s": -1})
        )
        .await,
        json!({"result": ["18446744073709551615", -1]})
    );
    let floats = answer(
        &host,
        "shapes_shapes-floats",
        json!({"a": 0.1, "b": "Infinity"}),
    )
    .await;
    assert_eq!(
        floats.to_string(),
        r#"{"result":[0.1,"Infinity","NaN","-Infinity",-0.0]}"#
    );
    for (tool, input) in [
        ("widest", json!({"u": "18446744073709551616", "s": 0})),
        ("widest", json!({"u": 1e300, "s": 0})),
        ("widest", json!({"u": "", "s": 0})),
        ("floats", json!({"a": 1e300, "b": 0})),
        ("floats", json!({"a": 0, "b": "inf"})),
        ("maybe", json!({"it": {"none": 1}})),
        ("bytes", json!({"it": "A"})),
        ("back", json!({"it": {"circle": 1, "polygon": []}})),
        ("back", json!({"it": {"polygon": [{"x": 1}]}})),
        ("paint", json!({"hue": "green", "may": []})),
        ("paint", json!({"hue": "red", "may": ["read", "read"]})),
    ] {
        let result = call(&host, &format!("shapes_shapes-{tool}"), input.clone()).await;
        assert_eq!(failure(&result).0, ErrorKind::InvalidInput, "{input}");
    }
}

#[tokio::test]
async fn an_error_of_the_function_is_the_tools_error() {
    let host = shapes("[tool.shapes]\n").await;
    let half = answer(&host, "shapes_shapes-divide", json!({"a": 8, "b": 2})).await;
    assert_eq!(half, json!({"result": 4}));
    let result = call(&host, "shapes_shapes-divide", json!({"a": 8, "b": 0})).await;
    let expected = (ErrorKind::ToolError, "it cannot be divided by zero");
    assert_eq!(failure(&result), expected);
    let result = call(&host, "shapes_shapes-refuse", json!({})).await;
    assert_eq!(failure(&result), (ErrorKind::ToolError, "light-blue"));
    let result = call(&host, "shapes_shapes-leave", json!({})).await;
    assert_eq!(failure(&result).0, ErrorKind::Trap);
}

#[tokio::test]
async fn limits_hold_for_functions_too() {
    let limits = "[tool.shapes]\nlimits = { output = \"1KiB\", memory = \"64MiB\" }\n";
    let host = shapes(limits).await;
    let text = answer(&host, "shapes_shapes-text", json!({"length": 512})).await;
    assert_eq!(text["result"].as_str().unwrap().len(), 1_024);
    for (tool, length) in [
        ("text", 513),
        ("zeros", 800),
        ("numbers", 60),
        // What the host would hold of it has far more bytes than the guest has.
        ("zeros", 2_000_000),
        ("numbers", 2_000_000),
    ] {
        let tool = format!("shapes_shapes-{tool}");
        let result = call(&host, &tool, json!({ "length": length })).await;
        assert_eq!(
            failure(&result).0,
            ErrorKind::LimitOutput,
            "{tool} {length}"
        );
        assert!(result.usage.memory_peak_bytes < 64 << 20);
    }
    let result = call(&host, "shapes_shapes-text", json!({"length": 1 << 28})).await;
    assert_eq!(failure(&result).0, ErrorKind::LimitMemory);
}

#[tokio::test]
async fn what_has_no_json_is_left_out_with_its_reason() {
    let package = Package::read_file(&guest("shapes"), 1 << 20).unwrap();
    let tools: Vec<&str> = package
        .manifest()
        .tools
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    assert_eq!(tools.len(), 16, "{tools:?}");
    assert!(tools.contains(&"shapes-get-url") && !tools.contains(&"shapes-borrow-pen"));
    let left_out: Vec<String> = package
        .left_out()
        .iter()
        .map(|it| format!("{}: {}", it.function, it.reason))
        .collect();
    assert_eq!(
        left_out,
        [
            "test:shapes/shapes@1.2.0#[constructor]pen: it belongs to a resource",
            "test:shapes/shapes@1.2.0#[method]pen.draw: it belongs to a resource",
            "test:shapes/shapes@1.2.0#borrow-pen: it uses a resource, which has no form in JSON",
        ]
    );
    assert!(package.is_plain());
    assert!(
        !Package::read_file(&guest("weather"), 1 << 20)
            .unwrap()
            .is_plain()
    );
}

#[tokio::test]
async fn a_component_without_a_manifest_is_granted_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("note"), "secret").unwrap();
    let policy = format!(
        "[tool.shapes]\nfiles = [{{ host = \"{}\", guest = \"/work\", access = \"read\" }}]\n",
        dir.path().display()
    );
    let host = shapes(&policy).await;
    let result = call(&host, "shapes_shapes-read", json!({"path": "/work/note"})).await;
    assert_eq!(failure(&result).0, ErrorKind::ToolError);
    assert!(!result.text().contains("secret"));
    // A manifest that asks for it, and the very same policy.
    let manifest = "name = \"shapes\"\nversion = \"1.0.0\"\n[[tool]]\nname = \"shapes-read\"\n\
        description = \"Reads a file\"\ninput = { type = \"object\" }\n\
        [request]\nfiles = [{ access = \"read\", guest = \"/work\" }]\n";
    let host = self::host(&policy);
    host.load_bytes("shapes", packed(manifest)).await.unwrap();
    let text = answer(&host, "shapes_shapes-read", json!({"path": "/work/note"})).await;
    assert_eq!(text, json!({"result": "secret"}));
    // Its schema lets anything pass, and the function's types do not.
    let result = call(&host, "shapes_shapes-read", json!({"path": 1})).await;
    let expected = "the input does not fit the function: /path: expected text, found a number";
    assert_eq!(failure(&result), (ErrorKind::InvalidInput, expected));
}

#[tokio::test]
async fn a_manifest_cannot_name_what_is_not_exported() {
    let manifest = "name = \"shapes\"\nversion = \"1.0.0\"\n[[tool]]\nname = \"delete\"\n\
        description = \"Deletes\"\ninput = { type = \"object\" }\n";
    let error = host("")
        .load_bytes("shapes", packed(manifest))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidManifest);
    assert!(
        error
            .message()
            .contains("a tool `delete`, and the component exports no function")
    );
    assert!(error.help().unwrap().contains("shapes-divide"));
    // Nor can it say another type of answer.
    let manifest = manifest.replace("\"delete\"", "\"shapes-text\"")
        + "output = { type = \"object\", properties = { result = { type = \"integer\" } } }\n";
    let host = self::host("[tool.shapes]\n");
    host.load_bytes("shapes", packed(&manifest)).await.unwrap();
    let result = call(&host, "shapes_shapes-text", json!({"length": 1})).await;
    assert_eq!(failure(&result).0, ErrorKind::InvalidOutput);
}

/// The guest `shapes` with a manifest, as a custom section at its end.
fn packed(manifest: &str) -> Vec<u8> {
    let name = "toolcell:manifest";
    let mut section = vec![u8::try_from(name.len()).unwrap()];
    section.extend(name.bytes().chain(manifest.bytes()));
    let mut bytes = fs::read(guest("shapes")).unwrap();
    bytes.push(0);
    let mut length = section.len();
    while length >= 0x80 {
        bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    bytes.push(u8::try_from(length).unwrap());
    bytes.extend(section);
    bytes
}

/// A component whose functions have these types, and whose core function has this body. It answers nothing that fits.
fn component(types: &str, functions: &str, body: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
          {types}
          (core module $m
            (memory (export "memory") 64)
            (func (export "f") (result i32) {body}))
          (core instance $i (instantiate $m))
          (alias core export $i "f" (core func $f))
          (alias core export $i "memory" (core memory $memory))
          {functions})"#
    );
    wat::parse_str(text).unwrap()
}

/// A function without parameters.
fn function(name: &str, result: &str) -> String {
    format!(
        "(func (export \"{name}\") (result {result}) (canon lift (core func $f) (memory $memory)))"
    )
}

async fn load(bytes: Vec<u8>) -> Result<Vec<String>, Error> {
    host("").load_bytes("hostile", bytes).await
}

#[tokio::test]
async fn results_that_only_pretend_to_be_values_end_the_call() {
    // At 0: a pointer and a length; at 64: what it points to.
    let says = |ptr: u32, len: u32, there: u32| {
        format!(
            "(i32.store (i32.const 0) (i32.const {ptr})) (i32.store (i32.const 4) (i32.const {len}))
             (i32.store (i32.const 64) (i32.const {there})) (i32.const 0)"
        )
    };
    for (result, body, kind) in [
        // More than there is, and all that there is: 4 MiB of it would be 128 MiB in the host.
        ("(list bool)", says(64, u32::MAX, 0), ErrorKind::Trap),
        ("(list bool)", says(0, 4 << 20, 0), ErrorKind::LimitOutput),
        ("(list u8)", says(0, 4 << 20, 0), ErrorKind::LimitOutput),
        ("string", says(0, 4 << 20, 0), ErrorKind::LimitOutput),
        ("(list u32)", says(65, 1, 0), ErrorKind::Trap),
        // No character, no text, no case.
        ("(list char)", says(64, 1, 0xd800), ErrorKind::Trap),
        ("(list char)", says(64, 1, 0x11_0000), ErrorKind::Trap),
        ("string", says(64, 2, 0xffff), ErrorKind::Trap),
        ("(list (option u8))", says(64, 1, 2), ErrorKind::Trap),
        ("(list (result))", says(64, 1, 255), ErrorKind::Trap),
    ] {
        let host = host("[tool.hostile]\n");
        let bytes = component("", &function("f", result), &body);
        host.load_bytes("hostile", bytes).await.unwrap();
        let result = call(&host, "hostile_f", json!({})).await;
        assert_eq!(failure(&result).0, kind, "{body}: {result:?}");
        assert!(result.text().len() < 200);
    }
}

#[tokio::test]
async fn types_that_grow_are_bounded() {
    let tower = |levels: usize, each: &str| {
        let types: String = (1..=levels)
            .map(|n| {
                format!(
                    "(type $t{n} {})",
                    each.replace('@', &format!("$t{}", n - 1))
                )
            })
            .collect();
        let types = format!("(type $t0 (list bool)) {types}");
        component(
            &types,
            &function("f", &format!("(list $t{levels})")),
            "(i32.const 0)",
        )
    };
    for (bytes, why) in [
        (tower(13, "(list @)"), "nested more than 15 deep"),
        (tower(60, "(option @)"), "nested more than 15 deep"),
        (tower(11, "(tuple @ @)"), "more than 1000 parts"),
    ] {
        let error = load(bytes).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidComponent);
        assert!(error.message().contains(why), "{error}");
    }
    // What has a million parts is refused before anybody writes it out.
    for levels in [25, 60] {
        let error = load(tower(levels, "(tuple @ @)")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidComponent, "{error}");
    }
    assert_eq!(load(tower(12, "(list @)")).await.unwrap(), ["hostile_f"]);
    let names: String = (0..5_000).map(|n| format!(" \"n{n}\"")).collect();
    let types = format!("(type $e (enum{names})) (export $named \"e\" (type $e))");
    let error = load(component(
        &types,
        &function("f", "(list $named)"),
        "(i32.const 0)",
    ))
    .await;
    assert!(
        error
            .unwrap_err()
            .message()
            .contains("more than 1000 parts")
    );
}

#[tokio::test]
async fn many_functions_and_types_are_bounded() {
    let many = |count: usize| {
        let types: String = (0..count)
            .map(|n| format!("(type $t{n} (tuple u8 (list (option u{}))))", 8 << (n % 4)))
            .collect();
        let functions: String = (0..count)
            .map(|n| function(&format!("f-{n:04}x"), &format!("(list $t{n})")))
            .collect();
        // In an instance, since a component has at most 256 exports itself.
        let inner = format!("(type $u8 u8) {types}");
        let exports: String = (0..count)
            .map(|n| format!("(export \"f-{n:04}x\" (func $f{n}))"))
            .collect();
        let functions = (0..count).fold(functions, |text, n| {
            let (from, to) = (
                format!("(func (export \"f-{n:04}x\")"),
                format!("(func $f{n}"),
            );
            text.replacen(&from, &to, 1)
        });
        let functions =
            format!("{functions} (instance $all {exports}) (export \"a:b/many\" (instance $all))");
        component(&inner, &functions, "(i32.const 0)")
    };
    let host = host("");
    let names = host.load_bytes("hostile", many(1_000)).await.unwrap();
    assert_eq!(names.len(), 128);
    let package = Package::parse("hostile", many(1_000)).unwrap();
    assert_eq!(package.left_out().len(), 1_000 - 128);
    let error = load(many(1_100)).await.unwrap_err();
    assert!(
        error.message().contains("more than 1024 functions"),
        "{error}"
    );
}

#[tokio::test]
async fn names_of_strange_case_are_tools_or_left_out() {
    let names = ["A", "get-URL", "x1-Y2", "fool", "foo1", "to-do", "init"];
    let functions: String = names.iter().map(|name| function(name, "string")).collect();
    let package =
        Package::parse("My Tools (2)", component("", &functions, "(i32.const 0)")).unwrap();
    let manifest = package.manifest();
    assert_eq!(manifest.name, "my-tools-2");
    let tools: Vec<&str> = manifest
        .tools
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    assert_eq!(tools, ["a", "foo1", "get-url", "to-do", "x1-y2"]);
    let left_out: Vec<&str> = package
        .left_out()
        .iter()
        .map(|it| it.function.as_str())
        .collect();
    assert_eq!(left_out, ["fool", "init"]);
    let long = "n".repeat(60);
    let error = Package::parse(
        &long,
        component("", &function("f-long", "string"), "(i32.const 0)"),
    );
    let error = error.unwrap_err();
    assert!(
        error.message().contains("a shorter name of the file helps"),
        "{error}"
    );
}

#[tokio::test]
async fn what_hosts_call_is_no_tool() {
    for export in ["wasi:cli/run@0.2.6", "wasi:http/incoming-handler@0.2.6"] {
        let text = format!("(component (instance $i) (export \"{export}\" (instance $i)))");
        let error = load(wat::parse_str(text).unwrap()).await.unwrap_err();
        assert!(
            error.message().contains("no function that could be a tool"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn types_of_the_world_are_no_imports() {
    let types = r#"(type $r (record (field "a" u8)))
        (import "thing" (type $thing (eq $r)))
        (export $out "thing" (type $thing))"#;
    let body = "(i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 1))
        (i32.store8 (i32.const 64) (i32.const 7)) (i32.const 0)";
    let bytes = component(types, &function("f", "(list $out)"), body);
    assert!(
        Package::parse("t", bytes.clone())
            .unwrap()
            .inspection()
            .imports
            .is_empty()
    );
    let host = host("[tool.hostile]\n");
    host.load_bytes("hostile", bytes).await.unwrap();
    let things = answer(&host, "hostile_f", json!({})).await;
    assert_eq!(things, json!({"result": [{"a": 7}]}));
    // One that has to be given is an import like any other.
    let resource = component(
        "(import \"pen\" (type $pen (sub resource)))",
        &function("f", "string"),
        body,
    );
    let error = load(resource).await.unwrap_err();
    assert!(error.message().contains("it imports `pen`"), "{error}");
}
