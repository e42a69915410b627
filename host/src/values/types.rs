//! The types of WIT that have a form in JSON, and how they are built within their limits.

use super::{TYPE_DEPTH, TYPE_NAME_BYTES, TYPE_PARTS};

/// A type of WIT, written out: a component's types share parts, and these do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Bool,
    Int(Int),
    Float32,
    Float64,
    Char,
    String,
    /// `list<u8>`, which is text in base64.
    Bytes,
    List(Box<Type>),
    Record(Vec<(String, Type)>),
    Tuple(Vec<Type>),
    Variant(Vec<(String, Option<Type>)>),
    Enum(Vec<String>),
    Option(Box<Type>),
    Result {
        ok: Option<Box<Type>>,
        err: Option<Box<Type>>,
    },
    Flags(Vec<String>),
}

/// The integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Int {
    S8,
    U8,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
}

impl Int {
    /// The smallest and the largest.
    pub(super) fn range(self) -> (i128, i128) {
        match self {
            Self::S8 => (i8::MIN.into(), i8::MAX.into()),
            Self::U8 => (0, u8::MAX.into()),
            Self::S16 => (i16::MIN.into(), i16::MAX.into()),
            Self::U16 => (0, u16::MAX.into()),
            Self::S32 => (i32::MIN.into(), i32::MAX.into()),
            Self::U32 => (0, u32::MAX.into()),
            Self::S64 => (i64::MIN.into(), i64::MAX.into()),
            Self::U64 => (0, u64::MAX.into()),
        }
    }

    /// Whether some of them are beyond what every reader of JSON keeps exact.
    pub(super) fn is_wide(self) -> bool {
        matches!(self, Self::S64 | Self::U64)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::S8 => "s8",
            Self::U8 => "u8",
            Self::S16 => "s16",
            Self::U16 => "u16",
            Self::S32 => "s32",
            Self::U32 => "u32",
            Self::S64 => "s64",
            Self::U64 => "u64",
        }
    }
}

impl Type {
    /// Whether `null` is a value of the type, so that an option of it needs another form for `none`.
    pub(super) fn takes_null(&self) -> bool {
        matches!(self, Self::Option(_))
    }
}

/// What is left of the limits on the types of one function.
pub(super) struct Allowance {
    parts: usize,
    name_bytes: usize,
    depth: usize,
}

/// Why a type cannot be used, in words that follow "its type" or the like.
pub(super) type Unfit = String;

impl Allowance {
    pub(super) fn new() -> Self {
        Self {
            parts: TYPE_PARTS,
            name_bytes: TYPE_NAME_BYTES,
            depth: TYPE_DEPTH,
        }
    }

    /// Counts one type, and what `inner` makes of the types inside it.
    pub(super) fn inside<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, Unfit>,
    ) -> Result<T, Unfit> {
        self.part()?;
        self.depth = self
            .depth
            .checked_sub(1)
            .ok_or_else(|| format!("its types are nested more than {TYPE_DEPTH} deep"))?;
        let made = inner(self);
        self.depth += 1;
        made
    }

    /// Counts one name.
    pub(super) fn name(&mut self, name: &str) -> Result<String, Unfit> {
        self.part()?;
        self.name_bytes = self.name_bytes.checked_sub(name.len()).ok_or_else(|| {
            format!("the names in its types have more than {TYPE_NAME_BYTES} bytes")
        })?;
        Ok(name.to_owned())
    }

    /// Counts a list of names.
    pub(super) fn names<'a>(
        &mut self,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<String>, Unfit> {
        names.map(|name| self.name(name)).collect()
    }

    fn part(&mut self) -> Result<(), Unfit> {
        self.parts = self
            .parts
            .checked_sub(1)
            .ok_or_else(|| format!("its types have more than {TYPE_PARTS} parts"))?;
        Ok(())
    }
}

/// What has no form in JSON.
pub(super) fn no_json(what: &str) -> Unfit {
    format!("it uses a {what}, which has no form in JSON")
}
