use toolcell_policy::decide;

use super::*;
use crate::{
    Layers, Manifest, Policy, Secret, SecretError, SecretQuery, SecretStore,
    egress::testing::{Answer, Authority, Names, Server, egress},
    secrets::{Keeper, Redaction, Weaknesses},
};

const NAME: &str = "auth.test";
const FORM: &str = "grant_type=client_credentials";

/// A token endpoint on the loopback address that gives this answer.
struct Setup {
    server: Server,
    endpoints: Endpoints,
}

impl Setup {
    async fn new(answer: Answer) -> Self {
        let authority = Authority::new();
        let server = Server::start_tls(authority.vouch_for(NAME), answer).await;
        let names = Names::default().with(NAME, &[&["127.0.0.1"]]);
        let endpoints = Endpoints(Arc::new(egress(Arc::new(names), authority.roots())));
        Self { server, endpoints }
    }

    fn request(&self) -> TokenRequest {
        TokenRequest {
            url: format!("https://{NAME}:{}/token?x=1", self.server.port())
                .parse()
                .unwrap(),
            special: true,
            authorization: Some(Zeroizing::new("Basic bWU6c2VjcmV0".to_owned())),
            form: Zeroizing::new(FORM.as_bytes().to_vec()),
        }
    }
}

fn answer(head: &str, body: &str) -> Answer {
    let length = body.len();
    Answer::AfterBody(format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}").into())
}

const JSON: &str = "200 OK\r\ncontent-type: Application/JSON; charset=utf-8";

#[tokio::test]
async fn a_form_is_posted_and_the_answer_comes_back() {
    let setup = Setup::new(answer(JSON, "{}")).await;
    let answer = setup.endpoints.ask(setup.request()).await.unwrap();
    assert_eq!(
        (answer.status, answer.media_type.as_str()),
        (200, "application/json")
    );
    assert_eq!(answer.body.as_slice(), b"{}");
    let sent = setup.server.received().to_lowercase();
    assert!(sent.starts_with("post /token?x=1 http/1.1\r\n"), "{sent}");
    assert!(
        sent.contains("\r\nauthorization: basic bwu6c2vjcmv0\r\n"),
        "{sent}"
    );
    assert!(
        sent.contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"),
        "{sent}"
    );
    assert!(sent.contains("\r\naccept-encoding: identity\r\n"), "{sent}");
    assert!(sent.ends_with(&format!("\r\n\r\n{FORM}")), "{sent}");
}

#[tokio::test]
async fn a_redirect_is_handed_back_and_not_followed() {
    let head = "307 Temporary Redirect\r\nlocation: https://elsewhere.test/token";
    let setup = Setup::new(answer(head, "")).await;
    let answer = setup.endpoints.ask(setup.request()).await.unwrap();
    assert_eq!(answer.status, 307);
    assert_eq!(setup.server.connections(), 1);
}

#[tokio::test]
async fn an_answer_has_64_kib_at_most() {
    let most = usize::try_from(ANSWER_BYTES_MAX).unwrap();
    let setup = Setup::new(answer(JSON, &"x".repeat(most))).await;
    assert_eq!(
        setup
            .endpoints
            .ask(setup.request())
            .await
            .unwrap()
            .body
            .len(),
        most
    );
    let setup = Setup::new(answer(JSON, &"x".repeat(most + 1))).await;
    let error = setup.endpoints.ask(setup.request()).await.err().unwrap();
    assert_eq!(error, TokenError::Unreachable("its answer is too large"));
}

#[tokio::test]
async fn nothing_is_sent_where_nobody_vouches_for_the_server() {
    let setup = Setup::new(answer(JSON, "{}")).await;
    let names = Names::default().with(NAME, &[&["127.0.0.1"]]);
    let others = Endpoints(Arc::new(egress(Arc::new(names), Authority::new().roots())));
    let error = others.ask(setup.request()).await.err().unwrap();
    assert_eq!(
        error,
        TokenError::Unreachable("its certificate is not valid")
    );
    assert_eq!(setup.server.received(), "");
}

#[tokio::test]
async fn only_https_and_only_public_addresses_unless_the_policy_names_one() {
    let setup = Setup::new(answer(JSON, "{}")).await;
    let mut request = setup.request();
    request.url.set_scheme("http").unwrap();
    let error = setup.endpoints.ask(request).await.err().unwrap();
    assert_eq!(
        error,
        TokenError::Unreachable("its address is not valid, or is not https")
    );
    let mut request = setup.request();
    request.special = false;
    let error = setup.endpoints.ask(request).await.err().unwrap();
    assert!(error.to_string().contains("is not public"), "{error}");
    assert_eq!(setup.server.connections(), 0);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    let cut = format!("HTTP/1.1 {JSON}\r\ncontent-length: 9\r\n\r\n{{");
    let setup = Setup::new(Answer::AfterBody(cut.into())).await;
    let error = setup.endpoints.ask(setup.request()).await.err().unwrap();
    assert_eq!(
        error,
        TokenError::Unreachable("its answer did not arrive whole")
    );
}

#[test]
fn an_encoded_answer_has_no_media_type() {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    assert_eq!(media_type(&headers), "application/json");
    headers.insert(
        header::CONTENT_ENCODING,
        HeaderValue::from_static("identity"),
    );
    assert_eq!(media_type(&headers), "application/json");
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    assert_eq!(media_type(&headers), "");
}

/// What a policy says, from the store to the token: over TLS, through the same way out as tools.
#[tokio::test]
async fn a_credential_of_a_policy_is_fetched_with_what_the_store_has() {
    struct Client;
    impl SecretStore for Client {
        async fn get(&self, query: SecretQuery<'_>) -> Result<Option<Secret>, SecretError> {
            assert_eq!(query.source.to_string(), "env:CLIENT");
            Ok(Some(Secret::new("cQ13w-zK7fH-9")?))
        }
    }
    let body = r#"{"access_token":"tXk3n-Zq81-xYw7","token_type":"Bearer","expires_in":60}"#;
    let setup = Setup::new(answer(JSON, body)).await;
    let policy = format!(
        "[tool.web]\nfrom = \"web.wasm\"\nnet = [{{ to = \"https://api.example.com\" }}]\n\
         secrets.API = {{ to = \"https://api.example.com\", header = \"Authorization: Bearer {{}}\", \
         oauth = {{ grant = \"client_credentials\", token_url = \"https://{NAME}:{}/token\", client_id = \"me\", \
         client_secret = \"env:CLIENT\", scopes = [\"read\"] }} }}\n",
        setup.server.port()
    );
    let manifest = "name = \"web\"\nversion = \"0.1.0\"\n[[tool]]\nname = \"web\"\ndescription = \"Web\"\n\
                    input = { type = \"object\" }\n[request]\nnet = [{ to = \"https://api.example.com\", methods = [\"GET\"], why = \"x\" }]\n\
                    secrets = [{ name = \"API\", to = \"https://api.example.com\" }]\n";
    let manifest = Manifest::from_toml(manifest).unwrap();
    let layers = Layers::from(Policy::from_toml(&policy).unwrap());
    let grants = decide(&layers, &manifest, "web").grants().unwrap().clone();

    let sinks = Redaction::new();
    let endpoint = Arc::new(setup.endpoints);
    let weak = Weaknesses::default();
    let keeper = Keeper::new(Some(Arc::new(Client)), endpoint, sinks.clone(), weak);
    let secrets = keeper.of_call(&grants, &keeper.tenant(None)).await.unwrap();
    assert_eq!(secrets.names(), ["API"]);
    for _ in 0..3 {
        let token = secrets.bound()[0].value().await.unwrap().unwrap();
        assert_eq!(token.expose(), b"tXk3n-Zq81-xYw7");
    }
    assert_eq!(setup.server.connections(), 1);
    let sent = setup.server.received();
    // "me:cQ13w-zK7fH-9" in base64.
    assert!(sent.contains("Basic bWU6Y1ExM3cteks3ZkgtOQ=="), "{sent}");
    assert!(
        sent.ends_with("grant_type=client_credentials&scope=read"),
        "{sent}"
    );
    assert_eq!(
        sinks.text("tXk3n-Zq81-xYw7 cQ13w-zK7fH-9"),
        "[secret API] [secret API]"
    );
}
