//! `toolcell wasi-run PROGRAM`: a plain WASI command under the same grant code as tools, for conformance suites.

use std::io;

use serde_json::json;
use toolcell::{CallContext, ErrorKind, Stdio, ToolHost, WasiProgram};

use crate::{
    app::Outcome, args::WasiRunArgs, dirs::Dirs, failure::Failure, files, hosts, interrupt, output,
    policies,
};

pub(crate) async fn wasi_run(arguments: WasiRunArgs) -> Outcome {
    let path = &arguments.program;
    let component = files::read(path, hosts::MAX_COMPONENT_BYTES).map_err(|error| {
        let failure = Failure::io("read the program", path, &error);
        Failure {
            kind: ErrorKind::InvalidComponent,
            ..failure
        }
    })?;
    let env = arguments
        .envs
        .iter()
        .map(|variable| variable_of(variable))
        .collect::<Result<_, _>>()?;
    let name = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned();
    let program = WasiProgram {
        component: component.into(),
        args: std::iter::once(name).chain(arguments.args).collect(),
        env,
        files: arguments.grants,
        stdio: Stdio {
            stdin: Box::new(tokio::io::stdin()),
            stdout: Box::new(io::stdout()),
            stderr: Box::new(io::stderr()),
        },
        isolation: Some(arguments.isolation.into()),
    };
    let dirs = Dirs::find()?;
    let mut builder = ToolHost::builder()
        .base_dir(policies::working_directory()?)
        .cache_dir(&dirs.cache)
        .protect(&dirs.state)
        .protect(&dirs.config);
    if let Some(level) = arguments.workers.require_confinement {
        builder = builder.require_confinement(level.into());
    }
    let host = builder.build()?;
    let context = CallContext {
        cancel: interrupt::token(),
        ..CallContext::default()
    };
    let ended = host.run_program(program, &context).await;
    let ended = ended.map_err(|error| match error.kind() {
        ErrorKind::InvalidComponent => hosts::in_file(path, error),
        _ => error.into(),
    })?;
    match (&ended.failure, ended.status) {
        (Some(reason), _) => Err(Failure::from(reason)),
        (None, status) => {
            if output::json() {
                output::answer(json!(ended), |_| String::new());
            }
            Ok(status.unwrap_or_default())
        }
    }
}

/// A variable from `NAME=VALUE`.
fn variable_of(text: &str) -> Result<(String, String), Failure> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| Failure::usage(format!("--env {text}: there is no `=`")))?;
    Ok((name.to_owned(), value.to_owned()))
}
