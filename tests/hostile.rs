//! Every guest of `tests/guests` against a real host. Whatever it tries, its call ends within its limits, with the code
//! that tells what it did, and the next call finds nothing of it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails may panic"
)]

mod common;

use std::{fs, net::TcpListener, time::Duration};

use common::{builder, guest, isolation, names, tests, wat_guest};
use serde_json::{Value, json};
use tempfile::TempDir;
use toolcell::{ErrorKind, Policy, ToolCall, ToolHost, ToolResult};

/// Far more than any of the limits below: a call that takes longer did not end by itself.
const AT_LAST: Duration = Duration::from_secs(60);

/// A host with one guest, and a directory that its policy may name as `work`.
struct Stage {
    host: ToolHost,
    dir: TempDir,
}

impl Stage {
    /// A policy for the guest, which stands for `@GUEST@`.
    async fn with_policy(name: &str, policy: &str) -> Self {
        let stage = Self::bare(policy);
        stage.host.load_file(guest(name)).await.unwrap();
        stage
    }

    /// Limits for the guest, and nothing granted.
    async fn with_limits(name: &str, limits: &str) -> Self {
        Self::with_policy(name, &format!("[tool.{name}]\nlimits = {{ {limits} }}\n")).await
    }

    async fn with_wat(name: &str, limits: &str) -> Self {
        let stage = Self::bare(&format!("[tool.{name}]\nlimits = {{ {limits} }}\n"));
        stage.host.load_bytes(name, wat_guest(name)).await.unwrap();
        stage
    }

    fn bare(policy: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        let host = builder(isolation())
            .policy(Policy::parse("policy.toml", policy).unwrap())
            .base_dir(dir.path())
            .scratch_dir(dir.path().join("scratch"))
            .build()
            .unwrap();
        Self { host, dir }
    }

    async fn call(&self, tool: &str, input: Value) -> ToolResult {
        tokio::time::timeout(AT_LAST, self.host.call(ToolCall::new(tool, input)))
            .await
            .expect("the call ends by itself")
            .expect("the host is well")
    }

    async fn text(&self, tool: &str, input: Value) -> String {
        self.call(tool, input).await.text()
    }
}

/// Checks that a call failed for a reason, and that its message holds nothing of the host or the engine.
#[track_caller]
fn assert_failed(result: &ToolResult, kind: ErrorKind, message: &str) {
    let failure = result
        .failure
        .as_ref()
        .unwrap_or_else(|| panic!("it answered: {result:?}"));
    assert_eq!(failure.kind, kind, "{result:?}");
    assert!(
        failure.message.contains(message),
        "{:?} lacks {message:?}",
        failure.message
    );
    let text = result.text().to_lowercase();
    for leak in ["wasm", "backtrace", "src/", "/tmp", "panicked"] {
        assert!(!text.contains(leak), "{text:?} holds {leak:?}");
    }
}

#[tokio::test]
async fn an_endless_loop_ends_at_its_cpu_limit() {
    let stage = Stage::with_limits("spin", "cpu = \"100ms\"").await;
    let result = stage.call("spin", json!({})).await;
    assert_failed(&result, ErrorKind::LimitCpu, "100ms");
    assert!(result.usage.cpu_us >= 100_000 && result.usage.cpu_us < 2_000_000);
}

#[tokio::test]
async fn an_endless_loop_ends_at_its_deadline() {
    let stage = Stage::with_limits("spin", "time = \"150ms\"").await;
    let result = stage.call("spin", json!({})).await;
    assert_failed(&result, ErrorKind::LimitTime, "150ms");
    assert!(result.usage.wall_us >= 150_000 && result.usage.wall_us < 5_000_000);
}

#[tokio::test]
async fn an_endless_loop_before_the_call_ends_too() {
    for name in ["start", "realloc"] {
        let stage = Stage::with_wat(name, "cpu = \"100ms\"").await;
        let result = stage.call(name, json!({})).await;
        assert_failed(&result, ErrorKind::LimitCpu, "100ms");
    }
}

#[tokio::test]
async fn sleeping_ends_at_the_deadline() {
    let stage = Stage::with_limits("sleep", "time = \"150ms\"").await;
    let result = stage.call("sleep", json!({})).await;
    assert_failed(&result, ErrorKind::LimitTime, "150ms");
    assert!(
        result.usage.cpu_us < 150_000,
        "it slept, and used {} µs",
        result.usage.cpu_us
    );
}

#[tokio::test]
async fn memory_is_bounded() {
    let stage = Stage::with_limits("memory", "memory = \"32MiB\"").await;
    let result = stage.call("memory", json!({})).await;
    assert_failed(&result, ErrorKind::LimitMemory, "33554432 are allowed");
    assert!(result.usage.memory_peak_bytes <= 32 << 20);
}

#[tokio::test]
async fn many_memories_count_together() {
    let stage = Stage::with_wat("memories", "memory = \"256MiB\"").await;
    assert_failed(
        &stage.call("memories", json!({})).await,
        ErrorKind::LimitMemory,
        "268435456 are allowed",
    );
}

#[tokio::test]
async fn more_memories_than_any_tool_needs_are_refused_at_once() {
    let error = Stage::bare("")
        .host
        .load_bytes("instances", wat_guest("instances"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidComponent);
    assert!(error.message().contains("linear memories"), "{error}");
}

#[tokio::test]
async fn tables_are_bounded() {
    let stage = Stage::with_wat("tables", "").await;
    assert_failed(
        &stage.call("tables", json!({})).await,
        ErrorKind::LimitMemory,
        "table",
    );
}

#[tokio::test]
async fn deep_recursion_traps() {
    let stage = Stage::with_limits("recursion", "").await;
    assert_failed(
        &stage.call("recursion", json!({})).await,
        ErrorKind::Trap,
        "",
    );
    let stage = Stage::with_wat("stack", "").await;
    assert_failed(
        &stage.call("stack", json!({})).await,
        ErrorKind::Trap,
        "recurse",
    );
}

#[tokio::test]
async fn output_is_bounded() {
    let stage = Stage::with_limits("output", "output = \"64KiB\"").await;
    assert_eq!(
        stage.text("output", json!({ "bytes": 1000 })).await.len(),
        1000
    );
    let result = stage.call("output", json!({ "bytes": 70_000 })).await;
    assert_failed(&result, ErrorKind::LimitOutput, "65536 are allowed");
    let result = stage.call("output", json!({ "bytes": 1 << 30 })).await;
    assert_failed(&result, ErrorKind::LimitMemory, "268435456 are allowed");
}

#[tokio::test]
async fn output_that_a_guest_only_pretends_to_have_is_bounded() {
    for name in ["repeated", "pieces"] {
        let stage = Stage::with_wat(name, "").await;
        assert_failed(
            &stage.call(name, json!({})).await,
            ErrorKind::LimitOutput,
            "",
        );
    }
}

/// Calls a guest that is written in Rust, under limits of which one is reached, and checks what its failure tells.
async fn reaches(name: &str, limits: &str, input: Value, kind: ErrorKind, limit: &str) {
    let stage = Stage::with_limits(name, limits).await;
    let told = format!("its limit {limit}");
    assert_failed(&stage.call(name, input).await, kind, &told);
}

/// The same for one that is written as text.
async fn reaches_wat(name: &str, limits: &str, kind: ErrorKind, limit: &str) {
    let stage = Stage::with_wat(name, limits).await;
    let told = format!("its limit {limit}");
    assert_failed(&stage.call(name, json!({})).await, kind, &told);
}

#[tokio::test]
async fn each_limit_of_the_engine_is_the_tools_own() {
    use ErrorKind::{LimitMemory, LimitOutput, Trap};
    for (limit, told) in [
        ("instances = 1", "`instances` is 1"),
        ("tables = 1", "`tables` is 1"),
        ("table_elements = 1", "`table_elements` is 1"),
    ] {
        reaches("env", limit, json!({}), LimitMemory, told).await;
    }
    let random = "random = \"1KiB\"";
    reaches_wat("lots", random, LimitMemory, "`random` is 1KiB").await;
    reaches_wat("lots", "", LimitMemory, "`random` is 1MiB").await;
    let memories = "memory = \"1GiB\", memories = 1";
    reaches_wat("memories", memories, LimitMemory, "`memories` is 1").await;
    let elements = "table_elements = 9000";
    reaches_wat("tables", elements, LimitMemory, "`table_elements` is 9000").await;
    reaches_wat("stack", "", Trap, "`stack` is 512KiB").await;
    let (hostcall, input) = ("hostcall = \"64KiB\"", json!({ "bytes": 100_000 }));
    reaches(
        "output",
        hostcall,
        input.clone(),
        LimitOutput,
        "`hostcall` is 64KiB",
    )
    .await;
    let stage = Stage::with_limits("output", "hostcall = \"128KiB\"").await;
    assert_eq!(stage.text("output", input).await.len(), 100_000);
}

#[tokio::test]
async fn lines_of_log_are_few_however_they_are_written() {
    let (kind, told) = (ErrorKind::LimitLog, "`log_lines` is 5");
    reaches("log", "log_lines = 5", json!({ "kib": 6 }), kind, told).await;
    reaches("stdout", "log_lines = 5", json!({ "times": 6 }), kind, told).await;
}

#[tokio::test]
async fn what_a_tool_holds_open_is_bounded() {
    use ErrorKind::{LimitFiles, LimitMemory};
    const GRANT: &str = "files = [{ host = \"work\", guest = \"/work\", access = \"read\" }]\n";
    const LISTINGS: &str = "open_files = 1000, listings = 10";
    const RESOURCES: &str = "open_files = 1000, resources = 20";
    const HANDLES: &str = "open_files = 1000, handles = 20";
    for (tool, limits, kind, told) in [
        (
            "hoard_files",
            "open_files = 10",
            LimitFiles,
            "`open_files` is 10",
        ),
        ("hoard_listings", LISTINGS, LimitFiles, "`listings` is 10"),
        ("hoard_files", RESOURCES, LimitMemory, "`resources` is 20"),
        ("hoard_files", HANDLES, LimitMemory, "`handles` is 20"),
    ] {
        let policy = format!("[tool.hoard]\n{GRANT}limits = {{ {limits} }}\n");
        let stage = Stage::with_policy("hoard", &policy).await;
        fs::write(stage.dir.path().join("work/a"), "a").unwrap();
        let path = match tool {
            "hoard_files" => "/work/a",
            _ => "/work",
        };
        let input = |times: u32| json!({ "path": path, "times": times });
        assert_eq!(stage.text(tool, input(5)).await, "5", "{limits}");
        assert_failed(&stage.call(tool, input(500)).await, kind, told);
    }
}

/// A policy that allows more also gets it, whatever the process that runs the tool may hold open.
#[tokio::test]
async fn many_files_may_be_open_where_the_policy_says_so() {
    let policy = "[tool.hoard]
        files = [{ host = \"work\", guest = \"/work\", access = \"read\" }]
        limits = { open_files = 300, listings = 300, resources = 2000, handles = 2000 }";
    let stage = Stage::with_policy("hoard", policy).await;
    fs::write(stage.dir.path().join("work/a"), "a").unwrap();
    for (tool, path) in [("hoard_files", "/work/a"), ("hoard_listings", "/work")] {
        let input = json!({ "path": path, "times": 290 });
        assert_eq!(stage.text(tool, input).await, "290", "{tool}");
    }
}

#[tokio::test]
async fn the_log_is_bounded() {
    let stage = Stage::with_limits("log", "log = \"16KiB\"").await;
    assert_eq!(stage.text("log", json!({ "kib": 8 })).await, "logged");
    let result = stage.call("log", json!({ "kib": 1 << 20 })).await;
    assert_failed(&result, ErrorKind::LimitLog, "16384 bytes");
    assert!(result.usage.log_bytes <= 17 << 10);
}

#[tokio::test]
async fn standard_output_is_bounded_and_goes_nowhere() {
    let stage = Stage::with_limits("stdout", "log = \"16KiB\"").await;
    assert_eq!(stage.text("stdout", json!({ "times": 8 })).await, "printed");
    let result = stage.call("stdout", json!({ "times": 1 << 20 })).await;
    assert_failed(&result, ErrorKind::LimitLog, "16384 bytes");
    assert!(result.usage.log_bytes <= 17 << 10);
}

#[tokio::test]
async fn the_environment_is_empty() {
    let stage = Stage::with_limits("env", "").await;
    assert_eq!(
        stage.text("env", json!({})).await,
        "arguments [] variables []"
    );
}

const GRANTED: &str =
    "[tool.paths]\nfiles = [{ host = \"work\", guest = \"/work\", access = \"write\" }]\n";

#[tokio::test]
async fn no_path_leads_out_of_a_grant() {
    let stage = Stage::with_policy("paths", GRANTED).await;
    let outside = stage.dir.path().join("secret");
    std::os::unix::fs::symlink(&outside, stage.dir.path().join("work/planted")).unwrap();
    std::os::unix::fs::symlink("..", stage.dir.path().join("work/up")).unwrap();
    let paths = [
        "/work/../secret",
        "/work/./../secret",
        "/work/x/../../secret",
        "../secret",
        "secret",
        "/secret",
        "/work/planted",
        "/work/planted/",
        "/work/planted/.",
        "/work/up/secret",
        "/work/up//secret",
        "/work/up/secret/",
        "/etc/passwd",
        "/proc/self/environ",
        "/work/../../../../../../etc/passwd",
        "",
        "/work\0/../secret",
        "//work/..//secret",
    ];
    let host_path = outside.to_str().unwrap();
    for path in paths.into_iter().chain([host_path]) {
        let result = stage.call("paths_read", json!({ "path": path })).await;
        assert!(result.is_error(), "{path:?} was read: {:?}", result.text());
        assert!(!result.text().contains("secret\n"), "{path:?}");
        let result = stage
            .call("paths_write", json!({ "path": path, "text": "x" }))
            .await;
        assert!(result.is_error(), "{path:?} was written");
    }
    assert_eq!(fs::read_to_string(&outside).unwrap(), "secret");
}

#[tokio::test]
async fn a_link_that_a_guest_makes_leads_nowhere_either() {
    let stage = Stage::with_policy("paths", GRANTED).await;
    let targets = [
        "..",
        "../",
        "../.",
        "/",
        "/etc",
        ".",
        "./..",
        "../secret",
        "/work/..",
    ];
    for (n, target) in targets.iter().enumerate() {
        let link = format!("/work/link{n}");
        stage
            .call("paths_link", json!({ "target": target, "path": link }))
            .await;
        for end in [
            "",
            "/",
            "/.",
            "/secret",
            "/secret/",
            "/../secret",
            "/etc/passwd",
            "/passwd",
        ] {
            let path = format!("{link}{end}");
            let read = stage.call("paths_read", json!({ "path": path })).await;
            assert!(
                read.is_error(),
                "{path:?} -> {target:?} was read: {:?}",
                read.text()
            );
            let list = stage.call("paths_list", json!({ "path": path })).await;
            assert!(
                !list.text().contains("secret") || list.is_error(),
                "{path:?} -> {target:?} was listed"
            );
            stage.call("paths_remove", json!({ "path": path })).await;
        }
    }
    assert_eq!(
        fs::read_to_string(stage.dir.path().join("secret")).unwrap(),
        "secret"
    );
}

#[tokio::test]
async fn a_path_outside_all_grants_is_denied_with_the_rule() {
    let stage = Stage::with_policy("paths", GRANTED).await;
    let result = stage
        .call("paths_read", json!({ "path": "/etc/passwd" }))
        .await;
    assert_failed(&result, ErrorKind::Denied, "");
    assert_eq!(result.denials[0].capability, "files");
    assert!(
        result.denials[0].access.contains("/etc/passwd"),
        "{:?}",
        result.denials
    );
    assert!(!result.denials[0].rule.is_empty());
}

/// What lies in the scratch directories of all calls.
fn left_in_scratch(dir: &std::path::Path) -> Vec<String> {
    let mut left = Vec::new();
    let mut open = vec![dir.join("scratch")];
    while let Some(path) = open.pop() {
        // A directory that is deleted meanwhile holds nothing.
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().unwrap();
            // The directories of the host and its workers stay, those of calls are named by numbers alone.
            if !name.starts_with("host-") && !name.starts_with("worker-") {
                left.push(name);
            }
            open.push(entry.path());
        }
    }
    left
}

#[tokio::test]
async fn a_scratch_directory_ends_with_its_call_however_that_ends() {
    let policy = "[tool.disk]\nscratch = \"/work\"\n\
                  limits = { time = \"1s\", cpu = \"1s\", created = 100000, written = \"1MiB\" }\n";
    let stage = Stage::with_policy("disk", policy).await;
    let answer = stage.call("disk_files", json!({ "count": 10 })).await;
    assert_eq!(answer.text(), "created", "{answer:?}");
    let full = stage.call("disk_bytes", json!({ "kib": 1 << 20 })).await;
    assert_failed(&full, ErrorKind::LimitFiles, "bytes");
    // Files of the first call are not there: the same names can be made anew, up to the deadline.
    let endless = stage
        .call("disk_files", json!({ "count": 1_000_000 }))
        .await;
    assert!(endless.is_error(), "{endless:?}");
    // And a caller who goes away.
    let gone = stage
        .host
        .call(ToolCall::new("disk_files", json!({ "count": 1_000_000 })));
    let gone = tokio::time::timeout(Duration::from_millis(300), gone).await;
    assert!(gone.is_err(), "{gone:?}");
    // What belonged to a worker is deleted after its end, for which nobody waits.
    let all_gone = async {
        while !left_in_scratch(stage.dir.path()).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let all_gone = tokio::time::timeout(AT_LAST, all_gone).await;
    assert!(all_gone.is_ok(), "{:?}", left_in_scratch(stage.dir.path()));
    drop(stage.host);
}

#[tokio::test]
async fn the_disk_is_not_filled() {
    let policy = "[tool.disk]\nfiles = [{ host = \"work\", guest = \"/work\", access = \"write\" }]\n\
                  limits = { written = \"1MiB\", created = 10 }\n";
    let stage = Stage::with_policy("disk", policy).await;
    let result = stage.call("disk_bytes", json!({ "kib": 1 << 20 })).await;
    assert_failed(&result, ErrorKind::LimitFiles, "1048576");
    assert!(
        fs::metadata(stage.dir.path().join("work/full"))
            .unwrap()
            .len()
            <= 1 << 20
    );
    let result = stage.call("disk_files", json!({ "count": 1000 })).await;
    assert_failed(&result, ErrorKind::LimitFiles, "10 ");
    assert!(fs::read_dir(stage.dir.path().join("work")).unwrap().count() <= 11);
}

#[tokio::test]
async fn no_socket_opens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let stage = Stage::with_limits("sockets", "").await;
    let text = stage.text("sockets", json!({ "port": port })).await;
    for what in ["connect", "listen", "send", "resolve"] {
        assert!(
            text.contains(what) && !text.contains(&format!("{what}: ok")),
            "{text}"
        );
    }
    assert!(listener.accept().is_err());
}

#[tokio::test]
async fn clocks_and_random_numbers_can_be_fixed() {
    let policy = "[tool.clocks]\nclock = \"frozen:2026-01-01T00:00:00Z\"\n";
    let stage = Stage::with_policy("clocks", policy).await;
    assert_eq!(stage.text("clocks", json!({})).await, "1767225600");
    let stage = Stage::with_policy("random", "[tool.random]\nrandom = \"seeded:7\"\n").await;
    let first = stage.text("random", json!({})).await;
    assert_eq!(stage.text("random", json!({})).await, first);
    let stage = Stage::with_limits("random", "").await;
    assert_ne!(
        stage.text("random", json!({})).await,
        stage.text("random", json!({})).await
    );
}

#[tokio::test]
async fn calls_of_calls_end() {
    let policy = "[tool.calls]\ncalls = [\"calls\"]\n";
    let stage = Stage::with_policy("calls", policy).await;
    let mut input = json!({ "tool": "calls", "input": "{}" });
    for _ in 0..9 {
        input = json!({ "tool": "calls", "input": input.to_string() });
    }
    let result = stage.call("calls", input).await;
    assert!(
        result.is_error() && result.text().contains("deep"),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_guest_that_reports_too_much_is_not_heard_for_ever() {
    let stage = Stage::with_limits("progress", "").await;
    let result = stage
        .call("progress", json!({ "steps": 100_000, "wait": 0 }))
        .await;
    assert_eq!(result.text(), "done");
}

#[tokio::test]
async fn imports_that_nobody_declared_are_refused_by_name() {
    for (name, import) in [
        ("undeclared", "evil:host/backdoor@1.0.0"),
        ("credentials", "toolcell:tool/secrets@0.1.0"),
    ] {
        let error = Stage::bare("")
            .host
            .load_bytes(name, wat_guest(name))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidComponent);
        assert!(error.message().contains(import), "{}", error.message());
    }
}

#[tokio::test]
async fn what_is_no_component_is_refused_with_the_reason() {
    let component = fs::read(guest("env")).unwrap();
    let half = component.len() / 2;
    let other_version = [b"\0asm".as_slice(), &[99, 0, 1, 0]].concat();
    for (what, bytes) in [
        ("empty", Vec::new()),
        ("text", b"(component)".to_vec()),
        ("an archive", b"PK\x03\x04".to_vec()),
        (
            "an ELF file, as a compiled component is",
            [b"\x7fELF".as_slice(), &[0; 64]].concat(),
        ),
        ("a core module", wat::parse_str("(module)").unwrap()),
        ("an empty component", wat::parse_str("(component)").unwrap()),
        ("a component of another version", other_version),
        ("half a component", component[..half].to_vec()),
        (
            "a component with something behind it",
            [component.as_slice(), b"\x7f\x7f\x7f"].concat(),
        ),
    ] {
        let error = Stage::bare("")
            .host
            .load_bytes("guest", bytes)
            .await
            .expect_err(what);
        assert_eq!(error.kind(), ErrorKind::InvalidComponent, "{what}: {error}");
        assert!(error.message().len() > 20, "{what}: {error}");
    }
}

#[tokio::test]
async fn a_large_file_is_refused_before_it_is_read() {
    let stage = Stage::bare("");
    let path = stage.dir.path().join("huge.wasm");
    fs::File::create(&path).unwrap().set_len(100 << 20).unwrap();
    let error = stage.host.load_file(&path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidComponent);
    assert!(
        error.message().contains("at most 67108864 bytes"),
        "{error}"
    );
}

#[tokio::test]
async fn the_host_is_well_after_all_that() {
    let stage = Stage::bare("[default.limits]\ncpu = \"50ms\"\nmemory = \"16MiB\"\n");
    for name in ["spin", "memory", "recursion", "env"] {
        stage.host.load_file(guest(name)).await.unwrap();
    }
    for _ in 0..3 {
        for name in ["spin", "memory", "recursion"] {
            assert!(stage.call(name, json!({})).await.is_error());
        }
        assert_eq!(
            stage.text("env", json!({})).await,
            "arguments [] variables []"
        );
    }
}

#[test]
fn every_guest_is_run_by_a_test() {
    let sources = [
        include_str!("builtins/client.rs"),
        include_str!("embedding.rs"),
        include_str!("hostile.rs"),
        include_str!("mcp.rs"),
        include_str!("nets.rs"),
        include_str!("plain.rs"),
        include_str!("workers.rs"),
    ];
    let mut text = sources.concat();
    for part in names(&tests().join("attacks")) {
        text += &fs::read_to_string(tests().join(format!("attacks/{part}.rs"))).unwrap();
    }
    for case in names(&tests().join("cases")) {
        text += &fs::read_to_string(tests().join(format!("cases/{case}/policy.toml")))
            .unwrap_or_default();
    }
    let guests = [
        names(&tests().join("guests/src")),
        names(&tests().join("guests/wat")),
    ]
    .concat();
    for guest in guests {
        let run = [format!("\"{guest}\""), format!("guests/{guest}.wasm")];
        assert!(
            run.iter().any(|run| text.contains(run)),
            "no test runs the guest {guest}"
        );
    }
}
