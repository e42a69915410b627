//! The catalog in force: the embedded one, under that of the operator.

use std::path::{Path, PathBuf};

use toolcell::ErrorKind;
use toolcell_agent::Catalog;
use toolcell_policy::ModelSettings;

use crate::{args::CatalogOptions, failure::Failure, files};

/// The longest catalog that is read, in bytes.
const MAX_CATALOG_BYTES: u64 = 4 << 20;

/// The catalog of the flag or the variable, else that of the policy, over the embedded one.
///
/// # Errors
/// A file that cannot be read or is no catalog.
pub(crate) fn catalog(
    options: &CatalogOptions,
    settings: &ModelSettings,
) -> Result<Catalog, Failure> {
    let embedded = Catalog::embedded();
    if let Some(path) = &options.catalog {
        return Ok(read(path)?.over(embedded));
    }
    let Some(written) = &settings.catalog else {
        return Ok(embedded);
    };
    let base = settings.base.as_deref().unwrap_or(".");
    let path: PathBuf = Path::new(base).join(written);
    let rule = settings.rule.as_ref().map(ToString::to_string);
    let own = read(&path).map_err(|failure| Failure { rule, ..failure })?;
    Ok(own.over(embedded))
}

fn read(path: &Path) -> Result<Catalog, Failure> {
    let text = files::read_text(path, MAX_CATALOG_BYTES)
        .map_err(|error| Failure::io("read the catalog", path, &error))?;
    Catalog::from_json(&text).map_err(|why| {
        let message = format!("{} is no catalog of models: {why}", path.display());
        Failure::new(ErrorKind::InvalidInput, message).help(
            "docs/models.md shows the form; `toolcell models list --json` prints the embedded one",
        )
    })
}
