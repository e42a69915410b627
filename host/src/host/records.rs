//! What goes into the audit log, and when: before any result is handed out.

use std::{sync::Arc, time::Instant};

use toolcell_policy::{Isolation, Layers};

use super::{calling::Ended, nets, prepare::missing};
use crate::{
    CallId, ErrorKind, Result, Usage,
    audit::{
        AuditRecord, AuditSink, CallRecord, DecisionRecord, Effect, HostReached, Outcome,
        PathTouched, Redacted, SessionRecord, WorkersRecord,
    },
    capability::recorder::{Record, Recorder},
    confine::ConfinementReport,
    secrets::Redaction,
};

/// The audit log of a host, if it has one. Every record passes the host's search for secrets on its way.
pub(super) struct Recording {
    sink: Option<Arc<dyn AuditSink>>,
    session: String,
    redaction: Redaction,
}

/// Which call records are about.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) call_id: CallId,
    /// The tool as it was asked for.
    pub(super) tool: String,
    /// The package's name and digest; absent where no tool has that name.
    pub(super) package: Option<(String, String)>,
    /// Where the tool's calls run.
    pub(super) isolation: Option<Isolation>,
}

impl Recording {
    pub(super) fn new(sink: Option<Arc<dyn AuditSink>>, redaction: Redaction) -> Self {
        Self {
            sink,
            session: format!("{:032x}", rand::random::<u128>()),
            redaction,
        }
    }

    fn append(&self, record: impl FnOnce() -> AuditRecord) -> Result<()> {
        let Some(sink) = &self.sink else {
            return Ok(());
        };
        let record = nets::record(&self.redaction, record())?;
        Ok(sink.append(&record)?)
    }

    /// The host begins to work.
    pub(super) fn session(&self, layers: &Layers) -> Result<()> {
        self.append(|| {
            AuditRecord::Session(SessionRecord {
                session: self.session.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                policy: layers
                    .iter()
                    .map(|(layer, policy)| format!("{layer} {}", policy.name()))
                    .collect(),
            })
        })
    }

    /// A package has workers.
    pub(super) fn workers(
        &self,
        package: &str,
        digest: &str,
        report: &ConfinementReport,
    ) -> Result<()> {
        self.append(|| {
            AuditRecord::Workers(WorkersRecord {
                session: self.session.clone(),
                package: package.to_owned(),
                digest: digest.to_owned(),
                confinement: report.level().to_string(),
                missing: missing(report),
            })
        })
    }

    /// Something was decided.
    pub(super) fn decision(
        &self,
        about: &About,
        access: &str,
        effect: Effect,
        rule: &str,
    ) -> Result<()> {
        self.append(|| {
            let (package, digest) = about.package.clone().unwrap_or_default();
            AuditRecord::Decision(DecisionRecord {
                session: self.session.clone(),
                call_id: about.call_id.clone(),
                tool: about.tool.clone(),
                package,
                digest,
                access: access.to_owned(),
                effect,
                rule: rule.to_owned(),
            })
        })
    }

    /// A call ended.
    fn call(
        &self,
        about: &About,
        outcome: Outcome,
        rule: Option<String>,
        usage: Usage,
        record: &Record,
    ) -> Result<()> {
        self.append(|| {
            let (package, digest) = about.package.clone().unzip();
            AuditRecord::Call(CallRecord {
                session: self.session.clone(),
                call_id: about.call_id.clone(),
                tool: about.tool.clone(),
                package,
                digest,
                isolation: about.isolation,
                outcome,
                rule,
                usage,
                denials: record.denials.clone(),
                denials_total: record.denials_total,
                paths: record
                    .paths
                    .iter()
                    .map(|touched| PathTouched {
                        path: touched.path.clone(),
                        used: touched.used.as_str().to_owned(),
                    })
                    .collect(),
                paths_dropped: record.paths_dropped,
                hosts: record
                    .hosts
                    .iter()
                    .map(|(host, reached)| HostReached {
                        host: host.clone(),
                        requests: reached.requests,
                        sent_bytes: reached.sent_bytes(),
                    })
                    .collect(),
                hosts_dropped: record.hosts_dropped,
                redactions: record
                    .redactions
                    .iter()
                    .map(|(secret, count)| Redacted {
                        secret: secret.clone(),
                        count: *count,
                    })
                    .collect(),
                likely_secrets: record.likely.clone(),
            })
        })
    }
}

/// A call that is not on record yet. If it is dropped before, because its caller went away, it is recorded as
/// cancelled: what it did outside has happened all the same.
pub(super) struct Pending<'a> {
    recording: &'a Recording,
    about: Arc<About>,
    recorder: Recorder,
    began: Instant,
    settled: bool,
}

impl<'a> Pending<'a> {
    pub(super) fn new(recording: &'a Recording, about: Arc<About>, recorder: Recorder) -> Self {
        Self {
            recording,
            about,
            recorder,
            began: Instant::now(),
            settled: false,
        }
    }

    /// Records how the call ended. Its result may be handed out only after this.
    pub(super) fn settle(mut self, ended: &Ended) -> Result<()> {
        self.settled = true;
        let (outcome, rule) = match &ended.outcome {
            Ok(_) => (Outcome::Ok, None),
            Err(failure) => (Outcome::Failed(failure.kind), failure.rule.clone()),
        };
        self.recording
            .call(&self.about, outcome, rule, ended.usage, &ended.record)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let record = self.recorder.take();
        let outcome = Outcome::Failed(ErrorKind::Cancelled);
        // What else it used went with its sandbox.
        let usage = Usage {
            wall_us: u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX),
            ..Usage::default()
        };
        let appended = self
            .recording
            .call(&self.about, outcome, None, usage, &record);
        if let Err(error) = appended {
            tracing::error!(%error, "a call that its caller gave up is not on record");
        }
    }
}
