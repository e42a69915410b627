//! `request = { .. }`: what a package would like to be granted, written as in a manifest.

use proc_macro2::Span;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, Lit, LitStr, Result, Token, braced, bracketed};

const KINDS: [&str; 5] = ["calls", "env", "files", "net", "secrets"];

/// The tables below `[request]`, as TOML lines.
pub(crate) struct Request {
    pub(crate) toml: String,
}

impl Parse for Request {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let table: Table = input.parse()?;
        let mut toml = String::new();
        for Pair { key, span, value } in &table.pairs {
            if !KINDS.contains(&key.as_str()) {
                let what = format!("nothing called `{key}` can be requested; {}", nearest());
                return Err(Error::new(*span, what));
            }
            if !matches!(value, Value::List(_)) {
                let what = format!("`{key}` is a list: write `{key} = [{{ .. }}]`");
                return Err(Error::new(*span, what));
            }
            toml.push_str(&format!("{key} = {}\n", value.toml()));
        }
        Ok(Request { toml })
    }
}

fn nearest() -> String {
    format!("there are `{}`", KINDS.join("`, `"))
}

enum Value {
    Text(String),
    Flag(bool),
    Number(String),
    List(Vec<Value>),
    Table(Table),
}

struct Table {
    pairs: Vec<Pair>,
}

struct Pair {
    key: String,
    span: Span,
    value: Value,
}

impl Parse for Table {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let content;
        braced!(content in input);
        let pairs = Punctuated::<Pair, Token![,]>::parse_terminated(&content)?;
        Ok(Table {
            pairs: pairs.into_iter().collect(),
        })
    }
}

impl Parse for Pair {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let (key, span) = if input.peek(LitStr) {
            let key: LitStr = input.parse()?;
            (key.value(), key.span())
        } else {
            let key: Ident = input.parse()?;
            (key.to_string(), key.span())
        };
        input.parse::<Token![=]>()?;
        Ok(Pair {
            key,
            span,
            value: input.parse()?,
        })
    }
}

impl Parse for Value {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(syn::token::Brace) {
            return Ok(Value::Table(input.parse()?));
        }
        if input.peek(syn::token::Bracket) {
            let content;
            bracketed!(content in input);
            let list = Punctuated::<Value, Token![,]>::parse_terminated(&content)?;
            return Ok(Value::List(list.into_iter().collect()));
        }
        match input.parse()? {
            Lit::Str(text) => Ok(Value::Text(text.value())),
            Lit::Bool(flag) => Ok(Value::Flag(flag.value)),
            Lit::Int(number) => Ok(Value::Number(number.base10_digits().to_owned())),
            other => Err(Error::new_spanned(
                other,
                "expected a text, a number, true or false",
            )),
        }
    }
}

impl Value {
    fn toml(&self) -> String {
        match self {
            Value::Text(text) => quoted(text),
            Value::Flag(flag) => flag.to_string(),
            Value::Number(number) => number.clone(),
            Value::List(values) => {
                let values: Vec<_> = values.iter().map(Value::toml).collect();
                format!("[{}]", values.join(", "))
            }
            Value::Table(table) => {
                let pair = |pair: &Pair| format!("{} = {}", key(&pair.key), pair.value.toml());
                let pairs: Vec<_> = table.pairs.iter().map(pair).collect();
                format!("{{ {} }}", pairs.join(", "))
            }
        }
    }
}

/// A TOML key, quoted only where it has to be.
fn key(key: &str) -> String {
    let bare = key
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if bare && !key.is_empty() {
        key.to_owned()
    } else {
        quoted(key)
    }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}
