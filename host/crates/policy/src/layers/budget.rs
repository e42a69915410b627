//! The budgets of several files: each only lowers what the ones above it say.

use crate::{
    BudgetBound, BudgetBounds, BudgetKey, BudgetPeriod, Layers, Policy, Rule, policy::BudgetTable,
};

impl Layers {
    /// What a run may spend, by the tables `[budget.run]`: the highest file may raise the defaults, and every file below
    /// only lowers. What agents and tenants may spend `per = "run"` lowers it, too.
    pub fn run_budget(&self, default: impl Fn(BudgetKey) -> Option<u64>) -> BudgetBounds {
        let mut bounds = BudgetBounds::default();
        for key in BudgetKey::ALL {
            let Some(amount) = default(key) else {
                continue;
            };
            let rule = Rule::unwritten(&format!("{} = {}", key.name(), key.show(amount)));
            bounds.lower(&BudgetBounds::from(BudgetBound { key, amount, rule }));
        }
        for (index, (_, policy)) in self.iter().enumerate() {
            let Some(budget) = &policy.settings.budget else {
                continue;
            };
            match &budget.run {
                Some(run) if index == 0 => bounds.replace(&run.bounds),
                Some(run) => bounds.lower(&run.bounds),
                None => {}
            }
            let others = [&budget.agent, &budget.tenant];
            for table in others.into_iter().flatten() {
                if table.per == BudgetPeriod::Run {
                    bounds.lower(&table.bounds);
                }
            }
        }
        bounds
    }

    /// What all runs of one agent may spend together, by the tables `[budget.agent]`: one set of bounds for each period
    /// that any file names, the shortest first, and all of them hold.
    pub fn agent_budgets(&self) -> Vec<(BudgetPeriod, BudgetBounds)> {
        self.shared_budgets(|policy| policy.settings.budget.as_ref()?.agent.as_ref())
    }

    /// The same for all runs of one tenant, by the tables `[budget.tenant]`.
    pub fn tenant_budgets(&self) -> Vec<(BudgetPeriod, BudgetBounds)> {
        self.shared_budgets(|policy| policy.settings.budget.as_ref()?.tenant.as_ref())
    }

    fn shared_budgets<'l>(
        &'l self,
        table: impl Fn(&'l Policy) -> Option<&'l BudgetTable>,
    ) -> Vec<(BudgetPeriod, BudgetBounds)> {
        let periods = [BudgetPeriod::Day, BudgetPeriod::Month, BudgetPeriod::Ever];
        let of = |per| {
            let mut bounds = BudgetBounds::default();
            let tables = self.iter().filter_map(|(_, policy)| table(policy));
            tables
                .filter(|table| table.per == per)
                .for_each(|table| bounds.lower(&table.bounds));
            (per, bounds)
        };
        let all = periods.into_iter().map(of);
        all.filter(|(_, bounds)| !bounds.is_empty()).collect()
    }
}
