//! What happened during one call: refused accesses, touched paths, and the limit that ended it.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

use serde::{Deserialize, Serialize};

use crate::{
    CallEvent, CallId, Denial, ErrorKind, EventSink, LikelySecret,
    egress::Tally,
    secrets::{Hits, Redaction},
    text::escape_control,
};

use super::{LimitExceeded, effects::Effects};

/// How many denials of a call are kept. More are only counted.
pub(crate) const MAX_DENIALS: usize = 64;
/// How many touched paths of a call are kept. More are only counted.
pub(crate) const MAX_PATHS: usize = 256;
/// How many reached hosts of a call are kept. More are only counted.
pub(crate) const MAX_HOSTS: usize = 64;
/// The longest access or path that is kept, in bytes before control characters are escaped. The rest is cut off, so
/// that a guest cannot fill the host's memory or the audit log with names.
pub(crate) const MAX_TEXT_BYTES: usize = 1024;

/// The longest such text that is heard at all. What is kept of it is searched for secrets first, and half of one would
/// not be found.
pub(crate) const MAX_HEARD_BYTES: usize = 16 * 1024;

/// How a path was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum PathUse {
    /// Its content or metadata was read.
    Read,
    /// It was created, changed, renamed or removed.
    Write,
}

impl PathUse {
    /// `read` or `write`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// A guest path that a call used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TouchedPath {
    /// The path as the guest sees it.
    pub(crate) path: String,
    /// How it was used.
    pub(crate) used: PathUse,
}

/// The limit that ended a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LimitHit {
    /// Which one, for example [`ErrorKind::LimitLog`].
    pub(crate) kind: ErrorKind,
    /// What happened, with the limit's number and unit.
    pub(crate) message: String,
}

/// What was sent to one host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reached {
    /// How many requests.
    pub(crate) requests: u64,
    /// How many bytes; it grows while requests are under way.
    pub(crate) sent: Tally,
}

impl Reached {
    /// Bytes sent so far.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl PartialEq for Reached {
    fn eq(&self, other: &Self) -> bool {
        (self.requests, self.sent_bytes()) == (other.requests, other.sent_bytes())
    }
}

impl Eq for Reached {}

/// Everything a recorder gathered, in the order in which it happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// The first [`MAX_DENIALS`] refused accesses.
    pub(crate) denials: Vec<Denial>,
    /// How many accesses were refused in all.
    pub(crate) denials_total: u64,
    /// The first [`MAX_PATHS`] different uses of paths.
    pub(crate) paths: Vec<TouchedPath>,
    /// How many uses of paths did not find a place in `paths`; one path may count more than once.
    pub(crate) paths_dropped: u64,
    /// What was sent to each of the first [`MAX_HOSTS`] hosts, by `host:port`.
    pub(crate) hosts: BTreeMap<String, Reached>,
    /// How many requests were sent to further hosts.
    pub(crate) hosts_dropped: u64,
    /// The first limit that was exceeded.
    pub(crate) limit: Option<LimitHit>,
    /// How often the value of each secret was found in what the call gave or got, and taken out.
    pub(crate) redactions: BTreeMap<String, u64>,
    /// What in the answer looks like credentials which nobody registered.
    pub(crate) likely: Vec<LikelySecret>,
}

impl Record {
    /// Adds what a search found.
    pub(crate) fn redacted(&mut self, hits: &Hits) {
        for (name, count) in hits.iter() {
            let counted = self.redactions.entry(name.to_owned()).or_default();
            *counted = counted.saturating_add(count);
        }
    }
}

/// Something that happened in a sandbox whose host is another process, for that host's own recorder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Notice {
    /// An access was refused.
    Denied(Denial),
    /// A path outside all granted directories was asked for and refused. Which rule that is only the host knows.
    Outside(String, PathUse),
    /// A path was used.
    Touched(String, PathUse),
    /// A limit was exceeded.
    Exceeded(ErrorKind, String),
    /// A log line: its level and its text.
    Log(String, String),
    /// A report of progress: done, total, and what is being done.
    Progress(f64, Option<f64>, Option<String>),
    /// Something outside is about to be changed, for the first time in the call.
    Changes,
}

/// Gathers what happens during one call. Clones share one record, so that a spawned request can write to it too.
///
/// What comes of a guest is searched for secrets before it is kept or told, where the recorder was given a search. In a
/// worker process nobody knows a secret: there the host's own recorder does it.
#[derive(Clone)]
pub(crate) struct Recorder {
    listener: Listener,
    record: Arc<Mutex<Record>>,
    redaction: Option<Redaction>,
    effects: Effects,
}

/// Who hears of things while they happen.
#[derive(Clone)]
enum Listener {
    Nobody,
    /// Whoever waits for the call.
    Events(CallId, EventSink),
    /// The host of a worker process, as soon as they happen: what is told is not lost when the process is killed.
    Host {
        tell: NoticeSink,
        heard: bool,
    },
}

/// Passes notices on. It must not block.
pub(crate) type NoticeSink = Arc<dyn Fn(Notice) + Send + Sync>;

impl Recorder {
    /// An empty record for a call, which passes denials on to `events`.
    pub(crate) fn new(call_id: CallId, events: Option<EventSink>) -> Self {
        Self {
            listener: match events {
                Some(events) => Listener::Events(call_id, events),
                None => Listener::Nobody,
            },
            record: Arc::default(),
            redaction: None,
            effects: Effects::default(),
        }
    }

    /// The same, which counts effects for these.
    #[must_use]
    pub(crate) fn counting(mut self, effects: &Effects) -> Self {
        self.effects = effects.clone();
        self
    }

    /// The same, which takes every secret of this search out of what it hears.
    #[must_use]
    pub(crate) fn searching(mut self, redaction: Redaction) -> Self {
        self.redaction = Some(redaction);
        self
    }

    /// An empty record in a worker process, which also tells everything to the host's own recorder. `heard` is whether
    /// anybody there listens to log lines and progress.
    pub(crate) fn relaying(tell: NoticeSink, heard: bool) -> Self {
        Self {
            listener: Listener::Host { tell, heard },
            record: Arc::default(),
            redaction: None,
            effects: Effects::default(),
        }
    }

    /// Records a refused access and tells the listener.
    pub(crate) fn deny(&self, mut denial: Denial) {
        let heard = matches!(self.listener, Listener::Host { .. }).then(|| Denial {
            access: cut(&denial.access).to_owned(),
            reason: cut(&denial.reason).to_owned(),
            ..denial.clone()
        });
        denial.access = self.kept(&denial.access);
        denial.reason = self.kept(&denial.reason);
        let kept = {
            let mut record = self.lock();
            record.denials_total += 1;
            let kept = record.denials.len() < MAX_DENIALS;
            if kept {
                record.denials.push(denial.clone());
            }
            kept
        };
        if !kept {
            return;
        }
        match &self.listener {
            Listener::Host { tell, .. } => tell(Notice::Denied(heard.unwrap_or(denial))),
            _ => self.emit(CallEvent::Denied(denial)),
        }
    }

    /// In a worker process, leaves it to the host to say by which rule a path outside all directories is refused.
    pub(crate) fn deny_outside(&self, path: &str, used: PathUse) {
        let kept = {
            let mut record = self.lock();
            record.denials_total += 1;
            let kept = record.denials.len() < MAX_DENIALS;
            if kept {
                // What was told is what is kept; the host has the rest of it.
                record.denials.push(Denial {
                    capability: "files".to_owned(),
                    access: format!("{} {}", used.as_str(), self.kept(path)),
                    rule: String::new(),
                    reason: String::new(),
                });
            }
            kept
        };
        if let (true, Listener::Host { tell, .. }) = (kept, &self.listener) {
            tell(Notice::Outside(cut(path).to_owned(), used));
        }
    }

    /// Counts refused accesses and used paths of which nobody told more.
    pub(crate) fn count(&self, denials: u64, paths: u64) {
        let mut record = self.lock();
        record.denials_total = record.denials_total.saturating_add(denials);
        record.paths_dropped = record.paths_dropped.saturating_add(paths);
    }

    /// Hears that something outside is about to be changed.
    pub(crate) fn changes(&self) {
        if let (Listener::Host { tell, .. }, false) = (&self.listener, self.effects.any()) {
            tell(Notice::Changes);
        }
        self.effects.begin();
    }

    /// Records the use of a guest path. A second use of the same kind is not recorded again.
    pub(crate) fn touch(&self, path: &str, used: PathUse) {
        let touched = TouchedPath {
            path: self.kept(path),
            used,
        };
        let mut record = self.lock();
        if record.paths.contains(&touched) {
            return;
        }
        if record.paths.len() < MAX_PATHS {
            record.paths.push(touched);
            drop(record);
            if let Listener::Host { tell, .. } = &self.listener {
                tell(Notice::Touched(cut(path).to_owned(), used));
            }
        } else {
            record.paths_dropped += 1;
        }
    }

    /// Records that a request goes to a host, given as `host:port`, and says where to count what is sent to it.
    pub(crate) fn reach(&self, host: &str) -> Tally {
        self.changes();
        let host = &*self.clean(host);
        let mut record = self.lock();
        if !record.hosts.contains_key(host) && record.hosts.len() >= MAX_HOSTS {
            record.hosts_dropped += 1;
            return Tally::default();
        }
        let reached = record.hosts.entry(host.to_owned()).or_default();
        reached.requests += 1;
        Tally::clone(&reached.sent)
    }

    /// Records an exceeded limit, of which the first of a call counts, and gives the error that ends the call.
    pub(crate) fn exceed(&self, kind: ErrorKind, message: impl Into<String>) -> LimitExceeded {
        let message = message.into();
        let message = self.clean(&message).into_owned();
        let mut record = self.lock();
        if record.limit.is_none() {
            record.limit = Some(LimitHit {
                kind,
                message: message.clone(),
            });
            drop(record);
            if let Listener::Host { tell, .. } = &self.listener {
                tell(Notice::Exceeded(kind, message));
            }
        }
        LimitExceeded(kind)
    }

    /// Counts places where the value of a secret stood and was taken out.
    pub(crate) fn redacted(&self, name: &str, count: u64) {
        if count > 0 {
            let mut hits = Hits::default();
            hits.add(name, count);
            self.lock().redacted(&hits);
        }
    }

    /// A guest's text as it is kept. It is searched before it is cut: half of a secret would not be found.
    fn kept(&self, text: &str) -> String {
        shown(&self.clean(cut(text)))
    }

    /// A text without any secret.
    fn clean<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(redaction) = &self.redaction else {
            return Cow::Borrowed(text);
        };
        let mut hits = Hits::default();
        let clean = redaction.current().text(text, &mut hits);
        if !hits.is_empty() {
            self.lock().redacted(&hits);
        }
        clean
    }

    /// Tells the listener of an event. Nothing is recorded. Texts of the guest come as it wrote them; whoever listens
    /// gets them without secrets, each in one line, and no report of progress that is too long.
    pub(crate) fn emit(&self, event: CallEvent) {
        match &self.listener {
            Listener::Nobody => {}
            Listener::Events(call_id, events) => events(call_id, self.told(event)),
            Listener::Host { tell, .. } => match event {
                CallEvent::Log { level, message } => tell(Notice::Log(level, message)),
                CallEvent::Progress {
                    done,
                    total,
                    message,
                } => tell(Notice::Progress(done, total, message)),
                CallEvent::Denied(denial) => tell(Notice::Denied(denial)),
                // Answers are searched in the host, and persons are asked there.
                CallEvent::LikelySecret { .. }
                | CallEvent::Asked { .. }
                | CallEvent::Answered { .. } => {}
            },
        }
    }

    /// An event as it is told. It is searched before it is escaped: what is invisible could stand in the middle of a
    /// secret, and is found there only as long as it is what it is.
    fn told(&self, event: CallEvent) -> CallEvent {
        match event {
            CallEvent::Log { level, message } => CallEvent::Log {
                level,
                message: escape_control(&self.clean(&message)).into_owned(),
            },
            CallEvent::Progress {
                done,
                total,
                message,
            } => CallEvent::Progress {
                done,
                total,
                message: message.map(|message| {
                    let clean = self.clean(&message);
                    let end = clean.floor_char_boundary(MAX_TEXT_BYTES);
                    escape_control(clean.get(..end).unwrap_or_default()).into_owned()
                }),
            },
            // Was cleaned before it was kept.
            denied @ CallEvent::Denied(_) => denied,
            // Has no word of a guest.
            likely @ CallEvent::LikelySecret { .. } => likely,
            // Was searched where it was made.
            asked @ (CallEvent::Asked { .. } | CallEvent::Answered { .. }) => asked,
        }
    }

    /// Whether anybody listens to the call's events.
    pub(crate) fn is_heard(&self) -> bool {
        match &self.listener {
            Listener::Nobody => false,
            Listener::Events(..) => true,
            Listener::Host { heard, .. } => *heard,
        }
    }

    /// A copy of what was gathered so far.
    #[cfg(test)]
    pub(crate) fn snapshot(&self) -> Record {
        self.lock().clone()
    }

    /// Takes what was gathered and leaves an empty record.
    pub(crate) fn take(&self) -> Record {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        // The record is consistent after every single statement, so a panic elsewhere does not spoil it.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As much of a guest's text as is heard.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_HEARD_BYTES))
        .unwrap_or_default()
}

/// A guest's text as it is kept: one line, and not too long.
pub(crate) fn shown(text: &str) -> String {
    let start = text.get(..text.floor_char_boundary(MAX_TEXT_BYTES));
    let mut shown = escape_control(start.unwrap_or_default()).into_owned();
    if text.len() > MAX_TEXT_BYTES {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::Secret;

    fn denial(access: &str) -> Denial {
        Denial {
            capability: "files".into(),
            access: access.into(),
            rule: "default: denied until written".into(),
            reason: "nothing grants it".into(),
        }
    }

    fn listening() -> (Recorder, Arc<Mutex<Vec<CallEvent>>>) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let sink = heard.clone();
        let events: EventSink = Arc::new(move |_, event| sink.lock().unwrap().push(event));
        (Recorder::new(CallId::new("call_1"), Some(events)), heard)
    }

    #[test]
    fn denials_beyond_the_first_64_are_counted_and_not_kept() {
        let (recorder, heard) = listening();
        for n in 0..=MAX_DENIALS {
            recorder.deny(denial(&format!("read /{n}")));
        }
        let record = recorder.snapshot();
        assert_eq!(record.denials.len(), MAX_DENIALS);
        assert_eq!(record.denials_total, MAX_DENIALS as u64 + 1);
        assert_eq!(record.denials[0].access, "read /0");
        assert_eq!(heard.lock().unwrap().len(), MAX_DENIALS);
    }

    #[test]
    fn paths_are_kept_once_a_use_and_the_rest_is_counted() {
        let (recorder, heard) = listening();
        recorder.touch("/work/a", PathUse::Read);
        recorder.touch("/work/a", PathUse::Read);
        recorder.touch("/work/a", PathUse::Write);
        assert_eq!(recorder.snapshot().paths.len(), 2);
        for n in 0..MAX_PATHS {
            recorder.touch(&format!("/work/{n}"), PathUse::Read);
        }
        let record = recorder.take();
        assert_eq!((record.paths.len(), record.paths_dropped), (MAX_PATHS, 2));
        assert!(heard.lock().unwrap().is_empty());
        assert_eq!(recorder.snapshot(), Record::default());
    }

    #[test]
    fn requests_are_counted_by_host_and_further_hosts_together() {
        let (recorder, _) = listening();
        for n in 0..=MAX_HOSTS {
            recorder.reach(&format!("{n}.example:443"));
            recorder.reach(&format!("{n}.example:443"));
        }
        let record = recorder.snapshot();
        assert_eq!(record.hosts.len(), MAX_HOSTS);
        assert_eq!(record.hosts["0.example:443"].requests, 2);
        assert_eq!(record.hosts_dropped, 2);
    }

    #[test]
    fn the_first_limit_of_a_call_counts() {
        let (recorder, _) = listening();
        let error = recorder.exceed(ErrorKind::LimitLog, "more than 64 bytes of log");
        recorder.clone().exceed(ErrorKind::LimitFiles, "later");
        assert_eq!(error, LimitExceeded(ErrorKind::LimitLog));
        assert_eq!(recorder.snapshot().limit.unwrap().kind, ErrorKind::LimitLog);
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let (recorder, _) = listening();
        recorder.touch(&"ä".repeat(MAX_TEXT_BYTES), PathUse::Read);
        recorder.deny(denial(&format!("x{}", "ä".repeat(MAX_TEXT_BYTES))));
        let record = recorder.snapshot();
        assert!(record.paths[0].path.len() <= MAX_TEXT_BYTES + '…'.len_utf8());
        assert!(record.denials[0].access.ends_with("ä…"));
    }

    #[test]
    fn what_is_kept_is_one_line() {
        let (recorder, _) = listening();
        recorder.touch("/work/\u{1b}[2J", PathUse::Read);
        recorder.deny(denial("read /work/a\n{\"fake\":1}"));
        let record = recorder.take();
        assert_eq!(record.paths[0].path, "/work/\\u{1b}[2J");
        assert_eq!(record.denials[0].access, "read /work/a\\n{\"fake\":1}");
    }

    const VALUE: &str = "q7Rk2mXw9TbZ";

    /// Everything that a recorder hears of, with a secret in it, and all that comes out.
    fn told(search: bool) -> (Record, String) {
        let redaction = Redaction::new();
        redaction.register("TOKEN", Secret::new(VALUE).unwrap());
        let (recorder, heard) = listening();
        let recorder = match search {
            true => recorder.searching(redaction),
            false => recorder,
        };
        recorder.touch(&format!("/work/{VALUE}"), PathUse::Read);
        recorder.deny(denial(&format!("read /{VALUE}")));
        recorder.reach(&format!("{VALUE}.example:443"));
        recorder.exceed(ErrorKind::LimitLog, format!("too much of {VALUE}"));
        recorder.emit(CallEvent::Log {
            level: "info".into(),
            message: format!("it is {VALUE}\n"),
        });
        recorder.emit(CallEvent::Progress {
            done: 1.0,
            total: None,
            // The cut would leave its beginning.
            message: Some(format!("{}{VALUE}", "x".repeat(MAX_TEXT_BYTES - 6))),
        });
        let record = recorder.take();
        let heard = format!("{:?}", heard.lock().unwrap());
        (record, heard)
    }

    #[test]
    fn nothing_that_is_kept_or_told_holds_a_secret() {
        let (record, heard) = told(true);
        let seen = format!("{record:?} {heard}");
        assert!(!seen.contains(VALUE), "{seen}");
        assert!(!seen.contains(&VALUE[..5]), "{seen}");
        assert_eq!(record.hosts["[secret TOKEN].example:443"].requests, 1);
        assert_eq!(record.redactions["TOKEN"], 6);
        let (record, heard) = told(false);
        assert!(record.redactions.is_empty());
        let seen = format!("{record:?} {heard}");
        assert_eq!(seen.matches(&VALUE[..5]).count(), 7, "{seen}");
    }

    #[test]
    fn half_of_a_secret_is_not_left_where_a_text_is_cut() {
        let redaction = Redaction::new();
        redaction.register("TOKEN", Secret::new(VALUE).unwrap());
        let (recorder, _) = listening();
        let recorder = recorder.searching(redaction);
        for left in 0..=VALUE.len() {
            let before = "x".repeat(MAX_TEXT_BYTES - left);
            recorder.touch(&format!("{before}{VALUE}"), PathUse::Read);
        }
        for touched in recorder.take().paths {
            assert!(!touched.path.contains(&VALUE[..1]), "{touched:?}");
        }
    }

    #[test]
    fn what_redacts_elsewhere_counts_here() {
        let (recorder, _) = listening();
        recorder.redacted("A", 2);
        recorder.redacted("A", 1);
        recorder.redacted("B", 0);
        let counted = recorder.take().redactions;
        assert_eq!(counted.into_iter().collect::<Vec<_>>(), [("A".into(), 3)]);
    }

    #[test]
    fn nobody_needs_to_listen() {
        let recorder = Recorder::new(CallId::new("call_1"), None);
        recorder.deny(denial("read /x"));
        assert!(!recorder.is_heard());
        assert_eq!(PathUse::Write.as_str(), "write");
    }
}
