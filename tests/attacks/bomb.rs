//! Components that are small and take very long to compile.

use std::fmt::Write as _;

use crate::common::{wat_component, wat_frame};

/// Shapes that keep a compiler busy: one function of very many values that all live at once, very deep nesting, wide
/// branches, and very many functions.
pub(crate) const SHAPES: &[&str] = &["values", "nesting", "branches", "functions"];

/// A tool with such a shape inside. With `size` 100 most take many seconds.
pub(crate) fn bomb(shape: &str, size: usize) -> Vec<u8> {
    let evil = match shape {
        "values" => values(size * 400, 600),
        "nesting" => nesting(size * 40),
        "branches" => branches(size * 15),
        _ => (0..size * 30).map(|_| values(40, 20)).collect(),
    };
    let core = format!(
        "(core module $m
          (memory (export \"memory\") 1)
          (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
          (func (export \"call\") (param i32 i32 i32 i32) (result i32) (unreachable))
          {evil})
        (core instance $i (instantiate $m))"
    );
    wat_component(&wat_frame(), &core)
}

/// One function in whose loop every local depends on others.
fn values(steps: usize, locals: usize) -> String {
    let mut text = format!("(func (local{}) (loop $again\n", " i64".repeat(locals));
    for n in 0..steps {
        let (to, one, other) = (n % locals, (n * 7 + 3) % locals, (n * 13 + 5) % locals);
        writeln!(
            text,
            "(local.set {to} (i64.add (local.get {one}) (i64.mul (local.get {other}) (i64.const {n}))))"
        )
        .unwrap();
    }
    text + "(br_if $again (i64.eqz (local.get 0)))))\n"
}

/// Blocks in blocks, each of which may leave all the others.
fn nesting(depth: usize) -> String {
    let mut text = "(func (param i32) (local i64 i64 i64)\n".to_owned();
    text += &"(block ".repeat(depth);
    for n in 0..depth {
        writeln!(
            text,
            "(local.set 1 (i64.add (local.get 2) (i64.const {n}))) (br_if {} (local.get 0)))",
            n % (depth - n)
        )
        .unwrap();
    }
    text + ")\n"
}

/// Tables of branches in a row, each to as many places as there are tables.
fn branches(count: usize) -> String {
    let mut text = "(func (param i32) (result i32)\n".to_owned();
    text += &"(block ".repeat(count);
    let targets: String = (0..count).map(|n| format!(" {n}")).collect();
    for n in 0..count.min(300) {
        writeln!(
            text,
            "(if (i32.eq (local.get 0) (i32.const {n})) (then (br_table{targets} (local.get 0))))"
        )
        .unwrap();
    }
    text += &")".repeat(count);
    text + "(i32.const 0))\n"
}

#[test]
#[ignore = "it measures, and says nothing about the host"]
fn how_long_bombs_burn() {
    for shape in SHAPES {
        let bytes = bomb(shape, 100);
        let begin = std::time::Instant::now();
        let compiled =
            wasmtime::component::Component::from_binary(&wasmtime::Engine::default(), &bytes);
        println!(
            "{shape}: {} bytes, {:?}, {:?}",
            bytes.len(),
            begin.elapsed(),
            compiled.err()
        );
    }
}
