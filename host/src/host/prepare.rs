//! Where the tools of a package run, and what is prepared for that.

use std::sync::Arc;

use toolcell_policy::{GrantSet, Isolation};

use super::Shared;
use crate::{
    Error, ErrorKind, Result,
    capability::files::FileRoots,
    confine::{ConfinementLevel, ConfinementReport},
    engine::{Engine, STACK, hex},
    package::Package,
    sandbox::{Executor, Prepared, check_imports},
    worker::{Crew, Pool},
};

/// Workers, where there are any, and what is expected of them.
pub(super) struct Isolating {
    pub(super) pool: Option<Arc<Pool>>,
    /// Where packages run whose policy says nothing. Absent: by where they come from.
    pub(super) default: Option<Isolation>,
    /// Nothing runs that is confined less.
    pub(super) required: Option<ConfinementLevel>,
}

impl Isolating {
    /// Where the calls of a package run.
    ///
    /// # Errors
    ///
    /// `unavailable` where the policy chooses the host's own process, and confinement is required.
    fn of(&self, grants: &GrantSet, builtin: bool) -> Result<Isolation> {
        let Some(required) = self.required else {
            let default = self.default.unwrap_or(match builtin {
                true => Isolation::Thread,
                false => Isolation::Process,
            });
            return Ok(grants.isolation().map_or(default, |(written, _)| written));
        };
        match grants.isolation() {
            Some((Isolation::Thread, rule)) => Err(Error::new(
                ErrorKind::Unavailable,
                format!(
                    "{rule}: the package `{}` would run in the host's own process, and the confinement `{required}` is required",
                    grants.package()
                ),
            )
            .with_help("Write `isolation = \"process\"`, or require no confinement.")),
            _ => Ok(Isolation::Process),
        }
    }

    /// Where a program runs, for which `asked` was asked.
    ///
    /// # Errors
    ///
    /// As [`of`](Self::of).
    pub(super) fn of_program(&self, asked: Option<Isolation>) -> Result<Isolation> {
        match (self.required, asked) {
            (None, asked) => Ok(asked.or(self.default).unwrap_or(Isolation::Process)),
            (Some(required), Some(Isolation::Thread)) => Err(Error::new(
                ErrorKind::Unavailable,
                format!(
                    "the program would run in the host's own process, and the confinement `{required}` is required"
                ),
            )),
            (Some(_), _) => Ok(Isolation::Process),
        }
    }

    /// The workers.
    ///
    /// # Errors
    ///
    /// `unavailable` where this host can start none.
    pub(super) fn pool(&self, name: &str) -> Result<&Arc<Pool>> {
        self.pool.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                format!("`{name}` runs in a process of its own, and this host can start no workers"),
            )
            .with_help(format!(
                "Call `toolcell::worker::run_if_worker()` first in `main`, or name a worker program with \
                 `ToolHostBuilder::workers`. Or write `isolation = \"thread\"` under `[tool.{name}]`: then it runs in the \
                 host's own process, behind the WebAssembly sandbox alone."
            ))
        })
    }

    /// Whether a worker is confined as far as it has to be.
    ///
    /// # Errors
    ///
    /// `unavailable` where it is not.
    pub(super) fn check(&self, name: &str, report: &ConfinementReport) -> Result<()> {
        let Some(required) = self.required.filter(|level| report.level() < *level) else {
            return Ok(());
        };
        let level = report.level();
        let message = format!(
            "`{name}` would run in a worker whose confinement is `{level}`, and `{required}` is required"
        );
        let missing = missing(report).join("; ");
        Err(
            Error::new(ErrorKind::Unavailable, message).with_help(format!(
                "This system does not offer: {missing}. Use one that does, or require less."
            )),
        )
    }
}

/// What a worker could not be confined by, and why.
pub(super) fn missing(report: &ConfinementReport) -> Vec<String> {
    let steps = report.steps();
    let missing = steps.iter().filter_map(|(name, step)| match step {
        crate::confine::Step::Reached => None,
        crate::confine::Step::Missing(why) => Some(format!("{name}: {why}")),
    });
    missing.collect()
}

impl Shared {
    /// Prepares the tools of a package that was granted something, all of them together: limits and grants are the same
    /// for all.
    pub(super) fn executor(
        &self,
        package: &Package,
        roots: &FileRoots,
    ) -> Result<Arc<dyn Executor>> {
        let grants = roots.grants();
        let builtin = is_builtin(package);
        let limits = grants.limits();
        let count_fuel = limits.fuel.is_some();
        match self.isolating.of(grants, builtin)? {
            Isolation::Thread => {
                let engine = &self.engines.with_stack(count_fuel, limits.stack)?;
                let component = match &self.isolating.pool {
                    Some(pool) if !builtin => {
                        engine.load(&compiled(engine, pool, package, count_fuel)?)?
                    }
                    _ => engine.compile(package.bytes(), package.sha256())?,
                };
                Ok(Arc::new(Prepared::new(engine, &component)?))
            }
            Isolation::Process => {
                let pool = self.isolating.pool(grants.package())?;
                // A worker has the stack of its tool; what is compiled does not depend on it.
                let engine = &self.engines.with_stack(count_fuel, STACK)?;
                let compiled = compiled(engine, pool, package, count_fuel)?;
                let crew = Crew::of_tools(pool, roots, &compiled, count_fuel)?;
                self.isolating.check(grants.package(), crew.report())?;
                self.recording
                    .workers(grants.package(), &hex(package.sha256()), crew.report())?;
                Ok(Arc::new(crew))
            }
        }
    }
}

impl Shared {
    /// Compiles a package for tools that count no fuel, which most are.
    pub(super) fn compile(&self, package: &Package) -> Result<()> {
        let engine = self.engines.fast();
        if let Some(imports_only) = package.imports_only() {
            check_imports(engine, imports_only)?;
        }
        let pool = self.isolating.pool(&package.manifest().name)?;
        compiled(engine, pool, package, false).map(drop)
    }
}

/// What a component is compiled to: from the cache, or by a worker.
pub(super) fn compiled(
    engine: &Engine,
    pool: &Pool,
    package: &Package,
    count_fuel: bool,
) -> Result<Vec<u8>> {
    if let Some(kept) = engine.kept(package.sha256()) {
        return Ok(kept);
    }
    let compiled = pool.compile(package.bytes(), count_fuel)?;
    engine.keep(package.sha256(), compiled.clone());
    Ok(compiled)
}

/// Whether it is one of the packages inside this library, wherever its bytes were read.
fn is_builtin(package: &Package) -> bool {
    crate::builtins().any(|(_, bytes)| bytes == package.bytes())
}
