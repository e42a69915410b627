//! Inputs that hold the value of a known secret. No tool needs one: the host puts credentials where they belong, so a
//! value in an input was copied from somewhere else, and would be on its way to somewhere else.

use std::sync::Arc;

use toolcell_policy::Rule;

use super::{
    approval::{Asking, Question},
    calling::{Attempt, Stop},
    nets,
};
use crate::{
    ToolCall,
    audit::Effect,
    secrets::{Hits, Redactor, Weakness},
};

/// What the input of a call was searched for so far, and what was found.
#[derive(Default)]
pub(super) struct Searched {
    by: Option<Arc<Redactor>>,
    found: Hits,
}

impl Attempt<'_> {
    /// Refuses an input that holds the value of a secret which was not found in it before, unless the policy allows it or
    /// a person does. The secrets of a tool are known only after they were looked up, so an input is searched twice.
    pub(super) async fn check_arguments(
        &self,
        call: &ToolCall,
        searched: &mut Searched,
        asking: &Asking,
    ) -> Result<(), Stop> {
        let redactor = self.tenant.redaction().current();
        let same = |before: &Arc<Redactor>| Arc::ptr_eq(before, &redactor);
        if searched.by.as_ref().is_some_and(same)
            || self.shared.keeper.lacks(Weakness::ArgumentsPass)
        {
            return Ok(());
        }
        let found = nets::found_in(&redactor, &call.input);
        searched.by = Some(redactor);
        let known = |name: &str| searched.found.iter().any(|(before, _)| before == name);
        let fresh: Vec<&str> = found
            .iter()
            .map(|(name, _)| name)
            .filter(|name| !known(name))
            .collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let names = fresh.join(", ");
        searched.found.merge(&found);
        let (effect, rule) = self.shared.layers.secret_arguments_rule();
        let access = format!("call with the value of the secret {names} in its input");
        match effect {
            Effect::Allow => {
                let recording = &self.shared.recording;
                let rule = rule.to_string();
                Ok(recording.decision(self.about, &access, effect, &rule)?)
            }
            Effect::Deny => {
                let recording = &self.shared.recording;
                let text = rule.to_string();
                recording.decision(self.about, &access, effect, &text)?;
                Err(self.holds_secret(&names, access, &rule, ""))
            }
            Effect::Ask => match asking
                .ask(Question::new(&access, &rule))
                .await
                .missing_consent()?
            {
                None => Ok(()),
                Some(why) => Err(self.holds_secret(&names, access, &rule, &format!("; {why}"))),
            },
        }
    }

    fn holds_secret(&self, names: &str, access: String, rule: &Rule, why: &str) -> Stop {
        let reason = format!(
            "the input holds the value of the secret {names}; credentials are never passed as arguments, since the host \
             adds them to the requests that they are for{why}"
        );
        let help = "Take the value out of what the model was told. `arguments` in the table [secrets] of the policy says \
                    what happens to such calls.";
        self.refuse("secrets", access, rule, reason, Some(help))
    }
}
