use super::*;
use crate::testing::server::{Server, stream, turn};

#[tokio::test]
async fn a_stream_without_end_is_cut() {
    let server = Server::with(vec![stream(&turn("x", None))]).await;
    let http = Http::new(Timeouts::default()).unwrap();
    let ask = Ask {
        method: Method::POST,
        url: endpoint(&server.url, "/v1/messages", false).unwrap(),
        headers: HeaderMap::new(),
        body: b"{}".to_vec(),
        accept: "text/event-stream",
        hide: &[],
    };
    let opened = http.open(ask).await.unwrap();
    let pieces = pieces(opened.response, Duration::from_secs(60), 100);
    let mut events = std::pin::pin!(SseByteStream::new(pieces));
    let error = loop {
        if let Err(error) = events.next().await.unwrap() {
            break stream_error(error);
        }
    };
    assert_eq!(error, ModelError::TooLarge { limit: 100 });
}
