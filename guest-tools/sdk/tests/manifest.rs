//! What the macros write into the manifest, read back with a TOML parser.

#![allow(clippy::panic, reason = "helpers of tests")]

use toml::{Value, toml};
use toolcell_guest::{Content, ErrorKind, Json, Tool, data, package, tool};

package! {
    name = "sample",
    description = "A \"sample\"\nwith ünïcode",
    tools = [everything, shape, bounded],
    request = { net = [{ to = "any", methods = ["GET"], why = "read pages" }], calls = ["time_now"] },
}

/// How to answer.
#[data]
pub enum Form {
    /// A word.
    Short,
    /// A "page".
    VeryLong,
}

/// A point.
#[data]
pub struct Point {
    /// To the right.
    x: f64,
    #[arg(default = 7)]
    y: i64,
    label: Option<String>,
}

const MOST: u32 = 50;

/// Takes everything.
///
/// A second paragraph that is
/// wrapped.
#[tool(open_world, destructive)]
pub fn everything(
    /// A text.
    text: String,
    form: Option<Form>,
    points: Vec<Point>,
    #[arg(default = 10, min = 1, max = MOST)] count: u32,
    #[arg(default = "a\"b")] quoted: String,
    #[arg(default = true)] flag: bool,
    small: Option<i8>,
    any: Option<toolcell_guest::serde_json::Value>,
) -> String {
    let form = form.map_or("none", |form| match form {
        Form::Short => "short",
        Form::VeryLong => "very long",
    });
    let x: f64 = points.iter().map(|point| point.x).sum();
    let y: i64 = points.iter().map(|point| point.y).sum();
    let labels = points.iter().filter(|point| point.label.is_some()).count();
    let any = any.unwrap_or_default();
    format!("{text} {form} {x} {y} {labels} {count} {quoted} {flag} {small:?} {any}")
}

/// Answers a point.
#[tool(read_only)]
pub fn shape() -> toolcell_guest::Result<Json<Point>> {
    Ok(Json(Point {
        x: 1.5,
        y: 2,
        label: None,
    }))
}

/// A method of HTTP.
#[data]
#[derive(PartialEq, Debug)]
pub enum Method {
    /// Reads.
    #[serde(rename = "GET")]
    Get,
    /// Changes something.
    #[serde(rename = "PATCH")]
    Patch,
}

const LONGEST: usize = 10;

/// Takes texts of bounded length.
#[tool]
pub fn bounded(
    method: Method,
    #[arg(pattern = r"^[^\r\n]*$", max_length = LONGEST)] line: String,
    /// Headers.
    #[arg(pattern = "^a$")]
    headers: std::collections::BTreeMap<String, String>,
    #[arg(max_items = 3, max_length = 5)] labels: Vec<String>,
    #[arg(max_items = 2)] points: Vec<Point>,
) -> String {
    format!("{method:?} {line} {headers:?} {labels:?} {}", points.len())
}

fn manifest() -> toml::Table {
    MANIFEST
        .parse()
        .unwrap_or_else(|error| panic!("{error}\n{MANIFEST}"))
}

#[test]
fn the_package_is_described() {
    let manifest = manifest();
    assert_eq!(manifest["name"].as_str(), Some("sample"));
    assert_eq!(
        manifest["version"].as_str(),
        Some(env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(manifest["world"].as_str(), Some("toolcell:tool@0.1"));
    assert_eq!(
        manifest["description"].as_str(),
        Some("A \"sample\"\nwith ünïcode")
    );
    let request = toml! {
        net = [{ to = "any", methods = ["GET"], why = "read pages" }]
        calls = ["time_now"]
    };
    assert_eq!(manifest["request"], Value::Table(request));
}

#[test]
fn a_tool_is_described_with_all_its_arguments() {
    let manifest = manifest();
    let expected = toml! {
        name = "everything"
        description = "Takes everything.\n\nA second paragraph that is wrapped."
        [input]
        type = "object"
        required = ["text", "points"]
        additionalProperties = false
        [input.properties]
        text = { type = "string", description = "A text." }
        form = { type = "string", enum = ["short", "very-long"], description = "- `short`: A word.\n- `very-long`: A \"page\"." }
        count = { type = "integer", default = 10, minimum = 1, maximum = 50 }
        quoted = { type = "string", default = "a\"b" }
        flag = { type = "boolean", default = true }
        small = { type = "integer", minimum = (-128), maximum = 127 }
        any = {}
        [input.properties.points]
        type = "array"
        [input.properties.points.items]
        type = "object"
        required = ["x"]
        additionalProperties = false
        [input.properties.points.items.properties]
        x = { type = "number", description = "To the right." }
        y = { type = "integer", default = 7 }
        label = { type = "string" }
        [annotations]
        read-only = false
        idempotent = false
        open-world = true
        destructive = true
    };
    assert_eq!(manifest["tool"][0], Value::Table(expected));
}

#[test]
fn bounds_stand_where_the_texts_are() {
    let manifest = manifest();
    let properties = &manifest["tool"][2]["input"]["properties"];
    let expected = toml! {
        method = { type = "string", enum = ["GET", "PATCH"], description = "- `GET`: Reads.\n- `PATCH`: Changes something." }
        line = { type = "string", pattern = "^[^\\r\\n]*$", maxLength = 10 }
        headers = { type = "object", description = "Headers.", additionalProperties = { type = "string", pattern = "^a$" } }
        labels = { type = "array", maxItems = 3, items = { type = "string", maxLength = 5 } }
    };
    for (name, property) in &expected {
        assert_eq!(&properties[name], property, "{name}");
    }
    assert_eq!(properties["points"]["maxItems"].as_integer(), Some(2));
    assert_eq!(
        properties["points"]["items"]["type"].as_str(),
        Some("object")
    );
    let input = r#"{"method": "PATCH", "line": "l", "headers": {}, "labels": [], "points": []}"#;
    let answer = bounded::call(input).unwrap();
    assert_eq!(answer, [Content::text("Patch l {} [] 0")]);
}

#[test]
fn an_answer_of_known_shape_is_described() {
    let manifest = manifest();
    assert_eq!(
        manifest["tool"][1]["output"]["properties"]["x"]["type"].as_str(),
        Some("number")
    );
    assert!(manifest["tool"][0].get("output").is_none());
}

fn text(input: &str) -> toolcell_guest::Result<String> {
    let answer = everything::call(input)?;
    let [Content::Text(text)] = answer.as_slice() else {
        panic!("{answer:?}")
    };
    Ok(text.clone())
}

#[test]
fn arguments_arrive_with_their_defaults() {
    let least = r#"{"text": "t", "points": [{"x": 1}]}"#;
    assert_eq!(text(least).unwrap(), "t none 1 7 0 10 a\"b true None null");
    let most = r#"{"text": "t", "points": [{"x": 1, "y": 2, "label": "l"}], "form": "very-long",
        "count": 3, "quoted": "q", "flag": false, "small": -5, "any": [1]}"#;
    assert_eq!(
        text(most).unwrap(),
        "t very long 1 2 1 3 q false Some(-5) [1]"
    );
}

#[test]
fn what_breaks_the_schema_is_an_invalid_input() {
    for input in [
        "{}",
        r#"{"text": 1, "points": []}"#,
        r#"{"text": "", "points": [], "x": 1}"#,
        "[",
    ] {
        assert_eq!(
            text(input).unwrap_err().kind,
            ErrorKind::InvalidInput,
            "{input}"
        );
    }
}

#[test]
fn an_answer_in_json_is_json() {
    let answer = shape::call("{}").unwrap();
    assert_eq!(answer, [Content::Json(r#"{"x":1.5,"y":2}"#.to_owned())]);
}
