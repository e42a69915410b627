//! Which policy files a person trusted: their digests, by path. A lock file belongs to its policy: whoever can change
//! one can change the other, so both are trusted together.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use toolcell::ErrorKind;

use crate::{dirs, failure::Failure};

/// The file of trusted digests, `trusted.json` in the state directory.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trusted {
    /// SHA-256 in hexadecimal of each trusted file, by its absolute path.
    policies: BTreeMap<PathBuf, String>,
}

/// What a person trusts: a policy, with the lock file beside it where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) policy: String,
    pub(crate) lock: Option<String>,
}

impl Content {
    /// SHA-256 in lower-case hexadecimal: of the policy alone, or of both digests. No policy looks like two digests.
    pub(crate) fn digest(&self) -> String {
        let policy = digest(self.policy.as_bytes());
        match &self.lock {
            None => policy,
            Some(lock) => digest(format!("{policy}\n{}\n", digest(lock.as_bytes())).as_bytes()),
        }
    }
}

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// A person trusted exactly this content.
    Trusted,
    /// A person trusted another content of this file.
    Changed,
    /// Nobody trusted it.
    Unknown,
}

impl Trusted {
    /// Reads the file; one that is absent trusts nothing.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::io("read", path, &error)),
        };
        // A damaged file must not silently forget what was revoked or trusted: a person has to look at it.
        serde_json::from_slice(&text).map_err(|error| {
            Failure::new(
                ErrorKind::Untrusted,
                format!(
                    "the list of trusted policies {} is damaged: {error}",
                    path.display()
                ),
            )
            .help("remove it and trust your policies again with `toolcell trust`")
        })
    }

    /// Writes the file, readable by this user only.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Failure::new(ErrorKind::Internal, error.to_string()))?;
        dirs::write_private(path, &text)
    }

    /// Whether this content of a file is trusted.
    pub(crate) fn check(&self, file: &Path, content: &Content) -> Trust {
        match self.policies.get(file) {
            Some(known) if *known == content.digest() => Trust::Trusted,
            Some(_) => Trust::Changed,
            None => Trust::Unknown,
        }
    }

    /// Trusts this content of a file.
    pub(crate) fn add(&mut self, file: &Path, content: &Content) {
        self.policies.insert(file.to_owned(), content.digest());
    }

    /// Trusts the file no longer; says whether it did before.
    pub(crate) fn remove(&mut self, file: &Path) -> bool {
        self.policies.remove(file).is_some()
    }
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn digest(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(policy: &str, lock: Option<&str>) -> Content {
        Content {
            policy: policy.to_owned(),
            lock: lock.map(str::to_owned),
        }
    }

    #[test]
    fn a_lock_file_is_trusted_with_its_policy() {
        let file = Path::new("/project/toolcell.toml");
        let mut trusted = Trusted::default();
        trusted.add(file, &content("a", Some("lock")));
        assert_eq!(
            trusted.check(file, &content("a", Some("lock"))),
            Trust::Trusted
        );
        for other in [
            content("a", None),
            content("a", Some("")),
            content("a", Some("lock2")),
            content("b", Some("lock")),
            content("alock", None),
        ] {
            assert_eq!(trusted.check(file, &other), Trust::Changed, "{other:?}");
        }
        // A policy alone has the digest that it always had.
        assert_eq!(content("a", None).digest(), digest(b"a"));
    }

    #[test]
    fn trust_is_for_one_content_of_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("state/trusted.json");
        let file = Path::new("/project/toolcell.toml");
        let mut trusted = Trusted::read(&list).unwrap();
        let [a, b] = ["a", "b"].map(|policy| content(policy, None));
        assert_eq!(trusted.check(file, &a), Trust::Unknown);
        trusted.add(file, &a);
        trusted.write(&list).unwrap();
        let mut trusted = Trusted::read(&list).unwrap();
        assert_eq!(trusted.check(file, &a), Trust::Trusted);
        assert_eq!(trusted.check(file, &b), Trust::Changed);
        assert_eq!(
            trusted.check(Path::new("/other/toolcell.toml"), &a),
            Trust::Unknown
        );
        assert!(trusted.remove(file) && !trusted.remove(file));
        assert_eq!(trusted.check(file, &a), Trust::Unknown);
    }

    #[test]
    fn the_list_is_private_and_a_damaged_one_is_an_error() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("state/trusted.json");
        Trusted::default().write(&list).unwrap();
        assert_eq!(
            fs::metadata(&list).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let state = list.parent().unwrap();
        assert_eq!(
            fs::metadata(state).unwrap().permissions().mode() & 0o777,
            0o700
        );
        fs::write(&list, "{").unwrap();
        assert_eq!(Trusted::read(&list).unwrap_err().kind, ErrorKind::Untrusted);
    }

    #[test]
    fn digests_are_sha_256() {
        assert!(digest(b"").starts_with("e3b0c44298fc1c149afbf4c8996fb924"));
    }
}
