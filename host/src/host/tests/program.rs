use std::io::Write;

use super::*;
use crate::{Stdio, WasiGrant, WasiProgram};

fn program(body: &str) -> Arc<[u8]> {
    let text = format!(
        r#"(component
            (core module $m (func (export "run") (result i32) {body}))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $r (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $r)))"#
    );
    wat::parse_str(text).unwrap().into()
}

/// Somebody who reads what a program prints.
#[derive(Clone, Default)]
struct Reader(Arc<std::sync::Mutex<Vec<u8>>>);

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn run(component: Arc<[u8]>, files: Vec<WasiGrant>) -> Result<crate::WasiExit> {
    let program = WasiProgram {
        component,
        args: vec!["program".into()],
        env: vec![("A".into(), "\"'=".into())],
        files,
        stdio: Stdio {
            stdin: Box::new(tokio::io::empty()),
            stdout: Box::new(Reader::default()),
            stderr: Box::new(Reader::default()),
        },
        isolation: None,
    };
    let host = builder("").build().unwrap();
    host.run_program(program, &until(5_000)).await
}

#[tokio::test]
async fn its_exit_status_is_told() {
    for status in [0, 1] {
        let exit = run(program(&format!("(i32.const {status})")), Vec::new())
            .await
            .unwrap();
        assert_eq!(exit.status, Some(status));
    }
    let exit = run(program("(unreachable)"), Vec::new()).await.unwrap();
    assert_eq!(
        (exit.status, exit.failure.unwrap().kind),
        (None, ErrorKind::Trap)
    );
}

#[tokio::test]
async fn a_tool_is_no_program() {
    let error = run(tool("", ECHO).into(), Vec::new()).await.unwrap_err();
    assert!(error.message().contains("so it is no program"), "{error}");
    let host = builder("").build().unwrap();
    let error = host
        .load_bytes("p", program("(i32.const 0)"))
        .await
        .unwrap_err();
    assert!(error.message().contains("so it is no tool"), "{error}");
}

#[tokio::test]
async fn directories_that_no_tool_may_have_are_refused() {
    let grant: WasiGrant = "read:/proc=/".parse().unwrap();
    let error = run(program("(i32.const 0)"), vec![grant])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidPolicy);
    let dir = tempfile::tempdir().unwrap();
    let grant = format!("write:{}=/work", dir.path().display())
        .parse()
        .unwrap();
    assert!(run(program("(i32.const 0)"), vec![grant]).await.is_ok());
}

#[test]
fn grants_are_read_from_text() {
    let grant: WasiGrant = "read:./a=b=/c".parse().unwrap();
    assert_eq!(
        (grant.host.to_str(), grant.guest.as_str()),
        (Some("./a=b"), "/c")
    );
    for wrong in ["", "read", "read:a", "run:a=/b", "read:=/b", "read:a=b"] {
        assert!(wrong.parse::<WasiGrant>().is_err(), "{wrong}");
    }
}
