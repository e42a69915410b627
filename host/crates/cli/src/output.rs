//! What goes out: data on standard output, everything else on standard error; for people, or as one JSON envelope.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use miette::{GraphicalReportHandler, GraphicalTheme};
use serde_json::{Value, json};
use toolcell::text::escape_control;
use toolcell_policy::Problem;

use crate::{
    failure::Failure,
    net,
    style::{self, paint},
};

/// Whether `--json` was given. It is global since the panic hook needs it too.
static JSON: AtomicBool = AtomicBool::new(false);
/// Whether standard output carries events, one JSON object a line.
static EVENTS: AtomicBool = AtomicBool::new(false);
/// Lines that wait until a question at the terminal is answered; nothing when none is being asked.
static HELD: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// The first error of standard output, apart from a reader that went away.
static UNWRITTEN: Mutex<Option<io::Error>> = Mutex::new(None);

/// Says once, at the start, how output is made.
pub(crate) fn init(json: bool, color: clap::ColorChoice) {
    JSON.store(json, Ordering::Relaxed);
    let choice = match color {
        clap::ColorChoice::Auto => anstream::ColorChoice::Auto,
        clap::ColorChoice::Always => anstream::ColorChoice::Always,
        clap::ColorChoice::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}

/// From now on standard output carries events, and a failure becomes one.
pub(crate) fn stream_events() {
    EVENTS.store(true, Ordering::Relaxed);
}

/// Whether `--json` was given.
pub(crate) fn json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// One line of data on standard output.
pub(crate) fn data(line: impl std::fmt::Display) {
    let line = line.to_string();
    written(writeln!(anstream::stdout(), "{}", net::text(&line)));
}

/// One value on a line of standard output.
pub(crate) fn value(value: Value) {
    written(writeln!(anstream::stdout(), "{}", net::json(value)));
}

/// Keeps the first error of standard output for the end. When nobody reads any more, as in `toolcell tools | head -1`,
/// that is no failure of ours, so it ends quietly.
fn written(result: io::Result<()>) {
    if let Err(error) = result
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        unwritten_slot().get_or_insert(error);
    }
}

fn unwritten_slot() -> MutexGuard<'static, Option<io::Error>> {
    UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why something could not be written to standard output, if so: a full disk must not look like success.
pub(crate) fn unwritten() -> Option<Failure> {
    let error = unwritten_slot().take()?;
    Some(Failure::io("write", Path::new("standard output"), &error))
}

/// A text from outside on standard output: its lines stay, and what could steer a terminal is escaped. Where it does
/// not go to a terminal, it is data and stays as it is.
pub(crate) fn text(text: &str) {
    if io::stdout().is_terminal() {
        piece(&safe_lines(text));
    } else {
        // Not through `anstream`, which would take colour codes out of the data.
        written(io::stdout().write_all(net::text(text).as_bytes()));
    }
    if !text.ends_with('\n') {
        piece("\n");
    }
}

/// A text with its line breaks and tabs, and everything else that could steer a terminal escaped.
pub(crate) fn safe_lines(text: &str) -> String {
    let safe_line = |line: &str| {
        line.split('\t')
            .map(escape_control)
            .collect::<Vec<_>>()
            .join("\t")
    };
    text.split('\n')
        .map(safe_line)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A text in a column that begins after `indent` characters: wrapped on a terminal, and one line where programs read it.
pub(crate) fn column(text: &str, indent: usize) -> String {
    if io::stdout().is_terminal() {
        style::wrapped(text, indent, indent).trim_start().to_owned()
    } else {
        text.to_owned()
    }
}

/// A piece of text on standard output, without a newline, at once.
pub(crate) fn piece(text: &str) {
    let mut out = anstream::stdout();
    let text = net::text(text);
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Keeps lines on standard error back while `ask` has the terminal, so that nothing slips between question and answer.
pub(crate) fn with_terminal<T>(ask: impl FnOnce() -> T) -> T {
    *held() = Some(Vec::new());
    let answer = ask();
    release_terminal();
    answer
}

/// Shows what was kept back; also when a question is given up before it was answered.
pub(crate) fn release_terminal() {
    let lines = held().take();
    lines.unwrap_or_default().iter().for_each(note);
}

fn held() -> MutexGuard<'static, Option<Vec<String>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One line on standard error.
pub(crate) fn note(line: impl std::fmt::Display) {
    if let Some(held) = held().as_mut() {
        held.push(line.to_string());
        return;
    }
    let line = line.to_string();
    let _ = writeln!(anstream::stderr(), "{}", net::text(&line));
}

/// Data in the shape that was asked for.
pub(crate) fn answer(value: Value, human: impl FnOnce(&Value) -> String) {
    if json() {
        self::value(json!({ "ok": true, "data": value }));
    } else {
        let text = human(&value);
        piece(&text);
        if !text.is_empty() && !text.ends_with('\n') {
            piece("\n");
        }
    }
}

/// A failure, in the shape that was asked for.
pub(crate) fn failure(failure: &Failure) {
    if EVENTS.load(Ordering::Relaxed) {
        value(json!({ "type": "error", "error": failure.to_json() }));
    }
    if json() {
        let mut envelope = json!({ "ok": false, "error": failure.to_json() });
        if let (Some(data), Some(envelope)) = (&failure.data, envelope.as_object_mut()) {
            envelope.insert("data".to_owned(), Value::clone(data));
        }
        value(envelope);
        return;
    }
    for_people(failure);
}

/// A failure in words, on standard error.
pub(crate) fn for_people(failure: &Failure) {
    if let [first, ..] = failure.problems.as_ref() {
        for problem in failure.problems.iter() {
            let shown = diagnostic(&Shown(problem));
            note(format_args!("{}\n", shown.trim_end_matches('\n')));
        }
        let count = style::count(failure.problems.len(), "problem");
        let code = paint(style::BAD, failure.kind.code());
        note(format!(
            "{code}: {count} in {}",
            escape_control(first.file())
        ));
        return;
    }
    let message: Vec<_> = failure.message.lines().map(escape_control).collect();
    note(format!(
        "{}: {}",
        paint(style::BAD, failure.kind.code()),
        message.join("\n  ")
    ));
    for detail in failure.details.iter() {
        note(format!("  {}", escape_control(detail)));
    }
    if let Some(rule) = &failure.rule {
        note(format!(
            "  {} {}",
            paint(style::BOLD, "rule:"),
            escape_control(rule)
        ));
    }
    if let Some(help) = &failure.help {
        note(format!(
            "  {} {}",
            paint(style::BOLD, "help:"),
            escape_control(help)
        ));
    }
}

/// A diagnostic with the lines of the file that it points to. A file from outside may hold what steers a terminal: then
/// it is shown escaped, and without colour, since colour is made of the same characters.
pub(crate) fn diagnostic(problem: &dyn miette::Diagnostic) -> String {
    let plain = rendered(problem, GraphicalTheme::unicode_nocolor());
    let safe = safe_lines(&plain);
    let choice = anstream::AutoStream::choice(&io::stderr());
    if safe != plain || matches!(choice, anstream::ColorChoice::Never) {
        return safe;
    }
    rendered(problem, GraphicalTheme::unicode())
}

fn rendered(problem: &dyn miette::Diagnostic, theme: GraphicalTheme) -> String {
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_width(100);
    match handler.render_report(&mut text, problem) {
        Ok(()) => text,
        // Rendering only fails when a span lies outside its text; the message is still worth showing.
        Err(_) => format!("{problem}\n"),
    }
}

/// A problem without its code, which is said once and not over every problem.
#[derive(Debug)]
struct Shown<'a>(&'a Problem);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn help<'b>(&'b self) -> Option<Box<dyn std::fmt::Display + 'b>> {
        miette::Diagnostic::help(self.0)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.0.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        self.0.labels()
    }
}

/// Shows one line instead of a panic's own message, and ends.
pub(crate) fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or(String::new(), |at| {
            format!(" ({}:{})", at.file(), at.line())
        });
        let what = info.payload_as_str().unwrap_or("no message");
        let report = Failure::new(
            toolcell::ErrorKind::Internal,
            format!("toolcell ran into a mistake of its own: {what}{place}"),
        )
        .help(concat!(
            "please report it at ",
            env!("CARGO_PKG_REPOSITORY"),
            "/issues"
        ));
        failure(&report);
        std::process::exit(i32::from(crate::exit::INTERNAL));
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_file_steers_the_terminal() {
        let text = "a = 1 # \u{1b}[2K\u{202e}\n[tol.x]\n";
        let problems = toolcell_policy::Policy::parse("x\u{7}.toml", text).unwrap_err();
        for problem in &problems {
            let shown = diagnostic(&Shown(problem));
            assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{7}']), "{shown}");
        }
    }

    /// The words of a panic, as a process of its own: it ends that. Without `PANICS_WITH` it is nothing.
    #[test]
    fn a_process_that_panics() {
        if let Ok(value) = std::env::var("PANICS_WITH") {
            if std::env::var("KNOWN").is_ok() {
                let secret = toolcell::Secret::new(value.as_str()).unwrap();
                net::redaction().register("TOKEN", secret);
            }
            install_panic_hook();
            panic!("it came upon {value}");
        }
    }

    #[test]
    fn a_panic_shows_no_secret() {
        let value = format!("tk{:032x}Z", rand::random::<u128>());
        let shown = |known: bool| {
            let mut command = std::process::Command::new(std::env::current_exe().unwrap());
            command
                .args([
                    "output::tests::a_process_that_panics",
                    "--exact",
                    "--nocapture",
                ])
                .env("PANICS_WITH", &value);
            if known {
                command.env("KNOWN", "1");
            }
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(i32::from(crate::exit::INTERNAL)));
            String::from_utf8(output.stderr).unwrap()
        };
        let clean = shown(true);
        assert!(clean.contains("it came upon [secret TOKEN]"), "{clean}");
        assert!(!clean.contains(&value));
        assert!(shown(false).contains(&value));
    }

    #[test]
    fn lines_and_tabs_stay_and_the_rest_is_escaped() {
        assert_eq!(safe_lines("a\tb\nc\u{1b}[1m\r\n"), "a\tb\nc\\u{1b}[1m\\r\n");
    }
}
