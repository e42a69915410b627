use std::sync::atomic::Ordering;

use super::*;
use crate::TenantId;
use crate::secrets::{
    BoundSecret, CallSecrets, Keeper, Redaction, Weaknesses,
    fixtures::{Server, Values, client_credentials, grant, refresh_token, token},
};

const FIRST: &str = "f1rst-tXk3n-aQ7";
const SECOND: &str = "s3c0nd-tXk3n-bR8";

struct Host {
    values: Arc<Values>,
    server: Arc<Server>,
    keeper: Keeper,
    source: OAuthSource,
}

impl Host {
    fn new(values: Values, server: Server, source: OAuthSource) -> Self {
        let (values, server) = (Arc::new(values), Arc::new(server));
        let keeper = Keeper::new(
            Some(Arc::new(Arc::clone(&values))),
            Arc::clone(&server) as _,
            Redaction::new(),
            Weaknesses::default(),
        );
        Self {
            values,
            server,
            keeper,
            source,
        }
    }

    fn client(server: Server) -> Self {
        let values = Values::default().with("", "web", "env:CLIENT", "cQ13w-zK7fH-1");
        Self::new(values, server, client_credentials())
    }

    /// One call of a tool.
    async fn call(&self) -> Arc<CallSecrets> {
        let grants = [grant(
            "OA",
            toolcell_policy::SecretSource::OAuth(Box::new(self.source.clone())),
        )];
        self.keeper.call_of("web", &grants, None).await.unwrap()
    }

    async fn token(&self) -> Result<String, SecretError> {
        let call = self.call().await;
        value(&call.bound()[0]).await
    }

    fn finds(&self, text: &str) -> bool {
        self.keeper.sinks().text(text).contains("[secret OA]")
    }
}

async fn value(bound: &BoundSecret) -> Result<String, SecretError> {
    let secret = bound.value().await?.unwrap();
    Ok(String::from_utf8(secret.expose().to_vec()).unwrap())
}

#[tokio::test]
async fn a_token_is_fetched_once_and_kept_while_it_is_good() {
    let host = Host::client(Server::answers([token(FIRST, 3600), token(SECOND, 3600)]));
    for _ in 0..3 {
        assert_eq!(host.token().await.unwrap(), FIRST);
    }
    assert_eq!(host.server.asked(), 1);
    // What was sent and what came back is searched for.
    assert!(host.finds("cQ13w-zK7fH-1") && host.finds(FIRST));
}

#[tokio::test]
async fn nothing_is_fetched_that_no_request_needs() {
    let host = Host::client(Server::answers([token(FIRST, 3600)]));
    let call = host.call().await;
    assert_eq!(call.names(), ["OA"]);
    assert_eq!(host.server.asked(), 0);
}

#[tokio::test]
async fn a_token_without_a_life_is_used_once() {
    let host = Host::client(Server::answers([token(FIRST, 0), token(SECOND, 3600)]));
    assert_eq!(host.token().await.unwrap(), FIRST);
    assert_eq!(host.token().await.unwrap(), SECOND);
    // The old one is still searched for.
    assert!(host.finds(FIRST) && host.finds(SECOND));
}

#[tokio::test]
async fn a_hundred_calls_at_once_make_one_fetch() {
    let server = Server {
        gate: Some(tokio::sync::Notify::new()),
        ..Server::answers([token(FIRST, 3600)])
    };
    let host = Host::client(server);
    let call = host.call().await;
    let waiting = (0..100).map(|_| value(&call.bound()[0]));
    let all = futures_util::future::join_all(waiting);
    let opened = async {
        while host.server.asked() == 0 {
            tokio::task::yield_now().await;
        }
        host.server.gate.as_ref().unwrap().notify_one();
    };
    let (all, ()) = tokio::join!(all, opened);
    assert!(all.into_iter().all(|token| token.unwrap() == FIRST));
    assert_eq!(host.server.asked(), 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_stop_the_fetch() {
    let server = Server {
        gate: Some(tokio::sync::Notify::new()),
        ..Server::answers([token(FIRST, 3600)])
    };
    let host = Host::client(server);
    let call = host.call().await;
    {
        let mut leaving = std::pin::pin!(value(&call.bound()[0]));
        while host.server.asked() == 0 {
            assert!(futures_util::poll!(&mut leaving).is_pending());
            tokio::task::yield_now().await;
        }
    }
    host.server.gate.as_ref().unwrap().notify_one();
    assert_eq!(host.token().await.unwrap(), FIRST);
    assert_eq!(host.server.asked(), 1);
}

#[tokio::test]
async fn a_failure_is_remembered_for_ten_seconds_and_said_again() {
    let host = Host::client(Server::answers([
        Ok((503, "HOSTILE".to_owned())),
        token(FIRST, 3600),
    ]));
    let first = host.token().await.unwrap_err();
    assert_eq!(
        first.to_string(),
        "the secret OA (oauth) cannot be used: the token endpoint answered with status 503"
    );
    assert_eq!(first.rule(), Some("toolcell.toml:7 tool.web.secrets.OA"));
    assert!(first.help().is_some());
    for _ in 0..50 {
        assert_eq!(host.token().await.unwrap_err(), first);
    }
    assert_eq!(host.server.asked(), 1);
}

#[tokio::test]
async fn whoever_mends_the_client_secret_need_not_wait() {
    let host = Host::client(Server::answers([
        Ok((401, r#"{"error":"invalid_client"}"#.to_owned())),
        token(FIRST, 3600),
    ]));
    assert!(host.token().await.is_err());
    assert!(host.token().await.is_err());
    host.values.set("", "web", "env:CLIENT", "cQ13w-zK7fH-2");
    assert_eq!(host.token().await.unwrap(), FIRST);
    assert_eq!(host.server.asked(), 2);
}

#[tokio::test]
async fn a_refused_token_is_fetched_anew_but_not_again_and_again() {
    let host = Host::client(Server::answers([token(FIRST, 3600), token(SECOND, 3600)]));
    let refuse = async || {
        let call = host.call().await;
        let bound = &call.bound()[0];
        let token = bound.value().await.unwrap().unwrap();
        bound.refused(&token);
        String::from_utf8(token.expose().to_vec()).unwrap()
    };
    assert_eq!(refuse().await, FIRST);
    assert_eq!(refuse().await, SECOND);
    // The new one was refused as well, and just after it was fetched: another one would not help.
    for _ in 0..20 {
        assert_eq!(refuse().await, SECOND);
    }
    assert_eq!(host.server.asked(), 2);
}

#[tokio::test]
async fn the_refusal_of_an_old_token_leaves_the_new_one_alone() {
    let host = Host::client(Server::answers([token(FIRST, 0), token(SECOND, 3600)]));
    let call = host.call().await;
    let old = call.bound()[0].value().await.unwrap().unwrap();
    assert_eq!(host.token().await.unwrap(), SECOND);
    call.bound()[0].refused(&old);
    assert_eq!(host.token().await.unwrap(), SECOND);
    assert_eq!(host.server.asked(), 2);
}

#[test]
fn after_ten_seconds_a_refused_token_is_fetched_anew_again() {
    let token = Arc::new(Secret::new(FIRST).unwrap());
    let begin = Instant::now();
    let until = begin + Duration::from_secs(3600);
    let mut state = State::default();
    for (after, dropped) in [(0, true), (9, false), (10, true), (19, false), (20, true)] {
        state.token = Some((Arc::clone(&token), until));
        state.refused(&token, begin + Duration::from_secs(after));
        assert_eq!(state.token.is_none(), dropped, "{after}");
    }
}

fn rotating(access: &str, refresh: &str) -> Result<(u16, String), TokenError> {
    let answer = format!(
        r#"{{"access_token":"{access}","token_type":"Bearer","expires_in":0,"refresh_token":"{refresh}"}}"#
    );
    Ok((200, answer))
}

fn refresh_tokens(host: &Host) -> Vec<String> {
    let forms = host.server.forms.lock().unwrap();
    let sent = |form: &String| {
        let (_, token) = form.split_once("&refresh_token=").unwrap();
        token.split('&').next().unwrap().to_owned()
    };
    forms.iter().map(sent).collect()
}

#[tokio::test]
async fn a_rotated_refresh_token_is_used_from_then_on() {
    for keeps in [false, true] {
        let values = Values {
            keeps,
            ..Values::default()
        };
        let values = values.with("", "web", "keyring:REFRESH", "rF9kQw-0-kQ");
        let server = Server::answers([
            rotating(FIRST, "rF9kQw-1-kQ"),
            rotating(SECOND, "rF9kQw-2-kQ"),
            token("th1rd-tXk3n", 0),
        ]);
        let host = Host::new(values, server, refresh_token());
        for _ in 0..3 {
            host.token().await.unwrap();
        }
        assert_eq!(
            refresh_tokens(&host),
            ["rF9kQw-0-kQ", "rF9kQw-1-kQ", "rF9kQw-2-kQ"]
        );
        let stored = host.values.all.lock().unwrap().values().next().cloned();
        let expected = if keeps { "rF9kQw-2-kQ" } else { "rF9kQw-0-kQ" };
        assert_eq!(stored.as_deref(), Some(expected));
        assert!(host.finds("rF9kQw-1-kQ") && host.finds("rF9kQw-2-kQ"));
        // Whoever puts another one into the store means it.
        host.values
            .set("", "web", "keyring:REFRESH", "rF9kQw-new-7");
        host.token().await.unwrap();
        assert_eq!(refresh_tokens(&host).last().unwrap(), "rF9kQw-new-7");
    }
}

#[tokio::test]
async fn without_its_parts_a_token_is_absent() {
    let host = Host::new(
        Values::default(),
        Server::answers([token(FIRST, 1)]),
        client_credentials(),
    );
    let call = host.call().await;
    assert!(call.names().is_empty() && call.absent().len() == 1);
    assert!(call.bound()[0].value().await.unwrap().is_none());
    let host = Host::new(
        Values::default(),
        Server::answers([token(FIRST, 1)]),
        refresh_token(),
    );
    assert!(host.call().await.names().is_empty());
    assert_eq!(host.values.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn tokens_of_two_tenants_and_two_packages_are_apart() {
    let values = Values::default()
        .with("a", "web", "env:CLIENT", "cQ13w-zK7fH-a")
        .with("b", "web", "env:CLIENT", "cQ13w-zK7fH-b")
        .with("a", "mail", "env:CLIENT", "cQ13w-zK7fH-m");
    let server = Server::answers([
        token(FIRST, 3600),
        token(SECOND, 3600),
        token("th1rd-tXk3n-cS9", 3600),
    ]);
    let host = Host::new(values, server, client_credentials());
    let grants = [grant(
        "OA",
        toolcell_policy::SecretSource::OAuth(Box::new(client_credentials())),
    )];
    let mut found = Vec::new();
    for (tenant, package) in [("a", "web"), ("b", "web"), ("a", "mail"), ("a", "web")] {
        let tenant = TenantId::new(tenant);
        let call = host
            .keeper
            .call_of(package, &grants, Some(&tenant))
            .await
            .unwrap();
        found.push(value(&call.bound()[0]).await.unwrap());
    }
    assert_eq!(found, [FIRST, SECOND, "th1rd-tXk3n-cS9", FIRST]);
}
