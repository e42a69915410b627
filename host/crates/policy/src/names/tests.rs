use proptest::prelude::*;

use super::*;

#[test]
fn kebab_case_is_words_joined_by_single_dashes() {
    for name in ["a", "files", "my-tool", "a1-2b", &"a".repeat(64)] {
        assert!(is_kebab_case(name), "{name}");
    }
    for name in [
        "",
        "-a",
        "a-",
        "a--b",
        "A",
        "a_b",
        "1a",
        "a b",
        "é",
        &"a".repeat(65),
    ] {
        assert!(!is_kebab_case(name), "{name}");
    }
}

#[test]
fn public_names_join_package_and_tool() {
    assert_eq!(public_name("files", "read", false), "files_read");
    assert_eq!(public_name("files", "read", true), "files_read");
    assert_eq!(public_name("weather", "weather", true), "weather");
    assert_eq!(public_name("weather", "weather", false), "weather_weather");
}

#[test]
fn names_that_look_alike_are_confusable() {
    for (a, b) in [
        ("files_read", "files-read"),
        ("files_read", "Files_Read"),
        ("tool1", "tooll"),
        ("foo", "f0o"),
        ("l0-a", "1o_A"),
        ("modern", "modem"),
        ("web-fetch", "vveb-fetch"),
    ] {
        assert!(confusable(a, b) && confusable(b, a), "{a} {b}");
    }
    for (a, b) in [
        ("files_read", "files_read"),
        ("mail-list", "mall-list"),
        ("a", "b"),
        ("ab", "a"),
    ] {
        assert!(!confusable(a, b), "{a} {b}");
    }
}

#[test]
fn hidden_characters_are_found() {
    for c in [
        '\u{0}',
        '\u{1b}',
        '\r',
        '\u{7f}',
        '\u{85}',
        '\u{ad}',
        '\u{200b}',
        '\u{200d}',
        '\u{202e}',
        '\u{2066}',
        '\u{feff}',
        '\u{e0001}',
        '\u{e0041}',
        '\u{e0100}',
    ] {
        assert_eq!(hidden_character(&format!("a{c}b")), Some(c));
    }
    for text in ["", "line\n\ttab", "Größe, 大きさ, حجم, 🙂", "a\u{a0}b"] {
        assert_eq!(hidden_character(text), None);
    }
}

#[test]
fn the_nearest_word_is_offered_only_when_it_is_near() {
    assert_eq!(nearest("memroy", ["time", "memory"]), Some("memory"));
    assert_eq!(nearest("Limits", ["limits", "files"]), Some("limits"));
    assert_eq!(nearest("zzz", ["time", "memory"]), None);
    assert_eq!(nearest("", ["time"]), None);
}

proptest! {
    #[test]
    fn what_is_made_of_any_text_is_kebab_case(text in ".{0,90}") {
        if let Some(name) = to_kebab_case(&text) {
            prop_assert!(is_kebab_case(&name), "{}", name);
            prop_assert!(is_public_name(&name));
        }
    }

    #[test]
    fn kebab_case_stays_as_it_is(name in "[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,8}){0,3}") {
        prop_assert_eq!(to_kebab_case(&name), Some(name));
    }

    #[test]
    fn confusable_is_symmetric_and_never_of_itself(a in "[a-zA-Z0-9_-]{0,8}", b in "[lL1oO0_-]{0,4}") {
        prop_assert_eq!(confusable(&a, &b), confusable(&b, &a));
        prop_assert!(!confusable(&a, &a));
    }
}

#[test]
fn data_in_variation_selectors_is_hidden_and_emoji_are_not() {
    for fine in [
        "❤\u{FE0F} and ☎\u{FE0E}",
        "1\u{FE0F}\u{20E3}",
        "世界 한국어 Grüße",
    ] {
        assert_eq!(hidden_character(fine), None, "{fine}");
    }
    assert_eq!(hidden_character("a\u{FE01}\u{FE05}"), Some('\u{FE05}'));
    for c in [
        '\u{034F}',
        '\u{115F}',
        '\u{17B4}',
        '\u{180B}',
        '\u{3164}',
        '\u{FFA0}',
        '\u{1D173}',
        '\u{E0100}',
    ] {
        assert_eq!(hidden_character(&format!("a{c}b")), Some(c), "{c:?}");
    }
}
