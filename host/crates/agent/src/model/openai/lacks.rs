//! What a server does not know of the API that it is compatible with.

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
};

use serde_json::{Map, Value};

use crate::model::ModelError;

/// One thing that a server may lack. The words are those of `lacks` in a policy's `[provider]` table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Lack {
    /// Streams: answers are asked for whole.
    Stream,
    /// The field `stream_options`, which asks for the tokens used.
    StreamOptions,
    /// Trustworthy counts of tokens: they are estimated instead.
    Usage,
    /// The role `developer`: instructions have the role `system`.
    DeveloperRole,
    /// Any role for instructions: they stand before the first message of the user.
    SystemRole,
    /// The field `max_completion_tokens`: `max_tokens` is sent.
    MaxCompletionTokens,
    /// The field `parallel_tool_calls`: a model is not told to ask for one tool at a time.
    ParallelToolCalls,
    /// The field `tool_choice`: an agent that insists on a tool is refused.
    ToolChoice,
    /// The field `strict` of a schema: fitting it is a wish.
    Strict,
    /// The field `response_format`: the schema of the answer is told in words.
    ResponseFormat,
    /// The field `reasoning_effort`: a model is not told how hard to think.
    ReasoningEffort,
    /// The field `reasoning_content` of messages: reasoning is not sent back.
    ReasoningContent,
    /// The field `prompt_cache_key`.
    PromptCacheKey,
    /// Images: each is told of in words.
    Images,
    /// Files such as PDF documents: each is told of in words.
    Files,
    /// Ids of calls that are not nine letters and digits.
    CallIds,
    /// The field `seed`: an agent that asks for one is refused.
    Seed,
    /// The field `top_k`: an agent that asks for one is refused.
    TopK,
}

impl Lack {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Stream,
        Self::StreamOptions,
        Self::Usage,
        Self::DeveloperRole,
        Self::SystemRole,
        Self::MaxCompletionTokens,
        Self::ParallelToolCalls,
        Self::ToolChoice,
        Self::Strict,
        Self::ResponseFormat,
        Self::ReasoningEffort,
        Self::ReasoningContent,
        Self::PromptCacheKey,
        Self::Images,
        Self::Files,
        Self::CallIds,
        Self::Seed,
        Self::TopK,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::StreamOptions => "stream_options",
            Self::Usage => "usage",
            Self::DeveloperRole => "developer_role",
            Self::SystemRole => "system_role",
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::ParallelToolCalls => "parallel_tool_calls",
            Self::ToolChoice => "tool_choice",
            Self::Strict => "strict",
            Self::ResponseFormat => "response_format",
            Self::ReasoningEffort => "reasoning_effort",
            Self::ReasoningContent => "reasoning_content",
            Self::PromptCacheKey => "prompt_cache_key",
            Self::Images => "images",
            Self::Files => "files",
            Self::CallIds => "call_ids",
            Self::Seed => "seed",
            Self::TopK => "top_k",
        }
    }

    /// What a word stands for.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lack| lack.name() == name)
    }

    /// The words of an error that point to it, in small letters.
    fn signs(self) -> &'static [&'static str] {
        match self {
            // Every request asks for a stream, and most errors that name the word mean something else.
            Self::Stream => &["'stream'", "\"stream\"", "`stream`", "streaming"],
            Self::DeveloperRole => &["developer"],
            Self::SystemRole => &["system role", "role system", "role: system", "'system'"],
            Self::Images => &["image_url", "image input", "images"],
            Self::Files => &["'file'", "\"file\"", "file input"],
            Self::CallIds => &["tool call id", "tool_call_id", "tool_calls.id"],
            Self::Strict => &["strict"],
            // Nothing is sent that could be refused.
            Self::Usage => &[],
            Self::StreamOptions => &["stream_options"],
            Self::MaxCompletionTokens => &["max_completion_tokens"],
            Self::ParallelToolCalls => &["parallel_tool_calls"],
            Self::ToolChoice => &["tool_choice"],
            Self::ResponseFormat => &["response_format", "json_schema"],
            Self::ReasoningEffort => &["reasoning_effort"],
            Self::ReasoningContent => &["reasoning_content"],
            Self::PromptCacheKey => &["prompt_cache_key"],
            Self::Seed => &["seed"],
            Self::TopK => &["top_k"],
        }
    }

    /// Whether a request had in it what the server may not know.
    fn was_sent(self, body: &Map<String, Value>) -> bool {
        let has = |key: &str| body.contains_key(key);
        let messages = || {
            body.get("messages")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        };
        let any_role =
            |role: &str| messages().any(|message| message.get("role") == Some(&role.into()));
        let any_part = |kind: &str| {
            messages()
                .filter_map(|message| message.get("content")?.as_array())
                .flatten()
                .any(|part| part.get("type") == Some(&kind.into()))
        };
        match self {
            Self::Stream => body.get("stream") == Some(&true.into()),
            Self::Usage => false,
            Self::DeveloperRole => any_role("developer"),
            Self::SystemRole => any_role("system"),
            Self::Images => any_part("image_url"),
            Self::Files => any_part("file"),
            Self::CallIds => any_role("tool"),
            Self::Strict => body
                .get("response_format")
                .is_some_and(|it| it.pointer("/json_schema/strict").is_some()),
            Self::ReasoningContent => {
                messages().any(|message| message.get("reasoning_content").is_some())
            }
            other => has(other.name()),
        }
    }
}

/// All that a server lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lacks(BTreeSet<Lack>);

impl Lacks {
    /// What the server at a base URL usually lacks: nearly nothing where it is OpenAI's or Azure's, and elsewhere what
    /// is young in the API or known to nobody else.
    pub fn usual(base_url: &str) -> Self {
        let host = url::Url::parse(base_url)
            .ok()
            .and_then(|url| Some(url.host_str()?.to_owned()));
        let host = host.unwrap_or_default();
        let own = [".openai.com", ".openai.azure.com"]
            .iter()
            .any(|end| host.ends_with(end));
        match own {
            true => [Lack::ReasoningContent, Lack::TopK].into_iter().collect(),
            false => [
                Lack::DeveloperRole,
                Lack::MaxCompletionTokens,
                Lack::PromptCacheKey,
            ]
            .into_iter()
            .collect(),
        }
    }

    /// Whether the server lacks this.
    pub fn has(&self, lack: Lack) -> bool {
        self.0.contains(&lack)
    }

    /// The error with what to write into the policy, where the server does not know a part of the request.
    pub(super) fn explain(&self, error: ModelError, body: &Map<String, Value>) -> ModelError {
        let ModelError::Http {
            status: status @ (400 | 422 | 500),
            kind,
            mut message,
            request_id,
            retry_after,
            should_retry,
        } = error
        else {
            return error;
        };
        if let Some(list) = self.instead(&message.to_lowercase(), body) {
            // Writing to a string cannot fail.
            let _ = write!(
                message,
                " (if this server does not know that, its [provider] table needs {list})"
            );
        }
        ModelError::Http {
            status,
            kind,
            message,
            request_id,
            retry_after,
            should_retry,
        }
    }

    /// The list that would suit a server that complains so.
    fn instead(&self, complaint: &str, body: &Map<String, Value>) -> Option<Self> {
        let mut list = self.clone();
        // OpenAI's newer models know only the newer word.
        if self.has(Lack::MaxCompletionTokens)
            && complaint.contains("max_completion_tokens")
            && body.contains_key("max_tokens")
        {
            list.0.remove(&Lack::MaxCompletionTokens);
            return Some(list);
        }
        // What a server misses it does not lack.
        if ["must be passed back", "missing"]
            .iter()
            .any(|words| complaint.contains(words))
        {
            return None;
        }
        let lack = Lack::ALL.into_iter().find(|lack| {
            !self.has(*lack)
                && lack.signs().iter().any(|sign| complaint.contains(sign))
                && lack.was_sent(body)
        })?;
        list.0.insert(lack);
        Some(list)
    }
}

impl FromIterator<Lack> for Lacks {
    fn from_iter<I: IntoIterator<Item = Lack>>(lacks: I) -> Self {
        Self(lacks.into_iter().collect())
    }
}

/// As in a policy: `lacks = ["stream_options"]`.
impl fmt::Display for Lacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self
            .0
            .iter()
            .map(|lack| format!("\"{}\"", lack.name()))
            .collect();
        write!(f, "lacks = [{}]", words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_are_read_back() {
        for lack in Lack::ALL {
            assert_eq!(Lack::from_name(lack.name()), Some(lack));
        }
        assert_eq!(Lack::from_name("everything"), None);
    }

    #[test]
    fn a_server_is_known_by_its_host() {
        for own in [
            "https://api.openai.com/v1",
            "https://x.openai.azure.com/openai/v1",
        ] {
            assert!(!Lacks::usual(own).has(Lack::MaxCompletionTokens), "{own}");
        }
        for other in [
            "http://127.0.0.1:11434/v1",
            "https://openai.com.example/v1",
            "no url",
        ] {
            assert!(
                Lacks::usual(other).has(Lack::MaxCompletionTokens),
                "{other}"
            );
            assert!(!Lacks::usual(other).has(Lack::ReasoningContent), "{other}");
        }
    }

    fn said(lacks: &Lacks, status: u16, message: &str, body: Value) -> String {
        let error = ModelError::Http {
            status,
            kind: "invalid_request_error".into(),
            message: message.into(),
            request_id: None,
            retry_after: None,
            should_retry: None,
        };
        lacks.explain(error, body.as_object().unwrap()).to_string()
    }

    /// The messages are those of OpenAI, vLLM, Mistral and others.
    #[test]
    fn a_complaint_about_a_field_names_the_word_to_write() {
        let messages = json!([
            { "role": "developer", "content": "x", "reasoning_content": "y" },
            { "role": "user", "content": [{ "type": "image_url" }, { "type": "file" }] },
            { "role": "tool", "content": "x" }, { "role": "system", "content": "x" },
        ]);
        let body = json!({
            "messages": messages, "stream": true, "stream_options": {}, "max_completion_tokens": 5, "parallel_tool_calls": false,
            "tool_choice": "required", "response_format": { "json_schema": { "strict": true } }, "reasoning_effort": "low",
            "prompt_cache_key": "x", "seed": 1, "top_k": 1,
        });
        for (message, word) in [
            (
                "Unsupported parameter: 'parallel_tool_calls' is not supported with this model.",
                "parallel_tool_calls",
            ),
            (
                "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'Extra inputs are not permitted'}]",
                "stream_options",
            ),
            (
                "Unrecognized request argument supplied: max_completion_tokens",
                "max_completion_tokens",
            ),
            (
                "Invalid value: 'developer'. Supported values are: 'system', 'assistant', 'user'",
                "developer_role",
            ),
            (
                "property 'messages.2.reasoning_content' is unsupported",
                "reasoning_content",
            ),
            (
                "Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.",
                "call_ids",
            ),
            ("This model does not support image input", "images"),
            ("Cannot use tools with streaming", "stream"),
            ("System role not supported", "system_role"),
            ("unknown field strict", "strict"),
            ("`tool_choice` is not supported", "tool_choice"),
            ("response_format is unavailable now", "response_format"),
            ("reasoning_effort: Extra inputs", "reasoning_effort"),
            ("prompt_cache_key?", "prompt_cache_key"),
            ("no seed", "seed"),
            ("no top_k", "top_k"),
            ("unknown part type 'file'", "files"),
        ] {
            let said = said(&Lacks::default(), 400, message, body.clone());
            assert!(
                said.contains(&format!("lacks = [\"{word}\"]")),
                "{message}: {said}"
            );
        }
    }

    #[test]
    fn the_whole_list_is_told() {
        let usual = Lacks::usual("http://127.0.0.1/v1");
        let text = said(
            &usual,
            400,
            "stream_options?",
            json!({ "stream_options": {} }),
        );
        let list = r#"lacks = ["stream_options", "developer_role", "max_completion_tokens", "prompt_cache_key"]"#;
        assert!(
            text.ends_with(&format!("[provider] table needs {list})")),
            "{text}"
        );
        let newer = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        let text = said(&usual, 400, newer, json!({ "max_tokens": 5 }));
        assert!(
            text.contains(r#"lacks = ["developer_role", "prompt_cache_key"]"#),
            "{text}"
        );
    }

    #[test]
    fn other_errors_stay_as_they_are() {
        let lacks = Lacks::default();
        for (status, message, body) in [
            (400, "stream_options?", json!({})),
            (429, "stream_options?", json!({ "stream_options": {} })),
            (
                400,
                "The stream_options must be passed back",
                json!({ "stream_options": {} }),
            ),
            (
                400,
                "the prompt is too long",
                json!({ "stream_options": {}, "stream": true }),
            ),
        ] {
            assert!(
                !said(&lacks, status, message, body).contains("lacks"),
                "{message}"
            );
        }
    }
}
