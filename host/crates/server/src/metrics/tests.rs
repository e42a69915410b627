use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;

const TEXT: &str = "# TYPE a counter\na 1\n";

async fn listening(options: MetricsOptions) -> MetricsListener {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    MetricsListener::start(address, options, || Ok(TEXT.to_owned()))
        .await
        .unwrap()
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn get(address: SocketAddr, path: &str, host: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    ask(address, &request).await
}

#[tokio::test]
async fn a_scrape_gets_the_text_and_its_type() {
    let listener = listening(MetricsOptions::default()).await;
    let answer = get(listener.address(), "/metrics", "127.0.0.1").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(
        answer
            .to_lowercase()
            .contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with(TEXT), "{answer}");
    let healthy = get(listener.address(), "/healthz", "localhost").await;
    assert!(healthy.ends_with("\r\n\r\nok\n"), "{healthy}");
}

#[tokio::test]
async fn nothing_else_is_there() {
    let listener = listening(MetricsOptions::default()).await;
    for path in ["/", "/metrics/", "/metrics/..", "/debug/pprof"] {
        let answer = get(listener.address(), path, "127.0.0.1").await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
    let posted = ask(
        listener.address(),
        "POST /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(posted.starts_with("HTTP/1.1 405 "), "{posted}");
}

#[tokio::test]
async fn a_page_whose_name_was_made_to_lead_here_reads_nothing() {
    let options = MetricsOptions {
        names: vec!["prometheus.internal".to_owned()],
        ..MetricsOptions::default()
    };
    let listener = listening(options).await;
    for path in ["/metrics", "/healthz", "/nothing"] {
        let answer = get(listener.address(), path, "evil.example:9464").await;
        assert!(answer.starts_with("HTTP/1.1 421 "), "{path}: {answer}");
        assert!(!answer.contains("# TYPE"), "{answer}");
    }
    let allowed = get(listener.address(), "/metrics", "prometheus.internal:9464").await;
    assert!(allowed.ends_with(TEXT), "{allowed}");
    let old = ask(listener.address(), "GET /metrics HTTP/1.0\r\n\r\n").await;
    assert!(!old.contains("# TYPE"), "{old}");
}

#[tokio::test]
async fn a_silent_connection_ends_and_leaves_its_place_to_the_next() {
    let options = MetricsOptions {
        connections: 1,
        idle: Duration::from_millis(50),
        ..MetricsOptions::default()
    };
    let listener = listening(options).await;
    let mut silent = TcpStream::connect(listener.address()).await.unwrap();
    silent.write_all(b"GET /metrics HT").await.unwrap();
    // It waits for the only place until the silent one has lost it.
    let answer = get(listener.address(), "/metrics", "127.0.0.1").await;
    assert!(answer.ends_with(TEXT), "{answer}");
    let mut rest = Vec::new();
    // The end of the connection, however the system tells it.
    let _ = silent.read_to_end(&mut rest).await;
    assert!(!String::from_utf8_lossy(&rest).contains("# TYPE"));
}

#[tokio::test]
async fn what_cannot_be_gathered_is_an_error_of_the_scrape() {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = MetricsOptions::default();
    let listener = MetricsListener::start(address, options, || Err("no".to_owned()))
        .await
        .unwrap();
    let answer = get(listener.address(), "/metrics", "127.0.0.1").await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error_that_names_it() {
    let listener = listening(MetricsOptions::default()).await;
    let again = MetricsListener::start(listener.address(), MetricsOptions::default(), || {
        Ok(String::new())
    });
    let error = again.await.unwrap_err().to_string();
    assert!(error.contains(&listener.address().to_string()), "{error}");
    let address = listener.address();
    drop(listener);
    // The address is free again as soon as the task has gone.
    while MetricsListener::start(address, MetricsOptions::default(), || Ok(String::new()))
        .await
        .is_err()
    {
        tokio::task::yield_now().await;
    }
}
