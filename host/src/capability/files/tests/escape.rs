use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::*;

/// Links in `/work` that lead out of it, all of them to the directory with the canary or to the canary.
fn plant_links(call: &Call) {
    symlink(call.host("secret"), call.host("work/absolute")).unwrap();
    symlink("../secret", call.host("work/relative")).unwrap();
    symlink("../secret/canary", call.host("work/file")).unwrap();
    symlink("relative", call.host("work/twice")).unwrap();
    fs::create_dir(call.host("work/sub")).unwrap();
    symlink("..", call.host("work/sub/up")).unwrap();
}

const WAYS_OUT: &[&str] = &[
    "..",
    "../",
    "../secret/canary",
    "./../secret/canary",
    "sub/../../secret/canary",
    "sub/up/../secret/canary",
    "a.txt/../../secret/canary",
    "..//secret//canary",
    "/etc/passwd",
    "//etc/passwd",
    "/",
    "/work/a.txt",
    "absolute",
    "absolute/",
    "absolute/canary",
    "absolute//canary",
    "absolute/.",
    "relative",
    "relative/",
    "relative/canary",
    "relative/./canary",
    "file",
    "file/",
    "twice",
    "twice/",
    "twice/canary",
    "twice/../secret/canary",
    "sub/up/relative/canary",
];

#[tokio::test]
async fn nothing_leads_out() {
    let mut call = Call::new();
    let [work, ..] = call.roots();
    plant_links(&call);
    let absolute = call.host("secret/canary").to_str().unwrap().to_owned();
    for path in WAYS_OUT.iter().copied().chain([&*absolute]) {
        for (open, flags) in [
            (OpenFlags::empty(), READ),
            (OpenFlags::DIRECTORY, READ),
            (OpenFlags::CREATE, WRITE),
        ] {
            let opened = call.open(&work, path, open, flags).await;
            assert!(opened.is_err(), "{path} {open:?}");
        }
        for (what, result) in use_every_way(&mut call, &work, path).await {
            assert!(result.is_err(), "{what} {path}");
        }
    }
    assert_eq!(fs::read(call.host("secret/canary")).unwrap(), b"CANARY");
    assert_eq!(fs::read_dir(call.host("secret")).unwrap().count(), 1);
    assert_eq!((call.state.written_bytes(), call.state.created()), (0, 0));
    assert!(call.recorder.snapshot().denials_total > 100);
    call.record();
}

/// Every operation but opening, through a path that is a way out.
async fn use_every_way(
    call: &mut Call,
    work: &Fd,
    path: &str,
) -> [(&'static str, FsResult<()>); 8] {
    let at = || again(work);
    let path = path.to_owned();
    let (inside, canary) = (format!("{path}/new"), format!("{path}/canary"));
    let now = NewTimestamp::Now;
    let mut view = call.view();
    [
        (
            "stat",
            view.stat_at(at(), FOLLOW, path.clone()).await.map(drop),
        ),
        (
            "hash",
            view.metadata_hash_at(at(), FOLLOW, path.clone())
                .await
                .map(drop),
        ),
        (
            "times",
            view.set_times_at(at(), FOLLOW, path, now, now).await,
        ),
        (
            "mkdir",
            view.create_directory_at(at(), inside.clone()).await,
        ),
        (
            "symlink",
            view.symlink_at(at(), "x".into(), inside.clone()).await,
        ),
        (
            "rename",
            view.rename_at(at(), "a.txt".into(), at(), inside).await,
        ),
        ("unlink", view.unlink_file_at(at(), canary.clone()).await),
        (
            "link",
            view.link_at(at(), PathFlags::empty(), canary, at(), "hard".into())
                .await,
        ),
    ]
}

/// A directory that turns into a link to the secret and back while the tool opens a file through it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_turns_into_a_link_leads_nowhere() {
    let mut call = Call::new();
    let [work, ..] = call.roots();
    fs::create_dir(call.host("work/flip")).unwrap();
    fs::write(call.host("work/flip/canary"), "harmless").unwrap();
    symlink("../secret", call.host("work/link")).unwrap();
    let exchanging = Exchanging::start(&call.host("work"), ["flip", "link"]);
    for _ in 0..500 {
        let opened = call
            .open(&work, "flip/canary", OpenFlags::empty(), READ)
            .await;
        if let Ok(fd) = opened {
            let (bytes, _) = call.view().read(again(&fd), 100, 0).await.unwrap();
            assert_eq!(bytes, b"harmless");
            HostDescriptor::drop(&mut call.view(), fd).unwrap();
        }
    }
    exchanging.stop();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a path is made of, what it opens is never the secret, and what is recorded never names the host.
    #[test]
    fn no_path_opens_the_secret(segments in prop::collection::vec(segment(), 1..8), slash in any::<bool>()) {
        let path = segments.join("/") + if slash { "/" } else { "" };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut call = Call::new();
            let [work, lib, _] = call.roots();
            plant_links(&call);
            for root in [work, lib] {
                for flags in [READ, WRITE] {
                    let Ok(fd) = call.open(&root, &path, OpenFlags::empty(), flags).await else {
                        continue;
                    };
                    if let Ok((bytes, _)) = call.view().read(again(&fd), 100, 0).await {
                        assert_ne!(bytes, b"CANARY", "{path}");
                    }
                    let stat = call.view().stat_at(fd, FOLLOW, "canary".into()).await;
                    assert!(stat.is_err(), "{path}");
                }
            }
            call.record();
        });
    }
}

fn segment() -> impl Strategy<Value = String> {
    let known = [
        "..", ".", "", "a.txt", "sub", "up", "absolute", "relative", "file", "twice", "secret",
        "canary", "work",
    ];
    prop_oneof![
        9 => prop::sample::select(known.map(String::from).to_vec()),
        1 => ".{0,3}",
    ]
}

#[tokio::test]
async fn an_escape_is_recorded_as_the_guest_wrote_it() {
    let mut call = Call::new();
    let [work, ..] = call.roots();
    assert_eq!(
        code(
            call.open(&work, "../../etc/passwd", OpenFlags::empty(), READ)
                .await
        ),
        ErrorCode::NotPermitted
    );
    assert_eq!(
        code(
            call.open(&work, "/etc/shadow", OpenFlags::CREATE, WRITE)
                .await
        ),
        ErrorCode::NotPermitted
    );
    let (from, to) = ("a.txt".to_owned(), "../b".to_owned());
    let moved = call
        .view()
        .rename_at(again(&work), from, again(&work), to)
        .await;
    assert_eq!(code(moved), ErrorCode::NotPermitted);
    assert_eq!(
        call.denials(),
        [
            "read /work/../../etc/passwd",
            "write /etc/shadow",
            "write /work/../b"
        ]
    );
    assert_eq!(
        call.record().denials[0].rule,
        "toolcell.toml:5 tool.t.files[0]"
    );
    assert!(call.touched().is_empty());
}

#[tokio::test]
async fn a_link_that_the_guest_makes_leads_nowhere() {
    let mut call = Call::new();
    let [work, ..] = call.roots();
    let absolute = call.host("secret").to_str().unwrap().to_owned();
    let made = call
        .view()
        .symlink_at(again(&work), absolute, "abs".into())
        .await;
    assert_eq!(code(made), ErrorCode::NotPermitted);
    call.view()
        .symlink_at(again(&work), "../secret".into(), "out".into())
        .await
        .unwrap();
    for path in ["out/canary", "out/", "out"] {
        assert!(
            call.open(&work, path, OpenFlags::empty(), READ)
                .await
                .is_err(),
            "{path}"
        );
    }
    assert_eq!(call.state.created(), 1);
    assert_eq!(
        call.view()
            .readlink_at(again(&work), "out".into())
            .await
            .unwrap(),
        "../secret"
    );
}

#[tokio::test]
async fn a_link_does_not_tell_the_host_s_paths() {
    let mut call = Call::new();
    let [work, ..] = call.roots();
    plant_links(&call);
    let read = call
        .view()
        .readlink_at(again(&work), "absolute".into())
        .await;
    assert_eq!(code(read), ErrorCode::NotPermitted);
    assert_eq!(call.denials(), ["read /work/absolute"]);
}

#[tokio::test]
async fn strange_names_are_errors_and_nothing_worse() {
    let mut call = Call::new();
    let [work, ..] = call.roots();
    let names = [
        "".to_owned(),
        "nul\0byte".to_owned(),
        "\0".to_owned(),
        "x".repeat(256),
        "x/".repeat(3000),
        "x".repeat(1 << 20),
        "a.txt/".to_owned(),
        "a.txt/.".to_owned(),
        "a.txt/x".to_owned(),
        "new/".to_owned(),
    ];
    for name in names {
        let short: String = name.chars().take(20).collect();
        for open in [OpenFlags::empty(), OpenFlags::CREATE] {
            let opened = call.open(&work, &name, open, READ).await;
            assert!(opened.is_err(), "open {short:?}");
        }
        let stat = call
            .view()
            .stat_at(again(&work), FOLLOW, name.clone())
            .await;
        assert!(stat.is_err(), "stat {short:?}");
        let removed = call.view().unlink_file_at(again(&work), name).await;
        assert!(removed.is_err(), "unlink {short:?}");
    }
    for name in [
        "\u{202e}",
        "ｆｕｌｌ",
        "a\nb",
        "😀",
        " ",
        "con",
        "...",
        "-rf",
        "\u{7f}",
        "%2e%2e",
    ] {
        call.open(&work, name, OpenFlags::CREATE, WRITE)
            .await
            .unwrap();
        let stat = call.view().stat_at(again(&work), FOLLOW, name.into()).await;
        assert_eq!(stat.unwrap().type_, DescriptorType::RegularFile, "{name:?}");
    }
    assert!(fs::read(call.host("work/a.txt")).unwrap() == b"hello");
}

#[tokio::test]
async fn a_name_that_is_no_unicode_is_an_error_in_the_listing() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let mut call = Call::new();
    let [work, ..] = call.roots();
    fs::remove_file(call.host("work/a.txt")).unwrap();
    fs::write(call.host("work").join(OsStr::from_bytes(b"\xff")), "").unwrap();
    let entries = call.view().read_directory(work).await.unwrap();
    let entry = call.view().read_directory_entry(entries).await;
    assert_eq!(code(entry), ErrorCode::IllegalByteSequence);
}

/// Names that break programs which take them for something else. One a line, as JSON.
const NAUGHTY: &str = include_str!("naughty.txt");

#[tokio::test]
async fn naughty_names_go_around_and_come_back_as_they_are() {
    let mut call = Call::limited(1 << 20, 10_000);
    let [work, ..] = call.roots();
    fs::remove_file(call.host("work/a.txt")).unwrap();
    let names: Vec<String> = NAUGHTY
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for name in &names {
        let made = call.open(&work, name, OpenFlags::CREATE, WRITE).await;
        let made = made.unwrap_or_else(|error| panic!("{name:?}: {error:?}"));
        let bytes = name.clone().into_bytes();
        let written = call.view().write(again(&made), bytes, 0).await.unwrap();
        assert_eq!(written, name.len() as u64);
        HostDescriptor::drop(&mut call.view(), made).unwrap();
        assert_eq!(
            fs::read(call.host("work").join(name)).unwrap(),
            name.as_bytes()
        );
    }
    let listing = call.view().read_directory(again(&work)).await.unwrap();
    let mut listed = Vec::new();
    loop {
        let listing = Resource::new_borrow(listing.rep());
        match call.view().read_directory_entry(listing).await.unwrap() {
            Some(entry) => listed.push(entry.name),
            None => break,
        }
    }
    let mut expected = names.clone();
    expected.sort();
    listed.sort();
    assert_eq!(listed, expected);
    for name in &names {
        let other = format!("{}-", name.chars().take(40).collect::<String>());
        let (at, name) = (|| again(&work), || name.clone());
        let mut view = call.view();
        view.rename_at(at(), name(), at(), other.clone())
            .await
            .unwrap();
        view.unlink_file_at(at(), other).await.unwrap();
    }
    assert_eq!(fs::read_dir(call.host("work")).unwrap().count(), 0);
    assert_eq!(fs::read(call.host("secret/canary")).unwrap(), b"CANARY");
    // What is kept of them for people holds no control characters.
    let record = call.record();
    assert!(record.denials.is_empty());
    assert!(
        !record
            .paths
            .iter()
            .any(|it| it.path.chars().any(char::is_control))
    );
}

/// F17: what a guest does to times is on record, and it can neither exchange nor close the directories it was given.
#[tokio::test]
async fn times_are_on_record_and_roots_stay() {
    use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
    let mut call = Call::new();
    let [work, lib, phantom] = call.roots();
    let old = NewTimestamp::Timestamp(Datetime {
        seconds: 1,
        nanoseconds: 0,
    });
    let path = || "a.txt".to_owned();
    let at = || again(&work);
    let set = call
        .view()
        .set_times_at(at(), FOLLOW, path(), old, old)
        .await;
    set.unwrap();
    assert_eq!(call.touched(), ["write /work/a.txt"]);
    let set = call.view().set_times(again(&lib), old, old).await;
    assert_eq!(code(set), ErrorCode::NotPermitted);
    for fd in [&work, &lib] {
        let name = || ".".to_owned();
        let mut view = call.view();
        for result in [
            view.remove_directory_at(again(fd), name()).await,
            view.unlink_file_at(again(fd), name()).await,
            view.rename_at(again(fd), name(), at(), "x".into()).await,
            view.rename_at(at(), path(), again(fd), name()).await,
            view.create_directory_at(again(fd), name()).await,
            view.symlink_at(again(fd), path(), name()).await,
        ] {
            assert!(result.is_err());
        }
    }
    // Closing them closes the guest's own numbers alone: asking again gives them anew.
    for fd in [work, lib, phantom] {
        HostDescriptor::drop(&mut call.view(), fd).unwrap();
    }
    let [work, ..] = call.roots();
    call.open(&work, "a.txt", OpenFlags::empty(), READ)
        .await
        .unwrap();
}
