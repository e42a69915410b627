//! The worker's side of a call: the guest runs here, and what it may reach outside is asked for over the stream.

mod link;
mod network;
mod stdio;
#[cfg(test)]
mod tests;
mod tools;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::wire::{Call, Done, Fault, Few, Finished, Job, WireError};
use crate::{
    ErrorKind, ToolFailure, Usage,
    capability::{
        answer::Answer,
        files::HeldRoots,
        recorder::{Record, Recorder},
    },
    sandbox::{self, Parts, Prepared, Program, Streams},
};

use link::{Connection, Link};
use network::RemoteNetwork;
use stdio::{RemoteOutput, input};
use tools::RemoteTools;

/// What a worker process was made for.
pub(crate) enum Runnable {
    /// The tools of one package.
    Tool(Prepared),
    /// One program.
    Program(Program),
}

/// A deadline that nobody set, in case the host names a time that cannot be added to now.
const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Carries out calls, one after the other, until the host ends the stream. Everything of a call is new: store, record,
/// requests.
///
/// The guest runs on the thread that polls this future and may block it, so the runtime needs a second thread: what was
/// told to the host must reach it even while the guest is stuck.
///
/// # Errors
///
/// Where the stream fails or the host sends what has no place. The process has to end then.
pub(crate) async fn serve<S>(
    runnable: &Runnable,
    roots: Arc<HeldRoots>,
    stream: S,
) -> Result<(), WireError>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut connection = Connection::open(stream);
    while let Some(call) = connection.next_call().await? {
        let link = connection.link();
        let finished = tokio::select! {
            finished = run(runnable, &roots, &link, call) => finished,
            // Nobody is there any more who could want the answer.
            ended = connection.ended() => return ended,
        };
        link.finish(finished);
    }
    Ok(())
}

async fn run(runnable: &Runnable, roots: &Arc<HeldRoots>, link: &Link, call: Call) -> Finished {
    let number = call.number;
    let now = Instant::now();
    let telling = link.clone();
    let parts = Parts {
        roots: Arc::clone(roots),
        grants: None,
        network: Arc::new(RemoteNetwork::new(
            link.clone(),
            roots.holdings().limits.requests,
        )),
        tools: Arc::new(RemoteTools(link.clone())),
        secrets: call.secrets.0,
        deadline: now.checked_add(call.time_left).unwrap_or_else(|| now + FAR),
        // The host puts its own words in the place of these.
        out_of_time: "the call took too long".to_owned(),
        recorder: Recorder::relaying(Arc::new(move |notice| telling.tell(notice)), call.heard),
    };
    // A host that no longer wants the answer ends the stream, and with it the process.
    let never = CancellationToken::new();
    match (runnable, call.job) {
        (Runnable::Tool(prepared), Job::Tool { name, input }) => {
            let finished = prepared.call(parts, &name, input, &never).await;
            finish(number, finished, answered)
        }
        (Runnable::Program(program), Job::Program { args }) => {
            let streams = Streams {
                stdin: input(link.clone()),
                stdout: RemoteOutput::stdout(link.clone()),
                stderr: RemoteOutput::stderr(link.clone()),
            };
            let finished = program.run(parts, streams, &args.0, &never).await;
            finish(number, finished, Done::Exit)
        }
        _ => {
            let outcome: Result<u8, _> = Err(ToolFailure::new(
                ErrorKind::Internal,
                "the worker was made for something else",
            ));
            let finished = sandbox::Finished {
                outcome,
                usage: Usage::default(),
                record: Record::default(),
            };
            finish(number, finished, Done::Exit)
        }
    }
}

fn answered(answer: Answer) -> Done {
    match answer {
        Ok(mut pieces) => {
            // One more than allowed is enough for the host to refuse it.
            pieces.truncate(super::wire::MAX_PIECES);
            Done::Answer(Few(pieces))
        }
        Err(error) => Done::Refused(error),
    }
}

fn finish<T>(
    number: u64,
    finished: sandbox::Finished<T>,
    done: impl FnOnce(T) -> Done,
) -> Finished {
    let sandbox::Finished {
        outcome,
        usage,
        record,
    } = finished;
    let told = record.denials.len() as u64;
    Finished {
        number,
        done: match outcome {
            Ok(outcome) => done(outcome),
            Err(failure) => Done::Failed(Fault {
                kind: failure.kind,
                message: failure.message,
            }),
        },
        cpu_us: usage.cpu_us,
        fuel: usage.fuel,
        memory_peak_bytes: usage.memory_peak_bytes,
        written_bytes: usage.written_bytes,
        files_created: usage.files_created,
        log_bytes: usage.log_bytes,
        denials_untold: record.denials_total.saturating_sub(told),
        paths_untold: record.paths_dropped,
    }
}
