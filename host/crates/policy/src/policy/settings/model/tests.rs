use super::{EFFORTS, ModelThinking, ModelToolChoice};
use crate::{Layers, Policy};

fn problem(text: &str) -> String {
    Policy::from_toml(text).unwrap_err().to_string()
}

#[test]
fn the_nearest_file_decides() {
    let policy = |name: &str, model: &str| {
        let text = format!("[model]\nuse = \"{model}\"\nmax_tokens = 500\n");
        Policy::parse(name, &text).unwrap()
    };
    let text = policy("a", "anthropic:x").to_toml();
    assert_eq!(Policy::from_toml(&text).unwrap().to_toml(), text);
    assert!(text.contains("max_tokens = 500"), "{text}");
    let layers = Layers::from(policy("a", "anthropic:x"));
    let both = layers
        .clone()
        .with(crate::Layer::Project, policy("b", "anthropic:y"));
    assert_eq!(both.model().name.as_deref(), Some("anthropic:y"));
    assert_eq!(layers.model().name.as_deref(), Some("anthropic:x"));
    assert_eq!(layers.model().rule.unwrap().to_string(), "a:1 model");
    assert_eq!(Layers::default().model(), super::ModelSettings::default());
}

#[test]
fn how_a_turn_is_wanted_is_read_and_written() {
    let read = |text: &str| {
        let policy = Policy::from_toml(&format!("[model]\n{text}\n")).unwrap();
        let written = policy.to_toml();
        assert_eq!(Policy::from_toml(&written).unwrap().to_toml(), written);
        assert!(written.contains(text), "{written}");
        Layers::from(policy).model()
    };
    for effort in EFFORTS {
        assert_eq!(read(&format!("effort = \"{effort}\"")).effort, Some(effort));
    }
    for (text, thinking) in [
        ("\"adaptive\"", ModelThinking::Adaptive),
        ("\"off\"", ModelThinking::Off),
        ("\"between_tools\"", ModelThinking::BetweenTools),
        ("4096", ModelThinking::Tokens(4096)),
    ] {
        let settings = read(&format!("thinking = {text}"));
        assert_eq!(settings.thinking, Some(thinking));
    }
    for (text, choice) in [
        ("auto", ModelToolChoice::Auto),
        ("any", ModelToolChoice::Any),
        ("none", ModelToolChoice::None),
        (
            "tool:files_read",
            ModelToolChoice::Tool("files_read".into()),
        ),
    ] {
        let settings = read(&format!("tool_choice = \"{text}\""));
        assert_eq!(settings.tool_choice, Some(choice));
    }
    assert_eq!(read("parallel_tools = false").parallel_tools, Some(false));
}

#[test]
fn what_names_no_model_is_told() {
    for (text, words) in [
        ("[model]\nuse = \"x\"", "names no model"),
        ("[model]\nuse = \":x\"", "names no model"),
        ("[model]\nmax_tokens = 0", "is 0"),
        ("[model]\nmax_tokens = 1000001", "is 1000001"),
        ("[model]\nmodel = \"x:y\"", "no key `model`"),
        ("[model]\nuse = 5", "must be"),
        ("[model]\neffort = \"much\"", "much"),
        ("[model]\nthinking = \"deep\"", "`model.thinking` is `deep`"),
        ("[model]\nthinking = 0", "is 0"),
        ("[model]\nthinking = true", "must be a string"),
        (
            "[model]\ntool_choice = \"tool:\"",
            "`model.tool_choice` is `tool:`",
        ),
        ("[model]\nparallel_tools = 1", "must be true or false"),
    ] {
        assert!(problem(text).contains(words), "{text}: {}", problem(text));
    }
}
