//! Attacks with addresses that can be read in more than one way.

use serde_json::json;
use url::Url;

use crate::{
    spy::{Heard, Names, Reply, Spy},
    stage::{Run, Spoils, attack},
    wire::{Answer, Ask, GOOD, Net, everything_at, policy},
};

/// Addresses that one parser takes for `{good}`, where requests may go, and another for `{evil}` or `{ip}`. Each is a
/// scheme, an authority and a path, as a guest hands them over.
const CONFUSED: &[(&str, &str, &str)] = &[
    // User names that look like hosts, and hosts that look like user names.
    ("http", "{good}@{evil}", "/"),
    ("http", "{good}:80@{evil}", "/"),
    ("http", "good:{good}@{evil}", "/"),
    ("http", "{evil}@{good}", "/"),
    ("http", "@{evil}", "/"),
    ("http", "{good}@@{evil}", "/"),
    ("http", "{good}@{good}@{evil}", "/"),
    ("http", "{evil}@{good}@{evil}", "/"),
    ("http", "{good}%40{evil}", "/"),
    ("http", "{good}&@{evil}", "/"),
    ("http", "{good};@{evil}", "/"),
    ("http", "{good},@{evil}", "/"),
    ("http", "{good}'@{evil}", "/"),
    ("http", "{good}\"@{evil}", "/"),
    ("http", "{good}|@{evil}", "/"),
    ("http", "{good}`@{evil}", "/"),
    ("http", "{good}<>@{evil}", "/"),
    ("http", "{good}{}@{evil}", "/"),
    ("http", "{good}$@{evil}", "/"),
    ("http", "{good}!@{evil}", "/"),
    ("http", "{good}*@{evil}", "/"),
    ("http", "{good}=@{evil}", "/"),
    ("http", "{good}+@{evil}", "/"),
    ("http", "{good}^@{evil}", "/"),
    // Back slashes, which some take for slashes.
    ("http", "{good}\\@{evil}", "/"),
    ("http", "{good}\\\\@{evil}", "/"),
    ("http", "{evil}\\@{good}", "/"),
    ("http", "{evil}\\{good}", "/"),
    ("http", "{good}\\{evil}", "/"),
    ("http", "{good}\\.{evil}", "/"),
    ("http", "\\{evil}", "/"),
    ("http", "\\\\{evil}", "/"),
    ("http", "{good}", "\\\\{evil}/"),
    ("http", "{good}", "\\@{evil}/"),
    ("http", "{good}", "/\\{evil}/"),
    // Fragments and queries where no host should have them.
    ("http", "{good}#@{evil}", "/"),
    ("http", "{evil}#@{good}", "/"),
    ("http", "{good}?@{evil}", "/"),
    ("http", "{evil}?@{good}", "/"),
    ("http", "{evil}#{good}", "/"),
    ("http", "{evil}?{good}", "/"),
    ("http", "{good}%23@{evil}", "/"),
    ("http", "{good}%3f@{evil}", "/"),
    ("http", "{evil}%23@{good}", "/"),
    // Slashes in an authority.
    ("http", "{evil}/@{good}", "/"),
    ("http", "{good}/@{evil}", "/"),
    ("http", "{evil}%2f@{good}", "/"),
    ("http", "{evil}%2f{good}", "/"),
    ("http", "{good}%2f@{evil}", "/"),
    ("http", "/{evil}", "/"),
    ("http", "//{evil}", "/"),
    ("http", "", "//{evil}/"),
    // A host in the path.
    ("http", "{good}", "@{evil}/"),
    ("http", "{good}", ".{evil}/"),
    ("http", "{good}", ":80@{evil}/"),
    ("http", "{good}", "{evil}/"),
    ("http", "{good}", "//{evil}/"),
    ("http", "{good}", "///{evil}/"),
    ("http", "{good}", "/@{evil}/"),
    ("http", "{good}", "http://{evil}/"),
    ("http", "{good}", "/http://{evil}/"),
    ("http", "{good}", "//{evil}@{good}/"),
    ("http", "{good}", "/..//{evil}/"),
    ("http", "{good}", "/%2e%2e//{evil}/"),
    ("http", "{good}", "?@{evil}/"),
    ("http", "{good}", "#@{evil}/"),
    ("http", "{good}", ";@{evil}/"),
    ("http", "{good}", "*"),
    // White space and control characters, which some cut at and some take out.
    ("http", "{good} @{evil}", "/"),
    ("http", "{good} {evil}", "/"),
    ("http", " {evil}", "/"),
    ("http", "{evil} ", "/"),
    ("http", "{good}\t@{evil}", "/"),
    ("http", "e\tvil.test:{port}", "/"),
    ("http", "e\nvil.test:{port}", "/"),
    ("http", "e\r\nvil.test:{port}", "/"),
    ("http", "{good}\n@{evil}", "/"),
    ("http", "{good}\r\nhost: {evil}", "/"),
    ("http", "{good}\r\n\r\nGET / HTTP/1.1\r\nhost: {evil}", "/"),
    ("http", "{good}\0@{evil}", "/"),
    ("http", "{good}\0{evil}", "/"),
    ("http", "{good}\0.{evil}", "/"),
    ("http", "{evil}\0{good}", "/"),
    ("http", "{good}%00@{evil}", "/"),
    ("http", "{good}%00.{evil}", "/"),
    ("http", "{evil}%00{good}", "/"),
    ("http", "{good}%0d%0ahost:%20{evil}", "/"),
    ("http", "{good}%09@{evil}", "/"),
    ("http", "{good}%20@{evil}", "/"),
    ("http", "\u{b}{evil}", "/"),
    ("http", "{good}\u{a0}@{evil}", "/"),
    ("http", "{good}\u{2028}@{evil}", "/"),
    ("http", "{good}\u{ff20}{evil}", "/"),
    ("http", "{good}\u{ff0f}@{evil}", "/"),
    ("http", "{good}\u{2044}@{evil}", "/"),
    ("http", "{good}\u{ff03}@{evil}", "/"),
    ("http", "{evil}\u{2048}@{good}", "/"),
    // Ports in the wrong place.
    ("http", "{good}:{evil}", "/"),
    ("http", "allowed.test:80:{evil}", "/"),
    ("http", "evil.test:{port}:{port}", "/"),
    ("http", "allowed.test:@{evil}", "/"),
    ("http", "evil.test:0x1:{port}", "/"),
    ("http", ":{port}", "/"),
    ("http", "evil.test:{port}#", "/"),
    ("http", "evil.test:+{port}", "/"),
    ("http", "evil.test:0{port}", "/"),
    // Brackets, and what is no address in them.
    ("http", "[{good}]@{evil}", "/"),
    ("http", "[{evil}]", "/"),
    ("http", "[allowed.test]:{port}", "/"),
    ("http", "[::1%25{good}]:{port}", "/"),
    ("http", "[::1]@{good}", "/"),
    ("http", "[::1].{good}", "/"),
    ("http", "{good}[::1]:{port}", "/"),
    ("http", "[::ffff:127.0.0.1]:{port}", "/"),
    ("http", "[::]:{port}", "/"),
    ("http", "127.0.0.1:{port}", "/"),
    ("http", "0.0.0.0:{port}", "/"),
    ("http", "localhost:{port}", "/"),
    // Names next to the one that is meant.
    ("http", "{evil}", "/"),
    ("http", "allowed.test.evil.test:{port}", "/"),
    ("http", "evil.allowed.test:{port}", "/"),
    ("http", "evilallowed.test:{port}", "/"),
    ("http", "allowed.testevil:{port}", "/"),
    ("http", "allowed-test:{port}", "/"),
    ("http", "allowedXtest:{port}", "/"),
    ("http", "allowed.test,evil.test:{port}", "/"),
    ("http", "allowed.test;evil.test:{port}", "/"),
    ("http", "allowed.test|evil.test:{port}", "/"),
    ("http", "allowed%2etest.evil.test:{port}", "/"),
    ("http", "evil%2etest:{port}", "/"),
    ("http", "%65vil.test:{port}", "/"),
    ("http", "allowed.test%2eevil.test:{port}", "/"),
    ("http", "allowed.test..:{port}", "/"),
    ("http", ".allowed.test:{port}", "/"),
    ("http", "allowed..test:{port}", "/"),
    // Schemes that some take for http.
    ("HTTP", "{evil}", "/"),
    ("http:", "{evil}", "/"),
    ("http://{good}/", "{evil}", "/"),
    ("javascript", "{evil}", "/"),
    ("file", "{evil}", "/etc/passwd"),
    ("gopher", "{evil}", "/_GET / HTTP/1.1%0d%0a"),
    ("ftp", "{evil}", "/"),
    ("dict", "{evil}", "/"),
    ("ws", "{evil}", "/"),
    ("jar:http", "{evil}", "/"),
    ("view-source:http", "{evil}", "/"),
    ("", "{evil}", "/"),
];

/// The list, for a spy at a port.
fn confused(port: u16) -> Vec<Ask> {
    let fill = |text: &str| {
        text.replace("{good}", &format!("{GOOD}:{port}"))
            .replace("{evil}", &format!("evil.test:{port}"))
            .replace("{port}", &port.to_string())
    };
    CONFUSED
        .iter()
        .map(|(scheme, authority, path)| Ask::parts(&fill(scheme), &fill(authority), &fill(path)))
        .collect()
}

/// What a host does whose policy looks at a text and whose client reads it by another parser: it lets pass what begins
/// with a granted name, or has it behind the `@`, and dials what the address is for a browser.
async fn two_readings(names: &Names, asks: &[Ask], port: u16) {
    let good = format!("{GOOD}:{port}");
    for ask in asks {
        let (scheme, authority, path) = ask.cut();
        let granted = authority.starts_with(&good) || authority.ends_with(&good);
        let text = format!("{scheme}://{authority}{path}");
        if let (true, Ok(url)) = (granted, Url::parse(&text))
            && let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default())
        {
            let ask = Ask::parts("http", &format!("{host}:{port}"), url.path());
            crate::wire::send_carelessly(names, &[ask]).await;
        }
    }
}

/// What reached somebody who was not meant, and where a verdict differs from what was done.
fn strays(net: &Net, heard: &[Heard], asks: &[Ask], answers: &[Answer]) -> Spoils {
    let mut spoils = Vec::new();
    for one in heard {
        let name = net.names.name_of(one.dialled);
        if name != GOOD {
            spoils.push(format!("{name} was dialled: {:?}", one.head().first()));
        }
    }
    for name in net.names.asked().iter().filter(|name| *name != GOOD) {
        spoils.push(format!("{name} was looked up"));
    }
    let answered = answers.iter().filter(|answer| answer.status().is_some());
    if !answers.is_empty() && answered.count() != heard.len() {
        spoils.push(format!("{} connections were made", heard.len()));
    }
    for (ask, answer) in asks.iter().zip(answers) {
        if answer.status().is_none() && !answer.is_refused() {
            spoils.push(format!("{:?} ended in {}", ask.cut(), answer.error()));
        }
    }
    spoils
}

/// N3: one address, two readings: the verdict is about the host that is dialled, in every spelling.
async fn n3(run: Run) -> Spoils {
    let spy = Spy::start(Reply::ok("hello")).await;
    let port = spy.port;
    let asks = confused(port);
    assert!(asks.len() >= 80);
    let net = Net::new(
        run,
        &policy(&[everything_at(&format!("http://{GOOD}:{port}"))]),
    )
    .await;
    let mut answers = Vec::new();
    if run.defended {
        let told = net.send(&asks).await;
        assert_eq!(told.answers.len(), asks.len(), "{:?}", told.result);
        answers = told.answers;
        // The rest of the list means something only if an honest address arrives.
        let honest = net
            .send(&[Ask::get(format!("http://{GOOD}:{port}/"))])
            .await;
        assert_eq!(honest.answers[0].body(), "hello");
    } else {
        two_readings(&net.names, &asks, port).await;
    }
    let mut heard = spy.heard().await;
    if run.defended {
        heard.pop();
    }
    strays(&net, &heard, &asks, &answers)
}

attack! { n3:
    attack_n3_thread = THREAD,
    attack_n3_process = PROCESS,
    attack_n3_is_seen_without_its_defence = UNDEFENDED,
}

/// Other spellings of `secret.example.test`, which a rule denies.
const SPELLINGS: &[&str] = &[
    "secret.example.test",
    "SECRET.EXAMPLE.TEST",
    "SeCrEt.example.test",
    "secret.example.test.",
    "secret.example.test..",
    "secret.example.test%2e",
    "secret.example.test%00",
    "secret%2eexample.test",
    "%73ecret.example.test",
    "%53ecret.example.test",
    "ｓecret.example.test",
    "secret．example．test",
    "secret。example。test",
    "secret｡example｡test",
    "se\u{ad}cret.example.test",
    "se\u{200b}cret.example.test",
    "se\u{200c}cret.example.test",
    "se\u{200d}cret.example.test",
    "se\u{2060}cret.example.test",
    "\u{feff}secret.example.test",
    "ſecret.example.test",
    "𝓼𝓮𝓬𝓻𝓮𝓽.example.test",
    "ⓢⓔⓒⓡⓔⓣ.example.test",
    "xn--secret-.example.test",
    "xn--secret.example.test",
    "xn--scret-mua.example.test",
    "xn--.example.test",
    "xn--a.example.test",
    "secret .example.test",
    "\u{a0}secret.example.test",
    "secret.example.test\u{a0}",
    "secret.example.te\u{301}st",
    "secret..example.test",
    ".secret.example.test",
    "secret.example.test:",
    "secret.example.test:0{port}",
    "secret_.example.test",
];

/// N4: other spellings of a name, by case, dots, full-width letters, invisible characters and punycode.
async fn n4(run: Run) -> Spoils {
    let spy = Spy::start(Reply::ok("hello")).await;
    let port = spy.port;
    let mut rules = vec![everything_at(&format!("http://*.example.test:{port}"))];
    // A rule that denies one name among many that are granted: every other spelling that gets through is a hole.
    if run.defended {
        let denied = everything_at(&format!("http://secret.example.test:{port}"));
        rules.push(format!("{denied}, approve = \"deny\""));
    }
    let net = Net::new(run, &policy(&rules)).await;
    let asks: Vec<Ask> = SPELLINGS
        .iter()
        .map(|name| match name.strip_suffix(":0{port}") {
            Some(name) => Ask::parts("http", &format!("{name}:0{port}"), "/"),
            None => Ask::parts("http", &format!("{name}:{port}"), "/"),
        })
        .collect();
    let told = net.send(&asks).await;
    assert_eq!(told.answers.len(), asks.len(), "{:?}", told.result);
    // The honest name, and how names are normalised: in capitals it is still itself. Names of a wildcard lead to no
    // loopback address, so what shows that they are granted is that they are looked up.
    let open = Ask::get(format!("http://OPEN.example.test:{port}/"));
    net.send(&[open]).await;
    let mut asked = net.names.asked();
    assert_eq!(asked.pop().as_deref(), Some("open.example.test"));
    let is_secret = |name: &String| {
        let plain = name.trim_matches('.').to_lowercase();
        plain == "secret.example.test"
    };
    let mut spoils: Spoils = asked
        .iter()
        .filter(|name| is_secret(name))
        .map(|name| format!("{name:?} was looked up"))
        .collect();
    for name in asked
        .iter()
        .filter(|name| !name.is_ascii() || name.ends_with('.'))
    {
        spoils.push(format!("{name:?} was looked up as it was written"));
    }
    spoils
}

attack! { n4:
    attack_n4_thread = THREAD,
    attack_n4_process = PROCESS,
    attack_n4_is_seen_without_its_defence = UNDEFENDED,
}

/// Every way to write an IPv4 address: as it is, decimal, octal, hexadecimal, short, mixed, and inside an IPv6 address.
fn spelled(address: [u8; 4]) -> Vec<String> {
    let [a, b, c, d] = address;
    let whole = u32::from_be_bytes(address);
    let low = (u32::from(b) << 16) | (u32::from(c) << 8) | u32::from(d);
    let last = (u32::from(c) << 8) | u32::from(d);
    let wide: String = format!("{a}.{b}.{c}.{d}")
        .chars()
        .map(|c| match c {
            '0'..='9' => char::from_u32(u32::from(c) - 0x30 + 0xff10).unwrap(),
            other => other,
        })
        .collect();
    let (high, half) = (whole >> 16, whole & 0xffff);
    vec![
        format!("{a}.{b}.{c}.{d}"),
        format!("{whole}"),
        format!("0{whole:o}"),
        format!("0x{whole:x}"),
        format!("0X{whole:X}"),
        format!("0x00000000{whole:x}"),
        format!("{}", u64::from(whole) + (1 << 32)),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("00{a:o}.000{b:o}.0000{c:o}.{d}"),
        format!("0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"),
        format!("0x{a:x}.{b}.0{c:o}.{d}"),
        format!("{a}.{low}"),
        format!("0x{a:x}.{low}"),
        format!("{a}.{b}.{last}"),
        format!("{a}.{b}.0x{last:x}"),
        format!("{a}.{b}.{c}.{d}."),
        format!("{whole}."),
        format!("{a:03}.{b:03}.{c:03}.{d:03}"),
        format!("%31{}", &format!("{a}.{b}.{c}.{d}")[1..]),
        format!("{a}%2e{b}%2e{c}%2e{d}"),
        format!("{a}。{b}。{c}。{d}"),
        wide,
        format!("①{}", &format!("{a}.{b}.{c}.{d}")[1..]),
        format!("[::ffff:{a}.{b}.{c}.{d}]"),
        format!("[::ffff:{high:x}:{half:x}]"),
        format!("[0:0:0:0:0:ffff:{high:x}:{half:x}]"),
        format!("[::{a}.{b}.{c}.{d}]"),
        format!("[::ffff:0:{a}.{b}.{c}.{d}]"),
        format!("[64:ff9b::{a}.{b}.{c}.{d}]"),
        format!("[2002:{high:x}:{half:x}::1]"),
        format!("[::FFFF:{a}.{b}.{c}.{d}]"),
        format!("[::ffff:{a}.{b}.{c}.{d}%25lo]"),
        format!("{a}.{b}.{c}.{d}.nip.invalid"),
    ]
}

/// N5: IP addresses in every spelling, of this machine and of a cloud's metadata service.
async fn n5(run: Run) -> Spoils {
    let spy = Spy::start(Reply::ok("hello")).await;
    let port = spy.port;
    let mut rules = vec![everything_at(&format!("http://{GOOD}:{port}"))];
    if !run.defended {
        // An address is reached by a rule that spells it out, in whatever way it is asked for.
        rules.push(everything_at(&format!("http://127.0.0.1:{port}")));
    }
    let net = Net::new(run, &policy(&rules)).await;
    let mut hosts: Vec<String> = [[127, 0, 0, 1], [169, 254, 169, 254], [192, 0, 2, 2]]
        .into_iter()
        .flat_map(spelled)
        .collect();
    let more = [
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "0.0.0.0",
        "0",
        "00",
        "0x0",
        "127.1",
        "127.0.1",
    ];
    hosts.extend(more.map(str::to_owned));
    let asks: Vec<Ask> = hosts
        .iter()
        .map(|host| Ask::parts("http", &format!("{host}:{port}"), "/latest/meta-data/"))
        .collect();
    let told = net.send(&asks).await;
    assert_eq!(told.answers.len(), asks.len(), "{:?}", told.result);
    let heard = spy.heard().await;
    strays(&net, &heard, &asks, &told.answers)
}

attack! { n5:
    attack_n5_thread = THREAD,
    attack_n5_process = PROCESS,
    attack_n5_is_seen_without_its_defence = UNDEFENDED,
}

#[test]
fn a_guest_cuts_an_address_as_the_list_says() {
    let ask = Ask::get("http://a@b:1/c?d");
    let cut = ("http".to_owned(), "a@b:1".to_owned(), "/c?d".to_owned());
    assert_eq!(ask.cut(), cut);
    assert_eq!(ask.0, json!({ "url": "http://a@b:1/c?d" }));
}
