//! Authorities that an operator trusts besides the public ones.

use tokio_rustls::rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// The largest file of certificates.
pub(crate) const CA_BYTES_MAX: u64 = 1024 * 1024;

/// Why a text gives no certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RootsError {
    /// See [`CA_BYTES_MAX`].
    #[error("has more than {CA_BYTES_MAX} bytes")]
    TooLarge,
    /// Nothing between `BEGIN CERTIFICATE` and `END CERTIFICATE`.
    #[error("holds no certificate")]
    Empty,
    /// The certificate with this number, counted from 1.
    #[error("holds a certificate that cannot be read, number {0}")]
    Unreadable(usize),
}

/// Adds the certificates of a PEM text to those that are trusted. Other sections, such as keys, are passed over.
pub(crate) fn trust(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), RootsError> {
    if u64::try_from(pem.len()).unwrap_or(u64::MAX) > CA_BYTES_MAX {
        return Err(RootsError::TooLarge);
    }
    let mut count = 0_usize;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        count = count.saturating_add(1);
        let unreadable = RootsError::Unreadable(count);
        let certificate = certificate.map_err(|_| unreadable)?;
        roots.add(certificate).map_err(|_| unreadable)?;
    }
    if count == 0 {
        return Err(RootsError::Empty);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
