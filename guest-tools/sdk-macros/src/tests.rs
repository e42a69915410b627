use quote::quote;

use crate::package::Cargo;
use crate::{data, docs, names, package, tool};

fn cargo() -> Cargo {
    Cargo {
        name: "greet".into(),
        description: "Greets people".into(),
        version: "1.2.3".into(),
    }
}

#[track_caller]
fn refused(expanded: syn::Result<proc_macro2::TokenStream>, why: &str) {
    let message = expanded.unwrap_err().to_string();
    assert!(message.contains(why), "{message}");
}

fn description(lines: &[&str]) -> String {
    let attributes: Vec<syn::Attribute> = lines
        .iter()
        .map(|line| syn::parse_quote!(#[doc = #line]))
        .collect();
    docs::text(&attributes).unwrap()
}

#[test]
fn wrapped_lines_are_joined_and_structure_is_kept() {
    let lines = [
        " One", " two.", "", " Three:", " - a", "   b", " - c", " ```", " x", "   y", " ```", " z",
    ];
    let expected = "One two.\n\nThree:\n- a b\n- c\n```\nx\n  y\n```\nz";
    assert_eq!(description(&lines), expected);
    assert_eq!(description(&[]), "");
}

#[test]
fn names_become_kebab_case() {
    for (rust, manifest) in [
        ("read", "read"),
        ("search_text", "search-text"),
        ("r#move", "move"),
        ("InDepth", "in-depth"),
    ] {
        let ident: syn::Ident = syn::parse_str(rust).unwrap();
        assert_eq!(names::kebab(&ident), manifest);
    }
}

#[test]
fn a_tool_keeps_the_function_without_our_attributes() {
    let function = quote! {
        /// Adds.
        fn add(/** One. */ #[arg(min = 1)] a: u32) -> String { a.to_string() }
    };
    let expanded = tool::expand(quote!(read_only), function)
        .unwrap()
        .to_string();
    assert!(
        expanded.contains("fn add (a : u32) -> String"),
        "{expanded}"
    );
    assert!(expanded.contains(r#"description : "One.""#), "{expanded}");
    assert!(
        expanded.contains("read_only : true , idempotent : false"),
        "{expanded}"
    );
}

#[test]
fn what_cannot_be_a_tool_is_explained() {
    let tool = |function| tool::expand(quote!(), function);
    refused(
        tool(quote!(
            struct Greet;
        )),
        "goes on a function",
    );
    refused(
        tool(quote!(
            fn f() -> String {}
        )),
        "write a doc comment",
    );
    refused(
        tool(quote!(
            /** D. */
            fn f() {}
        )),
        "answers something",
    );
    refused(
        tool(quote!(
            /** D. */
            async fn f() -> String {}
        )),
        "remove `async`",
    );
    refused(
        tool(quote!(
            /** D. */
            fn f<T>(a: T) -> String {}
        )),
        "cannot be generic",
    );
    refused(
        tool(quote!(
            /** D. */
            fn f(&self) -> String {}
        )),
        "no `self`",
    );
    refused(
        tool(quote!(
            /** D. */
            fn f(a: &str) -> String {}
        )),
        "write `String` for `&str`",
    );
    refused(
        tool(quote!(
            /** D. */
            fn f((a, b): (u8, u8)) -> String {}
        )),
        "plain name",
    );
    refused(
        tool(quote!(
            /** D. */
            fn größe() -> String {}
        )),
        "cannot be a name",
    );
    refused(
        tool(quote!(
            /** D. */
            fn f(#[arg(most = 3)] a: u8) -> String {}
        )),
        "expected `default`",
    );
    refused(
        tool(quote!(
            #[doc = concat!("a", "b")]
            fn f() -> String {}
        )),
        "written out",
    );
}

#[test]
fn what_cannot_be_said_about_a_tool_is_explained() {
    let tool = |words| {
        tool::expand(
            words,
            quote!(
                /** D. */
                fn f() -> String {}
            ),
        )
    };
    refused(tool(quote!(readonly)), "expected `read_only`");
    refused(tool(quote!(read_only, read_only)), "said twice");
    refused(tool(quote!(read_only, destructive)), "cannot be");
}

#[test]
fn what_cannot_be_data_is_explained() {
    let data = |item| data::expand(quote!(), item);
    refused(
        data(quote!(
            struct A(u8);
        )),
        "named fields",
    );
    refused(
        data(quote!(
            struct A<T> {
                a: T,
            }
        )),
        "cannot be generic",
    );
    refused(
        data(quote!(
            enum A {
                B(u8),
            }
        )),
        "variants hold nothing",
    );
    refused(
        data(quote!(
            fn f() {}
        )),
        "struct or an enum",
    );
}

#[test]
fn a_package_takes_what_cargo_knows() {
    let expanded = package::expand(quote!(greet), &cargo())
        .unwrap()
        .to_string();
    for part in [
        r#"name : "greet""#,
        r#"version : "1.2.3""#,
        r#"description : "Greets people""#,
    ] {
        assert!(expanded.contains(part), "{expanded}");
    }
}

#[test]
fn a_request_becomes_toml() {
    let input = quote! {
        tools = [a],
        request = { files = [{ access = "read", why = "\"x\"\n" }], calls = ["b"] },
    };
    let expanded = package::expand(input, &cargo()).unwrap().to_string();
    let toml = r#"files = [{ access = \"read\", why = \"\\\"x\\\"\\u000a\" }]\ncalls = [\"b\"]\n"#;
    assert!(expanded.contains(toml), "{expanded}");
}

#[test]
fn what_cannot_be_a_package_is_explained() {
    let package = |input| package::expand(input, &cargo());
    refused(package(quote!()), "at least one tool");
    refused(
        package(quote!(name = "A b", tools = [a])),
        "cannot be a name",
    );
    refused(package(quote!(title = "x")), "expected `name`");
    refused(package(quote!(tools = [a], tools = [b])), "given twice");
    refused(
        package(quote!(tools = [a], request = { network = [] })),
        "there are `calls`",
    );
    refused(
        package(quote!(tools = [a], request = { net = "any" })),
        "is a list",
    );
    let nameless = Cargo {
        description: String::new(),
        ..cargo()
    };
    refused(
        package::expand(quote!(a), &nameless),
        "say what the package is for",
    );
}

#[test]
fn a_choice_may_have_a_word_of_its_own_and_nothing_else_of_serde() {
    let renamed = quote! {
        enum Method { #[serde(rename = "GET")] Get, PostIt }
    };
    let expanded = data::expand(quote!(), renamed).unwrap().to_string();
    assert!(expanded.contains(r#"name : "GET""#), "{expanded}");
    assert!(expanded.contains(r#"name : "post-it""#), "{expanded}");
    let skipped = quote! {
        enum Method { #[serde(skip)] Get }
    };
    refused(data::expand(quote!(), skipped), "only `rename`");
}
