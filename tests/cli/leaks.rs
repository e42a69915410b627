//! Attacks on credentials through everything that the program writes, prints and keeps, and through what the system
//! keeps of it.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Child,
    time::SystemTime,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use toolcell::{
    Policy, Redaction, Secret, ToolCall, ToolHost, audit::FileAudit, testing::Weakness,
};

use crate::{
    attacks::Client,
    cell::Cell,
    common::{guest, names, tests},
    searcher,
    spy::{Authority, Heard, Reply, Spy},
};

/// Values that nobody knows, each with the name of where it is kept.
struct Values {
    seed: u64,
    all: Vec<(&'static str, String)>,
}

/// What a credential is kept in, or comes from.
const KEPT_IN: [&str; 7] = [
    "the vault",
    "the environment",
    "a file",
    "the passphrase",
    "the model's key",
    "an access token",
    "a removed value",
];

impl Values {
    /// Made of a seed, which a test that fails tells.
    fn new() -> Self {
        let given = std::env::var("TOOLCELL_TEST_SEED").ok();
        let seed = given
            .and_then(|it| it.parse().ok())
            .unwrap_or_else(rand::random);
        let mut random = StdRng::seed_from_u64(seed);
        let letters = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789".as_bytes();
        let all = KEPT_IN.map(|name| {
            let mut part = |length: usize| -> String {
                let letter = |_| char::from(letters[random.random_range(0..letters.len())]);
                (0..length).map(letter).collect()
            };
            (name, format!("{}/+{}", part(14), part(14)))
        });
        Self {
            seed,
            all: all.to_vec(),
        }
    }

    fn of(&self, name: &str) -> &str {
        let found = self.all.iter().find(|(known, _)| *known == name);
        &found.unwrap().1
    }

    /// Where any of them stands in some bytes.
    fn find(&self, place: &str, bytes: &[u8]) -> Vec<String> {
        let values: Vec<&str> = self.all.iter().map(|(_, value)| value.as_str()).collect();
        let found = searcher::find_each(bytes, &values)
            .into_iter()
            .zip(&self.all);
        let told = found.filter_map(|(found, (name, _))| {
            let (found, seed) = (found?, self.seed);
            Some(format!(
                "{place}, {name}: {found} (TOOLCELL_TEST_SEED={seed})"
            ))
        });
        told.collect()
    }
}

/// A server that says back every credential it was sent, and gives access tokens.
fn telling(heard: &Heard, token: &str) -> Reply {
    let line = heard.head()[0].clone();
    let path = line.split(' ').nth(1).unwrap_or_default();
    if path.starts_with("/token") {
        let body = json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 });
        return Reply::head(
            "200 OK",
            &[("content-type", "application/json")],
            body.to_string().as_bytes(),
        );
    }
    let mut said = heard.text();
    for name in ["authorization", "x-other", "x-token"] {
        for value in heard.values(name) {
            let value = value.strip_prefix("Bearer ").unwrap_or(&value).to_owned();
            let hex: String = value.bytes().map(|it| format!("{it:02x}")).collect();
            let reversed: String = value.chars().rev().collect();
            said += &format!(
                "{value}\n{hex}\n{reversed}\n{}\n",
                BASE64_STANDARD.encode(&value)
            );
        }
    }
    let echo: String = said.replace(['\r', '\n'], " ");
    match path {
        path if path.starts_with("/away") => Reply::head(
            "302 Found",
            &[("location", &format!("/?{echo}"))],
            said.as_bytes(),
        ),
        path if path.starts_with("/no") => Reply::head(
            "401 Unauthorized",
            &[("www-authenticate", &echo)],
            said.as_bytes(),
        ),
        path if path.starts_with("/broken") => {
            Reply::raw(format!("HTTP/1.1 2\x0000 {echo}\r\n\r\n"))
        }
        path if path.starts_with("/cut") => Reply::raw(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{said}"
        )),
        _ => Reply::head("200 OK", &[("x-echo", &echo)], said.as_bytes()),
    }
}

/// A place whose tools have credentials, and the server that they are for.
struct Scene {
    cell: Cell,
    values: Values,
    isolation: &'static str,
    spoils: Vec<String>,
    said: String,
    called: usize,
    port: u16,
    _spy: Spy,
    runtime: Runtime,
}

/// What the tests themselves put values into. Everything else is searched.
const OURS: [&str; 3] = ["work/key.txt", "work/passphrase", "work/turns.jsonl"];

impl Scene {
    fn new(isolation: &'static str) -> Self {
        let values = Values::new();
        let runtime = Runtime::new().unwrap();
        let authority = Authority::new();
        let token = values.of("an access token").to_owned();
        let certificate = authority.vouch_for("localhost");
        let script = move |heard: &Heard| telling(heard, &token);
        let spy = runtime.block_on(Spy::scripted(Some(certificate), script));
        let cell = Cell::empty();
        let own = |name: &str| cell.path("..").join(name).display().to_string();
        let (cache, passphrase) = (own("cache"), own("work/passphrase"));
        let cell = cell
            .env("TOOLCELL_LOG", "trace")
            .env("TOOLCELL_CACHE_DIR", &cache)
            .env("TOOLCELL_VAULT_PASSPHRASE_FILE", &passphrase)
            .env("ANTHROPIC_API_KEY", values.of("the model's key"))
            .env("GIVEN", values.of("the environment"));
        let scene = Self {
            cell,
            values,
            isolation,
            spoils: Vec::new(),
            said: String::new(),
            called: 0,
            port: spy.port,
            _spy: spy,
            runtime,
        };
        scene.cell.file("ca.pem", authority.pem());
        scene.private("passphrase", scene.values.of("the passphrase"));
        scene.private("key.txt", scene.values.of("a file"));
        scene.cell.file("policy.toml", scene.policy());
        scene
    }

    fn private(&self, name: &str, content: &str) {
        self.cell.file(name, content);
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(self.cell.path(name), mode).unwrap();
    }

    fn policy(&self) -> String {
        let to = format!("https://localhost:{}", self.port);
        let isolation = self.isolation;
        let net =
            format!("net = [{{ to = {to:?}, methods = [\"GET\", \"POST\"], redirects = 2 }}]");
        let oauth = format!(
            "oauth = {{ grant = \"client_credentials\", token_url = \"{to}/token\", client_id = \"abc\", client_secret = \"file:key.txt\" }}"
        );
        format!(
            "[egress]\nca = [\"ca.pem\"]\n\n\
             [tool.keys]\nfrom = {:?}\nisolation = \"{isolation}\"\n{net}\n\
             secrets.KEY = {{ from = \"vault:TOKEN\", to = {to:?}, header = \"Authorization: Bearer {{}}\" }}\n\
             secrets.OTHER = {{ {oauth}, to = {to:?}, header = \"X-Other: {{}}\" }}\n\n\
             [tool.http]\nfrom = \"builtin:http\"\nisolation = \"{isolation}\"\n{net}\n\
             secrets.HTTP_TOKEN = {{ from = \"env:GIVEN\", to = {to:?}, header = \"X-Token: {{}}\" }}\n\n\
             [tool.echo]\nfrom = {:?}\nisolation = \"{isolation}\"\n\n\
             [tool.fetch]\nfrom = \"builtin:fetch\"\n{net}\n",
            guest("keys").display().to_string(),
            guest("echo").display().to_string(),
        )
    }

    /// Runs a command and searches what it says.
    fn run(&mut self, arguments: &[&str]) {
        self.run_with("", arguments);
    }

    fn run_with(&mut self, input: &str, arguments: &[&str]) {
        let shown = self.cell.run_with(input, arguments);
        let what = format!(
            "toolcell {}",
            arguments
                .iter()
                .take(3)
                .cloned()
                .collect::<Vec<_>>()
                .join(" ")
        );
        for (stream, text) in [("stdout", &shown.stdout), ("stderr", &shown.stderr)] {
            self.said += text;
            let place = format!("{what} on {stream}");
            self.spoils
                .extend(self.values.find(&place, text.as_bytes()));
        }
    }

    /// Calls a tool, each time in another of the ways to do so.
    fn call(&mut self, tool: &str, input: &Value) {
        self.called += 1;
        let more = [&[][..], &["--json"], &["-vvv"]][self.called % 3];
        let call = ["call", "--policy", "policy.toml", tool, &input.to_string()];
        self.run(&[&call[..], more].concat());
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// A plan that asks for everything that the server tells.
    fn plan(&self) -> Value {
        let paths = ["/", "/away", "/no", "/broken", "/cut"];
        let requests: Vec<Value> = paths.map(|it| json!({ "url": self.url(it) })).to_vec();
        json!({ "plan": json!({ "requests": requests }).to_string() })
    }

    /// What people do with secrets and policies.
    fn verbs(&mut self) {
        let (kept, removed) = (
            self.values.of("the vault").to_owned(),
            self.values.of("a removed value").to_owned(),
        );
        self.run_with(&kept, &["secret", "set", "TOKEN", "--in", "vault"]);
        self.run_with(&removed, &["secret", "set", "GONE", "--in", "vault"]);
        self.run(&["secret", "remove", "GONE"]);
        for verb in ["list", "check"] {
            self.run(&["secret", verb, "--policy", "policy.toml"]);
            self.run(&["secret", verb, "--policy", "policy.toml", "--json"]);
        }
        for verb in ["check", "explain", "show", "test"] {
            self.run(&["policy", verb, "--policy", "policy.toml"]);
        }
        self.run(&["tools", "--policy", "policy.toml"]);
        self.run(&["doctor", "--policy", "policy.toml"]);
        self.run(&["doctor", "--json"]);
    }

    /// Calls whose requests carry credentials, and whose inputs do.
    fn calls(&mut self) {
        let plan = self.plan();
        self.call("keys_keys", &plan);
        self.call(
            "keys_exist",
            &json!({ "names": ["KEY", "OTHER", "MISSING"] }),
        );
        for path in ["/", "/away", "/no", "/broken"] {
            let url = self.url(path);
            self.call("http", &json!({ "url": url }));
        }
        self.call(
            "http",
            &json!({ "url": self.url("/"), "headers": { "x-token": "mine" } }),
        );
        self.call("http", &json!({ "url": "https://localhost:1/nobody" }));
        self.call("fetch", &json!({ "url": self.url("/") }));
        // A person or a script that hands a known value on.
        let value = self.values.of("the model's key").to_owned();
        self.call("echo_back", &json!({ "text": format!("use {value}") }));
        self.call("no_such_tool", &json!({ "text": value }));
    }

    /// A run of an agent whose model knows more than it should.
    fn agent(&mut self) {
        let known = self.values.of("the model's key").to_owned();
        let turn = |text: String, calls: Value| {
            let mut content = vec![json!({ "type": "text", "text": text })];
            content.extend(calls.as_array().cloned().unwrap_or_default());
            let stop_reason = if calls.is_null() {
                "end_turn"
            } else {
                "tool_use"
            };
            json!({ "content": content, "stop_reason": stop_reason }).to_string()
        };
        let used = |id: &str, name: &str, input: Value| json!([{ "type": "tool_use", "id": id, "name": name, "input": input }]);
        let turns = [
            turn(
                "I look.".to_owned(),
                used("toolu_1", "keys_keys", self.plan()),
            ),
            turn(
                format!("I try {known}."),
                used("toolu_2", "http", json!({ "url": self.url("/") })),
            ),
            turn(
                "I hand it on.".to_owned(),
                used("toolu_3", "echo_back", json!({ "text": known })),
            ),
            turn(
                format!(
                    "It was {known}, and in other words {}.",
                    BASE64_STANDARD.encode(&known)
                ),
                Value::Null,
            ),
        ];
        self.cell.file("turns.jsonl", turns.join("\n") + "\n");
        let run = [
            "run",
            "look around",
            "--policy",
            "policy.toml",
            "--model",
            "scripted:turns.jsonl",
        ];
        for more in [&[][..], &["--json"], &["--events"]] {
            self.run(&[&run[..], more].concat());
        }
        self.run(&["run", "task", "--policy", "policy.toml"]);
    }

    /// A session of the protocol, and what the server says on the side.
    fn session(&mut self) {
        let script = "exec \"$0\" \"$@\" 2>mcp.log";
        let serve = ["serve", "--stdio", "--policy", "policy.toml"];
        let mut client = Client::over(self.cell.start_in_shell(script, &serve));
        let about = json!({ "name": "test", "version": "0" });
        let hello =
            json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": about });
        let mut answers = vec![client.ask(1, "initialize", hello)];
        client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        answers.push(client.ask(2, "tools/list", json!({})));
        // It was looked up for the call before.
        let known = self.values.of("the environment").to_owned();
        let calls = [
            ("keys_keys", self.plan()),
            ("http", json!({ "url": self.url("/away") })),
            (
                "echo_back",
                json!({ "text": self.values.of("the model's key") }),
            ),
            ("keys_exist", json!({ "names": ["KEY", known] })),
        ];
        for (id, (tool, input)) in (3..).zip(calls) {
            let call = json!({ "name": tool, "arguments": input });
            answers.push(client.ask(id, "tools/call", call));
        }
        for line in client.finish() {
            self.spoils
                .extend(self.values.find("a message of the server", line.as_bytes()));
        }
        for answer in answers {
            self.spoils.extend(
                self.values
                    .find("an answer of the server", answer.to_string().as_bytes()),
            );
        }
    }

    /// The cases of the repository, each as a command.
    fn cases(&mut self) {
        let cases = tests().join("cases");
        for name in names(&cases) {
            let read = |file: &str| fs::read_to_string(cases.join(&name).join(file));
            let (Ok(policy), Ok(call)) = (read("policy.toml"), read("call.json")) else {
                continue;
            };
            let port = self.port.to_string();
            let mut policy = policy.replace("@PORT@", &port);
            for used in policy
                .clone()
                .split('"')
                .filter_map(|it| it.strip_prefix("guests/"))
            {
                let file = guest(used.trim_end_matches(".wasm"));
                policy = policy.replace(&format!("guests/{used}"), &file.display().to_string());
            }
            let call: Value = serde_json::from_str(&call.replace("@PORT@", &port)).unwrap();
            self.cell.file("work/a.txt", "one\ntwo\n");
            self.cell.file("case.toml", policy);
            let input = call["input"].to_string();
            let tool = call["tool"].as_str().unwrap().to_owned();
            self.run(&["call", "--policy", "case.toml", &tool, &input]);
        }
    }

    /// Everything that was written down anywhere, searched.
    fn search(mut self) -> Vec<String> {
        let root = fs::canonicalize(self.cell.path("..")).unwrap();
        let mut files = 0;
        for path in files_below(&root) {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            if OURS.contains(&name.as_str()) || name.ends_with(".cwasm") {
                continue;
            }
            files += 1;
            self.spoils.extend(self.values.find(&name, name.as_bytes()));
            let bytes = fs::read(&path).unwrap_or_default();
            self.spoils.extend(self.values.find(&name, &bytes));
        }
        assert!(files > 5, "only {files} files were found");
        self.runtime.shutdown_background();
        self.spoils
    }
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files_below(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

/// Everything that people do with the program, with tools that run in one of the two ways.
fn lived(isolation: &'static str) -> Scene {
    let mut scene = Scene::new(isolation);
    scene.verbs();
    scene.calls();
    scene.agent();
    scene.session();
    // The credentials were there to be shown, in requests, inputs and what a model said.
    for name in ["KEY", "OTHER", "HTTP_TOKEN", "ANTHROPIC_API_KEY"] {
        let place = format!("[secret {name}]");
        assert!(
            scene.said.contains(&place),
            "nothing is in the place of {name}"
        );
    }
    scene
}

/// S11: credentials in whatever the program says, writes and keeps, at its most talkative.
#[test]
fn attack_s11_thread() {
    let mut scene = lived("thread");
    scene.cases();
    scene.run(&["audit", "verify"]);
    scene.run(&["audit", "show"]);
    assert_eq!(scene.search(), [""; 0]);
}

#[test]
fn attack_s11_process() {
    let scene = lived("process");
    assert_eq!(scene.search(), [""; 0]);
}

/// The same search, where somebody wrote a value into a log; and where the nets are down, in the log of a real host.
#[test]
fn attack_s11_is_seen_without_its_defence() {
    let mut scene = Scene::new("thread");
    scene.verbs();
    let value = scene.values.of("the environment").to_owned();
    scene.cell.file(
        "../state/some.log",
        format!("token={}\n", BASE64_STANDARD.encode(&value)),
    );
    assert_ne!(scene.search(), [""; 0]);

    let values = Values::new();
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("audit.jsonl");
    let value = values.of("the vault");
    let redaction = Redaction::new();
    redaction.register("KEY", Secret::new(value).unwrap());
    let policy = format!("[tool.leak]\nisolation = \"thread\"\nenv = {{ VALUE = {value:?} }}\n");
    let host = ToolHost::builder()
        .policy(Policy::parse("policy.toml", &policy).unwrap())
        .redaction(redaction)
        .weakness(Weakness::LeavesAsItIs)
        .weakness(Weakness::KeptAsItIs)
        .audit(FileAudit::open(&log, SystemTime::now).unwrap())
        .build()
        .unwrap();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        host.load_file(guest("leak")).await.unwrap();
        let call = ToolCall::new("leak_leak", json!({ "by": "path" }));
        host.call(call).await.unwrap();
    });
    assert_ne!(values.find("the log", &fs::read(&log).unwrap()), [""; 0]);
}

/// What the system says of a process.
fn of_process(id: u32, file: &str) -> String {
    let bytes = fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a crash of a process leaves its memory behind, or whether it may be made to.
fn dumps(id: u32) -> Option<String> {
    let limits = of_process(id, "limits");
    let line = limits
        .lines()
        .find(|it| it.starts_with("Max core file size"))?;
    let zeros = line.split_whitespace().filter(|it| *it == "0").count();
    (zeros != 2).then(|| format!("process {id}: {line}"))
}

fn children(id: u32) -> Vec<u32> {
    let own = format!("PPid:\t{id}");
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|it| it.file_name().to_string_lossy().parse().ok())
        .filter(|child| of_process(*child, "status").lines().any(|line| line == own))
        .collect()
}

/// What the system would keep or show of a process that has credentials, and of its workers.
fn kept_by_the_system(scene: &Scene, child: &Child) -> Vec<String> {
    let mut spoils = Vec::new();
    let workers = children(child.id());
    for id in std::iter::once(child.id()).chain(workers.iter().copied()) {
        spoils.extend(dumps(id));
        spoils.extend(
            scene
                .values
                .find("a command line", of_process(id, "cmdline").as_bytes()),
        );
        spoils.extend(
            scene
                .values
                .find("a status", of_process(id, "status").as_bytes()),
        );
    }
    // The first environment of a process stays where its parent put it; nothing else comes into it, and no worker has one.
    for (name, value) in &scene.values.all {
        let given = ["the environment", "the model's key"].contains(name);
        if !given && of_process(child.id(), "environ").contains(value.as_str()) {
            spoils.push(format!("{name} is in the environment"));
        }
    }
    for id in workers {
        spoils.extend(scene.values.find(
            "a worker's environment",
            of_process(id, "environ").as_bytes(),
        ));
    }
    spoils
}

/// A program that has used its credentials and waits for more.
fn serving(isolation: &'static str) -> (Scene, Child, Vec<String>) {
    let mut scene = Scene::new(isolation);
    let kept = scene.values.of("the vault").to_owned();
    scene.run_with(&kept, &["secret", "set", "TOKEN", "--in", "vault"]);
    let script = "ulimit -c unlimited 2>/dev/null; exec \"$0\" \"$@\"";
    let serve = ["serve", "--stdio", "--policy", "policy.toml"];
    let mut client = Client::over(scene.cell.start_in_shell(script, &serve));
    let about = json!({ "name": "test", "version": "0" });
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": about });
    client.ask(1, "initialize", hello);
    client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    let call = json!({ "name": "keys_keys", "arguments": scene.plan() });
    let answer = client.ask(2, "tools/call", call);
    assert!(answer.to_string().contains("[secret KEY]"), "{answer}");
    let child = client.into_child();
    let spoils = kept_by_the_system(&scene, &child);
    (scene, child, spoils)
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// S12: core dumps, and what `/proc` shows of a program that has credentials, and of its workers.
#[test]
fn attack_s12_thread() {
    let (_scene, child, spoils) = serving("thread");
    end(child);
    assert_eq!(spoils, [""; 0]);
}

#[test]
fn attack_s12_process() {
    let (_scene, child, spoils) = serving("process");
    assert!(
        !children(child.id()).is_empty(),
        "a worker waits for its next call"
    );
    end(child);
    assert_eq!(spoils, [""; 0]);
}

/// A program that closes nothing, with a value on its command line.
#[test]
fn attack_s12_is_seen_without_its_defence() {
    let scene = Scene::new("thread");
    let value = scene.values.of("the vault").to_owned();
    let mut child = std::process::Command::new("sh")
        .args(["-c", "ulimit -S -c 0; read line", "sh", &value])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let spoils = kept_by_the_system(&scene, &child);
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    child.wait().unwrap();
    assert_ne!(spoils, [""; 0]);
}
