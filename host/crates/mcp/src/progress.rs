//! Progress reports on their way from a tool to the client that waits for it.

use std::sync::Arc;

use rmcp::{
    Peer, RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
};
use tokio::sync::mpsc;
use toolcell::{CallEvent, EventSink};

/// How many reports of a call may wait for a slow client. More are dropped: a later one says more than an earlier one.
const MAX_WAITING: usize = 64;

/// The target of warnings about answers that hold what looks like a credential.
pub const LIKELY_SECRETS: &str = "toolcell::likely_secrets";

/// The reports of one call; there are none where the client did not ask for them.
pub(crate) type Reports = Option<mpsc::Receiver<ProgressNotificationParam>>;

/// Where a call's events go, and where its reports come out.
pub(crate) fn channel(token: Option<ProgressToken>) -> (EventSink, Reports) {
    let Some(token) = token else {
        return (Arc::new(|_, event| warn(&event)), None);
    };
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    let sink: EventSink = Arc::new(move |_, event| {
        warn(&event);
        if let Some(report) = report(&token, event) {
            let _ = sender.try_send(report);
        }
    });
    (sink, Some(receiver))
}

/// What looks like a credential is for the operator to hear of, and not for whoever is connected.
fn warn(event: &CallEvent) {
    if let CallEvent::LikelySecret { tool, likely } = event {
        tracing::warn!(target: LIKELY_SECRETS, "{tool}'s answer holds {likely}");
    }
}

/// An event as a report, where it is one that JSON can hold.
fn report(token: &ProgressToken, event: CallEvent) -> Option<ProgressNotificationParam> {
    let CallEvent::Progress {
        done,
        total,
        message,
    } = event
    else {
        return None;
    };
    if !done.is_finite() {
        return None;
    }
    let mut report = ProgressNotificationParam::new(token.clone(), done);
    report.total = total.filter(|total| total.is_finite());
    report.message = message;
    Some(report)
}

/// Waits for a call and sends its reports meanwhile. All of them are sent before the call's result is known to the
/// caller, and each says more than the one before, as the protocol asks.
pub(crate) async fn forward<T>(
    call: impl Future<Output = T>,
    reports: Reports,
    peer: &Peer<RoleServer>,
) -> T {
    let Some(mut reports) = reports else {
        return call.await;
    };
    let mut last = f64::NEG_INFINITY;
    let mut call = std::pin::pin!(call);
    let result = loop {
        tokio::select! {
            result = &mut call => break result,
            Some(report) = reports.recv() => send(peer, &mut last, report).await,
        }
    };
    while let Ok(report) = reports.try_recv() {
        send(peer, &mut last, report).await;
    }
    result
}

async fn send(peer: &Peer<RoleServer>, last: &mut f64, report: ProgressNotificationParam) {
    if report.progress > *last {
        *last = report.progress;
        // A client that is gone needs no report; that the call ends is for its cancellation to see to.
        let _ = peer.notify_progress(report).await;
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::NumberOrString;
    use toolcell::CallId;

    use super::*;

    fn progress(done: f64) -> CallEvent {
        CallEvent::Progress {
            done,
            total: Some(f64::NAN),
            message: Some("half".into()),
        }
    }

    #[test]
    fn only_finite_progress_becomes_a_report() {
        let token = ProgressToken(NumberOrString::Number(7));
        let (sink, reports) = channel(Some(token));
        let mut reports = reports.unwrap();
        let id = CallId::new("call_1");
        sink(&id, progress(f64::INFINITY));
        sink(
            &id,
            CallEvent::Log {
                level: "info".into(),
                message: "not for the client".into(),
            },
        );
        sink(&id, progress(0.5));
        let report = reports.try_recv().unwrap();
        assert_eq!((report.progress, report.total), (0.5, None));
        assert_eq!(report.message.as_deref(), Some("half"));
        assert!(reports.try_recv().is_err());
    }

    #[test]
    fn reports_beyond_what_may_wait_are_dropped() {
        let token = ProgressToken(NumberOrString::Number(7));
        let (sink, reports) = channel(Some(token));
        let mut reports = reports.unwrap();
        for done in 0..MAX_WAITING + 5 {
            sink(&CallId::new("call_1"), progress(done as f64));
        }
        assert_eq!(
            std::iter::from_fn(|| reports.try_recv().ok()).count(),
            MAX_WAITING
        );
    }

    #[test]
    fn who_did_not_ask_hears_nothing() {
        let (sink, reports) = channel(None);
        sink(&CallId::new("call_1"), progress(1.0));
        assert!(reports.is_none());
    }
}
