//! However a server cuts and numbers the calls of a turn, they are the same calls.

use proptest::prelude::*;

use super::*;
use crate::{
    testing::server::{chunk, delta},
    wire::ToolUse,
};

/// How a server says which call a piece belongs to.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// As OpenAI: a number with every piece, id and name with the first.
    Numbered,
    /// All calls have the number 0; a new id begins a new call.
    AllZero,
    /// No numbers at all.
    Unnumbered,
    /// Numbers, and id and name with every piece.
    Repeating,
    /// Numbers and the name with every piece, and no ids.
    Nameless,
}

#[derive(Clone, Debug)]
struct Planned {
    name: String,
    input: Value,
    /// Where the text of the input is cut, as shares of it.
    cuts: Vec<f64>,
}

fn planned() -> impl Strategy<Value = Planned> {
    let text = r#"[a-z"\\{}\[\] é]{0,12}"#;
    let input = prop::collection::btree_map("[a-z]{1,3}", text, 1..4).prop_map(|map| json!(map));
    ("[a-z]{1,5}", input, prop::collection::vec(0.0..1.0, 0..5))
        .prop_map(|(name, input, cuts)| Planned { name, input, cuts })
}

fn manner() -> impl Strategy<Value = Manner> {
    prop::sample::select(vec![
        Manner::Numbered,
        Manner::AllZero,
        Manner::Unnumbered,
        Manner::Repeating,
        Manner::Nameless,
    ])
}

/// The text in pieces.
fn cut(text: &str, cuts: &[f64]) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "shares of a short text"
    )]
    let mut places: Vec<usize> = cuts
        .iter()
        .map(|share| (share * chars.len() as f64) as usize)
        .collect();
    places.sort_unstable();
    let mut from = 0;
    let mut pieces = Vec::new();
    for to in places.into_iter().chain([chars.len()]) {
        pieces.push(chars[from..to].iter().collect());
        from = to;
    }
    pieces
}

fn entries(calls: &[Planned], manner: Manner) -> Vec<Value> {
    let mut entries = Vec::new();
    for (number, call) in calls.iter().enumerate() {
        let id = format!("id_{number}");
        for (at, piece) in cut(&call.input.to_string(), &call.cuts)
            .into_iter()
            .enumerate()
        {
            let mut function = json!({ "arguments": piece });
            let mut entry = json!({});
            if at == 0 || matches!(manner, Manner::Repeating | Manner::Nameless) {
                function["name"] = call.name.as_str().into();
                if !matches!(manner, Manner::Nameless) {
                    entry["id"] = id.as_str().into();
                }
            }
            match manner {
                Manner::Unnumbered => {}
                Manner::AllZero => entry["index"] = 0.into(),
                _ => entry["index"] = number.into(),
            }
            entry["function"] = function;
            entries.push(entry);
        }
    }
    entries
}

fn assembled(chunks: &[Value]) -> Reply {
    let mut assembler = ChatAssembler::default();
    for chunk in chunks {
        assembler
            .on_event(None, &chunk.to_string(), &mut |_| {})
            .unwrap();
    }
    assembler.finish().unwrap()
}

proptest! {
    #[test]
    fn the_same_calls_come_out(calls in prop::collection::vec(planned(), 1..5), manner in manner(), text in "[a-z ]{0,10}") {
        let mut chunks = vec![delta(&json!({ "content": text }))];
        chunks.extend(entries(&calls, manner).iter().map(|entry| delta(&json!({ "tool_calls": [entry] }))));
        chunks.push(chunk(&json!({}), Some("tool_calls")));
        let reply = assembled(&chunks);
        prop_assert!(reply.unparsed.is_empty(), "{manner:?}: {reply:?}");
        prop_assert_eq!(reply.text(), text);
        let got: Vec<&ToolUse> = reply.tool_uses().collect();
        prop_assert_eq!(got.len(), calls.len(), "{:?}: {:?}", manner, got);
        for (number, (got, call)) in got.iter().zip(&calls).enumerate() {
            let id = match manner {
                Manner::Nameless => format!("call_{number}"),
                _ => format!("id_{number}"),
            };
            prop_assert_eq!((&got.id, &got.name, &got.input), (&id, &call.name, &call.input));
        }
    }

    /// Several pieces in one chunk are as good as one each, where numbers tell them apart.
    #[test]
    fn chunks_do_not_matter(calls in prop::collection::vec(planned(), 1..4), sizes in prop::collection::vec(1_usize..4, 20)) {
        let entries = entries(&calls, Manner::Numbered);
        let alone: Vec<Value> = entries.iter().map(|entry| delta(&json!({ "tool_calls": [entry] }))).collect();
        let mut together = Vec::new();
        let mut rest = entries.as_slice();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((*size).min(rest.len()));
            together.push(delta(&json!({ "tool_calls": now })));
            rest = later;
        }
        let end = chunk(&json!({}), Some("tool_calls"));
        let whole = |mut chunks: Vec<Value>| { chunks.push(end.clone()); assembled(&chunks) };
        prop_assert_eq!(whole(alone), whole(together));
    }
}
