//! The lines for a model that is waited for, asked again, or replaced.

use toolcell::text::escape_control;
use toolcell_agent::AgentEvent;

use super::{State, Timeline};
use crate::{
    failure::without_number,
    style::{self, paint},
};

/// A shorter wait than this is not told, in milliseconds.
const SHORT_MS: u64 = 1_000;

impl Timeline {
    /// Tells of it. Text that counts for nothing any more is taken back where that can be done, and else called so.
    pub(super) fn asked_again(&self, state: &mut State, event: AgentEvent) {
        let (line, discarded) = match event {
            AgentEvent::ModelRetry {
                attempt,
                delay_ms,
                error,
                discarded,
            } => {
                let why = state.retry_reason(error);
                let delay = style::duration(delay_ms.saturating_mul(1000));
                (format!("  … attempt {attempt} in {delay}{why}"), discarded)
            }
            AgentEvent::ModelFallback {
                from,
                to,
                error,
                discarded,
                ..
            } => {
                let why = state.retry_reason(error);
                let [from, to] = [from, to].map(|name| escape_control(&name).into_owned());
                (format!("  … {to} instead of {from}{why}"), discarded)
            }
            AgentEvent::ModelWaiting {
                reason,
                at_least_ms,
            } => match waiting(&reason, at_least_ms) {
                Some(line) => (line, false),
                None => return,
            },
            _ => return,
        };
        if discarded {
            state.held.clear();
        }
        let again = match discarded && !self.holds {
            true => "; the text above counts for nothing, and the answer begins anew",
            false => "",
        };
        self.line(state, &paint(style::NOTE, format_args!("{line}{again}")));
    }
}

impl State {
    /// Why the model is asked again. The error that ends the run is told once, at its end; while waiting, only a new one
    /// is news.
    fn retry_reason(&mut self, error: String) -> String {
        let told = self.retried_after.as_deref() == Some(&*error);
        let why = match told {
            true => String::new(),
            false => format!(": {}", style::one_line(&without_number(&error), 200)),
        };
        self.retried_after = Some(error);
        why
    }
}

/// A wait in words; nothing for one that is over before anybody has read of it.
fn waiting(reason: &str, at_least_ms: Option<u64>) -> Option<String> {
    let why = match reason {
        "requests" => "the requests of this minute are used up",
        "tokens" => "the tokens of this minute are used up",
        "paused" => "the model's server asked for a pause",
        "breaker" => "the model's server keeps failing and is left alone for a while",
        // Others are at work, and nobody knows for how long.
        _ => return None,
    };
    let time = at_least_ms.filter(|time| *time >= SHORT_MS)?;
    let time = style::duration(time.saturating_mul(1000));
    Some(format!("  … waits {time}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::Show;

    fn retry(discarded: bool) -> AgentEvent {
        AgentEvent::ModelRetry {
            attempt: 2,
            delay_ms: 500,
            error: "the answer was cut off".into(),
            discarded,
        }
    }

    fn text(text: &str) -> AgentEvent {
        AgentEvent::Text { text: text.into() }
    }

    #[test]
    fn text_that_nobody_has_seen_is_taken_back() {
        let timeline = Timeline {
            holds: true,
            ..Timeline::new(Show::Human)
        };
        timeline.hear(text("half an ans"));
        timeline.hear(retry(true));
        assert_eq!(timeline.state().held, "");
        timeline.hear(text("whole"));
        timeline.hear(retry(false));
        assert_eq!(timeline.state().held, "whole");
        timeline.hear(AgentEvent::ModelFallback {
            from: "a:b".into(),
            to: "c:d".into(),
            error: "gone".into(),
            discarded: true,
            left_out: 0,
        });
        assert_eq!(timeline.state().held, "");
    }

    #[test]
    fn only_waits_that_somebody_notices_are_told() {
        assert_eq!(
            waiting("paused", Some(7_000)).unwrap(),
            "  … waits 7.0 s: the model's server asked for a pause"
        );
        for (reason, time) in [
            ("paused", Some(999)),
            ("paused", None),
            ("queue", Some(9_000)),
        ] {
            assert_eq!(waiting(reason, time), None);
        }
    }
}
