//! One value.

mod weak;

use zeroize::Zeroizing;

pub use weak::{SECRET_BITS_MIN, SECRET_DISTINCT_MIN, SECRET_PLAIN_BYTES_MIN, WeakSecret};

/// The shortest value that is accepted, in bytes. A shorter one would be found everywhere, so that redaction would tell
/// what it is and destroy what it is not.
pub const SECRET_BYTES_MIN: usize = 8;
/// The longest value that is accepted, in bytes.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;

/// A credential's value, overwritten when it is dropped.
///
/// It can be neither shown nor copied. None of these compiles:
///
/// ```compile_fail,E0277
/// # fn secret() -> toolcell::Secret { toolcell::Secret::new("k3y-b4tt3ry-0x").unwrap() }
/// println!("{:?}", secret()); // no Debug
/// ```
/// ```compile_fail,E0277
/// # fn secret() -> toolcell::Secret { toolcell::Secret::new("k3y-b4tt3ry-0x").unwrap() }
/// println!("{}", secret()); // no Display
/// ```
/// ```compile_fail,E0599
/// # fn secret() -> toolcell::Secret { toolcell::Secret::new("k3y-b4tt3ry-0x").unwrap() }
/// let copy = secret().clone(); // no Clone
/// ```
/// ```compile_fail,E0277
/// # fn secret() -> toolcell::Secret { toolcell::Secret::new("k3y-b4tt3ry-0x").unwrap() }
/// serde_json::to_string(&secret()); // no Serialize
/// ```
/// ```compile_fail,E0369
/// # fn secret() -> toolcell::Secret { toolcell::Secret::new("k3y-b4tt3ry-0x").unwrap() }
/// let same = secret() == secret(); // no comparison that could be timed
/// ```
///
/// Whoever has to write it elsewhere, as a [`SecretStore`](crate::SecretStore) that keeps values does, says so with
/// [`expose`](Self::expose):
///
/// ```
/// let secret = toolcell::Secret::new("k3y-b4tt3ry-0x")?;
/// assert_eq!(secret.expose(), b"k3y-b4tt3ry-0x");
/// # Ok::<(), toolcell::WeakSecret>(())
/// ```
pub struct Secret(Zeroizing<Box<[u8]>>);

impl Secret {
    /// Takes a value. What was handed over is overwritten, also where it is refused.
    ///
    /// # Errors
    ///
    /// Where it is too weak to be told from ordinary text, or cannot be put into a request; see [`WeakSecret`].
    pub fn new(value: impl Into<Vec<u8>>) -> Result<Self, WeakSecret> {
        let value = Zeroizing::new(value.into());
        Self::copied(&value)
    }

    /// Takes the content of a file or of a stream: one line end at its end is no part of the value.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn from_line(content: impl Into<Vec<u8>>) -> Result<Self, WeakSecret> {
        let content = Zeroizing::new(content.into());
        let line = content.strip_suffix(b"\n").unwrap_or(&content);
        Self::copied(
            line.strip_suffix(b"\r")
                .filter(|_| line.len() < content.len())
                .unwrap_or(line),
        )
    }

    fn copied(value: &[u8]) -> Result<Self, WeakSecret> {
        weak::check(value)?;
        Ok(Self(Zeroizing::new(value.into())))
    }

    /// The value. Whoever asks for it puts it into a request, keeps it in a store, or searches for it; it belongs in no
    /// message.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests;
