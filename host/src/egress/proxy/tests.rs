use std::sync::{Arc, Mutex};

use super::*;
use crate::egress::{
    Bounds, EgressOptions, Phase,
    testing::{
        Answer, Authority, Names, Server,
        client::{bounds, fetch, owned},
        egress_as,
        proxy::{Does, ProxyServer},
    },
};

fn proxy(port: u16, resolves: bool) -> Proxy {
    // A private name: what the operator named may be anywhere.
    let url = Url::parse(&format!("http://proxy.internal:{port}")).unwrap();
    Proxy::read(&url, resolves).unwrap()
}

struct Way {
    egress: Egress,
    names: Arc<Names>,
    dialled: Arc<Mutex<Vec<String>>>,
}

fn through(server: &ProxyServer, resolves: bool, authority: &Authority) -> Way {
    let names = Names::default()
        .with("server.test", &[&["127.0.0.1"]])
        .with("two.test", &[&["127.0.0.9", "127.0.0.1"]])
        .with("evil.test", &[&["169.254.169.254"]])
        .with("proxy.internal", &[&["127.0.0.1"]]);
    let names = Arc::new(names);
    let dialled = Arc::new(Mutex::new(Vec::new()));
    let spy = Arc::clone(&dialled);
    let set = |options: &mut EgressOptions| {
        options.proxy = Some(proxy(server.port(), resolves));
        options.dialled = Some(Arc::new(move |address| {
            spy.lock().unwrap().push(address.to_string());
        }));
    };
    Way {
        egress: egress_as(names.clone(), authority.roots(), set),
        names,
        dialled,
    }
}

#[test]
fn a_proxys_address_is_a_host_and_a_port() {
    for (text, read) in [
        ("http://proxy.internal:3128", Ok(3128)),
        ("http://proxy.internal/", Ok(80)),
        ("http://10.0.0.1:3128", Ok(3128)),
        ("https://proxy.internal:3128", Err(ProxyError::Scheme)),
        ("socks5://proxy.internal:3128", Err(ProxyError::Scheme)),
        ("http://me@proxy.internal", Err(ProxyError::UserInfo)),
        ("http://me:secret@proxy.internal", Err(ProxyError::UserInfo)),
        ("http://proxy.internal/x", Err(ProxyError::Rest)),
        ("http://proxy.internal/?x", Err(ProxyError::Rest)),
        ("http://proxy.internal/#x", Err(ProxyError::Rest)),
    ] {
        let url = Url::parse(text).unwrap();
        assert_eq!(Proxy::read(&url, false).map(|it| it.port), read, "{text}");
    }
}

#[tokio::test]
async fn the_proxy_is_told_the_checked_address_and_tls_goes_to_the_server() {
    let authority = Authority::new();
    let target = Server::start_tls(authority.vouch_for("server.test"), Answer::keep("hello")).await;
    let server = ProxyServer::start(Does::Connect).await;
    let way = through(&server, false, &authority);
    let url = format!("https://server.test:{}/", target.port());
    for _ in 0..2 {
        let body = fetch(&way.egress, &url, owned("a")).await.unwrap();
        assert_eq!(body, "hello");
    }
    let asked = format!("127.0.0.1:{}", target.port());
    assert_eq!(
        server.heads(),
        [format!("CONNECT {asked} HTTP/1.1\r\nhost: {asked}\r\n\r\n")]
    );
    assert_eq!(target.server_names(), ["server.test"]);
    assert_eq!(way.names.asked(), ["server.test", "proxy.internal"]);
    let dialled = way.dialled.lock().unwrap().clone();
    assert_eq!(dialled, [format!("127.0.0.1:{}", server.port())]);
    assert!(!server.passed().contains("GET"));
}

/// With the whole address the proxy would look the name up once more, and connect to whatever it finds.
#[tokio::test]
async fn plain_http_goes_to_the_checked_address_too() {
    let target = Server::start(Answer::ok("hello")).await;
    let server = ProxyServer::start(Does::Connect).await;
    let way = through(&server, false, &Authority::new());
    let url = format!("http://server.test:{}/x?y", target.port());
    assert_eq!(fetch(&way.egress, &url, bounds()).await.unwrap(), "hello");
    let asked = format!("CONNECT 127.0.0.1:{} HTTP/1.1\r\n", target.port());
    assert!(server.heads()[0].starts_with(&asked));
    let received = target.received();
    assert!(received.starts_with("GET /x?y HTTP/1.1\r\n"), "{received}");
    assert!(received.contains(&format!("host: server.test:{}\r\n", target.port())));
}

#[tokio::test]
async fn a_proxy_that_looks_names_up_is_told_the_name() {
    let authority = Authority::new();
    let server = ProxyServer::start(Does::Refuse("HTTP/1.1 403 no\r\n\r\n")).await;
    let way = through(&server, true, &authority);
    let error = fetch(&way.egress, "https://server.test/x", bounds()).await;
    assert_eq!(error.unwrap_err(), EgressError::Proxy);
    assert!(server.heads()[0].starts_with("CONNECT server.test:443 HTTP/1.1\r\n"));
    assert_eq!(way.names.asked(), ["proxy.internal"]);

    let plain = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    let server = ProxyServer::start(Does::Refuse(plain)).await;
    let way = through(&server, true, &authority);
    let body = fetch(&way.egress, "http://server.test:81/x?y", bounds()).await;
    assert_eq!(body.unwrap(), "hello");
    let head = server.heads().remove(0);
    assert!(
        head.starts_with("GET http://server.test:81/x?y HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("host: server.test:81\r\n"), "{head}");
    assert_eq!(way.names.asked(), ["proxy.internal"]);
}

#[tokio::test]
async fn addresses_are_checked_before_the_proxy_hears_of_them() {
    let server = ProxyServer::start(Does::Connect).await;
    for (resolves, url) in [
        (false, "https://evil.test/"),
        (false, "http://evil.test/"),
        (false, "https://169.254.169.254/"),
        (true, "https://169.254.169.254/"),
        (true, "http://127.0.0.1/"),
        (true, "http://[::ffff:10.0.0.1]/"),
    ] {
        let way = through(&server, resolves, &Authority::new());
        let plain = Bounds {
            special: false,
            ..bounds()
        };
        let error = fetch(&way.egress, url, plain).await.unwrap_err();
        assert!(matches!(error, EgressError::Refused(_)), "{url}: {error:?}");
        assert!(way.dialled.lock().unwrap().is_empty());
    }
    assert!(server.heads().is_empty());
}

#[tokio::test]
async fn of_two_addresses_the_proxy_takes_one_that_answers() {
    let target = Server::start(Answer::ok("hello")).await;
    let server = ProxyServer::start(Does::Connect).await;
    let way = through(&server, false, &Authority::new());
    let url = format!("http://two.test:{}/", target.port());
    assert_eq!(fetch(&way.egress, &url, bounds()).await.unwrap(), "hello");
    assert_eq!(server.heads().len(), 2);
}

/// Whatever it is, the error is the same and says nothing of it.
#[tokio::test]
async fn only_a_plain_yes_opens_a_way() {
    let long = format!(
        "HTTP/1.1 200 OK\r\nx: {}\r\n\r\n",
        "y".repeat(ANSWER_BYTES_MAX)
    );
    let just = "x".repeat(ANSWER_BYTES_MAX - "HTTP/1.1 200 OK\r\nx: \r\n\r\n".len() + 1);
    let just = format!("HTTP/1.1 200 OK\r\nx: {just}\r\n\r\n");
    for answer in [
        "HTTP/1.1 407 secret\r\nproxy-authenticate: Basic realm=\"secret\"\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: http://evil.test/\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nearly",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "SSH-2.0-secret\r\n\r\n",
        "\r\n\r\n",
        "",
        long.leak(),
        just.leak(),
    ] {
        let server = ProxyServer::start(Does::Refuse(answer)).await;
        let way = through(&server, true, &Authority::new());
        let error = fetch(&way.egress, "https://server.test/", bounds()).await;
        let error = error.unwrap_err();
        assert_eq!(error, EgressError::Proxy, "{answer}");
        assert!(!format!("{error:?} {error}").contains("secret"));
    }
}

#[tokio::test]
async fn a_proxy_that_asks_who_we_are_is_no_answer_to_a_tool() {
    let asks = "HTTP/1.1 407 secret\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n";
    let server = ProxyServer::start(Does::Refuse(asks)).await;
    let way = through(&server, true, &Authority::new());
    let error = fetch(&way.egress, "http://server.test/", bounds()).await;
    assert_eq!(error.unwrap_err(), EgressError::Proxy);
}

#[tokio::test]
async fn a_proxy_that_says_nothing_or_is_not_there_is_told_alike() {
    let silent = ProxyServer::start(Does::Nothing).await;
    let way = through(&silent, true, &Authority::new());
    let soon = Bounds {
        connect: Some(std::time::Duration::from_millis(30)),
        ..bounds()
    };
    let error = fetch(&way.egress, "https://server.test/", soon.clone()).await;
    assert_eq!(error.unwrap_err(), EgressError::Proxy);
    drop(silent);
    let gone = ProxyServer::start(Does::Nothing).await;
    let way = through(&gone, false, &Authority::new());
    drop(gone);
    let error = fetch(&way.egress, "https://server.test/", soon).await;
    let told = [EgressError::Proxy, EgressError::Timeout(Phase::Connect)];
    assert!(told.contains(&error.unwrap_err()));
}

/// Runs other tests in a process of its own whose environment asks for no proxy, or for another one.
#[test]
fn the_environment_has_no_say_about_the_proxy() {
    let test = "plain_http_goes_to_the_checked_address_too";
    let other = "http://127.0.0.1:9";
    let names = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"];
    for (no, proxy) in [("*", ""), ("server.test", other)] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("egress::proxy::tests::{test}")])
            .envs(["no_proxy", "NO_PROXY"].map(|name| (name, no)))
            .envs(names.map(|name| (name, proxy)))
            .envs(["all_proxy", "ALL_PROXY"].map(|name| (name, proxy)))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("1 passed"), "{said}");
    }
}
