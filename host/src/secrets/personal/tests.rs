use proptest::prelude::*;
use serde_json::json;

use super::*;

fn mask(text: &str) -> String {
    PersonalRules::builtin().mask(&[]).text(text).into_owned()
}

#[test]
fn the_built_in_rules_are_sound() {
    let file = File::read(BUILTIN).unwrap();
    assert!(file.off.is_empty());
    let kinds: Vec<&str> = file.rules.iter().map(|rule| &*rule.kind).collect();
    for kind in ["email", "phone", "card", "iban", "us-ssn", "uk-nino", "ip"] {
        assert!(kinds.contains(&kind), "{kind}");
    }
}

#[test]
fn what_is_personal_is_masked_and_the_rest_stays() {
    for (text, masked) in [
        (
            "write to ada@example.org, please",
            "write to [email], please",
        ),
        ("<Ada.Lovelace+x@mail.example.co.uk>", "<[email]>"),
        (
            "ada@localhost and @ada and a@b",
            "ada@localhost and @ada and a@b",
        ),
        ("call +44 20 7946 0958 today", "call [phone] today"),
        ("+4915112345678", "[phone]"),
        ("(212) 555-0123 or 212-555-0123", "[phone] or [phone]"),
        ("Tel.: 030 / 901820", "Tel.: [phone]"),
        ("1 + 2 + 34", "1 + 2 + 34"),
        ("paid with 4111 1111 1111 1111.", "paid with [card]."),
        ("order 4111111111111112", "order 4111111111111112"),
        ("DE89 3704 0044 0532 0130 00 is it", "[iban] is it"),
        ("gb82west12345698765432", "[iban]"),
        ("SSN 536-90-4399", "SSN [us-ssn]"),
        (
            "QQ 12 34 56 C and AB 12 34 56 C",
            "QQ 12 34 56 C and [uk-nino]",
        ),
        (
            "at 2026-11-21T19:35:00Z, 10.0.0.1",
            "at 2026-11-21T19:35:00Z, 10.0.0.1",
        ),
        (
            "r1a2b3c4 toolu_01AbCdEf 1764000000000",
            "r1a2b3c4 toolu_01AbCdEf 1764000000000",
        ),
        ("", ""),
    ] {
        assert_eq!(mask(text), masked, "{text}");
    }
}

#[test]
fn a_match_that_fails_hides_nothing_behind_it() {
    assert_eq!(mask("5 4111 1111 1111 1111"), "5 [card]");
    assert_eq!(mask("XX00 DE89370400440532013000"), "XX00 [iban]");
}

#[test]
fn kinds_are_chosen() {
    let rules = PersonalRules::builtin();
    let text = "ada@example.org from 192.168.0.7";
    let only = |kind: &str| rules.mask(&[kind.to_owned()]);
    assert_eq!(only("ip").text(text), "ada@example.org from [ip]");
    assert_eq!(only("email").text(text), "[email] from 192.168.0.7");
    assert_eq!(only("email").kinds(), ["email"]);
    assert!(!rules.mask(&[]).kinds().contains(&"ip"));
}

#[test]
fn dropping_leaves_nothing_of_the_text() {
    let drop = PersonalRules::builtin().drop(&[]);
    let text = "ada@example.org, +44 20 7946 0958 and bob@example.org";
    assert_eq!(drop.text(text), "[dropped: email, phone]");
    assert_eq!(drop.text("nothing"), "nothing");
}

#[test]
fn values_are_searched_to_their_last_name() {
    let search = PersonalRules::builtin().mask(&[]);
    let mut value = json!({
        "a": ["x", { "ada@example.org": 1, "bob@example.org": 2 }],
        "card": 4_111_111_111_111_111_u64,
        "count": 1_764_000_000_000_u64,
    });
    assert!(search.json(&mut value));
    assert_eq!(
        value,
        json!({
            "a": ["x", { "[email]": 1, "[email]'": 2 }],
            "card": "[card]",
            "count": 1_764_000_000_000_u64,
        })
    );
    assert!(!search.json(&mut value.clone()));
}

#[test]
fn rules_of_an_operator_take_the_place_of_ours() {
    let own = r#"
        off = ["phone"]
        [[rule]]
        kind = "staff"
        description = "A staff number"
        regex = 'S-[0-9]{6}'
        keywords = ["s-"]
        [[rule]]
        kind = "email"
        description = "Our own addresses"
        regex = '[a-z]+@corp\.example'
    "#;
    let search = PersonalRules::builtin().with_rules(own).unwrap().mask(&[]);
    assert_eq!(
        search.text("S-123456 ada@corp.example eve@else.example +44 20 7946 0958"),
        "[staff] [email] eve@else.example +44 20 7946 0958"
    );
}

#[test]
fn a_wrong_file_of_rules_is_told() {
    let rule = |rest: &str| format!("[[rule]]\nkind = \"k\"\ndescription = \"d\"\n{rest}");
    let long = "x".repeat(PERSONAL_RULE_FILE_BYTES_MAX + 1);
    let many = rule("regex = 'a'\n").repeat(PERSONAL_RULES_MAX);
    for (text, words) in [
        ("rules = 1".to_owned(), "not understood"),
        (
            "off = [\"nobody\"]".to_owned(),
            "`nobody`, and there is none",
        ),
        (rule("regex = '('"), "is not understood"),
        (rule("regex = 'a*'"), "finds the empty text"),
        (rule("regex = 'a'\ncheck = \"isbn\""), "isbn"),
        (
            rule(&format!("regex = '{}'", "a".repeat(REGEX_MAX + 1))),
            "at most 4096",
        ),
        (rule("regex = 'a'").replace("\"k\"", "\"K\""), "lower-case"),
        (rule("regex = 'a'").replace("\"d\"", "\"\""), "one line"),
        (rule("regex = 'a'\nkeywords = [\"\"]"), "keywords"),
        (long, "at most 262144 are read"),
        (many, "at most 200 are possible"),
    ] {
        let error = PersonalRules::builtin().with_rules(&text).err().unwrap();
        assert!(error.to_string().contains(words), "{error}");
    }
}

const REGEX_MAX: usize = 4096;

proptest! {
    /// Whatever stands around it, what was put there is not in what is left, and a second search finds nothing more.
    #[test]
    fn what_was_put_there_is_gone(
        before in "[a-zA-Z ,.\n]{0,20}",
        after in "[a-zA-Z ,.\n]{0,20}",
        data in prop_oneof![
            "[a-z]{1,8}\\.[a-z]{1,8}@[a-z]{1,8}\\.(org|example)",
            Just("4111 1111 1111 1111".to_owned()),
            Just("DE89370400440532013000".to_owned()),
            "\\+49 [1-9][0-9]{2} [0-9]{7}",
        ],
    ) {
        let text = format!("{before} {data} {after}");
        let clean = mask(&text);
        prop_assert!(!clean.contains(&data), "{clean}");
        prop_assert_eq!(mask(&clean), clean);
    }

    /// Any text is searched without a panic, and one without digits or `@` is left alone.
    #[test]
    fn any_text_is_searched(text in any::<String>()) {
        let clean = mask(&text);
        if !text.contains(|c: char| c.is_ascii_digit() || c == '@') {
            prop_assert_eq!(clean, text);
        }
    }
}
