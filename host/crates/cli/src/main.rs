//! The command line of toolcell: the only crate that prints, prompts, reads the environment or exits.

mod app;
mod archive;
mod args;
mod budgets;
mod caches;
mod context;
mod describe;
mod dirs;
mod env;
mod exit;
mod explain;
mod failure;
mod files;
mod hosts;
mod interrupt;
mod locks;
mod log;
mod models;
mod net;
mod output;
mod person;
mod policies;
mod private;
mod process;
mod prompt;
#[cfg(test)]
mod reference;
mod remembered;
mod retention;
mod stores;
mod style;
mod telemetry;
mod timeline;
mod trusted;
mod turns;
mod verbs;

fn main() -> std::process::ExitCode {
    // First of all: a worker keeps nothing that was opened before, and confines itself before a thread is started.
    toolcell::worker::run_if_worker();
    // Before anything secret is read.
    process::close();
    app::main()
}
