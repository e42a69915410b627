//! The flags of who is told what happens.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// Who is told what runs and tools do.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TelemetryOptions {
    /// Send spans and metrics to this collector (OTLP over HTTP), for example `http://127.0.0.1:4318`
    #[arg(long, value_name = "URL", help_heading = "Telemetry")]
    pub(crate) otlp: Option<String>,
    /// Answer scrapes of Prometheus at `/metrics` meanwhile, for example at `127.0.0.1:9464`
    #[arg(long, value_name = "ADDRESS", help_heading = "Telemetry")]
    pub(crate) listen: Option<String>,
    /// Add the metrics of this command to a file for Prometheus' node exporter
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Telemetry")]
    pub(crate) metrics_file: Option<PathBuf>,
}
