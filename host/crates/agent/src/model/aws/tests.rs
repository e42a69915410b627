use std::time::Duration;

use reqwest::header::CONTENT_TYPE;

use super::*;

/// Noon of 21 November 2026.
const NOON: Duration = Duration::from_secs(1_795_262_400);

fn keys(session: Option<&str>) -> AwsKeys {
    AwsKeys {
        id: "AKIDEXAMPLE".into(),
        secret: ApiKey::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        session: session.map(ApiKey::new),
    }
}

async fn authorization(
    service: &str,
    url: &str,
    session: Option<&str>,
    further: &[(&'static str, &'static str)],
) -> String {
    let auth = AwsAuth::Signed {
        keys: Arc::new(keys(session)),
        clock: Arc::new(|| SystemTime::UNIX_EPOCH + NOON),
    };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in further {
        headers.insert(*name, HeaderValue::from_static(value));
    }
    let request = Unsigned {
        url: &Url::parse(url).unwrap(),
        body: br#"{"max_tokens":1}"#,
        region: "eu-west-1",
        service,
    };
    let hide = auth.authorize(&request, &mut headers).await.unwrap();
    assert_eq!(hide.len(), 1 + usize::from(session.is_some()));
    headers[AUTHORIZATION].to_str().unwrap().to_owned()
}

/// The signatures are those of botocore 1.43 for the same requests.
#[tokio::test]
async fn signatures_are_those_of_the_official_client() {
    let stream = "application/vnd.amazon.eventstream";
    let runtime = "https://bedrock-runtime.eu-west-1.amazonaws.com/model";
    let arn = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile%2Feu.anthropic.claude-sonnet-4-5-20250929-v1:0";
    let signed = authorization(
        "bedrock",
        &format!("{runtime}/{arn}/invoke-with-response-stream"),
        Some("SESSIONTOKEN"),
        &[("accept", stream)],
    )
    .await;
    assert_eq!(
        signed,
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/eu-west-1/bedrock/aws4_request, \
         SignedHeaders=accept;content-type;host;x-amz-date;x-amz-security-token, \
         Signature=a6755c28032b6204a5e35184317b36704dcb230cdfe01b927a600824172d7d4c"
    );
    let signed = authorization(
        "bedrock",
        &format!("{runtime}/eu.anthropic.claude-sonnet-5-5/invoke-with-response-stream"),
        None,
        &[("accept", stream)],
    )
    .await;
    assert!(signed.ends_with(
        "SignedHeaders=accept;content-type;host;x-amz-date, \
             Signature=fa0a218b44174eb0b167ffb1a48c5c86e39092c0c590dec1a56c2ddc55dc630c"
    ));
    let signed = authorization(
        "bedrock-mantle",
        "https://bedrock-mantle.eu-west-1.api.aws/anthropic/v1/messages",
        None,
        &[
            ("accept", "text/event-stream"),
            ("anthropic-version", "2026-10-21"),
        ],
    )
    .await;
    assert!(signed.ends_with(
        "SignedHeaders=accept;anthropic-version;content-type;host;x-amz-date, \
             Signature=e2f3c091a8966366938a0e1da124bc72c6bc4f0c85fa6d02873927ac3475753b"
    ));
}

#[tokio::test]
async fn missing_keys_are_told_and_none_is_printed() {
    let auth = AwsAuth::Signed {
        keys: Arc::new(AwsKeys {
            id: String::new(),
            ..keys(None)
        }),
        clock: Arc::new(SystemTime::now),
    };
    let request = Unsigned {
        url: &Url::parse("https://example.com/").unwrap(),
        body: b"",
        region: "eu-west-1",
        service: "bedrock",
    };
    let error = auth.authorize(&request, &mut HeaderMap::new()).await;
    assert_eq!(error.unwrap_err(), ModelError::Key("is missing"));
    let shown = format!("{:?} {auth:?}", keys(Some("SESSIONTOKEN")));
    assert!(
        !shown.contains("SESSION") && !shown.contains("wJalr"),
        "{shown}"
    );
}
