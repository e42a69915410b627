//! Attacks on the bytes of a request: other hosts in it, line breaks, two lengths, and protocols behind the protocol.

use std::collections::BTreeSet;

use crate::{
    spy::{Authority, Heard, Reply, Spy},
    stage::{Run, Spoils, attack},
    wire::{Answer, Ask, GOOD, Net, everything_at, policy, send_carelessly},
};

/// Has some requests sent by a host, or as they are where the defence is down, and tells what arrived.
async fn arrived(run: Run, spy: &Spy, net: &Net, asks: &[Ask]) -> (Vec<Heard>, Vec<Answer>) {
    let mut answers = Vec::new();
    if run.defended {
        let told = net.send(asks).await;
        assert_eq!(told.answers.len(), asks.len(), "{:?}", told.result);
        answers = told.answers;
    } else {
        send_carelessly(&net.names, asks).await;
    }
    (spy.heard().await, answers)
}

/// A host that may ask everything of a spy.
async fn open_to(run: Run, spy: &Spy) -> (Net, String) {
    let place = format!("http://{GOOD}:{}", spy.port);
    (
        Net::new(run, &policy(&[everything_at(&place)])).await,
        place,
    )
}

/// N12: another host in the `Host` field, in the request line, and in what proxies look at.
async fn n12(run: Run) -> Spoils {
    let spy = Spy::start(Reply::ok("hello")).await;
    let (net, place) = open_to(run, &spy).await;
    let port = spy.port;
    let mut asks = vec![Ask::get(format!("{place}/"))];
    for name in [
        "host",
        "Host",
        "HOST",
        "hOsT",
        "Host ",
        " Host",
        "Host\t",
        ":authority",
        ":host",
        "host:",
    ] {
        asks.push(Ask::get(format!("{place}/")).header(name, "evil.test"));
    }
    asks.push(
        Ask::get(format!("{place}/"))
            .header("Host", &format!("{GOOD}:{port}"))
            .header("host", "evil.test"),
    );
    for path in [
        "http://evil.test/",
        "https://evil.test/",
        "//evil.test/",
        "evil.test:80",
        "*",
        "/\u{20}HTTP/1.1\r\nHost:\u{20}evil.test\r\n",
    ] {
        asks.push(Ask::parts("http", &format!("{GOOD}:{port}"), path));
        asks.push(Ask::parts("http", &format!("{GOOD}:{port}"), path).with("method", "OPTIONS"));
    }
    for name in ["proxy-authorization", "proxy-connection", "proxy-host"] {
        asks.push(Ask::get(format!("{place}/")).header(name, "evil.test"));
    }
    let (heard, _) = arrived(run, &spy, &net, &asks).await;
    let mut spoils = Vec::new();
    for one in &heard {
        let head = one.head();
        let hosts = one.values("host");
        if hosts != [format!("{GOOD}:{port}")] {
            spoils.push(format!("the host is {hosts:?}"));
        }
        let target = head[0].split(' ').nth(1).unwrap_or_default();
        if !target.starts_with('/') || target.starts_with("//evil") && hosts.is_empty() {
            spoils.push(format!("the request line is {:?}", head[0]));
        }
        let proxies = head[1..]
            .iter()
            .filter(|line| line.to_lowercase().starts_with("proxy-"));
        spoils.extend(proxies.map(|line| format!("a proxy would hear {line:?}")));
    }
    if run.defended {
        assert!(!heard.is_empty(), "the honest request arrives");
        spoils.extend(n12_tls(run).await);
    }
    spoils
}

/// With encryption: the name that the certificate is asked for is the one in `Host`.
async fn n12_tls(run: Run) -> Spoils {
    let authority = Authority::new();
    let spy = Spy::scripted(Some(authority.vouch_for(GOOD)), |_| Reply::ok("hello")).await;
    let place = format!("https://{GOOD}:{}", spy.port);
    let net = Net::trusting(run, &policy(&[everything_at(&place)]), authority.roots()).await;
    let asks = [
        Ask::get(format!("{place}/")),
        Ask::get(format!("{place}/")).header("Host", "evil.test"),
        Ask::parts(
            "https",
            &format!("{GOOD}:{}", spy.port),
            "https://evil.test/",
        ),
    ];
    let told = net.send(&asks).await;
    assert_eq!(told.answers[0].body(), "hello", "{:?}", told.answers[0]);
    let mut spoils = Vec::new();
    for one in spy.heard().await {
        let host = one.values("host");
        if one.server_name.as_deref() != Some(GOOD) || host != [format!("{GOOD}:{}", spy.port)] {
            spoils.push(format!("{:?} was asked for {host:?}", one.server_name));
        }
    }
    spoils
}

attack! { n12:
    attack_n12_thread = THREAD,
    attack_n12_process = PROCESS,
    attack_n12_is_seen_without_its_defence = UNDEFENDED,
}

/// Line breaks and NUL, in every spelling that somebody takes for one.
const BREAKS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\0",
    "\r\n ",
    "\r\n\t",
    "\n\r",
    "\u{b}",
    "\u{c}",
    "\u{85}",
    "\u{2028}",
    "\u{2029}",
    "\u{10a}",
    "\u{10d}",
    "\u{560a}",
    "\u{560d}",
    "%0d%0a",
    "%0a",
    "%0d",
    "%00",
    "%250d%250a",
    "\\r\\n",
    "\\u000d\\u000a",
    "&#13;&#10;",
    "%E5%98%8A%E5%98%8D",
    "%u000d%u000a",
    "\u{7f}",
    "\u{1b}",
    "\u{8}",
];

/// Texts that programs trip over.
const NAUGHTY: &[&str] = &[
    "",
    " ",
    "\t",
    ":",
    "::",
    ";",
    ",",
    "=",
    "\"",
    "'",
    "()",
    "<>",
    "[]",
    "{}",
    "@",
    "/",
    "\\",
    "?",
    "a b",
    "a:b",
    "a\tb",
    "é",
    "日本語",
    "\u{feff}",
    "\u{202e}",
    "😀",
    "null",
    "undefined",
    "../../etc/passwd",
    "$(id)",
    "`id`",
    "%s%s%n",
    "<script>",
    "' OR 1=1 --",
    "HTTP/1.1",
    "GET / HTTP/1.1",
    "chunked",
    "0",
    "-1",
    "NaN",
];

/// Requests with such texts in every part.
fn naughty(place: &str, authority: &str) -> Vec<Ask> {
    let get = || Ask::get(format!("{place}/"));
    let mut asks = vec![get()];
    for it in BREAKS {
        let evil = format!("a{it}x-injected: yes{it}{it}GET /injected HTTP/1.1");
        asks.push(get().header("x-own", &evil));
        asks.push(get().header(&evil, "v"));
        asks.push(get().header(&format!("x-own{it}"), "v"));
        asks.push(get().header("x-own", &format!("v{it}")));
        asks.push(Ask::new(
            &format!("GET{it}x-injected: yes{it}"),
            format!("{place}/"),
        ));
        asks.push(Ask::parts(
            "http",
            authority,
            &format!("/ HTTP/1.1{it}x-injected: yes{it}x:"),
        ));
        asks.push(Ask::parts(
            "http",
            authority,
            &format!("/?q={it}x-injected: yes{it}"),
        ));
        asks.push(Ask::parts(
            "http",
            &format!("{authority}{it}x-injected: yes{it}"),
            "/",
        ));
        asks.push(
            Ask::new("POST", format!("{place}/"))
                .body("b")
                .trailer("x-own", &evil),
        );
    }
    for byte in 0..=255 {
        asks.push(get().header_bytes("x-own", &[b'a', byte, b'x', b':']));
    }
    for it in NAUGHTY {
        asks.push(get().header("x-own", it));
        asks.push(get().header(it, "v"));
        asks.push(Ask::new(it, format!("{place}/")));
        asks.push(Ask::parts("http", authority, &format!("/{it}")));
        asks.push(
            Ask::new("POST", format!("{place}/"))
                .body("b")
                .trailer(it, it),
        );
    }
    asks
}

/// N13: line breaks, NUL and naughty texts in every part of a request.
async fn n13(run: Run) -> Spoils {
    let spy = Spy::start(Reply::ok("hello")).await;
    let (net, place) = open_to(run, &spy).await;
    let authority = format!("{GOOD}:{}", spy.port);
    let asks = naughty(&place, &authority);
    let (heard, _) = arrived(run, &spy, &net, &asks).await;
    if run.defended {
        assert!(
            heard.len() > 300,
            "most byte values are honest: {}",
            heard.len()
        );
    }
    let mut spoils = BTreeSet::new();
    for one in &heard {
        for line in one.head() {
            let control = |c: char| (u32::from(c) < 0x20 && c != '\t') || c == '\u{7f}';
            if line.contains(control) {
                spoils.insert(format!("a control character in {line:?}"));
            }
            if line.to_lowercase().starts_with("x-injected") {
                spoils.insert(format!("a field of its own: {line:?}"));
            }
        }
        spoils.extend(odd_head(one));
    }
    spoils.into_iter().collect()
}

/// What is odd about a head: it has to be one request line and fields whose names are tokens.
fn odd_head(one: &Heard) -> Option<String> {
    let head = one.head();
    let line: Vec<&str> = head[0].split(' ').collect();
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    if line.len() != 3 || !methods.contains(&line[0]) || line[2] != "HTTP/1.1" {
        return Some(format!("the request line is {:?}", head[0]));
    }
    let token = |name: &str| {
        let special = "!#$%&'*+-.^_`|~";
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || special.contains(c))
    };
    let wrong = |line: &&String| !line.split_once(':').is_some_and(|(name, _)| token(name));
    let wrong = head[1..].iter().find(wrong)?;
    Some(format!("no field: {wrong:?}"))
}

attack! { n13:
    attack_n13_thread = THREAD,
    attack_n13_process = PROCESS,
    attack_n13_is_seen_without_its_defence = UNDEFENDED,
}

/// A second request, for those who take it for one.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: evil.test\r\n\r\n";

/// Pairs of fields that say in two ways where a request ends.
const FRAMINGS: &[&[(&str, &str)]] = &[
    &[("content-length", "0")],
    &[("content-length", "4")],
    &[("content-length", "1000")],
    &[("content-length", "0"), ("content-length", "50")],
    &[("content-length", "50"), ("content-length", "0")],
    &[("content-length", "0, 50")],
    &[("content-length", "+0")],
    &[("content-length", "-1")],
    &[("content-length", "0x0")],
    &[("content-length", "0 ")],
    &[("content-length", " 0")],
    &[("content-length", "00")],
    &[("content-length", "0;")],
    &[("content-length", "")],
    &[("content-length", "18446744073709551616")],
    &[("Content-Length", "0"), ("content-length", "0")],
    &[("content_length", "0")],
    &[("content-length ", "0")],
    &[("content-length", "0"), ("transfer-encoding", "chunked")],
    &[("transfer-encoding", "chunked"), ("content-length", "0")],
    &[("transfer-encoding", "chunked")],
    &[("Transfer-Encoding", "chunked")],
    &[("transfer-encoding", "identity")],
    &[("transfer-encoding", "gzip, chunked")],
    &[("transfer-encoding", "chunked, identity")],
    &[("transfer-encoding", "xchunked")],
    &[("transfer-encoding", "x"), ("transfer-encoding", "chunked")],
    &[("transfer-encoding", "chunked"), ("transfer-encoding", "x")],
    &[("transfer-encoding", " chunked")],
    &[("transfer-encoding", "\tchunked")],
    &[("transfer-encoding", "\u{b}chunked")],
    &[("transfer-encoding ", "chunked")],
    &[(" transfer-encoding", "chunked")],
    &[("transfer-encoding:", "chunked")],
    &[("x: y\r\ntransfer-encoding", "chunked")],
    &[("x", "y\r\ntransfer-encoding: chunked")],
    &[("x", "y\ntransfer-encoding: chunked")],
    &[("x", "y\r\n transfer-encoding: chunked")],
    &[("transfer_encoding", "chunked")],
    &[("te", "chunked")],
    &[("trailer", "content-length")],
    &[("connection", "transfer-encoding")],
    &[("connection", "keep-alive, content-length")],
    &[("connection", "close, x"), ("content-length", "5")],
    &[("expect", "100-continue")],
    &[("upgrade", "h2c")],
    &[("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA")],
];

/// Bodies that begin or end where one of two readers thinks that the request does.
fn bodies() -> Vec<String> {
    [
        "",
        "0\r\n\r\n{}",
        "0\r\n{}",
        "0;a=b\r\n\r\n{}",
        "0\n\n{}",
        "5;x=\"\r\n\"\r\nabcde\r\n0\r\n\r\n{}",
        "5\r\nabcde\r\n0\r\n\r\n{}",
        "-1\r\n\r\n{}",
        "0x0\r\n\r\n{}",
        "00000000000000000\r\n\r\n{}",
        "{}",
        "\r\n\r\n{}",
    ]
    .map(|body| body.replace("{}", SMUGGLED))
    .to_vec()
}

/// N14: where one reader sees the end of a request, and another one a second request.
async fn n14(run: Run) -> Spoils {
    let spy = Spy::start(Reply::ok("hello")).await;
    let (net, place) = open_to(run, &spy).await;
    let mut asks = Vec::new();
    for fields in FRAMINGS {
        for body in bodies() {
            for method in ["POST", "GET"] {
                let ask = Ask::new(method, format!("{place}/first")).body(&body);
                asks.push(
                    fields
                        .iter()
                        .fold(ask, |ask, (name, value)| ask.header(name, value)),
                );
            }
        }
    }
    for body in bodies() {
        let ask = Ask::new("POST", format!("{place}/first")).body(&body);
        asks.push(ask.clone().trailer("content-length", "0"));
        asks.push(ask.trailer("transfer-encoding", "chunked"));
    }
    let (heard, _) = arrived(run, &spy, &net, &asks).await;
    if run.defended {
        assert!(!heard.is_empty(), "some of them are honest");
    }
    let mut spoils = BTreeSet::new();
    for one in &heard {
        for (reader, count) in [("length", by_length(one)), ("chunks", by_chunks(one))] {
            match count {
                Ok(()) => {}
                Err(why) => {
                    spoils.insert(format!("by {reader}, {why}: {:?}", one.head()));
                }
            }
        }
    }
    spoils.into_iter().collect()
}

/// What follows the head of what was heard.
fn after_head(one: &Heard) -> Vec<u8> {
    let at = one.bytes.windows(4).position(|it| it == b"\r\n\r\n");
    at.map(|at| one.bytes[at + 4..].to_vec())
        .unwrap_or_default()
}

/// Reads as somebody does who goes by `content-length` first: the request must end where that says, and what is chunked
/// must not be taken for more.
fn by_length(one: &Heard) -> Result<(), String> {
    let lengths = one.values("content-length");
    let codings = one.values("transfer-encoding");
    let rest = after_head(one);
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) if rest.is_empty() => Ok(()),
        ([], []) => Err("there is something behind the request".to_owned()),
        ([], [_]) => by_chunks(one),
        ([length], []) => match length.parse::<usize>() {
            // A request that was given up half-way cannot be followed by another one.
            Ok(length) if rest.len() <= length => Ok(()),
            _ => Err(format!(
                "the length is {length:?} and {} bytes came",
                rest.len()
            )),
        },
        _ => Err(format!("lengths {lengths:?} and codings {codings:?}")),
    }
}

/// Reads as somebody does who goes by chunks first.
fn by_chunks(one: &Heard) -> Result<(), String> {
    let codings = one.values("transfer-encoding");
    match codings.as_slice() {
        [] => return by_length(one),
        [coding] if coding == "chunked" => {}
        _ => return Err(format!("codings {codings:?}")),
    }
    let bytes = after_head(one);
    let mut rest = bytes.as_slice();
    loop {
        let Some(at) = rest.windows(2).position(|it| it == b"\r\n") else {
            return Ok(());
        };
        let line = String::from_utf8_lossy(&rest[..at]).into_owned();
        let hexadecimal = !line.is_empty() && line.chars().all(|c| c.is_ascii_hexdigit());
        let Some(size) = usize::from_str_radix(&line, 16)
            .ok()
            .filter(|_| hexadecimal)
        else {
            return Err(format!("a chunk is as long as {line:?}"));
        };
        rest = &rest[at + 2..];
        if size == 0 {
            break;
        }
        if rest.len() < size + 2 {
            return Ok(());
        }
        if &rest[size..size + 2] != b"\r\n" {
            return Err("a chunk does not end".to_owned());
        }
        rest = &rest[size + 2..];
    }
    // The trailers, and then nothing.
    match rest.windows(2).position(|it| it == b"\r\n") {
        Some(0) if rest.len() == 2 => Ok(()),
        Some(_) if rest.ends_with(b"\r\n\r\n") => {
            let text = String::from_utf8_lossy(rest).to_lowercase();
            let odd = ["content-length", "transfer-encoding", "http/1.1"];
            match odd.iter().find(|it| text.contains(**it)) {
                Some(it) => Err(format!("{it} is in the trailers")),
                None => Ok(()),
            }
        }
        _ => Err("there is something behind the last chunk".to_owned()),
    }
}

attack! { n14:
    attack_n14_thread = THREAD,
    attack_n14_process = PROCESS,
    attack_n14_is_seen_without_its_defence = UNDEFENDED,
}

/// Fields that belong to the connection, and what they would be good for.
const CONNECTION: &[(&str, &str)] = &[
    ("connection", "upgrade"),
    ("Connection", "keep-alive, upgrade, http2-settings"),
    ("CONNECTION", "close"),
    ("keep-alive", "timeout=1000000"),
    ("upgrade", "websocket"),
    ("Upgrade", "h2c"),
    ("UPGRADE", "TLS/1.0"),
    ("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA"),
    ("HTTP2-Settings", ""),
    ("te", "trailers"),
    ("TE", "gzip, chunked"),
    ("transfer-encoding", "chunked"),
    ("expect", "100-continue"),
    ("Expect", "something else"),
    ("host", "evil.test"),
    ("proxy-authorization", "Basic Zm9v"),
    ("Proxy-Authenticate", "Basic"),
    ("proxy-connection", "keep-alive"),
    ("Proxy-Anything", "x"),
];

/// N15: tunnels, echoes and other protocols behind HTTP.
async fn n15(run: Run) -> Spoils {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nraw bytes";
    let spy = Spy::scripted(None, move |heard| match heard.text().contains("/switch") {
        true => Reply::raw(switch),
        false => Reply::ok("hello"),
    })
    .await;
    let (net, place) = open_to(run, &spy).await;
    let mut asks = vec![Ask::get(format!("{place}/"))];
    for method in [
        "CONNECT", "TRACE", "connect", "Trace", "TRACK", "PRI", "DEBUG", "PROPFIND", "QUERY",
        "Get", "",
    ] {
        asks.push(Ask::new(method, format!("{place}/")));
        asks.push(Ask::new(method, format!("{place}/")).body("SM\r\n\r\n"));
    }
    asks.push(
        Ask::parts("http", &format!("{GOOD}:{}", spy.port), "evil.test:443")
            .with("method", "CONNECT"),
    );
    asks.push(Ask::parts("http", &format!("{GOOD}:{}", spy.port), "*").with("method", "PRI"));
    for (name, value) in CONNECTION {
        asks.push(Ask::get(format!("{place}/")).header(name, value));
        asks.push(
            Ask::new("POST", format!("{place}/"))
                .body("b")
                .trailer(name, value),
        );
    }
    for path in ["/switch", "/"] {
        let websocket = Ask::get(format!("{place}{path}"))
            .header("upgrade", "websocket")
            .header("connection", "Upgrade")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        asks.push(websocket);
    }
    // Nobody asked for another protocol, and the server switches all the same.
    asks.push(Ask::get(format!("{place}/switch")));
    let (heard, answers) = arrived(run, &spy, &net, &asks).await;
    let mut spoils = BTreeSet::new();
    for answer in &answers {
        if answer.status() == Some(101) || answer.body().contains("raw bytes") {
            spoils.insert(format!("the guest heard {:?}", answer.0));
        }
    }
    for one in &heard {
        spoils.extend(odd_head(one));
        let text = one.text().to_lowercase();
        for (name, _) in CONNECTION {
            let name = name.to_lowercase();
            let own = match name.as_str() {
                "host" => format!("host: {GOOD}:{}", spy.port),
                "connection" => "connection: close".to_owned(),
                "transfer-encoding" => "transfer-encoding: chunked".to_owned(),
                "te" => "te: trailers".to_owned(),
                _ => String::new(),
            };
            let fields = text
                .lines()
                .filter(|line| line.starts_with(&format!("{name}:")));
            for line in fields.filter(|line| *line != own) {
                spoils.insert(format!("the server heard {line:?}"));
            }
        }
    }
    spoils.into_iter().collect()
}

attack! { n15:
    attack_n15_thread = THREAD,
    attack_n15_process = PROCESS,
    attack_n15_is_seen_without_its_defence = UNDEFENDED,
}

#[test]
fn two_readers_see_what_a_careless_host_sends() {
    let heard = |text: &str| Heard {
        dialled: std::net::Ipv4Addr::LOCALHOST.into(),
        server_name: None,
        bytes: text.into(),
    };
    let smuggled = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n{SMUGGLED}");
    assert!(by_length(&heard(&smuggled)).is_err());
    let honest = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n\r\n";
    assert_eq!(
        (by_length(&heard(honest)), by_chunks(&heard(honest))),
        (Ok(()), Ok(()))
    );
    assert!(by_chunks(&heard(&format!("{honest}{SMUGGLED}"))).is_err());
}
