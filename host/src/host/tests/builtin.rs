use super::*;

const FILES: &str = "[tool.files]\nfrom = \"builtin:files\"\nfiles = [{ host = \".\", guest = \"/work\", access = \"write\" }]";

async fn files(dir: &std::path::Path, more: &str) -> (ToolHost, Seen) {
    let seen = Seen::default();
    let text = format!("{FILES}\n{more}");
    let host = builder(&text)
        .base_dir(dir)
        .audit(seen.clone())
        .build()
        .unwrap();
    host.load_policy_tools().await.unwrap();
    (host, seen)
}

fn read(path: &str) -> ToolCall {
    ToolCall::new("files_read", json!({ "path": path }))
}

#[tokio::test]
async fn a_granted_file_is_read_and_on_record() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.txt"), "hello").unwrap();
    let (host, seen) = files(dir.path(), "").await;
    let result = host.call(read("/work/a.txt")).await.unwrap();
    assert!(result.text().contains("hello"), "{result:?}");
    let paths = seen.pick(|record| match record {
        AuditRecord::Call(call) => Some(call.paths.clone()),
        _ => None,
    });
    assert!(
        paths[0]
            .iter()
            .any(|it| it.path == "/work/a.txt" && it.used == "read"),
        "{paths:?}"
    );
}

#[tokio::test]
async fn a_file_outside_the_grant_is_denied_with_the_rule() {
    let dir = tempfile::tempdir().unwrap();
    let (host, seen) = files(dir.path(), "").await;
    let result = host.call(read("/etc/passwd")).await.unwrap();
    assert_eq!(kind(&result), ErrorKind::Denied, "{result:?}");
    assert_eq!(result.denials[0].capability, "files");
    assert_eq!(result.denials[0].access, "read /etc/passwd");
    let rule = result.failure.unwrap().rule.unwrap();
    assert!(rule.starts_with("default: "), "{rule}");
    assert_eq!(seen.outcomes(), [Outcome::Failed(ErrorKind::Denied)]);
}

#[tokio::test]
async fn writing_is_counted_and_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let (host, _) = files(dir.path(), "limits = { written = \"1KiB\" }").await;
    let write = |bytes: usize| {
        let input = json!({ "path": "/work/b.txt", "content": "x".repeat(bytes) });
        host.call(ToolCall::new("files_write", input))
    };
    let result = write(1_000).await.unwrap();
    assert!(!result.is_error(), "{result:?}");
    assert_eq!(
        (result.usage.written_bytes, result.usage.files_created),
        (1_000, 1)
    );
    assert_eq!(kind(&write(2_000).await.unwrap()), ErrorKind::LimitFiles);
}

#[tokio::test]
async fn a_grant_on_the_hosts_own_state_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let host = builder(FILES)
        .base_dir(dir.path())
        .cache_dir(dir.path().join("cache"))
        .build()
        .unwrap();
    let error = host.load_policy_tools().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidPolicy);
    assert!(
        error
            .message()
            .contains("toolcell.toml:3 tool.files.files[0]"),
        "{error}"
    );
}

#[tokio::test]
async fn a_relative_grant_needs_a_directory_to_start_from() {
    let host = builder(FILES).build().unwrap();
    let error = host.load_policy_tools().await.unwrap_err();
    assert!(error.message().contains("is a relative path"), "{error}");
}

#[test]
fn every_builtin_is_an_acceptable_package_under_its_own_name() {
    let names: Vec<&str> = crate::builtins().map(|(name, _)| name).collect();
    assert!(names.contains(&"files"), "{names:?}");
    for (name, bytes) in crate::builtins() {
        let package = crate::Package::parse(name, bytes).unwrap();
        assert_eq!(package.manifest().name, name);
        assert!(crate::builtin(name).is_some());
    }
}
