use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::*;
use crate::{
    Agent, AgentBuilder, AgentEvent, Budget, Catalog, ModelProvider, RunContext, RunReport,
    Transcript,
    budget::{Allowance, Period, Scope},
    driver::AgentError,
    ledger::{Ledger, MemoryLedger, Shared},
    machine::{Run, Step},
    model::{
        Anthropic, AnthropicConfig, ApiKey, ModelError, ModelEvent, ModelSink, Resilient, Retry,
        TimeoutKind, Timer,
    },
    testing::{
        Tools, recorder, reply,
        server::{Server, error, stream, turn},
        tool_use,
    },
    transcript::replay,
    wire::{Block, Reply, StopReason, TokenUsage},
};

/// 2026-11-21T12:00:00Z.
const NOON: u64 = 1_795_262_400_000;

/// A model that answers as it is told, and keeps what it was asked.
#[derive(Clone)]
struct Model {
    answer: Arc<dyn Fn(usize, ModelSink<'_>) -> Answered + Send + Sync>,
    asked: Arc<Mutex<Vec<u32>>>,
    others: Vec<String>,
}

enum Answered {
    Now(Box<Result<Reply, ModelError>>),
    Never,
}

impl Model {
    fn new(answer: impl Fn(usize, ModelSink<'_>) -> Answered + Send + Sync + 'static) -> Self {
        Self {
            answer: Arc::new(answer),
            asked: Arc::default(),
            others: Vec::new(),
        }
    }

    /// Ends its turn at once, and used so many tokens.
    fn using(input: u64, output: u64) -> Self {
        Self::new(move |_, _| now(Ok(used(input, output))))
    }

    /// The longest answers that it was asked for.
    fn asked(&self) -> Vec<u32> {
        self.asked.lock().unwrap().clone()
    }
}

impl ModelProvider for Model {
    fn id(&self) -> &str {
        "claude-sonnet-5-5"
    }

    fn provider(&self) -> &str {
        "test"
    }

    fn others(&self) -> Vec<String> {
        self.others.clone()
    }

    fn stream<'a>(
        &'a self,
        request: &'a ModelRequest,
        sink: ModelSink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(request.max_tokens);
            asked.len() - 1
        };
        Box::pin(async move {
            match (self.answer)(number, sink) {
                Answered::Now(answer) => *answer,
                Answered::Never => std::future::pending().await,
            }
        })
    }
}

fn now(answer: Result<Reply, ModelError>) -> Answered {
    Answered::Now(Box::new(answer))
}

fn used(input: u64, output: u64) -> Reply {
    Reply {
        usage: TokenUsage {
            input_tokens: input,
            output_tokens: output,
            ..TokenUsage::default()
        },
        ..reply(StopReason::EndTurn, vec![Block::text("done")])
    }
}

fn builder(model: &Model) -> AgentBuilder {
    Agent::builder(Tools::echo(), model.clone())
}

fn within(budget: Budget, model: &Model) -> AgentBuilder {
    builder(model).budget(budget)
}

async fn run(agent: AgentBuilder) -> RunReport {
    let agent = agent.build().unwrap();
    agent.run("go", &RunContext::default()).await.unwrap()
}

fn exceeded(report: &RunReport) -> Exceeded {
    match &report.outcome {
        RunOutcome::BudgetExceeded(exceeded) => (**exceeded).clone(),
        other => panic!("{other}"),
    }
}

fn tokens(tokens: u64) -> Budget {
    Budget {
        tokens,
        ..Budget::default()
    }
}

fn cost(micro_usd: u64) -> Budget {
    Budget {
        cost_micro_usd: Some(micro_usd),
        ..Budget::default()
    }
}

/// A timer that does not wait.
struct NoWait;

impl Timer for NoWait {
    fn wait(&self, _: Duration) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn dice(&self) -> f64 {
        0.0
    }
}

/// What the first request of such a run is estimated at.
fn prompt() -> u64 {
    let agent = builder(&Model::using(0, 0)).build().unwrap();
    let run = Run::new(agent.settings(), "go", "c");
    match run.next() {
        Step::CallModel(request) => estimate(&request),
        other => panic!("{other:?}"),
    }
}

fn shared(of_tenant: Allowance) -> (Shared, Arc<MemoryLedger>) {
    let ledger = Arc::new(MemoryLedger::new(Arc::new(|| NOON)));
    let shared = Shared {
        ledger: Arc::clone(&ledger) as Arc<dyn Ledger>,
        agent: "a".into(),
        of_agent: Vec::new(),
        of_tenant: vec![of_tenant],
    };
    (shared, ledger)
}

fn day() -> Allowance {
    Allowance::unbounded(Period::Day)
}

/// What the tenant has spent and reserved today.
async fn today(ledger: &MemoryLedger) -> (Amount, Amount) {
    let scope = Scope::tenant(Shared::DEFAULT_NAME);
    let standing = ledger.standing(&scope).await.unwrap().swap_remove(0);
    (standing.spent, standing.reserved)
}

#[tokio::test]
async fn an_answer_is_cut_to_what_fits() {
    let model = Model::using(10, 10);
    let budget = tokens(prompt() + 5_000);
    assert_eq!(
        run(within(budget, &model)).await.outcome,
        RunOutcome::Finished
    );
    assert_eq!(model.asked(), [5_000]);
    // In money: two dollars a million tokens in, 2.5 where the prompt is written to the cache, ten out.
    let model = Model::using(10, 10);
    let budget = cost((prompt() * 5).div_ceil(2) + 30_000);
    run(within(budget, &model)).await;
    assert_eq!(model.asked(), [3_000]);
    // What fits whole is left alone.
    let model = Model::using(10, 10);
    run(within(tokens(prompt() + 16_000), &model)).await;
    assert_eq!(model.asked(), [16_000]);
}

#[tokio::test]
async fn what_does_not_fit_is_not_sent() {
    let server = Server::with(vec![stream(&turn("done", None))]).await;
    let agent = |budget| {
        let mut config = AnthropicConfig::new("claude-sonnet-5-5", ApiKey::new("k"));
        config.base_url.clone_from(&server.url);
        let model = Anthropic::new(config).unwrap();
        Agent::builder(Tools::echo(), model)
            .budget(budget)
            .build()
            .unwrap()
    };
    let least = u64::from(LEAST_OUTPUT);
    let budgets = [tokens(prompt() + least - 1), cost(10_000)];
    for budget in budgets {
        let agent = agent(budget.clone());
        let report = agent.run("go", &RunContext::default()).await.unwrap();
        let exceeded = exceeded(&report);
        assert_eq!((exceeded.scope.as_ref(), exceeded.spent), (None, 0));
        assert!(exceeded.wanted > exceeded.limit, "{exceeded}");
        assert_eq!(server.count(), 0, "{exceeded}");
        // Looked at only after the fact, the same budgets let the request go out: the loop alone would send it.
        let settings = agent.settings();
        assert_eq!(settings.budget, budget);
        assert!(matches!(
            Run::new(settings, "go", "c").next(),
            Step::CallModel(_)
        ));
    }
    let agent = agent(tokens(prompt() + least));
    let report = agent.run("go", &RunContext::default()).await.unwrap();
    assert_eq!((report.outcome, server.count()), (RunOutcome::Finished, 1));
}

#[tokio::test]
async fn a_short_answer_that_was_asked_for_may_be_short() {
    let model = Model::using(1, 1);
    let agent = within(tokens(prompt() + 50), &model).max_tokens(50);
    assert_eq!(run(agent).await.outcome, RunOutcome::Finished);
    // Thinking is part of the answer, and it has to leave something for the rest.
    let thinking = |tokens| crate::wire::TurnOptions {
        thinking: Some(Thinking::Tokens(tokens)),
        ..crate::wire::TurnOptions::default()
    };
    for (room, fits) in [(4_000 + 1_024, true), (4_000 + 1_023, false)] {
        let model = Model::using(1, 1);
        let agent = within(tokens(prompt() + room), &model).options(thinking(4_000));
        assert_eq!(run(agent).await.outcome == RunOutcome::Finished, fits);
        assert_eq!(model.asked().len(), usize::from(fits));
    }
}

#[tokio::test]
async fn the_dearest_model_that_may_answer_is_reckoned_with() {
    let mut model = Model::using(1, 1);
    let budget = cost(400_000);
    run(within(budget.clone(), &model)).await;
    assert_eq!(model.asked(), [16_000]);
    model.others = vec!["anthropic:claude-opus-4-8".into()];
    run(within(budget, &model)).await;
    assert!(model.asked()[1] < 16_000, "{:?}", model.asked());
}

#[tokio::test]
async fn money_cannot_be_bounded_without_a_price() {
    let wrong = |agent: AgentBuilder| match agent.build() {
        Err(AgentError::Config(message)) => message,
        _ => panic!("it has no price"),
    };
    let mut model = Model::using(1, 1);
    let bounded = || Allowance {
        cost_micro_usd: Some(1),
        ..day()
    };
    let none = wrong(
        builder(&model)
            .catalog(Catalog::none())
            .shared_budgets(shared(bounded()).0),
    );
    assert!(
        none.contains("the price of claude-sonnet-5-5 is not known"),
        "{none}"
    );
    model.others = vec!["openai:nobody-knows".into()];
    let other = wrong(builder(&model).budget(cost(5)));
    assert!(
        other.contains("the price of nobody-knows is not known"),
        "{other}"
    );
    assert!(builder(&model).build().is_ok());
}

#[tokio::test]
async fn estimates_learn_from_what_prompts_really_were() {
    let answers = |number, _: ModelSink<'_>| {
        now(Ok(match number {
            0 => Reply {
                usage: TokenUsage {
                    input_tokens: 4 * prompt(),
                    ..TokenUsage::default()
                },
                ..reply(StopReason::ToolUse, vec![tool_use("t1", "read", json!({}))])
            },
            _ => used(1, 1),
        }))
    };
    let model = Model::new(answers);
    let report = run(within(tokens(20_000), &model)).await;
    assert_eq!(report.outcome, RunOutcome::Finished);
    let second = u64::from(model.asked()[1]);
    // The second prompt is a little longer than the first, and reckoned four times as long as estimated.
    assert!(second < 20_000 - 8 * prompt(), "{second}");
}

#[tokio::test]
async fn runs_of_one_tenant_share_its_budget() {
    let model = Model::using(400, 600);
    let (shared, ledger) = shared(Allowance {
        tokens: Some(5_000),
        ..day()
    });
    let mut agents = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let agent = builder(&model)
            .max_tokens(2_000)
            .shared_budgets(shared.clone());
        agents.spawn(async move { run(agent).await });
    }
    let reports = agents.join_all().await;
    let finished = reports
        .iter()
        .filter(|it| it.outcome == RunOutcome::Finished);
    let (spent, reserved) = today(&ledger).await;
    assert!(spent.tokens <= 5_000, "{spent:?}");
    assert_eq!(
        (spent.tokens, reserved),
        (1_000 * finished.count() as u64, Amount::default())
    );
    assert_eq!(model.asked().len() as u64, spent.turns);
    let refused = reports
        .iter()
        .find(|it| it.outcome != RunOutcome::Finished)
        .unwrap();
    let refused = exceeded(refused);
    assert_eq!(refused.scope, Some(Scope::tenant("default")));
    assert_eq!(refused.per, Some(Period::Day));
}

#[tokio::test]
async fn what_a_server_refuses_costs_nothing() {
    let server = Server::with(vec![error(400, "", "invalid_request_error", "no")]).await;
    let mut config = AnthropicConfig::new("claude-sonnet-5-5", ApiKey::new("k"));
    config.base_url.clone_from(&server.url);
    let (shared, ledger) = shared(Allowance {
        tokens: Some(100_000),
        ..day()
    });
    let agent = Agent::builder(Tools::echo(), Anthropic::new(config).unwrap());
    let report = run(agent.shared_budgets(shared)).await;
    assert!(matches!(report.outcome, RunOutcome::Failed { .. }));
    assert_eq!(report.spent.total_tokens(), 0);
    let (spent, reserved) = today(&ledger).await;
    assert_eq!(
        (spent.tokens, spent.turns, reserved),
        (0, 0, Amount::default())
    );
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_counted_as_far_as_it_came() {
    let broke = |_, sink: ModelSink<'_>| {
        sink(ModelEvent::Text("x".repeat(700)));
        now(Err(ModelError::Truncated))
    };
    let model = Model::new(broke);
    let (shared, ledger) = shared(Allowance {
        tokens: Some(100_000),
        ..day()
    });
    let dir = tempfile::tempdir().unwrap();
    let context = RunContext {
        transcript: Some(dir.path().join("run.jsonl")),
        ..RunContext::default()
    };
    let agent = builder(&model).shared_budgets(shared).build().unwrap();
    let report = agent.run("go", &context).await.unwrap();
    let lost = prompt() + 200;
    assert_eq!((report.spent.turns, report.spent.total_tokens()), (0, lost));
    assert!(report.spent.cost_micro_usd > Some(2_000), "{report:?}");
    assert_eq!(today(&ledger).await.0.tokens, lost);
    // A run that goes on from its transcript knows of it.
    let (_, records) = Transcript::open(dir.path().join("run.jsonl")).unwrap();
    assert_eq!(replay(records).unwrap().run.spent(), &report.spent);
}

#[tokio::test]
async fn what_is_asked_for_again_is_counted_each_time() {
    let twice = |number, sink: ModelSink<'_>| {
        sink(ModelEvent::Text("x".repeat(70)));
        now(match number {
            0 => Err(ModelError::Timeout {
                kind: TimeoutKind::Idle,
                after: Duration::from_secs(1),
            }),
            _ => Ok(used(30, 10)),
        })
    };
    let model = Model::new(twice);
    let agent = Agent::builder(
        Tools::echo(),
        Resilient::with_timer(model.clone(), Retry::default(), Arc::new(NoWait)),
    );
    let report = run(agent).await;
    assert_eq!(model.asked().len(), 2);
    assert_eq!(report.spent.total_tokens(), prompt() + 20 + 40);
    assert_eq!(report.spent.turns, 1);
}

#[tokio::test]
async fn a_run_that_is_stopped_settles_what_it_took() {
    let begun = Arc::new(Notify::new());
    let told = Arc::clone(&begun);
    let model = Model::new(move |_, _| {
        told.notify_one();
        Answered::Never
    });
    let (shared, ledger) = shared(Allowance {
        tokens: Some(100_000),
        ..day()
    });
    let context = RunContext::default();
    let agent = builder(&model).shared_budgets(shared).build().unwrap();
    let stop = async {
        begun.notified().await;
        assert_eq!(today(&ledger).await.1.tokens, prompt() + 16_000);
        context.cancel.cancel();
    };
    let (report, ()) = tokio::join!(agent.run("go", &context), stop);
    assert_eq!(report.unwrap().outcome, RunOutcome::Cancelled);
    // The server has read the prompt, as far as anybody knows.
    let (spent, reserved) = today(&ledger).await;
    assert_eq!((spent.tokens, reserved), (prompt(), Amount::default()));
}

#[tokio::test]
async fn calls_are_taken_before_any_of_them_runs() {
    let asks = || {
        let calls = ["t1", "t2"].map(|id| tool_use(id, "read", json!({ "for": id })));
        reply(StopReason::ToolUse, calls.into())
    };
    for (limit, runs) in [(1, false), (2, true)] {
        let model =
            Model::new(move |number, _| now(Ok(if number == 0 { asks() } else { used(1, 1) })));
        let (shared, ledger) = shared(Allowance {
            calls: Some(limit),
            ..day()
        });
        let tools = Tools::echo();
        let agent = Agent::builder(tools.clone(), model).shared_budgets(shared);
        let report = run(agent).await;
        assert_eq!(report.outcome == RunOutcome::Finished, runs, "{report:?}");
        assert_eq!(tools.seen().is_empty(), !runs);
        assert_eq!(today(&ledger).await.0.calls, if runs { 2 } else { 0 });
    }
}

#[tokio::test]
async fn a_shared_budget_on_time_cuts_off_a_silent_model() {
    let model = Model::new(|_, _| Answered::Never);
    let (shared, ledger) = shared(Allowance {
        time_ms: Some(1_000),
        ..day()
    });
    let report = run(builder(&model).shared_budgets(shared.clone())).await;
    let exceeded = exceeded(&report);
    assert_eq!((exceeded.budget, exceeded.limit), (BudgetKind::Time, 1_000));
    assert!(today(&ledger).await.0.time_ms >= 1_000);
    // Nothing is left for the next one.
    run(builder(&model).shared_budgets(shared)).await;
    assert_eq!(model.asked().len(), 1);
}

#[tokio::test]
async fn every_turn_tells_what_is_left() {
    let model = Model::using(40, 60);
    let (shared, _) = shared(Allowance {
        tokens: Some(100_000),
        ..day()
    });
    let (events, heard) = recorder();
    let context = RunContext {
        events: Some(events),
        ..RunContext::default()
    };
    let agent = builder(&model).shared_budgets(shared).build().unwrap();
    agent.run("go", &context).await.unwrap();
    let heard = heard.lock().unwrap();
    let left = heard.iter().find_map(|event| match event {
        AgentEvent::Usage { left, .. } => Some(serde_json::to_value(left).unwrap()),
        _ => None,
    });
    let left = left.unwrap();
    let of = |budget: &str, tenant: bool| {
        let all = left.as_array().unwrap().iter();
        let mut fit =
            all.filter(|it| it["budget"] == budget && (it["scope"] != Value::Null) == tenant);
        fit.next().map(|it| it["left"].clone())
    };
    assert_eq!(of("turns", false), Some(json!(49)));
    assert_eq!(of("tokens", false), Some(json!(3_999_900)));
    assert_eq!(of("tokens", true), Some(json!(99_900)));
    assert_eq!(of("turns", true), None);
}
