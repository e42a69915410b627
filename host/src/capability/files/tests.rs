use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
};

use bytes::Bytes;
use tempfile::TempDir;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{
    WasiCtx,
    p2::{
        StreamError,
        bindings::filesystem::{
            preopens::Host as _,
            types::{
                DescriptorFlags, DescriptorType, HostDescriptor, HostDirectoryEntryStream,
                NewTimestamp, OpenFlags, PathFlags,
            },
        },
    },
};

use super::*;
use crate::{
    CallId, ErrorKind,
    capability::{
        LimitExceeded,
        fixtures::{ALL_FILES, granted},
        recorder::Record,
    },
};

const FOLLOW: PathFlags = PathFlags::SYMLINK_FOLLOW;
const READ: DescriptorFlags = DescriptorFlags::READ;
const WRITE: DescriptorFlags = DescriptorFlags::WRITE;

/// A call on two granted directories: `/work` to write and `/lib` to read. Both lie in one directory with a canary
/// beside them.
struct Call {
    dir: TempDir,
    table: ResourceTable,
    wasi: WasiCtx,
    state: FilesState,
    recorder: Recorder,
}

type Fd = Resource<Descriptor>;

impl Call {
    fn new() -> Self {
        Self::limited(1 << 20, 100)
    }

    fn limited(written: u64, created: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["work", "lib", "secret"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("secret/canary"), "CANARY").unwrap();
        fs::write(dir.path().join("work/a.txt"), "hello").unwrap();
        fs::write(dir.path().join("lib/b.txt"), "library").unwrap();
        let tool = format!(
            r#"
            files = [
                {{ host = "work", guest = "/work", access = "write" }},
                {{ host = "./lib", guest = "/lib", access = "read" }},
            ]
            limits = {{ written = "{written}B", created = {created} }}"#
        );
        let grants = granted(&tool, ALL_FILES);
        let roots = FileRoots::open(&grants, dir.path(), &RootRules::default()).unwrap();
        let recorder = Recorder::new(CallId::new("call_1"), None);
        Self {
            table: ResourceTable::new(),
            wasi: WasiCtx::builder().build(),
            state: FilesState::new(Arc::new(roots), recorder.clone()),
            recorder,
            dir,
        }
    }

    fn view(&mut self) -> FilesView<'_> {
        FilesView {
            inner: WasiFilesystemCtxView {
                ctx: self.wasi.filesystem(),
                table: &mut self.table,
            },
            state: &mut self.state,
        }
    }

    /// `/work`, `/lib` and the phantom `/`.
    fn roots(&mut self) -> [Fd; 3] {
        let roots = self.view().get_directories().unwrap();
        let names: Vec<&str> = roots.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["/work", "/lib", "/"]);
        roots
            .into_iter()
            .map(|(fd, _)| fd)
            .collect::<Vec<_>>()
            .try_into()
            .unwrap()
    }

    fn host(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join(path)
    }

    async fn open(
        &mut self,
        root: &Fd,
        path: &str,
        open: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Fd> {
        let root = again(root);
        self.view()
            .open_at(root, FOLLOW, path.into(), open, flags)
            .await
    }

    /// The whole record, after a check that nothing in it names the host's directory.
    fn record(&self) -> Record {
        let record = self.recorder.snapshot();
        let host = self.dir.path().to_str().unwrap();
        assert!(!format!("{record:?}").contains(host), "{record:?}");
        record
    }

    fn denials(&self) -> Vec<String> {
        self.record()
            .denials
            .into_iter()
            .map(|d| d.access)
            .collect()
    }

    fn touched(&self) -> Vec<String> {
        let paths = self.record().paths.into_iter();
        paths
            .map(|p| format!("{} {}", p.used.as_str(), p.path))
            .collect()
    }

    /// That the call was ended by the limit on files.
    fn assert_limit(&self, error: Option<&LimitExceeded>, number: &str) {
        assert_eq!(error, Some(&LimitExceeded(ErrorKind::LimitFiles)));
        let limit = self.record().limit.unwrap();
        assert_eq!(limit.kind, ErrorKind::LimitFiles);
        assert!(limit.message.contains(number), "{}", limit.message);
    }
}

fn again(fd: &Fd) -> Fd {
    Resource::new_borrow(fd.rep())
}

fn code<T>(result: FsResult<T>) -> ErrorCode {
    let error = result.err().expect("an error");
    *error
        .downcast_ref()
        .unwrap_or_else(|| panic!("a trap: {error:?}"))
}

fn limit<T>(result: FsResult<T>) -> Option<LimitExceeded> {
    let error = result
        .err()
        .expect("an error")
        .downcast()
        .expect_err("a trap");
    error.downcast_ref().copied()
}

#[tokio::test]
async fn granted_files_are_read_and_written_and_recorded() {
    let mut call = Call::new();
    let [work, lib, _] = call.roots();
    let a = call
        .open(&work, "./a.txt", OpenFlags::empty(), READ)
        .await
        .unwrap();
    assert_eq!(
        call.view().read(again(&a), 10, 0).await.unwrap().0,
        b"hello"
    );
    assert_eq!(call.view().stat(a).await.unwrap().size, 5);

    let made = call
        .open(&work, "new.txt", OpenFlags::CREATE, WRITE)
        .await
        .unwrap();
    assert_eq!(
        call.view()
            .write(again(&made), b"12345678".into(), 0)
            .await
            .unwrap(),
        8
    );
    call.view().set_size(again(&made), 10).await.unwrap();
    HostDescriptor::drop(&mut call.view(), made).unwrap();
    let b = call
        .open(&lib, "b.txt", OpenFlags::empty(), READ)
        .await
        .unwrap();
    HostDescriptor::drop(&mut call.view(), b).unwrap();

    assert_eq!(
        fs::read(call.host("work/new.txt")).unwrap(),
        b"12345678\0\0"
    );
    assert_eq!((call.state.written_bytes(), call.state.created()), (10, 1));
    assert_eq!(
        call.touched(),
        ["read /work/a.txt", "write /work/new.txt", "read /lib/b.txt"]
    );
    assert!(call.denials().is_empty());
    assert_eq!(call.state.places.len(), 4, "two files were dropped");
}

#[tokio::test]
async fn directories_below_a_grant_keep_their_guest_path() {
    let mut call = Call::new();
    let [work, ..] = call.roots();
    call.view()
        .create_directory_at(again(&work), "sub".into())
        .await
        .unwrap();
    let sub = call
        .open(&work, "sub", OpenFlags::DIRECTORY, READ)
        .await
        .unwrap();
    call.open(&sub, "f", OpenFlags::CREATE, WRITE)
        .await
        .unwrap();
    let entries = call.view().read_directory(sub).await.unwrap();
    let entry = call
        .view()
        .read_directory_entry(Resource::new_borrow(entries.rep()))
        .await;
    assert_eq!(entry.unwrap().unwrap().name, "f");
    HostDirectoryEntryStream::drop(&mut call.view(), entries).unwrap();
    assert_eq!(call.state.created(), 2);
    assert_eq!(
        call.touched(),
        ["write /work/sub", "read /work/sub", "write /work/sub/f"]
    );
}

#[tokio::test]
async fn a_read_grant_refuses_every_change() {
    let mut call = Call::new();
    let [work, lib, _] = call.roots();
    let now = || NewTimestamp::Now;
    let before = fs::metadata(call.host("lib/b.txt")).unwrap();

    let mut results = Vec::new();
    for (open, flags) in [
        (OpenFlags::CREATE, READ),
        (OpenFlags::TRUNCATE, READ),
        (OpenFlags::empty(), WRITE),
        (OpenFlags::CREATE | OpenFlags::EXCLUSIVE, WRITE),
    ] {
        results.push(call.open(&lib, "b.txt", open, flags).await.map(drop));
    }
    let b = call
        .open(&lib, "b.txt", OpenFlags::empty(), READ)
        .await
        .unwrap();
    let (l, w, p) = (|| again(&lib), || again(&work), || "b.txt".to_owned());
    let mut view = call.view();
    results.push(view.write(again(&b), b"x".into(), 0).await.map(drop));
    results.push(view.set_size(again(&b), 0).await);
    results.push(view.set_times(again(&b), now(), now()).await);
    results.push(view.write_via_stream(again(&b), 0).map(drop));
    results.push(view.append_via_stream(again(&b)).map(drop));
    results.push(view.set_times_at(l(), FOLLOW, p(), now(), now()).await);
    results.push(view.create_directory_at(l(), "d".into()).await);
    results.push(view.symlink_at(l(), p(), "s".into()).await);
    results.push(view.unlink_file_at(l(), p()).await);
    results.push(view.remove_directory_at(l(), p()).await);
    results.push(view.rename_at(l(), p(), l(), "c".into()).await);
    results.push(view.rename_at(l(), p(), w(), "c".into()).await);
    results.push(view.rename_at(w(), "a.txt".into(), l(), "c".into()).await);
    results.push(
        view.link_at(l(), PathFlags::empty(), p(), w(), "c".into())
            .await,
    );
    results.push(
        view.link_at(w(), PathFlags::empty(), "a.txt".into(), l(), "c".into())
            .await,
    );

    let count = results.len();
    for (n, result) in results.into_iter().enumerate() {
        assert_eq!(code(result), ErrorCode::NotPermitted, "change {n}");
    }
    let denials = call.record().denials;
    assert_eq!(denials.len(), count);
    for denial in denials {
        assert_eq!(denial.rule, "toolcell.toml:6 tool.t.files[1]", "{denial:?}");
        assert!(denial.access.starts_with("write /lib/"), "{denial:?}");
        assert!(denial.reason.contains("reading only"), "{denial:?}");
    }
    let after = fs::metadata(call.host("lib/b.txt")).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    assert_eq!(fs::read(call.host("lib/b.txt")).unwrap(), b"library");
    assert_eq!(fs::read_dir(call.host("lib")).unwrap().count(), 1);
    assert_eq!((call.state.written_bytes(), call.state.created()), (0, 0));
}

#[tokio::test]
async fn nothing_leads_out() {
    let mut call = Call::new();
    let [work, ..] = call.roots();
    let secret = call.host("secret");
    symlink(&secret, call.host("work/absolute")).unwrap();
    symlink("../secret", call.host("work/relative")).unwrap();
    symlink("../secret/canary", call.host("work/file")).unwrap();
    symlink("relative", call.host("work/twice")).unwrap();
    let absolute = secret.join("canary").to_str().unwrap().to_owned();
    let mut paths: Vec<String> = [
        "..",
        "../",
        "../secret/canary",
        "./../secret/canary",
        "sub/../../secret/canary",
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
    ]
    .map(String::from)
    .into();
    paths.push(absolute);
    fs::create_dir(call.host("work/sub")).unwrap();

    for path in &paths {
        for (open, flags) in [
            (OpenFlags::empty(), READ),
            (OpenFlags::DIRECTORY, READ),
            (OpenFlags::CREATE, WRITE),
        ] {
            let opened = call.open(&work, path, open, flags).await;
            assert!(opened.is_err(), "{path} {open:?}");
        }
        let mut view = call.view();
        let at = || again(&work);
        let stat = view.stat_at(at(), FOLLOW, path.clone()).await;
        assert!(stat.is_err(), "stat {path}");
        assert!(
            view.metadata_hash_at(at(), FOLLOW, path.clone())
                .await
                .is_err(),
            "hash {path}"
        );
        let times = view.set_times_at(
            at(),
            FOLLOW,
            path.clone(),
            NewTimestamp::Now,
            NewTimestamp::Now,
        );
        assert!(times.await.is_err(), "times {path}");
        let inside = format!("{path}/new");
        assert!(
            view.create_directory_at(at(), inside.clone())
                .await
                .is_err(),
            "mkdir {path}"
        );
        assert!(
            view.symlink_at(at(), "x".into(), inside.clone())
                .await
                .is_err(),
            "link {path}"
        );
        assert!(
            view.rename_at(at(), "a.txt".into(), at(), inside)
                .await
                .is_err(),
            "mv {path}"
        );
        let canary = format!("{path}/canary");
        assert!(
            view.unlink_file_at(at(), canary.clone()).await.is_err(),
            "rm {path}"
        );
        let hard = view.link_at(at(), PathFlags::empty(), canary, at(), "hard".into());
        assert!(hard.await.is_err(), "hard link {path}");
    }
    assert_eq!(fs::read(call.host("secret/canary")).unwrap(), b"CANARY");
    assert_eq!(fs::read_dir(&secret).unwrap().count(), 1);
    assert_eq!((call.state.written_bytes(), call.state.created()), (0, 0));
    assert!(call.recorder.snapshot().denials_total > 100);
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
            "write /work/a.txt to /work/../b"
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
async fn fifos_devices_and_sockets_are_refused_without_blocking() {
    let mut call = Call::new();
    let [work, ..] = call.roots();
    let dir = fs::File::open(call.host("work")).unwrap();
    rustix::fs::mknodat(
        &dir,
        "fifo",
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    symlink("fifo", call.host("work/to-fifo")).unwrap();
    let _socket = UnixListener::bind(call.host("work/socket")).unwrap();
    for path in ["fifo", "to-fifo", "socket"] {
        for (open, flags) in [
            (OpenFlags::empty(), READ),
            (OpenFlags::empty(), WRITE),
            (OpenFlags::empty(), READ | WRITE),
            (OpenFlags::CREATE, WRITE),
            (OpenFlags::TRUNCATE, WRITE),
            (OpenFlags::DIRECTORY, READ),
        ] {
            let opened = call.open(&work, path, open, flags).await;
            assert_eq!(
                code(opened),
                ErrorCode::NotPermitted,
                "{path} {open:?} {flags:?}"
            );
        }
        let now = NewTimestamp::Now;
        let times = call
            .view()
            .set_times_at(again(&work), FOLLOW, path.into(), now, now)
            .await;
        assert_eq!(code(times), ErrorCode::NotPermitted, "{path}");
        assert!(
            call.open(&work, &format!("{path}/"), OpenFlags::empty(), READ)
                .await
                .is_err()
        );
    }
    assert!(
        call.record()
            .denials
            .iter()
            .all(|d| d.reason.contains("FIFO"))
    );
    let stat = call
        .view()
        .stat_at(again(&work), FOLLOW, "fifo".into())
        .await
        .unwrap();
    assert_eq!(
        stat.type_,
        DescriptorType::Unknown,
        "looking at it is no harm"
    );
    call.view()
        .unlink_file_at(again(&work), "fifo".into())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_device_is_refused() {
    // Making a device node takes privileges, so the real one is granted here, which `FileRoots` would refuse.
    let mut call = Call::new();
    let dev = cap_std::fs::Dir::open_ambient_dir("/dev", cap_std::ambient_authority()).unwrap();
    let dir = wasmtime_wasi::filesystem::Dir::new(
        dev.into_std_file(),
        wasmtime_wasi::FsPerms::ReadWrite,
        wasmtime_wasi::OpenMode::READ,
        false,
    );
    let fd = call.table.push(Descriptor::Dir(dir)).unwrap();
    let place = Place {
        root: Root::Granted(0),
        path: "/work".into(),
    };
    call.state.places.insert(fd.rep(), place);
    assert_eq!(
        code(call.open(&fd, "null", OpenFlags::empty(), READ).await),
        ErrorCode::NotPermitted
    );
    assert_eq!(
        code(call.open(&fd, "null", OpenFlags::empty(), WRITE).await),
        ErrorCode::NotPermitted
    );
    assert_eq!(call.denials(), ["read /work/null", "write /work/null"]);
}

#[tokio::test]
async fn everything_else_is_behind_the_phantom_root() {
    let mut call = Call::new();
    let [.., phantom] = call.roots();
    let at = || again(&phantom);
    let mut view = call.view();
    assert_eq!(
        view.get_type(at()).await.unwrap(),
        DescriptorType::Directory
    );
    assert_eq!(view.get_flags(at()).await.unwrap(), READ);
    assert!(view.is_same_object(at(), at()).await.unwrap());
    assert_eq!(code(view.stat(at()).await), ErrorCode::NotPermitted);
    assert_eq!(
        code(view.read_directory(at()).await),
        ErrorCode::NotPermitted
    );
    assert_eq!(
        code(view.stat_at(at(), FOLLOW, ".".into()).await),
        ErrorCode::NotPermitted
    );
    assert_eq!(
        code(view.readlink_at(at(), "proc/self".into()).await),
        ErrorCode::NotPermitted
    );
    assert_eq!(
        code(view.create_directory_at(at(), "tmp/x".into()).await),
        ErrorCode::NotPermitted
    );
    assert_eq!(
        code(
            call.open(&phantom, "etc/passwd", OpenFlags::empty(), READ)
                .await
        ),
        ErrorCode::NotPermitted
    );
    assert_eq!(
        call.denials(),
        [
            "read /",
            "read /",
            "read /",
            "read /proc/self",
            "write /tmp/x",
            "read /etc/passwd"
        ]
    );
    let denial = call.record().denials.pop().unwrap();
    assert_eq!(denial.rule, "default: denied until written");
}

#[test]
fn no_phantom_without_a_request_or_with_a_grant_of_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let names = |tool: &str, request: &str| -> Vec<String> {
        let grants = granted(tool, request);
        let roots = FileRoots::open(&grants, dir.path(), &RootRules::default()).unwrap();
        let names = roots.directories().map(|(_, _, name)| name.to_owned());
        names.collect()
    };
    let root = r#"files = [{ host = ".", guest = "/", access = "read" }]"#;
    assert_eq!(names("", ""), [""; 0]);
    assert_eq!(names(root, ""), [""; 0]);
    assert_eq!(names("", ALL_FILES), ["/"]);
    assert_eq!(names(root, ALL_FILES), ["/"]);
}

#[tokio::test]
async fn written_bytes_end_the_call_at_the_quota() {
    let mut call = Call::limited(10, 10);
    let [work, ..] = call.roots();
    let fd = call
        .open(&work, "f", OpenFlags::CREATE, WRITE)
        .await
        .unwrap();
    call.view()
        .write(again(&fd), b"1234567890".into(), 0)
        .await
        .unwrap();
    let error = limit(call.view().write(again(&fd), b"x".into(), 0).await);
    call.assert_limit(error.as_ref(), "10 bytes");
    assert_eq!(fs::read(call.host("work/f")).unwrap().len(), 10);
    assert_eq!(call.state.written_bytes(), 10);
}

#[tokio::test]
async fn growth_without_content_counts_as_written() {
    let mut call = Call::limited(10, 10);
    let [work, ..] = call.roots();
    let fd = call
        .open(&work, "a.txt", OpenFlags::empty(), WRITE)
        .await
        .unwrap();
    call.view().set_size(again(&fd), 9).await.unwrap();
    call.view().set_size(again(&fd), 2).await.unwrap();
    assert_eq!(call.state.written_bytes(), 4);
    let error = limit(call.view().write(again(&fd), b"x".into(), 1 << 40).await);
    call.assert_limit(error.as_ref(), "10 bytes");
    assert!(limit(call.view().set_size(again(&fd), 1 << 40).await).is_some());
    assert_eq!(fs::metadata(call.host("work/a.txt")).unwrap().len(), 2);
}

#[tokio::test]
async fn streams_are_charged_too() {
    let mut call = Call::limited(20, 10);
    let [work, ..] = call.roots();
    let fd = call
        .open(&work, "a.txt", OpenFlags::empty(), WRITE)
        .await
        .unwrap();
    let at = call.view().write_via_stream(again(&fd), 7).unwrap();
    let stream = call.table.get_mut(&at).unwrap();
    assert!(stream.write_ready().await.unwrap() > 0);
    stream.write(Bytes::from_static(b"abc")).unwrap();
    stream.flush().unwrap();
    stream.write_ready().await.unwrap();
    stream
        .blocking_write_and_flush(Bytes::from_static(b"de"))
        .await
        .unwrap();
    assert_eq!(call.state.written_bytes(), 2 + 5);

    let end = call.view().append_via_stream(fd).unwrap();
    let stream = call.table.get_mut(&end).unwrap();
    stream
        .blocking_write_and_flush(Bytes::from_static(b"f"))
        .await
        .unwrap();
    stream.write_zeroes(2).unwrap();
    stream.write_ready().await.unwrap();
    assert_eq!(
        fs::read(call.host("work/a.txt")).unwrap(),
        b"hello\0\0abcdef\0\0"
    );

    let error = call
        .table
        .get_mut(&at)
        .unwrap()
        .write(Bytes::from_static(&[1; 11]));
    let Err(StreamError::Trap(error)) = error else {
        panic!("{error:?}");
    };
    call.assert_limit(error.downcast_ref(), "20 bytes");
    assert_eq!(fs::metadata(call.host("work/a.txt")).unwrap().len(), 15);
}

#[tokio::test]
async fn a_stream_that_starts_far_behind_the_end_is_charged_for_the_hole() {
    let mut call = Call::limited(1000, 10);
    let [work, ..] = call.roots();
    let fd = call
        .open(&work, "a.txt", OpenFlags::empty(), WRITE)
        .await
        .unwrap();
    let stream = call.view().write_via_stream(fd, 1 << 40).unwrap();
    let stream = call.table.get_mut(&stream).unwrap();
    let result = stream
        .blocking_write_and_flush(Bytes::from_static(b"x"))
        .await;
    assert!(matches!(result, Err(StreamError::Trap(_))));
    assert_eq!(fs::metadata(call.host("work/a.txt")).unwrap().len(), 5);
}

#[tokio::test]
async fn created_names_end_the_call_at_the_quota() {
    let mut call = Call::limited(10, 4);
    let [work, ..] = call.roots();
    let at = || again(&work);
    call.open(&work, "file", OpenFlags::CREATE, WRITE)
        .await
        .unwrap();
    call.open(&work, "file", OpenFlags::CREATE, WRITE)
        .await
        .unwrap();
    let mut view = call.view();
    view.create_directory_at(at(), "dir".into()).await.unwrap();
    assert_eq!(
        code(view.create_directory_at(at(), "dir".into()).await),
        ErrorCode::Exist
    );
    view.symlink_at(at(), "file".into(), "link".into())
        .await
        .unwrap();
    assert_eq!(
        code(call.open(&work, "no/where", OpenFlags::CREATE, WRITE).await),
        ErrorCode::NoEntry
    );
    assert_eq!(call.state.created(), 3, "what fails is not charged");
    let mut view = call.view();
    let hard = view.link_at(at(), PathFlags::empty(), "file".into(), at(), "hard".into());
    hard.await.unwrap();

    let error = limit(call.open(&work, "one-more", OpenFlags::CREATE, WRITE).await);
    call.assert_limit(error.as_ref(), "4 files");
    assert!(limit(call.view().create_directory_at(at(), "d2".into()).await).is_some());
    assert!(
        limit(
            call.view()
                .symlink_at(at(), "file".into(), "l2".into())
                .await
        )
        .is_some()
    );
    assert!(!call.host("work/one-more").exists());
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

#[tokio::test]
async fn a_descriptor_that_is_not_open_is_a_trap() {
    let mut call = Call::new();
    let error = call
        .view()
        .stat(Resource::new_borrow(77))
        .await
        .err()
        .unwrap();
    assert!(error.downcast_ref().is_none());
}
