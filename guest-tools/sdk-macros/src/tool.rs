//! `#[tool]`: a function becomes a tool.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::Parser;
use syn::{Error, FnArg, Ident, ItemFn, Pat, Result, ReturnType, Signature, Type};

use crate::arguments::{Argument, comma_separated};
use crate::{docs, names};

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let annotations = Annotations::parse.parse2(attribute)?;
    let mut function: ItemFn = syn::parse2(item).map_err(|error| {
        Error::new(
            error.span(),
            "#[tool] goes on a function; its arguments are the tool's input",
        )
    })?;
    check_signature(&function.sig)?;
    let name = names::kebab(&function.sig.ident);
    names::check(&name, function.sig.ident.span())?;
    let description = docs::text(&function.attrs)?;
    if description.is_empty() {
        let what = "a model chooses a tool by its description: \
                    write a doc comment that says what the tool does and what it answers";
        return Err(Error::new(function.sig.ident.span(), what));
    }
    let arguments = take_arguments(&mut function)?;
    let definition = definition(&name, &description, &arguments, &annotations, &function.sig);
    let call = call(&arguments, &function.sig.ident);
    let (visibility, ident) = (&function.vis, &function.sig.ident);
    Ok(quote! {
        #[allow(clippy::too_many_arguments, reason = "callers name them: they are a JSON object")]
        #function

        // A type with the name of the function, so that `package!` can find the definition.
        #[doc(hidden)]
        #[allow(non_camel_case_types, reason = "named after the function it stands for")]
        #visibility struct #ident {}

        impl ::toolcell_guest::Tool for #ident {
            #definition
            #call
        }
    })
}

/// What the author says about a tool's effects: `#[tool(read_only, idempotent)]`.
#[derive(Default)]
struct Annotations {
    read_only: bool,
    idempotent: bool,
    open_world: bool,
    destructive: bool,
}

impl Annotations {
    fn parse(input: syn::parse::ParseStream<'_>) -> Result<Self> {
        let mut annotations = Annotations::default();
        for word in comma_separated::<Ident>(input)? {
            let flag = match word.to_string().as_str() {
                "read_only" => &mut annotations.read_only,
                "idempotent" => &mut annotations.idempotent,
                "open_world" => &mut annotations.open_world,
                "destructive" => &mut annotations.destructive,
                _ => {
                    let what = "expected `read_only`, `idempotent`, `open_world` or `destructive`";
                    return Err(Error::new(word.span(), what));
                }
            };
            if std::mem::replace(flag, true) {
                return Err(Error::new(word.span(), format!("`{word}` is said twice")));
            }
        }
        if annotations.read_only && annotations.destructive {
            let what = "a tool cannot be `read_only` and `destructive`";
            return Err(Error::new(proc_macro2::Span::call_site(), what));
        }
        Ok(annotations)
    }
}

fn check_signature(signature: &Signature) -> Result<()> {
    if let Some(word) = &signature.asyncness {
        return Err(Error::new_spanned(
            word,
            "a tool is a plain function: remove `async`",
        ));
    }
    if !signature.generics.params.is_empty() {
        let what = "a tool has one input schema, so it cannot be generic";
        return Err(Error::new_spanned(&signature.generics, what));
    }
    if matches!(signature.output, ReturnType::Default) {
        let what = "a tool answers something: return `String`, `Json<T>`, `Vec<Content>` \
                    or a `Result` of one of them";
        return Err(Error::new_spanned(&signature.ident, what));
    }
    Ok(())
}

/// Reads the arguments and takes from the function what only `#[tool]` understands.
fn take_arguments(function: &mut ItemFn) -> Result<Vec<Argument>> {
    let mut arguments = Vec::new();
    for input in &mut function.sig.inputs {
        let FnArg::Typed(typed) = input else {
            let what = "a tool is a free function: it has no `self`";
            return Err(Error::new_spanned(input, what));
        };
        let Pat::Ident(pattern) = typed.pat.as_ref() else {
            let what = "an argument needs a plain name: it is the name in the input schema";
            return Err(Error::new_spanned(&typed.pat, what));
        };
        if let Type::Reference(reference) = typed.ty.as_ref() {
            let what = "arguments are owned: write `String` for `&str`, `Vec<T>` for `&[T]`";
            return Err(Error::new_spanned(reference, what));
        }
        let (name, kind) = (pattern.ident.clone(), typed.ty.as_ref().clone());
        arguments.push(Argument::new(name, kind, &typed.attrs)?);
        typed
            .attrs
            .retain(|a| !Argument::owns(a) && !a.path().is_ident("doc"));
    }
    Ok(arguments)
}

fn definition(
    name: &str,
    description: &str,
    arguments: &[Argument],
    annotations: &Annotations,
    signature: &Signature,
) -> TokenStream {
    let properties = arguments.iter().map(Argument::property);
    let Annotations {
        read_only,
        idempotent,
        open_world,
        destructive,
    } = annotations;
    let answer = match &signature.output {
        ReturnType::Type(_, kind) => quote!(#kind),
        ReturnType::Default => quote!(()),
    };
    quote! {
        const DEFINITION: ::toolcell_guest::manifest::Definition =
            ::toolcell_guest::manifest::Definition {
                name: #name,
                description: #description,
                input: ::toolcell_guest::schema::Schema::Object(&[#(#properties),*]),
                output: <#answer as ::toolcell_guest::Answer>::SCHEMA,
                annotations: ::toolcell_guest::manifest::Annotations {
                    read_only: #read_only,
                    idempotent: #idempotent,
                    open_world: #open_world,
                    destructive: #destructive,
                },
            };
    }
}

fn call(arguments: &[Argument], function: &Ident) -> TokenStream {
    let names: Vec<_> = arguments.iter().map(|argument| &argument.name).collect();
    let kinds = arguments.iter().map(|argument| &argument.kind);
    let (attributes, defaults): (Vec<_>, Vec<_>) = arguments
        .iter()
        .map(|argument| argument.serde_default(function))
        .unzip();
    quote! {
        fn call(
            input: &str,
        ) -> ::core::result::Result<
            ::std::vec::Vec<::toolcell_guest::Content>,
            ::toolcell_guest::Error,
        > {
            #(#defaults)*
            #[derive(::toolcell_guest::__private::serde::Deserialize)]
            #[serde(crate = "::toolcell_guest::__private::serde", deny_unknown_fields)]
            struct Input { #(#attributes #names: #kinds,)* }
            let Input { #(#names),* } = ::toolcell_guest::__private::parse(input)?;
            ::toolcell_guest::Answer::answer(#function(#(#names),*))
        }
    }
}
