use crate::{engine::limits, package::inspect::inspect};

/// Why a component of this text is refused.
fn refused(text: &str) -> String {
    inspect_text(text).unwrap_err()
}

fn inspect_text(text: &str) -> Result<(), String> {
    let bytes = wat::parse_str(text).unwrap();
    inspect(&bytes)
        .map(drop)
        .map_err(|it| it.message().to_owned())
}

/// The limit is reached by `most` of something, and one more is refused.
fn bounded(most: usize, what: &str, text: impl Fn(usize) -> String) {
    assert_eq!(inspect_text(&text(most)), Ok(()), "{what}");
    assert_eq!(
        refused(&text(most + 1)),
        format!("it has more than {most} {what}")
    );
}

fn component(field: &str, times: usize) -> String {
    format!("(component {})", field.repeat(times))
}

fn module(field: &str, times: usize) -> String {
    format!("(component (core module {}))", field.repeat(times))
}

#[test]
fn modules_and_components_are_bounded() {
    bounded(limits::CORE_MODULES, "core modules", |n| {
        component("(core module)", n)
    });
    bounded(limits::NESTED_COMPONENTS, "nested components", |n| {
        component("(component)", n)
    });
    // At any depth.
    let nested = |n| format!("(component (component {}))", "(core module)".repeat(n));
    bounded(limits::CORE_MODULES, "core modules", nested);
}

#[test]
fn types_are_bounded_inside_other_types_too() {
    let most = limits::COMPONENT_TYPES;
    bounded(most, "component types", |n| component("(type u8)", n));
    bounded(most, "component types", |n| {
        format!(
            "(component (type (instance {})))",
            "(type u8)".repeat(n - 1)
        )
    });
    bounded(most, "component types", |n| {
        let inner = "(type u8)".repeat(n - 2);
        format!("(component (type (component (type (instance {inner})))))")
    });
    bounded(most, "component types", |n| {
        component("(core type (func))", n)
    });
}

#[test]
fn functions_of_all_core_modules_are_bounded_together() {
    bounded(limits::CORE_FUNCTIONS, "functions", |n| {
        let (one, two) = ("(func)".repeat(n / 2), "(func)".repeat(n - n / 2));
        format!("(component (core module {one}) (core module {two}))")
    });
}

#[test]
fn types_and_items_of_core_modules_are_bounded() {
    bounded(limits::CORE_TYPES, "core types", |n| {
        module("(type (func))", n)
    });
    let what = "tables, memories, globals and segments";
    bounded(limits::CORE_ITEMS, what, |n| {
        module("(global i32 (i32.const 0))", n)
    });
}

#[test]
fn imports_and_exports_of_core_modules_are_bounded() {
    bounded(
        limits::CORE_NAMES,
        "imports and exports of core modules",
        |n| {
            let exports: String = (1..n)
                .map(|n| format!("(export \"{n}\" (func $f))"))
                .collect();
            format!("(component (core module (import \"m\" \"f\" (func $f)) {exports}))")
        },
    );
}

#[test]
fn parts_are_bounded() {
    let what = "instances, aliases and functions between its parts";
    bounded(limits::COMPONENT_PARTS, what, |n| {
        let head = "(core module $m (func (export \"f\"))) (core instance $i (instantiate $m))";
        let alias = "(alias core export $i \"f\" (core func))".repeat(n - 1);
        format!("(component {head} {alias})")
    });
}

#[test]
fn names_are_bounded() {
    let named = |length: usize| format!("(component (import \"{}\" (func)))", "a".repeat(length));
    assert_eq!(inspect_text(&named(limits::COMPONENT_NAME_BYTES)), Ok(()));
    let message = refused(&named(limits::COMPONENT_NAME_BYTES + 1));
    assert!(
        message.contains("has 1025 bytes, and at most 1024 are allowed"),
        "{message}"
    );
    assert!(message.len() < 200, "{message}");
    // In types, too.
    let name = "a".repeat(limits::COMPONENT_NAME_BYTES + 1);
    let nested = format!("(component (type (instance (export \"{name}\" (func)))))");
    assert!(refused(&nested).contains("1025 bytes"));

    let core = |length: usize| {
        format!(
            "(component (core module (func (export \"{}\"))))",
            "a".repeat(length)
        )
    };
    assert_eq!(inspect_text(&core(limits::CORE_NAME_BYTES)), Ok(()));
    assert!(refused(&core(limits::CORE_NAME_BYTES + 1)).contains("at most 8192 are allowed"));
}

#[test]
fn a_number_that_is_only_claimed_is_refused_at_once() {
    // A section of types that says it holds four billion, and holds none.
    for (id, what) in [
        (7_u8, "component types"),
        (3, "component types"),
        (2, "instances"),
        (6, "instances"),
    ] {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        bytes.extend([id, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        let error = inspect(&bytes).unwrap_err();
        assert!(error.message().contains(what), "section {id}: {error}");
    }
    // A section that says it is longer than the file.
    let error = inspect(b"\0asm\x0d\0\x01\0\x07\xff\xff\xff\xff\x0f").unwrap_err();
    assert!(error.message().contains("damaged"), "{error}");
}

#[test]
fn types_that_grow_with_every_line_are_refused() {
    // Each type holds the one before twice, so the last has 2^40 parts.
    let doubled: String = (1..=40)
        .map(|n| format!("(type $t{n} (tuple $t{0} $t{0}))", n - 1))
        .collect();
    let text = format!("(component (type $t0 (tuple u8 u8)) {doubled})");
    assert!(
        refused(&text).contains("effective type size exceeds the limit"),
        "{}",
        refused(&text)
    );
}

/// A component whose only type holds `levels` others, each inside the one before.
fn nested(levels: usize) -> Vec<u8> {
    let mut section = vec![1];
    section.extend([0x41, 1, 1].repeat(levels));
    section.extend([0x41, 0]);
    let mut bytes = b"\0asm\x0d\0\x01\0\x07".to_vec();
    let mut length = section.len();
    while length > 0x7f {
        bytes.push(length.to_le_bytes()[0] | 0x80);
        length >>= 7;
    }
    bytes.push(length.to_le_bytes()[0]);
    bytes.extend(section);
    bytes
}

#[test]
fn deeply_nested_types_do_not_use_up_the_stack() {
    let most = limits::COMPONENT_TYPE_NESTING;
    assert!(inspect(&nested(most)).is_ok());
    for levels in [most + 1, 1_000, 1_000_000] {
        let error = inspect(&nested(levels)).unwrap_err();
        let message = "its types are nested more than 32 deep";
        assert_eq!(error.message(), message, "{levels}");
    }
}
