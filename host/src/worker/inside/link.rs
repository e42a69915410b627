//! What a guest's host functions share of the stream: asking, and telling.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    sync::{
        mpsc::{self, UnboundedReceiver, UnboundedSender},
        oneshot,
    },
    task::JoinHandle,
};

use crate::{
    ErrorKind,
    capability::recorder::Notice,
    worker::wire::{
        Ask, Call, Done, Fault, Finished, FrameReader, FromWorker, Reply, ToWorker, WireError,
        decode, encode,
    },
};

/// The stream, between two tasks that read and write it.
pub(super) struct Connection {
    shared: Arc<Mutex<Shared>>,
    calls: UnboundedReceiver<Call>,
    reading: JoinHandle<Result<(), WireError>>,
    writing: JoinHandle<()>,
}

/// What the tasks and all links share.
struct Shared {
    /// Bounded by what the call may tell and ask: its own limits hold here before the host's do.
    out: UnboundedSender<Vec<u8>>,
    waiting: HashMap<u64, oneshot::Sender<Reply>>,
    /// The number of the last question. Numbers are never used again, so that a late reply finds nobody.
    last: u64,
    /// The number of the call that may use the stream; none between calls.
    call: Option<u64>,
    calls: u64,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // It is consistent after every single statement.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    pub(super) fn open<S>(stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (reader, mut writer) = tokio::io::split(stream);
        let (out, mut queue) = mpsc::unbounded_channel::<Vec<u8>>();
        let shared = Arc::new(Mutex::new(Shared {
            out,
            waiting: HashMap::new(),
            last: 0,
            call: None,
            calls: 0,
        }));
        let (found, calls) = mpsc::unbounded_channel();
        let writing = tokio::spawn(async move {
            while let Some(frame) = queue.recv().await {
                // A host that has gone shows at the other half.
                if writer.write_all(&frame).await.is_err() || writer.flush().await.is_err() {
                    return;
                }
            }
        });
        let replying = Arc::clone(&shared);
        let reading = tokio::spawn(async move {
            let ended = read(reader, &found, &replying).await;
            // Nobody will reply any more.
            let mut shared = lock(&replying);
            shared.call = None;
            shared.waiting.clear();
            ended
        });
        Self {
            shared,
            calls,
            reading,
            writing,
        }
    }

    /// The next call, or `None` where the host ended the stream.
    pub(super) async fn next_call(&mut self) -> Result<Option<Call>, WireError> {
        match self.calls.recv().await {
            Some(call) => Ok(Some(call)),
            None => self.ended().await.map(|()| None),
        }
    }

    /// Waits until the host has ended the stream.
    pub(super) async fn ended(&mut self) -> Result<(), WireError> {
        (&mut self.reading).await.unwrap_or(Ok(()))
    }

    /// The link of one call; those of earlier calls are dead.
    pub(super) fn link(&self) -> Link {
        let mut shared = lock(&self.shared);
        shared.calls += 1;
        shared.call = Some(shared.calls);
        Link {
            call: shared.calls,
            shared: Arc::clone(&self.shared),
        }
    }
}

/// Hands on what the host sends, until it ends the stream.
async fn read(
    stream: impl AsyncRead + Unpin,
    calls: &UnboundedSender<Call>,
    shared: &Mutex<Shared>,
) -> Result<(), WireError> {
    let mut frames = FrameReader::new(stream);
    while let Some(frame) = frames.next().await? {
        match decode(&frame)? {
            ToWorker::Call(call) => {
                let _ = calls.send(call);
            }
            ToWorker::Reply(id, reply) => {
                let waiting = lock(shared).waiting.remove(&id);
                if let Some(waiting) = waiting {
                    // Whoever asked may have lost interest.
                    let _ = waiting.send(reply);
                }
            }
        }
    }
    Ok(())
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reading.abort();
        self.writing.abort();
    }
}

/// One call's use of the stream. After the call has finished nothing more is sent, whatever tasks it left behind.
#[derive(Clone)]
pub(super) struct Link {
    call: u64,
    shared: Arc<Mutex<Shared>>,
}

impl Link {
    /// Asks and gives the number of the question and where the reply will be; nothing where the call is over.
    pub(super) fn post(&self, ask: Ask) -> Option<(u64, oneshot::Receiver<Reply>)> {
        let mut shared = self.open()?;
        let id = shared.last + 1;
        let frame = encode(&FromWorker::Ask(id, ask)).ok()?;
        shared.last = id;
        let (tell, reply) = oneshot::channel();
        shared.waiting.insert(id, tell);
        shared.out.send(frame).ok()?;
        Some((id, reply))
    }

    /// Asks and waits for the reply; nothing where the call is over.
    pub(super) async fn ask(&self, ask: Ask) -> Option<Reply> {
        let (_, reply) = self.post(ask)?;
        reply.await.ok()
    }

    /// Lets go of a request.
    pub(super) fn close(&self, id: u64) {
        self.send(&FromWorker::Close(id));
    }

    /// Tells the host at once what happened.
    pub(super) fn tell(&self, notice: Notice) {
        self.send(&FromWorker::Notice(notice));
    }

    /// Says how the call ended. Nothing of it is sent after that.
    pub(super) fn finish(&self, finished: Finished) {
        let Some(mut shared) = self.open() else {
            return;
        };
        shared.call = None;
        shared.waiting.clear();
        let usage = Finished {
            done: Done::Failed(Fault {
                kind: ErrorKind::LimitOutput,
                message: "the answer is larger than any answer may be".to_owned(),
            }),
            ..finished
        };
        let whole = FromWorker::Finished(Finished {
            done: finished.done,
            ..usage.clone()
        });
        let frame = encode(&whole).or_else(|_| encode(&FromWorker::Finished(usage)));
        if let Ok(frame) = frame {
            let _ = shared.out.send(frame);
        }
    }

    fn send(&self, message: &FromWorker) {
        if let (Some(shared), Ok(frame)) = (self.open(), encode(message)) {
            let _ = shared.out.send(frame);
        }
    }

    fn open(&self) -> Option<MutexGuard<'_, Shared>> {
        Some(lock(&self.shared)).filter(|shared| shared.call == Some(self.call))
    }
}
