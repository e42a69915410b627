//! Reads where in a request a credential is put: `header`, `basic`, `query` or `json`.

use super::{Given, only};
use crate::{
    SecretPlace,
    reader::{Entry, Reader, Section, listed, shown},
};

/// The longest header with its name and format, in bytes; and the longest name, user or pointer of the other places.
pub const MAX_HEADER_FORMAT_BYTES: usize = 256;

/// Where the value stands in a header's format.
const SLOT: &str = "{}";

/// Headers that frame a message, or belong to one connection or to the host: no credential has a place there.
const OWNED: [&str; 18] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "if-range",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The words for places, in the order of the documentation.
pub(super) const PLACES: [&str; 4] = ["header", "basic", "query", "json"];

pub(super) fn place(reader: &mut Reader<'_>, section: &Section<'_>) -> Given<SecretPlace> {
    let entry = match only(reader, section, &PLACES, "where the value is put") {
        Given::Nothing => return Given::Nothing,
        Given::Wrong => return Given::Wrong,
        Given::One(entry) => entry,
    };
    let Some(text) = reader.string(&entry) else {
        reader.hide(entry.node.span());
        return Given::Wrong;
    };
    let read = match entry.key {
        "header" => header(text),
        "basic" => basic(text),
        "query" => query(text),
        _ => json(text),
    };
    reported(reader, &entry, read).into()
}

/// What a package suggests for its secret: as in a policy, and a header's name alone will do.
pub(crate) fn suggestion(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
) -> Option<Option<SecretPlace>> {
    let entry = match only(reader, section, &PLACES, "where the value is put") {
        Given::Nothing => return Some(None),
        Given::Wrong => return None,
        Given::One(entry) => entry,
    };
    let text = reader.string(&entry)?;
    let read = match entry.key {
        "header" if text.contains(':') => header(text),
        "header" => header(&format!("{text}: {SLOT}")),
        "basic" => basic(text),
        "query" => query(text),
        _ => json(text),
    };
    reported(reader, &entry, read).map(Some)
}

/// Why a text is no place, and how to write it. Neither repeats the text: it may be a value.
struct Refused {
    message: String,
    help: String,
}

fn refused<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, Refused> {
    Err(Refused {
        message: message.into(),
        help: help.into(),
    })
}

fn reported(
    reader: &mut Reader<'_>,
    entry: &Entry<'_>,
    read: Result<SecretPlace, Refused>,
) -> Option<SecretPlace> {
    match read {
        Ok(place) => Some(place),
        Err(Refused { message, help }) => {
            reader.hide(entry.node.span());
            reader.report(
                entry.node.span(),
                format!("`{}` {message}", entry.path),
                help,
            );
            None
        }
    }
}

fn bounded(text: &str) -> Result<(), Refused> {
    if text.len() <= MAX_HEADER_FORMAT_BYTES {
        return Ok(());
    }
    refused(
        format!(
            "has {} bytes; at most {MAX_HEADER_FORMAT_BYTES} are allowed",
            text.len()
        ),
        "shorten it",
    )
}

const HEADER_HELP: &str =
    "write it like \"Authorization: Bearer {}\", with {} where the value stands";

fn header(text: &str) -> Result<SecretPlace, Refused> {
    bounded(text)?;
    let Some((name, format)) = text.split_once(':') else {
        return refused("names no header and its format", HEADER_HELP);
    };
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return refused("does not begin with the name of a header", HEADER_HELP);
    }
    let name = name.to_ascii_lowercase();
    if OWNED.contains(&name.as_str()) {
        return refused(
            "names a header that says how a message is sent, where no credential belongs",
            format!("use another one than {}", listed(&OWNED)),
        );
    }
    let format = format.trim_matches(' ');
    if !format.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return refused("holds more than printable ASCII characters", HEADER_HELP);
    }
    match format.split_once(SLOT) {
        Some((before, after)) if !after.contains(SLOT) => Ok(SecretPlace::Header {
            name,
            before: before.to_owned(),
            after: after.to_owned(),
        }),
        Some(_) => refused("has more than one {} in its format", HEADER_HELP),
        None => refused("has no {} in its format", HEADER_HELP),
    }
}

fn basic(user: &str) -> Result<SecretPlace, Refused> {
    bounded(user)?;
    if user.contains(':') || user.chars().any(char::is_control) {
        return refused(
            "is not a user's name",
            "write the name alone, without colon: the password is the secret",
        );
    }
    Ok(SecretPlace::Basic {
        user: user.to_owned(),
    })
}

fn query(name: &str) -> Result<SecretPlace, Refused> {
    bounded(name)?;
    let plain = |b: u8| b.is_ascii_graphic() && !b"&=#+%".contains(&b);
    if name.is_empty() || !name.bytes().all(plain) {
        return refused(
            "is not the name of a query parameter",
            "write the name alone, such as \"api_key\"",
        );
    }
    Ok(SecretPlace::Query {
        name: name.to_owned(),
    })
}

fn json(pointer: &str) -> Result<SecretPlace, Refused> {
    bounded(pointer)?;
    let escaped = pointer
        .split('~')
        .skip(1)
        .all(|rest| rest.starts_with(['0', '1']));
    if !pointer.starts_with('/') || !escaped || pointer.chars().any(char::is_control) {
        return refused(
            "is not a JSON pointer",
            "write it like \"/auth/token\" (RFC 6901)",
        );
    }
    Ok(SecretPlace::Json {
        pointer: pointer.to_owned(),
    })
}

impl SecretPlace {
    /// The key and its text in a policy.
    pub(crate) fn written(&self) -> (&'static str, String) {
        match self {
            Self::Header {
                name,
                before,
                after,
            } => (
                "header",
                format!("{}: {before}{SLOT}{after}", spelled(name)),
            ),
            Self::Basic { user } => ("basic", user.clone()),
            Self::Query { name } => ("query", name.clone()),
            Self::Json { pointer } => ("json", pointer.clone()),
        }
    }

    /// The place in words, after "is put".
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Header { name, .. } => format!("into the header `{}`", spelled(name)),
            Self::Basic { user } if user.is_empty() => {
                "into the header `Authorization`, as the password of nobody's name,".to_owned()
            }
            Self::Basic { user } => {
                format!(
                    "into the header `Authorization`, as the password of `{}`,",
                    shown(user)
                )
            }
            Self::Query { name } => format!("into the query parameter `{name}`"),
            Self::Json { pointer } => format!("into the JSON body, at `{}`,", shown(pointer)),
        }
    }

    /// What both would set, where that is one thing.
    pub(crate) fn clash(&self, other: &Self) -> Option<String> {
        let header = |place: &Self| match place {
            Self::Header { name, .. } => Some(name.clone()),
            Self::Basic { .. } => Some("authorization".to_owned()),
            _ => None,
        };
        match (self, other) {
            (Self::Query { name: mine }, Self::Query { name: theirs }) => {
                (mine == theirs).then(|| format!("query parameter `{mine}`"))
            }
            (Self::Json { pointer: mine }, Self::Json { pointer: theirs }) => {
                let inside = |a: &str, b: &str| {
                    a.strip_prefix(b)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                };
                (inside(mine, theirs) || inside(theirs, mine))
                    .then(|| "same place of the JSON body".to_owned())
            }
            _ => {
                let mine = header(self)?;
                (header(other)? == mine).then(|| format!("header `{}`", spelled(&mine)))
            }
        }
    }
}

/// A header's name as people write it: `x-api-key` is `X-Api-Key`.
fn spelled(name: &str) -> String {
    let mut first = true;
    name.chars()
        .map(|c| {
            let spelled = if first { c.to_ascii_uppercase() } else { c };
            first = c == '-';
            spelled
        })
        .collect()
}
