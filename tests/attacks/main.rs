//! Every attack of the threat model's groups files (F), resources (R), loading (P) and network (N), each as an oracle that tells
//! what the attacker got. A test that is named by the attack's id runs it against a real host and wants nothing; the
//! twin `…_is_seen_without_its_defence` runs the same oracle without the defence and wants something, so that an oracle
//! that sees nothing cannot pass.
//!
//! `rows.rs` names every attack; the table in SECURITY.md is made of it and of the names of the tests.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that fails may panic, and one that measures tells its figures"
)]

mod addresses;
mod binding;
mod bomb;
#[path = "../common/mod.rs"]
mod common;
mod disk;
mod echo;
mod files;
mod floods;
mod forms;
mod frames;
mod hops;
#[cfg(target_os = "linux")]
mod killed;
mod limits;
mod links;
mod loading;
mod obeyed;
mod paths;
mod redirects;
mod searcher;
mod sockets;
mod spy;
mod stage;
mod telling;
mod time;
mod tls;
mod upstream;
mod urls;
mod vault;
mod wire;
