//! Answers in every way that there is.

use toolcell_guest::{Content, EmbeddedResource, Json, ResourceBody, data, package, tool};

package! { name = "answers", tools = [add, show] }

/// A sum.
#[data]
struct Sum {
    /// What it comes to.
    sum: i64,
}

/// Adds two numbers.
#[tool(read_only, idempotent)]
fn add(
    /// One.
    a: i32,
    /// The other.
    b: i32,
) -> Json<Sum> {
    Json(Sum {
        sum: i64::from(a) + i64::from(b),
    })
}

/// Shows one piece of every kind.
#[tool]
fn show() -> Vec<Content> {
    vec![
        Content::text("text"),
        Content::Json("[1]".to_owned()),
        Content::image("image/png", *b"png"),
        Content::Resource(EmbeddedResource {
            uri: "file:///a".to_owned(),
            mime_type: Some("text/plain".to_owned()),
            body: ResourceBody::Text("words".to_owned()),
        }),
    ]
}
