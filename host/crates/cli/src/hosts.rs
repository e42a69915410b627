//! From the policy in force to a tool host.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use toolcell::{ErrorKind, Package, ToolHost, ToolHostBuilder, audit::FileAudit};
use toolcell_policy::{FileAccess, Layer, Layers, Manifest, Origin};

use crate::{
    args::{Where, WorkerOptions},
    dirs::Dirs,
    failure::{self, Failure},
    files, net, output,
    person::Person,
    policies::InForce,
    stores::Stores,
    style::{self, paint},
    telemetry,
};

/// The largest component that is read, in bytes; the same as the host's own default.
pub(crate) const MAX_COMPONENT_BYTES: u64 = 64 << 20;

/// A host with every tool that the policy says where to get.
pub(crate) async fn open(
    in_force: &InForce,
    dirs: &Dirs,
    workers: WorkerOptions,
) -> Result<ToolHost, Failure> {
    let host = start(in_force, dirs, workers, None)?;
    host.load_policy_tools().await?;
    Ok(host)
}

/// The same for a run, which can leave questions for later.
pub(crate) async fn open_for_run(
    in_force: &InForce,
    dirs: &Dirs,
    workers: WorkerOptions,
    park: bool,
) -> Result<ToolHost, Failure> {
    let settings = in_force.layers.approvals();
    let person = Person::new(&settings, dirs, park || settings.park())?;
    let host = builder(in_force, dirs, workers, None)?
        .approver(person)
        .build()?;
    host.load_policy_tools().await?;
    Ok(host)
}

/// Says so where no tool is offered: an agent or a client would only find out call by call.
pub(crate) fn note_if_empty(host: &ToolHost) {
    if host.tools().is_empty() {
        let line = "note: the policy in force offers no tools; name one with --policy FILE";
        output::note(paint(style::NOTE, line));
    }
}

/// A host without tools.
pub(crate) fn start(
    in_force: &InForce,
    dirs: &Dirs,
    workers: WorkerOptions,
    isolation: Option<Where>,
) -> Result<ToolHost, Failure> {
    let host = builder(in_force, dirs, workers, isolation)?.build()?;
    telemetry::pass(&host);
    Ok(host)
}

/// What such a host is made of.
pub(crate) fn builder(
    in_force: &InForce,
    dirs: &Dirs,
    workers: WorkerOptions,
    isolation: Option<Where>,
) -> Result<ToolHostBuilder, Failure> {
    refuse_writable_policies(in_force)?;
    let audit = FileAudit::open(&in_force.audit, SystemTime::now)
        .map_err(|error| failure::audit(&error))?;
    let mut builder = ToolHost::builder()
        .policy(in_force.layers.clone())
        .cache_dir(&dirs.cache)
        .scratch_dir(dirs.cache.join("scratch"))
        .audit(audit)
        .redaction(net::redaction().clone())
        .secrets(Stores::new(dirs))
        .protect(&dirs.state)
        .protect(&dirs.config)
        .protect(&in_force.audit);
    if let Some(home) = crate::env::get("HOME") {
        builder = builder.too_wide(PathBuf::from(home));
    }
    if let Some(level) = workers.require_confinement {
        builder = builder.require_confinement(level.into());
    }
    if let Some(isolation) = isolation {
        builder = builder.default_isolation(isolation.into());
    }
    if let Some(meter) = telemetry::meter() {
        builder = builder.meter(meter).content(telemetry::content());
    }
    let settings = in_force.layers.approvals();
    // Nobody could go on with it later.
    Ok(builder.approver(Person::new(&settings, dirs, false)?))
}

/// A tool that can write its own policy has no policy. Reading it does no harm, and a project that an agent works on
/// contains its policy, so only write grants are refused.
fn refuse_writable_policies(in_force: &InForce) -> Result<(), Failure> {
    let real = |path: &Path| fs::canonicalize(path).ok();
    let files: Vec<&(Layer, PathBuf)> = in_force.files.iter().collect();
    for (_, policy) in in_force.layers.iter() {
        let grants = policy.tools().flat_map(|(_, tool)| tool.files());
        for grant in grants.filter(|grant| grant.access == FileAccess::Write) {
            let directory = Path::new(grant.base.as_deref().unwrap_or(".")).join(&grant.host);
            let Some(directory) = real(&directory) else {
                continue;
            };
            let reached = files
                .iter()
                .find(|(_, file)| real(file).is_some_and(|it| it.starts_with(&directory)));
            if let Some((_, file)) = reached {
                let message = format!(
                    "`{}` may be written to, and the policy {} lies in it: a tool could grant itself anything",
                    grant.host,
                    file.display()
                );
                return Err(Failure::new(ErrorKind::InvalidPolicy, message)
                    .rule(grant.rule.to_string())
                    .help("grant a directory beside the policy, such as \"./workspace\", or only `access = \"read\"`"));
            }
        }
    }
    Ok(())
}

/// The manifests of every package that the policy says where to get. Nothing is compiled or run.
pub(crate) fn manifests(layers: &Layers) -> Result<Vec<Manifest>, Failure> {
    let mut manifests = Vec::new();
    for name in layers.packages() {
        if let Some((origin, base, rule)) = layers.origin(name) {
            let package = package(origin, base).map_err(|failure| match failure.rule {
                Some(_) => failure,
                None => failure.rule(rule.to_string()),
            })?;
            manifests.push(package.manifest().clone());
        }
    }
    Ok(manifests)
}

/// The package that a policy means.
pub(crate) fn package(origin: &Origin, base: Option<&str>) -> Result<Package, Failure> {
    match origin {
        Origin::Builtin(name) => builtin(name),
        Origin::Path(path) => read_package(&Path::new(base.unwrap_or(".")).join(path)),
        other => Err(Failure::new(
            ErrorKind::InvalidPolicy,
            format!("packages from `{other}` cannot be loaded"),
        )),
    }
}

/// The package that a file or `builtin:NAME` on the command line means.
pub(crate) fn named_package(name: &str) -> Result<Package, Failure> {
    match name.strip_prefix("builtin:") {
        Some(builtin_name) => builtin(builtin_name),
        None => read_package(Path::new(name)),
    }
}

fn builtin(name: &str) -> Result<Package, Failure> {
    Ok(Package::parse(name, builtin_bytes(name)?)?)
}

/// The component of a built-in package.
pub(crate) fn builtin_bytes(name: &str) -> Result<&'static [u8], Failure> {
    toolcell::builtin(name).ok_or_else(|| {
        let known: Vec<&str> = toolcell::builtins().map(|(name, _)| name).collect();
        let message = format!("there is no built-in package `{name}`");
        Failure::new(ErrorKind::InvalidComponent, message)
            .help(format!("there are: {}", known.join(", ")))
    })
}

fn read_package(path: &Path) -> Result<Package, Failure> {
    let failed = |error: &std::io::Error| {
        let mut failure = Failure::io("read the component", path, error);
        failure.kind = ErrorKind::InvalidComponent;
        failure
    };
    let metadata = fs::metadata(path).map_err(|error| failed(&error))?;
    if !metadata.is_file() {
        // As the host itself says; a pipe without a writer would keep us waiting.
        let message = format!("{}: is no regular file", path.display());
        return Err(Failure::new(ErrorKind::InvalidComponent, message));
    }
    let bytes = files::read(path, MAX_COMPONENT_BYTES).map_err(|error| failed(&error))?;
    let stem = path
        .file_stem()
        .map_or("tool".into(), |stem| stem.to_string_lossy());
    Package::parse(&stem, bytes).map_err(|error| in_file(path, error))
}

/// Says which file it is about.
pub(crate) fn in_file(path: &Path, error: toolcell::Error) -> Failure {
    let mut failure = Failure::from(error);
    failure.message = format!("{}: {}", path.display(), failure.message);
    failure
}
