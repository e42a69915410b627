//! Ctrl-C: the first asks to end cleanly, the second ends at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{exit, output};

/// A token that the first interrupt cancels. Call it once, inside the runtime.
pub(crate) fn token() -> CancellationToken {
    let token = CancellationToken::new();
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        // Without handlers a signal ends the process at once, and the transcript is still whole.
        return token;
    };
    let cancel = token.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if cancel.is_cancelled() {
                std::process::exit(i32::from(exit::INTERRUPTED));
            }
            // A question that is open is given up.
            output::release_terminal();
            output::note("stopping; press Ctrl-C again to end at once");
            cancel.cancel();
        }
    });
    token
}
