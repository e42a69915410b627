//! The rules of an agent's runs, with their defaults.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};
use toolcell::{LikelySecrets, Redaction, Sink};

use super::{Agent, AgentError, Rules, turn};
use crate::{
    budget::Budget,
    catalog::{Catalog, ModelInfo, Price},
    context::{ContextRules, estimate},
    ledger::Shared,
    metrics::Metrics,
    model::{ModelProvider, Observed},
    repeat::RepeatLimits,
    runner::ToolRunner,
    wire::TurnOptions,
};

/// How long calls that were cancelled may take to end. They end at once, unless a tool host is broken.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// Makes an [`Agent`].
#[must_use]
pub struct AgentBuilder {
    runner: Arc<dyn ToolRunner>,
    model: Arc<dyn ModelProvider>,
    rules: Rules,
    catalog: Catalog,
    metrics: Metrics,
    today: Option<String>,
    shared: Option<Shared>,
    redaction: Redaction,
    kept: Redaction,
    likely: LikelySecrets,
    name: Option<String>,
    content: Option<Redaction>,
}

impl AgentBuilder {
    /// As [`Agent::builder`], for a runner and a model that are shared or chosen at run time.
    pub fn new(runner: Arc<dyn ToolRunner>, model: Arc<dyn ModelProvider>) -> Self {
        Self {
            redaction: runner.redaction(),
            kept: runner.on_the_way_to(Sink::Transcript),
            likely: runner.likely_secrets(),
            runner,
            model,
            rules: Rules {
                system: None,
                max_tokens: 16_000,
                options: TurnOptions::default(),
                extra: Map::new(),
                budget: Budget::default(),
                repeat: RepeatLimits::default(),
                context: ContextRules::default(),
                parallel: 8,
                cancel_grace: CANCEL_GRACE,
            },
            catalog: Catalog::embedded(),
            metrics: Metrics::none(),
            name: None,
            content: None,
            today: None,
            shared: None,
        }
    }

    /// The operator's instructions to the model. Default none.
    pub fn system(mut self, system: impl Into<String>) -> Self {
        self.rules.system = Some(system.into());
        self
    }

    /// The longest answer of one turn in tokens. Default 16,000.
    pub fn max_tokens(mut self, max_tokens: u32) -> Self {
        self.rules.max_tokens = max_tokens;
        self
    }

    /// How turns are wanted: thinking, effort, which tools, the form of the answer.
    pub fn options(mut self, options: TurnOptions) -> Self {
        self.rules.options = options;
        self
    }

    /// Where figures go. Default nowhere.
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// The agent's name in spans. Default none.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Has spans hold what people, models and tools say, without what this search takes out. Default no.
    pub fn content(mut self, redaction: Redaction) -> Self {
        self.content = Some(redaction);
        self
    }

    /// A further field of every request, in the provider's own words.
    pub fn request_field(mut self, name: impl Into<String>, value: Value) -> Self {
        self.rules.extra.insert(name.into(), value);
        self
    }

    /// What a run may spend.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.rules.budget = budget;
        self
    }

    /// The budgets that its runs share with others. Default none.
    pub fn shared_budgets(mut self, shared: Shared) -> Self {
        self.shared = Some(shared);
        self
    }

    /// What counts as too many identical calls.
    pub fn repeat(mut self, repeat: RepeatLimits) -> Self {
        self.rules.repeat = repeat;
        self
    }

    /// How the model's context is used.
    pub fn context(mut self, context: ContextRules) -> Self {
        self.rules.context = context;
        self
    }

    /// How many calls of one turn run at the same time. Default 8.
    pub fn parallel(mut self, calls: usize) -> Self {
        self.rules.parallel = calls;
        self
    }

    /// What a run tells and keeps is searched for these secrets: events, transcript and report. Default those of the
    /// runner; a tool host's are the ones that it knows, and in transcripts what its policy says about personal data.
    pub fn redaction(mut self, redaction: Redaction) -> Self {
        self.kept = redaction.clone();
        self.redaction = redaction;
        self
    }

    /// The models to reckon with: their prices and sizes. Default those that this version was built with.
    pub fn catalog(mut self, catalog: Catalog) -> Self {
        self.catalog = catalog;
        self
    }

    /// The date (`YYYY-MM-DD`) whose prices hold. Default the newest ones.
    pub fn today(mut self, date: impl Into<String>) -> Self {
        self.today = Some(date.into());
        self
    }

    /// The agent.
    ///
    /// # Errors
    /// [`AgentError::Config`] for settings that cannot work, for example a budget on cost for a model without a price.
    pub fn build(self) -> Result<Agent, AgentError> {
        let wrong = |message: String| Err(AgentError::Config(message));
        let Rules {
            max_tokens,
            extra,
            budget,
            parallel,
            context,
            system,
            ..
        } = &self.rules;
        if *max_tokens == 0 {
            return wrong("max_tokens must be at least 1".into());
        }
        if *parallel == 0 {
            return wrong("at least one call must be able to run at a time".into());
        }
        let info = self.catalog.info(self.model.id());
        if let Err(problem) = check(context, info, *max_tokens, system.as_deref()) {
            return wrong(problem);
        }
        if let Some(name) = RESERVED.iter().find(|name| extra.contains_key(**name)) {
            return wrong(format!(
                "the request field `{name}` is set by the loop itself"
            ));
        }
        let today = self.today.as_deref();
        let price = if self.model.is_free() {
            Some(Price::free())
        } else {
            self.catalog.price(self.model.id(), today)
        };
        let others = self.model.others();
        let mut prices = vec![(self.model.id(), price.clone())];
        prices.extend(others.iter().map(|name| {
            let model = name
                .split_once(':')
                .map_or(name.as_str(), |(_, model)| model);
            (model, self.catalog.price(model, today))
        }));
        let shared = self.shared.as_ref();
        let bound = budget.cost_micro_usd.is_some() || shared.is_some_and(Shared::bounds_cost);
        if let Some((model, _)) = prices.iter().find(|(_, price)| bound && price.is_none()) {
            return wrong(format!(
                "the price of {model} is not known, so its cost cannot be bounded; \
                 bound its tokens instead, or give a price table that names it"
            ));
        }
        let prices = prices.into_iter().filter_map(|(_, price)| price).collect();
        let catalog = Arc::new(self.catalog);
        let observed = Observed::new(self.model, self.metrics.clone()).content(self.content);
        let known = (price.clone(), Arc::clone(&catalog), self.today.clone());
        let observed = observed.priced(move |reply| {
            let (price, catalog, today) = &known;
            turn::cost(reply, price.as_ref(), catalog, today.as_deref())
        });
        Ok(Agent {
            runner: self.runner,
            model: Arc::new(observed),
            rules: self.rules,
            price,
            prices,
            shared: self.shared,
            catalog,
            today: self.today,
            metrics: self.metrics,
            name: self.name,
            redaction: self.redaction,
            kept: self.kept,
            likely: self.likely,
        })
    }
}

/// Whether the rules of the context can work, and the instructions leave room for anything else.
fn check(
    rules: &ContextRules,
    info: ModelInfo,
    max_tokens: u32,
    system: Option<&str>,
) -> Result<(), String> {
    rules.check()?;
    let rules = ContextRules {
        window: rules.window.or(info.context_tokens),
        ..rules.clone()
    };
    let room = rules.threshold(max_tokens);
    let tokens = estimate::text(system.unwrap_or_default());
    if tokens <= room {
        return Ok(());
    }
    Err(format!(
        "the instructions have about {tokens} tokens, and a prompt may have {room} here; \
         shorten them, or name fewer files that the model shall know"
    ))
}

const RESERVED: &[&str] = &[
    "model",
    "max_tokens",
    "stream",
    "system",
    "tools",
    "messages",
];
