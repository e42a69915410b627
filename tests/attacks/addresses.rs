//! Attacks with names that lead where nobody should be led: into this machine, its network, or a cloud's own services.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio_rustls::rustls::RootCertStore;

use crate::{
    spy::{Names, Reply, Spy, own_address},
    stage::{Run, Spoils, attack},
    wire::{Answer, Ask, GOOD, Net, everything_at, policy, send_carelessly},
};

/// The IANA registry of special-purpose IPv4 addresses, and multicast.
const SPECIAL_V4: &[&str] = &[
    "0.0.0.0/8",
    "0.0.0.0/32",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.0.0/29",
    "192.0.0.8/32",
    "192.0.0.9/32",
    "192.0.0.10/32",
    "192.0.0.170/32",
    "192.0.0.171/32",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.88.99.2/32",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
];

/// The IANA registry of special-purpose IPv6 addresses without NAT64, and multicast, site-local and IPv4-compatible ones.
const SPECIAL_V6: &[&str] = &[
    "::1/128",
    "::/128",
    "::ffff:0:0/96",
    "::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001::/32",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:1::3/128",
    "2001:2::/48",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:30::/28",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

/// Where clouds keep the credentials of their machines.
const METADATA: &[&str] = &[
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "fd00:ec2::254",
    "fd20:ce::254",
];

/// The first, a middle and the last address of a block.
fn samples(block: &str) -> [IpAddr; 3] {
    let (first, bits) = block.split_once('/').unwrap();
    let bits: u32 = bits.parse().unwrap();
    match first.parse().unwrap() {
        IpAddr::V4(first) => {
            let rest = u32::MAX.checked_shr(bits).unwrap_or(0);
            [0, rest >> 1, rest].map(|more| Ipv4Addr::from(first.to_bits() | more).into())
        }
        IpAddr::V6(first) => {
            let rest = u128::MAX.checked_shr(bits).unwrap_or(0);
            [0, rest >> 1, rest].map(|more| Ipv6Addr::from(first.to_bits() | more).into())
        }
    }
}

/// A host as it stands in a URL.
fn in_url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// What is asked of names that were made to lead somewhere: a wildcard that names a public domain, and each name's answer.
fn leading(net: &Net, port: u16, domain: &str, answers: &[Vec<IpAddr>]) -> Vec<Ask> {
    let ask = |(n, found): (usize, &Vec<IpAddr>)| {
        let name = format!("n{n}.{domain}");
        let texts: Vec<String> = found.iter().map(IpAddr::to_string).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        net.names.answer(&name, &[&texts]);
        Ask::get(format!("http://{name}:{port}/"))
    };
    answers.iter().enumerate().map(ask).collect()
}

/// Whatever was not refused, and whatever was dialled.
async fn reached(net: &Net, spy: &Spy, asks: &[Ask], answers: &[Answer]) -> Spoils {
    assert_eq!(asks.len(), answers.len());
    let mut spoils = Vec::new();
    for (ask, answer) in asks.iter().zip(answers) {
        if !answer.is_refused() {
            let url = ask.0["url"].as_str().unwrap_or_default();
            spoils.push(format!(
                "{url} was tried: {:?} {}",
                answer.status(),
                answer.error()
            ));
        }
    }
    for one in spy.heard().await {
        spoils.push(format!("{} was dialled", net.names.name_of(one.dialled)));
    }
    spoils
}

/// N6: a granted name leads into this machine, its network, to a metadata service, or to nothing a name should lead to.
async fn n6(run: Run) -> Spoils {
    let spy = Spy::start(Reply::ok("hello")).await;
    let port = spy.port;
    let mut answers: Vec<Vec<IpAddr>> = SPECIAL_V4
        .iter()
        .flat_map(|block| samples(block))
        .map(|address| vec![address])
        .collect();
    answers.extend(METADATA.iter().map(|it| vec![it.parse().unwrap()]));
    // One bad address among good ones, first, last and in between. The good one is never dialled either.
    let public: IpAddr = "198.41.0.4".parse().unwrap();
    for bad in ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1"] {
        let bad: IpAddr = bad.parse().unwrap();
        answers.extend([
            vec![bad, public],
            vec![public, bad],
            vec![public, bad, public],
        ]);
    }
    if !run.defended {
        // A rule that names a private place: the same addresses, as far as they are this machine's, are reached.
        let net = Net::new(
            run,
            &policy(&[everything_at(&format!("http://n0.example.test:{port}"))]),
        )
        .await;
        let asks = leading(
            &net,
            port,
            "example.test",
            &[vec!["127.0.0.1".parse().unwrap()]],
        );
        let told = net.send(&asks).await;
        return reached(&net, &spy, &asks, &told.answers).await;
    }
    let net = Net::new(
        run,
        &policy(&[everything_at(&format!("http://*.example.com:{port}"))]),
    )
    .await;
    let asks = leading(&net, port, "example.com", &answers);
    let told = net.send(&asks).await;
    assert_eq!(told.answers.len(), asks.len(), "{:?}", told.result);
    let mut spoils = reached(&net, &spy, &asks, &told.answers).await;
    // A rule that names a private place reaches this machine, and still no metadata service nor any other such address.
    let rule = everything_at(&format!("http://{GOOD}:{port}"));
    for address in METADATA
        .iter()
        .chain(&["0.0.0.0", "169.254.0.1", "224.0.0.1", "fe80::1", "::"])
    {
        let net = Net::new(run, &policy(std::slice::from_ref(&rule))).await;
        net.names.answer(GOOD, &[&[address]]);
        let asks = [Ask::get(format!("http://{GOOD}:{port}/"))];
        let told = net.send(&asks).await;
        spoils.extend(reached(&net, &spy, &asks, &told.answers).await);
    }
    spoils
}

attack! { n6:
    attack_n6_thread = THREAD,
    attack_n6_process = PROCESS,
    attack_n6_is_seen_without_its_defence = UNDEFENDED,
}

/// Every way in which an IPv4 address is carried inside an IPv6 one.
fn carried(inner: &str) -> Vec<IpAddr> {
    let inner: Ipv4Addr = inner.parse().unwrap();
    let [a, b, c, d] = inner.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    [
        inner.to_ipv6_mapped(),
        Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 1, 0xffff, 0, 0, high, low),
        Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
        Ipv6Addr::new(0x2002, high, low, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff),
        Ipv6Addr::new(0x2001, 0, high, low, 0, 0, 0, 0),
        Ipv6Addr::new(0x2001, 0, 0x808, 0x808, 0, 0, !high, !low),
        Ipv6Addr::new(0x2a00, 0x1450, 0, 0, 0, 0x5efe, high, low),
        Ipv6Addr::new(0x2a00, 0x1450, 0, 0, 0x200, 0x5efe, high, low),
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0x5efe, high, low),
    ]
    .map(IpAddr::V6)
    .to_vec()
}

/// N7: an IPv4 address inside an IPv6 one, and every special block of IPv6, as a name's answer and spelled out in an
/// address.
async fn n7(run: Run) -> Spoils {
    let spy = Spy::start(Reply::ok("hello")).await;
    let port = spy.port;
    let mapped: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
    if !run.defended {
        // Only a rule that spells out such an address reaches it.
        let rule = everything_at(&format!("http://{}:{port}", in_url(mapped)));
        let net = Net::new(run, &policy(&[rule])).await;
        let asks = [Ask::get(format!("http://{}:{port}/", in_url(mapped)))];
        let told = net.send(&asks).await;
        return reached(&net, &spy, &asks, &told.answers).await;
    }
    let mut found: Vec<IpAddr> = SPECIAL_V6.iter().flat_map(|block| samples(block)).collect();
    for inner in METADATA.iter().filter(|it| it.contains('.')) {
        found.extend(carried(inner));
    }
    for inner in [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "0.0.0.0",
        "224.0.0.1",
        "172.16.0.1",
    ] {
        found.extend(carried(inner));
    }
    for text in [
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "::169.254.169.254",
        "192.0.0.192",
    ] {
        found.push(text.parse().unwrap());
    }
    let rules = [
        everything_at(&format!("http://*.example.com:{port}")),
        everything_at(&format!("http://{GOOD}:{port}")),
    ];
    let net = Net::new(run, &policy(&rules)).await;
    let answers: Vec<Vec<IpAddr>> = found.iter().map(|it| vec![*it]).collect();
    let mut asks = leading(&net, port, "example.com", &answers);
    asks.extend(
        found
            .iter()
            .map(|it| Ask::get(format!("http://{}:{port}/", in_url(*it)))),
    );
    let told = net.send(&asks).await;
    assert_eq!(told.answers.len(), asks.len(), "{:?}", told.result);
    reached(&net, &spy, &asks, &told.answers).await
}

attack! { n7:
    attack_n7_thread = THREAD,
    attack_n7_process = PROCESS,
    attack_n7_is_seen_without_its_defence = UNDEFENDED,
}

/// N8: a name that leads somewhere else every time it is looked up.
async fn n8(run: Run) -> Spoils {
    let spy = Spy::start(Reply::ok("hello")).await;
    let port = spy.port;
    let rule = everything_at(&format!("http://{GOOD}:{port}"));
    let net = Net::new(run, &policy(&[rule])).await;
    // The odd answers pass the check, the even ones do not; all of them are this machine, so that dialling is seen.
    net.names.answer(
        GOOD,
        &[
            &["127.0.0.21"],
            &["0.0.0.0"],
            &["127.0.0.23"],
            &["::ffff:127.0.0.1"],
        ],
    );
    let ask = Ask::get(format!("http://{GOOD}:{port}/"));
    const TIMES: usize = 40;
    if run.defended {
        let told = net.send(&vec![ask; TIMES]).await;
        assert_eq!(told.answers.len(), TIMES, "{:?}", told.result);
    } else {
        for _ in 0..TIMES {
            two_lookups(&net.names, &ask).await;
        }
    }
    let mut spoils = Vec::new();
    let heard = spy.heard().await;
    for one in &heard {
        let checked = ["127.0.0.21", "127.0.0.23"]
            .iter()
            .any(|it| it.parse() == Ok(one.dialled));
        if !checked {
            spoils.push(format!("{} was dialled", one.dialled));
        }
    }
    let lookups = net.names.asked().len();
    if lookups != TIMES {
        spoils.push(format!("{lookups} lookups for {TIMES} requests"));
    }
    if run.defended {
        assert_eq!(heard.len(), TIMES / 2, "what passes the check arrives");
    }
    spoils
}

/// What a host does that checks a name and leaves it to a client to look it up again.
async fn two_lookups(names: &Names, ask: &Ask) {
    let fine = |address: &IpAddr| !address.is_unspecified() && !matches!(address, IpAddr::V6(_));
    if names.look_up(GOOD).iter().all(fine) {
        send_carelessly(names, std::slice::from_ref(ask)).await;
    }
}

attack! { n8:
    attack_n8_thread = THREAD,
    attack_n8_process = PROCESS,
    attack_n8_is_seen_without_its_defence = UNDEFENDED,
}

/// N22: the host's own ports, by every address and name that this machine has.
async fn n22(run: Run) -> Spoils {
    let spy = Spy::start(Reply::ok("the host's own door")).await;
    let port = spy.port;
    let mut own: Vec<IpAddr> = ["127.0.0.1", "127.255.255.254", "0.0.0.0", "::1", "::"]
        .map(|it| it.parse().unwrap())
        .to_vec();
    own.extend(own_address());
    let mut rules = vec![everything_at(&format!("http://*.example.com:{port}"))];
    if !run.defended {
        rules = [
            "http://localhost",
            "http://127.0.0.1",
            "http://n0.example.test",
        ]
        .map(|to| everything_at(&format!("{to}:{port}")))
        .to_vec();
    }
    let net = Net::trusting(run, &policy(&rules), RootCertStore::empty()).await;
    net.names.answer("localhost", &[&["127.0.0.1"]]);
    let hostname = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let local = format!("{hostname}.local");
    for name in [&hostname, &local] {
        net.names.answer(name, &[&["127.0.0.1"]]);
    }
    let domain = if run.defended {
        "example.com"
    } else {
        "example.test"
    };
    let answers: Vec<Vec<IpAddr>> = own.iter().map(|it| vec![*it]).collect();
    let mut asks = leading(&net, port, domain, &answers);
    let names = [
        "localhost",
        "localhost.localdomain",
        "ip6-localhost",
        &hostname,
        &local,
    ];
    let spelled = own
        .iter()
        .map(|it| in_url(*it))
        .chain(names.map(str::to_owned));
    asks.extend(spelled.map(|host| Ask::get(format!("http://{host}:{port}/"))));
    let told = net.send(&asks).await;
    assert_eq!(told.answers.len(), asks.len(), "{:?}", told.result);
    reached(&net, &spy, &asks, &told.answers).await
}

attack! { n22:
    attack_n22_thread = THREAD,
    attack_n22_process = PROCESS,
    attack_n22_is_seen_without_its_defence = UNDEFENDED,
}
