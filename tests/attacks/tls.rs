//! Attacks on encryption: certificates for somebody else, by nobody, too early and too late.

use rcgen::date_time_ymd;
use tokio_rustls::{TlsAcceptor, rustls::RootCertStore};

use crate::{
    spy::{Authority, Reply, Spy, self_signed},
    stage::{Run, Spoils, attack},
    wire::{Ask, GOOD, Net, everything_at, policy},
};

/// What a server may present that a client must not believe, and who would have to be believed for that.
fn certificates(known: &Authority) -> Vec<(&'static str, TlsAcceptor, Option<RootCertStore>)> {
    let unknown = Authority::new();
    let (own, own_roots) = self_signed(GOOD);
    vec![
        ("another host's", known.vouch_for("evil.test"), None),
        ("a host's below", known.vouch_for("www.allowed.test"), None),
        (
            "a wildcard's below",
            known.vouch_for("*.allowed.test"),
            None,
        ),
        (
            "a wildcard's for everybody",
            known.vouch_for("*.test"),
            None,
        ),
        ("an address's", known.vouch_for("127.0.0.10"), None),
        (
            "one that has expired",
            known.vouch(GOOD, |it| {
                it.not_before = date_time_ymd(2001, 1, 1);
                it.not_after = date_time_ymd(2002, 1, 1);
            }),
            None,
        ),
        (
            "one from the future",
            known.vouch(GOOD, |it| {
                it.not_before = date_time_ymd(4000, 1, 1);
                it.not_after = date_time_ymd(4001, 1, 1);
            }),
            None,
        ),
        (
            "one for no host",
            known.vouch(GOOD, |it| it.subject_alt_names.clear()),
            None,
        ),
        (
            "one for clients",
            known.vouch(GOOD, |it| {
                it.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
            }),
            None,
        ),
        ("its own", own, Some(own_roots)),
        (
            "an unknown authority's",
            unknown.vouch_for(GOOD),
            Some(unknown.roots()),
        ),
    ]
}

/// N21: certificates that nobody should believe, and a server that does not encrypt at all.
async fn n21(run: Run) -> Spoils {
    let known = Authority::new();
    let mut spoils = Vec::new();
    for (what, certificate, believed) in certificates(&known) {
        let spy = Spy::scripted(Some(certificate), |_| Reply::ok("hello")).await;
        let roots = match believed {
            Some(roots) if !run.defended => roots,
            _ => known.roots(),
        };
        let place = format!("https://{GOOD}:{}", spy.port);
        let net = Net::trusting(run, &policy(&[everything_at(&place)]), roots).await;
        // There is nothing that a tool could say to be believed less strictly.
        let ask = Ask::get(format!("{place}/")).header("authorization", "Bearer x");
        let told = net.send(&[ask]).await;
        if told.answers[0].status().is_some() {
            spoils.push(format!("{what}: {:?}", told.answers[0].status()));
        }
        for one in spy.heard().await.iter().filter(|it| !it.bytes.is_empty()) {
            spoils.push(format!("{what}: the server heard {:?}", one.head().first()));
        }
    }
    let plain = Spy::start(Reply::ok("hello")).await;
    let place = format!("https://{GOOD}:{}", plain.port);
    let net = Net::trusting(run, &policy(&[everything_at(&place)]), known.roots()).await;
    let told = net
        .send(&[Ask::get(format!("{place}/")).with("connect", 1)])
        .await;
    if told.answers[0].status().is_some() {
        spoils.push("a server without encryption".to_owned());
    }
    if run.defended {
        let honest = Spy::scripted(Some(known.vouch_for(GOOD)), |_| Reply::ok("hello")).await;
        let place = format!("https://{GOOD}:{}", honest.port);
        let net = Net::trusting(run, &policy(&[everything_at(&place)]), known.roots()).await;
        let told = net.send(&[Ask::get(format!("{place}/"))]).await;
        assert_eq!(told.answers[0].body(), "hello", "{:?}", told.answers[0]);
    }
    spoils
}

attack! { n21:
    attack_n21_thread = THREAD,
    attack_n21_process = PROCESS,
    attack_n21_is_seen_without_its_defence = UNDEFENDED,
}
