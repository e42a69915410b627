use super::*;
use crate::egress::testing::Authority;

fn trusted(pem: &str) -> Result<usize, RootsError> {
    let mut roots = RootCertStore::empty();
    trust(&mut roots, pem.as_bytes()).map(|()| roots.len())
}

#[test]
fn every_certificate_of_a_file_is_trusted_and_nothing_else_in_it() {
    let (one, other) = (Authority::new().pem(), Authority::new().pem());
    assert_eq!(trusted(&one), Ok(1));
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert_eq!(trusted(&format!("# ours\r\n{one}{key}\n{other}")), Ok(2));
}

#[test]
fn what_holds_none_says_so() {
    let good = Authority::new().pem();
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cut = good.replace("-----END CERTIFICATE-----", "");
    let wrong = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
    for (pem, error) in [
        (String::new(), RootsError::Empty),
        ("not PEM".to_owned(), RootsError::Empty),
        (garbage.to_owned(), RootsError::Unreadable(1)),
        (wrong.to_owned(), RootsError::Unreadable(1)),
        (cut, RootsError::Unreadable(1)),
        (format!("{good}{garbage}"), RootsError::Unreadable(2)),
    ] {
        assert_eq!(trusted(&pem), Err(error), "{pem}");
    }
    let most = usize::try_from(CA_BYTES_MAX).unwrap();
    let filled = format!("{good}{}", "\n".repeat(most - good.len()));
    assert_eq!(trusted(&filled), Ok(1));
    assert_eq!(trusted(&format!("{filled}\n")), Err(RootsError::TooLarge));
}
