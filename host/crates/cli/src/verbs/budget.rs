//! `toolcell budget show` and `toolcell budget reset`.

use serde_json::{Value, json};
use toolcell::{ErrorKind, text::escape_control};
use toolcell_agent::{
    budget::{Allowance, Amount, BudgetKind, Period, Scope, ScopeKind},
    ledger::{FileLedger, Ledger as _, Shared, Standing},
};

use crate::{
    app::Outcome,
    args::{BudgetVerb, PolicyOptions, Whose},
    budgets,
    dirs::Dirs,
    exit,
    failure::Failure,
    output, policies, prompt,
    style::{self, paint},
};

pub(crate) async fn budget(verb: BudgetVerb) -> Outcome {
    match verb {
        BudgetVerb::Show { whose, policy } => show(&whose, &policy).await,
        BudgetVerb::Reset { whose, yes } => reset(&whose, yes).await,
    }
}

/// What one scope may spend and has spent in one period.
struct Row {
    scope: Scope,
    standing: Standing,
    allowance: Allowance,
}

async fn show(whose: &Whose, options: &PolicyOptions) -> Outcome {
    let dirs = Dirs::find()?;
    let layers = policies::load(options, &dirs)?.layers;
    let (of_agent, of_tenant) = (
        budgets::allowances(&layers.agent_budgets()),
        budgets::allowances(&layers.tenant_budgets()),
    );
    let ledger = budgets::ledger(&dirs);
    let mut rows = Vec::new();
    for scope in scopes(whose, &ledger)? {
        let allowances = match scope.kind {
            ScopeKind::Agent => &of_agent,
            ScopeKind::Tenant => &of_tenant,
        };
        let standings = ledger.standing(&scope).await;
        for standing in standings.map_err(|error| budgets::failed(&error))? {
            let allowance = allowances.iter().find(|it| it.per == standing.per);
            rows.push(Row {
                scope: scope.clone(),
                allowance: allowance
                    .cloned()
                    .unwrap_or_else(|| Allowance::unbounded(standing.per)),
                standing,
            });
        }
    }
    let data = json!({ "budgets": rows.iter().map(Row::to_json).collect::<Vec<_>>() });
    output::answer(data, |_| table(&rows));
    Ok(exit::OK)
}

/// The one that was named; else all that have spent something, and whoever uses the command line.
fn scopes(whose: &Whose, ledger: &FileLedger) -> Result<Vec<Scope>, Failure> {
    if let Some(scope) = named(whose) {
        return Ok(vec![scope]);
    }
    let mut scopes = ledger.scopes().map_err(|error| budgets::failed(&error))?;
    scopes.push(Scope::agent(Shared::DEFAULT_NAME));
    scopes.push(Scope::tenant(Shared::DEFAULT_NAME));
    scopes.sort();
    scopes.dedup();
    Ok(scopes)
}

fn named(whose: &Whose) -> Option<Scope> {
    let agent = whose.agent.as_ref().map(Scope::agent);
    agent.or_else(|| whose.tenant.as_ref().map(Scope::tenant))
}

impl Row {
    fn to_json(&self) -> Value {
        let Standing {
            per,
            period,
            ends_ms,
            spent,
            reserved,
        } = &self.standing;
        let limits: serde_json::Map<String, Value> = BudgetKind::ALL
            .into_iter()
            .filter_map(|kind| Some((field(kind).to_owned(), self.allowance.of(kind)?.into())))
            .collect();
        json!({
            "kind": self.scope.kind.name(),
            "name": self.scope.name,
            "per": per.name(),
            "period": period,
            "ends": ends_ms.map(|ms| format!("{}T00:00:00Z", budgets::day(ms))),
            "spent": spent,
            "reserved": reserved,
            "limit": limits,
        })
    }

    /// What people want to know of it: what is bounded, and what was spent.
    fn lines(&self) -> Vec<String> {
        let Standing {
            spent, reserved, ..
        } = &self.standing;
        let line = |kind: BudgetKind| {
            let limit = self.allowance.of(kind);
            let used = (spent.of(kind), reserved.of(kind));
            if limit.is_none() && used == (0, 0) {
                return None;
            }
            let mut line = format!("{:<7}{} spent", kind.to_string(), kind.show(used.0));
            if used.1 > 0 {
                line.push_str(&format!(", {} reserved", kind.show(used.1)));
            }
            if let Some(limit) = limit {
                let left = limit.saturating_sub(used.0).saturating_sub(used.1);
                line.push_str(&format!(
                    ", {} left of {}",
                    kind.show(left),
                    kind.show(limit)
                ));
            }
            Some(line)
        };
        BudgetKind::ALL.into_iter().filter_map(line).collect()
    }
}

/// The name of an amount's field in JSON.
fn field(kind: BudgetKind) -> &'static str {
    match kind {
        BudgetKind::Turns => "turns",
        BudgetKind::Calls => "calls",
        BudgetKind::Tokens => "tokens",
        BudgetKind::Cost => "cost_micro_usd",
        BudgetKind::Time => "time_ms",
    }
}

fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let lines = row.lines();
        let Some((first, rest)) = lines.split_first() else {
            continue;
        };
        let standing = &row.standing;
        let period = match (standing.per, standing.ends_ms) {
            (Period::Ever, _) | (_, None) => "ever".to_owned(),
            (_, Some(ends)) => format!("{}, until {}", standing.period, budgets::day(ends)),
        };
        let who = format!(
            "{} {}",
            row.scope.kind.name(),
            escape_control(&row.scope.name)
        );
        text.push_str(&format!("{} ({period})\n", paint(style::BOLD, who)));
        for line in std::iter::once(first).chain(rest) {
            text.push_str(&format!("  {line}\n"));
        }
    }
    if text.is_empty() {
        text.push_str(
            "nothing was spent, and no policy bounds what agents and tenants may spend\n",
        );
    }
    text
}

async fn reset(whose: &Whose, yes: bool) -> Outcome {
    let Some(scope) = named(whose) else {
        return Err(Failure::usage("it is not said whose budget to reset").help(
            "name it: `--agent NAME` or `--tenant NAME`; `toolcell budget show` lists them",
        ));
    };
    let dirs = Dirs::find()?;
    let ledger = budgets::ledger(&dirs);
    let known = ledger.scopes().map_err(|error| budgets::failed(&error))?;
    if !known.contains(&scope) {
        return Err(Failure::usage(format!("{scope} has spent nothing"))
            .help("`toolcell budget show` lists who has"));
    }
    if !yes && !prompt::confirm(&format!("Forget what {scope} has spent?")) {
        return Err(Failure::new(ErrorKind::Denied, "nothing was forgotten")
            .help("answer y, or say --yes where there is no terminal"));
    }
    // A damaged book cannot be read, and is kept.
    let before = ledger.standing(&scope).await.ok();
    let kept = ledger.reset(&scope).await;
    let kept = kept.map_err(|error| budgets::failed(&error))?;
    let spent = before.and_then(|all| Some(all.iter().find(|it| it.per == Period::Ever)?.spent));
    let data = json!({
        "kind": scope.kind.name(),
        "name": scope.name,
        "spent": spent,
        "kept": kept.as_ref().map(|path| path.display().to_string()),
    });
    output::answer(data, |_| match &kept {
        Some(path) => format!(
            "{scope} begins anew; the damaged book is now {}",
            path.display()
        ),
        None => format!("{scope} begins anew{}", forgotten(spent)),
    });
    Ok(exit::OK)
}

/// What was spent before, in tokens and money.
fn forgotten(spent: Option<Amount>) -> String {
    let Some(spent) = spent else {
        return String::new();
    };
    let show = |kind: BudgetKind| kind.show(spent.of(kind));
    format!(
        "; {} tokens and {} are forgotten",
        show(BudgetKind::Tokens),
        show(BudgetKind::Cost)
    )
}
