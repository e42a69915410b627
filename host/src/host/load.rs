//! From a package to tools that can be called. Everything that can be prepared is prepared here, once: compiling,
//! linking, schemas, the decision of the policy, opening granted directories.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use toolcell_policy::{
    Decision, GrantSet, LockedPackage, Manifest, Origin, Problem, Rule, ToolDefinition, decide,
};

use super::{
    Shared,
    pinned::{check, parse_pinned},
};
use crate::{
    Error, ErrorKind, Result,
    admission::Bounds,
    capability::files::FileRoots,
    engine::hex,
    package::{Package, load},
    registry::{Access, PackageInfo, Tool},
    sandbox::{Executor, check_imports},
    schema::Schema,
};

/// Where a package's bytes come from.
pub(super) enum Source {
    File(PathBuf),
    Bytes { name: String, bytes: Arc<[u8]> },
}

impl Shared {
    /// Loads one package and registers its tools. It computes, and must not run on an async thread.
    pub(super) fn load(&self, source: Source, replace: bool) -> Result<Vec<String>> {
        let max_bytes = self.engines.options().max_component_bytes;
        let (package, origin) = match source {
            Source::File(path) => {
                let bytes = load::read_file(&path, max_bytes)?;
                let package = self.parse_unnamed(&load::stem(&path), bytes.into());
                let package = package.map_err(|error| error.at(path.display()))?;
                (package, path.display().to_string())
            }
            Source::Bytes { name, bytes } => {
                load::check_size(bytes.len(), max_bytes)?;
                let package = self.parse_unnamed(&name, bytes)?;
                (package, format!("bytes named {name}"))
            }
        };
        self.check_origin(&package, &origin)?;
        self.register(&package, origin, replace)
    }

    /// A package says itself what it is called. Where the policy says where a package of that name comes from, its
    /// grants are for that one, and not for whatever else takes the name.
    fn check_origin(&self, package: &Package, from: &str) -> Result<()> {
        let name = &package.manifest().name;
        let Some((origin, base, rule)) = self.layers.origin(name) else {
            return Ok(());
        };
        if self.read(origin, base, rule, &[])?.sha256() == package.sha256() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidManifest,
            format!("{rule}: the package `{name}` comes from `{origin}`, and {from} is another one with that name"),
        )
        .with_help("Rename it in its manifest, or let the policy name where it comes from."))
    }

    /// Reads a package from where the policy says, if it is what the pins say.
    fn read(
        &self,
        origin: &Origin,
        base: Option<&str>,
        rule: &Rule,
        pins: &[&LockedPackage],
    ) -> Result<Package> {
        let max_bytes = self.engines.options().max_component_bytes;
        match origin {
            Origin::Builtin(name) => builtin(name).map_err(|error| error.at(rule)),
            Origin::Path(path) => {
                let path = self.absolute(path, base).map_err(|error| error.at(rule))?;
                let bytes = load::read_file(&path, max_bytes).map_err(|error| error.at(rule))?;
                let stem = load::stem(&path);
                parse_pinned(&stem, bytes.into(), pins)
                    .map_err(|error| error.at(path.display()).at(rule))
            }
            other => {
                let message = format!("{rule}: packages from `{other}` cannot be loaded");
                Err(Error::new(ErrorKind::InvalidPolicy, message))
            }
        }
    }

    /// Loads every package that the policy names an origin for. All problems are reported together.
    pub(super) fn load_policy(&self) -> Result<Vec<String>> {
        let mut loaded = Vec::new();
        let mut problems: Vec<Error> = Vec::new();
        for package in self.layers.packages() {
            match self.load_listed(package) {
                Ok(names) => loaded.extend(names),
                Err(error) => problems.push(error),
            }
        }
        if problems.len() < 2 {
            return problems.pop().map_or(Ok(loaded), Err);
        }
        let kind = problems.first().map_or(ErrorKind::Internal, Error::kind);
        let messages: Vec<&str> = problems.iter().map(Error::message).collect();
        let all = Error::new(kind, messages.join("\n"));
        let help: Vec<&str> = problems.iter().filter_map(Error::help).collect();
        Err(if help.is_empty() {
            all
        } else {
            all.with_help(help.join("\n"))
        })
    }

    /// Loads one package that the policy lists; nothing where the policy names no origin.
    fn load_listed(&self, listed: &str) -> Result<Vec<String>> {
        let Some((origin, base, rule)) = self.layers.origin(listed) else {
            return Ok(Vec::new());
        };
        let inside = matches!(origin, Origin::Builtin(_));
        let pins = self.pins(listed, inside)?;
        let package = self.read(origin, base, rule, &pins)?;
        let name = &package.manifest().name;
        if name != listed {
            return Err(Error::new(
                ErrorKind::InvalidPolicy,
                format!("{rule}: the package from `{origin}` is called `{name}`, so nothing here would hold for it"),
            )
            .with_help(format!("Write `[tool.{name}]`.")));
        }
        check(&package, &pins).map_err(|error| error.at(rule))?;
        self.register(&package, origin.to_string(), false)
            .map_err(|error| error.at(rule))
    }

    fn register(&self, package: &Package, origin: String, replace: bool) -> Result<Vec<String>> {
        let manifest = package.manifest();
        self.refuse_unknown_tools(manifest)?;
        let info = Arc::new(PackageInfo {
            name: manifest.name.clone(),
            digest: hex(package.sha256()),
            origin,
        });
        if let Some(imports_only) = package.imports_only() {
            check_imports(self.engines.fast(), imports_only)?;
        }
        let mut executor = None;
        let tools = manifest
            .tools
            .iter()
            .map(|definition| self.prepare(definition, package, &info, &mut executor))
            .collect::<Result<Vec<Tool>>>()?;
        let names = tools.iter().map(|tool| tool.public_name.clone()).collect();
        self.registry.add(&manifest.name, tools, replace)?;
        Ok(names)
    }

    /// A misspelt name in `approve` would let the tool that was meant run unasked.
    fn refuse_unknown_tools(&self, manifest: &Manifest) -> Result<()> {
        refuse(&self.layers.unknown_tools(manifest))
    }

    fn prepare(
        &self,
        definition: &ToolDefinition,
        package: &Package,
        info: &Arc<PackageInfo>,
        shared: &mut Option<Arc<dyn Executor>>,
    ) -> Result<Tool> {
        let manifest = package.manifest();
        let schema = |what: &str, schema| {
            Schema::compile(schema).map_err(|why| {
                Error::new(
                    ErrorKind::InvalidManifest,
                    format!(
                        "the {what} schema of the tool `{}` of the package `{}` is wrong: {why}",
                        definition.name, manifest.name
                    ),
                )
            })
        };
        let decision = decide(&self.layers, manifest, &definition.name);
        let limits = decision
            .grants()
            .map(GrantSet::limits)
            .cloned()
            .unwrap_or_default();
        Ok(Tool {
            public_name: manifest.public_name(definition),
            input: schema("input", &definition.input)?,
            output: definition
                .output
                .as_ref()
                .map(|it| schema("output", it))
                .transpose()?,
            shape: package.shape(&definition.name),
            bounds: Bounds::of_tool(&limits),
            definition: definition.clone(),
            package: Arc::clone(info),
            access: self.access(decision, package, shared)?,
        })
    }

    /// Keeps a decision, with the granted directories opened, and with what the package's tools run on.
    fn access(
        &self,
        decision: Decision,
        package: &Package,
        shared: &mut Option<Arc<dyn Executor>>,
    ) -> Result<Access> {
        let (grants, ask) = match decision {
            Decision::Deny(rule) => return Ok(Access::Denied(rule)),
            Decision::Allow(grants) => (grants, None),
            Decision::Ask(grants, rule) => (grants, Some(rule)),
        };
        let roots = Arc::new(self.open(&grants)?);
        let listed = self
            .layers
            .iter()
            .find_map(|(_, policy)| policy.tool(grants.package()));
        let listed = listed.map_or_else(
            || "default: a package that no policy lists runs with nothing granted".to_owned(),
            |tool| tool.rule().to_string(),
        );
        let executor = match shared {
            Some(executor) => Arc::clone(executor),
            None => Arc::clone(shared.insert(self.executor(package, &roots)?)),
        };
        Ok(Access::Granted {
            roots,
            executor,
            listed,
            ask,
        })
    }

    /// Opens the granted directories.
    pub(super) fn open(&self, grants: &GrantSet) -> Result<FileRoots> {
        for grant in grants.files() {
            self.absolute(&grant.host, grant.base.as_deref())
                .map_err(|error| error.at(&grant.rule))?;
        }
        let base = self.base_dir.as_deref().unwrap_or(Path::new(""));
        FileRoots::open(grants, base, &self.roots)
    }

    /// A path of a policy, from the directory that it is meant from.
    fn absolute(&self, path: &str, base: Option<&str>) -> Result<PathBuf> {
        absolute(self.base_dir.as_deref(), path, base)
    }
}

/// A file of rules that a policy names. Of one that is longer than it may be, a byte more is read than that.
pub(super) fn read_rules(path: &Path, most: usize) -> io::Result<String> {
    // Anything else could keep us waiting.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut text = String::new();
    let most = (most as u64).saturating_add(1);
    fs::File::open(path)?.take(most).read_to_string(&mut text)?;
    Ok(text)
}

/// A path of a policy, from the directory that it is meant from; `outer` is where a relative one of those starts.
pub(super) fn absolute(outer: Option<&Path>, path: &str, base: Option<&str>) -> Result<PathBuf> {
    let absolute = outer
        .into_iter()
        .chain(base.map(Path::new))
        .fold(PathBuf::new(), |all, part| all.join(part))
        .join(path);
    if absolute.is_absolute() {
        return Ok(absolute);
    }
    Err(Error::new(
        ErrorKind::InvalidPolicy,
        format!("`{path}` is a relative path, and no directory is known that it starts from"),
    )
    .with_help(
        "Write an absolute path, or tell `Policy::with_base` or `ToolHostBuilder::base_dir`.",
    ))
}

/// Fails with everything that is wrong in policies.
pub(super) fn refuse(problems: &[Problem]) -> Result<()> {
    let Some(first) = problems.first() else {
        return Ok(());
    };
    let help = first.help().unwrap_or_default().to_owned();
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| format!("{}:{}: {problem}", problem.file(), problem.line()))
        .collect();
    Err(Error::new(ErrorKind::InvalidPolicy, lines.join("\n")).with_help(help))
}

fn builtin(name: &str) -> Result<Package> {
    let Some(bytes) = crate::builtin(name) else {
        let known: Vec<&str> = crate::builtins().map(|(name, _)| name).collect();
        let known = if known.is_empty() {
            "none: this build has no built-in tools".to_owned()
        } else {
            known.join(", ")
        };
        return Err(Error::new(
            ErrorKind::InvalidPolicy,
            format!("there is no built-in package `{name}`; there are {known}"),
        ));
    };
    Package::parse(name, bytes)
}
