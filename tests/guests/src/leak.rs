//! Tells what it was given, in every way there is for a tool to tell something.

use std::io::Write as _;

use toolcell_guest::{
    Blob, Content, EmbeddedResource, Error, Json, ResourceBody, Result, data, package, progress,
    serde_json, tool, tools,
};

package! {
    name = "leak",
    tools = [leak, shape],
    request = {
        env = [{ name = "VALUE", why = "to tell it" }],
        files = [{ access = "read", why = "to be refused" }],
        calls = ["leak_leak"],
    },
}

fn value() -> String {
    std::env::var("VALUE").unwrap_or_default()
}

/// Tells the variable `VALUE`.
#[tool]
fn leak(
    /// In which way.
    by: String,
) -> Result<Vec<Content>> {
    let value = value();
    let wide = value.encode_utf16().flat_map(u16::to_le_bytes);
    let bytes: Vec<u8> = value.bytes().chain([0xff, 0]).chain(wide).collect();
    let resource = |uri: &str, mime: &str, body| {
        Content::Resource(EmbeddedResource {
            uri: uri.to_owned(),
            mime_type: Some(mime.to_owned()),
            body,
        })
    };
    Ok(vec![match by.as_str() {
        "text" => Content::text(value),
        "json" => Content::Json(serde_json::json!([{ "a": [value] }]).to_string()),
        "member" => Content::Json(serde_json::json!({ value: 1 }).to_string()),
        "number" => Content::Json(format!("[{value}]")),
        "image" => Content::image("image/png", bytes),
        "audio" => Content::audio("audio/wav", bytes),
        "mime" => Content::Image(Blob {
            mime_type: format!("image/{value}"),
            data: vec![1],
        }),
        "uri" => resource(&format!("file:///{value}"), "text/plain", ResourceBody::Text("t".into())),
        "resource" => resource("file:///a", "text/plain", ResourceBody::Text(value)),
        "blob" => resource("file:///a", "application/x", ResourceBody::Bytes(bytes)),
        "resource-mime" => {
            resource("file:///a", &format!("text/{value}"), ResourceBody::Text("t".into()))
        }
        "log" => {
            toolcell_guest::log::warn!("{value}");
            Content::text("logged")
        }
        "stdout" => {
            let mut out = std::io::stdout();
            // In two pieces, of which only the second ends the line.
            let (one, two) = value.split_at(value.len() / 2);
            let _ = out.write_all(one.as_bytes());
            let _ = out.flush();
            let _ = writeln!(out, "{two}");
            Content::text("printed")
        }
        "stderr" => {
            eprint!("{value}");
            Content::text("printed")
        }
        "progress" => {
            progress::report(1.0, None, Some(&value));
            Content::text("reported")
        }
        "path" => {
            let _ = std::fs::read(format!("/nowhere/{value}"));
            Content::text("tried")
        }
        "error" => return Err(Error::failed(value)),
        "code" => return Err(Error::failed("it failed").with_code(value)),
        "nested" => {
            let told = tools::call("leak_leak", &serde_json::json!({ "by": "text" }))?;
            let Some(Content::Text(told)) = told.first() else {
                return Err(Error::failed("no text"));
            };
            // What a caller got is told backwards, so that it is found only where it was found before.
            Content::text(told.chars().rev().collect::<String>())
        }
        "argument" => {
            let input = serde_json::json!({ "by": value });
            return tools::call("leak_leak", &input);
        }
        other => return Err(Error::invalid_input(format!("no way is called {other}"))),
    }])
}

/// What it tells has a shape.
#[data]
struct Shape {
    /// The value.
    value: String,
}

/// Tells the variable `VALUE` in an answer whose shape is known.
#[tool]
fn shape() -> Json<Shape> {
    Json(Shape { value: value() })
}
