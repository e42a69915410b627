//! `toolcell models check`: asks each model for a word, and says what is wrong.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};
use tokio::time::timeout;
use toolcell::ErrorKind;
use toolcell_agent::{
    ModelError,
    wire::{Block, Message, ModelRequest, TurnOptions},
};

use crate::{
    app::Outcome,
    args::PolicyOptions,
    dirs::Dirs,
    exit,
    failure::{Failure, without_number},
    models::Models,
    output, policies,
    style::{self, paint},
};

/// How long one model may take.
const WAIT: Duration = Duration::from_secs(60);

/// The longest answer asked for, in tokens. Some servers take no smaller number.
const MAX_TOKENS: u32 = 16;

/// What became of one model.
struct Checked {
    spec: String,
    note: Option<String>,
    ended: Result<Answered, Trouble>,
}

/// What a model answered.
struct Answered {
    time: Duration,
    tokens: u64,
}

/// Why a model cannot be asked.
struct Trouble {
    /// For programs.
    word: &'static str,
    kind: ErrorKind,
    message: String,
    help: Option<String>,
}

pub(super) async fn check(specs: &[String], options: &PolicyOptions) -> Outcome {
    let dirs = Dirs::find()?;
    let in_force = policies::load(options, &dirs)?;
    let models = Models::new(&in_force.layers, &dirs);
    let usual = [models.chosen(None).to_owned()];
    let mut all = Vec::new();
    for spec in if specs.is_empty() { &usual } else { specs } {
        all.push(Checked {
            spec: spec.clone(),
            note: models.odd_key(spec).await,
            ended: ask(&models, spec).await,
        });
    }
    let failed: Vec<&Trouble> = all
        .iter()
        .filter_map(|it| it.ended.as_ref().err())
        .collect();
    let value = json!({
        "models": all.iter().map(Checked::to_json).collect::<Vec<_>>(),
        "failed": failed.len(),
    });
    let Some(first) = failed.first() else {
        output::answer(value, |_| human(&all));
        return Ok(exit::OK);
    };
    if !output::json() {
        output::piece(&human(&all));
    }
    let count = style::count(all.len(), "model");
    let message = format!("{} of {count} cannot be asked", failed.len());
    Err(Failure::check(first.kind, message).data(value))
}

/// Asks for the smallest answer there is.
async fn ask(models: &Models, spec: &str) -> Result<Answered, Trouble> {
    let provider = models.provider(spec).await.map_err(Trouble::opening)?;
    let request = ModelRequest {
        turn: 0,
        conversation: "check".to_owned(),
        tenant: None,
        model: provider.id().to_owned(),
        max_tokens: MAX_TOKENS,
        system: None,
        tools: Vec::new(),
        messages: vec![Message::user(vec![Block::text("Say yes.")])],
        options: TurnOptions::default(),
        cache: None,
        extra: Map::new(),
    };
    let start = Instant::now();
    let first = Mutex::new(None);
    let sink = |_| {
        let mut first = first
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        first.get_or_insert_with(|| start.elapsed());
    };
    match timeout(WAIT, provider.stream(&request, &sink)).await {
        Ok(Ok(reply)) => Ok(Answered {
            time: start.elapsed(),
            tokens: reply.usage.total_tokens(),
        }),
        Ok(Err(error)) => Err(Trouble::asking(&error)),
        Err(_) => Err(Trouble {
            word: "timeout",
            kind: ErrorKind::Unavailable,
            message: format!("the model did not answer within {} s", WAIT.as_secs()),
            help: Some("try again later".to_owned()),
        }),
    }
}

impl Trouble {
    /// What is wrong before anything is sent.
    fn opening(failure: Failure) -> Self {
        let word = match failure.kind {
            ErrorKind::AuthRequired => "key",
            ErrorKind::Unavailable => "unavailable",
            _ => "settings",
        };
        Self {
            word,
            kind: failure.kind,
            message: failure.message,
            help: failure.help,
        }
    }

    fn asking(error: &ModelError) -> Self {
        let (word, help) = told(error);
        Self {
            word,
            kind: error.code(),
            message: without_number(&error.to_string()),
            help: (!help.is_empty()).then(|| help.to_owned()),
        }
    }
}

/// The word for an error, and what to do about it.
fn told(error: &ModelError) -> (&'static str, &'static str) {
    match error {
        ModelError::Key(_) => (
            "key",
            "see that the key was copied whole and without quotes",
        ),
        ModelError::Config(_) => ("settings", ""),
        ModelError::Connect(why) => unreachable_by(why),
        ModelError::Http { status, .. } => by_status(*status),
        ModelError::Stream { .. } => ("broke_off", "try again later"),
        ModelError::Timeout { .. } => (
            "timeout",
            "see whether the server is slow, or a firewall drops packets",
        ),
        ModelError::Protocol(why) if why.contains("content type") => (
            "wrong_content_type",
            "another program answers there: check the URL, its path included",
        ),
        ModelError::Protocol(_) => (
            "protocol",
            "another API answers there: check `api` and the URL",
        ),
        _ => (
            "broke_off",
            "something between here and the server ends connections early",
        ),
    }
}

/// Why nobody answered, by the words of the system and of TLS.
fn unreachable_by(why: &str) -> (&'static str, &'static str) {
    let has = |words: &[&str]| {
        let why = why.to_lowercase();
        words.iter().any(|word| why.contains(word))
    };
    if has(&["lookup", "dns", "name or service", "resolve"]) {
        (
            "dns",
            "check the host name, and whether this machine can look names up",
        )
    } else if has(&["refused"]) {
        (
            "refused",
            "nothing listens there: start the server, or check the port",
        )
    } else if has(&[
        "certificate",
        "tls",
        "invalidcontenttype",
        "corrupt message",
        "fatal alert",
        "handshake",
    ]) {
        (
            "tls",
            "the server's certificate is not that of the host, or it speaks no TLS there",
        )
    } else if has(&["timed out", "timeout", "deadline"]) {
        (
            "timeout",
            "check the address, and whether a firewall drops packets",
        )
    } else if has(&["unreachable", "no route"]) {
        ("unreachable", "check the network")
    } else {
        (
            "broke_off",
            "something answers there that is no HTTP server",
        )
    }
}

fn by_status(status: u16) -> (&'static str, &'static str) {
    match status {
        401 => (
            "unauthorized",
            "the key is wrong, was revoked, or belongs to another place",
        ),
        402 => ("billing", "see to the account's payment"),
        403 => (
            "forbidden",
            "the key may not use this model, or not from here",
        ),
        404 => (
            "not_found",
            "check the model's name (`toolcell models list --online`) and the URL",
        ),
        429 => (
            "rate_limited",
            "the key is good; wait, or raise the account's limits",
        ),
        529 | 503 => ("overloaded", "try again later"),
        300..400 => (
            "redirect",
            "redirects are not followed: name the place that it leads to",
        ),
        400..500 => (
            "refused_request",
            "the server does not take this request: check the model and `api`",
        ),
        200 => ("error", "the server answered with an error"),
        _ => ("server_error", "try again later"),
    }
}

impl Checked {
    fn to_json(&self) -> Value {
        let common =
            |status: &str| json!({ "model": self.spec, "status": status, "note": self.note });
        let mut value = match &self.ended {
            Ok(_) => common("ok"),
            Err(trouble) => common(trouble.word),
        };
        let more = match &self.ended {
            Ok(answered) => json!({
                "time_ms": u64::try_from(answered.time.as_millis()).unwrap_or(u64::MAX),
                "tokens": answered.tokens,
            }),
            Err(trouble) => json!({
                "code": trouble.kind.code(), "why": trouble.message, "help": trouble.help,
            }),
        };
        if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
            value.extend(more);
        }
        value
    }
}

fn human(all: &[Checked]) -> String {
    let mut text = String::new();
    for checked in all {
        let spec = style::one_line(&checked.spec, 120);
        match &checked.ended {
            Ok(answered) => {
                let micros = u64::try_from(answered.time.as_micros()).unwrap_or(u64::MAX);
                let time = style::duration(micros);
                let mark = paint(style::GOOD, "✓");
                text.push_str(&format!("{mark} {spec}: answered in {time}\n"));
            }
            Err(trouble) => {
                let word = trouble.word.replace('_', " ");
                text.push_str(&format!("{} {spec}: {word}\n", paint(style::BAD, "✗")));
                text.push_str(&format!("    {}\n", style::one_line(&trouble.message, 400)));
                if let Some(help) = &trouble.help {
                    let help = paint(style::DIM, style::one_line(help, 300));
                    text.push_str(&format!("    {help}\n"));
                }
            }
        }
        if let Some(note) = &checked.note {
            text.push_str(&format!("    {}\n", paint(style::NOTE, note)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_nobody_answered_is_told_apart() {
        for (why, word) in [
            (
                "https://x: failed to lookup address information: Name or service not known",
                "dns",
            ),
            (
                "http://127.0.0.1:1: Connection refused (os error 111)",
                "refused",
            ),
            ("https://x: invalid peer certificate: UnknownIssuer", "tls"),
            (
                "https://x: received corrupt message of type InvalidContentType",
                "tls",
            ),
            ("https://x: operation timed out", "timeout"),
            (
                "https://x: Network is unreachable (os error 101)",
                "unreachable",
            ),
            (
                "https://x: connection closed before message completed",
                "broke_off",
            ),
        ] {
            assert_eq!(unreachable_by(why).0, word, "{why}");
        }
    }

    #[test]
    fn every_status_has_a_word() {
        for (status, word) in [
            (200, "error"),
            (302, "redirect"),
            (400, "refused_request"),
            (401, "unauthorized"),
            (402, "billing"),
            (403, "forbidden"),
            (404, "not_found"),
            (429, "rate_limited"),
            (500, "server_error"),
            (503, "overloaded"),
            (529, "overloaded"),
        ] {
            assert_eq!(by_status(status).0, word, "{status}");
        }
    }
}
