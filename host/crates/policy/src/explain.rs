//! Decisions in plain words, for people.

use std::fmt;

use serde::Serialize;

use crate::{
    Access, Decision, Effect, Endpoint, FileAccess, GrantSet, Isolation, Labels, Layers, LimitInfo,
    Limits, Manifest, Method, NetAccess, NetRequest, NetScope, Rule, SecretGrant, SecretPlace,
    SharedLimits, Verdict, decide::decide, expect::verdict, guarded_places, policy::Clock,
    policy::Random, reader::listed,
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
        lines.extend(secrets(grants));
        if grants.is_empty() {
            lines.push(
                "It reaches no directory, no host, no variable and no other tool.".to_owned(),
            );
        }
        lines.extend(in_vain(grants));
        lines.extend(labels(layers, grants.labels()));
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
        Effect::Deny => {
            let missing = missing(layers, manifest, tool, access);
            Some(how_to_grant(manifest, &missing, &rule))
        }
    };
    Explanation {
        tool: name,
        effect,
        rule: Some(rule),
        lines,
        help,
    }
}

/// What an access lacks: of a secret that is there, the request that it would be put into.
fn missing(layers: &Layers, manifest: &Manifest, tool: &str, access: &Access) -> Access {
    if let Access::Secret {
        name,
        request: Some(request),
    } = access
    {
        let name = name.clone();
        let there = Access::Secret {
            name,
            request: None,
        };
        if verdict(layers, manifest, tool, &there).effect < Effect::Deny {
            let NetAccess { method, url } = request.clone();
            return Access::Net { method, url };
        }
    }
    access.clone()
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
        let redirects = match grant.redirects {
            0 => String::new(),
            1 => ", following 1 redirect to where it may send".to_owned(),
            most => format!(", following up to {most} redirects to where it may send"),
        };
        format!(
            "It may send {}{special}{consent}{redirects} ({}).",
            grant.scope, grant.rule
        )
    });
    allowed.chain(
        grants
            .net_denials()
            .map(|grant| format!("It may never send {} ({}).", grant.scope, grant.rule)),
    )
}

/// Every credential with the requests that it is put into: those of its binding that the tool may send.
fn secrets(grants: &GrantSet) -> Vec<String> {
    let line = |secret: &SecretGrant| {
        let mut sent: Vec<NetScope> = Vec::new();
        for grant in grants.net() {
            if let Some(both) = grant.scope.narrowed_by(&secret.scope)
                && !sent.iter().any(|it| it.covers(&both))
            {
                sent.push(both);
            }
        }
        let of = if sent.is_empty() {
            "of no request, since it may send none of those it is for".to_owned()
        } else {
            let sent: Vec<String> = sent.iter().map(requests).collect();
            format!("of {} and nothing else", sent.join(", and of "))
        };
        format!(
            "{} is put {} {of}; the tool never sees it. Its value comes from {} ({}).",
            secret.name,
            secret.place.words(),
            secret.source,
            secret.rule
        )
    };
    grants.secrets().iter().map(line).collect()
}

/// `GET, POST https://api.example.com/v1/**`
fn requests(scope: &NetScope) -> String {
    let methods = match scope.methods.as_slice() {
        all if *all == Method::ALL => "any method".to_owned(),
        some => some
            .iter()
            .map(|method| method.name())
            .collect::<Vec<_>>()
            .join(", "),
    };
    let to = scope
        .to
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let paths: Vec<String> = scope
        .paths
        .iter()
        .map(|path| format!("{to}{path}"))
        .collect();
    format!("{methods} {}", paths.join(", "))
}

/// What the tool does with data, and what a session makes of it.
fn labels(layers: &Layers, labels: Labels) -> Option<String> {
    let marks = [
        (labels.reads_private, "reads private data"),
        (labels.reads_untrusted, "reads what strangers wrote"),
        (labels.sends_outside, "sends data outside"),
    ];
    let marks: Vec<&str> = marks
        .iter()
        .filter(|(set, _)| *set)
        .map(|(_, it)| *it)
        .collect();
    if marks.is_empty() {
        return None;
    }
    let (effect, rule) = layers.combine_rule();
    let then = match effect {
        Effect::Allow => "is let through",
        Effect::Ask => "needs a person's consent to send",
        Effect::Deny => "may not send",
    };
    Some(format!(
        "It is marked: it {}. A session that does all three of reading private data, reading what strangers wrote and \
         sending outside {then} ({rule}).",
        marks.join(", and ")
    ))
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
        let got = grants.secrets().iter().any(|grant| {
            grant.name == secret.name && (secret.to.is_none() || secret.to.as_ref() == grant.to())
        });
        if !got {
            let to = secret.destination();
            say(
                format!("the secret {} for {to}", secret.name),
                secret.why.as_ref(),
            );
        }
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
        Access::Secret { name, request } => secret_entry(manifest, name, request.as_ref()),
    };
    format!("to grant it, write under [tool.{}]: {entry}", manifest.name)
}

/// The entry of a secret, put where the package's author suggests.
fn secret_entry(manifest: &Manifest, name: &str, request: Option<&NetAccess>) -> String {
    let suggested = manifest.request.secrets.iter().find(|it| it.name == name);
    let asked = request.and_then(|it| Endpoint::of(&it.url));
    let to = suggested.and_then(|it| it.to.clone()).or(asked);
    let to = to.map_or_else(|| "https://…".to_owned(), |to| to.to_string());
    let place = suggested.and_then(|it| it.place.as_ref());
    let (key, text) = place.map_or_else(
        || ("header", "Authorization: Bearer {}".to_owned()),
        SecretPlace::written,
    );
    format!("secrets.{name} = {{ from = \"env:{name}\", to = \"{to}\", {key} = \"{text}\" }}")
}

#[cfg(test)]
mod tests;
