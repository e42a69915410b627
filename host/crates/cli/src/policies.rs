//! Which policy is in force here: the system's, the user's, the project's (or the file that `--policy` names), and what
//! `--limit` narrows for this session.

use std::{
    env::current_dir,
    fs, io,
    path::{Path, PathBuf},
};

use toolcell::ErrorKind;
use toolcell_policy::{Layer, Layers, LimitUnit, Limits, Lock, Policy};

use crate::{
    args::PolicyOptions,
    dirs::{self, Dirs},
    env,
    failure::Failure,
    files,
    trusted::{Content, Trust, Trusted},
};

/// The name that `--limit` has in rules.
const SESSION: &str = "--limit";

/// The policy in force.
pub(crate) struct InForce {
    pub(crate) layers: Layers,
    /// The files that make it up, the highest layer first.
    pub(crate) files: Vec<(Layer, PathBuf)>,
    /// The project's policy as a person trusted it; none for a file that was named.
    pub(crate) trusted: Option<(PathBuf, Content)>,
    /// Where the audit log is.
    pub(crate) audit: PathBuf,
}

/// Finds and reads the policy in force.
///
/// A project's file that nobody trusted is an error and not skipped: whoever works in that directory would otherwise
/// believe that it holds.
pub(crate) fn load(options: &PolicyOptions, dirs: &Dirs) -> Result<InForce, Failure> {
    let InForce {
        mut layers,
        mut files,
        ..
    } = above(dirs)?;
    let mut trusted = None;
    if let Some((path, content)) = project(options, dirs)? {
        let name = path
            .file_name()
            .map_or(dirs::POLICY_FILE.into(), |name| name.to_string_lossy());
        layers = layers.with(Layer::Project, parse(&path, &name, &content)?);
        files.push((Layer::Project, path.clone()));
        trusted = options.policy.is_none().then_some((path, content));
    }
    if !options.limits.is_empty() {
        layers = layers.with(Layer::Session, session(&options.limits)?);
    }
    let audit = match &options.audit {
        Some(path) => path.clone(),
        None => audit_of(&layers, dirs),
    };
    Ok(InForce {
        layers,
        files,
        trusted,
        audit,
    })
}

/// The layers above any project: what the system and the user say, wherever they work.
pub(crate) fn above(dirs: &Dirs) -> Result<InForce, Failure> {
    let mut layers = Layers::new();
    let mut files = Vec::new();
    let own = [
        (
            Layer::System,
            PathBuf::from(dirs::SYSTEM_POLICY),
            dirs::SYSTEM_POLICY,
        ),
        (Layer::User, dirs.user_policy(), "user toolcell.toml"),
    ];
    for (layer, path, name) in own {
        if let Some(policy) = read_if_there(&path)? {
            let lock = read_lock(&path)?;
            layers = layers.with(layer, parse(&path, name, &Content { policy, lock })?);
            files.push((layer, path));
        }
    }
    let audit = env::get(env::AUDIT).map_or_else(|| audit_of(&layers, dirs), PathBuf::from);
    Ok(InForce {
        layers,
        files,
        trusted: None,
        audit,
    })
}

/// Where the policy says that the audit log is, else where it is by itself.
fn audit_of(layers: &Layers, dirs: &Dirs) -> PathBuf {
    match layers.audit_path() {
        Some((path, base)) => Path::new(base.unwrap_or(".")).join(path),
        None => dirs.audit(),
    }
}

/// The options of verbs that have none of their own on the command line.
pub(crate) fn from_environment() -> PolicyOptions {
    PolicyOptions {
        policy: env::get(env::POLICY).map(PathBuf::from),
        limits: Vec::new(),
        audit: env::get(env::AUDIT).map(PathBuf::from),
    }
}

/// The audit log of the policy in force; that of the user where no policy can be read, since a broken policy must not
/// keep anybody from checking a log.
pub(crate) fn audit_in_force() -> Result<PathBuf, Failure> {
    let dirs = Dirs::find()?;
    Ok(load(&from_environment(), &dirs).map_or_else(|_| dirs.audit(), |in_force| in_force.audit))
}

/// Reads a policy with its lock file, and tells it where it lies. `name` stands in rules, which the audit log and models see: it must
/// hold no path of this machine. Diagnostics are for the person here, so they show the path.
pub(crate) fn parse(path: &Path, name: &str, content: &Content) -> Result<Policy, Failure> {
    let text = &content.policy;
    let mut policy =
        Policy::parse(name, text).or_else(|_| Policy::parse(&path.display().to_string(), text))?;
    if let Some(lock) = &content.lock {
        policy = policy.with_lock(Lock::parse(&lock_path(path).display().to_string(), lock)?);
    }
    let absolute = std::path::absolute(path).map_err(|error| Failure::io("find", path, &error))?;
    let base = absolute.parent().unwrap_or(Path::new("/"));
    match base.to_str() {
        Some(base) => Ok(policy.with_base(base)),
        None => Err(Failure::new(
            ErrorKind::InvalidPolicy,
            format!(
                "the directory of {} has a name that is no UTF-8",
                path.display()
            ),
        )),
    }
}

/// Reads a policy file.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error: &io::Error| {
        let mut failure = Failure::io("read the policy", path, error);
        if matches!(
            error.kind(),
            io::ErrorKind::NotFound
                | io::ErrorKind::InvalidData
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::FileTooLarge
        ) {
            failure.kind = ErrorKind::InvalidPolicy;
        }
        failure
    };
    let limit = toolcell_policy::MAX_POLICY_BYTES as u64;
    files::read_text(path, limit).map_err(|error| failed(&error))
}

/// The lock file of a policy: `toolcell.lock` for `toolcell.toml`, always beside it.
pub(crate) fn lock_path(policy: &Path) -> PathBuf {
    policy.with_extension(dirs::LOCK_EXTENSION)
}

/// Reads a policy and the lock file beside it, where there is one.
pub(crate) fn read_content(path: &Path) -> Result<Content, Failure> {
    Ok(Content {
        policy: read(path)?,
        lock: read_lock(path)?,
    })
}

fn read_lock(policy: &Path) -> Result<Option<String>, Failure> {
    let path = lock_path(policy);
    if path == policy {
        return Ok(None);
    }
    let failed = |error: &io::Error| Failure {
        kind: ErrorKind::InvalidPolicy,
        ..Failure::io("read the lock file", &path, error)
    };
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
        Ok(metadata) if !metadata.is_file() => {
            // A pipe without a writer would keep us waiting.
            let message = format!("the lock file {} is no regular file", path.display());
            return Err(Failure::new(ErrorKind::InvalidPolicy, message)
                .help("remove it and run `toolcell lock`"));
        }
        Ok(_) => {}
    }
    let limit = toolcell_policy::lock::MAX_LOCK_BYTES as u64;
    let text = files::read_text(&path, limit).map_err(|error| failed(&error))?;
    Ok(Some(text))
}

fn read_if_there(path: &Path) -> Result<Option<String>, Failure> {
    match fs::exists(path) {
        Ok(false) => Ok(None),
        Ok(true) => read(path).map(Some),
        Err(error) => Err(Failure::io("read the policy", path, &error)),
    }
}

/// The working directory.
pub(crate) fn working_directory() -> Result<PathBuf, Failure> {
    current_dir().map_err(|error| Failure::io("find", Path::new("."), &error))
}

/// The nearest `toolcell.toml`, from the working directory upwards.
pub(crate) fn nearest() -> Result<Option<PathBuf>, Failure> {
    let here = working_directory()?;
    let found = here
        .ancestors()
        .map(|dir| dir.join(dirs::POLICY_FILE))
        .find(|path| path.is_file());
    Ok(found)
}

/// The file of the project layer: the one that was named, which counts as trusted, or the nearest one if a person
/// trusted it.
fn project(options: &PolicyOptions, dirs: &Dirs) -> Result<Option<(PathBuf, Content)>, Failure> {
    if let Some(path) = &options.policy {
        return Ok(Some((path.clone(), read_content(path)?)));
    }
    let Some(path) = nearest()? else {
        return Ok(None);
    };
    let content = read_content(&path)?;
    let message = match Trusted::read(&dirs.trusted())?.check(&path, &content) {
        Trust::Trusted => return Ok(Some((path, content))),
        Trust::Changed if content.lock.is_some() => {
            "or its lock file changed since you trusted them"
        }
        Trust::Changed => "changed since you trusted it",
        Trust::Unknown => "is not trusted yet",
    };
    Err(Failure::new(
        ErrorKind::Untrusted,
        format!("the policy {} {message}", path.display()),
    )
    .help("look at it with `toolcell trust`, or name a policy with --policy FILE"))
}

/// The session's layer, made of `--limit NAME=VALUE`.
fn session(limits: &[String]) -> Result<Policy, Failure> {
    let mut toml = String::from("[default.limits]\n");
    for limit in limits {
        let wrong = |why: String| Failure::usage(format!("--limit {limit}: {why}"));
        let (key, value) = limit.split_once('=').ok_or_else(|| {
            wrong("there is no `=`".to_owned()).help("write for example `--limit time=5s`")
        })?;
        let info = Limits::info(key).ok_or_else(|| {
            let keys: Vec<&str> = Limits::CATALOGUE.iter().map(|info| info.key).collect();
            wrong(format!("there is no limit `{key}`"))
                .help(format!("the limits are {}", keys.join(", ")))
        })?;
        let number = info.unit == LimitUnit::Count && value.parse::<u64>().is_ok();
        // A JSON string is a TOML string as well.
        let value = if number {
            value.to_owned()
        } else {
            serde_json::Value::from(value).to_string()
        };
        let line = format!("{key} = {value}\n");
        Policy::parse(SESSION, &format!("[default.limits]\n{line}")).map_err(|problems| {
            let problem = problems.iter().next();
            let failure = wrong(problem.map_or(problems.to_string(), |it| it.message().to_owned()));
            Failure {
                help: problem.and_then(|it| it.help().map(str::to_owned)),
                ..failure
            }
        })?;
        toml.push_str(&line);
    }
    Policy::parse(SESSION, &toml)
        .map_err(|_| Failure::usage("--limit names one limit twice").help("give each limit once"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> (tempfile::TempDir, Dirs) {
        let dir = tempfile::tempdir().unwrap();
        let dirs = Dirs {
            state: dir.path().join("state"),
            cache: dir.path().join("cache"),
            config: dir.path().join("config"),
        };
        (dir, dirs)
    }

    fn options(policy: PathBuf, limits: &[&str]) -> PolicyOptions {
        PolicyOptions {
            policy: Some(policy),
            limits: limits.iter().map(ToString::to_string).collect(),
            audit: None,
        }
    }

    #[test]
    fn the_users_file_is_above_the_named_one_and_a_limit_below() {
        let (dir, dirs) = here();
        fs::create_dir(&dirs.config).unwrap();
        fs::write(dirs.user_policy(), "[default.limits]\ntime = \"9s\"\n").unwrap();
        let file = dir.path().join("my.toml");
        fs::write(&file, "[audit]\npath = \"log.jsonl\"\n").unwrap();
        let in_force = load(&options(file, &["time=2s", "requests=3"]), &dirs).unwrap();
        let layers: Vec<_> = in_force
            .layers
            .iter()
            .map(|(layer, it)| (layer, it.name().to_owned()))
            .collect();
        let layers: Vec<_> = layers
            .iter()
            .map(|(layer, name)| (*layer, name.as_str()))
            .collect();
        assert_eq!(
            layers,
            [
                (Layer::User, "user toolcell.toml"),
                (Layer::Project, "my.toml"),
                (Layer::Session, "--limit")
            ]
        );
        assert_eq!(in_force.audit, dir.path().join("log.jsonl"));
    }

    #[test]
    fn wrong_limits_are_told() {
        for (limit, says) in [
            ("time", "there is no `=`"),
            ("tme=3s", "there is no limit `tme`"),
            ("time=fast", "time"),
            ("requests=-1", "requests"),
        ] {
            let failure = session(&[limit.to_owned()]).unwrap_err();
            assert_eq!(failure.kind, ErrorKind::InvalidInput);
            assert!(failure.message.contains(says), "{}", failure.message);
        }
        let twice = ["time=3s".to_owned(), "time=4s".to_owned()];
        assert!(session(&twice).unwrap_err().message.contains("twice"));
    }

    #[test]
    fn diagnostics_show_the_path_and_rules_only_the_name() {
        let (dir, dirs) = here();
        let file = dir.path().join("broken.toml");
        fs::write(&file, "[tol.x]\n").unwrap();
        let failure = match load(&options(file.clone(), &[]), &dirs) {
            Ok(_) => panic!("broken"),
            Err(failure) => failure,
        };
        assert_eq!(failure.kind, ErrorKind::InvalidPolicy);
        assert_eq!(failure.problems[0].file(), file.display().to_string());
    }
}
