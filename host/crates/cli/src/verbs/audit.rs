//! `toolcell audit verify|show`.

use std::path::{Path, PathBuf};

use serde_json::json;
use toolcell::{
    ErrorKind,
    audit::{
        self, AuditRecord, CallRecord, DecisionRecord, Effect, Entry, Finding, Outcome as Ended,
    },
    text::escape_control,
};

use crate::{
    app::Outcome,
    args::AuditVerb,
    exit,
    failure::{self, Failure},
    output,
    style::{self, paint},
};

pub(crate) fn audit(verb: AuditVerb) -> Outcome {
    match verb {
        AuditVerb::Verify { file } => verify(&place(file)?),
        AuditVerb::Show { file, last, call } => show(&place(file)?, last, call.as_deref()),
    }
}

/// The log to look at.
fn place(file: Option<PathBuf>) -> Result<PathBuf, Failure> {
    match file {
        Some(file) => Ok(file),
        None => crate::policies::audit_in_force(),
    }
}

/// Where nothing was logged yet there is nothing to check, which is no fault of anybody's.
fn there(path: &Path) -> Result<(), Failure> {
    if path.exists() {
        return Ok(());
    }
    let message = format!("there is no audit log at {}", path.display());
    Err(Failure::new(ErrorKind::Unavailable, message)
        .help("the first call begins one; a log elsewhere can be named"))
}

fn verify(path: &Path) -> Outcome {
    there(path)?;
    let found = audit::verify_file(path).map_err(|error| failure::audit(&error))?;
    let value = json!({
        "file": path.display().to_string(),
        "records": found.lines,
        "last": found.last.to_string(),
        "intact": found.is_intact(),
        "findings": found.findings,
        "findings_total": found.findings_total,
    });
    if found.is_intact() {
        output::answer(value, |_| {
            let good = paint(style::GOOD, "intact");
            let records =
                style::count(usize::try_from(found.lines).unwrap_or(usize::MAX), "record");
            format!(
                "{good}: {records} in {}, last hash {}",
                path.display(),
                found.last
            )
        });
        return Ok(exit::OK);
    }
    if !output::json() {
        for Finding { line, what } in &found.findings {
            output::note(format!(
                "{}:{line}: {}",
                path.display(),
                escape_control(what)
            ));
        }
    }
    let total = usize::try_from(found.findings_total).unwrap_or(usize::MAX);
    let first = found.findings.first();
    let first = first.map_or(String::new(), |first| {
        format!(", the first at line {}", first.line)
    });
    let message = format!(
        "the audit log {} is not what was written: {}{first}",
        path.display(),
        style::count(total, "finding")
    );
    Err(Failure::check(ErrorKind::DigestMismatch, message)
        .help("keep the log and its .head file as evidence, and find out who can write there")
        .data(value))
}

fn show(path: &Path, last: usize, call: Option<&str>) -> Outcome {
    there(path)?;
    let entries = audit::read_file(path).map_err(|error| failure::audit(&error))?;
    let mut shown = std::collections::VecDeque::new();
    let mut broken = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) if call.is_none_or(|call| concerns(&entry.record, call)) => {
                shown.push_back(entry);
            }
            Ok(_) => {}
            Err(finding) => broken.push(finding),
        }
        // Only what is shown is kept, since a log may be larger than memory.
        if last > 0 && shown.len() > last {
            shown.pop_front();
        }
    }
    for Finding { line, what } in &broken {
        output::note(format!(
            "{}:{line}: not readable: {}",
            path.display(),
            escape_control(what)
        ));
    }
    if let (true, Some(call)) = (shown.is_empty(), call) {
        output::note(format!("no record of the call {}", escape_control(call)));
    }
    let value =
        json!({ "file": path.display().to_string(), "records": shown, "unreadable": broken });
    output::answer(value, |_| shown.iter().map(line).collect());
    Ok(exit::OK)
}

fn concerns(record: &AuditRecord, call: &str) -> bool {
    match record {
        AuditRecord::Decision(decision) => decision.call_id.as_str() == call,
        AuditRecord::Call(record) => record.call_id.as_str() == call,
        AuditRecord::Session(_) | AuditRecord::Workers(_) | AuditRecord::Recovered(_) => false,
    }
}

fn line(entry: &Entry) -> String {
    // The log is a file that others may have written to, so nothing in it is shown as it is.
    let time = escape_control(entry.time.get(..19).unwrap_or(&entry.time)).into_owned();
    let what = match &entry.record {
        AuditRecord::Session(session) => format!(
            "session   {}",
            escape_control(&format!(
                "toolcell {}, {}",
                session.version,
                session.policy.join(", ")
            ))
        ),
        AuditRecord::Workers(workers) => format!(
            "workers   {}, confinement {}",
            escape_control(&workers.package),
            escape_control(&workers.confinement)
        ),
        AuditRecord::Decision(decision) => decision_line(decision),
        AuditRecord::Call(call) => call_line(call),
        AuditRecord::Recovered(record) => {
            format!("recovered {} bytes of an unfinished line", record.bytes)
        }
    };
    format!("{:>6}  {}  {what}\n", entry.seq, paint(style::DIM, time))
}

fn decision_line(decision: &DecisionRecord) -> String {
    let (style, effect) = match decision.effect {
        Effect::Allow => (style::GOOD, "allow"),
        Effect::Ask => (style::NOTE, "ask"),
        Effect::Deny => (style::BAD, "deny"),
    };
    format!(
        "decision  {:<16} {} {} {}",
        escape_control(&decision.tool),
        paint(style, format_args!("{effect:<5}")),
        escape_control(&decision.access),
        paint(
            style::DIM,
            format_args!("({})", escape_control(&decision.rule))
        )
    )
}

fn call_line(call: &CallRecord) -> String {
    let ended = match call.outcome {
        Ended::Ok => paint(style::GOOD, "ok"),
        Ended::Failed(kind) => paint(style::BAD, kind.code()),
    };
    let mut line = format!(
        "call      {:<16} {ended} {}",
        escape_control(&call.tool),
        style::duration(call.usage.wall_us)
    );
    for denial in &call.denials {
        let (access, rule) = (escape_control(&denial.access), escape_control(&denial.rule));
        line.push_str(&format!("\n{:>29}  denied    {access} ({rule})", ""));
    }
    for path in &call.paths {
        line.push_str(&format!(
            "\n{:>29}  {:<9} {}",
            "",
            path.used,
            escape_control(&path.path)
        ));
    }
    for host in &call.hosts {
        let requests = style::count(
            usize::try_from(host.requests).unwrap_or(usize::MAX),
            "request",
        );
        line.push_str(&format!(
            "\n{:>29}  reached   {} ({requests}, {} sent)",
            "",
            escape_control(&host.host),
            style::count(
                usize::try_from(host.sent_bytes).unwrap_or(usize::MAX),
                "byte"
            )
        ));
    }
    line
}
