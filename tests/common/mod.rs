//! The guests of `tests/guests`, for every test that runs one.

#![allow(dead_code, reason = "each test uses its part")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use toolcell::{Isolation, ToolHost, ToolHostBuilder, worker::Workers};

/// The repository's `tests`, whichever crate owns the test.
pub(crate) fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|dir| dir.join("tests"))
        .find(|dir| dir.join("guests").is_dir())
        .expect("the repository is there")
}

/// The file of a guest that is written in Rust. All of them are built the first time; cargo sees to it that processes
/// do not get into each other's way.
pub(crate) fn guest(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build).join(format!("{name}.wasm"))
}

fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../guests");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--release", "--examples"])
        .args(["--target", "wasm32-wasip2", "--manifest-path"])
        .arg(tests().join("guests/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        // What is meant for the tests' own build would only make the guests be built again and again.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the guests do not build");
    target.join("wasm32-wasip2/release/examples")
}

/// Where hosts of tests keep compiled components, so that each guest is compiled once and not for every test.
pub(crate) fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled")
}

/// The component of a guest that is written as text.
pub(crate) fn wat_guest(name: &str) -> Vec<u8> {
    wat_guest_in(&wat_frame(), name)
}

/// What guests that are written as text have in common, with a place for the guest.
pub(crate) fn wat_frame() -> String {
    fs::read_to_string(tests().join("guests/frame.wat.in")).expect("the frame exists")
}

/// The component of a guest that is written as text, in a frame of the test's own.
pub(crate) fn wat_guest_in(frame: &str, name: &str) -> Vec<u8> {
    let guest = tests().join(format!("guests/wat/{name}.wat"));
    wat_component(frame, &fs::read_to_string(guest).expect("the guest exists"))
}

/// The component of a guest whose text a test makes itself.
pub(crate) fn wat_component(frame: &str, guest: &str) -> Vec<u8> {
    let (head, foot) = frame
        .rsplit_once("@GUEST@")
        .expect("the frame has a place for a guest");
    wat::parse_str(format!("{head}{guest}{foot}")).expect("the guest is a component")
}

/// The names of the files in a directory, without their endings, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .expect("the directory exists")
        .map(|entry| entry.expect("it can be listed").path())
        .map(|path| {
            path.file_stem()
                .expect("it has a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

/// Where the tools of this test program run. One whose name ends so runs the same tests as another one, with every tool in
/// a worker.
pub(crate) fn isolation() -> Isolation {
    if env!("CARGO_CRATE_NAME").ends_with("_in_workers") {
        Isolation::Process
    } else {
        Isolation::Thread
    }
}

/// The program that runs tools in processes of their own, for tests of the library.
pub(crate) fn worker() -> &'static str {
    let worker: Option<&str> = option_env!("CARGO_BIN_EXE_toolcell-worker");
    worker.unwrap_or("/only/tests/of/the/library/have/one")
}

/// A host whose tools run in this process, or all of them in workers. Compiled components are kept for all tests.
pub(crate) fn builder(isolation: Isolation) -> ToolHostBuilder {
    let builder = ToolHost::builder()
        .cache_dir(cache())
        .default_isolation(isolation);
    match isolation {
        Isolation::Thread => builder,
        Isolation::Process => builder.workers(Workers::program(worker())),
    }
}
