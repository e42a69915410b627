use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread::{self, JoinHandle},
};

use tempfile::TempDir;
use toolcell_policy::Limits;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{
    WasiCtx,
    p2::bindings::filesystem::{
        preopens::Host as _,
        types::{
            DescriptorFlags, DescriptorType, HostDescriptor, HostDirectoryEntryStream,
            NewTimestamp, OpenFlags, PathFlags,
        },
    },
};

use super::*;
use crate::{
    CallId,
    capability::{
        fixtures::{ALL_FILES, granted},
        recorder::Record,
    },
};

mod escape;
mod guarded;
mod quota;
mod scratch;
mod special;

const FOLLOW: PathFlags = PathFlags::SYMLINK_FOLLOW;
const READ: DescriptorFlags = DescriptorFlags::READ;
const WRITE: DescriptorFlags = DescriptorFlags::WRITE;

/// Two names of a directory that change places with one another, again and again, until they are stopped.
struct Exchanging {
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Exchanging {
    fn start(dir: &Path, [one, other]: [&'static str; 2]) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (stopped, dir) = (Arc::clone(&stopped), fs::File::open(dir).unwrap());
            move || {
                while !stopped.load(Relaxed) {
                    let exchange = rustix::fs::RenameFlags::EXCHANGE;
                    rustix::fs::renameat_with(&dir, one, &dir, other, exchange).unwrap();
                }
            }
        });
        Self { stopped, thread }
    }

    fn stop(self) {
        self.stopped.store(true, Relaxed);
        self.thread.join().unwrap();
    }
}

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
        Self::on(dir, &granted(&tool, ALL_FILES))
    }

    /// A call with other grants, on a directory of its own.
    fn on(dir: TempDir, grants: &toolcell_policy::GrantSet) -> Self {
        let rules = RootRules {
            scratch: Some(Arc::new(ScratchHome::new(dir.path().join("scratch")))),
            ..RootRules::default()
        };
        let roots = FileRoots::open(grants, dir.path(), &rules).unwrap();
        Self::with(dir, &roots)
    }

    /// A call on roots that are open already.
    fn with(dir: TempDir, roots: &FileRoots) -> Self {
        let grants = roots.grants();
        let recorder = Recorder::new(CallId::new("call_1"), None);
        Self {
            table: ResourceTable::new(),
            wasi: WasiCtx::builder().build(),
            state: FilesState::new(roots.held().clone(), Some(grants.clone()), recorder.clone()),
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
async fn everything_else_is_behind_the_phantom_root() {
    let mut call = Call::new();
    let [.., phantom] = call.roots();
    let at = || again(&phantom);
    let mut view = call.view();
    assert_eq!(
        view.get_type(at()).await.unwrap(),
        DescriptorType::Directory
    );
    assert_eq!(
        view.get_flags(at()).await.unwrap(),
        DescriptorFlags::empty()
    );
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
        let names = roots
            .held()
            .directories()
            .map(|(_, _, name)| name.to_owned());
        names.collect()
    };
    let root = r#"files = [{ host = ".", guest = "/", access = "read" }]"#;
    assert_eq!(names("", ""), [""; 0]);
    assert_eq!(names(root, ""), [""; 0]);
    assert_eq!(names("", ALL_FILES), ["/"]);
    assert_eq!(names(root, ALL_FILES), ["/"]);
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

#[tokio::test]
async fn directories_opened_below_one_another_keep_no_endless_paths() {
    let mut call = Call::new();
    let [work, ..] = call.roots();
    let mut fd = again(&work);
    for _ in 0..20 {
        let path = "./".repeat(1_000) + ".";
        fd = call
            .open(&fd, &path, OpenFlags::DIRECTORY, READ)
            .await
            .unwrap();
    }
    let kept = &call.state.places[&fd.rep()].path;
    assert!(
        kept.starts_with("/work/") && kept.len() <= 4_096,
        "{}",
        kept.len()
    );
}

#[tokio::test]
async fn listings_that_stay_open_are_few() {
    let mut call = Call::new();
    let [work, ..] = call.roots();
    let mut open = Vec::new();
    for _ in 0..Limits::default().listings {
        open.push(call.view().read_directory(again(&work)).await.unwrap());
    }
    let one_more = call.view().read_directory(again(&work)).await;
    assert_eq!(limit(one_more), Some(LimitExceeded(ErrorKind::LimitFiles)));
    let message = call.recorder.snapshot().limit.unwrap().message;
    assert!(message.ends_with("its limit `listings` is 64"), "{message}");
    let last = open.pop().unwrap();
    HostDirectoryEntryStream::drop(&mut call.view(), last).unwrap();
    assert!(call.view().read_directory(again(&work)).await.is_ok());
}

#[tokio::test]
async fn files_that_stay_open_are_few() {
    let mut call = Call::new();
    let [work, ..] = call.roots();
    let mut open = Vec::new();
    for _ in 0..Limits::default().open_files {
        open.push(
            call.open(&work, ".", OpenFlags::DIRECTORY, READ)
                .await
                .unwrap(),
        );
    }
    let one_more = call.open(&work, ".", OpenFlags::DIRECTORY, READ).await;
    assert_eq!(limit(one_more), Some(LimitExceeded(ErrorKind::LimitFiles)));
    let message = call.recorder.snapshot().limit.unwrap().message;
    assert!(
        message.ends_with("its limit `open_files` is 64"),
        "{message}"
    );
    HostDescriptor::drop(&mut call.view(), open.pop().unwrap()).unwrap();
    assert!(
        call.open(&work, ".", OpenFlags::DIRECTORY, READ)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn directories_with_very_many_names_are_not_listed() {
    let mut call = Call::new();
    let [work, ..] = call.roots();
    fs::create_dir(call.host("work/many")).unwrap();
    // Links are quicker to make than files; a file takes only so many of them.
    let mut made = 0;
    while made <= MAX_LISTED {
        let origin = call.host(&format!("work/many/{made}"));
        fs::write(&origin, "").unwrap();
        made += 1;
        for _ in 0..30_000.min(MAX_LISTED + 1 - made) {
            fs::hard_link(&origin, call.host(&format!("work/many/{made}"))).unwrap();
            made += 1;
        }
    }
    let many = call.open(&work, "many", OpenFlags::DIRECTORY, READ).await;
    let many = many.unwrap();
    let listing = call.view().read_directory(again(&many)).await;
    assert_eq!(code(listing), ErrorCode::Overflow);
    let denial = call.record().denials.pop().unwrap();
    assert!(
        denial.reason.contains("more than 65536 names"),
        "{denial:?}"
    );
    assert_eq!(denial.access, "read /work/many");

    // One name less, and it can; but then it fills the room of all listings.
    fs::remove_file(call.host("work/many/0")).unwrap();
    let listing = call.view().read_directory(again(&many)).await.unwrap();
    let other = call.view().read_directory(again(&work)).await;
    assert_eq!(code(other), ErrorCode::Overflow);
    HostDirectoryEntryStream::drop(&mut call.view(), listing).unwrap();
    call.view().read_directory(work).await.unwrap();
}
