use std::fmt::Write;

use miette::NarratableReportHandler;
use proptest::prelude::*;

use crate::{Manifest, Policy, Problems};

/// A file's problems as a plain terminal shows them.
fn rendered(problems: &Problems) -> String {
    let mut text = String::new();
    NarratableReportHandler::new()
        .render_report(&mut text, problems)
        .unwrap();
    text
}

/// Every problem with its place and the text that it marks.
fn summary(text: &str, problems: &Problems) -> String {
    let mut lines = format!("{problems}\n\n");
    for problem in problems {
        let marked = text[problem.span()].lines().next().unwrap_or_default();
        let help = problem.help().unwrap_or("-");
        writeln!(
            lines,
            "{}:{}: {problem}\n  at   {marked}\n  help {help}",
            problem.line(),
            problem.column()
        )
        .unwrap();
    }
    lines
}

const BAD_POLICY: &str = include_str!("samples/bad-policy.toml");
const BAD_MANIFEST: &str = include_str!("samples/bad-manifest.toml");
const BROKEN: &str = include_str!("samples/broken.toml");
const GOOD_POLICY: &str = include_str!("samples/policy.toml");
const GOOD_MANIFEST: &str = include_str!("samples/tool.toml");

#[test]
fn the_problems_of_a_policy_read_well() {
    let problems = Policy::parse("toolcell.toml", BAD_POLICY).unwrap_err();
    insta::assert_snapshot!("bad_policy", summary(BAD_POLICY, &problems));
}

#[test]
fn the_problems_of_a_manifest_read_well() {
    let problems = Manifest::parse("tool.toml", BAD_MANIFEST).unwrap_err();
    insta::assert_snapshot!("bad_manifest", summary(BAD_MANIFEST, &problems));
}

#[test]
fn syntax_errors_read_well() {
    let problems = Policy::parse("toolcell.toml", BROKEN).unwrap_err();
    insta::assert_snapshot!("broken", summary(BROKEN, &problems));
}

#[test]
fn a_report_shows_the_lines_of_the_file() {
    let text = "[tool.github]\nnet = [{ to = \"https://api.github.com\", method = [\"GET\"] }]\n";
    insta::assert_snapshot!(
        "report",
        rendered(&Policy::parse("toolcell.toml", text).unwrap_err())
    );
}

#[test]
fn lines_and_columns_count_from_one_and_in_characters() {
    let problems = Policy::from_toml("# é\n[\"äöü\"]\n").unwrap_err();
    let first = problems.iter().next().unwrap();
    assert_eq!((first.line(), first.column()), (2, 2));
}

#[test]
fn the_good_samples_are_good() {
    let policy = Policy::from_toml(GOOD_POLICY).unwrap();
    let manifest = Manifest::from_toml(GOOD_MANIFEST).unwrap();
    let outcomes = crate::Layers::from(policy).test(&[manifest]);
    assert!(
        !outcomes.is_empty() && outcomes.iter().all(|it| it.passed),
        "{outcomes:#?}"
    );
}

/// Reads a text as both kinds of file, and looks at every place and report.
fn survive(text: &str) -> Result<(), TestCaseError> {
    for problems in [
        Policy::from_toml(text).err(),
        Manifest::from_toml(text).err(),
    ]
    .into_iter()
    .flatten()
    {
        prop_assert!(problems.count() > 0);
        for problem in &problems {
            prop_assert!(
                text.get(problem.span()).is_some(),
                "{problem:?} {:?}",
                problem.span()
            );
            prop_assert!(problem.line() > 0 && problem.column() > 0);
            prop_assert!(
                !problem.message().chars().any(char::is_control),
                "{problem:?}"
            );
        }
        rendered(&problems);
    }
    if let Ok(policy) = Policy::from_toml(text) {
        let printed = policy.to_toml();
        prop_assert_eq!(
            Policy::from_toml(&printed).map(|it| it.to_toml()).ok(),
            Some(printed)
        );
    }
    if let Ok(manifest) = Manifest::from_toml(text) {
        prop_assert_eq!(
            Manifest::from_toml(&manifest.to_toml()).ok(),
            Some(manifest)
        );
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        survive(&text)?;
    }

    #[test]
    fn any_toml_like_text_is_read_or_refused(
        text in "(\\[\\[?(tool|request|default|expect)(\\.[a-z\"é]{1,4})?\\]?\\]\n|(net|files|to|from|env|name|input|approve|limits) = ([0-9]{1,3}|\"[a-z:/*.]{0,9}\"|\\[\\]|\\{\\}|true|\\[\\{ to = \"any\" \\}\\])\n){0,8}"
    ) {
        survive(&text)?;
    }

    #[test]
    fn damaged_files_are_read_or_refused(
        which in 0_usize..4,
        damage in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(".")), 1..4),
    ) {
        let sample = [GOOD_POLICY, GOOD_MANIFEST, BAD_POLICY, BAD_MANIFEST][which];
        let mut chars: Vec<char> = sample.chars().collect();
        for (index, insert) in damage {
            let at = index.index(chars.len());
            match insert {
                Some(text) => chars.splice(at..at, text.chars()).for_each(drop),
                None => drop(chars.remove(at)),
            }
        }
        survive(&chars.into_iter().collect::<String>())?;
    }

    #[test]
    fn cut_off_files_are_read_or_refused(which in 0_usize..2, at: prop::sample::Index) {
        let sample = [GOOD_POLICY, GOOD_MANIFEST][which];
        let text: String = sample.chars().take(at.index(sample.len())).collect();
        survive(&text)?;
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    for text in [
        format!("tool = {}{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("x = {}", "{ a = ".repeat(100_000)),
        format!("[{}]", vec!["a"; 20_000].join(".")),
    ] {
        assert!(Policy::from_toml(&text).is_err());
        assert!(Manifest::from_toml(&text).is_err());
    }
}
