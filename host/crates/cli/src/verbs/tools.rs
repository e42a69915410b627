//! `toolcell tools`.

use serde_json::json;
use toolcell::{ToolInfo, text::escape_control};

use crate::{
    app::Outcome,
    args::ToolsArgs,
    dirs::Dirs,
    exit, hosts, output, policies,
    style::{self, paint},
};

/// The widest column of names; a longer name pushes its description to the right.
const MAX_NAME_WIDTH: usize = 28;

pub(crate) async fn tools(arguments: ToolsArgs) -> Outcome {
    let dirs = Dirs::find()?;
    let in_force = policies::load(&arguments.policy, &dirs)?;
    let host = hosts::open(&in_force, &dirs, arguments.workers).await?;
    let tools = host.tools();
    if tools.is_empty() && !output::json() {
        let builtins: Vec<&str> = toolcell::builtins().map(|(name, _)| name).collect();
        output::note(
            "the policy in force offers no tools; name one with --policy FILE. A first one could be:\n\
             \n  [tool.files]\n  from = \"builtin:files\"\n  files = [{ host = \".\", guest = \"/work\", access = \"read\" }]\n",
        );
        output::note(format!(
            "The built-in packages are: {}",
            builtins.join(", ")
        ));
        return Ok(exit::OK);
    }
    let value = json!({ "tools": tools });
    output::answer(value, |_| {
        let names = tools.iter().map(|tool| tool.public_name.chars().count());
        let width = names.max().unwrap_or_default().clamp(16, MAX_NAME_WIDTH);
        tools
            .iter()
            .map(|tool| line(tool, width, arguments.schemas))
            .collect()
    });
    Ok(exit::OK)
}

fn line(tool: &ToolInfo, width: usize, schemas: bool) -> String {
    let name = paint(
        style::BOLD,
        format_args!("{:<width$}", escape_control(&tool.public_name)),
    );
    let first = tool.description.lines().next().unwrap_or_default();
    let about = output::column(&style::one_line(first, 100), width + 1);
    let mut text = format!("{name} {about}\n");
    if schemas {
        let schema = escape_control(&tool.input_schema.to_string()).into_owned();
        text.push_str(&format!("  {} {schema}\n", paint(style::DIM, "input:")));
        if let Some(schema) = &tool.output_schema {
            let schema = escape_control(&schema.to_string()).into_owned();
            text.push_str(&format!("  {} {schema}\n", paint(style::DIM, "output:")));
        }
        text.push_str(&format!(
            "  {} {}\n",
            paint(style::DIM, "from:"),
            escape_control(&tool.origin)
        ));
    }
    text
}
