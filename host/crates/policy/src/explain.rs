//! Decisions in plain words, for people.

use std::fmt;

use serde::Serialize;

use crate::{
    Access, Decision, Effect, FileAccess, GrantSet, Isolation, Layers, LimitInfo, Limits, Manifest,
    NetRequest, Rule, SharedLimits, Verdict, decide::decide, expect::verdict, guarded_places,
    policy::Clock, policy::Random, reader::listed,
};

/// What a tool may do, or what one access gets, as lines for people. Its texts say how to grant something, so they are
/// not for the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The tool's public name.
    pub tool: String,
    /// What calls of the tool, or the access, get.
    pub effect: Effect,
    /// The rule that decided; absent where a tool is simply allowed.
    pub rule: Option<Rule>,
    /// The explanation, one statement a line.
    pub lines: Vec<String>,
    /// How to change the answer, where that is known.
    pub help: Option<String>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))?;
        match &self.help {
            Some(help) => write!(f, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}

/// Explains what a tool may do: its grants with the lines they come from, what was requested in vain, and its limits.
/// `tool` is the name in the manifest.
pub fn explain(layers: &Layers, manifest: &Manifest, tool: &str) -> Explanation {
    let decision = decide(layers, manifest, tool);
    let name = public_name(manifest, tool);
    let mut lines = vec![match &decision {
        Decision::Allow(_) => format!("{name} may be called without asking."),
        Decision::Ask(_, rule) => format!("{name} may be called when a person consents ({rule})."),
        Decision::Deny(rule) => format!("{name} may not be called ({rule})."),
    }];
    if let Some(grants) = decision.grants() {
        lines.extend(files(grants));
        lines.extend(grants.scratch().map(|grant| {
            format!(
                "Each call has an empty directory of its own at {}, deleted when it ends ({}).",
                grant.guest, grant.rule
            )
        }));
        lines.extend(net(grants));
        lines.extend(grants.env().iter().map(|grant| {
            format!(
                "It sees the variable {} = {:?} ({}).",
                grant.name, grant.value, grant.rule
            )
        }));
        lines.extend(
            grants
                .calls()
                .iter()
                .map(|grant| format!("It may call {} ({}).", grant.tool, grant.rule)),
        );
        if grants.is_empty() {
            lines.push(
                "It reaches no directory, no host, no variable and no other tool.".to_owned(),
            );
        }
        lines.extend(in_vain(grants));
        lines.extend(clock_and_random(grants));
        lines.extend(isolation(grants));
        lines.push(limits(grants.limits()));
        lines.push(shared(
            "All calls of a session together",
            &layers.session_limits(),
            SharedLimits::SESSION,
        ));
        lines.push(shared(
            "All calls of the host together",
            &layers.host_limits(),
            SharedLimits::HOST,
        ));
    }
    Explanation {
        tool: name,
        effect: decision.effect(),
        rule: decision.rule().cloned(),
        lines,
        help: None,
    }
}

/// Explains what one access of a tool gets, and how to grant it where it is denied.
pub fn explain_access(
    layers: &Layers,
    manifest: &Manifest,
    tool: &str,
    access: &Access,
) -> Explanation {
    let name = public_name(manifest, tool);
    let Verdict {
        effect,
        rule,
        reason,
    } = verdict(layers, manifest, tool, access);
    let answer = match effect {
        Effect::Allow => "is allowed",
        Effect::Ask => "needs a person's consent",
        Effect::Deny => "is denied",
    };
    let mut lines = vec![format!("{name}: {access} {answer}.")];
    if effect == Effect::Deny {
        lines.push(format!("Why: {reason}."));
    }
    lines.push(match rule.layer {
        Some(layer) => format!("Rule: {rule} (layer {layer})."),
        None => format!("Rule: {rule}."),
    });
    let help = match effect {
        Effect::Allow => None,
        Effect::Ask => Some(format!("change `approve` at {rule} to stop asking")),
        Effect::Deny => Some(how_to_grant(manifest, access, &rule)),
    };
    Explanation {
        tool: name,
        effect,
        rule: Some(rule),
        lines,
        help,
    }
}

fn public_name(manifest: &Manifest, tool: &str) -> String {
    manifest
        .tool(tool)
        .map_or_else(|| tool.to_owned(), |it| manifest.public_name(it))
}

fn files(grants: &GrantSet) -> impl Iterator<Item = String> {
    grants.files().iter().map(|grant| {
        let verb = match grant.access {
            FileAccess::Read => "reads",
            FileAccess::Write => "reads and writes",
        };
        let unlocked = match grant.unlock.as_slice() {
            [] => String::new(),
            places => format!(
                ", the guarded {} included",
                listed(&places.iter().map(String::as_str).collect::<Vec<_>>())
            ),
        };
        format!(
            "It {verb} {}, which is {} on this machine{unlocked} ({}).",
            grant.guest, grant.host, grant.rule
        )
    })
}

fn net(grants: &GrantSet) -> impl Iterator<Item = String> {
    let allowed = grants.net().iter().map(|grant| {
        let consent = if grant.approve == Effect::Ask {
            " when a person consents"
        } else {
            ""
        };
        let special = if grant.allows_special_addresses() {
            ", private addresses included,"
        } else {
            ""
        };
        format!(
            "It may send {}{special}{consent} ({}).",
            grant.scope, grant.rule
        )
    });
    allowed.chain(
        grants
            .net_denials()
            .map(|grant| format!("It may never send {} ({}).", grant.scope, grant.rule)),
    )
}

/// What the package asks for and gets nothing of.
fn in_vain(grants: &GrantSet) -> Vec<String> {
    let requests = grants.requests();
    let mut lines = Vec::new();
    let mut say = |what: String, why: Option<&String>| {
        let why = why.map(|why| format!(" ({why:?})")).unwrap_or_default();
        lines.push(format!("It asks for {what}{why}, which is not granted."));
    };
    for NetRequest { scope, why } in &requests.net {
        if !grants
            .net()
            .iter()
            .any(|grant| grant.scope.narrowed_by(scope).is_some())
        {
            say(scope.to_string(), why.as_ref());
        }
    }
    for request in &requests.files {
        let guest = request.guest.as_deref();
        let got = grants.files().iter().any(|grant| {
            grant.access >= request.access
                && guest.is_none_or(|guest| crate::access::is_within(&grant.guest, guest))
        });
        let scratch = grants.scratch().is_some_and(|grant| {
            guest.is_none_or(|guest| crate::access::is_within(&grant.guest, guest))
        });
        if !got && !scratch {
            let place = guest.unwrap_or("a directory");
            say(
                format!("{} access to {place}", request.access),
                request.why.as_ref(),
            );
        }
    }
    for request in &requests.env {
        if !grants.env().iter().any(|grant| grant.name == request.name) {
            say(
                format!("the variable {}", request.name),
                request.why.as_ref(),
            );
        }
    }
    for tool in &requests.calls {
        if !grants.calls().iter().any(|grant| grant.tool == *tool) {
            say(format!("calling {tool}"), None);
        }
    }
    for secret in &requests.secrets {
        say(
            format!("the secret {} for {}", secret.name, secret.to),
            secret.why.as_ref(),
        );
    }
    lines
}

fn clock_and_random(grants: &GrantSet) -> Vec<String> {
    let clock = match grants.clock() {
        Clock::Real => None,
        Clock::Frozen(nanos) => Some(format!(
            "Its clock stands at {}.",
            crate::timestamp::format(*nanos)
        )),
    };
    let random = match grants.random() {
        Random::Real => None,
        Random::Seeded(seed) => Some(format!("Its random numbers repeat (seed {seed}).")),
    };
    clock.into_iter().chain(random).collect()
}

/// Where it runs, where a policy says so: otherwise the host decides.
fn isolation(grants: &GrantSet) -> Option<String> {
    let (isolation, rule) = grants.isolation()?;
    let place = match isolation {
        Isolation::Thread => "the host's own process",
        Isolation::Process => "a process of its own",
    };
    Some(format!("It runs in {place} ({rule})."))
}

fn limits(limits: &Limits) -> String {
    let shown: Vec<String> = Limits::CATALOGUE
        .iter()
        .filter_map(|info| Some(format!("{} {}", info.key, limits.show(info.key)?)))
        .collect();
    format!("Limits: {}.", shown.join(", "))
}

fn shared(who: &str, limits: &SharedLimits, catalogue: &[LimitInfo]) -> String {
    let shown: Vec<String> = catalogue
        .iter()
        .filter_map(|info| Some(format!("{} {}", info.key, limits.show(info.key)?)))
        .collect();
    format!("{who}: {}.", shown.join(", "))
}

/// What a person can write to grant an access.
fn how_to_grant(manifest: &Manifest, access: &Access, rule: &Rule) -> String {
    let never_requested = format!(
        "the package `{}` does not request this, so no policy can grant it",
        manifest.name
    );
    if *rule == Rule::not_requested() {
        return never_requested;
    }
    if rule.is_written() {
        return format!("{rule} decides this; change it there");
    }
    if let Some(place) = guarded_places().find(|place| place.rule() == *rule) {
        return format!(
            "to allow it, write unlock = [\"{}\"] in the grant of the directory",
            place.place
        );
    }
    if *rule != Rule::until_written() {
        return "no policy can grant this".to_owned();
    }
    if !manifest.request.cover(access) {
        return never_requested;
    }
    let entry = match access {
        Access::Net { method, url } => {
            let origin = url.origin().ascii_serialization();
            format!(
                "net = [{{ to = \"{origin}\", methods = [\"{method}\"], paths = [\"{}\"] }}]",
                url.path()
            )
        }
        Access::File { path, access } => {
            let directory = match path.rsplit_once('/') {
                Some(("", _)) | None => path,
                Some((directory, _)) => directory,
            };
            format!("files = [{{ host = \"…\", guest = \"{directory}\", access = \"{access}\" }}]")
        }
        Access::Env { name } => format!("env = {{ {name} = \"…\" }}"),
        Access::Call { tool } => format!("calls = [\"{tool}\"]"),
    };
    format!("to grant it, write under [tool.{}]: {entry}", manifest.name)
}

#[cfg(test)]
mod tests;
