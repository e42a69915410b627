//! Attacks by telling: through errors, answers and inputs, in forms that nobody expects, by values that are none, and by
//! looking into memory.

use std::{fs, io::Read as _, io::Seek as _, sync::Mutex};

use serde_json::json;
use tokio_rustls::rustls::RootCertStore;
use toolcell::{ErrorKind, Redaction, Secret, testing::Weakness};

use crate::{
    common::guest,
    forms::FORMS,
    searcher,
    spy::{Authority, Reply, Spy},
    stage::{Run, Spoils, attack},
    vault::{Keys, Vault, bound, random_value, usual, weak},
    wire::{Ask, GOOD, everything_at},
};

/// Everything that the host's code says to whoever records it.
mod tracing_log {
    use std::fmt::Write as _;

    use super::Mutex;

    static SAID: Mutex<String> = Mutex::new(String::new());

    struct All;

    struct Fields<'a>(&'a mut String);

    impl tracing::field::Visit for Fields<'_> {
        fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
    }

    impl tracing::Subscriber for All {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            let mut said = SAID.lock().unwrap();
            said.push_str(span.metadata().name());
            span.record(&mut Fields(&mut said));
            said.push('\n');
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
            values.record(&mut Fields(&mut SAID.lock().unwrap()));
        }

        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            let mut said = SAID.lock().unwrap();
            event.record(&mut Fields(&mut said));
            said.push('\n');
        }

        fn enter(&self, _: &tracing::span::Id) {}

        fn exit(&self, _: &tracing::span::Id) {}
    }

    pub(super) fn begin() {
        // Another test of this process may have begun before.
        let _ = tracing::subscriber::set_global_default(All);
    }

    pub(super) fn said() -> String {
        SAID.lock().unwrap().clone()
    }
}

/// What a server answers that has a request's head in its hands and means no good.
fn faults(head: &str) -> Vec<Reply> {
    let echo = head.replace("\r\n", " ");
    let ok = "HTTP/1.1 200 OK\r\n";
    vec![
        Reply::head("500 Oh No", &[], echo.as_bytes()),
        Reply::raw(echo.clone()),
        Reply::raw(format!("HTTP/1.1 {echo}\r\n\r\n")),
        Reply::raw(format!("HTTP/1.1 2\x0000 {echo}\r\n\r\n")),
        Reply::raw(format!("{ok}{echo}\r\n\r\n")),
        Reply::raw(format!("{ok}x: a\0{echo}\r\n\r\n")),
        Reply::raw(format!("{ok}{echo}: x\r\n\r\n")),
        Reply::raw(format!("{ok}content-length: {echo}\r\n\r\n")),
        Reply::raw(format!("{ok}content-length: 100000\r\n\r\n{echo}")),
        Reply::raw(format!("{ok}transfer-encoding: chunked\r\n\r\n{echo}\r\n")),
        Reply::raw(format!(
            "{ok}transfer-encoding: chunked\r\n\r\n1;{echo}\r\nx\r\nzz{echo}"
        )),
        Reply::raw(format!("{ok}transfer-encoding: {echo}\r\n\r\n")),
        Reply::raw(format!("{ok}x: {}\r\n\r\n", echo.repeat(2000))),
        Reply::raw(format!(
            "HTTP/1.1 101 {echo}\r\nupgrade: {echo}\r\nconnection: upgrade\r\n\r\n{echo}"
        )),
        Reply::raw(format!(
            "HTTP/1.1 103 {echo}\r\nx: {echo}\r\n\r\nHTTP/1.1 401 {echo}\r\nwww-authenticate: {echo}\r\ncontent-length: 0\r\n\r\n"
        )),
        Reply::raw(format!("{ok}content-length: 2\r\n\r\nok{echo}")),
        Reply::head("200 OK", &[], echo.repeat(30_000).as_bytes()),
        Reply::head("200 OK", &[("content-encoding", &echo)], echo.as_bytes()),
        Reply::head(
            "302 Found",
            &[("location", &format!("http://{echo}/"))],
            b"",
        ),
        Reply::raw(""),
    ]
}

/// S10: whatever goes wrong on the way, at every stage of it: no message says the credential.
async fn s10(run: Run) -> Spoils {
    tracing_log::begin();
    let authority = Authority::new();
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let spy = Spy::scripted(Some(authority.vouch_for(GOOD)), move |heard| {
        let head = heard.head().join("\r\n");
        let mut all = faults(&head);
        let turn = turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        all.swap_remove(turn % all.len())
    })
    .await;
    let plain = Spy::start(Reply::raw("HTTP/1.1 400 no TLS here\r\n\r\n")).await;
    let stranger = Spy::scripted(Some(Authority::new().vouch_for(GOOD)), |_| Reply::ok("x")).await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let value = random_value();
    let weaknesses = [
        Weakness::ResponsesAsTheyAre,
        Weakness::LeavesAsItIs,
        Weakness::KeptAsItIs,
    ];
    let mut spoils = Vec::new();
    for place in [
        "header = \"Authorization: Bearer {}\"",
        "query = \"key\"",
        "basic = \"user\"",
    ] {
        for (stage, port, times) in [
            ("while answering", spy.port, faults("").len()),
            ("while encrypting", plain.port, 1),
            ("while proving who it is", stranger.port, 1),
            ("while connecting", closed, 1),
            ("while looking up", 0, 1),
        ] {
            let name = if port == 0 { "nowhere.test" } else { GOOD };
            let to = format!("https://{name}:{}", port.max(1));
            let secret = format!("KEY = {{ from = \"vault:KEY\", to = {to:?}, {place} }}");
            let policy = bound(&[everything_at(&to)], &[&secret])
                .replace("time =", "response = \"1MiB\", time =");
            let vault = Vault::with("KEY", &value);
            let keys = Keys::new(weak(run, &weaknesses), &policy, &vault, authority.roots()).await;
            keys.names.answer("nowhere.test", &[&[]]);
            for _ in 0..times {
                let ask = Ask::get(format!("{to}/?q=1"))
                    .with("connect", 1)
                    .with("first_byte", 5);
                let (result, saw) = keys.send_for("", &[ask]).await;
                let found = saw.iter().find_map(|it| it.find(&value));
                spoils.extend(found.map(|it| format!("{stage}, {place}: the guest saw: {it}")));
                let shown = format!("{result:?}");
                let found = searcher::find(shown.as_bytes(), &value);
                spoils.extend(found.map(|it| format!("{stage}, {place}: {it} in the result")));
            }
            let kept = keys.kept().join("\n");
            let found = searcher::find(kept.as_bytes(), &value);
            spoils.extend(found.map(|it| format!("{stage}, {place}: {it} on record")));
        }
    }
    let said = tracing_log::said();
    assert!(said.contains("call"), "the host says what it does");
    let found = searcher::find(said.as_bytes(), &value);
    spoils.extend(found.map(|it| format!("{it} in the trace")));
    spoils
}

attack! { s10:
    attack_s10_thread = THREAD,
    attack_s10_process = PROCESS,
    attack_s10_is_seen_without_its_defence = UNDEFENDED,
}

/// The ways in which the guest `leak` tells what it has.
const WAYS: &[&str] = &[
    "text",
    "json",
    "member",
    "image",
    "audio",
    "mime",
    "uri",
    "resource",
    "blob",
    "resource-mime",
    "log",
    "stdout",
    "stderr",
    "progress",
    "path",
    "error",
    "code",
    "nested",
];

/// Has a guest tell something that was made of a known value, in every way there is, and looks for the value in all
/// that comes of it.
async fn told(run: Run, what: &str, made: &str, value: &str) -> Spoils {
    let redaction = Redaction::new();
    redaction.register("KEY", Secret::new(value).unwrap());
    let weaknesses = [Weakness::LeavesAsItIs, Weakness::KeptAsItIs];
    let builder = weak(run, &weaknesses).redaction(redaction);
    let policy = format!(
        "[tool.leak]\nenv = {{ VALUE = {} }}\ncalls = [\"leak_leak\"]\n",
        toml_text(made)
    );
    let keys = Keys::new(builder, &policy, &Vault::default(), RootCertStore::empty()).await;
    keys.host.load_file(guest("leak")).await.unwrap();
    let mut spoils = Vec::new();
    for way in WAYS {
        let result = keys.call("leak_leak", json!({ "by": way })).await;
        let shown = format!("{}\n{:?}", result.text(), result);
        // What is in an image is in base64 once more.
        let found = searcher::find(shown.as_bytes(), value);
        spoils.extend(found.map(|it| format!("{what}, {way}: {it}")));
    }
    let result = keys.call("leak_shape", json!({})).await;
    let found = searcher::find(format!("{result:?}").as_bytes(), value);
    spoils.extend(found.map(|it| format!("{what}, in a shape: {it}")));
    for kept in keys.kept() {
        let found = searcher::find(kept.as_bytes(), value);
        spoils.extend(found.map(|it| format!("{what}: {it} on record: {kept:.60}")));
    }
    spoils
}

/// A TOML text.
fn toml_text(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_ascii_graphic() || c == ' ' => c.to_string(),
            c => format!("\\U{:08x}", u32::from(c)),
        })
        .collect();
    format!("\"{escaped}\"")
}

/// S14: a tool that got hold of a credential elsewhere tells it, encoded in every form that is a text.
async fn s14(run: Run) -> Spoils {
    let value = random_value();
    let mut spoils = Vec::new();
    for (name, form) in FORMS {
        let made = form(&value);
        if made.contains(&0) {
            continue;
        }
        let made = String::from_utf8(made).unwrap();
        spoils.extend(told(run, name, &made, &value).await);
        if !run.defended {
            break;
        }
    }
    // One form inside another.
    let twice = FORMS[2].1(&String::from_utf8(FORMS[8].1(&value)).unwrap());
    spoils.extend(
        told(
            run,
            "hexadecimal in base64",
            &String::from_utf8(twice).unwrap(),
            &value,
        )
        .await,
    );
    spoils
}

attack! { s14:
    attack_s14_thread = THREAD,
    attack_s14_process = PROCESS,
    attack_s14_is_seen_without_its_defence = UNDEFENDED,
}

/// S15: a model that got hold of a credential, from what a person wrote, hands it to a tool.
async fn s15(run: Run) -> Spoils {
    let value = random_value();
    let redaction = Redaction::new();
    redaction.register("KEY", Secret::new(value.as_str()).unwrap());
    let builder = weak(run, &[Weakness::ArgumentsPass]).redaction(redaction);
    let keys = Keys::new(builder, "", &Vault::default(), RootCertStore::empty()).await;
    keys.host.load_file(guest("echo")).await.unwrap();
    let mut spoils = Vec::new();
    for (name, form) in FORMS {
        let Ok(made) = String::from_utf8(form(&value)) else {
            continue;
        };
        let input = json!({ "text": format!("use {made} please") });
        let result = keys.call("echo_back", input).await;
        let denied = result
            .failure
            .as_ref()
            .is_some_and(|it| it.kind == ErrorKind::Denied);
        if !denied {
            spoils.push(format!("{name}: the tool got it: {:?}", result.failure));
        }
        let found = searcher::find(format!("{result:?}").as_bytes(), &value);
        spoils.extend(found.map(|it| format!("{name}: {it} in the result")));
    }
    for kept in keys.kept() {
        let found = searcher::find(kept.as_bytes(), &value);
        spoils.extend(found.map(|it| format!("{it} on record")));
    }
    if run.defended {
        let honest = keys
            .call("echo_back", json!({ "text": "nothing in it" }))
            .await;
        assert_eq!(honest.text(), "nothing in it");
    }
    spoils
}

attack! { s15:
    attack_s15_thread = THREAD,
    attack_s15_process = PROCESS,
    attack_s15_is_seen_without_its_defence = UNDEFENDED,
}

/// Small changes that leave a value readable.
fn disguises(value: &str) -> Vec<(&'static str, String)> {
    let at = value.len() / 2;
    let (one, two) = value.split_at(at);
    let first = value.as_bytes()[at];
    let rest = &value[at + 1..];
    let between = |with: &str| {
        let letters: Vec<String> = value.chars().map(String::from).collect();
        letters.join(with)
    };
    vec![
        (
            "one character in percent",
            format!("{one}%{first:02x}{rest}"),
        ),
        (
            "one character as an entity",
            format!("{one}&#{first};{rest}"),
        ),
        (
            "one character escaped",
            format!("{one}\\u{first:04x}{rest}"),
        ),
        ("a zero-width space", format!("{one}\u{200b}{two}")),
        ("a zero-width joiner", format!("{one}\u{200d}{two}")),
        ("a soft hyphen", format!("{one}\u{ad}{two}")),
        ("a word joiner", format!("{one}\u{2060}{two}")),
        ("zero-width spaces everywhere", between("\u{200b}")),
        ("in capitals", value.to_uppercase()),
        ("in small letters", value.to_lowercase()),
        (
            "in percent twice",
            value.bytes().map(|it| format!("%25{it:02x}")).collect(),
        ),
        ("broken into lines", format!("{one}\n{two}")),
    ]
}

/// S16: one character encoded, something invisible inside, capitals.
async fn s16(run: Run) -> Spoils {
    let value = random_value();
    let mut spoils = Vec::new();
    for (name, made) in disguises(&value) {
        spoils.extend(told(run, name, &made, &value).await);
        if !run.defended {
            break;
        }
    }
    spoils
}

attack! { s16:
    attack_s16_thread = THREAD,
    attack_s16_process = PROCESS,
    attack_s16_is_seen_without_its_defence = UNDEFENDED,
}

/// Values that would be found everywhere, or guessed.
const WEAK: &[&str] = &[
    "",
    "a",
    "ab",
    "test",
    "true",
    "null",
    "secret",
    "1234567",
    "12345678",
    "aaaaaaaa",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "abababababab",
    "        ",
    "00000000000",
    "password",
    "changeme",
    "\0\0\0\0\0\0\0\0\0\0",
];

/// S19: a value so short or common that to take it out of answers would tell it, and destroy them.
async fn s19(run: Run) -> Spoils {
    let mut spoils = Vec::new();
    for value in WEAK {
        let taken = match run.defended {
            true => Secret::new(*value).is_ok(),
            // What a host does that takes every value there is.
            false => !value.is_empty(),
        };
        if taken {
            let text = "this is a test of a password, aaaaaaaaaaaa, 12345678"
                .replace(value, "[secret KEY]");
            spoils.push(format!(
                "{value:?} is a secret, and an answer becomes {text:?}"
            ));
        }
    }
    if run.defended {
        assert!(Secret::new(random_value()).is_ok());
        // A call whose credential is weak does not run with it, and says why without saying it.
        let authority = Authority::new();
        let spy = Spy::scripted(Some(authority.vouch_for(GOOD)), |_| Reply::ok("hello")).await;
        let keys = Keys::new(
            weak(run, &[]),
            &usual(spy.port),
            &Vault::with("KEY", "changeme"),
            authority.roots(),
        )
        .await;
        let ask = Ask::get(format!("https://{GOOD}:{}/", spy.port));
        let (result, _) = keys.send_for("", &[ask]).await;
        if format!("{result:?}").contains("changeme")
            || spy
                .heard()
                .await
                .iter()
                .any(|it| it.text().contains("changeme"))
        {
            spoils.push(format!("a weak value was used: {result:?}"));
        }
    }
    spoils
}

attack! { s19:
    attack_s19_thread = THREAD,
    attack_s19_process = PROCESS,
    attack_s19_is_seen_without_its_defence = UNDEFENDED,
}

/// Whether a process has some bytes in its memory that it can write to.
fn holds(process: &str, wanted: &[u8]) -> bool {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
    let Ok(mut memory) = fs::File::open(format!("/proc/{process}/mem")) else {
        return false;
    };
    let mut found = false;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let range = line.split(' ').next().unwrap_or_default();
        let Some((start, end)) = range.split_once('-') else {
            continue;
        };
        let read = |it| u64::from_str_radix(it, 16).unwrap_or(0);
        let (start, end) = (read(start), read(end));
        // What is larger is kept free for the linear memories of guests that do not run.
        if end - start > 256 << 20 {
            continue;
        }
        let mut bytes = vec![0; usize::try_from(end - start).unwrap_or(0)];
        if memory.seek(std::io::SeekFrom::Start(start)).is_ok()
            && memory.read_exact(&mut bytes).is_ok()
        {
            let first = wanted[0];
            let mut rest = bytes.as_slice();
            while let Some(at) = rest.iter().position(|it| *it == first) {
                if rest[at..].starts_with(wanted) {
                    found = true;
                    break;
                }
                rest = &rest[at + 1..];
            }
        }
        bytes.fill(0);
    }
    found
}

/// The processes that this one has started.
fn children() -> Vec<String> {
    let own = format!("PPid:\t{}", std::process::id());
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.map(|it| it.file_name().to_string_lossy().into_owned())
        .filter(|it| it.parse::<u32>().is_ok())
        .filter(|it| {
            fs::read_to_string(format!("/proc/{it}/status"))
                .is_ok_and(|it| it.lines().any(|line| line == own))
        })
        .collect()
}

/// S20: whoever can read the memory that a tool runs beside, by whatever side channel: a worker has no credential in it.
async fn s20(run: Run) -> Spoils {
    let authority = Authority::new();
    let spy = Spy::scripted(Some(authority.vouch_for(GOOD)), |heard| {
        Reply::ok(&heard.text())
    })
    .await;
    let value = random_value();
    let keys = Keys::new(
        weak(run, &[]),
        &usual(spy.port),
        &Vault::with("KEY", &value),
        authority.roots(),
    )
    .await;
    let ask = Ask::get(format!("https://{GOOD}:{}/", spy.port));
    for _ in 0..3 {
        let saw = keys.send(std::slice::from_ref(&ask)).await;
        assert_eq!(saw[0].status(), Some(200), "{saw:?}");
        assert_eq!(saw[0].find(&value), None);
    }
    // Beside whom the tool ran.
    let processes = match run.defended {
        true => children(),
        false => vec!["self".to_owned()],
    };
    assert!(!processes.is_empty(), "there is a worker");
    let held = processes
        .into_iter()
        .filter(|it| holds(it, value.as_bytes()));
    held.map(|it| format!("the process {it} holds it"))
        .collect()
}

attack! { s20:
    #[ignore = "a thread shares the host's memory; the engine's guards against Spectre are all there is"]
    attack_s20_thread = THREAD,
    attack_s20_process = PROCESS,
    attack_s20_is_seen_without_its_defence = UNDEFENDED,
}
