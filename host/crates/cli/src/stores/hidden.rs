//! Asks for what must not be seen: without an echo, on a terminal only, and the terminal is left as it was found.

use std::io;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use super::{Bytes, Trouble, What, blocking};
use crate::{failure, output, prompt};

/// Puts a terminal back as it was, whatever happens in between.
struct Terminal(Option<Termios>);

impl Terminal {
    fn now() -> Self {
        Self(tcgetattr(io::stdin()).ok())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // There is nobody left to tell.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// What a person typed, without an echo. Without a terminal there is nobody to ask.
///
/// # Errors
///
/// Where there is no terminal, or where it was interrupted.
pub(crate) async fn hidden(question: String) -> Result<Bytes, Trouble> {
    if !prompt::possible() {
        return Err(Trouble::new(
            What::Locked,
            "there is no terminal to ask on",
            "run it where a person can answer",
        ));
    }
    // From now on Ctrl-C does not end the process at once, which would leave the terminal as it is while asking. Who waits
    // for this is told by whoever listens for it, and stops waiting.
    let _handled = signal(SignalKind::interrupt());
    let _terminal = Terminal::now();
    let typed = blocking(move || output::with_terminal(|| ask(&question))).await?;
    typed.map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof => {
            Trouble::new(What::Interrupted, "nothing was entered", "try again")
        }
        _ => Trouble::new(
            What::Unavailable,
            format!("the terminal cannot be read: {}", failure::reason(&error)),
            "see that this is the process that the terminal belongs to",
        ),
    })
}

/// The same twice: what cannot be seen is easily mistyped.
///
/// # Errors
///
/// As [`hidden`], and where the two differ.
pub(crate) async fn hidden_twice(question: String) -> Result<Bytes, Trouble> {
    let first = hidden(format!("{question}: ")).await?;
    let second = hidden(format!("{question}, once more: ")).await?;
    if *first == *second {
        return Ok(first);
    }
    Err(Trouble::new(
        What::Refused,
        "the two entries differ, so nothing was kept",
        "try again",
    ))
}

fn ask(question: &str) -> io::Result<Bytes> {
    // What was typed or pasted before the question was seen is no answer to it.
    rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush)?;
    let typed = rpassword::prompt_password(question)?;
    Ok(Zeroizing::new(typed.into_bytes()))
}
