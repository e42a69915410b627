use http::Uri;
use proptest::prelude::*;

use super::{Target, TargetError, URL_BYTES_MAX};

fn read(text: &str) -> Result<Target, TargetError> {
    Target::read(&text.parse::<Uri>().unwrap())
}

#[test]
fn one_reading_names_host_port_header_and_resource() {
    let target = read("https://API.example.com:443/a/../b%20c?q=1").unwrap();
    assert_eq!(target.host().to_string(), "api.example.com");
    assert_eq!(target.port(), 443);
    assert!(target.is_https());
    assert_eq!(target.host_header(), "api.example.com");
    assert_eq!(target.path_and_query(), "/b%20c?q=1");
    assert_eq!(target.without_query(), "https://api.example.com/b%20c");

    let target = read("http://[2001:DB8:0::1]:8080/").unwrap();
    assert_eq!(target.host_header(), "[2001:db8::1]:8080");
    assert_eq!((target.port(), target.is_https()), (8080, false));
}

#[test]
fn addresses_with_two_readings_are_refused() {
    for (text, error) in [
        ("https://user@example.com/", TargetError::UserInfo),
        ("https://user:word@example.com/", TargetError::UserInfo),
        ("https://allowed.com@evil.com/", TargetError::UserInfo),
        ("https://@example.com/", TargetError::UserInfo),
        ("https://example.com./", TargetError::TrailingDot),
        ("ftp://example.com/", TargetError::Scheme),
        ("ws://example.com/", TargetError::Scheme),
        ("https://example.com:99999/", TargetError::Invalid),
        ("/only/a/path", TargetError::Invalid),
        // Decimal, octal, hexadecimal and short forms of 127.0.0.1.
        ("http://2130706433/", TargetError::Ambiguous),
        ("http://0177.0.0.1/", TargetError::Ambiguous),
        ("http://0x7f000001/", TargetError::Ambiguous),
        ("http://127.1/", TargetError::Ambiguous),
        ("http://127.0.0.1./", TargetError::Ambiguous),
        ("http://ex%61mple.com/", TargetError::Ambiguous),
    ] {
        match text.parse::<Uri>() {
            // What `http` does not even take is refused before it gets here.
            Err(_) => {}
            Ok(uri) => assert_eq!(Target::read(&uri).unwrap_err(), error, "{text}"),
        }
    }
}

#[test]
fn an_address_ends_at_its_limit() {
    let start = "https://example.com/";
    let longest = format!("{start}{}", "a".repeat(URL_BYTES_MAX - start.len()));
    read(&longest).unwrap();
    assert_eq!(
        read(&format!("{longest}a")).unwrap_err(),
        TargetError::TooLong
    );
}

proptest! {
    #[test]
    fn what_is_read_is_what_the_other_parser_reads(text in "https?://[a-zA-Z0-9.:@%\\[\\]_~-]{1,24}(/[ -~]{0,12})?") {
        if let Ok(uri) = text.parse::<Uri>()
            && let Ok(target) = Target::read(&uri)
        {
            let host = target.host().to_string();
            let port = uri.port_u16().unwrap_or(if target.is_https() { 443 } else { 80 });
            prop_assert!(host.eq_ignore_ascii_case(uri.host().unwrap()) || host.starts_with('['));
            prop_assert_eq!(target.port(), port);
            prop_assert!(target.path_and_query().starts_with('/'));
        }
    }
}
