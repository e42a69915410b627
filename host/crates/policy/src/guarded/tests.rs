use proptest::prelude::*;

use super::*;

fn guarded(path: &str) -> bool {
    matches!(standing("", path, &[]), Standing::Inside(_))
}

#[test]
fn the_list_is_well_formed() {
    let mut seen = Vec::new();
    for it in guarded_places() {
        let names: Vec<&str> = it.place.split('/').collect();
        assert!(names.len() <= MAX_NAMES && !it.used_by.is_empty(), "{it:?}");
        for name in names {
            assert!(name.is_ascii() && !name.is_empty(), "{it:?}");
            assert_eq!(fold(name), name.to_ascii_lowercase(), "{it:?}");
        }
        assert!(!seen.contains(&it.place), "{it:?} stands there twice");
        seen.push(it.place);
    }
    assert!(seen.len() > 100);
}

#[test]
fn every_place_is_guarded_itself_and_beneath_and_at_any_depth() {
    for it in guarded_places() {
        let place = it.place.replace('*', "x");
        for path in [
            place.clone(),
            format!("{place}/x/y"),
            format!("a/b/{place}"),
            format!("./a//{place}/"),
            place.to_uppercase(),
        ] {
            assert!(guarded(&path), "{path}");
        }
        // Another name is free, unless it lies in a guarded place for another reason.
        let (outer, _) = place.split_once('/').unwrap_or(("", ""));
        let others = [format!("{place}x"), format!("x{place}")];
        for path in others
            .iter()
            .filter(|_| !guarded(outer) && !it.place.starts_with('*'))
        {
            assert!(!guarded(path), "{path}");
        }
    }
}

#[test]
fn ordinary_work_is_free() {
    for path in [
        "",
        "src/main.rs",
        "Makefile",
        "package.json",
        ".github/workflows/ci.yml",
        ".gitignore",
        ".gitattributes",
        "git/hooks",
        "hooks/pre-commit",
        "config/fish",
        ".configs/fish",
        ".config",
        "profile",
        "notes~1.txt",
        "git~x",
        "~",
    ] {
        assert!(!guarded(path), "{path}");
    }
}

#[test]
fn names_that_some_file_system_takes_for_a_guarded_one() {
    for path in [
        ".GIT",
        ".git.",
        ".git . .",
        ".git::$INDEX_ALLOCATION/config",
        "git~1",
        "GIT~12/hooks",
        "GI7EBA~1",
        ".g\u{200c}it",
        "\u{feff}.git",
        ".git\u{fe0f}",
        ".git\\hooks\\pre-commit",
        ".vs\\..\\.git",
        ".\u{17f}\u{17f}h",
        ".\u{df}h",
        ".con\u{fb01}g/\u{fb01}sh",
        ".\u{212a}ube",
        "bash_p~1",
        "MCP~1.JSO",
        "CLAUDE~2.MD",
    ] {
        assert!(guarded(path), "{path:?}");
    }
}

#[test]
fn a_finer_place_needs_its_own_name() {
    let unlock = [".git".to_owned()];
    let of = |path: &str| standing("", path, &unlock);
    assert_eq!(of(".git/objects/aa"), Standing::Free);
    assert!(matches!(of(".git/hooks/x"), Standing::Inside(it) if it.place == ".git/hooks"));
    assert!(matches!(of(".git/config"), Standing::Inside(_)));
    assert!(matches!(of("a/.GIT"), Standing::Above(_)));
    let both = [".git".to_owned(), ".git/hooks".to_owned()];
    assert_eq!(standing("", ".git/hooks/x", &both), Standing::Free);
    // Naming the finer one alone leaves the outer one locked.
    assert!(matches!(
        standing("", ".git/hooks", &both[1..]),
        Standing::Inside(_)
    ));
}

#[test]
fn the_grant_s_own_names_count_and_do_not_lock_it() {
    let of = |lead: &str, path: &str| standing(lead, path, &[]);
    assert!(matches!(
        of("/home/a/x/.git", "hooks/x"),
        Standing::Inside(_)
    ));
    assert_eq!(of("/home/a/x/.git", "objects/x"), Standing::Free);
    assert_eq!(of("/home/a/x/.git/hooks", "x"), Standing::Free);
    assert_eq!(of("/home/a/.ssh/deep/er/still", "x"), Standing::Free);
    assert!(matches!(of("~/.config", "fish"), Standing::Inside(_)));
    assert!(matches!(of("/a/.local", "share"), Standing::Above(_)));
    assert_eq!(of("/a/.local", ""), Standing::Free);
}

#[test]
fn the_beginning_of_a_place_is_told_apart() {
    assert!(matches!(standing("", "a/.CONFIG", &[]), Standing::Above(_)));
    assert!(matches!(
        standing("", ".local/share", &[]),
        Standing::Above(_)
    ));
    assert_eq!(standing("", ".config/other", &[]), Standing::Free);
}

#[test]
fn what_a_policy_unlocks_is_found_without_case() {
    assert_eq!(guarded_place(".GIT/hooks").unwrap().place, ".git/hooks");
    assert_eq!(guarded_place("Agents.md").unwrap().place, "AGENTS.md");
    assert!(guarded_place(".git/hook").is_none());
}

/// A guarded place with every letter and every gap changed in a way that some file system ignores.
fn disguised() -> impl Strategy<Value = (String, String)> {
    let places: Vec<&str> = guarded_places().map(|it| it.place).collect();
    let noise = prop::sample::select(vec![
        "",
        "",
        "",
        "\u{200b}",
        "\u{ad}",
        "\u{2060}",
        "\u{fe0f}",
        "\u{e0041}",
    ]);
    let end = prop::sample::select(vec!["", "", ".", " ", ". ", ":x", "::$DATA"]);
    (
        prop::sample::select(places),
        prop::collection::vec((any::<bool>(), noise), 64),
        prop::collection::vec(end, 3),
    )
        .prop_map(|(place, changes, ends)| {
            let mut changes = changes.into_iter().cycle();
            let names = place.split('/').zip(ends).map(|(name, end)| {
                let changed: String = name
                    .replace('*', "x")
                    .chars()
                    .map(|c| {
                        let (upper, noise) = changes.next().unwrap();
                        let c = if upper { c.to_ascii_uppercase() } else { c };
                        format!("{noise}{c}")
                    })
                    .collect();
                changed + end
            });
            let names: Vec<String> = names.collect();
            (place.to_owned(), names.join("/"))
        })
}

proptest! {
    #[test]
    fn a_disguise_unlocks_nothing((place, path) in disguised(), before in "[a-z]{0,3}", after in "[a-z]{0,3}") {
        prop_assert!(guarded(&path), "{path:?} is {place}");
        let joined = format!("{before}/{path}/{after}");
        prop_assert!(guarded(&joined), "{joined:?}");
    }

    /// Folding a name once more changes nothing, and no name stops it.
    #[test]
    fn folding_is_stable(name in ".{0,12}") {
        let once = fold(&name);
        prop_assert_eq!(fold(&once), once);
    }

    /// Whatever is unlocked, a path beneath a guarded one is not freer than the place itself.
    #[test]
    fn nothing_beneath_is_freer((place, path) in disguised(), below in "[a-z]{1,5}") {
        let others: Vec<String> = guarded_places().map(|it| it.place.to_owned()).filter(|it| *it != place).collect();
        let deeper = format!("{path}/{below}");
        prop_assert!(matches!(standing("", &path, &others), Standing::Inside(_)));
        prop_assert!(matches!(standing("", &deeper, &others), Standing::Inside(_)));
    }
}

#[test]
fn the_guide_lists_every_place() {
    let guide = include_str!("../../../../../docs/policy.md");
    for it in guarded_places() {
        assert!(guide.contains(&format!("`{}`", it.place)), "{}", it.place);
    }
}
