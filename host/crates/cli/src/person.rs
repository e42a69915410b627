//! The person who is asked: by what was remembered, at the terminal, or later.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use toolcell::{Approval, ApprovalRequest, Approver};
use toolcell_policy::ApprovalSettings;

use crate::{
    dirs::Dirs,
    failure::Failure,
    output,
    prompt::{self, Offers},
    remembered::Remembered,
    style::{self, paint},
};

/// Asks the person at the terminal, one question at a time.
#[derive(Clone)]
pub(crate) struct Person(Arc<Inner>);

struct Inner {
    /// What was allowed until this command ends. It is locked while somebody is asked, so that calls in parallel ask one
    /// after the other.
    allowed: Mutex<HashSet<Allowed>>,
    settings: ApprovalSettings,
    /// Whether a question that nobody answers is left for later.
    park: bool,
    remembered: Remembered,
    /// Whether it was told that the remembered answers cannot be used.
    told: AtomicBool,
}

/// What counts as the same, within one command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Allowed {
    tool: String,
    digest: String,
    access: String,
    rule_digest: String,
}

impl Person {
    /// # Errors
    /// Where the remembered answers cannot be used: nobody should find out in the middle of something.
    pub(crate) fn new(
        settings: &ApprovalSettings,
        dirs: &Dirs,
        park: bool,
    ) -> Result<Self, Failure> {
        let remembered = Remembered::of(dirs);
        if settings.remembered().is_some() {
            remembered.read(SystemTime::now())?;
        }
        Ok(Self(Arc::new(Inner {
            allowed: Mutex::default(),
            park,
            settings: settings.clone(),
            remembered,
            told: AtomicBool::new(false),
        })))
    }
}

impl Approver for Person {
    async fn approve(&self, request: &ApprovalRequest) -> Approval {
        let (person, request) = (Arc::clone(&self.0), request.clone());
        // Reading a line waits for a person, which must not hold up other calls.
        let asked = tokio::task::spawn_blocking(move || person.answer(&request));
        asked.await.unwrap_or(Approval::Deny)
    }
}

impl Inner {
    fn answer(&self, request: &ApprovalRequest) -> Approval {
        let key = Allowed {
            tool: request.tool.clone(),
            digest: request.digest.clone(),
            access: request.access.clone(),
            rule_digest: request.rule_digest.clone(),
        };
        let mut allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        if allowed.contains(&key) {
            return Approval::Allow;
        }
        if let Some(allow) = self.before(request) {
            return Approval::Remembered { allow };
        }
        if !prompt::possible() {
            return self.absent();
        }
        let answer = output::with_terminal(|| self.ask(request));
        if answer == prompt::Answer::ForThisRun {
            allowed.insert(key);
        }
        match answer {
            prompt::Answer::Once | prompt::Answer::ForThisRun | prompt::Answer::Always => {
                Approval::Allow
            }
            prompt::Answer::Deny | prompt::Answer::Never => Approval::Deny,
            prompt::Answer::Later => Approval::Later,
            prompt::Answer::None => self.absent(),
        }
    }

    /// What was remembered for exactly this.
    fn before(&self, request: &ApprovalRequest) -> Option<bool> {
        self.settings.remembered()?;
        let what = request.remembered_for.as_ref()?;
        match self.remembered.find(what, SystemTime::now()) {
            Ok(found) => found,
            Err(failure) => {
                if !self.told.swap(true, Ordering::Relaxed) {
                    output::note(paint(style::NOTE, format_args!("note: {failure}")));
                }
                None
            }
        }
    }

    /// What a question comes to that nobody answers.
    fn absent(&self) -> Approval {
        match self.park {
            true => Approval::Later,
            false => Approval::Nobody,
        }
    }

    /// Asks until there is an answer. What is to be remembered is shown as a whole and asked for once more.
    fn ask(&self, request: &ApprovalRequest) -> prompt::Answer {
        let what = request.remembered_for.as_ref();
        let time = self.settings.remembered();
        let remember = what.zip(time).filter(|(what, _)| prompt::shows_whole(what));
        let offers = Offers {
            remember: remember.is_some(),
            later: self.park,
        };
        let question = prompt::question(request, offers);
        loop {
            let answer = prompt::approve(&question, offers, self.settings.wait());
            let allow = match answer {
                prompt::Answer::Always => true,
                prompt::Answer::Never => false,
                answer => return answer,
            };
            let Some((what, time)) = remember else {
                return prompt::Answer::Deny;
            };
            if !prompt::remember(what, allow, time, self.settings.wait()) {
                continue;
            }
            // What was shown is what is kept: it is the same value.
            let kept = self.remembered.add(what, allow, SystemTime::now(), time);
            if let Err(failure) = kept {
                output::note(paint(style::NOTE, format_args!("note: {failure}")));
            }
            return answer;
        }
    }
}
