//! Every environment variable that toolcell reads, in one place. Nothing else in the workspace reads any.

use std::{env, ffi::OsString, os::unix::ffi::OsStringExt as _};

use zeroize::Zeroizing;

/// A variable and what it is for.
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it is for, in one line.
    pub(crate) about: &'static str,
    /// Whether its value must never be shown.
    pub(crate) secret: bool,
}

pub(crate) const POLICY: &str = "TOOLCELL_POLICY";
pub(crate) const AUDIT: &str = "TOOLCELL_AUDIT";
pub(crate) const REQUIRE_CONFINEMENT: &str = "TOOLCELL_REQUIRE_CONFINEMENT";
pub(crate) const LOG: &str = "TOOLCELL_LOG";
pub(crate) const MODEL: &str = "TOOLCELL_MODEL";
pub(crate) const CACHE: &str = "TOOLCELL_CACHE";
pub(crate) const CATALOG: &str = "TOOLCELL_CATALOG";
pub(crate) const STATE_DIR: &str = "TOOLCELL_STATE_DIR";
pub(crate) const CACHE_DIR: &str = "TOOLCELL_CACHE_DIR";
pub(crate) const CONFIG_DIR: &str = "TOOLCELL_CONFIG_DIR";
pub(crate) const VAULT_PASSPHRASE_FILE: &str = "TOOLCELL_VAULT_PASSPHRASE_FILE";
pub(crate) const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
pub(crate) const ANTHROPIC_API_KEY: &str = "ANTHROPIC_API_KEY";
pub(crate) const ANTHROPIC_AUTH_TOKEN: &str = "ANTHROPIC_AUTH_TOKEN";
pub(crate) const OTEL_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
pub(crate) const OTEL_TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
pub(crate) const OTEL_METRICS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
pub(crate) const OTEL_HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
pub(crate) const OTEL_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
pub(crate) const OTEL_CONTENT: &str = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT";
pub(crate) const OTEL_SDK_DISABLED: &str = "OTEL_SDK_DISABLED";
pub(crate) const ANTHROPIC_BASE_URL: &str = "ANTHROPIC_BASE_URL";
pub(crate) const ANTHROPIC_CUSTOM_HEADERS: &str = "ANTHROPIC_CUSTOM_HEADERS";
pub(crate) const OPENAI_API_KEY: &str = "OPENAI_API_KEY";
pub(crate) const OPENAI_BASE_URL: &str = "OPENAI_BASE_URL";
pub(crate) const OPENAI_ORG_ID: &str = "OPENAI_ORG_ID";
pub(crate) const OPENAI_PROJECT_ID: &str = "OPENAI_PROJECT_ID";
pub(crate) const AWS_BEARER_TOKEN_BEDROCK: &str = "AWS_BEARER_TOKEN_BEDROCK";
pub(crate) const ANTHROPIC_AWS_API_KEY: &str = "ANTHROPIC_AWS_API_KEY";
pub(crate) const AWS_ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
pub(crate) const AWS_SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
pub(crate) const AWS_SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
pub(crate) const AWS_PROFILE: &str = "AWS_PROFILE";
pub(crate) const AWS_REGION: &str = "AWS_REGION";
pub(crate) const AWS_DEFAULT_REGION: &str = "AWS_DEFAULT_REGION";
pub(crate) const AWS_SHARED_CREDENTIALS_FILE: &str = "AWS_SHARED_CREDENTIALS_FILE";
pub(crate) const AWS_CONFIG_FILE: &str = "AWS_CONFIG_FILE";
pub(crate) const ANTHROPIC_BEDROCK_BASE_URL: &str = "ANTHROPIC_BEDROCK_BASE_URL";
pub(crate) const ANTHROPIC_BEDROCK_MANTLE_BASE_URL: &str = "ANTHROPIC_BEDROCK_MANTLE_BASE_URL";
pub(crate) const CLOUD_ML_REGION: &str = "CLOUD_ML_REGION";
pub(crate) const ANTHROPIC_VERTEX_PROJECT_ID: &str = "ANTHROPIC_VERTEX_PROJECT_ID";
pub(crate) const GOOGLE_CLOUD_PROJECT: &str = "GOOGLE_CLOUD_PROJECT";
pub(crate) const ANTHROPIC_VERTEX_BASE_URL: &str = "ANTHROPIC_VERTEX_BASE_URL";

const fn open(name: &'static str, about: &'static str) -> Variable {
    Variable {
        name,
        about,
        secret: false,
    }
}

const fn key(name: &'static str, about: &'static str) -> Variable {
    Variable {
        name,
        about,
        secret: true,
    }
}

/// The catalogue, in the order of the documentation.
pub(crate) const ALL: &[Variable] = &[
    open(POLICY, "policy file, like --policy"),
    open(AUDIT, "audit log, like --audit"),
    open(
        REQUIRE_CONFINEMENT,
        "`full` or `partial`, like --require-confinement",
    ),
    open(MODEL, "model of `run`, like --model"),
    key(CACHE, "where answers of models are kept, like --cache"),
    open(
        CATALOG,
        "file with prices and sizes of models, like --catalog",
    ),
    open(
        LOG,
        "what is said on standard error, like -v: a level, or `toolcell=trace,h2=info`",
    ),
    open(
        STATE_DIR,
        "audit log, transcripts and trusted policies (default $XDG_STATE_HOME/toolcell)",
    ),
    open(
        CACHE_DIR,
        "compiled components (default $XDG_CACHE_HOME/toolcell)",
    ),
    open(
        CONFIG_DIR,
        "the user's policy toolcell.toml (default $XDG_CONFIG_HOME/toolcell)",
    ),
    open(
        VAULT_PASSPHRASE_FILE,
        "a file of mode 0600 with the passphrase of the encrypted file of secrets",
    ),
    open(
        CREDENTIALS_DIRECTORY,
        "where a service manager put credentials, for secrets `from = \"file:…\"`",
    ),
    key(
        ANTHROPIC_API_KEY,
        "key for `--model anthropic:…` and `demo --live`",
    ),
    key(
        ANTHROPIC_AUTH_TOKEN,
        "token for `--model anthropic:…` where there is no key",
    ),
    open(
        ANTHROPIC_BASE_URL,
        "where the Messages API is (default https://api.anthropic.com)",
    ),
    key(
        ANTHROPIC_CUSTOM_HEADERS,
        "further headers for `--model anthropic:…`, lines of `Name: value`",
    ),
    key(OPENAI_API_KEY, "key for `--model openai:…`"),
    open(
        OPENAI_BASE_URL,
        "where the API of OpenAI is (default https://api.openai.com/v1)",
    ),
    open(
        OPENAI_ORG_ID,
        "the organisation that requests to OpenAI count for",
    ),
    open(
        OPENAI_PROJECT_ID,
        "the project that requests to OpenAI count for",
    ),
    key(
        AWS_BEARER_TOKEN_BEDROCK,
        "key for `--model bedrock:…` and `--model mantle:…`; else requests are signed",
    ),
    key(
        ANTHROPIC_AWS_API_KEY,
        "key for `--model mantle:…` where there is no AWS_BEARER_TOKEN_BEDROCK",
    ),
    open(AWS_ACCESS_KEY_ID, "keys to sign requests to AWS with"),
    key(AWS_SECRET_ACCESS_KEY, "keys to sign requests to AWS with"),
    key(
        AWS_SESSION_TOKEN,
        "goes with keys of AWS that are valid for a while",
    ),
    open(
        AWS_PROFILE,
        "the profile of the shared files of AWS (default `default`)",
    ),
    open(AWS_REGION, "the region of `bedrock` and `mantle`"),
    open(AWS_DEFAULT_REGION, "the same where AWS_REGION is not set"),
    open(
        AWS_SHARED_CREDENTIALS_FILE,
        "a shared file of AWS (default ~/.aws/credentials)",
    ),
    open(
        AWS_CONFIG_FILE,
        "the other shared file of AWS (default ~/.aws/config)",
    ),
    open(
        ANTHROPIC_BEDROCK_BASE_URL,
        "where the runtime endpoint of Amazon Bedrock is (default by the region)",
    ),
    open(
        ANTHROPIC_BEDROCK_MANTLE_BASE_URL,
        "where the Messages API of Amazon Bedrock is (default by the region)",
    ),
    open(CLOUD_ML_REGION, "the region of `vertex`"),
    open(ANTHROPIC_VERTEX_PROJECT_ID, "the project of `vertex`"),
    open(
        GOOGLE_CLOUD_PROJECT,
        "the same where ANTHROPIC_VERTEX_PROJECT_ID is not set",
    ),
    open(
        ANTHROPIC_VERTEX_BASE_URL,
        "where Google Vertex AI is (default by the region)",
    ),
    open(
        "GOOGLE_APPLICATION_CREDENTIALS",
        "a key file of a service account for `vertex`; else what `gcloud` knows",
    ),
    open(
        OTEL_ENDPOINT,
        "collector of spans and metrics (OTLP over HTTP), like --otlp",
    ),
    open(
        OTEL_TRACES_ENDPOINT,
        "whole address for spans, where it is another",
    ),
    open(
        OTEL_METRICS_ENDPOINT,
        "whole address for metrics, where it is another",
    ),
    key(
        OTEL_HEADERS,
        "headers for that collector: `name=value,name=value`",
    ),
    open(
        OTEL_PROTOCOL,
        "only `http/protobuf` is spoken; anything else is noted",
    ),
    open(
        OTEL_SDK_DISABLED,
        "`true`: no collector, unless --otlp names one",
    ),
    open(
        OTEL_CONTENT,
        "`true` or SPAN_ONLY: spans hold what people, models and tools say (default no)",
    ),
    open(
        "OTEL_SERVICE_NAME",
        "name of this service (default toolcell)",
    ),
    open(
        "OTEL_RESOURCE_ATTRIBUTES",
        "what else spans and metrics say of this service",
    ),
    open(
        "OTEL_TRACES_SAMPLER",
        "which runs have spans (default parentbased_always_on); OTEL_TRACES_SAMPLER_ARG is its share",
    ),
    open(
        "OTEL_METRIC_EXPORT_INTERVAL",
        "milliseconds between exports of metrics (default 60000)",
    ),
    open("NO_COLOR", "no colour when set to anything; --color wins"),
    open(
        "CLICOLOR_FORCE",
        "colour also off a terminal when set; --color wins",
    ),
    open(
        "HOME",
        "base of the directories when the XDG variables are absent",
    ),
    open("XDG_STATE_HOME", "base of the state directory"),
    open("XDG_CACHE_HOME", "base of the cache directory"),
    open("XDG_CONFIG_HOME", "base of the configuration directory"),
];

/// The value of a variable; an empty one counts as absent.
pub(crate) fn get(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// The value of a variable as text; one that is no UTF-8 counts as absent.
pub(crate) fn text(name: &str) -> Option<String> {
    get(name)?.into_string().ok()
}

/// The value of a variable that a policy grants as a secret. It is not in the catalogue: its name is the operator's.
pub(crate) fn secret(name: &str) -> Option<Zeroizing<Vec<u8>>> {
    get(name).map(|value| Zeroizing::new(value.into_vec()))
}

/// How a command that is shown for copying begins: the program as it was called, where the shell would not find it by its
/// name alone.
pub(crate) fn program() -> String {
    let called = env::args().next().unwrap_or_default();
    let by_path =
        called.contains(std::path::MAIN_SEPARATOR) && !called.contains(char::is_whitespace);
    if by_path {
        called
    } else {
        "toolcell".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_keys_are_secret() {
        for (at, variable) in ALL.iter().enumerate() {
            assert!(ALL[..at].iter().all(|other| other.name != variable.name));
            let words = ["_KEY", "TOKEN", "_HEADERS"];
            let secret = words.iter().any(|word| variable.name.contains(word))
                && variable.name != AWS_ACCESS_KEY_ID
                || variable.name == CACHE;
            assert_eq!(variable.secret, secret, "{}", variable.name);
        }
    }
}
