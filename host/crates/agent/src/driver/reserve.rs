//! Nothing is sent that does not fit: the worst case of a request, and of a turn's calls, is taken out of every budget
//! before, and what was really used is put in its place afterwards.

use std::time::Duration;

use tokio::time::Instant;

use super::{AgentError, Session};
use crate::{
    budget::{Allowance, Amount, BudgetKind, Exceeded, Left},
    context::estimate,
    ledger::{LedgerError, Reservation},
    machine::Dispatch,
    outcome::RunOutcome,
    wire::{CacheTtl, ModelRequest, Thinking},
};

/// An answer of fewer tokens is worth no request, unless a run asks for no more.
pub const LEAST_OUTPUT: u32 = 1_024;

/// How much of a budget on time one turn, or the calls of one turn, takes at most: others that share it go on meanwhile.
const LONGEST: Duration = Duration::from_secs(600);

/// The least time that is worth a request.
const SHORTEST_MS: u64 = 1_000;

/// How much later than its request a reservation ends.
const GRACE: Duration = Duration::from_secs(60);

/// How far estimates of prompts were off, in thousandths: 1,000 is not at all.
pub(super) const EXACT: u64 = 1_000;

/// No text has so many more tokens than estimated: each of its bytes would be more than two of them.
const MOST_OFF: u64 = 8_000;

/// Something taken out of every budget, and not settled yet.
#[must_use = "what is not settled stays spent"]
pub(super) struct Hold {
    taken: Vec<Reservation>,
    before: Amount,
    began: Instant,
    /// The budget that left less time than was wanted.
    short: Option<Box<Exceeded>>,
    /// About how many tokens the prompt has; 0 for calls.
    pub(super) prompt: u64,
    estimated: u64,
}

impl Hold {
    /// Why its time is up, where the run's own is not.
    pub(super) fn out_of_time(&self) -> RunOutcome {
        match &self.short {
            Some(short) => RunOutcome::BudgetExceeded(short.clone()),
            None => RunOutcome::Failed {
                code: toolcell::ErrorKind::Unavailable,
                message: format!("the model took longer than {} s", LONGEST.as_secs()),
            },
        }
    }
}

/// What was taken, or why nothing was.
type Held = Result<Result<Hold, RunOutcome>, AgentError>;

impl Session<'_> {
    /// Takes the worst case of a request out of every budget. Where its longest answer does not fit, the longest that does
    /// is asked for instead.
    pub(super) async fn reserve(&mut self, request: &mut ModelRequest) -> Held {
        let estimated = estimate(request);
        let prompt = estimated.saturating_mul(self.off).div_ceil(EXACT);
        let least = least_output(request);
        let mut time = self.time_wanted();
        let mut short = None;
        loop {
            let amount = self.worst(prompt, request.max_tokens, time);
            let no = match self.take_out(amount).await? {
                Ok(taken) => {
                    return Ok(Ok(Hold {
                        prompt,
                        estimated,
                        ..self.hold(taken, time, short)
                    }));
                }
                Err(no) => no,
            };
            match no.budget {
                BudgetKind::Time if self.shorten(&mut time, &no) => short = Some(no),
                BudgetKind::Tokens | BudgetKind::Cost => {
                    let fits = self.longest_answer(prompt, request.max_tokens, &no);
                    match fits.filter(|fits| *fits >= least) {
                        Some(fits) => request.max_tokens = fits,
                        None => return Ok(Err(RunOutcome::BudgetExceeded(no))),
                    }
                }
                _ => return Ok(Err(RunOutcome::BudgetExceeded(no))),
            }
        }
    }

    /// Takes the calls of a turn out of every budget. Those of the run itself were counted when they were asked for.
    async fn reserve_calls(&mut self, calls: usize) -> Held {
        let mut time = self.time_wanted();
        let mut short = None;
        loop {
            let amount = Amount {
                calls: calls as u64,
                time_ms: time.unwrap_or(0),
                ..Amount::default()
            };
            let no = match self.take_from_purse(amount).await? {
                Ok(taken) => return Ok(Ok(self.hold(taken, time, short))),
                Err(no) => no,
            };
            if no.budget == BudgetKind::Time && self.shorten(&mut time, &no) {
                short = Some(no);
            } else {
                return Ok(Err(RunOutcome::BudgetExceeded(no)));
            }
        }
    }

    /// Puts what was really used in the place of what was taken, and says what is left.
    pub(super) async fn settle(
        &mut self,
        hold: Hold,
        calls: usize,
    ) -> Result<Vec<Left>, AgentError> {
        let spent = Amount {
            calls: calls as u64,
            time_ms: u64::try_from(hold.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            ..self.run.spent().amount().minus(&hold.before)
        };
        self.held_until = None;
        self.purse.settle(&hold.taken, spent).await?;
        self.left().await
    }

    /// Learns how long a prompt really was: the next one is reckoned accordingly, and never shorter than estimated.
    pub(super) fn learn_prompt(&mut self, hold: &Hold, tokens: u64) {
        let off = tokens.saturating_mul(EXACT).checked_div(hold.estimated);
        self.off = off.unwrap_or(EXACT).clamp(EXACT, MOST_OFF);
    }

    /// Answers the calls of a turn, within every budget.
    pub(super) async fn calls_in_budget(
        &mut self,
        calls: Vec<Dispatch>,
    ) -> Result<Option<RunOutcome>, AgentError> {
        let count = calls.len();
        let hold = match self.reserve_calls(count).await? {
            Ok(hold) => hold,
            Err(outcome) => return Ok(Some(outcome)),
        };
        let called = self.call_tools(calls).await;
        // Those that wait for a person are made when the run goes on.
        let made = count.saturating_sub(self.waiting.len());
        let settled = self.settle(hold, made).await;
        called.and(settled).map(|_| None)
    }

    /// What is left of every budget.
    pub(super) async fn left(&self) -> Result<Vec<Left>, AgentError> {
        let own = self.own_budget().left(None, &self.run.spent().amount());
        Ok(own.into_iter().chain(self.purse.left().await?).collect())
    }

    fn hold(
        &mut self,
        taken: Vec<Reservation>,
        time: Option<u64>,
        short: Option<Box<Exceeded>>,
    ) -> Hold {
        let began = Instant::now();
        self.held_until = time.and_then(|time| began.checked_add(Duration::from_millis(time)));
        Hold {
            taken,
            before: self.run.spent().amount(),
            began,
            short,
            prompt: 0,
            estimated: 0,
        }
    }

    /// The most that a request can use.
    fn worst(&self, prompt: u64, output: u32, time: Option<u64>) -> Amount {
        let output = u64::from(output);
        Amount {
            turns: 1,
            calls: 0,
            tokens: prompt.saturating_add(output),
            cost_micro_usd: self.worst_cost(prompt, output),
            time_ms: time.unwrap_or(0),
        }
    }

    /// The most that a request of this run can cost; what is to be kept for an hour is dearer to write.
    pub(super) fn worst_cost(&self, prompt: u64, output: u64) -> u64 {
        let hour = self.run.settings().context.cache == Some(CacheTtl::Hour);
        self.agent.worst_cost(prompt, output, hour)
    }

    /// The longest answer below `most` for which the budget that said no has room.
    fn longest_answer(&self, prompt: u64, most: u32, no: &Exceeded) -> Option<u32> {
        let room = no.left();
        let fits = |output| self.worst(prompt, output, None).of(no.budget) <= room;
        if !fits(0) {
            return None;
        }
        let (mut low, mut high) = (0, most);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if fits(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        Some(low)
    }

    /// How much time to take; nothing where only the run's own time is bounded, which runs by itself.
    fn time_wanted(&self) -> Option<u64> {
        let left = self.time_left().min(LONGEST).as_millis();
        self.purse
            .bounds(BudgetKind::Time)
            .then(|| u64::try_from(left).unwrap_or(u64::MAX))
    }

    /// Makes do with the time that there is.
    fn shorten(&self, time: &mut Option<u64>, no: &Exceeded) -> bool {
        let left = no.left();
        let enough = left >= SHORTEST_MS && time.is_some_and(|time| left < time);
        if enough {
            *time = Some(left);
        }
        enough
    }

    async fn take_out(
        &self,
        amount: Amount,
    ) -> Result<Result<Vec<Reservation>, Box<Exceeded>>, AgentError> {
        let nothing = Amount::default();
        // The run's own time is measured and not reserved.
        let own = Amount {
            time_ms: 0,
            ..amount
        };
        let spent = self.run.spent().amount();
        match self.own_budget().room(None, &spent, &nothing, &own) {
            Ok(()) => self.take_from_purse(amount).await,
            Err(no) => Ok(Err(no)),
        }
    }

    async fn take_from_purse(
        &self,
        amount: Amount,
    ) -> Result<Result<Vec<Reservation>, Box<Exceeded>>, AgentError> {
        let lasts = self.time_left().saturating_add(GRACE);
        match self.purse.reserve(amount, lasts).await {
            Ok(taken) => Ok(Ok(taken)),
            Err(LedgerError::Exceeded(no)) => Ok(Err(no)),
            Err(error) => Err(error.into()),
        }
    }

    fn own_budget(&self) -> Allowance {
        let settings = self.run.settings();
        settings.budget.allowance(settings.price.is_some())
    }
}

/// The shortest answer that is worth a request: with a bound on thinking, that comes on top.
fn least_output(request: &ModelRequest) -> u32 {
    let thinking = match request.options.thinking {
        Some(Thinking::Tokens(tokens)) => tokens,
        _ => 0,
    };
    LEAST_OUTPUT
        .saturating_add(thinking)
        .min(request.max_tokens)
}

#[cfg(test)]
mod tests;
