//! A key that hosts share, so that each takes the others' answers for theirs, and nobody else's.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use toolcell::Secret;

/// A secret that all hosts of a shared cache know. It can be neither shown nor got back.
#[derive(Clone)]
pub struct SharedKey(Hmac<Sha256>);

impl SharedKey {
    /// A key made of a secret.
    pub fn new(secret: &Secret) -> Self {
        // Of a fixed length, so that making the function cannot fail.
        let digest: [u8; 32] = Sha256::digest(secret.expose()).into();
        let mut key = [0; 64];
        key.iter_mut().zip(digest).for_each(|(byte, it)| *byte = it);
        Self(Hmac::new(&key.into()))
    }

    /// HMAC-SHA-256 of the parts, each with its length before it, for one purpose.
    pub(crate) fn tag(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut hmac = self.0.clone();
        for part in std::iter::once(&purpose.as_bytes()).chain(parts) {
            hmac.update(&(part.len() as u64).to_be_bytes());
            hmac.update(part);
        }
        hmac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_purposes_cannot_be_moved() {
        let of = |secret: &str| SharedKey::new(&Secret::new(secret).unwrap());
        let key = of("k3y-b4tt3ry-0x");
        let tag = key.tag("a", &[b"bc", b"d"]);
        assert_ne!(tag, key.tag("a", &[b"b", b"cd"]));
        assert_ne!(tag, key.tag("ab", &[b"c", b"d"]));
        assert_ne!(tag, key.tag("a", &[b"bcd"]));
        assert_ne!(tag, of("k3y-b4tt3ry-0y").tag("a", &[b"bc", b"d"]));
    }
}
