//! What a lower layer writes in vain.

use super::Layers;
use crate::{
    EnvGrant, FileAccess, FileGrant, Isolation, Manifest, NetGrant, Policy, Problem, Rule,
    SharedLimits,
    grants::same_directory,
    limits::{LimitValue, Limits, WrittenLimits},
    names,
    policy::ToolPolicy,
    reader::listed,
};

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
    problems
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
        for NetGrant { scope, rule, .. } in tool.net() {
            if !ceiling
                .net()
                .iter()
                .any(|grant| grant.scope.narrowed_by(scope).is_some())
            {
                self.say(rule, format!("`{scope}` is not granted by {above}"));
            }
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

/// The `approve` entries of a policy for tools that the package does not have: whoever wrote one believes that a tool
/// asks or is denied, and it is not.
pub(super) fn unknown_tools(policy: &Policy, manifest: &Manifest) -> Vec<Problem> {
    let tools: Vec<&str> = manifest
        .tools
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    let approvals = policy.tool(&manifest.name).map(|tool| &tool.approve);
    let unknown = approvals.into_iter().flatten().filter_map(|approval| {
        let name = approval.tool.as_deref()?;
        (!tools.contains(&name)).then_some((name, &approval.rule))
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
