//! Running a plain WASI program under the same limits and grants as a tool, for a person and for conformance suites.

use std::{path::PathBuf, str::FromStr, sync::Arc, time::Instant};

use serde::Serialize;
use toolcell_policy::{
    Decision, EnvRequest, FileAccess, FileRequest, Isolation, Layer, Layers, Manifest, Policy,
    Requests, decide,
};

use super::{Shared, ToolHost, first::First, nested::Nested, prepare::compiled};
use crate::{
    Answers, CallContext, CallId, Denial, Error, ErrorKind, Result, Stdio, ToolFailure, Usage,
    admission::{Bounds, Caller},
    capability::{files::FileRoots, recorder::Recorder, tools::Nesting},
    package::{Package, load},
    sandbox::{Program, Setup},
    secrets::CallSecrets,
    worker::Crew,
};

/// The package's name in the policy that is made for a program.
const NAME: &str = "program";

/// What programs count as, among the tools. No tool can have this name.
const ADMITTED_AS: &str = "a program";

/// A program to run, and all that it gets. Network access is not offered to programs.
#[derive(Debug)]
pub struct WasiProgram {
    /// A component that exports `wasi:cli/run`.
    pub component: Arc<[u8]>,
    /// The arguments, the program's own name first.
    pub args: Vec<String>,
    /// The variables it sees.
    pub env: Vec<(String, String)>,
    /// The directories it sees.
    pub files: Vec<WasiGrant>,
    /// What it reads and writes.
    pub stdio: Stdio,
    /// Where it runs. Absent: in a process of its own, unless
    /// [`ToolHostBuilder::default_isolation`](super::ToolHostBuilder::default_isolation) says otherwise.
    pub isolation: Option<Isolation>,
}

/// A directory for a program; as text `read:HOST=GUEST` or `write:HOST=GUEST`, for example `read:./data=/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WasiGrant {
    /// The directory on the host; a relative one starts from [`ToolHostBuilder::base_dir`](super::ToolHostBuilder::base_dir).
    pub host: PathBuf,
    /// Where the program sees it: absolute.
    pub guest: String,
    /// Read, or also write.
    pub access: FileAccess,
}

impl FromStr for WasiGrant {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = || {
            let (access, rest) = text.split_once(':')?;
            let (host, guest) = rest.rsplit_once('=')?;
            let access = match access {
                "read" => FileAccess::Read,
                "write" => FileAccess::Write,
                _ => return None,
            };
            (!host.is_empty() && guest.starts_with('/')).then(|| Self {
                host: PathBuf::from(host),
                guest: guest.to_owned(),
                access,
            })
        };
        parsed().ok_or_else(|| {
            Error::new(ErrorKind::InvalidPolicy, format!("`{text}` is no grant")).with_help(
                "Write `read:HOST=GUEST` or `write:HOST=GUEST`, for example `read:./data=/`.",
            )
        })
    }
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WasiExit {
    /// Its exit status: 0, or 1 for every failure of its own. Absent where it was stopped.
    pub status: Option<u8>,
    /// Why it was stopped.
    pub failure: Option<ToolFailure>,
    /// What it used.
    pub usage: Usage,
    /// The accesses that were refused, in order; at most 64 are kept.
    pub denials: Vec<Denial>,
}

impl ToolHost {
    /// Runs a program once, with the default limits. The host's policy says nothing about it, and it is not on record
    /// in the audit log: it is a person's own doing, and no tool.
    ///
    /// # Errors
    ///
    /// `invalid_component` where it is no such program or imports what is not offered, `invalid_policy` where a
    /// directory cannot be granted, `busy` where the host runs as many calls as it may.
    pub async fn run_program(
        &self,
        program: WasiProgram,
        context: &CallContext,
    ) -> Result<WasiExit> {
        let WasiProgram {
            component,
            args,
            env,
            files,
            stdio,
            isolation,
        } = program;
        let (prepared, roots) = self
            .blocking(move |shared| {
                let roots = shared.program_grants(&env, &files)?;
                let prepared = shared.prepare_program(component, isolation, &roots)?;
                Ok((prepared, Arc::new(roots)))
            })
            .await?;
        let own = Instant::now() + roots.grants().limits().time;
        let deadline = context.deadline.map_or(own, |earlier| earlier.min(own));
        let caller = Caller {
            tool: ADMITTED_AS,
            bounds: Bounds::of_tool(roots.grants().limits()),
            session: None,
        };
        let entering = self.shared.admission.enter(caller, false, deadline);
        let _place = entering
            .await
            .map_err(|refusal| Error::new(ErrorKind::Busy, refusal.to_string()))?;
        let tenant = self.shared.keeper.tenant(context.tenant.as_ref());
        let marks = self.shared.marks.of_call(context);
        let id = CallId::random();
        let first = First::new(&id, &context.cancel, Answers::new());
        let setup = Setup {
            roots,
            tenant: context.tenant.clone(),
            egress: Arc::clone(&self.shared.egress),
            secrets: CallSecrets::none(),
            deadline,
            out_of_time: "the program took longer than it may".to_owned(),
            recorder: Recorder::new(id, context.events.clone())
                .searching(self.shared.leaving(&tenant)),
            asker: None,
            callee: Arc::new(Nested::new(
                &self.shared,
                context,
                marks.session(),
                deadline,
                &first,
            )),
            nesting: Nesting::top(),
        };
        let cancel = &context.cancel;
        let finished = match &prepared {
            Prepared::Here(program) => program.run(setup.into(), stdio.into(), &args, cancel).await,
            Prepared::InWorker(crew) => crew.run_program(setup, stdio, &args, cancel).await,
        };
        Ok(WasiExit {
            status: finished.outcome.as_ref().ok().copied(),
            failure: finished.outcome.err(),
            usage: finished.usage,
            denials: finished.record.denials,
        })
    }
}

/// A program that can be run.
enum Prepared {
    Here(Program),
    InWorker(Box<Crew>),
}

impl Shared {
    fn prepare_program(
        &self,
        component: Arc<[u8]>,
        isolation: Option<Isolation>,
        roots: &FileRoots,
    ) -> Result<Prepared> {
        load::check_size(component.len(), self.engines.options().max_component_bytes)?;
        let package = Package::parse_program(component)?;
        let engine = self.engines.fast();
        match self.isolating.of_program(isolation)? {
            Isolation::Thread => {
                let component = match &self.isolating.pool {
                    Some(pool) => engine.load(&compiled(engine, pool, &package, false)?)?,
                    None => engine.compile(package.bytes(), package.sha256())?,
                };
                Ok(Prepared::Here(Program::new(engine, &component)?))
            }
            Isolation::Process => {
                let pool = self.isolating.pool(NAME)?;
                let compiled = compiled(engine, pool, &package, false)?;
                let crew = Crew::of_program(pool, roots, &compiled)?;
                self.isolating.check(NAME, crew.report())?;
                Ok(Prepared::InWorker(Box::new(crew)))
            }
        }
    }

    /// Grants are made by decisions of the policy alone, so a program's are a policy of its own. It stands alone: the
    /// host's own policy speaks about tools.
    fn program_grants(&self, env: &[(String, String)], files: &[WasiGrant]) -> Result<FileRoots> {
        let policy = Policy::parse("--grant", &policy_text(env, files)?).map_err(|problems| {
            Error::new(ErrorKind::InvalidPolicy, problems.to_string()).with_source(problems)
        })?;
        let layers = Layers::new().with(Layer::Session, policy);
        let mut manifest = Manifest::default_for(NAME);
        manifest.request = Arc::new(Requests {
            env: env
                .iter()
                .map(|(name, _)| EnvRequest {
                    name: name.clone(),
                    why: None,
                })
                .collect(),
            files: files
                .iter()
                .map(|grant| FileRequest {
                    access: grant.access,
                    guest: None,
                    why: None,
                })
                .collect(),
            ..Requests::default()
        });
        match decide(&layers, &manifest, NAME) {
            Decision::Allow(grants) => self.open(&grants),
            Decision::Ask(_, rule) | Decision::Deny(rule) => Err(Error::new(
                ErrorKind::Denied,
                format!("{rule}: the program may not run"),
            )),
        }
    }
}

/// The policy that grants a program what it was given.
fn policy_text(env: &[(String, String)], files: &[WasiGrant]) -> Result<String> {
    // A JSON string is a TOML string, but for one character that JSON leaves as it is.
    let quoted = |text: &str| {
        serde_json::Value::from(text)
            .to_string()
            .replace('\u{7f}', "\\u007f")
    };
    let env: Vec<String> = env
        .iter()
        .map(|(name, value)| format!("{} = {}", quoted(name), quoted(value)))
        .collect();
    let files = files
        .iter()
        .map(|grant| {
            let host = grant.host.to_str().ok_or_else(|| {
                let message = format!("the path {} is no UTF-8 text", grant.host.display());
                Error::new(ErrorKind::InvalidPolicy, message)
            })?;
            let (host, guest, access) = (quoted(host), quoted(&grant.guest), grant.access);
            Ok(format!(
                "{{ host = {host}, guest = {guest}, access = \"{access}\" }}"
            ))
        })
        .collect::<Result<Vec<String>>>()?;
    Ok(format!(
        "[tool.{NAME}]\nenv = {{ {} }}\nfiles = [{}]\n",
        env.join(", "),
        files.join(", ")
    ))
}
