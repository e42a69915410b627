//! Attacks by what is loaded: native code, other bytes than were locked, hidden imports, broken and oversized components.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::json;
use toolcell::{ErrorKind, Lock, Package, ToolCall, ToolHost, package::MANIFEST_SECTION};

use crate::{
    bomb::{SHAPES, bomb},
    common::{guest, wat_component, wat_frame, wat_guest},
    stage::{Run, Spoils, attack, host, parse, workers},
};

/// The longest that refusing something may take.
const REFUSAL: Duration = Duration::from_secs(20);

/// Tells what was loaded, and what took its time or broke the host.
async fn load(host: &ToolHost, what: &str, bytes: Vec<u8>) -> Option<String> {
    let begin = Instant::now();
    let loaded = host.load_bytes("guest", bytes).await;
    match loaded {
        Ok(names) => Some(format!("{what} was loaded as {names:?}")),
        Err(error) if error.kind() == ErrorKind::Internal => {
            Some(format!("{what} broke the host: {error}"))
        }
        Err(_) if begin.elapsed() > REFUSAL => Some(format!("{what} took {:?}", begin.elapsed())),
        Err(_) => None,
    }
}

/// A host without a policy.
fn bare(run: Run) -> ToolHost {
    host(run).policy(parse("")).build().unwrap()
}

/// What the engine makes of a component, which is native code.
fn compiled(bytes: &[u8]) -> Vec<u8> {
    wasmtime::Engine::default()
        .precompile_component(bytes)
        .unwrap()
}

/// P1: native code in a package, and native code put into the cache of compiled components.
async fn p1(run: Run) -> Spoils {
    let honest = wat_guest("counter");
    let native = compiled(&honest);
    if !run.defended {
        return deserialized(&native);
    }
    let stage = bare(run);
    let mut spoils = Vec::new();
    for (what, bytes) in [
        ("a compiled component", native.clone()),
        (
            "a compiled component behind a magic number",
            [b"\0asm\x0d\0\x01\0".as_slice(), &native].concat(),
        ),
        (
            "an ELF file",
            fs::read(std::env::current_exe().unwrap()).unwrap(),
        ),
        ("text", b"(component)".to_vec()),
        ("a core module", wat::parse_str("(module)").unwrap()),
        ("an archive", b"PK\x03\x04\0\0\0\0".to_vec()),
        ("nothing", Vec::new()),
    ] {
        spoils.extend(load(&stage, what, bytes).await);
    }
    spoils.extend(poisoned_cache(run).await);
    spoils
}

/// What a host gets that takes compiled code from a package.
fn deserialized(native: &[u8]) -> Spoils {
    let engine = wasmtime::Engine::default();
    #[expect(unsafe_code, reason = "this is the defence that is left out")]
    // SAFETY: these bytes were made by this very engine, a moment ago.
    let taken = unsafe { wasmtime::component::Component::deserialize(&engine, native) };
    taken
        .ok()
        .map(|_| "compiled code of a package was taken".to_owned())
        .into_iter()
        .collect()
}

/// Exchanges entries of the cache, changes their bytes, and puts others there; the tool must stay what it is.
async fn poisoned_cache(run: Run) -> Spoils {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let fresh = || {
        host(run)
            .cache_dir(&cache)
            .policy(parse(""))
            .build()
            .unwrap()
    };
    let first = fresh();
    first
        .load_bytes("counter", wat_guest("counter"))
        .await
        .unwrap();
    first.load_bytes("stack", wat_guest("stack")).await.unwrap();
    let entries = entries(&cache);
    assert!(entries.len() >= 2, "the cache holds {entries:?}");
    let good: Vec<Vec<u8>> = entries.iter().map(|path| fs::read(path).unwrap()).collect();
    let mut poisons: Vec<(String, Vec<Vec<u8>>)> =
        vec![("exchanged".into(), good.iter().rev().cloned().collect())];
    poisons.push(("emptied".into(), vec![Vec::new(); good.len()]));
    poisons.push((
        "replaced by code of another engine".into(),
        vec![compiled(&wat_guest("counter")); good.len()],
    ));
    for at in 0..24 {
        let flip = |bytes: &Vec<u8>| {
            let mut bytes = bytes.clone();
            let at = bytes.len() * at / 24;
            bytes[at] ^= 0x10;
            bytes
        };
        poisons.push((
            format!("changed at {at}/24"),
            good.iter().map(flip).collect(),
        ));
    }
    let mut spoils = Vec::new();
    for (how, poison) in poisons {
        for (path, bytes) in entries.iter().zip(&poison) {
            fs::write(path, bytes).unwrap();
        }
        let host = fresh();
        host.load_bytes("counter", wat_guest("counter"))
            .await
            .unwrap();
        let answer = host
            .call(ToolCall::new("counter", json!({})))
            .await
            .unwrap();
        if answer.text() != "1" {
            spoils.push(format!(
                "a cache that was {how} made the tool answer {answer:?}"
            ));
        }
    }
    spoils
}

/// The compiled components in a cache.
fn entries(cache: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(cache)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name != "key"))
        .collect();
    entries.sort();
    entries
}

attack! { p1:
    attack_p1_thread = THREAD,
    attack_p1_process = PROCESS,
    attack_p1_is_seen_without_its_defence = UNDEFENDED,
}

/// A component with one more custom section, of which the engine takes no notice.
fn with_section(component: &[u8], name: &str, data: &[u8]) -> Vec<u8> {
    let mut section = leb(name.len());
    section.extend(name.as_bytes());
    section.extend(data);
    [component, &[0], &leb(section.len()), &section].concat()
}

fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

/// P2: other bytes than those that were locked: changed, cut off, with something behind them.
async fn p2(run: Run) -> Spoils {
    let good = wat_guest("counter");
    let mut lock = Lock::new();
    lock.insert(
        Package::parse("guest", good.clone())
            .unwrap()
            .locked("guest.wasm"),
    );
    let builder = host(run).policy(parse(""));
    let builder = if run.defended {
        builder.lock(lock)
    } else {
        builder
    };
    let host = builder.build().unwrap();
    let mut spoils = Vec::new();
    let mut others = vec![
        with_section(&good, "harmless", b"x"),
        good[..good.len() - 1].to_vec(),
    ];
    for n in 0..64 {
        let at = good.len() * n / 64;
        let mut changed = good.clone();
        changed[at] ^= 1 << (n % 8);
        others.push(changed);
        others.push(good[..at].to_vec());
    }
    for (n, bytes) in others.into_iter().enumerate() {
        match host.load_bytes("guest", bytes).await {
            Err(error) if error.kind() == ErrorKind::DigestMismatch => {}
            Err(error) if !run.defended => drop(error),
            Err(error) => spoils.push(format!(
                "change {n} was looked at before its digest: {error}"
            )),
            Ok(names) => spoils.push(format!("change {n} was loaded as {names:?}")),
        }
    }
    if run.defended {
        host.load_bytes("guest", good)
            .await
            .expect("what was locked is loaded");
    }
    spoils
}

attack! { p2:
    attack_p2_thread = THREAD,
    attack_p2_process = PROCESS,
    attack_p2_is_seen_without_its_defence = UNDEFENDED,
}

/// The core code of a component that only its outside matters of.
const CORE: &str = r#"
(core module $m
  (memory (export "memory") 1)
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
  (func (export "call") (param i32 i32 i32 i32) (result i32) (unreachable)))
(core instance $i (instantiate $m))
"#;

/// Imports that nobody declared, that have another version or shape than what is offered, or hide deeper inside.
const IMPORTS: &[&str] = &[
    r#"(import "evil:host/backdoor@1.0.0" (instance (export "open" (func))))"#,
    r#"(import "toolcell:tool/log@0.2.0" (instance))"#,
    r#"(import "toolcell:tool/log@0.1.0" (instance (export "more" (func))))"#,
    r#"(import "toolcell:tool/secrets@0.1.0" (instance (export "exists" (func (param "name" string) (result bool)))))"#,
    r#"(import "toolcell:tool/kv@0.1.0" (instance))"#,
    r#"(import "toolcell:tool/tools@0.1.0" (instance))"#,
    r#"(import "wasi:http/outgoing-handler@0.2.12" (instance))"#,
    r#"(import "wasi:sockets/tcp@0.3.0" (instance))"#,
    r#"(import "wasi:cli/environment@0.2.12" (instance (export "set-environment" (func))))"#,
    r#"(import "wasi:keyvalue/store@0.2.0-draft" (instance))"#,
    r#"(import "run" (func))"#,
    r#"(import "wasi:random/random@0.2.12" (instance (export "get-random-u64" (func (param "seed" u64) (result u64)))))"#,
    r#"(component $inner (import "evil:host/backdoor@1.0.0" (func $open)) (export "open" (func $open)))
       (import "evil:host/backdoor@1.0.0" (func $open))
       (instance $nested (instantiate $inner (with "evil:host/backdoor@1.0.0" (func $open))))"#,
    r#"(import "locked-dep=<evil:host@1.0.0>" (component))"#,
];

/// P6: imports beyond what was declared.
async fn p6(run: Run) -> Spoils {
    let mut spoils = Vec::new();
    for import in IMPORTS {
        let what = import.lines().next().unwrap_or_default();
        let bytes = wat_component(&wat_frame(), &format!("{import}\n{CORE}"));
        if run.defended {
            spoils.extend(load(&bare(run), what, bytes).await);
        } else if links_to_anything(&bytes) {
            spoils.push(format!("{what} was linked"));
        }
    }
    spoils
}

/// Whether a host takes a component that promises to trap in what it does not know.
fn links_to_anything(bytes: &[u8]) -> bool {
    let engine = wasmtime::Engine::default();
    let Ok(component) = wasmtime::component::Component::from_binary(&engine, bytes) else {
        return false;
    };
    let mut linker = wasmtime::component::Linker::<()>::new(&engine);
    let defined = linker.define_unknown_imports_as_traps(&component);
    defined.is_ok() && linker.instantiate_pre(&component).is_ok()
}

attack! { p6:
    attack_p6_thread = THREAD,
    attack_p6_process = PROCESS,
    attack_p6_is_seen_without_its_defence = UNDEFENDED,
}

/// Proposals that are switched off, each as something in the core module or in the component.
const FEATURES: &[(&str, &str)] = &[
    ("memory64", "(memory i64 1)"),
    ("threads", "(memory 1 1 shared)"),
    ("garbage collection", "(type (struct (field i32)))"),
    ("exceptions", "(tag)"),
    (
        "relaxed SIMD",
        "(func (param v128) (result v128) (i32x4.relaxed_trunc_f32x4_s (local.get 0)))",
    ),
    ("stack switching", "(type $f (func)) (type (cont $f))"),
    (
        "wide arithmetic",
        "(func (param i64 i64) (result i64 i64) (i64.mul_wide_s (local.get 0) (local.get 1)))",
    ),
    ("custom page sizes", "(memory 1 1 (pagesize 1))"),
    (
        "function references",
        "(type $f (func)) (func (param (ref $f)) (call_ref $f (local.get 0)))",
    ),
];

/// P7: components that were changed at random, and components that use what is switched off.
async fn p7(run: Run) -> Spoils {
    let mut spoils = Vec::new();
    for (what, core) in FEATURES {
        let module = format!("(core module {core})\n{CORE}");
        let bytes = wat_component(&wat_frame(), &module);
        if run.defended {
            spoils.extend(load(&bare(run), what, bytes).await);
        } else {
            // An engine with everything on.
            let all = wasmparser::WasmFeatures::all();
            let valid = wasmparser::Validator::new_with_features(all).validate_all(&bytes);
            spoils.extend(valid.ok().map(|_| format!("{what} is valid")));
        }
    }
    if run.defended {
        spoils.extend(mutated(run).await);
    }
    spoils
}

/// Loads what is left of components after a few random changes, and calls it. Nearly all is refused; what is loaded may
/// trap, but not break the host.
async fn mutated(run: Run) -> Spoils {
    let host = bare(run);
    let small = wat_guest("counter");
    let large = fs::read(guest("echo")).unwrap();
    let mut dice = Dice(0x5eed);
    let mut spoils = Vec::new();
    let mut called = 0;
    for n in 0..200 {
        let name = format!("guest{n}");
        let bytes = mutate(if n % 20 == 0 { &large } else { &small }, &mut dice);
        let Ok(tools) = host.load_bytes(name, bytes).await.map_err(|error| {
            if error.kind() == ErrorKind::Internal {
                spoils.push(format!("mutation {n} broke the host: {error}"));
            }
        }) else {
            continue;
        };
        for tool in tools {
            called += 1;
            let result = host.call(ToolCall::new(tool, json!({}))).await.unwrap();
            if result
                .failure
                .as_ref()
                .is_some_and(|failure| failure.kind == ErrorKind::Internal)
            {
                spoils.push(format!("mutation {n} broke the host: {result:?}"));
            }
        }
    }
    assert!(called > 3, "of the mutations only {called} could be called");
    spoils
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides.max(1) as u64).unwrap()
    }
}

/// A copy with one to three changes: a bit, a byte, a number, a piece left out, twice, or moved.
fn mutate(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.roll(3) {
        // The first bytes only say that it is a component at all.
        let at = 8 + dice.roll(bytes.len() - 8);
        let end = (at + 1 + dice.roll(16)).min(bytes.len());
        match dice.roll(6) {
            0 => bytes[at] ^= 1 << dice.roll(8),
            1 => bytes[at] = u8::try_from(dice.roll(256)).unwrap(),
            2 => bytes
                .splice(at..end, [0xff, 0xff, 0xff, 0xff, 0x0f])
                .for_each(drop),
            3 => bytes.drain(at..end).for_each(drop),
            4 => bytes.extend_from_within(at..end),
            _ => bytes[at..end].reverse(),
        }
    }
    bytes
}

attack! { p7:
    attack_p7_thread = THREAD,
    attack_p7_process = PROCESS,
    attack_p7_is_seen_without_its_defence = UNDEFENDED,
}

/// A component of `n` of something, with a manifest or not.
fn many(what: &str, n: usize) -> Vec<u8> {
    let plain = || wat_component(&wat_frame(), CORE);
    let names = |one: &dyn Fn(usize) -> String| (0..n).map(one).collect::<String>();
    let manifest = |text: String| with_section(&plain(), MANIFEST_SECTION, text.as_bytes());
    let tool = |name: &str, about: &str, input: &str| {
        format!("[[tool]]\nname = \"{name}\"\ndescription = \"{about}\"\ninput = {{ {input} }}\n")
    };
    let head = "name = \"guest\"\nversion = \"1.0.0\"\n";
    match what {
        "imports" => {
            let imports = names(&|n| {
                format!(
                    "(import \"wasi:random/random@0.2.{n}\" (instance (export \"get-random-u64\" (func (result u64)))))\n"
                )
            });
            wat_component(&wat_frame(), &format!("{imports}{CORE}"))
        }
        "exports" => {
            let exports = names(&|n| format!("(export \"more{n}\" (instance $tool))\n"));
            let frame = wat_frame();
            let (head, _) = frame.rsplit_once(')').unwrap();
            wat_component(&format!("{head}{exports})"), CORE)
        }
        "letters of a name" => {
            let export = format!("(export \"{}\" (instance $tool))", "a".repeat(n));
            let frame = wat_frame();
            let (head, _) = frame.rsplit_once(')').unwrap();
            wat_component(&format!("{head}{export})"), CORE)
        }
        "levels" => {
            let nested = "(component ".repeat(n) + &")".repeat(n);
            wat_component(&wat_frame(), &format!("{nested}{CORE}"))
        }
        "nested types" => {
            let types = names(&|n| match n {
                0 => "(type $t0 u8)\n".to_owned(),
                n => format!("(type $t{n} (tuple $t{} $t{}))\n", n - 1, n - 1),
            });
            wat_component(&wat_frame(), &format!("{types}{CORE}"))
        }
        "tools" => manifest(
            head.to_owned() + &names(&|n| tool(&format!("t{n}"), "it", "type = \"object\"")),
        ),
        "letters of a description" => {
            manifest(head.to_owned() + &tool("t", &"x".repeat(n), "type = \"object\""))
        }
        "bytes of a schema" => {
            let input = format!("type = \"object\", description = \"{}\"", "x".repeat(n));
            manifest(head.to_owned() + &tool("t", "it", &input))
        }
        "levels of a schema" => {
            let input = format!(
                "type = \"object\", not = {}true{}",
                "{ not = ".repeat(n),
                " }".repeat(n)
            );
            manifest(head.to_owned() + &tool("t", "it", &input))
        }
        _ => {
            manifest(format!("{head}# {}\n", "x".repeat(n)) + &tool("t", "it", "type = \"object\""))
        }
    }
}

/// R9: components that are small and keep a compiler busy for long.
async fn r9(run: Run) -> Spoils {
    let (limit, shapes) = match run.defended {
        true => (Duration::from_millis(500), SHAPES),
        false => (Duration::from_secs(100), &SHAPES[..1]),
    };
    let stage = host(run)
        .workers(workers(run).compile_time(limit))
        .policy(parse(""))
        .build()
        .unwrap();
    let mut spoils = Vec::new();
    for shape in shapes {
        let bytes = bomb(shape, if run.defended { 50 } else { 10 });
        let begin = Instant::now();
        let loaded = stage.load_bytes(*shape, bytes).await;
        if begin.elapsed() > limit + Duration::from_secs(15) || (!run.defended && loaded.is_ok()) {
            spoils.push(format!(
                "{shape} kept the compiler busy for {:?}",
                begin.elapsed()
            ));
        }
    }
    spoils
}

attack! { r9:
    attack_r9_thread = THREAD,
    attack_r9_process = PROCESS,
    attack_r9_is_seen_without_its_defence = UNDEFENDED,
}

/// P11: names, levels, types, tools and texts without end.
async fn p11(run: Run) -> Spoils {
    let mut spoils = Vec::new();
    for (what, too_many, few) in [
        ("imports", 300, 20),
        ("exports", 10_000, 20),
        ("letters of a name", 2_000_000, 50),
        ("levels", 60, 20),
        ("nested types", 1000, 3),
        ("tools", 200, 100),
        ("letters of a description", 10_000, 1000),
        ("bytes of a schema", 200_000, 1000),
        ("levels of a schema", 1000, 3),
        ("bytes of a manifest", 1_000_000, 1000),
    ] {
        let n = if run.defended { too_many } else { few };
        let what = format!("a component with {n} {what}");
        let bytes = many(what.splitn(5, ' ').last().unwrap(), n);
        spoils.extend(load(&bare(run), &what, bytes).await);
    }
    if !run.defended {
        assert_eq!(spoils.len(), 10, "{spoils:?}");
    }
    spoils
}

attack! { p11:
    attack_p11_thread = THREAD,
    attack_p11_process = PROCESS,
    attack_p11_is_seen_without_its_defence = UNDEFENDED,
}
