//! The arguments of a tool and the fields of a data type: what both have in common.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::parse::Parse;
use syn::{Attribute, Expr, ExprLit, Ident, Lit, Result, Token, Type};

use crate::docs;

/// One named value of an input.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    pub(crate) kind: Type,
    description: String,
    default: Option<Expr>,
    min: Option<Expr>,
    max: Option<Expr>,
    pattern: Option<Expr>,
    max_length: Option<Expr>,
    max_items: Option<Expr>,
}

impl Argument {
    /// Reads the doc comment and `#[arg(default = .., min = .., max = ..)]` with its like.
    pub(crate) fn new(name: Ident, kind: Type, attributes: &[Attribute]) -> Result<Self> {
        let description = docs::text(attributes)?;
        let mut argument = Argument {
            name,
            kind,
            description,
            default: None,
            min: None,
            max: None,
            pattern: None,
            max_length: None,
            max_items: None,
        };
        for attribute in attributes.iter().filter(|a| a.path().is_ident("arg")) {
            attribute.parse_nested_meta(|meta| {
                let slot = match meta.path.get_ident().map(Ident::to_string).as_deref() {
                    Some("default") => &mut argument.default,
                    Some("min") => &mut argument.min,
                    Some("max") => &mut argument.max,
                    Some("pattern") => &mut argument.pattern,
                    Some("max_length") => &mut argument.max_length,
                    Some("max_items") => &mut argument.max_items,
                    _ => {
                        let what = "expected `default`, `min`, `max`, `pattern`, `max_length` \
                                    or `max_items`";
                        return Err(meta.error(what));
                    }
                };
                *slot = Some(Expr::parse(meta.value()?)?);
                Ok(())
            })?;
        }
        Ok(argument)
    }

    /// Whether an attribute is ours, so that it must not stay in the program.
    pub(crate) fn owns(attribute: &Attribute) -> bool {
        attribute.path().is_ident("arg")
    }

    /// The entry of this argument among the properties of a schema.
    pub(crate) fn property(&self) -> TokenStream {
        let Argument {
            kind, description, ..
        } = self;
        let name = plain(&self.name);
        let default = optional(self.default.as_ref().map(literal));
        let number = |bound: &Option<Expr>| {
            let bound = bound.as_ref();
            optional(bound.map(|bound| quote!((#bound) as i64)))
        };
        let (min, max) = (number(&self.min), number(&self.max));
        let pattern = optional(self.pattern.as_ref().map(|pattern| quote!(#pattern)));
        let (max_length, max_items) = (number(&self.max_length), number(&self.max_items));
        let has_default = self.default.is_some();
        quote! {
            ::toolcell_guest::schema::Property {
                name: #name,
                description: #description,
                required: <#kind as ::toolcell_guest::Data>::REQUIRED && !#has_default,
                schema: &<#kind as ::toolcell_guest::Data>::SCHEMA,
                default: #default,
                min: #min,
                max: #max,
                pattern: #pattern,
                max_length: #max_length,
                max_items: #max_items,
            }
        }
    }

    /// The serde attribute that fills in the default, and the function it names.
    pub(crate) fn serde_default(&self, owner: &Ident) -> (TokenStream, TokenStream) {
        let Some(default) = &self.default else {
            return (quote!(), quote!());
        };
        let kind = &self.kind;
        let function = format_ident!("__default_{}_{}", plain(owner), plain(&self.name));
        let path = function.to_string();
        let value = match default {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) => quote!(#text.into()),
            other => quote!(#other),
        };
        let define = quote! {
            #[doc(hidden)]
            #[allow(non_snake_case, reason = "named after the type it belongs to")]
            fn #function() -> #kind { #value }
        };
        (quote!(#[serde(default = #path)]), define)
    }
}

/// A name without the `r#` that a keyword needs in Rust alone.
pub(crate) fn plain(ident: &Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").unwrap_or(&name).to_owned()
}

fn optional(value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

/// A default as the schema shows it. A path is taken for a constant number.
fn literal(value: &Expr) -> TokenStream {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => {
            quote!(::toolcell_guest::schema::Literal::Text(#text))
        }
        Expr::Lit(ExprLit {
            lit: Lit::Bool(flag),
            ..
        }) => {
            quote!(::toolcell_guest::schema::Literal::Flag(#flag))
        }
        number => quote!(::toolcell_guest::schema::Literal::Number((#number) as i64)),
    }
}

/// `a, b, c` with an optional comma at the end.
pub(crate) fn comma_separated<T: Parse>(input: syn::parse::ParseStream<'_>) -> Result<Vec<T>> {
    let list = syn::punctuated::Punctuated::<T, Token![,]>::parse_terminated(input)?;
    Ok(list.into_iter().collect())
}
