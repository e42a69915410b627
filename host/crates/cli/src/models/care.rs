//! How carefully models are asked: what the policy says, what the command line says instead, and the usual for the rest.

use std::time::{Duration, SystemTime};

use toolcell_agent::model::{BreakerSettings, Connections, Lanes, LimitSettings, Retry, Timeouts};
use toolcell_policy::{MAX_FALLBACKS, ModelCare, parse_duration};

use crate::{args::CareOptions, failure::Failure, telemetry};

/// What the command line says goes before what the policy says.
pub(super) fn with_flags(care: ModelCare, flags: &CareOptions) -> Result<ModelCare, Failure> {
    if flags.fallback.len() > MAX_FALLBACKS {
        return Err(Failure::usage(format!(
            "--fallback is given {} times; at most {MAX_FALLBACKS} models can stand in",
            flags.fallback.len()
        )));
    }
    let fallback = match flags.fallback.as_slice() {
        [] => care.fallback,
        names => names.to_vec(),
    };
    Ok(ModelCare {
        fallback,
        retries: flags.retries.or(care.retries),
        longest_wait: time("--longest-wait", &flags.longest_wait)?.or(care.longest_wait),
        idle: time("--idle-timeout", &flags.idle_timeout)?.or(care.idle),
        total: time("--turn-timeout", &flags.turn_timeout)?.or(care.total),
        requests_per_minute: flags.requests_per_minute.or(care.requests_per_minute),
        tokens_per_minute: flags.tokens_per_minute.or(care.tokens_per_minute),
        ..care
    })
}

fn time(flag: &str, text: &Option<String>) -> Result<Option<Duration>, Failure> {
    let Some(text) = text else {
        return Ok(None);
    };
    match parse_duration(text) {
        Some(time) if !time.is_zero() => Ok(Some(time)),
        _ => Err(Failure::usage(format!("{flag}: `{text}` is no time"))
            .help("write for example `30s` or `10m`")),
    }
}

pub(super) fn retry(care: &ModelCare) -> Retry {
    let usual = Retry::default();
    Retry {
        retries: care.retries.unwrap_or(usual.retries),
        longest_wait: care.longest_wait.unwrap_or(usual.longest_wait),
    }
}

pub(super) fn timeouts(care: &ModelCare) -> Timeouts {
    let usual = Timeouts::default();
    let kept = usual.connections;
    Timeouts {
        connect: care.connect.unwrap_or(usual.connect),
        idle: care.idle.unwrap_or(usual.idle),
        total: care.total.unwrap_or(usual.total),
        connections: Connections {
            spare: care.spare_connections.map_or(kept.spare, |it| it as usize),
            keep: care.keep_connections.unwrap_or(kept.keep),
            probe: care.probe_connections.unwrap_or(kept.probe),
        },
        clock: Some(SystemTime::now),
    }
}

/// What all agents of this process share.
pub(super) fn lanes(care: &ModelCare) -> Lanes {
    let (limits, breaker) = (LimitSettings::default(), BreakerSettings::default());
    let limits = LimitSettings {
        concurrency: care.concurrency.unwrap_or(limits.concurrency),
        requests_per_minute: care.requests_per_minute,
        tokens_per_minute: care.tokens_per_minute,
        queue: care.queue.map_or(limits.queue, |it| it as usize),
        longest_queue: care.longest_queue.unwrap_or(limits.longest_queue),
    };
    let breaker = BreakerSettings {
        failures: care.breaker_failures.unwrap_or(breaker.failures),
        open: care.breaker_open.unwrap_or(breaker.open),
    };
    Lanes::new(limits, breaker).metrics(telemetry::metrics())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_go_before_the_policy() {
        let policy = ModelCare {
            fallback: vec!["a:b".into()],
            retries: Some(7),
            idle: Some(Duration::from_secs(5)),
            ..ModelCare::default()
        };
        let flags = CareOptions {
            retries: Some(0),
            turn_timeout: Some("90s".into()),
            ..CareOptions::default()
        };
        let care = with_flags(policy.clone(), &flags).unwrap();
        assert_eq!(
            (&care.fallback, retry(&care).retries),
            (&policy.fallback, 0)
        );
        let timeouts = timeouts(&care);
        assert_eq!(
            (timeouts.idle, timeouts.total, timeouts.connect),
            (
                Duration::from_secs(5),
                Duration::from_secs(90),
                Duration::from_secs(5)
            )
        );
        let flags = CareOptions {
            fallback: vec!["c:d".into()],
            ..CareOptions::default()
        };
        assert_eq!(with_flags(policy, &flags).unwrap().fallback, ["c:d"]);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "0s", "soon", "10"] {
            let flags = CareOptions {
                longest_wait: Some(text.into()),
                ..CareOptions::default()
            };
            let failure = with_flags(ModelCare::default(), &flags).unwrap_err();
            assert!(failure.message.contains("--longest-wait"), "{text}");
        }
        let flags = CareOptions {
            fallback: vec!["a:b".into(); 9],
            ..CareOptions::default()
        };
        assert!(with_flags(ModelCare::default(), &flags).is_err());
    }
}
