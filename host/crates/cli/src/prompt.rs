//! Questions to the person at the terminal. They cannot be spoofed or answered by accident: nothing is asked where
//! there is no terminal, what was typed before the question is thrown away, text from outside is shown escaped, and
//! everything but a clear yes is a no.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use toolcell::{ApprovalRequest, RememberedFor, text::escape_control};
use toolcell_policy::format_age;

use crate::style::{self, paint};

/// The longest text from outside that a question shows, in characters. Its end would scroll the question away.
const MAX_SHOWN: usize = 300;
/// The longest text that can be remembered, as it is shown.
const MAX_REMEMBERED: usize = 1_000;

/// Whether there is a person to ask: both what is asked and what is answered go through a terminal.
pub(crate) fn possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// What a person said to an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// This one access.
    Once,
    /// This access of this tool until the command ends.
    ForThisRun,
    /// This access of this tool from now on.
    Always,
    /// Not this time.
    Deny,
    /// Not from now on.
    Never,
    /// Somebody will say it later.
    Later,
    /// Nobody answered in time.
    None,
}

/// What a question offers besides yes and no.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Offers {
    /// To have the answer remembered.
    pub(crate) remember: bool,
    /// To answer later.
    pub(crate) later: bool,
}

/// The words of a question about one access of a tool.
pub(crate) fn question(request: &ApprovalRequest, offers: Offers) -> String {
    let shown = |text: &str| style::one_line(text, MAX_SHOWN);
    let mut text = format!(
        "{} {} wants: {}\n",
        paint(style::NOTE, "?"),
        paint(style::BOLD, shown(&request.tool)),
        shown(&request.access)
    );
    if !request.input_preview.is_empty() {
        text.push_str(&format!("  input: {}\n", shown(&request.input_preview)));
    }
    text.push_str(&format!("  rule:  {}\n", shown(&request.rule)));
    text.push_str("  Allow? [y] once  [r] for this run");
    if offers.remember {
        text.push_str("  [a] always");
    }
    text.push_str("  [N] no");
    if offers.remember {
        text.push_str("  [d] never");
    }
    if offers.later {
        text.push_str("  [l] later");
    }
    text.push_str(": ");
    text
}

/// Asks about one access. Without a terminal the answer is no.
pub(crate) fn approve(question: &str, offers: Offers, wait: Duration) -> Answer {
    let line = match ask(question, Some(wait)) {
        Reply::Line(line) => line,
        Reply::TimedOut => return Answer::None,
        Reply::Impossible => return Answer::Deny,
    };
    match line.as_str() {
        "y" | "yes" => Answer::Once,
        "r" | "run" => Answer::ForThisRun,
        "a" | "always" if offers.remember => Answer::Always,
        "d" | "never" if offers.remember => Answer::Never,
        "l" | "later" if offers.later => Answer::Later,
        _ => Answer::Deny,
    }
}

/// What an answer is remembered for, line by line, as it is shown: nothing is left out, and a letter that only looks like
/// another one is shown by its number.
fn remembered_lines(what: &RememberedFor) -> [(&'static str, String); 5] {
    let access = match what.access.as_str() {
        "call" => "every call, whatever its input".to_owned(),
        access => format!("{}, whatever its query and content", plain(access)),
    };
    [
        ("tool", plain(&what.tool)),
        (
            "package",
            format!("{}, sha256:{}", plain(&what.package), plain(&what.digest)),
        ),
        ("access", access),
        ("rule", plain(&what.rule)),
        ("its line", plain(&what.rule_text)),
    ]
}

/// A text of visible ASCII. Everything else is shown by its number.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c == ' ' || c.is_ascii_graphic() {
            plain.push(c);
        } else {
            plain.extend(c.escape_unicode());
        }
    }
    plain
}

/// Whether a person can be shown all that an answer would be remembered for.
pub(crate) fn shows_whole(what: &RememberedFor) -> bool {
    let lines = remembered_lines(what);
    lines
        .iter()
        .all(|(_, text)| text.chars().count() <= MAX_REMEMBERED)
}

/// The words of the question whether an answer is to be remembered.
fn remember_question(what: &RememberedFor, allow: bool, time: Duration) -> String {
    let word = if allow { "allow" } else { "deny" };
    let mut text = format!("  To be remembered for {}:\n", format_age(time));
    text.push_str(&format!("    answer:   {}\n", paint(style::BOLD, word)));
    for (name, shown) in remembered_lines(what) {
        text.push_str(&format!("    {:<9} {shown}\n", format!("{name}:")));
    }
    text.push_str(
        "  It holds as long as the package and all that the policy says about it stay the same.\n  Remember this? [y/N]: ",
    );
    text
}

/// Shows what would be remembered, and asks whether it is to be.
pub(crate) fn remember(what: &RememberedFor, allow: bool, time: Duration, wait: Duration) -> bool {
    let question = remember_question(what, allow, time);
    matches!(ask(&question, Some(wait)), Reply::Line(line) if is_yes(&line))
}

/// Asks a question that is answered by yes or no. Without a terminal the answer is no.
pub(crate) fn confirm(question: &str) -> bool {
    let question = format!("{} [y/N]: ", escape_control(question));
    matches!(ask(&question, None), Reply::Line(line) if is_yes(&line))
}

fn is_yes(line: &str) -> bool {
    matches!(line, "y" | "yes")
}

/// What came of a question.
enum Reply {
    /// A line, in lower case and without blanks around it.
    Line(String),
    /// Nobody wrote one in time.
    TimedOut,
    /// There is no terminal, or it cannot be read.
    Impossible,
}

/// Shows a question and reads one line, which has to come within `wait`.
fn ask(question: &str, wait: Option<Duration>) -> Reply {
    if !possible() {
        return Reply::Impossible;
    }
    // What was typed or pasted before the question was seen is no answer to it.
    let flushed = rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush);
    let mut err = anstream::stderr();
    let shown = write!(err, "{question}").and_then(|()| err.flush());
    if flushed.is_err() || shown.is_err() {
        return Reply::Impossible;
    }
    if let Some(wait) = wait
        && !comes_within(wait)
    {
        let _ = writeln!(err, "\n  nobody answered within {}", format_age(wait));
        return Reply::TimedOut;
    }
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line) {
        Ok(_) => Reply::Line(line.trim().to_lowercase()),
        Err(_) => Reply::Impossible,
    }
}

/// Waits until a whole line can be read.
fn comes_within(wait: Duration) -> bool {
    let until = Instant::now() + wait;
    let stdin = io::stdin();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(left) = Timespec::try_from(left) else {
            return true;
        };
        match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&left)) {
            Ok(0) => return false,
            Err(rustix::io::Errno::INTR) => {}
            // Where something is wrong, reading says what.
            Ok(_) | Err(_) => return true,
        }
    }
}

#[cfg(test)]
mod tests;
