//! Who may run now, who waits, and who is turned away: the limits on many calls together.
//!
//! Every call is counted for its tool, for its session where it has one, and for the host. First comes the `rate` of
//! all three; then, where a person is asked, a place among the open `questions`; then a place to run. A call that finds
//! none waits in its tool's own queue, and queues take turns: what one tool has waiting is nothing to another. A call
//! that waits, or a person who thinks, holds no place.
//!
//! A tool, and a session, takes a further place only while it holds fewer than are free, and the same goes for the
//! host's queue. So one that floods the host gets half of it, two get a third each, and there is a place left for
//! somebody who holds none.

mod rate;
mod state;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::sync::oneshot;
use toolcell_policy::{Limits, Rate, SharedLimits};

use crate::{ErrorKind, SessionId, ToolFailure};

use state::{Granted, State, Ticket};

/// The longest wait for a free place, before a call is answered with `busy`.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(5);

/// How many sessions are counted at one time. One more is turned away until another has ended.
pub(crate) const MAX_SESSIONS: usize = 10_000;

/// What bounds the calls of a tool, of a session or of the host together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Calls that run at one time.
    pub(crate) concurrency: u32,
    /// Calls that wait.
    pub(crate) queue: u32,
    /// Open questions to a person.
    pub(crate) questions: u32,
    /// Calls over time.
    pub(crate) rate: Option<Rate>,
}

impl Bounds {
    /// Those of one tool.
    pub(crate) fn of_tool(limits: &Limits) -> Self {
        Self {
            concurrency: limits.concurrency,
            queue: limits.queue,
            questions: limits.questions,
            rate: limits.rate,
        }
    }

    /// Those of many, within `places`.
    fn shared(limits: &SharedLimits, places: u32) -> Self {
        Self {
            concurrency: limits.concurrency.unwrap_or(places).min(places),
            queue: limits.queue,
            questions: limits.questions,
            rate: limits.rate,
        }
    }
}

/// Whose call it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    /// The tool's public name. Its bounds are those of the version that is called; its counts are kept by name, so that
    /// to load a tool again sets none of them back.
    pub(crate) tool: &'a str,
    pub(crate) bounds: Bounds,
    /// The session that the call counts for; none for calls that tools make, which their first caller's call bounds.
    pub(crate) session: Option<&'a SessionId>,
}

/// Which of the three has reached a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Tool,
    Session,
    Host,
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tool => "the tool",
            Self::Session => "the session",
            Self::Host => "the host",
        })
    }
}

/// Why a call is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The allowance is used up until then.
    Rate(Whose, Rate, Duration),
    /// No place became free in time.
    Places(Whose, u32),
    /// It holds so many places, and no more than that are left for all others.
    PlaceShare(Whose, u32),
    /// No place is free, and no more calls may wait for one.
    Queue(Whose, u32),
    /// So many of its calls wait, and no more than that may wait of all others.
    QueueShare(Whose, u32),
    /// As many questions are open as may be.
    Questions(Whose, u32),
    /// As many sessions are counted as can be.
    Sessions,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(whose, rate, wait) => write!(
                f,
                "{whose} is called too often: its limit `rate` is {rate}; try again in {} s",
                wait.as_secs() + 1
            ),
            Self::Places(whose, number) => write!(
                f,
                "{whose} runs as many calls as it may: its limit `concurrency` is {number}, and no place was free within \
                 {} s; try again when one of them has ended",
                MAX_WAIT.as_secs()
            ),
            Self::Queue(whose, number) => write!(
                f,
                "{whose} has as many calls waiting as it may: its limit `queue` is {number}; try again in {} s",
                MAX_WAIT.as_secs()
            ),
            Self::PlaceShare(whose, number) => write!(
                f,
                "{whose} runs {number} calls, and holds half of the places that are left; none was free for it within {} \
                 s; try again when one of them has ended",
                MAX_WAIT.as_secs()
            ),
            Self::QueueShare(whose, number) => write!(
                f,
                "{whose} has {number} calls waiting, and no more may wait of all others; try again in {} s",
                MAX_WAIT.as_secs()
            ),
            Self::Questions(whose, number) => write!(
                f,
                "{whose} has as many questions open as it may: its limit `questions` is {number}; try again when a \
                 person has answered one"
            ),
            Self::Sessions => write!(
                f,
                "the host counts as many sessions as it can: {MAX_SESSIONS}; try again when one of them has ended"
            ),
        }
    }
}

impl From<Refusal> for ToolFailure {
    fn from(refusal: Refusal) -> Self {
        Self::new(ErrorKind::Busy, refusal.to_string())
    }
}

/// What a host has to do at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AdmissionReport {
    /// Calls that run, those that tools make included.
    pub running: u32,
    /// Calls that wait for a free place.
    pub waiting: u32,
    /// Questions to a person that are open.
    pub questions: u32,
    /// Sessions that have calls, or a `rate` that is not whole again.
    pub sessions: u32,
    /// Calls that were turned away as `busy` since the host began.
    pub turned_away: u64,
}

/// Counts the calls of a host. Clones share the counts.
#[derive(Clone)]
pub(crate) struct Admission {
    state: Arc<Mutex<State>>,
}

impl Admission {
    /// An idle host whose engine has so many places.
    pub(crate) fn new(session: &SharedLimits, host: &SharedLimits, places: u32) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new(
                Bounds::shared(session, u32::MAX),
                Bounds::shared(host, places),
            ))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing between the changes of one visit panics, so the counts agree whatever happened to the thread.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call for every `rate` that holds for it; for a tool that does not exist there is no `tool`. A call that
    /// is turned away takes nothing from any allowance.
    ///
    /// # Errors
    ///
    /// The rate that allows no further call, and how long for.
    pub(crate) fn count(
        &self,
        tool: Option<(&str, Bounds)>,
        session: Option<&SessionId>,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.lock().count(tool, session, now)
    }

    /// Whether the call could run, or wait for that, if it had consent: nobody is asked in vain.
    ///
    /// # Errors
    ///
    /// Whose waiting calls are too many.
    pub(crate) fn room(&self, caller: Caller<'_>) -> Result<(), Refusal> {
        self.lock().room(caller)
    }

    /// Counts a question to a person until what is returned is dropped. It holds no place to run.
    ///
    /// # Errors
    ///
    /// Whose questions are too many.
    pub(crate) fn ask(&self, caller: Caller<'_>) -> Result<Question, Refusal> {
        self.lock().ask(caller)?;
        Ok(Question {
            admission: self.clone(),
            tool: caller.tool.to_owned(),
            session: caller.session.cloned(),
        })
    }

    /// Takes a place to run, and waits for one until `until` and for [`MAX_WAIT`] at most. A call that a person
    /// `consented` to may wait even where the queues are full: how many there are is bounded by `questions`.
    ///
    /// # Errors
    ///
    /// Whose places, or whose waiting calls, are too many.
    pub(crate) async fn enter(
        &self,
        caller: Caller<'_>,
        consented: bool,
        until: Instant,
    ) -> Result<Place, Refusal> {
        let (wake, woken) = oneshot::channel();
        let ticket = {
            let mut state = self.lock();
            match state.enter(caller, consented, wake)? {
                None => return Ok(self.place(caller.tool, caller.session)),
                Some(ticket) => ticket,
            }
        };
        let waiting = Waiting {
            admission: self,
            ticket,
        };
        let until = until.min(Instant::now() + MAX_WAIT);
        let place = tokio::time::timeout_at(until.into(), woken).await;
        match place {
            Ok(Ok(place)) => Ok(place),
            // The sender goes only with the ticket, which is still there.
            Ok(Err(_)) | Err(_) => Err(waiting.admission.lock().give_up(caller)),
        }
    }

    /// What is going on.
    pub(crate) fn report(&self) -> AdmissionReport {
        self.lock().report()
    }

    /// Says what is going on for as long as the host lives, and does not keep it alive.
    pub(crate) fn watched(
        &self,
    ) -> impl Fn() -> Option<AdmissionReport> + Clone + Send + Sync + 'static {
        let state = Arc::downgrade(&self.state);
        move || {
            Some(
                Self {
                    state: state.upgrade()?,
                }
                .report(),
            )
        }
    }

    fn place(&self, tool: &str, session: Option<&SessionId>) -> Place {
        Place {
            admission: self.clone(),
            tool: tool.to_owned(),
            session: session.cloned(),
        }
    }

    /// Gives places to those who wait, as far as there are any.
    fn hand_out(&self, mut state: MutexGuard<'_, State>) {
        let granted: Vec<Granted> = state.grant();
        drop(state);
        for Granted {
            wake,
            tool,
            session,
        } in granted
        {
            // Whoever waited may have gone at this moment. Then its place is free again, which takes the lock.
            let _ = wake.send(self.place(&tool, session.as_ref()));
        }
    }
}

/// A question to a person that is open.
#[must_use]
pub(crate) struct Question {
    admission: Admission,
    tool: String,
    session: Option<SessionId>,
}

impl Drop for Question {
    fn drop(&mut self) {
        self.admission
            .lock()
            .answered(&self.tool, self.session.as_ref());
    }
}

/// A place to run. Dropping it gives it to the next call in turn.
#[must_use]
pub(crate) struct Place {
    admission: Admission,
    tool: String,
    session: Option<SessionId>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.admission.lock();
        state.left(&self.tool, self.session.as_ref());
        self.admission.hand_out(state);
    }
}

/// A call that waits. It is dropped when the call has its place, is out of time, or is given up by its caller.
struct Waiting<'a> {
    admission: &'a Admission,
    ticket: Ticket,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.admission.lock().forget(&self.ticket);
    }
}

#[cfg(test)]
mod tests;
