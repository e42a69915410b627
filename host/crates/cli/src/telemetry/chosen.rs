//! Who is to be told: the flags over the environment over the policy.

use std::{net::SocketAddr, path::PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{KeyValue, StringValue, Value};
use opentelemetry_sdk::Resource;
use toolcell::{ErrorKind, Secret};
use toolcell_policy::{TelemetryHeader, TelemetrySettings, parse_collector, parse_listen};

use crate::{
    args::TelemetryOptions,
    env,
    failure::Failure,
    net, output, private,
    stores::Stores,
    style::{self, paint},
};

/// Who is to be told.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) collector: Option<Wanted>,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) hosts: Vec<String>,
    pub(crate) textfile: Option<PathBuf>,
    /// Whether spans hold what people, models and tools say.
    pub(crate) content: bool,
}

/// A collector that is to be told.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Where it is, for people.
    pub(crate) shown: String,
    /// Where spans go.
    pub(crate) traces: String,
    /// Where metrics go.
    pub(crate) metrics: String,
    /// Whether it is on this machine or spoken to in TLS.
    safe: bool,
    headers: Headers,
}

/// The headers for a collector. They come from the same place as its address: what the environment holds for one collector
/// is nothing to one that a policy names.
#[derive(Debug)]
enum Headers {
    Policy(Vec<TelemetryHeader>),
    Environment,
}

impl Chosen {
    pub(crate) fn of(
        options: &TelemetryOptions,
        settings: &TelemetrySettings,
    ) -> Result<Self, Failure> {
        let listen = match &options.listen {
            Some(text) => Some(parse_listen(text).map_err(|why| {
                Failure::usage(format!("--listen {why}"))
                    .help("write for example --listen 127.0.0.1:9464")
            })?),
            None => settings.listen,
        };
        let textfile = options.metrics_file.clone().or_else(|| {
            let path = settings.textfile.as_deref()?;
            Some(private::resolved(path, settings.base.as_deref()))
        });
        Ok(Self {
            collector: collector(options, settings)?,
            listen,
            hosts: settings.hosts.clone(),
            textfile,
            content: content(env::text(env::OTEL_CONTENT).as_deref(), settings.content)?,
        })
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.collector.is_none() && self.listen.is_none() && self.textfile.is_none()
    }
}

/// Whether content is wanted: what the environment says, else the policy, else no.
fn content(variable: Option<&str>, written: Option<bool>) -> Result<bool, Failure> {
    let name = env::OTEL_CONTENT;
    match variable.map(str::to_ascii_lowercase).as_deref() {
        None => Ok(written.unwrap_or(false)),
        Some("true" | "span_only" | "span_and_event") => Ok(true),
        Some("false" | "no_content") => Ok(false),
        Some("event_only") => Err(Failure::usage(format!(
            "{name} asks for events, and toolcell puts content into spans"
        ))
        .help("write SPAN_ONLY, or NO_CONTENT")),
        Some(_) => Err(Failure::usage(format!("{name} is none of its values"))
            .help("write `true`, `false`, SPAN_ONLY or NO_CONTENT")),
    }
}

fn collector(
    options: &TelemetryOptions,
    settings: &TelemetrySettings,
) -> Result<Option<Wanted>, Failure> {
    if let Some(text) = &options.otlp {
        return base("--otlp", text, Headers::Environment).map(Some);
    }
    if env::text(env::OTEL_SDK_DISABLED).is_some_and(|it| it.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let all = env::text(env::OTEL_ENDPOINT);
    let traces = env::text(env::OTEL_TRACES_ENDPOINT);
    let metrics = env::text(env::OTEL_METRICS_ENDPOINT);
    if let Some(text) = all.as_ref().or(traces.as_ref()).or(metrics.as_ref()) {
        let mut wanted = base(env::OTEL_ENDPOINT, text, Headers::Environment)?;
        for (name, own, place) in [
            (env::OTEL_TRACES_ENDPOINT, traces, &mut wanted.traces),
            (env::OTEL_METRICS_ENDPOINT, metrics, &mut wanted.metrics),
        ] {
            // These are whole addresses, by the specification.
            if let Some(own) = own {
                *place = checked(name, &own)?.to_string();
            }
        }
        note_protocol();
        return Ok(Some(wanted));
    }
    let Some(url) = &settings.otlp else {
        return Ok(None);
    };
    let headers = Headers::Policy(settings.headers.clone());
    base("telemetry.otlp", url.as_str(), headers).map(Some)
}

/// The collector at a base address.
fn base(name: &str, text: &str, headers: Headers) -> Result<Wanted, Failure> {
    let url = checked(name, text)?;
    let shown = url.trim_end_matches('/').to_owned();
    Ok(Wanted {
        traces: format!("{shown}/v1/traces"),
        metrics: format!("{shown}/v1/metrics"),
        safe: is_safe(&url),
        shown,
        headers,
    })
}

fn checked(name: &str, text: &str) -> Result<String, Failure> {
    parse_collector(text)
        .map(|url| url.to_string())
        .map_err(|why| {
            Failure::usage(format!("{name} {why}")).help("write it like http://127.0.0.1:4318")
        })
}

/// Whether a header may travel there: in TLS, or not over any network.
fn is_safe(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else {
        return true;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let loopback = host
        .parse::<std::net::IpAddr>()
        .is_ok_and(|it| it.is_loopback());
    loopback || host == "localhost"
}

/// Says so where the environment asks for what there is not; a shared environment is no mistake of this command.
fn note_protocol() {
    if let Some(protocol) = env::text(env::OTEL_PROTOCOL)
        && protocol != "http/protobuf"
    {
        let protocol = toolcell::text::escape_control(&protocol);
        let name = env::OTEL_PROTOCOL;
        let line =
            format!("note: telemetry: {name} is `{protocol}`; toolcell speaks http/protobuf");
        output::note(paint(style::NOTE, line));
    }
}

impl Wanted {
    /// The headers for the collector. Their values are searched for from now on.
    pub(crate) async fn headers(&self, stores: &Stores) -> Result<HeaderMap, Failure> {
        let headers = match &self.headers {
            Headers::Environment => of_environment(),
            Headers::Policy(headers) => of_policy(headers, stores).await?,
        };
        if headers.values().any(HeaderValue::is_sensitive) && !self.safe {
            let message = format!(
                "a header with a credential would travel to {} in the clear",
                self.shown
            );
            return Err(Failure::new(ErrorKind::InvalidPolicy, message).help(
                "name the collector with https://, or one on this machine that passes it on",
            ));
        }
        Ok(headers)
    }
}

async fn of_policy(headers: &[TelemetryHeader], stores: &Stores) -> Result<HeaderMap, Failure> {
    let mut map = HeaderMap::new();
    for header in headers {
        let mut text = header.text.clone();
        let name = &header.name;
        if let Some(source) = &header.source {
            let secret = stores.value(source).await?.ok_or_else(|| {
                let message =
                    format!("the header `{name}` for the collector has no value: {source}");
                Failure::new(ErrorKind::AuthRequired, message)
                    .help("set it, or take the header out of [telemetry]")
            })?;
            text.push_str(&String::from_utf8_lossy(secret.expose()));
            net::redaction().register(&format!("telemetry header {name}"), secret);
        }
        let wrong = || {
            let message = format!("the header `{name}` for the collector cannot be sent");
            Failure::new(ErrorKind::InvalidPolicy, message)
                .help("its value holds what no header may hold, such as a line break")
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| wrong())?;
        value.set_sensitive(header.source.is_some());
        let name = HeaderName::try_from(name.as_str()).map_err(|_| wrong())?;
        map.insert(name, value);
    }
    Ok(map)
}

/// What `OTEL_EXPORTER_OTLP_HEADERS` holds: `name=value` with commas between them, values with `%` escapes. What cannot be
/// a header is left out, by the specification.
fn of_environment() -> HeaderMap {
    let text = env::text(env::OTEL_HEADERS).unwrap_or_default();
    let pairs = pairs(&text).filter_map(|(name, value)| {
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::try_from(name).ok()?, value))
    });
    pairs.collect()
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, String)> {
    text.split(',').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((name.trim(), decoded(value.trim())))
    })
}

/// Makes known what the environment holds for a collector, before anything is said.
pub(crate) fn register_headers() {
    let text = env::text(env::OTEL_HEADERS).unwrap_or_default();
    for (name, value) in pairs(&text) {
        // `Bearer` and the like are no secret; what follows is.
        let value = value.rsplit(' ').next().unwrap_or_default();
        if let Ok(secret) = Secret::new(value) {
            net::redaction().register(&format!("{} {name}", env::OTEL_HEADERS), secret);
        }
    }
}

/// A value without `%` escapes; one that makes no text stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = after.get(..2).filter(|_| *first == b'%');
        let byte = escape
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = match byte {
            Some(_) => after.get(2..).unwrap_or_default(),
            None => after,
        };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// What spans and metrics say of this program: its name and version, and what the environment adds, without any secret.
pub(crate) fn resource() -> Resource {
    let found = Resource::builder().build();
    let attributes = found.iter().filter_map(|(key, value)| {
        let text = value.as_str();
        // What the library says where nobody named the service.
        let unnamed = key.as_str() == "service.name" && text.starts_with("unknown_service");
        let clean = Value::String(StringValue::from(net::text(&text).into_owned()));
        (!unnamed).then(|| KeyValue::new(key.clone(), clean))
    });
    let own = [
        KeyValue::new("service.name", "toolcell"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
    ];
    Resource::builder_empty()
        .with_attributes(own)
        .with_attributes(attributes.collect::<Vec<_>>())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_environment_are_decoded() {
        let all: Vec<_> = pairs("a=b, authorization = Bearer%20x%2Cy ,=,c,d=100%").collect();
        let expected = [
            ("a", "b"),
            ("authorization", "Bearer x,y"),
            ("", ""),
            ("d", "100%"),
        ];
        let expected = expected.map(|(name, value)| (name, value.to_owned()));
        assert_eq!(all, expected);
    }

    #[test]
    fn content_is_wanted_only_where_somebody_says_so() {
        assert!(!content(None, None).unwrap());
        assert!(content(None, Some(true)).unwrap());
        assert!(content(Some("SPAN_ONLY"), Some(false)).unwrap());
        assert!(!content(Some("NO_CONTENT"), Some(true)).unwrap());
        for wrong in ["EVENT_ONLY", "yes", "1"] {
            assert!(content(Some(wrong), None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_travels_in_the_clear_is_known() {
        for safe in [
            "https://a/",
            "http://127.0.0.1:4318/",
            "http://[::1]:1/",
            "http://localhost/",
        ] {
            assert!(is_safe(safe), "{safe}");
        }
        for open in [
            "http://collector:4318/",
            "http://10.0.0.1/",
            "http://localhost.evil/",
        ] {
            assert!(!is_safe(open), "{open}");
        }
    }

    #[test]
    fn a_wrong_address_is_told_and_not_shown() {
        let options = TelemetryOptions {
            otlp: Some("http://user:hunter2000@a".to_owned()),
            ..TelemetryOptions::default()
        };
        let failure = Chosen::of(&options, &TelemetrySettings::default()).unwrap_err();
        assert!(
            failure.message.starts_with("--otlp holds a user name"),
            "{failure:?}"
        );
        assert!(!format!("{failure:?}").contains("hunter2000"));
        let options = TelemetryOptions {
            listen: Some("here".to_owned()),
            ..TelemetryOptions::default()
        };
        let failure = Chosen::of(&options, &TelemetrySettings::default()).unwrap_err();
        assert!(
            failure.message.contains("--listen is no address"),
            "{failure:?}"
        );
    }
}
