//! Whose requests go over whose connections.

use toolcell_policy::{SecretGrant, SecretPlace, SecretSource};

use super::*;
use crate::{
    TenantId,
    egress::{Egress, testing::Authority},
    secrets::{CallSecrets, Secret},
};

/// One host, whose calls go to one server.
struct Stage {
    egress: Arc<Egress>,
    server: Server,
}

/// Who makes a request.
#[derive(Clone, Copy)]
struct Who {
    tenant: Option<&'static str>,
    package: &'static str,
    secrets: &'static [&'static str],
}

const PLAIN: Who = Who {
    tenant: None,
    package: "web",
    secrets: &[],
};

impl Stage {
    async fn new() -> Self {
        let authority = Authority::new();
        let tls = authority.vouch_for("server.test");
        let server = Server::start_tls(tls, Answer::keep("hello")).await;
        let names = Names::default().with("server.test", &[&["127.0.0.1"]]);
        Self {
            egress: Arc::new(egress(Arc::new(names), authority.roots())),
            server,
        }
    }

    fn to(&self) -> String {
        format!("https://server.test:{}", self.server.port())
    }

    fn grants(&self, package: &str, paths: &str) -> GrantSet {
        let to = self.to();
        let policy = format!(
            "[tool.{package}]\nfrom = \"./a.wasm\"\nnet = [{{ to = \"{to}\", paths = [\"{paths}\"] }}]\n"
        );
        let manifest = MANIFEST.replacen("name = \"web\"", &format!("name = \"{package}\""), 1);
        let policy = Policy::from_toml(&policy).unwrap();
        let manifest = Manifest::from_toml(&manifest).unwrap();
        match decide(&Layers::from(policy), &manifest, "web") {
            Decision::Allow(grants) => grants,
            other => panic!("{other:?}"),
        }
    }

    /// Makes a request, and says how many connections there were so far.
    async fn ask(&self, who: Who, path: &str) -> usize {
        let grants = self.grants(who.package, "/**");
        let laden = self.grants(who.package, "/laden");
        let net = &laden.net()[0];
        let secrets = who.secrets.iter().map(|name| {
            let grant = SecretGrant {
                name: (*name).to_owned(),
                source: SecretSource::Env((*name).to_owned()),
                scope: net.scope.clone(),
                place: SecretPlace::Header {
                    name: format!("x-{}", name.to_lowercase()),
                    before: String::new(),
                    after: String::new(),
                },
                rule: net.rule.clone(),
            };
            (grant, Some(Secret::new(b"Zq8h/Wv+k4Lx7Rm=").unwrap()))
        });
        let secrets = CallSecrets::of(secrets.collect());
        let requests = Requests::new(HttpOptions {
            tenant: who.tenant.map(TenantId::new),
            secrets: Arc::new(secrets),
            grants,
            egress: Arc::clone(&self.egress),
            deadline: Instant::now() + PLENTY,
            recorder: Recorder::new(CallId::new("call_1"), None),
            approver: None,
        });
        let request = request("GET", &format!("{}{path}", self.to()), "");
        let sent = Arc::new(requests).send(request, RequestOptions::default());
        let (response, driver) = sent.await.unwrap();
        let moving = tokio::spawn(Pin::from(driver));
        response.into_body().collect().await.unwrap();
        moving.abort();
        self.server.connections()
    }
}

#[tokio::test]
async fn the_calls_of_one_package_follow_each_other_on_a_connection() {
    let stage = Stage::new().await;
    for _ in 0..3 {
        assert_eq!(stage.ask(PLAIN, "/").await, 1);
    }
}

#[tokio::test]
async fn no_two_packages_and_no_two_tenants_share_one() {
    let stage = Stage::new().await;
    let of = |tenant, package| Who {
        tenant,
        package,
        secrets: &[],
    };
    for (who, connections) in [
        (of(None, "web"), 1),
        (of(None, "other"), 2),
        (of(Some("one"), "web"), 3),
        (of(Some("two"), "web"), 4),
        (of(Some("one"), "other"), 5),
        (of(Some("web"), "other"), 6),
        (of(None, "web"), 6),
        (of(Some("two"), "web"), 6),
    ] {
        assert_eq!(stage.ask(who, "/").await, connections);
    }
}

#[tokio::test]
async fn a_connection_that_carried_a_secret_carries_requests_with_the_same_ones_only() {
    let stage = Stage::new().await;
    let with = |secrets| Who { secrets, ..PLAIN };
    for (who, path, connections) in [
        (PLAIN, "/laden", 1),
        (with(&["ONE"]), "/laden", 2),
        // The tool has the secret, and this request carries none.
        (with(&["ONE"]), "/plain", 2),
        (with(&["TWO"]), "/laden", 3),
        (with(&["ONE", "TWO"]), "/laden", 4),
        (with(&["ONE"]), "/laden", 4),
        (PLAIN, "/plain", 4),
    ] {
        assert_eq!(stage.ask(who, path).await, connections, "{path}");
    }
    let received = stage.server.received();
    assert_eq!(received.matches("x-one: ").count(), 3, "{received}");
}
