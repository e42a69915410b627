//! The import `secrets`: whether a credential is there, and nothing more.

use wasmtime::component::{HasData, Linker};

use super::bindings::toolcell::tool::secrets::{self, Host};

/// The names of the credentials that were granted to the package and have a value.
pub(crate) struct SecretsState {
    names: Vec<String>,
}

impl SecretsState {
    /// What a call holds.
    pub(crate) fn new(names: Vec<String>) -> Self {
        Self { names }
    }
}

impl Host for SecretsState {
    fn exists(&mut self, name: String) -> wasmtime::Result<bool> {
        Ok(self.names.contains(&name))
    }
}

struct Secrets;

impl HasData for Secrets {
    type Data<'a> = &'a mut SecretsState;
}

/// Offers `toolcell:tool/secrets`.
///
/// # Errors
///
/// When the linker has it already.
pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    get: fn(&mut T) -> &mut SecretsState,
) -> wasmtime::Result<()> {
    secrets::add_to_linker::<T, Secrets>(linker, get)
}
