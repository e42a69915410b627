//! The macros of `toolcell-guest`. Use them through that crate, which documents them with examples.

mod arguments;
mod data;
mod docs;
mod names;
mod package;
mod request;
mod tool;

#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

/// Makes a function a tool. See `toolcell_guest::tool`.
#[proc_macro_attribute]
pub fn tool(attribute: TokenStream, item: TokenStream) -> TokenStream {
    or_error(tool::expand(attribute.into(), item.into()))
}

/// Lets a struct or an enum travel as JSON. See `toolcell_guest::data`.
#[proc_macro_attribute]
pub fn data(attribute: TokenStream, item: TokenStream) -> TokenStream {
    or_error(data::expand(attribute.into(), item.into()))
}

/// Puts tools together to a package. See `toolcell_guest::package`.
#[proc_macro]
pub fn package(input: TokenStream) -> TokenStream {
    let cargo = package::Cargo {
        name: std::env::var("CARGO_PKG_NAME").unwrap_or_default(),
        description: std::env::var("CARGO_PKG_DESCRIPTION").unwrap_or_default(),
        version: std::env::var("CARGO_PKG_VERSION").unwrap_or_default(),
    };
    or_error(package::expand(input.into(), &cargo))
}

fn or_error(expanded: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expanded
        .unwrap_or_else(|error| error.into_compile_error())
        .into()
}
