use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use proptest::prelude::*;

use super::*;
use crate::budget::BudgetKind;

/// 2026-11-21T12:00:00Z.
pub(super) const NOON: u64 = 1_795_262_400_000;
const HOUR: u64 = 3_600_000;

/// A clock that stands still until somebody moves it.
#[derive(Clone, Default)]
pub(super) struct Hands(Arc<AtomicU64>);

impl Hands {
    pub(super) fn at(unix_ms: u64) -> Self {
        let hands = Self::default();
        hands.set(unix_ms);
        hands
    }

    pub(super) fn set(&self, unix_ms: u64) {
        self.0.store(unix_ms, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn unix_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

pub(super) fn tokens(tokens: u64) -> Amount {
    Amount {
        tokens,
        ..Amount::default()
    }
}

pub(super) fn allowed(per: Period, tokens: u64) -> Vec<Allowance> {
    vec![Allowance {
        tokens: Some(tokens),
        ..Allowance::unbounded(per)
    }]
}

const MINUTE: Duration = Duration::from_secs(60);

fn ledger() -> (MemoryLedger, Hands) {
    let hands = Hands::at(NOON);
    (MemoryLedger::new(Arc::new(hands.clone())), hands)
}

fn exceeded<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> Exceeded {
    match result.unwrap_err() {
        LedgerError::Exceeded(exceeded) => *exceeded,
        other => panic!("{other}"),
    }
}

async fn standing(ledger: &impl Ledger, scope: &Scope, per: Period) -> (u64, u64) {
    let all = ledger.standing(scope).await.unwrap();
    let one = all.iter().find(|it| it.per == per).unwrap();
    (one.spent.tokens, one.reserved.tokens)
}

#[tokio::test]
async fn what_is_reserved_is_not_there_for_others() {
    let (ledger, _) = ledger();
    let (scope, allowances) = (Scope::tenant("acme"), allowed(Period::Day, 100));
    let first = ledger.reserve(&scope, &allowances, tokens(60), MINUTE);
    let first = first.await.unwrap();
    let refused = exceeded(
        ledger
            .reserve(&scope, &allowances, tokens(41), MINUTE)
            .await,
    );
    assert_eq!(
        (
            refused.limit,
            refused.spent,
            refused.reserved,
            refused.wanted,
            refused.left()
        ),
        (100, 0, 60, 41, 40)
    );
    assert_eq!(
        (refused.budget, refused.per),
        (BudgetKind::Tokens, Some(Period::Day))
    );
    assert_eq!(
        refused.to_string(),
        "the budget of tenant `acme` for a day on tokens is 100: 0 are spent, 60 are reserved, \
         and what comes next may need 41"
    );
    let exactly = ledger.reserve(&scope, &allowances, tokens(40), MINUTE);
    let exactly = exactly.await.unwrap();
    // What was not needed is there again.
    ledger.settle(&first, tokens(10)).await.unwrap();
    ledger.settle(&exactly, tokens(40)).await.unwrap();
    assert_eq!(standing(&ledger, &scope, Period::Day).await, (50, 0));
    let refused = exceeded(
        ledger
            .reserve(&scope, &allowances, tokens(51), MINUTE)
            .await,
    );
    assert_eq!((refused.spent, refused.reserved), (50, 0));
}

#[tokio::test]
async fn every_kind_has_its_own_bound() {
    let (ledger, _) = ledger();
    let one = Amount {
        turns: 1,
        calls: 1,
        tokens: 1,
        cost_micro_usd: 1,
        time_ms: 1,
    };
    for (at, kind) in BudgetKind::ALL.into_iter().enumerate() {
        let zero = |wanted| (kind == wanted).then_some(0);
        let allowances = [Allowance {
            per: Period::Ever,
            turns: zero(BudgetKind::Turns),
            calls: zero(BudgetKind::Calls),
            tokens: zero(BudgetKind::Tokens),
            cost_micro_usd: zero(BudgetKind::Cost),
            time_ms: zero(BudgetKind::Time),
        }];
        let scope = Scope::agent(format!("a{at}"));
        let refused = exceeded(ledger.reserve(&scope, &allowances, one, MINUTE).await);
        assert_eq!(refused.budget, kind);
        // A budget that is used up stands in the way of nothing that needs none of it.
        let nothing = ledger.reserve(&scope, &allowances, Amount::default(), MINUTE);
        assert!(nothing.await.is_ok());
    }
}

#[tokio::test]
async fn a_new_day_and_a_new_month_begin_anew() {
    let (ledger, hands) = ledger();
    let scope = Scope::tenant("acme");
    let spend = async |amount| {
        let taken = ledger
            .reserve(&scope, &[], tokens(amount), MINUTE)
            .await
            .unwrap();
        ledger.settle(&taken, tokens(amount)).await.unwrap();
    };
    spend(7).await;
    hands.set(NOON + 12 * HOUR);
    spend(5).await;
    for (per, spent) in [(Period::Day, 5), (Period::Month, 12), (Period::Ever, 12)] {
        assert_eq!(standing(&ledger, &scope, per).await, (spent, 0), "{per:?}");
    }
    hands.set(NOON + 10 * 24 * HOUR);
    for (per, spent) in [(Period::Day, 0), (Period::Month, 0), (Period::Ever, 12)] {
        assert_eq!(standing(&ledger, &scope, per).await, (spent, 0), "{per:?}");
    }
}

#[tokio::test]
async fn a_clock_that_goes_back_frees_nothing() {
    let (ledger, hands) = ledger();
    let (scope, allowances) = (Scope::tenant("acme"), allowed(Period::Day, 10));
    let taken = ledger
        .reserve(&scope, &allowances, tokens(10), MINUTE)
        .await
        .unwrap();
    ledger.settle(&taken, tokens(10)).await.unwrap();
    hands.set(NOON - 24 * HOUR);
    let refused = exceeded(ledger.reserve(&scope, &allowances, tokens(1), MINUTE).await);
    assert_eq!(refused.spent, 10);
}

#[tokio::test]
async fn a_turn_over_midnight_belongs_to_the_day_in_which_it_was_sent() {
    let (ledger, hands) = ledger();
    let scope = Scope::tenant("acme");
    let taken = ledger
        .reserve(&scope, &[], tokens(9), 24 * 60 * MINUTE)
        .await
        .unwrap();
    hands.set(NOON + 13 * HOUR);
    assert_eq!(standing(&ledger, &scope, Period::Day).await, (0, 0));
    assert_eq!(standing(&ledger, &scope, Period::Month).await, (0, 9));
    ledger.settle(&taken, tokens(4)).await.unwrap();
    assert_eq!(standing(&ledger, &scope, Period::Day).await, (0, 0));
    assert_eq!(standing(&ledger, &scope, Period::Ever).await, (4, 0));
}

#[tokio::test]
async fn what_nobody_settles_stays_spent() {
    let (ledger, hands) = ledger();
    let (scope, allowances) = (Scope::agent("a"), allowed(Period::Day, 100));
    let taken = ledger
        .reserve(&scope, &allowances, tokens(80), MINUTE)
        .await
        .unwrap();
    hands.set(NOON + 59_999);
    assert_eq!(standing(&ledger, &scope, Period::Day).await, (0, 80));
    hands.set(NOON + 60_000);
    assert_eq!(standing(&ledger, &scope, Period::Day).await, (80, 0));
    let refused = exceeded(
        ledger
            .reserve(&scope, &allowances, tokens(21), MINUTE)
            .await,
    );
    assert_eq!((refused.spent, refused.reserved), (80, 0));
    // Whoever comes too late changes nothing: neither twice spent nor free.
    ledger.settle(&taken, tokens(3)).await.unwrap();
    assert_eq!(standing(&ledger, &scope, Period::Day).await, (80, 0));
}

#[tokio::test]
async fn one_scope_has_only_so_many_requests_under_way() {
    let (ledger, _) = ledger();
    let scope = Scope::agent("a");
    for _ in 0..book::MAX_HELD {
        let _ = ledger
            .reserve(&scope, &[], tokens(1), MINUTE)
            .await
            .unwrap();
    }
    let refused = ledger.reserve(&scope, &[], tokens(1), MINUTE).await;
    assert!(matches!(
        refused,
        Err(LedgerError::Full { limit: 1_000, .. })
    ));
}

#[tokio::test]
async fn names_that_cannot_be_shown_are_refused() {
    let (ledger, _) = ledger();
    for name in [String::new(), "a\u{1b}[2K".into(), "x".repeat(129)] {
        let refused = ledger
            .reserve(&Scope::agent(name), &[], tokens(1), MINUTE)
            .await;
        let error = refused.unwrap_err().to_string();
        assert!(
            error.contains("is no name of an agent") && !error.contains('\u{1b}'),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_purse_takes_from_all_or_from_none() {
    let hands = Hands::at(NOON);
    let ledger = Arc::new(MemoryLedger::new(Arc::new(hands)));
    let (agent, tenant) = (Scope::agent("a"), Scope::tenant("t"));
    let shared = Shared {
        ledger: Arc::clone(&ledger) as Arc<dyn Ledger>,
        agent: "a".into(),
        of_agent: allowed(Period::Day, 100),
        of_tenant: allowed(Period::Month, 50),
    };
    let purse = shared.purse(Some(&toolcell::TenantId::new("t")));
    let refused = exceeded(purse.reserve(tokens(60), MINUTE).await);
    assert_eq!(
        (refused.scope, refused.per),
        (Some(tenant.clone()), Some(Period::Month))
    );
    assert_eq!(standing(&*ledger, &agent, Period::Day).await, (0, 0));
    let taken = purse.reserve(tokens(50), MINUTE).await.unwrap();
    assert_eq!(standing(&*ledger, &agent, Period::Day).await, (0, 50));
    purse.settle(&taken, tokens(20)).await.unwrap();
    assert_eq!(standing(&*ledger, &tenant, Period::Month).await, (20, 0));
    let left: Vec<u64> = purse
        .left()
        .await
        .unwrap()
        .iter()
        .map(|left| left.left)
        .collect();
    assert_eq!(left, [80, 30]);
    assert!(purse.bounds(BudgetKind::Tokens) && !purse.bounds(BudgetKind::Cost));
}

#[tokio::test]
async fn periods_end_at_midnight_of_utc() {
    let (ledger, _) = ledger();
    let (day, half) = (24 * HOUR, 12 * HOUR);
    let standings = ledger.standing(&Scope::agent("a")).await.unwrap();
    let ends: Vec<_> = standings
        .iter()
        .map(|it| (it.period.as_str(), it.ends_ms))
        .collect();
    assert_eq!(
        ends,
        [
            ("2026-11-21", Some(NOON + half)),
            ("2026-11", Some(NOON + 9 * day + half)),
            ("", None),
        ]
    );
}

/// What happens to a ledger.
#[derive(Clone, Debug)]
enum Deed {
    Reserve(u64),
    /// Settles the oldest that is open, with at most what it reserved.
    Settle(u64),
    /// Its process was killed.
    Forget,
    Wait(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => (0..60_u64).prop_map(Deed::Reserve),
        3 => (0..60_u64).prop_map(Deed::Settle),
        1 => Just(Deed::Forget),
        1 => (0..90_000_u64).prop_map(Deed::Wait),
    ]
}

proptest! {
    /// However reservations come, are settled, run out and are forgotten: within one day what was really spent is never
    /// more than the budget, and the ledger never says less than what was really spent.
    #[test]
    fn a_budget_is_never_passed(deeds in prop::collection::vec(deed(), 0..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (ledger, hands) = ledger();
            let (scope, allowances) = (Scope::tenant("acme"), allowed(Period::Day, 100));
            let mut open = std::collections::VecDeque::new();
            let (mut now, mut sure, mut at_most) = (NOON, 0_u64, 0_u64);
            for deed in deeds {
                match deed {
                    Deed::Reserve(amount) => {
                        let taken = ledger.reserve(&scope, &allowances, tokens(amount), MINUTE).await;
                        open.extend(taken.ok());
                    }
                    Deed::Settle(amount) => {
                        let Some(taken): Option<Reservation> = open.pop_front() else { continue };
                        let spent = amount.min(taken.amount.tokens);
                        ledger.settle(&taken, tokens(spent)).await.unwrap();
                        sure += spent;
                        at_most += spent;
                    }
                    Deed::Forget => {
                        let taken: Option<Reservation> = open.pop_back();
                        at_most += taken.map_or(0, |taken| taken.amount.tokens);
                    }
                    Deed::Wait(time) => {
                        now += time;
                        hands.set(now);
                    }
                }
                let flying: u64 = open.iter().map(|taken| taken.amount.tokens).sum();
                let (spent, reserved) = standing(&ledger, &scope, Period::Day).await;
                assert!(spent + reserved <= 100);
                assert!(sure + flying <= spent + reserved, "{sure} {flying} {spent} {reserved}");
                assert!(at_most + flying <= 100);
            }
        });
    }
}
