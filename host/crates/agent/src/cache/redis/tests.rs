use std::{
    sync::{Arc, Mutex},
    time::SystemTime,
};

use proptest::prelude::*;
use tokio::net::TcpListener;
use toolcell::Secret;

use super::*;
use crate::{
    cache::{CacheRules, ResponseCache, SharedKey, Store},
    testing::{redis::RedisServer, reply},
    wire::{Block, StopReason},
};

fn url(text: &str) -> RedisUrl {
    RedisUrl::parse(text).unwrap()
}

fn key(seed: u8) -> Key {
    Key::from_bytes([seed; 32])
}

fn store(server: &RedisServer) -> Redis {
    Redis::new(url(&server.url()), None, 1000).unwrap()
}

/// A connection of somebody else.
async fn raw(server: &RedisServer) -> redis::aio::MultiplexedConnection {
    let client = Client::open(server.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// A cache of one host, and what it told.
fn host(url: &str, settings: &CacheRules) -> (ResponseCache, Arc<Mutex<Vec<String>>>) {
    let store = Store::redis(settings, RedisUrl::parse(url).unwrap(), None).unwrap();
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let into = Arc::clone(&told);
    let cache = ResponseCache::new(store, settings.clone(), SystemTime::now)
        .telling(move |line| into.lock().unwrap().push(line.to_owned()));
    (cache, told)
}

fn entry(cache: &ResponseCache, text: &str) -> crate::cache::Entry {
    cache.entry(reply(StopReason::EndTurn, vec![Block::text(text)]), Some(7))
}

#[tokio::test]
async fn what_one_host_keeps_another_finds_for_as_long_as_it_holds() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let (one, other) = (store(&server), store(&server));
    assert_eq!(other.get(&key(1)).await.unwrap(), None);
    one.put(&key(1), b"answer".to_vec(), Duration::from_secs(60))
        .await
        .unwrap();
    assert_eq!(
        other.get(&key(1)).await.unwrap().as_deref(),
        Some(&b"answer"[..])
    );
    let left: i64 = raw(&server).await.pttl(name(&key(1))).await.unwrap();
    assert!((1..=60_000).contains(&left), "{left}");
    assert_eq!(one.holdings().await.unwrap().entries, Some(1));
}

#[tokio::test]
async fn counts_are_of_all_hosts_and_only_our_own_is_cleared() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let more = Counts {
        hits: 2,
        saved_micro_usd: 9,
        ..Counts::default()
    };
    store(&server).count(&more).await.unwrap();
    let sum = store(&server).count(&more).await.unwrap();
    assert_eq!((sum.hits, sum.saved_micro_usd, sum.misses), (4, 18, 0));
    let redis = store(&server);
    let mut others = raw(&server).await;
    let _: () = others.set("somebody:else", "1").await.unwrap();
    // More than one page of keys.
    for number in 0..120 {
        redis
            .put(&key(number), vec![1], COMMAND * 60)
            .await
            .unwrap();
    }
    assert_eq!(redis.holdings().await.unwrap().entries, Some(120));
    assert_eq!(redis.clear().await.unwrap(), 120);
    assert_eq!(
        redis.count(&Counts::default()).await.unwrap(),
        Counts::default()
    );
    let left: Vec<String> = others.keys("*").await.unwrap();
    assert_eq!(left, ["somebody:else"]);
}

#[tokio::test]
async fn what_somebody_else_put_there_is_no_answer() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let settings = CacheRules::default();
    let (cache, told) = host(&server.url(), &settings);
    let mut others = raw(&server).await;
    assert!(cache.put(&key(1), &entry(&cache, "true")).await);
    assert_eq!(cache.get(&key(1)).await.unwrap().reply.text(), "true");
    let good: Vec<u8> = others.get(name(&key(1))).await.unwrap();

    // Another answer, one for another request, one that is too long to be ours, and what is no text at all.
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 1;
    let long = vec![b'x'; usize::try_from(settings.entry_bytes()).unwrap() + 1];
    for bytes in [changed, b"tcreply1".to_vec(), long, vec![0]] {
        let _: () = others.set(name(&key(1)), bytes).await.unwrap();
        assert!(cache.get(&key(1)).await.is_none());
    }
    let _: () = others.set(name(&key(2)), good).await.unwrap();
    assert!(cache.get(&key(2)).await.is_none());
    assert!(told.lock().unwrap().is_empty());
    let _: () = others.del(name(&key(1))).await.unwrap();
    let _: () = others.hset(name(&key(1)), "a", "b").await.unwrap();
    assert!(cache.get(&key(1)).await.is_none());
}

#[tokio::test]
async fn with_a_shared_key_nobody_without_it_can_plant_an_answer() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let settings = CacheRules::default();
    let shared = |secret: &str| SharedKey::new(&Secret::new(secret).unwrap());
    let with = |secret| host(&server.url(), &settings).0.with_key(shared(secret));
    let (planter, _) = host(&server.url(), &settings);
    let (one, other, stranger) = (
        with("k3y-b4tt3ry-0x"),
        with("k3y-b4tt3ry-0x"),
        with("k3y-b4tt3ry-0y"),
    );

    // Whoever can write to the server, but knows no key.
    assert!(planter.put(&key(1), &entry(&planter, "planted")).await);
    assert!(one.get(&key(1)).await.is_none());
    assert!(stranger.put(&key(1), &entry(&stranger, "planted")).await);
    assert!(one.get(&key(1)).await.is_none());
    // Without a shared key it would have been taken: the test sees what it looks for.
    assert!(planter.put(&key(1), &entry(&planter, "planted")).await);
    assert!(
        host(&server.url(), &settings)
            .0
            .get(&key(1))
            .await
            .is_some()
    );

    assert!(one.put(&key(1), &entry(&one, "true")).await);
    assert_eq!(other.get(&key(1)).await.unwrap().reply.text(), "true");
}

#[tokio::test]
async fn a_server_that_goes_away_is_told_once_and_comes_back() {
    let Some(mut server) = RedisServer::start(&[]) else {
        return;
    };
    let settings = CacheRules {
        rest: Duration::ZERO,
        ..CacheRules::default()
    };
    let (cache, told) = host(&server.url(), &settings);
    assert!(cache.put(&key(1), &entry(&cache, "a")).await);
    server.kill();
    for _ in 0..3 {
        assert!(cache.get(&key(1)).await.is_none());
        assert!(!cache.put(&key(1), &entry(&cache, "b")).await);
    }
    let lines = told.lock().unwrap().clone();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("models are asked without the cache"),
        "{lines:?}"
    );
    server.again();
    // The library connects anew when it finds the connection broken.
    let mut kept = false;
    for _ in 0..20 {
        kept = kept || cache.put(&key(1), &entry(&cache, "c")).await;
    }
    assert!(kept);
    assert_eq!(cache.get(&key(1)).await.unwrap().reply.text(), "c");
    server.kill();
    assert!(cache.get(&key(1)).await.is_none());
    assert_eq!(told.lock().unwrap().len(), 2, "a new trouble is news");
}

#[tokio::test]
async fn after_a_failure_the_server_is_left_alone_for_a_while() {
    let settings = CacheRules {
        rest: Duration::from_secs(3600),
        ..CacheRules::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (cache, told) = host(&format!("redis://:k3y-b4tt3ry@{address}"), &settings);
    assert!(cache.get(&key(1)).await.is_none());
    for _ in 0..3 {
        assert!(cache.get(&key(1)).await.is_none());
        assert!(!cache.put(&key(1), &entry(&cache, "a")).await);
        cache.flush().await;
    }
    assert_eq!(cache.pending.held().failures, 1, "it was tried once");
    let told = told.lock().unwrap().join("\n");
    assert!(
        told.contains(&format!("the Redis server redis://{address}")),
        "{told}"
    );
    assert!(!told.contains("k3y-b4tt3ry"), "{told}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_waited_for_no_longer_than_a_command_may_take() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let (cache, told) = host(&format!("redis://{address}"), &CacheRules::default());
    assert!(cache.get(&key(1)).await.is_none());
    let told = told.lock().unwrap().join("\n");
    assert!(
        told.contains("did not answer within 1 s") || told.contains("timed out"),
        "{told}"
    );
    silent.abort();
}

#[tokio::test]
async fn a_password_is_asked_for_and_never_shown() {
    const PASSWORD: &str = "k3y/b4tt3ry&0x";
    let Some(server) = RedisServer::start(&["--requirepass", PASSWORD]) else {
        return;
    };
    let encoded: String = url::form_urlencoded::byte_serialize(PASSWORD.as_bytes()).collect();
    let settings = CacheRules::default();
    let (cache, _) = host(&format!("{}?pass={encoded}", server.url()), &settings);
    assert!(cache.put(&key(1), &entry(&cache, "a")).await);
    assert!(!format!("{cache:?}").contains("k3y"), "{cache:?}");
    let (cache, told) = host(&format!("{}?pass=wr0ng-b4tt3ry", server.url()), &settings);
    assert!(cache.get(&key(1)).await.is_none());
    let told = told.lock().unwrap().join("\n");
    assert!(!told.contains("b4tt3ry") && !told.is_empty(), "{told}");
}

#[test]
fn a_url_is_shown_without_its_password() {
    for (text, shown, password) in [
        ("redis://cache.internal", "redis://cache.internal", None),
        ("redis://127.0.0.1:6379/3", "redis://127.0.0.1:6379/3", None),
        (
            "rediss://:a%2Fb+c&d=e@h:1/0",
            "rediss://h:1/0",
            Some("a/b+c&d=e"),
        ),
        (
            "redis://me:secret@[::1]:6379",
            "redis://[::1]:6379",
            Some("secret"),
        ),
        (
            "redis+unix:///run/redis.sock?db=1&pass=p%26q",
            "redis+unix:///run/redis.sock",
            Some("p&q"),
        ),
    ] {
        let url = url(text);
        assert_eq!(
            (url.to_string().as_str(), url.password().as_deref()),
            (shown, password)
        );
        assert_eq!(format!("{url:?}"), format!("RedisUrl({shown})"));
    }
}

#[test]
fn what_is_no_url_of_a_server_is_refused() {
    for (text, why) in [
        ("", "no URL"),
        ("redis", "no URL"),
        ("http://h", "begins with none"),
        ("redis://", "no host"),
        ("redis+unix://", "no socket"),
        ("redis+unix:///", "no socket"),
        ("rediss://h/#insecure", "after `#`"),
        ("redis://h/?protocol=resp3", "after `?`"),
        ("redis://h/main", "no number"),
        ("redis://h/-1", "no number"),
    ] {
        let said = RedisUrl::parse(text).unwrap_err();
        assert!(said.contains(why), "{text}: {said}");
    }
}

#[test]
fn a_certificate_that_is_none_is_told() {
    let error = Redis::new(url("rediss://h"), Some(b"no certificate".to_vec()), 10).map(|_| ());
    // An empty list trusts nobody, so the connection fails later; nonsense in PEM is told at once.
    assert!(error.is_ok());
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec();
    let error = Redis::new(url("rediss://h"), Some(broken), 10).unwrap_err();
    assert!(
        error.to_string().contains("rediss://h cannot be used"),
        "{error}"
    );
}

proptest! {
    #[test]
    fn any_text_is_a_url_or_is_not(text in ".{0,40}") {
        let _ = RedisUrl::parse(&text);
        let _ = RedisUrl::parse(&format!("redis://{text}"));
    }

    #[test]
    fn no_password_is_ever_shown(password in "[a-zA-Z0-9%&=+/:]{6,12}") {
        let encoded: String = url::form_urlencoded::byte_serialize(password.as_bytes()).collect();
        let url = RedisUrl::parse(&format!("redis://u:{}@h:1/2", encoded.replace('+', "%20"))).unwrap();
        prop_assert_eq!(url.password(), Some(password.clone()));
        for bare in ["redis://u@h:1/2", "redis+unix:///s?db=1"] {
            let given = RedisUrl::parse(bare).unwrap().with_password(&password);
            prop_assert_eq!(given.password(), Some(password.clone()));
        }
        let shown = format!("{url} {url:?}");
        prop_assert!(!shown.contains(&password) && !shown.contains(&encoded));
    }
}
