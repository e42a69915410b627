//! WASI 0.2 without files and HTTP: environment, standard streams, clocks and random as granted, and sockets, which
//! are linked because some languages import them unasked, and denied.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use chacha20::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use toolcell_policy::{Clock, Random};
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::{
    HostMonotonicClock, HostWallClock, WasiCtxBuilder, WasiView,
    cli::{StdoutStream, WasiCli, WasiCliView as _},
    clocks::{WasiClocks, WasiClocksView as _},
    p2::bindings::{cli, clocks, random, sockets},
    random::WasiRandom,
    sockets::{WasiSockets, WasiSocketsView as _},
};
use wasmtime_wasi_io::bindings::wasi::io;

use super::holdings::Holdings;

/// How far a frozen clock's monotonic half moves at every reading.
pub(crate) const FROZEN_STEP: Duration = Duration::from_millis(1);

/// The WASI context of one call in the making: the granted variables, clock and random source, and the two streams that the guest
/// may write to. There are no arguments, standard input is at its end, and every use of a socket or of name resolution
/// is denied.
pub(crate) fn context(
    holdings: &Holdings,
    stdout: impl StdoutStream + 'static,
    stderr: impl StdoutStream + 'static,
) -> WasiCtxBuilder {
    let mut builder = WasiCtxBuilder::new();
    builder
        .stdout(stdout)
        .stderr(stderr)
        .max_random_size(holdings.limits.random)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .socket_addr_check(|_, _| Box::pin(async { false }));
    for (name, value) in &holdings.env {
        builder.env(name, value);
    }
    if let Clock::Frozen(nanos) = holdings.clock {
        builder
            .wall_clock(FrozenWall(Duration::from_nanos(nanos)))
            .monotonic_clock(FrozenMonotonic::default());
    }
    if let Random::Seeded(seed) = holdings.random {
        let mut third = stream(seed, 2);
        let insecure_seed = u128::from(third.next_u64()) << 64 | u128::from(third.next_u64());
        builder
            .secure_random(stream(seed, 0))
            .insecure_random(stream(seed, 1))
            .insecure_random_seed(insecure_seed);
    }
    builder
}

/// ChaCha20 as in RFC 8439, whose output for a seed will never change: the key is the seed as 8 bytes, the lowest
/// first, then the number of the stream as one byte, then zeros.
fn stream(seed: u64, number: u8) -> ChaCha20Rng {
    let mut key = [0; 32];
    let start = seed.to_le_bytes().into_iter().chain([number]);
    for (byte, value) in key.iter_mut().zip(start) {
        *byte = value;
    }
    ChaCha20Rng::from_seed(key)
}

/// A wall clock that stands still.
struct FrozenWall(Duration);

impl HostWallClock for FrozenWall {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

/// The other half of a frozen clock: it starts at 0 and moves by [`FROZEN_STEP`] at every reading. It is as
/// repeatable as one that stands still, and a guest that reads it until some time has passed comes to an end.
/// Waiting is not affected: a sleep takes as long as it says.
#[derive(Default)]
struct FrozenMonotonic(AtomicU64);

impl HostMonotonicClock for FrozenMonotonic {
    fn resolution(&self) -> u64 {
        step_nanos()
    }

    fn now(&self) -> u64 {
        self.0.fetch_add(step_nanos(), Relaxed)
    }
}

fn step_nanos() -> u64 {
    u64::try_from(FROZEN_STEP.as_nanos()).unwrap_or(u64::MAX)
}

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

/// Links every interface of `wasi:cli/imports` but `wasi:filesystem`.
pub(crate) fn add_to_linker<T: WasiView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let l = linker;
    io::error::add_to_linker::<T, HasTable>(l, |t| t.ctx().table)?;
    io::poll::add_to_linker::<T, HasTable>(l, |t| t.ctx().table)?;
    io::streams::add_to_linker::<T, HasTable>(l, |t| t.ctx().table)?;

    clocks::wall_clock::add_to_linker::<T, WasiClocks>(l, T::clocks)?;
    clocks::monotonic_clock::add_to_linker::<T, WasiClocks>(l, T::clocks)?;

    random::random::add_to_linker::<T, WasiRandom>(l, |t| t.ctx().ctx.random())?;
    random::insecure::add_to_linker::<T, WasiRandom>(l, |t| t.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<T, WasiRandom>(l, |t| t.ctx().ctx.random())?;

    cli::environment::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::exit::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::stdin::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::stdout::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::stderr::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_input::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_output::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stdin::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stdout::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stderr::add_to_linker::<T, WasiCli>(l, T::cli)?;

    sockets::network::add_to_linker::<T, WasiSockets>(l, &Default::default(), T::sockets)?;
    sockets::instance_network::add_to_linker::<T, WasiSockets>(l, T::sockets)?;
    sockets::ip_name_lookup::add_to_linker::<T, WasiSockets>(l, T::sockets)?;
    sockets::tcp::add_to_linker::<T, WasiSockets>(l, T::sockets)?;
    sockets::tcp_create_socket::add_to_linker::<T, WasiSockets>(l, T::sockets)?;
    sockets::udp::add_to_linker::<T, WasiSockets>(l, T::sockets)?;
    sockets::udp_create_socket::add_to_linker::<T, WasiSockets>(l, T::sockets)
}

#[cfg(test)]
mod tests;
