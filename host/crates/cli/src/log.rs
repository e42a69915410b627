//! What toolcell and the libraries under it say of their own work, on standard error, for whoever asks for it.

use std::{
    fmt::Result,
    io::{self, IsTerminal as _, Write},
};

use toolcell::RedactingWriter;
use tracing::field::{Field, Visit};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    field::RecordFields,
    fmt::{
        self, MakeWriter,
        format::{FormatFields, Writer},
    },
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{env, failure::Failure, net, output, telemetry};

/// What is said where nobody asks for more.
const QUIET: &str = "toolcell=error,toolcell::likely_secrets=warn";

/// Says from now on what `-v` or `TOOLCELL_LOG` asks for; the flag wins.
pub(crate) fn init(verbose: u8) -> std::result::Result<(), Failure> {
    let asked = env::text(env::LOG);
    let filter = match (verbose, asked.as_deref()) {
        (0, None) => QUIET,
        (0, Some(filter)) => filter,
        (1, _) => "toolcell=debug,warn",
        _ => "trace",
    };
    let filter = EnvFilter::builder().parse(filter).map_err(|error| {
        Failure::usage(format!("TOOLCELL_LOG is no filter: {error}")).help(
            "write a level, such as `debug`, or levels by module, such as `toolcell=trace,h2=info`",
        )
    })?;
    let lines = fmt::layer()
        .fmt_fields(Fields)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(Lines)
        .with_filter(filter);
    tracing_subscriber::registry()
        .with(lines)
        .with(telemetry::layer())
        .try_init()
        .map_err(|error| {
            Failure::new(
                toolcell::ErrorKind::Internal,
                format!("nothing can be logged: {error}"),
            )
        })
}

/// Writes the fields of events and spans. What is meant for a collector alone is left out: how a span is called there, and
/// what people, models and tools said.
struct Fields;

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> Result {
        let mut line = Fielded {
            writer,
            first: true,
            written: Ok(()),
        };
        fields.record(&mut line);
        line.written
    }
}

struct Fielded<'writer> {
    writer: Writer<'writer>,
    first: bool,
    written: Result,
}

impl Visit for Fielded<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let name = field.name();
        if self.written.is_err() || name.starts_with("otel.") || telemetry::CONTENT.contains(&name)
        {
            return;
        }
        let before = if self.first { "" } else { " " };
        self.first = false;
        self.written = match name {
            "message" => write!(self.writer, "{before}{value:?}"),
            name => write!(self.writer, "{before}{name}={value:?}"),
        };
    }
}

/// Makes the writer of one event. It searches the event as a whole, so that no secret comes through in two pieces.
struct Lines;

impl<'a> MakeWriter<'a> for Lines {
    type Writer = RedactingWriter<Line>;

    fn make_writer(&'a self) -> Self::Writer {
        net::redaction().writer(Line)
    }
}

/// One event on standard error, which waits like every other line while a person is asked.
struct Line;

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        output::note(text.strip_suffix('\n').unwrap_or(&text));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
