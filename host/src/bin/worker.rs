//! The program `toolcell-worker`: runs tools for a host that starts it, and does nothing by itself.

fn main() -> std::process::ExitCode {
    toolcell::worker::run_if_worker();
    // Only a host can start a worker: it hands over what the worker may hold.
    std::process::ExitCode::from(2)
}
