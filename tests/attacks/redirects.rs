//! Attacks by redirects.

use crate::{
    spy::{Authority, Heard, Reply, Spy},
    stage::{Run, Spoils, attack},
    wire::{Ask, GOOD, Net, everything_at, policy},
};

/// What a tool's own credential looks like. No other place may hear it.
const OWN: &str = "Bearer the-tool-s-own-word";

/// Where requests are redirected to: a server that does not encrypt, and one that does.
struct Elsewhere {
    plain: Spy,
    encrypted: Spy,
}

impl Elsewhere {
    async fn start(authority: &Authority) -> Self {
        let certificate = authority.vouch_for("evil.test");
        Self {
            plain: Spy::start(Reply::ok("elsewhere")).await,
            encrypted: Spy::scripted(Some(certificate), |_| Reply::ok("elsewhere")).await,
        }
    }

    fn places(&self) -> Vec<String> {
        places(self.plain.port, self.encrypted.port)
    }

    async fn heard(&self) -> Vec<Heard> {
        let mut heard = self.plain.heard().await;
        heard.extend(self.encrypted.heard().await);
        heard
    }
}

/// A server that redirects: `/301/3` with the status 301 to the fourth place of the list.
async fn redirecting(authority: &Authority, places: Vec<String>) -> Spy {
    Spy::scripted(Some(authority.vouch_for(GOOD)), move |heard| {
        let head = heard.head();
        let path = head[0].split(' ').nth(1).unwrap_or_default().to_owned();
        let mut parts = path.split('/').skip(1);
        let status = parts.next().unwrap_or_default().to_owned();
        match parts.next().and_then(|it| it.parse::<usize>().ok()) {
            Some(place) => Reply::head(
                &format!("{status} Moved"),
                &[("location", &places[place])],
                b"",
            ),
            None => Reply::ok("the first host"),
        }
    })
    .await
}

/// N9: every kind of redirect, to another host, without encryption, and to a metadata service; handed to the tool where a
/// rule says nothing, and followed where it does.
async fn n9(run: Run) -> Spoils {
    let authority = Authority::new();
    let elsewhere = Elsewhere::start(&authority).await;
    let places = elsewhere.places();
    let server = redirecting(&authority, places.clone()).await;
    let home = format!("https://{GOOD}:{}", server.port);
    let mut asks = Vec::new();
    for status in 301..=308 {
        for place in 0..places.len() {
            let ask = Ask::get(format!("{home}/{status}/{place}"));
            asks.push(
                ask.header("authorization", OWN)
                    .header("cookie", OWN)
                    .header("x-api-key", OWN),
            );
        }
    }
    let granted = everything_at(&format!("https://evil.test:{}", elsewhere.encrypted.port));
    let mut spoils = Vec::new();
    for follow in ["", ", redirects = 3"] {
        let mut rules = vec![format!("{}{follow}", everything_at(&home))];
        if !run.defended {
            rules.push(granted.clone());
        }
        let net = Net::trusting(run, &policy(&rules), authority.roots()).await;
        let told = net.send(&asks).await;
        assert_eq!(told.answers.len(), asks.len(), "{:?}", told.result);
        for name in net.names.asked().iter().filter(|name| *name != GOOD) {
            spoils.push(format!("{name} was looked up"));
        }
    }
    for one in elsewhere.heard().await {
        spoils.push(format!("somebody else heard {:?}", one.head()));
    }
    if run.defended {
        // Where the policy lets them be followed, nothing goes along that could be a credential.
        let rules = [format!("{}, redirects = 3", everything_at(&home)), granted];
        let net = Net::trusting(run, &policy(&rules), authority.roots()).await;
        net.send(&asks).await;
        let heard = elsewhere.heard().await;
        assert!(heard.len() >= 5, "redirects are followed: {}", heard.len());
        let told = heard.iter().filter(|it| it.text().contains(OWN));
        spoils.extend(told.map(|it| format!("somebody else heard {:?}", it.head())));
    }
    spoils
}

/// Where a redirect leads.
fn places(port: u16, encrypted: u16) -> Vec<String> {
    [
        "http://evil.test:{port}/",
        "//evil.test:{port}/",
        "https://evil.test:{port}/",
        "https://evil.test:{encrypted}/",
        "//evil.test:{encrypted}/",
        "http://allowed.test:{port}/",
        "http://allowed.test@evil.test:{port}/",
        "http://evil.test:{port}\\@allowed.test/",
        "http://127.0.0.1:{port}/",
        "http://0:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:7f00:1]:{port}/",
        "http://169.254.169.254/latest/meta-data/",
        "http://allowed.test.:{port}/",
        "http:evil.test:{port}/",
        "\\\\evil.test:{port}/",
        "http:/\\evil.test:{port}/",
        "javascript://evil.test:{port}/",
        "file:///etc/passwd",
        "gopher://evil.test:{port}/",
    ]
    .map(|place| {
        let place = place.replace("{encrypted}", &encrypted.to_string());
        place.replace("{port}", &port.to_string())
    })
    .to_vec()
}

attack! { n9:
    attack_n9_thread = THREAD,
    attack_n9_process = PROCESS,
    attack_n9_is_seen_without_its_defence = UNDEFENDED,
}
