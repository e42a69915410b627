use std::os::unix::fs::symlink;

use super::*;

const CREATE: OpenFlags = OpenFlags::CREATE;

/// Files that a person's tools obey, as they may stand in a granted directory.
const PLACES: [&str; 12] = [
    ".git/config",
    ".git/hooks/pre-commit",
    ".git/modules/x/hooks/post-checkout",
    ".bashrc",
    ".zshenv",
    ".config/fish/config.fish",
    ".vscode/tasks.json",
    ".idea/workspace.xml",
    ".envrc",
    ".mcp.json",
    "AGENTS.md",
    ".ssh/authorized_keys",
];

/// Ways to write a name that some file system takes for the same.
fn variants(place: &str) -> [String; 4] {
    let (first, rest) = place.split_at(2);
    [
        place.to_owned(),
        place.to_uppercase(),
        format!("{first}\u{200b}{rest}"),
        format!("{}{rest}", first.to_uppercase()),
    ]
}

/// Puts a file at a place on the host.
fn plant(call: &Call, place: &str) {
    let path = call.host("work").join(place);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "mine").unwrap();
}

/// Everything below `/work`, with contents and times.
fn tree(call: &Call) -> Vec<String> {
    fn walk(dir: &std::path::Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = match kind.is_file() {
                true => fs::read_to_string(&path).unwrap(),
                false => String::new(),
            };
            let modified = kind.is_file().then(|| meta.modified().unwrap());
            found.push(format!("{} {modified:?} {content}", path.display()));
            if kind.is_dir() {
                walk(&path, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(&call.host("work"), &mut found);
    found.sort();
    found
}

/// Every operation that changes something, at a path that exists or does not.
async fn change_every_way(
    call: &mut Call,
    root: &Fd,
    path: &str,
) -> Vec<(&'static str, FsResult<()>)> {
    let mut results = Vec::new();
    for (what, open, flags) in [
        ("create", CREATE, WRITE),
        ("create for reading", CREATE, READ),
        ("create anew", CREATE | OpenFlags::EXCLUSIVE, WRITE),
        ("truncate", OpenFlags::TRUNCATE, READ),
        ("write", OpenFlags::empty(), WRITE),
    ] {
        results.push((what, call.open(root, path, open, flags).await.map(drop)));
    }
    let (at, path) = (|| again(root), || path.to_owned());
    let now = || NewTimestamp::Now;
    let plain = || "a.txt".to_owned();
    let mut view = call.view();
    results.extend([
        ("mkdir", view.create_directory_at(at(), path()).await),
        ("rmdir", view.remove_directory_at(at(), path()).await),
        ("unlink", view.unlink_file_at(at(), path()).await),
        ("symlink", view.symlink_at(at(), plain(), path()).await),
        (
            "times",
            view.set_times_at(at(), FOLLOW, path(), now(), now()).await,
        ),
        (
            "times of it",
            view.set_times_at(at(), PathFlags::empty(), path(), now(), now())
                .await,
        ),
        (
            "rename to",
            view.rename_at(at(), plain(), at(), path()).await,
        ),
        (
            "rename from",
            view.rename_at(at(), path(), at(), "stolen".into()).await,
        ),
        (
            "link to",
            view.link_at(at(), PathFlags::empty(), plain(), at(), path())
                .await,
        ),
        (
            "link from",
            view.link_at(at(), PathFlags::empty(), path(), at(), "second".into())
                .await,
        ),
    ]);
    results
}

#[tokio::test]
async fn guarded_places_are_not_changed_in_any_way_under_any_spelling() {
    let mut call = Call::limited(1 << 20, 1000);
    let [work, ..] = call.roots();
    for place in PLACES {
        plant(&call, place);
        // What exists on this file system under the other spellings must be as safe.
        plant(&call, &place.to_uppercase());
    }
    let before = tree(&call);
    for place in PLACES {
        for path in variants(place) {
            for (what, result) in change_every_way(&mut call, &work, &path).await {
                let refused = result.expect_err(what);
                let code = refused.downcast_ref().copied();
                // Under a spelling that this file system does not know, its directory may not be there.
                let fine = matches!(code, Some(ErrorCode::NotPermitted | ErrorCode::NoEntry));
                assert!(fine, "{what} {path:?}: {code:?}");
                assert!(
                    code == Some(ErrorCode::NotPermitted) || !path.is_ascii() || path != place,
                    "{what} {path:?}"
                );
            }
        }
    }
    assert_eq!(tree(&call), before);
    assert_eq!((call.state.written_bytes(), call.state.created()), (0, 0));
    let denial = call.record().denials.remove(0);
    assert_eq!(denial.access, "write /work/.git/config");
    assert_eq!(
        denial.rule,
        "default: a guarded place, denied unless the grant says unlock = [\".git\"]"
    );
    assert_eq!(
        denial.reason,
        "git and its helpers obey what stands in .git"
    );
}

#[tokio::test]
async fn reading_guarded_places_is_ordinary() {
    let mut call = Call::new();
    let [work, ..] = call.roots();
    plant(&call, ".git/config");
    let file = call.open(&work, ".git/config", OpenFlags::empty(), READ);
    let file = file.await.unwrap();
    let (bytes, _) = call.view().read(again(&file), 10, 0).await.unwrap();
    assert_eq!(bytes, b"mine");
    // A descriptor for reading changes no times either.
    let now = NewTimestamp::Now;
    let times = call.view().set_times(file, now, now).await;
    assert_eq!(code(times), ErrorCode::NotPermitted);
    let git = call.open(&work, ".git", OpenFlags::DIRECTORY, READ);
    let git = git.await.unwrap();
    call.view().read_directory(git).await.unwrap();
}

/// A call on a repository with a hook, with room for everything that a guest might try.
fn repository() -> Call {
    let call = Call::limited(1 << 20, 1000);
    plant(&call, ".git/config");
    plant(&call, ".git/hooks/pre-commit");
    fs::create_dir_all(call.host("work/a/b")).unwrap();
    fs::create_dir_all(call.host("work/x/hooks")).unwrap();
    call
}

/// That everything was refused, and the repository is what it was.
fn assert_refused(call: &Call, results: Vec<(&str, FsResult<()>)>) {
    for (what, result) in results {
        assert_eq!(code(result), ErrorCode::NotPermitted, "{what}");
    }
    let hooks = fs::read_dir(call.host("work/.git/hooks")).unwrap().count();
    assert_eq!(hooks, 1);
    assert_eq!(fs::read(call.host("work/.git/config")).unwrap(), b"mine");
    call.record();
}

#[tokio::test]
async fn no_path_leads_around_the_names() {
    let mut call = repository();
    let [work, ..] = call.roots();
    symlink("../.git", call.host("work/a/planted")).unwrap();
    for (target, link) in [
        (".git", "link"),
        ("../link/hooks", "a/deep"),
        (".git/new-hook", "dangling"),
        (".git/config", "file"),
    ] {
        let made = call
            .view()
            .symlink_at(again(&work), target.into(), link.into())
            .await;
        made.unwrap();
    }
    let mut refused: Vec<(&str, FsResult<()>)> = Vec::new();
    for path in [
        "a/../.git/hooks/pre-commit",
        "a/b/../../.git/hooks/new",
        "./a/./b/.././../.git/config",
        "link/config",
        "link/hooks/new",
        "a/planted/hooks/new",
        "a/deep/new",
        "a/deep/../config",
        "dangling",
        "file",
        "link/../link/config",
    ] {
        let opened = call.open(&work, path, CREATE, WRITE).await;
        refused.push((path, opened.map(drop)));
    }
    // Relative to a descriptor of the place.
    let git = call.open(&work, ".git", OpenFlags::DIRECTORY, READ).await;
    let git = git.unwrap();
    let hooks = call.open(&git, "hooks", OpenFlags::DIRECTORY, READ).await;
    let inside = call.open(&hooks.unwrap(), "new", CREATE, WRITE).await;
    refused.push(("below a descriptor", inside.map(drop)));
    let inside = call.open(&git, "config", OpenFlags::empty(), WRITE).await;
    refused.push(("in a descriptor", inside.map(drop)));
    assert_refused(&call, refused);
}

#[tokio::test]
async fn no_new_name_leads_around_the_names() {
    let mut call = repository();
    let [work, ..] = call.roots();
    symlink(".git", call.host("work/link")).unwrap();
    let hook = call.open(&work, "x/hooks/pre-commit", CREATE, WRITE).await;
    hook.unwrap();
    let at = || again(&work);
    let name = |name: &str| name.to_owned();
    let mut view = call.view();
    let mut refused = Vec::new();
    for (what, from, to) in [
        ("exchange", "x", ".git"),
        ("new repository", "x", "a/.git"),
        ("other case", "x", "a/.GIT"),
        ("with a slash", "x/", "a/.git/"),
        ("away", ".git", "away"),
        ("hooks away", "link/hooks", "away"),
        // Above a place of several names: a directory may be made there, and not be put there.
        ("whole .config", "x", ".config"),
    ] {
        let result = view.rename_at(at(), name(from), at(), name(to)).await;
        refused.push((what, result));
    }
    for (what, from, to) in [
        ("a second name", ".git/config", "c"),
        ("through a link", "link/config", "c"),
        ("linked in", "a.txt", ".git/hooks/c"),
    ] {
        let none = PathFlags::empty();
        let result = view.link_at(at(), none, name(from), at(), name(to)).await;
        refused.push((what, result));
    }
    for place in ["a/.git", ".config"] {
        let result = view.symlink_at(at(), name("x"), name(place)).await;
        refused.push(("a link as place", result));
    }
    let made = view.create_directory_at(at(), name("a/.git")).await;
    refused.push(("made", made));
    assert_refused(&call, refused);

    // And ordinary work goes on.
    let mut view = call.view();
    for made in [".config", ".config/app"] {
        view.create_directory_at(at(), name(made)).await.unwrap();
    }
    let removed = view.remove_directory_at(at(), name(".config/app")).await;
    removed.unwrap();
    let moved = view.rename_at(at(), name("x"), at(), name("y/")).await;
    moved.unwrap();
}

/// A directory that another call moves while this one writes through it: whichever name it has, what lies in a guarded
/// place stays as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_turns_into_a_link_to_the_place_guards_it_still() {
    let mut call = Call::limited(1 << 20, 10_000);
    let [work, ..] = call.roots();
    plant(&call, ".git/hooks/pre-commit");
    fs::create_dir(call.host("work/flip")).unwrap();
    symlink(".git/hooks", call.host("work/link")).unwrap();
    let exchanging = Exchanging::start(&call.host("work"), ["flip", "link"]);
    for n in 0..500 {
        let opened = call.open(&work, &format!("flip/{n}"), CREATE, WRITE).await;
        if let Ok(fd) = opened {
            HostDescriptor::drop(&mut call.view(), fd).unwrap();
        }
    }
    exchanging.stop();
    assert_eq!(
        fs::read_dir(call.host("work/.git/hooks")).unwrap().count(),
        1
    );
}

/// A call whose grant of `/work` says more.
fn unlocked(more: &str) -> Call {
    let dir = tempfile::tempdir().unwrap();
    for name in ["work/.git/hooks", "other", "lib", "repo/.git/hooks"] {
        fs::create_dir_all(dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("work/a.txt"), "hello").unwrap();
    let grants = granted(
        &format!(
            r#"files = [
                {{ host = "work", guest = "/work", access = "write"{more} }},
                {{ host = "other", guest = "/other", access = "write" }},
                {{ host = "repo/.git", guest = "/git", access = "write" }},
            ]"#
        ),
        ALL_FILES,
    );
    Call::on(dir, &grants)
}

#[tokio::test]
async fn what_a_grant_unlocks_is_open_and_nothing_else() {
    let mut call = unlocked(", unlock = [\".git\"]");
    let roots = call.view().get_directories().unwrap();
    let (work, other, git) = (&roots[0].0, &roots[1].0, &roots[2].0);
    let name = |name: &str| name.to_owned();
    call.open(work, ".git/index", CREATE, WRITE).await.unwrap();
    for path in [".git/config", ".git/hooks/x", ".bashrc"] {
        let refused = call.open(work, path, CREATE, WRITE).await;
        assert_eq!(code(refused), ErrorCode::NotPermitted, "{path}");
    }
    // A file that says where the repository is would be another way to its hooks.
    let made = call
        .view()
        .create_directory_at(again(work), name("sub"))
        .await;
    made.unwrap();
    let refused = call.open(work, "sub/.git", CREATE, WRITE).await;
    assert_eq!(code(refused), ErrorCode::NotPermitted);
    // Whoever grants a place itself has named it, and not the finer ones in it.
    call.open(git, "index", CREATE, WRITE).await.unwrap();
    let refused = call.open(git, "hooks/x", CREATE, WRITE).await;
    assert_eq!(code(refused), ErrorCode::NotPermitted);
    // What is locked in one grant is not carried to one where it is open, and back.
    let mut view = call.view();
    let moved = view.rename_at(again(work), name("sub"), again(other), name("sub"));
    assert_eq!(code(moved.await), ErrorCode::CrossDevice);
    let linked = view.link_at(
        again(work),
        PathFlags::empty(),
        name("a.txt"),
        again(other),
        name("b"),
    );
    assert_eq!(code(linked.await), ErrorCode::CrossDevice);
    view.rename_at(again(other), name("."), again(git), name("x"))
        .await
        .unwrap_err();

    let mut call = unlocked(", unlock = [\".git\", \".git/hooks\"]");
    let roots = call.view().get_directories().unwrap();
    let hook = call.open(&roots[0].0, ".Git/hooks/x", CREATE, WRITE).await;
    assert_eq!(code(hook), ErrorCode::NoEntry, "another directory here");
    let hook = call.open(&roots[0].0, ".git/hooks/x", CREATE, WRITE).await;
    hook.unwrap();
}
