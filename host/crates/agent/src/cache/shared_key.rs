//! A key that hosts share, so that each takes the others' answers for theirs, and nobody else's.

use std::fmt;

use sha2::{Digest, Sha256};
use toolcell::Secret;

/// What SHA-256 takes at a time.
const BLOCK_BYTES: usize = 64;

/// A secret that all hosts of a shared cache know. It can be neither shown nor got back.
#[derive(Clone)]
pub struct SharedKey {
    inner: Sha256,
    outer: Sha256,
}

impl SharedKey {
    /// A key made of a secret.
    pub fn new(secret: &Secret) -> Self {
        Self::of(secret.expose())
    }

    fn of(secret: &[u8]) -> Self {
        // HMAC, RFC 2104: a longer key is hashed, a shorter one filled up with zeros.
        let hashed = Sha256::digest(secret);
        let short: &[u8] = if secret.len() > BLOCK_BYTES {
            &hashed
        } else {
            secret
        };
        let padded = |with: u8| {
            let mut block = [with; BLOCK_BYTES];
            block
                .iter_mut()
                .zip(short)
                .for_each(|(byte, key)| *byte ^= key);
            Sha256::new_with_prefix(block)
        };
        Self {
            inner: padded(0x36),
            outer: padded(0x5c),
        }
    }

    /// HMAC-SHA-256 of the parts, each with its length before it, for one purpose.
    pub(crate) fn tag(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut message = Vec::new();
        for part in std::iter::once(&purpose.as_bytes()).chain(parts) {
            message.extend_from_slice(&(part.len() as u64).to_be_bytes());
            message.extend_from_slice(part);
        }
        self.hmac(&message)
    }

    fn hmac(&self, message: &[u8]) -> [u8; 32] {
        let inner = self.inner.clone().chain_update(message).finalize();
        self.outer.clone().chain_update(inner).finalize().into()
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

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The test cases of RFC 4231 with a short key, one that is to be filled up, and one that is to be hashed.
    #[test]
    fn it_is_the_published_function() {
        for (key, message, expected) in [
            (
                vec![0x0b; 20],
                &b"Hi There"[..],
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe".to_vec(),
                &b"what do ya want for nothing?"[..],
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                vec![0xaa; 131],
                &b"Test Using Larger Than Block-Size Key - Hash Key First"[..],
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(hex(&SharedKey::of(&key).hmac(message)), expected);
        }
    }

    #[test]
    fn parts_and_purposes_cannot_be_moved() {
        let key = SharedKey::of(b"0123456789abcdef");
        let tag = key.tag("a", &[b"bc", b"d"]);
        assert_ne!(tag, key.tag("a", &[b"b", b"cd"]));
        assert_ne!(tag, key.tag("ab", &[b"c", b"d"]));
        assert_ne!(tag, key.tag("a", &[b"bcd"]));
        assert_ne!(
            tag,
            SharedKey::of(b"0123456789abcdeg").tag("a", &[b"bc", b"d"])
        );
    }
}
