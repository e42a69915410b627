//! The second wall: what a worker's code could do if it broke out of the engine. Every attack runs twice, in a process
//! of its own: confined, where it must fail, and free, where it must work, so that a test cannot pass because the attack
//! was no attack.
//!
//! The process is this program, started again with the attack's name. Confinement cannot be undone and must be set while
//! there is one thread, which libtest does not have, so this test has its own `main`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that fails may panic"
)]

#[cfg(target_os = "linux")]
#[path = "confinement/attacks.rs"]
mod attacks;
#[cfg(target_os = "linux")]
#[path = "confinement/cases.rs"]
mod cases;
#[cfg(target_os = "linux")]
#[path = "confinement/harness.rs"]
mod harness;
#[cfg(target_os = "linux")]
#[path = "confinement/stage.rs"]
mod stage;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(stage::CHILD) => attacks::child(&arguments[1..]),
        _ => harness::run(&arguments, cases::ALL),
    }
}

/// Elsewhere nothing is confined, and the report says so.
#[cfg(not(target_os = "linux"))]
fn main() {
    let level = toolcell::Kernel::probe().level();
    assert_eq!(level, toolcell::ConfinementLevel::None);
}
