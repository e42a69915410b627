//! The figures in the text format of Prometheus.

use opentelemetry_prometheus::PrometheusExporter;
use prometheus::{Registry, TextEncoder};
use toolcell::ErrorKind;

use crate::{failure::Failure, net};

/// Reads the figures of this process. Copies read the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Figures(Registry);

impl Figures {
    /// The figures, and the reader that a meter provider has to be given.
    pub(crate) fn new() -> Result<(Self, PrometheusExporter), Failure> {
        let registry = Registry::new();
        let reader = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            // Who scrapes adds labels of its own, and there is one scope only.
            .scope_info_enabled(false)
            .without_target_info()
            .build()
            .map_err(|error| {
                let message = format!("the metrics cannot be gathered: {error}");
                Failure::new(ErrorKind::Internal, message)
            })?;
        Ok((Self(registry), reader))
    }

    /// The text of one scrape, without any secret.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn text(&self) -> Result<String, String> {
        let text = TextEncoder::new().encode_to_string(&self.0.gather());
        let text = text.map_err(|error| format!("the metrics cannot be written: {error}"))?;
        Ok(net::text(&text).into_owned())
    }
}
