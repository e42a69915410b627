//! Small tools in WebAssembly text, for the tests of several rooms.

/// A tool whose exported function `call` has this body: it gets the name (`$np`, `$nl`) and the input (`$ip`, `$il`)
/// as addresses and lengths, and leaves the address of its answer. `$text` makes an answer of one text, `$json` one
/// of one JSON value, `$error` one of an error of a kind. `fields` are further fields of the core module.
pub(crate) fn tool(fields: &str, body: &str) -> Vec<u8> {
    tool_with("", fields, body)
}

/// The same with further fields of the component, before the core module.
pub(crate) fn tool_with(component: &str, fields: &str, body: &str) -> Vec<u8> {
    wat::parse_str(tool_text(component, fields, body, "0.1.0")).unwrap()
}

/// The text of a tool that exports a version of the contract.
pub(crate) fn tool_text(component: &str, fields: &str, body: &str, version: &str) -> String {
    TEMPLATE
        .replace("@COMPONENT@", component)
        .replace("@FIELDS@", fields)
        .replace("@BODY@", body)
        .replace("@VERSION@", version)
}

/// A tool that asks whether there is a secret with the name that its input is, and answers with `0` or `1`.
pub(crate) fn asks_for_secret() -> Vec<u8> {
    let component = r#"
      (import "toolcell:tool/secrets@0.1.0"
        (instance $secrets (export "exists" (func (param "name" string) (result bool)))))
      (core module $later
        (table (export "table") 1 1 funcref)
        (func (export "exists") (param i32 i32) (result i32)
          (call_indirect (param i32 i32) (result i32) (local.get 0) (local.get 1) (i32.const 0))))
      (core instance $later (instantiate $later))"#;
    let body = "(i32.store8 (i32.const 0) (i32.add (i32.const 48)
        (call $exists (i32.add (local.get $ip) (i32.const 1)) (i32.sub (local.get $il) (i32.const 2)))))
        (call $text (i32.const 0) (i32.const 1))";
    // What is imported needs the memory of what imports it, so it is put into a table afterwards.
    let imports = r#"(core module $m
      (import "later" "exists" (func $exists (param i32 i32) (result i32)))
    "#;
    let instances = r#"
      (core instance $i (instantiate $m (with "later" (instance $later))))
      (core func $exists (canon lower (func $secrets "exists") (memory (core memory $i "memory"))))
      (core module $now
        (import "" "table" (table 1 1 funcref))
        (import "" "exists" (func (param i32 i32) (result i32)))
        (elem (i32.const 0) func 0))
      (core instance (instantiate $now (with "" (instance
        (export "table" (table $later "table")) (export "exists" (func $exists))))))"#;
    let text = tool_text(component, "", body, "0.1.0")
        .replace("(core module $m\n", imports)
        .replace("(core instance $i (instantiate $m))", instances);
    wat::parse_str(text).unwrap()
}

/// Answers with its input as JSON.
pub(crate) const ECHO: &str = "(call $json (local.get $ip) (local.get $il))";

/// Never ends.
pub(crate) const SPIN: &str = "(loop $again (br $again)) (unreachable)";

const TEMPLATE: &str = r#"
(component
  (import "toolcell:tool/types@0.1.0" (instance $types
    (type $blob0 (record (field "mime-type" string) (field "data" (list u8))))
    (export "blob" (type $blob (eq $blob0)))
    (type $body0 (variant (case "text" string) (case "bytes" (list u8))))
    (export "resource-body" (type $body (eq $body0)))
    (type $res0 (record (field "uri" string) (field "mime-type" (option string)) (field "body" $body)))
    (export "embedded-resource" (type $res (eq $res0)))
    (type $content0 (variant (case "text" string) (case "json" string) (case "image" $blob) (case "audio" $blob)
      (case "resource" $res)))
    (export "content" (type $content (eq $content0)))
    (type $kind0 (enum "invalid-input" "not-found" "denied" "auth-required" "unavailable" "too-large" "failed"))
    (export "error-kind" (type $kind (eq $kind0)))
    (type $err0 (record (field "kind" $kind) (field "code" (option string)) (field "message" string)
      (field "request-sent" bool)))
    (export "tool-error" (type $err (eq $err0)))))
  (alias export $types "content" (type $content))
  (alias export $types "tool-error" (type $err))
  @COMPONENT@
  (core module $m
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 8192))
    (func (export "realloc") (param $old i32) (param $oldlen i32) (param $align i32) (param $len i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get $len)))
      (loop $grow
        (if (i32.gt_u (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
          (then
            (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))
            (br $grow))))
      (local.get $at))
    (func $answer (param $tag i32) (param $at i32) (param $len i32) (result i32)
      (i32.store8 (i32.const 1024) (i32.const 0))
      (i32.store (i32.const 1028) (i32.const 2048))
      (i32.store (i32.const 1032) (i32.const 1))
      (i32.store8 (i32.const 2048) (local.get $tag))
      (i32.store (i32.const 2052) (local.get $at))
      (i32.store (i32.const 2056) (local.get $len))
      (i32.const 1024))
    (func $text (param $at i32) (param $len i32) (result i32)
      (call $answer (i32.const 0) (local.get $at) (local.get $len)))
    (func $json (param $at i32) (param $len i32) (result i32)
      (call $answer (i32.const 1) (local.get $at) (local.get $len)))
    (func $error (param $kind i32) (param $at i32) (param $len i32) (result i32)
      (i32.store8 (i32.const 1024) (i32.const 1))
      (i32.store8 (i32.const 1028) (local.get $kind))
      (i32.store8 (i32.const 1032) (i32.const 0))
      (i32.store (i32.const 1044) (local.get $at))
      (i32.store (i32.const 1048) (local.get $len))
      (i32.store8 (i32.const 1052) (i32.const 1))
      (i32.const 1024))
    (func (export "call") (param $np i32) (param $nl i32) (param $ip i32) (param $il i32) (result i32)
      @BODY@)
    @FIELDS@
  )
  (core instance $i (instantiate $m))
  (func $call (param "name" string) (param "input" string) (result (result (list $content) (error $err)))
    (canon lift (core func $i "call") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (instance $tool (export "call" (func $call)))
  (export "toolcell:tool/tool@@VERSION@" (instance $tool))
)
"#;
