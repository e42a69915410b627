//! Types and values made of any bytes, and what must hold for all of them. Property tests and fuzzers share it.

use serde_json::Value;
use wasmtime::component::Val;

use super::{Answer, Function, Int, Type, Unwritable};
use crate::schema::Schema;

/// Bytes that decide; zeros when there are no more.
pub(crate) struct Entropy<'a>(&'a [u8]);

impl<'a> Entropy<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    fn below(&mut self, end: u8) -> u8 {
        self.byte() % end.max(1)
    }

    fn many<T>(&mut self, from: u8, to: u8, mut each: impl FnMut(&mut Self, u8) -> T) -> Vec<T> {
        let count = from + self.below(to - from + 1);
        (0..count).map(|index| each(self, index)).collect()
    }

    fn flip(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn text(&mut self) -> String {
        let chars = self.many(0, 6, |it, _| it.char());
        chars.into_iter().collect()
    }

    fn char(&mut self) -> char {
        match self.below(4) {
            0 => char::from(self.byte()),
            1 => char::MAX,
            2 => '"',
            _ => char::from_u32(u32::from_le_bytes(self.bytes()) % 0x11_0000).unwrap_or('\u{fffd}'),
        }
    }

    /// A type of at most so many levels.
    pub(crate) fn ty(&mut self, levels: u8) -> Type {
        let kinds = if levels > 1 { 14 } else { 7 };
        let below = levels.saturating_sub(1);
        let name = |index: u8| format!("n{index}");
        match self.below(kinds) {
            0 => Type::Bool,
            1 => Type::Int(self.int()),
            2 => Type::Float32,
            3 => Type::Float64,
            4 => Type::Char,
            5 => Type::String,
            6 => match self.below(3) {
                0 => Type::Bytes,
                1 => Type::Enum(self.many(1, 4, |_, index| name(index))),
                _ => Type::Flags(self.many(1, 9, |_, index| name(index))),
            },
            7 => match self.ty(below) {
                Type::Int(Int::U8) => Type::Bytes,
                element => Type::List(Box::new(element)),
            },
            8 => Type::Record(self.many(1, 3, |it, index| (name(index), it.ty(below)))),
            9 => Type::Tuple(self.many(1, 3, |it, _| it.ty(below))),
            10 => Type::Variant(self.many(1, 3, |it, index| (name(index), it.maybe(below)))),
            11 | 12 => Type::Option(Box::new(self.ty(below))),
            _ => Type::Result {
                ok: self.maybe(below).map(Box::new),
                err: self.maybe(below).map(Box::new),
            },
        }
    }

    fn maybe(&mut self, levels: u8) -> Option<Type> {
        self.flip().then(|| self.ty(levels))
    }

    fn int(&mut self) -> Int {
        match self.below(8) {
            0 => Int::S8,
            1 => Int::U8,
            2 => Int::S16,
            3 => Int::U16,
            4 => Int::S32,
            5 => Int::U32,
            6 => Int::S64,
            _ => Int::U64,
        }
    }

    /// A value of a type.
    pub(crate) fn value(&mut self, ty: &Type) -> Val {
        match ty {
            Type::Bool => Val::Bool(self.flip()),
            Type::Int(int) => self.integer(*int),
            Type::Float32 => Val::Float32(f32::from_le_bytes(self.bytes())),
            Type::Float64 => Val::Float64(f64::from_le_bytes(self.bytes())),
            Type::Char => Val::Char(self.char()),
            Type::String => Val::String(self.text()),
            Type::Bytes => Val::List(self.many(0, 9, |it, _| Val::U8(it.byte()))),
            Type::List(element) => Val::List(self.many(0, 3, |it, _| it.value(element))),
            Type::Record(fields) => Val::Record(
                fields
                    .iter()
                    .map(|(name, ty)| (name.clone(), self.value(ty)))
                    .collect(),
            ),
            Type::Tuple(types) => Val::Tuple(types.iter().map(|ty| self.value(ty)).collect()),
            Type::Variant(cases) => {
                let at = usize::from(self.byte()) % cases.len();
                let (name, ty) = cases.iter().cycle().nth(at).cloned().unwrap_or_default();
                Val::Variant(name, ty.map(|ty| Box::new(self.value(&ty))))
            }
            Type::Enum(names) => {
                let at = usize::from(self.byte()) % names.len();
                Val::Enum(names.get(at).cloned().unwrap_or_default())
            }
            Type::Option(inner) => Val::Option(self.flip().then(|| Box::new(self.value(inner)))),
            Type::Result { ok, err } => {
                let fine = self.flip();
                let inner = if fine { ok } else { err };
                let inner = inner.as_ref().map(|ty| Box::new(self.value(ty)));
                Val::Result(if fine { Ok(inner) } else { Err(inner) })
            }
            Type::Flags(names) => {
                let set = names.iter().filter(|_| self.flip());
                Val::Flags(set.cloned().collect())
            }
        }
    }

    fn integer(&mut self, int: Int) -> Val {
        // The ends of the range come up often, since mistakes live there.
        let bits = match self.below(4) {
            0 => u64::MAX,
            1 => 1 << 63,
            2 => (1 << 53) - 1 + u64::from(self.below(3)),
            _ => u64::from_le_bytes(self.bytes()),
        };
        let [a, b, c, d, e, f, g, h] = bits.to_le_bytes();
        match int {
            Int::S8 => Val::S8(i8::from_le_bytes([a])),
            Int::U8 => Val::U8(a),
            Int::S16 => Val::S16(i16::from_le_bytes([a, b])),
            Int::U16 => Val::U16(u16::from_le_bytes([a, b])),
            Int::S32 => Val::S32(i32::from_le_bytes([a, b, c, d])),
            Int::U32 => Val::U32(u32::from_le_bytes([a, b, c, d])),
            Int::S64 => Val::S64(i64::from_le_bytes([a, b, c, d, e, f, g, h])),
            Int::U64 => Val::U64(bits),
        }
    }
}

/// Checks a type, a value and a JSON text that are made of these bytes, and stops where one of these does not hold:
///
/// - a value becomes JSON that its type's schema lets pass, and that becomes the same value again;
/// - JSON that becomes a value is JSON that the schema lets pass;
/// - nothing panics.
pub(crate) fn check(bytes: &[u8], json: &str) {
    let mut entropy = Entropy::new(bytes);
    let ty = entropy.ty(6);
    let value = entropy.value(&ty);
    let function = Function {
        params: vec![("it".to_owned(), ty.clone())],
        result: Some(Type::Tuple(vec![ty])),
    };
    let schema = Schema::compile(&function.input_schema());
    let schema = schema.unwrap_or_else(|why| unreachable(&format!("the schema is wrong: {why}")));

    let result = Val::Tuple(vec![value.clone()]);
    let written = match function.answer(Some(&result), u64::MAX) {
        Ok(Answer::Value(Value::Array(items))) => items.into_iter().next().unwrap_or_default(),
        other => unreachable(&format!("{value:?} was written as {other:?}")),
    };
    // On its way it becomes text, and is read again.
    let text = serde_json::json!({ "it": written }).to_string();
    let input: Value = serde_json::from_str(&text).unwrap_or_default();
    assert_eq!(schema.check(&input), Ok(()), "{input} is no {function:?}");
    match function.arguments(&input) {
        Ok(back) => assert_eq!(back, [value], "{input} became another value"),
        Err(misfit) => unreachable(&format!("{input} does not come back: {misfit}")),
    }
    let small = function.answer(Some(&result), 1);
    assert!(small.is_ok() || small == Err(Unwritable::TooLarge));

    if let Ok(input) = serde_json::from_str::<Value>(json) {
        for input in [serde_json::json!({ "it": input }), input] {
            if function.arguments(&input).is_ok() {
                assert_eq!(schema.check(&input), Ok(()), "{input} is no {function:?}");
            }
        }
    }
}

#[expect(
    clippy::panic,
    reason = "whoever runs this looks for what must not happen"
)]
fn unreachable(what: &str) -> ! {
    panic!("{what}")
}
