//! `#[data]`: a struct or an enum that travels as JSON.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Error, Fields, Ident, Item, ItemEnum, ItemStruct, LitStr, Result};

use crate::arguments::Argument;
use crate::{docs, names};

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !attribute.is_empty() {
        return Err(Error::new_spanned(attribute, "#[data] takes no arguments"));
    }
    match syn::parse2(item)? {
        Item::Struct(item) => expand_struct(item),
        Item::Enum(item) => expand_enum(item),
        other => Err(Error::new_spanned(
            other,
            "#[data] goes on a struct or an enum",
        )),
    }
}

fn expand_struct(mut item: ItemStruct) -> Result<TokenStream> {
    check_generics(&item.generics, &item.ident)?;
    let Fields::Named(fields) = &mut item.fields else {
        let what = "a data struct has named fields: their names are those in the schema";
        return Err(Error::new_spanned(&item.ident, what));
    };
    let (mut properties, mut defaults) = (Vec::new(), Vec::new());
    for field in &mut fields.named {
        let Some(name) = field.ident.clone() else {
            continue;
        };
        let argument = Argument::new(name, field.ty.clone(), &field.attrs)?;
        let (attribute, default) = argument.serde_default(&item.ident);
        field.attrs.retain(|a| !Argument::owns(a));
        if !attribute.is_empty() {
            field.attrs.push(syn::parse_quote!(#attribute));
        }
        let absent = quote!(#[serde(skip_serializing_if = "::toolcell_guest::Data::is_absent")]);
        field.attrs.push(syn::parse_quote!(#absent));
        properties.push(argument.property());
        defaults.push(default);
    }
    let schema = quote!(::toolcell_guest::schema::Schema::Object(&[#(#properties),*]));
    let implement = implement(&item.ident, &schema);
    Ok(quote! {
        #[derive(
            ::toolcell_guest::__private::serde::Serialize,
            ::toolcell_guest::__private::serde::Deserialize,
        )]
        #[serde(crate = "::toolcell_guest::__private::serde", deny_unknown_fields)]
        #item
        #(#defaults)*
        #implement
    })
}

fn expand_enum(item: ItemEnum) -> Result<TokenStream> {
    check_generics(&item.generics, &item.ident)?;
    let mut choices = Vec::new();
    for variant in &item.variants {
        if !matches!(variant.fields, Fields::Unit) {
            let what = "a data enum is a choice between words: its variants hold nothing";
            return Err(Error::new_spanned(variant, what));
        }
        let name = match renamed(&variant.attrs)? {
            Some(name) => name,
            None => names::kebab(&variant.ident),
        };
        let description = docs::text(&variant.attrs)?;
        choices.push(quote! {
            ::toolcell_guest::schema::Choice { name: #name, description: #description }
        });
    }
    let schema = quote!(::toolcell_guest::schema::Schema::Choice(&[#(#choices),*]));
    let implement = implement(&item.ident, &schema);
    Ok(quote! {
        #[derive(
            ::toolcell_guest::__private::serde::Serialize,
            ::toolcell_guest::__private::serde::Deserialize,
        )]
        #[serde(crate = "::toolcell_guest::__private::serde", rename_all = "kebab-case")]
        #item
        #implement
    })
}

/// The word that `#[serde(rename = "..")]` puts in place of a variant's own.
fn renamed(attributes: &[Attribute]) -> Result<Option<String>> {
    let mut name = None;
    for attribute in attributes.iter().filter(|a| a.path().is_ident("serde")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("rename") {
                let what =
                    "of serde, only `rename` is understood here: the schema has to say the same";
                return Err(meta.error(what));
            }
            name = Some(meta.value()?.parse::<LitStr>()?.value());
            Ok(())
        })?;
    }
    Ok(name)
}

fn check_generics(generics: &syn::Generics, ident: &Ident) -> Result<()> {
    if generics.params.is_empty() {
        return Ok(());
    }
    Err(Error::new_spanned(
        ident,
        "a data type has one schema, so it cannot be generic",
    ))
}

fn implement(ident: &Ident, schema: &TokenStream) -> TokenStream {
    quote! {
        impl ::toolcell_guest::Data for #ident {
            const SCHEMA: ::toolcell_guest::schema::Schema = #schema;
        }
    }
}
