//! The last net before a person, a file or a program: all that goes out passes the search for every secret that this
//! process knows.

use std::{borrow::Cow, sync::LazyLock};

use serde_json::Value;
use toolcell::{Redaction, Secret};

use crate::{env, telemetry};

/// There is one for the whole process, since output, logs and panics are its own as well.
static REDACTION: LazyLock<Redaction> = LazyLock::new(Redaction::new);

/// The search. Whatever learns of a secret adds it here.
pub(crate) fn redaction() -> &'static Redaction {
    &REDACTION
}

/// Makes the keys that the environment holds known, before anything is said.
pub(crate) fn init() {
    // Of the place of a cache a password alone is secret, which is made known where the place is read.
    let keys = env::ALL
        .iter()
        .filter(|it| it.secret && it.name != env::CACHE);
    for variable in keys {
        // What is too weak to be told from ordinary text is no key of any service.
        if let Some(key) = env::text(variable.name)
            && let Ok(secret) = Secret::new(key)
        {
            REDACTION.register(variable.name, secret);
        }
    }
    telemetry::register_headers();
}

/// A text without any secret.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    REDACTION.text(text)
}

/// A value without any secret.
pub(crate) fn json(mut value: Value) -> Value {
    REDACTION.json(&mut value);
    value
}
