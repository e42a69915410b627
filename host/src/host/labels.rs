//! What tools of one session do with data together: whoever reads what is private and what strangers wrote, and can send
//! data outside, can be made to send the one by the other.
//!
//! The words are the operator's. Nothing here looks at data: a label of a call counts from the moment that the call may
//! begin, whatever it reads then, and stays for the session.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use toolcell_policy::{Labels, Rule};

use super::{
    approval::{Asking, Question},
    calling::{Attempt, Stop},
};
use crate::{
    CallContext, SessionId, TenantId,
    admission::{MAX_SESSIONS, Refusal},
    audit::Effect,
};

/// A session that made no marked call for so long is over. What it would do then begins anew.
const IDLE: Duration = Duration::from_hours(24);

/// The labels one by one, with what a call did that has one, and what one would do.
fn words() -> [(Labels, &'static str, &'static str); 3] {
    let [mut private, mut untrusted, mut outside] = [Labels::default(); 3];
    private.reads_private = true;
    untrusted.reads_untrusted = true;
    outside.sends_outside = true;
    [
        (private, "read private data", "read private data"),
        (untrusted, "read untrusted text", "read untrusted text"),
        (outside, "sent data outside", "send data outside"),
    ]
}

/// Which session, of which tenant.
type Key = (Option<TenantId>, SessionId);

/// A call that counts. Few of them are kept: those that run or are about to, and the first with each label.
#[derive(Debug)]
struct Marked {
    number: u64,
    tool: String,
    labels: Labels,
    /// It was let in; until then it goes when it is turned away.
    admitted: bool,
}

#[derive(Debug)]
struct Session {
    calls: Vec<Marked>,
    numbers: u64,
    used: Instant,
}

impl Session {
    fn labels(&self) -> Labels {
        let all = self.calls.iter().map(|call| call.labels);
        all.fold(Labels::default(), Labels::union)
    }

    /// Which calls led here, the first with each label that the next one lacks, and what that one would do.
    fn chain(&self, tool: &str, labels: Labels) -> String {
        let mut chain = String::new();
        let mut said = labels;
        for call in &self.calls {
            let did = words().into_iter();
            let did = did.filter(|(label, _, _)| has(call.labels, *label) && !has(said, *label));
            let did: Vec<&str> = did.map(|(_, did, _)| did).collect();
            if !did.is_empty() {
                let (tool, did, number) = (&call.tool, did.join(" and "), call.number);
                // Writing to a String cannot fail.
                let _ = write!(chain, "{tool} {did} (call {number}), ");
            }
            said = said.union(call.labels);
        }
        let would = words()
            .into_iter()
            .filter(|(label, _, _)| has(labels, *label));
        let would: Vec<&str> = would.map(|(_, _, would)| would).collect();
        let _ = write!(chain, "{tool} would {}", would.join(" and "));
        chain
    }

    /// Forgets calls that were let in and say nothing that an earlier one does not.
    fn prune(&mut self) {
        let mut said = Labels::default();
        self.calls.retain(|call| {
            let fresh = said.union(call.labels) != said;
            if call.admitted {
                said = said.union(call.labels);
            }
            fresh || !call.admitted
        });
    }
}

/// A chain without the numbers of its calls.
fn without_numbers(chain: &str) -> String {
    let mut text = String::new();
    let mut rest = chain;
    while let Some((before, after)) = rest.split_once(" (call ") {
        text.push_str(before);
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    text + rest
}

fn has(labels: Labels, label: Labels) -> bool {
    labels.union(label) == labels
}

/// The labels of all sessions of a host. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    sessions: Arc<Mutex<HashMap<Key, Session>>>,
}

/// What is to happen to a call because of the labels.
#[derive(Debug)]
struct Entry {
    pass: Pass,
    /// The calls that led to all three, where this call has to be questioned.
    chain: Option<String>,
}

impl Marks {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Session>> {
        // Every visit leaves whole sessions behind, whatever happened to the thread.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the labels of a call belong: to its session, or where it has none to itself and what it calls.
    pub(super) fn of_call(&self, context: &CallContext) -> CallMarks {
        let tenant = context.tenant.clone();
        let own = context.session.is_none();
        let session = context.session.clone().unwrap_or_else(SessionId::random);
        CallMarks {
            marks: self.clone(),
            key: (tenant, session),
            own,
        }
    }

    /// Counts a call of a tool that is about to begin.
    fn enter(&self, key: &Key, tool: &str, labels: Labels, now: Instant) -> Result<Entry, Refusal> {
        let mut sessions = self.lock();
        if !sessions.contains_key(key) && sessions.len() >= MAX_SESSIONS {
            sessions.retain(|_, session| now.saturating_duration_since(session.used) < IDLE);
            if sessions.len() >= MAX_SESSIONS {
                return Err(Refusal::Sessions);
            }
        }
        let session = sessions.entry(key.clone()).or_insert_with(|| Session {
            calls: Vec::new(),
            numbers: 0,
            used: now,
        });
        session.used = now;
        let before = session.labels();
        let all = before.union(labels).combine_all();
        let questioned = all && (labels.sends_outside || !before.combine_all());
        let chain = questioned.then(|| session.chain(tool, labels));
        session.numbers += 1;
        let number = session.numbers;
        session.calls.push(Marked {
            number,
            tool: tool.to_owned(),
            labels,
            admitted: false,
        });
        let place = Some((self.clone(), key.clone(), number));
        let pass = Pass { place };
        Ok(Entry { pass, chain })
    }

    /// Counts a call that was made before, elsewhere.
    pub(super) fn remember(&self, key: &Key, tool: &str, labels: Labels) {
        if !labels.is_empty()
            && let Ok(entry) = self.enter(key, tool, labels, Instant::now())
        {
            entry.pass.admitted();
        }
    }

    /// The session is over.
    pub(super) fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }
}

/// Where the labels of one call, and of those that it makes, belong. Dropping it forgets them, where they belong to
/// no session.
pub(super) struct CallMarks {
    marks: Marks,
    key: Key,
    own: bool,
}

impl CallMarks {
    /// The session that calls of the tool count for.
    pub(super) fn session(&self) -> &SessionId {
        &self.key.1
    }
}

impl Drop for CallMarks {
    fn drop(&mut self) {
        if self.own {
            self.marks.forget(&self.key);
        }
    }
}

/// A call that counts. Unless it is let in before it is dropped, it does not count any more.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Pass {
    place: Option<(Marks, Key, u64)>,
}

impl Pass {
    /// The call begins: from here on it may have read and sent.
    pub(super) fn admitted(mut self) {
        let Some((marks, key, number)) = self.place.take() else {
            return;
        };
        if let Some(session) = marks.lock().get_mut(&key) {
            for call in &mut session.calls {
                call.admitted |= call.number == number;
            }
            session.prune();
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let Some((marks, key, number)) = self.place.take() else {
            return;
        };
        let mut sessions = marks.lock();
        if let Some(session) = sessions.get_mut(&key) {
            session.calls.retain(|call| call.number != number);
            if session.calls.is_empty() {
                sessions.remove(&key);
            }
        }
    }
}

impl Attempt<'_> {
    /// Counts what the tool does with data for the session, and asks or denies as the policy says where that would
    /// bring together what should stay apart; with whether somebody consented.
    pub(super) async fn mark(&self, labels: Labels, asking: &Asking) -> Result<(Pass, bool), Stop> {
        if labels.is_empty() {
            return Ok((Pass::default(), false));
        }
        let CallMarks { marks, key, .. } = self.marks;
        let tool = &self.about.tool;
        let Entry { pass, chain } = marks.enter(key, tool, labels, Instant::now())?;
        let Some(chain) = chain else {
            return Ok((pass, false));
        };
        let recording = &self.shared.recording;
        let (effect, rule) = self.shared.layers.combine_rule();
        let access = format!("combine private data, untrusted text and a way out: {chain}");
        if effect != Effect::Ask {
            recording.decision(self.about, &access, effect, &rule.to_string())?;
        }
        match effect {
            Effect::Allow => return Ok((pass, false)),
            Effect::Deny => return Err(self.combines(&chain, access, &rule, "")),
            Effect::Ask => {}
        }
        // A flood is turned away before anybody is asked.
        self.shared.admission.room(asking.caller())?;
        // Calls are numbered anew in a session that goes on elsewhere.
        let known_as = format!("combine: {}", without_numbers(&chain));
        let question = Question::new(&access, &rule).known_as(&known_as);
        match asking.ask(question).await.missing_consent()? {
            None => Ok((pass, true)),
            Some(why) => Err(self.combines(&chain, access, &rule, &format!("; {why}"))),
        }
    }

    fn combines(&self, chain: &str, access: String, rule: &Rule, why: &str) -> Stop {
        let reason = format!(
            "this session would have read private data and text of strangers, and sent data outside: {chain}{why}"
        );
        let help = "Begin another session for what does not need all three, or let a person decide: `combine` in the table \
                    [session] of the policy says what happens.";
        self.refuse("combine", access, rule, reason, Some(help))
    }
}

#[cfg(test)]
mod tests;
