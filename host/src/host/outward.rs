//! What the policy says of the way out to the network: whom to trust besides the public authorities, and which proxy.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use toolcell_policy::EgressPolicy;

use super::load::absolute;
use crate::{
    Error, ErrorKind, Result,
    egress::{CA_BYTES_MAX, EgressOptions, Proxy, RootsError, trust},
};

/// The way out as the policy wants it, and the files that it read for that.
///
/// # Errors
///
/// `invalid_policy` where a file of certificates cannot be used, or the proxy's address is none.
pub(super) fn options(
    mut options: EgressOptions,
    policy: &EgressPolicy,
    base_dir: Option<&Path>,
) -> Result<(EgressOptions, Vec<PathBuf>)> {
    let invalid = |error: Error| match &policy.rule {
        Some(rule) => error.at(rule),
        None => error,
    };
    let mut files = Vec::new();
    for written in &policy.ca {
        let path = absolute(base_dir, written, policy.base.as_deref()).map_err(invalid)?;
        let pem = read(&path)
            .map_err(|why| unreadable(written, &why))
            .map_err(invalid)?;
        trust(Arc::make_mut(&mut options.roots), &pem)
            .map_err(|why| untrusted(written, &why))
            .map_err(invalid)?;
        files.push(path);
    }
    if let Some(url) = &policy.proxy {
        let proxy = Proxy::read(url, policy.proxy_resolves);
        options.proxy = Some(proxy.map_err(|why| {
            let error = Error::new(ErrorKind::InvalidPolicy, format!("`egress.proxy`: {why}"));
            invalid(error.with_help("Write it like \"http://proxy.internal:3128\"."))
        })?);
    }
    Ok((options, files))
}

/// At most one byte more than a file may have. Only a file is opened: anything else could keep us waiting.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut pem = Vec::new();
    let most = CA_BYTES_MAX.saturating_add(1);
    File::open(path)?.take(most).read_to_end(&mut pem)?;
    Ok(pem)
}

fn unreadable(written: &str, why: &io::Error) -> Error {
    let why = match why.kind() {
        io::ErrorKind::NotFound => "it is not there".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        io::ErrorKind::Other => why.to_string(),
        kind => kind.to_string(),
    };
    let message = format!("the certificates in `{written}` cannot be read: {why}");
    Error::new(ErrorKind::InvalidPolicy, message).with_help(
        "`egress.ca` names PEM files with the certificates of authorities that are trusted besides the public ones.",
    )
}

fn untrusted(written: &str, why: &RootsError) -> Error {
    let help = match why {
        RootsError::TooLarge => "Name a file with the few certificates that are needed.",
        RootsError::Empty => {
            "A PEM file has a line `-----BEGIN CERTIFICATE-----`. A file in DER is turned into one with \
             `openssl x509 -inform der`."
        }
        RootsError::Unreadable(_) => {
            "It may be cut off, or be something else than a certificate: look at it with `openssl x509 -text`."
        }
    };
    Error::new(ErrorKind::InvalidPolicy, format!("`{written}` {why}")).with_help(help)
}

#[cfg(test)]
mod tests;
