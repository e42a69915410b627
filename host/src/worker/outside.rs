//! The host's side of a call in a worker process. What the worker sends is treated like the words of a guest: it is
//! bounded, checked and decided on here, whatever the worker itself should have done already.

mod notices;
mod serve;
mod stdio;
#[cfg(test)]
mod tests;

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::wire::{self, Call, Done, Fault, Few, FrameReader, Job, ToWorker, WireError, encode};
use crate::{
    Content, ErrorKind, ToolFailure, Usage,
    capability::{answer::Answer, http::Network as _, recorder::Record},
    sandbox::{self, Finished, Setup, Stdio},
    text::escape_control,
};

use serve::Service;

/// How long after a call's deadline its worker may still answer. Both have the same deadline, and the worker's own end
/// of the call comes with exact amounts.
pub(crate) const GRACE: Duration = Duration::from_millis(25);

/// The longest message of a worker, in characters.
const MAX_MESSAGE_CHARS: usize = 512;

/// A call that has ended.
#[derive(Debug)]
pub(crate) struct Ended<T> {
    /// How, and everything that was seen of it.
    pub(crate) finished: Finished<T>,
    /// Whether the worker may carry out another call. If not, it has to be killed.
    pub(crate) reusable: bool,
    /// Whether the worker ended by itself before the call had ended. Who can see its exit status may know why.
    pub(crate) gone: bool,
}

/// Has a worker run a tool once. `stream` is at a place between two calls, and is of no more use where the worker is not
/// reusable or this future was dropped.
///
/// It ends at the call's deadline plus [`GRACE`] at the latest, whatever the worker does.
pub(crate) async fn call<S>(
    stream: &mut S,
    setup: Setup,
    tool: &str,
    input: String,
    cancel: &CancellationToken,
) -> Ended<Vec<Content>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let max_output = setup.grants().limits().output;
    let job = Job::Tool {
        name: tool.to_owned(),
        input,
    };
    let ended = converse(stream, setup, job, None, cancel, |done| match done {
        Done::Answer(pieces) => Ok(Ok(pieces.0)),
        Done::Refused(error) => Ok(Err(error)),
        other => Err(other),
    });
    let Ended {
        finished,
        reusable,
        gone,
    } = ended.await;
    let finished: Finished<Answer> = finished;
    Ended {
        finished: sandbox::accept(finished, max_output),
        reusable,
        gone,
    }
}

/// Has a worker run a program once; its outcome is the exit status. As [`call`].
pub(crate) async fn program<S>(
    stream: &mut S,
    setup: Setup,
    stdio: Stdio,
    args: Vec<String>,
    cancel: &CancellationToken,
) -> Ended<u8>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let job = Job::Program { args: Few(args) };
    converse(stream, setup, job, Some(stdio), cancel, |done| match done {
        Done::Exit(status) => Ok(status),
        other => Err(other),
    })
    .await
}

/// Why a conversation ended.
enum End {
    Finished(wire::Finished),
    /// The worker ended first.
    Gone,
    /// The worker broke the rules.
    Broken(WireError),
    Cancelled,
    OutOfTime,
    Panicked,
}

async fn converse<S, T>(
    stream: &mut S,
    setup: Setup,
    job: Job,
    stdio: Option<Stdio>,
    cancel: &CancellationToken,
    read: impl FnOnce(Done) -> Result<T, Done>,
) -> Ended<T>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let begin = Instant::now();
    let deadline = setup.deadline;
    let network = setup.network();
    let mut service = Service::new(&setup, network.clone(), stdio);
    let number = rand::random();
    let call = ToWorker::Call(Call {
        number,
        job,
        secrets: Few(setup.secrets.names()),
        time_left: deadline.saturating_duration_since(begin),
        heard: setup.recorder.is_heard(),
    });
    let (reader, writer) = tokio::io::split(stream);
    let mut frames = FrameReader::new(reader);
    let end = match encode(&call) {
        Err(error) => End::Broken(error),
        Ok(call) => {
            let serving =
                AssertUnwindSafe(service.run(number, call, &mut frames, writer)).catch_unwind();
            tokio::select! {
                biased;
                () = cancel.cancelled() => End::Cancelled,
                ended = serving => ended.unwrap_or(End::Panicked),
                () = tokio::time::sleep_until((deadline + GRACE).into()) => End::OutOfTime,
            }
        }
    };
    service.finish();
    if matches!(end, End::OutOfTime) {
        // The record keeps an earlier limit, if there was one.
        let _ = setup
            .recorder
            .exceed(ErrorKind::LimitTime, setup.out_of_time.clone());
    }
    let wall_us = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
    let mut usage = Usage {
        wall_us,
        ..Usage::default()
    };
    if let End::Finished(finished) = &end {
        claim(&mut usage, finished, &setup);
        // None of them takes less than a microsecond.
        let (denials, paths) = (finished.denials_untold, finished.paths_untold);
        setup
            .recorder
            .count(denials.min(wall_us), paths.min(wall_us));
    }
    let http = network.usage();
    usage.egress_bytes = http.sent_bytes;
    usage.ingress_bytes = http.received_bytes;
    usage.requests = http.requests;
    let record = setup.recorder.take();
    let gone = matches!(end, End::Gone);
    let outcome = judge(end, &record, read);
    Ended {
        reusable: outcome.is_ok() && frames.is_empty(),
        finished: Finished {
            outcome,
            usage,
            record,
        },
        gone,
    }
}

/// Takes over what the worker says it used, as far as it can be true.
fn claim(usage: &mut Usage, finished: &wire::Finished, setup: &Setup) {
    let limits = setup.grants().limits();
    usage.cpu_us = finished.cpu_us.min(usage.wall_us);
    usage.fuel = limits
        .fuel
        .map(|limit| finished.fuel.unwrap_or_default().min(limit));
    usage.memory_peak_bytes = finished.memory_peak_bytes.min(limits.memory);
    usage.written_bytes = finished.written_bytes.min(limits.written);
    usage.files_created = finished.files_created.min(limits.created.into());
    usage.log_bytes = finished.log_bytes.min(limits.log);
}

/// Turns the end of a conversation into the outcome of its call. A limit in the host's own record counts first.
fn judge<T>(
    end: End,
    record: &Record,
    read: impl FnOnce(Done) -> Result<T, Done>,
) -> Result<T, ToolFailure> {
    if let Some(limit) = &record.limit {
        return Err(ToolFailure::new(limit.kind, limit.message.clone()));
    }
    let fail = |kind, message: &str| Err(ToolFailure::new(kind, message));
    match end {
        End::Finished(finished) => match read(finished.done) {
            Ok(outcome) => Ok(outcome),
            Err(Done::Failed(fault)) => Err(failure(&fault)),
            Err(_) => fail(
                ErrorKind::Trap,
                "the tool's process answered something else",
            ),
        },
        End::Gone => fail(ErrorKind::Trap, "the tool's process ended"),
        End::Broken(error) => {
            tracing::warn!(%error, "a worker broke the rules of its stream");
            fail(ErrorKind::Trap, "the tool's process broke the rules")
        }
        End::Cancelled => fail(ErrorKind::Cancelled, "the caller cancelled the call"),
        End::OutOfTime => fail(ErrorKind::LimitTime, "the call took too long"),
        End::Panicked => {
            tracing::error!("a host function panicked during a call");
            fail(ErrorKind::Internal, "the host failed during the call")
        }
    }
}

/// A worker's own word for how a call failed: one of the kinds that a sandbox gives.
fn failure(fault: &Fault) -> ToolFailure {
    let kind = match fault.kind {
        ErrorKind::LimitTime
        | ErrorKind::LimitCpu
        | ErrorKind::LimitMemory
        | ErrorKind::LimitOutput
        | ErrorKind::LimitLog
        | ErrorKind::LimitEgress
        | ErrorKind::LimitFiles
        | ErrorKind::InvalidInput
        | ErrorKind::InvalidOutput
        | ErrorKind::ToolError
        | ErrorKind::Busy
        | ErrorKind::Internal => fault.kind,
        _ => ErrorKind::Trap,
    };
    ToolFailure::new(kind, line(&fault.message, MAX_MESSAGE_CHARS))
}

/// A worker's text in one line, and not too long.
fn line(text: &str, max_chars: usize) -> String {
    let start: String = text.chars().take(max_chars).collect();
    escape_control(&start).into_owned()
}
