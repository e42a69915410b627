//! How turns of the model are wanted: what the flags say, else the policy, and the shape of the final answer.

use std::path::Path;

use serde_json::Value;
use toolcell::{ErrorKind, Schema};
use toolcell_agent::{
    AgentBuilder,
    wire::{Effort, OutputFormat, Sampling, Thinking, ToolChoice, TurnOptions},
};
use toolcell_policy::{ModelSettings, ModelThinking, ModelToolChoice};

use crate::{args::ModelOptions, failure::Failure, files};

/// The longest schema that is read, in bytes.
const MAX_SCHEMA_BYTES: u64 = 1 << 20;

/// The longest name of a shape that every API takes, in characters.
const MAX_NAME: usize = 64;

/// The longest answer of one turn where nobody says otherwise, in tokens.
const MAX_OUTPUT: u32 = 16_000;

/// How turns are wanted.
pub(crate) struct Turns {
    options: TurnOptions,
    max_output: u32,
    shape: Option<Shape>,
}

/// What the final answer must look like.
struct Shape {
    file: String,
    schema: Schema,
}

impl Turns {
    /// What the flags say, and what the policy says where they say nothing.
    ///
    /// # Errors
    /// A schema that cannot be read, and a number of tokens for thinking that leaves none for the answer.
    pub(crate) fn new(flags: &ModelOptions, policy: &ModelSettings) -> Result<Self, Failure> {
        let max_output = flags.max_output.or(policy.max_tokens).unwrap_or(MAX_OUTPUT);
        let thinking = flags.thinking.or(policy.thinking);
        if let Some(ModelThinking::Tokens(tokens)) = thinking
            && tokens >= max_output
        {
            let what = format!(
                "{tokens} tokens for thinking leave none for the answer: a turn has {max_output}"
            );
            let help = "give fewer to --thinking, or more to --max-output";
            return Err(Failure::usage(what).help(help));
        }
        let (format, shape) = match &flags.schema {
            Some(file) => {
                let (format, shape) = read(file)?;
                (Some(format), Some(shape))
            }
            None => (None, None),
        };
        let effort = flags.effort.as_deref().or(policy.effort);
        let choice = flags.tool_choice.as_ref().or(policy.tool_choice.as_ref());
        let options = TurnOptions {
            tool_choice: choice.map(tool_choice).unwrap_or_default(),
            one_tool_at_a_time: flags.no_parallel_tools || policy.parallel_tools == Some(false),
            thinking: thinking.map(self::thinking),
            effort: effort.and_then(|word| Effort::ALL.into_iter().find(|it| it.name() == word)),
            format,
            stop_sequences: flags.stop.clone(),
            sampling: Sampling {
                temperature: flags.temperature,
                top_p: flags.top_p,
                top_k: flags.top_k,
                seed: flags.seed,
            },
        };
        Ok(Self {
            options,
            max_output,
            shape,
        })
    }

    /// How each turn is wanted.
    pub(crate) fn options(&self) -> &TurnOptions {
        &self.options
    }

    /// The longest answer of one turn, in tokens.
    pub(crate) fn max_output(&self) -> u32 {
        self.max_output
    }

    /// Tells an agent.
    pub(crate) fn of(&self, builder: AgentBuilder) -> AgentBuilder {
        builder
            .max_tokens(self.max_output)
            .options(self.options.clone())
    }

    /// The final answer as JSON, where one was asked for.
    ///
    /// # Errors
    /// An answer that is no JSON, or does not fit the schema.
    pub(crate) fn structured(&self, text: &str) -> Result<Option<Value>, Failure> {
        let Some(shape) = &self.shape else {
            return Ok(None);
        };
        let file = &shape.file;
        let wrong = |why: String| {
            let what = format!("the model's answer does not fit the schema {file}: {why}");
            Failure::new(ErrorKind::InvalidOutput, what)
                .help("say in the task what the answer shall hold, or ask a model that knows structured output")
        };
        let value: Value = serde_json::from_str(text.trim())
            .map_err(|error| wrong(format!("it is no JSON: {error}")))?;
        shape.schema.check(&value).map_err(wrong)?;
        Ok(Some(value))
    }
}

fn thinking(thinking: ModelThinking) -> Thinking {
    match thinking {
        ModelThinking::Adaptive => Thinking::Adaptive,
        ModelThinking::Off => Thinking::Off,
        ModelThinking::BetweenTools => Thinking::BetweenTools,
        ModelThinking::Tokens(tokens) => Thinking::Tokens(tokens),
    }
}

fn tool_choice(choice: &ModelToolChoice) -> ToolChoice {
    match choice {
        ModelToolChoice::Auto => ToolChoice::Auto,
        ModelToolChoice::Any => ToolChoice::Any,
        ModelToolChoice::None => ToolChoice::None,
        ModelToolChoice::Tool(name) => ToolChoice::Tool(name.clone()),
    }
}

fn read(file: &Path) -> Result<(OutputFormat, Shape), Failure> {
    let text = files::read_text(file, MAX_SCHEMA_BYTES)
        .map_err(|error| Failure::io("read", file, &error))?;
    let shown = file.display().to_string();
    let wrong = |why: String| Failure::usage(format!("{shown} is no JSON Schema: {why}"));
    let schema: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if !schema.is_object() {
        return Err(wrong("it is no JSON object".to_owned())
            .help("write for example {\"type\": \"object\", \"properties\": {…}}"));
    }
    let compiled = Schema::compile(&schema).map_err(wrong)?;
    let format = OutputFormat {
        name: name(file),
        schema,
    };
    let shape = Shape {
        file: shown,
        schema: compiled,
    };
    Ok((format, shape))
}

/// A name for the shape, after its file.
fn name(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let plain = |c: char| match c {
        c if c.is_ascii_alphanumeric() || c == '_' || c == '-' => c,
        _ => '_',
    };
    let name: String = stem.chars().map(plain).take(MAX_NAME).collect();
    match name.is_empty() {
        true => "answer".to_owned(),
        false => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(flags: &ModelOptions, policy: &ModelSettings) -> Turns {
        Turns::new(flags, policy).unwrap()
    }

    #[test]
    fn flags_win_over_the_policy() {
        let policy = ModelSettings {
            max_tokens: Some(500),
            effort: Some("low"),
            thinking: Some(ModelThinking::Off),
            parallel_tools: Some(false),
            tool_choice: Some(ModelToolChoice::None),
            ..ModelSettings::default()
        };
        let said = turns(&ModelOptions::default(), &policy);
        assert_eq!(said.max_output, 500);
        assert_eq!(said.options.effort, Some(Effort::Low));
        assert_eq!(said.options.thinking, Some(Thinking::Off));
        assert!(said.options.one_tool_at_a_time);
        assert_eq!(said.options.tool_choice, ToolChoice::None);
        let flags = ModelOptions {
            effort: Some("max".into()),
            thinking: Some(ModelThinking::Tokens(5)),
            tool_choice: Some(ModelToolChoice::Tool("a".into())),
            max_output: Some(6),
            ..ModelOptions::default()
        };
        let said = turns(&flags, &policy);
        assert_eq!(
            (said.max_output, said.options.effort),
            (6, Some(Effort::Max))
        );
        assert_eq!(said.options.thinking, Some(Thinking::Tokens(5)));
        assert_eq!(said.options.tool_choice, ToolChoice::Tool("a".into()));
        let usual = turns(&ModelOptions::default(), &ModelSettings::default());
        assert_eq!(
            (usual.max_output, usual.options),
            (MAX_OUTPUT, TurnOptions::default())
        );
    }

    #[test]
    fn thinking_must_leave_room_for_the_answer() {
        let flags = ModelOptions {
            thinking: Some(ModelThinking::Tokens(16_000)),
            ..ModelOptions::default()
        };
        let refused = Turns::new(&flags, &ModelSettings::default()).err().unwrap();
        assert!(
            refused.message.contains("leave none for the answer"),
            "{}",
            refused.message
        );
    }

    #[test]
    fn a_shape_is_named_after_its_file() {
        for (file, expected) in [
            ("a/list of words.json", "list_of_words"),
            ("π.json", "_"),
            ("", "answer"),
        ] {
            assert_eq!(name(Path::new(file)), expected);
        }
        assert_eq!(
            name(Path::new(&format!("{}.json", "x".repeat(99)))).len(),
            MAX_NAME
        );
    }
}
