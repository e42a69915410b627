//! The counts, and whose turn it is. Nothing here waits, reads a clock or runs anything.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use tokio::sync::oneshot;

use super::{
    AdmissionReport, Bounds, Caller, MAX_SESSIONS, Place, Refusal, Whose, rate::Allowance,
};
use crate::SessionId;

/// From so many sessions on, those that have nothing to count are looked for and forgotten.
const SWEEP_FROM: usize = 64;

/// What one tool, one session or the host has going on.
#[derive(Default)]
struct Party {
    running: u32,
    waiting: u32,
    asking: u32,
    allowance: Allowance,
}

impl Party {
    fn is_idle(&self, now: Instant) -> bool {
        self.running == 0 && self.waiting == 0 && self.asking == 0 && self.allowance.is_whole(now)
    }
}

/// One tool, and its calls that wait, in the order in which they came.
#[derive(Default)]
struct Lane {
    party: Party,
    queue: VecDeque<Waiter>,
}

struct Waiter {
    number: u64,
    bounds: Bounds,
    session: Option<SessionId>,
    wake: oneshot::Sender<Place>,
}

/// Finds a call that waits.
pub(super) struct Ticket {
    number: u64,
    tool: String,
}

/// A call that waited and has a place now.
pub(super) struct Granted {
    pub(super) wake: oneshot::Sender<Place>,
    pub(super) tool: String,
    pub(super) session: Option<SessionId>,
}

/// All counts of a host.
pub(super) struct State {
    session_bounds: Bounds,
    host_bounds: Bounds,
    host: Party,
    tools: HashMap<String, Lane>,
    sessions: HashMap<SessionId, Party>,
    /// The tools that have calls waiting, each once; the first is the next to get a place.
    turns: VecDeque<String>,
    tickets: u64,
    turned_away: u64,
    sweep_at: usize,
}

impl State {
    pub(super) fn new(session_bounds: Bounds, host_bounds: Bounds) -> Self {
        Self {
            session_bounds,
            host_bounds,
            host: Party::default(),
            tools: HashMap::new(),
            sessions: HashMap::new(),
            turns: VecDeque::new(),
            tickets: 0,
            turned_away: 0,
            sweep_at: SWEEP_FROM,
        }
    }

    pub(super) fn report(&self) -> AdmissionReport {
        AdmissionReport {
            running: self.host.running,
            waiting: self.host.waiting,
            questions: self.host.asking,
            sessions: u32::try_from(self.sessions.len()).unwrap_or(u32::MAX),
            turned_away: self.turned_away,
        }
    }

    fn turn_away<T>(&mut self, refusal: Refusal) -> Result<T, Refusal> {
        self.turned_away += 1;
        Err(refusal)
    }

    /// Takes one from every allowance, or from none.
    pub(super) fn count(
        &mut self,
        tool: Option<(&str, Bounds)>,
        session: Option<&SessionId>,
        now: Instant,
    ) -> Result<(), Refusal> {
        if let Some(session) = session
            && !self.sessions.contains_key(session)
            && !self.room_for_a_session(now)
        {
            return self.turn_away(Refusal::Sessions);
        }
        let (session_rate, host_rate) = (self.session_bounds.rate, self.host_bounds.rate);
        let tool = tool.and_then(|(name, bounds)| {
            let lane = self.tools.entry(name.to_owned()).or_default();
            Some((Whose::Tool, bounds.rate?, &mut lane.party.allowance))
        });
        let session = session.and_then(|session| {
            let rate = session_rate?;
            let party = self.sessions.entry(session.clone()).or_default();
            Some((Whose::Session, rate, &mut party.allowance))
        });
        let host = host_rate.map(|rate| (Whose::Host, rate, &mut self.host.allowance));
        let mut counted: Vec<_> = [tool, session, host].into_iter().flatten().collect();
        let longest = counted
            .iter()
            .filter_map(|(whose, rate, allowance)| {
                Some((*whose, *rate, allowance.wait(*rate, now)?))
            })
            .max_by_key(|(_, _, wait)| *wait);
        if let Some((whose, rate, wait)) = longest {
            return self.turn_away(Refusal::Rate(whose, rate, wait));
        }
        for (_, rate, allowance) in &mut counted {
            allowance.take(*rate, now);
        }
        Ok(())
    }

    fn room_for_a_session(&mut self, now: Instant) -> bool {
        if self.sessions.len() >= self.sweep_at.min(MAX_SESSIONS) {
            self.sessions.retain(|_, party| !party.is_idle(now));
            self.sweep_at = SWEEP_FROM.max(2 * self.sessions.len());
        }
        self.sessions.len() < MAX_SESSIONS
    }

    /// Everything that the call counts for, with its bounds.
    fn parties(&self, caller: Caller<'_>) -> [Option<(Whose, &Party, Bounds)>; 3] {
        let of_tool = self.tools.get(caller.tool).map(|lane| &lane.party);
        let of_session = caller.session.and_then(|it| self.sessions.get(it));
        [
            of_tool.map(|party| (Whose::Tool, party, caller.bounds)),
            of_session.map(|party| (Whose::Session, party, self.session_bounds)),
            Some((Whose::Host, &self.host, self.host_bounds)),
        ]
    }

    /// The same, to change their counts.
    fn each(
        &mut self,
        tool: &str,
        session: Option<&SessionId>,
        mut change: impl FnMut(&mut Party),
    ) {
        change(&mut self.tools.entry(tool.to_owned()).or_default().party);
        if let Some(session) = session {
            let party = self.sessions.entry(session.clone()).or_default();
            change(party);
            let gone = party.running == 0 && party.waiting == 0 && party.asking == 0;
            if gone && self.session_bounds.rate.is_none() {
                self.sessions.remove(session);
            }
        }
        change(&mut self.host);
    }

    /// Why the call cannot run now.
    fn no_place(&self, caller: Caller<'_>) -> Option<Refusal> {
        let free = self
            .host_bounds
            .concurrency
            .saturating_sub(self.host.running);
        let parties = || self.parties(caller).into_iter().flatten();
        let full = parties()
            .find(|(_, party, bounds)| party.running >= bounds.concurrency)
            .map(|(whose, _, bounds)| Refusal::Places(whose, bounds.concurrency));
        full.or_else(|| {
            parties()
                .find(|(whose, party, _)| *whose != Whose::Host && party.running >= free)
                .map(|(whose, party, _)| Refusal::PlaceShare(whose, party.running))
        })
    }

    /// Why the call cannot wait either.
    fn no_wait(&self, caller: Caller<'_>) -> Option<Refusal> {
        let free = self.host_bounds.queue.saturating_sub(self.host.waiting);
        let parties = || self.parties(caller).into_iter().flatten();
        let full = parties()
            .find(|(_, party, bounds)| party.waiting >= bounds.queue)
            .map(|(whose, _, bounds)| Refusal::Queue(whose, bounds.queue));
        full.or_else(|| {
            parties()
                .find(|(whose, party, _)| *whose != Whose::Host && party.waiting >= free)
                .map(|(whose, party, _)| Refusal::QueueShare(whose, party.waiting))
        })
    }

    pub(super) fn room(&mut self, caller: Caller<'_>) -> Result<(), Refusal> {
        match self.no_place(caller).and_then(|_| self.no_wait(caller)) {
            Some(refusal) => self.turn_away(refusal),
            None => Ok(()),
        }
    }

    pub(super) fn ask(&mut self, caller: Caller<'_>) -> Result<(), Refusal> {
        let full = self
            .parties(caller)
            .into_iter()
            .flatten()
            .find(|(_, party, bounds)| party.asking >= bounds.questions)
            .map(|(whose, _, bounds)| Refusal::Questions(whose, bounds.questions));
        if let Some(refusal) = full {
            return self.turn_away(refusal);
        }
        self.each(caller.tool, caller.session, |party| party.asking += 1);
        Ok(())
    }

    pub(super) fn answered(&mut self, tool: &str, session: Option<&SessionId>) {
        self.each(tool, session, |party| {
            party.asking = party.asking.saturating_sub(1);
        });
    }

    /// Takes a place, or a ticket to wait for one. Whoever waits already could not run a moment ago, and nothing became
    /// free since: so nobody is overtaken who could have run instead.
    pub(super) fn enter(
        &mut self,
        caller: Caller<'_>,
        consented: bool,
        wake: oneshot::Sender<Place>,
    ) -> Result<Option<Ticket>, Refusal> {
        if self.no_place(caller).is_none() {
            self.each(caller.tool, caller.session, |party| party.running += 1);
            return Ok(None);
        }
        if !consented && let Some(refusal) = self.no_wait(caller) {
            return self.turn_away(refusal);
        }
        self.each(caller.tool, caller.session, |party| party.waiting += 1);
        let number = self.tickets;
        self.tickets += 1;
        let lane = self.tools.entry(caller.tool.to_owned()).or_default();
        if lane.queue.is_empty() {
            self.turns.push_back(caller.tool.to_owned());
        }
        lane.queue.push_back(Waiter {
            number,
            bounds: caller.bounds,
            session: caller.session.cloned(),
            wake,
        });
        Ok(Some(Ticket {
            number,
            tool: caller.tool.to_owned(),
        }))
    }

    /// The call has waited for too long.
    pub(super) fn give_up(&mut self, caller: Caller<'_>) -> Refusal {
        self.turned_away += 1;
        // Where a place is free at this very moment, it was the host's last one that this call waited for.
        self.no_place(caller)
            .unwrap_or(Refusal::Places(Whose::Host, self.host_bounds.concurrency))
    }

    /// Forgets a call that waits, if it still does.
    pub(super) fn forget(&mut self, ticket: &Ticket) {
        let Some(lane) = self.tools.get_mut(&ticket.tool) else {
            return;
        };
        let Some(at) = lane
            .queue
            .iter()
            .position(|waiter| waiter.number == ticket.number)
        else {
            return;
        };
        let gone = lane.queue.remove(at);
        if lane.queue.is_empty() {
            self.turns.retain(|tool| *tool != ticket.tool);
        }
        let session = gone.and_then(|waiter| waiter.session);
        self.each(&ticket.tool, session.as_ref(), |party| {
            party.waiting = party.waiting.saturating_sub(1);
        });
    }

    /// A call has ended.
    pub(super) fn left(&mut self, tool: &str, session: Option<&SessionId>) {
        self.each(tool, session, |party| {
            party.running = party.running.saturating_sub(1);
        });
    }

    /// Gives what is free to those who wait: one call of each tool in turn, until a whole round finds nobody who may
    /// run.
    pub(super) fn grant(&mut self) -> Vec<Granted> {
        let mut granted = Vec::new();
        let mut in_vain = 0;
        while in_vain < self.turns.len() && self.host.running < self.host_bounds.concurrency {
            let Some(tool) = self.turns.pop_front() else {
                break;
            };
            let next = self.next_of(&tool);
            if self
                .tools
                .get(&tool)
                .is_some_and(|lane| !lane.queue.is_empty())
            {
                self.turns.push_back(tool.clone());
            }
            let Some(Waiter { session, wake, .. }) = next else {
                in_vain += 1;
                continue;
            };
            in_vain = 0;
            self.each(&tool, session.as_ref(), |party| {
                party.waiting = party.waiting.saturating_sub(1);
                party.running += 1;
            });
            granted.push(Granted {
                wake,
                tool,
                session,
            });
        }
        granted
    }

    /// The first call of a tool that may run now. One whose session may not is passed over.
    fn next_of(&mut self, tool: &str) -> Option<Waiter> {
        let lane = self.tools.get(tool)?;
        let at = lane.queue.iter().position(|waiter| {
            let caller = Caller {
                tool,
                bounds: waiter.bounds,
                session: waiter.session.as_ref(),
            };
            self.no_place(caller).is_none()
        })?;
        self.tools.get_mut(tool)?.queue.remove(at)
    }
}
