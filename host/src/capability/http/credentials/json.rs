//! Puts a text into a JSON document at one place and leaves every other byte of it as it was.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Why a text has no place in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misfit {
    #[error("is not JSON")]
    Malformed,
    /// A step of the pointer leads to nothing, or what should hold the text is no object.
    #[error("has nothing at the place where the secret goes")]
    Nowhere,
    /// Two parsers would read it in two ways.
    #[error("has one of the keys that lead to the secret's place twice")]
    Twice,
    /// Something other than a text stands there.
    #[error("has something else than a text at the place where the secret goes")]
    Taken,
}

/// The document with `text` at `pointer`: in the place of a text, or as a new member of an object that is there.
///
/// # Errors
///
/// Where the document is none, or the place is not there.
pub(super) fn put(document: &str, pointer: &str, text: &str) -> Result<String, Misfit> {
    let mut steps = pointer
        .strip_prefix('/')
        .ok_or(Misfit::Nowhere)?
        .split('/')
        .map(unescape)
        .peekable();
    let quoted = serde_json::to_string(text).map_err(|_| Misfit::Malformed)?;
    let mut here: &RawValue = serde_json::from_str(document).map_err(|_| Misfit::Malformed)?;
    while let Some(step) = steps.next() {
        let found = match here.get().as_bytes().first() {
            Some(b'{') => member(here, &step)?,
            Some(b'[') => element(here, &step)?,
            _ => return Err(Misfit::Nowhere),
        };
        match found {
            Found::At(value) => here = value,
            Found::Missing { alone } if steps.peek().is_none() => {
                let key = serde_json::to_string(&step).map_err(|_| Misfit::Malformed)?;
                let comma = if alone { "" } else { "," };
                let begin = offset(document, here).saturating_add(1);
                return splice(document, begin, 0, &format!("{key}:{quoted}{comma}"));
            }
            Found::Missing { .. } => return Err(Misfit::Nowhere),
        }
    }
    if !here.get().starts_with('"') {
        return Err(Misfit::Taken);
    }
    splice(document, offset(document, here), here.get().len(), &quoted)
}

/// What a step of a pointer leads to.
enum Found<'a> {
    At(&'a RawValue),
    /// The object has no such member. `alone` is whether it has none at all.
    Missing {
        alone: bool,
    },
}

fn member<'a>(object: &'a RawValue, key: &str) -> Result<Found<'a>, Misfit> {
    let Members(members) = serde_json::from_str(object.get()).map_err(|_| Misfit::Malformed)?;
    let alone = members.is_empty();
    let mut found = members.into_iter().filter(|(name, _)| name == key);
    match (found.next(), found.next()) {
        (None, _) => Ok(Found::Missing { alone }),
        (Some((_, value)), None) => Ok(Found::At(value)),
        (Some(_), Some(_)) => Err(Misfit::Twice),
    }
}

fn element<'a>(array: &'a RawValue, index: &str) -> Result<Found<'a>, Misfit> {
    let elements: Vec<&RawValue> =
        serde_json::from_str(array.get()).map_err(|_| Misfit::Malformed)?;
    let plain = index == "0" || !index.starts_with(['0', '+']);
    let index: Option<usize> = index.parse().ok().filter(|_| plain);
    index
        .and_then(|index| elements.get(index).copied())
        .map(Found::At)
        .ok_or(Misfit::Nowhere)
}

/// Where a part of a document begins in it.
fn offset(document: &str, part: &RawValue) -> usize {
    part.get()
        .as_ptr()
        .addr()
        .saturating_sub(document.as_ptr().addr())
}

fn splice(document: &str, begin: usize, length: usize, text: &str) -> Result<String, Misfit> {
    let (before, rest) = document.split_at_checked(begin).ok_or(Misfit::Malformed)?;
    let (_, after) = rest.split_at_checked(length).ok_or(Misfit::Malformed)?;
    Ok([before, text, after].concat())
}

fn unescape(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

/// The members of an object in their order, doubles included.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Gather;
        impl<'de> Visitor<'de> for Gather {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Gather)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_other_byte_stays() {
        for (document, pointer, expected) in [
            (r#"{}"#, "/k", r#"{"k":"S"}"#),
            (r#" { } "#, "/k", r#" {"k":"S" } "#),
            (
                r#"{ "n" : 123456789012345678901234567890 }"#,
                "/k",
                r#"{"k":"S", "n" : 123456789012345678901234567890 }"#,
            ),
            (
                r#"{"auth":{"token":"?" ,"n":1e400},"z":[1, 2]}"#,
                "/auth/token",
                r#"{"auth":{"token":"S" ,"n":1e400},"z":[1, 2]}"#,
            ),
            (r#"{"a":[{"t":""}]}"#, "/a/0/t", r#"{"a":[{"t":"S"}]}"#),
            (r#"{"a":["x","y"]}"#, "/a/1", r#"{"a":["x","S"]}"#),
            (
                r#"{"a/b":{"c~d":"x"}}"#,
                "/a~1b/c~0d",
                r#"{"a/b":{"c~d":"S"}}"#,
            ),
            (r#"{"\u0074":"x"}"#, "/t", r#"{"\u0074":"S"}"#),
            (r#"{"":"x"}"#, "/", r#"{"":"S"}"#),
            (r#"["é","x"]"#, "/1", r#"["é","S"]"#),
        ] {
            assert_eq!(
                put(document, pointer, "S").as_deref(),
                Ok(expected),
                "{document}"
            );
        }
    }

    #[test]
    fn a_text_is_quoted() {
        assert_eq!(put("{}", "/k", "a\"b\\\n").unwrap(), r#"{"k":"a\"b\\\n"}"#);
    }

    #[test]
    fn what_is_unclear_is_refused() {
        for (document, pointer, why) in [
            ("", "/k", Misfit::Malformed),
            ("{", "/k", Misfit::Malformed),
            ("{} {}", "/k", Misfit::Malformed),
            (r#"{"a":1,}"#, "/k", Misfit::Malformed),
            ("\u{feff}{}", "/k", Misfit::Malformed),
            (r#""x""#, "", Misfit::Nowhere),
            ("[]", "/0", Misfit::Nowhere),
            (r#"["x"]"#, "/-", Misfit::Nowhere),
            (r#"["x"]"#, "/00", Misfit::Nowhere),
            (r#"["x"]"#, "/+0", Misfit::Nowhere),
            ("1", "/k", Misfit::Nowhere),
            (r#"{"a":"x"}"#, "/a/b", Misfit::Nowhere),
            ("{}", "/a/b", Misfit::Nowhere),
            (r#"{"k":"1","k":"2"}"#, "/k", Misfit::Twice),
            (r#"{"k":"1","\u006b":"2"}"#, "/k", Misfit::Twice),
            (r#"{"a":{},"a":{}}"#, "/a/k", Misfit::Twice),
            (r#"{"k":null}"#, "/k", Misfit::Taken),
            (r#"{"k":{}}"#, "/k", Misfit::Taken),
            (r#"{"k":1}"#, "/k", Misfit::Taken),
        ] {
            assert_eq!(
                put(document, pointer, "S"),
                Err(why),
                "{document} {pointer}"
            );
        }
    }
}
