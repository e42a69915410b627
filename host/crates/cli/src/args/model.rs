//! Flags for how turns of a model are wanted.

use std::path::PathBuf;

use clap::{Args, ValueHint, builder::PossibleValuesParser};
use toolcell_policy::{EFFORTS, ModelThinking, ModelToolChoice};

/// How turns of the model are wanted. What is not said here is as the policy's table `[model]` says.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelOptions {
    /// How much work the model puts into its answers: low, medium, high, xhigh or max
    #[arg(long, value_name = "LEVEL", value_parser = PossibleValuesParser::new(EFFORTS), hide_possible_values = true)]
    pub(crate) effort: Option<String>,
    /// Whether and how long it thinks before it answers; N tokens count towards --max-output
    #[arg(long, value_name = "adaptive|off|between_tools|N", value_parser = thinking)]
    pub(crate) thinking: Option<ModelThinking>,
    /// Which tools it may ask for; `any` and `tool:NAME` insist on a call until there was one
    #[arg(long, value_name = "auto|any|none|tool:NAME", value_parser = tool_choice)]
    pub(crate) tool_choice: Option<ModelToolChoice>,
    /// At most one tool a turn
    #[arg(long)]
    pub(crate) no_parallel_tools: bool,
    /// The final answer is JSON that fits the JSON Schema in this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) schema: Option<PathBuf>,
    /// The longest answer of one turn, in tokens [default: 16000]
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..=i64::from(toolcell_policy::MAX_OUTPUT_TOKENS)))]
    pub(crate) max_output: Option<u32>,
    /// From 0, nearly the same answer every time; many models refuse it, as they do the next three
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = amount)]
    pub(crate) temperature: Option<f64>,
    /// Only the likeliest words that together have this probability
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = amount)]
    pub(crate) top_p: Option<f64>,
    /// Only so many of the likeliest words
    #[arg(long, value_name = "N")]
    pub(crate) top_k: Option<u32>,
    /// The same seed gives the same answer where a server can do that
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) seed: Option<i64>,
    /// The model stops where it would write this; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub(crate) stop: Vec<String>,
}

fn thinking(text: &str) -> Result<ModelThinking, String> {
    text.parse()
        .map_err(|words| format!("write {words}, or a number of tokens"))
}

fn tool_choice(text: &str) -> Result<ModelToolChoice, String> {
    text.parse()
        .map_err(|words| format!("write {words}, or for example `tool:files_read`"))
}

fn amount(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err("write a number from 0, for example 0.7".to_owned()),
    }
}

impl ModelOptions {
    /// The flags that were given, for a command that goes on with the same run.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut put = |flag: &str, value: Option<String>| {
            if let Some(value) = value {
                words.extend([format!("--{flag}"), value]);
            }
        };
        put("effort", self.effort.clone());
        put("thinking", self.thinking.map(|it| it.to_string()));
        put(
            "tool-choice",
            self.tool_choice.as_ref().map(ToString::to_string),
        );
        let schema = self.schema.as_ref().map(|it| it.display().to_string());
        put("schema", schema);
        put("max-output", self.max_output.map(|it| it.to_string()));
        put("temperature", self.temperature.map(|it| it.to_string()));
        put("top-p", self.top_p.map(|it| it.to_string()));
        put("top-k", self.top_k.map(|it| it.to_string()));
        put("seed", self.seed.map(|it| it.to_string()));
        for stop in &self.stop {
            put("stop", Some(stop.clone()));
        }
        if self.no_parallel_tools {
            words.push("--no-parallel-tools".to_owned());
        }
        words
    }
}
