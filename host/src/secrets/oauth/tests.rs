use super::*;
use crate::secrets::fixtures::{client_credentials, refresh_token};

const TOKEN: &str = "tXk3n-Zq81-xYw7";

fn secret(value: &str) -> Secret {
    Secret::new(value).unwrap()
}

fn answer(status: u16, body: &str) -> Result<Granted, TokenError> {
    read(&TokenAnswer {
        status,
        media_type: "application/json".to_owned(),
        body: Zeroizing::new(body.as_bytes().to_vec()),
    })
}

fn form(request: &TokenRequest) -> Vec<(String, String)> {
    form_urlencoded::parse(&request.form).into_owned().collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn client_credentials_are_sent_in_a_header_or_in_the_form() {
    let client = secret("kW9:%&+=ü-7xQ");
    let mut source = client_credentials();
    let sent = request(&source, Some(&client), None);
    assert_eq!(
        form(&sent),
        pairs(&[
            ("grant_type", "client_credentials"),
            ("scope", "read write")
        ])
    );
    let header = sent.authorization.unwrap();
    let encoded = header.strip_prefix("Basic ").unwrap();
    let joined = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
    // Encoded before they are joined, so that a colon in the name is no end of it.
    assert_eq!(joined, "me+%26+you:kW9%3A%25%26%2B%3D%C3%BC-7xQ");

    source.auth = OAuthAuth::Body;
    let sent = request(&source, Some(&client), None);
    assert!(sent.authorization.is_none());
    assert_eq!(
        form(&sent),
        pairs(&[
            ("grant_type", "client_credentials"),
            ("scope", "read write"),
            ("client_id", "me & you"),
            ("client_secret", "kW9:%&+=ü-7xQ"),
        ])
    );
}

#[test]
fn a_refresh_token_is_sent_with_and_without_a_client_secret() {
    let token = secret("rF9kQw-tXk3n-1");
    let sent = request(&refresh_token(), None, Some(&token));
    assert!(sent.authorization.is_none());
    assert_eq!(
        form(&sent),
        pairs(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", "rF9kQw-tXk3n-1"),
            ("client_id", "me & you"),
        ])
    );
    let sent = request(&refresh_token(), Some(&secret("cQ13w-zK7fH")), Some(&token));
    assert!(sent.authorization.is_some());
    assert_eq!(form(&sent).len(), 2);
}

#[test]
fn a_token_is_used_for_less_than_its_life() {
    for (life, seconds) in [
        ("", 300),
        (r#","expires_in":3600"#, 3540),
        (r#","expires_in":"3600""#, 3540),
        (r#","expires_in":3600.5"#, 3540),
        (r#","expires_in":100"#, 90),
        (r#","expires_in":10"#, 9),
        (r#","expires_in":0"#, 0),
        (r#","expires_in":-5"#, 0),
        (r#","expires_in":1e300"#, 24 * 3600 - 60),
    ] {
        let body = format!(r#"{{"access_token":"{TOKEN}","token_type":"bearer"{life}}}"#);
        let granted = answer(200, &body).unwrap();
        assert_eq!(granted.access.expose(), TOKEN.as_bytes());
        assert_eq!(granted.kept.as_secs(), seconds, "{life}");
        assert!(granted.refresh.is_none());
    }
}

#[test]
fn what_is_no_answer_is_refused() {
    let good = r#"{"access_token":"tXk3n-Zq81-xYw7","token_type":"bearer"}"#;
    for (status, body, error) in [
        (200, "", TokenError::Malformed),
        (200, "[]", TokenError::Malformed),
        (200, r#"{"token_type":"bearer"}"#, TokenError::Malformed),
        (
            200,
            r#"{"access_token":"tXk3n-Zq81-xYw7"}"#,
            TokenError::Malformed,
        ),
        (
            200,
            r#"{"access_token":7,"token_type":"bearer"}"#,
            TokenError::Malformed,
        ),
        (
            200,
            r#"{"access_token":"tXk3n-Zq81-xYw7","token_type":"bearer","expires_in":"soon"}"#,
            TokenError::Malformed,
        ),
        (
            200,
            r#"{"access_token":"tXk3n-Zq81-xYw7","access_token":"b","token_type":"bearer"}"#,
            TokenError::Malformed,
        ),
        (
            200,
            r#"{"access_token":"tXk3n-Zq81-xYw7","token_type":"mac"}"#,
            TokenError::Kind,
        ),
        (
            200,
            r#"{"access_token":"test","token_type":"bearer"}"#,
            TokenError::Weak,
        ),
        (
            200,
            r#"{"access_token":"tXk3n-Zq81\r\nx: y","token_type":"bearer"}"#,
            TokenError::Weak,
        ),
        (
            200,
            r#"{"access_token":"tXk3n-Zq81-xYw7","token_type":"bearer","refresh_token":"a"}"#,
            TokenError::Weak,
        ),
        (
            200,
            r#"{"error":"invalid_grant"}"#,
            TokenError::Refused(OAuthError::InvalidGrant),
        ),
        (201, good, TokenError::Status(201)),
        (302, good, TokenError::Redirect(302)),
        (500, "<html>", TokenError::Status(500)),
        (400, r#"{"error":"of its own"}"#, TokenError::Status(400)),
        (
            401,
            r#"{"error":"invalid_client","error_description":"x"}"#,
            TokenError::Refused(OAuthError::InvalidClient),
        ),
    ] {
        assert_eq!(answer(status, body).err(), Some(error), "{status} {body}");
    }
}

#[test]
fn an_answer_of_another_media_type_is_refused() {
    let html = TokenAnswer {
        status: 200,
        media_type: "text/html".to_owned(),
        body: Zeroizing::new(
            br#"{"access_token":"tXk3n-Zq81-xYw7","token_type":"bearer"}"#.to_vec(),
        ),
    };
    assert_eq!(read(&html).err(), Some(TokenError::Malformed));
}

#[test]
fn every_registered_error_is_told_and_nothing_else_that_a_server_says() {
    for error in OAuthError::ALL {
        let body = format!(
            r#"{{"error":"{}","error_description":"HOSTILE","error_uri":"https://hostile.example"}}"#,
            error.code()
        );
        let told = answer(400, &body).err().unwrap();
        assert_eq!(told, TokenError::Refused(error));
        let text = told.to_string();
        assert!(
            text.contains(error.code()) && !text.to_lowercase().contains("hostile"),
            "{text}"
        );
    }
    let told = answer(400, r#"{"error":"HOSTILE\u001b[2J"}"#)
        .err()
        .unwrap();
    assert!(!format!("{told} {told:?}").contains("HOSTILE"));
}

proptest::proptest! {
    #[test]
    fn any_answer_is_read_without_panic(status in 100_u16..600, body in ".{0,200}") {
        let _ = answer(status, &body);
    }

    #[test]
    fn any_number_of_seconds_is_read_without_panic(seconds in proptest::num::f64::ANY) {
        let body = format!(r#"{{"access_token":"{TOKEN}","token_type":"bearer","expires_in":"{seconds}"}}"#);
        if let Ok(granted) = answer(200, &body) {
            proptest::prop_assert!(granted.kept <= KEPT_MAX);
        }
    }
}
