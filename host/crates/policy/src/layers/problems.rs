//! What a lower layer writes in vain.

use super::Layers;
use crate::{
    EnvGrant, FileAccess, FileGrant, Isolation, Manifest, NetGrant, Policy, Problem, Rule,
    SharedLimits,
    grants::same_directory,
    limits::{LimitValue, Limits, WrittenLimits},
    names,
    policy::{ABOVE, SHARED, ToolPolicy, WrittenSecret},
    reader::listed,
};

/// What no layer can mean: a table that the file has no right to, and a secret without a value.
pub(super) fn impossible(layers: &Layers) -> Vec<Problem> {
    let egress = |policy: &Policy| policy.egress.as_ref()?.rule.clone();
    let help = "one file says how all requests leave; remove the table here";
    let mut problems = in_vain(layers, "egress", help, egress);
    for table in ABOVE {
        let here = |policy: &Policy| {
            let mut tables = policy.settings.above.iter();
            Some(tables.find(|(key, _)| key == table)?.1.clone())
        };
        let help = "one file says this for all; remove the table here";
        problems.extend(in_vain(layers, table, help, here));
    }
    let ceiling = layers.iter().find(|(_, policy)| !policy.tools.is_empty());
    if let Some((_, policy)) = ceiling {
        let secrets = policy.tools().flat_map(|(_, tool)| &tool.secrets);
        for secret in secrets.filter(|it| it.given.is_none()) {
            let span = policy.source.line_span(secret.rule.line);
            let message = format!(
                "`{}` has no value: no file above this one says where it comes from",
                secret.name
            );
            let help = "add from = \"env:NAME\" and the place that it is put into";
            problems.push(Problem::new(&policy.source, span, message).with_help(help));
        }
    }
    problems
}

/// A table that only the highest file that lists tools, or one above it, may have, and of most of them only one.
fn in_vain(
    layers: &Layers,
    table: &str,
    help: &str,
    here: impl Fn(&Policy) -> Option<Rule>,
) -> Vec<Problem> {
    let above = layers.having_a_say();
    let mut problems = Vec::new();
    let mut earlier: Option<&Policy> = None;
    for (index, (_, policy)) in layers.iter().enumerate() {
        let Some(rule) = here(policy) else {
            continue;
        };
        let why = match earlier {
            _ if index >= above => Some("a file above it lists tools".to_owned()),
            Some(_) if table == SHARED => None,
            Some(earlier) => Some(format!("{} has one already", earlier.name())),
            None => None,
        };
        if let Some(why) = why {
            let span = policy.source.line_span(rule.line);
            let message = format!("this file has no say about `[{table}]`: {why}");
            problems.push(Problem::new(&policy.source, span, message).with_help(help));
        }
        earlier = earlier.or(Some(policy));
    }
    problems
}

struct Found<'l> {
    policy: &'l Policy,
    above: &'l Policy,
    problems: Vec<Problem>,
}

pub(super) fn ineffective(layers: &Layers) -> Vec<Problem> {
    let mut problems = Vec::new();
    let policies: Vec<&Policy> = layers.iter().map(|(_, policy)| policy).collect();
    let listing: Vec<&Policy> = policies
        .iter()
        .copied()
        .filter(|policy| !policy.tools.is_empty())
        .collect();
    if let Some((ceiling, below)) = listing.split_first() {
        for policy in below {
            let mut found = Found {
                policy,
                above: ceiling,
                problems: Vec::new(),
            };
            found.tools();
            problems.append(&mut found.problems);
        }
    }
    for (index, policy) in policies.iter().enumerate().skip(1) {
        let above = policies.get(..index).unwrap_or_default();
        problems.extend(raised_limits(above, policy));
    }
    loosened(layers, &mut problems);
    problems
}

/// Words of a lower file that are looser than what holds anyway.
fn loosened(layers: &Layers, problems: &mut Vec<Problem>) {
    let (combine, arguments) = (layers.combine(), layers.secret_arguments());
    let unknown = layers.unknown_secrets();
    for (_, policy) in layers.iter().skip(1) {
        let secrets = &policy.secrets;
        let looser = [
            (policy.combine.as_ref(), combine, "combine"),
            (secrets.arguments.as_ref(), arguments, "arguments"),
        ];
        let looser = looser.into_iter().filter_map(|(said, holds, key)| {
            let (said, rule) = said?;
            (*said < holds).then(|| (key, holds.name(), rule))
        });
        let looser_unknown = secrets.unknown.as_ref();
        let looser_unknown = looser_unknown.filter(|(said, _)| *said < unknown);
        let looser_unknown = looser_unknown.map(|(_, rule)| ("unknown", unknown.name(), rule));
        for (key, holds, rule) in looser.chain(looser_unknown) {
            let span = policy.source.line_span(rule.line);
            let message = format!("`{key}` stays \"{holds}\", which is stricter");
            let help = "a lower layer can only be stricter; remove it here";
            problems.push(Problem::new(&policy.source, span, message).with_help(help));
        }
    }
}

impl Found<'_> {
    fn say(&mut self, rule: &Rule, message: String) {
        let span = self.policy.source.line_span(rule.line);
        let help = format!(
            "a lower layer can only narrow: remove it here, or grant it in {} too",
            self.above.name()
        );
        self.problems
            .push(Problem::new(&self.policy.source, span, message).with_help(help));
    }

    fn tools(&mut self) {
        let (policy, above) = (self.policy, self.above);
        for (name, tool) in policy.tools() {
            match above.tool(name) {
                Some(ceiling) => self.tool(ceiling, tool),
                None => self.say(
                    tool.rule(),
                    format!(
                        "`{name}` gets nothing here: {} does not list it",
                        above.name()
                    ),
                ),
            }
        }
    }

    fn tool(&mut self, ceiling: &ToolPolicy, tool: &ToolPolicy) {
        let above = self.above.name();
        for grant in tool.net() {
            self.net(ceiling, grant);
        }
        for secret in tool.secrets() {
            self.secret(ceiling, secret);
        }
        for grant in tool.files() {
            self.file(ceiling, grant);
        }
        if let Some(scratch) = tool.scratch() {
            let granted = ceiling
                .scratch()
                .is_some_and(|it| it.guest == scratch.guest);
            if !granted {
                let message = format!("no scratch at `{}` is granted by {above}", scratch.guest);
                self.say(&scratch.rule, message);
            }
        }
        for EnvGrant { name, value, rule } in tool.env() {
            match ceiling.env().iter().find(|grant| grant.name == *name) {
                Some(grant) if grant.value == *value => {}
                Some(_) => self.say(rule, format!("the value of `{name}` is decided by {above}")),
                None => self.say(
                    rule,
                    format!("the variable `{name}` is not granted by {above}"),
                ),
            }
        }
        for call in tool.calls() {
            if !ceiling.calls().iter().any(|grant| grant.tool == call.tool) {
                self.say(
                    &call.rule,
                    format!("calling `{}` is not granted by {above}", call.tool),
                );
            }
        }
        let clock = tool.clock.is_some() && tool.clock != ceiling.clock;
        let random = tool.random.is_some() && tool.random != ceiling.random;
        if clock || random {
            let word = if clock { "clock" } else { "random" };
            self.say(tool.rule(), format!("`{word}` is decided by {above}"));
        }
        if let Some((Isolation::Thread, rule)) = tool.isolation()
            && ceiling
                .isolation()
                .is_none_or(|(theirs, _)| theirs == Isolation::Process)
        {
            self.say(
                rule,
                format!("`thread` is the weaker isolation, and {above} does not choose it"),
            );
        }
        if tool.from.is_some() && ceiling.from.is_some() && tool.from != ceiling.from {
            self.say(
                tool.rule(),
                format!("where the package comes from is decided by {above}"),
            );
        }
    }

    fn net(&mut self, ceiling: &ToolPolicy, grant: &NetGrant) {
        let above = self.above.name();
        let theirs = ceiling.net().iter();
        let theirs = theirs.filter(|it| it.scope.overlaps(&grant.scope));
        let message = match theirs.map(|it| it.redirects).max() {
            None => format!("`{}` is not granted by {above}", grant.scope),
            Some(most) if most < grant.redirects => {
                format!("`redirects` is {most} already in {above}")
            }
            Some(_) => return,
        };
        self.say(&grant.rule, message);
    }

    fn secret(&mut self, ceiling: &ToolPolicy, secret: &WrittenSecret) {
        let (above, name) = (self.above.name(), &secret.name);
        let theirs = ceiling.secrets().iter().find(|it| it.name == *name);
        let message = match theirs {
            None => format!("the secret `{name}` is not granted by {above}"),
            Some(theirs) if theirs.scope.to != secret.scope.to => {
                let to = theirs.scope.to.as_ref().map(ToString::to_string);
                format!("{above} binds `{name}` to {}", to.unwrap_or_default())
            }
            Some(theirs) if theirs.scope.meet(&secret.scope).is_none() => {
                format!("no request is left for `{name}` of those that {above} binds it to")
            }
            Some(theirs) if secret.given.is_some() && theirs.given != secret.given => {
                format!("where `{name}` comes from, and where it is put, is decided by {above}")
            }
            Some(_) => return,
        };
        self.say(&secret.rule, message);
    }

    fn file(&mut self, ceiling: &ToolPolicy, grant: &FileGrant) {
        let above = self.above.name();
        match ceiling
            .files()
            .iter()
            .find(|other| same_directory(other, grant))
        {
            Some(other) if other.access < grant.access => self.say(
                &grant.rule,
                format!("{above} lets `{}` be read only", grant.guest),
            ),
            Some(other) => {
                let locked = |place: &&String| !other.unlock.contains(place);
                let locked: Vec<&str> =
                    grant.unlock.iter().filter(locked).map(|it| &**it).collect();
                if !locked.is_empty() {
                    let message = format!("{above} does not unlock {}", listed(&locked));
                    self.say(&grant.rule, message);
                }
            }
            None => self.say(
                &grant.rule,
                format!(
                    "the directory `{}` at `{}` is not granted by {above}",
                    grant.host, grant.guest
                ),
            ),
        }
    }
}

/// The entries of a policy for tools that the package does not have: whoever wrote an `approve` believes that a tool asks
/// or is denied, and it is not; whoever marked one with `reads` or `sends` believes that sessions heed it.
pub(super) fn unknown_tools(policy: &Policy, manifest: &Manifest) -> Vec<Problem> {
    let tools: Vec<&str> = manifest
        .tools
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    let Some(tool) = policy.tool(&manifest.name) else {
        return Vec::new();
    };
    let approvals = tool.approve.iter().map(|it| (it.tool.as_deref(), &it.rule));
    let labels = tool.reads.iter().chain(&tool.sends);
    let named = approvals.chain(labels.map(|it| (it.tool.as_deref(), &it.rule)));
    let unknown = named.filter_map(|(name, rule)| {
        let name = name.filter(|name| !tools.contains(name))?;
        Some((name, rule))
    });
    unknown
        .map(|(name, rule)| {
            let help = match names::nearest(name, tools.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its tools are {}", listed(&tools)),
            };
            let message = format!("the package `{}` has no tool `{name}`", manifest.name);
            let span = policy.source.line_span(rule.line);
            Problem::new(&policy.source, span, message).with_help(help)
        })
        .collect()
}

/// What a policy grants to a package in vain, since the package does not request it.
pub(super) fn unrequested(policy: &Policy, manifest: &Manifest) -> Vec<Problem> {
    let Some(tool) = policy.tool(&manifest.name) else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    let requests = &manifest.request;
    let mut in_vain = |rule: &Rule, what: String| {
        let message = format!("the package `{}` does not request {what}", manifest.name);
        let span = policy.source.line_span(rule.line);
        problems.push(
            Problem::new(&policy.source, span, message)
                .with_help("remove the grant: it has no effect"),
        );
    };
    for grant in tool.net() {
        if !requests
            .net
            .iter()
            .any(|it| grant.scope.narrowed_by(&it.scope).is_some())
        {
            in_vain(&grant.rule, grant.scope.to_string());
        }
    }
    for grant in tool.files() {
        if requests.file_access(&grant.guest).is_none() {
            in_vain(&grant.rule, format!("a directory at {}", grant.guest));
        }
    }
    if let Some(scratch) = tool.scratch()
        && requests.file_access(&scratch.guest) < Some(FileAccess::Write)
    {
        in_vain(&scratch.rule, format!("writing at {}", scratch.guest));
    }
    for grant in tool.env() {
        if !requests.cover_env(&grant.name) {
            in_vain(&grant.rule, format!("the variable {}", grant.name));
        }
    }
    for grant in tool.calls() {
        if !requests.cover_call(&grant.tool) {
            in_vain(&grant.rule, format!("calling {}", grant.tool));
        }
    }
    for WrittenSecret {
        name, scope, rule, ..
    } in tool.secrets()
    {
        if !requests.cover_secret(name, scope.to.as_ref()) {
            let to = scope.to.as_ref().map(ToString::to_string);
            let to = to.unwrap_or_default();
            in_vain(rule, format!("the secret {name} for {to}"));
        }
    }
    problems
}

/// Limits of a file that are higher than those of the files above it.
fn raised_limits(above: &[&Policy], policy: &Policy) -> Vec<Problem> {
    let mut raised = Raised {
        policy,
        problems: Vec::new(),
    };
    let mut check = |package: Option<&str>, written: &WrittenLimits| {
        let mut limits = Limits::default();
        for (index, other) in above.iter().enumerate() {
            let tool = package.and_then(|package| other.tool(package));
            let theirs =
                tool.map_or_else(|| other.limits.clone(), |it| it.limits.over(&other.limits));
            if index == 0 {
                limits.replace_with(&theirs);
            } else {
                limits.narrow_with(&theirs);
            }
        }
        raised.look_for(written, |key| Some((limits.get(key)?, limits.show(key)?)));
    };
    check(None, &policy.limits);
    for (name, tool) in policy.tools() {
        check(Some(name), &tool.limits);
    }
    let session = SharedLimits::session().under(above.iter().map(|other| &other.session));
    let host = SharedLimits::host().under(above.iter().map(|other| &other.host));
    for (written, limits) in [(&policy.session, session), (&policy.host, host)] {
        raised.look_for(written, |key| Some((limits.get(key)?, limits.show(key)?)));
    }
    raised.problems
}

struct Raised<'l> {
    policy: &'l Policy,
    problems: Vec<Problem>,
}

impl Raised<'_> {
    /// `mine` is the number of a key in the layers above, and how it is shown.
    fn look_for(
        &mut self,
        written: &WrittenLimits,
        mine: impl Fn(&'static str) -> Option<(u64, String)>,
    ) {
        for limit in &written.0 {
            let LimitValue::Number(number) = limit.value else {
                continue;
            };
            let Some((mine, shown)) = mine(limit.key) else {
                continue;
            };
            if number > mine {
                let message = format!("`{}` is {shown} already in a layer above", limit.key);
                let span = self.policy.source.line_span(limit.rule.line);
                self.problems.push(
                    Problem::new(&self.policy.source, span, message)
                        .with_help("a lower layer can only lower limits"),
                );
            }
        }
    }
}
