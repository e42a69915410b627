//! Attacks by number, and the one that cannot be prevented.

use std::collections::BTreeSet;

use toolcell::audit::AuditRecord;

use crate::{
    spy::{Reply, Spy},
    stage::{Run, Spoils, attack},
    wire::{Ask, GOOD, Net, everything_at, policy},
};

/// The requests that a call may make, and those that may be under way, where a policy says nothing.
const REQUESTS: usize = 64;
const CONNECTIONS: usize = 16;

/// A policy for a spy's port where the defence stands or is down.
fn flooding(run: Run, port: u16, time: &str) -> String {
    let policy = policy(&[everything_at(&format!("http://{GOOD}:{port}"))]);
    let (before, _) = policy.rsplit_once("limits = ").unwrap();
    let own = match run.defended {
        true => "",
        false => "requests = 10000, connections = 256, ",
    };
    let limits = format!("{own}time = {time:?}, resources = 100000, handles = 100000");
    format!("{before}limits = {{ {limits} }}\n")
}

/// N23: a thousand requests at once, and ports that are counted by how it is to knock on them.
async fn n23(run: Run) -> Spoils {
    let mut spoils = Vec::new();
    let spy = Spy::start(Reply::ok("hello")).await;
    let net = Net::new(run, &flooding(run, spy.port, "5s")).await;
    let flood = |port: u16| Ask::get(format!("http://{GOOD}:{port}/")).with("times", 1000);
    net.send_together(&[flood(spy.port)]).await;
    let heard = spy.heard().await.len();
    if heard > REQUESTS {
        spoils.push(format!("{heard} requests arrived"));
    }
    // A server that answers none of them has all that are under way.
    let silent = Spy::start(Reply::Hold(Vec::new())).await;
    let waiting = Net::new(run, &flooding(run, silent.port, "60s")).await;
    let flood = [flood(silent.port)];
    // Counted while the call is under way: once it is given up, requests that waited may begin as others end.
    let most_open = async {
        silent.has_open(CONNECTIONS).await;
        silent.most_open()
    };
    let most_open = tokio::select! {
        told = waiting.send_together(&flood) => panic!("nothing was answered, and yet {told:?}"),
        most_open = most_open => most_open,
    };
    if most_open > CONNECTIONS {
        spoils.push(format!("{most_open} connections at once"));
    }
    if run.defended {
        assert!(heard > 0, "some of them arrive");
        spoils.extend(scan(&net, spy.port).await);
    }
    spoils
}

/// Knocks on ports that nothing grants, one of which is open: all of them sound alike.
async fn scan(net: &Net, open: u16) -> Spoils {
    let near = open.saturating_sub(20)..=open.saturating_add(20);
    let asks: Vec<Ask> = near
        .map(|port| Ask::get(format!("http://127.0.0.1:{port}/")))
        .collect();
    let told = net.send(&asks).await;
    let kinds: BTreeSet<String> = told.answers.iter().map(|it| it.0.to_string()).collect();
    let several = kinds.len() != 1 || !kinds.iter().all(|it| it.contains("HttpRequestDenied"));
    several
        .then(|| format!("ports sound like {kinds:?}"))
        .into_iter()
        .collect()
}

attack! { n23:
    attack_n23_thread = THREAD,
    attack_n23_process = PROCESS,
    attack_n23_is_seen_without_its_defence = UNDEFENDED,
}

/// What a tool wants to tell somebody.
const DATA: usize = 10_000;

/// N24: data in what may be asked of a granted host. It arrives, whatever is done; what there is of it is on record.
async fn n24(run: Run) -> Spoils {
    let first = Spy::start(Reply::ok("hello")).await;
    let second = Spy::start(Reply::ok("hello")).await;
    let places = [&first, &second].map(|spy| format!("{GOOD}:{}", spy.port));
    let rules = places
        .clone()
        .map(|it| everything_at(&format!("http://{it}")));
    let net = Net::new(run, &policy(&rules)).await;
    let (path, body) = ("d".repeat(DATA / 10), "e".repeat(DATA));
    let asks = [
        Ask::get(format!("http://{}/{path}", places[0])),
        Ask::get(format!("http://{}/?q={path}", places[0])),
        Ask::get(format!("http://{}/", places[0])).header("x-data", &path),
        Ask::new("POST", format!("http://{}/", places[1])).body(&body),
    ];
    let told = net.send(&asks).await;
    for (n, answer) in told.answers.iter().enumerate() {
        assert_eq!(answer.body(), "hello", "request {n} arrives: {answer:?}");
    }
    let mut spoils = Vec::new();
    // Without the defence: nobody keeps records.
    let records = if run.defended {
        net.audit.records()
    } else {
        Vec::new()
    };
    let record = records.iter().find_map(|it| match it {
        AuditRecord::Call(call) => Some(call),
        _ => None,
    });
    let Some(record) = record else {
        return vec!["what was sent is on no record".to_owned()];
    };
    let mut all = 0;
    for ((place, requests), spy) in places.iter().zip([3, 1]).zip([&first, &second]) {
        let heard = spy.heard().await;
        let arrived: u64 = heard.iter().map(|it| it.bytes.len() as u64).sum();
        all += arrived;
        let host = record.hosts.iter().find(|it| it.host == *place);
        if host.is_none_or(|it| (it.requests, it.sent_bytes) != (requests, arrived)) {
            spoils.push(format!("{place} heard {arrived} bytes: {:?}", record.hosts));
        }
    }
    if record.usage.egress_bytes != all {
        let told = record.usage.egress_bytes;
        spoils.push(format!("{all} bytes arrived, and {told} are on record"));
    }
    spoils
}

attack! { n24:
    attack_n24_thread = THREAD,
    attack_n24_process = PROCESS,
    attack_n24_is_seen_without_its_defence = UNDEFENDED,
}
