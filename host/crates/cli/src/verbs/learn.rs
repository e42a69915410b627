//! `toolcell policy learn`.

use std::{fs::OpenOptions, io::Write as _, path::Path, sync::Arc};

use serde_json::json;
use toolcell::{
    Approval, ApprovalRequest, Approver, CallContext, ErrorKind, Learning, ToolCall, ToolHost,
    text::escape_control,
};
use toolcell_agent::{AgentBuilder, RunContext};
use toolcell_policy::{Access, Layer, Layers, Learned, Manifest, Policy, Watched};

use super::{call, run};
use crate::{
    app::Outcome,
    args::{LearnArgs, ModelOptions},
    dirs::Dirs,
    exit,
    failure::Failure,
    hosts, interrupt,
    models::Models,
    output,
    policies::{self, InForce},
    style::{self, paint},
    timeline::{Show, Timeline},
    turns::Turns,
};

/// A package that is watched.
struct Package {
    manifest: Manifest,
    from: Option<String>,
}

pub(crate) async fn learn(arguments: LearnArgs) -> Outcome {
    let dirs = Dirs::find()?;
    let mut in_force = policies::load(&arguments.policy, &dirs)?;
    let packages = packages(&arguments, &in_force)?;
    offer(&arguments.dirs, &packages, &mut in_force)?;
    let learning = Learning::new();
    let mut builder =
        hosts::builder(&in_force, &dirs, arguments.workers, None)?.learn(learning.clone());
    if arguments.yes {
        builder = builder.approver(Yes);
    }
    let host = builder.build()?;
    let mut names = host.load_policy_tools().await?;
    for component in &arguments.component {
        names.extend(call::load(&host, component).await?);
    }
    let ended = match &arguments.task {
        Some(task) => {
            work(
                host,
                task,
                &arguments,
                &Models::new(&in_force.layers, &dirs),
                &dirs,
            )
            .await?
        }
        None => once(&host, &arguments, names).await?,
    };
    let seen = learning.seen();
    let watched: Vec<Watched<'_>> = packages
        .iter()
        .filter_map(|package| {
            Some(Watched {
                manifest: &package.manifest,
                from: package.from.as_deref(),
                accesses: seen.get(&package.manifest.name)?,
            })
        })
        .collect();
    let mut learned = toolcell_policy::learn(&in_force.layers, &watched);
    if learning.dropped() > 0 {
        learned.notes.push(format!(
            "{} more accesses were not kept",
            learning.dropped()
        ));
    }
    show(&arguments, &learned, &watched, &ended)
}

/// The packages of the policy in force, and those that were named.
fn packages(arguments: &LearnArgs, in_force: &InForce) -> Result<Vec<Package>, Failure> {
    let layers = &in_force.layers;
    let listed = hosts::manifests(layers)?.into_iter().map(|manifest| {
        let from = layers.origin(&manifest.name);
        Package {
            from: from.map(|(origin, ..)| origin.to_string()),
            manifest,
        }
    });
    let mut packages: Vec<Package> = listed.collect();
    for component in &arguments.component {
        let manifest = hosts::named_package(component)?.manifest().clone();
        packages.retain(|package| package.manifest.name != manifest.name);
        packages.push(Package {
            manifest,
            from: Some(component.clone()),
        });
    }
    if packages.is_empty() {
        return Err(Failure::usage("there is nothing to learn from")
            .help("name a package with --component FILE or --component builtin:NAME, or a policy with --policy FILE"));
    }
    Ok(packages)
}

/// Gives directories to packages that were named on the command line, where no policy speaks of any.
fn offer(
    offered: &[OfferedDir],
    packages: &[Package],
    in_force: &mut InForce,
) -> Result<(), Failure> {
    if offered.is_empty() {
        return Ok(());
    }
    if !in_force.files.is_empty() {
        return Err(Failure::usage("--dir is for packages without a policy")
            .help("write the directory into the policy that is in force"));
    }
    let mut text = String::new();
    for package in packages {
        let dir = |dir: &OfferedDir| {
            format!(
                "{{ host = {}, guest = {}, access = \"write\" }}",
                json!(dir.host),
                json!(dir.guest)
            )
        };
        let dirs: Vec<String> = offered.iter().map(dir).collect();
        text.push_str(&format!(
            "[tool.{}]\nfiles = [{}]\n",
            package.manifest.name,
            dirs.join(", ")
        ));
    }
    let policy = Policy::parse("--dir", &text).map_err(|problems| {
        let mut failure = Failure::new(ErrorKind::InvalidPolicy, "a directory cannot be given");
        failure.problems = problems.iter().cloned().collect();
        failure
    })?;
    let base = policies::working_directory()?.display().to_string();
    in_force.layers = Layers::new().with(Layer::Project, policy.with_base(base));
    Ok(())
}

/// Calls the one tool, and says how that ended.
async fn once(
    host: &ToolHost,
    arguments: &LearnArgs,
    names: Vec<String>,
) -> Result<String, Failure> {
    let input = call::input(&arguments.input)?;
    let tool = call::named(names, arguments.tool.clone().unwrap_or_default());
    let context = CallContext {
        cancel: interrupt::token(),
        ..CallContext::default()
    };
    let result = host.call_with(ToolCall::new(tool, input), &context).await?;
    Ok(match &result.failure {
        None => "the call succeeded".to_owned(),
        Some(failure) if failure.kind == ErrorKind::UnknownTool => {
            return Err(Failure::from(failure));
        }
        Some(failure) => {
            // In the tool's words, which may hold what does not belong into a policy.
            output::note(paint(style::DIM, escape_control(&failure.message)));
            format!("the call ended with {}", failure.kind)
        }
    })
}

/// Lets an agent work on the task, and says how that ended.
async fn work(
    host: ToolHost,
    task: &str,
    arguments: &LearnArgs,
    models: &Models,
    dirs: &Dirs,
) -> Result<String, Failure> {
    let model = models
        .open(models.chosen(arguments.model.as_deref()))
        .await?;
    let turns = Turns::new(&ModelOptions::default(), models.settings())?;
    let agent = turns.of(AgentBuilder::new(Arc::new(host), model));
    let agent = agent.build().map_err(run::failed)?;
    let timeline = Timeline::new(Show::Silent);
    let context = RunContext {
        events: Some(timeline.sink()),
        cancel: interrupt::token(),
        transcript: Some(run::Place::fresh(dirs)?.transcript),
        ..RunContext::default()
    };
    let report = agent.run(task, &context).await.map_err(run::failed)?;
    timeline.close();
    let calls = style::count(timeline.called().len(), "tool call");
    Ok(match report.outcome.code() {
        None => format!("the agent finished after {calls}"),
        Some(kind) => format!("the agent ended with {kind} after {calls}"),
    })
}

fn show(arguments: &LearnArgs, learned: &Learned, watched: &[Watched<'_>], ended: &str) -> Outcome {
    let mut text =
        format!("# Learned by watching: {ended}.\n# Review every line before it is in force.\n\n");
    text.push_str(&learned.toml);
    if let Some(file) = &arguments.out {
        write_new(file, &text)?;
    }
    let seen = |package: &Watched<'_>| {
        let accesses: Vec<String> = package.accesses.iter().map(Access::to_string).collect();
        (package.manifest.name.clone(), json!(accesses))
    };
    let value = json!({
        "policy": text,
        "notes": learned.notes,
        "seen": watched.iter().map(seen).collect::<serde_json::Map<_, _>>(),
        "ended": ended,
        "out": arguments.out,
    });
    output::answer(value, |_| match &arguments.out {
        Some(file) => format!("{} {}\n", paint(style::GOOD, "written:"), file.display()),
        None => output::safe_lines(&text),
    });
    if !output::json() {
        for note in &learned.notes {
            output::note(paint(
                style::NOTE,
                format_args!("note: {}", escape_control(note)),
            ));
        }
    }
    Ok(exit::OK)
}

/// A policy that is there was written by a person and is never overwritten.
fn write_new(file: &Path, text: &str) -> Result<(), Failure> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        Failure::io("write the policy", file, &error).help("name a file that does not exist yet")
    })
}

/// Says yes for a person who said `--yes`, and shows to what.
struct Yes;

impl Approver for Yes {
    async fn approve(&self, request: &ApprovalRequest) -> Approval {
        output::note(paint(
            style::DIM,
            format_args!(
                "allowed: {} {}",
                escape_control(&request.tool),
                escape_control(&request.access)
            ),
        ));
        Approval::Allow
    }
}

/// `HOST=GUEST`.
#[derive(Clone, Debug)]
pub(crate) struct OfferedDir {
    host: String,
    guest: String,
}

impl std::str::FromStr for OfferedDir {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.rsplit_once('=') {
            Some((host, guest)) if !host.is_empty() && guest.starts_with('/') => Ok(Self {
                host: host.to_owned(),
                guest: guest.to_owned(),
            }),
            _ => Err("write HOST=GUEST, for example `./workspace=/work`".to_owned()),
        }
    }
}
