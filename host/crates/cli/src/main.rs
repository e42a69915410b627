//! The command line of toolcell: the only crate that prints, prompts, reads the environment or exits.

mod app;
mod args;
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
mod models;
mod output;
mod policies;
mod prompt;
#[cfg(test)]
mod reference;
mod style;
mod timeline;
mod trusted;
mod verbs;

fn main() -> std::process::ExitCode {
    app::main()
}
