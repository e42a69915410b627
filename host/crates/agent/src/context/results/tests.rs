use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

fn call(name: &str, input: Value) -> ToolUse {
    ToolUse {
        id: "t1".into(),
        name: name.into(),
        input,
        extra: Map::new(),
    }
}

fn numbered(lines: usize) -> String {
    (1..=lines)
        .map(|line| format!("line {line} of the log\n"))
        .collect()
}

fn shown(text: &str, most: u64) -> Option<String> {
    let (content, cut) = cut(
        &call("read", Value::Null),
        &[Block::text(text)],
        most,
        Some(READER),
    )?;
    let shown = text_of(&content);
    assert_eq!(cut.tokens, estimate::text(text));
    assert!(cut.shown <= most, "{cut:?}");
    Some(shown)
}

#[test]
fn a_long_result_keeps_its_beginning_and_its_end_and_says_how_to_read_the_rest() {
    let text = numbered(1_000);
    let shown = shown(&text, 1_000).unwrap();
    assert!(shown.starts_with("line 1 of the log\nline 2 "), "{shown}");
    assert!(shown.ends_with("\nline 1000 of the log\n"), "{shown}");
    let marker = shown.lines().find(|line| line.starts_with("[…")).unwrap();
    let from: usize = marker.split(' ').nth(2).unwrap().parse().unwrap();
    let to: usize = marker.split(' ').nth(4).unwrap().parse().unwrap();
    assert!(shown.contains(&format!("line {} of the log\n[… lines {from} to", from - 1)));
    assert!(shown.contains(&format!("…]\nline {} of the log", to + 1)));
    assert!(marker.contains("of 1000 ("), "{marker}");
    let input = format!("result_read {{\"call_id\":\"t1\",\"from\":{from}}}");
    assert!(marker.contains(&input), "{marker}");
}

#[test]
fn what_fits_is_left_alone_and_so_is_a_page() {
    // 1,000 tokens are 3,500 bytes: the limit itself fits, one byte more does not.
    assert_eq!(shown(&"x".repeat(3_500), 1_000), None);
    assert!(shown(&"x".repeat(3_501), 1_000).is_some());
    let page = [Block::text("x".repeat(9_000))];
    assert!(cut(&call(READER, Value::Null), &page, 1_000, Some(READER)).is_none());
}

#[test]
fn pictures_stay_and_a_run_without_a_reader_does_not_speak_of_one() {
    let picture = Block::image("image/png", "AAAA");
    let content = [Block::text("x".repeat(9_000)), picture.clone()];
    let (content, _) = cut(&call("read", Value::Null), &content, 1_000, None).unwrap();
    assert_eq!(content[1], picture);
    assert!(text_of(&content).contains("They cannot be shown."));
}

fn kept(text: &str) -> Kept {
    let mut kept = Kept::default();
    kept.keep("t1", &[Block::text(text)]);
    kept
}

fn page(kept: &Kept, input: Value, most: u64) -> (Option<ErrorKind>, String) {
    let output = kept.answer(&call(READER, input), most);
    (output.code, text_of(&output.content))
}

#[test]
fn a_model_reads_on_page_by_page_to_the_end() {
    let text = numbered(500);
    let kept = kept(&text);
    let (mut from, mut all, mut pages) = (1, String::new(), 0);
    loop {
        let (code, page) = page(&kept, json!({ "call_id": "t1", "from": from }), 1_000);
        assert_eq!(code, None, "{page}");
        assert!(estimate::text(&page) <= 1_000);
        pages += 1;
        let (lines, note) = page.rsplit_once('\n').unwrap();
        all.push_str(lines);
        all.push('\n');
        let Some((_, next)) = note.split_once("\"from\":") else {
            assert!(note.ends_with("to 500 of 500; this is the end]"), "{note}");
            break;
        };
        from = next.trim_end_matches("}]").parse().unwrap();
    }
    assert_eq!(all, text);
    assert!(pages > 2, "{pages}");
}

#[test]
fn a_page_can_be_as_short_as_the_model_wants() {
    let kept = kept(&numbered(9));
    let (_, page) = page(
        &kept,
        json!({ "call_id": "t1", "from": 3, "lines": 2 }),
        1_000,
    );
    let wanted = "line 3 of the log\nline 4 of the log\n[lines 3 to 4 of 9. To go on: result_read {\"call_id\":\"t1\",\"from\":5}]";
    assert_eq!(page, wanted);
}

#[test]
fn what_cannot_be_read_is_said() {
    let kept = kept("one\ntwo");
    for (input, words) in [
        (json!({}), "`call_id` must be"),
        (json!({ "call_id": 7 }), "`call_id` must be"),
        (json!({ "call_id": "other" }), "no result of `other`"),
        (
            json!({ "call_id": "t1", "from": 0 }),
            "`from` must be a whole number from 1",
        ),
        (json!({ "call_id": "t1", "lines": -1 }), "`lines` must be"),
        (
            json!({ "call_id": "t1", "from": 3 }),
            "the result has 2 lines",
        ),
    ] {
        let (code, text) = page(&kept, input.clone(), 1_000);
        assert_eq!(code, Some(ErrorKind::InvalidInput));
        assert!(text.contains(words), "{input}: {text}");
    }
    let empty = self::kept("");
    let (code, text) = page(&empty, json!({ "call_id": "t1" }), 1_000);
    assert_eq!((code, text.as_str()), (None, "[the result is empty]"));
}

#[test]
fn what_is_kept_is_bounded_and_the_oldest_goes() {
    let mut kept = Kept::default();
    let big = "x".repeat(MAX_KEPT_BYTES / 2);
    for id in ["a", "b", "c"] {
        kept.keep(id, &[Block::text(&big)]);
        kept.keep(id, &[Block::text("again")]);
    }
    assert_eq!(kept.text("a"), None);
    assert!(kept.text("b").is_some() && kept.text("c").is_some());
    assert_eq!(kept.bytes, MAX_KEPT_BYTES);
}

proptest! {
    #[test]
    fn nothing_is_lost_and_no_character_is_cut_in_two(
        text in prop::collection::vec("[a-z\n]{0,40}|\\PC{0,30}|[äöü€😀]{0,700}", 0..60)
    ) {
        let text = text.concat();
        prop_assert_eq!(lines(&text).concat(), text.clone());
        prop_assert!(lines(&text).iter().all(|line| line.len() <= LINE_BYTES));
        if let Some(shown) = shown(&text, 1_000) {
            let (head, rest) = shown.split_once("[… lines ").unwrap();
            let (_, tail) = rest.split_once(" …]\n").unwrap();
            prop_assert!(text.starts_with(head.strip_suffix('\n').unwrap_or(head)));
            prop_assert!(text.ends_with(tail));
        }
    }
}
