//! Answers what a worker asks for during one call.

mod exchange;

use std::{collections::HashMap, pin::pin, sync::Arc};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
};

use super::{End, notices::Notices, stdio::Streams};
use toolcell_policy::Limits;

use crate::{
    capability::{
        answer::{OwnError, OwnErrorKind},
        http::{Requests, Sent},
        tools::CallTools,
    },
    sandbox::{Setup, Stdio},
    worker::wire::{
        Ask, Few, Finished, FrameReader, FromWorker, MAX_FRAME_BYTES, Reply, STREAM_BYTES,
        ToWorker, WireError, decode, encode,
    },
};

use exchange::Exchange;

/// How much a worker may have asked for at once: what a guest can hold and do within the limits of its call.
struct Bounds {
    /// Open requests.
    exchanges: usize,
    /// Questions that wait for their replies.
    asks: usize,
    /// The bytes of such questions together.
    bytes: usize,
}

impl Bounds {
    fn of(limits: &Limits) -> Self {
        // One more is asked for, so that the host sees the limit exceeded.
        let requests = limits.requests.saturating_add(1);
        let exchanges = usize::try_from(requests).unwrap_or(usize::MAX);
        Self {
            exchanges,
            // Each open request has a piece of each body on its way. Beside them a guest calls one tool and uses three
            // streams.
            asks: exchanges.saturating_mul(2).saturating_add(4),
            bytes: exchanges
                .saturating_mul(REQUEST_BYTES)
                .saturating_add(MAX_FRAME_BYTES),
        }
    }
}

/// What an open request may have in its questions: a head, or a piece of a body.
const REQUEST_BYTES: usize = 256 << 10;

/// The host's side of everything that a worker may ask for in one call.
pub(super) struct Service {
    network: Arc<Requests>,
    tools: Arc<dyn CallTools>,
    stdio: Option<Streams>,
    notices: Notices,
    exchanges: HashMap<u64, Exchange>,
    work: FuturesUnordered<BoxFuture<'static, Worked>>,
    /// The number of the last question.
    last: u64,
    asks: usize,
    ask_bytes: usize,
    bounds: Bounds,
    /// Whether another tool is being called, and standard input read: a guest does one of each at a time.
    calling: bool,
    reading: bool,
    /// Writes to standard streams that have not come through yet.
    writing: usize,
}

/// Something that was worked on.
struct Worked {
    /// The bytes of the question; none for what no question is about.
    asked: Option<usize>,
    /// Its number.
    id: u64,
    what: What,
}

/// What came of it.
enum What {
    Reply(Reply),
    /// The head of a response, or why there is none.
    Head(Result<Sent, wasmtime_wasi_http::Error>),
    /// Another tool was called, standard input read or a standard stream written.
    Called(Reply),
    Read(Reply),
    Written(Reply),
    /// The guest has let go of it.
    Dropped,
}

impl Service {
    pub(super) fn new(setup: &Setup, network: Arc<Requests>, stdio: Option<Stdio>) -> Self {
        Self {
            network,
            tools: setup.tools(),
            stdio: stdio.map(Into::into),
            notices: Notices::new(
                setup.grants().clone(),
                setup.recorder.clone(),
                setup.out_of_time.clone(),
            ),
            exchanges: HashMap::new(),
            work: FuturesUnordered::new(),
            last: 0,
            asks: 0,
            ask_bytes: 0,
            bounds: Bounds::of(setup.grants().limits()),
            calling: false,
            reading: false,
            writing: 0,
        }
    }

    /// Sends the call and serves it until it has ended.
    pub(super) async fn run<R, W>(
        &mut self,
        number: u64,
        call: Vec<u8>,
        frames: &mut FrameReader<R>,
        writer: W,
    ) -> End
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let (out, queue) = mpsc::unbounded_channel();
        // The other end is below.
        let _ = out.send(call);
        let mut writing = pin!(write(queue, writer));
        let served = {
            let mut serving = pin!(self.serve(frames, out));
            tokio::select! {
                biased;
                served = &mut serving => served,
                written = &mut writing => match written {
                    // A worker that reads no more may still have said how the call ended.
                    Err(_) => serving.await,
                    Ok(()) => Ok(None),
                },
            }
        };
        match served {
            Ok(Some(finished)) if finished.number != number => {
                End::Broken(WireError::OutOfTurn("the end of another call"))
            }
            Ok(Some(finished)) => {
                // What is left for the worker goes out whole, so that the stream is where the next call begins.
                match writing.await {
                    Ok(()) => End::Finished(finished),
                    Err(_) => End::Gone,
                }
            }
            Ok(None) | Err(WireError::Cut | WireError::Io(_)) => End::Gone,
            Err(error) => End::Broken(error),
        }
    }

    /// Passes on what was held back, once the call has ended.
    pub(super) fn finish(&mut self) {
        self.notices.finish();
    }

    async fn serve<R: AsyncRead + Unpin>(
        &mut self,
        frames: &mut FrameReader<R>,
        out: UnboundedSender<Vec<u8>>,
    ) -> Result<Option<Finished>, WireError> {
        let finished = loop {
            tokio::select! {
                frame = frames.next() => match frame? {
                    None => return Ok(None),
                    Some(frame) => if let Some(finished) = self.take(&frame)? {
                        break finished;
                    },
                },
                Some(worked) = self.work.next() => self.settle(worked, &out),
            }
        };
        self.exchanges.clear();
        // What a program has written before it ended is not lost.
        while self.writing > 0 {
            match self.work.next().await {
                Some(worked) => self.settle(worked, &out),
                None => break,
            }
        }
        self.work.clear();
        Ok(Some(finished))
    }

    fn take(&mut self, frame: &[u8]) -> Result<Option<Finished>, WireError> {
        match decode(frame)? {
            FromWorker::Ask(id, ask) => self.ask(id, ask, frame.len())?,
            FromWorker::Close(id) => drop(self.exchanges.remove(&id).ok_or(NO_REQUEST)?),
            FromWorker::Notice(notice) => self.notices.apply(notice)?,
            FromWorker::Finished(finished) => return Ok(Some(finished)),
        }
        Ok(None)
    }

    fn ask(&mut self, id: u64, ask: Ask, bytes: usize) -> Result<(), WireError> {
        if id <= self.last {
            return Err(WireError::OutOfTurn("a number that was used before"));
        }
        self.last = id;
        self.asks += 1;
        self.ask_bytes = self.ask_bytes.saturating_add(bytes);
        if self.asks > self.bounds.asks || self.ask_bytes > self.bounds.bytes {
            return Err(WireError::OutOfTurn("too many questions at once"));
        }
        let work = self.begin(id, ask)?;
        self.work.push(Box::pin(async move {
            Worked {
                asked: Some(bytes),
                id,
                what: work.await,
            }
        }));
        Ok(())
    }

    fn begin(&mut self, id: u64, ask: Ask) -> Result<BoxFuture<'static, What>, WireError> {
        Ok(match ask {
            Ask::Send(request) => {
                if self.exchanges.len() >= self.bounds.exchanges {
                    return Err(WireError::OutOfTurn("too many open requests"));
                }
                let (exchange, sending) = Exchange::begin(&self.network, request);
                self.exchanges.insert(id, exchange);
                sending
            }
            Ask::Body(of, piece) => self.exchanges.get_mut(&of).ok_or(NO_REQUEST)?.send(piece)?,
            Ask::Read(of) => self.exchanges.get(&of).ok_or(NO_REQUEST)?.read()?,
            Ask::Tool { name, input } => {
                if std::mem::replace(&mut self.calling, true) {
                    return Err(WireError::OutOfTurn("two calls of tools at once"));
                }
                let tools = Arc::clone(&self.tools);
                Box::pin(async move {
                    What::Called(match tools.call(name, input).await {
                        Ok(Ok(pieces)) => Reply::Answer(Few(pieces)),
                        Ok(Err(error)) => Reply::Refused(error),
                        Err(limit) => Reply::Stop(limit.0),
                    })
                })
            }
            Ask::Input(max) => {
                let stdio = self.stdio.as_ref().ok_or(NO_STREAMS)?;
                if std::mem::replace(&mut self.reading, true) {
                    return Err(WireError::OutOfTurn("two reads of standard input at once"));
                }
                let reading = stdio.read(max);
                Box::pin(async move { What::Read(reading.await) })
            }
            Ask::Output(output, bytes) => {
                let stdio = self.stdio.as_ref().ok_or(NO_STREAMS)?;
                if bytes.len() > STREAM_BYTES || self.writing >= 2 {
                    return Err(WireError::OutOfTurn("too much output at once"));
                }
                self.writing += 1;
                let writing = stdio.write(output, bytes);
                Box::pin(async move { What::Written(writing.await) })
            }
        })
    }

    fn settle(&mut self, worked: Worked, out: &UnboundedSender<Vec<u8>>) {
        let Worked { asked, id, what } = worked;
        if let Some(bytes) = asked {
            self.asks = self.asks.saturating_sub(1);
            self.ask_bytes = self.ask_bytes.saturating_sub(bytes);
        }
        let reply = match what {
            What::Reply(reply) => reply,
            What::Head(head) => {
                let Some(exchange) = self.exchanges.get_mut(&id) else {
                    return;
                };
                let (reply, driver) = exchange.head(head);
                if let Some(driver) = driver {
                    self.work.push(Box::pin(async move {
                        driver.await;
                        Worked {
                            asked: None,
                            id,
                            what: What::Dropped,
                        }
                    }));
                }
                reply
            }
            What::Called(reply) => {
                self.calling = false;
                reply
            }
            What::Read(reply) => {
                self.reading = false;
                reply
            }
            What::Written(reply) => {
                self.writing = self.writing.saturating_sub(1);
                reply
            }
            What::Dropped => return,
        };
        let frame = encode(&ToWorker::Reply(id, reply)).or_else(|_| {
            // Only another tool's answer can be so large.
            let error = OwnError {
                kind: OwnErrorKind::TooLarge,
                code: None,
                message: "the answer of the called tool is too large".to_owned(),
                request_sent: false,
            };
            encode(&ToWorker::Reply(id, Reply::Refused(error)))
        });
        if let Ok(frame) = frame {
            // Fails where the worker reads no more.
            let _ = out.send(frame);
        }
    }
}

const NO_REQUEST: WireError = WireError::OutOfTurn("there is no such request");
const NO_STREAMS: WireError = WireError::OutOfTurn("a tool has no standard streams");

fn now(reply: Reply) -> BoxFuture<'static, What> {
    Box::pin(std::future::ready(What::Reply(reply)))
}

async fn write<W: AsyncWrite + Unpin>(
    mut queue: UnboundedReceiver<Vec<u8>>,
    mut writer: W,
) -> std::io::Result<()> {
    while let Some(frame) = queue.recv().await {
        writer.write_all(&frame).await?;
    }
    writer.flush().await
}
