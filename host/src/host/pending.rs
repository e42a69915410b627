//! Calls that end before they have done anything, because nobody has answered their question yet.

use super::{Shared, approval::TOO_LATE, calling::Ended, first::First};
use crate::{ApprovalRequest, CallContext, ErrorKind, ToolFailure, secrets::Weakness};

impl Shared {
    /// The question that a call waits for, after it has ended. It waits only where it was ended because of the question, or
    /// while it was open, and has changed nothing outside: it is made again from its beginning.
    pub(super) fn pending(
        &self,
        first: &First,
        context: &CallContext,
        ended: &mut Ended,
    ) -> Option<Box<ApprovalRequest>> {
        let failure = ended.outcome.as_mut().err()?;
        if failure.kind != ErrorKind::Cancelled {
            return None;
        }
        let changed = first.effects().any() && !self.keeper.lacks(Weakness::WaitsAnyway);
        if context.cancel.is_cancelled() {
            let request = first.later().or_else(|| first.unanswered())?;
            return (!changed).then(|| Box::new(request));
        }
        let request = first.later()?;
        if changed {
            // The guest went on while somebody was asked.
            *failure = ToolFailure::new(ErrorKind::Denied, TOO_LATE);
            failure.request_sent = true;
            failure.rule = Some(request.rule);
            return None;
        }
        let why = format!(
            "it waits for a person's consent as {}; nothing has happened yet",
            request.id
        );
        *failure = ToolFailure::new(ErrorKind::Unavailable, why);
        failure.rule = Some(request.rule.clone());
        Some(Box::new(request))
    }
}
