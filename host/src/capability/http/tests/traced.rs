//! What is said at the finest level while a request carries a secret, by our own code and by the libraries under it.

use std::io;

use toolcell_policy::{SecretGrant, SecretPlace, SecretSource};
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::{
    egress::testing::{
        Authority,
        http2::{Http2Server, Says},
    },
    secrets::{RedactingWriter, Redaction, Secret},
};

/// Both a value and what a library may well say of it.
const VALUE: &str = "q7Rk2mXw9TbZ4hLp";

/// Keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Searches each event.
struct Searching(Redaction, Kept);

impl<'a> MakeWriter<'a> for Searching {
    type Writer = RedactingWriter<Kept>;

    fn make_writer(&'a self) -> Self::Writer {
        self.0.writer(self.1.clone())
    }
}

/// Everything that is said while a request over HTTP/2 carries the value in its address and in a header, and gets it back.
async fn said(redaction: Redaction) -> String {
    let kept = Kept::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(Searching(redaction, kept.clone()))
        .finish();
    // The runtime of a test has one thread, so that all of it is heard.
    let _here = tracing::subscriber::set_default(subscriber);
    let authority = Authority::new();
    let mut answer = http::Response::new(vec![Bytes::from_static(VALUE.as_bytes())]);
    answer
        .headers_mut()
        .insert("x-echo", VALUE.parse().unwrap());
    let says = Says::Whole(answer, http::HeaderMap::new());
    let server = Http2Server::start(&authority, says).await;
    let net = grants(
        &format!("to = \"{}\"", server.url().split_once("/path").unwrap().0),
        "",
    );
    let grant = |name: &str, place| SecretGrant {
        name: name.to_owned(),
        source: SecretSource::Env(name.to_owned()),
        scope: net.net()[0].scope.clone(),
        place,
        rule: net.net()[0].rule.clone(),
    };
    let query = SecretPlace::Query {
        name: "key".to_owned(),
    };
    let secrets = CallSecrets::of(vec![(
        grant("TOKEN", query),
        Some(Secret::new(VALUE).unwrap()),
    )]);
    let names = Names::default().with("server.test", &[&["127.0.0.1"]]);
    let requests = Requests::new(HttpOptions {
        tenant: None,
        secrets: Arc::new(secrets),
        grants: net,
        egress: Arc::new(egress(Arc::new(names), authority.roots())),
        deadline: Instant::now() + PLENTY,
        recorder: Recorder::new(CallId::new("call_1"), None),
        approver: None,
    });
    let mut call = Call {
        state: HttpState::new(Arc::new(requests), 32 * 1024),
        recorder: Recorder::new(CallId::new("call_1"), None),
        names: Arc::default(),
    };
    let url = server.url();
    let answer = call.fetch("GET", &url).await.unwrap();
    assert_eq!(answer, "[secret TOKEN]");
    let heard = server.heard();
    assert!(
        heard[0].head.uri().to_string().contains(VALUE),
        "it went out"
    );
    // What a library could say at any time, in the pieces that formatting makes of it.
    tracing::trace!(
        target: "h2::frame",
        "{{ \"x\": {}{}, bytes: {:?} }}",
        &VALUE[..7],
        &VALUE[7..],
        VALUE.as_bytes()
    );
    let kept = kept.0.lock().unwrap().clone();
    String::from_utf8(kept).unwrap()
}

#[tokio::test]
async fn nothing_that_is_said_at_the_finest_level_holds_a_secret() {
    let bytes = format!("{:?}", VALUE.as_bytes());
    let redaction = Redaction::new();
    redaction.register("TOKEN", Secret::new(VALUE).unwrap());
    let clean = said(redaction).await;
    assert!(clean.contains("TRACE") && clean.contains("h2::"), "{clean}");
    assert!(!clean.contains(VALUE) && !clean.contains(&bytes), "{clean}");
    assert!(clean.contains("[secret TOKEN]"), "{clean}");
    // Without the search it is there.
    let plain = said(Redaction::new()).await;
    assert!(plain.contains(VALUE) && plain.contains(&bytes), "{plain}");
}
