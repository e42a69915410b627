//! Names of tools and ids of calls as servers take them.

use std::collections::{HashMap, HashSet};

use sha2::{Digest as _, Sha256};

use crate::wire::{Block, ModelRequest, ToolChoice};

/// The longest name of a tool that servers take, in characters.
const MAX_NAME: usize = 64;

/// The longest id of a call that servers take, in characters.
const MAX_ID: usize = 40;

/// How much of a name's digest stands for it, in characters.
const DIGEST: usize = 12;

/// Names of tools that fit `[a-zA-Z0-9_-]{1,64}`, one for each of any names at all, and back. A name that fits is its
/// own.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    sent: HashMap<String, String>,
    back: HashMap<String, String>,
}

impl Names {
    /// The names of all tools that a request offers or speaks of.
    pub(super) fn of(request: &ModelRequest) -> Self {
        let offered = request.tools.iter().map(|tool| tool.name.as_str());
        let blocks = request.messages.iter().flat_map(|message| &message.content);
        let called = blocks.filter_map(|block| match block {
            Block::ToolUse(call) => Some(call.name.as_str()),
            _ => None,
        });
        let chosen = match &request.options.tool_choice {
            ToolChoice::Tool(name) => Some(name.as_str()),
            _ => None,
        };
        Self::new(offered.chain(called).chain(chosen))
    }

    pub(super) fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let (fitting, others): (HashSet<&str>, HashSet<&str>) =
            names.into_iter().partition(|name| fits(name));
        // In one order, so that the same names always give the same answer.
        let mut others: Vec<&str> = others.into_iter().collect();
        others.sort_unstable();
        let mut map = Self::default();
        for name in others {
            let mut nonce = 0_u32;
            let fit = loop {
                let fit = fitted(name, nonce);
                if !fitting.contains(fit.as_str()) && !map.back.contains_key(&fit) {
                    break fit;
                }
                nonce = nonce.wrapping_add(1);
            };
            map.back.insert(fit.clone(), name.to_owned());
            map.sent.insert(name.to_owned(), fit);
        }
        map
    }

    /// The name to send for one of the names.
    pub(super) fn sent<'n>(&'n self, name: &'n str) -> &'n str {
        self.sent.get(name).map_or(name, String::as_str)
    }

    /// The name that was meant by what a server sent.
    pub(super) fn back<'n>(&'n self, name: &'n str) -> &'n str {
        self.back.get(name).map_or(name, String::as_str)
    }
}

fn fits(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain)
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// What can be read of a name, and a part of its digest.
fn fitted(name: &str, nonce: u32) -> String {
    let readable = name.chars().map(|c| match u8::try_from(c) {
        Ok(byte) if plain(byte) => c,
        _ => '_',
    });
    let readable: String = readable.take(MAX_NAME - DIGEST - 1).collect();
    let digest = digest(&[&nonce.to_le_bytes(), name.as_bytes()]);
    let digest: String = digest.chars().take(DIGEST).collect();
    format!("{readable}-{digest}")
}

/// A call's id as a server takes it: the same, unless it is too long or the server wants its own form.
pub(super) fn call_id(id: &str, nine: bool) -> String {
    if nine {
        let own = id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        return match own {
            true => id.to_owned(),
            false => digest(&[id.as_bytes()]).chars().take(9).collect(),
        };
    }
    if id.len() <= MAX_ID {
        return id.to_owned();
    }
    let digest: String = digest(&[id.as_bytes()]).chars().take(32).collect();
    format!("call_{digest}")
}

fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_fit_stay() {
        let long = "x".repeat(65);
        let names = ["files_read", "a.b", "a_b", "", "π", &long];
        let map = Names::new(names);
        assert_eq!(map.sent("files_read"), "files_read");
        assert_eq!(map.sent("a_b"), "a_b");
        assert!(map.sent("a.b").starts_with("a_b-"), "{}", map.sent("a.b"));
        for name in names {
            assert!(fits(map.sent(name)), "{name}");
            assert_eq!(map.back(map.sent(name)), name);
        }
        assert_eq!(map.back("made_up"), "made_up");
    }

    #[test]
    fn a_name_that_looks_like_another_ones_stand_in_is_told_apart() {
        let first = fitted("a.b", 0);
        let map = Names::new(["a.b", &first]);
        assert_eq!(map.sent(&first), first);
        assert_eq!(map.sent("a.b"), fitted("a.b", 1));
        assert_eq!(map.back(&first), first);
        assert_eq!(map.back(map.sent("a.b")), "a.b");
    }

    #[test]
    fn ids_have_the_form_that_is_wanted() {
        assert_eq!(call_id("toolu_1", false), "toolu_1");
        assert_eq!(call_id(&"x".repeat(41), false).len(), 37);
        assert_eq!(call_id("abcDEF123", true), "abcDEF123");
        let nine = call_id("call_1", true);
        assert!(nine.len() == 9 && nine.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(nine, call_id("call_2", true));
    }

    proptest! {
        #[test]
        fn every_set_of_names_is_told_apart_and_read_back(
            names in prop::collection::hash_set(".{0,80}|[a-z.]{1,4}|[a-zA-Z0-9_-]{1,66}", 0..20)
        ) {
            let map = Names::new(names.iter().map(String::as_str));
            let mut seen = HashSet::new();
            for name in &names {
                let sent = map.sent(name);
                prop_assert!(fits(sent), "{name:?} is sent as {sent:?}");
                prop_assert!(seen.insert(sent.to_owned()), "{sent:?} stands for two names");
                prop_assert_eq!(map.back(sent), name);
                prop_assert!(!fits(name) || sent == name);
            }
        }
    }
}
