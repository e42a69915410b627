//! Who is told what runs and tools do: a collector, readers of `/metrics`, and a file. There is one telemetry for the whole
//! process, since spans are its own as well.
//!
//! Everything that leaves passes the search for secrets. Nothing here can fail a command once it has begun, or hold it up
//! for longer than [`FLUSH`] at its end.

mod chosen;
mod clean;
mod exposition;
mod figures;
mod layer;
mod otlp;
mod textfile;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::{metrics::SdkMeterProvider, trace::SdkTracerProvider};
use toolcell::{ErrorKind, Redaction, ToolHost};
use toolcell_agent::Metrics;
use toolcell_policy::Sink;
use toolcell_server::{MetricsListener, MetricsOptions};

pub(crate) use chosen::register_headers;
pub(crate) use clean::CONTENT;
pub(crate) use layer::layer;

use crate::{
    args::TelemetryOptions,
    dirs::Dirs,
    failure::Failure,
    output,
    policies::InForce,
    stores::Stores,
    style::{self, paint},
};

use self::{chosen::Chosen, figures::Figures, otlp::Trouble};

/// How long the end of a command waits for the last export.
pub(crate) const FLUSH: Duration = Duration::from_secs(3);

/// What spans and figures say that they are from.
const SCOPE: &str = "toolcell";

static TELEMETRY: OnceLock<Telemetry> = OnceLock::new();

/// What was started.
struct Telemetry {
    meters: SdkMeterProvider,
    metrics: Metrics,
    figures: Option<Figures>,
    collector: Option<Told>,
    textfile: Option<PathBuf>,
    content: bool,
    /// What everything passes on its way to the collector, once a host says so.
    way: Arc<OnceLock<Redaction>>,
    listener: Mutex<Option<MetricsListener>>,
}

/// A collector that is told.
struct Told {
    /// Its address, for people.
    url: String,
    tracers: SdkTracerProvider,
    trouble: Arc<Trouble>,
}

/// Begins to tell whoever is to be told: what the flags say, then the environment, then the policy. Call it once, inside
/// the runtime, before anything is measured.
///
/// # Errors
/// What is wrong with an address, a header, or the environment; an address that cannot be listened at.
pub(crate) async fn start(
    options: &TelemetryOptions,
    in_force: &InForce,
    dirs: &Dirs,
) -> Result<(), Failure> {
    let chosen = Chosen::of(options, &in_force.layers.telemetry())?;
    if chosen.is_nothing() {
        return Ok(());
    }
    let resource = chosen::resource();
    let way: Arc<OnceLock<Redaction>> = Arc::default();
    let mut meters = SdkMeterProvider::builder().with_resource(resource.clone());
    let mut figures = None;
    if chosen.listen.is_some() || chosen.textfile.is_some() {
        let (read, reader) = Figures::new()?;
        meters = meters.with_reader(reader);
        figures = Some(read);
    }
    let mut collector = None;
    if let Some(wanted) = &chosen.collector {
        let headers = wanted.headers(&Stores::new(dirs)).await?;
        let exporters = otlp::exporters(wanted, headers, &way)?;
        meters = meters.with_periodic_exporter(exporters.metrics);
        let tracers = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_batch_exporter(exporters.spans)
            .build();
        layer::trace_with(&tracers, SCOPE);
        collector = Some(Told {
            url: wanted.shown.clone(),
            tracers,
            trouble: exporters.trouble,
        });
    }
    let meters = meters.build();
    let listener = match (chosen.listen, &figures) {
        (Some(address), Some(figures)) => Some(listen(address, chosen.hosts, figures).await?),
        _ => None,
    };
    let telemetry = Telemetry {
        metrics: Metrics::new(&meters.meter(SCOPE)),
        meters,
        figures,
        collector,
        textfile: chosen.textfile,
        content: chosen.content,
        way,
        listener: Mutex::new(listener),
    };
    TELEMETRY
        .set(telemetry)
        .map_err(|_| Failure::new(ErrorKind::Internal, "telemetry was started twice"))
}

async fn listen(
    address: SocketAddr,
    names: Vec<String>,
    figures: &Figures,
) -> Result<MetricsListener, Failure> {
    let mut options = MetricsOptions::default();
    options.names = names;
    let figures = figures.clone();
    let listener = MetricsListener::start(address, options, move || figures.text())
        .await
        .map_err(|error| {
            Failure::new(ErrorKind::Unavailable, error.to_string())
                .help("name another address with --listen, or port 0 for any that is free")
        })?;
    let at = listener.address();
    output::note(paint(
        style::DIM,
        format_args!("metrics: http://{at}/metrics"),
    ));
    if !at.ip().is_loopback() {
        let line = format!("note: whoever reaches {at} can read the metrics; they hold no texts");
        output::note(paint(style::NOTE, line));
    }
    Ok(listener)
}

/// Where a host's figures go, if anybody reads them.
pub(crate) fn meter() -> Option<Meter> {
    Some(TELEMETRY.get()?.meters.meter(SCOPE))
}

/// Whether spans are to hold what people, models and tools say: somebody has to want that, and to be told.
pub(crate) fn content() -> bool {
    TELEMETRY
        .get()
        .is_some_and(|it| it.content && it.collector.is_some())
}

/// From now on spans also pass what this host's policy says about personal data.
pub(crate) fn pass(host: &ToolHost) {
    if let Some(telemetry) = TELEMETRY.get() {
        let _ = telemetry.way.set(host.on_the_way_to(Sink::Telemetry));
    }
}

/// Where the figures of models and runs go.
pub(crate) fn metrics() -> Metrics {
    TELEMETRY
        .get()
        .map_or_else(Metrics::none, |it| it.metrics.clone())
}

/// Tells what is still to be told, at the end of a command, and says what could not be.
pub(crate) async fn finish() {
    let Some(telemetry) = TELEMETRY.get() else {
        return;
    };
    if let (Some(path), Some(figures)) = (telemetry.textfile.clone(), telemetry.figures.clone()) {
        let shown = path.display().to_string();
        let added = tokio::task::spawn_blocking(move || textfile::add(&path, &figures.text()?));
        let added = added
            .await
            .unwrap_or_else(|_| Err("it was given up".to_owned()));
        if let Err(why) = added {
            warn(&format!(
                "the metrics of this command are not in {shown}: {why}"
            ));
        }
    }
    if let Some(told) = &telemetry.collector {
        told.finish(&telemetry.meters).await;
    }
    let listener = &telemetry.listener;
    drop(
        listener
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(),
    );
}

impl Told {
    /// Sends what is left, within a time.
    async fn finish(&self, meters: &SdkMeterProvider) {
        let (tracers, meters) = (self.tracers.clone(), meters.clone());
        // They wait for threads of their own, and know of no runtime.
        let spans = tokio::task::spawn_blocking(move || tracers.shutdown_with_timeout(FLUSH));
        let figures = tokio::task::spawn_blocking(move || meters.shutdown_with_timeout(FLUSH));
        let both = async { tokio::join!(spans, figures) };
        let in_time = tokio::time::timeout(FLUSH, both).await.is_ok();
        let line = match self.trouble.told() {
            Some((1, why)) => format!("{} was not told everything: {why}", self.url),
            Some((times, why)) => {
                let url = &self.url;
                format!("{url} was not told everything: {why} ({times} attempts failed)")
            }
            None if in_time => return,
            None => format!(
                "the collector at {} did not take the last export within {} s",
                self.url,
                FLUSH.as_secs()
            ),
        };
        warn(&line);
    }
}

/// One line for people: nothing of this fails a command.
fn warn(line: &str) {
    let line = toolcell::text::escape_control(line);
    output::note(paint(style::NOTE, format_args!("note: telemetry: {line}")));
}
