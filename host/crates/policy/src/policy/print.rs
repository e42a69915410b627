//! Writes `toolcell.toml`.

use super::{
    Clock, FileGrant, Policy, Random, ToolApproval, ToolPolicy, egress, labels, memory, secret,
    settings,
};
use crate::{
    Effect, expect,
    limits::{LimitUnit, LimitValue, Limits, WrittenLimits},
    print::{Table, net_scope, strings, table_text},
    timestamp,
};

pub(super) fn policy(policy: &Policy) -> String {
    let mut root = Table::new();
    let mut default = Table::new();
    put_limits(&mut default, &policy.limits);
    if let Some((effect, _)) = &policy.approve {
        default.insert("approve".to_owned(), effect.name().into());
    }
    put_table(&mut root, "default", default);
    let mut session = written_limits(&policy.session);
    if let Some((effect, _)) = &policy.combine {
        session.insert("combine".to_owned(), effect.name().into());
    }
    put_table(&mut root, "session", session);
    put_table(&mut root, "host", written_limits(&policy.host));
    if let Some(policy) = &policy.egress {
        put_table(&mut root, "egress", egress::printed_egress(policy));
    }
    put_table(
        &mut root,
        "secrets",
        egress::printed_secrets(&policy.secrets),
    );
    settings::print(&policy.settings, &mut root);
    let mut audit = Table::new();
    if let Some(path) = &policy.audit_path {
        audit.insert("path".to_owned(), path.clone().into());
    }
    put_table(&mut root, "audit", audit);
    // The table that makes it says it already.
    let context = policy.settings.context.as_ref();
    let made = context.is_some_and(|context| context.memory.is_some());
    let tools = policy
        .tools
        .iter()
        .filter(|(name, _)| !(made && name == memory::NAME))
        .map(|(name, it)| (name.clone(), tool(it).into()))
        .collect();
    put_table(&mut root, "tool", tools);
    let expectations: Vec<toml::Value> = policy
        .expectations
        .iter()
        .map(|it| expect::table(it).into())
        .collect();
    if !expectations.is_empty() {
        root.insert("expect".to_owned(), expectations.into());
    }
    table_text(&root)
}

/// What the policy says about one package, and about consent for all.
pub(crate) fn wording(policy: &Policy, package: &str) -> String {
    let mut root = Table::new();
    let mut default = Table::new();
    if let Some((effect, _)) = &policy.approve {
        default.insert("approve".to_owned(), effect.name().into());
    }
    put_table(&mut root, "default", default);
    if let Some(it) = policy.tool(package) {
        // Also an empty table says something.
        root.insert("tool".to_owned(), tool(it).into());
    }
    table_text(&root)
}

fn put_table(root: &mut Table, key: &str, table: Table) {
    if !table.is_empty() {
        root.insert(key.to_owned(), table.into());
    }
}

fn put_list(root: &mut Table, key: &str, list: Vec<toml::Value>) {
    if !list.is_empty() {
        root.insert(key.to_owned(), list.into());
    }
}

fn put_approve(table: &mut Table, approve: Effect) {
    if approve != Effect::Allow {
        table.insert("approve".to_owned(), approve.name().into());
    }
}

fn put_limits(table: &mut Table, limits: &WrittenLimits) {
    put_table(table, "limits", written_limits(limits));
}

fn written_limits(limits: &WrittenLimits) -> Table {
    let mut written = Table::new();
    for limit in &limits.0 {
        let count = Limits::info(limit.key).is_some_and(|info| info.unit == LimitUnit::Count);
        let value = match limit.value {
            // Every ceiling fits into TOML's signed numbers.
            LimitValue::Number(number) if count => i64::try_from(number).unwrap_or(i64::MAX).into(),
            _ => limit.show().into(),
        };
        written.insert(limit.key.to_owned(), value);
    }
    written
}

fn tool(tool: &ToolPolicy) -> Table {
    let mut table = Table::new();
    if let Some(from) = &tool.from {
        table.insert("from".to_owned(), from.to_string().into());
    }
    put_list(
        &mut table,
        "files",
        tool.files.iter().map(|grant| file(grant).into()).collect(),
    );
    if let Some(scratch) = &tool.scratch {
        table.insert("scratch".to_owned(), scratch.guest.clone().into());
    }
    let net = tool.net.iter().map(|grant| {
        let mut scope = net_scope(&grant.scope);
        put_approve(&mut scope, grant.approve);
        if grant.redirects > 0 {
            scope.insert("redirects".to_owned(), i64::from(grant.redirects).into());
        }
        scope.into()
    });
    put_list(&mut table, "net", net.collect());
    let env = tool
        .env
        .iter()
        .map(|grant| (grant.name.clone(), grant.value.clone().into()));
    put_table(&mut table, "env", env.collect());
    if !tool.calls.is_empty() {
        let calls: Vec<&str> = tool.calls.iter().map(|grant| grant.tool.as_str()).collect();
        table.insert("calls".to_owned(), strings(&calls));
    }
    let secrets = tool.secrets.iter();
    let secrets = secrets.map(|it| (it.name.clone(), secret::printed(it).into()));
    put_table(&mut table, "secrets", secrets.collect());
    let marks = [
        ("reads", labels::printed(&tool.reads, &labels::READS)),
        ("sends", labels::printed(&tool.sends, &labels::SENDS)),
    ];
    for (key, marked) in marks {
        if let Some(marked) = marked {
            table.insert(key.to_owned(), marked);
        }
    }
    if let Some(clock) = tool.clock {
        let text = match clock {
            Clock::Real => "real".to_owned(),
            Clock::Frozen(nanos) => format!("frozen:{}", timestamp::format(nanos)),
        };
        table.insert("clock".to_owned(), text.into());
    }
    if let Some(random) = tool.random {
        let text = match random {
            Random::Real => "real".to_owned(),
            Random::Seeded(seed) => format!("seeded:{seed}"),
        };
        table.insert("random".to_owned(), text.into());
    }
    if let Some(approve) = approve(&tool.approve) {
        table.insert("approve".to_owned(), approve);
    }
    put_limits(&mut table, &tool.limits);
    if let Some((isolation, _)) = &tool.isolation {
        table.insert("isolation".to_owned(), isolation.name().into());
    }
    table
}

fn file(grant: &FileGrant) -> Table {
    let mut table = Table::new();
    table.insert("host".to_owned(), grant.host.clone().into());
    table.insert("guest".to_owned(), grant.guest.clone().into());
    table.insert("access".to_owned(), grant.access.name().into());
    put_approve(&mut table, grant.approve);
    if !grant.unlock.is_empty() {
        let places: Vec<&str> = grant.unlock.iter().map(String::as_str).collect();
        table.insert("unlock".to_owned(), strings(&places));
    }
    table
}

fn approve(approvals: &[ToolApproval]) -> Option<toml::Value> {
    match approvals {
        [] => None,
        [all] if all.tool.is_none() => Some(all.effect.name().into()),
        several => {
            let entries = several.iter().map(|approval| {
                let key = approval.tool.clone().unwrap_or_else(|| "*".to_owned());
                (key, approval.effect.name().into())
            });
            Some(toml::Value::Table(entries.collect()))
        }
    }
}
