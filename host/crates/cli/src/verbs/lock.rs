//! `toolcell lock`: records the packages of a policy as they are now, after a person saw what changed.

use std::path::Path;

use serde_json::{Value, json};
use toolcell::{ErrorKind, Package, ToolHost};
use toolcell_policy::{Lock, Policy, lock::MAX_LOCK_BYTES};

use crate::{
    app::Outcome,
    args::LockArgs,
    dirs::{self, Dirs},
    exit,
    failure::Failure,
    locks::{self, Compared, Status},
    output,
    policies::{self, InForce},
    prompt,
    style::{self, paint},
    trusted::{Content, Trusted},
};

/// Everybody may read a lock file, as far as the process's mask says so: it holds no secret.
const MODE: u32 = 0o666;

pub(crate) async fn lock(arguments: LockArgs) -> Outcome {
    let dirs = Dirs::find()?;
    let in_force = policies::load(&arguments.policy, &dirs)?;
    let (policy, path) = lowest(&in_force)?;
    let file = policies::lock_path(path);
    if file == path {
        let message = format!("{} cannot have a lock file beside it", path.display());
        return Err(Failure::new(ErrorKind::InvalidPolicy, message)
            .help("give the policy a name that ends in `.toml`"));
    }
    let recorded = policy.lock().cloned().unwrap_or_default();
    let found = locks::found(&in_force.layers, policy)?;
    let compared = locks::compare(&recorded, &found.lock);
    let differs = compared.iter().any(|it| it.status != Status::Same);
    if arguments.check {
        return check(&file, policy.lock().is_some(), &compared, differs);
    }
    if !differs {
        return Ok(unchanged(&file, &compared));
    }
    if !output::json() {
        show(&compared);
    }
    confirm(arguments.yes, &file, &compared)?;
    compile(&dirs, found.packages, &compared).await?;
    let text = text(&found.lock)?;
    dirs::replace(&file, text.as_bytes(), MODE)?;
    let trusted = trust_again(&in_force, &dirs, text)?;
    let value = data(&file, true, trusted, &compared);
    output::answer(value, |_| {
        let packages = style::count(found.lock.packages().count(), "package");
        let also = if trusted { ", and is trusted" } else { "" };
        format!(
            "{} {packages} in {}{also}",
            paint(style::GOOD, "locked:"),
            file.display()
        )
    });
    Ok(exit::OK)
}

/// The lowest policy file in force: the one that was named, or the project's, or the user's own.
fn lowest(in_force: &InForce) -> Result<(&Policy, &Path), Failure> {
    let found = in_force.files.last().and_then(|(layer, path)| {
        let mut policies = in_force.layers.iter().rev();
        let (_, policy) = policies.find(|(its, _)| its == layer)?;
        Some((policy, path.as_path()))
    });
    found.ok_or_else(|| {
        Failure::new(
            ErrorKind::InvalidPolicy,
            "no policy is in force here, so there is nothing to lock",
        )
        .help("name a policy with --policy FILE")
    })
}

fn data(file: &Path, written: bool, trusted: bool, compared: &[Compared]) -> Value {
    let packages: Vec<Value> = compared.iter().map(Compared::to_json).collect();
    json!({
        "file": file.display().to_string(),
        "written": written,
        "trusted": trusted,
        "packages": packages,
    })
}

fn check(file: &Path, exists: bool, compared: &[Compared], differs: bool) -> Outcome {
    if !differs {
        return Ok(unchanged(file, compared));
    }
    let different: Vec<&Compared> = compared
        .iter()
        .filter(|it| it.status != Status::Same)
        .collect();
    let message = if exists {
        let is = if different.len() == 1 { "is" } else { "are" };
        let count = style::count(different.len(), "package");
        format!("{count} {is} not what {} says", file.display())
    } else {
        format!("there is no lock file {}", file.display())
    };
    let mut failure = Failure::check(ErrorKind::DigestMismatch, message)
        .help("look at the changes, and record them with `toolcell lock`")
        .data(data(file, false, false, compared));
    failure.details = different.iter().flat_map(|it| indented(it)).collect();
    Err(failure)
}

/// The lines of a package, what changed further to the right.
fn indented(compared: &Compared) -> Vec<String> {
    let lines = compared.lines().into_iter().enumerate();
    lines
        .map(|(at, line)| match at {
            0 => line,
            _ => format!("  {line}"),
        })
        .collect()
}

fn unchanged(file: &Path, compared: &[Compared]) -> u8 {
    output::answer(data(file, false, false, compared), |_| {
        if compared.is_empty() {
            return "no package needs a lock: built-in ones are pinned by the version of toolcell"
                .to_owned();
        }
        let packages = style::count(compared.len(), "package");
        format!(
            "{} {packages} as {} says",
            paint(style::GOOD, "unchanged:"),
            file.display()
        )
    });
    exit::OK
}

fn show(compared: &[Compared]) {
    for it in compared.iter().filter(|it| it.status != Status::Same) {
        output::note(it.text());
    }
}

/// Asks where a package asks for more, is older, or where models are told something else.
fn confirm(yes: bool, file: &Path, compared: &[Compared]) -> Result<(), Failure> {
    if yes || !compared.iter().any(Compared::needs_consent) {
        return Ok(());
    }
    let refused = |message: &str| {
        Failure::new(ErrorKind::Untrusted, message).data(data(file, false, false, compared))
    };
    if !prompt::possible() {
        return Err(
            refused("there is no terminal to ask on, so nothing was recorded")
                .help("a person has to look at what changed; to record it in a script, give --yes"),
        );
    }
    if prompt::confirm("Record these packages, exactly as they are now?") {
        Ok(())
    } else {
        Err(refused("the lock file stays as it was"))
    }
}

/// Compiles what is new, in workers and under their limits: what cannot be compiled is not recorded.
async fn compile(
    dirs: &Dirs,
    packages: Vec<Package>,
    compared: &[Compared],
) -> Result<(), Failure> {
    let changed = |package: &Package| {
        let name = &package.manifest().name;
        compared.iter().any(|it| it.is_changed(name))
    };
    let changed: Vec<Package> = packages.into_iter().filter(changed).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let host = ToolHost::builder().cache_dir(&dirs.cache).build()?;
    for package in changed {
        let name = package.manifest().name.clone();
        host.compile(package).await.map_err(|error| {
            let mut failure = Failure::from(error);
            failure.message = format!("`{name}` is not recorded: {}", failure.message);
            failure
        })?;
    }
    Ok(())
}

/// The text of a lock file, if it can be read again.
fn text(lock: &Lock) -> Result<String, Failure> {
    let text = lock.to_toml();
    if text.len() > MAX_LOCK_BYTES {
        let message = format!(
            "the lock file would have {} bytes; at most {MAX_LOCK_BYTES} are allowed",
            text.len()
        );
        return Err(Failure::new(ErrorKind::InvalidPolicy, message)
            .help("split the policy into several files"));
    }
    match Lock::parse("the new lock file", &text) {
        Ok(read) if read == *lock => Ok(text),
        Ok(_) => Err(Failure::new(
            ErrorKind::Internal,
            "the lock file would say something else than what is there",
        )),
        Err(problems) => Err(problems.into()),
    }
}

/// A policy that a person trusted stays trusted with the lock file that the same person has just made.
fn trust_again(in_force: &InForce, dirs: &Dirs, lock: String) -> Result<bool, Failure> {
    let Some((path, content)) = &in_force.trusted else {
        return Ok(false);
    };
    let content = Content {
        policy: content.policy.clone(),
        lock: Some(lock),
    };
    let list = dirs.trusted();
    let mut trusted = Trusted::read(&list)?;
    trusted.add(path, &content);
    trusted.write(&list)?;
    Ok(true)
}
