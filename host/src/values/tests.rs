use proptest::prelude::*;
use serde_json::{Value, json};
use wasmtime::component::Val;

use super::*;
use crate::schema::Schema;

fn one(ty: Type) -> Function {
    Function {
        params: vec![("it".to_owned(), ty.clone())],
        result: Some(ty),
    }
}

fn read(ty: &Type, value: Value) -> Result<Val, String> {
    let arguments = one(ty.clone()).arguments(&json!({ "it": value }));
    arguments
        .map(|mut values| values.remove(0))
        .map_err(|misfit| misfit.to_string())
}

fn write(ty: &Type, value: &Val) -> Value {
    match one(ty.clone()).answer(Some(value), 1 << 20).unwrap() {
        Answer::Text(text) => Value::String(text),
        Answer::Value(value) => value,
        other => panic!("{other:?}"),
    }
}

fn boxed(ty: Type) -> Box<Type> {
    Box::new(ty)
}

proptest! {
    #[test]
    fn every_value_comes_back_and_fits_its_schema(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        json in any_json(),
    ) {
        entropy::check(&bytes, &json.to_string());
    }
}

/// Any JSON, with a taste for what types look like.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..300_u32).prop_map(Value::from),
        "[a-z]{0,3}|n[0-4]|some|ok|err|NaN|-?[0-9]{1,21}|AA==".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("n[0-3]|some|ok|err", inner, 0..4)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

#[test]
fn integers_keep_to_their_range() {
    for (int, fits, not) in [
        (Int::U8, json!(255), json!(256)),
        (Int::S8, json!(-128), json!(-129)),
        (Int::U32, json!(4_294_967_295_u64), json!(-1)),
        (Int::U64, json!(u64::MAX), json!(-1)),
        (Int::S64, json!(i64::MIN), json!(u64::MAX)),
        (
            Int::U64,
            json!("18446744073709551615"),
            json!("18446744073709551616"),
        ),
        (
            Int::S64,
            json!("-9223372036854775808"),
            json!("9223372036854775808"),
        ),
        (Int::U64, json!("0"), json!("00")),
        (Int::S64, json!("-1"), json!("-0")),
        (Int::U64, json!(7), json!("")),
    ] {
        let ty = Type::Int(int);
        assert!(read(&ty, fits.clone()).is_ok(), "{fits}");
        let why = read(&ty, not.clone()).unwrap_err();
        assert!(why.starts_with("/it: expected an integer from "), "{why}");
    }
    assert!(read(&Type::Int(Int::U32), json!("1")).is_err());
    let why = read(&Type::Int(Int::U32), json!(1.0)).unwrap_err();
    assert_eq!(
        why,
        "/it: expected an integer, written without a fraction or an exponent"
    );
    assert!(read(&Type::Int(Int::U32), json!(1.5)).is_err());
    assert!(read(&Type::Int(Int::U64), json!(1e300)).is_err());
}

#[test]
fn large_integers_leave_as_text() {
    let exact = (1_u64 << 53) - 1;
    for (value, written) in [
        (Val::U64(exact), json!(exact)),
        (Val::U64(exact + 1), json!("9007199254740992")),
        (Val::U64(u64::MAX), json!("18446744073709551615")),
    ] {
        assert_eq!(write(&Type::Int(Int::U64), &value), written);
    }
    for (value, written) in [
        (
            Val::S64(-9_007_199_254_740_991),
            json!(-9_007_199_254_740_991_i64),
        ),
        (Val::S64(i64::MIN), json!("-9223372036854775808")),
    ] {
        assert_eq!(write(&Type::Int(Int::S64), &value), written);
    }
}

#[test]
fn floats_that_are_no_numbers_are_words() {
    for (odd, word) in [
        (f64::NAN, "NaN"),
        (f64::INFINITY, "Infinity"),
        (f64::NEG_INFINITY, "-Infinity"),
    ] {
        assert_eq!(write(&Type::Float64, &Val::Float64(odd)), json!(word));
        assert_eq!(read(&Type::Float64, json!(word)), Ok(Val::Float64(odd)));
    }
    assert_eq!(write(&Type::Float32, &Val::Float32(0.1)), json!(0.1));
    assert_eq!(
        write(&Type::Float32, &Val::Float32(f32::MIN_POSITIVE / 2.0)).to_string(),
        "5.877472e-39"
    );
    assert_eq!(
        read(&Type::Float32, json!(1e300)).unwrap_err(),
        "/it: the number is too large for 32 bits"
    );
    let why = read(&Type::Float64, json!("nan")).unwrap_err();
    assert!(why.contains("\"Infinity\""), "{why}");
}

#[test]
fn bytes_are_base64() {
    let value = Val::List(vec![Val::U8(0), Val::U8(255)]);
    assert_eq!(write(&Type::Bytes, &value), json!("AP8="));
    assert_eq!(read(&Type::Bytes, json!("AP8=")), Ok(value));
    for wrong in [json!("AP8"), json!("A-8="), json!([0, 255]), json!("AP 8=")] {
        assert!(read(&Type::Bytes, wrong).is_err());
    }
}

#[test]
fn options_in_options_tell_their_values_apart() {
    let ty = Type::Option(boxed(Type::Option(boxed(Type::Bool))));
    let some = |inner| Val::Option(Some(Box::new(inner)));
    for (value, written) in [
        (Val::Option(None), json!(null)),
        (some(Val::Option(None)), json!({ "some": null })),
        (some(some(Val::Bool(true))), json!({ "some": true })),
    ] {
        assert_eq!(write(&ty, &value), written);
        assert_eq!(read(&ty, written), Ok(value));
    }
    assert!(read(&ty, json!(true)).is_err());
    assert!(read(&ty, json!({ "some": null, "more": 1 })).is_err());
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let point = Type::Record(vec![
        ("x-y".to_owned(), Type::Int(Int::U8)),
        ("label".to_owned(), Type::Option(boxed(Type::String))),
    ]);
    let ty = Type::List(boxed(point));
    for (value, why) in [
        (
            json!([{"x-y": 1}, {"x-y": 256}]),
            "/it/1/x-y: expected an integer from 0 to 255",
        ),
        (json!([{"label": "a"}]), "/it/0/x-y: it is missing"),
        (
            json!([{"x-y": 1, "a/b": 1}]),
            "/it/0/a~1b: no such field; there are x-y, label",
        ),
        (
            json!([{"x-y": 1, "label": 2}]),
            "/it/0/label: expected text, found a number",
        ),
        (json!({}), "/it: expected an array, found an object"),
    ] {
        assert_eq!(read(&ty, value).unwrap_err(), why);
    }
    assert!(read(&ty, json!([{"x-y": 1}, {"x-y": 1, "label": null}])).is_ok());
    let hostile = "\u{1b}[2J".repeat(1_000);
    let why = read(&ty, json!([{ "x-y": 1, hostile: 1 }])).unwrap_err();
    assert!(why.len() < 600 && !why.contains('\u{1b}'), "{why}");
}

#[test]
fn cases_are_words_or_objects_with_one_key() {
    let ty = Type::Variant(vec![
        ("none".to_owned(), None),
        (
            "at".to_owned(),
            Some(Type::Tuple(vec![Type::Bool, Type::Char])),
        ),
    ]);
    assert_eq!(
        read(&ty, json!("none")),
        Ok(Val::Variant("none".to_owned(), None))
    );
    assert!(read(&ty, json!({"at": [true, "ß"]})).is_ok());
    for wrong in [
        json!("at"),
        json!({"none": null}),
        json!({"at": [true, "x"], "b": 1}),
        json!(null),
    ] {
        assert_eq!(
            read(&ty, wrong).unwrap_err(),
            "/it: expected one of \"none\", {\"at\": …}"
        );
    }
    for (wrong, why) in [
        (json!({"at": [true]}), "/it/at: expected 2 items, found 1"),
        (
            json!({"at": [true, "ab"]}),
            "/it/at/1: expected text of exactly one character",
        ),
    ] {
        assert_eq!(read(&ty, wrong).unwrap_err(), why);
    }
    let flags = Type::Flags(vec!["r".to_owned(), "w".to_owned()]);
    assert_eq!(
        read(&flags, json!(["w", "w"])).unwrap_err(),
        "/it/1: `w` is there twice"
    );
    assert_eq!(
        read(&flags, json!(["x"])).unwrap_err(),
        "/it/0: expected one of r, w"
    );
}

#[test]
fn an_error_of_the_function_is_no_answer() {
    let fallible = |ok: Option<Type>, err: Option<Type>| Function {
        params: Vec::new(),
        result: Some(Type::Result {
            ok: ok.map(boxed),
            err: err.map(boxed),
        }),
    };
    let failed = |value: Option<Val>| Val::Result(Err(value.map(Box::new)));
    let function = fallible(Some(Type::String), Some(Type::String));
    let answer = function.answer(Some(&failed(Some(Val::String("no".to_owned())))), 100);
    assert_eq!(answer, Ok(Answer::Failed("no".to_owned())));
    let fine = Val::Result(Ok(Some(Box::new(Val::String("yes".to_owned())))));
    assert_eq!(
        function.answer(Some(&fine), 100),
        Ok(Answer::Text("yes".to_owned()))
    );
    let schema = function.output_schema().unwrap();
    assert_eq!(schema["properties"]["result"], json!({"type": "string"}));

    let function = fallible(None, None);
    assert_eq!(function.output_schema(), None);
    assert_eq!(
        function.answer(Some(&Val::Result(Ok(None))), 0),
        Ok(Answer::Nothing)
    );
    let Ok(Answer::Failed(why)) = function.answer(Some(&failed(None)), 100) else {
        panic!("it failed")
    };
    assert!(why.contains("no reason"), "{why}");
}

#[test]
fn a_large_result_is_refused_before_it_is_written() {
    let function = one(Type::List(boxed(Type::Bool)));
    let many = Val::List(vec![Val::Bool(true); 1_000]);
    assert_eq!(function.answer(Some(&many), 999), Err(Unwritable::TooLarge));
    assert!(function.answer(Some(&many), 10_000).is_ok());
    let text = Val::String("x".repeat(100));
    assert_eq!(
        one(Type::String).answer(Some(&text), 50),
        Err(Unwritable::TooLarge)
    );
    let more = Val::List(vec![Val::Bool(true); VALUES]);
    assert_eq!(
        function.answer(Some(&more), u64::MAX),
        Err(Unwritable::TooLarge)
    );
    let wrong = function.answer(Some(&Val::Bool(true)), 100);
    assert_eq!(wrong, Err(Unwritable::Mismatch));
}

#[test]
fn an_element_costs_what_the_guide_says() {
    assert_eq!(size_of::<Val>(), 40);
}

#[test]
fn an_input_of_too_many_values_is_refused() {
    let ty = Type::List(boxed(Type::Bool));
    let why = read(&ty, Value::Array(vec![json!(true); VALUES])).unwrap_err();
    assert!(why.contains("more than 1048576 values"), "{why}");
}

#[test]
fn the_largest_types_have_schemas_that_can_be_checked() {
    // The deepest: each level a variant, whose schema takes four levels.
    let mut deep = Type::Bool;
    for _ in 1..TYPE_DEPTH {
        deep = Type::Variant(vec![("c".to_owned(), Some(deep))]);
    }
    let deepest = Function {
        params: vec![("p".to_owned(), deep.clone())],
        result: Some(deep),
    };
    assert!(Schema::compile(&deepest.input_schema()).is_ok());
    assert!(Schema::compile(&deepest.output_schema().unwrap()).is_ok());
    // The widest: no type takes more parts of a schema than a number that may be none.
    let wide = Type::Tuple(vec![Type::Float64; TYPE_PARTS]);
    assert!(Schema::compile(&one(wide).input_schema()).is_ok());
}

#[test]
fn signatures_read_like_wit() {
    let function = Function {
        params: vec![
            ("a".to_owned(), Type::Int(Int::U32)),
            (
                "b".to_owned(),
                Type::Option(boxed(Type::List(boxed(Type::String)))),
            ),
        ],
        result: Some(Type::Result {
            ok: Some(boxed(Type::Bytes)),
            err: None,
        }),
    };
    assert_eq!(
        function.signature("f"),
        "f: func(a: u32, b: option<list<string>>) -> result<list<u8>>"
    );
    let long = one(Type::Enum((0..1_000).map(|n| format!("name{n}")).collect()));
    assert_eq!(long.signature("f").chars().count(), 1_000);
    assert!(long.signature("f").ends_with('…'));
}

mod offering {
    use super::*;

    fn exported(instance: Option<&str>, name: &str) -> Exported {
        Exported {
            place: Place {
                instance: instance.map(str::to_owned),
                name: name.to_owned(),
            },
            function: Ok(Function {
                params: Vec::new(),
                result: None,
            }),
        }
    }

    fn names(exported: Vec<Exported>, most: usize) -> (Vec<String>, Vec<String>) {
        let (tools, left_out) = offer(exported, most);
        (
            tools.into_iter().map(|tool| tool.name).collect(),
            left_out
                .into_iter()
                .map(|it| format!("{}: {}", it.function, it.reason))
                .collect(),
        )
    }

    #[test]
    fn tools_are_named_after_interface_and_function() {
        let (tools, left_out) = names(
            vec![
                exported(Some("docs:adder/add@0.1.0"), "add"),
                exported(Some("docs:calc/ops"), "eval-URL"),
                exported(Some("plain"), "run"),
                exported(None, "top"),
                exported(Some("wasi:cli/run@0.2.6"), "run"),
                exported(Some("wasi:http/incoming-handler@0.2.6"), "handle"),
            ],
            9,
        );
        assert_eq!(tools, ["top", "add", "ops-eval-url", "plain-run"]);
        assert!(left_out.is_empty(), "{left_out:?}");
    }

    #[test]
    fn what_is_no_tool_is_left_out_with_its_reason() {
        let mut resource = exported(None, "open");
        resource.function = Err(types::no_json("resource"));
        let long = "a".repeat(80);
        let (tools, left_out) = names(
            vec![
                resource,
                exported(None, "init"),
                exported(Some("exports"), "x"),
                exported(Some("a:b/c"), "[method]thing.do"),
                exported(None, "fool"),
                exported(None, "foo1"),
                exported(Some("a:b/ops@1.0.0"), "run"),
                exported(Some("a:b/ops@2.0.0"), "run"),
                exported(None, &long),
                exported(None, "zzz"),
            ],
            3,
        );
        assert_eq!(tools, ["foo1", "zzz", "ops-run"]);
        let left_out = left_out.join("\n");
        for part in [
            "open: it uses a resource, which has no form in JSON",
            "init: language runtimes",
            "exports#x: language runtimes",
            "a:b/c#[method]thing.do: it belongs to a resource",
            "fool: its name as a tool, `fool`, is or looks like that of foo1",
            "a:b/ops@2.0.0#run: its name as a tool, `ops-run`, is or looks like that of a:b/ops@1.0.0#run",
            "no tool's name can be made of it",
        ] {
            assert!(left_out.contains(part), "{left_out}\nshould contain {part}");
        }
        let (tools, left_out) = names(vec![exported(None, "a"), exported(None, "b")], 1);
        assert_eq!(
            (tools.len(), left_out),
            (1, vec!["b: a package has at most 1 tools".to_owned()])
        );
    }

    #[test]
    fn the_order_of_exports_does_not_matter() {
        let ab = || vec![exported(None, "foo-l"), exported(None, "foo-1")];
        let mut ba = ab();
        ba.reverse();
        assert_eq!(offer(ab(), 9), offer(ba, 9));
    }

    #[test]
    fn a_schema_that_is_too_large_is_no_tool() {
        let mut large = exported(None, "large");
        let names = (0..900).map(|n| (format!("{n:060}"), Type::Float64));
        large.function = Ok(one(Type::Record(names.collect())));
        let (_, left_out) = names_of(large);
        assert!(
            left_out.contains("schema has more than 65536 bytes"),
            "{left_out}"
        );
    }

    fn names_of(one: Exported) -> (usize, String) {
        let (tools, left_out) = names(vec![one], 9);
        (tools.len(), left_out.join(""))
    }
}

mod documentation {
    use super::*;

    fn of(json: Value, instance: Option<&str>, name: &str) -> Option<String> {
        let mut section = vec![1];
        section.extend(json.to_string().bytes());
        let place = Place {
            instance: instance.map(str::to_owned),
            name: name.to_owned(),
        };
        Docs::read(&section).of(&place).map(str::to_owned)
    }

    #[test]
    fn words_are_found_by_interface_or_world() {
        let docs = json!({
            "docs": "package",
            "interfaces": { "ops": { "docs": "x", "funcs": { "add": { "docs": " Adds. " }, "old": "Old." } } },
            "worlds": { "w": { "func_exports": { "top": { "docs": "Top." } },
                "interfaces": { "inner": { "funcs": { "f": { "docs": "F.", "stability": {} } } } } } },
        });
        for (instance, name, words) in [
            (Some("a:b/ops@1.0.0"), "add", Some("Adds.")),
            (Some("a:b/ops"), "old", Some("Old.")),
            (Some("inner"), "f", Some("F.")),
            (None, "top", Some("Top.")),
            (None, "add", None),
            (Some("a:b/other"), "add", None),
        ] {
            assert_eq!(of(docs.clone(), instance, name).as_deref(), words, "{name}");
        }
    }

    #[test]
    fn what_must_not_be_shown_is_not() {
        for words in ["", "hidden \u{202e} text", &"x".repeat(5_000)] {
            let docs = json!({ "worlds": { "w": { "funcs": { "f": { "docs": words } } } } });
            assert_eq!(of(docs, None, "f"), None);
        }
        for section in [&b""[..], b"\x02{}", b"\x01{", b"\x01[[[["] {
            let place = Place {
                instance: None,
                name: "f".to_owned(),
            };
            assert_eq!(Docs::read(section).of(&place), None);
        }
    }
}

/// Every kind of type, in an instance and at the top.
const ALL_TYPES: &str = r#"(component
  (type $pen (resource (rep i32)))
  (core module $m
    (memory (export "memory") 1)
    (func (export "f") (result i32) (i32.const 0)))
  (core instance $i (instantiate $m))
  (alias core export $i "f" (core func $f))
  (alias core export $i "memory" (core memory $memory))
  (type $p (record (field "x-Y" s8) (field "b" (option (option u8)))))
  (export $point "point" (type $p))
  (type $v (variant (case "none") (case "some" $point) (case "odd" float32)))
  (export $either "either" (type $v))
  (type $e (enum "red" "light-blue"))
  (export $hue "hue" (type $e))
  (type $fl (flags "r" "w"))
  (export $may "may" (type $fl))
  (export $own "pen" (type $pen))
  (func $all (result (tuple $point $either $hue $may bool s16 u16 s32 u32 s64 u64 float64 char string (list u8)
      (list (list u8)) (result) (result (list char)) (result (error string)) (result u8 (error $hue))))
    (canon lift (core func $f) (memory $memory)))
  (func $held (result (own $own)) (canon lift (core func $f)))
  (export "top" (func $all))
  (export "held" (func $held))
  (instance $in (export "inner" (func $all)) (export "URL-of" (func $all)))
  (export "a:b/c@1.0.0" (instance $in)))"#;

#[test]
fn bytes_and_compiled_components_tell_the_same_types() {
    let bytes = wat::parse_str(ALL_TYPES).unwrap();
    let mut validator = wasmparser::Validator::new_with_features(crate::engine::config::features());
    let types = validator.validate_all(&bytes).unwrap();
    let exports = ["top", "held", "a:b/c@1.0.0"].map(str::to_owned);
    let mut before = functions_of_bytes(types.as_ref(), &exports);

    let config = crate::engine::config::config(1, false);
    let engine = wasmtime::Engine::new(&config).unwrap();
    let component = wasmtime::component::Component::new(&engine, &bytes).unwrap();
    let mut after = functions_of_component(&component);
    for found in [&mut before, &mut after] {
        found.sort_by(|a, b| a.place.cmp(&b.place));
    }
    assert_eq!(before.len(), 4);
    assert_eq!(before, after);
    let (tools, left_out) = offer(before, 9);
    assert_eq!(tools.len(), 3);
    assert_eq!(left_out[0].function, "held");
    assert!(tools.iter().all(|tool| tool.function == tools[0].function));
    let signature = tools[0].function.signature("top");
    for part in [
        "record { x-Y: s8, b: option<option<u8>> }",
        "variant { none, some(record {",
        "enum { red, light-blue }, flags { r, w }, bool, s16, u16, s32, u32, s64, u64, f64, char, string",
        "list<u8>, list<list<u8>>, result, result<list<char>>, result<_, string>, result<u8, enum {",
    ] {
        assert!(signature.contains(part), "{signature}\nlacks {part}");
    }
}
