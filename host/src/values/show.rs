//! Types as WIT writes them. It describes a tool whose author left no words.

use std::fmt::{self, Write as _};

use super::{Function, Type};

/// The longest signature, in characters.
const MAX_CHARS: usize = 1_000;

impl Function {
    /// For example `add: func(x: u32, y: u32) -> u32`; what is too long ends in `…`.
    pub(crate) fn signature(&self, name: &str) -> String {
        let mut text = format!("{name}: func({})", Fields(&self.params));
        if let Some(result) = &self.result {
            // Writing to a string cannot fail.
            let _ = write!(text, " -> {result}");
        }
        if text.chars().count() > MAX_CHARS {
            text = text.chars().take(MAX_CHARS - 1).chain(['…']).collect();
        }
        text
    }
}

struct Fields<'a>(&'a [(String, Type)]);

impl fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        listed(f, self.0, |f, (name, ty)| write!(f, "{name}: {ty}"))
    }
}

fn listed<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    each: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        each(f, item)?;
    }
    Ok(())
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int(int) => f.write_str(int.name()),
            Self::Float32 => f.write_str("f32"),
            Self::Float64 => f.write_str("f64"),
            Self::Char => f.write_str("char"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("list<u8>"),
            Self::List(element) => write!(f, "list<{element}>"),
            Self::Record(fields) => write!(f, "record {{ {} }}", Fields(fields)),
            Self::Tuple(types) => {
                f.write_str("tuple<")?;
                listed(f, types, |f, ty| ty.fmt(f))?;
                f.write_str(">")
            }
            Self::Variant(cases) => {
                f.write_str("variant { ")?;
                listed(f, cases, |f, (name, ty)| match ty {
                    Some(ty) => write!(f, "{name}({ty})"),
                    None => f.write_str(name),
                })?;
                f.write_str(" }")
            }
            Self::Enum(names) => write!(f, "enum {{ {} }}", names.join(", ")),
            Self::Option(inner) => write!(f, "option<{inner}>"),
            Self::Result { ok, err } => match (ok, err) {
                (None, None) => f.write_str("result"),
                (Some(ok), None) => write!(f, "result<{ok}>"),
                (None, Some(err)) => write!(f, "result<_, {err}>"),
                (Some(ok), Some(err)) => write!(f, "result<{ok}, {err}>"),
            },
            Self::Flags(names) => write!(f, "flags {{ {} }}", names.join(", ")),
        }
    }
}
