//! `package!`: tools become one component with its manifest.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Error, Ident, LitStr, Path, Result, Token, bracketed};

use crate::arguments::comma_separated;
use crate::names;
use crate::request::Request;

/// What Cargo knows about the crate under compilation.
pub(crate) struct Cargo {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) version: String,
}

pub(crate) fn expand(input: TokenStream, cargo: &Cargo) -> Result<TokenStream> {
    let Package {
        name,
        description,
        tools,
        request,
    } = Package::parse.parse2(input)?;
    let (name, span) = match name {
        Some(name) => (name.value(), name.span()),
        None => (cargo.name.clone(), Span::call_site()),
    };
    names::check(&name, span)?;
    let description = description.map_or_else(|| cargo.description.clone(), |text| text.value());
    if description.is_empty() {
        let what = "say what the package is for: `description = \"..\"` here or in Cargo.toml";
        return Err(Error::new(span, what));
    }
    if tools.is_empty() {
        return Err(Error::new(
            Span::call_site(),
            "a package offers at least one tool",
        ));
    }
    let version = &cargo.version;
    let request = request.map(|request| request.toml).unwrap_or_default();
    Ok(quote! {
        /// The manifest of this package as it travels inside the component, in TOML.
        pub const MANIFEST: &str = {
            const PACKAGE: ::toolcell_guest::manifest::Manifest =
                ::toolcell_guest::manifest::Manifest {
                    name: #name,
                    version: #version,
                    description: #description,
                    tools: &[#(&<#tools as ::toolcell_guest::Tool>::DEFINITION),*],
                    request: #request,
                };
            const TEXT: ::toolcell_guest::manifest::Text<{ PACKAGE.toml_length() }> = PACKAGE.toml();
            TEXT.as_str()
        };

        const _: () = {
            #[cfg(target_family = "wasm")]
            #[used]
            #[unsafe(link_section = "toolcell:manifest")]
            static SECTION: [u8; MANIFEST.len()] = ::toolcell_guest::manifest::bytes(MANIFEST);

            struct Package;

            impl ::toolcell_guest::__private::Guest for Package {
                fn call(
                    name: ::std::string::String,
                    input: ::std::string::String,
                ) -> ::toolcell_guest::__private::CallResult {
                    ::toolcell_guest::__private::dispatch(
                        &[#((
                            <#tools as ::toolcell_guest::Tool>::DEFINITION.name,
                            <#tools as ::toolcell_guest::Tool>::call,
                        )),*],
                        &name,
                        &input,
                    )
                }
            }

            ::toolcell_guest::__private::export!(
                Package with_types_in ::toolcell_guest::__private::bindings
            );
        };
    })
}

#[derive(Default)]
struct Package {
    name: Option<LitStr>,
    description: Option<LitStr>,
    tools: Vec<Path>,
    request: Option<Request>,
}

impl Parse for Package {
    /// Either the tools alone, `package!(greet)`, or fields, `package! { tools = [greet] }`.
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if !(input.peek(Ident) && input.peek2(Token![=])) {
            return Ok(Package {
                tools: comma_separated(input)?,
                ..Package::default()
            });
        }
        let mut package = Package::default();
        let mut seen = Vec::new();
        while !input.is_empty() {
            let field: Ident = input.parse()?;
            if seen.contains(&field) {
                return Err(Error::new(
                    field.span(),
                    format!("`{field}` is given twice"),
                ));
            }
            input.parse::<Token![=]>()?;
            match field.to_string().as_str() {
                "name" => package.name = Some(input.parse()?),
                "description" => package.description = Some(input.parse()?),
                "request" => package.request = Some(input.parse()?),
                "tools" => {
                    let content;
                    bracketed!(content in input);
                    package.tools = comma_separated(&content)?;
                }
                _ => {
                    let what = "expected `name`, `description`, `tools` or `request`";
                    return Err(Error::new(field.span(), what));
                }
            }
            seen.push(field);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(package)
    }
}
