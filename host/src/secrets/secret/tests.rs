use proptest::prelude::*;

use super::*;

fn refused(value: &str) -> Option<WeakSecret> {
    Secret::new(value).err()
}

#[test]
fn weak_values_are_refused_with_the_reason() {
    use WeakSecret as W;
    for (value, why) in [
        ("", W::TooShort),
        ("test", W::TooShort),
        ("k3J9x2Q", W::TooShort),
        ("aaaaaaaa", W::Repetitive),
        ("abababababababab", W::Repetitive),
        ("12341234123412341234", W::Repetitive),
        ("aaaaaaaaaaaaaaaaaaab", W::Repetitive),
        ("abcdefgh", W::Sequence),
        ("23456789", W::Sequence),
        ("9876543210", W::Sequence),
        ("password", W::Common),
        ("Password1!", W::Common),
        ("P@ssw0rd", W::Common),
        ("changeme123", W::Common),
        ("change-me-please-now", W::Common),
        ("your-api-key-here", W::Common),
        ("${GITHUB_TOKEN}", W::Common),
        ("<YOUR_ACCESS_TOKEN>", W::Common),
        ("REPLACE_ME_2024", W::Common),
        ("qwertyuiop", W::Common),
        ("admin12345", W::Common),
        ("my-secret-token", W::Common),
        ("javascript", W::Plain),
        ("170935284617", W::Plain),
        ("ABSOLUTELY", W::Plain),
        ("good-value-\n-with-a-line", W::Broken),
        ("good-value-\0-with-a-nul", W::Broken),
        ("good-value-7c\r", W::Broken),
    ] {
        assert_eq!(refused(value), Some(why), "{value}");
    }
}

#[test]
fn values_that_services_hand_out_are_accepted() {
    for value in [
        "k3J9x2Qp",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "sk-ant-api03-Zx81Yk2Pq0LmV7wTn5Rb",
        "AKIAIOSFODNN7EXAMPLE",
        "xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOHzbrzqgy",
        "550e8400-e29b-41d4-a716-446655440000",
        "b1946ac92492d2347c6235b4d2611184",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N",
        "correct horse battery staple",
        "zkqhwmfrtbnxvpls",
        "8317460925738164",
        "gesperrt-für-Fremde-8",
    ] {
        assert_eq!(refused(value), None, "{value}");
    }
}

#[test]
fn lengths_are_counted_in_bytes() {
    let of =
        |length: usize| -> Vec<u8> { (0..length).map(|at| b"k3J9x2QpV7wT"[at * 7 % 12]).collect() };
    assert_eq!(Secret::new(of(7)).err(), Some(WeakSecret::TooShort));
    assert!(Secret::new(of(SECRET_BYTES_MIN)).is_ok());
    assert!(Secret::new(of(SECRET_BYTES_MAX)).is_ok());
    assert_eq!(
        Secret::new(of(SECRET_BYTES_MAX + 1)).err(),
        Some(WeakSecret::TooLong)
    );
}

#[test]
fn one_line_end_of_a_file_is_cut() {
    let value = |content: &str| Secret::from_line(content).map(|secret| secret.expose().to_vec());
    for content in ["k3J9x2Qp", "k3J9x2Qp\n", "k3J9x2Qp\r\n"] {
        assert_eq!(value(content).unwrap(), b"k3J9x2Qp", "{content:?}");
    }
    for content in [
        "k3J9x2Qp\n\n",
        "\nk3J9x2Qp",
        "k3J9x2Qp\r",
        "k3J9\nx2QpV7wT\n",
    ] {
        assert_eq!(
            value(content).unwrap_err(),
            WeakSecret::Broken,
            "{content:?}"
        );
    }
    assert_eq!(value("k3J9x2Q\n").unwrap_err(), WeakSecret::TooShort);
}

#[test]
fn a_reason_says_nothing_of_the_value() {
    for value in ["zzzzzzzz", "hunter2-hunter2", "9876543210", "ABSOLUTELY"] {
        let why = refused(value).unwrap();
        assert!(!format!("{why} {why:?}").contains(value));
    }
}

proptest! {
    /// What a service makes by chance is accepted: 16 characters out of 62.
    #[test]
    fn random_values_are_accepted(bytes in proptest::collection::vec(any::<u8>(), 16)) {
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let value: Vec<u8> = bytes.iter().map(|byte| letters[usize::from(*byte) % 62]).collect();
        // Few distinct letters are possible, and not worth a chance of failing.
        let mut distinct = value.clone();
        distinct.sort_unstable();
        distinct.dedup();
        prop_assume!(distinct.len() >= 9);
        prop_assert!(Secret::new(value).is_ok());
    }

    #[test]
    fn any_bytes_are_checked_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Secret::from_line(bytes);
    }
}
