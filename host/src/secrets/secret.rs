//! One value.

use zeroize::Zeroizing;

/// The shortest value that is accepted, in bytes. A shorter one would be found everywhere, so that redaction would tell
/// what it is and destroy what it is not.
pub const SECRET_BYTES_MIN: usize = 8;
/// The longest value that is accepted, in bytes.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;

/// A credential's value. It has no `Debug`, `Display`, `Serialize` or `Clone`, and is overwritten when it is dropped.
pub struct Secret(Zeroizing<Box<[u8]>>);

/// Why a value is refused. It says nothing of the value itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeakSecret {
    /// See [`SECRET_BYTES_MIN`].
    #[error("it has fewer than {SECRET_BYTES_MIN} bytes")]
    TooShort,
    /// See [`SECRET_BYTES_MAX`].
    #[error("it has more than {SECRET_BYTES_MAX} bytes")]
    TooLong,
}

impl Secret {
    /// Takes a value.
    ///
    /// # Errors
    ///
    /// Where it is too weak to be told from ordinary text, or cannot be put into a request.
    pub fn new(value: impl Into<Vec<u8>>) -> Result<Self, WeakSecret> {
        let value = Zeroizing::new(value.into());
        if value.len() < SECRET_BYTES_MIN {
            return Err(WeakSecret::TooShort);
        }
        if value.len() > SECRET_BYTES_MAX {
            return Err(WeakSecret::TooLong);
        }
        Ok(Self(Zeroizing::new(value.as_slice().into())))
    }

    /// The value. Whoever asks for it puts it into a request, or searches for it.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}
