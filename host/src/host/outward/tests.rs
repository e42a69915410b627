use toolcell_policy::{Layers, Policy};

use super::*;
use crate::egress::testing::Authority;

fn egress_of(text: &str) -> EgressPolicy {
    let policy = Policy::from_toml(&format!("{text}\n[tool.a]\nfrom = \"./a.wasm\"\n")).unwrap();
    Layers::from(policy).egress()
}

fn of(ca: &str, directory: &Path) -> Result<(EgressOptions, Vec<PathBuf>)> {
    let policy = egress_of(&format!("[egress]\nca = [{ca}]"));
    options(EgressOptions::default(), &policy, Some(directory))
}

#[test]
fn certificates_are_trusted_besides_the_public_ones() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("one.pem"), Authority::new().pem()).unwrap();
    fs::write(dir.path().join("two.pem"), Authority::new().pem()).unwrap();
    let (options, files) = of("\"./one.pem\", \"two.pem\"", dir.path()).unwrap();
    let public = EgressOptions::default().roots.len();
    assert_eq!(options.roots.len(), public + 2);
    assert_eq!(
        files,
        ["one.pem", "two.pem"].map(|name| dir.path().join(name))
    );
}

#[test]
fn what_cannot_be_used_says_which_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    write("empty.pem", b"");
    write(
        "key.pem",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    );
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    write("garbage.pem", garbage.as_bytes());
    let most = usize::try_from(CA_BYTES_MAX).unwrap();
    write("large.pem", &vec![b'\n'; most + 1]);
    fs::create_dir(dir.path().join("directory")).unwrap();
    for (file, says) in [
        (
            "missing.pem",
            "`missing.pem` cannot be read: it is not there",
        ),
        ("directory", "`directory` cannot be read: it is no file"),
        ("/dev/null", "`/dev/null` cannot be read: it is no file"),
        ("empty.pem", "`empty.pem` holds no certificate"),
        ("key.pem", "`key.pem` holds no certificate"),
        (
            "garbage.pem",
            "`garbage.pem` holds a certificate that cannot be read, number 1",
        ),
        ("large.pem", "`large.pem` has more than 1048576 bytes"),
    ] {
        let error = of(&format!("\"{file}\""), dir.path())
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidPolicy);
        assert!(error.message().contains(says), "{error}");
        assert!(error.help().is_some());
        assert!(
            !error
                .to_string()
                .contains(&dir.path().display().to_string())
        );
    }
    let nowhere = egress_of("[egress]\nca = [\"./a.pem\"]");
    let error = options(EgressOptions::default(), &nowhere, None);
    assert!(
        error
            .map(|_| ())
            .unwrap_err()
            .message()
            .contains("relative path")
    );
}

#[test]
fn a_proxy_is_used_only_where_the_policy_names_one() {
    let none = EgressPolicy::default();
    let (without, files) = options(EgressOptions::default(), &none, None).unwrap();
    assert!(without.proxy.is_none() && files.is_empty());
    for (text, resolves) in [("", false), ("proxy_resolves = true", true)] {
        let url = "http://proxy.internal:3128";
        let policy = egress_of(&format!("[egress]\nproxy = \"{url}\"\n{text}"));
        let (with, _) = options(EgressOptions::default(), &policy, None).unwrap();
        let expected = Proxy::read(&url.parse().unwrap(), resolves).unwrap();
        assert_eq!(with.proxy, Some(expected));
    }
}
