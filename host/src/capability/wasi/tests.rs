use wasmtime::Engine;
use wasmtime_wasi::{
    WasiCtxView,
    cli::WasiCliView,
    p2::{
        StreamError,
        bindings::{
            cli::{environment::Host as _, stderr::Host as _, stdin::Host as _, stdout::Host as _},
            clocks::{
                monotonic_clock::{self, Host as _},
                wall_clock,
            },
            random::{insecure::Host as _, insecure_seed::Host as _, random::Host as _},
            sockets::{
                instance_network, ip_name_lookup,
                network::{ErrorCode, IpAddressFamily},
                tcp_create_socket, udp_create_socket,
            },
        },
        pipe::MemoryOutputPipe,
    },
};

use super::*;

/// What one request for random bytes may ask for by default.
const RANDOM: u64 = 1 << 20;
use crate::capability::fixtures::granted;

const FROZEN: &str = r#"clock = "frozen:2026-01-01T00:00:00Z""#;

/// A call that holds nothing but its WASI context.
struct State {
    wasi: wasmtime_wasi::WasiCtx,
    table: ResourceTable,
    out: MemoryOutputPipe,
}

impl State {
    fn new(tool: &str, request: &str) -> Self {
        let out = MemoryOutputPipe::new(100);
        Self {
            wasi: context(
                &Holdings::from(&granted(tool, request)),
                out.clone(),
                out.clone(),
            )
            .build(),
            table: ResourceTable::new(),
            out,
        }
    }

    fn wall(&mut self) -> u64 {
        wall_clock::Host::now(&mut self.clocks()).unwrap().seconds
    }

    fn monotonic(&mut self) -> u64 {
        monotonic_clock::Host::now(&mut self.clocks()).unwrap()
    }

    fn random(&mut self, bytes: u64) -> Vec<u8> {
        self.wasi.random().get_random_bytes(bytes).unwrap()
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

#[test]
fn every_interface_links_once() {
    let mut linker = Linker::<State>::new(&Engine::default());
    add_to_linker(&mut linker).unwrap();
    assert!(add_to_linker(&mut linker).is_err(), "nothing is shadowed");
}

#[test]
fn only_granted_variables_are_seen() {
    let mut state = State::new("", "");
    assert!(state.cli().get_environment().unwrap().is_empty());
    assert!(state.cli().get_arguments().unwrap().is_empty());
    assert_eq!(state.cli().initial_cwd().unwrap(), None);
    let tool = r#"env = { LANG = "C.UTF-8", OTHER = "x" }"#;
    let mut state = State::new(tool, r#"env = ["LANG"]"#);
    assert_eq!(
        state.cli().get_environment().unwrap(),
        [("LANG".to_owned(), "C.UTF-8".to_owned())]
    );
}

#[test]
fn standard_streams_are_those_given() {
    let mut state = State::new("", "");
    let stdout = state.cli().get_stdout().unwrap();
    let stderr = state.cli().get_stderr().unwrap();
    for stream in [stdout, stderr] {
        let stream = state.table.get_mut(&stream).unwrap();
        stream.write("x".into()).unwrap();
    }
    assert_eq!(state.out.contents(), "xx");
    let stdin = state.cli().get_stdin().unwrap();
    let read = state.table.get_mut(&stdin).unwrap().read(1);
    assert!(matches!(read, Err(StreamError::Closed) | Ok(_)), "{read:?}");
}

#[test]
fn the_real_clock_runs() {
    let mut state = State::new("", "");
    assert!(state.wall() > 1_700_000_000);
    assert!(state.monotonic() <= state.monotonic());
}

#[test]
fn a_frozen_clock_is_repeatable() {
    for _ in 0..2 {
        let mut state = State::new(FROZEN, "");
        assert_eq!(state.wall(), 1_767_225_600);
        assert_eq!(state.wall(), 1_767_225_600);
        assert_eq!((state.monotonic(), state.monotonic()), (0, 1_000_000));
    }
}

#[tokio::test]
async fn waiting_on_a_frozen_clock_comes_to_an_end() {
    let mut state = State::new(FROZEN, "");
    let until = state.monotonic() + 5_000_000;
    assert!((0..5).any(|_| state.monotonic() >= until));
    let pollable = state
        .clocks()
        .subscribe_instant(until + 20_000_000)
        .unwrap();
    let ready = io::poll::Host::poll(&mut state.table, vec![pollable]);
    assert_eq!(ready.await.unwrap(), [0]);
}

#[test]
fn seeded_random_is_the_same_for_ever() {
    let seven = r#"random = "seeded:7""#;
    let mut first = State::new(seven, "");
    let mut again = State::new(seven, "");
    let mut other = State::new(r#"random = "seeded:8""#, "");
    let bytes = first.random(32);
    assert_eq!(bytes, again.random(32));
    assert_ne!(bytes, other.random(32));
    assert_ne!(bytes, first.random(32), "it goes on");

    let insecure = first.wasi.random().get_insecure_random_bytes(32).unwrap();
    assert_eq!(
        insecure,
        again.wasi.random().get_insecure_random_bytes(32).unwrap()
    );
    assert_ne!(insecure, bytes);
    let seed = first.wasi.random().insecure_seed().unwrap();
    assert_eq!(seed, again.wasi.random().insecure_seed().unwrap());

    // The key stream of RFC 8439 for a key of zeros, so that no release of any crate can change recorded runs. A guest
    // gets every fourth byte of it: wasmtime-wasi draws 32 bits for each byte.
    let mut key_stream = [0; 8];
    stream(0, 0).fill_bytes(&mut key_stream);
    assert_eq!(key_stream, [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90]);
    let zero = State::new(r#"random = "seeded:0""#, "").random(4);
    assert_eq!(zero, [0x76, 0xa0, 0x40, 0x53]);
}

#[test]
fn real_random_differs_and_is_bounded() {
    let (mut a, mut b) = (State::new("", ""), State::new("", ""));
    assert_ne!(a.random(32), b.random(32));
    assert_eq!(a.random(RANDOM).len() as u64, RANDOM);
    assert!(a.wasi.random().get_random_bytes(RANDOM + 1).is_err());
    assert!(a.wasi.random().get_insecure_random_bytes(u64::MAX).is_err());
}

#[tokio::test]
async fn sockets_and_name_resolution_are_denied() {
    let mut state = State::new("", "");
    let mut sockets = state.sockets();
    let code = |error: wasmtime_wasi::p2::SocketError| error.downcast().unwrap();
    for family in [IpAddressFamily::Ipv4, IpAddressFamily::Ipv6] {
        let tcp = tcp_create_socket::Host::create_tcp_socket(&mut sockets, family);
        assert_eq!(code(tcp.err().unwrap()), ErrorCode::AccessDenied);
        let udp = udp_create_socket::Host::create_udp_socket(&mut sockets, family).await;
        assert_eq!(code(udp.err().unwrap()), ErrorCode::AccessDenied);
    }
    for name in ["localhost", "127.0.0.1", "secret.example.com"] {
        let network = instance_network::Host::instance_network(&mut sockets).unwrap();
        let found = ip_name_lookup::Host::resolve_addresses(&mut sockets, network, name.into());
        assert_eq!(
            code(found.err().unwrap()),
            ErrorCode::PermanentResolverFailure
        );
    }
}
