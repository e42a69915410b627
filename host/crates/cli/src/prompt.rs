//! Questions to the person at the terminal. They cannot be spoofed or answered by accident: nothing is asked where
//! there is no terminal, what was typed before the question is thrown away, text from outside is shown escaped, and
//! everything but a clear yes is a no.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use toolcell::text::escape_control;

use crate::style::{self, paint};

/// The longest text from outside that a question shows, in characters. Its end would scroll the question away.
const MAX_SHOWN: usize = 300;

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
    /// Not at all.
    Deny,
}

/// The words of a question about one access of a tool.
pub(crate) fn question(tool: &str, access: &str, rule: &str, input: &str) -> String {
    let shown = |text: &str| style::one_line(text, MAX_SHOWN);
    let mut text = format!(
        "{} {} wants: {}\n",
        paint(style::NOTE, "?"),
        paint(style::BOLD, shown(tool)),
        shown(access)
    );
    if !input.is_empty() {
        text.push_str(&format!("  input: {}\n", shown(input)));
    }
    text.push_str(&format!("  rule:  {}\n", shown(rule)));
    text.push_str("  Allow? [y] once  [r] for this run  [N] no: ");
    text
}

/// Asks about one access. Without a terminal the answer is no.
pub(crate) fn approve(question: &str) -> Answer {
    match ask(question).as_deref() {
        Some("y" | "yes") => Answer::Once,
        Some("r" | "run") => Answer::ForThisRun,
        _ => Answer::Deny,
    }
}

/// Asks a question that is answered by yes or no. Without a terminal the answer is no.
pub(crate) fn confirm(question: &str) -> bool {
    matches!(
        ask(&format!("{} [y/N]: ", escape_control(question))).as_deref(),
        Some("y" | "yes")
    )
}

/// Shows a question and reads one line, in lower case and without blanks around it.
fn ask(question: &str) -> Option<String> {
    if !possible() {
        return None;
    }
    // What was typed or pasted before the question was seen is no answer to it.
    rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush).ok()?;
    let mut err = anstream::stderr();
    write!(err, "{question}").and_then(|()| err.flush()).ok()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).ok()?;
    Some(line.trim().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_escaped_and_cut() {
        let access = format!("read /work/\u{1b}[2K\u{202e}txt\n{}", "x".repeat(9000));
        let text = question("files\u{7}", &access, "rule", "{}");
        assert!(
            !text.contains("\u{1b}[2K") && !text.contains('\u{202e}') && !text.contains('\u{7}')
        );
        assert!(text.contains("\\u{1b}[2K\\u{202e}txt\\n"), "{text}");
        assert!(text.chars().count() < 1000);
        assert_eq!(text.lines().count(), 4);
    }

    #[test]
    fn without_a_terminal_the_answer_is_no() {
        // Under a test runner standard input is no terminal.
        if !possible() {
            assert_eq!(approve("?"), Answer::Deny);
            assert!(!confirm("?"));
        }
    }
}
