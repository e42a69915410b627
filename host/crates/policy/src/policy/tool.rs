//! Reads one table `[tool.NAME]`.

use super::{
    CallGrant, Clock, EnvGrant, Isolation, NetGrant, Origin, Random, ToolApproval, ToolPolicy,
    files, labels, limits, parse::host_path, secret,
};
use crate::{
    Effect, Limits, Rule,
    access::{self, MAX_ENV_VALUE_BYTES, MAX_LIST},
    limits::WrittenLimits,
    names,
    reader::{Entry, Reader, Section, shown},
    timestamp,
};

/// The most redirects that are followed for one request.
pub const MAX_REDIRECTS: u8 = 10;

const KEYS: [&str; 14] = [
    "from",
    "files",
    "scratch",
    "net",
    "env",
    "calls",
    "secrets",
    "reads",
    "sends",
    "clock",
    "random",
    "approve",
    "limits",
    "isolation",
];

/// Keys that the policy language has, and that this version does not enforce: so they must not be written.
const LATER: [&str; 1] = ["kv"];

pub(super) fn policy(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<ToolPolicy> {
    let section = reader.any_section(entry.node, &entry.path)?;
    reader.check_keys_but(&section, &KEYS, &LATER);
    let get = |key: &str| section.get(key);
    let files = get("files")
        .map(|entry| files::grants(reader, &entry))
        .unwrap_or_default();
    let net = get("net").map_or_else(Net::default, |entry| net(reader, &entry));
    let known = net.complete.then_some(net.grants.as_slice());
    Some(ToolPolicy {
        rule: reader.rule(&entry.key_span, &entry.path),
        from: get("from").and_then(|entry| origin(reader, &entry)),
        scratch: get("scratch").and_then(|entry| files::scratch(reader, &entry, &files)),
        files,
        secrets: get("secrets")
            .map(|entry| secret::secrets(reader, &entry, known))
            .unwrap_or_default(),
        reads: get("reads")
            .map(|entry| labels::labels(reader, &entry, &labels::READS))
            .unwrap_or_default(),
        sends: get("sends")
            .map(|entry| labels::labels(reader, &entry, &labels::SENDS))
            .unwrap_or_default(),
        net: net.grants,
        env: get("env")
            .map(|entry| env(reader, &entry))
            .unwrap_or_default(),
        calls: get("calls")
            .map(|entry| calls(reader, &entry))
            .unwrap_or_default(),
        clock: get("clock").and_then(|entry| clock(reader, &entry)),
        random: get("random").and_then(|entry| random(reader, &entry)),
        approve: get("approve")
            .map(|entry| approve(reader, &entry))
            .unwrap_or_default(),
        limits: get("limits").map_or_else(WrittenLimits::default, |entry| {
            limits::written(reader, &entry, Limits::CATALOGUE)
        }),
        isolation: get("isolation").and_then(|entry| isolation(reader, &entry)),
    })
}

fn origin(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Origin> {
    let text = reader.string(entry)?;
    if let Some(name) = text.strip_prefix("builtin:") {
        if names::is_kebab_case(name) {
            return Some(Origin::Builtin(name.to_owned()));
        }
        reader.report(
            entry.node.span(),
            format!("`{}` is not the name of a built-in package", shown(name)),
            "write for example \"builtin:files\"",
        );
        return None;
    }
    // A scheme has at least two letters, so that a drive letter of another system is not taken for one.
    let scheme = text
        .split_once(':')
        .map(|(scheme, _)| scheme)
        .filter(|scheme| {
            scheme.len() > 1
                && scheme
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        });
    if let Some(scheme) = scheme {
        let message = match scheme {
            "oci" | "https" => format!("`{scheme}:` is not supported by this version"),
            _ => format!(
                "`{}:` is not a place that packages come from",
                shown(scheme)
            ),
        };
        reader.report(
            entry.node.span(),
            message,
            "download the component and name its file, or use \"builtin:NAME\"",
        );
        return None;
    }
    host_path(reader, entry, text).map(Origin::Path)
}

/// The rules of a list, and whether these are all that stand there.
struct Net {
    grants: Vec<NetGrant>,
    complete: bool,
}

impl Default for Net {
    fn default() -> Self {
        Self {
            grants: Vec::new(),
            complete: true,
        }
    }
}

fn net(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Net {
    let mut grants: Vec<(NetGrant, Entry<'_>)> = Vec::new();
    let elements = reader.list(entry, MAX_LIST);
    let listed = elements.as_ref().map(Vec::len);
    for element in elements.unwrap_or_default() {
        let keys = ["to", "methods", "paths", "approve", "redirects"];
        let Some(section) = reader.section(element.node, &element.path, &keys) else {
            continue;
        };
        let approve = access_approve(reader, &section);
        let redirects = redirects(reader, &section, approve);
        let Some(scope) = access::net_scope(reader, &section, false) else {
            continue;
        };
        let rule = reader.rule(&element.node.span(), &element.path);
        let grant = NetGrant {
            special: scope.names_special(),
            scope,
            approve,
            redirects,
            rule,
        };
        grants.push((grant, element));
    }
    report_shadowed(reader, &grants);
    Net {
        complete: listed == Some(grants.len()),
        grants: grants.into_iter().map(|(grant, _)| grant).collect(),
    }
}

fn redirects(reader: &mut Reader<'_>, section: &Section<'_>, approve: Effect) -> u8 {
    let Some(entry) = section.get("redirects") else {
        return 0;
    };
    let Some(number) = reader.number(&entry) else {
        return 0;
    };
    let (message, help) = match u8::try_from(number) {
        Ok(1..) if approve == Effect::Deny => (
            "a rule that denies follows no redirects".to_owned(),
            "remove `redirects`",
        ),
        Ok(number @ 0..=MAX_REDIRECTS) => return number,
        _ => (
            format!("`{}` is above the ceiling of {MAX_REDIRECTS}", entry.path),
            "write a smaller number; 0 hands redirects to the tool",
        ),
    };
    reader.report(entry.node.span(), message, help);
    0
}

/// A rule decides nothing when another one covers it and is at least as strict, also about redirects. Of two equal ones
/// the later is at fault.
fn report_shadowed(reader: &mut Reader<'_>, grants: &[(NetGrant, Entry<'_>)]) {
    for (index, (grant, element)) in grants.iter().enumerate() {
        let shadow = grants.iter().enumerate().find(|(other_index, (other, _))| {
            *other_index != index
                && other.scope.covers(&grant.scope)
                && strictness(other).0 >= strictness(grant).0
                && strictness(other).1 >= strictness(grant).1
                && (strictness(other) != strictness(grant)
                    || *other_index < index
                    || !grant.scope.covers(&other.scope))
        });
        if let Some((_, (other, _))) = shadow {
            reader.report(
                element.node.span(),
                format!(
                    "this rule never decides anything: line {} covers it",
                    other.rule.line
                ),
                format!("remove it, or narrow `{}`", other.rule.key),
            );
        }
    }
}

/// The effect of a rule, and how little it follows redirects.
fn strictness(grant: &NetGrant) -> (Effect, u8) {
    let follows = match grant.approve {
        Effect::Deny => 0,
        _ => grant.redirects,
    };
    (grant.approve, u8::MAX - follows)
}

pub(super) fn access_approve(reader: &mut Reader<'_>, section: &Section<'_>) -> Effect {
    section
        .get("approve")
        .and_then(|entry| reader.effect(&entry))
        .unwrap_or_default()
}

fn env(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Vec<EnvGrant> {
    let Some(section) = reader.any_section(entry.node, &entry.path) else {
        return Vec::new();
    };
    let entries = section.entries();
    if entries.len() > MAX_LIST {
        reader.report(
            entry.node.span(),
            format!(
                "{} variables are given; at most {MAX_LIST} are allowed",
                entries.len()
            ),
            "give fewer",
        );
        return Vec::new();
    }
    let mut grants = Vec::new();
    for entry in entries {
        if !access::is_env_name(entry.key) {
            reader.report(
                entry.key_span.clone(),
                format!(
                    "`{}` is not a name of an environment variable",
                    shown(entry.key)
                ),
                "use letters, digits and `_`, as in `LANG`",
            );
            continue;
        }
        let Some(value) = reader.string(&entry) else {
            continue;
        };
        if value.len() > MAX_ENV_VALUE_BYTES || value.contains('\0') {
            reader.report(
                entry.node.span(),
                format!("the value of `{}` cannot be handed to a guest", entry.path),
                "a value has at most 4096 bytes and no NUL",
            );
            continue;
        }
        grants.push(EnvGrant {
            name: entry.key.to_owned(),
            value: value.to_owned(),
            rule: reader.rule(&entry.key_span, &entry.path),
        });
    }
    grants
}

fn calls(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Vec<CallGrant> {
    let names = access::call_names(reader, entry);
    let grant = |(element, tool): (Entry<'_>, String)| CallGrant {
        tool,
        rule: reader.rule(&element.node.span(), &element.path),
    };
    names.into_iter().map(grant).collect()
}

fn clock(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Clock> {
    let text = reader.string(entry)?;
    if text == "real" {
        return Some(Clock::Real);
    }
    let frozen = text.strip_prefix("frozen:").and_then(timestamp::parse);
    if frozen.is_none() {
        reader.report(
            entry.node.span(),
            format!("`{}` is not a clock", shown(text)),
            "write \"real\", or \"frozen:2026-01-01T00:00:00Z\" with a moment from 1970 to 2554",
        );
    }
    frozen.map(Clock::Frozen)
}

fn random(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Random> {
    let text = reader.string(entry)?;
    if text == "real" {
        return Some(Random::Real);
    }
    let digits = text
        .strip_prefix("seeded:")
        .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let seed = digits.and_then(|digits| digits.parse().ok());
    if seed.is_none() {
        reader.report(
            entry.node.span(),
            format!("`{}` is not a source of random numbers", shown(text)),
            "write \"real\", or \"seeded:7\" with a whole number",
        );
    }
    seed.map(Random::Seeded)
}

/// `approve = "ask"`, or a table by tool name in which `*` stands for the others.
fn approve(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Vec<ToolApproval> {
    if entry.node.value.is_str() {
        let effect = reader.effect(entry);
        let rule = reader.rule(&entry.key_span, &entry.path);
        let all = effect.map(|effect| ToolApproval {
            tool: None,
            effect,
            rule,
        });
        return all.into_iter().collect();
    }
    let Some(section) = reader.any_section(entry.node, &entry.path) else {
        return Vec::new();
    };
    let mut approvals = Vec::new();
    for entry in section.entries() {
        let tool = match entry.key {
            "*" => None,
            name if names::is_kebab_case(name) => Some(name.to_owned()),
            name => {
                reader.report(
                    entry.key_span.clone(),
                    format!("`{}` is not the name of a tool", shown(name)),
                    "name a tool as its manifest does, or \"*\" for all others",
                );
                continue;
            }
        };
        if let Some(effect) = reader.effect(&entry) {
            let rule = reader.rule(&entry.key_span, &entry.path);
            approvals.push(ToolApproval { tool, effect, rule });
        }
    }
    approvals
}

fn isolation(reader: &mut Reader<'_>, entry: &Entry<'_>) -> Option<(Isolation, Rule)> {
    let words = Isolation::ALL.map(|isolation| (isolation.name(), isolation));
    let isolation = reader.word(entry, &words).copied()?;
    Some((isolation, reader.rule(&entry.key_span, &entry.path)))
}
