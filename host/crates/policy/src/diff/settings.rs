//! Limits, and what holds for all packages.

use super::{Changes, Direction, Side};
use crate::{
    CacheStore, Effect, EgressPolicy, Layers, Limits, Rule, SharedLimits, TelemetrySettings,
    limits::WrittenLimits,
};

pub(super) fn compare(changes: &mut Changes, old: &Layers, new: &Layers) {
    words(changes, old, new);
    egress(changes, &old.egress(), &new.egress());
    rules(changes, old, new);
    kept(changes, old, new);
    told(changes, &old.telemetry(), &new.telemetry());
    if old.audit_path() != new.audit_path() {
        let text = "the audit log goes to another place";
        changes.add(Direction::Changed, text, (None, None));
    }
    let (was, is) = (old.limits(NOBODY), new.limits(NOBODY));
    for info in Limits::CATALOGUE {
        let step = Step::of(
            info.key,
            |key| was.strictness(key),
            |key| is.strictness(key),
        );
        let shown = (was.show(info.key), is.show(info.key));
        let lines = (written(old, None, info.key), written(new, None, info.key));
        step.tell(changes, "of every tool", shown, lines);
    }
    shared(
        changes,
        "of a session",
        SharedLimits::SESSION,
        [old, new],
        |layers| (layers.session_limits(), |policy| &policy.session),
    );
    shared(
        changes,
        "of the host",
        SharedLimits::HOST,
        [old, new],
        |layers| (layers.host_limits(), |policy| &policy.host),
    );
}

/// No package has this name: for it only what holds for all is in force.
const NOBODY: &str = "";

/// How strict a limit is: the greater the stricter, and 0 is no limit.
type Strictness = u64;

trait Strict {
    fn strictness(&self, key: &str) -> Strictness;
}

fn strictness(number: Option<u64>, rate: Option<crate::Rate>, key: &str) -> Strictness {
    match rate {
        // Calls in an hour, and of equal ones the shorter period is the stricter.
        Some(rate) if key == "rate" => {
            let hour = u64::from(rate.count) * 3_600 / u64::from(rate.seconds.max(1));
            (u64::MAX - hour * 4_000).saturating_add(3_600_u64.saturating_sub(rate.seconds.into()))
        }
        _ => number.map_or(0, |number| u64::MAX - number),
    }
}

impl Strict for Limits {
    fn strictness(&self, key: &str) -> Strictness {
        strictness(self.get(key), self.rate, key)
    }
}

impl Strict for SharedLimits {
    fn strictness(&self, key: &str) -> Strictness {
        strictness(self.get(key), self.rate, key)
    }
}

/// A limit on both sides.
struct Step {
    key: &'static str,
    was: Strictness,
    is: Strictness,
}

impl Step {
    fn of(
        key: &'static str,
        was: impl Fn(&str) -> Strictness,
        is: impl Fn(&str) -> Strictness,
    ) -> Self {
        Self {
            key,
            was: was(key),
            is: is(key),
        }
    }

    fn tell(
        self,
        changes: &mut Changes,
        whose: &str,
        shown: (Option<String>, Option<String>),
        rules: (Option<&Rule>, Option<&Rule>),
    ) {
        if self.was == self.is {
            return;
        }
        let shown = [shown.0, shown.1].map(|it| it.unwrap_or_else(|| "no limit".to_owned()));
        let [was, is] = shown;
        let text = format!("limit {} {whose}: {was} -> {is}", self.key);
        changes.add(Direction::of(&self.was, &self.is), text, rules);
    }
}

/// The line that says something about a limit: of the package, else of all.
fn written<'l>(layers: &'l Layers, package: Option<&str>, key: &str) -> Option<&'l Rule> {
    let find = |limits: &'l WrittenLimits| limits.get(key).map(|it| &it.rule);
    layers.iter().find_map(|(_, policy)| {
        let own = package.and_then(|package| policy.tool(package));
        own.and_then(|tool| find(&tool.limits))
            .or_else(|| find(&policy.limits))
    })
}

/// The limits of a package that are not those of every tool.
pub(super) fn limits(changes: &mut Changes, old: &Side<'_>, new: &Side<'_>) {
    let (was, is) = (old.grants.limits(), new.grants.limits());
    let (all_were, all_are) = (old.layers.limits(NOBODY), new.layers.limits(NOBODY));
    for info in Limits::CATALOGUE {
        let key = info.key;
        let mine = (was.strictness(key), is.strictness(key));
        // A new package has its limits from the beginning.
        if old.rule().is_none() || mine == (all_were.strictness(key), all_are.strictness(key)) {
            continue;
        }
        let step = Step::of(key, |key| was.strictness(key), |key| is.strictness(key));
        let rule = |side: &Side<'_>| written(side.layers, Some(side.package), key).cloned();
        let (before, after) = (rule(old), rule(new));
        let whose = format!("of {}", new.package);
        let shown = (was.show(key), is.show(key));
        step.tell(changes, &whose, shown, (before.as_ref(), after.as_ref()));
    }
}

type Tables<'l> = fn(&'l crate::Policy) -> &'l WrittenLimits;

fn shared<'l>(
    changes: &mut Changes,
    whose: &str,
    catalogue: &'static [crate::LimitInfo],
    [old, new]: [&'l Layers; 2],
    of: impl Fn(&'l Layers) -> (SharedLimits, Tables<'l>),
) {
    let ((was, table), (is, _)) = (of(old), of(new));
    for info in catalogue {
        let key = info.key;
        let step = Step::of(key, |key| was.strictness(key), |key| is.strictness(key));
        let rule = |layers: &'l Layers| {
            let mut files = layers.iter();
            files.find_map(|(_, policy)| table(policy).get(key).map(|it| &it.rule))
        };
        let shown = (was.show(key), is.show(key));
        step.tell(changes, whose, shown, (rule(old), rule(new)));
    }
}

fn words(changes: &mut Changes, old: &Layers, new: &Layers) {
    let combine = |effect: Effect| match effect {
        Effect::Allow => "happens unasked",
        Effect::Ask => "needs a person's consent",
        Effect::Deny => "is denied",
    };
    let ((was, before), (is, after)) = (old.combine_rule(), new.combine_rule());
    if was != is {
        let text = format!(
            "a session that combines private data, untrusted text and a way out: that {} now",
            combine(is)
        );
        changes.add(
            Direction::of(&was, &is),
            text,
            (Some(&before), Some(&after)),
        );
    }
    let ((was, before), (is, after)) = (old.secret_arguments_rule(), new.secret_arguments_rule());
    if was != is {
        let text = format!(
            "a call with the value of a secret in its input {} now",
            combine(is)
        );
        changes.add(
            Direction::of(&was, &is),
            text,
            (Some(&before), Some(&after)),
        );
    }
    let ((was, before), (is, after)) = (old.unknown_secrets_rule(), new.unknown_secrets_rule());
    if was != is {
        let text = format!("what looks like a credential: {was} -> {is}");
        changes.add(
            Direction::of(&was, &is),
            text,
            (Some(&before), Some(&after)),
        );
    }
}

/// Where answers of models lie: whoever can write there can have a model say anything.
fn kept(changes: &mut Changes, old: &Layers, new: &Layers) {
    let (was, is) = (old.cache(), new.cache());
    let place = |it: &crate::CacheSettings| (it.store.clone(), it.key.clone(), it.ca.clone());
    if place(&was) == place(&is) {
        return;
    }
    let rules = (was.rule.as_ref(), is.rule.as_ref());
    let (direction, text) = match &is.store {
        None | Some(CacheStore::Off) => (
            Direction::Narrowed,
            "answers of models are not kept".to_owned(),
        ),
        Some(store @ CacheStore::Redis(_)) => (
            Direction::Widened,
            format!("answers of models are kept at {store}, and taken from there"),
        ),
        Some(store) => (
            Direction::Changed,
            format!("answers of models are kept: {store}"),
        ),
    };
    changes.add(direction, text, rules);
}

/// Who is told what runs and tools do.
fn told(changes: &mut Changes, old: &TelemetrySettings, new: &TelemetrySettings) {
    let rules = (old.rule.as_ref(), new.rule.as_ref());
    let mut say = |direction, text: String| changes.add(direction, text, rules);
    match (&old.otlp, &new.otlp) {
        (was, Some(url)) if was.as_ref() != Some(url) => {
            let text = format!("the collector at {url} is told what runs and tools do");
            say(Direction::Widened, text);
        }
        (Some(url), None) => {
            let text = format!("the collector at {url} is told nothing any more");
            say(Direction::Narrowed, text);
        }
        _ => {}
    }
    match (old.content.unwrap_or(false), new.content.unwrap_or(false)) {
        (false, true) => {
            let text = "the collector is also told what people, models and tools say";
            say(Direction::Widened, text.to_owned());
        }
        (true, false) => {
            let text = "the collector is no longer told what people, models and tools say";
            say(Direction::Narrowed, text.to_owned());
        }
        _ => {}
    }
    let open = |it: &TelemetrySettings| it.listen.filter(|address| !address.ip().is_loopback());
    match (open(old), open(new)) {
        (was, Some(address)) if was != Some(address) => {
            let text = format!("whoever reaches {address} can read the metrics");
            say(Direction::Widened, text);
        }
        (Some(address), None) => {
            let text = format!("the metrics can no longer be read at {address}");
            say(Direction::Narrowed, text);
        }
        _ => {}
    }
    if old.headers != new.headers {
        let text = "the collector gets other headers";
        say(Direction::Changed, text.to_owned());
    }
}

fn egress(changes: &mut Changes, old: &EgressPolicy, new: &EgressPolicy) {
    let rules = (old.rule.as_ref(), new.rule.as_ref());
    let based = |policy: &EgressPolicy, path: &String| {
        let base = policy.base.clone().unwrap_or_default();
        (path.clone(), base)
    };
    let before: Vec<_> = old.ca.iter().map(|path| based(old, path)).collect();
    let after: Vec<_> = new.ca.iter().map(|path| based(new, path)).collect();
    for (path, _) in after.iter().filter(|it| !before.contains(it)) {
        let text = format!("servers with a certificate by {path} are trusted now");
        changes.add(Direction::Widened, text, rules);
    }
    for (path, _) in before.iter().filter(|it| !after.contains(it)) {
        let text = format!("servers with a certificate by {path} are no longer trusted");
        changes.add(Direction::Narrowed, text, rules);
    }
    match (&old.proxy, &new.proxy) {
        (was, Some(proxy)) if was.as_ref() != Some(proxy) => {
            let text = format!("requests go through the proxy {proxy} now");
            changes.add(Direction::Widened, text, rules);
        }
        (Some(proxy), None) => {
            let text = format!("requests no longer go through the proxy {proxy}");
            changes.add(Direction::Changed, text, rules);
        }
        _ => {}
    }
    match (old.proxy_resolves, new.proxy_resolves) {
        (false, true) => {
            let text = "the proxy looks names up now, so addresses are not checked here";
            changes.add(Direction::Widened, text, rules);
        }
        (true, false) => {
            let text = "names are looked up and checked here again";
            changes.add(Direction::Narrowed, text, rules);
        }
        _ => {}
    }
}

/// The files with more rules for what looks like a credential.
fn rules(changes: &mut Changes, old: &Layers, new: &Layers) {
    let (before, after) = (old.secret_rules(), new.secret_rules());
    let same =
        |a: &(&str, Option<&str>, &Rule), b: &(&str, Option<&str>, &Rule)| (a.0, a.1) == (b.0, b.1);
    for rules in after
        .iter()
        .filter(|it| !before.iter().any(|other| same(it, other)))
    {
        let text = format!(
            "the rules in {} for what looks like a credential count now",
            rules.0
        );
        changes.add(Direction::Narrowed, text, (None, Some(rules.2)));
    }
    for rules in before
        .iter()
        .filter(|it| !after.iter().any(|other| same(it, other)))
    {
        let text = format!(
            "the rules in {} for what looks like a credential no longer count",
            rules.0
        );
        changes.add(Direction::Widened, text, (Some(rules.2), None));
    }
}
