//! Lists that are refused when they are too long.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, SeqAccess},
};

/// A list of at most `MAX` elements. In memory an element can be many times as large as on the wire, so that a bound on
/// bytes alone would let a small message fill the memory of who reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Few<T, const MAX: usize>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Few<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct List<T, const MAX: usize>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> de::Visitor<'de> for List<T, MAX> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX} elements")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Vec<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = from.next_element()? {
                    if list.len() >= MAX {
                        return Err(de::Error::invalid_length(list.len(), &self));
                    }
                    list.push(element);
                }
                Ok(list)
            }
        }

        from.deserialize_seq(List::<T, MAX>(std::marker::PhantomData))
            .map(Self)
    }
}
