//! The thread that starts worker processes, and sees to it that none is left behind.
//!
//! It is one thread for the whole process, since the kernel ends a worker when the *thread* ends that started it.

use std::{
    io,
    process::{Child, Command, ExitStatus},
    sync::{
        Mutex, PoisonError, Weak,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// How often is looked whether a killed process is gone, while one is not.
const REAP_EVERY: Duration = Duration::from_millis(5);
/// How often idle workers are looked at.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// How long a process whose end of the socket is closed may take to end, in milliseconds.
const LAST_MILLIS: u32 = 100;

enum Order {
    Start(Box<Command>, Sender<io::Result<Child>>),
    Reap(Dying),
    Tidy(Weak<dyn Tidy>),
}

/// A process that was killed, and what is left to do when it is gone.
struct Dying {
    child: Child,
    afterwards: Vec<Afterwards>,
}

/// Something to do when a process is gone.
pub(super) type Afterwards = Box<dyn FnOnce() + Send>;

impl Drop for Dying {
    fn drop(&mut self) {
        let afterwards = std::mem::take(&mut self.afterwards);
        if afterwards.is_empty() {
            return;
        }
        // Deleting files takes its time, and others wait to be started. Without a thread to be had, nothing is done: what
        // is left is cleaned up by a later host.
        let cleaning = thread::Builder::new().name("toolcell-clean".to_owned());
        let _ = cleaning.spawn(move || afterwards.into_iter().for_each(|work| work()));
    }
}

/// What wants to be looked at once a second, for as long as it exists.
pub(super) trait Tidy: Send + Sync {
    fn tidy(&self, now: Instant);
}

/// A process that was started. It is killed when this is dropped, and reaped soon after.
pub(super) struct Process(Option<Dying>);

impl Process {
    /// Starts a command. It waits for the system for some milliseconds.
    pub(super) fn start(command: Command) -> io::Result<Self> {
        let (answer, answered) = channel();
        order(Order::Start(Box::new(command), answer))?;
        let child = answered
            .recv()
            .map_err(|_| io::Error::other("the thread that starts workers has ended"))??;
        let afterwards = Vec::new();
        Ok(Self(Some(Dying { child, afterwards })))
    }

    /// Does something when the process is gone.
    pub(super) fn afterwards(&mut self, work: impl FnOnce() + Send + 'static) {
        if let Some(process) = &mut self.0 {
            process.afterwards.push(Box::new(work));
        }
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.0.as_ref().map_or(0, |process| process.child.id())
    }

    /// How it ended, if it ends within a moment.
    pub(super) async fn end_soon(&mut self) -> Option<ExitStatus> {
        for _ in 0..LAST_MILLIS {
            if let Some(status) = self.status() {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.status()
    }

    /// How it ended, if it did.
    pub(super) fn status(&mut self) -> Option<ExitStatus> {
        self.0.as_mut()?.child.try_wait().ok()?
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(mut process) = self.0.take() else {
            return;
        };
        if matches!(process.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // Whatever it waits for: a process that is killed is ended by the kernel, and only has to be waited for.
        let _ = process.child.kill();
        let _ = order(Order::Reap(process));
    }
}

/// Has something looked at once a second.
pub(super) fn watch(what: Weak<dyn Tidy>) -> io::Result<()> {
    order(Order::Tidy(what))
}

/// Gives an order to the thread, which is started by the first one. A process that was forked has no such thread, and
/// starts its own.
fn order(order: Order) -> io::Result<()> {
    static THREAD: Mutex<Option<(u32, Sender<Order>)>> = Mutex::new(None);
    let mut thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    let own = std::process::id();
    let order = match &*thread {
        Some((process, orders)) if *process == own => match orders.send(order) {
            Ok(()) => return Ok(()),
            Err(unsent) => unsent.0,
        },
        _ => order,
    };
    let (orders, received) = channel();
    thread::Builder::new()
        .name("toolcell-workers".to_owned())
        .spawn(move || run(&received))?;
    let sent = orders.send(order);
    *thread = Some((own, orders));
    sent.map_err(|_| io::Error::other("the thread that starts workers has ended"))
}

fn run(orders: &Receiver<Order>) {
    let mut dying: Vec<Dying> = Vec::new();
    let mut tidied: Vec<Weak<dyn Tidy>> = Vec::new();
    let mut next_tidy = Instant::now() + TIDY_EVERY;
    loop {
        let now = Instant::now();
        if now >= next_tidy {
            next_tidy = now + TIDY_EVERY;
            tidied.retain(|one| one.upgrade().map(|one| one.tidy(now)).is_some());
        }
        dying.retain_mut(|process| matches!(process.child.try_wait(), Ok(None)));
        let order = match (dying.is_empty(), tidied.is_empty()) {
            (true, true) => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            (true, false) => orders.recv_timeout(next_tidy.saturating_duration_since(now)),
            (false, _) => orders.recv_timeout(REAP_EVERY),
        };
        match order {
            Ok(Order::Start(mut command, answer)) => {
                // Nobody waits for it any more: then it is dropped, killed and reaped.
                if let Err(unread) = answer.send(command.spawn())
                    && let Ok(mut child) = unread.0
                {
                    let _ = child.kill();
                    let afterwards = Vec::new();
                    dying.push(Dying { child, afterwards });
                }
            }
            Ok(Order::Reap(process)) => dying.push(process),
            Ok(Order::Tidy(what)) => tidied.push(what),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
