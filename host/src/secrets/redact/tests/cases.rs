//! What is found, what is not, and what stands there afterwards.

use serde_json::{Value, json};

use super::*;

fn counts(hits: &Hits) -> Vec<(&str, u64)> {
    hits.iter().collect()
}

#[test]
fn nothing_known_changes_nothing() {
    let none = Arc::new(Redactor::of_values([]));
    assert!(none.is_empty());
    assert_eq!(shown(&none, "any text"), "any text");
    let mut stream = none.stream();
    assert_eq!(stream.push(b"any text"), b"any text");
    assert_eq!(stream.finish(), b"");
}

#[test]
fn a_text_without_secrets_is_borrowed() {
    let redactor = redactor(&[TOKEN]);
    let mut hits = Hits::default();
    assert!(matches!(
        redactor.text("Grüße, 世界 👋 %41", &mut hits),
        Cow::Borrowed(_)
    ));
    assert_eq!(
        redactor.text(&format!("é{TOKEN}👋"), &mut hits),
        "é[secret KEY0]👋"
    );
    assert_eq!(counts(&hits), [("KEY0", 1)]);
}

#[test]
fn every_place_is_counted() {
    let redactor = redactor(&[TOKEN, "another-Key-0815"]);
    let text = format!(
        "{TOKEN}{TOKEN} another-Key-0815, {}",
        STANDARD.encode(TOKEN)
    );
    let (out, hits) = clean(&redactor, text);
    let out = String::from_utf8(out).unwrap();
    assert_eq!(
        out,
        "[secret KEY0][secret KEY0] [secret KEY1], [secret KEY0]"
    );
    assert_eq!(counts(&hits), [("KEY0", 3), ("KEY1", 1)]);
}

#[test]
fn of_two_that_overlap_both_are_gone() {
    let redactor = redactor(&["abcdefgh12345678", "12345678zyxwvuts", "cdefgh12"]);
    let (out, hits) = clean(&redactor, "<abcdefgh12345678zyxwvuts>");
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "<[secret KEY0][secret KEY1]>"
    );
    assert_eq!(counts(&hits), [("KEY0", 1), ("KEY1", 1), ("KEY2", 1)]);
    assert_eq!(shown(&redactor, "xcdefgh12x"), "x[secret KEY2]x");
}

#[test]
fn one_value_with_two_names_is_one_place() {
    let redactor = redactor(&[TOKEN, TOKEN]);
    let (out, hits) = clean(&redactor, TOKEN);
    assert_eq!(out, b"[secret KEY0]");
    assert_eq!(counts(&hits), [("KEY0", 1), ("KEY1", 1)]);
}

#[test]
fn what_stands_in_its_place_has_no_value() {
    let values = [
        ("GITHUB_TOKEN", "secret github_token"),
        ("x", "[secret 1]"),
        ("ok", TOKEN),
    ];
    let redactor = Redactor::of_values(values.map(|(name, value)| (name, value.as_bytes())));
    assert_eq!(shown(&redactor, "a secret github_token b"), "a [secret] b");
    assert_eq!(shown(&redactor, "[secret 1]"), "[secret x]");
    assert_eq!(shown(&redactor, TOKEN), "[secret ok]");
}

/// What could be a beginning is held back, and nothing else.
#[test]
fn clean_bytes_pass_at_once() {
    let redactor = redactor(&["ghp_0123456789abcdefghij"]);
    let mut stream = redactor.stream();
    for clean in [
        "data: {\"text\":\"a\\nb\"}\n\n",
        "! ? . !\n",
        "{\"x\":[1,2,3]}\r\n\r\n",
        "你好！",
    ] {
        assert_eq!(
            String::from_utf8(stream.push(clean.as_bytes())).unwrap(),
            clean
        );
        assert_eq!(stream.held(), 0, "{clean}");
    }
    assert_eq!(stream.push(b"look: ghp_01234"), b"look: ");
    assert_eq!(stream.held(), 9);
    assert_eq!(stream.push(b"5x "), b"ghp_012345x ");
    assert_eq!(stream.push(b"ghp_0123456789abcdefghi"), b"");
    assert_eq!(stream.push(b"j"), b"");
    assert_eq!(stream.push(b"\n\n"), b"[secret KEY0]\n\n");
    assert_eq!(stream.push(b"%"), b"");
    assert_eq!(stream.push(b"6"), b"");
    assert_eq!(stream.push(b"7hp"), b"");
    assert_eq!(stream.push(b"!!!\n\n"), b"%67hp!!!\n\n");
    assert_eq!(stream.push(b"ghp"), b"");
    assert_eq!(stream.finish(), b"ghp");
}

#[test]
fn text_that_only_looks_similar_stays() {
    let redactor = redactor(&["correct-horse-battery-9", "hunter2hunter2hunter3"]);
    for text in [
        "correct-horse-battery-8",
        "correct\n\nhorse battery 9",
        "correct horse and battery 9",
        "hunter2 hunter2 hunter2",
        "correct-horse-batter",
    ] {
        assert_eq!(shown(&redactor, text), text);
    }
    // What parts two characters is skipped, and what the value has itself is not.
    assert_eq!(
        shown(&redactor, "correct- horse-\r\nbattery-9"),
        "[secret KEY0]"
    );
    assert_eq!(
        shown(&redactor, "correct horse battery 9"),
        "correct horse battery 9"
    );
}

#[test]
fn gaps_end_somewhere() {
    let redactor = redactor(&["abcdefghij"]);
    let gap = |count: usize| format!("abcde{}fghij", ".".repeat(count));
    assert_eq!(shown(&redactor, gap(16)), "[secret KEY0]");
    assert_eq!(shown(&redactor, gap(17)), gap(17));
    let long = joined("abcdefghij", &"&#x0000200b;".repeat(16));
    assert_eq!(
        shown(&redactor, &long),
        long,
        "a candidate may be so much longer than its form"
    );
}

#[test]
fn a_long_value_is_found_whole() {
    let longest = super::super::super::SECRET_BYTES_MAX;
    let value: String = (0..longest)
        .map(|n| char::from(b'a' + ((n * n / 7 + n / 180 * n) % 26) as u8))
        .collect();
    let redactor = redactor(&[&value]);
    for form in [value.clone(), STANDARD.encode(&value), hex(&value)] {
        let text = format!("<{form}>");
        let cuts: Vec<usize> = (0..text.len()).step_by(16 * 1024).collect();
        let (out, hits) = streamed(&redactor, text.as_bytes(), &cuts);
        let out = String::from_utf8(out).unwrap();
        assert!(
            out.starts_with("<[secret KEY0]") && out.len() <= 18,
            "{}",
            out.len()
        );
        assert_eq!(counts(&hits), [("KEY0", 1)]);
        let part = &text[..text.len() - 8];
        assert_eq!(shown(&redactor, part), part);
    }
}

/// A value that repeats itself has many beginnings in a text that does. Above a number of them too much is replaced.
#[test]
fn many_beginnings_take_bounded_work() {
    let value = "abcdefgh".repeat(400) + "!";
    let redactor = redactor(&[&value]);
    let text = "abcdefgh".repeat(2_000);
    let (out, _) = clean(&redactor, &text);
    assert!(out.len() < text.len());
    let out = shown(&redactor, format!("<{value}>"));
    assert!(!out.contains(&value), "{}", out.len());
}

#[test]
fn a_thousand_secrets_are_found() {
    let values: Vec<String> = (0..1_000_u64)
        .map(|n| {
            format!(
                "tok{:016x}",
                (n + 1_u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            )
        })
        .collect();
    let all: Vec<&str> = values.iter().map(String::as_str).collect();
    let redactor = redactor(&all);
    for (n, value) in values.iter().enumerate().step_by(37) {
        let form = STANDARD.encode(format!("{value}.."));
        let (out, hits) = clean(&redactor, form);
        assert_eq!(counts(&hits), [(format!("KEY{n}").as_str(), 1)]);
        assert!(out.starts_with(format!("[secret KEY{n}]").as_bytes()));
    }
}

/// What many secrets begin with is no secret, and takes no more work for there being many.
#[test]
fn a_common_beginning_is_left_alone() {
    let values: Vec<String> = (0..300)
        .map(|n| {
            format!(
                "sk-ant-api03-{:016x}",
                (n + 1_u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            )
        })
        .collect();
    let all: Vec<&str> = values.iter().map(String::as_str).collect();
    let redactor = redactor(&all);
    for text in [
        "keys begin with sk-ant-api03- or so",
        "sk-ant-api03-zzzzzzzzzzzz",
    ] {
        assert_eq!(shown(&redactor, text), text);
    }
    assert_eq!(shown(&redactor, &values[123]), "[secret KEY123]");
}

/// Both kinds of automata find the same.
#[test]
fn small_and_large_searches_agree() {
    let value = TOKEN;
    let table = Redactor::with_table([("KEY0", value.as_bytes())], usize::MAX);
    let links = Redactor::with_table([("KEY0", value.as_bytes())], 0);
    for (name, form) in forms(value) {
        assert_eq!(clean(&table, &form), clean(&links, &form), "{name}");
    }
}

#[test]
fn json_loses_its_secrets_and_nothing_else() {
    let redactor = redactor(&[TOKEN, "480151623423"]);
    let taken = |mut value: Value| {
        let mut hits = Hits::default();
        redactor.json(&mut value, &mut hits);
        (value, hits.iter().map(|(_, count)| count).sum::<u64>())
    };
    let same =
        json!({ "a": [1, -2.5, null, true, "text", { "b": "\u{200b}" }], "n": 4_801_516_u64 });
    assert_eq!(taken(same.clone()), (same, 0));
    assert_eq!(
        taken(json!({ "a": [TOKEN, 1], (TOKEN): 2, "id": 480_151_623_423_u64 })),
        (
            json!({ "a": ["[secret KEY0]", 1], "[secret KEY0]": 2, "id": "[secret KEY1]" }),
            3
        )
    );
    let both = format!("{} ", TOKEN.to_ascii_uppercase());
    let (names, _) = taken(json!({ (TOKEN): 1, (both): 2, "[secret KEY0]": 3 }));
    assert_eq!(names.as_object().unwrap().len(), 3, "{names}");
    let letters: Vec<String> = TOKEN.chars().map(String::from).collect();
    let bytes: Vec<u8> = TOKEN.bytes().collect();
    assert_eq!(
        taken(json!({ "deep": { "letters": letters, "n": 1 }, "bytes": bytes })),
        (
            json!({ "deep": { "letters": "[secret KEY0]", "n": 1 }, "bytes": "[secret KEY0]" }),
            2
        )
    );
    let half = TOKEN.len() / 2;
    let (halves, count) = taken(json!(["x", [&TOKEN[..half], &TOKEN[half..]]]));
    assert_eq!((halves, count), (json!(["x", "[secret KEY0]"]), 1));
}

/// Without the ways to read a text, what was written with escapes would pass: the twin of the search.
#[test]
fn a_search_of_bytes_alone_misses_what_this_one_finds() {
    let redactor = redactor(&[TOKEN]);
    let naive = |text: &[u8]| has(text, TOKEN.as_bytes());
    let mut missed = 0;
    for (name, form) in forms(TOKEN) {
        missed += usize::from(!naive(&form));
        assert!(!clean(&redactor, &form).1.is_empty(), "{name}");
    }
    assert!(missed > 50, "{missed}");
}
